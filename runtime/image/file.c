/* Whether the file at an image's path is still the one that the image was made of: a package may have been
 * upgraded. */
#include "image/image.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file that has been read. */
struct known {
    dev_t device;
    ino_t inode;
    off_t size;
    struct timespec changed;
};

static struct known *known; /* by image; those whose files are as they were */

static bool
is_known(uint32_t image, const struct stat *st)
{
    kiln_image_lock();
    bool result = known != NULL && known[image].device == st->st_dev &&
                  known[image].inode == st->st_ino && known[image].size == st->st_size &&
                  known[image].changed.tv_sec == st->st_ctim.tv_sec &&
                  known[image].changed.tv_nsec == st->st_ctim.tv_nsec;
    kiln_image_unlock();
    return result;
}

static void
remember(uint32_t image, const struct stat *st)
{
    kiln_image_lock();
    if (known == NULL) {
        known = calloc(kiln_images.image_count, sizeof *known);
    }
    if (known != NULL) {
        known[image] = (struct known){st->st_dev, st->st_ino, st->st_size, st->st_ctim};
    }
    kiln_image_unlock();
}

static bool
read_piece(int fd, char *piece, size_t len, uint64_t at)
{
    for (size_t done = 0; done < len;) {
        ssize_t count = pread(fd, piece + done, len - done, (off_t)(at + done));
        if (count <= 0) {
            return false;
        }
        done += (size_t)count;
    }
    return true;
}

/* Returns false if the file ends before. */
static bool
hash_segment(int fd, const ElfW(Phdr) * load, char *piece, uint64_t *hash)
{
    uint64_t at = load->p_offset, end = at + load->p_filesz;
    for (at = at < sizeof(ElfW(Ehdr)) ? sizeof(ElfW(Ehdr)) : at; at < end;) {
        size_t len = end - at < KILN_IMAGE_PIECE ? end - at : KILN_IMAGE_PIECE;
        if (!read_piece(fd, piece, len, at)) {
            return false;
        }
        *hash = kiln_image_hash(*hash, piece, len);
        at += len;
    }
    return true;
}

static const ElfW(Phdr) * get_headers(uint32_t image)
{
    return (const ElfW(Phdr) *)(kiln_image_get_start(image) +
                                kiln_image_records[image].program_headers);
}

/* Whether there is a build ID among the notes of SIZE bytes. */
static bool
find_build_id(const char *notes, size_t size, size_t align)
{
    ElfW(Nhdr) note;
    for (size_t at = 0; size >= sizeof note && at <= size - sizeof note;) {
        memcpy(&note, notes + at, sizeof note);
        size_t name = at + sizeof note, left = size - name;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            left >= sizeof ELF_NOTE_GNU &&
            memcmp(notes + name, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0)
        {
            return true;
        }
        uint64_t next = (uint64_t)name + ((note.n_namesz + UINT64_C(3)) & ~UINT64_C(3));
        next = (next + note.n_descsz + align - 1) & ~((uint64_t)align - 1);
        at = next > size ? size : (size_t)next;
    }
    return false;
}

/* Whether FD has the build ID of IMAGE, if that has one, in the same place. Then it is of the same build,
 * which tools that remove symbols leave alone, and that is soon seen. */
static bool
has_build_id(int fd, uint32_t image)
{
    const struct kiln_image *record = &kiln_image_records[image];
    const ElfW(Phdr) *headers = get_headers(image);
    char notes[1024];
    for (uint32_t i = 0; i < record->program_header_count; i++) {
        const ElfW(Phdr) *header = &headers[i];
        if (header->p_type == PT_NOTE && header->p_filesz <= sizeof notes &&
            header->p_vaddr <= record->size && header->p_filesz <= record->size - header->p_vaddr)
        {
            const char *own = kiln_image_get_start(image) + header->p_vaddr;
            if (find_build_id(own, header->p_filesz, header->p_align == 8 ? 8 : 4)) {
                return read_piece(fd, notes, header->p_filesz, header->p_offset) &&
                       memcmp(notes, own, header->p_filesz) == 0;
            }
        }
    }
    return false;
}

/* Whether FD has what IMAGE's program headers would load. */
static bool
has_contents(int fd, uint32_t image)
{
    const struct kiln_image *record = &kiln_image_records[image];
    const ElfW(Phdr) *headers = get_headers(image);
    uint64_t hash = KILN_IMAGE_HASH_SEED;
    char *piece = malloc(KILN_IMAGE_PIECE);
    bool result = piece != NULL;
    for (uint32_t i = 0; result && i < record->program_header_count; i++) {
        result = headers[i].p_type != PT_LOAD || hash_segment(fd, &headers[i], piece, &hash);
    }
    free(piece);
    return result && record->contents[0] == (uint32_t)hash &&
           record->contents[1] == (uint32_t)(hash >> 32);
}

static bool
is_replaced(uint32_t image, const char *path)
{
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size == 0 || is_known(image, &st)) {
        return false;
    }
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false; /* it cannot be loaded, either */
    }
    bool result = !has_build_id(fd, image) && !has_contents(fd, image);
    close(fd);
    if (!result) {
        remember(image, &st);
    }
    return result;
}

bool
kiln_image_is_outdated(const char *path)
{
    uint32_t image = &kiln_images == NULL ? KILN_IMAGE_NONE : kiln_image_find_path(path);
    return image != KILN_IMAGE_NONE && is_replaced(image, path);
}

uint32_t
kiln_image_find_file(const char *path)
{
    uint32_t image = kiln_image_find_path(path);
    if (image == KILN_IMAGE_NONE) {
        char *real = realpath(path, NULL);
        image = real == NULL ? KILN_IMAGE_NONE : kiln_image_find_path(real);
        free(real);
    }
    return image != KILN_IMAGE_NONE && is_replaced(image, path) ? KILN_IMAGE_NONE : image;
}
