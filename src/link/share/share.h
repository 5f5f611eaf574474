/* `--share`: one copy of a static library for several modules. choose.c decides who shares what,
 * share_parts.c takes the modules apart, share_symbols.c looks whether their symbols allow it, and
 * share.c puts all together again. */
#ifndef KILN_LINK_SHARE_H
#define KILN_LINK_SHARE_H

#include "combine/combine.h"
#include "combine/parts.h"
#include "link/bake.h"

struct kiln_elf;

/* A library, by the name of its file, and the extensions that are to have it together. */
struct kiln_share {
    const char *library;
    struct kiln_share_users {
        struct kiln_baked **items;
        size_t count, capacity;
    } users;
    size_t
        group; /* those that some extension uses together have one number, and become one object */
};

struct kiln_share_list {
    struct kiln_share *items;
    size_t count, capacity;
};

/* One part of one module. */
struct kiln_share_part {
    const char *library; /* that is to be shared; NULL: it stays the module's */
    const char *archive; /* the path of the archive that it came from; NULL: of none */
    const char *name;
    const char *path; /* of its bytes as a file */
    struct kiln_span bytes;
    uint64_t identity; /* of a library's; see kiln_part_identify() */
    size_t user, order;
    bool taken; /* into the object of the library */
};

/* A module taken apart. */
struct kiln_share_user {
    struct kiln_baked *extension;
    struct kiln_sharing *sharing; /* the extension's */
    struct kiln_share_parts {
        struct kiln_share_part *items;
        size_t count, capacity;
    } parts;
};

/* The libraries of one group, and all modules that use them, taken apart. */
struct kiln_share_group {
    struct kiln_share **shares;
    size_t share_count;
    struct kiln_share_user *users;
    size_t user_count;
    struct kiln_common *common; /* the object that is made of them */
    const struct kiln_machine *machine;
    struct kiln_arena arena; /* of the parts' bytes */
    const char *tmpdir;
};

/* Pass: take the libraries that are to be shared out of the extensions that use them. */
int kiln_bake_share(struct kiln_ctx *ctx, struct kiln_bake *bake);

/* What the options ask for, sorted out. A name that is no library's and no extension's is an error
 * that lists what there is. */
int kiln_share_choose(struct kiln_ctx *ctx, struct kiln_bake *bake, struct kiln_share_list *out);

/* Take the modules of GROUP apart; a version of a library that differs from another module's is an
 * error that lists both. */
int kiln_share_read_parts(struct kiln_ctx *ctx, struct kiln_share_group *group);

/* Bind the symbols that the modules and the library use of each other, or say why that would not be
 * as it was when each had its own. */
int kiln_share_bind(struct kiln_ctx *ctx, const struct kiln_strings *exports,
                    struct kiln_share_group *group);

#endif
