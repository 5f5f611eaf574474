/* Fills the record of a link: what its output tells (init symbols, rpath), and what later links must
 * repeat.
 *
 * Libraries that were archives are in the relocatable; those that were shared objects are needed
 * again. `-lfoo` is looked up as by the linker, in the -L directories; the toolchain's own directories
 * are not known, so a library from there is looked for in the trace. */
#include "cc/cc.h"

#include <stdlib.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "elf/elf.h"
#include "names/init_symbol.h"

/* -- From the output -- */

static void
read_inits(struct kiln_ctx *ctx, const struct kiln_elf *elf, struct kiln_strings *out)
{
    const char *name;
    for (size_t i = 0; (name = kiln_init_symbol_next(elf, SHT_DYNSYM, &i)) != NULL;) {
        kiln_strings_add(&ctx->arena, out, kiln_arena_strdup(&ctx->arena, name));
    }
    kiln_strings_sort(out);
}

int
kiln_record_read_output(struct kiln_ctx *ctx, const char *path, struct kiln_fat *fat, bool *found)
{
    *found = false;
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) { /* /dev/null */
        return 0;
    }
    struct kiln_file file;
    struct kiln_elf elf;
    struct kiln_elf_dynamic dynamic;
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0 && kiln_elf_classify(file.bytes) == KILN_OBJECT_SHARED) {
        result = kiln_elf_init(ctx, file.bytes, path, &elf);
        if (result == 0) {
            read_inits(ctx, &elf, &fat->inits);
            kiln_elf_read_dynamic(ctx, &elf, &dynamic);
            fat->rpaths = dynamic.rpaths;
            *found = fat->inits.count > 0;
        }
        kiln_elf_release(&elf);
    }
    kiln_file_release(&file);
    return result;
}

/* -- From the command line -- */

static enum kiln_object_kind
classify(struct kiln_ctx *ctx, const char *path)
{
    struct stat st;
    struct kiln_file file;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || kiln_file_map(ctx, path, &file) < 0) {
        return KILN_OBJECT_OTHER;
    }
    enum kiln_object_kind kind = kiln_elf_classify(file.bytes);
    kiln_file_release(&file);
    return kind;
}

static bool
is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* Returns the file that the linker takes for LIBRARY from directory DIR, or NULL. */
static const char *
find_in_dir(struct kiln_ctx *ctx, const char *dir, const struct kiln_repeat *library)
{
    struct kiln_arena *arena = &ctx->arena;
    const char *path;
    if (library->text[0] == ':') {
        path = kiln_arena_printf(arena, "%s/%s", dir, library->text + 1);
        return is_file(path) ? path : NULL;
    }
    path = kiln_arena_printf(arena, "%s/lib%s.so", dir, library->text);
    if (!library->is_static && is_file(path)) {
        return path;
    }
    path = kiln_arena_printf(arena, "%s/lib%s.a", dir, library->text);
    return is_file(path) ? path : NULL;
}

/* Returns whether one of DSOS is LIBRARY: libm.so.6 for -lm. */
static bool
is_among(struct kiln_ctx *ctx, const struct kiln_strings *dsos, const struct kiln_repeat *library)
{
    const char *stem = library->text[0] == ':'
                           ? library->text + 1
                           : kiln_arena_printf(&ctx->arena, "lib%s.so", library->text);
    size_t len = strlen(stem);
    for (size_t i = 0; i < dsos->count; i++) {
        const char *name = kiln_file_basename(dsos->items[i]);
        if (strncmp(name, stem, len) == 0 && (name[len] == '\0' || name[len] == '.')) {
            return true;
        }
    }
    return false;
}

/* Lists the directories that are searched for libraries before the toolchain's own. */
static void
list_dirs(struct kiln_ctx *ctx, const struct kiln_command_line *line, struct kiln_strings *out)
{
    for (size_t i = 0; i < line->repeats.count; i++) {
        if (line->repeats.items[i].kind == KILN_REPEAT_DIR) {
            kiln_strings_add(&ctx->arena, out,
                             kiln_file_absolute(ctx, line->repeats.items[i].text));
        }
    }
    const char *library_path = getenv("LIBRARY_PATH");
    struct kiln_strings more = {0};
    if (library_path != NULL) {
        kiln_strings_add_dirs(&ctx->arena, &more, library_path);
    }
    for (size_t i = 0; i < more.count; i++) {
        kiln_strings_add(&ctx->arena, out, kiln_file_absolute(ctx, more.items[i]));
    }
}

/* python3.12, libpython3.12.so, :libpython3.so. The executable has its own libpython, perhaps a static
 * one. */
static bool
is_libpython(const char *name)
{
    name += *name == ':';
    name += kiln_starts_with(name, "lib") ? 3 : 0;
    return kiln_starts_with(name, "python") && name[6] >= '0' && name[6] <= '9';
}

static void
push_library(struct kiln_ctx *ctx, const struct kiln_repeat *library,
             const struct kiln_strings *dirs, struct kiln_fat *fat)
{
    struct kiln_arena *arena = &ctx->arena;
    const char *path = NULL;
    size_t i = 0;
    if (is_libpython(library->text)) {
        return;
    }
    while (i < dirs->count && (path = find_in_dir(ctx, dirs->items[i], library)) == NULL) {
        i++;
    }
    if (path == NULL ? !is_among(ctx, &fat->dsos, library)
                     : classify(ctx, path) == KILN_OBJECT_ARCHIVE) {
        return;
    }
    if (path != NULL) { /* the directory may be from LIBRARY_PATH */
        kiln_strings_add(arena, &fat->args, kiln_arena_printf(arena, "-L%s", dirs->items[i]));
    }
    kiln_strings_push(arena, &fat->args, kiln_arena_printf(arena, "-l%s", library->text));
}

/* gfortran links its run-time library implicitly; a C or C++ driver does not. */
static void
push_fortran(struct kiln_ctx *ctx, struct kiln_fat *fat)
{
    if (strstr(kiln_file_basename(fat->driver), "gfortran") != NULL) {
        kiln_strings_add(&ctx->arena, &fat->args, "-lgfortran");
        kiln_strings_add(&ctx->arena, &fat->args, "-lm");
    }
}

void
kiln_record_args(struct kiln_ctx *ctx, const struct kiln_command_line *line, struct kiln_fat *fat)
{
    struct kiln_strings dirs = {0};
    list_dirs(ctx, line, &dirs);
    for (size_t i = 0; i < line->repeats.count; i++) {
        const struct kiln_repeat *repeat = &line->repeats.items[i];
        switch (repeat->kind) {
        case KILN_REPEAT_FLAG:
            kiln_strings_push(&ctx->arena, &fat->args, repeat->text);
            break;
        case KILN_REPEAT_DIR:
            kiln_strings_add(
                &ctx->arena, &fat->args,
                kiln_arena_printf(&ctx->arena, "-L%s", kiln_file_absolute(ctx, repeat->text)));
            break;
        case KILN_REPEAT_LIBRARY:
            push_library(ctx, repeat, &dirs, fat);
            break;
        case KILN_REPEAT_INPUT:
            if (classify(ctx, repeat->text) == KILN_OBJECT_SHARED &&
                !is_libpython(kiln_file_basename(repeat->text)))
            {
                kiln_strings_push(&ctx->arena, &fat->args, kiln_file_absolute(ctx, repeat->text));
            }
            break;
        }
    }
    push_fortran(ctx, fat);
}
