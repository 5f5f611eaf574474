/* The same work on many things, on every core. */
#ifndef KILN_BASE_PARALLEL_H
#define KILN_BASE_PARALLEL_H

#include "base/ctx.h"

/* One thing's work. CTX is the thread's own: what is allocated in it lives as long as the caller's
 * context, and what is said in it is said there later. Must not run programs, make temporary
 * directories, or change what the process has one of. */
typedef int kiln_parallel_work(struct kiln_ctx *ctx, size_t index, void *arg);

/* Call WORK for 0 .. COUNT-1 on as many threads as the process may use cores. All of them are
 * called, whatever fails. Messages come out in the order of the things, so that the same inputs
 * give the same text. WHAT is for the progress. The result is that of the last thing that failed.
 */
int kiln_parallel_run(struct kiln_ctx *ctx, const char *what, size_t count,
                      kiln_parallel_work *work, void *arg);

#endif
