/* dlopen(), dlclose() and dlinfo() for images. A handle is the address of a link map, as the C
 * library's are, too.
 *
 * An image is opened by the path of its file, unless another one is there now or the image gives way to it, by its
 * soname once it is loaded, and by a bare name where the search path of the caller, image or file, leads to its file. Images are never unloaded, and their symbols never become global. */
#include "image/image.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Bytes of a message, which has a path and perhaps the name of a C++ symbol. */
enum { TEXT_SIZE = 8192 };

/* Functions that the compiler is to call, so that their callers have no variables in memory and can
 * jump to the C library's function: it looks at its return address. */
#define OUT_OF_LINE __attribute__((noinline))

static OUT_OF_LINE uint32_t
find_by_soname(const char *name)
{
    size_t count;
    const uint32_t *loaded = kiln_image_tree_get_loaded(&count);
    for (size_t i = 0; i < count; i++) {
        uint32_t soname = kiln_image_records[loaded[i]].soname;
        if (soname != KILN_IMAGE_NONE && strcmp(kiln_image_strings + soname, name) == 0) {
            return loaded[i];
        }
    }
    return KILN_IMAGE_NONE;
}

/* --- The search path of who calls ----------------------------------------------------------------
 */

/* An object that calls dlopen(). */
struct caller {
    const char *path;
    const char *search_path; /* its DT_RUNPATH, or else its DT_RPATH; NULL if it has none */
    bool is_rpath;
    bool is_image;
};

/* Describe who has the code at ADDRESS: an image, or a file that the C library has opened. */
static struct caller
find_caller(const void *address)
{
    uint32_t image = kiln_image_find_at((uintptr_t)address);
    struct caller caller = {.is_image = image != KILN_IMAGE_NONE};
    const struct link_map *map = NULL;
    const char *strings = NULL;
    Dl_info info;
    if (caller.is_image) {
        map = kiln_image_get_map(image);
        strings = kiln_image_get_start(image) + kiln_image_records[image].strings;
        caller.path = kiln_image_get_path(image);
    }
    else if (kiln_libc_get()->dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP) != 0 &&
             map != NULL)
    {
        const ElfW(Dyn) *entry = kiln_find_dynamic(map->l_ld, DT_STRTAB);
        strings = entry == NULL ? NULL : (const char *)entry->d_un.d_ptr;
        caller.path = map->l_name;
    }
    const ElfW(Dyn) *entry = map == NULL ? NULL : kiln_find_dynamic(map->l_ld, DT_RUNPATH);
    if (entry == NULL && map != NULL) {
        entry = kiln_find_dynamic(map->l_ld, DT_RPATH);
        caller.is_rpath = entry != NULL;
    }
    if (entry != NULL && strings != NULL) {
        caller.search_path = strings + entry->d_un.d_val;
    }
    return caller;
}

static size_t
get_length_of_origin(const char *text)
{
    return strncmp(text, "$ORIGIN", 7) == 0 ? 7 : strncmp(text, "${ORIGIN}", 9) == 0 ? 9 : 0;
}

/* The directory of LEN bytes at ITEM and FILE in it. Returns false if that is too long. */
static bool
join(char place[PATH_MAX], const char *path, const char *item, size_t len, const char *file)
{
    const char *slash = strrchr(path, '/');
    size_t origin = get_length_of_origin(item);
    int directory = origin == 0 || slash == NULL ? 0 : (int)(slash - path);
    return snprintf(place, PATH_MAX, "%.*s%.*s/%s", directory, path, (int)(len - origin),
                    item + origin, file) < PATH_MAX;
}

/* What is to be opened: an image, or a path for the C library, to be freed; or neither, if the C library is to look. */
struct answer {
    uint32_t image;
    char *path;
};

/* Whether CALLER gets FILE from the directory of LEN bytes at ITEM. Which one, only the loader knows if there are
 * tokens other than $ORIGIN, or variants for processors. Images are not asked: with the former they stay files. */
static bool
look_in(const struct caller *caller, const char *item, size_t len, const char *file,
        struct answer *answer)
{
    char place[PATH_MAX], variants[PATH_MAX];
    size_t origin = get_length_of_origin(item);
    if (len == 0 || !join(place, caller->path, item, len, file) ||
        !join(variants, caller->path, item, len, "glibc-hwcaps"))
    {
        return false;
    }
    if (!caller->is_image &&
        (memchr(item + origin, '$', len - origin) != NULL || access(variants, F_OK) == 0))
    {
        return true;
    }
    uint32_t found = kiln_image_find_file(place);
    if (found != KILN_IMAGE_NONE && !kiln_image_gives_way(found)) {
        answer->image = found;
        return true;
    }
    bool result = access(place, F_OK) == 0;
    answer->path = result ? strdup(place) : NULL;
    return result;
}

static bool
look_in_all(const struct caller *caller, const char *items, const char *separators,
            const char *file, struct answer *answer)
{
    bool result = false;
    for (const char *item = items; !result && item != NULL && *item != '\0';) {
        size_t len = strcspn(item, separators);
        result = look_in(caller, item, len, file, answer);
        item += len + (item[len] != '\0');
    }
    return result;
}

/* Where CALLER would have FILE looked for: in LD_LIBRARY_PATH before DT_RUNPATH, and after DT_RPATH. */
static struct answer
search(const struct caller *caller, const char *file)
{
    struct answer answer = {.image = KILN_IMAGE_NONE};
    if (caller->is_rpath || !look_in_all(caller, kiln_image_get_search_path(), ":;", file, &answer))
    {
        look_in_all(caller, caller->search_path, ":", file, &answer);
    }
    return answer;
}

/* --- The functions -------------------------------------------------------------------------------
 */

static OUT_OF_LINE void *
open_image(uint32_t image, int mode)
{
    char text[TEXT_SIZE];
    if ((mode & RTLD_NOLOAD) != 0) {
        return kiln_image_is(image, KILN_IMAGE_PREPARED) ? kiln_image_get_map(image) : NULL;
    }
    const char *error = kiln_image_prepare(image, text, sizeof text);
    if (error != NULL) {
        kiln_image_set_message("%s", error);
        return NULL;
    }
    return kiln_image_get_map(image);
}

/* A handle that stands for the C library's own answer. */
static char libc_answers;

/* Open FILE, a bare name, for the code at ADDRESS. Returns &libc_answers if the C library is to do that, which looks at its
 * caller: for a file that finds no image. */
static OUT_OF_LINE void *
open_for_caller(const void *address, const char *file, int mode)
{
    const struct caller caller = find_caller(address);
    struct answer answer = search(&caller, file);
    void *handle = &libc_answers;
    if (answer.image != KILN_IMAGE_NONE || caller.is_image) {
        handle = kiln_libc_get()->dlopen(file, mode | RTLD_NOLOAD);
        if (handle == NULL) {
            kiln_image_clear_message();
            handle = answer.image != KILN_IMAGE_NONE
                         ? open_image(answer.image, mode)
                         : kiln_libc_get()->dlopen(answer.path == NULL ? file : answer.path, mode);
        }
    }
    free(answer.path);
    return handle;
}

/* The C library refuses any other mode, before it looks for the file. */
static OUT_OF_LINE bool
is_valid(int mode)
{
    return kiln_image_is_plain_mode(mode & ~(RTLD_NOLOAD | RTLD_GLOBAL | RTLD_DEEPBIND));
}

void *
kiln_image_dlopen(const char *file, int mode)
{
    const void *caller_address = __builtin_return_address(0);
    kiln_image_clear_message();
    if (file == NULL || *file == '\0' || !is_valid(mode)) {
        return kiln_libc_get()->dlopen(file, mode);
    }
    bool is_bare = strchr(file, '/') == NULL;
    uint32_t image = is_bare ? find_by_soname(file) : kiln_image_find_file(file);
    if (!kiln_image_is_plain_mode(mode & ~RTLD_NOLOAD)) {
        kiln_image_begin_special();
    }
    if (image != KILN_IMAGE_NONE && !kiln_image_gives_way(image)) {
        return open_image(image, mode);
    }
    void *handle = is_bare ? open_for_caller(caller_address, file, mode) : &libc_answers;
    return handle == &libc_answers ? kiln_libc_get()->dlopen(file, mode) : handle;
}

int
kiln_image_dlclose(void *handle)
{
    kiln_image_clear_message();
    return kiln_image_get_by_handle(handle) != KILN_IMAGE_NONE ? 0
                                                               : kiln_libc_get()->dlclose(handle);
}

static int
get_origin(uint32_t image, char *origin)
{
    const char *path = kiln_image_get_path(image);
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);
    memcpy(origin, path, len);
    origin[len] = '\0';
    return 0;
}

int
kiln_image_dlinfo(void *handle, int request, void *result)
{
    uint32_t image = kiln_image_get_by_handle(handle);
    kiln_image_clear_message();
    if (image == KILN_IMAGE_NONE) {
        return kiln_libc_get()->dlinfo(handle, request, result);
    }
    switch (request) {
    case RTLD_DI_LMID:
        *(Lmid_t *)result = LM_ID_BASE;
        return 0;
    case RTLD_DI_LINKMAP:
        *(struct link_map **)result = kiln_image_get_map(image);
        return 0;
    case RTLD_DI_ORIGIN:
        return get_origin(image, result);
    case RTLD_DI_TLS_MODID:
        *(size_t *)result = 0;
        return 0;
    case RTLD_DI_TLS_DATA:
        *(void **)result = NULL;
        return 0;
    default:
        kiln_image_set_message("unsupported dlinfo request");
        return -1;
    }
}
