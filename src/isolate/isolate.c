/* Isolating: a combined object becomes the module of one dotted name.
 *
 * Read, plan, edit in place, read again, check. No program is run, and the work is linear in the
 * object's symbols and sections: thousands of extensions pass here in one link. */
#include "isolate/isolate.h"

#include "base/file.h"
#include "isolate/plan.h"

static int
edit(struct kiln_ctx *ctx, const char *path, const char *dotted_name, const char *init,
     struct kiln_isolated *out)
{
    struct kiln_file file;
    struct kiln_elf elf;
    struct kiln_plan plan = {0};
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0) {
        result = kiln_elf_init(ctx, file.bytes, dotted_name, &elf);
    }
    if (result == 0) {
        result = kiln_plan_init(ctx, &plan, &elf, dotted_name, init, out);
    }
    if (result == 0) {
        result = kiln_plan_survey(ctx, &plan, out);
    }
    if (result == 0) {
        result = kiln_edit_apply(ctx, &plan, path);
    }
    kiln_plan_release(&plan);
    kiln_file_release(&file);
    return result;
}

static int
verify(struct kiln_ctx *ctx, const char *path, const char *dotted_name,
       const struct kiln_isolated *isolated)
{
    struct kiln_file file;
    struct kiln_elf elf;
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0) {
        result = kiln_elf_init(ctx, file.bytes, dotted_name, &elf);
    }
    if (result == 0) {
        result = kiln_verify(ctx, &elf, isolated);
    }
    kiln_file_release(&file);
    return result;
}

int
kiln_isolate(struct kiln_ctx *ctx, const char *path, const char *dotted_name, const char *init,
             struct kiln_isolated *out)
{
    *out = (struct kiln_isolated){0};
    int result = kiln_check_dotted_name(ctx, dotted_name);
    if (result == 0) {
        result = edit(ctx, path, dotted_name, init, out);
    }
    return result == 0 ? verify(ctx, path, dotted_name, out) : result;
}
