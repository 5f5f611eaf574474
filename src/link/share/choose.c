/* Which extensions share which libraries, from the arguments of `--share`.
 *
 * An argument names a library, for all extensions that were linked with it, or a set of extensions, for
 * all libraries that two of them have in common. Libraries are known by the names of their files;
 * parts.c compares their contents. Libraries that one extension uses together may depend on each
 * other, and are grouped. */
#include <fnmatch.h>

#include "base/file.h"
#include "link/share/share.h"

/* The static libraries of EXTENSION; none if it stays a file. */
static const struct kiln_strings *
get_archives(const struct kiln_baked *extension)
{
    static const struct kiln_strings none;
    return extension->reason == NULL ? &extension->fat.archives : &none;
}

static bool
has_library(const struct kiln_baked *extension, const char *library)
{
    const struct kiln_strings *archives = get_archives(extension);
    for (size_t i = 0; i < archives->count; i++) {
        if (strcmp(kiln_file_basename(archives->items[i]), library) == 0) {
            return true;
        }
    }
    return false;
}

/* The libraries of EXTENSIONS, each once. */
static struct kiln_strings
list_libraries(struct kiln_ctx *ctx, const struct kiln_share_users *extensions)
{
    struct kiln_strings libraries = {0};
    for (size_t i = 0; i < extensions->count; i++) {
        const struct kiln_strings *archives = get_archives(extensions->items[i]);
        for (size_t k = 0; k < archives->count; k++) {
            kiln_strings_add(&ctx->arena, &libraries, kiln_file_basename(archives->items[k]));
        }
    }
    return libraries;
}

static struct kiln_share_users
find_users(struct kiln_ctx *ctx, const struct kiln_share_users *extensions, const char *library)
{
    struct kiln_share_users users = {0};
    for (size_t i = 0; i < extensions->count; i++) {
        if (has_library(extensions->items[i], library)) {
            *KILN_ARENA_PUSH(&ctx->arena, &users) = extensions->items[i];
        }
    }
    return users;
}

/* The libraries that could be shared, for a message: "libbar.a (one, two), libz.a (three)". */
static const char *
describe(struct kiln_ctx *ctx, const struct kiln_share_users *extensions)
{
    struct kiln_arena *arena = &ctx->arena;
    struct kiln_strings libraries = list_libraries(ctx, extensions);
    const char *text = "";
    for (size_t i = 0; i < libraries.count; i++) {
        struct kiln_share_users users = find_users(ctx, extensions, libraries.items[i]);
        text = kiln_arena_printf(arena, "%s%s%s (", text, i == 0 ? "" : ", ", libraries.items[i]);
        for (size_t k = 0; k < users.count && k < 4; k++) {
            text =
                kiln_arena_printf(arena, "%s%s%s", text, k == 0 ? "" : ", ",
                                  k == 3 && users.count > 4 ? "..." : users.items[k]->found->name);
        }
        text = kiln_arena_printf(arena, "%s)", text);
    }
    return *text == '\0' ? "none (Kiln knows the static libraries of extensions that it has built "
                           "since it has --share)"
                         : text;
}

static bool
have_common_user(const struct kiln_share *one, const struct kiln_share *other)
{
    for (size_t i = 0; i < one->users.count; i++) {
        for (size_t k = 0; k < other->users.count; k++) {
            if (one->users.items[i] == other->users.items[k]) {
                return true;
            }
        }
    }
    return false;
}

static void
add_users(struct kiln_ctx *ctx, struct kiln_share *share, const struct kiln_share_users *users)
{
    for (size_t i = 0; i < users->count; i++) {
        bool known = false;
        for (size_t k = 0; k < share->users.count; k++) {
            known = known || share->users.items[k] == users->items[i];
        }
        if (!known) {
            *KILN_ARENA_PUSH(&ctx->arena, &share->users) = users->items[i];
        }
    }
}

static bool
is_library(struct kiln_ctx *ctx, const char *name, const char *library)
{
    return strcmp(name, library) == 0 ||
           strcmp(kiln_arena_printf(&ctx->arena, "lib%s.a", name), library) == 0;
}

bool
kiln_share_is_asked(struct kiln_ctx *ctx, const struct kiln_strings *names,
                    const struct kiln_baked *extension)
{
    const struct kiln_strings *archives = get_archives(extension);
    for (size_t i = 0; archives->count > 0 && i < names->count; i++) {
        for (const char *item = names->items[i]; *item != '\0';) {
            size_t len = strcspn(item, ",");
            const char *name = kiln_arena_strndup(&ctx->arena, item, len);
            for (size_t k = 0; k < archives->count; k++) {
                if (is_library(ctx, name, kiln_file_basename(archives->items[k])) ||
                    fnmatch(name, extension->found->name, 0) == 0)
                {
                    return true;
                }
            }
            item += len + (item[len] == ',');
        }
    }
    return false;
}

/* Add LIBRARY for USERS. If other users are to share it already, and one is among both, all share one
 * copy. */
static void
add(struct kiln_ctx *ctx, struct kiln_share_list *out, const char *library,
    const struct kiln_share_users *users)
{
    struct kiln_share share = {.library = library, .users = *users};
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++) {
        if (strcmp(out->items[i].library, library) == 0 && have_common_user(&out->items[i], &share))
        {
            struct kiln_share merged = out->items[i];
            add_users(ctx, &merged, &share.users);
            share = merged;
        }
        else {
            out->items[kept++] = out->items[i];
        }
    }
    out->count = kept;
    *KILN_ARENA_PUSH(&ctx->arena, out) = share;
}

static int
choose_library(struct kiln_ctx *ctx, const char *name, const struct kiln_share_users *extensions,
               struct kiln_share_list *out)
{
    struct kiln_strings libraries = list_libraries(ctx, extensions);
    bool found = false;
    for (size_t i = 0; i < libraries.count; i++) {
        if (!is_library(ctx, name, libraries.items[i])) {
            continue;
        }
        struct kiln_share_users users = find_users(ctx, extensions, libraries.items[i]);
        found = true;
        if (users.count == 1) {
            kiln_say(ctx, KILN_NOTE, "--share %s: only %s was linked with it, and keeps it", name,
                     users.items[0]->found->name);
        }
        else {
            add(ctx, out, libraries.items[i], &users);
        }
    }
    return found ? 0
                 : kiln_fail(ctx, KILN_ERR_INPUT,
                             "--share %s: no extension was linked with a static library of this "
                             "name; those that were used: %s",
                             name, describe(ctx, extensions));
}

static bool
is_among(const struct kiln_share_users *users, const struct kiln_baked *extension)
{
    for (size_t i = 0; i < users->count; i++) {
        if (users->items[i] == extension) {
            return true;
        }
    }
    return false;
}

/* The extensions of the set NAME: "a.b,c.*". */
static int
find_set(struct kiln_ctx *ctx, const char *name, const struct kiln_share_users *extensions,
         struct kiln_share_users *out)
{
    for (const char *item = name; *item != '\0';) {
        size_t len = strcspn(item, ",");
        const char *pattern = kiln_arena_strndup(&ctx->arena, item, len);
        bool found = false;
        for (size_t i = 0; i < extensions->count; i++) {
            if (fnmatch(pattern, extensions->items[i]->found->name, 0) == 0) {
                found = true;
                if (!is_among(out, extensions->items[i])) {
                    *KILN_ARENA_PUSH(&ctx->arena, out) = extensions->items[i];
                }
            }
        }
        if (!found) {
            return kiln_fail(ctx, KILN_ERR_INPUT, "--share %s: there is no extension %s", name,
                             pattern);
        }
        item += len + (item[len] == ',');
    }
    return 0;
}

static int
choose_set(struct kiln_ctx *ctx, const char *name, const struct kiln_share_users *extensions,
           struct kiln_share_list *out)
{
    struct kiln_share_users set = {0};
    int result = find_set(ctx, name, extensions, &set);
    if (result < 0) {
        return result;
    }
    bool found = false;
    struct kiln_strings libraries = list_libraries(ctx, &set);
    for (size_t i = 0; i < libraries.count; i++) {
        struct kiln_share_users users = find_users(ctx, &set, libraries.items[i]);
        if (users.count > 1) {
            add(ctx, out, libraries.items[i], &users);
            found = true;
        }
    }
    return found ? 0
                 : kiln_fail(ctx, KILN_ERR_INPUT,
                             "--share %s: no two of these extensions have a static library in "
                             "common; those that were used: %s",
                             name, describe(ctx, &set));
}

static void
number_groups(struct kiln_share_list *shares)
{
    bool changed = true;
    for (size_t i = 0; i < shares->count; i++) {
        shares->items[i].group = i;
    }
    while (changed) {
        changed = false;
        for (size_t i = 0; i < shares->count; i++) {
            for (size_t k = 0; k < shares->count; k++) {
                struct kiln_share *one = &shares->items[i], *other = &shares->items[k];
                if (one->group < other->group && have_common_user(one, other)) {
                    other->group = one->group;
                    changed = true;
                }
            }
        }
    }
}

int
kiln_share_choose(struct kiln_ctx *ctx, struct kiln_bake *bake, struct kiln_share_list *out)
{
    const struct kiln_strings *names = &bake->options->shares;
    struct kiln_share_users extensions = {0};
    int result = 0;
    for (size_t i = 0; i < bake->extensions.count; i++) {
        *KILN_ARENA_PUSH(&ctx->arena, &extensions) = &bake->extensions.items[i];
    }
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->items[i];
        int failed = strpbrk(name, ",*") != NULL ? choose_set(ctx, name, &extensions, out)
                                                 : choose_library(ctx, name, &extensions, out);
        result = failed < 0 ? failed : result;
    }
    number_groups(out);
    return result;
}
