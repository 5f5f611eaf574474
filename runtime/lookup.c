/* From a dotted name to what makes the module: finder and loader ask here, and nowhere else. */
#include "runtime.h"

int
kiln_find_target(PyObject *name, struct kiln_target *target)
{
    Py_ssize_t len;
    const char *utf8 = PyUnicode_AsUTF8AndSize(name, &len);
    if (utf8 == NULL) {
        PyErr_Clear(); /* a lone surrogate: no module has such a name */
        return 0;
    }
    const struct kiln_table_entry *entry =
        kiln_process.table == NULL ? NULL : kiln_table_find(kiln_process.table, utf8, (size_t)len);
    if (entry == NULL) {
        return 0;
    }
    target->function = kiln_table_get_function(entry);
    target->flags = kiln_table_get_flags(entry);
    return 1;
}
