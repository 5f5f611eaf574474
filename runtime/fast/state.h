/* The fast path's state of an interpreter and of an import, and what its files give to one
 * another. */
#ifndef KILN_RUNTIME_STATE_H
#define KILN_RUNTIME_STATE_H

#include "core/pycompat.h"

#include <stdbool.h>

#include "create/create.h"

/* Attribute names, interned. */
enum kiln_fast_name {
    KILN_NAME_FILE, /* of modules: __file__ */
    KILN_NAME_GETATTR,
    KILN_NAME_LOADER,
    KILN_NAME_NAME,
    KILN_NAME_PACKAGE,
    KILN_NAME_PATH,
    KILN_NAME_SPEC,
    KILN_NAME_SPEC_INITIALIZING,
    KILN_NAME_SPEC_CHILDREN,
    KILN_NAME_FIND_SPEC,
    KILN_NAME_META_PATH, /* of sys */
    KILN_NAME_MODULES,
    KILN_NAME_POP,       /* of sys.modules */
    KILN_NAME_OWNER,     /* of locks */
    KILN_NAME_THREAD,    /* of importlib._bootstrap: _thread */
    KILN_NAME_GET_IDENT, /* of that */
    KILN_NAME_GET_FLAGS, /* of sys */
    KILN_NAME_COUNT
};

struct kiln_module_lock;

/* One per interpreter. Owns every reference. */
struct kiln_fast {
    PyObject_HEAD
    PyObject *bootstrap; /* importlib._bootstrap */
    PyObject *original;  /* its _find_and_load() */
    PyObject *locks;     /* its _module_locks */
    PyObject *sys_dict;
    PyObject *finder, *loaders;
    PyObject *create_builtin, *acquire_lock, *release_lock, *lock_held; /* of _imp */
    PyObject *thread, *get_ident; /* _thread, and its get_ident() */
    PyObject *spec_type;
    PyObject *load_made, *load_new; /* see python.c; NULL: this importlib is not known */
    PyObject *innermost;            /* the code below which modules are created and executed */
    PyObject *set_lazy_attributes;  /* of _imp; NULL before 3.15 */
    PyObject *empty, *no_args;      /* "" and () */
    PyObject *names[KILN_NAME_COUNT];
    PyTypeObject *lock_type;
    struct kiln_module_lock *spare; /* one to use again, or NULL */
    PyObject *parent_name;          /* that of the last import that had one, or NULL */
    size_t calls;                   /* number of calls of kiln_fast_find_and_load() */
    bool is_main;                   /* the interpreter is the main one */
    bool tracks_children;           /* specs have KILN_NAME_SPEC_CHILDREN: from 3.11 on */
    bool copies_finders;            /* importlib iterates over a copy of sys.meta_path */
};

/* One import. Owns every reference but the name. */
struct kiln_import {
    struct kiln_target target;
    PyObject *name;
    PyObject *modules;                /* sys.modules: a dict, until other finders have been asked */
    PyObject *finders;                /* sys.meta_path if finders are in front of ours; or NULL */
    PyObject *parent_name, *child;    /* NULL at the top level */
    PyObject *path;                   /* its __path__ */
    PyObject *siblings;               /* the list in its spec of children being imported; or NULL */
    PyObject *spec, *loader, *origin; /* set while it is loaded; origin is NULL if it has none */
    struct kiln_module_lock *lock;
};

/* Packages have directories on the search path, which the finder looks for. */
static inline bool
kiln_fast_is_package(const struct kiln_import *import)
{
    return (import->target.flags & KILN_MODULE_PACKAGE) != 0;
}

/* --- state.c -------------------------------------------------------------------------------------
 */

/* Returns whether the fast path is on in this process. */
bool kiln_fast_is_on(void);
/* Turns it on or off unless Kiln_SetFastPath() has done so. */
void kiln_fast_set_default(bool on);
/* Returns sys.modules, a new reference; NULL with an exception. */
PyObject *kiln_fast_get_modules(struct kiln_fast *fast);
/* Sets IMPORT->modules to sys.modules. Returns 0, or -1 with an exception. */
int kiln_fast_follow_modules(struct kiln_fast *fast, struct kiln_import *import);

/* --- import.c: methods of struct kiln_fast -------------------------------------------------------
 */

/* Replaces importlib._bootstrap._find_and_load. A name that is not in the table costs one
 * lookup. */
PyObject *kiln_fast_find_and_load(PyObject *fast, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *keywords);
/* Called by the functions of python.c with the lock of the module to load. */
PyObject *kiln_fast_continue(PyObject *fast, PyObject *lock);

/* --- check.c -------------------------------------------------------------------------------------
 */

/* Fills IMPORT, which has its name and target, and takes the module's lock. Returns 1; 0 if the
 * import is for importlib; -1 with an exception. */
int kiln_fast_prepare(struct kiln_fast *fast, struct kiln_import *import);

/* --- find.c --------------------------------------------------------------------------------------
 */

/* Asks the finders in front of ours. Returns 1 if importlib's code is to load IMPORT->spec; 0 if
 * the module is ours; -1 with an exception. */
int kiln_fast_ask_others(struct kiln_fast *fast, struct kiln_import *import);

/* --- lock.c --------------------------------------------------------------------------------------
 */

/* Stands in for importlib's lock of a module, which is made only if another thread asks for it. */

struct kiln_module_lock {
    PyObject_HEAD
    struct kiln_import *import; /* the import that holds it; NULL: it is not held */
    struct kiln_fast *fast;
    PyObject *name;
    PyObject *shared;    /* importlib's lock, once it has been made; or NULL */
    bool asked;          /* a thread has asked for importlib's lock */
    bool making;         /* a thread is making it, with the import lock held */
    unsigned long owner; /* the thread that holds it */
};

/* Returns whether the lock of the module NAME can be taken: importlib has none of that name, is not
 * making one, and identifies threads as we do. -1 with an exception. */
int kiln_module_lock_is_free(struct kiln_fast *fast, PyObject *name);
/* Takes the lock of the module IMPORT->name for this thread. Returns 1, with the lock in
 * IMPORT->lock; 0 if it is not free; -1 with an exception. */
int kiln_module_lock_take(struct kiln_fast *fast, struct kiln_import *import);
/* Releases it. Returns 0, and keeps an exception that is set; or -1 with the exception of the
 * release. */
int kiln_module_lock_give(struct kiln_import *import);
/* Returns whether this thread holds the lock of the module NAME; -1 with an exception. */
int kiln_module_lock_is_mine(struct kiln_fast *fast, PyObject *name);
/* Returns the type of locks, a new reference; NULL with an exception. */
PyTypeObject *kiln_module_lock_make_type(void);

/* --- python.c ------------------------------------------------------------------------------------
 */

/* Makes the functions written in Python. They stay NULL if this importlib is not known. Returns 0,
 * or -1 with an exception. */
int kiln_fast_make_functions(struct kiln_fast *fast);
/* Makes the spec of IMPORT, and loads the module below frames of importlib. New reference, or NULL
 * with an exception. */
PyObject *kiln_fast_load_from_python(struct kiln_fast *fast, struct kiln_import *import);

/* --- load.c --------------------------------------------------------------------------------------
 */

/* Creates, registers and executes the module of IMPORT->spec. New reference; or NULL with an
 * exception, and the module is not in sys.modules. */
PyObject *kiln_fast_load(struct kiln_fast *fast, struct kiln_import *import);
/* Makes MODULE an attribute of its parent. Returns 0, or -1 with an exception. */
int kiln_fast_bind(struct kiln_fast *fast, struct kiln_import *import, PyObject *module);

/* --- warnings.c ----------------------------------------------------------------------------------
 */

/* What importlib's frames are to a module of this thread that is being created or executed on the
 * fast path. */
struct kiln_frames {
    PyObject *innermost; /* code of the innermost frame; NULL: no module is */
    int missing;         /* number of frames that importlib has, and the fast path has not */
};
extern _Thread_local struct kiln_frames kiln_fast_frames;

#endif
