/* Reading a dynamic object: program headers, then the dynamic section, then what that leads to. Every
 * step takes numbers from the file and bytes through kiln_dynobj_slice(), so it does not matter what the
 * numbers are. */
#include "unlink/dynobj.h"

#include <stdlib.h>
#include <string.h>

enum {
    HEADERS_MAX = 256,    /* program headers that are looked at */
    NEEDED_MAX = 256,     /* libraries; the most seen is 60 */
    VERSIONS_MAX = 32768, /* indices have 15 bits */
    SYMBOLS_MAX = 1U << 26,
    ABI_VERSION_MAX = 3, /* glibc's: LIBC_ABI_ABSOLUTE */
    /* What keeps the work in proportion to the file's size: strings may overlap, and names may be equal. */
    STRING_MAX = 256 * 1024,
    CHAIN_MAX = 1000, /* symbols of one hash */
    REPEATED_MAX = 16,
};

const char *
kiln_dynobj_get_string(struct kiln_span strings, uint64_t offset)
{
    struct kiln_span rest;
    if (offset > strings.len ||
        !kiln_span_slice(strings, offset,
                         strings.len - offset < STRING_MAX ? strings.len - offset : STRING_MAX,
                         &rest))
    {
        return NULL;
    }
    return kiln_span_get_string(rest, 0);
}

const Elf64_Phdr *
kiln_dynobj_find_segment(const struct kiln_dynobj *dso, uint64_t address, uint64_t len)
{
    for (size_t i = 0; i < dso->load_count; i++) {
        const Elf64_Phdr *load = &dso->loads[i];
        if (address >= load->p_vaddr && address - load->p_vaddr < load->p_memsz &&
            len <= load->p_memsz - (address - load->p_vaddr))
        {
            return load;
        }
    }
    return NULL;
}

bool
kiln_dynobj_slice(const struct kiln_dynobj *dso, uint64_t address, uint64_t len,
                  struct kiln_span *out)
{
    const Elf64_Phdr *load = kiln_dynobj_find_segment(dso, address, len);
    if (load == NULL || len > load->p_filesz || address - load->p_vaddr > load->p_filesz - len) {
        return false;
    }
    return kiln_span_slice(dso->bytes, load->p_offset + (address - load->p_vaddr), len, out);
}

bool
kiln_dynobj_read_word(const struct kiln_dynobj *dso, uint64_t address, uint64_t *word)
{
    const Elf64_Phdr *load = kiln_dynobj_find_segment(dso, address, sizeof *word);
    if (load == NULL) {
        return false;
    }
    uint64_t at = address - load->p_vaddr;
    uint64_t len = at >= load->p_filesz                 ? 0
                   : load->p_filesz - at < sizeof *word ? load->p_filesz - at
                                                        : sizeof *word;
    *word = 0;
    return len == 0 || kiln_span_read(dso->bytes, load->p_offset + at, word, len);
}

/* From ADDRESS to the end of what the file has of its segment. */
static bool
slice_rest(const struct kiln_dynobj *dso, uint64_t address, struct kiln_span *out)
{
    const Elf64_Phdr *load = kiln_dynobj_find_segment(dso, address, 0);
    return load != NULL && address - load->p_vaddr <= load->p_filesz &&
           kiln_dynobj_slice(dso, address, load->p_filesz - (address - load->p_vaddr), out);
}

/* Whether ld.so takes the rest of e_ident: the versions of the format and of the ABI (gABI, "ELF
 * Identification"; glibc's open_verify()). */
static bool
is_abi_known(const unsigned char *ident)
{
    bool is_gnu = ident[EI_OSABI] == ELFOSABI_GNU;
    bool result = ident[EI_VERSION] == EV_CURRENT && (is_gnu || ident[EI_OSABI] == ELFOSABI_SYSV) &&
                  ident[EI_ABIVERSION] <= (is_gnu ? ABI_VERSION_MAX : 0);
    for (size_t i = EI_ABIVERSION + 1; i < EI_NIDENT; i++) {
        result = result && ident[i] == 0;
    }
    return result;
}

static const char *
read_header(struct kiln_ctx *ctx, struct kiln_dynobj *dso)
{
    const Elf64_Ehdr *header = &dso->header;
    if (!kiln_span_starts_with(dso->bytes, ELFMAG, SELFMAG)) {
        return dso->bytes.len == 0 ? "it is empty" : "it is not an ELF file";
    }
    if (!kiln_span_read(dso->bytes, 0, &dso->header, sizeof dso->header)) {
        return "it is cut short";
    }
    if (header->e_ident[EI_CLASS] != ELFCLASS64) {
        return "it is a 32-bit file";
    }
    dso->machine = kiln_machine_find(header->e_machine);
    if (header->e_ident[EI_DATA] != ELFDATA2LSB || dso->machine == NULL) {
        return kiln_arena_printf(&ctx->arena, "it is made for the machine %s",
                                 kiln_machine_get_name(ctx, header->e_machine));
    }
    if (!is_abi_known(header->e_ident) || header->e_version != EV_CURRENT) {
        return "it is made for the ABI of another system, or a later one";
    }
    if (header->e_type != ET_DYN && header->e_type != ET_EXEC) {
        return "it is not a shared object";
    }
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum > HEADERS_MAX) {
        return "its program headers are damaged";
    }
    return NULL;
}

static const char *
add_load(struct kiln_dynobj *dso, const Elf64_Phdr *load)
{
    struct kiln_span bytes;
    const Elf64_Phdr *last = dso->load_count == 0 ? NULL : &dso->loads[dso->load_count - 1];
    if (dso->load_count == KILN_DYNOBJ_SEGMENTS) {
        return "it has too many segments";
    }
    if (load->p_filesz > load->p_memsz || load->p_vaddr + load->p_memsz < load->p_vaddr ||
        load->p_vaddr + load->p_memsz > UINT32_MAX / 2)
    {
        return "its segments are damaged, or larger than 2 GB";
    }
    if (!kiln_span_slice(dso->bytes, load->p_offset, load->p_filesz, &bytes)) {
        return "it is cut short";
    }
    if (last != NULL && load->p_vaddr < last->p_vaddr + last->p_memsz) {
        return "its segments overlap";
    }
    dso->loads[dso->load_count++] = *load;
    dso->size = load->p_vaddr + load->p_memsz;
    return NULL;
}

/* Programs that move them (patchelf, BOLT) put them into a segment of their own. */
static uint64_t
find_program_headers(const struct kiln_dynobj *dso)
{
    uint64_t offset = dso->header.e_phoff, len = dso->header.e_phnum * (uint64_t)sizeof(Elf64_Phdr);
    for (size_t i = 0; i < dso->load_count; i++) {
        const Elf64_Phdr *load = &dso->loads[i];
        if (offset >= load->p_offset && offset - load->p_offset <= load->p_filesz &&
            len <= load->p_filesz - (offset - load->p_offset))
        {
            return load->p_vaddr + (offset - load->p_offset);
        }
    }
    return UINT64_MAX;
}

/* The levels of x86-64 (GNU_PROPERTY_X86_ISA_1_NEEDED) without which the loader does not load what has NOTES. */
static uint32_t
find_needed_isa(struct kiln_span notes, uint64_t align)
{
    static const uint32_t isa_1_needed = 0xc0008002;
    Elf64_Nhdr note;
    struct kiln_span properties;
    uint32_t head[2], levels = 0;
    for (uint64_t at = 0; kiln_span_read(notes, at, &note, sizeof note);) {
        uint64_t desc = at + sizeof note + ((note.n_namesz + UINT64_C(3)) & ~UINT64_C(3));
        bool is_list = note.n_type == NT_GNU_PROPERTY_TYPE_0 &&
                       kiln_span_slice(notes, desc, note.n_descsz, &properties);
        for (uint64_t i = 0; is_list && kiln_span_read(properties, i, head, sizeof head);
             i = (i + sizeof head + head[1] + 7) & ~UINT64_C(7))
        {
            if (head[0] == isa_1_needed) {
                kiln_span_get_u32(properties, i + sizeof head, &levels);
            }
        }
        at = (desc + note.n_descsz + align - 1) & ~(align - 1);
    }
    return levels;
}

static void
read_notes(struct kiln_dynobj *dso, const Elf64_Phdr *phdr)
{
    static const uint32_t baseline = 1;
    struct kiln_span notes;
    if (dso->header.e_machine == EM_X86_64 &&
        kiln_span_slice(dso->bytes, phdr->p_offset, phdr->p_filesz, &notes) &&
        (find_needed_isa(notes, phdr->p_align == 8 ? 8 : 4) & ~baseline) != 0)
    {
        dso->unsupported = "GNU_PROPERTY_X86_ISA_1_NEEDED";
    }
}

static const char *
read_segments(struct kiln_dynobj *dso)
{
    const char *reason = NULL;
    dso->wants_executable_stack = true; /* unless PT_GNU_STACK says otherwise, as for ld.so */
    for (size_t i = 0; reason == NULL && i < dso->header.e_phnum; i++) {
        Elf64_Phdr phdr;
        if (!kiln_span_read(dso->bytes, dso->header.e_phoff + i * sizeof phdr, &phdr, sizeof phdr))
        {
            return "it is cut short";
        }
        switch (phdr.p_type) {
        case PT_LOAD:
            reason = add_load(dso, &phdr);
            break;
        case PT_DYNAMIC:
            dso->dynamic = phdr;
            break;
        case PT_TLS:
            dso->tls = phdr;
            break;
        case PT_NOTE:
            read_notes(dso, &phdr);
            break;
        case PT_GNU_RELRO:
            dso->relro = phdr;
            break;
        case PT_GNU_EH_FRAME:
            dso->eh_frame_hdr = phdr;
            break;
        case PT_GNU_STACK:
            dso->wants_executable_stack = (phdr.p_flags & PF_X) != 0;
            break;
        default:
            break;
        }
    }
    if (reason == NULL && dso->load_count == 0) {
        return "it has no segments";
    }
    dso->program_headers = find_program_headers(dso);
    return reason;
}

/* Tags that ask the loader for more than to map, bind and start. */
static const char *
find_unsupported(const Elf64_Dyn *entry)
{
    switch (entry->d_tag) {
    case DT_REL:
        return "DT_REL";
    case DT_PREINIT_ARRAY:
        return "DT_PREINIT_ARRAY";
    case DT_FILTER:
        return "DT_FILTER";
    case DT_AUXILIARY:
        return "DT_AUXILIARY";
    case DT_AUDIT:
        return "DT_AUDIT";
    case DT_DEPAUDIT:
        return "DT_DEPAUDIT";
    default:
        return NULL;
    }
}

static const char *
read_dynamic(struct kiln_ctx *ctx, struct kiln_dynobj *dso)
{
    Elf64_Dyn entry;
    uint64_t soname = 0, rpath = 0, runpath = 0;
    uint64_t older = 0; /* flags that had tags of their own before there were flags */
    struct {
        uint64_t *items;
        size_t count, capacity;
    } needed = {0};
    struct kiln_span entries;
    if (dso->dynamic.p_type != PT_DYNAMIC ||
        !kiln_dynobj_slice(dso, dso->dynamic.p_vaddr, dso->dynamic.p_filesz, &entries))
    {
        return "it has no dynamic section";
    }
    for (uint64_t at = 0;
         kiln_span_read(entries, at, &entry, sizeof entry) && entry.d_tag != DT_NULL;
         at += sizeof entry)
    {
        if (entry.d_tag >= 0 && entry.d_tag < DT_NUM) {
            dso->tags[entry.d_tag] = entry.d_un.d_val;
        }
        const char *unsupported = find_unsupported(&entry);
        dso->unsupported = dso->unsupported == NULL ? unsupported : dso->unsupported;
        switch (entry.d_tag) {
        case DT_NEEDED:
            if (needed.count == NEEDED_MAX) {
                return "it needs too many libraries";
            }
            *KILN_ARENA_PUSH(&ctx->arena, &needed) = entry.d_un.d_val;
            break;
        case DT_SONAME:
            soname = entry.d_un.d_val;
            break;
        case DT_RPATH:
            rpath = entry.d_un.d_val;
            break;
        case DT_RUNPATH:
            runpath = entry.d_un.d_val;
            break;
        case DT_GNU_HASH:
            dso->gnu_hash = entry.d_un.d_ptr;
            break;
        case DT_VERSYM:
            dso->versym = entry.d_un.d_ptr;
            break;
        case DT_VERDEF:
            dso->verdef = entry.d_un.d_ptr;
            break;
        case DT_VERDEFNUM:
            dso->verdef_count = entry.d_un.d_val;
            break;
        case DT_VERNEED:
            dso->verneed = entry.d_un.d_ptr;
            break;
        case DT_VERNEEDNUM:
            dso->verneed_count = entry.d_un.d_val;
            break;
        case DT_SYMBOLIC:
            older |= DF_SYMBOLIC;
            break;
        case DT_TEXTREL:
            older |= DF_TEXTREL;
            break;
        case DT_FLAGS:
            dso->flags = entry.d_un.d_val;
            break;
        case DT_FLAGS_1:
            dso->flags_1 = entry.d_un.d_val;
            break;
        case DT_RELR:
            dso->relr = entry.d_un.d_ptr;
            break;
        case DT_RELRSZ:
            dso->relr_size = entry.d_un.d_val;
            break;
        default:
            break;
        }
    }
    dso->flags |= older;
    if (!kiln_dynobj_slice(dso, dso->tags[DT_STRTAB], dso->tags[DT_STRSZ], &dso->strings) ||
        !slice_rest(dso, dso->tags[DT_SYMTAB], &dso->symbols))
    {
        return "its dynamic section is damaged";
    }
    for (size_t i = 0; i < needed.count; i++) {
        const char *name = kiln_dynobj_get_string(dso->strings, needed.items[i]);
        if (name == NULL || *name == '\0') {
            return "the name of a library that it needs is damaged";
        }
        kiln_strings_push(&ctx->arena, &dso->needed, name);
    }
    dso->soname = soname == 0 ? NULL : kiln_dynobj_get_string(dso->strings, soname);
    dso->rpath = rpath == 0 ? NULL : kiln_dynobj_get_string(dso->strings, rpath);
    dso->runpath = runpath == 0 ? NULL : kiln_dynobj_get_string(dso->strings, runpath);
    return NULL;
}

/* DT_HASH (gABI, "Hash Table"): as many symbols as chain entries. */
static const char *
count_by_hash(struct kiln_dynobj *dso)
{
    struct kiln_span head;
    uint32_t count = 0;
    if (!kiln_dynobj_slice(dso, dso->tags[DT_HASH], 8, &head) ||
        !kiln_span_get_u32(head, 4, &count)) {
        return "its hash table is damaged";
    }
    dso->symbol_count = count;
    dso->first_defined = 1;
    return NULL;
}

/* DT_GNU_HASH: four words (buckets, first symbol, words of the Bloom filter, its shift), the filter,
 * the buckets, and a chain of hashes, whose last one has bit 0. The last symbol ends the longest chain.
 */
static const char *
count_by_gnu_hash(struct kiln_dynobj *dso)
{
    struct kiln_span table;
    uint32_t bucket_count = 0, first = 0, bloom = 0, last = 0, hash = 0;
    if (!slice_rest(dso, dso->gnu_hash, &table) || !kiln_span_get_u32(table, 0, &bucket_count) ||
        !kiln_span_get_u32(table, 4, &first) || !kiln_span_get_u32(table, 8, &bloom))
    {
        return "its hash table is damaged";
    }
    uint64_t buckets = 16 + (uint64_t)bloom * 8, chain = buckets + (uint64_t)bucket_count * 4;
    for (uint64_t i = 0; i < bucket_count; i++) {
        uint32_t start;
        if (!kiln_span_get_u32(table, buckets + i * 4, &start)) {
            return "its hash table is damaged";
        }
        last = start > last ? start : last;
    }
    dso->first_defined = first;
    dso->symbol_count = first;
    if (last == 0) {
        return NULL;
    }
    if (last < first) {
        return "its hash table is damaged";
    }
    for (; (hash & 1) == 0; last++) {
        if (!kiln_span_get_u32(table, chain + (uint64_t)(last - first) * 4, &hash)) {
            return "its hash table is damaged";
        }
    }
    dso->symbol_count = last;
    return NULL;
}

static const char *
count_symbols(struct kiln_dynobj *dso)
{
    const char *reason = NULL;
    if (dso->gnu_hash != 0) {
        reason = count_by_gnu_hash(dso);
    }
    else if (dso->tags[DT_HASH] != 0) {
        reason = count_by_hash(dso);
    }
    if (reason == NULL && (dso->symbol_count > SYMBOLS_MAX ||
                           dso->symbol_count > dso->symbols.len / sizeof(Elf64_Sym)))
    {
        reason = "its symbol table is cut short";
    }
    return reason;
}

static bool
set_version(struct kiln_ctx *ctx, struct kiln_dynobj *dso, uint32_t index,
            const struct kiln_dynobj_version *version)
{
    if (index >= VERSIONS_MAX || version->name == NULL) {
        return false;
    }
    if (index >= dso->version_count) {
        size_t count = (size_t)index * 2 + 16;
        struct kiln_dynobj_version *items = kiln_arena_alloc(&ctx->arena, count * sizeof *items);
        if (dso->version_count > 0) {
            memcpy(items, dso->versions, dso->version_count * sizeof *items);
        }
        dso->versions = items;
        dso->version_count = count;
    }
    dso->versions[index] = *version;
    return true;
}

static bool
read_defined_versions(struct kiln_ctx *ctx, struct kiln_dynobj *dso)
{
    uint64_t at = dso->verdef;
    for (uint64_t i = 0; i < dso->verdef_count && i < VERSIONS_MAX; i++) {
        struct kiln_span bytes;
        Elf64_Verdef def;
        Elf64_Verdaux aux;
        if (!kiln_dynobj_slice(dso, at, sizeof def, &bytes)) {
            return false;
        }
        memcpy(&def, bytes.ptr, sizeof def);
        if (!kiln_dynobj_slice(dso, at + def.vd_aux, sizeof aux, &bytes)) {
            return false;
        }
        memcpy(&aux, bytes.ptr, sizeof aux);
        const struct kiln_dynobj_version version = {
            .name = kiln_dynobj_get_string(dso->strings, aux.vda_name)};
        /* The base version is the object's own name: no symbol has it in a reference. */
        if ((def.vd_flags & VER_FLG_BASE) == 0 &&
            !set_version(ctx, dso, def.vd_ndx & 0x7fff, &version)) {
            return false;
        }
        if (def.vd_next == 0) {
            break;
        }
        at += def.vd_next;
    }
    return true;
}

static bool
read_wanted_versions(struct kiln_ctx *ctx, struct kiln_dynobj *dso)
{
    uint64_t at = dso->verneed;
    size_t left = VERSIONS_MAX;
    for (uint64_t i = 0; i < dso->verneed_count; i++) {
        struct kiln_span bytes;
        Elf64_Verneed need;
        if (left-- == 0 || !kiln_dynobj_slice(dso, at, sizeof need, &bytes)) {
            return false;
        }
        memcpy(&need, bytes.ptr, sizeof need);
        uint64_t aux_at = at + need.vn_aux;
        for (unsigned k = 0; k < need.vn_cnt; k++) {
            Elf64_Vernaux aux;
            if (left-- == 0 || !kiln_dynobj_slice(dso, aux_at, sizeof aux, &bytes)) {
                return false;
            }
            memcpy(&aux, bytes.ptr, sizeof aux);
            const struct kiln_dynobj_version version = {
                .name = kiln_dynobj_get_string(dso->strings, aux.vna_name),
                .file = kiln_dynobj_get_string(dso->strings, need.vn_file),
                .is_hidden = (aux.vna_other & 0x8000) != 0,
                .is_weak = (aux.vna_flags & VER_FLG_WEAK) != 0};
            if (version.file == NULL || !set_version(ctx, dso, aux.vna_other & 0x7fff, &version)) {
                return false;
            }
            aux_at += aux.vna_next;
        }
        if (need.vn_next == 0) {
            break;
        }
        at += need.vn_next;
    }
    return true;
}

static const char *
read_versions(struct kiln_ctx *ctx, struct kiln_dynobj *dso)
{
    struct kiln_span versym;
    if (dso->versym == 0) {
        return NULL;
    }
    if (!kiln_dynobj_slice(dso, dso->versym, (uint64_t)dso->symbol_count * 2, &versym) ||
        (dso->verdef != 0 && !read_defined_versions(ctx, dso)) ||
        (dso->verneed != 0 && !read_wanted_versions(ctx, dso)))
    {
        return "its symbol versions are damaged";
    }
    return NULL;
}

static uint32_t
hash_name(const char *name)
{
    uint32_t hash = 5381;
    for (const unsigned char *c = (const unsigned char *)name; *c != '\0'; c++) {
        hash = hash * 33 + *c;
    }
    return hash;
}

/* The file's own hash table finds what ours finds, if it is right; ours is not the file's to damage.
 */
static const char *
index_symbols(struct kiln_ctx *ctx, struct kiln_dynobj *dso)
{
    size_t count = dso->symbol_count, left = dso->strings.len * REPEATED_MAX;
    dso->bucket_count = 16;
    while (dso->bucket_count < count) {
        dso->bucket_count *= 2;
    }
    dso->buckets = kiln_arena_alloc(&ctx->arena, dso->bucket_count * sizeof *dso->buckets);
    dso->chain = kiln_arena_alloc(&ctx->arena, (count + 1) * sizeof *dso->chain);
    uint16_t *lengths = calloc(dso->bucket_count, sizeof *lengths); /* of the chains */
    const char *reason = lengths == NULL ? "it has too many symbols" : NULL;
    /* From the last to the first, so that chains are in ascending order. */
    for (size_t i = count; reason == NULL && i-- > dso->first_defined;) {
        struct kiln_dynobj_symbol symbol;
        if (i == 0 || !kiln_dynobj_get_symbol(dso, i, &symbol) || *symbol.name == '\0') {
            continue;
        }
        size_t len = strlen(symbol.name), at = hash_name(symbol.name) & (dso->bucket_count - 1);
        if (len > left || ++lengths[at] > CHAIN_MAX) {
            reason = "too many of its symbols have one name";
            break;
        }
        left -= len;
        dso->chain[i] = dso->buckets[at];
        dso->buckets[at] = (uint32_t)i;
    }
    free(lengths);
    return reason;
}

const char *
kiln_dynobj_read(struct kiln_ctx *ctx, struct kiln_span bytes, const char *path,
                 struct kiln_dynobj *out)
{
    *out = (struct kiln_dynobj){.bytes = bytes, .path = path};
    const char *reason = read_header(ctx, out);
    reason = reason == NULL ? read_segments(out) : reason;
    reason = reason == NULL ? read_dynamic(ctx, out) : reason;
    reason = reason == NULL ? count_symbols(out) : reason;
    reason = reason == NULL ? read_versions(ctx, out) : reason;
    return reason == NULL ? index_symbols(ctx, out) : reason;
}

bool
kiln_dynobj_get_symbol(const struct kiln_dynobj *dso, uint64_t index,
                       struct kiln_dynobj_symbol *out)
{
    *out = (struct kiln_dynobj_symbol){.index = (uint32_t)index, .version_index = 1};
    if (index > SYMBOLS_MAX ||
        !kiln_span_read(dso->symbols, index * sizeof out->sym, &out->sym, sizeof out->sym))
    {
        return false;
    }
    out->name = kiln_dynobj_get_string(dso->strings, out->sym.st_name);
    struct kiln_span entry;
    if (dso->versym != 0 && kiln_dynobj_slice(dso, dso->versym + index * 2, 2, &entry)) {
        unsigned version = entry.ptr[0] | (unsigned)entry.ptr[1] << 8;
        out->is_hidden = (version & 0x8000) != 0;
        version &= 0x7fff;
        out->version_index = version;
        if (version >= 2 && version < dso->version_count && dso->versions[version].name != NULL) {
            out->version = &dso->versions[version];
        }
    }
    return out->name != NULL;
}

static bool
is_candidate(const struct kiln_dynobj_symbol *symbol, const struct kiln_dynobj_wanted *wanted)
{
    const Elf64_Sym *sym = &symbol->sym;
    unsigned type = kiln_dynobj_get_type(symbol), bind = kiln_dynobj_get_bind(symbol);
    unsigned visibility = ELF64_ST_VISIBILITY(sym->st_other);
    if ((sym->st_value == 0 && sym->st_shndx != SHN_ABS && type != STT_TLS) ||
        (wanted->is_call && sym->st_shndx == SHN_UNDEF) ||
        (type == STT_TLS && sym->st_shndx == SHN_UNDEF))
    {
        return false;
    }
    return (type == STT_TLS || type == STT_GNU_IFUNC ||
            (type <= STT_COMMON && type != STT_SECTION && type != STT_FILE)) &&
           (bind == STB_GLOBAL || bind == STB_WEAK || bind == STB_GNU_UNIQUE) &&
           visibility != STV_HIDDEN && visibility != STV_INTERNAL &&
           strcmp(symbol->name, wanted->name) == 0;
}

bool
kiln_dynobj_find(const struct kiln_dynobj *dso, const struct kiln_dynobj_wanted *wanted,
                 struct kiln_dynobj_symbol *out)
{
    size_t versioned = 0;
    if (dso->bucket_count == 0) {
        return false;
    }
    uint32_t index = dso->buckets[hash_name(wanted->name) & (dso->bucket_count - 1)];
    for (; index != 0; index = dso->chain[index]) {
        struct kiln_dynobj_symbol symbol;
        if (!kiln_dynobj_get_symbol(dso, index, &symbol) || !is_candidate(&symbol, wanted)) {
            continue;
        }
        if (wanted->version != NULL) {
            /* An object without versions answers any; one with versions answers the same one, or with
             * a symbol that has none. */
            bool same =
                symbol.version != NULL && strcmp(symbol.version->name, wanted->version) == 0;
            bool none = symbol.version == NULL && !symbol.is_hidden && !wanted->is_version_hidden;
            if (dso->versym == 0 || same || none) {
                *out = symbol;
                return true;
            }
        }
        else if (symbol.version_index < 3) { /* none, or the first there was */
            *out = symbol;
            return true;
        }
        else if (!symbol.is_hidden && versioned++ == 0) {
            *out = symbol; /* the only default version, unless another one comes */
        }
    }
    return wanted->version == NULL && versioned == 1;
}

bool
kiln_dynobj_has_several(const struct kiln_dynobj *dso, const char *name)
{
    const struct kiln_dynobj_wanted wanted = {.name = name, .is_call = true};
    size_t found = 0;
    if (dso->bucket_count == 0) {
        return false;
    }
    uint32_t index = dso->buckets[hash_name(name) & (dso->bucket_count - 1)];
    for (; index != 0; index = dso->chain[index]) {
        struct kiln_dynobj_symbol symbol;
        found += kiln_dynobj_get_symbol(dso, index, &symbol) && is_candidate(&symbol, &wanted);
    }
    return found > 1;
}

bool
kiln_dynobj_is_copyable(const struct kiln_dynobj *dso, const struct kiln_dynobj_symbol *symbol)
{
    unsigned type = kiln_dynobj_get_type(symbol);
    uint64_t value = symbol->sym.st_value;
    if (type == STT_FUNC || type == STT_GNU_IFUNC || kiln_dynobj_get_bind(symbol) == STB_GNU_UNIQUE)
    {
        return type != STT_TLS; /* a unique variable is one for all images */
    }
    const Elf64_Phdr *load = kiln_dynobj_find_segment(dso, value, symbol->sym.st_size);
    bool is_constant = load != NULL && (load->p_flags & PF_W) == 0;
    bool is_relro = dso->relro.p_type == PT_GNU_RELRO && value >= dso->relro.p_vaddr &&
                    value + symbol->sym.st_size <= dso->relro.p_vaddr + dso->relro.p_memsz;
    return type != STT_TLS && (is_constant || is_relro);
}
