/* Finding shared libraries: by their names ("*.so", "*.so.*"), then by what they export. */
#include "link/find/libraries.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "names/init_symbol.h"
#include "unlink/dynobj.h"

enum { DEPTH_MAX = 64 }; /* of directories */

static bool
exports_init(const struct kiln_dynobj *dso)
{
    for (size_t i = dso->first_defined; i < dso->symbol_count; i++) {
        struct kiln_dynobj_symbol symbol;
        if (kiln_dynobj_get_symbol(dso, i, &symbol) && symbol.sym.st_shndx != SHN_UNDEF &&
            kiln_init_symbol_is_valid(symbol.name))
        {
            return true;
        }
    }
    return false;
}

bool
kiln_libraries_is_one(struct kiln_span bytes)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_dynobj dso;
    bool result = kiln_dynobj_read(&silent, bytes, "", &dso) == NULL &&
                  dso.header.e_type == ET_DYN && (dso.flags_1 & DF_1_PIE) == 0 &&
                  !exports_init(&dso);
    kiln_ctx_release(&silent);
    return result;
}

static bool
is_named_library(const char *name)
{
    const char *suffix = strstr(name, ".so");
    while (suffix != NULL && suffix[3] != '\0' && suffix[3] != '.') {
        suffix = strstr(suffix + 1, ".so");
    }
    return suffix != NULL && suffix > name;
}

static void
visit_file(struct kiln_ctx *ctx, const char *path, struct kiln_strings *out)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file;
    if (kiln_file_map(&silent, path, &file) == 0) {
        if (kiln_libraries_is_one(file.bytes)) {
            kiln_strings_push(&ctx->arena, out, path);
        }
        kiln_file_release(&file);
    }
    kiln_ctx_release(&silent);
}

/* Links are followed to files only: a library is found in the directory that it is in. */
static void
visit_directory(struct kiln_ctx *ctx, const char *dir, unsigned depth,
                const struct kiln_strings *known, struct kiln_strings *out)
{
    struct dirent **entries;
    int count = depth > DEPTH_MAX ? -1 : scandir(dir, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        const char *name = entries[i]->d_name;
        const char *path = kiln_arena_printf(&ctx->arena, "%s/%s", dir, name);
        struct stat st;
        if (name[0] != '.' && lstat(path, &st) == 0) {
            if (S_ISDIR(st.st_mode)) {
                visit_directory(ctx, path, depth + 1, known, out);
            }
            else if (is_named_library(name) && !kiln_strings_find(known, path) &&
                     kiln_file_is_regular(path)) {
                visit_file(ctx, path, out);
            }
        }
        free(entries[i]);
    }
    if (count >= 0) {
        free(entries);
    }
}

void
kiln_libraries_find(struct kiln_ctx *ctx, const char *root, const struct kiln_strings *known,
                    struct kiln_strings *out)
{
    visit_directory(ctx, root, 0, known, out);
}
