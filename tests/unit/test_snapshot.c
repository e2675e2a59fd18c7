/* Snapshots: what is written is read back; what is killed or full while it writes leaves the old file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/loop.h"
#include "profile/heap.h"
#include "profile/snapshot.h"
#include "profile/snapshot_format.h"
#include "tests/support/fixture.h"
#include "tests/support/profile_equal.h"
#include "tests/support/snapshot_files.h"

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

static void assert_reads_back(struct profile *profile)
{
	_cleanup_profile_ struct profile *read = NULL;

	assert_no_error(snapshot_write(profile, target));
	assert_no_error(snapshot_read(target, &read));
	assert_equal(profile, read);
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
	assert_no_error(fixture_add_heap(profile));
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

/* ---- heaps ---- */

/* Points of three weeks, a peak between two of them, pauses, times without the heap or without RSS. */
static void test_round_trip_of_a_long_heap(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct facts facts = {.pid = 7, .duration_ns = 21ull * 86400 * 1000000000};
	struct heap_facts now = {.why = "over budget", .cost_pct = NAN, .budget_pct = 5};
	uint64_t random = 88172645463325252ull;
	struct heap *heap;

	assert_no_error(profile_create(&profile));
	assert_no_error(profile_set_facts(profile, &facts));
	assert_no_error(profile_ensure_heap(profile, &heap));
	for (uint64_t time_ns = 0; time_ns < facts.duration_ns; time_ns += 9700000000) {
		now.mode = time_ns / 1000000000000 % 7 ? HEAP_MODE_EXACT : HEAP_MODE_CLOSED;
		now.global.live_bytes = next_random(&random) % 1000000;
		if (next_random(&random) % 50000 == 0) {
			now.global.peak_bytes += 500000;
			now.global.peak_ns = time_ns - 4000000000;
		}
		now.counters.allocs += next_random(&random) % 1000;
		now.counters.free_bytes += next_random(&random) % 1000;
		assert_no_error(heap_set_facts(heap, &now));
		if (time_ns / 100000000000 % 11)
			heap_add_point(heap, time_ns, next_random(&random) % 3 ? time_ns / 1000 : 0);
	}
	assert_reads_back(profile);
}

/* Every counter that there is, each with a value of its own: none may be forgotten. */
static void test_round_trip_of_heap_counters(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct heap_facts facts = {.cost_pct = 0, .budget_pct = 5.5};
	uint64_t *words;
	struct heap *heap;

	words = (uint64_t *)&facts.counters;
	for (size_t i = 0; i < offsetof(struct heap_counters, reserved) / 8; i++)
		words[i] = 1000000007 * (i + 1);
	words = (uint64_t *)&facts.global;
	for (size_t i = 0; i < offsetof(struct heap_global, rest) / 8; i++)
		words[i] = 77777777777 * (i + 1);
	assert_no_error(profile_create(&profile));
	assert_no_error(profile_ensure_heap(profile, &heap));
	assert_no_error(heap_set_facts(heap, &facts));
	assert_reads_back(profile);
}

static void test_round_trip_of_heap_facts(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL, *read = NULL;

	assert_no_error(profile_create(&profile));
	assert_no_error(fixture_add_heap_closed(profile, HEAP_MODE_OFF, "no allocator was found"));
	assert_reads_back(profile);
	assert_no_error(fixture_add_heap(profile));
	assert_no_error(fixture_add_heap_closed(profile, HEAP_MODE_CLOSED, "over 5 %"));
	assert_no_error(profile_set_facts(profile, &(struct facts){.duration_ns = 92000000000}));
	assert_reads_back(profile);
	/* Names that come later find the heap's frames, too, which nobody has asked for here. */
	assert_no_error(snapshot_read(target, &read));
	fixture_profile_name_all(read);
	fixture_profile_name_all(profile);
	assert_equal(profile, read);
}

/* What an older kiln has written: the same file without what came since. */
static void make_old(const char *file, uint32_t schema)
{
	char sql[2048];
	sqlite3 *db;

	assert_int_equal(sqlite3_open_v2(file, &db, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
	for (size_t i = 0; i < snapshot_schema_count; i++) {
		const struct schema_object *object = &snapshot_schema[i];
		bool is_view = !strcmp(object->type, "view");

		if (!schema_object_is_in(object, SNAPSHOT_SCHEMA) || (!is_view && object->first <= schema))
			continue;
		snprintf(sql, sizeof(sql), "DROP %s %s", object->type, object->name);
		assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	}
	for (size_t i = 0; i < snapshot_schema_count; i++)
		if (!strcmp(snapshot_schema[i].type, "view") &&
		    schema_object_is_in(&snapshot_schema[i], schema))
			assert_int_equal(sqlite3_exec(db, snapshot_schema[i].sql, NULL, NULL, NULL),
					 SQLITE_OK);
	snprintf(sql, sizeof(sql), "PRAGMA user_version = %u", schema);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void test_old_schema(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL, *read = NULL;

	assert_no_error(fixture_profile_create(&profile));
	assert_no_error(snapshot_write(profile, target));
	make_old(target, 1);
	assert_int_equal(query(target, "SELECT count(*) FROM sqlite_schema"), 15);
	assert_no_error(snapshot_read(target, &read));
	assert_null(profile_get_heap(read));
	assert_equal(profile, read);
}

static void test_schema_without_inlines(void **state)
{
	_cleanup_profile_ struct profile *read = NULL;

	assert_no_error(snapshot_write(fixture, target));
	make_old(target, 2);
	assert_no_error(snapshot_read(target, &read));
	assert_non_null(profile_get_heap(read));
	assert_equal(fixture, read);
}

/* ---- for people with sqlite3 ---- */

static void test_views(void **state)
{
	struct heap *heap = profile_get_heap(fixture);
	struct heap_figures sum;
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
	heap_get_sum(heap, &sum);
	assert_int_equal(query(path, "SELECT count(*) FROM sites"), 13);
	assert_int_equal(query(path, "SELECT sum(live_bytes) FROM sites"), sum.live_bytes);
	assert_int_equal(query(path, "SELECT sum(live_count) FROM sites"), sum.live_count);
	assert_int_equal(query(path, "SELECT sum(alloc_bytes) FROM site_stacks"), sum.alloc_bytes);
	assert_int_equal(query(path, "SELECT sum(alloc_count) FROM sites"), sum.alloc_count);
	assert_int_equal(query(path, "SELECT sum(peak_bytes) FROM sites"), sum.peak_bytes);
	assert_int_equal(query(path, "SELECT live_bytes FROM sites LIMIT 1"),
			 query(path, "SELECT sum(live_bytes) FROM site_stacks WHERE stack LIKE "
				     "'%;Cache::insert(%Session>)'"));
	assert_int_equal(query(path, "SELECT live_bytes FROM timeline ORDER BY second DESC LIMIT 1"),
			 sum.live_bytes);
	assert_int_equal(query(path, "SELECT max(rss_bytes) / 1048576 FROM timeline"), 1185);
	assert_int_equal(query(path, "SELECT value FROM heap WHERE key = 'live_bytes'"), sum.live_bytes);
	assert_int_equal(query(path, "SELECT count(*) FROM frames WHERE function IS NULL"), 0);
	assert_int_equal(query(path, "PRAGMA user_version"), 3);
	assert_int_equal(query(path, "PRAGMA application_id"), 0x6b696c6e);
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
	const struct facts facts = {.pid = 4242,
				    .comm = "../a b%",
				    .host = "h/o",
				    .start_unix_ns = 1772452800000000000,
				    .duration_ns = 1500000000};
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_round_trip_without_names),
		cmocka_unit_test(test_round_trip_of_nothing),
		cmocka_unit_test(test_round_trip_of_extremes),
		cmocka_unit_test(test_replaces_and_follows_links),
		cmocka_unit_test(test_round_trip_of_a_long_heap),
		cmocka_unit_test(test_round_trip_of_heap_counters),
		cmocka_unit_test(test_round_trip_of_heap_facts),
		cmocka_unit_test(test_old_schema),
		cmocka_unit_test(test_schema_without_inlines),
		cmocka_unit_test(test_views),
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
	return cmocka_run_group_tests(tests, snapshot_files_set_up, snapshot_files_tear_down);
}
