/* The values of imports.
 *
 * Libraries that the program starts with: a function that is called is looked for behind the
 * executable, as the executable may have a canonical PLT entry of that name; an address is looked for
 * in the whole process, so that it is equal to everybody else's. Other libraries are opened when the
 * first image that needs them is prepared, and stay open.
 *
 * Libraries of LD_PRELOAD come before those, as they would for a shared object. */
#include "image/image.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { UNKNOWN, KNOWN };

static bool has_preload;
static uint32_t root;  /* the image that is being prepared, with all that it depends on */
static void **handles; /* of kiln_image_libraries; NULL: not open */
/* Those that have been opened since kiln_image_imports_begin(). */
static uint32_t *opened;
static size_t opened_count;

void
kiln_image_imports_start(void)
{
    const char *preload = getenv("LD_PRELOAD");
    has_preload = (preload != NULL && *preload != '\0') || access("/etc/ld.so.preload", R_OK) == 0;
}

static bool
make_handles(void)
{
    if (handles == NULL) {
        handles = calloc(kiln_images.library_count, sizeof *handles);
    }
    if (opened == NULL) {
        opened = calloc(kiln_images.library_count, sizeof *opened);
    }
    return handles != NULL && opened != NULL;
}

/* A library that was found by an image's own path is opened by its path, unless one of its name is loaded.
 * If it is gone from there, the dynamic loader would look for its name elsewhere, and name that if there is
 * none. */
static void *
open_by_name(const char *name)
{
    const struct kiln_libc *libc = kiln_libc_get();
    const char *slash = strrchr(name, '/');
    void *loaded = slash == NULL ? NULL : libc->dlopen(slash + 1, RTLD_NOW | RTLD_NOLOAD);
    if (loaded != NULL) {
        return loaded;
    }
    if (slash != NULL && access(name, F_OK) < 0) {
        name = slash + 1;
    }
    return libc->dlopen(name, RTLD_NOW | RTLD_LOCAL);
}

static int
open_library(uint32_t image, uint32_t library, const struct kiln_image_error *error)
{
    if (!make_handles()) {
        return kiln_image_fail(error, "%s: cannot allocate memory", kiln_image_get_path(image));
    }
    if (handles[library] == NULL) {
        void *handle = open_by_name(kiln_image_strings + kiln_image_libraries[library]);
        if (handle == NULL) {
            return kiln_image_fail(error, "%s", kiln_libc_get()->dlerror());
        }
        /* Its constructors may have come here, too. */
        if (handles[library] == NULL) {
            handles[library] = handle;
            opened[opened_count++] = library;
        }
    }
    return 0;
}

uint32_t
kiln_image_imports_set_root(uint32_t image)
{
    uint32_t before = root;
    root = image;
    return before;
}

void
kiln_image_imports_begin(void)
{
    opened_count = 0;
}

void
kiln_image_imports_abandon(void)
{
    while (opened_count > 0) {
        uint32_t library = opened[--opened_count];
        void *handle = handles[library];
        handles[library] = NULL;
        for (uint32_t i = 0; i < kiln_images.import_count; i++) {
            uint32_t kind = kiln_image_imports[i].kind & ~KILN_IMPORT_WEAK;
            if (kind >= KILN_IMPORT_CALL && kiln_image_imports[i].index == library) {
                __atomic_store_n(&kiln_image_import_states[i], UNKNOWN, __ATOMIC_RELEASE);
            }
        }
        kiln_libc_get()->dlclose(handle);
    }
}

/* --- Symbols -------------------------------------------------------------------------------------
 */

static const char *
get_name(const struct kiln_image_import *import)
{
    return kiln_image_strings + import->name;
}

static const char *
get_version(const struct kiln_image_import *import)
{
    return import->version == KILN_IMAGE_NONE ? NULL : kiln_image_strings + import->version;
}

/* Returns whether SYMBOL, a dynamic symbol of the library MAP, has no version of its own. */
static bool
is_unversioned(const struct link_map *map, const ElfW(Sym) * symbol)
{
    const ElfW(Sym) *symbols = NULL;
    const ElfW(Versym) *versions = NULL;
    for (const ElfW(Dyn) *entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
        if (entry->d_tag == DT_SYMTAB) {
            symbols = (const ElfW(Sym) *)entry->d_un.d_ptr;
        }
        else if (entry->d_tag == DT_VERSYM) {
            versions = (const ElfW(Versym) *)entry->d_un.d_ptr;
        }
    }
    return symbols != NULL &&
           (versions == NULL || (versions[symbol - symbols] & 0x7fff) <= VER_NDX_GLOBAL);
}

/* A reference with a version is satisfied by a definition without any, as those of an allocator that
 * is preloaded. dlvsym() passes over it unless its library has no versions at all. */
static bool
is_acceptable(const void *address)
{
    Dl_info info;
    void *symbol = NULL, *map = NULL;
    const struct kiln_libc *libc = kiln_libc_get();
    return libc->dladdr1(address, &info, &symbol, RTLD_DL_SYMENT) != 0 && symbol != NULL &&
           libc->dladdr1(address, &info, &map, RTLD_DL_LINKMAP) != 0 && is_unversioned(map, symbol);
}

/* Returns false if there is no such symbol; the value of one that there is may be 0. IS_LIBRARY: HANDLE is that of the
 * library that had the version when the program was linked. */
static bool
find_in(void *handle, const struct kiln_image_import *import, bool is_library, uintptr_t *value)
{
    const struct kiln_libc *libc = kiln_libc_get();
    const char *version = get_version(import);
    libc->dlerror();
    void *address = libc->dlsym(handle, get_name(import));
    if (version != NULL) {
        void *versioned = libc->dlvsym(handle, get_name(import), version);
        if (versioned != address &&
            (address == NULL || (is_library && versioned != NULL) || !is_acceptable(address)))
        {
            address = versioned;
        }
    }
    *value = (uintptr_t)address;
    return address != NULL || libc->dlerror() == NULL;
}

static bool
find_symbol(const struct kiln_image_import *import, uint32_t kind, uintptr_t *value)
{
    void *process = kind == KILN_IMPORT_CALL ? RTLD_NEXT : RTLD_DEFAULT;
    if ((import->index == KILN_IMAGE_NONE || has_preload) && find_in(process, import, false, value))
    {
        return true;
    }
    return import->index != KILN_IMAGE_NONE && find_in(handles[import->index], import, true, value);
}

/* --- Thread-local variables ----------------------------------------------------------------------
 */

struct module_search {
    uintptr_t address; /* in this thread's block of the module */
    uintptr_t id, offset;
};

static int
compare_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct module_search *search = arg;
    (void)size;
    for (int i = 0; info->dlpi_tls_data != NULL && i < info->dlpi_phnum; i++) {
        uintptr_t offset = search->address - (uintptr_t)info->dlpi_tls_data;
        if (info->dlpi_phdr[i].p_type == PT_TLS && offset < info->dlpi_phdr[i].p_memsz) {
            search->id = info->dlpi_tls_modid;
            search->offset = offset;
            return 1;
        }
    }
    return 0;
}

/* The address of a thread-local variable is that of this thread's, whose block is allocated now. */
static uintptr_t
convert_tls(uint32_t kind, uintptr_t address)
{
    struct module_search search = {.address = address};
    if (kind == KILN_IMPORT_TLS_STATIC) {
        return address - (uintptr_t)kiln_thread_pointer();
    }
    kiln_libc_get()->dl_iterate_phdr(compare_module, &search);
    return kind == KILN_IMPORT_TLS_MODULE ? search.id : search.offset;
}

/* --- Imports -------------------------------------------------------------------------------------
 */

static int
fail_undefined(uint32_t image, const struct kiln_image_import *import,
               const struct kiln_image_error *error)
{
    const char *version = get_version(import);
    return kiln_image_fail(error, "%s: undefined symbol: %s%s%s", kiln_image_get_path(image),
                           get_name(import), version == NULL ? "" : ", version ",
                           version == NULL ? "" : version);
}

/* The import that CHOICE is for what is prepared with FOR_ROOT; KILN_IMAGE_NONE: it is undefined. */
static uint32_t
choose(const struct kiln_image_import *choice, uint32_t for_root)
{
    const uint32_t *pair = kiln_image_words + choice->where;
    for (uint32_t left = *pair++; left > 1 && *pair != for_root; left--) {
        pair += 2;
    }
    return pair[1];
}

static bool
is_ifunc(uint32_t index)
{
    return index != KILN_IMAGE_NONE && kiln_image_imports[index].kind == KILN_IMPORT_IFUNC;
}

bool
kiln_image_may_be_ifunc(uint32_t index)
{
    const struct kiln_image_import *import = &kiln_image_imports[index];
    bool is_choice = (import->kind & ~KILN_IMPORT_WEAK) == KILN_IMPORT_CHOICE;
    const uint32_t *pairs = kiln_image_words + (is_choice ? import->where : 0);
    bool result = is_ifunc(index);
    for (uint32_t i = 0; is_choice && !result && i < pairs[0]; i++) {
        result = is_ifunc(pairs[2 + 2 * i]);
    }
    return result;
}

static int resolve_import(uint32_t image, uint32_t index, const struct kiln_image_error *error);

static int
resolve_choice(uint32_t image, const struct kiln_image_import *choice,
               const struct kiln_image_error *error)
{
    uint32_t index = choose(choice, root);
    if (index == KILN_IMAGE_NONE) {
        return (choice->kind & KILN_IMPORT_WEAK) != 0 ? 0 : fail_undefined(image, choice, error);
    }
    const struct kiln_image_import *import = &kiln_image_imports[index];
    if ((import->kind & ~KILN_IMPORT_WEAK) >= KILN_IMPORT_CALL &&
        import->index != KILN_IMAGE_NONE && open_library(image, import->index, error) < 0)
    {
        return -1;
    }
    return resolve_import(image, index, error);
}

static int
resolve_import(uint32_t image, uint32_t index, const struct kiln_image_error *error)
{
    const struct kiln_image_import *import = &kiln_image_imports[index];
    uint32_t kind = import->kind & ~KILN_IMPORT_WEAK;
    uintptr_t value = 0;
    if (kiln_image_import_states[index] == KNOWN || kind < KILN_IMPORT_CALL) {
        return 0;
    }
    if (kind == KILN_IMPORT_CHOICE) {
        return resolve_choice(image, import, error);
    }
    if (find_symbol(import, kind, &value)) {
        if (kind >= KILN_IMPORT_TLS_MODULE) {
            value = convert_tls(kind, value);
        }
    }
    else if ((import->kind & KILN_IMPORT_WEAK) == 0) {
        return fail_undefined(image, import, error);
    }
    kiln_image_slots[index] = value;
    __atomic_store_n(&kiln_image_import_states[index], KNOWN, __ATOMIC_RELEASE);
    return 0;
}

int
kiln_image_resolve(uint32_t image, const struct kiln_image_error *error)
{
    const struct kiln_image *record = &kiln_image_records[image];
    for (uint32_t i = 0; i < record->libraries.count; i++) {
        if (open_library(image, kiln_image_words[record->libraries.first + i], error) < 0) {
            return -1;
        }
    }
    for (uint32_t i = 0; i < record->imports.count; i++) {
        if (resolve_import(image, kiln_image_words[record->imports.first + i], error) < 0) {
            return -1;
        }
    }
    return 0;
}

static uintptr_t
call_resolver(uint32_t index)
{
    const struct kiln_image_import *import = &kiln_image_imports[index];
    if (kiln_image_import_states[index] != KNOWN) {
        uintptr_t resolver =
            (uintptr_t)kiln_image_get_start(import->index) + (uintptr_t)(intptr_t)import->where;
        kiln_image_slots[index] = ((uintptr_t(*)(void))resolver)();
        kiln_image_import_states[index] = KNOWN;
    }
    return kiln_image_slots[index];
}

/* Its first definition in the scope of the first image whose words are filled in is the process's, as
 * glibc's do_lookup_unique() has it. */
static uintptr_t
choose_unique(const struct kiln_image_import *import)
{
    uint32_t index = import->name;
    if (kiln_image_import_states[index] != KNOWN) {
        kiln_image_slots[index] =
            (uintptr_t)kiln_image_get_start(import->index) + (uintptr_t)(intptr_t)import->where;
        kiln_image_import_states[index] = KNOWN;
    }
    return kiln_image_slots[index];
}

uintptr_t
kiln_image_get_value(uint32_t index)
{
    const struct kiln_image_import *import = &kiln_image_imports[index];
    uintptr_t where = (uintptr_t)(intptr_t)import->where;
    switch (import->kind & ~KILN_IMPORT_WEAK) {
    case KILN_IMPORT_DISTANCE:
        return (uintptr_t)&import->where + where;
    case KILN_IMPORT_IMAGE:
        return (uintptr_t)kiln_image_get_start(import->index) + where;
    case KILN_IMPORT_IFUNC:
        return call_resolver(index);
    case KILN_IMPORT_UNIQUE:
        return choose_unique(import);
    case KILN_IMPORT_CHOICE:
        index = choose(import, root);
        return index == KILN_IMAGE_NONE ? 0 : kiln_image_get_value(index);
    default:
        return kiln_image_slots[index];
    }
}

uint32_t
kiln_image_get_definer(uint32_t index, uint32_t for_root, bool *is_unique)
{
    const struct kiln_image_import *import = &kiln_image_imports[index];
    if ((import->kind & ~KILN_IMPORT_WEAK) == KILN_IMPORT_CHOICE) {
        index = choose(import, for_root);
        if (index == KILN_IMAGE_NONE) {
            return KILN_IMAGE_NONE;
        }
        import = &kiln_image_imports[index];
    }
    switch (import->kind & ~KILN_IMPORT_WEAK) {
    case KILN_IMPORT_UNIQUE:
        *is_unique = true;
        return kiln_image_find_at(kiln_image_slots[import->name]);
    case KILN_IMPORT_IMAGE:
    case KILN_IMPORT_IFUNC:
        return import->index;
    default:
        return KILN_IMAGE_NONE;
    }
}
