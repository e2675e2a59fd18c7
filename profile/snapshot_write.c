/* Writing a snapshot: a database of our own beside the target, filled in one transaction, synced, renamed.
 *
 * SQLite keeps no journal and syncs nothing here: until the rename nobody knows the file, and what fails is
 * thrown away as a whole. */
#include "profile/snapshot.h"

#include "base/cleanup.h"
#include "profile/snapshot_format.h"
#include "profile/snapshot_temporary.h"
#include "profile/snapshot_writer.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

static struct error *execute(struct writer *writer, const char *sql)
{
	if (sqlite3_exec(writer->db, sql, NULL, NULL, NULL) != SQLITE_OK)
		return writer_fail(writer, sql);
	return NULL;
}

/* ---- tables ---- */

static struct error *write_frames(struct writer *writer)
{
	_cleanup_(row_deinit) struct row row = {0};
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

/* Those of the frames that are written, by frame. */
static struct error *write_frame_inlines(struct writer *writer)
{
	_cleanup_(row_deinit) struct row row = {0};
	struct error *error = row_prepare(writer, "frame_inlined", 2, &row);

	for (size_t i = 0; !error && i < writer->frames.count; i++) {
		uint32_t inlined = profile_get_frame_inline(writer->profile, writer->frames.items[i]);

		if (!inlined)
			continue;
		row_bind_integer(&row, i + 1);
		row_bind_integer(&row, inlined);
		error = row_insert(&row);
	}
	return error;
}

static struct error *write_inlines(struct writer *writer)
{
	_cleanup_(row_deinit) struct row row = {0};
	struct error *error = row_prepare(writer, "inlined", 5, &row);
	uint32_t count = profile_count_inlines(writer->profile);

	for (uint32_t i = 1; !error && i <= count; i++) {
		struct inlined inlined = profile_get_inline(writer->profile, i);

		writer->needed[inlined.function] = 1;
		row_bind_integer(&row, i);
		row_bind_integer(&row, inlined.around);
		row_bind_integer(&row, inlined.function);
		row_bind_text(&row, *inlined.file ? inlined.file : NULL);
		row_bind_integer(&row, inlined.line);
		error = row_insert(&row);
	}
	return error;
}

static struct error *write_functions(struct writer *writer)
{
	_cleanup_(row_deinit) struct row row = {0};
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
	_cleanup_(row_deinit) struct row row = {0};
	struct error *error = row_prepare(writer, "stack", 6, &row);
	uint32_t count = profile_count_stacks(writer->profile);

	for (uint32_t i = 1; !error && i <= count; i++) {
		struct stack stack = profile_get_stack(writer->profile, i);
		uint32_t frame = writer_intern_frame(writer, stack.frame);

		if (!frame)
			return writer_fail_memory();
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
	_cleanup_(row_deinit) struct row row = {0};
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
	_cleanup_(row_deinit) struct row row = {0};
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
	_cleanup_(row_deinit) struct row row = {0};
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
	_cleanup_(row_deinit) struct row row = {0};
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
	_cleanup_(row_deinit) struct row row = {0};
	struct error *error = row_prepare(writer, table, 3, &row);

	for (size_t i = 0; !error && i < count; i++) {
		row_bind_integer(&row, i);
		row_bind_text(&row, names[i]);
		row_bind_integer(&row, counts[i]);
		error = row_insert(&row);
	}
	return error;
}

static struct error *write_meta(struct writer *writer)
{
	_cleanup_(row_deinit) struct row row = {0};
	struct error *error = row_prepare(writer, "meta", 2, &row);
	uint64_t checksum;
	struct facts facts;

	profile_get_facts(writer->profile, &facts);
	if (!error)
		error = row_insert_fields(&row, snapshot_meta, snapshot_meta_count, &facts);
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
		error = writer_write_heap(writer);
	if (!error)
		error = write_frames(writer);
	if (!error)
		error = write_frame_inlines(writer);
	if (!error)
		error = write_inlines(writer);
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
		if (schema_object_is_in(&snapshot_schema[i], SNAPSHOT_SCHEMA))
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
		return writer_fail_memory();
	if (sqlite3_open_v2(path, &writer.db, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK)
		return writer.db ? writer_fail(&writer, path) : writer_fail_memory();
	error = write_schema(&writer);
	if (!error)
		error = write_tables(&writer);
	if (!error)
		error = execute(&writer, "COMMIT");
	if (!error && sqlite3_close(writer.db) != SQLITE_OK)
		return writer_fail(&writer, "close");
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
