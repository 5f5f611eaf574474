/* `--share`: one copy of a static library for several modules. choose.c decides which modules share
 * which libraries, parts.c splits the modules into the objects they were combined from, symbols.c
 * checks that their symbols allow it, and share.c combines libraries and modules again. */
#ifndef KILN_LINK_SHARE_H
#define KILN_LINK_SHARE_H

#include "combine/combine.h"
#include "combine/parts.h"
#include "link/bake.h"

struct kiln_elf;

/* A library, by the name of its file, and the extensions that are to share it. */
struct kiln_share {
    const char *library;
    struct kiln_share_users {
        struct kiln_baked **items;
        size_t count, capacity;
    } users;
    size_t group; /* libraries that one extension uses together are in one group: one object */
};

struct kiln_share_list {
    struct kiln_share *items;
    size_t count, capacity;
};

/* An object that a module was combined from. */
struct kiln_share_part {
    const char
        *library; /* the shared library that it is a member of; NULL: it stays the module's */
    const char *archive; /* the path of the archive that it is a member of, or NULL */
    const char *name;
    const char *path; /* of a file with its bytes */
    struct kiln_span bytes;
    uint64_t identity; /* if it is a library's; see kiln_part_identify() */
    size_t user, order;
    bool taken; /* the object of the library is made of it */
};

/* A module and its parts. */
struct kiln_share_user {
    struct kiln_baked *extension;
    struct kiln_sharing *sharing; /* the extension's */
    struct kiln_share_parts {
        struct kiln_share_part *items;
        size_t count, capacity;
    } parts;
};

/* The libraries of one group, and all modules that use them. */
struct kiln_share_group {
    struct kiln_share **shares;
    size_t share_count;
    struct kiln_share_user *users;
    size_t user_count;
    struct kiln_common *common; /* the object that is made of them */
    const struct kiln_machine *machine;
    struct kiln_arena arena; /* holds the bytes of the parts */
    const char *tmpdir;
};

/* Pass: take the libraries that are to be shared out of the extensions that use them. */
int kiln_bake_share(struct kiln_ctx *ctx, struct kiln_bake *bake);

/* Whether NAMES, of `--share`, are for EXTENSION: one is of a library that it was linked with, or of itself. */
bool kiln_share_is_asked(struct kiln_ctx *ctx, const struct kiln_strings *names,
                         const struct kiln_baked *extension);

/* Find the libraries and users that the options name. A name that is neither a library's nor an
 * extension's is an error, which lists the libraries there are. */
int kiln_share_choose(struct kiln_ctx *ctx, struct kiln_bake *bake, struct kiln_share_list *out);

/* Read the parts of GROUP's modules. It is an error, which lists the modules, if they were linked with
 * different versions of a library. */
int kiln_share_read_parts(struct kiln_ctx *ctx, struct kiln_share_group *group);

/* Bind the symbols that the modules and the library use of each other. It is an error if one of them
 * would mean something else than when each module had a library of its own. */
int kiln_share_bind(struct kiln_ctx *ctx, const struct kiln_strings *exports,
                    struct kiln_share_group *group);

#endif
