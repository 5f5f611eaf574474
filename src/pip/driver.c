/* The text of driver.py, as a string in the program: kiln is one file that needs no other. The path
 * is from the root of the sources, where make runs the compiler. */
#include "pip/pip.h"

__asm__(".pushsection .rodata, \"a\", @progbits\n"
        ".globl kiln_pip_driver\n"
        ".hidden kiln_pip_driver\n"
        ".type kiln_pip_driver, @object\n"
        "kiln_pip_driver:\n"
        ".incbin \"src/pip/driver.py\"\n"
        ".byte 0\n"
        ".size kiln_pip_driver, . - kiln_pip_driver\n"
        ".popsection\n");
