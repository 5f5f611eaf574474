/* `kiln ls`: lists what a baked executable or a fat extension holds. */
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "command.h"
#include "elf/elf.h"
#include "fat/fat.h"
#include "link/emit/manifest.h"

static const char USAGE[] =
    "usage: kiln ls [--json] FILE\n"
    "\n"
    "List the extensions in a baked executable, and those that stayed files, with the reason; or\n"
    "tell what the fat extension FILE holds.\n"
    "\n"
    "  --json               one JSON object, for programs\n";

/* Keys of a manifest whose values are numbers in JSON. */
static const char *const NUMBERS[] = {"size", "constructors", "destructors", "hidden"};

static void
print_json_list(const char *key, const struct kiln_strings *list)
{
    printf(", \"%s\": ", key);
    kiln_json_strings(stdout, list);
}

static void
print_json_pair(struct kiln_ctx *ctx, const char *separator, const char *key, size_t key_len,
                const char *value)
{
    bool bare = strcmp(value, "true") == 0 || strcmp(value, "false") == 0;
    for (size_t i = 0; i < sizeof NUMBERS / sizeof NUMBERS[0]; i++) {
        bare = bare || (strlen(NUMBERS[i]) == key_len && strncmp(NUMBERS[i], key, key_len) == 0 &&
                        *value != '\0' && value[strspn(value, "0123456789")] == '\0');
    }
    fputs(separator, stdout);
    kiln_json_string(stdout, kiln_arena_strndup(&ctx->arena, key, key_len));
    fputs(": ", stdout);
    if (bare) {
        fputs(value, stdout);
    }
    else {
        kiln_json_string(stdout, value);
    }
}

/* One string of the manifest. */
struct pair {
    const char *key, *value;
    size_t key_len;
};

static bool
next_pair(struct kiln_span contents, uint64_t *offset, struct pair *out)
{
    out->key = kiln_manifest_next(contents, offset, &out->value);
    out->key_len = out->key == NULL ? 0 : (size_t)(out->value - out->key) - 1;
    return out->key != NULL;
}

static bool
is_key(const struct pair *pair, const char *key)
{
    return strlen(key) == pair->key_len && strncmp(pair->key, key, pair->key_len) == 0;
}

/* The keys of a module that come several times. */
struct lists {
    struct kiln_strings libraries, shared, images;
};

static void
end_module_json(struct lists *lists)
{
    print_json_list("libraries", &lists->libraries);
    print_json_list("shared_libraries", &lists->shared);
    print_json_list("images", &lists->images);
    putchar('}');
    lists->libraries.count = lists->shared.count = lists->images.count = 0;
}

static void
end_modules_json(struct lists *lists, size_t count)
{
    if (count > 0) {
        end_module_json(lists);
    }
    fputs(count > 0 ? "\n]" : ", \"modules\": []", stdout);
}

static void
print_manifest_json(struct kiln_ctx *ctx, struct kiln_span contents)
{
    struct lists lists = {0};
    struct pair pair;
    uint64_t offset = 0;
    size_t modules = 0, files = 0;
    fputs("{\"kind\": \"baked\"", stdout);
    while (next_pair(contents, &offset, &pair)) {
        if (is_key(&pair, "module")) {
            if (modules > 0) {
                end_module_json(&lists);
            }
            fputs(modules++ > 0 ? ",\n  {" : ", \"modules\": [\n  {", stdout);
            print_json_pair(ctx, "", "name", 4, pair.value);
        }
        else if (is_key(&pair, "stays")) {
            if (files == 0) {
                end_modules_json(&lists, modules);
            }
            fputs(files++ > 0 ? "},\n  {" : ", \"files\": [\n  {", stdout);
            print_json_pair(ctx, "", "name", 4, pair.value);
        }
        else if (is_key(&pair, "library")) {
            kiln_strings_push(&ctx->arena, &lists.libraries, pair.value);
        }
        else if (is_key(&pair, "image")) {
            kiln_strings_push(&ctx->arena, &lists.images, pair.value);
        }
        else if (is_key(&pair, "shares")) {
            kiln_strings_push(&ctx->arena, &lists.shared, pair.value);
        }
        else {
            print_json_pair(ctx, ", ", pair.key, pair.key_len, pair.value);
        }
    }
    if (files > 0) {
        puts("}\n]}");
        return;
    }
    end_modules_json(&lists, modules);
    puts(", \"files\": []}");
}

static void
print_manifest(struct kiln_ctx *ctx, struct kiln_span contents)
{
    struct pair pair;
    uint64_t offset = 0;
    const char *init = "", *distribution = "-", *version = "", *staying = NULL;
    printf("%-44s %-8s %-12s %10s %6s  %-24s %s\n", "MODULE", "AS", "INIT", "BYTES", "CTORS",
           "DISTRIBUTION", "BUILT FROM");
    while (next_pair(contents, &offset, &pair)) {
        pair.value = kiln_text_make_printable(&ctx->arena, pair.value, false);
        if (is_key(&pair, "module")) {
            printf("%-44s ", pair.value);
            distribution = "-";
            version = "";
        }
        else if (is_key(&pair, "way")) {
            printf("%-8s ", pair.value);
        }
        else if (is_key(&pair, "distribution")) {
            distribution = pair.value;
        }
        else if (is_key(&pair, "distribution_version")) {
            version = pair.value;
        }
        else if (is_key(&pair, "init")) {
            init = pair.value;
            printf("%-12.*s ", (int)strcspn(init, "_"), init);
        }
        else if (is_key(&pair, "size")) {
            printf("%10s ", pair.value);
        }
        else if (is_key(&pair, "constructors")) {
            printf("%6s  ", pair.value);
        }
        else if (is_key(&pair, "stays")) {
            staying = pair.value;
        }
        else if (is_key(&pair, "file") && staying != NULL) {
            printf("%-44s %-8s %s", staying, "file", pair.value);
        }
        else if (is_key(&pair, "reason")) {
            printf(": %s\n", pair.value);
        }
        else if (is_key(&pair, "file")) {
            int width = printf("%s%s%s", distribution, *version == '\0' ? "" : " ", version);
            printf("%*s %s\n", width < 24 ? 24 - width : 0, "", pair.value);
        }
        else if (is_key(&pair, "library")) {
            printf("%-44s needs %s\n", "", pair.value);
        }
        else if (is_key(&pair, "image")) {
            printf("%-44s brings %s\n", "", pair.value);
        }
        else if (is_key(&pair, "shares")) {
            printf("%-44s shares %s\n", "", pair.value);
        }
    }
}

static void
print_fat_json(struct kiln_ctx *ctx, const struct kiln_fat *fat)
{
    fputs("{\"kind\": \"fat\"", stdout);
    print_json_pair(ctx, ", ", "driver", 6, fat->driver);
    print_json_pair(ctx, ", ", "output", 6, fat->output);
    print_json_list("inits", &fat->inits);
    print_json_list("archives", &fat->archives);
    if (fat->failure != NULL) {
        print_json_pair(ctx, ", ", "failure", 7, fat->failure);
    }
    printf(", \"object_size\": %llu}\n", (unsigned long long)fat->object_size);
}

static void
print_text(struct kiln_ctx *ctx, const char *title, const char *text)
{
    printf("%-12s %s\n", title, kiln_text_make_printable(&ctx->arena, text, false));
}

static void
print_list(struct kiln_ctx *ctx, const char *title, const struct kiln_strings *list)
{
    for (size_t i = 0; i < list->count; i++) {
        print_text(ctx, title, list->items[i]);
    }
}

static void
print_fat(struct kiln_ctx *ctx, const char *path, const struct kiln_fat *fat)
{
    printf("%s: a fat extension\n", kiln_text_make_printable(&ctx->arena, path, false));
    print_list(ctx, "init", &fat->inits);
    if (fat->failure != NULL) {
        print_text(ctx, "no object", fat->failure);
    }
    else {
        printf("%-12s %llu bytes\n", "object", (unsigned long long)fat->object_size);
    }
    print_text(ctx, "linked by", fat->driver);
    print_text(ctx, "linked to", fat->output);
    print_list(ctx, "archive", &fat->archives);
}

static int
list_file(struct kiln_ctx *ctx, const char *path, struct kiln_span bytes, bool json)
{
    struct kiln_elf elf;
    int result = kiln_elf_init(ctx, bytes, path, &elf);
    if (result < 0) {
        return result;
    }
    size_t section = kiln_elf_find_section(&elf, KILN_FAT_SECTION);
    struct kiln_span contents =
        section == 0 ? kiln_span_of(NULL, 0) : kiln_elf_get_contents(&elf, section);
    bool baked = false, found = false;
    struct kiln_fat fat;
    if (section == 0) {
        result = kiln_fail(
            ctx, KILN_ERR_INPUT,
            "%s: neither a baked executable nor a fat extension: it has no " KILN_FAT_SECTION
            " section",
            path);
    }
    else {
        result = kiln_manifest_check(ctx, contents, path, &baked);
    }
    if (result == 0 && baked) {
        if (json) {
            print_manifest_json(ctx, contents);
        }
        else {
            print_manifest(ctx, contents);
        }
    }
    else if (result == 0) {
        result = kiln_fat_read(ctx, bytes, path, &fat, &found);
        if (result == 0 && json) {
            print_fat_json(ctx, &fat);
        }
        else if (result == 0) {
            print_fat(ctx, path, &fat);
        }
    }
    kiln_elf_release(&elf);
    return result;
}

static int
run(struct kiln_ctx *ctx, int argc, char **argv)
{
    enum { JSON = 1 };
    static const struct option options[] = {
        {"json", no_argument, NULL, JSON},
        KILN_COMMON_OPTIONS,
        {0},
    };
    bool json = false;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (option == JSON) {
            json = true;
        }
        else if (!kiln_command_common_option(ctx, option)) {
            return kiln_command_bad_option(ctx, &kiln_command_ls, argv);
        }
    }
    if (optind + 1 != argc) {
        return kiln_fail(ctx, KILN_ERR_USAGE, "ls: give one FILE (see `kiln help ls`)");
    }
    struct kiln_file file;
    int result = kiln_file_map(ctx, argv[optind], &file);
    if (result == 0) {
        result = list_file(ctx, argv[optind], file.bytes, json);
    }
    kiln_file_release(&file);
    return result;
}

const struct kiln_command kiln_command_ls = {
    .name = "ls",
    .summary = "list what a baked executable or a fat extension holds",
    .usage = USAGE,
    .run = run,
};
