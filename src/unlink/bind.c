/* Binding: where a reference leads, as the dynamic loader decides it for dlopen(..., RTLD_LOCAL) in the
 * stock interpreter (glibc's _dl_lookup_symbol_x).
 *
 * First the object itself, if the symbol does not leave it;
 * then the global scope, the program and its libraries; then the scope of the extension that was
 * opened, itself and what it needs, breadth first. A library that several extensions need is bound
 * by the dynamic loader in the scope of the first that is imported. Here there is one answer: that on
 * which all of them agree, or else that of the library's own scope. */
#include "unlink/set.h"

#include <string.h>

/* Functions of libc and libpython that have to know of images. */
static const struct {
    const char *name, *runtime;
} ANSWERED[] = {
    {"dlopen", "kiln_image_dlopen"},
    {"dlsym", "kiln_image_dlsym"},
    {"dlvsym", "kiln_image_dlvsym"},
    {"dlclose", "kiln_image_dlclose"},
    {"dlerror", "kiln_image_dlerror"},
    {"dlinfo", "kiln_image_dlinfo"},
    {"dladdr", "kiln_image_dladdr"},
    {"dladdr1", "kiln_image_dladdr1"},
    {"dl_iterate_phdr", "kiln_image_dl_iterate_phdr"},
    {"__tls_get_addr", "kiln_tls_get_addr"},
    /* Single-phase modules get their whole names (runtime/create/context.c). */
    {"PyModule_Create2", "kiln_PyModule_Create2"},
};

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

static struct kiln_unique *
find_unique(struct kiln_set *set, const char *name)
{
    for (size_t i = 0; i < set->uniques.count; i++) {
        if (strcmp(set->uniques.items[i].name, name) == 0) {
            return &set->uniques.items[i];
        }
    }
    return NULL;
}

/* The set's variable of the name of SYMBOL, which OBJECT defines. */
static uint64_t
note_unique(struct kiln_set *set, struct kiln_object *object, const struct kiln_dso_symbol *symbol)
{
    struct kiln_unique *unique = find_unique(set, symbol->name);
    if (unique == NULL) {
        unique = KILN_ARENA_PUSH(&set->ctx->arena, &set->uniques);
        *unique = (struct kiln_unique){.name = symbol->name,
                                       .definer = object,
                                       .value = symbol->sym.st_value,
                                       .align = 16};
        /* As much as its address tells, up to a page. */
        uint64_t value = symbol->sym.st_value;
        while (unique->align < 4096 && value % (unique->align * 2) == 0) {
            unique->align *= 2;
        }
    }
    if (symbol->sym.st_size > unique->size) {
        unique->size = symbol->sym.st_size;
    }
    return (uint64_t)(unique - set->uniques.items);
}

/* The library in OBJECT's scope that defines NAME as one for the process. */
static struct kiln_object *
find_unique_in_libraries(const struct kiln_object *object, const struct kiln_dso_wanted *wanted)
{
    for (size_t i = 0; i < object->scope.count; i++) {
        struct kiln_object *library = object->scope.items[i];
        struct kiln_dso_symbol symbol;
        if (library->origin == KILN_ORIGIN_SYSTEM &&
            kiln_dso_find(&library->dso, wanted, &symbol) &&
            kiln_dso_get_bind(&symbol) == STB_GNU_UNIQUE)
        {
            return library;
        }
    }
    return NULL;
}

/* What the definition SYMBOL of OBJECT means to IMAGE. */
static void
set_target(struct kiln_set *set, const struct kiln_object *image,
           const struct kiln_dso_wanted *wanted, struct kiln_object *object,
           const struct kiln_dso_symbol *symbol, struct kiln_target *out)
{
    unsigned type = kiln_dso_get_type(symbol);
    out->object = object;
    out->value = symbol->sym.st_value;
    out->name = symbol->name;
    /* A reference without a version was bound to this one; by name alone, dlsym() finds the newest. */
    out->version = wanted->version != NULL    ? wanted->version
                   : symbol->version != NULL ? symbol->version->name
                                             : NULL;
    out->is_thread_local = type == STT_TLS;
    switch (object->origin) {
    case KILN_ORIGIN_PROGRAM:
        /* An undefined symbol with a value is a canonical PLT entry: the library's function, as the
         * process sees it. */
        out->kind = symbol->sym.st_shndx == SHN_UNDEF || type == STT_TLS ? KILN_TARGET_LIBRARY
                                                                         : KILN_TARGET_PROGRAM;
        return;
    case KILN_ORIGIN_START:
    case KILN_ORIGIN_SYSTEM:
        object->is_used = true;
        out->kind = KILN_TARGET_LIBRARY;
        return;
    case KILN_ORIGIN_IMAGE:
        break;
    }
    struct kiln_object *library = kiln_dso_get_bind(symbol) == STB_GNU_UNIQUE && type != STT_TLS
                                      ? find_unique_in_libraries(image, wanted)
                                      : NULL;
    if (library != NULL) {
        library->is_used = true;
        out->object = library;
        out->kind = KILN_TARGET_LIBRARY;
    }
    else if (kiln_dso_get_bind(symbol) == STB_GNU_UNIQUE && type != STT_TLS &&
             symbol->sym.st_size > 0)
    {
        out->kind = KILN_TARGET_UNIQUE;
        out->value = note_unique(set, object, symbol);
    }
    else if (symbol->sym.st_shndx == SHN_ABS) {
        out->kind = KILN_TARGET_ABSOLUTE;
    }
    else {
        out->kind = type == STT_GNU_IFUNC ? KILN_TARGET_IFUNC : KILN_TARGET_IMAGE;
    }
}

/* The first of LIST but SKIP that answers. */
static struct kiln_object *
find_in(const struct kiln_object_list *list, const struct kiln_object *skip,
        const struct kiln_dso_wanted *wanted, struct kiln_dso_symbol *symbol)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] != skip && kiln_dso_find(&list->items[i]->dso, wanted, symbol)) {
            return list->items[i];
        }
    }
    return NULL;
}

/* In the scopes of the extensions that reach IMAGE. */
static struct kiln_object *
find_in_scopes(const struct kiln_object *image, const struct kiln_dso_wanted *wanted,
               struct kiln_dso_symbol *symbol)
{
    const struct kiln_object_list *roots = &image->roots;
    if (image->module != NULL && roots->count == 1) {
        return find_in(&image->scope, NULL, wanted, symbol);
    }
    if (roots->count == 1) {
        return find_in(&roots->items[0]->scope, NULL, wanted, symbol);
    }
    struct kiln_object *agreed = NULL;
    for (size_t i = 0; i < roots->count; i++) {
        struct kiln_object *root = roots->items[i];
        struct kiln_object *found =
            find_in(&root->scope, root == image ? NULL : root, wanted, symbol);
        if (i > 0 && found != agreed) {
            return find_in(&image->scope, NULL, wanted, symbol);
        }
        agreed = found;
    }
    return agreed;
}

static bool
contains(const struct kiln_object_list *list, const struct kiln_object *object)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] == object) {
            return true;
        }
    }
    return false;
}

/* An image that is bound to another one is prepared with it. */
static void
note_dependency(struct kiln_set *set, struct kiln_object *image, struct kiln_object *object)
{
    if (object->origin == KILN_ORIGIN_IMAGE && !contains(&image->scope, object) &&
        !contains(&image->extra, object))
    {
        *KILN_ARENA_PUSH(&set->ctx->arena, &image->extra) = object;
    }
}

static bool
find_by_name(struct kiln_set *set, struct kiln_object *image, const struct kiln_dso_wanted *wanted,
             struct kiln_target *out)
{
    struct kiln_dso_symbol symbol;
    struct kiln_object *object = NULL;
    if ((image->dso.flags & DF_SYMBOLIC) != 0 && kiln_dso_find(&image->dso, wanted, &symbol)) {
        object = image;
    }
    if (object == NULL) {
        object = find_in(&set->global, NULL, wanted, &symbol);
    }
    if (object == NULL) {
        object = find_in_scopes(image, wanted, &symbol);
    }
    if (object == NULL) {
        return false;
    }
    set_target(set, image, wanted, object, &symbol, out);
    if (out->kind == KILN_TARGET_IMAGE || out->kind == KILN_TARGET_IFUNC) {
        note_dependency(set, image, out->object);
    }
    return true;
}

static bool
bind(struct kiln_set *set, struct kiln_object *image, uint64_t index, bool is_call,
     struct kiln_target *out)
{
    struct kiln_dso_symbol symbol;
    *out = (struct kiln_target){.kind = KILN_TARGET_NONE, .object = image};
    if (index == 0) { /* the object itself */
        out->kind = KILN_TARGET_ABSOLUTE;
        return true;
    }
    if (!kiln_dso_get_symbol(&image->dso, index, &symbol)) {
        image->reason = "a relocation names a symbol that it has not";
        return false;
    }
    out->is_weak = kiln_dso_get_bind(&symbol) == STB_WEAK;
    const struct kiln_dso_wanted wanted = {
        .name = symbol.name,
        .version = symbol.version == NULL ? NULL : symbol.version->name,
        .is_version_hidden = symbol.version != NULL && symbol.version->is_hidden,
        .is_call = is_call,
    };
    bool stays = kiln_dso_get_bind(&symbol) == STB_LOCAL ||
                 ELF64_ST_VISIBILITY(symbol.sym.st_other) != STV_DEFAULT;
    if (stays && symbol.sym.st_shndx != SHN_UNDEF) {
        out->value = symbol.sym.st_value;
        out->name = symbol.name;
        out->is_thread_local = kiln_dso_get_type(&symbol) == STT_TLS;
        out->kind = symbol.sym.st_shndx == SHN_ABS                  ? KILN_TARGET_ABSOLUTE
                    : kiln_dso_get_type(&symbol) == STT_GNU_IFUNC ? KILN_TARGET_IFUNC
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
    if (out->is_weak) {
        return true;
    }
    image->reason =
        wanted.version == NULL
            ? kiln_arena_printf(&set->ctx->arena, "undefined symbol: %s", wanted.name)
            : kiln_arena_printf(&set->ctx->arena, "undefined symbol: %s, version %s", wanted.name,
                                wanted.version);
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
        object->is_used = false;
    }
    set->uniques.count = 0;
    kiln_arena_release(&set->bindings);
}
