/* What the files of the fast path share: fast*.c and module_lock.c. */
#ifndef KILN_RUNTIME_FAST_H
#define KILN_RUNTIME_FAST_H

#include "core/runtime.h"

/* Attribute names, interned. */
enum kiln_fast_name {
    KILN_NAME_FILE, /* of modules: __file__ */
    KILN_NAME_GETATTR,
    KILN_NAME_LOADER,
    KILN_NAME_NAME,
    KILN_NAME_PACKAGE,
    KILN_NAME_PATH,
    KILN_NAME_SPEC,
    KILN_NAME_SPEC_NAME, /* of specs: name */
    KILN_NAME_SPEC_LOADER,
    KILN_NAME_SPEC_ORIGIN,
    KILN_NAME_SPEC_HAS_LOCATION,
    KILN_NAME_SPEC_INITIALIZING,
    KILN_NAME_SPEC_CHILDREN,
    KILN_NAME_FIND_SPEC,
    KILN_NAME_META_PATH, /* of sys */
    KILN_NAME_MODULES,
    KILN_NAME_POP,       /* of sys.modules */
    KILN_NAME_OWNER,     /* of locks */
    KILN_NAME_THREAD,    /* of importlib._bootstrap: _thread */
    KILN_NAME_GET_IDENT, /* of that */
    KILN_NAME_COUNT
};

struct kiln_module_lock;

/* One an interpreter. All references are strong. */
struct kiln_fast {
    PyObject_HEAD
    PyObject *bootstrap; /* importlib._bootstrap */
    PyObject *original;  /* its _find_and_load() */
    PyObject *original_find_spec;
    PyObject *locks; /* its _module_locks */
    PyObject *sys_dict;
    PyObject *finder, *loader;
    PyObject *create_builtin, *acquire_lock, *release_lock, *lock_held; /* of _imp */
    PyObject *thread, *get_ident; /* _thread, and by what it tells threads apart */
    PyObject *spec_type;
    PyObject *load_made, *load_new; /* see fast_python.c; NULL: importlib is not as we know it */
    PyObject *set_lazy_attributes;  /* of _imp; NULL before 3.15 */
    PyObject *empty, *no_args;      /* "" and () */
    PyObject *names[KILN_NAME_COUNT];
    PyTypeObject *lock_type;
    struct kiln_module_lock *spare; /* the last one that was given back, or NULL */
    PyObject *parent_name;          /* of the last import that had one, or NULL */
    size_t calls;                   /* of kiln_fast_find_and_load() */
    bool is_main;                   /* the interpreter is the main one */
    bool tracks_children;           /* specs have KILN_NAME_SPEC_CHILDREN: from 3.11 on */
    bool copies_finders;            /* importlib goes through a copy of sys.meta_path */
};

/* One import on its way. Strong references, but for the name. */
struct kiln_import {
    struct kiln_target target;
    PyObject *name;
    PyObject *modules;             /* sys.modules: a dict, until others have had their turn */
    PyObject *finders;             /* to go through, if others are before ours; or NULL */
    PyObject *parent_name, *child; /* NULL at the top level */
    PyObject *path;                /* its __path__ */
    PyObject *siblings;            /* the list of what its spec says is being imported; or NULL */
    PyObject *spec, *origin;       /* set while it is loaded; origin is NULL if it has none */
    struct kiln_module_lock *lock;
};

/* Those look for directories, which is for finder.c. */
static inline bool
kiln_fast_is_package(const struct kiln_import *import)
{
    return (import->target.flags & KILN_MODULE_PACKAGE) != 0;
}

/* --- fast_install.c, fast_check.c ----------------------------------------------------------------
 */

bool kiln_fast_is_on(void);
/* Fill IMPORT, which has its name and target, and take the module's lock: 1; 0 if it is for
 * importlib; -1 with an exception. */
int kiln_fast_prepare(struct kiln_fast *fast, struct kiln_import *import);
/* What sys.modules is now, a new reference; NULL with an exception. */
PyObject *kiln_fast_get_modules(struct kiln_fast *fast);
/* The same to IMPORT->modules: 0, or -1 with an exception. */
int kiln_fast_follow_modules(struct kiln_fast *fast, struct kiln_import *import);

/* --- fast.c: methods of struct kiln_fast ---------------------------------------------------------
 */

/* What stands in importlib._bootstrap. A name that is not in the table costs one lookup. */
PyObject *kiln_fast_find_and_load(PyObject *fast, PyObject *const *args, Py_ssize_t nargs,
                                  PyObject *keywords);
/* What those of fast_python.c call with the lock of the module to load. */
PyObject *kiln_fast_continue(PyObject *fast, PyObject *lock);

/* --- fast_find.c: the finders of sys.meta_path ---------------------------------------------------
 */

/* The first COUNT of FINDERS, which is sys.meta_path, as importlib goes through them: it may see them
 * change on the way. New reference, or NULL with an exception. */
PyObject *kiln_fast_hold_finders(struct kiln_fast *fast, PyObject *finders, Py_ssize_t count);
/* Ask the finders before ours: 1 with the spec that importlib's code is to load; 0 if the module is
 * ours; -1 with an exception. */
int kiln_fast_ask_others(struct kiln_fast *fast, struct kiln_import *import);
/* A method, for importlib._bootstrap._find_spec. */
PyObject *
kiln_fast_find_spec(PyObject *fast, PyObject *const *args, Py_ssize_t nargs, PyObject *keywords);

/* --- module_lock.c: importlib's lock of a module, made only when somebody waits for it -----------
 */

struct kiln_module_lock {
    PyObject_HEAD
    struct kiln_import *import; /* what it is held for; NULL: it is not held */
    struct kiln_fast *fast;
    PyObject *name;
    PyObject *shared;    /* importlib's lock, once somebody has asked for it; or NULL */
    bool asked;          /* somebody has asked for it */
    bool making;         /* and is doing that just now, with the import lock */
    unsigned long owner; /* the thread */
};

/* Whether the lock of the module NAME can be taken: importlib has none of that name, is not just
 * making one, and knows threads by what we know them by. -1 with an exception. */
int kiln_module_lock_is_free(struct kiln_fast *fast, PyObject *name);
/* Take the lock of the module IMPORT->name for this thread: 1, and it is IMPORT->lock; 0 if it is not
 * free; -1 with an exception. */
int kiln_module_lock_take(struct kiln_fast *fast, struct kiln_import *import);
/* Give it back: 0, and an exception that is set stays; or -1 with the exception of that. */
int kiln_module_lock_give(struct kiln_import *import);
/* Whether this thread holds the lock of NAME. -1 with an exception. */
int kiln_module_lock_is_mine(struct kiln_fast *fast, PyObject *name);
/* New reference, or NULL with an exception. */
PyTypeObject *kiln_module_lock_make_type(void);

/* --- fast_python.c: what is Python --------------------------------------------------------------
 */

/* Make the functions. 0, or -1 with an exception; they stay NULL if importlib is not as we know it. */
int kiln_fast_make_functions(struct kiln_fast *fast);
/* Make the spec of IMPORT, and load the module below frames of importlib. New reference, or NULL
 * with an exception. */
PyObject *kiln_fast_load_from_python(struct kiln_fast *fast, struct kiln_import *import);

/* --- fast_load.c: from the spec to the module in sys.modules --------------------------------------
 */

/* Create, register and execute the module of IMPORT->spec. New reference, or NULL with an exception,
 * and then nothing is left of it. */
PyObject *kiln_fast_load(struct kiln_fast *fast, struct kiln_import *import);
/* Make MODULE an attribute of its parent. 0, or -1 with an exception. */
int kiln_fast_bind(struct kiln_fast *fast, struct kiln_import *import, PyObject *module);

#endif
