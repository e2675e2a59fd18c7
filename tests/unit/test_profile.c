/* The profile by hand: records, ends, names that come late, modules, facts, events. */
#include "profile/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#define A     16
#define B     17
#define START 1000

static int create(void **state)
{
	struct profile *profile;

	assert_null(profile_create(&profile));
	assert_null(profile_set_module(profile, A, MODULE_KIND_FILE, "/usr/bin/app"));
	assert_null(profile_set_module(profile, B, MODULE_KIND_FILE, "/usr/lib/libb.so.1"));
	*state = profile;
	return 0;
}

static int destroy(void **state)
{
	profile_destroy(*state);
	return 0;
}

/* Frames leaf first, ended by 0; kernel frames first. */
static void add(struct profile *profile, unsigned kernel_count, enum stack_end end, const uint64_t *frames)
{
	uint64_t buffer[sizeof(struct sample_record) / 8 + 32];
	struct sample_record *record = (struct sample_record *)buffer;
	unsigned count = 0;

	while (frames[count])
		count++;
	*record = (struct sample_record){
		.time_ns = START + 7,
		.mode = kernel_count ? SAMPLE_KERNEL : SAMPLE_USER,
		.end = end,
		.kernel_count = kernel_count,
		.user_count = count - kernel_count,
	};
	memcpy(record->frames, frames, count * sizeof(*frames));
	profile_add_sample(profile, record, START);
}

#define ADD(profile, kernel, end, ...) add(profile, kernel, end, (const uint64_t[]){__VA_ARGS__, 0})

static void set_name(struct profile *profile, uint64_t frame, const char *function, const char *file,
		     uint32_t line)
{
	struct frame_name name = {
		.start = FRAME_OFFSET(frame) & ~0xffull, .function = function, .file = file, .line = line};

	name.function_length = function ? strlen(function) : 0;
	name.file_length = file ? strlen(file) : 0;
	profile_set_name(profile, frame, &name, 1);
}

static struct function find(const struct profile *profile, const char *name)
{
	struct function found = {0};

	for (uint32_t i = 0; i < profile_count_functions(profile); i++) {
		struct function function = profile_get_function(profile, i);

		if (strcmp(function.name, name) == 0 && function.total)
			found = function;
	}
	return found;
}

/* ---- records ---- */

/* Root first: callers one less; exact are the user leaf, where the kernel was entered, and the kernel leaf.
 */
static void test_way_of_a_record(void **state)
{
	struct profile *profile = *state;
	const uint64_t wanted[] = {FRAME(A, 0x2ff), FRAME(A, 0x1ff), FRAME(B, 0x500),
				   FRAME(MODULE_KERNEL, 0x7f), FRAME(MODULE_KERNEL, 0x90)};

	ADD(profile, 2, STACK_COMPLETE, FRAME(MODULE_KERNEL, 0x90), FRAME(MODULE_KERNEL, 0x80),
	    FRAME(B, 0x500), FRAME(A, 0x200), FRAME(A, 0x300));
	assert_int_equal(profile_count_stacks(profile), 5);
	for (uint32_t i = 1; i <= 5; i++) {
		struct stack stack = profile_get_stack(profile, i);

		assert_int_equal(stack.parent, i - 1);
		assert_int_equal(stack.frame, wanted[i - 1]);
		assert_int_equal(stack.self, i == 5);
		assert_int_equal(stack.self_kernel, i == 5);
		assert_int_equal(stack.end, STACK_COMPLETE);
	}
	ADD(profile, 0, STACK_COMPLETE, FRAME(B, 0x500), FRAME(A, 0x200), FRAME(A, 0x300));
	assert_int_equal(profile_count_stacks(profile), 5);
	assert_int_equal(profile_get_stack(profile, 3).self, 1);
	assert_int_equal(profile_get_stack(profile, 3).self_kernel, 0);
}

static void test_broken_stacks_stand_apart(void **state)
{
	struct profile *profile = *state;
	struct totals totals;

	ADD(profile, 0, STACK_NO_TABLE, FRAME(A, 0x100), FRAME(A, 0x200));
	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x100), FRAME(A, 0x200));
	ADD(profile, 0, STACK_TRUNCATED, FRAME(A, 0x100), FRAME(A, 0x200));
	ADD(profile, 0, STACK_TRUNCATED, FRAME(A, 0x100), FRAME(A, 0x200));
	assert_int_equal(profile_count_stacks(profile), 8);
	assert_int_equal(profile_get_stack(profile, 3).end, STACK_NO_TABLE);
	assert_int_equal(profile_get_stack(profile, 5).end, STACK_COMPLETE);
	assert_int_equal(find(profile, "[broken: no_table]").total, 1);
	assert_int_equal(find(profile, "[truncated]").total, 2);
	assert_int_equal(find(profile, "[truncated]").module, MODULE_STACK_END);
	assert_false(find(profile, "[truncated]").is_provisional);
	profile_get_totals(profile, &totals);
	assert_int_equal(totals.ends[STACK_COMPLETE], 1);
	assert_int_equal(totals.ends[STACK_TRUNCATED], 2);
	assert_int_equal(totals.ends[STACK_NO_TABLE], 1);
}

static void test_records_without_frames(void **state)
{
	struct profile *profile = *state;

	ADD(profile, 0, STACK_COMPLETE, 0);
	ADD(profile, 0, STACK_UNREADABLE, 0);
	assert_int_equal(find(profile, "[unknown]").self, 1);
	assert_int_equal(find(profile, "[broken: unreadable]").self, 1);
}

static void test_code_of_nobody(void **state)
{
	struct profile *profile = *state;
	uint64_t offsets[8];
	uint32_t module;

	ADD(profile, 0, STACK_COMPLETE, FRAME(MODULE_UNKNOWN, 0x100), FRAME(MODULE_ANONYMOUS, 0x200));
	ADD(profile, 0, STACK_COMPLETE, FRAME(MODULE_UNKNOWN, 0x140), FRAME(MODULE_ANONYMOUS, 0x900));
	assert_int_equal(find(profile, "[unknown]").self, 2);
	assert_int_equal(find(profile, "[anon]").total, 2);
	assert_int_equal(profile_take_unnamed(profile, &module, offsets, 8), 0);
}

static void test_malformed_records_are_lost(void **state)
{
	struct profile *profile = *state;
	struct totals totals;
	struct sample_record record = {.mode = 2};

	profile_add_sample(profile, &record, 0);
	record = (struct sample_record){.end = STACK_ENDS};
	profile_add_sample(profile, &record, 0);
	profile_add_samples(profile, 99, 0, 0, 0, SAMPLE_USER, STACK_COMPLETE, 5);
	profile_get_totals(profile, &totals);
	assert_int_equal(totals.samples, 0);
	assert_int_equal(totals.lost[LOST_READER_DROPPED], 7);
	assert_int_equal(totals_sum_lost(&totals), 7);
	assert_int_equal(profile_intern_stack(profile, 99, FRAME(A, 1)), 0);
}

static void test_depth_is_bounded(void **state)
{
	struct profile *profile = *state;
	uint32_t stack = 0, depth = 0, next;

	while ((next = profile_intern_stack(profile, stack, FRAME(A, 0x100)))) {
		stack = next;
		depth++;
		assert_true(depth < 100000);
	}
	assert_true(depth > STACK_USER_MAX + STACK_KERNEL_MAX + 1);
	profile_add_samples(profile, stack, 0, 0, 0, SAMPLE_USER, STACK_COMPLETE, 3);
	assert_int_equal(find(profile, "app+0x100").total, 3);
}

/* ---- names ---- */

static void test_names_arrive_late(void **state)
{
	struct profile *profile = *state;

	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x100), FRAME(A, 0x201));
	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x110), FRAME(A, 0x201));
	assert_int_equal(find(profile, "app+0x100").self, 1);
	assert_true(find(profile, "app+0x100").is_provisional);
	assert_int_equal(find(profile, "app+0x200").total, 2);
	set_name(profile, FRAME(A, 0x100), "work", "work.c", 10);
	set_name(profile, FRAME(A, 0x110), "work", "work.c", 12);
	set_name(profile, FRAME(A, 0x200), "main", "main.c", 1);
	assert_int_equal(find(profile, "app+0x100").total, 0);
	assert_int_equal(find(profile, "work").self, 2);
	assert_int_equal(find(profile, "work").line, 10);
	assert_string_equal(find(profile, "work").file, "work.c");
	assert_string_equal(find(profile, "work").module_name, "app");
	assert_int_equal(find(profile, "main").total, 2);
	assert_int_equal(find(profile, "main").self, 0);
	assert_int_equal(profile_count_hot(profile), 2);
	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x110), FRAME(A, 0x201));
	assert_int_equal(find(profile, "work").line, 12);
	assert_false(find(profile, "work").is_provisional);
}

/* Names that come before anybody looks make no provisional function at all. */
static void test_quick_names_leave_no_trace(void **state)
{
	struct profile *profile = *state;
	uint32_t before = profile_count_functions(profile);

	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x100), FRAME(A, 0x201));
	set_name(profile, FRAME(A, 0x100), "work", NULL, 0);
	set_name(profile, FRAME(A, 0x200), "main", NULL, 0);
	assert_int_equal(profile_count_functions(profile), before + 2);
	assert_string_equal(find(profile, "work").file, "");
}

static void test_code_without_a_name(void **state)
{
	struct profile *profile = *state;
	struct frame_name fde = {.start = 0x401200, .is_fde = true}, none = {.start = 0x409999};

	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x1210));
	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x1220));
	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x9999));
	profile_set_name(profile, FRAME(A, 0x1210), &fde, 1);
	profile_set_name(profile, FRAME(A, 0x1220), &fde, 1);
	profile_set_name(profile, FRAME(A, 0x9999), &none, 1);
	assert_int_equal(find(profile, "app+0x401200").self, 2);
	assert_int_equal(find(profile, "app+0x409999").self, 1);
	assert_false(find(profile, "app+0x409999").is_provisional);
}

/* A name that is told again, and differs, moves everything once more. */
static void test_names_change(void **state)
{
	struct profile *profile = *state;

	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x100), FRAME(A, 0x201));
	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x110), FRAME(A, 0x201));
	set_name(profile, FRAME(A, 0x100), "one", "1.c", 1);
	set_name(profile, FRAME(A, 0x110), "one", "1.c", 2);
	assert_int_equal(find(profile, "one").self, 2);
	set_name(profile, FRAME(A, 0x100), "two", "2.c", 5);
	assert_int_equal(find(profile, "one").self, 1);
	assert_int_equal(find(profile, "one").line, 2);
	assert_int_equal(find(profile, "two").self, 1);
	assert_int_equal(find(profile, "two").line, 5);
	set_name(profile, FRAME(A, 0x100), "two", "2.c", 6);
	assert_int_equal(find(profile, "two").line, 6);
}

static void test_hottest_line_wins(void **state)
{
	struct profile *profile = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_int_not_equal(stacks_intern_frame(profile, FRAME(A, 0x100 + i * 0x10)), 0);
	set_name(profile, FRAME(A, 0x100), "f", NULL, 0);
	set_name(profile, FRAME(A, 0x110), "f", "f.c", 11);
	set_name(profile, FRAME(A, 0x120), "f", "f.c", 12);
	for (unsigned i = 0; i < 5; i++)
		ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x100));
	assert_int_equal(find(profile, "f").line, 11);
	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x120));
	assert_int_equal(find(profile, "f").line, 12);
	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x110));
	assert_int_equal(find(profile, "f").line, 11);
}

static void test_taking_unnamed(void **state)
{
	struct profile *profile = *state;
	uint64_t offsets[2];
	uint32_t module, function, line;
	const char *file;

	ADD(profile, 1, STACK_COMPLETE, FRAME(MODULE_KERNEL, 0xffff81000010), FRAME(A, 0x100),
	    FRAME(A, 0x201), FRAME(A, 0x301), FRAME(B, 0x401));
	set_name(profile, FRAME(A, 0x200), "known", NULL, 0);
	assert_int_equal(profile_take_unnamed(profile, &module, offsets, 0), 0);
	assert_int_equal(profile_take_unnamed(profile, &module, offsets, 2), 1);
	assert_int_equal(module, B);
	assert_int_equal(offsets[0], 0x400);
	assert_int_equal(profile_take_unnamed(profile, &module, offsets, 2), 2);
	assert_int_equal(module, A);
	assert_int_equal(offsets[0], 0x300);
	assert_int_equal(offsets[1], 0x100);
	assert_int_equal(profile_take_unnamed(profile, &module, offsets, 2), 1);
	assert_int_equal(module, MODULE_KERNEL);
	assert_int_equal(offsets[0], 0xffff81000010);
	assert_int_equal(profile_take_unnamed(profile, &module, offsets, 2), 0);
	assert_string_equal(find(profile, "[kernel]+0xffffffff81000010").module_name, "[kernel]");
	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x100), FRAME(A, 0x501));
	assert_int_equal(profile_take_unnamed(profile, &module, offsets, 2), 1);
	assert_int_equal(offsets[0], 0x500);
	assert_false(profile_get_name(profile, FRAME(A, 0x500), &function, &file, &line));
	assert_false(profile_get_name(profile, FRAME(A, 0x5000), &function, &file, &line));
	assert_true(profile_get_name(profile, FRAME(A, 0x200), &function, &file, &line));
	assert_string_equal(profile_get_function(profile, function).name, "known");
	assert_string_equal(file, "");
}

/* Many modules, few answers at a time: nothing is forgotten, nothing comes twice. */
static void test_taking_is_complete(void **state)
{
	static bool is_taken[40][64];
	struct profile *profile = *state;
	uint64_t offsets[5];
	unsigned taken = 0, added = 0;
	uint32_t module;
	size_t count;

	memset(is_taken, 0, sizeof(is_taken));
	for (unsigned round = 0; round < 64; round++) {
		for (unsigned i = 0; i < 40; i++, added++)
			ADD(profile, 0, STACK_COMPLETE, FRAME(100 + i, round * 16 + 16));
		count = profile_take_unnamed(profile, &module, offsets, round % 6);
		for (size_t i = 0; i < count; i++, taken++) {
			assert_false(is_taken[module - 100][offsets[i] / 16 - 1]);
			is_taken[module - 100][offsets[i] / 16 - 1] = true;
		}
	}
	while ((count = profile_take_unnamed(profile, &module, offsets, 5)))
		for (size_t i = 0; i < count; i++, taken++) {
			assert_false(is_taken[module - 100][offsets[i] / 16 - 1]);
			is_taken[module - 100][offsets[i] / 16 - 1] = true;
		}
	assert_int_equal(taken, added);
}

/* What a snapshot does: frames told before stacks, functions by number. */
static void test_as_a_snapshot_does(void **state)
{
	struct profile *profile = *state;
	uint32_t work = profile_intern_function(profile, A, "work");
	uint32_t idle = profile_intern_function(profile, B, "libb.so.1+0x77");
	uint32_t root, leaf, function, line;
	struct totals totals;
	const char *file;

	assert_int_equal(profile_intern_function(profile, A, "work"), work);
	profile_set_frame(profile, FRAME(A, 0x1ff), work, "w.c", 3);
	profile_set_frame(profile, FRAME(B, 0x80), idle, NULL, 0);
	profile_set_frame(profile, FRAME(B, 0x90), 12345, NULL, 0);
	root = profile_intern_stack(profile, 0, FRAME(A, 0x1ff));
	leaf = profile_intern_stack(profile, root, FRAME(B, 0x80));
	assert_int_equal(profile_intern_stack(profile, root, FRAME(B, 0x80)), leaf);
	profile_add_samples(profile, leaf, 5, 1, 1, SAMPLE_KERNEL, STACK_COMPLETE, 10);
	profile_add_samples(profile, leaf, 5, 1, 1, SAMPLE_USER, STACK_COMPLETE, 5);
	profile_add_samples(profile, root, 6, 1, 1, SAMPLE_USER, STACK_COMPLETE, 0);
	profile_add_samples(profile, 0, 6, 1, 1, SAMPLE_USER, STACK_COMPLETE, 2);
	profile_get_totals(profile, &totals);
	assert_int_equal(totals.samples, 17);
	assert_int_equal(totals.kernel_samples, 10);
	assert_int_equal(profile_get_function(profile, work).total, 15);
	assert_int_equal(profile_get_function(profile, work).line, 3);
	assert_int_equal(profile_get_function(profile, idle).self, 15);
	assert_int_equal(find(profile, "[unknown]").self, 2);
	assert_true(profile_get_name(profile, FRAME(A, 0x1ff), &function, &file, &line));
	assert_int_equal(function, work);
	assert_string_equal(file, "w.c");
	assert_int_equal(profile_get_stack(profile, leaf).self_kernel, 10);
}

/* ---- modules ---- */

static void test_modules(void **state)
{
	struct profile *profile = *state;
	struct info_message info = {
		.module = B, .symbols = SYMBOLS_FULL, .build_id_length = 3, .build_id = {0xab, 0x01, 0xff}};
	struct module module;

	for (uint32_t id = 0; id <= MODULE_STACK_END; id++)
		assert_true(profile_find_module(profile, id, &module));
	assert_false(profile_find_module(profile, 999, &module));
	assert_false(profile_find_module(profile, UINT32_MAX, &module));
	assert_null(profile_set_module_info(profile, &info));
	assert_true(profile_find_module(profile, B, &module));
	assert_string_equal(module.path, "/usr/lib/libb.so.1");
	assert_string_equal(module.name, "libb.so.1");
	assert_string_equal(module.build_id, "ab01ff");
	assert_int_equal(module.symbols, SYMBOLS_FULL);
	info.build_id_length = 4000;
	info.symbols = 4711;
	assert_null(profile_set_module_info(profile, &info));
	assert_true(profile_find_module(profile, B, &module));
	assert_int_equal(module.symbols, SYMBOLS_STRIPPED);
	assert_int_equal(strlen(module.build_id), 2 * BUILD_ID_MAX);
	assert_null(profile_set_module(profile, B, MODULE_KIND_FILE, NULL));
	assert_null(profile_set_module_symbols(profile, B, SYMBOLS_MINIMAL, "cafe"));
	assert_null(profile_set_module_symbols(profile, B, SYMBOLS_STRIPPED, NULL));
	assert_true(profile_find_module(profile, B, &module));
	assert_string_equal(module.name, "libb.so.1");
	assert_string_equal(module.build_id, "cafe");
	assert_true(profile_find_module(profile, MODULE_KERNEL, &module));
	assert_string_equal(module.name, "[kernel]");
	assert_string_equal(module.path, "");
	ADD(profile, 0, STACK_COMPLETE, FRAME(B, 0x100), FRAME(A, 0x100));
	ADD(profile, 0, STACK_COMPLETE, FRAME(B, 0x180), FRAME(A, 0x100));
	assert_true(profile_find_module(profile, B, &module));
	assert_int_equal(module.samples, 2);
	assert_true(profile_find_module(profile, A, &module));
	assert_int_equal(module.samples, 0);
	assert_int_equal(profile_count_modules(profile), 7);
}

static void test_module_that_does_not_exist(void **state)
{
	struct profile *profile = *state;
	struct error *error = profile_set_module(profile, MODULE_LIMIT, MODULE_KIND_FILE, "/x");

	assert_non_null(error);
	error_destroy(error);
	assert_int_equal(profile_intern_function(profile, MODULE_LIMIT, "x"), UINT32_MAX);
}

/* A sample may come before its module is announced: the functions' texts follow. */
static void test_module_is_announced_late(void **state)
{
	struct profile *profile = *state;
	const char *before;

	ADD(profile, 0, STACK_COMPLETE, FRAME(40, 0x123));
	before = find(profile, "[module 40]+0x123").name;
	assert_non_null(before);
	assert_null(profile_set_module(profile, 40, MODULE_KIND_FILE, "/opt/late.so"));
	assert_int_equal(find(profile, "late.so+0x123").self, 1);
	assert_string_equal(before, "[module 40]+0x123");
}

/* ---- facts and events ---- */

static void test_facts_are_copied(void **state)
{
	struct profile *profile = *state;
	uint64_t revision = profile_get_revision(profile);
	char comm[] = "redis";
	struct facts facts;
	struct totals totals;

	profile_get_facts(profile, &facts);
	assert_true(isnan(facts.hz_requested) && isnan(facts.target_cpu_s) && isnan(facts.self_cpu_s));
	assert_null(facts.comm);
	facts.comm = comm;
	facts.pid = 42;
	facts.lost[LOST_CPU_RING_FULL] = 3;
	facts.lost[LOST_READER_DROPPED] = 2;
	facts.lost[LOST_LIVE_MAP_FULL] = 100;
	assert_null(profile_set_facts(profile, &facts));
	comm[0] = 'X';
	profile_get_facts(profile, &facts);
	assert_string_equal(facts.comm, "redis");
	assert_null(facts.exe);
	assert_true(profile_get_revision(profile) > revision);
	profile_add_samples(profile, 77, 0, 0, 0, SAMPLE_USER, STACK_COMPLETE, 1);
	profile_get_totals(profile, &totals);
	assert_int_equal(totals.lost[LOST_READER_DROPPED], 3);
	assert_int_equal(totals_sum_lost(&totals), 6);
	profile_get_facts(profile, &facts);
	assert_int_equal(facts.lost[LOST_READER_DROPPED], 2);
}

static void test_events(void **state)
{
	struct profile *profile = *state;
	char text[] = "exec /bin/true";

	assert_null(profile_add_event(profile, 5, text));
	text[0] = 'X';
	assert_null(profile_add_event(profile, 9, "exit 0"));
	assert_int_equal(profile_count_events(profile), 2);
	assert_string_equal(profile_get_event(profile, 0).text, "exec /bin/true");
	assert_int_equal(profile_get_event(profile, 1).time_ns, 9);
}

/* A target that execs all day does not fill the memory. */
static void test_too_many_events(void **state)
{
	struct profile *profile = *state;
	char text[32];

	for (unsigned i = 0; i < 20000; i++) {
		snprintf(text, sizeof(text), "exec: %u", i);
		assert_null(profile_add_event(profile, i, text));
	}
	assert_int_equal(profile_count_events(profile), 10001);
	assert_string_equal(profile_get_event(profile, 9999).text, "exec: 9999");
	assert_string_equal(profile_get_event(profile, 10000).text, "more events came, and are not kept");
	assert_int_equal(profile_get_event(profile, 10000).time_ns, 10000);
	assert_true(profile->strings.items.count < 10100);
}

static void test_revision_grows(void **state)
{
	struct profile *profile = *state;
	uint64_t revision = profile_get_revision(profile);

	ADD(profile, 0, STACK_COMPLETE, FRAME(A, 0x100));
	assert_int_equal(profile_get_revision(profile), revision + 1);
	profile_count_functions(profile);
	assert_int_equal(profile_get_revision(profile), revision + 1);
	set_name(profile, FRAME(A, 0x100), "f", NULL, 0);
	assert_int_equal(profile_get_revision(profile), revision + 2);
}

static void test_nothing_at_all(void **state)
{
	struct profile *profile = *state;

	assert_int_equal(profile_count_stacks(profile), 0);
	assert_int_equal(profile_count_hot(profile), 0);
	assert_int_equal(profile_count_log(profile), 0);
	assert_string_equal(profile_get_function(profile, 12345).name, "");
	assert_int_equal(profile_get_function_by_self(profile, 12345), UINT32_MAX);
	assert_int_equal(profile_list_callers(profile, 12345, NULL, 0), 0);
	assert_int_equal(profile_list_callees(profile, 12345, NULL, 0), 0);
	profile_destroy(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_way_of_a_record),
		TEST(test_broken_stacks_stand_apart),
		TEST(test_records_without_frames),
		TEST(test_code_of_nobody),
		TEST(test_malformed_records_are_lost),
		TEST(test_depth_is_bounded),
		TEST(test_names_arrive_late),
		TEST(test_quick_names_leave_no_trace),
		TEST(test_code_without_a_name),
		TEST(test_names_change),
		TEST(test_hottest_line_wins),
		TEST(test_taking_unnamed),
		TEST(test_taking_is_complete),
		TEST(test_as_a_snapshot_does),
		TEST(test_modules),
		TEST(test_module_that_does_not_exist),
		TEST(test_module_is_announced_late),
		TEST(test_facts_are_copied),
		TEST(test_events),
		TEST(test_too_many_events),
		TEST(test_revision_grows),
		TEST(test_nothing_at_all),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
