/* The parts of the runtime that are written in Python: what runs in a frame, of which warnings and tracebacks tell.
 * `kiln link` has the interpreter compile them, and the executable keeps the code, as CPython keeps that of its frozen
 * modules: to compile them takes longer than all else that Kiln does at a start. Where there is no such code, or it is of
 * another interpreter, the runtime compiles them. Needs no Python.h. */
#ifndef KILN_INTERNAL_PYTHON_CODE_H
#define KILN_INTERNAL_PYTHON_CODE_H

enum kiln_python_code {
    KILN_CODE_LOADER,
    KILN_CODE_IMPORT,
    KILN_CODE_COUNT,
};

#define KILN_FILE_OF_BOOTSTRAP "<frozen importlib._bootstrap>"
#define KILN_FILE_OF_EXTERNAL  "<frozen importlib._bootstrap_external>"

/* Each defines a function make(). */

/* runtime/load/source.c. A module of a program that was linked by hand may have no place; its path is None. The repr
 * of a loader appears in that of its module. */
#define KILN_SOURCE_LOADER                                                                         \
    "def make(bootstrap, create, execute, is_package):\n"                                          \
    " def make_type(ExtensionFileLoader):\n"                                                       \
    "  class Loader(ExtensionFileLoader):\n"                                                       \
    "   'The loader of a module that is linked into the program.'\n"                               \
    "   __module__ = '_kiln'\n"                                                                    \
    "   __qualname__ = 'Loader'\n"                                                                 \
    "   def create_module(self, spec):\n"                                                          \
    "    return bootstrap._call_with_frames_removed(create, spec)\n"                               \
    "   def exec_module(self, module):\n"                                                          \
    "    bootstrap._call_with_frames_removed(execute, module)\n"                                   \
    "   def is_package(self, fullname): return is_package(self.name)\n"                            \
    "   def get_filename(self, fullname=None):\n"                                                  \
    "    path = super().get_filename(fullname)\n"                                                  \
    "    if path is None:\n"                                                                       \
    "     raise ImportError(f'module {self.name!r} has no file', name=self.name)\n"                \
    "    return path\n"                                                                            \
    "   def get_resource_reader(self, fullname):\n"                                                \
    "    return None if self.path is None else super().get_resource_reader(fullname)\n"            \
    "   def __repr__(self):\n"                                                                     \
    "    if self.path is None: return 'baked by Kiln'\n"                                           \
    "    return f'<loader of {self.name!r}, baked by Kiln from {self.path!r}>'\n"                  \
    "  return Loader\n"                                                                            \
    " def make_exec_module(_call_with_frames_removed):\n"                                          \
    "  def exec_module(arg): return _call_with_frames_removed(arg)\n"                              \
    "  return exec_module\n"                                                                       \
    " return make_type, make_exec_module\n"

#define KILN_SOURCE_LOAD                                                                           \
    "  spec._initializing = True\n"                                                                \
    "  try: return exec_module(lock)\n"                                                            \
    "  finally: spec._initializing = False\n"

#define KILN_SOURCE_FILL                                                                           \
    " def _find_and_load(spec, lock, name, loader, origin, has_location):\n"                       \
    "  loader.name = name\n"                                                                       \
    "  loader.path = origin\n"                                                                     \
    "  spec.name = name\n"                                                                         \
    "  spec.loader = loader\n"                                                                     \
    "  spec.origin = origin\n"                                                                     \
    "  spec.loader_state = None\n"                                                                 \
    "  spec.submodule_search_locations = None\n"

#define KILN_SOURCE_FILL_REST                                                                      \
    "  spec._set_fileattr = has_location\n"                                                        \
    "  spec._cached = None\n"

/* runtime/fast/python.c. The attributes of a spec are those that ModuleSpec.__init__() sets, in its order; from
 * CPython 3.11 on there is one more. */
#define KILN_SOURCE_IMPORT                                                                         \
    "def make(continue_, make_exec_module):\n"                                                     \
    " def _call_with_frames_removed(lock): return continue_(lock)\n"                               \
    " exec_module = make_exec_module(_call_with_frames_removed)\n"                                 \
    " def _find_and_load(spec, lock):\n" KILN_SOURCE_LOAD                                          \
    " load_made = _find_and_load\n" KILN_SOURCE_FILL KILN_SOURCE_FILL_REST KILN_SOURCE_LOAD        \
    " load_new = _find_and_load\n" KILN_SOURCE_FILL                                                \
    "  spec._uninitialized_submodules = []\n" KILN_SOURCE_FILL_REST KILN_SOURCE_LOAD               \
    " return load_made, load_new, _find_and_load, _call_with_frames_removed.__code__\n"

/* What `kiln link` writes (src/link/emit/data.c): sys.version, and for each enum kiln_python_code, in order, the number
 * of bytes (32 bits, little-endian, not aligned) and these, a code object by `marshal`. */
extern const char kiln_python_code[] __attribute__((weak));

#endif
