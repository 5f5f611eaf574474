/* kiln-cc and kiln-c++, the compiler stand-ins: see src/cc/cc.h. They have no options of their own; all
 * arguments are the compiler's. */
#include <stdio.h>

#include "base/file.h"
#include "cc/cc.h"

int
main(int argc, char **argv)
{
    struct kiln_cc cc = {0};
    int status = kiln_cc_main(&cc, argc, argv);
    for (size_t i = 0; i < cc.problems.count; i++) {
        fprintf(stderr, "%s: error: %s\n", argc > 0 ? kiln_file_basename(argv[0]) : "kiln-cc",
                cc.problems.items[i]);
    }
    kiln_ctx_release(&cc.ctx);
    return status;
}
