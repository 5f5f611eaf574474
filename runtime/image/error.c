/* What is wrong, for who asked for an image. */
#include <stdarg.h>
#include <stdio.h>

#include "image/image.h"

int
kiln_image_fail(const struct kiln_image_error *error, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(error->text, error->size, format, args);
    va_end(args);
    return -1;
}
