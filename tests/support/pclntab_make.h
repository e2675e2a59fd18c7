/* Go's tables of functions and lines, handmade in each of their layouts: tests need no Go.
 *
 * Errors: a table that does not fit ends the test.
 */
#ifndef KILN_TESTS_SUPPORT_PCLNTAB_MAKE_H
#define KILN_TESTS_SUPPORT_PCLNTAB_MAKE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One value for so many bytes of code; 0 bytes: the end. */
struct made_run {
	uint32_t value, bytes;
};

struct made_function {
	uint32_t start; /* from the start of the text */
	const char *name;
	struct made_run lines[6];
	struct made_run files[4]; /* value: 0 or 1, made_files[] */
};

extern const char *const made_files[2];

#define MADE_GO_1_2  0xfb
#define MADE_GO_1_16 0xfa
#define MADE_GO_1_18 0xf0
#define MADE_GO_1_20 0xf1

#define MADE_FUNCTIONS_MAX 16

struct made_table {
	uint8_t bytes[32768];
	size_t length;
	/* Where things lie in it, for tests that damage them. */
	size_t names, units, files, values, index;
	size_t records[MADE_FUNCTIONS_MAX];
	size_t word; /* bytes of an address in the index */
};

/* The last function has no name: it is the end. text_start: in the header since Go 1.18, before in each
 * address. */
void made_table_make(uint8_t magic, uint64_t text_start, const struct made_function *functions,
		     struct made_table *ret);

/* Where in a record, behind its address. */
#define MADE_RECORD_NAME 0
#define MADE_RECORD_FILE 16
#define MADE_RECORD_LINE 20
#define MADE_RECORD_UNIT 28

void made_table_set_u32(struct made_table *table, size_t at, uint32_t value);

#endif
