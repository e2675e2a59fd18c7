/* What the files that read a snapshot share. Nothing that a file says is believed. */
#ifndef KILN_PROFILE_SNAPSHOT_READER_H
#define KILN_PROFILE_SNAPSHOT_READER_H

#include "base/array.h"
#include "profile/heap.h"
#include "profile/snapshot_cursor.h"
#include "profile/snapshot_format.h"
#include "profile/snapshot_open.h"

/* A sample may be this much later than the duration in the facts, which was read a little before. */
#define SNAPSHOT_LATE_NS 60000000000ull
/* A hundred years: sums of times do not overflow. */
#define SNAPSHOT_DURATION_NS_MAX (36500ull * 86400 * 1000000000)

struct function_number {
	int64_t id;
	uint32_t number;
};

struct stack_number {
	uint32_t number; /* in the profile */
	uint8_t end;
	uint64_t self, self_kernel; /* not met in the samples yet */
};

struct reader {
	struct image image;
	struct profile *profile;
	uint64_t sum;	  /* of row hashes */
	int64_t checksum; /* that the file tells */
	bool has_checksum;
	struct facts facts;
	ARRAY(char *)
	texts; /* that facts points to */
	ARRAY(struct function_number)
	functions; /* ascending ids */
	ARRAY(uint32_t)
	inlines; /* by id - 1: number in the profile */
	ARRAY(uint64_t)
	frames; /* by id - 1 */
	ARRAY(struct stack_number)
	stacks; /* by id; [0] is the root */
	uint64_t samples;
	struct heap *heap; /* NULL: there is none, so far */
	struct heap_facts heap_facts;
	struct heap_figures heap_sum;
	ARRAY(uint32_t)
	heap_stacks; /* by id: number in the heap's profile; [0] is the root */
};

struct error *reader_fail_memory(void);
/* The value of a fact; a key that is not known is skipped. */
struct error *reader_read_field(struct reader *reader, struct cursor *cursor, const char *key,
				const struct meta_field *fields, size_t count, void *facts);

/* ---- snapshot_read_heap.c ---- */

struct error *reader_read_heap_row(struct reader *reader, struct cursor *cursor);
struct error *reader_read_heap_stack_row(struct reader *reader, struct cursor *cursor);
struct error *reader_read_heap_point_row(struct reader *reader, struct cursor *cursor);
struct error *reader_finish_heap(struct reader *reader);

#endif
