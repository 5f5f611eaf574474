// What large monorepos use: a std::unordered_map from dotted name to init function, filled at
// start-up, behind a finder written in Python and a loader whose work is done in C++.
#include "side.h"

#include <string>
#include <unordered_map>

namespace {

std::unordered_map<std::string, PyObject *(*)()> functions;

PyObject *is_known(PyObject *, PyObject *name)
{
    const char *utf8 = PyUnicode_AsUTF8(name);
    return utf8 == nullptr ? nullptr : PyBool_FromLong(functions.count(utf8) != 0);
}

PyObject *create_module(PyObject *, PyObject *spec)
{
    PyObject *name = PyObject_GetAttrString(spec, "name");
    const char *utf8 = name == nullptr ? nullptr : PyUnicode_AsUTF8(name);
    PyObject *module = nullptr;
    if (utf8 != nullptr) {
        auto found = functions.find(utf8);
        PyObject *def = found == functions.end() ? nullptr : found->second();
        module = def == nullptr ? nullptr : PyModule_FromDefAndSpec(reinterpret_cast<PyModuleDef *>(def), spec);
    }
    Py_XDECREF(name);
    return module;
}

PyObject *exec_module(PyObject *, PyObject *module)
{
    PyModuleDef *def = PyModule_GetDef(module);
    if (def == nullptr || PyModule_ExecDef(module, def) < 0) {
        return nullptr;
    }
    Py_RETURN_NONE;
}

PyMethodDef methods[] = {{"is_known", is_known, METH_O, nullptr},
                         {"create_module", create_module, METH_O, nullptr},
                         {"exec_module", exec_module, METH_O, nullptr},
                         {nullptr, nullptr, 0, nullptr}};
PyModuleDef definition = {PyModuleDef_HEAD_INIT, "_static", nullptr, -1, methods, nullptr, nullptr, nullptr, nullptr};

const char finder[] = R"(
import _static, sys
from importlib.machinery import ModuleSpec

class StaticLoader:
    @staticmethod
    def create_module(spec):
        return _static.create_module(spec)

    @staticmethod
    def exec_module(module):
        _static.exec_module(module)

class StaticFinder:
    @classmethod
    def find_spec(cls, fullname, path=None, target=None):
        if _static.is_known(fullname):
            return ModuleSpec(fullname, StaticLoader, origin="static")
        return None

sys.meta_path.insert(0, StaticFinder)
)";

PyObject *init_static()
{
    return PyModule_Create(&definition);
}

} // namespace

int side_prepare()
{
    functions.reserve(bench_count);
    for (size_t i = 0; i < bench_count; i++) {
        functions.emplace(bench_modules[i].name, bench_modules[i].init);
    }
    return PyImport_AppendInittab("_static", init_static);
}

int side_install()
{
    return PyRun_SimpleString(finder);
}
