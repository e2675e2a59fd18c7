/* The functions of one unit and what is inlined into them, searchable by address.
 *
 * One pass over the unit's DIEs, in the order of the file, makes it: intervals (which scope is the innermost
 * one of an address) and parents (what that is inlined into).
 *
 * Invariants: a scope's parent comes before it in the array; a chain has at most SCOPES_DEPTH_MAX of them.
 * Ownership: scopes_read() → scopes_destroy(); the Dwarf must outlive them. Errors: the Dwarf is hostile
 * input: what is damaged ends the pass early.
 */
#ifndef KILN_SYMBOLIZER_DWARF_SCOPES_H
#define KILN_SYMBOLIZER_DWARF_SCOPES_H

#include "symbolizer/ranges.h"

#include <elfutils/libdw.h>

#define SCOPE_NONE	 UINT32_MAX
#define SCOPES_DEPTH_MAX 1024 /* what is nested deeper counts as its parent */

struct scope {
	void *die;	/* Dwarf_Die.addr: 8 bytes instead of 32 */
	uint64_t start; /* where it is entered, or its first range starts */
	/* Of the call, where it is inlined; 0: not known. */
	uint32_t call_file, call_line;
	uint32_t parent; /* SCOPE_NONE: it is a concrete function */
	/* Kept by who asks for names. */
	bool is_named, is_linkage_name;
	bool is_split; /* it has more than the one range that begins at `start` */
	const char *name;
};

struct scopes;

/* die: of the unit; lowest: ranges that start below it are code that the linker threw away. NULL when memory
 * is short; without scopes where there are none. */
struct scopes *scopes_read(Dwarf_Die *die, uint64_t lowest);
void scopes_destroy(struct scopes *scopes); /* NULL accepted */
/* The innermost scope of the address; NULL: none covers it. */
struct scope *scopes_find(const struct scopes *scopes, uint64_t address);
/* The concrete function of the address, and the start of that part of it. */
struct scope *scopes_find_function(const struct scopes *scopes, uint64_t address, uint64_t *ret_part_start);
struct scope *scopes_get_parent(const struct scopes *scopes, const struct scope *scope); /* NULL: none */
Dwarf_Die scopes_get_die(const struct scopes *scopes, const struct scope *scope);
/* Adds the ranges of all concrete functions, with this value; false when memory is short. */
bool scopes_add_ranges(const struct scopes *scopes, uint32_t value, struct ranges *ret);
/* Bytes of memory. */
size_t scopes_measure(const struct scopes *scopes);

#endif
