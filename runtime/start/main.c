/* The main() of executables made by `kiln link`: an object of its own in libkiln.a, which the
 * linker takes only if the program has no main() of its own. */
#include "core/runtime.h"

int
main(int argc, char **argv)
{
    return Kiln_Main(argc, argv);
}
