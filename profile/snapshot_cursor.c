#include "profile/snapshot_cursor.h"

#include "base/text.h"
#include "profile/snapshot_format.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

const char snapshot_hint_damaged[] = "the file was cut off, damaged or changed; use a copy that is whole";

struct error *snapshot_fail_sqlite(struct sqlite3 *db)
{
	int code = sqlite3_errcode(db);

	if (code == SQLITE_NOMEM)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "read");
	if (code == SQLITE_INTERRUPT)
		return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged,
				    "damaged: its pages form a loop");
	return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged, "damaged: %s", sqlite3_errmsg(db));
}

struct error *cursor_open(struct sqlite3 *db, const char *table, const char *columns, struct cursor *ret)
{
	char sql[192];

	snprintf(sql, sizeof(sql), "SELECT %s FROM main.%s ORDER BY 1", columns, table);
	*ret = (struct cursor){.db = db, .table = table, .start = row_hash_text(0, table, strlen(table))};
	if (sqlite3_prepare_v2(db, sql, -1, &ret->statement, NULL) != SQLITE_OK)
		return snapshot_fail_sqlite(db);
	ret->columns = sqlite3_column_count(ret->statement);
	return NULL;
}

void cursor_deinit(struct cursor *cursor)
{
	sqlite3_finalize(cursor->statement);
	for (int i = 0; i < CURSOR_TEXTS; i++)
		free(cursor->texts[i]);
}

static void hash_row(struct cursor *cursor)
{
	cursor->hash = cursor->start;
	for (int i = 0; i < cursor->columns; i++) {
		switch (sqlite3_column_type(cursor->statement, i)) {
		case SQLITE_INTEGER:
			cursor->hash =
				row_hash_integer(cursor->hash, sqlite3_column_int64(cursor->statement, i));
			break;
		case SQLITE_FLOAT:
			cursor->hash =
				row_hash_real(cursor->hash, sqlite3_column_double(cursor->statement, i));
			break;
		case SQLITE_TEXT: {
			const char *text = (const char *)sqlite3_column_text(cursor->statement, i);

			if (!text)
				cursor->is_short_of_memory = true;
			else
				cursor->hash =
					row_hash_text(cursor->hash, text,
						      (size_t)sqlite3_column_bytes(cursor->statement, i));
			break;
		}
		case SQLITE_NULL:
			cursor->hash = row_hash_null(cursor->hash);
			break;
		default: /* no table of ours has blobs */
			cursor->is_bad = true;
		}
	}
}

bool cursor_next(struct cursor *cursor, struct error **ret_error)
{
	int code = sqlite3_step(cursor->statement);

	if (code == SQLITE_DONE)
		return false;
	if (code != SQLITE_ROW) {
		*ret_error = snapshot_fail_sqlite(cursor->db);
		return false;
	}
	cursor->row++;
	cursor->column = 0;
	cursor->text = 0;
	hash_row(cursor);
	cursor->sum += cursor->hash;
	*ret_error = NULL;
	return true;
}

int64_t cursor_take_integer(struct cursor *cursor, int64_t min, int64_t max)
{
	int column = cursor->column++;
	int64_t value = sqlite3_column_int64(cursor->statement, column);

	if (sqlite3_column_type(cursor->statement, column) != SQLITE_INTEGER || value < min || value > max) {
		cursor->is_bad = true;
		return min;
	}
	return value;
}

bool cursor_take_null(struct cursor *cursor)
{
	if (sqlite3_column_type(cursor->statement, cursor->column) != SQLITE_NULL)
		return false;
	cursor->column++;
	return true;
}

double cursor_take_real(struct cursor *cursor)
{
	double value;

	if (cursor_take_null(cursor))
		return NAN;
	value = sqlite3_column_double(cursor->statement, cursor->column);
	if (sqlite3_column_type(cursor->statement, cursor->column++) != SQLITE_FLOAT || !isfinite(value) ||
	    value < 0) {
		cursor->is_bad = true;
		return NAN;
	}
	return value;
}

const char *cursor_take_text(struct cursor *cursor)
{
	int column = cursor->column++;
	const char *text = (const char *)sqlite3_column_text(cursor->statement, column);
	size_t length = (size_t)sqlite3_column_bytes(cursor->statement, column);
	char **copy = &cursor->texts[cursor->text];
	char *grown;

	if (sqlite3_column_type(cursor->statement, column) != SQLITE_TEXT || !text ||
	    length > SNAPSHOT_TEXT_MAX || memchr(text, 0, length)) {
		cursor->is_bad = true;
		return "";
	}
	grown = realloc(*copy, length + 1);
	if (!grown) {
		cursor->is_short_of_memory = true;
		return "";
	}
	*copy = grown;
	cursor->text++;
	text_sanitize(text, length, grown, length + 1);
	return grown;
}

const char *cursor_take_text_or_null(struct cursor *cursor)
{
	return cursor_take_null(cursor) ? NULL : cursor_take_text(cursor);
}

int cursor_take_word(struct cursor *cursor, const char *const *words, int count)
{
	const char *text = cursor_take_text(cursor);

	for (int i = 0; i < count; i++)
		if (!strcmp(text, words[i]))
			return i;
	cursor->is_bad = true;
	return 0;
}

struct error *cursor_fail(struct cursor *cursor, const char *why)
{
	return error_create(ERROR_BAD_FILE, 0, snapshot_hint_damaged, "damaged: table %s, row %llu: %s",
			    cursor->table, (unsigned long long)cursor->row, why);
}

struct error *cursor_check(struct cursor *cursor)
{
	if (cursor->is_short_of_memory)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "read");
	return cursor->is_bad ? cursor_fail(cursor, "a value that kiln does not write") : NULL;
}
