#include "profile/snapshot_writer.h"

#include "base/hash.h"
#include "profile/snapshot_format.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

struct error *writer_fail(struct writer *writer, const char *what)
{
	int code = sqlite3_errcode(writer->db), saved_errno = sqlite3_system_errno(writer->db);

	if (code == SQLITE_NOMEM)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "%s", what);
	if ((code & 0xff) == SQLITE_FULL && !saved_errno)
		saved_errno = ENOSPC;
	return error_create(ERROR_GENERAL, saved_errno, "free some space, or save somewhere else", "%s: %s",
			    what, sqlite3_errmsg(writer->db));
}

struct error *writer_fail_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "snapshot");
}

void row_deinit(struct row *row)
{
	sqlite3_finalize(row->statement);
}

struct error *row_prepare(struct writer *writer, const char *table, int columns, struct row *ret)
{
	char sql[128];
	int used = snprintf(sql, sizeof(sql), "INSERT INTO %s VALUES(?", table);

	for (int i = 1; i < columns; i++)
		used += snprintf(sql + used, sizeof(sql) - (size_t)used, ",?");
	snprintf(sql + used, sizeof(sql) - (size_t)used, ")");
	ret->writer = writer;
	ret->column = 0;
	ret->hash = ret->start = row_hash_text(0, table, strlen(table));
	if (sqlite3_prepare_v3(writer->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &ret->statement, NULL) !=
	    SQLITE_OK)
		return writer_fail(writer, sql);
	return NULL;
}

void row_bind_integer(struct row *row, uint64_t value)
{
	int64_t bound = value > INT64_MAX ? INT64_MAX : (int64_t)value;

	sqlite3_bind_int64(row->statement, ++row->column, bound);
	row->hash = row_hash_integer(row->hash, bound);
}

void row_bind_null(struct row *row)
{
	sqlite3_bind_null(row->statement, ++row->column);
	row->hash = row_hash_null(row->hash);
}

void row_bind_real(struct row *row, double value)
{
	if (!isfinite(value)) {
		row_bind_null(row);
		return;
	}
	sqlite3_bind_double(row->statement, ++row->column, value);
	row->hash = row_hash_real(row->hash, value);
}

/* NULL is NULL. */
void row_bind_text(struct row *row, const char *text)
{
	size_t length;

	if (!text) {
		row_bind_null(row);
		return;
	}
	length = strnlen(text, SNAPSHOT_TEXT_MAX);
	sqlite3_bind_text(row->statement, ++row->column, text, (int)length, SQLITE_STATIC);
	row->hash = row_hash_text(row->hash, text, length);
}

/* A value that came over a socket may be none of the words: the first one says least. */
void row_bind_word(struct row *row, const char *const *words, unsigned count, unsigned word)
{
	row_bind_text(row, words[word < count ? word : 0]);
}

struct error *row_insert(struct row *row)
{
	int code = sqlite3_step(row->statement);

	sqlite3_reset(row->statement);
	if (code != SQLITE_DONE)
		return writer_fail(row->writer, "write snapshot");
	row->writer->checksum += row->hash;
	row->hash = row->start;
	row->column = 0;
	return NULL;
}

/* ---- facts ---- */

static void bind_field(struct row *row, const struct meta_field *field, const void *facts)
{
	const char *at = (const char *)facts + field->offset;

	switch (field->type) {
	case META_TEXT:
		row_bind_text(row, *(const char *const *)at);
		break;
	case META_UINT32:
		row_bind_integer(row, *(const uint32_t *)at);
		break;
	case META_UINT64:
		row_bind_integer(row, *(const uint64_t *)at);
		break;
	case META_REAL:
		row_bind_real(row, *(const double *)at);
		break;
	case META_BOOL:
		row_bind_integer(row, *(const bool *)at);
		break;
	case META_INT:
		/* exit codes and signals: never below 0 */
		row_bind_integer(row, *(const int *)at < 0 ? 0 : (uint64_t) * (const int *)at);
		break;
	case META_MODE:
		row_bind_word(row, snapshot_mode_names, SNAPSHOT_MODES, *(const enum heap_mode *)at);
		break;
	case META_EXIT:
		row_bind_word(row, snapshot_exit_names, SNAPSHOT_EXITS, *(const enum exit_kind *)at);
		break;
	}
}

struct error *row_insert_fields(struct row *row, const struct meta_field *fields, size_t count,
				const void *facts)
{
	struct error *error = NULL;

	for (size_t i = 0; !error && i < count; i++) {
		row_bind_text(row, fields[i].key);
		bind_field(row, &fields[i], facts);
		error = row_insert(row);
	}
	return error;
}

/* ---- frames ---- */

static bool grow_slots(struct writer *writer)
{
	size_t count = writer->slot_count ? writer->slot_count * 2 : 4096;
	uint32_t *slots = calloc(count, sizeof(*slots));

	if (!slots)
		return false;
	for (size_t i = 0; i < writer->frames.count; i++) {
		size_t slot = hash_u64(writer->frames.items[i]) & (count - 1);

		while (slots[slot])
			slot = (slot + 1) & (count - 1);
		slots[slot] = (uint32_t)i + 1;
	}
	free(writer->slots);
	writer->slots = slots;
	writer->slot_count = count;
	return true;
}

uint32_t writer_intern_frame(struct writer *writer, uint64_t frame)
{
	size_t slot;

	if (writer->frames.count * 2 >= writer->slot_count && !grow_slots(writer))
		return 0;
	slot = hash_u64(frame) & (writer->slot_count - 1);
	for (; writer->slots[slot]; slot = (slot + 1) & (writer->slot_count - 1))
		if (writer->frames.items[writer->slots[slot] - 1] == frame)
			return writer->slots[slot];
	if (!array_append(&writer->frames, frame))
		return 0;
	writer->slots[slot] = (uint32_t)writer->frames.count;
	return writer->slots[slot];
}
