/* For programs linked with -Wl,--wrap=PyModule_Create2 because their objects did not go through
 * `kiln isolate`. An object of its own, so that only they get it. */
#include "core/runtime.h"

PyObject *__wrap_PyModule_Create2(struct PyModuleDef *def, int module_api_version);

PyObject *
__wrap_PyModule_Create2(struct PyModuleDef *def, int module_api_version)
{
    return kiln_PyModule_Create2(def, module_api_version);
}
