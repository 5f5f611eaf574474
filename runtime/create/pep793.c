/* Modules from export hooks (PEP 793): a hook returns slots, and CPython creates a module from
 * them.
 *
 * PyModule_FromSlotsAndSpec() does not do one thing that CPython's loader of shared libraries does:
 * a module that does not choose a token gets the address of its slots as its token, by which its
 * types find it. Here one more slot around those of the hook sets it:
 *
 *     { Py_mod_token: slots, Py_slot_subslots: slots }
 *
 * A module can have one token only, so this is not done if the hook's slots have one. An object
 * that is not a module cannot have any; what a create slot returns is known only after it has been
 * called, and it may be called only once. So a copy of the slots has create_once() in its place,
 * which keeps the object for a second try. */
#include "core/python.h"
#include "create/parts.h"

#if KILN_HAS_MODULE_EXPORT

#include <string.h>

/* How deep slots within slots are searched; CPython refuses such nesting. */
enum { DEEPEST = 8 };

static const PySlot *
find_slot(const PySlot *slots, unsigned id)
{
    while (slots->sl_id != Py_slot_end && slots->sl_id != id) {
        slots++;
    }
    return slots->sl_id == id ? slots : NULL;
}

/* The same for slots of PEP 489. */
static bool
has_old_slot(const PyModuleDef_Slot *slots, int id)
{
    while (slots->slot != 0 && slots->slot != id) {
        slots++;
    }
    return slots->slot == id;
}

/* Returns whether SLOTS, or slots within them, have a slot ID. */
static bool
has_slot(const PySlot *slots, unsigned id, int depth)
{
    for (; slots->sl_id != Py_slot_end; slots++) {
        if (slots->sl_id == id || depth == DEEPEST) {
            return true;
        }
        if (slots->sl_ptr != NULL &&
            ((slots->sl_id == Py_slot_subslots && has_slot(slots->sl_ptr, id, depth + 1)) ||
             (slots->sl_id == Py_mod_slots && has_old_slot(slots->sl_ptr, (int)id))))
        {
            return true;
        }
    }
    return false;
}

static PyObject *
create_with_token(const PySlot *token, const PySlot *slots, PyObject *spec)
{
    PySlot all[] = {
        PySlot_STATIC_DATA(Py_mod_token, (void *)token),
        PySlot_DATA(Py_slot_subslots, slots),
        PySlot_END,
    };
    return PyModule_FromSlotsAndSpec(all, spec);
}

/* A call of a hook's create slot in this thread. */
struct creation {
    PyObject *(*create)(PyObject *, PyModuleDef *);
    PyObject *made;  /* what it returned; NULL: it has not been called */
    bool unreported; /* it returned that with an exception set */
    struct creation *outer;
};
static _Thread_local struct creation *current_creation;

static PyObject *
create_once(PyObject *spec, PyModuleDef *def)
{
    struct creation *creation = current_creation;
    if (creation->made == NULL) {
        /* The slot may import a module that gets here as well. */
        current_creation = creation->outer;
        creation->made = creation->create(spec, def);
        creation->unreported = PyErr_Occurred() != NULL;
        current_creation = creation;
    }
    return Py_XNewRef(creation->made);
}

static PyObject *
create_by_slot(const PySlot *slots, const PySlot *create, PyObject *spec)
{
    size_t count = 1;
    while (slots[count - 1].sl_id != Py_slot_end) {
        count++;
    }
    PySlot *copy = PyMem_Malloc(count * sizeof *copy);
    if (copy == NULL) {
        return PyErr_NoMemory();
    }
    memcpy(copy, slots, count * sizeof *copy);
    copy[create - slots].sl_func = (_Py_funcptr_t)create_once;
    struct creation creation = {.create =
                                    (PyObject * (*)(PyObject *, PyModuleDef *)) create->sl_func,
                                .outer = current_creation};
    current_creation = &creation;
    PyObject *module = create_with_token(slots, copy, spec);
    bool is_other = creation.made != NULL && !PyModule_Check(creation.made);
    if (module == NULL && is_other && !creation.unreported) {
        PyErr_Clear();
        module = PyModule_FromSlotsAndSpec(copy, spec);
    }
    current_creation = creation.outer;
    Py_XDECREF(creation.made);
    PyMem_Free(copy);
    return module;
}

static PyObject *
create_from_slots(const PySlot *slots, PyObject *spec)
{
    const PySlot *create = find_slot(slots, Py_mod_create);
    if (has_slot(slots, Py_mod_token, 0)) {
        return PyModule_FromSlotsAndSpec(slots, spec);
    }
    if (create != NULL) {
        return create_by_slot(slots, create, spec);
    }
    /* The token is not set if a create slot is within slots. */
    return has_slot(slots, Py_mod_create, 0) ? PyModule_FromSlotsAndSpec(slots, spec)
                                             : create_with_token(slots, slots, spec);
}

static PyObject *
fail(PyObject *spec, const char *format)
{
    PyObject *name = PyObject_GetAttrString(spec, "name");
    if (name != NULL) {
        PyErr_Format(PyExc_SystemError, format, name);
        Py_DECREF(name);
    }
    return NULL;
}

PyObject *
kiln_create_module_from_export(PyObject *spec, kiln_table_function export_hook)
{
    if (kiln_audit_load(spec) < 0) {
        return NULL;
    }
    const PySlot *slots = ((const PySlot *(*)(void))export_hook)();
    if (slots == NULL) {
        return PyErr_Occurred() ? NULL
                                : fail(spec, "module export hook for module %R failed without "
                                             "setting an exception");
    }
    if (PyErr_Occurred()) {
        PyErr_Clear();
        return fail(spec, "module export hook for module %R raised unreported exception");
    }
    return create_from_slots(slots, spec);
}

#else

PyObject *
kiln_create_module_from_export(PyObject *spec, kiln_table_function Py_UNUSED(export_hook))
{
    PyObject *name = PyObject_GetAttrString(spec, "name");
    if (name == NULL) {
        return NULL;
    }
    PyObject *path = PyObject_GetAttrString(spec, "origin");
    if (path == NULL) {
        PyErr_Clear(); /* a spec needs nothing but a name */
    }
    kiln_fail_import(name, path,
                     "module %U has only an export hook (PEP 793), which needs Python 3.15");
    Py_XDECREF(path);
    Py_DECREF(name);
    return NULL;
}

#endif
