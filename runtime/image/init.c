/* Constructors and destructors of images, called as the dynamic loader calls them (gABI,
 * "Initialization and Termination Functions"). */
#include "image/image.h"

#include <stdlib.h>
#include <unistd.h>

typedef void constructor(int argc, char **argv, char **envp);
typedef void destructor(void);

static int program_argc;
static char **program_argv;

void
kiln_image_init_start(int argc, char **argv)
{
    program_argc = argc;
    program_argv = argv;
}

void
kiln_image_call_init(uint32_t image)
{
    const struct kiln_image *record = &kiln_image_records[image];
    uintptr_t start = (uintptr_t)kiln_image_get_start(image);
    if (record->init != 0) {
        ((constructor *)(start + record->init))(program_argc, program_argv, environ);
    }
    constructor *const *functions = (constructor *const *)(start + record->init_array);
    for (size_t i = 0; i < record->init_array_size / sizeof *functions; i++) {
        functions[i](program_argc, program_argv, environ);
    }
}

static void
call_fini(uint32_t image)
{
    const struct kiln_image *record = &kiln_image_records[image];
    uintptr_t start = (uintptr_t)kiln_image_get_start(image);
    destructor *const *functions = (destructor *const *)(start + record->fini_array);
    for (size_t i = record->fini_array_size / sizeof *functions; i-- > 0;) {
        functions[i]();
    }
    if (record->fini != 0) {
        ((destructor *)(start + record->fini))();
    }
}

void
kiln_image_finish(void)
{
    size_t count;
    kiln_image_lock();
    uint32_t *images = kiln_image_tree_get_final(&count);
    kiln_image_unlock();
    for (size_t i = 0; images != NULL && i < count; i++) {
        if (kiln_image_is(images[i], KILN_IMAGE_STARTED)) {
            call_fini(images[i]);
        }
    }
    free(images);
}
