/* `--share`: one copy of static libraries for several modules.
 *
 * A fat extension keeps the inputs that its object was combined from, if archives were among them. The
 * libraries that modules share become one object, combined from the members that any of the modules
 * was linked with, and isolated as a module is, under a suffix of its own. The modules are combined
 * again without these members, and refer to the library by that suffix. If it has constructors, they
 * run before those of the first module that is imported. */
#include <stdlib.h>

#include "base/file.h"
#include "base/text.h"
#include "combine/shim.h"
#include "link/share/share.h"
#include "names/combined.h"
#include "names/module_symbol.h"

/* -- Groups -- */

static int
compare_extensions(const void *a, const void *b)
{
    const struct kiln_baked *one = *(struct kiln_baked *const *)a;
    const struct kiln_baked *other = *(struct kiln_baked *const *)b;
    return strcmp(one->found->name, other->found->name);
}

/* The users of all libraries of GROUP, each once, sorted by name. */
static struct kiln_share_users
list_users(struct kiln_ctx *ctx, const struct kiln_share_group *group)
{
    struct kiln_share_users all = {0}, users = {0};
    for (size_t i = 0; i < group->share_count; i++) {
        for (size_t k = 0; k < group->shares[i]->users.count; k++) {
            *KILN_ARENA_PUSH(&ctx->arena, &all) = group->shares[i]->users.items[k];
        }
    }
    qsort(all.items, all.count, sizeof *all.items, compare_extensions);
    for (size_t i = 0; i < all.count; i++) {
        if (i == 0 || all.items[i] != all.items[i - 1]) {
            *KILN_ARENA_PUSH(&ctx->arena, &users) = all.items[i];
        }
    }
    return users;
}

static void
name_group(struct kiln_ctx *ctx, const struct kiln_bake *bake, struct kiln_share_group *group)
{
    struct kiln_common *shared = group->common;
    for (size_t i = 0; i < group->share_count; i++) {
        kiln_strings_add(&ctx->arena, &shared->libraries, group->shares[i]->library);
    }
    kiln_strings_sort(&shared->libraries);
    shared->name = shared->libraries.items[0];
    for (size_t i = 1; i < shared->libraries.count; i++) {
        shared->name =
            kiln_arena_printf(&ctx->arena, "%s, %s", shared->name, shared->libraries.items[i]);
    }
    size_t number = 1;
    for (size_t i = 0; i + 1 < bake->common_libs.count; i++) {
        number +=
            strcmp(bake->common_libs.items[i].libraries.items[0], shared->libraries.items[0]) == 0;
    }
    shared->id = kiln_module_symbol_make_library_id(ctx, shared->libraries.items[0], number);
    shared->bound.suffix = kiln_arena_printf(&ctx->arena, ".%s", shared->id);
}

static void
start_users(struct kiln_ctx *ctx, struct kiln_share_group *group, size_t shared)
{
    struct kiln_share_users users = list_users(ctx, group);
    group->user_count = users.count;
    group->users = kiln_arena_alloc(&ctx->arena, users.count * sizeof *group->users);
    for (size_t i = 0; i < users.count; i++) {
        struct kiln_sharing *sharing = kiln_arena_alloc(&ctx->arena, sizeof *sharing);
        sharing->common = shared;
        sharing->bound.suffix = group->common->bound.suffix;
        group->users[i].extension = users.items[i];
        group->users[i].sharing = sharing;
        users.items[i]->sharing = sharing;
        kiln_strings_push(&ctx->arena, &group->common->users, users.items[i]->found->name);
    }
}

/* -- Combining -- */

static int
compare_orders(const void *a, const void *b)
{
    const struct kiln_share_part *one = *(struct kiln_share_part *const *)a;
    const struct kiln_share_part *other = *(struct kiln_share_part *const *)b;
    size_t left = one->user == other->user ? one->order : one->user;
    size_t right = one->user == other->user ? other->order : other->user;
    return (left > right) - (left < right);
}

/* Combine the library from the members that were taken, in the order of the links. */
static int
combine_library(struct kiln_ctx *ctx, struct kiln_share_group *group, const char *out)
{
    struct kiln_combine combine = {0};
    struct {
        struct kiln_share_part **items;
        size_t count, capacity;
    } taken = {0};
    for (size_t i = 0; i < group->user_count; i++) {
        for (size_t k = 0; k < group->users[i].parts.count; k++) {
            if (group->users[i].parts.items[k].taken) {
                *KILN_ARENA_PUSH(&ctx->arena, &taken) = &group->users[i].parts.items[k];
            }
        }
    }
    qsort(taken.items, taken.count, sizeof *taken.items, compare_orders);
    const char *start = kiln_arena_printf(&ctx->arena, "%s/start.o", group->tmpdir);
    kiln_strings_push(&ctx->arena, &combine.inits, KILN_LIBRARY_INIT);
    KILN_ARENA_PUSH(&ctx->arena, &combine.inputs)->path = start;
    for (size_t i = 0; i < taken.count; i++) {
        KILN_ARENA_PUSH(&ctx->arena, &combine.inputs)->path = taken.items[i]->path;
    }
    for (size_t i = 0; i < group->user_count; i++) {
        if (kiln_strings_contain(&group->users[i].extension->fat.combine, "--strip-debug")) {
            kiln_strings_add(&ctx->arena, &combine.flags,
                             "--strip-debug"); /* its parts have no debug information */
        }
    }
    group->common->members = taken.count;
    int result = kiln_shim_make_library_start(ctx, group->machine, start);
    return result == 0 ? kiln_combine(ctx, &combine, out) : result;
}

static int
isolate_library(struct kiln_ctx *ctx, struct kiln_share_group *group, const char *path)
{
    struct kiln_common *shared = group->common;
    const struct kiln_isolation as = {
        .name = shared->libraries.items[0],
        .init = KILN_LIBRARY_INIT,
        .library = shared->id,
        .bound = &shared->bound,
    };
    shared->object = path;
    return kiln_isolate_file(ctx, path, &as, &shared->isolated);
}

/* Set which libraries USER shares, and push the parts that it keeps to REST. */
static void
sort_parts(struct kiln_ctx *ctx, struct kiln_share_user *user, struct kiln_link_inputs *rest)
{
    for (size_t i = 0; i < user->parts.count; i++) {
        const struct kiln_share_part *part = &user->parts.items[i];
        if (part->library == NULL) {
            KILN_ARENA_PUSH(&ctx->arena, rest)->path = part->path;
        }
        else {
            kiln_strings_add(&ctx->arena, &user->sharing->libraries, part->library);
        }
    }
}

static int
combine_user(struct kiln_ctx *ctx, const struct kiln_share_group *group, size_t number,
             const char *call)
{
    struct kiln_share_user *user = &group->users[number];
    const struct kiln_fat *fat = &user->extension->fat;
    struct kiln_combine combine = {.inits = fat->inits};
    for (size_t i = 0; i < fat->combine.count; i++) {
        /* Without a value: the members have been chosen, and what changes symbols cannot share. */
        if (strchr(fat->combine.items[i], '=') == NULL) {
            kiln_strings_push(&ctx->arena, &combine.flags, fat->combine.items[i]);
        }
    }
    if (call != NULL) {
        KILN_ARENA_PUSH(&ctx->arena, &combine.inputs)->path = call;
    }
    sort_parts(ctx, user, &combine.inputs);
    user->sharing->object = kiln_arena_printf(&ctx->arena, "%s/%zu.o", group->tmpdir, number);
    return kiln_combine(ctx, &combine, user->sharing->object);
}

static int
put_together(struct kiln_ctx *ctx, struct kiln_share_group *group)
{
    const char *library = kiln_arena_printf(&ctx->arena, "%s/library.o", group->tmpdir);
    const char *call = NULL;
    int result = combine_library(ctx, group, library);
    if (result == 0) {
        result = isolate_library(ctx, group, library);
    }
    const struct kiln_isolated *isolated = &group->common->isolated;
    if (result == 0 && isolated->constructors + isolated->destructors > 0) {
        call = kiln_arena_printf(&ctx->arena, "%s/call.o", group->tmpdir);
        result = kiln_shim_make_library_call(ctx, group->machine, group->common->id, call);
    }
    for (size_t i = 0; result == 0 && i < group->user_count; i++) {
        kiln_progress(ctx, "share", i, group->user_count, group->users[i].extension->found->name);
        result = combine_user(ctx, group, i, call);
    }
    kiln_progress(ctx, "share", group->user_count, group->user_count, NULL);
    return result;
}

static int
share_group(struct kiln_ctx *ctx, struct kiln_bake *bake, struct kiln_share_group *group)
{
    size_t number = bake->common_libs.count;
    group->common = KILN_ARENA_PUSH(&ctx->arena, &bake->common_libs);
    group->tmpdir = kiln_arena_printf(&ctx->arena, "%s/shared-%zu", ctx->tmpdir, number);
    name_group(ctx, bake, group);
    start_users(ctx, group, number);
    int result = kiln_file_make_dirs(ctx, group->tmpdir);
    if (result == 0) {
        result = kiln_share_read_parts(ctx, group);
    }
    if (result == 0) {
        result = kiln_share_bind(ctx, &bake->options->exports, group);
    }
    if (result == 0) {
        result = put_together(ctx, group);
    }
    kiln_arena_release(&group->arena);
    return result;
}

int
kiln_bake_share(struct kiln_ctx *ctx, struct kiln_bake *bake)
{
    struct kiln_share_list shares = {0};
    if (bake->options->shares.count == 0) {
        return 0;
    }
    if (kiln_ctx_get_tmpdir(ctx) == NULL) {
        return KILN_ERR_SYSTEM;
    }
    int result = kiln_share_choose(ctx, bake, &shares);
    for (size_t number = 0; result == 0 && number < shares.count; number++) {
        struct kiln_share_group group = {.machine = bake->python.machine};
        group.shares = kiln_arena_alloc(&ctx->arena, shares.count * sizeof *group.shares);
        for (size_t i = 0; i < shares.count; i++) {
            if (shares.items[i].group == number) {
                group.shares[group.share_count++] = &shares.items[i];
            }
        }
        result = group.share_count == 0 ? 0 : share_group(ctx, bake, &group);
    }
    return result;
}
