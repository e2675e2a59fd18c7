/* The lines of one function from its record in a jitdump: those of the last function that was asked for are
 * kept.
 *
 * Invariant: sorted by address; of rows with one address the last one counts. Ownership: texts live until the
 * next read. Errors: of a record that is damaged what comes before the damage counts; of one that is bigger
 * than JITDUMP_LINES_BYTES_MAX, its beginning.
 */
#ifndef KILN_SYMBOLIZER_JITDUMP_LINES_H
#define KILN_SYMBOLIZER_JITDUMP_LINES_H

#include "base/array.h"

#define JITDUMP_LINES_BYTES_MAX (1u << 20)

struct jitdump_row {
	uint64_t address;
	uint32_t line;
	uint32_t file, file_length; /* in bytes */
	uint32_t number;
};

struct jitdump_lines {	 /* zeroed: empty */
	uint64_t offset; /* of the rows in the file that are here; 0: none */
	ARRAY(struct jitdump_row)
	rows;
	ARRAY(char)
	bytes;
};

void jitdump_lines_deinit(struct jitdump_lines *lines);
/* The rows of a record, `size` bytes at `offset` (not 0); false: there are none to be had. */
bool jitdump_lines_read(struct jitdump_lines *lines, int fd, uint64_t offset, uint32_t size, uint64_t count);
/* 0: no row comes before the address. */
uint32_t jitdump_lines_find(const struct jitdump_lines *lines, uint64_t address, const char **ret_file,
			    size_t *ret_length);

#endif
