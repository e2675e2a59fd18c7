/* Where an instruction comes from: its line, and what is inlined there. The one place that asks DWARF and
 * Go's table for it. */
#ifndef KILN_SYMBOLIZER_CODE_PLACES_H
#define KILN_SYMBOLIZER_CODE_PLACES_H

#include "symbolizer/dwarf.h"
#include "symbolizer/modules.h"

#include <stddef.h>

#define CODE_LEVELS_MAX NAME_LEVELS_MAX

/* Texts as they stand in the file. */
struct code_text {
	const char *text; /* NULL: not known; not terminated */
	size_t length;
};

struct code_levels {
	size_t count; /* innermost first; 0: nothing is known */
	struct {
		struct code_text function; /* as in the file; of the last level not known: it is the function
					      itself */
		struct code_text file;
		uint32_t line; /* 0: not known, or none */
	} items[CODE_LEVELS_MAX];
};

void code_places_find(const struct module_parts *parts, uint64_t address, struct code_levels *ret);
bool code_levels_are_same(const struct code_levels *a, const struct code_levels *b);

#endif
