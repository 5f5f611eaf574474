/* The main() of executables made by `kiln link`. It is in an object of its own in libkiln.a, which
 * the linker takes only if the program has no main(). */
#include "kiln/kiln.h"

int
main(int argc, char **argv)
{
    return Kiln_Main(argc, argv);
}
