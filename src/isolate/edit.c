/* Carries out the plan: from the object's bytes to the module's.
 *
 * The contents of sections stay in place. The new names are appended to the string tables, which move
 * behind all other sections, followed by the section headers; in an object that ld has written, these
 * are already last. So a module costs one copy of the object and a change of its symbols, however
 * large the sections. As in src/elf, structures are copied into and out of the bytes. */
#include "isolate/edit.h"

#include <stdlib.h>

#include "names/combined.h"

/* A string table that grows. */
struct strings {
    size_t section;
    char *data; /* in the scratch arena */
    size_t len, capacity;
};

struct edit {
    const struct kiln_plan *plan;
    struct kiln_arena *scratch;
    struct strings tables[2]; /* of the symbols, and of the sections; */
    struct strings *names;    /* the second, unless both are one */
    Elf64_Shdr *sections;
    uint8_t *bytes; /* the module */
};

static void
strings_init(struct strings *strings, const struct edit *edit, size_t section)
{
    struct kiln_span old = kiln_elf_get_contents(edit->plan->elf, section);
    strings->section = section;
    strings->len = old.len;
    strings->capacity = 2 * old.len + 4096;
    strings->data = kiln_arena_alloc(edit->scratch, strings->capacity);
    if (old.len > 0) {
        memcpy(strings->data, old.ptr, old.len);
    }
}

/* Appends TEXT. Returns its offset. */
static uint32_t
strings_add(struct strings *strings, const struct edit *edit, const char *text)
{
    size_t size = strlen(text) + 1, at = strings->len;
    if (size > strings->capacity - strings->len) {
        strings->capacity = 2 * strings->capacity + size;
        char *data = kiln_arena_alloc(edit->scratch, strings->capacity);
        memcpy(data, strings->data, strings->len);
        strings->data = data;
    }
    memcpy(strings->data + at, text, size);
    strings->len += size;
    return (uint32_t)at; /* kiln_edit_apply() has checked that it fits */
}

static void
edit_symbol(struct edit *edit, size_t index, Elf64_Sym *sym)
{
    const struct kiln_plan *plan = edit->plan;
    unsigned bind = ELF64_ST_BIND(sym->st_info);
    sym->st_name = strings_add(&edit->tables[0], edit, plan->symbol_names[index]);
    if (sym->st_shndx == SHN_UNDEF) {
        return;
    }
    if (index == plan->exported) {
        bind = STB_GLOBAL;
    }
    else if (bind == STB_GNU_UNIQUE) {
        bind = STB_WEAK; /* UNIQUE would make it one for the whole process */
    }
    bool is_export = kiln_strings_contain(plan->as->exports, plan->symbol_names[index]);
    sym->st_info = ELF64_ST_INFO(bind, ELF64_ST_TYPE(sym->st_info));
    sym->st_other = (unsigned char)((sym->st_other & ~3U) | (is_export ? STV_DEFAULT : STV_HIDDEN));
}

static void
edit_symbols(struct edit *edit)
{
    const struct kiln_plan *plan = edit->plan;
    uint8_t *table = edit->bytes + edit->sections[plan->symtab].sh_offset;
    for (size_t i = 1; i < plan->symbol_count; i++) {
        if (plan->symbol_names[i] != NULL) {
            Elf64_Sym sym;
            memcpy(&sym, table + i * sizeof sym, sizeof sym);
            edit_symbol(edit, i, &sym);
            memcpy(table + i * sizeof sym, &sym, sizeof sym);
        }
    }
}

static void
edit_sections(struct edit *edit)
{
    const struct kiln_elf *elf = edit->plan->elf;
    for (size_t i = 1; i < elf->section_count; i++) {
        const char *name = edit->plan->section_names[i];
        Elf64_Shdr *shdr = &edit->sections[i];
        if (shdr->sh_type == SHT_GROUP) {
            /* The members of a group that combining left stay together, but another module's group
             * must not replace it. */
            uint32_t flags;
            memcpy(&flags, edit->bytes + shdr->sh_offset, sizeof flags);
            flags &= ~(uint32_t)GRP_COMDAT;
            memcpy(edit->bytes + shdr->sh_offset, &flags, sizeof flags);
        }
        if (name != NULL) {
            shdr->sh_name = strings_add(edit->names, edit, name);
        }
        if ((shdr->sh_type == SHT_INIT_ARRAY || shdr->sh_type == SHT_FINI_ARRAY) &&
            strcmp(kiln_elf_get_section_name(elf, i), KILN_CTORS_SECTION) == 0)
        {
            /* ld gave it the type of its first input. */
            shdr->sh_type = SHT_PROGBITS;
            shdr->sh_entsize = 0;
        }
    }
}

static bool
is_string_table(const struct edit *edit, size_t index)
{
    return index == edit->tables[0].section || index == edit->tables[1].section;
}

/* Returns the end of what stays in place. */
static uint64_t
find_tail(const struct edit *edit)
{
    const struct kiln_elf *elf = edit->plan->elf;
    uint64_t tail = sizeof(Elf64_Ehdr);
    for (size_t i = 1; i < elf->section_count; i++) {
        uint64_t end = edit->sections[i].sh_offset + kiln_elf_get_contents(elf, i).len;
        if (!is_string_table(edit, i) && end > tail) {
            tail = end;
        }
    }
    return tail;
}

/* Copies the section headers and string tables, to be changed and extended. */
static void
start(struct edit *edit)
{
    const struct kiln_elf *elf = edit->plan->elf;
    edit->sections = kiln_arena_alloc(edit->scratch, elf->table.len);
    memcpy(edit->sections, elf->table.ptr, elf->table.len);
    size_t strings = edit->sections[edit->plan->symtab].sh_link;
    size_t names =
        elf->header.e_shstrndx == SHN_XINDEX ? edit->sections[0].sh_link : elf->header.e_shstrndx;
    strings_init(&edit->tables[0], edit, strings);
    edit->names = &edit->tables[0]; /* LLVM's own objects have one table for both */
    if (names != strings) {
        edit->names = &edit->tables[1];
        strings_init(&edit->tables[1], edit, names);
    }
}

/* Puts a string table at OFFSET. Returns its end. */
static uint64_t
place_strings(struct edit *edit, const struct strings *strings, uint64_t offset)
{
    Elf64_Shdr *shdr = &edit->sections[strings->section];
    shdr->sh_offset = offset;
    shdr->sh_size = strings->len;
    shdr->sh_addralign = 1;
    memcpy(edit->bytes + offset, strings->data, strings->len);
    return offset + strings->len;
}

/* Puts the string tables, then the section headers, behind TAIL. Returns the size of the module. */
static size_t
finish(struct edit *edit, uint64_t tail)
{
    const struct kiln_elf *elf = edit->plan->elf;
    uint64_t end = place_strings(edit, &edit->tables[0], tail);
    if (edit->names == &edit->tables[1]) {
        end = place_strings(edit, edit->names, end);
    }
    Elf64_Ehdr header;
    memcpy(&header, &elf->header, sizeof header);
    header.e_shoff = (end + 7) & ~(uint64_t)7;
    memcpy(edit->bytes, &header, sizeof header);
    memcpy(edit->bytes + header.e_shoff, edit->sections, elf->table.len);
    return (size_t)header.e_shoff + elf->table.len;
}

/* Returns how many bytes the names of the plan add to the string tables. */
static size_t
measure_names(const struct kiln_plan *plan)
{
    size_t size = 0;
    for (size_t i = 1; i < plan->symbol_count; i++) {
        size += plan->symbol_names[i] == NULL ? 0 : strlen(plan->symbol_names[i]) + 1;
    }
    for (size_t i = 1; i < plan->elf->section_count; i++) {
        size += plan->section_names[i] == NULL ? 0 : strlen(plan->section_names[i]) + 1;
    }
    return size;
}

struct extent {
    uint64_t start, end;
};

static int
compare_extents(const void *a, const void *b)
{
    const struct extent *one = a, *other = b;
    return one->start < other->start ? -1 : one->start > other->start;
}

/* Returns whether no two parts of the object overlap, which editing requires and the gate does not
 * check. */
static bool
is_sound(const struct edit *edit)
{
    const struct kiln_elf *elf = edit->plan->elf;
    struct extent *extents =
        kiln_arena_alloc(edit->scratch, (elf->section_count + 2) * sizeof *extents);
    size_t count = 0;
    bool sound = elf->header.e_phnum == 0 && elf->names.len > 0;
    extents[count++] = (struct extent){.end = sizeof(Elf64_Ehdr)};
    extents[count++] =
        (struct extent){.start = elf->header.e_shoff, .end = elf->header.e_shoff + elf->table.len};
    for (size_t i = 1; i < elf->section_count; i++) {
        Elf64_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        size_t len = kiln_elf_get_contents(elf, i).len;
        /* The offset of a section without contents means nothing, but find_tail() uses it. */
        sound = sound && shdr.sh_offset <= elf->bytes.len &&
                (shdr.sh_type != SHT_NULL || shdr.sh_size == 0) &&
                (shdr.sh_type != SHT_GROUP || len >= sizeof(uint32_t));
        if (len > 0) {
            extents[count++] =
                (struct extent){.start = shdr.sh_offset, .end = shdr.sh_offset + len};
        }
    }
    qsort(extents, count, sizeof *extents, compare_extents);
    for (size_t i = 1; i < count; i++) {
        sound = sound && extents[i].start >= extents[i - 1].end;
    }
    return sound;
}

int
kiln_edit_apply(struct kiln_ctx *ctx, const struct kiln_plan *plan, struct kiln_arena *arena,
                struct kiln_span *out)
{
    struct kiln_arena scratch = {0};
    struct edit edit = {.plan = plan, .scratch = &scratch};
    int result = 0;
    if (!is_sound(&edit)) {
        result = kiln_fail(ctx, KILN_ERR_FORMAT,
                           "%s: damaged: parts of the object overlap; rebuild it", plan->elf->name);
        goto done;
    }
    start(&edit);
    uint64_t tail = find_tail(&edit);
    size_t names = edit.tables[0].len + edit.tables[1].len + measure_names(plan);
    if (names > UINT32_MAX) {
        result = kiln_fail(ctx, KILN_ERR_INPUT, "%s: too many long names in one object",
                           plan->elf->name);
        goto done;
    }
    edit.bytes = kiln_arena_alloc(arena, (size_t)tail + names + 8 + plan->elf->table.len);
    memcpy(edit.bytes, plan->elf->bytes.ptr, (size_t)tail);
    edit_symbols(&edit);
    edit_sections(&edit);
    *out = kiln_span_of(edit.bytes, finish(&edit, tail));
done:
    kiln_arena_release(&scratch);
    return result;
}
