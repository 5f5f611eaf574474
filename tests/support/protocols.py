"""C sources of extension modules for every way of being initialised: those that import, and those that fail,
each in a way of its own. test_protocols.py imports them baked and as shared libraries."""

import string

from bakery import Module

# What begins with a $ is filled in below; $INIT is the init function or export hook.
MULTI_PHASE = r"""
#include <Python.h>
$FUNCTIONS
__attribute__((unused)) static PyModuleDef_Slot slots[] = {$SLOTS {0, NULL}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, "anything", "The doc.", $SIZE, $METHODS, $ARRAY, 0, 0, $FREE};
PyMODINIT_FUNC $INIT(void) { return PyModuleDef_Init(&def); }
"""
SINGLE_PHASE = r"""
#include <Python.h>
static struct PyModuleDef def;
static int initialised;
static PyObject *is_found(PyObject *m, PyObject *a) { return PyBool_FromLong(PyState_FindModule(&def) == m); }
static PyObject *count(PyObject *m, PyObject *a) {
    return PyLong_FromLong(def.m_size > 0 ? ++*(int *)PyModule_GetState(m) : -1);
}
static PyMethodDef methods[] = {{"is_found", is_found, METH_NOARGS, NULL}, {"count", count, METH_NOARGS, NULL}, {0}};
static struct PyModuleDef def = {PyModuleDef_HEAD_INIT, $NAME, "The doc.", $SIZE, methods, 0, 0, 0, 0};
static PyObject *create(void) {
    PyObject *m = PyModule_Create(&def);
    if (m != NULL) PyModule_AddIntConstant(m, "initialised", ++initialised);
    return m;
}
$FUNCTIONS
PyMODINIT_FUNC $INIT(void) { $BODY }
"""
# PEP 793, with the slots of PEP 820.
EXPORT = r"""
#include <Python.h>
__attribute__((unused)) PyABIInfo_VAR(abi);
static PyObject *token(PyObject *m, PyObject *a);
static PyMethodDef methods[] = {{"token", token, METH_NOARGS, NULL}, {0}};
$FUNCTIONS
static char own_token;
static PySlot slots[] = {
    $ABI PySlot_STATIC_DATA(Py_mod_methods, methods), $SLOTS PySlot_END};
static PyObject *token(PyObject *m, PyObject *a) {
    void *found = NULL;
    if (PyModule_GetToken(m, &found) < 0) return NULL;
    return PyUnicode_FromString(found == slots ? "slots" : found == &own_token ? "own" : found ? "other" : "none");
}
PyMODEXPORT_FUNC $INIT(void) { $BODY }
"""

MULTI_FUNCTIONS = r"""
static int freed;
static int *get_state(PyObject *m) { return PyModule_GetState(m); }
static int first(PyObject *m) { ++*get_state(m); return PyModule_AddIntConstant(m, "first", 1); }
static int second(PyObject *m) { return PyModule_AddIntConstant(m, "second", PyObject_HasAttrString(m, "first")); }
static PyObject *count(PyObject *m, PyObject *a) { return PyLong_FromLong(*get_state(m)); }
static PyObject *get_freed(PyObject *m, PyObject *a) { return PyLong_FromLong(freed); }
static PyMethodDef methods[] = {{"count", count, METH_NOARGS, NULL}, {"freed", get_freed, METH_NOARGS, NULL}, {0}};
static void free_module(void *m) { freed++; }
"""
EVERY_SLOT = r"""
    {Py_mod_exec, first},
#ifdef Py_mod_multiple_interpreters
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
#ifdef Py_mod_gil
    {Py_mod_gil, Py_MOD_GIL_NOT_USED},
#endif
    {Py_mod_exec, second},
"""
RAISE = 'PyErr_SetString(PyExc_ValueError, "no luck");'
CREATE = "static PyObject *create(PyObject *spec, PyModuleDef *d) { %s }"
NAMED = """PyObject *name = PyObject_GetAttrString(spec, "name");
    PyObject *m = name ? %s : NULL; Py_XDECREF(name); return m;"""
NEW_MODULE = NAMED % "PyModule_NewObject(name)"
NEW_TUPLE = NAMED % "PyTuple_Pack(1, name)"
# An object that takes the attributes which importlib sets, and tells what it was made for.
MAKE_OBJECT = """
static PyObject *make_object(PyObject *asked) {
    PyObject *types = PyImport_ImportModule("types");
    PyObject *object = types ? PyObject_CallMethod(types, "SimpleNamespace", NULL) : NULL;
    if (object != NULL) PyObject_SetAttrString(object, "asked", asked);
    Py_XDECREF(types);
    return object;
}
"""
CREATE_OBJECT = MAKE_OBJECT + CREATE % (NAMED % "make_object(name)")
EXEC = "static int exec(PyObject *m) { %s }"
CREATE_SLOT, EXEC_SLOT = "{Py_mod_create, create},", "{Py_mod_exec, exec},"


def last(name):
    return name.rpartition(".")[2]


def fill(template, name, package=False, init=None, **pieces):
    """The Module NAME with PIECES filled into TEMPLATE."""
    module = Module(None, init=init, package=package)
    module.source = string.Template(template).substitute(pieces, INIT=module.init_symbol(name))
    return module


def multi(name, functions="", slots="", size=0, methods="NULL", free="NULL", array="slots", **more):
    return fill(MULTI_PHASE, name, FUNCTIONS=functions, SLOTS=slots, SIZE=size, METHODS=methods, FREE=free, ARRAY=array,
                **more)


def multi_full(name, **more):
    return multi(name, MULTI_FUNCTIONS, EVERY_SLOT, "sizeof(int)", "methods", "free_module", **more)


def single(name, size=-1, own_name=None, body="return create();", functions="", **more):
    return fill(SINGLE_PHASE, name, NAME=f'"{own_name or last(name)}"', SIZE=size, BODY=body, FUNCTIONS=functions, **more)


def export(name, functions="", slots="", body="return slots;", abi="PySlot_STATIC_DATA(Py_mod_abi, &abi),", **more):
    init = Module(None).init_symbol(name).replace("PyInit", "PyModExport")
    return fill(EXPORT, name, init=init, FUNCTIONS=functions, SLOTS=slots, BODY=body, ABI=abi, **more)


def table(maker, **modules):
    """{dotted name: Module} of {name in the package PROTO: arguments}."""
    return {f"proto.{name}": maker(f"proto.{name}", **arguments) for name, arguments in modules.items()}


# --- Multi-phase (PEP 489) ----------------------------------------------------------------------

MULTI = {
    **table(multi_full, m_full={}),
    **table(multi, m_none={}, m_without=dict(array="NULL"), m_created=dict(functions=CREATE % NEW_MODULE, slots=CREATE_SLOT),
            m_executes=dict(
                functions=EXEC % 'return PyModule_AddIntConstant(m, "executed", 1);' + CREATE % NEW_MODULE,
                slots=EXEC_SLOT + CREATE_SLOT),
            # It puts an object in its own place.
            m_replaced=dict(functions=MAKE_OBJECT + EXEC % """
                PyObject *name = PyModule_GetNameObject(m), *object = name ? make_object(name) : NULL;
                int result = object ? PyObject_SetItem(PyImport_GetModuleDict(), name, object) : -1;
                Py_XDECREF(name); Py_XDECREF(object); return result;""", slots=EXEC_SLOT)),
    "m_top": multi_full("m_top"),
}
OBJECTS = {
    **table(multi, o_object=dict(functions=CREATE_OBJECT, slots=CREATE_SLOT),
            o_tuple=dict(functions=CREATE % NEW_TUPLE, slots=CREATE_SLOT),
            o_none=dict(functions=CREATE % "Py_INCREF(Py_None); return Py_None;", slots=CREATE_SLOT),
            o_executes=dict(functions=CREATE_OBJECT + EXEC % "return 0;", slots=CREATE_SLOT + EXEC_SLOT),
            o_state=dict(functions=CREATE_OBJECT, slots=CREATE_SLOT, size=8)),
}
REFUSED = table(
    multi,
    r_two_creates=dict(functions=CREATE % NEW_MODULE, slots=CREATE_SLOT + CREATE_SLOT),
    r_unknown_slot=dict(slots="{9999, NULL},"), r_negative_size=dict(size=-1),
    r_create_null=dict(functions=CREATE % "return NULL;", slots=CREATE_SLOT),
    r_create_raises=dict(functions=CREATE % f"{RAISE} return NULL;", slots=CREATE_SLOT),
    r_create_unreported=dict(functions=CREATE % NEW_MODULE.replace("return m;", RAISE + " return m;"), slots=CREATE_SLOT),
)
FAILED = table(
    multi,
    f_raises=dict(functions=EXEC % f"{RAISE} return -1;", slots=EXEC_SLOT),
    f_silent=dict(functions=EXEC % "return -1;", slots=EXEC_SLOT),
    f_unreported=dict(functions=EXEC % f"{RAISE} return 0;", slots=EXEC_SLOT),
    f_positive=dict(functions=EXEC % f"{RAISE} return 1;", slots=EXEC_SLOT),
    f_second=dict(functions=MULTI_FUNCTIONS + EXEC % f"{RAISE} return -1;", size="sizeof(int)", methods="methods",
                  free="free_module", slots=EVERY_SLOT + EXEC_SLOT),
)

# --- Single-phase -------------------------------------------------------------------------------

SINGLE = {
    **table(single, s_static=dict(size=-1), s_zero=dict(size=0), s_state=dict(size="sizeof(int)")),
    "s_top": single("s_top", size="sizeof(int)"),
}
NAMES = table(single, n_other=dict(own_name="quite_another"), n_whole=dict(own_name="proto.n_whole"),
              n_top=dict(own_name="s_top"), n_same=dict(size=0, own_name="n_same"))
HABITS = table(
    single,
    # Fails the first time only; keeps what it made; registers itself; makes its submodules.
    h_second=dict(size=0, body=f"static int tried; if (!tried++) {{ {RAISE} return NULL; }} return create();"),
    h_late=dict(size=0, body=f"PyObject *m = create(); {RAISE} Py_XDECREF(m); return NULL;"),
    h_kept=dict(size=0, body="static PyObject *m; if (m == NULL) m = create(); Py_XINCREF(m); return m;"),
    h_added=dict(size=16, body="PyObject *m = create(); if (m != NULL) PyState_AddModule(m, &def); return m;"),
    h_parent=dict(body="""PyObject *m = create();
        PyObject *inner = m ? PyImport_AddModule("proto.h_parent.inner") : NULL;
        if (inner != NULL) { Py_INCREF(inner); PyModule_AddObject(m, "inner", inner); }
        return m;"""),
    h_imports=dict(body="""PyObject *other = PyImport_ImportModule("proto.s_zero");
        PyObject *m = other ? create() : NULL;
        if (m != NULL) PyModule_AddObject(m, "other", other); else Py_XDECREF(other);
        return m;"""),
)

# --- Names, packages, several in one --------------------------------------------------------------

UNICODE = {name: multi_full(name) for name in (
    "proto.größe", "proto.ж", "proto.变量", "proto.é_x1", "proto.ünïcödé_nämé", "proto.x\u0301y", "größe")}
UNICODE_SINGLE = {"proto.größe1": single("proto.größe1", own_name="größe1")}
UNICODE_PACKAGE = {"größenwahn.single": single("größenwahn.single", size=0), "größenwahn.multi": multi_full("größenwahn.multi")}
PACKAGES = {
    "pack_multi": multi_full("pack_multi", package=True), "pack_multi.inner": single("pack_multi.inner"),
    "pack_single": single("pack_single", package=True), "pack_single.inner": multi_full("pack_single.inner"),
    "proto.pack": single("proto.pack", package=True), "proto.pack.inner": single("proto.pack.inner"),
}

# As mypyc does: one library has all the code and hands out init functions in capsules; the modules
# themselves are shims that call those.
GROUP = r"""
#include <Python.h>
static struct PyModuleDef defs[] = {
    {PyModuleDef_HEAD_INIT, "typed.one", NULL, -1, NULL, 0, 0, 0, 0},
    {PyModuleDef_HEAD_INIT, "typed.two", NULL, -1, NULL, 0, 0, 0, 0},
    {PyModuleDef_HEAD_INIT, "typed__group", NULL, -1, NULL, 0, 0, 0, 0}};
static PyObject *made[2];
static PyObject *make(int i) {
    if (made[i] == NULL && (made[i] = PyModule_Create(&defs[i])) != NULL) PyModule_AddIntConstant(made[i], "number", i);
    Py_XINCREF(made[i]);
    return made[i];
}
PyMODINIT_FUNC CPyInit_one(void); PyMODINIT_FUNC CPyInit_one(void) { return make(0); }
PyMODINIT_FUNC CPyInit_two(void); PyMODINIT_FUNC CPyInit_two(void) { return make(1); }
PyMODINIT_FUNC $INIT(void) {
    PyObject *m = PyModule_Create(&defs[2]);
    if (m == NULL) return NULL;
    PyModule_AddObject(m, "init_one", PyCapsule_New((void *)CPyInit_one, "typed__group.init_one", NULL));
    PyModule_AddObject(m, "init_two", PyCapsule_New((void *)CPyInit_two, "typed__group.init_two", NULL));
    return m;
}
"""
SHIM = r"""
#include <Python.h>
PyMODINIT_FUNC $INIT(void) {
    PyObject *group = PyImport_ImportModule("typed__group");
    PyObject *capsule = group ? PyObject_GetAttrString(group, "init_$NUMBER") : NULL;
    void *init = capsule ? PyCapsule_GetPointer(capsule, "typed__group.init_$NUMBER") : NULL;
    Py_XDECREF(group);
    Py_XDECREF(capsule);
    return init ? ((PyObject *(*)(void))init)() : NULL;
}
"""
SHIMS = {"typed__group": fill(GROUP, "typed__group"),
         **{f"typed.{number}": fill(SHIM, f"typed.{number}", NUMBER=number) for number in ("one", "two")}}

# --- PEP 793 ------------------------------------------------------------------------------------

EXPORT_EXEC = EXEC % 'return PyModule_AddIntConstant(m, "executed", 1);'
EXPORT_EXEC_SLOT = "PySlot_FUNC(Py_mod_exec, exec),"
EXPORT_CREATE_SLOT = "PySlot_FUNC(Py_mod_create, create),"
EXPORT_STATE = MULTI_FUNCTIONS.replace("methods[]", "more_methods[]") + r"""
static int traverse(PyObject *m, visitproc visit, void *arg) { return 0; }
static int exec(PyObject *m) { return first(m) || second(m) || PyModule_AddFunctions(m, more_methods) ? -1 : 0; }
"""
EXPORT_STATE_SLOTS = """
    PySlot_SIZE(Py_mod_state_size, sizeof(int)), PySlot_FUNC(Py_mod_state_free, free_module),
    PySlot_FUNC(Py_mod_state_traverse, traverse), PySlot_FUNC(Py_mod_exec, exec), PySlot_DATA(Py_mod_name, "ignored"), PySlot_DATA(Py_mod_doc, "The doc."),
    PySlot_DATA(Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED),
    PySlot_DATA(Py_mod_gil, Py_MOD_GIL_NOT_USED),"""
# Slots in the form of PEP 489 within those of PEP 820, and slots within slots.
OLD_SLOTS = EXPORT_EXEC + "static PyModuleDef_Slot old[] = {{Py_mod_exec, exec}, %s {0, NULL}};"
INNER_SLOTS = EXPORT_EXEC + "static PySlot inner[] = {PySlot_FUNC(Py_mod_exec, exec), %s PySlot_END};"
OLD_SLOT, INNER_SLOT = "PySlot_STATIC_DATA(Py_mod_slots, old),", "PySlot_STATIC_DATA(Py_slot_subslots, inner),"
OWN_TOKEN = "static char own_token;"

EXPORTS = table(
    export,
    x_plain=dict(functions=EXPORT_EXEC, slots=EXPORT_EXEC_SLOT), x_nothing={},
    x_state=dict(functions=EXPORT_STATE, slots=EXPORT_STATE_SLOTS),
    x_größe=dict(functions=EXPORT_EXEC, slots=EXPORT_EXEC_SLOT),
    x_pack=dict(functions=EXPORT_EXEC, slots=EXPORT_EXEC_SLOT, package=True),
)
TOKENS = table(
    export,
    t_default={}, t_own=dict(slots="PySlot_STATIC_DATA(Py_mod_token, &own_token),"),
    t_created=dict(functions=CREATE % NEW_MODULE, slots=EXPORT_CREATE_SLOT),
    t_created_own=dict(functions=CREATE % NEW_MODULE,
                       slots=EXPORT_CREATE_SLOT + "PySlot_STATIC_DATA(Py_mod_token, &own_token),"),
    t_old=dict(functions=OLD_SLOTS % "", slots=OLD_SLOT),
    t_old_own=dict(functions=OWN_TOKEN + OLD_SLOTS % "{Py_mod_token, &own_token},", slots=OLD_SLOT),
    t_inner=dict(functions=INNER_SLOTS % "", slots=INNER_SLOT),
    t_inner_own=dict(functions=OWN_TOKEN + INNER_SLOTS % "PySlot_STATIC_DATA(Py_mod_token, &own_token),",
                     slots=INNER_SLOT),
)
EXPORT_OBJECTS = table(
    export,
    y_object=dict(functions=CREATE_OBJECT, slots=EXPORT_CREATE_SLOT),
    y_executes=dict(functions=CREATE_OBJECT + EXEC % "return 0;", slots=EXPORT_CREATE_SLOT + EXPORT_EXEC_SLOT),
    y_tuple=dict(functions=CREATE % NEW_TUPLE, slots=EXPORT_CREATE_SLOT),
    # It counts how often it was asked.
    y_once=dict(functions=MAKE_OBJECT + CREATE % (
        "static int calls; PyObject *n = PyLong_FromLong(++calls), *m = make_object(n); Py_DECREF(n); return m;"),
        slots=EXPORT_CREATE_SLOT),
)
EXPORT_FAILED = table(
    export,
    z_null=dict(body="return NULL;"), z_raises=dict(body=f"{RAISE} return NULL;"),
    z_unreported=dict(body=f"{RAISE} return slots;"), z_no_abi=dict(abi=""),
    z_unknown=dict(slots="PySlot_DATA(9999, 1),"),
    z_two_tokens=dict(slots="PySlot_STATIC_DATA(Py_mod_token, &own_token), PySlot_STATIC_DATA(Py_mod_token, methods),"),
    z_exec_raises=dict(functions=EXEC % f"{RAISE} return -1;", slots=EXPORT_EXEC_SLOT),
    z_exec_silent=dict(functions=EXEC % "return -1;", slots=EXPORT_EXEC_SLOT),
    z_exec_unreported=dict(functions=EXEC % f"{RAISE} return 0;", slots=EXPORT_EXEC_SLOT),
    z_create_null=dict(functions=CREATE % "return NULL;", slots=EXPORT_CREATE_SLOT),
    z_create_raises=dict(functions=CREATE % f"{RAISE} return NULL;", slots=EXPORT_CREATE_SLOT),
    z_create_unreported=dict(functions=CREATE % NEW_MODULE.replace("return m;", RAISE + " return m;"), slots=EXPORT_CREATE_SLOT),
    z_create_other=dict(functions=CREATE % NEW_TUPLE.replace("return m;", RAISE + " return m;"), slots=EXPORT_CREATE_SLOT),
)

ALWAYS = {**MULTI, **OBJECTS, **REFUSED, **FAILED, **SINGLE, **NAMES, **HABITS, **UNICODE, **UNICODE_SINGLE,
          **UNICODE_PACKAGE, **PACKAGES, **SHIMS}
FROM_3_15 = {**EXPORTS, **TOKENS, **EXPORT_OBJECTS, **EXPORT_FAILED}


def all_modules(version):
    return {**ALWAYS, **(FROM_3_15 if version >= (3, 15) else {})}
