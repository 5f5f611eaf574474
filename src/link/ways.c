/* Which way an extension goes into the executable: the rule.
 *
 * The file of an extension is loaded with a scope of its own. What it refers to is looked for in the
 * interpreter's process, then in the extension, then in the libraries that it needs; and nobody else sees
 * what it defines (dlopen(3), RTLD_LOCAL). An object has no scope: it is linked with the rest of the program.
 * So an extension is baked from its objects only if nothing can tell the difference:
 *
 *   - each library that it needs is in the interpreter's process before it;
 *   - what it looks for is there, and is what the linker finds, or is nowhere (a weak reference);
 *   - what it defines is looked for by nobody but itself, and by itself not in vain: the process has nothing
 *     of that name, to which it would be bound instead; and it has no variable that is one for the process;
 *   - it uses nothing that sees its own file;
 *   - nothing of it runs before its import, or at another place in the order of the end, and nobody pays for it
 *     until it is imported.
 *
 * Otherwise its file is unlinked, which gives it its scope (unlinked.c); otherwise it stays a file. Who asks for
 * `--share` gives up something of the scope of each extension that shares: it may need the run-time library of
 * C++, which the whole program then has, and its UNIQUE variables are its own, or the shared library's.
 *
 * All this is read in the finished file, as the dynamic loader reads it; never in the command line that made it. The
 * objects are asked only for what the file does not tell: what its link has resolved. docs/scope.md explains
 * each condition by what goes wrong without it. */
#include <stdlib.h>
#include <sys/stat.h>

#include "base/parallel.h"
#include "base/text.h"
#include "elf/elf.h"
#include "link/bake.h"
#include "link/find/surroundings.h"
#include "link/find/toolchain.h"
#include "link/share/share.h"
#include "names/combined.h"

/* What the extensions are held against. */
struct rule {
    struct kiln_bake *bake;
    struct kiln_strings needed;        /* see surroundings.h */
    struct kiln_strings lacking;       /* the same */
    struct kiln_strings archived;      /* the same */
    struct kiln_strings *rest;         /* of each extension: names that only these can define */
    struct kiln_object_list cplusplus; /* the run-time library of C++, for --share */
    struct kiln_strings versions;      /* of libraries, that Python needs */
};

/* -- The file -- */

static bool
is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

#define IS_ONE_OF(name, names) is_one_of(name, names, sizeof(names) / sizeof *(names))

/* What every link defines, or may: nobody looks for it in another file. */
static const char *const OF_EVERY_LINK[] = {"_init", "_fini", "_edata", "_end", "__bss_start"};

/* What answers by who calls it, or where an address is, or lists files. */
static const char *const SEE_FILES[] = {
    "_dl_find_object",
    "_r_debug",
    "backtrace_symbols",
    "backtrace_symbols_fd",
    "dl_iterate_phdr",
    "dladdr",
    "dladdr1",
    "dlinfo",
    "dlmopen",
    "dlopen",
    "dlsym",
    "dlvsym",
};

/* What means the same to every link that has it: the table of addresses; __dso_handle, which __cxa_atexit() and the
 * like are told; and what combining refers to. */
static const char *const IN_EVERY_LINK[] = {"_GLOBAL_OFFSET_TABLE_", "__dso_handle",
                                            KILN_RUN_CONSTRUCTORS};

/* What the linker may make for the file itself, if that is asked for. A weak reference to it is not in vain. */
static const char *const OF_THE_FILE[] = {
    "_DYNAMIC",
    "__GNU_EH_FRAME_HDR",
    "__TMC_END__",
    "__bss_start",
    "__ehdr_start",
    "__executable_start",
    "__fini_array_end",
    "__fini_array_start",
    "__init_array_end",
    "__init_array_start",
    "__preinit_array_end",
    "__preinit_array_start",
    "_edata",
    "_end",
    "_etext",
    "edata",
    "end",
    "etext",
};

static bool
has_library(const struct kiln_object_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        const char *soname = list->items[i]->dso.soname;
        if (soname != NULL && strcmp(soname, name) == 0) {
            return true;
        }
    }
    return false;
}

static const char *
check_loading(struct kiln_ctx *ctx, const struct rule *rule, const struct kiln_dynobj *dso,
              bool is_sharing)
{
    if (dso->unsupported != NULL) {
        return kiln_arena_printf(&ctx->arena, "it has %s", dso->unsupported);
    }
    if ((dso->flags_1 & (DF_1_GLOBAL | DF_1_GROUP | DF_1_INITFIRST | DF_1_LOADFLTR |
                         DF_1_INTERPOSE | DF_1_NODEFLIB | DF_1_NOOPEN)) != 0)
    {
        return "its DT_FLAGS_1 asks the dynamic loader for something special";
    }
    for (size_t i = 0; i < dso->load_count; i++) {
        if ((dso->loads[i].p_flags & (PF_W | PF_X)) == (PF_W | PF_X)) {
            return "it has a segment that is both writable and executable";
        }
    }
    /* One is of the start files. */
    if (!is_sharing && dso->tags[DT_FINI_ARRAYSZ] > sizeof(Elf64_Addr)) {
        return "it has destructors, which are run after all exit handlers";
    }
    for (size_t i = 0; i < dso->needed.count; i++) {
        if (!has_library(&rule->bake->process->global, dso->needed.items[i]) &&
            !(is_sharing && has_library(&rule->cplusplus, dso->needed.items[i])))
        {
            return kiln_arena_printf(&ctx->arena, "it needs %s, which Python itself does not",
                                     dso->needed.items[i]);
        }
    }
    const struct kiln_dynobj_version *missing =
        kiln_objects_find_missing_version(&rule->bake->process->global, dso);
    return missing == NULL ? NULL
                           : kiln_arena_printf(&ctx->arena, "it needs %s of %s, which has it not",
                                               missing->name, missing->file);
}

/* Whether NAME, of a version, is newer than all that Python needs of the same name but for the number. It may be
 * missing where the program is run, and then it is to miss at the import, and not at the start. */
static bool
is_newer(const struct rule *rule, const char *name)
{
    size_t len = strcspn(name, "0123456789");
    for (size_t i = 0; i < rule->versions.count; i++) {
        const char *version = rule->versions.items[i];
        if (strncmp(name, version, len) == 0 && strverscmp(name, version) <= 0) {
            return false;
        }
    }
    return true;
}

/* What the file looks for. Sets *ANSWER to who of the process has it, NULL if nobody. */
static const char *
check_reference(struct kiln_ctx *ctx, const struct rule *rule,
                const struct kiln_dynobj_symbol *symbol, bool is_sharing,
                struct kiln_object **answer)
{
    const struct kiln_object_list *process = &rule->bake->process->global;
    const struct kiln_dynobj_wanted wanted = kiln_dynobj_want(symbol, true);
    const struct kiln_dynobj_wanted plain = {.name = symbol->name, .is_call = true};
    struct kiln_dynobj_symbol found, usual;
    struct kiln_object *definer = kiln_objects_find(process, &wanted, &found);
    if (definer == NULL && is_sharing) {
        process = &rule->cplusplus;
        definer = kiln_objects_find(process, &wanted, &found);
    }
    *answer = definer;
    if (definer == NULL) {
        return kiln_dynobj_get_bind(symbol) == STB_WEAK
                   ? NULL
                   : kiln_arena_printf(&ctx->arena, "it looks for %s, which nothing has",
                                       symbol->name);
    }
    /* The linker takes the default version of the first that has one. */
    if (found.is_hidden ||
        (wanted.version == NULL && kiln_dynobj_has_several(&definer->dso, symbol->name)) ||
        kiln_objects_find(process, &plain, &usual) != definer)
    {
        return kiln_arena_printf(&ctx->arena, "it looks for %s in another version than the linker",
                                 symbol->name);
    }
    if (IS_ONE_OF(symbol->name, SEE_FILES)) {
        return kiln_arena_printf(&ctx->arena, "it uses %s, which sees files", symbol->name);
    }
    return process != &rule->cplusplus && found.version != NULL &&
                   is_newer(rule, found.version->name)
               ? kiln_arena_printf(&ctx->arena,
                                   "it looks for %s in %s, which is newer than what Python needs",
                                   symbol->name, found.version->name)
               : NULL;
}

static const char *
refuse_ifunc(struct kiln_ctx *ctx, const char *name)
{
    return kiln_arena_printf(&ctx->arena,
                             "its %s is chosen by a resolver, which would run at the start", name);
}

/* What the file defines for others. */
static const char *
check_definition(struct kiln_ctx *ctx, const struct rule *rule,
                 const struct kiln_dynobj_symbol *symbol, bool is_sharing)
{
    const struct kiln_dynobj_wanted plain = {.name = symbol->name};
    struct kiln_dynobj_symbol found;
    if (kiln_strings_find(&rule->lacking, symbol->name)) {
        return kiln_arena_printf(
            &ctx->arena, "it defines %s, which another file needs from anywhere", symbol->name);
    }
    if (kiln_dynobj_get_bind(symbol) == STB_GNU_UNIQUE && !is_sharing) {
        return kiln_arena_printf(&ctx->arena, "it has %s, a variable that is one for the process",
                                 symbol->name);
    }
    if (kiln_dynobj_get_type(symbol) == STT_GNU_IFUNC) {
        return refuse_ifunc(ctx, symbol->name);
    }
    const struct kiln_object *definer =
        IS_ONE_OF(symbol->name, OF_EVERY_LINK)
            ? NULL
            : kiln_objects_find(&rule->bake->process->global, &plain, &found);
    return definer == NULL
               ? NULL
               : kiln_arena_printf(
                     &ctx->arena, "it defines %s, and so does %s, which comes first", symbol->name,
                     definer->origin == KILN_ORIGIN_PROGRAM ? "Python"
                                                            : kiln_file_basename(definer->path));
}

/* ANSWER answers a reference. A linker refuses to take it if the program does not name it, but some other library (that a
 * shared libpython needs libm, say). Sets *COUNT to how many of PROCESS have to be named for it at least. The loader,
 * which has __tls_get_addr(), is named with libc. */
static void
count_libraries(const struct kiln_object_list *process, const struct kiln_object *answer,
                size_t *count)
{
    const struct kiln_object *program = process->items[0];
    if (kiln_objects_contain(&program->needs, answer) ||
        kiln_starts_with(kiln_file_basename(answer->path), "ld-linux"))
    {
        return;
    }
    for (size_t i = 1; i < process->count; i++) {
        if (process->items[i] == answer && *count < i) {
            *count = i;
        }
    }
}

/* What is looked at in the relocations of a file. */
struct addresses {
    const struct kiln_dynobj *dso;
    const struct kiln_object_list *process;
    const char *function; /* one whose address it takes, of a library that has it to itself */
};

static bool
note_address(void *arg, const struct kiln_relocation *relocation)
{
    struct addresses *addresses = arg;
    struct kiln_dynobj_symbol symbol, found;
    bool is_call = relocation->type == R_X86_64_JUMP_SLOT;
    if (is_call || relocation->symbol == 0 ||
        !kiln_dynobj_get_symbol(addresses->dso, relocation->symbol, &symbol) ||
        symbol.sym.st_shndx != SHN_UNDEF || strcmp(symbol.name, "__cxa_finalize") == 0)
    {
        return true; /* the last is of start files, and objects may not have it */
    }
    const struct kiln_dynobj_wanted wanted = kiln_dynobj_want(&symbol, false);
    const struct kiln_object *definer =
        kiln_objects_find(addresses->process, &wanted, &found); /* a canonical PLT entry, too */
    unsigned type = definer == NULL ? STT_NOTYPE : kiln_dynobj_get_type(&found);
    if (definer != addresses->process->items[0] && (type == STT_FUNC || type == STT_GNU_IFUNC)) {
        addresses->function = symbol.name;
    }
    return addresses->function == NULL;
}

/* gold gives a function of a library an address in the program (a canonical PLT entry), for everybody, if the program
 * asks for its address and is not position-independent. */
static const char *
check_addresses(struct kiln_ctx *ctx, const struct rule *rule, const struct kiln_dynobj *dso)
{
    struct addresses addresses = {.dso = dso, .process = &rule->bake->process->global};
    const char *reason = NULL;
    if (strcmp(rule->bake->linker, "gold") == 0 && !rule->bake->pie) {
        kiln_relocations_visit(dso, note_address, &addresses, &reason);
    }
    return addresses.function == NULL
               ? reason
               : kiln_arena_printf(&ctx->arena, "gold would give %s, of a library, another address",
                                   addresses.function);
}

/* Returns why the file, as the dynamic loader reads it, is not what its objects are. Sets BOUND to the names
 * that it has from the process. */
static const char *
check_file(struct kiln_ctx *ctx, const struct rule *rule, struct kiln_baked *extension,
           const struct kiln_dynobj *dso, struct kiln_strings *bound)
{
    bool is_sharing = extension->is_sharing;
    const char *reason = check_loading(ctx, rule, dso, is_sharing);
    for (size_t i = 1; reason == NULL && i < dso->symbol_count; i++) {
        struct kiln_dynobj_symbol symbol;
        if (!kiln_dynobj_get_symbol(dso, i, &symbol) || kiln_dynobj_get_bind(&symbol) == STB_LOCAL)
        {
            continue;
        }
        if (symbol.sym.st_shndx != SHN_UNDEF) {
            reason = check_definition(ctx, rule, &symbol, is_sharing);
            continue;
        }
        struct kiln_object *answer = NULL;
        reason = check_reference(ctx, rule, &symbol, is_sharing, &answer);
        if (answer != NULL) {
            kiln_strings_push(&ctx->arena, bound, symbol.name);
            count_libraries(&rule->bake->process->global, answer, &extension->library_count);
        }
    }
    const char *names[] = {kiln_file_basename(extension->found->path), dso->soname};
    for (size_t i = 0; reason == NULL && i < 2; i++) {
        if (names[i] != NULL && kiln_strings_find(&rule->needed, names[i])) {
            reason = kiln_arena_printf(&ctx->arena, "another file needs %s", names[i]);
        }
    }
    return reason == NULL ? check_addresses(ctx, rule, dso) : reason;
}

/* -- The objects -- */

/* The section of which NAME is the start or the end, NULL if it is no such name. */
static const char *
get_bounded_section(const char *name)
{
    static const char *const prefixes[] = {"__start_", "__stop_"};
    for (size_t i = 0; i < 2; i++) {
        if (kiln_starts_with(name, prefixes[i])) {
            return name + strlen(prefixes[i]);
        }
    }
    return NULL;
}

/* Whether all of the object's section NAME is in FILE. A linker that collects garbage may have dropped some of
 * it, although its bounds are referred to (-z start-stop-gc). */
static bool
is_whole_section(const struct kiln_elf *object, const struct kiln_elf *file, const char *name)
{
    Elf64_Shdr in_object, in_file;
    size_t index = kiln_elf_find_section(file, name);
    if (index == 0) {
        return false;
    }
    kiln_elf_get_section(file, index, &in_file);
    kiln_elf_get_section(object, kiln_elf_find_section(object, name), &in_object);
    return in_file.sh_size == in_object.sh_size;
}

/* Returns what the link of the file has made of its objects that the final link would not. Pushes to ABSENT
 * the weak references that it has left unanswered, and to REST the names that it has taken from elsewhere. */
static const char *
check_objects(struct kiln_ctx *ctx, const struct kiln_elf *elf, const struct kiln_elf *file,
              const struct kiln_strings *bound, struct kiln_strings *absent,
              struct kiln_strings *rest)
{
    size_t table = kiln_elf_find_type(elf, SHT_SYMTAB);
    size_t count = table == 0 ? 0 : kiln_elf_count_symbols(elf, table);
    for (size_t i = 1; i < count; i++) {
        struct kiln_elf_symbol symbol;
        kiln_elf_get_symbol(elf, table, i, &symbol);
        unsigned bind = ELF64_ST_BIND(symbol.sym.st_info);
        if (ELF64_ST_TYPE(symbol.sym.st_info) == STT_GNU_IFUNC && kiln_elf_is_defined(&symbol)) {
            return refuse_ifunc(ctx, symbol.name);
        }
        if (bind == STB_LOCAL || *symbol.name == '\0') {
            continue;
        }
        if (kiln_elf_is_defined(&symbol)) {
            if (strcmp(symbol.name, "_init") == 0 || strcmp(symbol.name, "_fini") == 0) {
                return kiln_arena_printf(&ctx->arena, "it has its own %s()", symbol.name);
            }
            continue;
        }
        size_t len = strcspn(symbol.name, "@"); /* a reference may ask for a version */
        const char *name = kiln_arena_strndup(&ctx->arena, symbol.name, len);
        if (strcmp(name, "__cxa_finalize") == 0) {
            return "it calls __cxa_finalize(), which is told of its file";
        }
        if (kiln_strings_find(bound, name) || IS_ONE_OF(name, IN_EVERY_LINK)) {
            continue;
        }
        const char *section = get_bounded_section(name);
        if (section != NULL && kiln_elf_find_section(elf, section) != 0) {
            if (!is_whole_section(elf, file, section)) {
                return kiln_arena_printf(&ctx->arena, "its link did not keep all of its section %s",
                                         section);
            }
        }
        else if (bind == STB_WEAK && !IS_ONE_OF(name, OF_THE_FILE)) {
            kiln_strings_push(&ctx->arena, absent, name);
        }
        else {
            kiln_strings_push(&ctx->arena, rest, name);
        }
    }
    return NULL;
}

/* -- Both -- */

static const char *
look_at_objects(struct kiln_ctx *ctx, struct kiln_baked *extension, const struct kiln_dynobj *dso,
                const struct kiln_strings *bound, struct kiln_strings *rest)
{
    if (extension->fat.is_edited) {
        return "its code or data have been edited since they were linked";
    }
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_span object;
    struct kiln_elf elf, file;
    const char *path = extension->found->path, *reason = "its record is damaged";
    if (kiln_fat_decompress(&silent, &extension->fat, path, &silent.arena, &object) == 0 &&
        kiln_elf_init(&silent, object, path, &elf) == 0)
    {
        size_t constructors; /* 0 if they are not found, of which isolating tells */
        kiln_combined_count(&elf, KILN_CTORS_START, KILN_CTORS_END, &constructors);
        if (dso->tags[DT_INIT_ARRAYSZ] / sizeof(Elf64_Addr) > constructors + 1) {
            /* As the start files of -Ofast do; one is of every link. */
            reason = "its link added constructors to those of its objects";
        }
        else if (kiln_elf_init(&silent, extension->file.bytes, path, &file) == 0) {
            reason = check_objects(ctx, &elf, &file, bound, &extension->absent, rest);
            kiln_elf_release(&file);
            kiln_strings_sort(&extension->absent);
        }
        kiln_elf_release(&elf);
    }
    kiln_ctx_release(&silent);
    return reason;
}

static int
apply(struct kiln_ctx *ctx, size_t index, void *arg)
{
    struct rule *rule = arg;
    struct kiln_baked *extension = &rule->bake->extensions.items[index];
    struct kiln_dynobj dso;
    struct kiln_strings bound = {0};
    if (extension->reason != NULL) {
        return 0;
    }
    extension->is_sharing = kiln_share_is_asked(ctx, &rule->bake->options->shares, extension);
    const char *reason = kiln_dynobj_read(ctx, extension->file.bytes, extension->found->path, &dso);
    if (reason == NULL) {
        extension->needed = dso.needed;
        extension->memory[KILN_MEMORY_PROCESS] = dso.size;
        extension->memory[KILN_MEMORY_THREAD] = dso.tls.p_type == PT_TLS ? dso.tls.p_memsz : 0;
        reason = check_file(ctx, rule, extension, &dso, &bound);
    }
    if (reason == NULL) {
        kiln_strings_sort(&bound);
        reason = look_at_objects(ctx, extension, &dso, &bound, &rule->rest[index]);
    }
    extension->not_objects = reason;
    return 0;
}

/* What the objects of an extension look for, and its file does not, may only be the compiler's own. */
static void
check_rest(struct kiln_ctx *ctx, struct rule *rule)
{
    bool is_listed = false;
    for (size_t i = 0; i < rule->bake->extensions.count; i++) {
        struct kiln_baked *extension = &rule->bake->extensions.items[i];
        const struct kiln_strings *rest = &rule->rest[i];
        for (size_t k = 0; extension->not_objects == NULL && k < rest->count; k++) {
            if (!is_listed) {
                kiln_surroundings_list_archived(ctx, rule->bake, &rule->archived);
                is_listed = true;
            }
            if (!kiln_strings_find(&rule->archived, rest->items[k])) {
                extension->not_objects = kiln_arena_printf(
                    &ctx->arena, "its link took %s from elsewhere than its objects",
                    rest->items[k]);
            }
        }
    }
}

/* -- All of them -- */

/* What all modules that are baked from their objects may have together: addresses of 32 bits have to reach over
 * it and what is unlinked, and every thread has its part from its start, on its stack. */
static const struct {
    uint64_t max;
    const char *of;
} MEMORY[KILN_MEMORIES] = {
    [KILN_MEMORY_PROCESS] = {UINT64_C(500000000), "memory"},
    [KILN_MEMORY_THREAD] = {4096, "thread-local variables"},
};

/* The largest go another way until the rest has no more than that. */
static void
limit_memory(struct kiln_ctx *ctx, const struct kiln_bake *bake, enum kiln_memory kind)
{
    for (;;) {
        struct kiln_baked *largest = NULL;
        uint64_t total = 0;
        for (size_t i = 0; i < bake->extensions.count; i++) {
            struct kiln_baked *extension = &bake->extensions.items[i];
            uint64_t size = extension->memory[kind];
            if (extension->reason == NULL && extension->not_objects == NULL) {
                total = total + size < total ? UINT64_MAX : total + size;
                largest = largest == NULL || size > largest->memory[kind] ? extension : largest;
            }
        }
        if (largest == NULL || total <= MEMORY[kind].max) {
            return;
        }
        largest->not_objects =
            kiln_arena_printf(&ctx->arena, "it has %llu bytes of %s, and there is room for %llu",
                              (unsigned long long)largest->memory[kind], MEMORY[kind].of,
                              (unsigned long long)MEMORY[kind].max);
    }
}

/* -- Files of two names -- */

struct identity {
    dev_t device;
    ino_t inode;
    struct kiln_baked *extension;
};

static int
compare_identities(const void *a, const void *b)
{
    const struct identity *x = a, *y = b;
    int order = (x->device > y->device) - (x->device < y->device);
    return order != 0 ? order : (x->inode > y->inode) - (x->inode < y->inode);
}

/* The dynamic loader has one copy of a file, whatever modules are in it. */
static void
check_identities(struct kiln_ctx *ctx, const struct kiln_bake *bake)
{
    struct identity *identities =
        kiln_arena_alloc(&ctx->arena, (bake->extensions.count + 1) * sizeof *identities);
    size_t count = 0;
    for (size_t i = 0; i < bake->extensions.count; i++) {
        struct kiln_baked *extension = &bake->extensions.items[i];
        struct stat st;
        if (stat(extension->found->path, &st) == 0) {
            identities[count++] = (struct identity){st.st_dev, st.st_ino, extension};
        }
    }
    if (count > 0) {
        qsort(identities, count, sizeof *identities, compare_identities);
    }
    for (size_t i = 1; i < count; i++) {
        if (compare_identities(&identities[i - 1], &identities[i]) == 0) {
            identities[i - 1].extension->not_objects = identities[i].extension->not_objects =
                "its file is that of another module, too";
        }
    }
}

/* C++'s driver links its run-time library. */
static int
choose_driver(struct kiln_ctx *ctx, struct rule *rule)
{
    struct kiln_bake *bake = rule->bake;
    bool is_cplusplus = false;
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        for (size_t k = 0; extension->reason == NULL && k < extension->needed.count; k++) {
            is_cplusplus =
                is_cplusplus || !has_library(&bake->process->global, extension->needed.items[k]);
        }
    }
    for (size_t i = 0; i < rule->cplusplus.count; i++) {
        kiln_file_release(&rule->cplusplus.items[i]->file);
    }
    return is_cplusplus ? kiln_toolchain_choose_driver(ctx, bake, true, &bake->link_driver) : 0;
}

/* -- The pass -- */

/* Other libraries of the process are the system's, and another system has its own. */
static void
list_versions(struct kiln_ctx *ctx, struct rule *rule)
{
    static const struct kiln_dynobj_wanted python = {.name = "Py_IsInitialized", .is_call = true};
    const struct kiln_object_list *process = &rule->bake->process->global;
    for (size_t i = 0; i < process->count; i++) {
        const struct kiln_dynobj *dso = &process->items[i]->dso;
        struct kiln_dynobj_symbol found;
        bool is_python = i == 0 || kiln_dynobj_find(dso, &python, &found);
        for (size_t k = 0; is_python && k < dso->version_count; k++) {
            if (dso->versions[k].name != NULL) {
                kiln_strings_push(&ctx->arena, &rule->versions, dso->versions[k].name);
            }
        }
    }
}

/* In the order in which they are loaded, which naming some of them only would change. */
static void
list_linked(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    const struct kiln_object_list *process = &bake->process->global;
    size_t count = 0;
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->reason == NULL && count < extension->library_count) {
            count = extension->library_count;
        }
    }
    for (size_t i = 1; i <= count; i++) {
        kiln_strings_push(&ctx->arena, &bake->linked, process->items[i]->path);
    }
}

static void
send(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct kiln_baked *extension)
{
    const char *reason = extension->not_objects;
    if (extension->reason != NULL || reason == NULL) {
        return;
    }
    kiln_say(ctx, KILN_DETAIL, "%s is not baked from its objects: %s", extension->found->name,
             reason);
    extension->is_plain = bake->options->from == KILN_FROM_AUTO;
    extension->reason =
        extension->is_plain
            ? reason
            : kiln_arena_printf(&ctx->arena, "its objects are not what its file is: %s", reason);
}

int
kiln_bake_choose_ways(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    struct rule rule = {.bake = bake};
    bool any = false;
    for (size_t i = 0; !any && i < bake->extensions.count; i++) {
        any = bake->extensions.items[i].reason == NULL;
    }
    if (!any) {
        return 0;
    }
    rule.rest = kiln_arena_alloc(&ctx->arena, (bake->extensions.count + 1) * sizeof *rule.rest);
    int result = kiln_surroundings_read_process(ctx, bake, &bake->process);
    if (result == 0 && bake->options->shares.count > 0) {
        result = kiln_surroundings_read_cplusplus(ctx, bake, &rule.cplusplus);
    }
    if (result == 0) {
        list_versions(ctx, &rule);
        kiln_surroundings_list_needed(ctx, bake, &rule.needed, &rule.lacking);
        result = kiln_parallel_run(ctx, "compare", bake->extensions.count, apply, &rule);
    }
    if (result == 0) {
        check_identities(ctx, bake);
        check_rest(ctx, &rule);
        limit_memory(ctx, bake, KILN_MEMORY_PROCESS);
        limit_memory(ctx, bake, KILN_MEMORY_THREAD);
        for (size_t i = 0; i < bake->extensions.count; i++) {
            send(ctx, bake, &bake->extensions.items[i]);
        }
        list_linked(ctx, bake);
        result = choose_driver(ctx, &rule);
    }
    return result;
}
