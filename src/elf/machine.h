/* The machines that Kiln links for, and all that differs between them but the shim's instructions. */
#ifndef KILN_ELF_MACHINE_H
#define KILN_ELF_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/ctx.h"

struct kiln_machine {
    unsigned number;        /* e_machine */
    const char *name;       /* for people: "arm64" */
    const char *kernel;     /* what the kernel calls it (uname -m): "aarch64" */
    const char *toolchain;  /* what the names of its cross tools begin with */
    const char *bfd_format; /* what binutils call its objects */
    /* Whether relocations of TYPE put the low bits of an address where the linker must know it
     * whole: no position-independent executable can have these. */
    bool (*is_absolute)(uint64_t type);
};

/* The machine NUMBER is e_machine of; NULL: Kiln does not link for it. */
const struct kiln_machine *kiln_machine_find(unsigned number);
/* The machine that the kernel calls NAME; NULL: Kiln does not link for it. */
const struct kiln_machine *kiln_machine_find_kernel(const char *name);
/* The one that Kiln itself runs on. */
const struct kiln_machine *kiln_machine_get_native(void);
/* What people call the machine of e_machine NUMBER, whether Kiln links for it or not. */
const char *kiln_machine_get_name(struct kiln_ctx *ctx, unsigned number);
/* The program TOOL ("ld.bfd", "gcc") that works for MACHINE: TOOL itself, or a cross tool. */
const char *
kiln_machine_get_tool(struct kiln_ctx *ctx, const struct kiln_machine *machine, const char *tool);

#endif
