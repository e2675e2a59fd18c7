/* Opening what the target has mapped, without trusting the names that it gives to things.
 *
 * Errors: ERROR_PERMISSION where a capability would help, ERROR_GENERAL else; the message names no file (the
 * caller does) and says why.
 */
#ifndef KILN_BPF_MODULES_OPEN_H
#define KILN_BPF_MODULES_OPEN_H

#include "base/error.h"
#include "bpf/maps.h"
#include "bpf/target.h"

/* *ret: O_RDONLY, a regular file, close-on-exec, the caller's. */
struct error *modules_open_file(const struct target *target, const struct map *map, int *ret);

#endif
