/* Unlinking, pass by pass; unlink.h says what it is. What is found to be impossible of one image lets it,
 * and those that it cannot be parted from, stay files; then what is left is bound again. */
#include "unlink/unlink.h"

#include <stdlib.h>
#include <string.h>

#include "unlink/object.h"

/* Distances of 32 bits lead from everywhere to everywhere in the executable. */
#define TOTAL_MAX UINT64_C(1500000000)

static bool
is_image(const struct kiln_object *object)
{
    return object->origin == KILN_ORIGIN_IMAGE && object->reason == NULL;
}

/* Find the init function of an extension: a function of its own, in code. What defines none of the
 * name that Python would look for is a library that is opened by its path. */
static void
find_init(struct kiln_set *set, struct kiln_object *image)
{
    struct kiln_unlink_module *module = image->module;
    struct kiln_dynobj_symbol symbol;
    for (size_t i = 0; module->init == NULL && i < sizeof module->inits / sizeof *module->inits;
         i++) {
        const struct kiln_dynobj_wanted wanted = {.name = module->inits[i].name, .is_call = true};
        if (kiln_dynobj_find(&image->dso, &wanted, &symbol)) {
            module->init = &module->inits[i];
        }
    }
    if (module->init == NULL) {
        module->reason = kiln_arena_printf(&set->ctx->arena, "it does not define %s or %s",
                                           module->inits[0].name, module->inits[1].name);
        image->module = NULL;
        return;
    }
    const Elf64_Phdr *load = kiln_dynobj_find_segment(&image->dso, symbol.sym.st_value, 1);
    if (load == NULL || (load->p_flags & PF_X) == 0 || symbol.sym.st_shndx == SHN_ABS ||
        kiln_dynobj_get_type(&symbol) == STT_GNU_IFUNC)
    {
        image->reason =
            kiln_arena_printf(&set->ctx->arena, "its %s is not a function", module->init->name);
    }
    image->init = symbol.sym.st_value;
}

/* Thread-local variables that are copied into a section of the linker's have values that the linker knows. */
static void
check_copies(const struct kiln_set *set, struct kiln_object *image, const struct kiln_words *words)
{
    for (size_t i = 0; i < words->count; i++) {
        const struct kiln_word *word = &words->items[i];
        unsigned kind = word->kind == KILN_WORD_PATCH ? set->imports.items[word->value].kind
                                                      : KILN_IMPORT_IMAGE;
        if (kind != KILN_IMPORT_IMAGE && kind != KILN_IMPORT_DISTANCE && image->has_static_tls &&
            kiln_dynobj_is_in_tls_data(&image->dso, word->offset))
        {
            image->reason = "a thread-local variable is initialised with an address that is not "
                            "known before the program runs";
            return;
        }
    }
}

static void
check_eh_frame(struct kiln_set *set, struct kiln_object *image, const struct kiln_words *words)
{
    struct kiln_ctx scratch = {.quiet = true};
    struct kiln_eh_frame frame;
    struct kiln_span bytes;
    uint64_t address = 0;
    const char *reason = kiln_object_read_eh_frame(&scratch, &image->dso, &frame, &bytes, &address);
    if (reason != NULL) {
        image->reason = kiln_arena_strdup(&set->ctx->arena, reason);
    }
    for (size_t i = 0; reason == NULL && i < words->count; i++) {
        if (words->items[i].offset + 8 > address && words->items[i].offset < address + frame.len) {
            image->reason = "its unwind information has relocations";
            break;
        }
    }
    kiln_ctx_release(&scratch);
}

/* Bind every image. What has thread-local variables at fixed offsets is known after all have been seen
 * once. */
static void
bind_all(struct kiln_set *set, bool is_second)
{
    struct kiln_arena scratch = {0};
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *image = set->objects.items[i];
        struct kiln_words words = {0};
        if (is_image(image) && kiln_words_make(set, image, &scratch, &words) && is_second) {
            check_copies(set, image, &words);
            if (image->reason == NULL) {
                check_eh_frame(set, image, &words);
            }
        }
        kiln_arena_release(&scratch);
    }
}

/* What IMAGE takes in the executable, with what may be before it. */
static uint64_t
get_span(const struct kiln_object *image)
{
    return image->dso.size + kiln_object_get_alignment(&image->dso);
}

/* Whether A is to stay a file rather than B: what no extension needs goes first, then what is largest. */
static bool
goes_first(const struct kiln_object *a, const struct kiln_object *b)
{
    if (b == NULL || (a->roots.count == 0) != (b->roots.count == 0)) {
        return b == NULL || a->roots.count == 0;
    }
    return get_span(a) > get_span(b);
}

/* Images stay files until the rest fits. */
static void
limit_size(struct kiln_set *set)
{
    kiln_closure_walk(set);
    for (;;) {
        struct kiln_object *first = NULL;
        uint64_t total = 0;
        for (size_t i = 0; i < set->objects.count; i++) {
            struct kiln_object *object = set->objects.items[i];
            if (is_image(object)) {
                total += get_span(object);
                first = goes_first(object, first) ? object : first;
            }
        }
        if (total <= TOTAL_MAX) {
            return;
        }
        first->reason = kiln_arena_printf(
            &set->ctx->arena,
            "all images together have %llu MB, and an executable has room for %llu",
            (unsigned long long)(total / 1000000), (unsigned long long)(TOTAL_MAX / 1000000));
        kiln_closure_spread_reasons(set);
    }
}

static size_t
count_images(const struct kiln_set *set)
{
    size_t count = 0;
    for (size_t i = 0; i < set->objects.count; i++) {
        count += is_image(set->objects.items[i]);
    }
    return count;
}

static void
settle(struct kiln_set *set)
{
    size_t count;
    do {
        count = count_images(set);
        kiln_bind_forget(set);
        kiln_imports_forget(set);
        set->static_tls = 0;
        for (size_t i = 0; i < set->objects.count; i++) {
            set->objects.items[i]->has_static_tls = false;
        }
        kiln_closure_walk(set);
        kiln_interpose_check(set);
        bind_all(set, false);
        kiln_unique_check(set);
        bind_all(set, true);
        kiln_closure_spread_reasons(set);
    } while (count_images(set) < count); /* what is left may have been bound to what is not */
}

/* Libraries that hold nothing since glibc 2.34. */
static bool
is_stub_library(const char *name)
{
    static const char *const names[] = {"libpthread.so.0", "libdl.so.2", "librt.so.1",
                                        "libutil.so.1", "libanl.so.1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Give everything that is written its number. Imports have numbers in them and are made anew. */
static void
number(struct kiln_set *set)
{
    for (size_t i = 0; i < set->objects.count; i++) {
        struct kiln_object *object = set->objects.items[i];
        object->number = SIZE_MAX;
        if (is_image(object)) {
            object->number = set->images.count;
            *KILN_ARENA_PUSH(&set->ctx->arena, &set->images) = object;
        }
        else if (object->origin == KILN_ORIGIN_SYSTEM && object->reason == NULL &&
                 (object->is_used || !is_stub_library(object->open_name)))
        {
            object->number = set->libraries.count;
            *KILN_ARENA_PUSH(&set->ctx->arena, &set->libraries) = object;
        }
    }
}

/* REASON as one line of a terminal, whatever names are in it. */
static const char *
make_printable(struct kiln_ctx *ctx, const char *reason)
{
    char *text = kiln_arena_printf(&ctx->arena, "%.2000s", reason);
    for (char *c = text; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == 0x7f) {
            *c = '?';
        }
    }
    return text;
}

static void
tell_modules(struct kiln_set *set)
{
    struct kiln_ctx *ctx = set->ctx;
    for (size_t i = 0; i < set->objects.count; i++) {
        const struct kiln_object *object = set->objects.items[i];
        struct kiln_unlink_module *module = object->module;
        if (module == NULL) {
            continue;
        }
        module->reason = object->reason == NULL ? NULL : make_printable(ctx, object->reason);
        module->size = object->dso.size;
        module->constructors = object->dso.tags[DT_INIT_ARRAYSZ] / sizeof(Elf64_Addr);
        module->destructors = object->dso.tags[DT_FINI_ARRAYSZ] / sizeof(Elf64_Addr);
        for (size_t k = 1; object->reason == NULL && k < object->scope.count; k++) {
            const struct kiln_object *need = object->scope.items[k];
            if (need->origin == KILN_ORIGIN_IMAGE) {
                kiln_strings_push(&ctx->arena, &module->images,
                                  kiln_closure_get_place(set, need->path));
            }
            else if (need->origin == KILN_ORIGIN_SYSTEM) {
                kiln_strings_push(&ctx->arena, &module->libraries, need->open_name);
            }
        }
    }
}

static void
tell_images(const struct kiln_set *set)
{
    struct kiln_unlink *unlink = set->unlink;
    unlink->images =
        kiln_arena_alloc(&set->ctx->arena, (set->images.count + 1) * sizeof *unlink->images);
    unlink->image_count = set->images.count;
    for (size_t i = 0; i < set->images.count; i++) {
        const struct kiln_object *image = set->images.items[i];
        unlink->images[i] = (struct kiln_unlink_image){
            .path = image->path,
            .name = image->module == NULL ? kiln_file_basename(image->path) : image->module->name,
            .start = image->start,
        };
    }
}

int
kiln_unlink(struct kiln_ctx *ctx, struct kiln_unlink *unlink, const char *output)
{
    struct kiln_set set = {.ctx = ctx, .unlink = unlink};
    set.search = kiln_library_search_new(ctx, unlink->machine);
    int result = kiln_closure_find_program(&set);
    if (result == 0) {
        kiln_closure_find_images(&set);
        for (size_t i = 0; i < set.objects.count; i++) {
            if (is_image(set.objects.items[i]) && set.objects.items[i]->module != NULL) {
                find_init(&set, set.objects.items[i]);
            }
        }
        kiln_closure_spread_reasons(&set);
        limit_size(&set);
        settle(&set);
        number(&set);
        tell_modules(&set);
    }
    if (result == 0 && unlink->bindings != NULL) {
        result = kiln_bindings_write(&set, unlink->bindings);
    }
    if (result == 0 && set.images.count > 0) {
        kiln_imports_forget(&set);
        result = kiln_object_write(&set, output);
    }
    tell_images(&set);
    for (size_t i = 0; i < set.objects.count; i++) {
        kiln_file_release(&set.objects.items[i]->file);
    }
    kiln_arena_release(&set.bindings);
    kiln_library_search_release(set.search);
    return result;
}
