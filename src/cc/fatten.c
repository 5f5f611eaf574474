/* The list of passes from a finished link to a fat extension.
 *
 * If a pass fails, the section gets the record as far as it is filled, and the reason instead of the
 * relocatable. */
#include "cc/cc.h"

#include <signal.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/text.h"
#include "elf/elf.h"
#include "names/init_symbol.h"

static void
push_inits(struct kiln_ctx *ctx, const struct kiln_elf *elf, struct kiln_strings *out)
{
    const char *name;
    for (size_t i = 0; (name = kiln_init_symbol_next(elf, SHT_DYNSYM, &i)) != NULL;) {
        kiln_strings_add(&ctx->arena, out, kiln_arena_strdup(&ctx->arena, name));
    }
    kiln_strings_sort(out);
}

/* Lists the init symbols of the shared object at PATH, sorted. There are none if it is anything else. */
static int
read_inits(struct kiln_ctx *ctx, const char *path, struct kiln_strings *out)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode)) { /* /dev/null */
        return 0;
    }
    struct kiln_file file;
    struct kiln_elf elf;
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0 && kiln_elf_classify(file.bytes) == KILN_OBJECT_SHARED) {
        result = kiln_elf_init(ctx, file.bytes, path, &elf);
        if (result == 0) {
            push_inits(ctx, &elf, out);
        }
        kiln_elf_release(&elf);
    }
    kiln_file_release(&file);
    return result;
}

static int
make_object(struct kiln_cc *cc, struct kiln_fat *fat, const char *path)
{
    struct kiln_ctx *ctx = &cc->ctx;
    struct kiln_trace trace;
    struct kiln_combine combine = {.flags = cc->line.combine, .cc = cc->compiler.driver};
    /* What the traced link compiles has a name that is another one each time. */
    kiln_strings_push(&ctx->arena, &combine.maps,
                      kiln_arena_printf(&ctx->arena, "%s=.", ctx->tmpdir));
    kiln_strings_push_all(&ctx->arena, &combine.maps, &cc->line.maps);

    /* What the link reads, in order. */
    int result = kiln_traced_link_run(ctx, &cc->compiler, &cc->line, &trace);
    if (result < 0) {
        return result;
    }
    /* Of that, objects and members of archives. Which shared objects are needed, the output tells. */
    result = kiln_link_inputs_select(ctx, &trace, &combine.inputs);
    if (result < 0) {
        return result;
    }
    combine.inits = fat->inits;
    /* The inputs are kept, so that a library among them can be taken out later. */
    combine.archives = &fat->archives;
    combine.parts = &fat->parts;
    fat->combine = combine.flags;
    return kiln_combine(ctx, &combine, path);
}

static const char *
join_problems(struct kiln_cc *cc)
{
    const char *text = "";
    for (size_t i = 0; i < cc->problems.count; i++) {
        text = kiln_arena_printf(&cc->ctx.arena, "%s%s%s", text, i == 0 ? "" : "\n",
                                 cc->problems.items[i]);
    }
    return *text == '\0' ? "the reason is not known" : text;
}

/* Signals are blocked: an interrupted write would leave a temporary file beside the output. */
static int
write_section(struct kiln_ctx *ctx, const char *path, const struct kiln_fat *fat,
              struct kiln_span object)
{
    sigset_t all, saved;
    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, &saved);
    int result = kiln_fat_write(ctx, path, fat, object);
    sigprocmask(SIG_SETMASK, &saved, NULL);
    return result;
}

int
kiln_fatten(struct kiln_cc *cc, const char *reason)
{
    struct kiln_ctx *ctx = &cc->ctx;
    const char *output = kiln_file_absolute(ctx, cc->line.output);
    struct kiln_fat fat = {
        .driver = cc->compiler.driver,
        .output = kiln_text_map_path(&ctx->arena, &cc->line.maps, output),
        .failure = reason,
    };
    int result = read_inits(ctx, output, &fat.inits);
    if (result < 0 || fat.inits.count == 0) {
        return result;
    }
    struct kiln_file object = {0};
    const char *tmpdir = kiln_ctx_get_tmpdir(ctx);
    const char *path = tmpdir == NULL ? "" : kiln_arena_printf(&ctx->arena, "%s/object.o", tmpdir);
    if (reason == NULL && (tmpdir == NULL || make_object(cc, &fat, path) < 0 ||
                           kiln_file_map(ctx, path, &object) < 0))
    {
        fat.failure = join_problems(cc);
        fat.parts = kiln_span_of(NULL, 0);
    }
    result = write_section(ctx, output, &fat, object.bytes);
    kiln_file_release(&object);
    return result;
}
