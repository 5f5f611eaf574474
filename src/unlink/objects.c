/* Lists of objects: what is in them, and who of them answers a reference. */
#include "unlink/set.h"

bool
kiln_objects_contain(const struct kiln_object_list *list, const struct kiln_object *object)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] == object) {
            return true;
        }
    }
    return false;
}

struct kiln_object *
kiln_objects_find(const struct kiln_object_list *list, const struct kiln_dynobj_wanted *wanted,
                  struct kiln_dynobj_symbol *symbol)
{
    for (size_t i = 0; i < list->count; i++) {
        if (kiln_dynobj_find(&list->items[i]->dso, wanted, symbol)) {
            return list->items[i];
        }
    }
    return NULL;
}

const char *
kiln_objects_next_lacking(const struct kiln_object_list *process, const struct kiln_object *object,
                          size_t *index)
{
    for (size_t i = *index + 1; i < object->dso.symbol_count; i++) {
        struct kiln_dynobj_symbol symbol, found;
        if (!kiln_dynobj_get_symbol(&object->dso, i, &symbol) || symbol.sym.st_shndx != SHN_UNDEF ||
            kiln_dynobj_get_bind(&symbol) != STB_GLOBAL)
        {
            continue;
        }
        const struct kiln_dynobj_wanted wanted = kiln_dynobj_want(&symbol, true);
        if (kiln_objects_find(process, &wanted, &found) == NULL &&
            kiln_objects_find(&object->scope, &wanted, &found) == NULL)
        {
            *index = i;
            return symbol.name;
        }
    }
    return NULL;
}

/* An object without versions passes for one that has any. */
static bool
has_version(const struct kiln_dynobj *dso, const char *name)
{
    bool result = dso->verdef == 0;
    for (size_t i = 0; !result && i < dso->version_count; i++) {
        const struct kiln_dynobj_version *version = &dso->versions[i];
        result = version->name != NULL && version->file == NULL && strcmp(version->name, name) == 0;
    }
    return result;
}

const struct kiln_dynobj_version *
kiln_objects_find_missing_version(const struct kiln_object_list *libraries,
                                  const struct kiln_dynobj *dso)
{
    for (size_t i = 0; i < dso->version_count; i++) {
        const struct kiln_dynobj_version *version = &dso->versions[i];
        const struct kiln_object *library =
            version->name == NULL || version->file == NULL || version->is_weak
                ? NULL
                : kiln_namesakes_find(libraries, version->file);
        if (library != NULL && !has_version(&library->dso, version->name)) {
            return version;
        }
    }
    return NULL;
}
