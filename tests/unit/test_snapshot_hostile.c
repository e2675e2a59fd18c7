/* Snapshots that are damaged, foreign or hostile are refused with exit code 6, or read as what they are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "profile/snapshot.h"
#include "profile/snapshot_format.h"
#include "tests/support/profile_equal.h"
#include "tests/support/snapshot_files.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRUNCATIONS 30
#define FLIPS	    300

/* ---- damaged ---- */

/* Refused with exit code 6, or harmless. */
static bool reads_as_fixture_or_refuses(const char *file)
{
	_cleanup_profile_ struct profile *read = NULL;
	_cleanup_error_ struct error *error = snapshot_read(file, &read);

	if (!error)
		return profile_equal(fixture, read, stderr);
	return error_get_code(error) == ERROR_BAD_FILE && error_get_hint(error);
}

static void test_truncated(void **state)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	size_t size;

	bytes = load(path, &size);
	for (size_t i = 0; i < TRUNCATIONS; i++) {
		_cleanup_profile_ struct profile *read = NULL;
		size_t cut = i < 10 ? i * 12 : size * (i - 9) / (TRUNCATIONS - 9) - 1;
		struct error *error;

		store(target, bytes, cut);
		error = snapshot_read(target, &read);
		assert_error(error, ERROR_BAD_FILE, target);
	}
}

static void test_flipped(void **state)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	uint64_t random = 0x6b696c6e;
	unsigned refused = 0;
	size_t size, schema;

	bytes = load(path, &size);
	schema = (size_t)((unsigned char *)memmem(bytes, size, "CREATE VIEW", 11) - bytes) / 4096 * 4096;
	for (size_t i = 0; i < FLIPS; i++) {
		_cleanup_profile_ struct profile *read = NULL;
		/* The first third in the header and in a page of the schema, where it hurts most. */
		size_t at = next_random(&random) % (i < FLIPS / 6 ? 100 : i < FLIPS / 3 ? 4096 : size);
		unsigned char flip = (unsigned char)(1 + next_random(&random) % 255);

		at += i >= FLIPS / 6 && i < FLIPS / 3 ? schema : 0;
		bytes[at] ^= flip;
		store(target, bytes, size);
		if (!reads_as_fixture_or_refuses(target))
			fail_msg("byte %zu ^ %u: read as something else", at, flip);
		error_destroy(snapshot_read(target, &read));
		refused += !read;
		bytes[at] ^= flip;
	}
	/* Unused parts of pages may change; most bytes may not. */
	assert_in_range(refused, FLIPS / 2, FLIPS);
}

static void test_foreign(void **state)
{
	struct profile *read;
	char fifo[160];
	sqlite3 *db;

	store(target, "", 0);
	assert_error(snapshot_read(target, &read), ERROR_BAD_FILE, "empty");
	store(target, "hello", 5);
	assert_error(snapshot_read(target, &read), ERROR_BAD_FILE, "no kiln snapshot");
	store(target, "SQLite format 3", 16);
	assert_error(snapshot_read(target, &read), ERROR_BAD_FILE, "no kiln snapshot");
	assert_error(snapshot_read("/proc/self/exe", &read), ERROR_BAD_FILE, "no SQLite database");
	assert_error(snapshot_read(directory, &read), ERROR_BAD_FILE, "directory");
	assert_error(snapshot_read("/dev/zero", &read), ERROR_BAD_FILE, "no regular file");
	assert_error(snapshot_read("/nowhere/x.kiln", &read), ERROR_GENERAL, "No such file");
	snprintf(fifo, sizeof(fifo), "%s/fifo", directory);
	assert_return_code(mkfifo(fifo, 0600), errno);
	assert_error(snapshot_read(fifo, &read), ERROR_BAD_FILE, "no regular file");
	unlink(fifo);
	unlink(target);
	assert_int_equal(sqlite3_open(target, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "CREATE TABLE meta(key, value)", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_error(snapshot_read(target, &read), ERROR_BAD_FILE, "another program");
}

/* ---- hostile: whole databases with lies in them ---- */

static void copy_fixture(void)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	size_t size;

	bytes = load(path, &size);
	store(target, bytes, size);
}

static uint64_t hash_table(sqlite3 *db, const char *table)
{
	sqlite3_stmt *statement;
	uint64_t sum = 0;
	char sql[128];

	snprintf(sql, sizeof(sql), "SELECT * FROM %s%s", table,
		 strcmp(table, "meta") ? "" : " WHERE key != 'checksum'");
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		uint64_t hash = row_hash_text(0, table, strlen(table));

		for (int i = 0; i < sqlite3_column_count(statement); i++) {
			const char *text = (const char *)sqlite3_column_text(statement, i);
			size_t length = (size_t)sqlite3_column_bytes(statement, i);

			switch (sqlite3_column_type(statement, i)) {
			case SQLITE_INTEGER:
				hash = row_hash_integer(hash, sqlite3_column_int64(statement, i));
				break;
			case SQLITE_FLOAT:
				hash = row_hash_real(hash, sqlite3_column_double(statement, i));
				break;
			case SQLITE_NULL:
				hash = row_hash_null(hash);
				break;
			default:
				hash = row_hash_text(hash, text, length);
			}
		}
		sum += hash;
	}
	sqlite3_finalize(statement);
	return sum;
}

/* A liar who knows the checksum. */
static void fix_checksum(sqlite3 *db)
{
	uint64_t sum = 0;
	char sql[128];

	for (size_t i = 0; i < snapshot_schema_count; i++)
		if (!strcmp(snapshot_schema[i].type, "table"))
			sum += hash_table(db, snapshot_schema[i].name);
	snprintf(sql, sizeof(sql), "UPDATE meta SET value = %lld WHERE key = 'checksum'", (long long)sum);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void change(const char *sql, bool is_consistent)
{
	char *message = NULL;
	sqlite3 *db;

	copy_fixture();
	assert_int_equal(sqlite3_open_v2(target, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	sqlite3_exec(db, "PRAGMA synchronous=OFF", NULL, NULL, NULL);
	if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	if (is_consistent)
		fix_checksum(db);
	sqlite3_close(db);
}

/* Whoever changes the file is found out by the checksum. */
static void assert_noticed(const char *sql)
{
	struct profile *read;

	change(sql, false);
	assert_error(snapshot_read(target, &read), ERROR_BAD_FILE, "checksum");
}

static void assert_refused(const char *sql, const char *part)
{
	struct profile *read;
	struct error *error;

	change(sql, strstr(sql, "DROP") == NULL);
	error = snapshot_read(target, &read);
	if (!error)
		fail_msg("not refused: %s", sql);
	assert_error(error, ERROR_BAD_FILE, part);
}

static void test_newer(void **state)
{
	assert_refused("PRAGMA user_version = 7", "made by a newer kiln (schema 7");
	assert_refused("PRAGMA user_version = 0", "header");
}

static void test_hostile_schema(void **state)
{
	static const char wrong[] = "not those of a snapshot";

	assert_refused("CREATE TABLE more(x)", wrong);
	assert_refused("CREATE TRIGGER t AFTER INSERT ON sample BEGIN SELECT 1; END", wrong);
	assert_refused("CREATE INDEX i ON sample(tid)", wrong);
	assert_refused(
		"DROP TABLE sample; CREATE VIEW sample AS SELECT 1 AS id, 0 AS time_ns, 0 AS tid, 0 AS cpu, "
		"0 AS kernel, 1 AS stack, 1 AS count",
		wrong);
	assert_refused("DROP VIEW functions; CREATE VIEW functions AS SELECT load_extension('x')", wrong);
	assert_refused("ALTER TABLE sample ADD COLUMN more", wrong);
}

static void test_hostile_values(void **state)
{
	static const char value[] = "a value that kiln does not write", parent[] = "table stack";

	assert_refused("UPDATE stack SET parent = id WHERE id = 5", value);
	assert_refused("UPDATE stack SET parent = 9 WHERE id = 5", value);
	assert_refused("UPDATE stack SET frame = 0 WHERE id = 5", value);
	assert_refused("UPDATE stack SET frame = 1 << 40 WHERE id = 5", value);
	assert_refused("UPDATE stack SET self = -1 WHERE id = 5", value);
	assert_refused("UPDATE stack SET self = 9223372036854775807 WHERE id = 5", "too few");
	assert_refused("UPDATE stack SET self_kernel = self + 1 WHERE id = 5", parent);
	assert_refused("UPDATE stack SET ending = 3 WHERE ending = 0", parent);
	assert_refused("UPDATE stack SET frame = 'x' WHERE id = 5", value);
	assert_refused("UPDATE stack SET id = id + 1 WHERE id = (SELECT max(id) FROM stack)", "not numbered");
	assert_refused("UPDATE frame SET module = 65536 WHERE id = 3", value);
	assert_refused("UPDATE frame SET offset = -1 WHERE id = 3", value);
	assert_refused("UPDATE frame SET function = 4000000000 WHERE id = 3", "no such function");
	assert_refused("UPDATE frame SET module = 4, offset = 99 WHERE id = 3", "no such end");
	assert_refused("UPDATE function SET name = x'ff00' WHERE id > 5", value);
	assert_refused("UPDATE function SET name = NULL WHERE provisional = 0", value);
	assert_refused("UPDATE function SET name = 'a' || char(0) || 'b' WHERE provisional = 0", value);
	assert_refused("UPDATE function SET name = hex(zeroblob(400000)) WHERE provisional = 0", value);
	assert_refused("UPDATE function SET name = hex(zeroblob(600000)) WHERE provisional = 0", "damaged");
	assert_refused("UPDATE sample SET count = 0 WHERE id = 7", value);
	assert_refused("UPDATE sample SET count = 9223372036854775807 WHERE id = 7", value);
	assert_refused("UPDATE sample SET count = 4294967295 WHERE id = 7",
		       "more samples than its stack has");
	assert_refused("UPDATE sample SET time_ns = 9000000000000000000 WHERE id = 7", value);
	assert_refused("UPDATE sample SET stack = 0 WHERE id = 7", value);
	assert_refused("DELETE FROM sample WHERE id = 7", "not numbered");
	assert_refused("DELETE FROM sample WHERE id = (SELECT max(id) FROM sample)", "too few");
	assert_refused("UPDATE meta SET value = 1e400 WHERE key = 'hz_requested'", value);
	assert_refused("UPDATE meta SET value = 'x' WHERE key = 'pid'", value);
	assert_refused("UPDATE meta SET value = 'exploded' WHERE key = 'exit_kind'", value);
	assert_refused("UPDATE meta SET value = 9223372036854775807 WHERE key = 'duration_ns'", "duration");
	assert_refused("DELETE FROM meta WHERE key = 'checksum'", "no checksum");
	assert_refused("UPDATE lost SET reason = 'none' WHERE id = 1", value);
	assert_refused("UPDATE event SET text = x'07'", value);
	assert_refused("UPDATE gap SET to_ns = 0; INSERT INTO gap VALUES(1, 5, 4)", value);
	assert_refused("UPDATE module SET kind = 'quantum' WHERE id = 17", value);
	assert_refused("UPDATE module SET id = 70000 WHERE id = 17", value);
}

static void test_hostile_heap(void **state)
{
	static const char value[] = "a value that kiln does not write", live[] = "more is live";

	assert_refused("UPDATE heap_stack SET parent = id WHERE id = 5", value);
	assert_refused("UPDATE heap_stack SET parent = 9 WHERE id = 5", value);
	assert_refused("UPDATE heap_stack SET parent = -1 WHERE id = 5", value);
	assert_refused("UPDATE heap_stack SET frame = 0 WHERE id = 5", value);
	assert_refused("UPDATE heap_stack SET frame = 1 << 40 WHERE id = 5", value);
	assert_refused("UPDATE heap_stack SET id = id + 1 WHERE id = (SELECT max(id) FROM heap_stack)",
		       "not numbered");
	assert_refused(
		"UPDATE heap_stack SET frame = (SELECT id FROM frame WHERE module = 4) WHERE parent > 0",
		"an end of a stack");
	assert_refused("UPDATE heap_stack SET live_bytes = alloc_bytes + 1 WHERE alloc_count > 0", live);
	assert_refused("UPDATE heap_stack SET live_count = alloc_count + 1 WHERE alloc_count > 0", live);
	assert_refused("UPDATE heap_stack SET peak_bytes = alloc_bytes + 1 WHERE alloc_count > 0", live);
	assert_refused("UPDATE heap_stack SET alloc_bytes = -1 WHERE alloc_count > 0", value);
	assert_refused("UPDATE heap_stack SET alloc_bytes = 5.5 WHERE alloc_count > 0", value);
	assert_refused("UPDATE heap_stack SET live_bytes = NULL WHERE id = 3", value);
	assert_refused("UPDATE heap_stack SET alloc_bytes = 1 WHERE alloc_count = 0", "without blocks");
	assert_refused("UPDATE heap_stack SET alloc_bytes = 9223372036854775807 WHERE alloc_count > 0",
		       "impossibly much");
	assert_refused("UPDATE heap_stack SET alloc_count = 9223372036854775807 WHERE alloc_count > 0",
		       "impossibly much");
	assert_refused("DELETE FROM heap", "no heap");
	assert_refused("DELETE FROM heap; DELETE FROM heap_stack", "no heap");
	assert_refused("UPDATE heap SET value = 'guessed' WHERE key = 'mode'", value);
	assert_refused("UPDATE heap SET value = -1 WHERE key = 'allocs'", value);
	assert_refused("UPDATE heap SET value = x'00' WHERE key = 'why'", value);
	assert_refused("UPDATE heap SET value = 1 << 32 WHERE key = 'slots'", value);
	assert_refused("UPDATE heap_point SET id = id + 1 WHERE id = (SELECT max(id) FROM heap_point)",
		       "not numbered");
	assert_refused("UPDATE heap_point SET time_ns = 9000000000000000000 WHERE id = 7", value);
	assert_refused("UPDATE heap_point SET time_ns = -1 WHERE id = 7", value);
	assert_refused("UPDATE heap_point SET length_ns = 7 WHERE id = 7", "no such length");
	assert_refused("UPDATE heap_point SET live_bytes = -1 WHERE id = 7", value);
	assert_refused("UPDATE heap_point SET rss_bytes = 'x' WHERE id = 7", value);
	assert_refused("UPDATE heap_point SET allocs = NULL WHERE id = 7", value);
}

/* More stacks in a chain than any can have frames. */
static void test_hostile_depth(void **state)
{
	assert_refused(
		"DELETE FROM heap_stack; WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
		"WHERE i < 9000) INSERT INTO heap_stack SELECT i, i - 1, 1, 0, 0, 0, 0, 0 FROM n",
		"too deep");
}

/* Interior pages that point at each other: found before anything is read. */
static void test_hostile_pages(void **state)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	uint32_t root = (uint32_t)query(path, "SELECT rootpage FROM sqlite_schema WHERE name = 'sample'");
	struct profile *read;
	unsigned char *page;
	size_t size;

	bytes = load(path, &size);
	page = bytes + (root - 1) * 4096;
	assert_int_equal(page[0], 5); /* interior page of a table */
	page[8] = page[9] = 0;
	page[10] = (unsigned char)(root >> 8);
	page[11] = (unsigned char)root;
	store(target, bytes, size);
	assert_error(snapshot_read(target, &read), ERROR_BAD_FILE, "damaged");
}

static void test_checksum(void **state)
{
	_cleanup_profile_ struct profile *read = NULL;

	assert_noticed("UPDATE sample SET tid = tid + 1 WHERE id = 7");
	assert_noticed("UPDATE sample SET time_ns = time_ns + 1 WHERE id = 7");
	assert_noticed("UPDATE function SET name = name || 'x' WHERE id = (SELECT function FROM frame WHERE "
		       "id = 9)");
	assert_noticed("UPDATE meta SET value = value + 1 WHERE key = 'pid'");
	assert_noticed("UPDATE event SET text = 'nothing' WHERE id = 1");
	assert_noticed("UPDATE lost SET count = 1 WHERE id = 1");
	assert_noticed("DELETE FROM event WHERE id = 1");
	assert_noticed("INSERT INTO meta VALUES('more', 1)");
	assert_noticed("UPDATE heap SET value = value + 1 WHERE key = 'live_bytes'");
	assert_noticed("UPDATE heap_stack SET live_bytes = live_bytes - 1 WHERE live_bytes > 0");
	assert_noticed("UPDATE heap_point SET rss_bytes = rss_bytes + 1 WHERE id = 7");
	/* Not by one who knows it; then what is read is still sound: the sums are made anew. */
	change("UPDATE function SET self = 1 << 60, total = 3; UPDATE stack_end SET samples = 7", true);
	assert_no_error(snapshot_read(target, &read));
	assert_equal(fixture, read);
}

static void test_unknown_facts_are_skipped(void **state)
{
	_cleanup_profile_ struct profile *read = NULL;

	change("INSERT INTO meta VALUES('colour', 'green'); INSERT INTO heap VALUES('colour', 'red')", true);
	assert_no_error(snapshot_read(target, &read));
	assert_equal(fixture, read);
}

static void test_hostile_names(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL, *read = NULL;
	struct function function;
	struct facts facts;

	assert_no_error(profile_create(&profile));
	profile_set_frame(profile, FRAME(16, 1),
			  profile_intern_function(profile, 16, "evil\x1b[2J\xff\xc2\x9b name"),
			  "\x1b]0;x\x07.c", 1);
	profile_add_samples(profile, profile_intern_stack(profile, 0, FRAME(16, 1)), 0, 1, 0, SAMPLE_USER,
			    STACK_COMPLETE, 3);
	facts = (struct facts){.comm = "a\nb", .duration_ns = 1};
	assert_no_error(profile_set_facts(profile, &facts));
	assert_no_error(snapshot_write(profile, target));
	assert_no_error(snapshot_read(target, &read));
	function = profile_get_function(read, profile_get_function_by_self(read, 0));
	assert_string_equal(function.name, "evil?[2J?? name");
	assert_string_equal(function.file, "?]0;x?.c");
	profile_get_facts(read, &facts);
	assert_string_equal(facts.comm, "a?b");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_newer),
		cmocka_unit_test(test_hostile_schema),
		cmocka_unit_test(test_hostile_values),
		cmocka_unit_test(test_hostile_heap),
		cmocka_unit_test(test_hostile_depth),
		cmocka_unit_test(test_hostile_pages),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_unknown_facts_are_skipped),
		cmocka_unit_test(test_hostile_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, snapshot_files_set_up, snapshot_files_tear_down);
}
