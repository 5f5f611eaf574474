/* The finder of baked modules, first in sys.meta_path: from a dotted name to a module spec.
 *
 * It is asked about every import of the program; a name that is not in the table costs one lookup.
 * A spec has what that of a shared library would have. The place of a module is where the file that it was
 * baked from is, or would be, as code uses __file__ for the directory; in a program that was linked by hand, where such
 * a file would be in its package. A package that is an extension has the directories of its name on the search path. */
#include "find/finder.h"

#include <string.h>
#include <sys/stat.h>

#include "core/process.h"
#include "core/python.h"
#include "find/lookup.h"
#include "find/place.h"
#include "home/executable.h"
#include "kiln/internal/settings.h"
#include "skew/skew.h"

struct finder {
    PyObject_HEAD
    PyObject *loaders;
    PyObject *module_spec; /* importlib's type */
    PyObject *suffix;      /* of shared libraries: ".cpython-311-x86_64-linux-gnu.so" */
};

/* Returns what follows the last dot of NAME. */
static PyObject *
get_last_component(PyObject *name)
{
    Py_ssize_t len = PyUnicode_GET_LENGTH(name);
    Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, len, -1);
    return dot == -2 ? NULL : PyUnicode_Substring(name, dot + 1, len);
}

/* Returns the path of the directory BASE/COMPONENT; NULL without an exception if there is none. The
 * BASE "" is the working directory. */
static PyObject *
find_directory(PyObject *base, PyObject *component)
{
    PyObject *path = NULL, *bytes = NULL;
    if (PyUnicode_GET_LENGTH(base) > 0) {
        path = PyUnicode_FromFormat("%U/%U", base, component);
    }
    else {
        PyObject *os = PyImport_ImportModule("os");
        PyObject *cwd = os == NULL ? NULL : PyObject_CallMethod(os, "getcwd", NULL);
        path = cwd == NULL ? NULL : PyUnicode_FromFormat("%U/%U", cwd, component);
        Py_XDECREF(cwd);
        Py_XDECREF(os);
    }
    if (path != NULL) {
        bytes = PyUnicode_EncodeFSDefault(path);
    }
    struct stat status;
    if (bytes == NULL || stat(PyBytes_AS_STRING(bytes), &status) != 0 || !S_ISDIR(status.st_mode)) {
        Py_CLEAR(path);
        PyErr_Clear(); /* there is no working directory, or the name cannot be encoded */
    }
    Py_XDECREF(bytes);
    return path;
}

/* Returns a list of the directories COMPONENT on SEARCH_PATH. */
static PyObject *
find_directories(PyObject *search_path, PyObject *component)
{
    PyObject *entries = PyObject_GetIter(search_path);
    PyObject *found = entries == NULL ? NULL : PyList_New(0);
    PyObject *entry;
    while (found != NULL && (entry = PyIter_Next(entries)) != NULL) {
        PyObject *directory = PyUnicode_Check(entry) ? find_directory(entry, component) : NULL;
        if (directory != NULL && PyList_Append(found, directory) < 0) {
            Py_CLEAR(found);
        }
        Py_XDECREF(directory);
        Py_DECREF(entry);
    }
    Py_XDECREF(entries);
    if (found != NULL && PyErr_Occurred()) {
        Py_CLEAR(found);
    }
    return found;
}

/* Returns DIRECTORY/BASE with the suffix of shared libraries. BASE is NAME from START on. */
static PyObject *
join_place(struct finder *self, PyObject *directory, PyObject *name, Py_ssize_t start)
{
    if (!PyUnicode_IS_ASCII(directory) || !PyUnicode_IS_ASCII(name)) {
        PyObject *base = PyUnicode_Substring(name, start, PyUnicode_GET_LENGTH(name));
        PyObject *place =
            base == NULL ? NULL : PyUnicode_FromFormat("%U/%U%U", directory, base, self->suffix);
        Py_XDECREF(base);
        return place;
    }
    size_t directory_len = (size_t)PyUnicode_GET_LENGTH(directory);
    size_t base_len = (size_t)(PyUnicode_GET_LENGTH(name) - start);
    size_t suffix_len = (size_t)PyUnicode_GET_LENGTH(self->suffix);
    PyObject *place = PyUnicode_New((Py_ssize_t)(directory_len + 1 + base_len + suffix_len), 127);
    if (place != NULL) {
        Py_UCS1 *to = PyUnicode_1BYTE_DATA(place);
        memcpy(to, PyUnicode_1BYTE_DATA(directory), directory_len);
        to[directory_len] = '/';
        to += directory_len + 1;
        memcpy(to, PyUnicode_1BYTE_DATA(name) + start, base_len);
        memcpy(to + base_len, PyUnicode_1BYTE_DATA(self->suffix), suffix_len);
    }
    return place;
}

PyObject *
kiln_finder_get_place(PyObject *finder, PyObject *name, PyObject *path,
                      const struct kiln_target *target)
{
    path = path == Py_None ? NULL : path;
    if (target->file != NULL) {
        return kiln_place_get(target->file, path);
    }
    PyObject *directory = path == NULL ? NULL : kiln_get_first_string(path);
    Py_ssize_t dot = PyUnicode_FindChar(name, '.', 0, PyUnicode_GET_LENGTH(name), -1);
    PyObject *place = directory == NULL || dot == -2
                          ? NULL
                          : join_place((struct finder *)finder, directory, name, dot + 1);
    Py_XDECREF(directory);
    return place;
}

static int
set_place(PyObject *spec, PyObject *place)
{
    PyObject *loader = PyObject_GetAttrString(spec, "loader");
    int result = loader == NULL || PyObject_SetAttrString(loader, "path", place) < 0 ||
                         PyObject_SetAttrString(spec, "origin", place) < 0
                     ? -1
                     : PyObject_SetAttrString(spec, "has_location", Py_True);
    Py_XDECREF(loader);
    return result;
}

static int
place_module(struct finder *self, PyObject *spec, PyObject *name, PyObject *path,
             const struct kiln_target *target)
{
    PyObject *place = kiln_finder_get_place((PyObject *)self, name, path, target);
    int result = place == NULL ? 0 : set_place(spec, place);
    Py_XDECREF(place);
    return PyErr_Occurred() ? -1 : result;
}

static int
place_package(struct finder *self, PyObject *spec, PyObject *name, PyObject *path,
              const struct kiln_target *target)
{
    PyObject *component = get_last_component(name);
    if (component == NULL) {
        return -1;
    }
    PyObject *search_path = path == Py_None ? kiln_get_sys("path") : path;
    PyObject *locations =
        search_path == NULL ? PyList_New(0) : find_directories(search_path, component);
    if (search_path != path) {
        Py_XDECREF(search_path);
    }
    Py_DECREF(component);
    if (locations == NULL) {
        return -1;
    }
    int result = PyObject_SetAttrString(spec, "submodule_search_locations", locations);
    if (result == 0 && (PyList_GET_SIZE(locations) > 0 || target->file != NULL)) {
        PyObject *init = PyUnicode_FromString("__init__");
        PyObject *place = init == NULL ? NULL
                          : target->file != NULL
                              ? kiln_place_get(target->file, locations)
                              : join_place(self, PyList_GET_ITEM(locations, 0), init, 0);
        result = place == NULL ? -1 : set_place(spec, place);
        Py_XDECREF(place);
        Py_XDECREF(init);
    }
    Py_DECREF(locations);
    return result;
}

/* Returns a loader of the module NAME, not placed yet: the constructor wants a path. */
static PyObject *
make_loader(struct finder *self, PyObject *name)
{
    PyObject *type = PyObject_CallMethod(self->loaders, "get_type", NULL);
    PyObject *loader = type == NULL ? NULL : PyObject_CallMethod(type, "__new__", "O", type);
    if (loader != NULL && (PyObject_SetAttrString(loader, "name", name) < 0 ||
                           PyObject_SetAttrString(loader, "path", Py_None) < 0))
    {
        Py_CLEAR(loader);
    }
    Py_XDECREF(type);
    return loader;
}

/* Returns a spec of the module NAME, not placed yet. */
static PyObject *
make_bare_spec(struct finder *self, PyObject *name)
{
    PyObject *loader = make_loader(self, name);
    PyObject *spec =
        loader == NULL ? NULL : PyObject_CallFunctionObjArgs(self->module_spec, name, loader, NULL);
    Py_XDECREF(loader);
    return spec;
}

static PyObject *
make_spec(struct finder *self, const struct kiln_target *target, PyObject *name, PyObject *path)
{
    PyObject *spec = make_bare_spec(self, name);
    if (spec == NULL) {
        return NULL;
    }
    int result = (target->flags & KILN_MODULE_PACKAGE) != 0
                     ? place_package(self, spec, name, path, target)
                     : place_module(self, spec, name, path, target);
    if (result < 0) {
        Py_CLEAR(spec);
    }
    return spec;
}

/* Returns the spec of kiln, or of _kiln if that was removed from sys.modules. */
static PyObject *
make_own_spec(struct finder *self, PyObject *name)
{
    PyObject *spec = make_bare_spec(self, name);
    PyObject *origin = spec == NULL ? NULL : PyUnicode_FromString("built-in");
    if (origin == NULL || PyObject_SetAttrString(spec, "origin", origin) < 0) {
        Py_CLEAR(spec);
    }
    Py_XDECREF(origin);
    return spec;
}

/* Returns the spec of MODULE, which is being reloaded, if its loader is ours: what made the module
 * may not be known any more, and is not needed. Otherwise NULL without an exception. */
static PyObject *
get_reloaded_spec(struct finder *self, PyObject *name, PyObject *module)
{
    PyObject *spec = PyObject_GetAttrString(module, "__spec__");
    PyObject *loader = spec == NULL ? NULL : PyObject_GetAttrString(spec, "loader");
    PyObject *spec_name = loader == NULL ? NULL : PyObject_GetAttrString(spec, "name");
    PyObject *type =
        spec_name == NULL ? NULL : PyObject_CallMethod(self->loaders, "get_type", NULL);
    if (type == NULL || (PyObject *)Py_TYPE(loader) != type || !PyUnicode_Check(spec_name) ||
        PyUnicode_Compare(spec_name, name) != 0)
    {
        Py_CLEAR(spec);
        PyErr_Clear();
    }
    Py_XDECREF(type);
    Py_XDECREF(spec_name);
    Py_XDECREF(loader);
    return spec;
}

static PyObject *
find_spec(struct finder *self, PyObject *name, PyObject *path, PyObject *module)
{
    if (!PyUnicode_Check(name)) {
        PyErr_Format(PyExc_TypeError, "a module name must be str, not %.200s",
                     Py_TYPE(name)->tp_name);
        return NULL;
    }
    struct kiln_target target;
    int found = kiln_find_target(name, &target);
    if (found < 0) {
        return NULL;
    }
    if (found == 1) {
        PyObject *file = NULL, *get_flags = PySys_GetObject("getdlopenflags");
        int fits = target.in_table
                       ? kiln_skew_check((PyObject *)self, get_flags, name, &target, path, &file)
                       : 1;
        return fits > 0 ? make_spec(self, &target, name, path) : file;
    }
    if (PyUnicode_CompareWithASCIIString(name, KILN_MODULE_NAME) == 0) {
        return make_own_spec(self, name);
    }
    PyObject *spec = module == Py_None ? NULL : get_reloaded_spec(self, name, module);
    if (spec != NULL) {
        return spec;
    }
    if (PyUnicode_CompareWithASCIIString(name, "pkgutil") == 0) {
        return kiln_find_pkgutil((PyObject *)self, name, path);
    }
    if (PyUnicode_CompareWithASCIIString(name, KILN_PUBLIC_MODULE_NAME) == 0) {
        spec = kiln_find_behind((PyObject *)self, name, path);
        return spec != NULL || PyErr_Occurred() ? spec : make_own_spec(self, name);
    }
    if (kiln_process.site_first && PyUnicode_CompareWithASCIIString(name, "sitecustomize") == 0 &&
        kiln_executable_set_late() < 0)
    {
        return NULL;
    }
    Py_RETURN_NONE;
}

/* find_spec(fullname, path=None, target=None). Takes its arguments by vectorcall, as it is called
 * for every import. */
static PyObject *
finder_find_spec(PyObject *self, PyObject *const *args, Py_ssize_t nargs, PyObject *keywords)
{
    static const char *const names[] = {"fullname", "path", "target"};
    enum { FULLNAME, PATH, TARGET, COUNT = sizeof names / sizeof names[0] };
    PyObject *values[COUNT] = {NULL};
    Py_ssize_t keyword_count = keywords == NULL ? 0 : PyTuple_GET_SIZE(keywords);
    if (nargs + keyword_count > COUNT) {
        return PyErr_Format(PyExc_TypeError, "find_spec() takes at most 3 arguments (%zd given)",
                            nargs + keyword_count);
    }
    for (Py_ssize_t i = 0; i < nargs; i++) {
        values[i] = args[i];
    }
    for (Py_ssize_t i = 0; i < keyword_count; i++) {
        PyObject *keyword = PyTuple_GET_ITEM(keywords, i);
        int j = 0;
        while (j < COUNT && PyUnicode_CompareWithASCIIString(keyword, names[j]) != 0) {
            j++;
        }
        if (j == COUNT || values[j] != NULL) {
            return PyErr_Format(PyExc_TypeError, "find_spec() got an unexpected argument '%U'",
                                keyword);
        }
        values[j] = args[nargs + i];
    }
    if (values[FULLNAME] == NULL) {
        PyErr_SetString(PyExc_TypeError, "find_spec() is missing the argument 'fullname'");
        return NULL;
    }
    return find_spec((struct finder *)self, values[FULLNAME],
                     values[PATH] == NULL ? Py_None : values[PATH],
                     values[TARGET] == NULL ? Py_None : values[TARGET]);
}

#if KILN_HAS_FIND_MODULE
static PyObject *
finder_find_module(PyObject *self, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"fullname", "path", NULL};
    PyObject *name, *path = Py_None;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|O:find_module", names, &name, &path) ||
        (KILN_FIND_MODULE_WARNS &&
         PyErr_WarnEx(PyExc_DeprecationWarning,
                      KILN_FINDER_TYPE_NAME
                      ".find_module() is deprecated and slated for removal in Python 3.12; use "
                      "find_spec() instead",
                      1) < 0))
    {
        return NULL;
    }
    PyObject *spec = find_spec((struct finder *)self, name, path, Py_None);
    if (spec == NULL || spec == Py_None) {
        return spec;
    }
    PyObject *loader = PyObject_GetAttrString(spec, "loader");
    Py_DECREF(spec);
    return loader;
}
#endif

static PyObject *
finder_invalidate_caches(PyObject *Py_UNUSED(self), PyObject *Py_UNUSED(args))
{
    Py_RETURN_NONE;
}

static PyObject *
finder_iter_modules(PyObject *Py_UNUSED(self), PyObject *args)
{
    PyObject *prefix = NULL;
    if (!PyArg_ParseTuple(args, "|U:iter_modules", &prefix)) {
        return NULL;
    }
    PyObject *empty = prefix == NULL ? PyUnicode_FromString("") : NULL;
    prefix = prefix == NULL ? empty : prefix;
    PyObject *result = prefix == NULL ? NULL : kiln_iter_top_level(prefix);
    Py_XDECREF(empty);
    return result;
}

static PyObject *
finder_repr(PyObject *Py_UNUSED(self))
{
    return PyUnicode_FromString("<finder of the modules baked by Kiln>");
}

static int
finder_traverse(PyObject *object, visitproc visit, void *arg)
{
    struct finder *self = (struct finder *)object;
#if KILN_TRAVERSE_VISITS_TYPE
    Py_VISIT(Py_TYPE(object));
#endif
    Py_VISIT(self->loaders);
    Py_VISIT(self->module_spec);
    return 0;
}

static int
finder_clear(PyObject *object)
{
    struct finder *self = (struct finder *)object;
    Py_CLEAR(self->loaders);
    Py_CLEAR(self->module_spec);
    Py_CLEAR(self->suffix);
    return 0;
}

static void
finder_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    finder_clear(self);
    PyObject_GC_Del(self);
    Py_DECREF(type);
}

static PyMethodDef finder_methods[] = {
    {"find_spec", (PyCFunction)(void (*)(void))finder_find_spec, METH_FASTCALL | METH_KEYWORDS,
     PyDoc_STR("find_spec($self, fullname, path=None, target=None)\n--\n\n"
               "The spec of a baked module, or None.")},
#if KILN_HAS_FIND_MODULE
    {"find_module", (PyCFunction)(void (*)(void))finder_find_module, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("find_module($self, /, fullname, path=None)\n--\n\n"
               "The loader of a baked module, or None.")},
#endif
    {"invalidate_caches", finder_invalidate_caches, METH_NOARGS,
     PyDoc_STR("invalidate_caches($self, /)\n--\n\nNothing: the table never changes.")},
    {"discover", (PyCFunction)(void (*)(void))kiln_finder_discover, METH_VARARGS | METH_KEYWORDS,
     PyDoc_STR("discover($self, /, parent=None)\n--\n\n"
               "The specs of the baked modules in a package, or in none.")},
    {"iter_modules", finder_iter_modules, METH_VARARGS,
     PyDoc_STR("iter_modules($self, prefix='', /)\n--\n\n"
               "For pkgutil: the baked modules that are in no package.")},
    {0},
};

static PyType_Slot finder_slots[] = {
    {Py_tp_new, KILN_SLOT_FUNCTION(kiln_refuse_new)},
    {Py_tp_dealloc, KILN_SLOT_FUNCTION(finder_dealloc)},
    {Py_tp_traverse, KILN_SLOT_FUNCTION(finder_traverse)},
    {Py_tp_clear, KILN_SLOT_FUNCTION(finder_clear)},
    {Py_tp_repr, KILN_SLOT_FUNCTION(finder_repr)},
    {Py_tp_methods, finder_methods},
    {Py_tp_doc, "The finder of the modules that are linked into the program."},
    {0, NULL},
};

static PyType_Spec finder_spec = {
    .name = KILN_FINDER_TYPE_NAME,
    .basicsize = sizeof(struct finder),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC,
    .slots = finder_slots,
};

/* Returns the first of the suffixes by which importlib knows shared libraries. */
static PyObject *
get_suffix(PyObject *bootstrap)
{
    PyObject *imp = PyObject_GetAttrString(bootstrap, "_imp");
    PyObject *suffixes = imp == NULL ? NULL : PyObject_CallMethod(imp, "extension_suffixes", NULL);
    PyObject *suffix = suffixes == NULL                ? NULL
                       : PySequence_Size(suffixes) > 0 ? PySequence_GetItem(suffixes, 0)
                                                       : PyUnicode_FromString(".so");
    Py_XDECREF(suffixes);
    Py_XDECREF(imp);
    return suffix;
}

PyObject *
kiln_finder_new(PyObject *bootstrap, PyObject *loaders)
{
    PyObject *type = PyType_FromSpec(&finder_spec);
    if (type == NULL) {
        return NULL;
    }
    struct finder *self = PyObject_GC_New(struct finder, (PyTypeObject *)type);
    Py_DECREF(type);
    if (self == NULL) {
        return NULL;
    }
    Py_INCREF(loaders);
    self->loaders = loaders;
    self->module_spec = PyObject_GetAttrString(bootstrap, "ModuleSpec");
    self->suffix = self->module_spec == NULL ? NULL : get_suffix(bootstrap);
    PyObject_GC_Track(self);
    if (self->suffix == NULL) {
        Py_CLEAR(self);
    }
    return (PyObject *)self;
}
