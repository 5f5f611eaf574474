/* Threads for the passes that do one thing many times.
 *
 * Each thread has a context: an arena, which becomes part of the caller's in the end, and a list of
 * what was said, which is repeated in the order of the things. A counter hands these out. The
 * calling thread works, too, and shows the progress. A thread that the system does not give is done
 * without. */
#include "base/parallel.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { MAX_WORKERS = 64 };

struct message {
    size_t index; /* of the thing at hand */
    enum kiln_severity severity;
    const char *text;
};

struct run {
    struct kiln_ctx *ctx; /* the caller's */
    const char *what;
    size_t count;
    kiln_parallel_work *work;
    void *arg;
    atomic_size_t next, done;
};

struct worker {
    struct kiln_ctx ctx; /* the first member: its listener finds the rest */
    struct run *run;
    pthread_t thread;
    bool is_caller;
    size_t index;
    int result; /* of the last thing that failed here, which is */
    size_t failed;
    struct {
        struct message *items; /* in the order of the things, as these are handed out in order */
        size_t count, capacity;
    } messages;
    size_t said; /* messages that have been repeated */
};

static void
remember(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    struct worker *worker = (struct worker *)ctx;
    *KILN_ARENA_PUSH(&ctx->arena, &worker->messages) =
        (struct message){worker->index, severity, text};
}

static void *
run_worker(void *arg)
{
    struct worker *worker = arg;
    struct run *run = worker->run;
    size_t shown = 0; /* per cent */
    while ((worker->index = atomic_fetch_add(&run->next, 1)) < run->count) {
        int result = run->work(&worker->ctx, worker->index, run->arg);
        size_t done = atomic_fetch_add(&run->done, 1) + 1;
        if (result < 0) {
            worker->result = result;
            worker->failed = worker->index;
        }
        if (worker->is_caller && done < run->count && done * 100 / run->count > shown) {
            shown = done * 100 / run->count;
            kiln_progress(run->ctx, run->what, done, run->count, NULL);
        }
    }
    return NULL;
}

/* The worker whose next message is about the earliest thing; NULL if all has been said. */
static struct worker *
find_next(struct worker *workers, size_t count)
{
    struct worker *best = NULL;
    for (size_t i = 0; i < count; i++) {
        struct worker *worker = &workers[i];
        if (worker->said < worker->messages.count &&
            (best == NULL ||
             worker->messages.items[worker->said].index < best->messages.items[best->said].index))
        {
            best = worker;
        }
    }
    return best;
}

/* What the workers leave to the caller: messages, memory, and the result. */
static int
merge(struct kiln_ctx *ctx, struct worker *workers, size_t count)
{
    for (struct worker *worker; (worker = find_next(workers, count)) != NULL;) {
        const struct message *message = &worker->messages.items[worker->said++];
        kiln_say(ctx, message->severity, "%s", message->text);
    }
    const struct worker *last = NULL;
    for (size_t i = 0; i < count; i++) {
        kiln_arena_adopt(&ctx->arena, &workers[i].ctx.arena);
        if (workers[i].result < 0 && (last == NULL || workers[i].failed > last->failed)) {
            last = &workers[i];
        }
    }
    return last == NULL ? 0 : last->result;
}

static size_t
count_workers(size_t things)
{
    cpu_set_t cpus;
    size_t count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (size_t)CPU_COUNT(&cpus) : 1;
    count = count < things ? count : things;
    return count < 1 ? 1 : count < MAX_WORKERS ? count : MAX_WORKERS;
}

int
kiln_parallel_run(struct kiln_ctx *ctx, const char *what, size_t count, kiln_parallel_work *work,
                  void *arg)
{
    struct run run = {.ctx = ctx, .what = what, .count = count, .work = work, .arg = arg};
    struct worker workers[MAX_WORKERS] = {0};
    size_t wanted = count_workers(count), started = 1;
    for (size_t i = 0; i < wanted; i++) {
        workers[i].run = &run;
        workers[i].is_caller = i == 0;
        workers[i].ctx = (struct kiln_ctx){
            .say = remember, .verbose = ctx->verbose, .quiet = ctx->quiet, .tmpdir = ctx->tmpdir};
    }
    /* What one thing has freed the next one takes, without a way through the kernel. */
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
    kiln_progress(ctx, what, 0, count, NULL);
    while (started < wanted &&
           pthread_create(&workers[started].thread, NULL, run_worker, &workers[started]) == 0)
    {
        started++;
    }
    run_worker(&workers[0]);
    for (size_t i = 1; i < started; i++) {
        pthread_join(workers[i].thread, NULL);
    }
    kiln_progress(ctx, what, count, count, NULL);
    return merge(ctx, workers, started);
}
