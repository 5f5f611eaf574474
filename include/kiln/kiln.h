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

/* Results of Kiln_Install(). */
enum Kiln_InstallResult {
    KILN_INSTALL_OK = 0,
    KILN_INSTALL_TABLE = -1,  /* the table is damaged, or its layout is another Kiln's */
    KILN_INSTALL_LATE = -2,   /* an interpreter runs already */
    KILN_INSTALL_MEMORY = -3, /* the system has no memory left */
};

/* Make every interpreter that is initialised from now on find the modules of TABLE: the importer is
 * in front of sys.meta_path before `site` runs, so that .pth files and sitecustomize can import
 * them, in the main interpreter and in sub-interpreters.
 *
 * Call it before Py_Initialize(), Py_InitializeFromConfig() or Py_Main(), from one thread, after
 * what PyImport_AppendInittab() may have to do. TABLE is borrowed and must live on to the end of
 * the process. Calling it again is harmless, replaces the table, and is needed after Py_Finalize(),
 * with which CPython before 3.12 forgets its inittab.
 *
 * How: PyImport_Inittab is pointed at a copy that has one more entry, `_kiln`, through which all
 * modules are created (see Kiln_CreateModuleFromInitfunc()), and in which the init function of
 * `posix`, the first module that every interpreter imports, brings the importer along. `_kiln` is
 * therefore listed in sys.builtin_module_names.
 *
 * Returns KILN_INSTALL_OK, or a negative value, and then nothing has changed. Needs no GIL and sets
 * no exception. */
KILN_API int Kiln_Install(const struct kiln_table *table);

/* What a negative RESULT of Kiln_Install() means, in a sentence. */
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
 *    when they are linked.
 *  - Names that are not ASCII are fine for multi-phase modules; for others PEP 489 forbids them.
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

/* --- What linked-in extensions call, by way of renamed symbols ----------------------------------
 */

/* PyModule_Create2(), except that a module created by an init function under the last component of
 * the name it is imported by gets the whole name, as CPython does it for shared libraries. With
 * -Wl,--wrap=PyModule_Create2, libkiln.a's __wrap_PyModule_Create2 comes in here. New reference;
 * NULL with an exception. */
KILN_API PyObject *kiln_PyModule_Create2(struct PyModuleDef *def, int module_api_version);

#ifdef __cplusplus
}
#endif

#endif
