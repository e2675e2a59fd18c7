/* Writing a snapshot: a database of our own beside the target, filled in one transaction, synced, renamed.
 *
 * SQLite keeps no journal and syncs nothing here: until the rename nobody knows the file, and what fails is
 * thrown away as a whole. */
#include "profile/snapshot.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "profile/snapshot_format.h"
#include "profile/snapshot_temporary.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

struct writer {
	const struct profile *profile;
	sqlite3 *db;
	uint64_t checksum;
	/* The distinct frames in order of appearance; a frame's row id is its place + 1. */
	ARRAY(uint64_t)
	frames;
	uint32_t *slots; /* open addressing: place + 1 in frames, 0 empty */
	size_t slot_count;
	uint8_t *needed; /* by function number: a frame is in it */
};

/* One INSERT with its columns bound in order, and hashed as they are bound. */
struct row {
	struct writer *writer;
	sqlite3_stmt *statement;
	uint64_t start, hash;
	int column;
};

static struct error *fail_sqlite(struct writer *writer, const char *what)
{
	int code = sqlite3_errcode(writer->db), saved_errno = sqlite3_system_errno(writer->db);

	if (code == SQLITE_NOMEM)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "%s", what);
	if ((code & 0xff) == SQLITE_FULL && !saved_errno)
		saved_errno = ENOSPC;
	return error_create(ERROR_GENERAL, saved_errno, "free some space, or save somewhere else", "%s: %s",
			    what, sqlite3_errmsg(writer->db));
}

static struct error *fail_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "snapshot");
}

static struct error *execute(struct writer *writer, const char *sql)
{
	if (sqlite3_exec(writer->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return fail_sqlite(writer, sql);
	return NULL;
}

static void cleanup_row(struct row *row)
{
	sqlite3_finalize(row->statement);
}

static struct error *row_prepare(struct writer *writer, const char *table, int columns, struct row *ret)
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
		return fail_sqlite(writer, sql);
	return NULL;
}

static void row_bind_integer(struct row *row, uint64_t value)
{
	int64_t bound = value > INT64_MAX ? INT64_MAX : (int64_t)value;

	sqlite3_bind_int64(row->statement, ++row->column, bound);
	row->hash = row_hash_integer(row->hash, bound);
}

static void row_bind_null(struct row *row)
{
	sqlite3_bind_null(row->statement, ++row->column);
	row->hash = row_hash_null(row->hash);
}

static void row_bind_real(struct row *row, double value)
{
	if (!isfinite(value)) {
		row_bind_null(row);
		return;
	}
	sqlite3_bind_double(row->statement, ++row->column, value);
	row->hash = row_hash_real(row->hash, value);
}

/* NULL is NULL. */
static void row_bind_text(struct row *row, const char *text)
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
static void row_bind_word(struct row *row, const char *const *words, unsigned count, unsigned word)
{
	row_bind_text(row, words[word < count ? word : 0]);
}

static struct error *row_insert(struct row *row)
{
	int code = sqlite3_step(row->statement);

	sqlite3_reset(row->statement);
	if (code != SQLITE_DONE)
		return fail_sqlite(row->writer, "write snapshot");
	row->writer->checksum += row->hash;
	row->hash = row->start;
	row->column = 0;
	return NULL;
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

/* The row id of a frame; 0 when memory is short. */
static uint32_t intern_frame(struct writer *writer, uint64_t frame)
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

static struct error *write_frames(struct writer *writer)
{
	_cleanup_(cleanup_row) struct row row = {0};
	struct error *error = row_prepare(writer, "frame", 6, &row);

	for (size_t i = 0; !error && i < writer->frames.count; i++) {
		uint64_t frame = writer->frames.items[i];
		uint32_t function = 0, line = 0;
		const char *file = NULL;
		bool named = profile_get_name(writer->profile, frame, &function, &file, &line);

		row_bind_integer(&row, i + 1);
		row_bind_integer(&row, FRAME_MODULE(frame));
		row_bind_integer(&row, FRAME_OFFSET(frame));
		if (named) {
			writer->needed[function] = 1;
			row_bind_integer(&row, function);
			row_bind_text(&row, file && *file ? file : NULL);
			row_bind_integer(&row, line);
		} else {
			row_bind_null(&row);
			row_bind_null(&row);
			row_bind_integer(&row, 0);
		}
		error = row_insert(&row);
	}
	return error;
}

/* ---- the other tables ---- */

static struct error *write_functions(struct writer *writer)
{
	_cleanup_(cleanup_row) struct row row = {0};
	struct error *error = row_prepare(writer, "function", 8, &row);
	uint32_t count = profile_count_functions(writer->profile);

	for (uint32_t i = 0; !error && i < count; i++) {
		struct function function = profile_get_function(writer->profile, i);

		if (!function.total && !writer->needed[i])
			continue;
		row_bind_integer(&row, i);
		row_bind_integer(&row, function.module);
		row_bind_text(&row, function.name);
		row_bind_text(&row, function.file && *function.file ? function.file : NULL);
		row_bind_integer(&row, function.line);
		row_bind_integer(&row, function.self);
		row_bind_integer(&row, function.total);
		row_bind_integer(&row, !writer->needed[i]);
		error = row_insert(&row);
	}
	return error;
}

static struct error *write_stacks(struct writer *writer)
{
	_cleanup_(cleanup_row) struct row row = {0};
	struct error *error = row_prepare(writer, "stack", 6, &row);
	uint32_t count = profile_count_stacks(writer->profile);

	for (uint32_t i = 1; !error && i <= count; i++) {
		struct stack stack = profile_get_stack(writer->profile, i);
		uint32_t frame = intern_frame(writer, stack.frame);

		if (!frame)
			return fail_memory();
		row_bind_integer(&row, i);
		row_bind_integer(&row, stack.parent);
		row_bind_integer(&row, frame);
		row_bind_integer(&row, stack.self);
		row_bind_integer(&row, stack.self_kernel);
		row_bind_integer(&row, stack.end);
		error = row_insert(&row);
	}
	return error;
}

static struct error *write_samples(struct writer *writer)
{
	_cleanup_(cleanup_row) struct row row = {0};
	struct error *error = row_prepare(writer, "sample", 7, &row);
	size_t count = profile_count_log(writer->profile);

	for (size_t i = 0; !error && i < count; i++) {
		struct log_entry entry = profile_get_log(writer->profile, i);

		row_bind_integer(&row, i + 1);
		row_bind_integer(&row, entry.time_ns);
		row_bind_integer(&row, entry.tid);
		row_bind_integer(&row, entry.cpu);
		row_bind_integer(&row, entry.mode == SAMPLE_KERNEL);
		row_bind_integer(&row, entry.stack);
		row_bind_integer(&row, entry.count);
		error = row_insert(&row);
	}
	return error;
}

static struct error *write_modules(struct writer *writer)
{
	_cleanup_(cleanup_row) struct row row = {0};
	struct error *error = row_prepare(writer, "module", 7, &row);
	size_t count = profile_count_modules(writer->profile);

	for (size_t i = 0; !error && i < count; i++) {
		struct module module = profile_get_module(writer->profile, i);

		row_bind_integer(&row, module.id);
		row_bind_word(&row, snapshot_kind_names, SNAPSHOT_KINDS, module.kind);
		row_bind_word(&row, snapshot_symbols_names, SNAPSHOT_SYMBOLS, module.symbols);
		row_bind_text(&row, module.path ? module.path : "");
		row_bind_text(&row, module.name ? module.name : "");
		row_bind_text(&row, module.build_id ? module.build_id : "");
		row_bind_integer(&row, module.samples);
		error = row_insert(&row);
	}
	return error;
}

static struct error *write_events(struct writer *writer)
{
	_cleanup_(cleanup_row) struct row row = {0};
	struct error *error = row_prepare(writer, "event", 3, &row);
	size_t count = profile_count_events(writer->profile);

	for (size_t i = 0; !error && i < count; i++) {
		struct event event = profile_get_event(writer->profile, i);

		row_bind_integer(&row, i + 1);
		row_bind_integer(&row, event.time_ns);
		row_bind_text(&row, event.text);
		error = row_insert(&row);
	}
	return error;
}

static struct error *write_gaps(struct writer *writer)
{
	_cleanup_(cleanup_row) struct row row = {0};
	struct error *error = row_prepare(writer, "gap", 3, &row);
	size_t count = profile_count_gaps(writer->profile);

	for (size_t i = 0; !error && i < count; i++) {
		uint64_t from_ns, to_ns;

		profile_get_gap(writer->profile, i, &from_ns, &to_ns);
		row_bind_integer(&row, i + 1);
		row_bind_integer(&row, from_ns);
		row_bind_integer(&row, to_ns);
		error = row_insert(&row);
	}
	return error;
}

/* table: three columns, a number, its name, and a count. */
static struct error *write_counts(struct writer *writer, const char *table, const char *const *names,
				  const uint64_t *counts, size_t count)
{
	_cleanup_(cleanup_row) struct row row = {0};
	struct error *error = row_prepare(writer, table, 3, &row);

	for (size_t i = 0; !error && i < count; i++) {
		row_bind_integer(&row, i);
		row_bind_text(&row, names[i]);
		row_bind_integer(&row, counts[i]);
		error = row_insert(&row);
	}
	return error;
}

static void bind_field(struct row *row, const struct meta_field *field, const struct facts *facts)
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
	case META_EXIT:
		row_bind_word(row, snapshot_exit_names, SNAPSHOT_EXITS, *(const enum exit_kind *)at);
		break;
	}
}

static struct error *write_meta(struct writer *writer)
{
	_cleanup_(cleanup_row) struct row row = {0};
	struct error *error = row_prepare(writer, "meta", 2, &row);
	uint64_t checksum;
	struct facts facts;

	profile_get_facts(writer->profile, &facts);
	for (size_t i = 0; !error && i < snapshot_meta_count; i++) {
		row_bind_text(&row, snapshot_meta[i].key);
		bind_field(&row, &snapshot_meta[i], &facts);
		error = row_insert(&row);
	}
	if (error)
		return error;
	/* Last, over all rows but its own; as a signed number, SQLite has no other. */
	checksum = writer->checksum;
	row_bind_text(&row, SNAPSHOT_CHECKSUM_KEY);
	sqlite3_bind_int64(row.statement, 2, (int64_t)checksum);
	return row_insert(&row);
}

static struct error *write_tables(struct writer *writer)
{
	struct totals totals;
	struct error *error;

	profile_get_totals(writer->profile, &totals);
	/* Frames are known after the stacks, the functions that are needed after the frames. */
	error = write_modules(writer);
	if (!error)
		error = write_stacks(writer);
	if (!error)
		error = write_frames(writer);
	if (!error)
		error = write_functions(writer);
	if (!error)
		error = write_counts(writer, "stack_end", stack_end_names, totals.ends, STACK_ENDS);
	if (!error)
		error = write_samples(writer);
	if (!error)
		error = write_events(writer);
	if (!error)
		error = write_gaps(writer);
	if (!error)
		error = write_counts(writer, "lost", lost_reason_names, totals.lost, LOST_REASONS);
	if (!error)
		error = write_meta(writer);
	return error;
}

static struct error *write_schema(struct writer *writer)
{
	char pragmas[192];
	struct error *error;

	snprintf(pragmas, sizeof(pragmas),
		 "PRAGMA page_size=4096; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; "
		 "PRAGMA locking_mode=EXCLUSIVE; PRAGMA application_id=%d; PRAGMA user_version=%d",
		 SNAPSHOT_APPLICATION_ID, SNAPSHOT_SCHEMA);
	error = execute(writer, pragmas);
	if (!error)
		error = execute(writer, "BEGIN");
	for (size_t i = 0; !error && i < snapshot_schema_count; i++)
		error = execute(writer, snapshot_schema[i].sql);
	return error;
}

static void writer_deinit(struct writer *writer)
{
	sqlite3_close_v2(writer->db);
	array_deinit(&writer->frames);
	free(writer->slots);
	free(writer->needed);
}

static struct error *write_database(const struct profile *profile, const char *path)
{
	_cleanup_(writer_deinit) struct writer writer = {.profile = profile};
	struct error *error;

	writer.needed = calloc((size_t)profile_count_functions(profile) + 1, 1);
	if (!writer.needed)
		return fail_memory();
	if (sqlite3_open_v2(path, &writer.db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return writer.db ? fail_sqlite(&writer, path) : fail_memory();
	error = write_schema(&writer);
	if (!error)
		error = write_tables(&writer);
	if (!error)
		error = execute(&writer, "COMMIT");
	if (!error && sqlite3_close(writer.db) != SQLITE_OK)
		return fail_sqlite(&writer, "close");
	if (!error)
		writer.db = NULL;
	return error;
}

struct error *snapshot_write(const struct profile *profile, const char *path)
{
	_cleanup_(temporary_deinit) struct temporary temporary = TEMPORARY_NONE;
	struct error *error = temporary_create(path, &temporary);

	if (!error)
		error = write_database(profile, temporary.path);
	if (!error)
		error = temporary_commit(&temporary);
	return error_wrap(error, "snapshot %s", path);
}
