/* Isolating: the list of passes that make a combined object the module of one dotted name.
 *
 * Parse, plan, edit, parse again, verify, all in memory. There is no global state, and the work is
 * linear in the object's symbols and sections: one link isolates thousands of extensions, on every
 * core. */
#include "isolate/isolate.h"

#include "base/file.h"
#include "isolate/edit.h"
#include "isolate/plan.h"
#include "isolate/sections.h"
#include "isolate/survey.h"
#include "isolate/verify.h"
#include "isolate/versions.h"
#include "names/dotted_name.h"

static int
edit(struct kiln_ctx *ctx, struct kiln_span object, const struct kiln_isolation *as,
     struct kiln_isolated *out, struct kiln_arena *arena, struct kiln_span *bytes)
{
    struct kiln_elf elf;
    struct kiln_plan plan = {0};
    int result = kiln_elf_init(ctx, object, as->name, &elf);
    if (result == 0) {
        result = kiln_plan_init(ctx, &plan, &elf, as, out);
    }
    if (result == 0) {
        kiln_versions_name(&plan);
        kiln_sections_name(&plan);
        kiln_plan_name_symbols(&plan);
        result = kiln_survey_fill(ctx, &plan, out);
    }
    if (result == 0) {
        result = kiln_edit_apply(ctx, &plan, arena, bytes);
    }
    kiln_plan_release(&plan);
    return result;
}

int
kiln_isolate(struct kiln_ctx *ctx, struct kiln_span object, const struct kiln_isolation *as,
             struct kiln_isolated *out, struct kiln_arena *arena, struct kiln_span *bytes)
{
    *out = (struct kiln_isolated){0};
    struct kiln_elf elf;
    int result = as->library != NULL ? 0 : kiln_dotted_name_check(ctx, as->name);
    if (result == 0) {
        result = edit(ctx, object, as, out, arena, bytes);
    }
    if (result == 0) {
        result = kiln_elf_init(ctx, *bytes, as->name, &elf);
    }
    return result == 0 ? kiln_verify(ctx, &elf, out) : result;
}

int
kiln_isolate_file(struct kiln_ctx *ctx, const char *path, const struct kiln_isolation *as,
                  struct kiln_isolated *out)
{
    struct kiln_arena arena = {0};
    struct kiln_file file;
    struct kiln_span bytes;
    int result = kiln_file_map(ctx, path, &file);
    if (result == 0) {
        result = kiln_isolate(ctx, file.bytes, as, out, &arena, &bytes);
    }
    if (result == 0) {
        result = kiln_file_write(ctx, path, bytes);
    }
    kiln_file_release(&file);
    kiln_arena_release(&arena);
    return result;
}
