/* The table of machines that Kiln links for.
 *
 * The machine of a link is that of its objects, not the one Kiln runs on: for another one, the cross
 * tools are used, whose names begin with the machine's. */
#include "elf/machine.h"

#include <elf.h>
#include <string.h>

static bool
is_absolute_x86_64(uint64_t type)
{
    return type == R_X86_64_32 || type == R_X86_64_32S || type == R_X86_64_16 || type == R_X86_64_8;
}

/* The dynamic loader can apply ABS64, but not MOVW_UABS_*, which are in instructions. */
static bool
is_absolute_arm64(uint64_t type)
{
    return type == R_AARCH64_ABS32 || type == R_AARCH64_ABS16 ||
           (type >= R_AARCH64_MOVW_UABS_G0 && type <= R_AARCH64_MOVW_SABS_G2);
}

static const struct kiln_machine machines[] = {
    {EM_X86_64, "x86-64", "x86_64", "x86_64-linux-gnu-", "elf64-x86-64", is_absolute_x86_64,
     R_X86_64_64},
    {EM_AARCH64, "arm64", "aarch64", "aarch64-linux-gnu-", "elf64-littleaarch64", is_absolute_arm64,
     R_AARCH64_ABS64},
};

enum { MACHINES = sizeof machines / sizeof machines[0] };

#if defined(__aarch64__)
#define NATIVE EM_AARCH64
#else
#define NATIVE EM_X86_64
#endif

const struct kiln_machine *
kiln_machine_find(unsigned number)
{
    for (size_t i = 0; i < MACHINES; i++) {
        if (machines[i].number == number) {
            return &machines[i];
        }
    }
    return NULL;
}

const struct kiln_machine *
kiln_machine_find_kernel(const char *name)
{
    for (size_t i = 0; i < MACHINES; i++) {
        if (strcmp(machines[i].kernel, name) == 0) {
            return &machines[i];
        }
    }
    return NULL;
}

const struct kiln_machine *
kiln_machine_get_native(void)
{
    return kiln_machine_find(NATIVE);
}

const char *
kiln_machine_get_name(struct kiln_ctx *ctx, unsigned number)
{
    static const struct {
        unsigned number;
        const char *name;
    } others[] = {
        {EM_386, "i386"},    {EM_ARM, "arm"},       {EM_PPC64, "ppc64"},         {EM_S390, "s390x"},
        {EM_RISCV, "riscv"}, {EM_MIPS, "mips"},     {EM_LOONGARCH, "loongarch"}, {EM_BPF, "bpf"},
        {EM_CUDA, "cuda"},   {EM_AMDGPU, "amdgpu"}, {EM_SPARCV9, "sparc64"},
    };
    const struct kiln_machine *machine = kiln_machine_find(number);
    if (machine != NULL) {
        return machine->name;
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (others[i].number == number) {
            return others[i].name;
        }
    }
    return kiln_arena_printf(&ctx->arena, "number %u", number);
}

const char *
kiln_machine_get_tool(struct kiln_ctx *ctx, const struct kiln_machine *machine, const char *tool)
{
    return machine == kiln_machine_get_native()
               ? tool
               : kiln_arena_printf(&ctx->arena, "%s%s", machine->toolchain, tool);
}
