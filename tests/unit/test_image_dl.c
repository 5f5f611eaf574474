/* What images call in place of the dl functions. The one with symbols is a copy of libm's memory; what
 * is found in it is compared with what the C library finds in libm. */
#include "image_pool.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sys/stat.h>

/* The image, which takes the room of those after it. */
enum { LIBM = 4, LIBM_ROOM = (POOL_IMAGES - LIBM) * POOL_IMAGE_SIZE + POOL_SPARE };

static void *libm;
static struct link_map *libm_map;

/* The offset that libm's dynamic section has for TAG. Of most, the C library has made addresses. */
static uint32_t
get_offset(int64_t tag)
{
    for (const ElfW(Dyn) *entry = libm_map->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == tag) {
            uintptr_t value = entry->d_un.d_ptr;
            return (uint32_t)(value < libm_map->l_addr ? value : value - libm_map->l_addr);
        }
    }
    return 0;
}

/* All that can be read of libm. Its headers are at its address. */
static void
copy_memory(void)
{
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)libm_map->l_addr;
    const ElfW(Phdr) *phdr = (const ElfW(Phdr) *)(libm_map->l_addr + header->e_phoff);
    struct kiln_image *record = &pool_records[LIBM];
    record->size = 0;
    assert_int_equal(mprotect(pool_get(LIBM), LIBM_ROOM, PROT_READ | PROT_WRITE), 0);
    for (unsigned i = 0; i < header->e_phnum; i++) {
        if (phdr[i].p_type == PT_LOAD) {
            memcpy(pool_get(LIBM) + phdr[i].p_vaddr, (void *)(libm_map->l_addr + phdr[i].p_vaddr),
                   phdr[i].p_memsz);
            record->size = (uint32_t)(phdr[i].p_vaddr + phdr[i].p_memsz);
        }
    }
    assert_true(record->size < LIBM_ROOM);
    record->program_headers = (uint32_t)header->e_phoff;
    record->program_header_count = header->e_phnum;
}

/* To be called in the child. */
static void
create_libm(void)
{
    libm = dlopen("libm.so.6", RTLD_NOW);
    dlinfo(libm, RTLD_DI_LINKMAP, &libm_map);
    struct kiln_image *record = &pool_records[LIBM];
    copy_memory();
    record->path = pool_add_string("/pool/m/libpool.so.1");
    record->soname = record->path + 8;
    record->init_array_size = record->fini_array_size = 0;
    record->relative.count = record->patches.count = record->protections.count = 0;
    record->dynamic = (uint32_t)((uintptr_t)libm_map->l_ld - libm_map->l_addr);
    record->symbols = get_offset(DT_SYMTAB);
    record->strings = get_offset(DT_STRTAB);
    record->gnu_hash = get_offset(DT_GNU_HASH);
    record->versions = get_offset(DT_VERSYM);
    record->version_definitions = get_offset(DT_VERDEF);
    pools.image_count = LIBM + 1;
}

/* DT_HASH for the same symbols, one bucket. */
static void
replace_hash(uint32_t count)
{
    struct kiln_image *record = &pool_records[LIBM];
    uint32_t *table = (uint32_t *)(pool_get(LIBM) + ((record->size + 15) & ~15U));
    POOL_CHECK((char *)(table + 3 + count) <= pool_get(LIBM) + LIBM_ROOM);
    table[0] = 1;
    table[1] = count;
    table[2] = count - 1;
    for (uint32_t i = 0; i < count; i++) {
        table[3 + i] = i == 0 ? 0 : i - 1;
    }
    record->hash = (uint32_t)((char *)table - pool_get(LIBM));
    record->gnu_hash = 0;
}

/* --- Symbols -------------------------------------------------------------------------------------
 */

static uint32_t
count_symbols(void)
{
    /* In libm, as the GNU linker lays it out, the strings follow the symbols. */
    return (pool_records[LIBM].strings - pool_records[LIBM].symbols) / (uint32_t)sizeof(ElfW(Sym));
}

static const char *
get_name(const ElfW(Sym) * symbol)
{
    return pool_get(LIBM) + pool_records[LIBM].strings + symbol->st_name;
}

static int
is_equal(const ElfW(Sym) * symbol, const void *address)
{
    return symbol == NULL ? address == NULL
                          : symbol->st_value == (uintptr_t)address - libm_map->l_addr ||
                                ELF64_ST_TYPE(symbol->st_info) == STT_GNU_IFUNC;
}

static void
compare_symbols(void)
{
    static const char *const versions[] = {"GLIBC_2.2.5", "GLIBC_2.29", "GLIBC_2.35", "NONE"};
    const ElfW(Sym) *symbols = (const ElfW(Sym) *)(pool_get(LIBM) + pool_records[LIBM].symbols);
    uint32_t compared = 0;
    for (uint32_t i = 1; i < count_symbols(); i++) {
        const char *name = get_name(&symbols[i]);
        if (symbols[i].st_shndx == SHN_UNDEF || symbols[i].st_shndx == SHN_ABS) {
            continue;
        }
        compared++;
        if (!is_equal(kiln_image_find_symbol(LIBM, name, NULL), dlsym(libm, name))) {
            pool_say(name);
        }
        for (size_t j = 0; j < sizeof versions / sizeof *versions; j++) {
            if (!is_equal(kiln_image_find_symbol(LIBM, name, versions[j]),
                          dlvsym(libm, name, versions[j]))) {
                pool_say(name);
                pool_say(versions[j]);
            }
        }
    }
    POOL_CHECK(compared > 500);
    POOL_CHECK(kiln_image_find_symbol(LIBM, "no_such_symbol", NULL) == NULL);
}

static void
find_symbols(const void *arg)
{
    (void)arg;
    create_libm();
    compare_symbols();
    replace_hash(count_symbols());
    compare_symbols();
}

static void
symbols_are_found_by_the_rules_for_versions(void **state)
{
    (void)state;
    pool_check(find_symbols, "");
}

static void
compare_addresses(void)
{
    char *start = pool_get(LIBM);
    for (uintptr_t offset = 0; offset < pool_records[LIBM].size; offset += 61) {
        Dl_info info, real;
        const char *address = (const char *)libm_map->l_addr + offset;
        POOL_CHECK(kiln_image_dladdr(start + offset, &info) == 1);
        if (dladdr(address, &real) == 0) {
            continue;
        }
        POOL_CHECK(info.dli_fbase == start);
        POOL_CHECK(strcmp(info.dli_fname, "/pool/m/libpool.so.1") == 0);
        POOL_CHECK((info.dli_sname == NULL) == (real.dli_sname == NULL));
        POOL_CHECK(info.dli_sname == NULL || (char *)info.dli_saddr - start ==
                                                 (char *)real.dli_saddr - (char *)libm_map->l_addr);
    }
}

static void
find_addresses(const void *arg)
{
    const uintptr_t nowhere = 8;
    (void)arg;
    create_libm();
    compare_addresses();
    Dl_info info;
    POOL_CHECK(kiln_image_dladdr((void *)(uintptr_t)strverscmp, &info) == 1);
    POOL_CHECK(strcmp(info.dli_sname, "strverscmp") == 0);
    POOL_CHECK(kiln_image_dladdr((void *)nowhere, &info) == 0);
    void *extra;
    POOL_CHECK(kiln_image_dladdr1(pool_get(1), &info, &extra, RTLD_DL_LINKMAP) == 1);
    POOL_CHECK(((struct link_map *)extra)->l_addr == (uintptr_t)pool_get(1));
    POOL_CHECK(info.dli_sname == NULL);
}

static void
addresses_are_in_images(void **state)
{
    (void)state;
    pool_check(find_addresses, "");
}

/* --- Opening -------------------------------------------------------------------------------------
 */

static void
open_images(const void *arg)
{
    (void)arg;
    create_libm();
    POOL_CHECK(kiln_image_dlopen("/pool/a.so", RTLD_NOW | RTLD_NOLOAD) == NULL);
    POOL_CHECK(kiln_image_dlerror() == NULL);
    POOL_CHECK(kiln_image_dlopen("a.so", RTLD_NOW) == NULL);
    POOL_CHECK(strstr(kiln_image_dlerror(), "a.so: cannot open shared object file") != NULL);
    POOL_CHECK(kiln_image_dlerror() == NULL);
    void *handle = kiln_image_dlopen("/pool/a.so", RTLD_NOW);
    POOL_CHECK(handle == kiln_image_get_map(0));
    POOL_CHECK(kiln_image_dlopen("a.so", RTLD_LAZY) == handle);
    POOL_CHECK(kiln_image_dlopen("/pool/a.so", RTLD_NOW | RTLD_NOLOAD) == handle);
    POOL_CHECK(kiln_image_dlclose(handle) == 0);
    POOL_CHECK(kiln_image_dlopen("libm.so.6", RTLD_NOW) == libm);
    POOL_CHECK(kiln_image_dlclose(libm) == 0);
    POOL_CHECK(kiln_image_dlopen(NULL, RTLD_NOW) == dlopen(NULL, RTLD_NOW));
}

static void
images_are_opened_by_path_and_soname(void **state)
{
    (void)state;
    pool_check(open_images, "+a -a ");
}

static void
open_by_real_path(const void *arg)
{
    (void)arg;
    char directory[] = "/tmp/kiln-image-XXXXXX", path[100], link_path[100];
    POOL_CHECK(mkdtemp(directory) != NULL);
    snprintf(path, sizeof path, "%s/x.so", directory);
    snprintf(link_path, sizeof link_path, "%s/link", directory);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    POOL_CHECK(symlink("x.so", link_path) == 0);
    pool_records[0].path = pool_add_string(path);
    void *handle = kiln_image_dlopen(link_path, RTLD_NOW);
    POOL_CHECK(handle == kiln_image_get_map(0));
    unlink(path);
    unlink(link_path);
    POOL_CHECK(kiln_image_dlopen(path, RTLD_NOW) == handle);
    rmdir(directory);
}

static void
images_are_opened_by_links_to_their_files(void **state)
{
    (void)state;
    pool_check(open_by_real_path, "+a -a ");
}

static void
fail_to_open(const void *arg)
{
    (void)arg;
    pool_add_import((struct kiln_image_import){.kind = KILN_IMPORT_CALL,
                                               .index = KILN_IMAGE_NONE,
                                               .name = pool_add_string("no_such_symbol"),
                                               .version = KILN_IMAGE_NONE});
    pool_records[0].imports = POOL_LIST(pools.import_count - 1);
    POOL_CHECK(kiln_image_dlopen("/pool/a.so", RTLD_NOW) == NULL);
    pool_say(kiln_image_dlerror());
    POOL_CHECK(kiln_image_dlerror() == NULL);
}

static void
dlerror_says_why(void **state)
{
    (void)state;
    pool_check(fail_to_open, "/pool/a.so: undefined symbol: no_such_symbol");
}

/* --- Symbols of handles ---------------------------------------------------------------------------
 */

static void *
call_from(uint32_t image, uintptr_t function, void *handle, const char *name)
{
    memcpy(pool_get(image) + POOL_ON_CALL, &function, sizeof function);
    return ((void *(*)(void *, const char *))(uintptr_t)(pool_get(image) + POOL_CALL))(handle,
                                                                                       name);
}

static void
find_by_handle(const void *arg)
{
    (void)arg;
    create_libm();
    pool_create_graph("a:e");
    void *handle = kiln_image_dlopen("/pool/a.so", RTLD_NOW);
    uintptr_t offset = (uintptr_t)dlsym(libm, "erf") - libm_map->l_addr;
    char *erf_address = pool_get(LIBM) + offset;
    uintptr_t function = (uintptr_t)kiln_image_dlsym;
    POOL_CHECK(kiln_image_dlsym(handle, "erf") == erf_address);
    POOL_CHECK(kiln_image_dlvsym(handle, "erf", "GLIBC_2.2.5") == erf_address);
    POOL_CHECK(kiln_image_dlerror() == NULL);
    POOL_CHECK(kiln_image_dlvsym(handle, "erf", "NONE") == NULL);
    POOL_CHECK(strcmp(kiln_image_dlerror(), "/pool/a.so: undefined symbol: erf, version NONE") ==
               0);
    POOL_CHECK(kiln_image_dlsym(handle, "no_such_symbol") == NULL);
    POOL_CHECK(strcmp(kiln_image_dlerror(), "/pool/a.so: undefined symbol: no_such_symbol") == 0);
    /* libc is what the copy of libm needs. */
    POOL_CHECK(kiln_image_dlsym(handle, "strverscmp") == (void *)(uintptr_t)strverscmp);
    POOL_CHECK(call_from(0, function, RTLD_NEXT, "erf") == erf_address);
    POOL_CHECK(call_from(0, function, RTLD_DEFAULT, "strverscmp") == (void *)(uintptr_t)strverscmp);
    POOL_CHECK(kiln_image_dlsym(libm, "erf") == dlsym(libm, "erf"));
    POOL_CHECK(kiln_image_dlsym(RTLD_DEFAULT, "strverscmp") == (void *)(uintptr_t)strverscmp);
}

static void
handles_have_the_symbols_of_their_tree(void **state)
{
    (void)state;
    pool_check(find_by_handle, "+a -a ");
}

static void *
fail_in_thread(void *arg)
{
    POOL_CHECK(kiln_image_dlerror() == NULL);
    kiln_image_dlsym(arg, "other");
    POOL_CHECK(strcmp(kiln_image_dlerror(), "/pool/a.so: undefined symbol: other") == 0);
    kiln_image_dlsym(arg, "not_asked_for");
    return NULL;
}

static void
fail_in_threads(const void *arg)
{
    (void)arg;
    pthread_t thread;
    void *handle = kiln_image_dlopen("/pool/a.so", RTLD_NOW);
    kiln_image_dlsym(handle, "this");
    pthread_create(&thread, NULL, fail_in_thread, handle);
    pthread_join(thread, NULL);
    POOL_CHECK(strcmp(kiln_image_dlerror(), "/pool/a.so: undefined symbol: this") == 0);
}

static void
dlerror_is_the_threads_own(void **state)
{
    (void)state;
    pool_check(fail_in_threads, "+a -a ");
}

/* --- Lists ---------------------------------------------------------------------------------------
 */

static int
list_object(struct dl_phdr_info *info, size_t size, void *data)
{
    (void)size;
    int *real = data;
    if (strncmp(info->dlpi_name, "/pool/", 6) != 0) {
        ++*real;
        return 0;
    }
    pool_say(info->dlpi_name);
    POOL_CHECK(*real > 1);
    POOL_CHECK(memcmp((void *)info->dlpi_addr, ELFMAG, SELFMAG) == 0);
    POOL_CHECK(info->dlpi_phnum == 0 || info->dlpi_phdr[0].p_type == PT_LOAD);
    return info->dlpi_phnum;
}

static void
list_objects(const void *arg)
{
    (void)arg;
    int real = 0;
    create_libm();
    pool_create_graph("b:a");
    pool_import(1);
    pool_import(LIBM);
    POOL_CHECK(kiln_image_dl_iterate_phdr(list_object, &real) ==
               (int)pool_records[LIBM].program_header_count);
}

static void
loaded_images_come_after_other_objects(void **state)
{
    (void)state;
    pool_check(list_objects, "+a +b /pool/b.so/pool/a.so/pool/m/libpool.so.1-b -a ");
}

static void
ask_for_information(const void *arg)
{
    (void)arg;
    char origin[PATH_MAX];
    struct link_map *map;
    void *handle = kiln_image_dlopen("/pool/a.so", RTLD_NOW);
    POOL_CHECK(kiln_image_dlinfo(handle, RTLD_DI_ORIGIN, origin) == 0);
    POOL_CHECK(strcmp(origin, "/pool") == 0);
    POOL_CHECK(kiln_image_dlinfo(handle, RTLD_DI_LINKMAP, &map) == 0);
    POOL_CHECK(map->l_addr == (uintptr_t)pool_get(0) && strcmp(map->l_name, "/pool/a.so") == 0);
    POOL_CHECK(kiln_image_dlinfo(handle, 1000, &map) == -1 && kiln_image_dlerror() != NULL);
}

static void
dlinfo_knows_images(void **state)
{
    (void)state;
    pool_check(ask_for_information, "+a -a ");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symbols_are_found_by_the_rules_for_versions),
        cmocka_unit_test(addresses_are_in_images),
        cmocka_unit_test(images_are_opened_by_path_and_soname),
        cmocka_unit_test(images_are_opened_by_links_to_their_files),
        cmocka_unit_test(dlerror_says_why),
        cmocka_unit_test(handles_have_the_symbols_of_their_tree),
        cmocka_unit_test(dlerror_is_the_threads_own),
        cmocka_unit_test(loaded_images_come_after_other_objects),
        cmocka_unit_test(dlinfo_knows_images),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
