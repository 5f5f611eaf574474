/* What of one shared object is not understood, or cannot come out as from a file: it stays one. */
#include "unlink/set.h"

#include <string.h>

enum {
    PAGE = 4096,
    ALIGN_MAX = 2 * 1024 * 1024,   /* of a segment: linkers for x86-64 once aligned by so much */
    ZEROS_MAX = 256 * 1024 * 1024, /* bytes that the file has not, and the executable would have */
    TLS_MAX = 64 * 1024 * 1024,    /* bytes for each thread */
};

static const char *
check_segments(const struct kiln_dynobj *dso)
{
    const Elf64_Phdr *first = &dso->loads[0];
    if (first->p_vaddr != 0 || first->p_offset != 0) {
        return "its first segment is not at the start of the file";
    }
    uint64_t zeros = dso->size;
    for (size_t i = 0; i < dso->load_count; i++) {
        const Elf64_Phdr *load = &dso->loads[i];
        zeros -= load->p_filesz;
        if ((load->p_flags & PF_W) != 0 && (load->p_flags & PF_X) != 0) {
            return "it has a segment that is both writable and executable";
        }
        if (load->p_align > ALIGN_MAX || (load->p_align & (load->p_align - 1)) != 0) {
            return "it has a segment with an unusual alignment";
        }
        if ((load->p_vaddr - load->p_offset) % PAGE != 0) {
            return "it has a segment that cannot be mapped";
        }
        if (load->p_memsz > load->p_filesz && (load->p_flags & PF_W) == 0) {
            return "it has zeros in a segment that cannot be written";
        }
        if (i > 0 && load->p_vaddr / PAGE < (load[-1].p_vaddr + load[-1].p_memsz + PAGE - 1) / PAGE)
        {
            return "it has two segments in one page";
        }
    }
    if (dso->program_headers == UINT64_MAX) {
        return "its program headers are in none of its segments";
    }
    return zeros > ZEROS_MAX ? "more than 256 MB of its memory are zeros" : NULL;
}

static const char *
check_tls(const struct kiln_dynobj *dso)
{
    const Elf64_Phdr *tls = &dso->tls;
    struct kiln_span bytes;
    if (tls->p_type != PT_TLS) {
        return NULL;
    }
    if (tls->p_filesz > tls->p_memsz || tls->p_memsz > TLS_MAX ||
        (tls->p_filesz > 0 && !kiln_dynobj_slice(dso, tls->p_vaddr, tls->p_filesz, &bytes)) ||
        (tls->p_align & (tls->p_align - 1)) != 0 || tls->p_align > PAGE)
    {
        return "its thread-local segment is damaged, or has an unusual alignment";
    }
    return NULL;
}

/* Functions that are called at its start and end. */
static const char *
check_functions(const struct kiln_dynobj *dso)
{
    static const int single[] = {DT_INIT, DT_FINI};
    static const int arrays[][2] = {{DT_INIT_ARRAY, DT_INIT_ARRAYSZ},
                                    {DT_FINI_ARRAY, DT_FINI_ARRAYSZ}};
    for (size_t i = 0; i < 2; i++) {
        uint64_t function = dso->tags[single[i]], array = dso->tags[arrays[i][0]],
                 len = dso->tags[arrays[i][1]];
        const Elf64_Phdr *load = kiln_dynobj_find_segment(dso, function, 1);
        if (function != 0 && (load == NULL || (load->p_flags & PF_X) == 0)) {
            return "its DT_INIT or DT_FINI is not a function";
        }
        if (array != 0 && len != 0 &&
            (array % 8 != 0 || kiln_dynobj_find_segment(dso, array, len) == NULL)) {
            return "its DT_INIT_ARRAY or DT_FINI_ARRAY is damaged";
        }
    }
    return NULL;
}

static const char *
check_dynamic(struct kiln_ctx *ctx, const struct kiln_dynobj *dso)
{
    if (dso->unsupported != NULL) {
        return kiln_arena_printf(&ctx->arena, "it has %s", dso->unsupported);
    }
    if ((dso->flags & DF_TEXTREL) != 0) {
        return "it has text relocations";
    }
    if (dso->header.e_type == ET_EXEC || (dso->flags_1 & DF_1_PIE) != 0) {
        return "it is a program";
    }
    static const struct {
        uint64_t flag;
        const char *name;
    } flags[] = {
        {DF_1_GLOBAL, "DF_1_GLOBAL"},
        {DF_1_INITFIRST, "DF_1_INITFIRST"},
        {DF_1_LOADFLTR, "DF_1_LOADFLTR"},
        {DF_1_INTERPOSE, "DF_1_INTERPOSE"},
        {DF_1_NODEFLIB, "DF_1_NODEFLIB"},
        {DF_1_NOOPEN, "DF_1_NOOPEN (it cannot be opened by dlopen())"},
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if ((dso->flags_1 & flags[i].flag) != 0) {
            return kiln_arena_printf(&ctx->arena, "it has %s", flags[i].name);
        }
    }
    if (dso->wants_executable_stack) {
        return "it wants an executable stack";
    }
    const char *path = dso->runpath == NULL ? dso->rpath : dso->runpath;
    static const char *const tokens[] = {"$LIB", "${LIB}", "$PLATFORM", "${PLATFORM}"};
    for (size_t i = 0; path != NULL && i < sizeof tokens / sizeof tokens[0]; i++) {
        if (strstr(path, tokens[i]) != NULL) {
            return kiln_arena_printf(
                &ctx->arena, "it looks for libraries in %s, which is the system's", tokens[i]);
        }
    }
    return NULL;
}

/* Words of `relro` that are not whole pages of one writable segment would be protected with others. */
static const char *
check_relro(const struct kiln_dynobj *dso)
{
    const Elf64_Phdr *relro = &dso->relro;
    if (relro->p_type == PT_GNU_RELRO && relro->p_memsz > 0) {
        const Elf64_Phdr *load = kiln_dynobj_find_segment(dso, relro->p_vaddr, 1);
        if (load == NULL || (load->p_flags & PF_W) == 0 || relro->p_memsz > dso->size) {
            return "its PT_GNU_RELRO is not in a segment that can be written";
        }
    }
    return NULL;
}

static const char *
find_prefix(const char *const *prefixes, size_t count, const char *text)
{
    for (size_t i = 0; i < count; i++) {
        if (strncmp(text, prefixes[i], strlen(prefixes[i])) == 0) {
            return prefixes[i];
        }
    }
    return NULL;
}

/* The run-time library of a sanitizer wants to be in the process before everything else. Weak references
 * ask whether one is there. */
static const char *
check_instrumentation(struct kiln_ctx *ctx, const struct kiln_dynobj *dso)
{
    static const char *const symbols[] = {"__asan_", "__hwasan_",  "__msan_",
                                          "__tsan_", "__ubsan_",   "__dfsan_",
                                          "__lsan_", "__memprof_", "__sanitizer_"};
    static const char *const libraries[] = {"libasan.so", "libhwasan.so", "liblsan.so",
                                            "libtsan.so", "libubsan.so",  "libclang_rt."};
    const char *found = NULL;
    for (size_t i = 0; found == NULL && i < dso->needed.count; i++) {
        const char *name = dso->needed.items[i];
        if (find_prefix(libraries, sizeof libraries / sizeof libraries[0], name) != NULL) {
            found = name;
        }
    }
    for (size_t i = 1; found == NULL && i < dso->symbol_count; i++) {
        struct kiln_dynobj_symbol symbol;
        if (kiln_dynobj_get_symbol(dso, i, &symbol) && symbol.sym.st_shndx == SHN_UNDEF &&
            kiln_dynobj_get_bind(&symbol) != STB_WEAK &&
            find_prefix(symbols, sizeof symbols / sizeof symbols[0], symbol.name) != NULL)
        {
            found = symbol.name;
        }
    }
    return found == NULL
               ? NULL
               : kiln_arena_printf(&ctx->arena, "it is instrumented by a sanitizer (it needs %s)",
                                   found);
}

/* Debuggers and crash handlers read the dynamic loader's list of what is loaded, in which no image is. */
static const char *
check_list(const struct kiln_dynobj *dso)
{
    for (size_t i = 1; i < dso->symbol_count; i++) {
        struct kiln_dynobj_symbol symbol;
        if (kiln_dynobj_get_symbol(dso, i, &symbol) && symbol.sym.st_shndx == SHN_UNDEF &&
            strcmp(symbol.name, "_r_debug") == 0)
        {
            return "it reads the dynamic loader's list of files (_r_debug)";
        }
    }
    return NULL;
}

bool
kiln_unlink_supports(const struct kiln_machine *machine)
{
    return machine->number == EM_X86_64;
}

const char *
kiln_refuse(struct kiln_ctx *ctx, const struct kiln_object *image)
{
    const struct kiln_dynobj *dso = &image->dso;
    if (!kiln_unlink_supports(dso->machine)) {
        return "unlinking is for x86-64 only";
    }
    const char *reason = check_dynamic(ctx, dso);
    reason = reason == NULL ? check_segments(dso) : reason;
    reason = reason == NULL ? check_tls(dso) : reason;
    reason = reason == NULL ? check_relro(dso) : reason;
    reason = reason == NULL ? check_functions(dso) : reason;
    reason = reason == NULL ? check_list(dso) : reason;
    return reason == NULL ? check_instrumentation(ctx, dso) : reason;
}
