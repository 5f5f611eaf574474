/* Writing the plan into the file, in place, with libelf.
 *
 * The contents of sections stay where they are. The new names are appended to the string tables,
 * which move, with the table of section headers, behind all other sections; there is nothing but
 * these as a rule after the symbol table of an object that ld has written. Everything before is
 * left alone, so an object of many megabytes costs no more than its symbols. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "isolate/plan.h"

/* A string table that grows. */
struct strings {
    size_t section;
    char *data; /* in the plan's arena */
    size_t len, capacity;
    bool too_long; /* offsets in it would not fit */
};

struct edit {
    struct kiln_ctx *ctx;
    const struct kiln_plan *plan;
    struct kiln_arena *arena;
    const char *path;
    Elf *elf;
    struct strings tables[2]; /* of the symbols, and of the sections; */
    struct strings *names;    /* the second, unless both are one */
};

static int
fail(const struct edit *edit)
{
    return kiln_fail(edit->ctx, KILN_ERR_FORMAT, "%s: %s cannot be edited: %s",
                     edit->plan->elf->name, edit->path, elf_errmsg(-1));
}

static void
strings_init(struct strings *strings, const struct edit *edit, size_t section)
{
    struct kiln_span old = kiln_elf_get_contents(edit->plan->elf, section);
    strings->section = section;
    strings->len = old.len;
    strings->capacity = 2 * old.len + 4096;
    strings->data = kiln_arena_alloc(edit->arena, strings->capacity);
    if (old.len > 0) {
        memcpy(strings->data, old.ptr, old.len);
    }
}

/* Append TEXT; the value is its offset. */
static uint32_t
strings_add(struct strings *strings, const struct edit *edit, const char *text)
{
    size_t size = strlen(text) + 1, at = strings->len;
    if (size > strings->capacity - strings->len) {
        strings->capacity = 2 * strings->capacity + size;
        char *data = kiln_arena_alloc(edit->arena, strings->capacity);
        memcpy(data, strings->data, strings->len);
        strings->data = data;
    }
    memcpy(strings->data + at, text, size);
    strings->len += size;
    strings->too_long |= strings->len > UINT32_MAX;
    return (uint32_t)at;
}

static void
edit_symbol(struct edit *edit, size_t index, GElf_Sym *sym)
{
    const struct kiln_plan *plan = edit->plan;
    unsigned bind = GELF_ST_BIND(sym->st_info);
    sym->st_name = strings_add(&edit->tables[0], edit, plan->symbol_names[index]);
    if (sym->st_shndx == SHN_UNDEF) {
        return;
    }
    if (index == plan->exported) {
        bind = STB_GLOBAL;
    }
    else if (bind == STB_GNU_UNIQUE) {
        bind = STB_WEAK; /* one object for the process is what the module must not see */
    }
    sym->st_info = GELF_ST_INFO(bind, GELF_ST_TYPE(sym->st_info));
    sym->st_other = (unsigned char)((sym->st_other & ~3U) | STV_HIDDEN);
}

static int
edit_symbols(struct edit *edit)
{
    const struct kiln_plan *plan = edit->plan;
    Elf_Data *data = elf_getdata(elf_getscn(edit->elf, plan->symtab), NULL);
    if (data == NULL) {
        return fail(edit);
    }
    for (size_t i = 1; i < plan->symbol_count; i++) {
        GElf_Sym sym;
        if (plan->symbol_names[i] == NULL) {
            continue;
        }
        if (gelf_getsym(data, (int)i, &sym) == NULL) {
            return fail(edit);
        }
        edit_symbol(edit, i, &sym);
        if (gelf_update_sym(data, (int)i, &sym) == 0) {
            return fail(edit);
        }
    }
    elf_flagdata(data, ELF_C_SET, ELF_F_DIRTY);
    return 0;
}

/* Groups that combining has left stay together, but no other object's may take their place. */
static int
edit_group(struct edit *edit, Elf_Scn *scn)
{
    Elf_Data *data = elf_getdata(scn, NULL);
    if (data == NULL || data->d_size < sizeof(Elf64_Word)) {
        return fail(edit);
    }
    Elf64_Word flags;
    memcpy(&flags, data->d_buf, sizeof flags);
    flags &= ~(Elf64_Word)GRP_COMDAT;
    memcpy(data->d_buf, &flags, sizeof flags);
    elf_flagdata(data, ELF_C_SET, ELF_F_DIRTY);
    return 0;
}

static int
edit_sections(struct edit *edit)
{
    const struct kiln_elf *elf = edit->plan->elf;
    for (size_t i = 1; i < elf->section_count; i++) {
        const char *name = edit->plan->section_names[i];
        GElf_Shdr shdr;
        Elf_Scn *scn = elf_getscn(edit->elf, i);
        if (gelf_getshdr(scn, &shdr) == NULL) {
            return fail(edit);
        }
        bool is_ctors = strcmp(kiln_elf_get_section_name(elf, i), KILN_CTORS_SECTION) == 0;
        if (shdr.sh_type == SHT_GROUP && edit_group(edit, scn) < 0) {
            return KILN_ERR_FORMAT;
        }
        if (name == NULL && !is_ctors) {
            continue;
        }
        if (name != NULL) {
            shdr.sh_name = strings_add(edit->names, edit, name);
        }
        if (is_ctors) {
            /* ld has made it an array of constructors, since that is what went into it. */
            shdr.sh_type = SHT_PROGBITS;
            shdr.sh_entsize = 0;
        }
        if (gelf_update_shdr(scn, &shdr) == 0) {
            return fail(edit);
        }
    }
    return 0;
}

static bool
is_string_table(const struct edit *edit, size_t index)
{
    return index == edit->tables[0].section || index == edit->tables[1].section;
}

/* Where all that stays in its place ends. */
static uint64_t
find_tail(const struct edit *edit)
{
    const struct kiln_elf *elf = edit->plan->elf;
    uint64_t tail = sizeof(Elf64_Ehdr);
    for (size_t i = 1; i < elf->section_count; i++) {
        GElf_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        uint64_t end = shdr.sh_offset + kiln_elf_get_contents(elf, i).len;
        if (!is_string_table(edit, i) && end > tail) {
            tail = end;
        }
    }
    return tail;
}

static int
place_strings(struct edit *edit, struct strings *strings, uint64_t offset)
{
    GElf_Shdr shdr;
    Elf_Scn *scn = elf_getscn(edit->elf, strings->section);
    Elf_Data *data = elf_getdata(scn, NULL);
    if (strings->too_long) {
        return kiln_fail(edit->ctx, KILN_ERR_INPUT, "%s: too many long names in one object",
                         edit->plan->elf->name);
    }
    if (data == NULL || gelf_getshdr(scn, &shdr) == NULL) {
        return fail(edit);
    }
    data->d_buf = strings->data;
    data->d_size = strings->len;
    shdr.sh_offset = offset;
    shdr.sh_size = strings->len;
    shdr.sh_addralign = 1;
    if (gelf_update_shdr(scn, &shdr) == 0) {
        return fail(edit);
    }
    elf_flagdata(data, ELF_C_SET, ELF_F_DIRTY);
    return 0;
}

/* The string tables, then the section headers, behind everything else. */
static int
edit_layout(struct edit *edit)
{
    GElf_Ehdr header;
    uint64_t offset = find_tail(edit);
    int result = place_strings(edit, &edit->tables[0], offset);
    offset += edit->tables[0].len;
    if (result == 0 && edit->names == &edit->tables[1]) {
        result = place_strings(edit, edit->names, offset);
        offset += edit->names->len;
    }
    if (result < 0) {
        return result;
    }
    if (gelf_getehdr(edit->elf, &header) == NULL) {
        return fail(edit);
    }
    header.e_shoff = (offset + 7) & ~(uint64_t)7;
    if (gelf_update_ehdr(edit->elf, &header) == 0) {
        return fail(edit);
    }
    return 0;
}

static int
edit_all(struct edit *edit)
{
    const struct kiln_elf *elf = edit->plan->elf;
    size_t names;
    GElf_Shdr symtab;
    kiln_elf_get_section(elf, edit->plan->symtab, &symtab);
    if (elf_getshdrstrndx(edit->elf, &names) < 0) {
        return fail(edit);
    }
    strings_init(&edit->tables[0], edit, symtab.sh_link);
    edit->names = &edit->tables[0]; /* LLVM's own objects have one table for both */
    if (names != symtab.sh_link) {
        edit->names = &edit->tables[1];
        strings_init(&edit->tables[1], edit, names);
    }
    elf_flagelf(edit->elf, ELF_C_SET, ELF_F_LAYOUT);
    int result = edit_symbols(edit);
    if (result == 0) {
        result = edit_sections(edit);
    }
    if (result == 0) {
        result = edit_layout(edit);
    }
    if (result == 0 && elf_update(edit->elf, ELF_C_WRITE) < 0) {
        result = fail(edit);
    }
    return result;
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

/* Besides what the gate has checked, a file that is edited in place must have a place of its own
 * for everything in it. */
static int
check_layout(const struct edit *edit)
{
    const struct kiln_elf *elf = edit->plan->elf;
    struct extent *extents =
        kiln_arena_alloc(edit->arena, (elf->section_count + 2) * sizeof *extents);
    size_t count = 0;
    bool sound = elf->header.e_phnum == 0 && elf->names.len > 0;
    extents[count++] = (struct extent){.end = sizeof(Elf64_Ehdr)};
    extents[count++] =
        (struct extent){.start = elf->header.e_shoff, .end = elf->header.e_shoff + elf->table.len};
    for (size_t i = 1; i < elf->section_count; i++) {
        GElf_Shdr shdr;
        kiln_elf_get_section(elf, i, &shdr);
        size_t len = kiln_elf_get_contents(elf, i).len;
        /* The offset of a section without contents means nothing, but counts for libelf. */
        sound = sound && shdr.sh_offset <= elf->bytes.len &&
                (shdr.sh_type != SHT_NULL || shdr.sh_size == 0);
        if (len > 0) {
            extents[count++] =
                (struct extent){.start = shdr.sh_offset, .end = shdr.sh_offset + len};
        }
    }
    qsort(extents, count, sizeof *extents, compare_extents);
    for (size_t i = 1; i < count; i++) {
        sound = sound && extents[i].start >= extents[i - 1].end;
    }
    if (!sound) {
        return kiln_fail(
            edit->ctx, KILN_ERR_FORMAT,
            "%s: damaged: the parts of the object lie one over the other; make it anew", elf->name);
    }
    return 0;
}

int
kiln_edit_apply(struct kiln_ctx *ctx, const struct kiln_plan *plan, const char *path)
{
    struct kiln_arena scratch = {0};
    struct edit edit = {.ctx = ctx, .plan = plan, .arena = &scratch, .path = path};
    int fd = -1;
    int result = check_layout(&edit);
    if (result < 0) {
        goto done;
    }
    fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) {
        result = kiln_fail_errno(ctx, "%s: cannot write", path);
        goto done;
    }
    elf_version(EV_CURRENT);
    edit.elf = elf_begin(fd, ELF_C_RDWR, NULL);
    result = edit.elf == NULL ? fail(&edit) : edit_all(&edit);
    elf_end(edit.elf);
done:
    /* close() is where NFS and quotas report a full disk. */
    if (fd >= 0 && close(fd) < 0 && result == 0) {
        result = kiln_fail_errno(ctx, "%s: cannot write", path);
    }
    kiln_arena_release(&scratch);
    return result;
}
