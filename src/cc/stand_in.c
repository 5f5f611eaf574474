/* Runs as the compiler: the caller sees the real compiler's streams, its exit status, and the signal
 * that it died of.
 *
 * A link runs in a child, and what follows it in another, so that nothing that happens there, not even
 * a crash, fails a build whose link has succeeded. This process waits, forwards signals and removes
 * the temporary directory. */
#include "cc/cc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* The signals as the caller left them, which is how the real compiler gets them. */
struct signals {
    sigset_t watched, mask;
    struct sigaction child;
};

static void
collect(struct kiln_ctx *ctx, enum kiln_severity severity, const char *text)
{
    struct kiln_cc *cc = (struct kiln_cc *)ctx;
    if (severity == KILN_ERROR) {
        kiln_strings_push(&ctx->arena, &cc->problems, text);
    }
}

static void
catch_signals(struct signals *signals)
{
    static const int numbers[] = {SIGCHLD, SIGINT, SIGQUIT, SIGTERM, SIGHUP};
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigemptyset(&signals->watched);
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        sigaddset(&signals->watched, numbers[i]);
    }
    sigprocmask(SIG_BLOCK, &signals->watched, &signals->mask);
    /* If it is ignored, children leave no status. */
    sigaction(SIGCHLD, &standard, &signals->child);
}

/* In a child: ends with the parent, and restores the signals. */
static void
release_signals(const struct signals *signals, pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        _exit(1);
    }
    sigprocmask(SIG_SETMASK, &signals->mask, NULL);
}

/* Waits for PID and returns its wait status. Forwards signals that arrive meanwhile, as INSTEAD if that
 * is not 0; *CAUGHT is the last of them. */
static int
wait_for(pid_t pid, const struct signals *signals, int instead, int *caught)
{
    int status = 0;
    pid_t ended;
    while ((ended = waitpid(pid, &status, WNOHANG)) == 0) {
        int number = sigwaitinfo(&signals->watched, NULL);
        if (number > 0 && number != SIGCHLD) {
            *caught = number;
            kill(pid, instead == 0 ? number : instead);
        }
    }
    return ended < 0 ? W_EXITCODE(1, 0) : status;
}

static void
die_of(int number)
{
    struct rlimit no_core = {0, 0}; /* the child wrote one */
    setrlimit(RLIMIT_CORE, &no_core);
    signal(number, SIG_DFL);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    raise(number);
    sigprocmask(SIG_UNBLOCK, &set, NULL);
}

static int
exec_compiler(struct kiln_cc *cc, const struct kiln_strings *args)
{
    struct kiln_strings argv = {0};
    kiln_strings_push_all(&cc->ctx.arena, &argv, &cc->compiler.words);
    kiln_strings_push_all(&cc->ctx.arena, &argv, args);
    execvp(argv.items[0], kiln_strings_argv(&cc->ctx.arena, &argv));
    int status = errno == ENOENT ? 127 : 126;
    kiln_fail_errno(&cc->ctx, "%s: cannot run the compiler", argv.items[0]);
    return status;
}

/* In the second child: makes the extension fat, without output. */
static _Noreturn void
fatten(struct kiln_cc *cc, const char *reason)
{
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; null >= 0 && fd <= 2; fd++) {
        dup2(null, fd);
    }
    kiln_fatten(cc, reason);
    _exit(0);
}

/* Runs fatten() in a child. *CAUGHT is as for wait_for(). */
static int
run_fatten(struct kiln_cc *cc, const struct signals *signals, const char *reason, int *caught)
{
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        release_signals(signals, parent);
        fatten(cc, reason);
    }
    /* Always by SIGTERM: the child ignores an interrupt while a program of its own runs. */
    return pid < 0 ? 0 : wait_for(pid, signals, SIGTERM, caught);
}

/* Called after a link that succeeded, which nothing here may fail. */
static void
follow_link(struct kiln_cc *cc, const struct signals *signals)
{
    int caught = 0;
    kiln_ctx_get_tmpdir(&cc->ctx); /* here, so that it is removed whatever happens to the child */
    cc->problems.count = 0;        /* the child finds the same ones, and records them */
    int status = run_fatten(cc, signals, NULL, &caught);
    if (caught == 0 && (WIFSIGNALED(status) || WEXITSTATUS(status) != 0)) {
        const char *reason =
            kiln_arena_printf(&cc->ctx.arena, "kiln-cc stopped unexpectedly (%s %d)",
                              WIFSIGNALED(status) ? "signal" : "status",
                              WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        run_fatten(cc, signals, reason, &caught);
    }
    kiln_ctx_release(&cc->ctx);
    cc->problems = (struct kiln_strings){0}; /* they are in the section */
    if (caught != 0) {
        die_of(caught);
    }
}

/* Returns whether PATH has been written since stat() returned BEFORE_RESULT and BEFORE. */
static bool
is_written(const char *path, int before_result, const struct stat *before)
{
    struct stat now;
    return stat(path, &now) == 0 &&
           (before_result < 0 || now.st_ino != before->st_ino || now.st_dev != before->st_dev ||
            now.st_ctim.tv_sec != before->st_ctim.tv_sec ||
            now.st_ctim.tv_nsec != before->st_ctim.tv_nsec);
}

static int
run_link(struct kiln_cc *cc, const struct kiln_strings *args)
{
    struct signals signals;
    struct stat before;
    int before_result = stat(cc->line.output, &before), caught = 0;

    catch_signals(&signals);
    pid_t parent = getpid(), pid = fork();
    if (pid < 0) { /* without the section */
        sigprocmask(SIG_SETMASK, &signals.mask, NULL);
        return exec_compiler(cc, args);
    }
    if (pid == 0) {
        release_signals(&signals, parent);
        sigaction(SIGCHLD, &signals.child, NULL);
        return exec_compiler(cc, args);
    }
    int status = wait_for(pid, &signals, 0, &caught);
    if (WIFSIGNALED(status)) {
        die_of(WTERMSIG(status));
    }
    if (WEXITSTATUS(status) == 0 && is_written(cc->line.output, before_result, &before)) {
        follow_link(cc, &signals);
    }
    return WEXITSTATUS(status);
}

static int
exec_archiver(struct kiln_cc *cc, const char *tool, const struct kiln_strings *args)
{
    kiln_compiler_find(&cc->ctx, "kiln-cc", &cc->compiler);
    cc->problems.count = 0; /* an archiver can do without a compiler */
    const char *path = kiln_archiver_find(&cc->ctx, tool, cc->compiler.driver);
    cc->compiler.words.count = 0;
    kiln_strings_push(&cc->ctx.arena, &cc->compiler.words, path == NULL ? tool : path);
    return exec_compiler(cc, args);
}

int
kiln_cc_main(struct kiln_cc *cc, int argc, char **argv)
{
    struct kiln_strings args = {0};
    const char *program = argc > 0 ? argv[0] : "kiln-cc";
    cc->ctx.say = collect;
    for (int i = 1; i < argc; i++) {
        kiln_strings_push(&cc->ctx.arena, &args, argv[i]);
    }
    const char *tool = kiln_archiver_get_tool(program);
    if (tool != NULL) {
        return exec_archiver(cc, tool, &args);
    }
    if (kiln_compiler_find(&cc->ctx, program, &cc->compiler) < 0) {
        return 127;
    }
    kiln_command_line_parse(&cc->ctx, &args, &cc->line);
    cc->problems.count = 0;
    return cc->compiler.nested || !cc->line.makes_shared ? exec_compiler(cc, &args)
                                                         : run_link(cc, &args);
}
