/* Variables that the process has one of (STB_GNU_UNIQUE): that of the object whose reference is bound
 * first, whatever its scope is (glibc's do_lookup_unique()).
 *
 * If an image is the only one to define it, that is known here; if several images are, when the program
 * runs. The dynamic loader keeps such variables of what it opens itself. Images share with a library that
 * all their extensions bring; if that, or a file, is loaded without them, only the dynamic loader can know
 * which was first, and the images stay files. */
#include "unlink/set.h"

#include <string.h>
#include <xxhash.h>

enum { CONSTANT_MAX = 4096 }; /* bytes that are compared; a hostile file has many that overlap */

/* Where NAME is, or would be, among the buckets. */
static uint32_t *
find_bucket(const struct kiln_set *set, const char *name)
{
    size_t mask = set->unique_bucket_count - 1, at = XXH3_64bits(name, strlen(name)) & mask;
    while (set->unique_buckets[at] != 0 &&
           strcmp(set->uniques.items[set->unique_buckets[at] - 1].name, name) != 0)
    {
        at = (at + 1) & mask;
    }
    return &set->unique_buckets[at];
}

static void
grow(struct kiln_set *set)
{
    set->unique_bucket_count = set->unique_bucket_count == 0 ? 256 : set->unique_bucket_count * 2;
    set->unique_buckets =
        kiln_arena_alloc(&set->ctx->arena, set->unique_bucket_count * sizeof *set->unique_buckets);
    for (size_t i = 0; i < set->uniques.count; i++) {
        *find_bucket(set, set->uniques.items[i].name) = (uint32_t)i + 1;
    }
}

static struct kiln_unique *
intern(struct kiln_set *set, const char *name)
{
    if (set->uniques.count * 2 >= set->unique_bucket_count) {
        grow(set);
    }
    uint32_t *bucket = find_bucket(set, name);
    if (*bucket == 0) {
        KILN_ARENA_PUSH(&set->ctx->arena, &set->uniques)->name = name;
        *bucket = (uint32_t)set->uniques.count;
    }
    return &set->uniques.items[*bucket - 1];
}

static void
add_definer(struct kiln_set *set, struct kiln_unique *unique, struct kiln_object *object)
{
    const struct kiln_object_list *definers = &unique->definers;
    if (definers->count == 0 || definers->items[definers->count - 1] != object) {
        *KILN_ARENA_PUSH(&set->ctx->arena, &unique->definers) = object;
    }
}

void
kiln_unique_note(struct kiln_set *set, struct kiln_object *object, const char *name)
{
    struct kiln_unique *unique = intern(set, name);
    unique->is_unequal = unique->is_unequal || unique->is_thread_local;
    add_definer(set, unique, object);
}

struct kiln_unique *
kiln_unique_get(struct kiln_set *set, const char *name)
{
    return intern(set, name);
}

void
kiln_unique_forget(struct kiln_set *set)
{
    for (size_t i = 0; i < set->uniques.count; i++) {
        struct kiln_unique *unique = &set->uniques.items[i];
        unique->definers.count = 0;
        unique->is_thread_local = false;
        unique->import = 0;
    }
}

/* --- Thread-local ones ---------------------------------------------------------------------------- */

static bool
is_not_in_tls_data(void *arg, const struct kiln_relocation *relocation)
{
    return !kiln_dynobj_is_in_tls_data(arg, relocation->offset);
}

/* Whether addresses are in the initial thread-local data of OBJECT. */
static bool
has_addresses(struct kiln_object *object)
{
    struct kiln_dynobj *dso = &object->dso;
    const char *reason = NULL;
    if (!object->is_tls_known) {
        object->is_tls_known = true;
        object->has_tls_addresses =
            !kiln_relocations_visit(dso, is_not_in_tls_data, dso, &reason) ||
            !kiln_relocations_visit_relr(dso, is_not_in_tls_data, dso, &reason);
    }
    return object->has_tls_addresses;
}

/* Whether the SIZE bytes of TARGET's thread-local variable are in the beginning those of UNIQUE. */
static bool
is_same_tls(const struct kiln_unique *unique, const struct kiln_target *target, uint64_t size)
{
    struct kiln_object *objects[] = {unique->definers.items[0], target->object};
    const uint64_t offsets[] = {unique->value, target->value};
    struct kiln_span bytes[2] = {0};
    for (size_t i = 0; i < 2; i++) {
        const Elf64_Phdr *tls = &objects[i]->dso.tls;
        bool is_zero = offsets[i] >= tls->p_filesz;
        if (offsets[i] > tls->p_memsz || size > tls->p_memsz - offsets[i] ||
            (!is_zero &&
             (size > tls->p_filesz - offsets[i] || has_addresses(objects[i]) ||
              !kiln_dynobj_slice(&objects[i]->dso, tls->p_vaddr + offsets[i], size, &bytes[i]))))
        {
            return false;
        }
    }
    return unique->size == size && kiln_span_equal(bytes[0], bytes[1]);
}

bool
kiln_unique_note_tls(struct kiln_set *set, struct kiln_target *target, uint64_t size)
{
    struct kiln_unique *unique = intern(set, target->name);
    struct kiln_object *own = target->object;
    if (unique->definers.count == 0) {
        unique->value = target->value;
        unique->size = size;
        unique->is_thread_local = true;
    }
    else if (unique->definers.items[0] != own) {
        unique->is_unequal =
            unique->is_unequal || !unique->is_thread_local || !is_same_tls(unique, target, size);
        target->object = unique->definers.items[0];
        target->value = unique->value;
        target->is_shared = true;
    }
    add_definer(set, unique, own);
    for (size_t i = 0; unique->is_unequal && i < unique->definers.count; i++) {
        unique->definers.items[i]->reason = kiln_arena_printf(
            &set->ctx->arena,
            "the process has one thread-local variable %s, and its definitions differ",
            target->name);
    }
    return !unique->is_unequal;
}

/* --- Libraries and files -------------------------------------------------------------------------- */

static bool
defines(const struct kiln_object *object, const struct kiln_dynobj_wanted *wanted,
        struct kiln_dynobj_symbol *symbol)
{
    return kiln_dynobj_find(&object->dso, wanted, symbol) &&
           kiln_dynobj_get_bind(symbol) == STB_GNU_UNIQUE;
}

/* The first library of SCOPE that defines WANTED. */
static struct kiln_object *
find_library_in(const struct kiln_object_list *scope, const struct kiln_dynobj_wanted *wanted,
                struct kiln_dynobj_symbol *symbol)
{
    for (size_t i = 0; i < scope->count; i++) {
        struct kiln_object *object = scope->items[i];
        if ((object->origin == KILN_ORIGIN_START || object->origin == KILN_ORIGIN_SYSTEM) &&
            defines(object, wanted, symbol))
        {
            return object;
        }
    }
    return NULL;
}

struct kiln_object *
kiln_unique_find_library(const struct kiln_set *set, const struct kiln_object *image,
                         const struct kiln_dynobj_wanted *wanted, struct kiln_dynobj_symbol *symbol)
{
    const struct kiln_object_list *roots = &image->roots;
    struct kiln_object *library = find_library_in(&set->global, wanted, symbol);
    if (library == NULL) {
        library = find_library_in(&image->scope, wanted, symbol);
    }
    if (library == NULL && roots->count > 0) {
        library = find_library_in(&roots->items[0]->scope, wanted, symbol);
        for (size_t i = 1; library != NULL && i < roots->count; i++) {
            if (!kiln_objects_contain(&roots->items[i]->scope, library)) {
                library = NULL;
            }
        }
    }
    return library;
}

static bool
is_opened_by_loader(const struct kiln_object *object)
{
    return object->origin == KILN_ORIGIN_SYSTEM ||
           (object->origin == KILN_ORIGIN_IMAGE && object->reason != NULL &&
            (!object->is_missing || object->is_helped));
}

/* The bytes of SYMBOL, if it is a constant. One that is all zeros tells nothing, and may be there for its
 * address. */
static bool
get_constant(const struct kiln_dynobj *dso, const struct kiln_dynobj_symbol *symbol,
             struct kiln_span *out)
{
    static const unsigned char zeros[CONSTANT_MAX];
    const Elf64_Phdr *load =
        kiln_dynobj_find_segment(dso, symbol->sym.st_value, symbol->sym.st_size);
    return kiln_dynobj_get_type(symbol) != STT_TLS && load != NULL && (load->p_flags & PF_W) == 0 &&
           symbol->sym.st_size <= CONSTANT_MAX &&
           kiln_dynobj_slice(dso, symbol->sym.st_value, symbol->sym.st_size, out) &&
           memcmp(out->ptr, zeros, out->len) != 0;
}

static bool
is_same_constant(const struct kiln_object *a, const struct kiln_dynobj_symbol *x,
                 const struct kiln_object *b, const struct kiln_dynobj_symbol *y)
{
    struct kiln_span one, other;
    return get_constant(&a->dso, x, &one) && get_constant(&b->dso, y, &other) &&
           kiln_span_equal(one, other);
}

/* Let the images that define SYMBOL stay files if OPENED, which the dynamic loader opens, defines it, too. A
 * constant may have copies, and so may what a C++ library has for itself: each goes with its own functions. */
static void
keep_definers(struct kiln_set *set, const struct kiln_object *opened,
              const struct kiln_dynobj_symbol *symbol)
{
    if (kiln_cplusplus_is_own(symbol->name) || set->unique_bucket_count == 0 ||
        *find_bucket(set, symbol->name) == 0)
    {
        return;
    }
    const struct kiln_dynobj_wanted wanted = {.name = symbol->name};
    const struct kiln_object_list *definers = &intern(set, symbol->name)->definers;
    for (size_t i = 0; i < definers->count; i++) {
        struct kiln_object *object = definers->items[i];
        struct kiln_dynobj_symbol own;
        if (object->reason == NULL && !(kiln_dynobj_find(&object->dso, &wanted, &own) &&
                                        is_same_constant(object, &own, opened, symbol)))
        {
            object->reason = kiln_arena_printf(
                &set->ctx->arena, "the process has one variable %s, which %s defines, too",
                symbol->name, opened->path);
        }
    }
}

static void
check_definitions(struct kiln_set *set, const struct kiln_object *object)
{
    const struct kiln_dynobj *dso = &object->dso;
    for (size_t i = dso->first_defined; i < dso->symbol_count; i++) {
        struct kiln_dynobj_symbol symbol;
        if (kiln_dynobj_get_symbol(dso, i, &symbol) && symbol.sym.st_shndx != SHN_UNDEF &&
            kiln_dynobj_get_bind(&symbol) == STB_GNU_UNIQUE)
        {
            keep_definers(set, object, &symbol);
        }
    }
}

void
kiln_unique_check(struct kiln_set *set)
{
    for (bool again = true; again;) { /* what stays a file now has variables of its own */
        again = false;
        for (size_t i = 0; i < set->objects.count; i++) {
            struct kiln_object *object = set->objects.items[i];
            if (is_opened_by_loader(object) && !object->is_marked) {
                object->is_marked = again = true;
                check_definitions(set, object);
            }
        }
    }
    for (size_t i = 0; i < set->objects.count; i++) {
        set->objects.items[i]->is_marked = false;
    }
}
