/* Libraries of one name. The dynamic loader has one of a name in the process: who needs a library by its name gets
 * one of that name that is loaded already, whatever its own search path would find. Where two packages bring the
 * same library, it is one image; where they bring different ones, these stay files. */
#include "unlink/set.h"

#include <stdlib.h>
#include <string.h>

bool
kiln_namesakes_is_named(const struct kiln_object *object, const char *name)
{
    return (object->dso.soname != NULL && strcmp(object->dso.soname, name) == 0) ||
           strcmp(kiln_file_basename(object->path), name) == 0;
}

struct kiln_object *
kiln_namesakes_find(const struct kiln_object_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (kiln_namesakes_is_named(list->items[i], name)) {
            return list->items[i];
        }
    }
    return NULL;
}

/* --- The same library ----------------------------------------------------------------------------
 */

/* The build ID among the NOTES of a segment; empty if there is none. */
static struct kiln_span
find_build_id(struct kiln_span notes, uint64_t align)
{
    struct kiln_span id = {0}, name;
    Elf64_Nhdr note;
    for (uint64_t at = 0; kiln_span_read(notes, at, &note, sizeof note);) {
        uint64_t start = at + sizeof note,
                 desc = start + ((note.n_namesz + UINT64_C(3)) & ~UINT64_C(3));
        if (note.n_type == NT_GNU_BUILD_ID && kiln_span_slice(notes, start, note.n_namesz, &name) &&
            kiln_span_equal(name, kiln_span_of(ELF_NOTE_GNU, sizeof ELF_NOTE_GNU)) &&
            kiln_span_slice(notes, desc, note.n_descsz, &id))
        {
            return id;
        }
        at = (desc + note.n_descsz + align - 1) & ~(align - 1);
    }
    return (struct kiln_span){0};
}

static struct kiln_span
get_build_id(const struct kiln_dynobj *dso)
{
    struct kiln_span id = {0}, notes;
    Elf64_Phdr header;
    for (size_t i = 0; id.len == 0 && i < dso->header.e_phnum; i++) {
        if (kiln_span_read(dso->bytes, dso->header.e_phoff + i * sizeof header, &header,
                           sizeof header) &&
            header.p_type == PT_NOTE &&
            kiln_span_slice(dso->bytes, header.p_offset, header.p_filesz, &notes))
        {
            id = find_build_id(notes, header.p_align == 8 ? 8 : 4);
        }
    }
    return id;
}

/* Whether A and B have the same symbols at the same addresses. */
static bool
have_equal_symbols(const struct kiln_dynobj *a, const struct kiln_dynobj *b)
{
    bool result = a->symbol_count == b->symbol_count;
    for (size_t i = 1; result && i < a->symbol_count; i++) {
        struct kiln_dynobj_symbol x, y;
        result = kiln_dynobj_get_symbol(a, i, &x) && kiln_dynobj_get_symbol(b, i, &y) &&
                 strcmp(x.name, y.name) == 0 && x.sym.st_value == y.sym.st_value &&
                 x.sym.st_size == y.sym.st_size && x.sym.st_info == y.sym.st_info;
    }
    return result;
}

/* Whether A and B are of one build: equal, or with one build ID, which tools that write names and search paths of
 * libraries anew leave alone (auditwheel, patchelf). */
static bool
are_same_build(const struct kiln_dynobj *a, const struct kiln_dynobj *b)
{
    if (kiln_span_equal(a->bytes, b->bytes)) {
        return true;
    }
    struct kiln_span x = get_build_id(a), y = get_build_id(b);
    return x.len >= 8 && kiln_span_equal(x, y) && have_equal_symbols(a, b);
}

/* Whether the files at A and B, of which either may be NULL, are one, or of one build. */
static bool
are_equal_files(const char *a, const char *b)
{
    struct kiln_file files[2];
    struct kiln_dynobj dsos[2];
    struct kiln_ctx silent = {.quiet = true};
    if (a == NULL || b == NULL) {
        return a == b;
    }
    bool result = kiln_file_is_same(a, b);
    if (!result && kiln_file_map(&silent, a, &files[0]) == 0) {
        if (kiln_file_map(&silent, b, &files[1]) == 0) {
            result = kiln_dynobj_read(&silent, files[0].bytes, a, &dsos[0]) == NULL &&
                     kiln_dynobj_read(&silent, files[1].bytes, b, &dsos[1]) == NULL &&
                     are_same_build(&dsos[0], &dsos[1]);
            kiln_file_release(&files[1]);
        }
        kiln_file_release(&files[0]);
    }
    kiln_ctx_release(&silent);
    return result;
}

/* Whether A and B, which are of one build, find the same libraries from where they are. */
static bool
have_equal_needs(const struct kiln_set *set, const struct kiln_object *a,
                 const struct kiln_object *b)
{
    bool result = a->dso.needed.count == b->dso.needed.count;
    for (size_t i = 0; result && i < a->dso.needed.count; i++) {
        const char *name = a->dso.needed.items[i];
        bool is_cached;
        result = strcmp(name, b->dso.needed.items[i]) == 0;
        if (result && kiln_namesakes_find(&set->global, name) == NULL) {
            const char *one = kiln_library_find(set->ctx, set->search, a, name, &is_cached);
            one = one == NULL ? NULL : kiln_arena_strdup(&set->ctx->arena, one);
            result =
                are_equal_files(one, kiln_library_find(set->ctx, set->search, b, name, &is_cached));
        }
    }
    return result;
}

struct kiln_object *
kiln_namesakes_find_equal(const struct kiln_set *set, const struct kiln_object *object)
{
    if (object->reason != NULL || object->dso.soname == NULL) {
        return NULL;
    }
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *other = set->objects.items[i];
        if (other != object && other->origin == KILN_ORIGIN_IMAGE && other->module == NULL &&
            other->reason == NULL && other->dso.soname != NULL &&
            strcmp(other->dso.soname, object->dso.soname) == 0 &&
            are_same_build(&other->dso, &object->dso) && have_equal_needs(set, object, other))
        {
            return other;
        }
    }
    return NULL;
}

/* --- Different ones ------------------------------------------------------------------------------
 */

/* A name by which the dynamic loader knows an object. */
struct loader_name {
    const char *name;
    struct kiln_object *object;
    bool is_needed; /* something needs it by that name */
};

struct loader_names {
    struct loader_name *items;
    size_t count, capacity;
};

static int
compare_names(const void *a, const void *b)
{
    return strcmp(((const struct loader_name *)a)->name, ((const struct loader_name *)b)->name);
}

static void
keep_namesakes(struct kiln_set *set, const struct loader_name *names, size_t count)
{
    const struct kiln_object *other = NULL;
    bool is_needed = false;
    for (size_t i = 0; i < count; i++) {
        is_needed = is_needed || names[i].is_needed;
        other = names[i].object != names[0].object ? names[i].object : other;
    }
    for (size_t i = 0; is_needed && other != NULL && i < count; i++) {
        struct kiln_object *object = names[i].object;
        if (object->reason == NULL) {
            object->reason = kiln_arena_printf(
                &set->ctx->arena,
                "%s is called %s, too, and whoever needs one of that name gets "
                "the one that is loaded first",
                object == other ? names[0].object->path : other->path, names[i].name);
        }
    }
}

/* Who needs a library by its name gets one of that name that is loaded already, whatever its search path. With
 * two different ones, it depends on what was imported before. */
void
kiln_namesakes_check(struct kiln_set *set)
{
    struct loader_names names = {0};
    struct kiln_arena scratch = {0};
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *object = set->objects.items[i];
        bool is_loaded =
            object->origin == KILN_ORIGIN_IMAGE || object->origin == KILN_ORIGIN_SYSTEM;
        if (is_loaded && object->dso.soname != NULL) {
            *KILN_ARENA_PUSH(&scratch, &names) =
                (struct loader_name){object->dso.soname, object, false};
        }
        for (size_t k = 0; is_loaded && k < object->needs.count; k++) {
            struct kiln_object *need = object->needs.items[k];
            if (need->origin == KILN_ORIGIN_IMAGE || need->origin == KILN_ORIGIN_SYSTEM) {
                *KILN_ARENA_PUSH(&scratch, &names) =
                    (struct loader_name){object->need_names.items[k], need, true};
            }
        }
    }
    if (names.count > 0) {
        qsort(names.items, names.count, sizeof *names.items, compare_names);
    }
    for (size_t i = 0, end; i < names.count; i = end) {
        for (end = i; end < names.count && compare_names(&names.items[i], &names.items[end]) == 0;)
        {
            end++;
        }
        keep_namesakes(set, names.items + i, end - i);
    }
    kiln_arena_release(&scratch);
}
