/* Where the function that covers an offset begins and ends, and which part of it is listed.
 *
 * Invariants: ELF virtual addresses; [start, end) lies in one executable segment, and in one section where
 * there are sections: what is read never leaves it. [first, last) is the function, or so much of a long one
 * that the offset is inside; `first` is where an instruction begins, as far as the file can be believed.
 */
#ifndef KILN_SYMBOLIZER_CODE_BOUNDS_H
#define KILN_SYMBOLIZER_CODE_BOUNDS_H

#include "symbolizer/modules.h"

struct code_bounds {
	uint64_t start, end;
	uint64_t first, last;
	uint64_t start_offset; /* of start, in the file */
};

/* offset: in the file. why: static text when it returns false. */
bool code_bounds_find(struct module *module, const struct module_parts *parts, uint64_t offset,
		      struct code_bounds *ret, const char **ret_why);

#endif
