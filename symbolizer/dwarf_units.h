/* The units of a file's DWARF, searchable by address, each with an index that is made when it is first
 * touched.
 *
 * Invariants: what the indexes take together stays below a budget, but for the unit that is being asked: the
 * index of the unit that was asked least recently goes first, and is made again when it is asked again.
 * Ownership: units_create() → units_destroy(); Elf and Dwarf must outlive them. Errors: memory; damaged units
 * have no index.
 */
#ifndef KILN_SYMBOLIZER_DWARF_UNITS_H
#define KILN_SYMBOLIZER_DWARF_UNITS_H

#include "base/error.h"
#include "symbolizer/dwarf_lines.h"
#include "symbolizer/dwarf_scopes.h"

#include <elfutils/libdw.h>

struct unit {
	Dwarf_Off offset; /* of its DIE */
	uint64_t used;	  /* when it was last asked */
	size_t bytes;	  /* of its index */
	/* The index; NULL: not made, or it has none. */
	struct scopes *scopes;
	struct lines *lines;
	const char **paths; /* of files, by number; those that were asked for */
	const char *comp_dir;
	bool has_scopes, has_lines; /* made, or tried */
	bool is_silent;		    /* does not say where its code is, if it has any */
	bool has_aranges;	    /* they say it instead */
};

struct units;

struct error *units_create(Elf *elf, Dwarf *dwarf, struct units **ret);
void units_destroy(struct units *units); /* NULL accepted */
void units_set_budget(struct units *units, size_t bytes);
size_t units_measure(const struct units *units);
/* The unit that covers the address; NULL: none does. */
struct unit *units_find(struct units *units, uint64_t address);
/* The address from which on another unit's answer may count, or none's. */
uint64_t units_find_end(const struct units *units, uint64_t address);
/* Make what is not made; NULL: there is none, or memory is short. */
struct scopes *units_get_scopes(struct units *units, struct unit *unit);
struct lines *units_get_lines(struct units *units, struct unit *unit);

#endif
