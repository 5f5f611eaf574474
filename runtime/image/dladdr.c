/* dladdr(), dladdr1() and dl_iterate_phdr() for images: each is an object with the path of its file,
 * at the address of its own ELF header. */
#include "image/image.h"

static const ElfW(Sym) * describe(uint32_t image, const void *address, Dl_info *info)
{
    const ElfW(Sym) *symbol = kiln_image_find_symbol_at(image, (uintptr_t)address);
    char *start = kiln_image_get_start(image);
    *info = (Dl_info){.dli_fname = kiln_image_get_path(image), .dli_fbase = start};
    if (symbol != NULL) {
        info->dli_sname = start + kiln_image_records[image].strings + symbol->st_name;
        info->dli_saddr = start + symbol->st_value;
    }
    return symbol;
}

int
kiln_image_dladdr(const void *address, Dl_info *info)
{
    uint32_t image = kiln_image_find_at((uintptr_t)address);
    if (image == KILN_IMAGE_NONE) {
        return kiln_libc_get()->dladdr(address, info);
    }
    describe(image, address, info);
    return 1;
}

int
kiln_image_dladdr1(const void *address, Dl_info *info, void **extra, int flags)
{
    uint32_t image = kiln_image_find_at((uintptr_t)address);
    if (image == KILN_IMAGE_NONE) {
        return kiln_libc_get()->dladdr1(address, info, extra, flags);
    }
    const ElfW(Sym) *symbol = describe(image, address, info);
    if (flags == RTLD_DL_SYMENT) {
        *(const ElfW(Sym) **)extra = symbol;
    }
    else if (flags == RTLD_DL_LINKMAP) {
        *(struct link_map **)extra = kiln_image_get_map(image);
    }
    return 1;
}

/* --- dl_iterate_phdr() ---------------------------------------------------------------------------
 */

struct iteration {
    int (*callback)(struct dl_phdr_info *, size_t, void *);
    void *data;
    size_t image_count; /* added so far, as if by dlopen() */
    unsigned long long adds, subs;
};

static int
pass_on(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct iteration *iteration = arg;
    info->dlpi_adds += iteration->image_count;
    iteration->adds = info->dlpi_adds;
    iteration->subs = info->dlpi_subs;
    return iteration->callback(info, size, iteration->data);
}

static int
pass_image(struct iteration *iteration, uint32_t image)
{
    const struct kiln_image *record = &kiln_image_records[image];
    char *start = kiln_image_get_start(image);
    struct dl_phdr_info info = {
        .dlpi_addr = (ElfW(Addr))start,
        .dlpi_name = kiln_image_get_path(image),
        .dlpi_phdr = (const ElfW(Phdr) *)(start + record->program_headers),
        .dlpi_phnum = (ElfW(Half))record->program_header_count,
        .dlpi_adds = iteration->adds,
        .dlpi_subs = iteration->subs,
    };
    return iteration->callback(&info, sizeof info, iteration->data);
}

int
kiln_image_dl_iterate_phdr(int (*callback)(struct dl_phdr_info *, size_t, void *), void *data)
{
    size_t count;
    const uint32_t *loaded = kiln_image_tree_get_loaded(&count);
    struct iteration iteration = {callback, data, count, 0, 0};
    int result = kiln_libc_get()->dl_iterate_phdr(pass_on, &iteration);
    for (size_t i = 0; result == 0 && i < count; i++) {
        result = pass_image(&iteration, loaded[i]);
    }
    return result;
}
