/* The tables that the runtime reads (kiln/internal/images.h). Everything in them is an index, an offset
 * or a distance. */
#include "unlink/object.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
add_string(struct kiln_tables *tables, const char *text)
{
    return text == NULL ? KILN_IMAGE_NONE
                        : (uint32_t)kiln_buffer_append(&tables->strings, text, strlen(text) + 1);
}

static size_t
count_words(const struct kiln_tables *tables)
{
    return tables->words.len / sizeof(uint32_t);
}

static void
push(struct kiln_tables *tables, uint32_t word)
{
    kiln_buffer_append(&tables->words, &word, sizeof word);
}

/* The list of what has been pushed since there were FIRST words, in items of SIZE words. */
static struct kiln_image_list
end_list(const struct kiln_tables *tables, size_t first, size_t size)
{
    return (struct kiln_image_list){(uint32_t)first,
                                    (uint32_t)((count_words(tables) - first) / size)};
}

static struct kiln_image_list
add_dependencies(struct kiln_tables *tables, const struct kiln_object *image,
                 const struct kiln_bound_list *bound)
{
    size_t first = count_words(tables);
    for (size_t i = 0; i < image->needs.count; i++) {
        if (image->needs.items[i]->origin == KILN_ORIGIN_IMAGE) {
            push(tables, (uint32_t)image->needs.items[i]->number);
        }
    }
    for (size_t i = 0; i < bound->count; i++) {
        const struct kiln_bound *item = &bound->items[i];
        uint32_t word = item->object != NULL ? (uint32_t)item->object->number
                                             : (uint32_t)item->import | KILN_IMAGE_IMPORT;
        push(tables, word | KILN_IMAGE_BOUND | (item->is_unique ? KILN_IMAGE_UNIQUE : 0));
    }
    return end_list(tables, first, 1);
}

static bool
contains(const struct kiln_tables *tables, size_t first, uint32_t word)
{
    const uint32_t *items = (const uint32_t *)(const void *)tables->words.bytes;
    for (size_t i = first; i < count_words(tables); i++) {
        if (items[i] == word) {
            return true;
        }
    }
    return false;
}

/* The libraries that IMAGE needs, and then those that they need and that it is bound to. */
static struct kiln_image_list
add_libraries(const struct kiln_set *set, struct kiln_tables *tables,
              const struct kiln_object *image, const struct kiln_words *words)
{
    size_t first = count_words(tables);
    for (size_t i = 0; i < image->needs.count; i++) {
        const struct kiln_object *need = image->needs.items[i];
        if (need->origin == KILN_ORIGIN_SYSTEM && need->number != SIZE_MAX) {
            push(tables, (uint32_t)need->number);
        }
    }
    for (size_t i = 0; i < words->count; i++) {
        const struct kiln_word *word = &words->items[i];
        const struct kiln_object *library = NULL;
        if (word->kind == KILN_WORD_PATCH || word->kind == KILN_WORD_STUB) {
            library = set->imports.items[word->value].object;
        }
        if (library != NULL && library->origin == KILN_ORIGIN_SYSTEM &&
            !contains(tables, first, (uint32_t)library->number))
        {
            push(tables, (uint32_t)library->number);
        }
    }
    return end_list(tables, first, 1);
}

static int
compare_numbers(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static bool
is_of_library(const struct kiln_import *import)
{
    unsigned kind = import->kind & ~KILN_IMPORT_WEAK;
    return kind >= KILN_IMPORT_CALL;
}

/* The imports that WORDS use and that a library may not have, each once. */
static struct kiln_image_list
add_imports(const struct kiln_set *set, struct kiln_tables *tables, const struct kiln_words *words)
{
    size_t first = count_words(tables);
    for (size_t i = 0; i < words->count; i++) {
        const struct kiln_word *word = &words->items[i];
        if ((word->kind == KILN_WORD_PATCH || word->kind == KILN_WORD_STUB) &&
            is_of_library(&set->imports.items[word->value]))
        {
            push(tables, (uint32_t)word->value);
        }
    }
    size_t count = count_words(tables) - first, kept = 0;
    if (count == 0) {
        return (struct kiln_image_list){(uint32_t)first, 0};
    }
    uint32_t *items = (uint32_t *)(void *)tables->words.bytes + first;
    qsort(items, count, sizeof *items, compare_numbers);
    for (size_t i = 0; i < count; i++) {
        if (kept == 0 || items[kept - 1] != items[i]) {
            items[kept++] = items[i];
        }
    }
    tables->words.len = (first + kept) * sizeof(uint32_t);
    return end_list(tables, first, 1);
}

/* Whether the value of IMPORT comes from a resolver, or may. */
static bool
is_late(const struct kiln_set *set, const struct kiln_import *import)
{
    bool result = import->kind == KILN_IMPORT_IFUNC;
    bool is_choice = (import->kind & ~KILN_IMPORT_WEAK) == KILN_IMPORT_CHOICE;
    for (size_t i = 0; is_choice && !result && i <= import->choices->count; i++) {
        result = import->imports[i] != SIZE_MAX &&
                 set->imports.items[import->imports[i]].kind == KILN_IMPORT_IFUNC;
    }
    return result;
}

static struct kiln_image_list
add_patches(const struct kiln_set *set, struct kiln_tables *tables, const struct kiln_words *words)
{
    size_t first = count_words(tables);
    for (int late = 0; late < 2; late++) {
        for (size_t i = 0; i < words->count; i++) {
            const struct kiln_word *word = &words->items[i];
            if (word->kind == KILN_WORD_PATCH &&
                is_late(set, &set->imports.items[word->value]) == late) {
                push(tables, (uint32_t)word->offset);
                push(tables, (uint32_t)word->value);
            }
        }
    }
    return end_list(tables, first, 2);
}

/* As in SHT_RELR, with entries of 32 bits. */
static struct kiln_image_list
add_relative(struct kiln_tables *tables, const struct kiln_words *words)
{
    size_t first = count_words(tables);
    uint64_t next = 0; /* the place of bit 1 of a bitmap; 0: none can follow */
    for (size_t i = 0; i < words->count; i++) {
        if (words->items[i].kind != KILN_WORD_RELATIVE) {
            continue;
        }
        uint64_t offset = words->items[i].offset;
        uint32_t bitmap = 0;
        size_t k = i;
        for (; next != 0 && k < words->count; k++) {
            uint64_t at = words->items[k].offset;
            if (at >= next + 31 * 8) {
                break;
            }
            if (words->items[k].kind == KILN_WORD_RELATIVE) { /* only these are always aligned */
                bitmap |= UINT32_C(1) << (1 + (at - next) / 8);
            }
        }
        if (bitmap == 0) {
            push(tables, (uint32_t)offset);
            next = offset + 8;
        }
        else {
            push(tables, bitmap | 1);
            next += 31 * 8;
            i = k - 1;
        }
    }
    return end_list(tables, first, 1);
}

static struct kiln_image_tls
make_tls(const struct kiln_object *image)
{
    const Elf64_Phdr *tls = &image->dso.tls;
    struct kiln_image_tls result = {0};
    if (tls->p_type == PT_TLS && !image->has_static_tls) {
        result.offset = (uint32_t)tls->p_vaddr;
        result.file_size = (uint32_t)tls->p_filesz;
        result.size = (uint32_t)tls->p_memsz;
        result.align = tls->p_align == 0 ? 1 : (uint32_t)tls->p_align;
    }
    return result;
}

static uint64_t
hash_contents(const struct kiln_dynobj *dso)
{
    uint64_t hash = KILN_IMAGE_HASH_SEED;
    for (size_t i = 0; i < dso->load_count; i++) {
        const Elf64_Phdr *load = &dso->loads[i];
        uint64_t end = load->p_offset + load->p_filesz, at = load->p_offset;
        for (at = at < sizeof(Elf64_Ehdr) ? sizeof(Elf64_Ehdr) : at; at < end;) {
            size_t len = end - at < KILN_IMAGE_PIECE ? end - at : KILN_IMAGE_PIECE;
            hash = kiln_image_hash(hash, dso->bytes.ptr + at, len);
            at += len;
        }
    }
    return hash;
}

void
kiln_tables_add(struct kiln_set *set, struct kiln_tables *tables, const struct kiln_object *image,
                const struct kiln_words *words)
{
    const struct kiln_dynobj *dso = &image->dso;
    const uint64_t *tags = dso->tags, contents = hash_contents(dso);
    struct kiln_image record = {
        .size = (uint32_t)dso->size,
        .path = add_string(tables, kiln_closure_get_place(set, image->path)),
        .soname = add_string(tables, dso->soname),
        .init = (uint32_t)tags[DT_INIT],
        .init_array = (uint32_t)tags[DT_INIT_ARRAY],
        .init_array_size = tags[DT_INIT_ARRAY] == 0 ? 0 : (uint32_t)tags[DT_INIT_ARRAYSZ],
        .fini = (uint32_t)tags[DT_FINI],
        .fini_array = (uint32_t)tags[DT_FINI_ARRAY],
        .fini_array_size = tags[DT_FINI_ARRAY] == 0 ? 0 : (uint32_t)tags[DT_FINI_ARRAYSZ],
        .tls = make_tls(image),
        .program_headers = (uint32_t)dso->program_headers,
        .program_header_count = dso->header.e_phnum,
        .dynamic = (uint32_t)dso->dynamic.p_vaddr,
        .symbols = (uint32_t)tags[DT_SYMTAB],
        .strings = (uint32_t)tags[DT_STRTAB],
        .gnu_hash = (uint32_t)dso->gnu_hash,
        .hash = dso->gnu_hash == 0 ? (uint32_t)tags[DT_HASH] : 0,
        .versions = (uint32_t)dso->versym,
        .version_definitions = (uint32_t)dso->verdef,
        .contents = {(uint32_t)contents, (uint32_t)(contents >> 32)},
    };
    record.dependencies = add_dependencies(tables, image, &words->bound);
    record.libraries = add_libraries(set, tables, image, words);
    record.imports = add_imports(set, tables, words);
    record.patches = add_patches(set, tables, words);
    record.relative = add_relative(tables, words);
    size_t first = count_words(tables);
    kiln_pages_protect(image, words, set->unlink->separate_code, &tables->words);
    record.protections = end_list(tables, first, 3);
    kiln_buffer_append(&tables->records, &record, sizeof record);
    tables->count++;
}

/* Append BYTES to the section of the tables as the hidden symbol NAME; where they begin. */
static size_t
put_array(struct kiln_writer *writer, const char *name, const struct kiln_buffer *bytes)
{
    struct kiln_buffer *contents = &writer->sections[KILN_OUT_TABLES].contents;
    size_t at = kiln_buffer_align(contents, 8);
    kiln_buffer_append(contents, bytes->bytes, bytes->len);
    kiln_writer_define(writer, name, KILN_OUT_TABLES, at, STT_OBJECT);
    return at;
}

/* The pairs of a choice; where they are. */
static uint32_t
add_choices(struct kiln_tables *tables, const struct kiln_import *import)
{
    const struct kiln_choices *choices = import->choices;
    size_t first = count_words(tables);
    push(tables, (uint32_t)choices->count + 1);
    for (size_t i = 0; i <= choices->count; i++) {
        push(tables,
             i == choices->count ? KILN_IMAGE_NONE : (uint32_t)choices->items[i].opener->number);
        push(tables, (uint32_t)import->imports[i]);
    }
    return (uint32_t)first;
}

static void
make_imports(struct kiln_set *set, struct kiln_tables *tables, struct kiln_buffer *out)
{
    for (size_t i = 0; i < set->imports.count; i++) {
        const struct kiln_import *import = &set->imports.items[i];
        bool is_distance = import->kind == KILN_IMPORT_DISTANCE;
        struct kiln_image_import record = {
            .kind = import->kind,
            .where = is_distance ? 0 : (int32_t)import->value,
            .index = import->object == NULL ? KILN_IMAGE_NONE : (uint32_t)import->object->number,
            .version = add_string(tables, import->version),
        };
        if ((import->kind & ~KILN_IMPORT_WEAK) == KILN_IMPORT_CHOICE) {
            record.where = (int32_t)add_choices(tables, import);
            record.index = KILN_IMAGE_NONE;
        }
        if (import->kind == KILN_IMPORT_UNIQUE) {
            struct kiln_unique *unique = kiln_unique_get(set, import->name);
            unique->import = unique->import == 0 ? i + 1 : unique->import;
            record.name = (uint32_t)unique->import - 1;
        }
        else {
            record.name = is_distance ? KILN_IMAGE_NONE : add_string(tables, import->name);
        }
        kiln_buffer_append(out, &record, sizeof record);
    }
}

static void
relocate_imports(const struct kiln_set *set, struct kiln_writer *writer, size_t at)
{
    for (size_t i = 0; i < set->imports.count; i++) {
        const struct kiln_import *import = &set->imports.items[i];
        size_t field =
            at + i * sizeof(struct kiln_image_import) + offsetof(struct kiln_image_import, where);
        if (import->kind == KILN_IMPORT_DISTANCE) {
            kiln_writer_relocate(writer, KILN_OUT_TABLES, field, R_X86_64_PC32,
                                 kiln_writer_refer(writer, import->name), 0);
        }
    }
}

/* The other paths of images: their count, then a path and an image each. */
static void
make_aliases(struct kiln_set *set, struct kiln_tables *tables, struct kiln_buffer *out)
{
    uint32_t count = 0;
    kiln_buffer_append(out, &count, sizeof count);
    for (size_t i = 0; i < set->aliases.count; i++) {
        const struct kiln_alias *alias = &set->aliases.items[i];
        if (alias->object->reason == NULL) {
            const uint32_t pair[] = {add_string(tables, kiln_closure_get_place(set, alias->path)),
                                     (uint32_t)alias->object->number};
            kiln_buffer_append(out, pair, sizeof pair);
            count++;
        }
    }
    memcpy(out->bytes, &count, sizeof count);
}

/* The values of imports, and the states, in memory that is zero at the start. */
static void
put_slots(const struct kiln_set *set, struct kiln_writer *writer)
{
    struct kiln_out_section *section = &writer->sections[KILN_OUT_SLOTS];
    kiln_writer_define(writer, "kiln_image_slots", KILN_OUT_SLOTS, 0, STT_OBJECT);
    section->size = set->imports.count * sizeof(uintptr_t);
    kiln_writer_define(writer, "kiln_image_import_states", KILN_OUT_SLOTS, section->size,
                       STT_OBJECT);
    section->size += set->imports.count;
    kiln_writer_define(writer, "kiln_image_states", KILN_OUT_SLOTS, section->size, STT_OBJECT);
    section->size += set->images.count;
}

void
kiln_tables_write(struct kiln_set *set, struct kiln_tables *tables, struct kiln_writer *writer)
{
    const struct kiln_images counts = {.image_count = (uint32_t)set->images.count,
                                       .import_count = (uint32_t)set->imports.count,
                                       .library_count = (uint32_t)set->libraries.count};
    struct kiln_buffer head = {0}, imports = {0}, libraries = {0}, aliases = {0};
    kiln_buffer_append(&head, &counts, sizeof counts);
    make_imports(set, tables, &imports);
    for (size_t i = 0; i < set->libraries.count; i++) {
        uint32_t name = add_string(tables, set->libraries.items[i]->open_name);
        kiln_buffer_append(&libraries, &name, sizeof name);
    }
    make_aliases(set, tables, &aliases);
    put_array(writer, "kiln_images", &head);
    size_t records = put_array(writer, "kiln_image_records", &tables->records);
    size_t imports_at = put_array(writer, "kiln_image_imports", &imports);
    put_array(writer, "kiln_image_libraries", &libraries);
    put_array(writer, "kiln_image_aliases", &aliases);
    put_array(writer, "kiln_image_words", &tables->words);
    put_array(writer, "kiln_image_strings", &tables->strings);
    for (size_t i = 0; i < set->images.count; i++) {
        kiln_writer_relocate(writer, KILN_OUT_TABLES, records + i * sizeof(struct kiln_image),
                             R_X86_64_PC32, kiln_writer_get_section(KILN_OUT_IMAGE),
                             (int64_t)set->images.items[i]->start);
    }
    relocate_imports(set, writer, imports_at);
    put_slots(set, writer);
    kiln_buffer_release(&head);
    kiln_buffer_release(&imports);
    kiln_buffer_release(&libraries);
    kiln_buffer_release(&aliases);
    kiln_buffer_release(&tables->records);
    kiln_buffer_release(&tables->words);
    kiln_buffer_release(&tables->strings);
}
