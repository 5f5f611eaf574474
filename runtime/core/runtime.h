/* What the files of the runtime share. Nothing of it is visible outside libkiln.a. */
#ifndef KILN_RUNTIME_RUNTIME_H
#define KILN_RUNTIME_RUNTIME_H

#include "core/pycompat.h"

#include <limits.h>
#include <stdbool.h>

#include "kiln/kiln.h"

#define KILN_MODULE_NAME        "_kiln"
#define KILN_PUBLIC_MODULE_NAME "kiln"

/* --- The process: set before the first interpreter starts, and only read afterwards. -----------
 */

struct kiln_process {
    bool installed;                 /* the importer is in the inittab */
    const struct kiln_table *table; /* NULL until Kiln_Install() */
    /* What sys.executable and sys._base_executable are to be; NULL: what CPython makes of them. */
    wchar_t *executable, *base_executable;
    wchar_t *python; /* what CPython makes of them, then */
    wchar_t *prefix; /* what sys.prefix is to be; NULL: `site` sets it, or nobody */
    bool site_first; /* `site` has to see that before it is replaced */
};
extern struct kiln_process kiln_process;

/* How many modules the table has: none without a table. */
static inline size_t
kiln_count_listed(void)
{
    return kiln_process.table == NULL ? 0 : kiln_table_get_count(kiln_process.table);
}

/* install.c: have the importer in every interpreter that is initialised from now on, table or not.
 * An enum Kiln_InstallResult. */
int kiln_install_importer(void);
/* Make ENTRIES, which have the slot, the inittab. The caller keeps them, to the end of the process
 * or until it gives others. */
void kiln_install_inittab(struct _inittab *entries);
/* How many ENTRIES there are before the one without a name. */
size_t kiln_count_inittab(const struct _inittab *entries);

/* --- lookup.c: which names are baked modules -----------------------------------------------------
 */

/* What makes a baked module. */
struct kiln_target {
    kiln_table_function function;
    unsigned flags; /* KILN_MODULE_... */
    bool listed;    /* the table has it, and so may a distribution's record */
    size_t index;   /* of the entry in the table, if it is listed */
};
/* Look for the module NAME, a str: 1 and *TARGET; 0 if there is none; -1 with an exception. */
int kiln_find_target(PyObject *name, struct kiln_target *target);
/* Whether the table has the module NAME; then *TARGET. */
bool kiln_find_in_table(PyObject *name, struct kiln_target *target);
/* The same, and whether nobody is to be asked before. Runs no Python code and no callback. */
bool kiln_find_listed(PyObject *name, struct kiln_target *target);

/* What one thread is to find under NAME, before all else, from begin to end. They nest. */
struct kiln_given {
    const char *name; /* UTF-8 */
    struct kiln_target target;
    struct kiln_given *outer;
};
void kiln_given_begin(struct kiln_given *given);
void kiln_given_end(struct kiln_given *given);

/* symbols.c: what is asked last, once Kiln_LookupSymbols() has set it; as kiln_find_target(). NAME
 * is not empty and ends in its only NUL. */
extern int (*kiln_find_symbol)(const char *name, size_t len, struct kiln_target *target);

/* --- inittab.c, builtins.c: the inittab as a hash table, and importlib asking that ----------------
 */

struct kiln_builtin {
    const char *name;
    Kiln_InitFunction initfunc;
    bool stays;  /* CPython looks after it: it is in its sight, among the first */
    bool listed; /* CPython has it in its sight, behind the slot */
};
/* Called when an interpreter starts: whether this run of Python has the hash table, which the main
 * one brings up to date; -1 with an exception. */
int kiln_inittab_refresh(void);
/* The built-in module NAME (LEN bytes), if it is in the hash table. */
bool kiln_find_builtin(const char *name, size_t len, struct kiln_builtin *found);
/* All entries, as the inittab had them. */
const struct kiln_builtin *kiln_get_builtins(size_t *count);
/* Have importlib in this interpreter ask the hash table, if there is one. 0, or -1 with an
 * exception. */
int kiln_builtins_start(void);
/* CPython's own _imp.create_builtin. BOOTSTRAP is importlib._bootstrap. New reference, or NULL with
 * an exception. */
PyObject *kiln_get_create_builtin(PyObject *bootstrap);

/* --- skew.c: whether a baked module fits to what is installed ------------------------------------
 */

struct kiln_distribution; /* kiln/distributions.h */
/* The record of the distribution that the baked module NAME came from; NULL: not known. */
struct kiln_distribution *kiln_distribution_find(const char *name, size_t len);
/* Whether FINDER is to find the baked module NAME (with FLAGS): 1, or KILN_SKEW_LOOKED if Python code
 * may have run to find that out; 0 if the version that is installed is another, and *SPEC is what is
 * to be found instead, a new reference; -1 with an exception. PATH is what find_spec() was given. */
enum { KILN_SKEW_LOOKED = 2 };
int
kiln_skew_check(PyObject *finder, PyObject *name, unsigned flags, PyObject *path, PyObject **spec);

/* --- meta_path.c ---------------------------------------------------------------------------------
 */

/* What the finders in sys.meta_path behind OURS find: a spec, a new reference, or NULL, with an
 * exception or without if they find nothing but part of a namespace package. */
PyObject *kiln_find_behind(PyObject *ours, PyObject *name, PyObject *path);

/* --- slot.c ---------------------------------------------------------------------------------------
 */

/* The name of the slot in the inittab: KILN_MODULE_NAME unless a module is being created. */
enum { KILN_SLOT_NAME_SIZE = 4001 };
extern char kiln_slot_name[];
/* Have the slot for this thread alone, under NAME, which is shorter than its size. */
void kiln_slot_take(const char *name);
/* Give it back. OUTER is the name for which this thread had it before, NULL if it had not. */
void kiln_slot_give(const char *outer);
/* Keep it usable in a child that was forked while another thread had it. */
int kiln_slot_survive_fork(void);

/* --- admission.c ----------------------------------------------------------------------------------
 */

/* Called in the first interpreter, before there are others. 0, or -1 with an exception. */
int kiln_admission_prepare(void);
/* RESULT, of an init function (it is owned), or NULL with CPython's own ImportError if it is a
 * single-phase module and this interpreter admits only modules that declare themselves fit. */
PyObject *kiln_check_admission(PyObject *result, PyObject *spec);
/* The same if it does not declare that it needs no GIL, and CPython would have turned that on. A
 * single-phase module passes if it is to be refused for being one. */
PyObject *kiln_check_gil(PyObject *result, PyObject *name, bool only_multi_phase);

/* --- create.c: modules from init functions ------------------------------------------------------
 */

/* The slot's init function. */
PyObject *kiln_slot_init(void);
/* Kiln_CreateModuleFromInitfunc() with _imp.create_builtin at hand. */
PyObject *kiln_create_module(PyObject *create_builtin, PyObject *spec, Kiln_InitFunction initfunc);
/* The same for BUILTIN, the built-in module of SPEC's name, with the result that CPython would have
 * from its inittab. */
PyObject *
kiln_create_builtin(PyObject *create_builtin, PyObject *spec, const struct kiln_builtin *builtin);
/* Tell audit hooks that the module of SPEC is to be loaded. 0, or -1 with an exception. */
int kiln_audit_load(PyObject *spec);

/* --- export.c, hook_name.c: the younger protocols ------------------------------------------------
 */

/* kiln_create_module() for an export hook (PEP 793). */
PyObject *kiln_create_module_from_export(PyObject *spec, kiln_table_function export_hook);
/* SHORT_NAME, the last component of a name that is not ASCII, as it is in the name of its init
 * function (PEP 489): bytes. NULL without an exception if it is ASCII. */
PyObject *kiln_encode_hook_name(const char *short_name);

/* The same as kiln_create_module() for a module of the table, and quicker. NAME is SPEC's, and so is
 * ORIGIN, unless it is NULL for not known. */
PyObject *
kiln_create_target(PyObject *create_builtin, PyObject *spec, PyObject *name, PyObject *origin,
                   const struct kiln_target *target, bool is_main_interpreter);

/* --- init_result.c -------------------------------------------------------------------------------
 */

/* What is wrong with the result of an init function. */
enum kiln_fault {
    KILN_FAULT_NONE,
    KILN_FAULT_SILENT, /* NULL without an exception */
    KILN_FAULT_UNINITIALIZED,
    KILN_FAULT_NO_MODULE,
    KILN_FAULT_NO_DEFINITION, /* a module that has none */
    KILN_FAULT_NAMELESS,      /* a module in a package that does not know its whole name */
};
/* RESULT, of the init function of HOOK_NAME (what dynload calls it: the last component); or NULL with
 * an exception, or with what is wrong in *FAULT for kiln_raise_fault(). It owns RESULT. */
PyObject *kiln_check_result(PyObject *result, const char *hook_name, enum kiln_fault *fault);
/* Set the exception for FAULT, unless it is none, in the place of one that is set. */
void kiln_raise_fault(enum kiln_fault fault, const char *name, const char *hook_name);
/* SystemError FORMAT % NAME, with the exception that is set as its cause where that is usual. */
void kiln_fail_with_cause(const char *format, const char *name);
/* ImportError FORMAT % NAME, with these as its name and path (NULL: None). NULL. */
PyObject *kiln_fail_import(PyObject *name, PyObject *path, const char *format);

/* --- created.c -----------------------------------------------------------------------------------
 */

/* Whether the module at INDEX of the table is a single-phase one that has been created. */
bool kiln_is_created(size_t index);
/* INITFUNC has returned a module, which is NAME. 0, or -1 with an exception. */
int kiln_remember_created(const char *name, Kiln_InitFunction initfunc);
/* There is another table. */
void kiln_forget_created(void);

/* --- context.c: the whole name for single-phase modules -----------------------------------------
 */

struct kiln_context;
/* From here until it ends, the first module that this thread creates under the last component of NAME
 * gets all of it; with NULL, modules keep the names they give themselves. NULL with an exception. */
struct kiln_context *kiln_context_begin(const char *name);
/* Whether there was no such module. */
bool kiln_context_end(struct kiln_context *context);
/* Whether MODULE, which the init function has returned, should have got NAME, which no module got:
 * nothing that hands it out is linked in. */
bool kiln_context_was_missed(const char *name, PyObject *module);
/* In a forked child. */
void kiln_context_survive_fork(void);

/* --- finder.c, loader.c: one of each an interpreter, made with their types by _kiln --------------
 */

/* BOOTSTRAP is importlib._bootstrap. New reference, or NULL with an exception. */
PyObject *kiln_loader_new(PyObject *bootstrap);
PyObject *kiln_finder_new(PyObject *bootstrap, PyObject *loader);
/* tp_new of both: they are not made from Python. */
PyObject *kiln_refuse_new(PyTypeObject *type, PyObject *args, PyObject *kwargs);
/* Whether OBJECT is a finder of any _kiln module of its interpreter. */
bool kiln_finder_check(PyObject *object);
/* A new reference to the first item of ITEMS if it is a str; else NULL, without an exception unless
 * iterating raised one. */
PyObject *kiln_get_first_string(PyObject *items);

/* --- discover.c, frames.c, files.c: more of the finder and the loader ---------------------------
 */

/* NULL, with the exception that is set, of whose traceback `import` will drop importlib's frames as
 * it does for importlib's own loaders. */
PyObject *kiln_fail_without_frames(void);
/* Methods. */
PyObject *kiln_finder_discover(PyObject *self, PyObject *args, PyObject *kwargs);
PyObject *kiln_loader_get_filename(PyObject *self, PyObject *name);
PyObject *kiln_loader_get_data(PyObject *self, PyObject *path);
PyObject *kiln_loader_get_resource_reader(PyObject *self, PyObject *name);

/* --- pkgutil.c: baked modules in the lists of pkgutil -------------------------------------------
 */

/* An iterator over (PREFIX + name, whether it is a package) of the baked modules without a parent.
 */
PyObject *kiln_iter_top_level(PyObject *prefix);
/* What FINDER.find_spec("pkgutil", PATH) returns: the spec that the finders after it have, prepared
 * for pkgutil to list baked modules from then on; or None. */
PyObject *kiln_find_pkgutil(PyObject *finder, PyObject *name, PyObject *path);

/* Where the file of the module NAME, no package, would be in a package of that __path__. New
 * reference, or NULL: with an exception, or without one if there is no such place. */
PyObject *kiln_finder_get_place(PyObject *finder, PyObject *name, PyObject *path);
/* exec_module() of the loader. 0, or -1 with an exception. */
int kiln_loader_exec(PyObject *module);

/* --- fast.c: imports without importlib's Python code --------------------------------------------
 */

/* Put the fast path in the place of importlib's function, unless it is turned off or there. 0, or -1
 * with an exception. */
int kiln_fast_install(PyObject *bootstrap, PyObject *finder, PyObject *loader);

/* --- kiln.c: the module _kiln -------------------------------------------------------------------
 */

extern struct PyModuleDef kiln_module_def;
/* Make sure that this interpreter has _kiln, and so a finder. 0, or -1 with an exception. */
int kiln_module_ensure(void);
/* sys.modules["_frozen_importlib"], which is importlib._bootstrap from the first import on. New
 * reference. */
PyObject *kiln_get_bootstrap(void);
/* Whether sys.flags.NAME is set. */
bool kiln_is_flag_set(const char *name);

/* --- venv.c: virtual environments ----------------------------------------------------------------
 */

struct kiln_venv {
    char prefix[PATH_MAX]; /* its directory */
    char home[PATH_MAX];   /* what pyvenv.cfg says of the directory of what it was made of, or "" */
    char base[PATH_MAX];   /* the executable it was made of */
};
/* Find the virtual environment that EXECUTABLE, an absolute path, is in; whether there is one. */
bool kiln_venv_find(struct kiln_venv *venv, const char *executable);

/* --- module_kiln.c: the module kiln ---------------------------------------------------------------
 */

extern struct PyModuleDef kiln_public_module_def;

/* --- executable.c: starting as another python ----------------------------------------------------
 */

/* Make CONFIG start as kiln_python does, and decide on sys.executable. CONFIG has its argv. */
PyStatus kiln_executable_choose(PyConfig *config, const char *argv0);
/* Set sys.executable of this interpreter before `site` runs, unless that has to see it as it is;
 * set it if that is still to be done. 0, or -1 with an exception. */
int kiln_executable_set_early(void);
int kiln_executable_set_late(void);

#endif
