/* The text in which a JIT says what its code is called, "START SIZE NAME" a line, as /tmp/perf-PID.map.
 *
 * The file grows while the target runs: perf_map_update() reads what has come since, and starts over where
 * the text that was read is no more. In memory are only the ranges; a name is read from the file again when
 * it is asked for, and given only if its line is still that of the address. Invariants: of lines that overlap
 * the last one counts; one of size 0 names just its address. The last line counts without its newline when
 * nothing has been added for a moment: before, it may be half a line. V8 marks its tiers before a function's
 * name ("~^+*"), and has several words for functions: folded, a function has one name. Ownership:
 * perf_map_create() takes the fd. Errors: the file is hostile input: lines that say nothing are counted, what
 * is too much is left out, an I/O error ends an update.
 */
#ifndef KILN_SYMBOLIZER_PERF_MAP_H
#define KILN_SYMBOLIZER_PERF_MAP_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What lies behind is not read. */
#define PERF_MAP_BYTES_MAX (1ull << 30)

struct perf_map;

struct perf_map_name {
	uint64_t start;
	const char *name; /* raw, not terminated, never empty; valid until the next call */
	size_t length;
};

struct error *perf_map_create(int fd, struct perf_map **ret);
void perf_map_destroy(struct perf_map *map); /* NULL accepted */
/* Reads at most so many bytes; the rest with the next call. */
void perf_map_update(struct perf_map *map, uint64_t bytes_max);
bool perf_map_find(struct perf_map *map, uint64_t address, struct perf_map_name *ret);

/* Lines that have been read and name nothing. */
uint64_t perf_map_count_garbage(const struct perf_map *map);

/* Takes the tier's mark out of a name of V8's ("LazyCompile:*f FILE:LINE:COLUMN" → "JS:f FILE:LINE:COLUMN");
 * returns the length. Also for jitdump.c. */
size_t perf_map_fold_tier(char *name, size_t length);
/* Whether a name is written as V8 does. */
bool perf_map_is_v8(const char *name, size_t length);

#endif
