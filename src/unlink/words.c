/* From the relocations of an image to what becomes of its words.
 *
 * Without PIE, most values are known to the linker. With it, they are distances from a place that is
 * known when the program runs. Only whole words of eight bytes that the dynamic loader would fill in
 * change; code, and tables of distances, are as they were. (x86-64 psABI, "Relocation Types";
 * "ELF Handling For Thread-Local Storage".) */
#include "unlink/set.h"

#include <stdlib.h>
#include <string.h>

#include "kiln/internal/images.h"

enum {
    /* Blocks of so many bytes are every thread's from its start; larger ones are made when a thread
     * first asks, unless code has their offsets in it. */
    STATIC_TLS_MAX = 512,
    /* A thread has all of them, whatever is imported: so many bytes of blocks that could be elsewhere, and
     * so many in all. */
    STATIC_TLS_SUM = 4 * 1024,
    STATIC_TLS_TOTAL = 1024 * 1024,
};

struct making {
    struct kiln_set *set;
    struct kiln_object *image;
    struct kiln_arena *arena;
    struct kiln_words *words;
    struct {
        uint64_t *items;
        size_t count, capacity;
    } offsets; /* of DTPOFF64, sorted: the second words of pairs */
};

static bool
fail(struct making *making, const char *reason)
{
    making->image->reason = reason;
    return false;
}

/* Addresses wrap around, as the loader's do. */
static int64_t
sum(uint64_t value, int64_t addend)
{
    return (int64_t)(value + (uint64_t)addend);
}

static struct kiln_word *
add(struct making *making, uint64_t offset, enum kiln_word_kind kind, int64_t addend)
{
    struct kiln_word *word = KILN_ARENA_PUSH(making->arena, making->words);
    *word = (struct kiln_word){.offset = offset, .kind = kind, .addend = addend};
    return word;
}

static bool
add_patch(struct making *making, uint64_t offset, int64_t addend, const struct kiln_import *like)
{
    add(making, offset, KILN_WORD_PATCH, addend)->value = kiln_import_intern(making->set, like);
    return true;
}

/* -- What the image is bound to -- */

static bool
have_same_objects(const struct kiln_choices *a, const struct kiln_choices *b)
{
    bool result = a->count == b->count && a->usual.kind == b->usual.kind &&
                  a->usual.object == b->usual.object;
    for (size_t i = 0; result && i < a->count; i++) {
        result = a->items[i].opener == b->items[i].opener &&
                 a->items[i].target.kind == b->items[i].target.kind &&
                 a->items[i].target.object == b->items[i].target.object;
    }
    return result;
}

static bool
is_same_bound(const struct kiln_bound *a, const struct kiln_bound *b)
{
    return a->object == b->object && a->is_unique == b->is_unique &&
           (a->choices == NULL || b->choices == NULL
                ? a->choices == b->choices && a->import == b->import
                : have_same_objects(a->choices, b->choices));
}

static void
add_bound(struct making *making, struct kiln_bound bound)
{
    const struct kiln_bound_list *list = &making->words->bound;
    for (size_t i = list->count; i-- > 0;) {
        if (is_same_bound(&list->items[i], &bound)) {
            return;
        }
    }
    *KILN_ARENA_PUSH(making->arena, &making->words->bound) = bound;
}

/* What the image needs, the dynamic loader knows already. */
static void
add_bound_to(struct making *making, const struct kiln_object *object)
{
    if (object != making->image && object->origin == KILN_ORIGIN_IMAGE &&
        !kiln_objects_contain(&making->image->needs, object))
    {
        add_bound(making, (struct kiln_bound){.object = object});
    }
}

/* -- Words -- */

static bool
is_pie(const struct making *making)
{
    return making->set->unlink->pie;
}

/* The image's own address VALUE. */
static bool
add_own(struct making *making, uint64_t offset, int64_t value)
{
    if (value < 0 || (uint64_t)value > making->image->dso.size) {
        return fail(making, "a relocation leads out of it");
    }
    if (!is_pie(making)) {
        add(making, offset, KILN_WORD_IMAGE, value)->object = making->image;
    }
    else if (offset % 8 != 0) {
        return fail(making, "a relocation is for a word that is not aligned");
    }
    else {
        add(making, offset, KILN_WORD_RELATIVE, value);
    }
    return true;
}

static struct kiln_import
make_image_import(const struct kiln_target *target)
{
    return (struct kiln_import){
        .kind = KILN_IMPORT_IMAGE, .object = target->object, .value = target->value};
}

static bool
add_image(struct making *making, uint64_t offset, int64_t addend, const struct kiln_target *target)
{
    if (target->object == making->image) {
        return add_own(making, offset, sum(target->value, addend));
    }
    if (is_pie(making)) {
        const struct kiln_import like = make_image_import(target);
        return add_patch(making, offset, addend, &like);
    }
    add(making, offset, KILN_WORD_IMAGE, sum(target->value, addend))->object = target->object;
    return true;
}

static bool
add_symbol(struct making *making, uint64_t offset, int64_t addend, const char *name)
{
    if (is_pie(making)) {
        const struct kiln_import like = {.kind = KILN_IMPORT_DISTANCE, .name = name};
        return add_patch(making, offset, addend, &like);
    }
    add(making, offset, KILN_WORD_SYMBOL, addend)->name = name;
    return true;
}

static struct kiln_import
make_ifunc_import(const struct kiln_target *target)
{
    return (struct kiln_import){
        .kind = KILN_IMPORT_IFUNC, .object = target->object, .value = target->value};
}

static struct kiln_import
make_unique_import(const struct kiln_target *target)
{
    return (struct kiln_import){.kind = KILN_IMPORT_UNIQUE,
                                .object = target->object,
                                .value = target->value,
                                .name = target->name};
}

static bool
add_unique(struct making *making, uint64_t offset, int64_t addend, const struct kiln_target *target)
{
    if (kiln_unique_get(making->set, target->name)->definers.count == 1) {
        add_bound(making, (struct kiln_bound){.object = target->object, .is_unique = true});
        return add_image(making, offset, addend, target);
    }
    const struct kiln_import like = make_unique_import(target);
    size_t import = kiln_import_intern(making->set, &like);
    add_bound(making, (struct kiln_bound){.import = import, .is_unique = true});
    return add_patch(making, offset, addend, &like);
}

static const struct kiln_object *
get_library(const struct kiln_target *target)
{
    return target->object->origin == KILN_ORIGIN_SYSTEM ? target->object : NULL;
}

/* Functions whose addresses are for calling and for nothing else: a stub does. (crtbeginS.o of gcc has
 * the first in every shared object, as an address.) */
static bool
is_only_called(const char *name)
{
    return strcmp(name, "__cxa_finalize") == 0 || strcmp(name, "__stack_chk_fail") == 0;
}

static struct kiln_import
make_library_import(const struct kiln_target *target, bool is_call)
{
    return (struct kiln_import){
        .kind = (is_call ? KILN_IMPORT_CALL : KILN_IMPORT_ADDRESS) |
                (target->is_weak ? KILN_IMPORT_WEAK : 0),
        .object = get_library(target),
        .name = target->name,
        .version = target->version,
    };
}

static bool
add_library(struct making *making, uint64_t offset, int64_t addend,
            const struct kiln_target *target, bool is_call)
{
    struct kiln_set *set = making->set;
    is_call = is_call || is_only_called(target->name);
    const struct kiln_import like = make_library_import(target, is_call);
    size_t index = kiln_import_intern(set, &like);
    if (!is_call || is_pie(making) || (target->is_weak && !is_only_called(target->name))) {
        add(making, offset, KILN_WORD_PATCH, addend)->value = index;
        return true;
    }
    struct kiln_import *import = &set->imports.items[index];
    if (!import->has_stub) {
        import->has_stub = true;
        import->stub = set->stub_count++;
    }
    add(making, offset, KILN_WORD_STUB, addend)->value = index;
    return true;
}

/* The import that is TARGET, one of several that a reference may lead to; SIZE_MAX: it leads to nothing. */
static size_t
intern_choice(struct kiln_set *set, const struct kiln_target *target, bool is_call)
{
    if (target->kind == KILN_TARGET_NONE) {
        return SIZE_MAX;
    }
    const struct kiln_import like =
        target->kind == KILN_TARGET_LIBRARY  ? make_library_import(target, is_call)
        : target->kind == KILN_TARGET_UNIQUE ? make_unique_import(target)
        : target->kind == KILN_TARGET_IFUNC  ? make_ifunc_import(target)
                                             : make_image_import(target);
    return kiln_import_intern(set, &like);
}

static bool
add_choice(struct making *making, uint64_t offset, int64_t addend, const struct kiln_target *target,
           bool is_call)
{
    const struct kiln_choices *choices = target->choices;
    size_t *imports =
        kiln_arena_alloc(&making->set->bindings, (choices->count + 1) * sizeof *imports);
    for (size_t i = 0; i < choices->count; i++) {
        imports[i] = intern_choice(making->set, &choices->items[i].target, is_call);
    }
    imports[choices->count] = intern_choice(making->set, &choices->usual, is_call);
    const struct kiln_import like = {
        .kind = KILN_IMPORT_CHOICE | (target->is_weak ? KILN_IMPORT_WEAK : 0),
        .object = making->image,
        .value = is_call,
        .name = target->name,
        .version = target->version,
        .choices = choices,
        .imports = imports,
    };
    size_t import = kiln_import_intern(making->set, &like);
    add_bound(making, (struct kiln_bound){.choices = choices, .import = import});
    return add_patch(making, offset, addend, &like);
}

static bool
add_target(struct making *making, const struct kiln_relocation *relocation,
           const struct kiln_target *target, bool is_call)
{
    uint64_t offset = relocation->offset;
    int64_t addend = is_call ? 0 : relocation->addend;
    switch (target->kind) {
    case KILN_TARGET_NONE:
        add(making, offset, KILN_WORD_BYTES, addend);
        return true;
    case KILN_TARGET_ABSOLUTE:
        if (relocation->symbol == 0) {
            return add_own(making, offset, addend);
        }
        add(making, offset, KILN_WORD_BYTES, sum(target->value, addend));
        return true;
    case KILN_TARGET_IMAGE:
        add_bound_to(making, target->object);
        return add_image(making, offset, addend, target);
    case KILN_TARGET_IFUNC: {
        add_bound_to(making, target->object);
        const struct kiln_import like = make_ifunc_import(target);
        return add_patch(making, offset, addend, &like);
    }
    case KILN_TARGET_PROGRAM:
    case KILN_TARGET_RUNTIME:
        return add_symbol(making, offset, addend, target->name);
    case KILN_TARGET_LIBRARY:
        return add_library(making, offset, addend, target, is_call);
    case KILN_TARGET_UNIQUE:
        return add_unique(making, offset, addend, target);
    case KILN_TARGET_CHOICE:
        return add_choice(making, offset, addend, target, is_call);
    }
    return true;
}

/* -- Thread-local variables -- */

/* Let every thread have the block of OBJECT from its start. */
static bool
make_static(struct making *making, struct kiln_object *object)
{
    struct kiln_set *set = making->set;
    if (object->has_static_tls) {
        return true;
    }
    if (set->static_tls + object->dso.tls.p_memsz > STATIC_TLS_TOTAL) {
        return fail(making,
                    "its thread-local variables at fixed offsets are too large for every thread");
    }
    set->static_tls += object->dso.tls.p_memsz;
    object->has_static_tls = true;
    return true;
}

static bool
add_library_tls(struct making *making, uint64_t offset, int64_t addend,
                const struct kiln_target *target, enum kiln_image_import_kind kind)
{
    const struct kiln_import like = {.kind = kind | (target->is_weak ? KILN_IMPORT_WEAK : 0),
                                     .object = get_library(target),
                                     .name = target->name,
                                     .version = target->version};
    if (!target->is_thread_local) {
        return fail(making, "a thread-local reference leads to what is not thread-local");
    }
    if (kind == KILN_IMPORT_TLS_STATIC && like.object != NULL &&
        (like.object->dso.flags & DF_STATIC_TLS) == 0)
    {
        return fail(making, kiln_arena_printf(
                                &making->set->ctx->arena,
                                "it needs the thread-local variable %s of %s at a fixed offset",
                                target->name, like.object->path));
    }
    return add_patch(making, offset, addend, &like);
}

static bool
check_tls_target(struct making *making, const struct kiln_target *target, int64_t addend)
{
    const struct kiln_dynobj *dso = &target->object->dso;
    if (target->kind != KILN_TARGET_IMAGE && target->kind != KILN_TARGET_ABSOLUTE) {
        return fail(making, "a thread-local reference leads to what is not thread-local");
    }
    if (dso->tls.p_type != PT_TLS || target->value > dso->tls.p_memsz ||
        (uint64_t)sum(target->value, addend) > dso->tls.p_memsz)
    {
        return fail(making, "a thread-local reference leads out of its block");
    }
    if (target->is_shared) {
        return make_static(making, target->object);
    }
    add_bound_to(making, target->object);
    return true;
}

static void
add_tpoff(struct making *making, uint64_t offset, struct kiln_object *object, int64_t value)
{
    add(making, offset, KILN_WORD_TPOFF, value)->object = object;
}

static int
compare_offsets(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* The first word of a pair for __tls_get_addr(). If there is no relocation for the second, that is in the
 * file: an offset in the image's own block. */
static bool
add_module(struct making *making, const struct kiln_relocation *relocation,
           const struct kiln_target *target)
{
    uint64_t offset = relocation->offset, second = offset + 8, value;
    if (target->kind == KILN_TARGET_LIBRARY) {
        return add_library_tls(making, offset, 0, target, KILN_IMPORT_TLS_MODULE);
    }
    struct kiln_object *object = target->object;
    if (!check_tls_target(making, target, 0)) {
        return false;
    }
    add(making, offset, KILN_WORD_BYTES,
        object->has_static_tls ? (int64_t)KILN_TLS_STATIC
                               : (int64_t)(KILN_TLS_IMAGE | object->number));
    bool has_second =
        making->offsets.count > 0 && bsearch(&second, making->offsets.items, making->offsets.count,
                                             sizeof second, compare_offsets) != NULL;
    if (object->has_static_tls && !has_second) {
        if (!kiln_dynobj_read_word(&making->image->dso, second, &value) ||
            value > object->dso.tls.p_memsz) {
            return fail(making, "a thread-local reference leads out of its block");
        }
        add_tpoff(making, second, object, (int64_t)value);
    }
    return true;
}

static bool
add_offset(struct making *making, const struct kiln_relocation *relocation,
           const struct kiln_target *target)
{
    if (target->kind == KILN_TARGET_LIBRARY) {
        return add_library_tls(making, relocation->offset, relocation->addend, target,
                               KILN_IMPORT_TLS_OFFSET);
    }
    if (!check_tls_target(making, target, relocation->addend)) {
        return false;
    }
    int64_t value = sum(target->value, relocation->addend);
    if (target->object->has_static_tls) {
        add_tpoff(making, relocation->offset, target->object, value);
    }
    else {
        add(making, relocation->offset, KILN_WORD_BYTES, value);
    }
    return true;
}

static bool
add_fixed_offset(struct making *making, const struct kiln_relocation *relocation,
                 const struct kiln_target *target)
{
    if (target->kind == KILN_TARGET_LIBRARY) {
        return add_library_tls(making, relocation->offset, relocation->addend, target,
                               KILN_IMPORT_TLS_STATIC);
    }
    if (!check_tls_target(making, target, relocation->addend)) {
        return false;
    }
    if (!make_static(making, target->object)) {
        return false;
    }
    add_tpoff(making, relocation->offset, target->object, sum(target->value, relocation->addend));
    return true;
}

/* The resolver returns the second word. */
static bool
add_descriptor(struct making *making, const struct kiln_relocation *relocation,
               const struct kiln_target *target)
{
    if (target->kind == KILN_TARGET_LIBRARY) {
        return fail(making, kiln_arena_printf(&making->set->ctx->arena,
                                              "it needs the thread-local variable %s of a library "
                                              "by a descriptor",
                                              target->name));
    }
    if (!check_tls_target(making, target, relocation->addend) ||
        !add_symbol(making, relocation->offset, 0, "kiln_tlsdesc_static"))
    {
        return false;
    }
    if (!make_static(making, target->object)) {
        return false;
    }
    add_tpoff(making, relocation->offset + 8, target->object,
              sum(target->value, relocation->addend));
    return true;
}

/* -- Relocations -- */

static bool
is_thread_local(uint32_t type)
{
    return type == R_X86_64_DTPMOD64 || type == R_X86_64_DTPOFF64 || type == R_X86_64_TPOFF64 ||
           type == R_X86_64_TLSDESC;
}

/* The words that a relocation of TYPE fills in must be in memory that the loader could have written. */
static bool
check_place(struct making *making, const struct kiln_relocation *relocation)
{
    uint64_t len = relocation->type == R_X86_64_TLSDESC ? 16 : 8;
    const Elf64_Phdr *load = kiln_dynobj_find_segment(&making->image->dso, relocation->offset, len);
    if (load == NULL) {
        return fail(making, "a relocation is for a place outside of it");
    }
    if (making->words->count > making->image->dso.size / 8) {
        return fail(making,
                    "two of its relocations overlap"); /* some must, and memory is not endless */
    }
    if ((load->p_flags & PF_W) == 0) {
        return fail(making, "a relocation is for a place that cannot be written");
    }
    return true;
}

static bool
add_relocation(void *arg, const struct kiln_relocation *relocation)
{
    struct making *making = arg;
    if (relocation->type == R_X86_64_NONE) {
        return true;
    }
    if (!check_place(making, relocation)) {
        return false;
    }
    if (relocation->type == R_X86_64_RELATIVE) {
        return add_own(making, relocation->offset, relocation->addend);
    }
    if (relocation->type == R_X86_64_IRELATIVE) {
        const struct kiln_import like = {.kind = KILN_IMPORT_IFUNC,
                                         .object = making->image,
                                         .value = (uint64_t)relocation->addend};
        return (uint64_t)relocation->addend < making->image->dso.size
                   ? add_patch(making, relocation->offset, 0, &like)
                   : fail(making, "a relocation leads out of it");
    }
    bool is_call = relocation->type == R_X86_64_JUMP_SLOT || is_thread_local(relocation->type);
    const struct kiln_target *target =
        kiln_bind(making->set, making->image, relocation->symbol, is_call);
    if (target == NULL) {
        return false;
    }
    switch (relocation->type) {
    case R_X86_64_64:
    case R_X86_64_GLOB_DAT:
    case R_X86_64_JUMP_SLOT:
        if (target->is_thread_local) {
            return fail(making, "a relocation asks for the address of a thread-local variable");
        }
        return add_target(making, relocation, target, is_call);
    case R_X86_64_DTPMOD64:
        return add_module(making, relocation, target);
    case R_X86_64_DTPOFF64:
        return add_offset(making, relocation, target);
    case R_X86_64_TPOFF64:
        return add_fixed_offset(making, relocation, target);
    case R_X86_64_TLSDESC:
        return add_descriptor(making, relocation, target);
    default:
        return fail(making, kiln_arena_printf(&making->set->ctx->arena,
                                              "it has a relocation of an unknown type, %u",
                                              relocation->type));
    }
}

static bool
add_relative(void *arg, const struct kiln_relocation *relocation)
{
    struct making *making = arg;
    struct kiln_relocation own = *relocation;
    own.type = R_X86_64_RELATIVE;
    return check_place(making, &own) && add_own(making, own.offset, own.addend);
}

static bool
note_offset(void *arg, const struct kiln_relocation *relocation)
{
    struct making *making = arg;
    if (relocation->type == R_X86_64_DTPOFF64) {
        *KILN_ARENA_PUSH(making->arena, &making->offsets) = relocation->offset;
    }
    return true;
}

static int
compare_words(const void *a, const void *b)
{
    const struct kiln_word *x = a, *y = b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static bool
check_overlaps(struct making *making)
{
    const struct kiln_words *words = making->words;
    for (size_t i = 1; i < words->count; i++) {
        if (words->items[i].offset - words->items[i - 1].offset < 8) {
            return fail(making, "two of its relocations overlap");
        }
    }
    return true;
}

bool
kiln_words_make(struct kiln_set *set, struct kiln_object *image, struct kiln_arena *arena,
                struct kiln_words *out)
{
    struct making making = {.set = set, .image = image, .arena = arena, .words = out};
    const struct kiln_dynobj *dso = &image->dso;
    out->count = out->bound.count = 0;
    if (dso->tls.p_type == PT_TLS && dso->tls.p_memsz <= STATIC_TLS_MAX &&
        set->static_tls + dso->tls.p_memsz <= STATIC_TLS_SUM)
    {
        make_static(&making, image);
    }
    if (!kiln_relocations_visit(dso, note_offset, &making, &image->reason)) {
        return false;
    }
    if (making.offsets.count > 0) {
        qsort(making.offsets.items, making.offsets.count, sizeof *making.offsets.items,
              compare_offsets);
    }
    if (!kiln_relocations_visit(dso, add_relocation, &making, &image->reason) ||
        !kiln_relocations_visit_relr(dso, add_relative, &making, &image->reason))
    {
        return false;
    }
    if (out->count > 0) {
        qsort(out->items, out->count, sizeof *out->items, compare_words);
    }
    return check_overlaps(&making);
}
