/* Searching for extensions where Python itself would find them.
 *
 * In one directory importlib's FileFinder prefers, for one name: a package (a directory with an
 * `__init__`), an extension module, a source file, then a directory as part of a namespace package.
 * Only the first of these can be imported, so only that is found here.
 *
 * Links are followed, but not into a directory that the search is in already: that would give a module
 * any number of names. */
#include "link/find/search.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "names/dotted_name.h"

/* A directory being searched, and those above it. */
struct place {
    dev_t device;
    ino_t inode;
    const struct place *above;
};

struct search {
    struct kiln_ctx *ctx;
    const struct kiln_python *python;
    struct kiln_found_list *found;
    const char *root;  /* the directory at hand */
    const char *place; /* see struct kiln_found */
    /* The directories before the one at hand, as on sys.path: what they have at their top level
     * hides what comes later. */
    const char *const *before;
    size_t before_count;
};

/* The extension suffix that FILE ends in, NULL if none. Every suffix ends in ".so", so the longest
 * match is the one meant. */
static const char *
find_suffix(const struct kiln_python *python, const char *file)
{
    size_t len = strlen(file);
    const char *best = NULL;
    for (size_t i = 0; i < python->suffixes.count; i++) {
        const char *suffix = python->suffixes.items[i];
        size_t suffix_len = strlen(suffix);
        if (len > suffix_len && strcmp(file + len - suffix_len, suffix) == 0 &&
            (best == NULL || suffix_len > strlen(best)))
        {
            best = suffix;
        }
    }
    return best;
}

/* The extension file for the module STEM in DIR, in the order in which Python tries the suffixes.
 */
static const char *
find_extension(const struct search *search, const char *dir, const char *stem)
{
    for (size_t i = 0; i < search->python->suffixes.count; i++) {
        const char *path = kiln_arena_printf(&search->ctx->arena, "%s/%s%s", dir, stem,
                                             search->python->suffixes.items[i]);
        if (kiln_file_is_regular(path)) {
            return path;
        }
    }
    return NULL;
}

static bool
has_init(const struct search *search, const char *dir)
{
    static const char *const inits[] = {"__init__.py", "__init__.pyc"};
    for (size_t i = 0; i < 2; i++) {
        if (access(kiln_arena_printf(&search->ctx->arena, "%s/%s", dir, inits[i]), F_OK) == 0) {
            return true;
        }
    }
    return find_extension(search, dir, "__init__") != NULL;
}

static bool
is_component(const char *name, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)name[i];
        if (!(c >= 0x80 || c == '_' || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
              (c >= 'A' && c <= 'Z')))
        {
            return false;
        }
    }
    return len > 0;
}

static void
add_found(const struct search *search, const char *name, const char *path, bool package)
{
    struct kiln_found *found = KILN_ARENA_PUSH(&search->ctx->arena, search->found);
    *found = (struct kiln_found){
        .name = name,
        .path = path,
        .root = search->root,
        .place = search->place,
        .package = package,
        .order = search->found->count,
    };
}

static const char *
join_name(const struct search *search, const char *parent, const char *name)
{
    return *parent == '\0' ? name : kiln_arena_printf(&search->ctx->arena, "%s.%s", parent, name);
}

/* Whether an earlier directory has the top-level module or regular package STEM. */
static bool
is_hidden(const struct search *search, const char *stem)
{
    for (size_t i = 0; i < search->before_count; i++) {
        const char *dir = search->before[i];
        const char *package = kiln_arena_printf(&search->ctx->arena, "%s/%s", dir, stem);
        const char *source = kiln_arena_printf(&search->ctx->arena, "%s.py", package);
        if (has_init(search, package) || access(source, F_OK) == 0 ||
            find_extension(search, dir, stem) != NULL)
        {
            return true;
        }
    }
    return false;
}

static int search_directory(const struct search *search, const char *dir, const char *package,
                            const struct place *above);

static int
visit_entry(const struct search *search, const char *dir, const char *package, const char *entry,
            const struct place *place)
{
    struct kiln_arena *arena = &search->ctx->arena;
    const char *path = kiln_arena_printf(arena, "%s/%s", dir, entry);
    const char *suffix = find_suffix(search->python, entry);
    size_t stem_len = strlen(entry) - (suffix == NULL ? 0 : strlen(suffix));
    const char *stem = kiln_arena_strndup(arena, entry, stem_len);

    if (*package == '\0' && is_hidden(search, stem)) {
        return 0;
    }
    if (suffix == NULL) {
        if (!is_component(stem, stem_len) || strcmp(stem, "__pycache__") == 0 ||
            !kiln_file_is_directory(path))
        {
            return 0;
        }
        /* Not a package, and a module of the same name takes its place. */
        if (!has_init(search, path) && find_extension(search, dir, stem) != NULL) {
            return 0;
        }
        return search_directory(search, path, join_name(search, package, stem), place);
    }
    if (strcmp(stem, "__init__") == 0 && *package != '\0') {
        add_found(search, package, path, true);
        return 0;
    }
    const char *chosen = find_extension(search, dir, stem);
    const char *sibling = kiln_arena_printf(arena, "%s/%s", dir, stem);
    if (chosen == NULL || strcmp(chosen, path) != 0 ||
        (kiln_file_is_directory(sibling) && has_init(search, sibling)))
    {
        return 0; /* Python would import something else under this name */
    }
    add_found(search, join_name(search, package, stem), path, false);
    if (!is_component(stem, stem_len)) {
        search->found->items[search->found->count - 1].reason =
            "its name is no identifier, so no import statement can name it";
    }
    return 0;
}

static int
search_directory(const struct search *search, const char *dir, const char *package,
                 const struct place *above)
{
    struct stat st;
    struct dirent **entries;
    int count = stat(dir, &st) < 0 ? -1 : scandir(dir, &entries, NULL, alphasort);
    if (count < 0) {
        return kiln_fail_errno(search->ctx, "%s: cannot search", dir);
    }
    const struct place place = {.device = st.st_dev, .inode = st.st_ino, .above = above};
    bool is_cycle = false;
    for (const struct place *at = above; at != NULL; at = at->above) {
        is_cycle = is_cycle || (at->device == place.device && at->inode == place.inode);
    }
    int result = 0;
    for (int i = 0; i < count; i++) {
        if (result == 0 && !is_cycle && entries[i]->d_name[0] != '.') {
            result =
                visit_entry(search, dir, package,
                            kiln_arena_strdup(&search->ctx->arena, entries[i]->d_name), &place);
        }
        free(entries[i]);
    }
    free(entries);
    return result;
}

/* The dotted name of the LEN bytes at RELATIVE, a path. */
static char *
make_dotted(const struct search *search, const char *relative, size_t len)
{
    char *name = kiln_arena_strndup(&search->ctx->arena, relative, len);
    for (char *c = name; *c != '\0'; c++) {
        *c = *c == '/' ? '.' : *c;
    }
    return name;
}

/* The name of an extension file is its place below the directory on sys.path that it is in, or,
 * elsewhere, below the packages around it. */
static int
add_file(const struct search *search, const char *file)
{
    struct kiln_ctx *ctx = search->ctx;
    const char *path = kiln_file_absolute(ctx, file);
    const char *suffix = find_suffix(search->python, path);
    if (suffix == NULL) {
        return kiln_fail(ctx, KILN_ERR_INPUT,
                         "%s: not an extension module of Python %s: its name ends in none of its "
                         "suffixes (%s, ...)",
                         file, search->python->version, search->python->suffixes.items[0]);
    }
    const char *root = NULL;
    for (size_t i = 0; i < search->python->search_path.count; i++) {
        const char *prefix = search->python->search_path.items[i];
        size_t len = strlen(prefix);
        if (strncmp(path, prefix, len) == 0 && path[len] == '/' &&
            (root == NULL || len > strlen(root))) {
            root = prefix;
        }
    }
    if (root == NULL) {
        root = kiln_file_dirname(ctx, path);
        while (has_init(search, root)) {
            root = kiln_file_dirname(ctx, root);
        }
    }
    const char *relative = path + strlen(root) + 1;
    char *name = make_dotted(search, relative, strlen(relative) - strlen(suffix));
    size_t len = strlen(name);
    bool package = len > 9 && strcmp(name + len - 9, ".__init__") == 0;
    if (package) {
        name[len - 9] = '\0';
    }
    int result = kiln_dotted_name_check(ctx, name);
    if (result < 0) {
        return kiln_fail(ctx, result, "%s: not baked: its name cannot be imported", file);
    }
    add_found(search, name, path, package);
    search->found->items[search->found->count - 1].is_explicit = true;
    search->found->items[search->found->count - 1].root = root;
    search->found->items[search->found->count - 1].place = root;
    return 0;
}

/* Search the directory at RELATIVE below ROOT, "" for ROOT itself. */
static int
search_below(const struct search *search, const char *root, const char *place, const char *relative)
{
    struct kiln_arena *arena = &search->ctx->arena;
    struct search below = *search;
    below.root = root;
    below.place = place;
    const char *package = make_dotted(search, relative, strlen(relative));
    const char *dir = *relative == '\0' ? root : kiln_arena_printf(arena, "%s/%s", root, relative);
    return search_directory(&below, dir, package, NULL);
}

/* PATH without what would be no part of a module's name. */
static const char *
normalize(struct kiln_ctx *ctx, const char *path)
{
    char *dir = kiln_arena_strdup(&ctx->arena, kiln_file_absolute(ctx, path));
    for (size_t len = strlen(dir); len > 1 && dir[len - 1] == '/'; len--) {
        dir[len - 1] = '\0';
    }
    char *real = strstr(dir, "/..") != NULL || strstr(dir, "/./") != NULL ||
                         strstr(dir, "//") != NULL || kiln_ends_with(dir, "/.")
                     ? realpath(dir, NULL)
                     : NULL;
    const char *result = real == NULL ? dir : kiln_arena_strdup(&ctx->arena, real);
    free(real);
    return result;
}

static bool
is_one_of(const struct kiln_strings *directories, const char *dir)
{
    for (size_t i = 0; i < directories->count; i++) {
        if (kiln_file_is_same(directories->items[i], dir)) {
            return true;
        }
    }
    return false;
}

/* A package is searched below the directory that it is imported from. */
static int
add_directory(const struct search *search, const char *path)
{
    const char *dir = normalize(search->ctx, path), *root = dir;
    while (has_init(search, root) && !is_one_of(&search->python->search_path, root)) {
        root = kiln_file_dirname(search->ctx, root);
    }
    return search_below(search, root, root, root == dir ? "" : dir + strlen(root) + 1);
}

const char *
kiln_found_get_place(struct kiln_ctx *ctx, const struct kiln_found *found)
{
    return found->place == found->root ? found->path
                                       : kiln_arena_printf(&ctx->arena, "%s%s", found->place,
                                                           found->path + strlen(found->root));
}

/* A wheel is unpacked by the zipfile module of its own Python. */
static int
add_wheel(const struct search *search, const char *path)
{
    struct kiln_ctx *ctx = search->ctx;
    const char *dir = kiln_ctx_make_dir(ctx, "wheel");
    if (dir == NULL) {
        return KILN_ERR_SYSTEM;
    }
    struct kiln_process unzip = {.out_mode = KILN_STREAM_DROP, .err_mode = KILN_STREAM_CAPTURE};
    const char *argv[] = {search->python->executable, "-I", "-m", "zipfile", "-e", path, dir};
    for (size_t i = 0; i < sizeof argv / sizeof argv[0]; i++) {
        kiln_strings_push(&ctx->arena, &unzip.argv, argv[i]);
    }
    int result = kiln_process_run(ctx, &unzip);
    if (result == 0 && unzip.status != 0) {
        result = kiln_fail(ctx, KILN_ERR_INPUT,
                           "%s: the wheel cannot be unpacked: %s; download or build it again", path,
                           kiln_process_get_last_line(ctx, unzip.err));
    }
    return result < 0 ? result : search_below(search, dir, kiln_file_absolute(ctx, path), "");
}

static int
add_path(const struct search *search, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0) {
        return kiln_fail_errno(search->ctx, "%s: cannot read", path);
    }
    if (S_ISDIR(st.st_mode)) {
        return add_directory(search, path);
    }
    if (!S_ISREG(st.st_mode)) {
        return kiln_fail(search->ctx, KILN_ERR_INPUT, "%s: not a regular file", path);
    }
    if (kiln_ends_with(path, ".whl")) {
        return add_wheel(search, path);
    }
    return add_file(search, path);
}

/* Search what EDITABLE, an editable install's, is: the module NAME at PLACE. */
static int
add_editable(const struct search *search, const char *editable)
{
    struct kiln_arena *arena = &search->ctx->arena;
    struct search below = *search;
    const char *path = strchr(editable, '=') + 1;
    const char *name = kiln_arena_strndup(arena, editable, (size_t)(path - editable) - 1);
    below.root = kiln_file_dirname(search->ctx, path);
    for (const char *dot = name; (dot = strchr(dot, '.')) != NULL; dot++) {
        below.root = kiln_file_dirname(search->ctx, below.root);
    }
    below.place = below.root;
    if (kiln_file_is_directory(path)) {
        return search_directory(&below, path, name, NULL);
    }
    if (find_suffix(search->python, path) != NULL && kiln_file_is_regular(path)) {
        add_found(&below, name, path, false);
    }
    return 0;
}

static int
add_editables(const struct search *search)
{
    const struct kiln_python *python = search->python;
    int result = 0;
    for (size_t i = 0; i < python->editables.count; i++) {
        int failed = add_editable(search, python->editables.items[i]);
        result = failed < 0 ? failed : result;
    }
    for (size_t i = 0; i < python->unlisted.count; i++) {
        kiln_say(
            search->ctx, KILN_WARNING,
            "%s: an editable install that does not tell which files it has: its extensions stay "
            "files; install it without --editable",
            python->unlisted.items[i]);
    }
    return result;
}

static void
mark_standard(const struct kiln_python *python, struct kiln_found_list *list)
{
    const char *root = NULL;
    bool is_standard = false;
    for (size_t i = 0; i < list->count; i++) {
        struct kiln_found *found = &list->items[i];
        if (found->root != root) {
            root = found->root;
            is_standard = is_one_of(&python->dynload, root);
        }
        found->is_standard = is_standard;
    }
}

static int
compare_found(const void *left, const void *right)
{
    const struct kiln_found *a = left, *b = right;
    int by_name = strcmp(a->name, b->name);
    if (by_name != 0 || a->is_standard != b->is_standard) {
        return by_name != 0 ? by_name : b->is_standard - a->is_standard;
    }
    return (a->order > b->order) - (a->order < b->order);
}

/* Sort LIST, and remove all but the first extension of a name. Unless KEEP_FIRST, it is an error if the
 * others are other files. One that has the name of one of the standard library stays in the list: it cannot
 * be baked, for that reason. */
static int
settle_duplicates(struct kiln_ctx *ctx, struct kiln_found_list *list, bool keep_first)
{
    int result = 0;
    size_t kept = 0;
    if (list->count > 0) {
        qsort(list->items, list->count, sizeof *list->items, compare_found);
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct kiln_found *found = &list->items[i];
        const struct kiln_found *last = kept == 0 ? NULL : &list->items[kept - 1];
        if (last == NULL || strcmp(last->name, found->name) != 0 ||
            last->is_standard != found->is_standard) {
            list->items[kept++] = *found;
        }
        else if (!keep_first && !kiln_file_is_same(last->path, found->path)) {
            result = kiln_fail(ctx, KILN_ERR_INPUT,
                               "%s: two extensions have this name; leave one out:\n  %s\n  %s",
                               found->name, last->path, found->path);
        }
    }
    list->count = kept;
    return result;
}

int
kiln_search(struct kiln_ctx *ctx, const struct kiln_python *python,
            const struct kiln_strings *paths, bool with_standard, struct kiln_found_list *out)
{
    *out = (struct kiln_found_list){0};
    struct search search = {.ctx = ctx, .python = python, .found = out};
    bool own = paths->count == 0;
    const struct kiln_strings *roots = own ? &python->path : paths;
    int result = 0;
    for (size_t i = 0; i < roots->count; i++) {
        search.before = roots->items;
        search.before_count = own ? i : 0;
        int failed = add_path(&search, roots->items[i]);
        result = failed < 0 ? failed : result;
    }
    search.before_count = 0;
    if (own) {
        int failed = add_editables(&search);
        result = failed < 0 ? failed : result;
    }
    size_t first = out->count;
    for (size_t i = 0; with_standard && i < python->dynload.count; i++) {
        int failed = add_path(&search, python->dynload.items[i]);
        result = failed < 0 ? failed : result;
    }
    for (size_t i = first; i < out->count; i++) {
        out->items[i].is_addition = !own;
    }
    mark_standard(python, out);
    int failed = settle_duplicates(ctx, out, own);
    return failed < 0 ? failed : result;
}
