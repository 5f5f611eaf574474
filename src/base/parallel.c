/* Threads for passes that do the same work on many items.
 *
 * Each thread has a context of its own: an arena, which becomes part of the caller's at the end, and a
 * list of messages, which are then reported in the order of the items. A counter hands out the items.
 * The calling thread works as well, and shows the progress. If a thread cannot be created, the others
 * do its work. */
#include "base/parallel.h"

#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { MAX_WORKERS = 64 };

struct message {
    size_t index; /* of the item that it is about */
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
    int result;    /* of the last item that failed in this thread, */
    size_t failed; /* which is this */
    struct {
        struct message *items; /* in the order of the items, as these are handed out in order */
        size_t count, capacity;
    } messages;
    size_t said; /* messages that have been reported */
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

/* The worker whose next message is about the earliest item; NULL if all have been reported. */
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

/* Give the workers' messages, memory and result to the caller. */
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
count_workers(size_t items)
{
    cpu_set_t cpus;
    size_t count = sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? (size_t)CPU_COUNT(&cpus) : 1;
    count = count < items ? count : items;
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
    /* Keep freed memory for the next item instead of returning it to the kernel. */
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
