/* Libraries of the system are opened by themselves when the program runs, and so are bound in scopes of
 * their own. As a need of an extension's file, such a library would be bound in the extension's scope, in
 * which other objects may come first or be the only ones to define a name that it looks for: operator
 * new, an error handler, a callback, the function of a library that it should have been linked with.
 * An image that a library would be bound to so, and the extensions that bring a library to another one,
 * stay files.
 *
 * What the library defines itself is let pass if it is the same anywhere: inline functions and variables of
 * C++, by the one definition rule; and what only the implementation of C++ may define, such as the
 * archive that compilers link beside an older libstdc++.so. */
#include "unlink/set.h"

#include <stdlib.h>
#include <string.h>

#include "kiln/internal/images.h"

/* A name that a library looks for, and that the program does not answer. */
struct reference {
    struct kiln_dynobj_wanted wanted;
    struct kiln_object *own; /* what answers in the library's own scope; NULL: nothing */
    bool is_vague;           /* that may be defined by any number of objects */
    bool is_copyable;        /* see kiln_dynobj_is_copyable() */
};

struct library {
    struct kiln_set *set;
    struct kiln_object *object;
    bool *is_seen; /* by symbol */
    struct reference_list {
        struct reference *items;
        size_t count, capacity;
    } references; /* sorted by name */
};

static bool
note_reference(void *arg, const struct kiln_relocation *relocation)
{
    struct library *library = arg;
    const struct kiln_dynobj *dso = &library->object->dso;
    struct kiln_dynobj_symbol symbol, own;
    if (relocation->symbol == 0 || relocation->symbol >= dso->symbols.len / sizeof(Elf64_Sym) ||
        library->is_seen[relocation->symbol])
    {
        return true;
    }
    library->is_seen[relocation->symbol] = true;
    if (!kiln_dynobj_get_symbol(dso, relocation->symbol, &symbol) ||
        kiln_dynobj_get_bind(&symbol) == STB_LOCAL ||
        ELF64_ST_VISIBILITY(symbol.sym.st_other) != STV_DEFAULT)
    {
        return true;
    }
    struct reference reference = {
        .wanted = kiln_dynobj_want(&symbol, relocation->type == R_X86_64_JUMP_SLOT)};
    bool is_own = (dso->flags & DF_SYMBOLIC) != 0 && kiln_dynobj_find(dso, &reference.wanted, &own);
    if (!is_own && kiln_objects_find(&library->set->global, &reference.wanted, &own) == NULL) {
        reference.own = kiln_objects_find(&library->object->scope, &reference.wanted, &own);
        reference.is_vague = reference.own != NULL && kiln_dynobj_is_vague(&own);
        reference.is_copyable =
            reference.own != NULL && kiln_dynobj_is_copyable(&reference.own->dso, &own);
        *KILN_ARENA_PUSH(&library->set->ctx->arena, &library->references) = reference;
    }
    return true;
}

static int
compare_references(const void *a, const void *b)
{
    const struct reference *x = a, *y = b;
    return strcmp(x->wanted.name, y->wanted.name);
}

static void
read_references(struct library *library)
{
    const char *reason = NULL;
    const struct kiln_dynobj *dso = &library->object->dso;
    library->is_seen =
        kiln_arena_alloc(&library->set->ctx->arena, dso->symbols.len / sizeof(Elf64_Sym) + 1);
    kiln_relocations_visit(dso, note_reference, library, &reason);
    if (library->references.count > 0) {
        qsort(library->references.items, library->references.count,
              sizeof *library->references.items, compare_references);
    }
}

static struct reference *
find_reference(const struct library *library, const char *name)
{
    const struct reference key = {.wanted = {.name = name}};
    return library->references.count == 0
               ? NULL
               : bsearch(&key, library->references.items, library->references.count, sizeof key,
                         compare_references);
}

/* Whether NAME is an operator delete that OBJECT defines without an operator new: not a replacement, but
 * the default one, which calls the other forms. */
static bool
is_default_delete(const struct kiln_object *object, const char *name)
{
    static const char *const news[] = {"_Znwm", "_Znam"};
    struct kiln_dynobj_symbol symbol;
    bool is_delete = strncmp(name, "_Zdl", 4) == 0 || strncmp(name, "_Zda", 4) == 0;
    for (size_t i = 0; is_delete && i < sizeof news / sizeof news[0]; i++) {
        const struct kiln_dynobj_wanted wanted = {.name = news[i], .is_call = true};
        is_delete = !kiln_dynobj_find(&object->dso, &wanted, &symbol);
    }
    return is_delete;
}

/* Whether SYMBOL of OBJECT does what the library's own answer to REFERENCE does. */
static bool
is_same(const struct reference *reference, const struct kiln_object *object,
        const struct kiln_dynobj_symbol *symbol)
{
    return reference->is_copyable && kiln_dynobj_is_copyable(&object->dso, symbol) &&
           ((reference->is_vague && kiln_dynobj_is_vague(symbol)) ||
            is_default_delete(object, reference->wanted.name) ||
            kiln_cplusplus_is_own(reference->wanted.name));
}

/* Let OBJECT, which defines what REFERENCE looks for, stay a file if that comes first in the scope of
 * an extension that brings LIBRARY; or that extension, if OBJECT is none of the images. */
static void
check_reference(const struct library *library, struct kiln_object *object,
                const struct reference *reference)
{
    const struct kiln_object_list *roots = &library->object->roots;
    for (size_t i = 0; i < roots->count; i++) {
        struct kiln_object *root = roots->items[i];
        struct kiln_object *stays = object->origin == KILN_ORIGIN_IMAGE ? object : root;
        struct kiln_dynobj_symbol symbol;
        if (stays->reason == NULL && root->reason == NULL &&
            kiln_objects_contain(&root->scope, object) &&
            kiln_objects_find(&root->scope, &reference->wanted, &symbol) == object &&
            !is_same(reference, object, &symbol))
        {
            stays->reason = kiln_arena_printf(
                &library->set->ctx->arena,
                "the library %s refers to %s, which %s defines before it", library->object->path,
                reference->wanted.name, stays == object ? "this file" : object->path);
        }
    }
}

/* What OBJECT defines against what LIBRARY looks for. */
static void
check_definitions(const struct library *library, struct kiln_object *object)
{
    const struct kiln_dynobj *dso = &object->dso;
    for (size_t i = dso->first_defined; i < dso->symbol_count; i++) {
        struct kiln_dynobj_symbol symbol;
        if (!kiln_dynobj_get_symbol(dso, i, &symbol) || symbol.sym.st_shndx == SHN_UNDEF) {
            continue;
        }
        struct reference *reference = find_reference(library, symbol.name);
        for (; reference != NULL && reference > library->references.items &&
               strcmp(reference[-1].wanted.name, symbol.name) == 0;
             reference--)
        {
        }
        const struct reference *end = library->references.items + library->references.count;
        for (; reference != NULL && reference < end &&
               strcmp(reference->wanted.name, symbol.name) == 0;
             reference++)
        {
            if (reference->own != object) {
                check_reference(library, object, reference);
            }
        }
    }
}

static void
check_library(struct kiln_set *set, struct kiln_object *object)
{
    struct library library = {.set = set, .object = object};
    read_references(&library);
    for (size_t i = 0; library.references.count > 0 && i < set->objects.count; i++) {
        struct kiln_object *other = set->objects.items[i];
        bool meets = false;
        for (size_t k = 0; !meets && k < object->roots.count; k++) {
            meets = kiln_objects_contain(&other->roots, object->roots.items[k]);
        }
        if (meets && other != object && other->reason == NULL) {
            check_definitions(&library, other);
        }
    }
}

void
kiln_interpose_check(struct kiln_set *set)
{
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *object = set->objects.items[i];
        if (object->origin == KILN_ORIGIN_SYSTEM && object->reason == NULL &&
            object->roots.count > 0) {
            check_library(set, object);
        }
    }
}
