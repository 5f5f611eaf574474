/* The C API of Kiln's runtime, libkiln.a: bringing a table of linked-in extension modules into
 * CPython's import system, and creating a module from nothing but its init function.
 *
 * CPython 3.8 and later, unpatched, static or shared libpython. libkiln.a is compiled for one minor
 * version of CPython, as an extension is. Include <Python.h> first.
 *
 * What a program with baked modules does:
 *
 *     #include <Python.h>
 *     #include <kiln/kiln.h>
 *
 *     int
 *     main(int argc, char **argv)
 *     {
 *         return Kiln_Main(argc, argv);            // a `python` with the modules of kiln_table
 *     }
 *
 * or, as an embedder with an initialisation of its own:
 *
 *     if (Kiln_Install(&kiln_table) < 0) { ... }   // before Py_Initialize...()
 *     Py_InitializeFromConfig(&config);
 *
 * From then on `import` finds the modules of the table in every interpreter of the process, before
 * any file of the same name, and each behaves as if it had been loaded from a shared library: PEP
 * 489 multi-phase modules, single-phase modules of every m_size, PEP 793 export hooks (from 3.15
 * on), names that are not ASCII, extensions that are packages. */
#ifndef KILN_KILN_H
#define KILN_KILN_H

#include <Python.h>

#include "kiln/table.h"

#ifdef __cplusplus
extern "C" {
#endif

#define KILN_API __attribute__((visibility("default")))

/* Results of Kiln_Install() and of the other functions that prepare a program's imports. */
enum Kiln_InstallResult {
    KILN_INSTALL_OK = 0,
    KILN_INSTALL_TABLE = -1,  /* the table is damaged, or its layout is another Kiln's */
    KILN_INSTALL_LATE = -2,   /* an interpreter runs already */
    KILN_INSTALL_MEMORY = -3, /* the system has no memory left */
    KILN_INSTALL_PREFIX = -4, /* no prefix of symbols: see Kiln_LookupSymbols() */
    KILN_INSTALL_PYTHON = -5, /* libkiln.a is for another version of Python */
};

/* Make every interpreter that is initialised from now on find the modules of TABLE: the importer is
 * in front of sys.meta_path before `site` runs, so that .pth files and sitecustomize can import
 * them, in the main interpreter and in sub-interpreters.
 *
 * Call it before Py_Initialize(), Py_InitializeFromConfig() or Py_Main(), from one thread, after
 * what PyImport_AppendInittab() may have to do. TABLE is borrowed and must live on to the end of
 * the process. Calling it again is harmless, replaces the table, and is needed after Py_RunMain() and
 * Py_Main(), at the end of which CPython forgets its inittab. (Py_Finalize() keeps it.)
 *
 * How: PyImport_Inittab is pointed at a copy that has one more entry, `_kiln`, through which all
 * modules are created (see Kiln_CreateModuleFromInitfunc()), and in which the init function of
 * `posix` (`_io` on 3.8), the first module that every interpreter imports, brings the importer along. `_kiln` is
 * therefore listed in sys.builtin_module_names.
 *
 * Returns KILN_INSTALL_OK, or a negative value, and then nothing has changed. Needs no GIL and sets
 * no exception. */
KILN_API int Kiln_Install(const struct kiln_table *table);

/* What a negative RESULT of Kiln_Install() and its like means, in a sentence. */
KILN_API const char *Kiln_GetInstallError(int result);

/* `python` with the modules of `kiln_table` (which must be linked in): takes the options of the
 * python command, -c, -m, scripts and standard input, runs it all, and returns the exit status for
 * main() to return. ARGV is in the encoding of the environment, as main() got it.
 *
 * In an executable made by `kiln link`, which knows what python it was linked for (PY), it starts
 * as PY: sys.prefix, sys.base_prefix and sys.path are PY's, and if PY is the python of a virtual
 * environment, so is this. sys.executable is the executable itself, so that child processes have
 * its modules too; sys._base_executable likewise. An executable that is run through the bin
 * directory of a virtual environment (one made by `executable -m venv`) is the python of that
 * environment instead.
 *
 * sys.executable is what it will be before `site` runs, in every interpreter, with one exception:
 * if PY is in a virtual environment, `site` has to see PY there to find that environment, and
 * sys.executable changes when `site` is through with the .pth files, just before it imports
 * sitecustomize.
 *
 * Elsewhere, sys.executable and all paths are what CPython makes of argv[0]. */
KILN_API int Kiln_Main(int argc, char **argv);

/* An extension's init function: PyInit_name, or PyInitU_name (PEP 489). */
typedef PyObject *(*Kiln_InitFunction)(void);

/* Create the module that SPEC describes by calling INITFUNC, as importlib's loaders create a module
 * from a shared library: what create_module() of a loader returns.
 *
 * The contract is that of PyImport_CreateModuleFromInitfunc() of CPython 3.15, on CPython 3.8 and
 * later:
 *  - SPEC is any object whose `name` is the module's full name, a str. It is handed to the create
 *    slot of a multi-phase module. Borrowed.
 *  - A multi-phase module (PEP 489: INITFUNC returns its PyModuleDef) is created, not executed;
 *    that is what exec_module() of the loader, or PyModule_ExecDef(), is for. It need not be a
 *    module object.
 *  - A single-phase module is complete, and in sys.modules, as INITFUNC leaves it. It is kept in
 *    CPython's cache of extensions under its full name: creating it again gives, as with a shared
 *    library, the state it had (m_size -1) or calls INITFUNC again (m_size 0 or more).
 *  - It can be called from any interpreter and from many threads. An interpreter that admits only
 *    modules made for it (PEP 684) gets CPython's own ImportError for others.
 * Beyond it:
 *  - The module `pkg.sub` that creates itself under the last component of its name has the __name__
 *    "pkg.sub", if its call of PyModule_Create() is one of kiln_PyModule_Create2(): objects that
 *    went through `kiln isolate` or `kiln link` do that; others say -Wl,--wrap=PyModule_Create2
 *    when they are linked, or have it from CPython's own switch, where libpython lets Kiln set it. If
 *    neither is there, such a module is an ImportError that says so.
 *  - Names that are not ASCII are fine for multi-phase modules; for others PEP 489 forbids them.
 *  - A SPEC with an `origin` other than None raises an `import` audit event of its own, with the
 *    origin as the filename, as the loading of a shared library does: in the interpreter that imports
 *    the module, before INITFUNC is called, and not for a module that CPython has in its cache.
 *  - A name that the inittab has too means INITFUNC's module. If that is a single-phase one, or has
 *    a name longer than 4,000 bytes, it is not cached: creating it again calls INITFUNC again.
 *
 * Returns a new reference, or NULL with an exception: what INITFUNC or the create slot raised;
 * SystemError, in the words it has for a shared library, if INITFUNC returned NULL without an
 * exception, or a result with one, or what is no module; TypeError if the name is no str;
 * ValueError if it is empty or has a NUL in it; UnicodeEncodeError if it has a lone surrogate;
 * ImportError, with its name set, if Kiln_Install() has not been called for this run of the
 * interpreter. */
KILN_API PyObject *Kiln_CreateModuleFromInitfunc(PyObject *spec, Kiln_InitFunction initfunc);

/* Import the module FULLNAME (UTF-8), with INITFUNC as its init function, whatever the table, the
 * inittab and the file system have under that name: create, register and return it in one call.
 *
 * It is an import in every respect but that the finder of Kiln finds INITFUNC:
 *  - A module that is in sys.modules already is returned as it is, INITFUNC unused; so a second
 *    call returns what the first did. If another thread is importing it, this one waits.
 *  - The packages that FULLNAME is in are imported before, as importlib does it, and must be found
 *    by whoever finds them; the module is bound in its parent. Errors there pass through:
 *    ModuleNotFoundError if the parent does not exist or is no package.
 *  - The module is executed, and has __spec__ and __loader__ as one from the table. It is no
 *    package.
 *  - Finders that stand before Kiln's in sys.meta_path are asked first.
 *  - If it fails, sys.modules has no trace of the module; parents that were imported stay.
 * INITFUNC is not remembered: if the module is removed from sys.modules, `import` does not find it
 * again, and this function creates it again. importlib.reload() leaves it as it is.
 *
 * Returns a new reference, or NULL with an exception: those of Kiln_CreateModuleFromInitfunc(), of
 * the parents, and of executing the module; ValueError if FULLNAME or a component of it
 * is empty; UnicodeDecodeError if it is not UTF-8; SystemError if an argument is NULL; ImportError if Kiln is not installed. Needs
 * the GIL. */
KILN_API PyObject *Kiln_ImportByInitFunc(const char *fullname, Kiln_InitFunction initfunc);

/* A callback from dotted name to init function: what makes the module FULLNAME (UTF-8, never empty,
 * valid during the call), or NULL.
 *
 * *FLAGS is 0; the callback may set KILN_MODULE_PACKAGE (the module is a package; its __path__ are
 * the directories of its name on the search path, as for packages of a table) and
 * KILN_MODULE_EXPORT (the result is a PEP 793 export hook, to be cast). ARG is what was given to
 * Kiln_SetLookup().
 *
 * NULL without an exception says that it knows no such module: whoever comes next is asked. NULL
 * with an exception makes the import fail with that exception. A function with an exception, and
 * flags that do not exist, are a SystemError.
 *
 * It is called with the GIL held (with an attached thread state, in free-threaded builds), for every
 * name that is not in sys.modules, more than once during an import, and has to give the same answer
 * each time; in interpreters with a GIL of their own, and in free-threaded builds, by several threads
 * at once. It may call Python and import, and is then asked again from within. Names that are no
 * UTF-8 (lone surrogates) or have a NUL in them are not asked for. */
typedef Kiln_InitFunction (*Kiln_LookupFunction)(const char *fullname, unsigned *flags, void *arg);

/* Ask CALLBACK for every module that is imported from now on, in all interpreters, before the table
 * and before the inittab; NULL: nobody any more. There is one callback a process; this replaces it.
 *
 * It brings the importer into the inittab if Kiln_Install() has not: then a call before Python is
 * initialised is all that a program without a table needs, and is needed again after Py_RunMain().
 * With the importer there, it can be called at any time and by any thread; another thread may
 * still be in the callback that was replaced. The callback and ARG must live on.
 * What Python imports before its first finder is there (sys, builtins, posix and the like) is not
 * asked for.
 *
 * Returns KILN_INSTALL_OK, KILN_INSTALL_LATE or KILN_INSTALL_MEMORY, and then nothing has changed.
 * Needs no GIL and sets no exception. */
KILN_API int Kiln_SetLookup(Kiln_LookupFunction callback, void *arg);

/* Flags of Kiln_LookupSymbols(). */
#define KILN_SYMBOLS_DOUBLED 0x01u /* "_" is doubled and "." is "_": PackagePyInit_pkg_foo__bar */

/* Find modules by the names of their init functions among the dynamic symbols of the program and of
 * the libraries it is linked with (dlsym()), without a table: what neither callback nor table have.
 *
 * The symbol of a module is PREFIX and its dotted name in Kiln's own form (`_` is `__`, `.` is
 * `_d`, a byte of a character that is not ASCII is `_x` and two hexadecimal digits), the symbol that
 * `kiln isolate` gives. PREFIX NULL is "kiln_init_", or "PackagePyInit_" with KILN_SYMBOLS_DOUBLED.
 * With that flag the name is written as there. In that form `a_.b` and `a._b` would have one
 * symbol: names with a component that ends in an underscore are not found, except as the last
 * component, nor are names that are not ASCII; each other name has a symbol of its own.
 *
 * A package `pkg` that is an extension is found under the symbol of `pkg.__init__`. From Python 3.15
 * on, PEP 793 export hooks are found and preferred: under "kiln_export_" where PREFIX is
 * "kiln_init_", and under "PyModExport_" where it ends in "PyInit_".
 *
 * The symbols have to be in the dynamic symbol table: visible, and in an executable linked with
 * -rdynamic or -Wl,--export-dynamic-symbol='PREFIX*'. Only functions count; data is not found. What
 * has such a name is called as an init function, so a prefix has to be a word that nothing else in
 * the process begins with: letters, digits and underscores, an underscore at its end, no digit at
 * its beginning, 64 bytes at most. Symbols longer than 4,000 bytes are not found.
 *
 * Call it before Python is initialised; it brings the importer along as Kiln_SetLookup() does, and
 * is needed again after Py_RunMain(). PREFIX is copied. Calling it again replaces PREFIX and FLAGS.
 *
 * Returns KILN_INSTALL_OK, KILN_INSTALL_LATE, KILN_INSTALL_MEMORY or, if PREFIX or FLAGS cannot be,
 * KILN_INSTALL_PREFIX, and then nothing has changed. Needs no GIL and sets no exception. */
KILN_API int Kiln_LookupSymbols(const char *prefix, unsigned flags);

/* Make finding and creating built-in modules take the same time whatever their number and place in
 * the inittab: for programs with thousands of PyImport_AppendInittab(), PyImport_ExtendInittab() or
 * PyInitConfig_AddModule() (PEP 741).
 *
 * Call it before Python is initialised, best after the calls that fill the inittab; what is added
 * between it and the initialisation is found, too, see docs/interfaces.md for what it costs. It
 * brings the importer along as Kiln_SetLookup() does, and is needed again after Py_RunMain().
 *
 * The inittab is replaced by the few entries that CPython needs to start, and a hash table has all.
 * In every interpreter, _imp.is_builtin() and _imp.create_builtin() ask it, and
 * sys.builtin_module_names is a tuple of all names, of a type whose `in` asks it. All else is as
 * before: modules are loaded by importlib's BuiltinImporter and cached by CPython; of two entries of
 * one name the first counts, on Python 3.13 and 3.14 the last; entries of `sys` and `builtins` are left
 * to CPython.
 *
 * Returns KILN_INSTALL_OK, KILN_INSTALL_LATE or KILN_INSTALL_MEMORY, and then the inittab works as
 * ever. Needs no GIL and sets no exception. */
KILN_API int Kiln_HashInittab(void);

/* Turn the fast path on (ON is not 0) or off, for the process. It is on from the start, unless the
 * environment has KILN_FAST=0 (which, like Python's own variables, is ignored with -E and -I, and by
 * isolated configurations): the importer then does not wait for importlib's Python code, but puts a
 * function in C in the place of importlib._bootstrap._find_and_load, which imports the modules of
 * the table. What is imported, and what can be seen of it, is the same.
 *
 * Can be called at any time, by any thread, with or without the GIL. If it is off when an interpreter
 * is initialised, that interpreter goes without. */
KILN_API void Kiln_SetFastPath(int on);

/* --- What linked-in extensions call, by way of renamed symbols ----------------------------------
 */

/* PyModule_Create2(), except that a module created by an init function under the last component of
 * the name it is imported by gets the whole name, as CPython does it for shared libraries. With
 * -Wl,--wrap=PyModule_Create2, libkiln.a's __wrap_PyModule_Create2 comes in here. New reference;
 * NULL with an exception. */
KILN_API PyObject *kiln_PyModule_Create2(struct PyModuleDef *def, int module_api_version);

/* CPython's functions of these names, except that STACK_LEVEL counts the frames of importlib that
 * an import of a shared library would have. Each returns 0, or -1 with an exception. */
KILN_API int kiln_PyErr_WarnEx(PyObject *category, const char *message, Py_ssize_t stack_level);
KILN_API int
kiln_PyErr_WarnFormat(PyObject *category, Py_ssize_t stack_level, const char *format, ...);
KILN_API int
kiln_PyErr_ResourceWarning(PyObject *source, Py_ssize_t stack_level, const char *format, ...);

#ifdef __cplusplus
}
#endif

#endif
