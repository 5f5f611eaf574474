/* A program of one's own that embeds Python and brings its extensions along. */
#include <Python.h>

#include <kiln/kiln.h>

int
main(int argc, char **argv)
{
    /* From here on every interpreter of this process finds the modules of the table. */
    int result = Kiln_Install(&kiln_table);
    if (result < 0) {
        fprintf(stderr, "app: %s\n", Kiln_GetInstallError(result));
        return 1;
    }
    return Py_BytesMain(argc, argv);
}
