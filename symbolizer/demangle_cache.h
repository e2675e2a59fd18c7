/* Demangled names by mangled ones: of a program's names few are asked for very often, and demangling costs
 * microseconds.
 *
 * Invariants: what is kept stays below a limit: then all of it is thrown away. Ownership: the caller owns the
 * struct (zeroed = empty) and demangle_cache_deinit()s it. Errors: when memory is short nothing is kept.
 */
#ifndef KILN_SYMBOLIZER_DEMANGLE_CACHE_H
#define KILN_SYMBOLIZER_DEMANGLE_CACHE_H

#include "symbolizer/frame.h"

#include <stddef.h>

struct demangle_cache {
	struct demangled **slots; /* NULL: free */
	size_t count, capacity, bytes;
};

/* As demangle_name(). */
size_t demangle_cached(struct demangle_cache *cache, const char *name, size_t length,
		       char ret[NAME_LENGTH_MAX + 1]);
void demangle_cache_deinit(struct demangle_cache *cache);

#endif
