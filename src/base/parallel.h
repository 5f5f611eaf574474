/* The same work on many items, on every core. */
#ifndef KILN_BASE_PARALLEL_H
#define KILN_BASE_PARALLEL_H

#include "base/ctx.h"

/* The work on one item. CTX belongs to the thread: its memory lives as long as the caller's context,
 * and its messages are reported there later. Must not call kiln_ctx_get_tmpdir() unless the caller
 * has, nor change state of the whole process. */
typedef int kiln_parallel_work(struct kiln_ctx *ctx, size_t index, void *arg);

/* Call WORK for 0 .. COUNT-1 on as many threads as the process may use cores. A failure does not stop
 * the others. Messages are reported in the order of the items, so that the same inputs give the same
 * text. WHAT is for the progress. Returns the result of the last item that failed, or 0. */
int kiln_parallel_run(struct kiln_ctx *ctx, const char *what, size_t count,
                      kiln_parallel_work *work, void *arg);

#endif
