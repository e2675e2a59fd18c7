/* The names by which allocators are known, and what a function of such a name does. Data only.
 *
 * Invariants: `shown` is our own text: what a file calls its symbols never gets into a message.
 */
#ifndef KILN_SYMBOLIZER_ALLOCATOR_NAMES_H
#define KILN_SYMBOLIZER_ALLOCATOR_NAMES_H

#include "bpf/heap_events.h"

#include <stdbool.h>
#include <stddef.h>

struct allocator_name {
	const char *symbol;
	const char *shown; /* to people */
	enum heap_kind kind;
	bool is_operator; /* of C++: new or delete */
	bool throws;	  /* when there is no memory */
};

/* Longer than each of the names: of a symbol's name more need not be read. */
#define ALLOCATOR_NAME_LIMIT 40

/* text: a symbol's name, terminated or cut at ALLOCATOR_NAME_LIMIT; from @ on (a version) it does not count.
 * NULL: no name of an allocator. */
const struct allocator_name *allocator_name_find(const char *text, size_t length);

#endif
