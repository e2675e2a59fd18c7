/* The lines of one function from its record in a jitdump: those of the last function that was asked for are
 * kept.
 *
 * Invariant: sorted by address; of rows with one address the last one counts. Ownership: texts live until the
 * next read. Errors: of a record that is damaged what comes before the damage counts; of one that is bigger
 * than JITDUMP_LINES_BYTES_MAX, its beginning. V8 11 and 12 write names of files that they have freed
 * already, with 16 bytes of the allocator's at their beginning, zeros among them: a name ends where another
 * row can begin.
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
/* Where the rows of a function lie in the file, and what their addresses may be. */
struct jitdump_place {
	uint64_t offset; /* not 0 */
	uint64_t count;	 /* as the record says */
	uint32_t size;	 /* bytes */
	uint64_t first, last;
};

/* false: there are none to be had. */
bool jitdump_lines_read(struct jitdump_lines *lines, int fd, const struct jitdump_place *place);
/* 0: no row comes before the address. */
uint32_t jitdump_lines_find(const struct jitdump_lines *lines, uint64_t address, const char **ret_file,
			    size_t *ret_length);
/* A file's name that V8 had freed, from the function's name ("JS:f FILE:LINE:COLUMN") if it is the same file;
 * false: it is another one. */
bool jitdump_lines_mend(const char *name, size_t name_length, const char **file, size_t length);

#endif
