/* Go's table of functions and lines (pclntab): part of every Go program, stripped or not, because its runtime
 * unwinds by it. Searched in place.
 *
 * Four layouts, by the magic: of Go 1.2, 1.16, 1.18 and 1.20 (cmd/link/internal/ld/pcln.go,
 * runtime/symtab.go). Names are shown as they stand there: "main.(*T).Method", "main.f[...]",
 * "main.main.func1".
 * Invariants: ELF virtual addresses. A lookup is a binary search, a line takes a pass over the lines of its
 * function; neither allocates. Ownership: the struct and all it returns point into the bytes that it was made
 * of. Errors: the bytes are hostile input: what is damaged is not found; nothing outside of them is read.
 */
#ifndef KILN_SYMBOLIZER_PCLNTAB_H
#define KILN_SYMBOLIZER_PCLNTAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct pclntab_part {
	const uint8_t *data;
	size_t length;
};

struct pclntab_layout;

struct pclntab {
	const struct pclntab_layout *layout; /* NULL (a zeroed struct): nothing is ever found */
	/* What the table's addresses are relative to. Only since Go 1.18; 0 where the header does not say:
	 * since Go 1.26, and where the dynamic linker writes it. Then the caller has to. */
	uint64_t text_start;
	uint64_t count; /* functions */
	struct pclntab_part index, functions, names, units, files, values;
};

struct pclntab_function {
	uint64_t start, end;
	const char *name; /* not terminated, not sanitized, never empty; at most NAME_LENGTH_MAX + 1 bytes */
	size_t length;
	size_t record; /* its place in `functions` */
};

struct pclntab_line {
	const char *file; /* as name */
	size_t length;
	uint32_t line; /* never 0 */
};

/* The first bytes of every table for x86-64, without the very first, which tells the layouts apart. */
#define PCLNTAB_MAGIC_TAIL	  "\xff\xff\xff\0\0\x01\x08"
#define PCLNTAB_MAGIC_TAIL_LENGTH 7
/* Where the header has the start of the text, when its layout has one. */
#define PCLNTAB_TEXT_START 24

/* The table may be followed by other bytes. false: it is none. */
bool pclntab_init(const uint8_t *data, size_t length, struct pclntab *ret);
/* Whether the addresses are relative and the header does not say to what. */
bool pclntab_needs_text_start(const struct pclntab *table);
/* Whether lines are found at all: obfuscators leave them out. */
bool pclntab_has_lines(const struct pclntab *table);

bool pclntab_find(const struct pclntab *table, uint64_t address, struct pclntab_function *ret);
/* The next function, from *number on, that nobody calls ("top frame"; since Go 1.17): *number is behind it
 * then. false: there is none. */
bool pclntab_next_root(const struct pclntab *table, uint64_t *number, struct pclntab_function *ret);
/* address: inside the function. Of inlined code the line is that of the callee, in its file. */
bool pclntab_find_line(const struct pclntab *table, const struct pclntab_function *function, uint64_t address,
		       struct pclntab_line *ret);

#endif
