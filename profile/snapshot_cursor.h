/* Reads a table of a snapshot row by row, trusting nothing: types, ranges, lengths, NUL bytes and row numbers
 * are checked, texts are sanitized, every row is hashed.
 *
 * A value that is not as it should be is remembered; cursor_check() after a row's last column tells.
 */
#ifndef KILN_PROFILE_SNAPSHOT_CURSOR_H
#define KILN_PROFILE_SNAPSHOT_CURSOR_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

struct sqlite3;
struct sqlite3_stmt;

#define CURSOR_TEXTS 6 /* columns of one row that are texts */

struct cursor {
	struct sqlite3 *db;
	struct sqlite3_stmt *statement;
	const char *table;
	uint64_t start, hash; /* hash: of the current row */
	uint64_t sum;	      /* of the rows read so far */
	uint64_t row;	      /* from 1 */
	int column, columns;
	bool is_bad;
	bool is_short_of_memory;
	char *texts[CURSOR_TEXTS];
	int text;
};

/* columns: "id, name"; the first is the key, and rows come in its order. */
struct error *cursor_open(struct sqlite3 *db, const char *table, const char *columns, struct cursor *ret);
void cursor_deinit(struct cursor *cursor);
/* false: that was the last one, or an error. */
bool cursor_next(struct cursor *cursor, struct error **ret_error);

/* The next column of the row. Integers lie in [min, max], min when they do not. */
int64_t cursor_take_integer(struct cursor *cursor, int64_t min, int64_t max);
/* NULL is NAN; what is not finite or below 0 is bad. */
double cursor_take_real(struct cursor *cursor);
/* Lives until the next row. Bad texts are "". */
const char *cursor_take_text(struct cursor *cursor);
const char *cursor_take_text_or_null(struct cursor *cursor);
bool cursor_take_null(struct cursor *cursor); /* true, and the column is passed, when it is NULL */
/* A word of a list. */
int cursor_take_word(struct cursor *cursor, const char *const *words, int count);

struct error *cursor_check(struct cursor *cursor);
struct error *cursor_fail(struct cursor *cursor, const char *why);

/* What SQLite says, as an error of ours. */
struct error *snapshot_fail_sqlite(struct sqlite3 *db);
extern const char snapshot_hint_damaged[];

#endif
