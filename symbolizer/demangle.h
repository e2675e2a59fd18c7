/* Names as people write them: C++ and Rust symbols demangled, everything else as it is; always safe to show.
 *
 * Invariants: the result is sanitized UTF-8 of at most NAME_LENGTH_MAX bytes; the work is bounded: a name
 * that grows beyond that is cut while it is being written, so that a hostile one cannot explode.
 */
#ifndef KILN_SYMBOLIZER_DEMANGLE_H
#define KILN_SYMBOLIZER_DEMANGLE_H

#include "symbolizer/frame.h"

#include <stddef.h>

/* name: length bytes, not terminated. Returns the length of ret, which is terminated. */
size_t demangle_name(const char *name, size_t length, char ret[NAME_LENGTH_MAX + 1]);

#endif
