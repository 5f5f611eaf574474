/* The one object of struct kiln_process. Kiln_Install() and kiln_executable_choose() fill it. */
#include "core/process.h"

struct kiln_process kiln_process;
