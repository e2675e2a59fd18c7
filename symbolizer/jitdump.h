/* A jitdump (jit-PID.dump): what a JIT writes of its code in records: loaded, moved, and which lines it has.
 *
 * The file grows while the target runs: jitdump_update() reads the heads of the records that have come since,
 * and starts over where the file is shorter than it was. Names and lines are read from the file again when
 * they are asked for. The lines of a function come in a record before it. Invariants: of code that overlaps
 * what was loaded last counts, however old the sample is. Nothing behind a record that is no record is read.
 * Ownership: jitdump_create() takes the fd. Errors: the file is hostile input: what is damaged has no names,
 * jitdump_get_why() says it.
 */
#ifndef KILN_SYMBOLIZER_JITDUMP_H
#define KILN_SYMBOLIZER_JITDUMP_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct jitdump;

struct jitdump_name {
	uint64_t start;
	const char *name; /* raw, not terminated, never empty; valid until the next call, as file is */
	size_t length;
	const char *file; /* raw, not terminated */
	size_t file_length;
	uint32_t line; /* 0: not known, nor is the file */
};

struct error *jitdump_create(int fd, struct jitdump **ret);
void jitdump_destroy(struct jitdump *dump); /* NULL accepted */
/* Reads the heads of at most so many records; the rest with the next call. */
void jitdump_update(struct jitdump *dump, uint64_t records_max);
bool jitdump_find(struct jitdump *dump, uint64_t address, struct jitdump_name *ret);
/* Why nothing more of it is read; "" while all is well. */
const char *jitdump_get_why(const struct jitdump *dump);

#endif
