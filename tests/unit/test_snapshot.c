/* Snapshots: what is written is read back; what is damaged, foreign or hostile is refused; what is killed or
 * full while it writes leaves the old file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "profile/snapshot.h"
#include "profile/snapshot_format.h"
#include "tests/support/fixture.h"
#include "tests/support/profile_equal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define TRUNCATIONS 30
#define FLIPS	    300

static char directory[64];
static char path[128];	 /* of the fixture's snapshot */
static char target[128]; /* for each test to write */
static struct profile *fixture;

static void cleanup_profile(struct profile **profile)
{
	profile_destroy(*profile);
}
#define _cleanup_profile_ _cleanup_(cleanup_profile)

static void assert_no_error(struct error *error)
{
	if (error)
		fail_msg("%s", error_get_message(error));
}

/* The message must contain `part`; takes the error. */
static void assert_error(struct error *error, enum error_code code, const char *part)
{
	assert_non_null(error);
	if (error_get_code(error) != code || !strstr(error_get_message(error), part))
		fail_msg("expected %d \"%s\", got %d \"%s\"", code, part, error_get_code(error),
			 error_get_message(error));
	assert_non_null(error_get_hint(error));
	error_destroy(error);
}

static void assert_equal(struct profile *a, struct profile *b)
{
	if (!profile_equal(a, b, stderr))
		fail_msg("the profiles differ");
}

static void assert_reads_back(struct profile *profile)
{
	_cleanup_profile_ struct profile *read = NULL;

	assert_no_error(snapshot_write(profile, target));
	assert_no_error(snapshot_read(target, &read));
	assert_equal(profile, read);
}

static unsigned char *load(const char *file, size_t *ret_size)
{
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC);
	struct stat status;
	unsigned char *bytes;

	assert_return_code(fd, errno);
	assert_return_code(fstat(fd, &status), errno);
	bytes = malloc((size_t)status.st_size + 1);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)status.st_size), status.st_size);
	*ret_size = (size_t)status.st_size;
	return bytes;
}

static void store(const char *file, const void *bytes, size_t size)
{
	_cleanup_close_ int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_return_code(fd, errno);
	assert_int_equal(write(fd, bytes, size), size);
}

/* Nothing but these files is in the directory. */
static void assert_files(unsigned expected)
{
	char command[128], line[64] = "";
	_cleanup_(cleanup_fclose) FILE *list = NULL;
	unsigned count = 0;

	snprintf(command, sizeof(command), "ls -A %s", directory);
	list = popen(command, "r");
	assert_non_null(list);
	while (fgets(line, sizeof(line), list))
		count++;
	pclose(take_ptr(list));
	assert_int_equal(count, expected);
}

/* ---- round trips ---- */

static void test_round_trip(void **state)
{
	struct stat status;

	unlink(target);
	assert_reads_back(fixture);
	assert_return_code(stat(target, &status), errno);
	assert_int_equal(status.st_mode & 0777, 0600);
	assert_files(2);
}

static void test_round_trip_without_names(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL, *read = NULL;

	assert_no_error(fixture_profile_create_unnamed(&profile));
	assert_reads_back(profile);
	/* Names that come later find the frames of a snapshot, too. */
	assert_no_error(snapshot_read(target, &read));
	fixture_profile_name_all(read);
	assert_equal(fixture, read);
}

static void test_round_trip_of_nothing(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;

	assert_no_error(profile_create(&profile));
	assert_reads_back(profile);
}

static void test_round_trip_of_extremes(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct facts facts = {
		.pid = UINT32_MAX,
		.comm = "",
		.cmdline = "a \"b\" 'c' ; DROP TABLE meta; -- ünï",
		.duration_ns = 3600000000000,
		.hz_requested = 10000,
		.target_cpu_s = NAN,
		.self_cpu_s = 0,
		.exit_kind = EXIT_SIGNAL,
		.exit_value = 9,
		.is_rescued = true,
		.lost = {1, 2, 3, 4, 5, 6, 1ull << 40},
	};
	uint32_t stack = 0;
	char name[4097];

	assert_no_error(profile_create(&profile));
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	for (uint32_t i = 0; i < 1200; i++) {
		stack = profile_intern_stack(profile, stack,
					     FRAME(MODULE_LIMIT - 1, i % 2 ? FRAME_OFFSET_MASK : 0));
		assert_int_not_equal(stack, 0);
	}
	profile_set_frame(profile, FRAME(MODULE_LIMIT - 1, 0),
			  profile_intern_function(profile, MODULE_LIMIT - 1, name), name, UINT32_MAX);
	profile_add_samples(profile, stack, 3599999999999, 4194303, 8191, SAMPLE_KERNEL, STACK_COMPLETE, 1);
	profile_add_samples(profile, stack, 5, 0, 0, SAMPLE_USER, STACK_COMPLETE, UINT32_MAX);
	assert_no_error(profile_add_event(profile, 7, "exec /bin/true"));
	assert_no_error(profile_add_gap(profile, 1000000000, 2000000000));
	assert_no_error(profile_set_facts(profile, &facts));
	assert_reads_back(profile);
}

static void test_replaces_and_follows_links(void **state)
{
	_cleanup_profile_ struct profile *empty = NULL, *read = NULL;
	char link[160];
	struct stat status;

	snprintf(link, sizeof(link), "%s/link", directory);
	assert_no_error(profile_create(&empty));
	assert_no_error(snapshot_write(empty, target));
	assert_return_code(symlink(target, link), errno);
	assert_no_error(snapshot_write(fixture, link));
	assert_return_code(lstat(link, &status), errno);
	assert_true(S_ISLNK(status.st_mode));
	assert_no_error(snapshot_read(target, &read));
	assert_equal(fixture, read);
	unlink(link);
	/* A rename would put a file in the place of the device. */
	assert_error(snapshot_write(fixture, "/dev/null"), ERROR_GENERAL, "no regular file");
	assert_error(snapshot_write(fixture, directory), ERROR_GENERAL, "no regular file");
	assert_error(snapshot_write(fixture, "/nowhere/x.kiln"), ERROR_GENERAL, "No such file");
	assert_error(snapshot_write(fixture, "/tmp/"), ERROR_GENERAL, "no file name");
	assert_files(2);
}

/* ---- for people with sqlite3 ---- */

static int64_t query(const char *file, const char *sql)
{
	sqlite3_stmt *statement;
	int64_t value;
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK)
		fail_msg("%s: %s", sql, sqlite3_errmsg(db));
	assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
	value = sqlite3_column_int64(statement, 0);
	sqlite3_finalize(statement);
	sqlite3_close(db);
	return value;
}

static void test_views(void **state)
{
	struct totals totals;

	profile_get_totals(fixture, &totals);
	assert_int_equal(query(path, "SELECT sum(self) FROM functions"), totals.samples);
	assert_int_equal(query(path, "SELECT count(*) FROM functions"), profile_count_hot(fixture));
	assert_int_equal(query(path, "SELECT self FROM functions LIMIT 1"),
			 profile_get_function(fixture, profile_get_function_by_self(fixture, 0)).self);
	assert_int_equal(query(path, "SELECT sum(samples) FROM stacks"), totals.samples);
	assert_int_equal(
		query(path, "SELECT sum(samples) FROM stacks WHERE stack LIKE "
			    "'%start_thread;%;json::Parser::next()'"),
		query(path, "SELECT sum(s.self) FROM stack s JOIN frames f ON f.id = s.frame JOIN stack p ON "
			    "p.id = s.parent WHERE f.function = 'json::Parser::next()' AND s.ending = 0") -
			query(path, "SELECT sum(samples) FROM stacks WHERE stack LIKE "
				    "'%Config::merge(Config const&);json::Parser::next()'"));
	assert_int_equal(query(path, "SELECT sum(samples) FROM stacks WHERE ending = 'jit'"),
			 totals.ends[STACK_JIT]);
	assert_int_equal(query(path, "SELECT sum(samples) FROM timeline"), totals.samples);
	assert_int_equal(query(path, "SELECT sum(kernel_samples) FROM timeline"), totals.kernel_samples);
	assert_int_equal(query(path, "SELECT sum(incomplete) FROM timeline"),
			 totals.samples - totals.ends[STACK_COMPLETE]);
	assert_int_equal(query(path, "SELECT count(*) FROM sites"), 0);
	assert_int_equal(query(path, "SELECT count(*) FROM frames WHERE function IS NULL"), 0);
	assert_int_equal(query(path, "PRAGMA user_version"), 1);
	assert_int_equal(query(path, "PRAGMA application_id"), 0x6b696c6e);
}

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

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void test_flipped(void **state)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	uint64_t random = 0x6b696c6e;
	unsigned refused = 0;
	size_t size;

	bytes = load(path, &size);
	for (size_t i = 0; i < FLIPS; i++) {
		_cleanup_profile_ struct profile *read = NULL;
		/* The first third in the header and the schema, where it hurts most. */
		size_t at = next_random(&random) % (i < FLIPS / 3 ? 4096 : size);
		unsigned char flip = (unsigned char)(1 + next_random(&random) % 255);

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
	/* Not by one who knows it; then what is read is still sound: the sums are made anew. */
	change("UPDATE function SET self = 1 << 60, total = 3; UPDATE stack_end SET samples = 7", true);
	assert_no_error(snapshot_read(target, &read));
	assert_equal(fixture, read);
}

static void test_unknown_facts_are_skipped(void **state)
{
	_cleanup_profile_ struct profile *read = NULL;

	change("INSERT INTO meta VALUES('colour', 'green')", true);
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

/* ---- the writer child ---- */

struct saving {
	struct loop *loop;
	struct error *error;
	bool is_done;
};

static void on_done(void *arg, struct error *error)
{
	struct saving *saving = arg;

	assert_false(saving->is_done);
	saving->is_done = true;
	saving->error = error;
	loop_quit(saving->loop, 0);
}

static void cleanup_loop(struct loop **loop)
{
	loop_destroy(*loop);
}

static void test_child_writes(void **state)
{
	_cleanup_(cleanup_loop) struct loop *loop = NULL;
	_cleanup_profile_ struct profile *read = NULL;
	struct saving saving = {0};

	unlink(target);
	assert_no_error(loop_create(&loop));
	saving.loop = loop;
	assert_no_error(snapshot_write_in_child(fixture, target, loop, on_done, &saving));
	loop_run(loop);
	assert_no_error(saving.error);
	assert_no_error(snapshot_read(target, &read));
	assert_equal(fixture, read);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	assert_files(2);
}

static void test_child_tells_errors(void **state)
{
	_cleanup_(cleanup_loop) struct loop *loop = NULL;
	struct saving saving = {0};

	assert_no_error(loop_create(&loop));
	saving.loop = loop;
	assert_no_error(snapshot_write_in_child(fixture, "/nowhere/x.kiln", loop, on_done, &saving));
	loop_run(loop);
	assert_error(saving.error, ERROR_GENERAL, "/nowhere/.x.kiln.tmp-");
}

/* Many distinct stacks, so that writing takes a while. */
static struct profile *make_big(uint32_t stacks)
{
	struct facts facts = {.pid = 7, .comm = "big", .duration_ns = 60000000000};
	struct profile *profile;
	uint64_t random = 88172645463325252ull;
	char name[64];

	assert_no_error(profile_create(&profile));
	for (uint32_t i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "function_%u(int, char const*)", i);
		profile_set_frame(profile, FRAME(16 + i % 20, 64 * i),
				  profile_intern_function(profile, 16 + i % 20, name), "/src/file.cc", i);
	}
	while (profile_count_stacks(profile) < stacks) {
		uint64_t depth = 3 + next_random(&random) % 30;
		uint32_t stack = 0;

		for (uint64_t j = 0; j < depth; j++) {
			uint64_t i = j < 4 ? next_random(&random) % 8 : next_random(&random) % 5000;

			stack = profile_intern_stack(profile, stack, FRAME(16 + i % 20, 64 * i));
		}
		profile_add_samples(profile, stack, next_random(&random) % 60000000000, (uint32_t)depth, 1,
				    SAMPLE_USER, STACK_COMPLETE, 1);
	}
	assert_no_error(profile_set_facts(profile, &facts));
	return profile;
}

/* Waits until the temporary file has that many bytes; 0: the writer was faster. */
static pid_t wait_for_writer(int inotify_fd, off_t bytes)
{
	char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));

	for (;;) {
		ssize_t length = read(inotify_fd, buffer, sizeof(buffer));

		assert_true(length > 0);
		for (char *at = buffer; at < buffer + length;) {
			struct inotify_event *event = (struct inotify_event *)at;
			const char *pid = event->len ? strstr(event->name, ".tmp-") : NULL;
			char file[400];
			struct stat status;

			if (event->mask & IN_MOVED_TO)
				return 0;
			snprintf(file, sizeof(file), "%s/%s", directory, event->len ? event->name : "");
			if (pid && !stat(file, &status) && status.st_size >= bytes)
				return atoi(pid + 5);
			at += sizeof(*event) + event->len;
		}
	}
}

static bool kill_writer(struct profile *big, off_t bytes)
{
	_cleanup_(cleanup_loop) struct loop *loop = NULL;
	_cleanup_profile_ struct profile *read = NULL;
	_cleanup_close_ int inotify_fd = inotify_init1(IN_CLOEXEC);
	struct saving saving = {0};
	bool is_killed;
	pid_t pid;

	assert_no_error(snapshot_write(fixture, target));
	assert_return_code(inotify_fd, errno);
	assert_return_code(inotify_add_watch(inotify_fd, directory, IN_CREATE | IN_MODIFY | IN_MOVED_TO),
			   errno);
	assert_no_error(loop_create(&loop));
	saving.loop = loop;
	assert_no_error(snapshot_write_in_child(big, target, loop, on_done, &saving));
	pid = wait_for_writer(inotify_fd, bytes);
	if (pid)
		kill(pid, SIGKILL);
	loop_run(loop);
	is_killed = saving.error != NULL;
	if (is_killed)
		assert_error(saving.error, ERROR_GENERAL, "killed by signal 9");
	/* The old file or the new one, and nothing beside it. */
	assert_no_error(snapshot_read(target, &read));
	assert_equal(is_killed ? fixture : big, read);
	assert_files(2);
	return is_killed;
}

static void test_child_is_killed(void **state)
{
	static const off_t moments[] = {0, 1, 4096, 200000, 900000, 1500000};
	_cleanup_profile_ struct profile *big = make_big(100000);
	unsigned killed = 0;

	for (size_t i = 0; i < sizeof(moments) / sizeof(*moments); i++)
		killed += kill_writer(big, moments[i]);
	assert_in_range(killed, 1, sizeof(moments) / sizeof(*moments));
}

static void test_disk_is_full(void **state)
{
	static const rlim_t limits[] = {0, 100, 4096, 50000};

	assert_no_error(snapshot_write(fixture, target));
	for (size_t i = 0; i < sizeof(limits) / sizeof(*limits); i++) {
		_cleanup_profile_ struct profile *read = NULL;
		int status;
		pid_t pid = fork();

		if (!pid) {
			struct error *error;

			signal(SIGXFSZ, SIG_IGN);
			setrlimit(RLIMIT_FSIZE, &(struct rlimit){limits[i], limits[i]});
			error = snapshot_write(fixture, target);
			_exit(!error || error_get_code(error) != ERROR_GENERAL || !error_get_hint(error));
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_no_error(snapshot_read(target, &read));
		assert_equal(fixture, read);
		assert_files(2);
	}
}

static double get_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_big(void **state)
{
	_cleanup_profile_ struct profile *big = make_big(100000), *read = NULL;
	double start = get_seconds(), written, done;

	assert_no_error(snapshot_write(big, target));
	written = get_seconds();
	assert_no_error(snapshot_read(target, &read));
	done = get_seconds();
	print_message("# %u stacks: written in %.3f s, read in %.3f s, %lld bytes\n",
		      profile_count_stacks(big), written - start, done - written,
		      (long long)query(target, "SELECT page_count * page_size FROM "
					       "pragma_page_count, pragma_page_size"));
	assert_equal(big, read);
}

/* ---- source and names of files ---- */

static void test_source(void **state)
{
	struct profile *profile;
	struct source *source;
	struct source_status status;
	struct totals totals;

	profile_get_totals(fixture, &totals);
	assert_no_error(snapshot_read(path, &profile));
	assert_no_error(snapshot_source_create(profile, path, &source));
	assert_null(source->ops->pause);
	source->ops->get_status(source, &status);
	assert_int_equal(status.state, SOURCE_SNAPSHOT);
	assert_int_equal(status.samples, totals.samples);
	assert_string_equal(status.target, "api-server");
	assert_true(fabs(status.hz_delivered - 98.7) < 0.01);
	assert_true(fabs(status.complete_pct - 100.0 * totals.ends[0] / totals.samples) < 0.01);
	assert_string_equal(status.note, "snapshot taken 2026-03-02 12:00:00 UTC on api-prod-3, cpu-clock");
	assert_error(source->ops->save(source, NULL, NULL, NULL), ERROR_USAGE, "already");
	source->ops->destroy(source);
}

static void on_saved(void *arg, struct error *error, const char *saved_path)
{
	assert_null(error);
	assert_string_equal(saved_path, target);
	*(bool *)arg = true;
}

static void test_source_saves_a_copy(void **state)
{
	_cleanup_profile_ struct profile *read = NULL;
	struct profile *profile;
	struct source *source;
	bool saved = false;

	unlink(target);
	assert_no_error(snapshot_read(path, &profile));
	assert_no_error(snapshot_source_create(profile, path, &source));
	assert_no_error(source->ops->save(source, target, on_saved, &saved));
	assert_true(saved);
	assert_no_error(snapshot_read(target, &read));
	assert_equal(fixture, read);
	source->ops->destroy(source);
}

static void assert_expands(const char *pattern, const struct facts *facts, const char *expected)
{
	_cleanup_free_ char *text = NULL;

	assert_no_error(snapshot_expand_path(pattern, facts, &text));
	assert_string_equal(text, expected);
}

static void test_paths(void **state)
{
	const struct facts facts = {
		.pid = 4242, .comm = "../a b%", .host = "h/o", .start_unix_ns = 1772452801000000000};
	_cleanup_free_ char *text = NULL;

	assert_expands("%p-%t-%h-%%.kiln", &facts, "4242-20260302-120001-h_o-%.kiln");
	assert_expands("plain", &facts, "plain");
	assert_expands("", &facts, "");
	assert_expands("%h", &(struct facts){.host = NULL}, "unknown");
	assert_error(snapshot_expand_path("a%xb", &facts, &text), ERROR_USAGE, "%x stands for nothing");
	assert_error(snapshot_expand_path("a%", &facts, &text), ERROR_USAGE, "stands for nothing");
	assert_null(text);
	assert_no_error(snapshot_make_default_path(".", &facts, &text));
	assert_string_equal(text, "./_._a_b_-4242-20260302-120001.kiln");
}

/* ---- */

static int set_up(void **state)
{
	strcpy(directory, "/tmp/kiln-test-XXXXXX");
	if (!mkdtemp(directory))
		return -1;
	snprintf(path, sizeof(path), "%s/fixture.kiln", directory);
	snprintf(target, sizeof(target), "%s/target.kiln", directory);
	assert_no_error(fixture_profile_create(&fixture));
	assert_no_error(snapshot_write(fixture, path));
	return 0;
}

static int tear_down(void **state)
{
	unlink(path);
	unlink(target);
	profile_destroy(fixture);
	return rmdir(directory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_round_trip_without_names),
		cmocka_unit_test(test_round_trip_of_nothing),
		cmocka_unit_test(test_round_trip_of_extremes),
		cmocka_unit_test(test_replaces_and_follows_links),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_foreign),
		cmocka_unit_test(test_newer),
		cmocka_unit_test(test_hostile_schema),
		cmocka_unit_test(test_hostile_values),
		cmocka_unit_test(test_hostile_pages),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_unknown_facts_are_skipped),
		cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_child_writes),
		cmocka_unit_test(test_child_tells_errors),
		cmocka_unit_test(test_child_is_killed),
		cmocka_unit_test(test_disk_is_full),
		cmocka_unit_test(test_big),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_source_saves_a_copy),
		cmocka_unit_test(test_paths),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
