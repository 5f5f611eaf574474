/* Finding debug information as debuggers do: in the object itself, or in a file of its own that was stripped off it,
 * which is found by the build ID, or by the name in .gnu_debuglink (GDB's manual, "Debugging Information in Separate
 * Files"). The build IDs of the two have to be equal: that is stricter than the checksum of .gnu_debuglink, and linkers
 * give every object one today. Servers (debuginfod) are not asked. */
#include "link/find/debug_file.h"

#include "base/file.h"
#include "base/text.h"
#include "elf/elf.h"

#define SYSTEM_DIRECTORY "/usr/lib/debug"

/* What is to be known of an object or a file with debug information. */
struct facts {
    bool has_debug;
    const char *build_id; /* NULL: none */
    const char *link;     /* the name in .gnu_debuglink; NULL: none */
};

/* The notes of SECTION are searched: a linker may have put several into one. (gABI, "Note Section") */
static const char *
read_build_id(struct kiln_ctx *ctx, struct kiln_span section)
{
    uint32_t name_len, len, type;
    struct kiln_span name, id;
    for (uint64_t at = 0; kiln_span_get_u32(section, at, &name_len) &&
                          kiln_span_get_u32(section, at + 4, &len) &&
                          kiln_span_get_u32(section, at + 8, &type);)
    {
        uint64_t name_at = at + sizeof(Elf64_Nhdr),
                 id_at = name_at + (((uint64_t)name_len + 3) & ~UINT64_C(3));
        at = id_at + (((uint64_t)len + 3) & ~UINT64_C(3));
        if (type == NT_GNU_BUILD_ID && kiln_span_slice(section, name_at, name_len, &name) &&
            kiln_span_equal(name, kiln_span_of("GNU", sizeof "GNU")) &&
            kiln_span_slice(section, id_at, len, &id) && id.len > 1)
        {
            char *text = kiln_arena_alloc(&ctx->arena, 2 * id.len + 1);
            for (size_t i = 0; i < id.len; i++) {
                static const char digits[] = "0123456789abcdef";
                text[2 * i] = digits[id.ptr[i] >> 4];
                text[2 * i + 1] = digits[id.ptr[i] & 15];
            }
            return text;
        }
    }
    return NULL;
}

static void
read_sections(struct kiln_ctx *ctx, const struct kiln_elf *elf, struct facts *out)
{
    for (size_t i = 1; i < elf->section_count; i++) {
        const char *name = kiln_elf_get_section_name(elf, i);
        struct kiln_span contents = kiln_elf_get_contents(elf, i);
        if (strcmp(name, ".debug_info") == 0 || strcmp(name, ".zdebug_info") == 0) {
            out->has_debug = out->has_debug || contents.len > 0;
        }
        else if (strcmp(name, ".gnu_debuglink") == 0) {
            const char *link = kiln_span_get_string(contents, 0);
            bool is_name = link != NULL && *link != '\0' && strchr(link, '/') == NULL;
            out->link = is_name ? kiln_arena_strdup(&ctx->arena, link) : NULL;
        }
        else if (out->build_id == NULL && kiln_starts_with(name, ".note")) {
            out->build_id = read_build_id(ctx, contents);
        }
    }
}

/* False if there is no such object, or it is damaged. */
static bool
read_facts(struct kiln_ctx *ctx, const char *path, struct facts *out)
{
    struct kiln_ctx silent = {.quiet = true};
    struct kiln_file file;
    struct kiln_elf elf;
    *out = (struct facts){0};
    bool found = kiln_file_is_regular(path) && kiln_file_map(&silent, path, &file) == 0;
    if (found) {
        found = kiln_elf_init(&silent, file.bytes, path, &elf) == 0;
        if (found) {
            read_sections(ctx, &elf, out);
            kiln_elf_release(&elf);
        }
        kiln_file_release(&file);
    }
    kiln_ctx_release(&silent);
    return found;
}

const char *
kiln_debug_file_find(struct kiln_ctx *ctx, const char *path)
{
    struct kiln_arena *arena = &ctx->arena;
    struct facts object, separate;
    if (!read_facts(ctx, path, &object)) {
        return NULL;
    }
    if (object.has_debug) {
        return path;
    }
    if (object.build_id == NULL) {
        return NULL;
    }
    struct kiln_strings places = {0};
    kiln_strings_push(arena, &places,
                      kiln_arena_printf(arena, SYSTEM_DIRECTORY "/.build-id/%.2s/%s.debug",
                                        object.build_id, object.build_id + 2));
    if (object.link != NULL) {
        const char *dir = kiln_file_dirname(ctx, kiln_file_absolute(ctx, path));
        kiln_strings_push(arena, &places, kiln_arena_printf(arena, "%s/%s", dir, object.link));
        kiln_strings_push(arena, &places,
                          kiln_arena_printf(arena, "%s/.debug/%s", dir, object.link));
        kiln_strings_push(arena, &places,
                          kiln_arena_printf(arena, SYSTEM_DIRECTORY "%s/%s", dir, object.link));
    }
    for (size_t i = 0; i < places.count; i++) {
        if (read_facts(ctx, places.items[i], &separate) && separate.has_debug &&
            separate.build_id != NULL && strcmp(separate.build_id, object.build_id) == 0)
        {
            return places.items[i];
        }
    }
    return NULL;
}

const char *
kiln_debug_file_get_build_id(struct kiln_ctx *ctx, const char *path)
{
    struct facts facts;
    return read_facts(ctx, path, &facts) ? facts.build_id : NULL;
}
