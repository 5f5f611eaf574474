/* What the passes of one kiln_combine() have in common: temporary files, and the one machine. */
#include "combine/combining.h"

const char *
kiln_combining_make_path(struct kiln_combining *run, const char *suffix)
{
    return kiln_arena_printf(&run->ctx->arena, "%s/%zu%s", run->tmpdir, run->files++, suffix);
}

int
kiln_combining_note_machine(struct kiln_combining *run, const struct kiln_machine *machine,
                            const char *name)
{
    if (run->machine == NULL) {
        run->machine = machine;
        run->machine_input = name;
    }
    if (run->machine != machine) {
        return kiln_fail(run->ctx, KILN_ERR_INPUT,
                         "%s: made for the machine %s, but %s for %s: compile both for the same",
                         name, machine->name, run->machine_input, run->machine->name);
    }
    return 0;
}
