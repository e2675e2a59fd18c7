/* Strings that many ask for and that are kept once.
 *
 * Ownership: the caller owns the struct (zeroed = empty) and text_pool_deinit()s it; the strings live until
 * then. Errors: NULL when memory is short.
 */
#ifndef KILN_SYMBOLIZER_TEXT_POOL_H
#define KILN_SYMBOLIZER_TEXT_POOL_H

#include <stddef.h>

struct text_pool {
	char **slots; /* NULL: free */
	size_t count, capacity;
};

const char *text_pool_keep(struct text_pool *pool, const char *text);
void text_pool_deinit(struct text_pool *pool);

#endif
