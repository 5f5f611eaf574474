/* The machines that Kiln links for, and how they differ, except for the instructions of the shim. */
#ifndef KILN_ELF_MACHINE_H
#define KILN_ELF_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctx.h"

struct kiln_machine {
    unsigned number;        /* e_machine */
    const char *name;       /* for people: "arm64" */
    const char *kernel;     /* what the kernel calls it (uname -m): "aarch64" */
    const char *toolchain;  /* the prefix of its cross tools */
    const char *bfd_format; /* the format of its objects, for binutils */
    /* Returns whether relocations of TYPE store a part of an absolute address, which no
     * position-independent executable can have. */
    bool (*is_absolute)(uint64_t type);
    uint32_t address; /* the type of relocations that store an address whole */
};

/* Returns the machine with the e_machine NUMBER, or NULL if Kiln does not link for it. */
const struct kiln_machine *kiln_machine_find(unsigned number);
/* Returns the machine that the kernel calls NAME, or NULL if Kiln does not link for it. */
const struct kiln_machine *kiln_machine_find_kernel(const char *name);
/* Returns the machine that Kiln runs on. */
const struct kiln_machine *kiln_machine_get_native(void);
/* Returns the usual name of the machine with the e_machine NUMBER, supported or not. */
const char *kiln_machine_get_name(struct kiln_ctx *ctx, unsigned number);
/* Returns the program TOOL ("ld.bfd", "gcc") for MACHINE: TOOL itself, or a cross tool. */
const char *
kiln_machine_get_tool(struct kiln_ctx *ctx, const struct kiln_machine *machine, const char *tool);

#endif
