/* The relocations of a shared object, one after the other: DT_RELA, DT_JMPREL, and DT_RELR (gABI,
 * "Relocation Table"). */
#include "unlink/set.h"

#include <string.h>

/* Those of the table at ADDRESS but what lies in the LEN bytes at SKIP. */
static bool
visit_table(const struct kiln_dynobj *dso, uint64_t address, uint64_t len, uint64_t skip,
            uint64_t skip_len, bool (*visit)(void *arg, const struct kiln_relocation *relocation),
            void *arg, const char **reason)
{
    struct kiln_span table;
    if (len == 0) {
        return true;
    }
    if (!kiln_dynobj_slice(dso, address, len, &table)) {
        *reason = "its relocations are damaged";
        return false;
    }
    Elf64_Rela rela;
    for (uint64_t at = 0; kiln_span_read(table, at, &rela, sizeof rela); at += sizeof rela) {
        if (address + at >= skip && address + at - skip < skip_len) {
            continue;
        }
        const struct kiln_relocation relocation = {.offset = rela.r_offset,
                                                   .type = ELF64_R_TYPE(rela.r_info),
                                                   .symbol = ELF64_R_SYM(rela.r_info),
                                                   .addend = rela.r_addend};
        if (!visit(arg, &relocation)) {
            return false;
        }
    }
    return true;
}

bool
kiln_relocations_visit(const struct kiln_dynobj *dso,
                       bool (*visit)(void *arg, const struct kiln_relocation *relocation),
                       void *arg, const char **reason)
{
    uint64_t rela = dso->tags[DT_RELA], rela_len = dso->tags[DT_RELASZ];
    uint64_t plt = dso->tags[DT_JMPREL], plt_len = dso->tags[DT_PLTRELSZ];
    if (plt_len > 0 && dso->tags[DT_PLTREL] != DT_RELA) {
        *reason = "its relocations have no addends (DT_PLTREL)";
        return false;
    }
    /* Some linkers count the second table to the first. */
    return visit_table(dso, rela, rela == 0 ? 0 : rela_len, plt, plt_len, visit, arg, reason) &&
           visit_table(dso, plt, plt_len, 0, 0, visit, arg, reason);
}

static bool
visit_relative(const struct kiln_dynobj *dso, uint64_t address,
               bool (*visit)(void *arg, const struct kiln_relocation *relocation), void *arg,
               const char **reason)
{
    uint64_t addend;
    if (!kiln_dynobj_read_word(dso, address, &addend)) {
        *reason = "its relative relocations are damaged";
        return false;
    }
    const struct kiln_relocation relocation = {.offset = address, .addend = (int64_t)addend};
    return visit(arg, &relocation);
}

bool
kiln_relocations_visit_relr(const struct kiln_dynobj *dso,
                            bool (*visit)(void *arg, const struct kiln_relocation *relocation),
                            void *arg, const char **reason)
{
    struct kiln_span table;
    uint64_t entry, next = 0;
    if (dso->relr == 0 || dso->relr_size == 0) {
        return true;
    }
    if (!kiln_dynobj_slice(dso, dso->relr, dso->relr_size, &table)) {
        *reason = "its relative relocations are damaged";
        return false;
    }
    for (uint64_t at = 0; kiln_span_get_u64(table, at, &entry); at += 8) {
        if ((entry & 1) == 0) {
            if (!visit_relative(dso, entry, visit, arg, reason)) {
                return false;
            }
            next = entry + 8;
            continue;
        }
        for (unsigned bit = 1; bit < 64; bit++) {
            if ((entry >> bit & 1) != 0 &&
                !visit_relative(dso, next + (bit - 1) * 8, visit, arg, reason)) {
                return false;
            }
        }
        next += 63 * 8;
    }
    return true;
}
