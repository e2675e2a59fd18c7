/* Functions, what is inlined into them, and lines of an address, from DWARF.
 *
 * The index is ours: libdw reads DIEs, attributes and line tables, but its address searches are slow
 * (dwarf_getscopes walks a unit a call) or trust .debug_aranges, which clang does not write.
 *
 * Invariants: ELF virtual addresses. Unit ranges are read when created, a unit's functions and lines on first
 * touch, and thrown away again (least recently asked first) when all of them take too much memory. Ownership:
 * debug_create() → debug_destroy(); the Elf must outlive it. Strings live as long as the debug. Errors: the
 * Elf is hostile input: damaged units have no names.
 */
#ifndef KILN_SYMBOLIZER_DWARF_H
#define KILN_SYMBOLIZER_DWARF_H

#include "base/error.h"

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

struct debug;

struct debug_function {
	const char *name;     /* never NULL or empty */
	bool is_linkage_name; /* else it is the plain one, without namespace and arguments */
	uint64_t start;	      /* of the function */
	uint64_t range_start; /* of the part of it that covers the address: differs in cold parts */
};

struct debug_line {
	const char *file; /* never NULL */
	uint32_t line;	  /* never 0 */
};

/* One level of an address: an inlined function, or (the last one) the concrete function. */
struct debug_level {
	struct debug_function function;
	const char *file; /* of the instruction; of outer levels: of the call; NULL: not known */
	uint32_t line;	  /* 0: not known; with a file: the compiler says that it belongs to no line */
};

/* An address from which on another line counts. */
struct debug_row {
	uint64_t address;
	const char *file; /* NULL: from here on no line is known */
	uint32_t line;
};

/* A file without (usable) debug information has none of it: no error. */
struct error *debug_create(Elf *elf, struct debug **ret);
void debug_destroy(struct debug *debug); /* NULL accepted */
/* dwz's file, which the Elf refers to; it must outlive the debug. To be called before the first question. */
void debug_set_supplement(struct debug *debug, Elf *elf);
/* What the indexes of units may take together (256 MiB); the unit that is being asked may always have one. */
void debug_set_budget(struct debug *debug, size_t bytes);
size_t debug_measure(const struct debug *debug); /* what they take */
/* The concrete function that covers the address: what is inlined there counts as it. */
bool debug_find_function(struct debug *debug, uint64_t address, struct debug_function *ret);
/* The line of the instruction itself: of code that is inlined there, the inlined line. */
bool debug_find_line(struct debug *debug, uint64_t address, struct debug_line *ret);
/* All levels, innermost first; returns how many (at most max: of more the outermost and the innermost are
 * given). 0: no function is known; a line may be. */
size_t debug_find_levels(struct debug *debug, uint64_t address, struct debug_level *ret, size_t max);
/* The rows of [start, end), in order of address; the first one is that in force at start. Returns how many
 * there are; writes at most max. */
size_t debug_list_rows(struct debug *debug, uint64_t start, uint64_t end, struct debug_row *ret, size_t max);

#endif
