/* What the files that write a snapshot share: rows, whose hashes are summed up, and the frames of all tries.
 *
 * Errors: what SQLite says, as an error of ours; the transaction is thrown away as a whole.
 */
#ifndef KILN_PROFILE_SNAPSHOT_WRITER_H
#define KILN_PROFILE_SNAPSHOT_WRITER_H

#include "base/array.h"
#include "base/error.h"
#include "profile/profile.h"

struct sqlite3;
struct sqlite3_stmt;
struct meta_field;

struct writer {
	const struct profile *profile;
	struct sqlite3 *db;
	uint64_t checksum;
	/* The distinct frames in order of appearance; a frame's row id is its place + 1. */
	ARRAY(uint64_t)
	frames;
	uint32_t *slots; /* open addressing: place + 1 in frames, 0 empty */
	size_t slot_count;
	uint8_t *needed; /* by function number: a frame is in it */
};

struct error *writer_fail(struct writer *writer, const char *what);
struct error *writer_fail_memory(void);
/* The row id of a frame; 0 when memory is short. */
uint32_t writer_intern_frame(struct writer *writer, uint64_t frame);

/* One INSERT with its columns bound in order, and hashed as they are bound. */
struct row {
	struct writer *writer;
	struct sqlite3_stmt *statement;
	uint64_t start, hash;
	int column;
};

struct error *row_prepare(struct writer *writer, const char *table, int columns, struct row *ret);
void row_deinit(struct row *row);
void row_bind_integer(struct row *row, uint64_t value);
void row_bind_null(struct row *row);
void row_bind_real(struct row *row, double value); /* what is not finite is NULL */
void row_bind_text(struct row *row, const char *text);
void row_bind_word(struct row *row, const char *const *words, unsigned count, unsigned word);
/* A row for each field: its key, and its value in the facts. */
struct error *row_insert_fields(struct row *row, const struct meta_field *fields, size_t count,
				const void *facts);
struct error *row_insert(struct row *row);

/* ---- snapshot_write_heap.c ---- */

/* Nothing, when the profile has no heap. Before the frames are written. */
struct error *writer_write_heap(struct writer *writer);

#endif
