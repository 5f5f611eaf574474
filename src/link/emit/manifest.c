/* The manifest: written by `kiln link`, read back by `kiln ls`; see manifest.h for its form. */
#include "link/emit/manifest.h"

#include <xxhash.h>

#include "kiln/version.h"
#include "base/text.h"

static void
emit_string(FILE *stream, const char *key, const char *value)
{
    fprintf(stream, "\t.asciz \"%s=", key);
    kiln_asm_write_string(stream, kiln_span_of_string(value));
    fputs("\"\n", stream);
}

static void
emit_number(FILE *stream, const char *key, uint64_t value)
{
    fprintf(stream, "\t.asciz \"%s=%llu\"\n", key, (unsigned long long)value);
}

static void
emit_strings(FILE *stream, const char *key, const struct kiln_strings *values)
{
    for (size_t i = 0; i < values->count; i++) {
        emit_string(stream, key, values->items[i]);
    }
}

static void
emit_hash(FILE *stream, struct kiln_span bytes)
{
    XXH128_hash_t hash = XXH3_128bits(bytes.ptr, bytes.len);
    fprintf(stream, "\t.asciz \"xxh128=%016llx%016llx\"\n", (unsigned long long)hash.high64,
            (unsigned long long)hash.low64);
}

static void
emit_module(struct kiln_ctx *ctx, FILE *stream, const struct kiln_baked *module)
{
    emit_string(stream, "module", module->found->name);
    emit_string(stream, "way", module->is_image ? "image" : "objects");
    emit_string(stream, "init", module->isolated.init);
    emit_string(stream, "package", module->found->package ? "true" : "false");
    if (module->distribution != NULL) {
        emit_string(stream, "distribution", module->distribution->name);
        emit_string(stream, "distribution_version", module->distribution->version);
    }
    emit_number(stream, "size", module->isolated.size);
    emit_number(stream, "constructors", module->isolated.constructors);
    emit_number(stream, "destructors", module->isolated.destructors);
    emit_number(stream, "hidden", module->isolated.hidden);
    emit_string(stream, "file", kiln_found_get_place(ctx, module->found));
    emit_hash(stream, module->file.bytes);
    emit_string(stream, "driver", module->fat.driver);
    emit_strings(stream, "image", &module->images);
    emit_strings(stream, "library", module->is_image ? &module->opened : &module->needed);
    if (module->sharing != NULL) {
        emit_strings(stream, "shares", &module->sharing->libraries);
    }
}

void
kiln_manifest_emit(struct kiln_ctx *ctx, FILE *stream, const struct kiln_bake *bake)
{
    fputs("\t.section " KILN_FAT_SECTION ",\"\",%progbits\n", stream);
    fputs("\t.asciz \"" KILN_MANIFEST_MAGIC "\"\n", stream);
    emit_string(stream, "kiln", KILN_VERSION);
    emit_string(
        stream, "python",
        kiln_text_map_path(&ctx->arena, &bake->options->path_maps, bake->python.executable));
    emit_string(stream, "python_version", bake->python.version);
    emit_string(stream, "libpython", bake->shared_libpython ? "shared" : "static");
    for (size_t i = 0; i < bake->modules.count; i++) {
        emit_module(ctx, stream, &bake->modules.items[i]);
    }
    for (size_t i = 0; i < bake->extensions.count; i++) {
        const struct kiln_baked *extension = &bake->extensions.items[i];
        if (extension->reason != NULL && !extension->is_library) {
            emit_string(stream, "stays", extension->found->name);
            emit_string(stream, "file", kiln_found_get_place(ctx, extension->found));
            emit_string(stream, "reason", extension->reason);
        }
    }
}

int
kiln_manifest_check(struct kiln_ctx *ctx, struct kiln_span contents, const char *name,
                    bool *is_manifest)
{
    static const char key[] = "kiln-baked=";
    *is_manifest = kiln_span_starts_with(contents, key, strlen(key));
    if (!*is_manifest) {
        return 0;
    }
    const char *magic = kiln_span_get_string(contents, 0);
    if (magic == NULL || contents.ptr[contents.len - 1] != '\0') {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: its " KILN_FAT_SECTION " section is damaged; link it again", name);
    }
    if (strcmp(magic, KILN_MANIFEST_MAGIC) != 0) {
        return kiln_fail(ctx, KILN_ERR_FORMAT,
                         "%s: linked by another version of kiln (%s); this one reads %s", name,
                         magic, KILN_MANIFEST_MAGIC);
    }
    return 0;
}

const char *
kiln_manifest_next(struct kiln_span contents, uint64_t *offset, const char **value)
{
    const char *text;
    while ((text = kiln_span_get_string(contents, *offset)) != NULL) {
        *offset += strlen(text) + 1;
        const char *equals = strchr(text, '=');
        if (equals != NULL) {
            *value = equals + 1;
            return text;
        }
    }
    return NULL;
}
