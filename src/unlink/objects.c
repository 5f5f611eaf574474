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
kiln_objects_find(const struct kiln_object_list *list, const struct kiln_object *skip,
                  const struct kiln_dynobj_wanted *wanted, struct kiln_dynobj_symbol *symbol)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i] != skip && kiln_dynobj_find(&list->items[i]->dso, wanted, symbol)) {
            return list->items[i];
        }
    }
    return NULL;
}
