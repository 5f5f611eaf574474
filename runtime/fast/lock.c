/* The lock of a module that is being imported on the fast path.
 *
 * importlib has a lock for every import: a _ModuleLock in its dict _module_locks, by the name of
 * the module. To make, take and release one is a third of the cost of an import, and other threads
 * rarely ask for it. So during an import on the fast path _module_locks has a stand-in. importlib's
 * entries are weak references, which it calls to get the lock. The stand-in is called likewise, and
 * makes the lock only then, by importlib's own code, as one that the importing thread has taken.
 * From there on waiting, waking up and the detection of deadlocks are importlib's.
 *
 * This relies on the GIL; see KILN_HAS_FAST_PATH. */
#include "fast/state.h"

#include "core/python.h"

/* Takes LOCK, which no other thread knows yet, for the importing thread: this thread takes it,
 * which sets all its attributes, and makes the other its owner. */
static int
take_for_owner(struct kiln_module_lock *self, PyObject *lock)
{
    PyObject *result = PyObject_CallMethod(lock, "acquire", NULL);
    if (result == NULL) {
        return -1;
    }
    Py_DECREF(result);
    /* Other threads may have run meanwhile: the import may be over. */
    if (self->import == NULL) {
        result = PyObject_CallMethod(lock, "release", NULL);
        Py_XDECREF(result);
        return result == NULL ? -1 : 0;
    }
    PyObject *owner = PyLong_FromUnsignedLong(self->owner);
    if (owner == NULL || PyObject_SetAttr(lock, self->fast->names[KILN_NAME_OWNER], owner) < 0) {
        Py_XDECREF(owner);
        return -1;
    }
    Py_DECREF(owner);
    Py_INCREF(lock);
    self->shared = lock;
    return 0;
}

/* importlib calls its entry of _module_locks with the import lock held. Returns the lock, or
 * None. */
static PyObject *
lock_call(PyObject *object, PyObject *Py_UNUSED(args), PyObject *Py_UNUSED(kwargs))
{
    struct kiln_module_lock *self = (struct kiln_module_lock *)object;
    if (self->import == NULL || self->making) {
        Py_RETURN_NONE;
    }
    if (self->shared != NULL) {
        Py_INCREF(self->shared);
        return self->shared;
    }
    struct kiln_fast *fast = self->fast;
    PyObject *name = self->name;
    Py_INCREF(object);
    Py_INCREF(fast);
    Py_INCREF(name);
    /* _get_module_lock() calls the stand-in again, gets None, and replaces it by a new lock. The
     * name always has an entry; without one another thread would import the module as well. */
    self->making = self->asked = true;
    PyObject *lock = PyObject_CallMethod(fast->bootstrap, "_get_module_lock", "O", name);
    self->making = false;
    if (lock != NULL && self->import != NULL && take_for_owner(self, lock) < 0) {
        Py_CLEAR(lock);
    }
    if (lock == NULL && self->import != NULL) {
        /* Another call may succeed. */
        struct kiln_error error;
        kiln_error_save(&error);
        if (PyDict_SetItem(fast->locks, name, object) < 0) {
            PyErr_Clear();
        }
        kiln_error_restore(&error);
    }
    Py_DECREF(name);
    Py_DECREF(fast);
    Py_DECREF(object);
    return lock;
}

/* Returns whether importlib identifies threads by PyThread_get_thread_ident(), as we do. Libraries
 * of green threads replace _thread.get_ident(). */
static int
knows_threads(struct kiln_fast *fast)
{
    PyObject *get_ident =
        PyDict_GetItemWithError(PyModule_GetDict(fast->thread), fast->names[KILN_NAME_GET_IDENT]);
    return get_ident == fast->get_ident ? 1 : PyErr_Occurred() ? -1 : 0;
}

/* Returns whether an entry can be added; -1 with an exception. A thread that holds the import lock
 * may have seen that there is none, and be about to add one. */
static int
may_add(struct kiln_fast *fast)
{
    int known = knows_threads(fast);
    if (known <= 0) {
        return known;
    }
    PyObject *held = KILN_VECTORCALL(fast->lock_held, NULL, 0, NULL);
    Py_XDECREF(held);
    return held == NULL ? -1 : held == Py_False;
}

int
kiln_module_lock_is_free(struct kiln_fast *fast, PyObject *name)
{
    int present = PyDict_Contains(fast->locks, name);
    return present == 0 ? may_add(fast) : present < 0 ? -1 : 0;
}

/* Returns a lock that is not held, new or the spare one; NULL with an exception. */
static struct kiln_module_lock *
make(struct kiln_fast *fast, PyObject *name)
{
    struct kiln_module_lock *lock = fast->spare;
    fast->spare = NULL;
    if (lock == NULL) {
        lock = PyObject_New(struct kiln_module_lock, fast->lock_type);
        if (lock == NULL) {
            return NULL;
        }
    }
    Py_INCREF(fast);
    lock->fast = fast;
    Py_INCREF(name);
    lock->name = name;
    lock->import = NULL;
    lock->shared = NULL;
    lock->making = lock->asked = false;
    return lock;
}

/* Drops a reference to LOCK, or makes it the spare one if it was the last. */
static void
drop(struct kiln_fast *fast, struct kiln_module_lock *lock)
{
    if (Py_REFCNT(lock) == 1 && fast->spare == NULL) {
        Py_CLEAR(lock->name);
        lock->fast = NULL;
        fast->spare = lock;
        Py_DECREF(fast);
    }
    else {
        Py_DECREF(lock);
    }
}

int
kiln_module_lock_take(struct kiln_fast *fast, struct kiln_import *import)
{
    int may = may_add(fast);
    if (may <= 0) {
        return may;
    }
    struct kiln_module_lock *lock = make(fast, import->name);
    if (lock == NULL) {
        return -1;
    }
    PyObject *entry = PyDict_SetDefault(fast->locks, import->name, (PyObject *)lock);
    if (entry != (PyObject *)lock) {
        drop(fast, lock);
        return entry == NULL ? -1 : 0;
    }
    lock->owner = PyThread_get_thread_ident();
    lock->import = import;
    import->lock = lock;
    return 1;
}

/* Removes the entry of LOCK. If a thread has asked for the lock, the entry may be importlib's, and
 * stays; or that thread is about to replace it, and will see that LOCK is not held. */
static void
forget(struct kiln_fast *fast, struct kiln_module_lock *lock)
{
    bool is_there =
        !lock->asked || PyDict_GetItemWithError(fast->locks, lock->name) == (PyObject *)lock;
    if (is_there && PyDict_DelItem(fast->locks, lock->name) < 0) {
        PyErr_Clear(); /* the dict has been emptied */
    }
}

static int
release_shared(PyObject *shared)
{
    PyObject *result = PyObject_CallMethod(shared, "release", NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int
kiln_module_lock_give(struct kiln_import *import)
{
    struct kiln_module_lock *lock = import->lock;
    struct kiln_fast *fast = lock->fast;
    struct kiln_error error;
    kiln_error_save(&error);
    int result = 0;
    import->lock = NULL;
    lock->import = NULL;
    if (lock->shared == NULL) {
        forget(fast, lock);
    }
    else {
        result = release_shared(lock->shared);
        Py_CLEAR(lock->shared);
    }
    drop(fast, lock);
    if (result < 0) {
        kiln_error_drop(&error); /* as the exception of an __exit__() replaces that of its block */
    }
    else {
        kiln_error_restore(&error);
    }
    return result;
}

/* Returns whether OWNER, a lock's attribute or NULL with an exception, is this thread; -1 with an
 * exception. */
static int
is_this_thread(PyObject *owner)
{
    if (owner == NULL) {
        return -1;
    }
    int result = 0;
    if (PyLong_Check(owner)) {
        result = PyLong_AsUnsignedLong(owner) == PyThread_get_thread_ident();
    }
    Py_DECREF(owner);
    return PyErr_Occurred() ? -1 : result;
}

int
kiln_module_lock_is_mine(struct kiln_fast *fast, PyObject *name)
{
    PyObject *entry = PyDict_GetItemWithError(fast->locks, name);
    if (entry == NULL) {
        return PyErr_Occurred() ? -1 : 0;
    }
    if (Py_TYPE(entry) == fast->lock_type) {
        return ((struct kiln_module_lock *)entry)->owner == PyThread_get_thread_ident();
    }
    Py_INCREF(entry);
    PyObject *lock = PyObject_CallFunctionObjArgs(entry, NULL);
    Py_DECREF(entry);
    if (lock == NULL || lock == Py_None) {
        Py_XDECREF(lock);
        return lock == NULL ? -1 : 0;
    }
    int result = is_this_thread(PyObject_GetAttr(lock, fast->names[KILN_NAME_OWNER]));
    Py_DECREF(lock);
    return result;
}

static void
lock_dealloc(PyObject *object)
{
    struct kiln_module_lock *self = (struct kiln_module_lock *)object;
    PyTypeObject *type = Py_TYPE(object);
    Py_XDECREF(self->shared);
    Py_XDECREF(self->name);
    Py_XDECREF(self->fast);
    PyObject_Free(object);
    Py_DECREF(type);
}

static PyType_Slot lock_slots[] = {
    {Py_tp_new, KILN_SLOT_FUNCTION(kiln_refuse_new)},
    {Py_tp_dealloc, KILN_SLOT_FUNCTION(lock_dealloc)},
    {Py_tp_call, KILN_SLOT_FUNCTION(lock_call)},
    {Py_tp_doc, "Stands in for importlib's lock of a module that is being imported."},
    {0, NULL},
};

static PyType_Spec lock_spec = {
    .name = "_kiln.ModuleLock",
    .basicsize = sizeof(struct kiln_module_lock),
    .flags = Py_TPFLAGS_DEFAULT,
    .slots = lock_slots,
};

PyTypeObject *
kiln_module_lock_make_type(void)
{
    return (PyTypeObject *)PyType_FromSpec(&lock_spec);
}
