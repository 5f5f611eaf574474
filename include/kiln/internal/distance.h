/* References in the records of this folder: a 32-bit field holds the distance from itself to what
 * it refers to, so that a record needs no relocation at run time. Needs no Python.h. */
#ifndef KILN_INTERNAL_DISTANCE_H
#define KILN_INTERNAL_DISTANCE_H

#include <stdint.h>

static inline uintptr_t
kiln_distance_resolve(const int32_t *field)
{
    return (uintptr_t)field + (uintptr_t)(intptr_t)*field;
}

static inline const char *
kiln_distance_get_string(const int32_t *field)
{
    return (const char *)kiln_distance_resolve(field);
}

#endif
