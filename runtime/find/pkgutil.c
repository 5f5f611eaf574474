/* Makes pkgutil.iter_modules() and walk_packages(), and so pydoc and others, list baked modules.
 *
 * For the members of a package pkgutil does not ask the finders of sys.meta_path. It calls the
 * generic function pkgutil.iter_importer_modules() for each directory of the package's __path__.
 * When pkgutil is imported, that function gets implementations for the finders of directories and
 * of zip files that add the baked members to the result. They are listed where their specs place
 * them, in a directory of the __path__ of their parent. To be called at that time, our
 * finder returns for `pkgutil` the spec that the finders behind it have, with load_pkgutil() as its
 * loader's exec_module() for one call. */
#include "find/finder.h"

#include <string.h>

#include "core/process.h"
#include "core/python.h"
#include "find/lookup.h"
#include "find/place.h"

/* --- The baked modules of a directory ------------------------------------------------------------
 */

/* Returns the __path__ of the package PARENT, a tuple; it is empty if PARENT has not been imported, is no package, or
 * has a __path__ that cannot be iterated over. NULL if there is no memory. */
static PyObject *
get_locations(PyObject *parent)
{
    PyObject *module = PyImport_GetModule(parent);
    PyObject *path = module == NULL ? NULL : PyObject_GetAttrString(module, "__path__");
    PyObject *locations = path == NULL ? NULL : PySequence_Tuple(path);
    Py_XDECREF(path);
    Py_XDECREF(module);
    PyErr_Clear();
    return locations == NULL ? PyTuple_New(0) : locations;
}

/* The same, a borrowed reference. KNOWN caches the results. */
static PyObject *
find_locations(PyObject *parent, PyObject *known)
{
    PyObject *locations = PyDict_GetItemWithError(known, parent);
    if (locations != NULL || PyErr_Occurred()) {
        return locations;
    }
    locations = get_locations(parent);
    int result = locations == NULL ? -1 : PyDict_SetItem(known, parent, locations);
    Py_XDECREF(locations);
    return result < 0 ? NULL : locations;
}

/* Returns whether the place of the module NAME, in a package of these LOCATIONS, is DIRECTORY; -1 with an
 * exception. */
static int
is_placed_in(const char *name, Py_ssize_t len, PyObject *locations, PyObject *directory)
{
    int is_there = PySequence_Contains(locations, directory);
    if (is_there <= 0 || PyTuple_GET_SIZE(locations) == 1) {
        return is_there;
    }
    PyObject *text = PyUnicode_FromStringAndSize(name, len);
    struct kiln_target target;
    bool has_file = text != NULL && kiln_find_in_table(text, &target) && target.file != NULL &&
                    (target.flags & KILN_MODULE_PACKAGE) == 0;
    if (!has_file) {
        Py_XDECREF(text);
        return text == NULL
                   ? -1
                   : PyObject_RichCompareBool(PyTuple_GET_ITEM(locations, 0), directory, Py_EQ);
    }
    Py_DECREF(text);
    PyObject *place = kiln_place_get_directory(target.file, locations);
    int result = place == NULL ? -1 : PyObject_RichCompareBool(place, directory, Py_EQ);
    Py_XDECREF(place);
    return result;
}

/* Returns whether the module NAME (LEN bytes), whose package is the first PARENT_LEN bytes of that, belongs in DIRECTORY. A module
 * without a package has its place in no directory: NULL. -1 with an exception. */
static int
is_wanted(const char *name, size_t len, size_t parent_len, PyObject *directory, PyObject *known)
{
    if (parent_len == 0 || directory == NULL) {
        return parent_len == 0 && directory == NULL;
    }
    PyObject *parent = PyUnicode_FromStringAndSize(name, (Py_ssize_t)parent_len);
    PyObject *locations = parent == NULL ? NULL : find_locations(parent, known);
    Py_XDECREF(parent);
    return locations == NULL ? -1 : is_placed_in(name, (Py_ssize_t)len, locations, directory);
}

static int
add_name(PyObject *found, PyObject *prefix, const char *name, size_t len, unsigned flags)
{
    PyObject *last = PyUnicode_FromStringAndSize(name, (Py_ssize_t)len);
    PyObject *full = last == NULL ? NULL : PyUnicode_Concat(prefix, last);
    bool package = (flags & KILN_MODULE_PACKAGE) != 0;
    int result = full == NULL ? -1 : PyDict_SetItem(found, full, package ? Py_True : Py_False);
    Py_XDECREF(full);
    Py_XDECREF(last);
    return result;
}

/* Adds to FOUND, a dict, PREFIX and the last component of the name of each baked module whose place
 * is in DIRECTORY, or, with NULL, that is in no package. The values say whether it is a package. */
static int
add_baked(PyObject *found, PyObject *prefix, PyObject *directory)
{
    PyObject *known = PyDict_New();
    int result = known == NULL ? -1 : 0;
    for (size_t i = 0; result == 0 && i < kiln_count_modules(); i++) {
        const struct kiln_table_entry *entry = kiln_table_get_entry(kiln_process.table, i);
        const char *name = kiln_table_get_name(entry);
        size_t len = kiln_table_get_name_len(entry);
        const char *dot = memrchr(name, '.', len);
        size_t parent_len = dot == NULL ? 0 : (size_t)(dot - name);
        size_t start = dot == NULL ? 0 : parent_len + 1;
        int wanted = is_wanted(name, len, parent_len, directory, known);
        result = wanted <= 0 ? wanted
                             : add_name(found, prefix, name + start, len - start,
                                        kiln_table_get_flags(entry));
    }
    Py_XDECREF(known);
    return result;
}

/* Returns an iterator over the items of FOUND, by name. */
static PyObject *
iterate_sorted(PyObject *found)
{
    PyObject *items = PyDict_Items(found);
    PyObject *iterator = items == NULL || PyList_Sort(items) < 0 ? NULL : PyObject_GetIter(items);
    Py_XDECREF(items);
    return iterator;
}

PyObject *
kiln_iter_top_level(PyObject *prefix)
{
    PyObject *found = PyDict_New();
    PyObject *result =
        found == NULL || add_baked(found, prefix, NULL) < 0 ? NULL : iterate_sorted(found);
    Py_XDECREF(found);
    return result;
}

/* --- pkgutil.iter_importer_modules() ------------------------------------------------------------
 */

/* Returns the directory of IMPORTER, a FileFinder or a zipimporter. */
static PyObject *
get_directory(PyObject *importer)
{
    PyObject *directory = PyObject_GetAttrString(importer, "path");
    if (directory == NULL) {
        PyErr_Clear();
        PyObject *archive = PyObject_GetAttrString(importer, "archive");
        PyObject *inside = archive == NULL ? NULL : PyObject_GetAttrString(importer, "prefix");
        Py_ssize_t len = inside == NULL ? -1 : PyUnicode_GetLength(inside);
        PyObject *path = len < 0 ? NULL : PyUnicode_FromFormat("%U/%U", archive, inside);
        /* The prefix is empty or ends in a slash. */
        directory =
            path == NULL ? NULL : PyUnicode_Substring(path, 0, PyUnicode_GET_LENGTH(path) - 1);
        Py_XDECREF(path);
        Py_XDECREF(inside);
        Py_XDECREF(archive);
    }
    if (directory != NULL && !PyUnicode_Check(directory)) {
        PyErr_SetString(PyExc_TypeError, "the path of a finder must be str");
        Py_CLEAR(directory);
    }
    return directory;
}

/* Returns an iterator over LISTED, what pkgutil has found, and FOUND, by name. */
static PyObject *
merge(PyObject *listed, PyObject *found)
{
    PyObject *all = PyDict_New();
    if (all == NULL || PyDict_MergeFromSeq2(all, listed, 1) < 0 || PyDict_Update(all, found) < 0) {
        Py_XDECREF(all);
        return NULL;
    }
    PyObject *iterator = iterate_sorted(all);
    Py_DECREF(all);
    return iterator;
}

/* ORIGINAL is pkgutil's own function. */
static PyObject *
iter_importer_modules(PyObject *original, PyObject *args, PyObject *kwargs)
{
    static char *names[] = {"importer", "prefix", NULL};
    PyObject *importer, *prefix = NULL;
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "O|U:iter_importer_modules", names, &importer,
                                     &prefix))
    {
        return NULL;
    }
    PyObject *found = PyDict_New();
    PyObject *directory = found == NULL ? NULL : get_directory(importer);
    PyObject *empty = prefix == NULL ? PyUnicode_FromString("") : NULL;
    prefix = prefix == NULL ? empty : prefix;
    PyObject *listed = NULL;
    if (directory != NULL && prefix != NULL && add_baked(found, prefix, directory) == 0) {
        listed = PyObject_CallFunctionObjArgs(original, importer, prefix, NULL);
    }
    if (listed != NULL && PyDict_GET_SIZE(found) > 0) {
        PyObject *merged = merge(listed, found);
        Py_DECREF(listed);
        listed = merged;
    }
    Py_XDECREF(empty);
    Py_XDECREF(directory);
    Py_XDECREF(found);
    return listed;
}

static PyMethodDef iter_method = {
    "iter_importer_modules", (PyCFunction)(void (*)(void))iter_importer_modules,
    METH_VARARGS | METH_KEYWORDS,
    PyDoc_STR("iter_importer_modules($self, importer, prefix='')\n--\n\n"
              "The modules that a finder has for pkgutil, and the baked ones that belong there.")};

/* Replaces GENERIC's implementation for the type NAME of MODULE. */
static int
extend_type(PyObject *generic, const char *module_name, const char *name)
{
    PyObject *module = PyImport_ImportModule(module_name);
    PyObject *type = module == NULL ? NULL : PyObject_GetAttrString(module, name);
    PyObject *original = type == NULL ? NULL : PyObject_CallMethod(generic, "dispatch", "O", type);
    PyObject *function = original == NULL ? NULL : PyCFunction_New(&iter_method, original);
    PyObject *result =
        function == NULL ? NULL : PyObject_CallMethod(generic, "register", "OO", type, function);
    Py_XDECREF(result);
    Py_XDECREF(function);
    Py_XDECREF(original);
    Py_XDECREF(type);
    Py_XDECREF(module);
    return result == NULL ? -1 : 0;
}

/* --- When pkgutil is imported --------------------------------------------------------------------
 */

static void
extend_pkgutil(PyObject *pkgutil)
{
    PyObject *generic = PyObject_GetAttrString(pkgutil, "iter_importer_modules");
    if (generic == NULL || extend_type(generic, "importlib.machinery", "FileFinder") < 0 ||
        extend_type(generic, "zipimport", "zipimporter") < 0)
    {
        PyErr_WriteUnraisable(pkgutil); /* pkgutil works without baked modules */
    }
    Py_XDECREF(generic);
}

/* LOADER.exec_module(pkgutil), for one call. */
static PyObject *
load_pkgutil(PyObject *loader, PyObject *module)
{
    if (PyObject_DelAttrString(loader, "exec_module") < 0) {
        PyErr_Clear();
    }
    PyObject *result = PyObject_CallMethod(loader, "exec_module", "O", module);
    if (result != NULL) {
        extend_pkgutil(module);
    }
    return result;
}

static PyMethodDef load_method = {"exec_module", load_pkgutil, METH_O, NULL};

/* Makes load_pkgutil() the exec_module() of SPEC's loader, unless that is a type or takes no
 * attributes. */
static int
watch_loader(PyObject *spec)
{
    PyObject *loader = PyObject_GetAttrString(spec, "loader");
    PyObject *function =
        loader == NULL || PyType_Check(loader) ? NULL : PyCFunction_New(&load_method, loader);
    if (function != NULL && PyObject_SetAttrString(loader, "exec_module", function) < 0) {
        PyErr_Clear();
    }
    Py_XDECREF(function);
    Py_XDECREF(loader);
    return PyErr_Occurred() ? -1 : 0;
}

PyObject *
kiln_find_pkgutil(PyObject *finder, PyObject *name, PyObject *path)
{
    PyObject *spec = kiln_find_behind(finder, name, path);
    if (spec == NULL && !PyErr_Occurred()) {
        Py_RETURN_NONE;
    }
    if (spec != NULL && watch_loader(spec) < 0) {
        Py_CLEAR(spec);
    }
    return spec;
}
