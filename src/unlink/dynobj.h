/* A dynamic object as the dynamic loader sees it: segments, the dynamic section, symbols and their
 * versions. No section header is needed, so that a stripped or patched file is read as it is loaded.
 *
 * kiln_dynobj_read() is the gate for bytes from anywhere. What it has let through can be asked for by
 * address, and every answer lies in the file. (gABI, "Program Loading and Dynamic Linking"; versions:
 * LSB Core, "Symbol Versioning".) */
#ifndef KILN_UNLINK_DYNOBJ_H
#define KILN_UNLINK_DYNOBJ_H

#include <elf.h>
#include <string.h>

#include "base/ctx.h"
#include "elf/machine.h"

enum { KILN_DYNOBJ_SEGMENTS = 16 }; /* PT_LOADs at most; linkers make 1 to 6 */

/* A version that symbols of this object have, or want of others: index as in DT_VERSYM. */
struct kiln_dynobj_version {
    const char *name; /* NULL: no such index */
    const char
        *file; /* wanted: the name of the library that has to have it; NULL: a version of its own */
    bool is_hidden; /* wanted, and marked as hidden: matches that version only */
    bool is_weak;   /* wanted, and may be missing */
};

struct kiln_dynobj {
    const char *path;       /* for messages */
    struct kiln_span bytes; /* the file, borrowed */
    Elf64_Ehdr header;
    const struct kiln_machine *machine;
    Elf64_Phdr loads[KILN_DYNOBJ_SEGMENTS];
    size_t load_count;
    uint64_t program_headers; /* their address; UINT64_MAX: they are in no segment */
    uint64_t size;            /* of memory: the end of the last segment */
    Elf64_Phdr tls, relro, dynamic, eh_frame_hdr; /* p_type PT_NULL: it has none */
    bool wants_executable_stack;

    /* The dynamic section. Addresses; 0: not there. */
    uint64_t tags[DT_NUM]; /* d_val by d_tag */
    uint64_t gnu_hash, versym, verdef, verneed, verdef_count, verneed_count;
    uint64_t flags, flags_1, relr, relr_size;
    const char
        *unsupported; /* a tag or note that changes how it has to be loaded, by name; NULL: none */
    const char *soname; /* NULL: it has none */
    struct kiln_strings needed;
    const char *rpath, *runpath; /* NULL: it has none */

    struct kiln_span strings;
    struct kiln_span symbols; /* from DT_SYMTAB to the end of its segment's bytes in the file */
    size_t symbol_count;      /* those the hash table covers, and the undefined ones before them */
    size_t first_defined;     /* the first symbol that the hash table covers */
    struct kiln_dynobj_version *versions;
    size_t version_count;

    /* Chains of the symbols that can be found by name, see kiln_dynobj_find(). */
    uint32_t *buckets, *chain;
    size_t bucket_count;
};

/* Read BYTES, which outlive *OUT. Returns NULL, or what is wrong, as a clause ("it is cut short") in the
 * context's arena. */
const char *kiln_dynobj_read(struct kiln_ctx *ctx, struct kiln_span bytes, const char *path,
                             struct kiln_dynobj *out);

/* LEN bytes at ADDRESS, if the file holds all of them. */
bool kiln_dynobj_slice(const struct kiln_dynobj *dso, uint64_t address, uint64_t len,
                       struct kiln_span *out);
/* The same for what may reach into memory that is zero at the start: a copy of it in *WORD. */
bool kiln_dynobj_read_word(const struct kiln_dynobj *dso, uint64_t address, uint64_t *word);
/* The segment with all LEN bytes at ADDRESS, NULL if there is none. */
const Elf64_Phdr *
kiln_dynobj_find_segment(const struct kiln_dynobj *dso, uint64_t address, uint64_t len);

/* The string at OFFSET of STRINGS; NULL if it does not end there, or is longer than any name. */
const char *kiln_dynobj_get_string(struct kiln_span strings, uint64_t offset);

struct kiln_dynobj_symbol {
    Elf64_Sym sym;
    const char *name;
    uint32_t index;
    const struct kiln_dynobj_version *version; /* NULL: none, or the base version */
    unsigned version_index; /* DT_VERSYM without the hidden bit; 1 without that */
    bool is_hidden;         /* of several versions, not the default one */
};

/* The symbol at INDEX, as a relocation may name it. False if there is none, or its name does not end. */
bool kiln_dynobj_get_symbol(const struct kiln_dynobj *dso, uint64_t index,
                            struct kiln_dynobj_symbol *out);

/* What a reference asks for. */
struct kiln_dynobj_wanted {
    const char *name;
    const char *version;    /* NULL: none */
    bool is_version_hidden; /* see struct kiln_dynobj_version */
    bool is_call; /* a jump slot or thread-local: an undefined symbol with a value (a canonical PLT
                   * entry) is none */
};

/* What a reference by SYMBOL, of the object that has it, asks for. */
static inline struct kiln_dynobj_wanted
kiln_dynobj_want(const struct kiln_dynobj_symbol *symbol, bool is_call)
{
    return (struct kiln_dynobj_wanted){
        .name = symbol->name,
        .version = symbol->version == NULL ? NULL : symbol->version->name,
        .is_version_hidden = symbol->version != NULL && symbol->version->is_hidden,
        .is_call = is_call,
    };
}

/* Whether DSO answers WANTED, as glibc's do_lookup_x() decides it for one object; then *OUT. */
bool kiln_dynobj_find(const struct kiln_dynobj *dso, const struct kiln_dynobj_wanted *wanted,
                      struct kiln_dynobj_symbol *out);

/* Whether DSO defines NAME more than once, in different versions. */
bool kiln_dynobj_has_several(const struct kiln_dynobj *dso, const char *name);

/* Whether a program cannot tell two copies of SYMBOL's definition apart, if they are equal by C++'s one
 * definition rule: a function, or data that is never written to. */
bool
kiln_dynobj_is_copyable(const struct kiln_dynobj *dso, const struct kiln_dynobj_symbol *symbol);

static inline unsigned
kiln_dynobj_get_bind(const struct kiln_dynobj_symbol *symbol)
{
    return ELF64_ST_BIND(symbol->sym.st_info);
}

static inline unsigned
kiln_dynobj_get_type(const struct kiln_dynobj_symbol *symbol)
{
    return ELF64_ST_TYPE(symbol->sym.st_info);
}

/* Whether the word at ADDRESS is in the initial data of thread-local variables. */
static inline bool
kiln_dynobj_is_in_tls_data(const struct kiln_dynobj *dso, uint64_t address)
{
    const Elf64_Phdr *tls = &dso->tls;
    return tls->p_type == PT_TLS && address + 8 > tls->p_vaddr &&
           address < tls->p_vaddr + tls->p_filesz;
}

/* Whether any number of objects may define SYMBOL, all the same: the inline functions and variables of
 * C++ (its one definition rule), which have mangled names. Weak functions of C are each an object's own. */
static inline bool
kiln_dynobj_is_vague(const struct kiln_dynobj_symbol *symbol)
{
    unsigned bind = kiln_dynobj_get_bind(symbol);
    return bind == STB_GNU_UNIQUE || (bind == STB_WEAK && strncmp(symbol->name, "_Z", 2) == 0);
}

#endif
