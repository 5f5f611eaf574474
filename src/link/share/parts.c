/* The parts of modules: the objects that each was combined from, and which of them belong to a shared
 * library.
 *
 * Members of one name must be equal in all modules: the same code, data and symbols. Debug information
 * may differ, as it names the directory that the library was built in. */
#include <ctype.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/text.h"
#include "elf/elf.h"
#include "link/share/share.h"

static bool
is_shared(const struct kiln_share_group *group, const struct kiln_baked *extension,
          const char *library)
{
    for (size_t i = 0; i < group->share_count; i++) {
        const struct kiln_share *share = group->shares[i];
        for (size_t k = 0; strcmp(share->library, library) == 0 && k < share->users.count; k++) {
            if (share->users.items[k] == extension) {
                return true;
            }
        }
    }
    return false;
}

static int
fail(struct kiln_ctx *ctx, const struct kiln_baked *extension, const char *library,
     const char *problem)
{
    return kiln_fail(ctx, KILN_ERR_INPUT, "%s: %s cannot share %s: %s", extension->found->path,
                     extension->found->name, library, problem);
}

static bool
changes_symbols(const struct kiln_fat *fat)
{
    for (size_t i = 0; i < fat->combine.count; i++) {
        if (kiln_starts_with(fat->combine.items[i], "--wrap") ||
            kiln_starts_with(fat->combine.items[i], "--defsym"))
        {
            return true;
        }
    }
    return false;
}

/* Decompress the parts of USER into the group's memory. */
static int
decompress(struct kiln_ctx *ctx, struct kiln_share_group *group, struct kiln_share_user *user,
           struct kiln_part_list *out)
{
    const struct kiln_baked *extension = user->extension;
    const char *path = extension->found->path;
    struct kiln_arena scratch = {0};
    struct kiln_span object, parts;
    int result = kiln_fat_decompress(ctx, &extension->fat, path, &scratch, &object);
    if (result == 0) {
        result =
            kiln_fat_decompress_parts(ctx, &extension->fat, path, object, &group->arena, &parts);
    }
    if (result == 0 && !kiln_parts_parse(ctx, parts, extension->fat.archives.count, out)) {
        result = kiln_fail(ctx, KILN_ERR_FORMAT,
                           "%s: damaged " KILN_FAT_SECTION
                           " section: its parts cannot be told apart; build the extension again",
                           path);
    }
    kiln_arena_release(&scratch);
    return result;
}

/* Whether an allocated section can be found by its name, by __start_ and __stop_ symbols: it belongs
 * together with the module's sections of that name. */
static bool
has_gathered_section(const struct kiln_elf *elf)
{
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        const char *name = kiln_elf_get_section_name(elf, i);
        bool is_identifier = isalpha((unsigned char)*name) || *name == '_';
        for (const char *c = name; *c != '\0'; c++) {
            is_identifier = is_identifier && (isalnum((unsigned char)*c) || *c == '_');
        }
        if (is_identifier && (shdr.sh_flags & SHF_ALLOC) != 0) {
            return true;
        }
    }
    return false;
}

/* Check and identify PART, which is the library's. */
static int
identify(struct kiln_ctx *ctx, const struct kiln_share_user *user, struct kiln_share_part *part)
{
    struct kiln_elf elf;
    int result = kiln_elf_init(ctx, part->bytes, part->name, &elf);
    if (result < 0) {
        return result;
    }
    part->identity = kiln_part_identify(&elf);
    return has_gathered_section(&elf)
               ? fail(ctx, user->extension, part->library,
                      "it has a section that is found by its name, together with others of that "
                      "name in the extension")
               : 0;
}

static int
take_part(struct kiln_ctx *ctx, struct kiln_share_group *group, size_t number,
          const struct kiln_part *in)
{
    struct kiln_share_user *user = &group->users[number];
    struct kiln_share_part *part = KILN_ARENA_PUSH(&ctx->arena, &user->parts);
    *part = (struct kiln_share_part){
        .name = in->name,
        .bytes = in->bytes,
        .user = number,
        .order = user->parts.count - 1,
        .path = kiln_arena_printf(&ctx->arena, "%s/%zu-%zu.o", group->tmpdir, number,
                                  user->parts.count - 1),
    };
    enum kiln_object_kind kind = kiln_elf_classify(in->bytes);
    if (kind == KILN_OBJECT_ARCHIVE) {
        return fail(ctx, user->extension, group->common->name,
                    kiln_arena_printf(&ctx->arena,
                                      "some members of %s have one name, and nobody can tell which "
                                      "of them were linked",
                                      in->name));
    }
    if (kind != KILN_OBJECT_RELOCATABLE) { /* ld would read a script, a compiler bytecode */
        return fail(ctx, user->extension, group->common->name,
                    kiln_arena_printf(&ctx->arena,
                                      "%s in its " KILN_FAT_SECTION
                                      " section is no object file; build the extension again",
                                      in->name));
    }
    if (in->archive > 0) {
        part->archive = user->extension->fat.archives.items[in->archive - 1];
        const char *library = kiln_file_basename(part->archive);
        part->library = is_shared(group, user->extension, library) ? library : NULL;
    }
    int result = kiln_file_write(ctx, part->path, part->bytes);
    return result == 0 && part->library != NULL ? identify(ctx, user, part) : result;
}

/* Every library that USER is to share must have parts. */
static int
check_parts(struct kiln_ctx *ctx, const struct kiln_share_group *group,
            const struct kiln_share_user *user)
{
    for (size_t i = 0; i < group->share_count; i++) {
        const char *library = group->shares[i]->library;
        size_t count = 0;
        for (size_t k = 0; k < user->parts.count; k++) {
            count += user->parts.items[k].library != NULL &&
                     strcmp(user->parts.items[k].library, library) == 0;
        }
        if (count == 0 && is_shared(group, user->extension, library)) {
            return fail(ctx, user->extension, library,
                        "it was compiled with -flto, by which it became one with the extension's "
                        "code; build it without");
        }
    }
    return 0;
}

static int
read_user(struct kiln_ctx *ctx, struct kiln_share_group *group, size_t number)
{
    struct kiln_share_user *user = &group->users[number];
    struct kiln_part_list parts = {0};
    if (changes_symbols(&user->extension->fat)) {
        return fail(ctx, user->extension, group->common->name,
                    "its link changes symbols, by --wrap or --defsym, in the library, too");
    }
    int result = decompress(ctx, group, user, &parts);
    for (size_t i = 0; result == 0 && i < parts.count; i++) {
        result = take_part(ctx, group, number, &parts.items[i]);
    }
    return result == 0 ? check_parts(ctx, group, user) : result;
}

/* -- One version -- */

struct members {
    struct kiln_arena arena;
    struct kiln_share_part **items;
    size_t count, capacity;
};

static int
compare_members(const void *a, const void *b)
{
    const struct kiln_share_part *one = *(struct kiln_share_part *const *)a;
    const struct kiln_share_part *other = *(struct kiln_share_part *const *)b;
    int order = strcmp(one->library, other->library);
    order = order != 0 ? order : strcmp(one->name, other->name);
    if (order != 0 || one->user != other->user) {
        return order != 0 ? order : one->user < other->user ? -1 : 1;
    }
    return (one->order > other->order) - (one->order < other->order);
}

/* Report which modules have which version of a member, FIRST .. END-1. */
static int
fail_versions(struct kiln_ctx *ctx, const struct kiln_share_group *group,
              struct kiln_share_part **first, struct kiln_share_part **end)
{
    const char *text = "";
    for (struct kiln_share_part **part = first; part < end; part++) {
        text = kiln_arena_printf(&ctx->arena, "%s\n  %s: %016llx, %zu bytes, of %s", text,
                                 group->users[(*part)->user].extension->found->name,
                                 (unsigned long long)(*part)->identity, (*part)->bytes.len,
                                 (*part)->archive);
    }
    return kiln_fail(ctx, KILN_ERR_INPUT,
                     "--share %s: the extensions were linked with different versions of it; build "
                     "them with one, or share it among those that have the same (--share A,B). Its "
                     "%s is%s",
                     (*first)->library, (*first)->name, text);
}

/* FIRST .. END-1 are members of one name. If they are equal, the first is taken into the library. */
static int
unite(struct kiln_ctx *ctx, const struct kiln_share_group *group, struct kiln_share_part **first,
      struct kiln_share_part **end)
{
    for (struct kiln_share_part **part = first + 1; part < end; part++) {
        if ((*part)->user == part[-1]->user) {
            return fail(ctx, group->users[(*part)->user].extension, (*part)->library,
                        kiln_arena_printf(&ctx->arena, "several of its members are called %s",
                                          (*part)->name));
        }
        if ((*part)->identity != (*first)->identity) {
            return fail_versions(ctx, group, first, end);
        }
    }
    (*first)->taken = true;
    return 0;
}

static int
unite_all(struct kiln_ctx *ctx, struct kiln_share_group *group)
{
    struct members members = {0};
    int result = 0;
    for (size_t i = 0; i < group->user_count; i++) {
        for (size_t k = 0; k < group->users[i].parts.count; k++) {
            if (group->users[i].parts.items[k].library != NULL) {
                *KILN_ARENA_PUSH(&members.arena, &members) = &group->users[i].parts.items[k];
            }
        }
    }
    if (members.count > 0) {
        qsort(members.items, members.count, sizeof *members.items, compare_members);
    }
    for (size_t i = 0, end; result == 0 && i < members.count; i = end) {
        for (end = i + 1; end < members.count &&
                          strcmp(members.items[end]->library, members.items[i]->library) == 0 &&
                          strcmp(members.items[end]->name, members.items[i]->name) == 0;
             end++)
        {
        }
        result = unite(ctx, group, members.items + i, members.items + end);
    }
    kiln_arena_release(&members.arena);
    return result;
}

int
kiln_share_read_parts(struct kiln_ctx *ctx, struct kiln_share_group *group)
{
    int result = 0;
    for (size_t i = 0; i < group->user_count; i++) {
        int failed = read_user(ctx, group, i);
        result = failed < 0 ? failed : result;
    }
    return result == 0 ? unite_all(ctx, group) : result;
}
