/* Selects from the trace of a link what is combined: objects and archive members.
 *
 * Shared objects are not. Linker scripts such as libm.so stand for what follows them in the trace, as
 * archives stand for their members, except that GNU ld lists a member of a thin archive as the file
 * that it is. */
#include "cc/cc.h"

#include "base/file.h"
#include "base/text.h"
#include "elf/ar.h"
#include "elf/elf.h"

/* A thin archive in the trace. */
struct thin {
    const char *path, *dir;
    struct kiln_strings names; /* of its members, relative to DIR unless absolute */
};

struct selection {
    struct kiln_ctx *ctx;
    struct kiln_link_inputs *inputs;
    struct {
        struct thin *items;
        size_t count, capacity;
    } thins;
};

/* Returns the end of the comment, quoted name or pair of brackets that starts at AT of SCRIPT. */
static size_t
skip(struct kiln_span script, size_t at)
{
    const char *text = (const char *)script.ptr;
    if (at + 1 < script.len && text[at] == '/' && text[at + 1] == '*') {
        const char *end = memmem(text + at + 2, script.len - at - 2, "*/", 2);
        return end == NULL ? script.len : (size_t)(end - text) + 2;
    }
    if (text[at] == '"') {
        const char *end = memchr(text + at + 1, '"', script.len - at - 1);
        return end == NULL ? script.len : (size_t)(end - text) + 1;
    }
    char open = text[at], close = open == '(' ? ')' : '}';
    if (open != '(' && open != '{') {
        return at + 1;
    }
    size_t depth = 0;
    for (; at < script.len; at++) {
        depth += text[at] == open;
        depth -= text[at] == close;
        if (depth == 0) {
            return at + 1;
        }
    }
    return script.len;
}

/* Returns whether SCRIPT defines a symbol besides naming files: `x = y;`, or `PROVIDE(x = y);`. */
static bool
defines_symbols(struct kiln_span script)
{
    static const char *const words[] = {"PROVIDE", "HIDDEN"}; /* and PROVIDE_HIDDEN */
    for (size_t at = 0; at < script.len; at = skip(script, at)) {
        struct kiln_span rest;
        kiln_span_slice(script, at, script.len - at, &rest);
        if (script.ptr[at] == '=' || kiln_span_starts_with(rest, words[0], strlen(words[0])) ||
            kiln_span_starts_with(rest, words[1], strlen(words[1])))
        {
            return true;
        }
    }
    return false;
}

/* A script may only name files to link, as libm.so does. */
static int
check_script(struct selection *selection, const char *path, struct kiln_span bytes)
{
    static const char layout[] = "SECTIONS";
    if (memmem(bytes.ptr, bytes.len, layout, strlen(layout)) != NULL) {
        return kiln_fail(selection->ctx, KILN_ERR_INPUT,
                         "%s: a linker script with a layout of its own, which cannot be kept in a "
                         "link with other extensions: link without it",
                         path);
    }
    if (defines_symbols(bytes)) {
        return kiln_fail(selection->ctx, KILN_ERR_INPUT,
                         "%s: a linker script that defines symbols, which would be lost: define "
                         "them in the sources, or by -Wl,--defsym",
                         path);
    }
    return 0;
}

static int
push_thin(struct selection *selection, const char *path, struct kiln_span bytes)
{
    struct kiln_ctx *ctx = selection->ctx;
    struct thin *thin = KILN_ARENA_PUSH(&ctx->arena, &selection->thins);
    *thin = (struct thin){.path = path, .dir = kiln_file_dirname(ctx, path)};
    return kiln_ar_list_thin(ctx, bytes, path, &thin->names);
}

/* Returns the name by which THIN has the file at PATH as a member, or NULL. */
static const char *
find_member(const struct thin *thin, const char *path)
{
    size_t len = strlen(thin->dir);
    bool has_own_name = path[0] == '/' || strcmp(thin->dir, ".") == 0;
    if (has_own_name && kiln_strings_contain(&thin->names, path)) {
        return path;
    }
    bool is_below = kiln_starts_with(path, thin->dir) && path[len] == '/';
    return is_below && kiln_strings_contain(&thin->names, path + len + 1) ? path + len + 1 : NULL;
}

static void
push_object(struct selection *selection, const char *path)
{
    struct kiln_link_input input = {.path = path};
    for (size_t i = selection->thins.count; i > 0 && input.member == NULL; i--) {
        const struct thin *thin = &selection->thins.items[i - 1];
        input.member = find_member(thin, path);
        input.path = input.member == NULL ? path : thin->path;
    }
    for (size_t i = 0; i < selection->inputs->count; i++) {
        const struct kiln_link_input *other = &selection->inputs->items[i];
        if (other->member == NULL && strcmp(other->path, path) == 0) {
            return;
        }
    }
    *KILN_ARENA_PUSH(&selection->ctx->arena, selection->inputs) = input;
}

static int
select_file(struct selection *selection, const char *path)
{
    struct kiln_ctx *ctx = selection->ctx;
    struct kiln_file file;
    int result = kiln_file_map(ctx, path, &file);
    if (result < 0) {
        return result;
    }
    switch (kiln_elf_classify(file.bytes)) {
    case KILN_OBJECT_RELOCATABLE:
    case KILN_OBJECT_GCC_LTO:
    case KILN_OBJECT_LLVM_BITCODE:
        push_object(selection, path);
        break;
    case KILN_OBJECT_SHARED:
        break;
    case KILN_OBJECT_ARCHIVE:
        result = kiln_ar_is_thin(file.bytes) ? push_thin(selection, path, file.bytes) : 0;
        break;
    case KILN_OBJECT_OTHER:
        result = check_script(selection, path, file.bytes);
        break;
    }
    kiln_file_release(&file);
    return result;
}

int
kiln_link_inputs_select(struct kiln_ctx *ctx, const struct kiln_trace *trace,
                        struct kiln_link_inputs *inputs)
{
    struct selection selection = {.ctx = ctx, .inputs = inputs};
    for (size_t i = 0; i < trace->count; i++) {
        const struct kiln_link_input *item = &trace->items[i];
        if (item->member != NULL) {
            *KILN_ARENA_PUSH(&ctx->arena, inputs) = *item;
            continue;
        }
        int result = select_file(&selection, item->path);
        if (result < 0) {
            return result;
        }
    }
    if (inputs->count == 0) {
        return kiln_fail(ctx, KILN_ERR_INPUT, "the linker's trace lists no object");
    }
    return 0;
}
