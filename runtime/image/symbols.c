/* Looking up the dynamic symbols of an image, by the version rules of dlsym() and dlvsym(), and by
 * address. */
#include "image/image.h"

#include <string.h>

/* Words of an image's hash table, DT_GNU_HASH or DT_HASH. */
struct gnu_hash {
    uint32_t bucket_count, first, bloom_count, shift;
    const ElfW(Addr) * bloom;
    const uint32_t *buckets, *chains;
};

static struct gnu_hash
get_gnu_hash(uint32_t image)
{
    const uint32_t *words =
        (const uint32_t *)(kiln_image_get_start(image) + kiln_image_records[image].gnu_hash);
    struct gnu_hash table = {words[0], words[1], words[2], words[3], NULL, NULL, NULL};
    table.bloom = (const ElfW(Addr) *)(words + 4);
    table.buckets = (const uint32_t *)(table.bloom + table.bloom_count);
    table.chains = table.buckets + table.bucket_count;
    return table;
}

static const uint32_t *
get_hash(uint32_t image)
{
    return (const uint32_t *)(kiln_image_get_start(image) + kiln_image_records[image].hash);
}

static const ElfW(Sym) * get_symbol(uint32_t image, uint32_t index)
{
    return (const ElfW(Sym) *)(kiln_image_get_start(image) + kiln_image_records[image].symbols) +
           index;
}

static const char *
get_string(uint32_t image, uint32_t offset)
{
    return kiln_image_get_start(image) + kiln_image_records[image].strings + offset;
}

/* --- Versions ------------------------------------------------------------------------------------
 */

/* 0 if the image has no versions. */
static unsigned
get_version(uint32_t image, uint32_t index)
{
    uint32_t offset = kiln_image_records[image].versions;
    return offset == 0 ? 0 : ((const ElfW(Versym) *)(kiln_image_get_start(image) + offset))[index];
}

static bool
has_version(uint32_t image, uint32_t index, const char *name)
{
    uint32_t offset = kiln_image_records[image].version_definitions;
    if (kiln_image_records[image].versions == 0) {
        return true;
    }
    for (uint32_t next = offset; offset != 0 && next != 0; offset += next) {
        const char *at = kiln_image_get_start(image) + offset;
        const ElfW(Verdef) *definition = (const ElfW(Verdef) *)at;
        if (definition->vd_ndx == (get_version(image, index) & 0x7fff)) {
            const ElfW(Verdaux) *names = (const ElfW(Verdaux) *)(at + definition->vd_aux);
            return strcmp(get_string(image, names->vda_name), name) == 0;
        }
        next = definition->vd_next;
    }
    return false;
}

/* --- By name -------------------------------------------------------------------------------------
 */

struct search {
    uint32_t image;
    const char *name, *version;
    const ElfW(Sym) * versioned; /* a default version, which is good if there is one only */
    unsigned versioned_count;
};

static bool
is_definition(const ElfW(Sym) * symbol)
{
    unsigned type = ELF64_ST_TYPE(symbol->st_info), binding = ELF64_ST_BIND(symbol->st_info);
    return symbol->st_shndx != SHN_UNDEF && binding != STB_LOCAL &&
           (type <= STT_FUNC || type == STT_COMMON || type == STT_TLS || type == STT_GNU_IFUNC) &&
           (symbol->st_value != 0 || symbol->st_shndx == SHN_ABS || type == STT_TLS);
}

static bool
is_match(struct search *search, uint32_t index)
{
    const ElfW(Sym) *symbol = get_symbol(search->image, index);
    if (!is_definition(symbol) ||
        strcmp(get_string(search->image, symbol->st_name), search->name) != 0) {
        return false;
    }
    if (search->version != NULL) {
        return has_version(search->image, index, search->version);
    }
    unsigned version = get_version(search->image, index);
    if ((version & 0x7fff) <= VER_NDX_GLOBAL) {
        return true;
    }
    if ((version & 0x8000) == 0 && search->versioned_count++ == 0) {
        search->versioned = symbol;
    }
    return false;
}

static const ElfW(Sym) * find_in_gnu_hash(struct search *search)
{
    struct gnu_hash table = get_gnu_hash(search->image);
    uint32_t hash = 5381;
    for (const unsigned char *c = (const unsigned char *)search->name; *c != '\0'; c++) {
        hash = hash * 33 + *c;
    }
    ElfW(Addr) bits = table.bloom_count == 0 ? 0 : table.bloom[hash / 64 % table.bloom_count];
    if (table.bucket_count == 0 ||
        (bits >> hash % 64 & bits >> (hash >> table.shift) % 64 & 1) == 0) {
        return NULL;
    }
    uint32_t index = table.buckets[hash % table.bucket_count];
    for (uint32_t word = 0; index != 0 && (word & 1) == 0; index++) {
        word = table.chains[index - table.first];
        if ((word | 1) == (hash | 1) && is_match(search, index)) {
            return get_symbol(search->image, index);
        }
    }
    return NULL;
}

static const ElfW(Sym) * find_in_hash(struct search *search)
{
    const uint32_t *table = get_hash(search->image);
    uint32_t hash = 0;
    for (const unsigned char *c = (const unsigned char *)search->name; *c != '\0'; c++) {
        hash = (hash << 4) + *c;
        hash = (hash ^ (hash >> 24 & 0xf0)) & 0xfffffff;
    }
    uint32_t index = table[0] == 0 ? 0 : table[2 + hash % table[0]];
    for (; index != 0; index = table[2 + table[0] + index]) {
        if (is_match(search, index)) {
            return get_symbol(search->image, index);
        }
    }
    return NULL;
}

const ElfW(Sym) * kiln_image_find_symbol(uint32_t image, const char *name, const char *version)
{
    const struct kiln_image *record = &kiln_image_records[image];
    struct search search = {.image = image, .name = name, .version = version};
    const ElfW(Sym) *symbol = record->gnu_hash != 0 ? find_in_gnu_hash(&search)
                              : record->hash != 0   ? find_in_hash(&search)
                                                    : NULL;
    return symbol == NULL && search.versioned_count == 1 ? search.versioned : symbol;
}

void *
kiln_image_get_symbol_address(uint32_t image, const ElfW(Sym) * symbol)
{
    uintptr_t address = symbol->st_value;
    if (ELF64_ST_TYPE(symbol->st_info) == STT_TLS) {
        const struct kiln_tls_pair pair = {KILN_TLS_IMAGE | image, symbol->st_value};
        return kiln_image_records[image].tls.size == 0 ? NULL : kiln_tls_get_addr(&pair);
    }
    if (symbol->st_shndx != SHN_ABS) {
        address += (uintptr_t)kiln_image_get_start(image);
    }
    if (ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC) {
        address = ((uintptr_t(*)(void))address)();
    }
    return (void *)address;
}

/* --- By address ----------------------------------------------------------------------------------
 */

static uint32_t
count_symbols(uint32_t image)
{
    if (kiln_image_records[image].hash != 0) {
        return get_hash(image)[1];
    }
    if (kiln_image_records[image].gnu_hash == 0) {
        return 0;
    }
    struct gnu_hash table = get_gnu_hash(image);
    uint32_t last = 0;
    for (uint32_t i = 0; i < table.bucket_count; i++) {
        last = table.buckets[i] > last ? table.buckets[i] : last;
    }
    while (last != 0 && (table.chains[last - table.first] & 1) == 0) {
        last++;
    }
    return last == 0 ? 0 : last + 1;
}

const ElfW(Sym) * kiln_image_find_symbol_at(uint32_t image, uintptr_t address)
{
    const ElfW(Sym) *nearest = NULL;
    uintptr_t offset = address - (uintptr_t)kiln_image_get_start(image);
    for (uint32_t i = 0, count = count_symbols(image); i < count; i++) {
        const ElfW(Sym) *symbol = get_symbol(image, i);
        if (is_definition(symbol) && symbol->st_shndx != SHN_ABS &&
            ELF64_ST_TYPE(symbol->st_info) != STT_TLS && symbol->st_value <= offset &&
            offset - symbol->st_value < (symbol->st_size == 0 ? 1 : symbol->st_size) &&
            (nearest == NULL || nearest->st_value < symbol->st_value))
        {
            nearest = symbol;
        }
    }
    return nearest;
}
