/* The line table of one unit, decoded from .debug_line (DWARF 2 to 5).
 *
 * The decoder is ours: libdw's keeps 40 bytes a row for as long as the file is open. Here a row has 16, those
 * that say nothing new are left out, and the table can be thrown away.
 *
 * Invariants: rows of a sequence are sorted by address, and no two have the same one; sequences are found by
 * range: an address behind the end of one has no row. Ownership: lines_read() → lines_destroy(); the sections
 * must outlive the table. Errors: the sections are hostile input: what is damaged ends the table early.
 */
#ifndef KILN_SYMBOLIZER_DWARF_LINES_H
#define KILN_SYMBOLIZER_DWARF_LINES_H

#include "symbolizer/bytes.h"
#include "symbolizer/ranges.h"

struct line_row {
	uint64_t address;
	uint32_t line; /* 0: the compiler says that there is none */
	uint32_t file; /* see lines_make_path() */
};

struct line_sections {
	struct bytes line, line_str, str; /* empty where there is none */
};

struct lines;

/* offset: DW_AT_stmt_list; sequences that start below `lowest` are code that the linker threw away. NULL when
 * memory is short; a table without rows when there are none. */
struct lines *lines_read(const struct line_sections *sections, uint64_t offset, uint64_t lowest);
void lines_destroy(struct lines *lines); /* NULL accepted */
/* The row in force at the address; NULL: no sequence covers it. ret_until, NULL accepted: to where that
 * holds. */
const struct line_row *lines_find(const struct lines *lines, uint64_t address, uint64_t *ret_until);
/* Writes at most capacity - 1 bytes, terminated; returns the length, 0 when the file is not known. file: as
 * in a row, or in DW_AT_call_file. */
size_t lines_make_path(const struct lines *lines, uint64_t file, const char *comp_dir, char *ret,
		       size_t capacity);
size_t lines_count_files(const struct lines *lines);
/* Bytes of memory. */
size_t lines_measure(const struct lines *lines);

#endif
