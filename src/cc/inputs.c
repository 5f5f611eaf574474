/* From the trace to what is combined.
 *
 * Objects and archive members go on as they are named. Shared objects are recorded. Linker scripts
 * such as libm.so stand for what follows them in the trace. Two cases need the archive itself:
 * members of a thin archive are files of their own, and members that share a name with another of
 * their archive are copied out (all were linked) or left to `ld -r` to choose again (some were). */
#include "cc/cc.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "elf/elf.h"

/* An archive of which members were linked. */
struct archive {
    const char *path;
    bool is_thin;
    bool is_whole;             /* among the inputs as it is */
    struct kiln_strings names; /* of all members, sorted */
    struct kiln_strings done;  /* members among the inputs */
};

struct sorter {
    struct kiln_ctx *ctx;
    const struct kiln_trace *trace;
    struct kiln_strings *inputs, *origins, *shared;
    struct archives {
        struct archive *items;
        size_t count, capacity;
    } archives;
};

static int
compare_strings(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

struct listing {
    struct kiln_ctx *ctx;
    struct kiln_strings *names;
};

static int
list_member(void *arg, const char *member, struct kiln_span contents)
{
    (void)contents;
    struct listing *listing = arg;
    kiln_strings_push(&listing->ctx->arena, listing->names, member);
    return 0;
}

/* The archive at PATH, read at the first call. */
static int
get_archive(struct sorter *sorter, const char *path, struct archive **out)
{
    for (size_t i = 0; i < sorter->archives.count; i++) {
        *out = &sorter->archives.items[i];
        if (strcmp((*out)->path, path) == 0) {
            return 0;
        }
    }
    struct kiln_ctx *ctx = sorter->ctx;
    struct kiln_file file;
    int result = kiln_file_map(ctx, path, &file);
    if (result < 0) {
        return result;
    }
    struct archive *archive = KILN_ARENA_PUSH(&ctx->arena, &sorter->archives);
    *archive = (struct archive){.path = path};
    archive->is_thin = kiln_ar_is_thin(file.bytes);
    if (archive->is_thin) {
        result = kiln_ar_list_thin(ctx, file.bytes, path, &archive->names);
    }
    else {
        struct listing listing = {ctx, &archive->names};
        result = kiln_ar_visit(ctx, file.bytes, path, list_member, &listing);
    }
    if (archive->names.count > 0) {
        qsort(archive->names.items, archive->names.count, sizeof *archive->names.items,
              compare_strings);
    }
    kiln_file_release(&file);
    *out = archive;
    return result;
}

/* Take PATH as an input; MEMBER of ARCHIVE is what it is (NULL: of none). */
static void
push_input(struct sorter *sorter, const char *path, const char *archive, const char *member)
{
    struct kiln_arena *arena = &sorter->ctx->arena;
    kiln_strings_push(arena, sorter->inputs, path);
    kiln_strings_push(arena, sorter->origins,
                      archive == NULL ? ""
                                      : kiln_arena_printf(arena, "%s(%s)",
                                                          kiln_file_absolute(sorter->ctx, archive),
                                                          kiln_file_basename(member)));
}

/* A thin archive's member is a file. lld gives its path from the archive's directory, gold and mold
 * from the working directory. */
static int
push_thin_member(struct sorter *sorter, const struct kiln_trace_item *item)
{
    struct kiln_ctx *ctx = sorter->ctx;
    const char *path =
        kiln_arena_printf(&ctx->arena, "%s/%s", kiln_file_dirname(ctx, item->path), item->member);
    if (item->member[0] == '/' || access(path, R_OK) < 0) {
        path = item->member;
    }
    if (access(path, R_OK) < 0) {
        return kiln_fail_errno(ctx, "%s: member %s of a thin archive: cannot read", item->path,
                               item->member);
    }
    if (!kiln_strings_contain(sorter->inputs, path)) {
        push_input(sorter, path, item->path, item->member);
    }
    return 0;
}

static size_t
count_in_archive(const struct archive *archive, const char *member)
{
    const char **items = archive->names.items;
    size_t low = 0, high = archive->names.count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(items[middle], member) < 0) {
            low = middle + 1;
        }
        else {
            high = middle;
        }
    }
    size_t count = 0;
    while (low + count < archive->names.count && strcmp(items[low + count], member) == 0) {
        count++;
    }
    return count;
}

static size_t
count_in_trace(const struct kiln_trace *trace, const struct kiln_trace_item *item)
{
    size_t count = 0;
    for (size_t i = 0; i < trace->count; i++) {
        count += trace->items[i].member != NULL &&
                 strcmp(trace->items[i].member, item->member) == 0 &&
                 strcmp(trace->items[i].path, item->path) == 0;
    }
    return count;
}

struct copying {
    struct sorter *sorter;
    const char *archive, *member;
};

static int
copy_member(void *arg, const char *member, struct kiln_span contents)
{
    struct copying *copying = arg;
    struct kiln_ctx *ctx = copying->sorter->ctx;
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    if (tmpdir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    if (strcmp(member, copying->member) != 0) {
        return 0;
    }
    const char *path =
        kiln_arena_printf(&ctx->arena, "%s/%zu-%s", tmpdir, copying->sorter->inputs->count,
                          kiln_file_basename(member));
    push_input(copying->sorter, path, copying->archive, member);
    return kiln_file_write(ctx, path, contents);
}

static int
copy_members(struct sorter *sorter, const struct kiln_trace_item *item)
{
    struct kiln_file file;
    int result = kiln_file_map(sorter->ctx, item->path, &file);
    if (result == 0) {
        struct copying copying = {sorter, item->path, item->member};
        result = kiln_ar_visit(sorter->ctx, file.bytes, item->path, copy_member, &copying);
    }
    kiln_file_release(&file);
    return result;
}

static int
sort_member(struct sorter *sorter, const struct kiln_trace_item *item)
{
    struct kiln_arena *arena = &sorter->ctx->arena;
    struct archive *archive;
    int result = get_archive(sorter, item->path, &archive);
    if (result < 0 || archive->is_whole) {
        return result;
    }
    if (archive->is_thin) {
        return push_thin_member(sorter, item);
    }
    size_t before = archive->done.count;
    kiln_strings_add(arena, &archive->done, item->member);
    if (archive->done.count == before) {
        return 0;
    }
    size_t count = count_in_archive(archive, item->member);
    if (count <= 1) {
        push_input(sorter, kiln_arena_printf(arena, "%s(%s)", item->path, item->member), item->path,
                   item->member);
        return 0;
    }
    if (count_in_trace(sorter->trace, item) >= count) {
        return copy_members(sorter, item);
    }
    push_input(sorter, item->path, NULL, NULL);
    archive->is_whole = true;
    return 0;
}

/* The end of the comment, quoted name or pair of brackets that starts at AT of a script. */
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

/* Whether SCRIPT, besides saying what to link, defines a symbol: `x = y;`, or `PROVIDE(x = y);`. */
static bool
defines_symbols(struct kiln_span script)
{
    static const char *const words[] = {"PROVIDE", "HIDDEN"}; /* PROVIDE_HIDDEN, too */
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

/* A script may only say what to link (libm.so does). */
static int
sort_other(struct sorter *sorter, const char *path, struct kiln_span bytes)
{
    static const char layout[] = "SECTIONS";
    if (memmem(bytes.ptr, bytes.len, layout, strlen(layout)) != NULL) {
        return kiln_fail(sorter->ctx, KILN_ERR_INPUT,
                         "%s: a linker script with a layout of its own, which cannot be kept in a "
                         "link with other extensions: link without it",
                         path);
    }
    if (defines_symbols(bytes)) {
        return kiln_fail(sorter->ctx, KILN_ERR_INPUT,
                         "%s: a linker script that defines symbols, which would be lost: define "
                         "them in the sources, or by -Wl,--defsym",
                         path);
    }
    return 0;
}

static int
compare_file(const void *key, const void *element)
{
    return strcmp(key, *(const char *const *)element);
}

static bool
has_name(const struct archive *archive, const char *name)
{
    return archive->names.count > 0 && bsearch(name, archive->names.items, archive->names.count,
                                               sizeof(const char *), compare_file) != NULL;
}

/* GNU ld lists a member of a thin archive as the file that it is, after the archive. The archive that
 * PATH came from; NULL: none. */
static const struct archive *
find_thin(const struct sorter *sorter, const char *path)
{
    for (size_t i = sorter->archives.count; i > 0; i--) {
        const struct archive *archive = &sorter->archives.items[i - 1];
        const char *dir = kiln_file_dirname(sorter->ctx, archive->path);
        size_t len = strlen(dir);
        bool is_below = strncmp(path, dir, len) == 0 && path[len] == '/';
        if (archive->is_thin &&
            (has_name(archive, path) || (is_below && has_name(archive, path + len + 1))))
        {
            return archive;
        }
    }
    return NULL;
}

static int
sort_object(struct sorter *sorter, const char *path)
{
    if (!kiln_strings_contain(sorter->inputs, path)) {
        const struct archive *thin = find_thin(sorter, path);
        push_input(sorter, path, thin == NULL ? NULL : thin->path, path);
    }
    return 0;
}

static int
sort_item(struct sorter *sorter, const struct kiln_trace_item *item)
{
    struct kiln_ctx *ctx = sorter->ctx;
    if (item->member != NULL) {
        return sort_member(sorter, item);
    }
    struct kiln_file file;
    int result = kiln_file_map(ctx, item->path, &file);
    if (result < 0) {
        return result;
    }
    switch (kiln_elf_classify(file.bytes)) {
    case KILN_OBJECT_RELOCATABLE:
    case KILN_OBJECT_GCC_LTO:
    case KILN_OBJECT_LLVM_BITCODE:
        result = sort_object(sorter, item->path);
        break;
    case KILN_OBJECT_SHARED:
        kiln_strings_add(&ctx->arena, sorter->shared, kiln_file_absolute(ctx, item->path));
        break;
    case KILN_OBJECT_ARCHIVE: /* opened; its members are items of their own */
        if (kiln_ar_is_thin(file.bytes)) {
            struct archive *archive;
            result = get_archive(sorter, item->path, &archive);
        }
        break;
    case KILN_OBJECT_OTHER:
        result = sort_other(sorter, item->path, file.bytes);
        break;
    }
    kiln_file_release(&file);
    return result;
}

int
kiln_trace_sort(struct kiln_ctx *ctx, const struct kiln_trace *trace, struct kiln_strings *inputs,
                struct kiln_strings *origins, struct kiln_strings *shared)
{
    struct sorter sorter = {
        .ctx = ctx, .trace = trace, .inputs = inputs, .origins = origins, .shared = shared};
    for (size_t i = 0; i < trace->count; i++) {
        int result = sort_item(&sorter, &trace->items[i]);
        if (result < 0) {
            return result;
        }
    }
    if (inputs->count == 0) {
        return kiln_fail(ctx, KILN_ERR_INPUT, "the linker's trace lists no object");
    }
    return 0;
}
