/* What makes pkgutil.iter_modules() and walk_packages(), and so pydoc and the like, list baked
 * modules: pkgutil does not ask the finders of sys.meta_path about the members of a package, but
 * the generic function pkgutil.iter_importer_modules() about each directory of its __path__.
 *
 * So when pkgutil is imported, and not before, that function gets an implementation for the
 * finders of directories and zip files which adds the baked members to what it has found. They are
 * listed where a spec says that they are: in the first directory of the __path__ of their parent.
 * To be there at the right time, the finder answers for `pkgutil` with the spec that the finders
 * after it have, whose loader executes the module by load_pkgutil() this one time. */
#include "core/runtime.h"

#include <string.h>

/* --- What there is ------------------------------------------------------------------------------
 */

static PyObject *
get_first_location(PyObject *parent)
{
    PyObject *module = PyImport_GetModule(parent);
    PyObject *path = module == NULL ? NULL : PyObject_GetAttrString(module, "__path__");
    PyObject *first = path == NULL ? NULL : kiln_get_first_string(path);
    Py_XDECREF(path);
    Py_XDECREF(module);
    PyErr_Clear(); /* what cannot be iterated over has no first item */
    return first;
}

/* Whether the modules in the package PARENT are said to be in DIRECTORY. KNOWN has the answers so
 * far. -1 with an exception. */
static int
is_placed_in(PyObject *parent, PyObject *directory, PyObject *known)
{
    PyObject *answer = PyDict_GetItemWithError(known, parent);
    if (answer != NULL || PyErr_Occurred()) {
        return answer == NULL ? -1 : answer == Py_True;
    }
    PyObject *first = get_first_location(parent);
    bool placed = first != NULL && PyUnicode_Compare(first, directory) == 0;
    Py_XDECREF(first);
    if (PyErr_Occurred() || PyDict_SetItem(known, parent, placed ? Py_True : Py_False) < 0) {
        return -1;
    }
    return placed;
}

/* As is_placed_in() for one module, of which PARENT, up to its last dot, is the package. A module
 * without one is in no directory: NULL. */
static int
is_wanted(const char *parent, Py_ssize_t len, PyObject *directory, PyObject *known)
{
    if (len == 0 || directory == NULL) {
        return len == 0 && directory == NULL;
    }
    PyObject *name = PyUnicode_FromStringAndSize(parent, len);
    int result = name == NULL ? -1 : is_placed_in(name, directory, known);
    Py_XDECREF(name);
    return result;
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

/* Add to FOUND, a dict, PREFIX and the last component of the name of each baked module whose place
 * is DIRECTORY; with NULL, of those that are in no package. The values say whether it is a package.
 */
static int
add_baked(PyObject *found, PyObject *prefix, PyObject *directory)
{
    PyObject *known = PyDict_New();
    int result = known == NULL ? -1 : 0;
    for (size_t i = 0; result == 0 && i < kiln_count_listed(); i++) {
        const struct kiln_table_entry *entry = kiln_table_get_entry(kiln_process.table, i);
        const char *name = kiln_table_get_name(entry);
        size_t len = kiln_table_get_name_len(entry);
        const char *dot = memrchr(name, '.', len);
        size_t parent_len = dot == NULL ? 0 : (size_t)(dot - name);
        size_t start = dot == NULL ? 0 : parent_len + 1;
        int wanted = is_wanted(name, (Py_ssize_t)parent_len, directory, known);
        result = wanted <= 0 ? wanted
                             : add_name(found, prefix, name + start, len - start,
                                        kiln_table_get_flags(entry));
    }
    Py_XDECREF(known);
    return result;
}

/* An iterator over the items of FOUND, by name. */
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

/* The directory that IMPORTER, a FileFinder or a zipimporter, looks into. */
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
        /* The prefix ends in a slash, if it is not empty. */
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

/* The modules that pkgutil has found, with those in FOUND. */
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

/* Replace what GENERIC does for the type NAME of MODULE. */
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

/* --- Being there when pkgutil is imported -------------------------------------------------------
 */

static void
extend_pkgutil(PyObject *pkgutil)
{
    PyObject *generic = PyObject_GetAttrString(pkgutil, "iter_importer_modules");
    if (generic == NULL || extend_type(generic, "importlib.machinery", "FileFinder") < 0 ||
        extend_type(generic, "zipimport", "zipimporter") < 0)
    {
        PyErr_WriteUnraisable(pkgutil); /* it works all the same */
    }
    Py_XDECREF(generic);
}

/* LOADER.exec_module(pkgutil), once. */
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

/* A loader that is a type, or has no attributes of its own, is left as it is. */
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

/* What the finders after FINDER have for the name; None if one is not to be asked in this way. */
static PyObject *
ask_finders_after(PyObject *finder, PyObject *finders, PyObject *name, PyObject *path)
{
    bool after = false;
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(finders); i++) {
        PyObject *other = PyList_GET_ITEM(finders, i);
        if (!after) {
            after = other == finder;
            continue;
        }
        if (!PyObject_HasAttrString(other, "find_spec")) {
            break;
        }
        Py_INCREF(other);
        PyObject *spec = PyObject_CallMethod(other, "find_spec", "OO", name, path);
        Py_DECREF(other);
        if (spec != Py_None) {
            return spec;
        }
        Py_DECREF(spec);
    }
    Py_RETURN_NONE;
}

PyObject *
kiln_find_pkgutil(PyObject *finder, PyObject *name, PyObject *path)
{
    PyObject *meta_path = kiln_get_sys("meta_path");
    PyObject *finders = meta_path == NULL ? PyList_New(0) : PySequence_List(meta_path);
    Py_XDECREF(meta_path);
    PyObject *spec = finders == NULL ? NULL : ask_finders_after(finder, finders, name, path);
    Py_XDECREF(finders);
    if (spec != NULL && spec != Py_None && watch_loader(spec) < 0) {
        Py_CLEAR(spec);
    }
    return spec;
}
