/* Reads an unwind table (bpf/table.h) in plain C: for tests and tools.
 *
 * Ownership: table_map() maps the memfd read-only, table_unmap() ends that; nothing else allocates.
 */
#ifndef KILN_TESTS_TABLE_LOOKUP_H
#define KILN_TESTS_TABLE_LOOKUP_H

#include "bpf/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_map {
	const uint32_t *words;
	size_t count;
};

/* false with errno set. The fd stays the caller's. */
bool table_map(int memfd, struct table_map *ret);
void table_unmap(struct table_map *map);

/* Every invariant that bpf/table.h states, and that no full rule is one that a plain one could say; NULL, or
 * the first one that is broken. Only a table that passed may be given to the functions below. */
const char *table_check_file(const uint32_t *words, size_t count);

/* The rule at a file offset; of an offset outside of all pages the gap. */
struct unwind_rule table_lookup(const uint32_t *words, uint64_t offset);

/* Calls back for each file offset where the rule changes, ascending; padding and page starts are left out. */
void table_walk(const uint32_t *words,
		void (*callback)(void *arg, uint64_t offset, const struct unwind_rule *rule), void *arg);

#endif
