/* Names of code that was made at run time: from the jitdumps and the perf map of one target, whatever there
 * is.
 *
 * Invariants: a jitdump goes before the map (it knows lines), a later dump before an earlier one. Ownership:
 * jit_set_map() and jit_add_dump() take the fd. Errors: as in perf_map.h and jitdump.h; struct error: memory.
 */
#ifndef KILN_SYMBOLIZER_JIT_H
#define KILN_SYMBOLIZER_JIT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A target has one; an agent that opens a new one now and then may have some. */
#define JIT_DUMPS_MAX 64

struct jit;

struct jit_name {
	uint64_t start;
	const char *function, *file; /* raw, not terminated; valid until the next call */
	size_t function_length, file_length;
	uint32_t line; /* 0: not known */
};

struct error *jit_create(struct jit **ret);
void jit_destroy(struct jit *jit); /* NULL accepted */
/* In the place of the one that was there. */
struct error *jit_set_map(struct jit *jit, int fd);
struct error *jit_add_dump(struct jit *jit, int fd);
/* Reads what the files have got since the last time: of a new file everything, else what takes some 100 ms at
 * most; the rest with the next call. */
void jit_update(struct jit *jit);
bool jit_find(struct jit *jit, uint64_t address, struct jit_name *ret);
/* Why names are missing; "" while all is well. */
const char *jit_get_why(const struct jit *jit);

#endif
