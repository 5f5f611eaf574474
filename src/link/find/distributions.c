/* Which distribution an extension belongs to: the one whose RECORD lists its file. If several do, as the
 * metadata of an older version have been left behind, it is the one that was installed last.
 *
 * Installers write a `.dist-info` into the directory that they install to, which is the one that is
 * searched. The distribution of an extension without one (a build in place, an editable install, an
 * egg, a package of a Linux distribution) is not known. That is not an error: its version is not
 * compared with the installed one where the executable runs. */
#include "link/find/distributions.h"

#include <dirent.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "link/bake.h"
#include "link/find/metadata.h"

#define DIST_INFO ".dist-info"

/* The modules found in one directory of the search, sorted by their relative paths. */
struct place {
    const char *root;
    struct kiln_baked **modules;
    size_t count;
};

static const char *
get_relative_path(const struct kiln_baked *module)
{
    return module->found->path + strlen(module->found->root) + 1;
}

static int
compare_places(const void *left, const void *right)
{
    const struct kiln_baked *const *a = left, *const *b = right;
    int order = strcmp((*a)->found->root, (*b)->found->root);
    return order != 0 ? order : strcmp(get_relative_path(*a), get_relative_path(*b));
}

static int
compare_path(const void *key, const void *element)
{
    const struct kiln_span *path = key;
    const char *other = get_relative_path(*(struct kiln_baked *const *)element);
    int order = strncmp((const char *)path->ptr, other, path->len);
    return order != 0 ? order : (other[path->len] == '\0' ? 0 : -1);
}

static bool
is_newer(const struct kiln_installed *a, const struct kiln_installed *b)
{
    return a->time.tv_sec != b->time.tv_sec ? a->time.tv_sec > b->time.tv_sec
                                            : a->time.tv_nsec > b->time.tv_nsec;
}

/* Set INSTALLED as the distribution of the modules of PLACE that RECORD lists. Returns whether there are
 * any. */
static bool
claim(const struct place *place, struct kiln_span record, const struct kiln_installed *installed)
{
    bool any = false;
    struct kiln_span path;
    while (kiln_metadata_next_path(&record, &path)) {
        struct kiln_baked **module =
            bsearch(&path, place->modules, place->count, sizeof(struct kiln_baked *), compare_path);
        if (module != NULL &&
            ((*module)->distribution == NULL || is_newer(installed, (*module)->distribution)))
        {
            (*module)->distribution = installed;
            any = true;
        }
    }
    return any;
}

/* The value of KEY in METADATA, or, if it has none, the LEN bytes at FALLBACK. */
static const char *
dup_value(struct kiln_ctx *ctx, struct kiln_span metadata, const char *key, const char *fallback,
          size_t len)
{
    struct kiln_span value = kiln_metadata_get(metadata, key);
    return value.len > 0 ? kiln_arena_strndup(&ctx->arena, (const char *)value.ptr, value.len)
                         : kiln_arena_strndup(&ctx->arena, fallback, len);
}

static void
read_metadata(struct kiln_ctx *ctx, const char *path, struct kiln_installed *out)
{
    struct kiln_ctx silent = {0};
    struct kiln_file file = {0};
    if (kiln_file_map(&silent, path, &file) < 0) {
        file.bytes = kiln_span_of(NULL, 0);
    }
    const char *directory = out->directory;
    size_t stem = strlen(directory) - strlen(DIST_INFO), name = strcspn(directory, "-");
    name = name < stem ? name : stem;
    size_t version = name < stem ? name + 1 : stem;
    out->name = dup_value(ctx, file.bytes, "Name", directory, name);
    out->version = dup_value(ctx, file.bytes, "Version", directory + version, stem - version);
    kiln_file_release(&file);
    kiln_ctx_release(&silent);
}

static void
read_distribution(struct kiln_ctx *ctx, const struct place *place, const char *directory,
                  size_t *number)
{
    const char *base = kiln_arena_printf(&ctx->arena, "%s/%s", place->root, directory);
    struct kiln_ctx silent = {0}; /* a RECORD that cannot be read is ignored */
    struct kiln_file record;
    if (kiln_file_map(&silent, kiln_arena_printf(&ctx->arena, "%s/RECORD", base), &record) == 0) {
        struct kiln_installed *installed = kiln_arena_alloc(&ctx->arena, sizeof *installed);
        *installed = (struct kiln_installed){.directory = kiln_arena_strdup(&ctx->arena, directory),
                                             .number = *number};
        struct stat status;
        if (stat(base, &status) == 0) {
            installed->time = status.st_mtim;
        }
        if (claim(place, record.bytes, installed)) {
            read_metadata(ctx, kiln_arena_printf(&ctx->arena, "%s/METADATA", base), installed);
            ++*number;
        }
        kiln_file_release(&record);
    }
    kiln_ctx_release(&silent);
}

static int
select_dist_info(const struct dirent *entry)
{
    return kiln_ends_with(entry->d_name, DIST_INFO) && strcmp(entry->d_name, DIST_INFO) != 0;
}

static void
read_place(struct kiln_ctx *ctx, const struct place *place, size_t *number)
{
    struct dirent **entries;
    int count = scandir(place->root, &entries, select_dist_info, alphasort);
    for (int i = 0; i < count; i++) {
        read_distribution(ctx, place, entries[i]->d_name, number);
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
}

int
kiln_distributions_find(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    size_t count = bake->extensions.count, number = 0;
    struct kiln_baked **sorted = kiln_arena_alloc(&ctx->arena, (count + 1) * sizeof *sorted);
    for (size_t i = 0; i < count; i++) {
        sorted[i] = &bake->extensions.items[i];
    }
    if (count > 0) {
        qsort(sorted, count, sizeof *sorted, compare_places);
    }
    for (size_t i = 0, end; i < count; i = end) {
        const char *root = sorted[i]->found->root;
        for (end = i + 1; end < count && strcmp(sorted[end]->found->root, root) == 0; end++) {
        }
        struct place place = {.root = root, .modules = sorted + i, .count = end - i};
        read_place(ctx, &place, &number);
    }
    bake->distribution_count = number;
    return 0;
}

const char *
kiln_baked_get_distribution(struct kiln_ctx *ctx, const struct kiln_baked *extension)
{
    if (extension->distribution != NULL) {
        return extension->distribution->name;
    }
    const char *name = extension->found->name;
    size_t len = strcspn(name, ".");
    return extension->found->package || name[len] == '.'
               ? kiln_arena_strndup(&ctx->arena, name, len)
               : NULL;
}
