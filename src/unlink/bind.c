/* Binding: where a reference leads, as the dynamic loader decides it for dlopen(..., RTLD_LOCAL) in the
 * stock interpreter (glibc's _dl_lookup_symbol_x).
 *
 * First the object itself, if the symbol does not leave it;
 * then the global scope, the program and its libraries; then the scope of the extension that was
 * opened, itself and what it needs, breadth first. A library that several extensions need is bound
 * by the dynamic loader in the scope of the first that is imported. Mostly all scopes have the same answer;
 * where they do not, the runtime chooses. */
#include "unlink/set.h"

#include <string.h>

enum { CHOICES_MAX = 1 << 16 }; /* of one image: many extensions may need a hostile one */

/* Functions of libc and libpython that have to know of images; the first KILN_ANSWERED are everybody's in
 * the process. (Not dlvsym: the runtime finds libc's by it.) */
static const struct {
    const char *name, *runtime;
} ANSWERED[] = {
    {"dlopen", "kiln_image_dlopen"},
    {"dlsym", "kiln_image_dlsym"},
    {"dlclose", "kiln_image_dlclose"},
    {"dlerror", "kiln_image_dlerror"},
    {"dlinfo", "kiln_image_dlinfo"},
    {"dladdr", "kiln_image_dladdr"},
    {"dladdr1", "kiln_image_dladdr1"},
    {"dl_iterate_phdr", "kiln_image_dl_iterate_phdr"},
    {"dlvsym", "kiln_image_dlvsym"},
    {"__tls_get_addr", "kiln_tls_get_addr"},
    /* Single-phase modules get their whole names (runtime/create/context.c). */
    {"PyModule_Create2", "kiln_PyModule_Create2"},
    /* Warnings blame who imports the module (runtime/fast/warnings.c). */
    {"PyErr_WarnEx", "kiln_PyErr_WarnEx"},
    {"PyErr_WarnFormat", "kiln_PyErr_WarnFormat"},
    {"PyErr_ResourceWarning", "kiln_PyErr_ResourceWarning"},
};

const char *
kiln_bind_get_answered(size_t index, const char **runtime)
{
    *runtime = ANSWERED[index].runtime;
    return ANSWERED[index].name;
}

static const char *
find_answered(const char *name)
{
    for (size_t i = 0; i < sizeof ANSWERED / sizeof ANSWERED[0]; i++) {
        if (strcmp(ANSWERED[i].name, name) == 0) {
            return ANSWERED[i].runtime;
        }
    }
    return NULL;
}

/* Whether OBJECT has memory where it says SYMBOL is. Otherwise IMAGE, which refers to it, stays a file. */
static bool
check_definition(struct kiln_set *set, struct kiln_object *image, const struct kiln_object *object,
                 const struct kiln_dynobj_symbol *symbol)
{
    const Elf64_Sym *sym = &symbol->sym;
    unsigned type = kiln_dynobj_get_type(symbol);
    if (object->origin != KILN_ORIGIN_IMAGE || sym->st_shndx == SHN_ABS || type == STT_TLS) {
        return true;
    }
    bool is_inside = sym->st_value <= object->dso.size &&
                     (type != STT_GNU_IFUNC || sym->st_value < object->dso.size);
    if (!is_inside) {
        image->reason = kiln_arena_printf(&set->ctx->arena, "the symbol %s of %s is outside of it",
                                          symbol->name, object->path);
    }
    return is_inside;
}

/* dlsym() would find the newest of several versions, and none that is not the default one. */
static void
set_version(const struct kiln_object *library, const struct kiln_dynobj_symbol *symbol,
            struct kiln_target *out)
{
    if (out->version == NULL && symbol->version != NULL &&
        (symbol->is_hidden || kiln_dynobj_has_several(&library->dso, symbol->name)))
    {
        out->version = symbol->version->name;
    }
}

/* What the definition SYMBOL of OBJECT means to IMAGE. False if OBJECT stays a file. */
static bool
set_target(struct kiln_set *set, const struct kiln_object *image,
           const struct kiln_dynobj_wanted *wanted, struct kiln_object *object,
           const struct kiln_dynobj_symbol *symbol, struct kiln_target *out)
{
    unsigned type = kiln_dynobj_get_type(symbol);
    out->object = object;
    out->value = symbol->sym.st_value;
    out->name = symbol->name;
    out->version = wanted->version;
    out->is_thread_local = type == STT_TLS;
    switch (object->origin) {
    case KILN_ORIGIN_PROGRAM:
        /* An undefined symbol with a value is a canonical PLT entry: the library's function, as the
         * process sees it. */
        out->kind = symbol->sym.st_shndx == SHN_UNDEF || type == STT_TLS ? KILN_TARGET_LIBRARY
                                                                         : KILN_TARGET_PROGRAM;
        if (out->version == NULL && symbol->version != NULL) {
            out->version = symbol->version->name;
        }
        return true;
    case KILN_ORIGIN_START:
    case KILN_ORIGIN_SYSTEM:
        object->is_used = true;
        out->kind = KILN_TARGET_LIBRARY;
        set_version(object, symbol, out);
        return true;
    case KILN_ORIGIN_IMAGE:
        break;
    }
    bool is_unique = kiln_dynobj_get_bind(symbol) == STB_GNU_UNIQUE;
    if (is_unique && type == STT_TLS) {
        out->kind = KILN_TARGET_IMAGE;
        return kiln_unique_note_tls(set, out, symbol->sym.st_size);
    }
    struct kiln_dynobj_symbol other;
    struct kiln_object *library =
        is_unique ? kiln_unique_find_library(set, image, wanted, &other) : NULL;
    if (library != NULL) {
        library->is_used = true;
        set_version(library, &other, out);
        out->object = library;
        out->kind = KILN_TARGET_LIBRARY;
    }
    else if (symbol->sym.st_shndx == SHN_ABS) {
        out->kind = KILN_TARGET_ABSOLUTE;
    }
    else if (is_unique) {
        out->kind = KILN_TARGET_UNIQUE;
        kiln_unique_note(set, object, symbol->name);
    }
    else {
        out->kind = type == STT_GNU_IFUNC ? KILN_TARGET_IFUNC : KILN_TARGET_IMAGE;
    }
    return true;
}

/* The part of a library's NAME that says what it is: "libx.so.5" of "libx-0a1b2c3d.so.5.0.0", as tools
 * that repair wheels rename it. */
struct stem {
    size_t len;         /* of the name, without marks */
    const char *suffix; /* from ".so" on */
    size_t suffix_len;  /* with the first number */
};

static struct stem
get_stem(const char *name)
{
    enum { MARK = 9 }; /* "-" and eight digits */
    const char *suffix = strstr(name, ".so");
    struct stem stem = {.suffix = suffix == NULL ? name + strlen(name) : suffix};
    stem.len = (size_t)(stem.suffix - name);
    while (stem.len > MARK && name[stem.len - MARK] == '-' &&
           strspn(name + stem.len - MARK + 1, "0123456789abcdef") >= MARK - 1)
    {
        stem.len -= MARK;
    }
    if (suffix != NULL) {
        stem.suffix_len = suffix[3] == '.' ? 4 + strcspn(suffix + 4, ".") : 3;
    }
    return stem;
}

/* Whether A and B are builds of one library: their names are the same, and (the caller has seen to it) so
 * is the version of a symbol. */
static bool
is_same_library(const struct kiln_object *a, const struct kiln_object *b)
{
    if (a->dso.soname == NULL || b->dso.soname == NULL) {
        return false;
    }
    struct stem x = get_stem(a->dso.soname), y = get_stem(b->dso.soname);
    return x.len == y.len && memcmp(a->dso.soname, b->dso.soname, x.len) == 0 &&
           x.suffix_len == y.suffix_len && memcmp(x.suffix, y.suffix, x.suffix_len) == 0;
}

/* Whether the definitions X and Y of WANTED are equal by the one definition rule, or by the implementation of
 * C++. */
static bool
is_one_definition(const struct kiln_dynobj_wanted *wanted, const struct kiln_dynobj_symbol *x,
                  const struct kiln_dynobj_symbol *y)
{
    return (kiln_dynobj_is_vague(x) && kiln_dynobj_is_vague(y)) ||
           kiln_cplusplus_is_own(wanted->name) || kiln_cplusplus_is_vague(wanted->name);
}

/* Whether it does not matter which of two definitions WANTED leads to. */
static bool
is_equal(const struct kiln_dynobj_wanted *wanted, const struct kiln_object *a,
         const struct kiln_dynobj_symbol *x, const struct kiln_object *b,
         const struct kiln_dynobj_symbol *y)
{
    if (a == b) {
        return true;
    }
    if (a == NULL || b == NULL) {
        return false;
    }
    return (is_one_definition(wanted, x, y) && kiln_dynobj_is_copyable(&a->dso, x) &&
            kiln_dynobj_is_copyable(&b->dso, y)) ||
           (wanted->version != NULL && x->version != NULL && y->version != NULL &&
            strcmp(x->version->name, y->version->name) == 0 && is_same_library(a, b));
}

static bool
is_thread_local(const struct kiln_dynobj_symbol *symbol)
{
    return kiln_dynobj_get_type(symbol) == STT_TLS;
}

/* What a reference leads to in several scopes. */
struct answers {
    struct kiln_object *first; /* NULL: nothing */
    struct kiln_dynobj_symbol symbol;
    bool is_same;     /* in all */
    bool are_equal;   /* it does not matter which one it is */
    bool is_variable; /* they are a thread-local variable that is one by the one definition rule */
};

static struct answers
compare_scopes(const struct kiln_object_list *openers, const struct kiln_dynobj_wanted *wanted)
{
    struct answers answers = {.is_same = true, .are_equal = true, .is_variable = true};
    for (size_t i = 0; i < openers->count; i++) {
        struct kiln_dynobj_symbol symbol;
        struct kiln_object *found = kiln_objects_find(&openers->items[i]->scope, wanted, &symbol);
        if (i == 0) {
            answers.first = found;
            answers.symbol = symbol;
        }
        const struct kiln_object *first = answers.first;
        answers.is_same = answers.is_same && found == first;
        answers.are_equal =
            answers.are_equal && is_equal(wanted, first, &answers.symbol, found, &symbol);
        answers.is_variable = answers.is_variable && first != NULL && found != NULL &&
                              is_thread_local(&answers.symbol) && is_thread_local(&symbol) &&
                              is_one_definition(wanted, &answers.symbol, &symbol);
    }
    return answers;
}

/* What WANTED, of IMAGE, is in the scope of all that bring it when they are opened. If it is not the same, the
 * answer depends on which of them is first: *IS_SPLIT is set, unless that does not matter. Functions that are equal
 * are called as the image's own. A thread-local variable of an inline function is the one that the extensions agree
 * on, also for a library that is opened by its path before them: C++ wants it to be one. */
static struct kiln_object *
find_in_scopes(const struct kiln_object *image, const struct kiln_dynobj_wanted *wanted,
               struct kiln_dynobj_symbol *symbol, bool *is_split)
{
    struct answers answers = compare_scopes(&image->openers, wanted);
    if (!answers.is_same && answers.are_equal && wanted->is_call) {
        return kiln_objects_find(&image->scope, wanted, symbol);
    }
    if (!answers.is_same && answers.is_variable && image->roots.count > 0) {
        answers = compare_scopes(&image->roots, wanted);
    }
    *symbol = answers.symbol;
    *is_split = !answers.is_same;
    return answers.first;
}

/* What WANTED leads to in SCOPE. */
static bool
find_choice(struct kiln_set *set, struct kiln_object *image, const struct kiln_object_list *scope,
            const struct kiln_dynobj_wanted *wanted, struct kiln_target *out)
{
    struct kiln_dynobj_symbol symbol;
    struct kiln_object *object = kiln_objects_find(scope, wanted, &symbol);
    if (object == NULL) {
        out->kind = KILN_TARGET_NONE;
        return true;
    }
    if (!check_definition(set, image, object, &symbol) ||
        !set_target(set, image, wanted, object, &symbol, out))
    {
        image->reason = image->reason == NULL ? object->reason : image->reason;
        return false;
    }
    return true;
}

static bool
can_be_chosen(const struct kiln_target *target)
{
    switch (target->kind) {
    case KILN_TARGET_NONE:
        return true;
    case KILN_TARGET_IMAGE:
    case KILN_TARGET_IFUNC:
    case KILN_TARGET_LIBRARY:
    case KILN_TARGET_UNIQUE:
        return !target->is_thread_local;
    default:
        return false;
    }
}

static bool
is_same_target(const struct kiln_target *a, const struct kiln_target *b)
{
    return a->kind == b->kind && a->object == b->object && a->value == b->value &&
           a->is_thread_local == b->is_thread_local;
}

/* Let the runtime choose among what WANTED leads to in the scopes of all that bring IMAGE. */
static bool
set_choice(struct kiln_set *set, struct kiln_object *image, const struct kiln_dynobj_wanted *wanted,
           struct kiln_target *out)
{
    const struct kiln_object_list *openers = &image->openers;
    struct kiln_choices *choices = kiln_arena_alloc(&set->bindings, sizeof *choices);
    for (size_t i = 0; i < openers->count; i++) {
        struct kiln_choice choice = {openers->items[i], *out};
        if (!find_choice(set, image, &openers->items[i]->scope, wanted, &choice.target)) {
            return false;
        }
        if (i == 0) {
            choices->usual = choice.target;
        }
        else if (!is_same_target(&choice.target, &choices->usual)) {
            *KILN_ARENA_PUSH(&set->bindings, choices) = choice;
        }
    }
    if (choices->count == 0) { /* a thread-local variable that the process has one of */
        *out = choices->usual;
        out->is_shared = out->is_thread_local;
        return true;
    }
    image->choice_count += choices->count;
    if (image->choice_count > CHOICES_MAX) {
        image->reason = "too many of its references depend on which extension is imported first";
        return false;
    }
    for (size_t i = 0; i <= choices->count; i++) {
        const struct kiln_target *target =
            i < choices->count ? &choices->items[i].target : &choices->usual;
        if (!can_be_chosen(target)) {
            image->reason = kiln_arena_printf(
                &set->ctx->arena,
                "its reference to %s leads to %s or elsewhere, whichever is loaded first",
                wanted->name, target->object->path);
            return false;
        }
    }
    out->kind = KILN_TARGET_CHOICE;
    out->name = wanted->name;
    out->version = wanted->version;
    out->choices = choices;
    return true;
}

static bool
find_by_name(struct kiln_set *set, struct kiln_object *image,
             const struct kiln_dynobj_wanted *wanted, struct kiln_target *out)
{
    struct kiln_dynobj_symbol symbol;
    struct kiln_object *object = NULL;
    if ((image->dso.flags & DF_SYMBOLIC) != 0 && kiln_dynobj_find(&image->dso, wanted, &symbol)) {
        object = image;
    }
    if (object == NULL) {
        object = kiln_objects_find(&set->global, wanted, &symbol);
    }
    if (object == NULL) {
        bool is_split = false;
        object = find_in_scopes(image, wanted, &symbol, &is_split);
        if (is_split) {
            return set_choice(set, image, wanted, out);
        }
    }
    if (object == NULL || !check_definition(set, image, object, &symbol)) {
        return false;
    }
    if (!set_target(set, image, wanted, object, &symbol, out)) {
        image->reason = object->reason;
        return false;
    }
    if (out->kind == KILN_TARGET_IMAGE && out->is_thread_local && image->module == NULL &&
        !kiln_objects_contain(&image->scope, out->object))
    {
        out->is_shared = true;
    }
    return true;
}

static bool
bind(struct kiln_set *set, struct kiln_object *image, uint64_t index, bool is_call,
     struct kiln_target *out)
{
    struct kiln_dynobj_symbol symbol;
    *out = (struct kiln_target){.kind = KILN_TARGET_NONE, .object = image};
    if (index == 0) { /* the object itself */
        out->kind = KILN_TARGET_ABSOLUTE;
        return true;
    }
    if (!kiln_dynobj_get_symbol(&image->dso, index, &symbol)) {
        image->reason = "a relocation names a symbol that it has not";
        return false;
    }
    out->is_weak = kiln_dynobj_get_bind(&symbol) == STB_WEAK;
    const struct kiln_dynobj_wanted wanted = kiln_dynobj_want(&symbol, is_call);
    bool stays = kiln_dynobj_get_bind(&symbol) == STB_LOCAL ||
                 ELF64_ST_VISIBILITY(symbol.sym.st_other) != STV_DEFAULT;
    if (stays && symbol.sym.st_shndx != SHN_UNDEF) {
        if (!check_definition(set, image, image, &symbol)) {
            return false;
        }
        out->value = symbol.sym.st_value;
        out->name = symbol.name;
        out->is_thread_local = kiln_dynobj_get_type(&symbol) == STT_TLS;
        out->kind = symbol.sym.st_shndx == SHN_ABS                   ? KILN_TARGET_ABSOLUTE
                    : kiln_dynobj_get_type(&symbol) == STT_GNU_IFUNC ? KILN_TARGET_IFUNC
                                                                     : KILN_TARGET_IMAGE;
        return true;
    }
    if (find_by_name(set, image, &wanted, out)) {
        const char *runtime =
            out->object->origin == KILN_ORIGIN_IMAGE ? NULL : find_answered(symbol.name);
        if (runtime != NULL) {
            out->kind = KILN_TARGET_RUNTIME;
            out->name = runtime;
        }
        return true;
    }
    if (out->is_weak || image->reason != NULL) {
        return image->reason == NULL;
    }
    image->reason = wanted.version == NULL
                        ? kiln_arena_printf(&set->ctx->arena, "undefined symbol: %s", wanted.name)
                        : kiln_arena_printf(&set->ctx->arena, "undefined symbol: %s, version %s",
                                            wanted.name, wanted.version);
    return false;
}

const struct kiln_target *
kiln_bind(struct kiln_set *set, struct kiln_object *image, uint64_t index, bool is_call)
{
    size_t count = image->dso.symbols.len / sizeof(Elf64_Sym);
    struct kiln_target ***bound = &image->bound[is_call];
    if (index >= count) {
        image->reason = "a relocation names a symbol that it has not";
        return NULL;
    }
    if (*bound == NULL) {
        *bound = kiln_arena_alloc(&set->bindings, count * sizeof **bound);
    }
    if ((*bound)[index] == NULL) {
        struct kiln_target target;
        if (!bind(set, image, index, is_call, &target)) {
            return NULL;
        }
        (*bound)[index] = kiln_arena_alloc(&set->bindings, sizeof target);
        *(*bound)[index] = target;
    }
    return (*bound)[index];
}

void
kiln_bind_forget(struct kiln_set *set)
{
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *object = set->objects.items[i];
        object->bound[0] = object->bound[1] = NULL;
        object->choice_count = 0;
        object->is_used = false;
    }
    kiln_unique_forget(set);
    kiln_arena_release(&set->bindings);
}
