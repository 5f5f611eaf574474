/* The context of a unit test of the tool, and the last message that was said in it. */
#ifndef KILN_TEST_CONTEXT_H
#define KILN_TEST_CONTEXT_H

#include <stdio.h>
#include <unistd.h>

#include "base/file.h"

static struct kiln_ctx ctx;
static char said[1000];

static inline void
test_remember(struct kiln_ctx *context, enum kiln_severity severity, const char *text)
{
    (void)context, (void)severity;
    snprintf(said, sizeof said, "%s", text);
}

static inline void
test_context_start(void)
{
    ctx = (struct kiln_ctx){.say = test_remember};
    said[0] = '\0';
}

/* For a test that names its files relative to this directory, which goes with the context. */
static inline int
test_context_enter_tmpdir(void)
{
    const char *tmpdir = kiln_ctx_get_tmpdir(&ctx);
    return tmpdir == NULL ? -1 : chdir(tmpdir);
}

/* With its directories. */
static inline void
test_make_file(const char *path, struct kiln_span bytes)
{
    assert_int_equal(kiln_file_make_dirs(&ctx, kiln_file_dirname(&ctx, path)), 0);
    assert_int_equal(kiln_file_write(&ctx, path, bytes), 0);
}

/* A teardown of cmocka. */
static inline int
test_context_end(void **state)
{
    (void)state;
    int result = chdir("/");
    kiln_ctx_release(&ctx);
    return result;
}

#endif
