/* Whose code spoils stacks: counts by module and reason, after a merge and from a snapshot too. */
#include "profile/internal.h"
#include "profile/snapshot.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH	40
#define MODULES 300

/* By module; [MODULE_MERGED]: not known. */
struct expected {
	uint64_t samples[MODULES][STACK_ENDS], ends[STACK_ENDS];
};

static uint32_t state_of_random = 1;

static uint32_t get_random(uint32_t below)
{
	state_of_random = state_of_random * 1664525 + 1013904223;
	return (state_of_random >> 8) % below;
}

/* Frames leaf first; the last user frame is where the walk ended. */
static void add(struct profile *profile, enum stack_end end, size_t kernel, size_t count,
		const uint64_t *frames)
{
	uint64_t buffer[sizeof(struct sample_record) / 8 + DEPTH];
	struct sample_record *record = (struct sample_record *)buffer;

	*record = (struct sample_record){
		.end = (uint8_t)end,
		.mode = kernel ? SAMPLE_KERNEL : SAMPLE_USER,
		.kernel_count = (uint16_t)kernel,
		.user_count = (uint16_t)(count - kernel),
	};
	for (size_t i = 0; i < count; i++)
		record->frames[i] = frames[i];
	profile_add_sample(profile, record, 0);
}

/* Hardly a stack comes twice. The modules that the walks end in are some common and many rare ones. */
static void feed(struct profile *profile, struct expected *expected, unsigned count)
{
	static const uint32_t common[] = {MODULE_UNKNOWN, MODULE_ANONYMOUS, MODULE_VDSO, 16, 17};
	uint64_t frames[DEPTH];

	for (unsigned i = 0; i < count; i++) {
		enum stack_end end = (enum stack_end)get_random(STACK_ENDS);
		size_t depth = 1 + get_random(DEPTH - 1);
		uint32_t module = get_random(4) ? common[get_random(5)] : 20 + get_random(MODULES - 20);

		for (size_t at = 0; at + 1 < depth; at++)
			frames[at] = FRAME(16 + get_random(3), 0x1000 + get_random(500) * 0x10);
		frames[depth - 1] = FRAME(module, 0x5000 + get_random(50) * 0x10);
		add(profile, end, 0, depth, frames);
		expected->samples[module][end]++;
		expected->ends[end]++;
		if (get_random(700) == 0)
			profile_settle(profile);
	}
}

static void name_all(struct profile *profile)
{
	uint64_t offsets[64];
	uint32_t module;
	size_t count;

	while ((count = profile_take_unnamed(profile, &module, offsets, 64)))
		for (size_t i = 0; i < count; i++) {
			char text[32];
			struct frame_name name = {.start = offsets[i], .function = text};

			name.function_length = (size_t)snprintf(text, sizeof(text), "f%llx",
								(unsigned long long)offsets[i] >> 8);
			profile_set_name(profile, FRAME(module, offsets[i]), &name, 1);
		}
}

static void check(const struct profile *profile, const struct expected *expected)
{
	uint64_t last = UINT64_MAX, sums[STACK_ENDS] = {0};
	size_t count = profile_count_spoilers(profile), expected_count = 0;

	for (uint32_t module = 0; module < MODULES; module++)
		for (int end = STACK_TRUNCATED + 1; end < STACK_ENDS; end++) {
			assert_int_equal(profile_get_spoiled(profile, module, (enum stack_end)end),
					 expected->samples[module][end]);
			expected_count += expected->samples[module][end] > 0;
		}
	assert_int_equal(count, expected_count);
	for (size_t i = 0; i < count; i++) {
		struct spoiler spoiler = profile_get_spoiler(profile, i);

		assert_in_range(spoiler.samples, 1, last);
		assert_int_equal(spoiler.samples, expected->samples[spoiler.module][spoiler.reason]);
		last = spoiler.samples;
		sums[spoiler.reason] += spoiler.samples;
	}
	for (int end = 0; end < STACK_ENDS; end++)
		assert_int_equal(sums[end], end <= STACK_TRUNCATED ? 0 : expected->ends[end]);
}

static void test_last_frame(void **state)
{
	struct profile *profile;
	struct spoiler spoiler;

	assert_null(profile_create(&profile));
	assert_int_equal(profile_count_spoilers(profile), 0);
	assert_null(profile_set_module(profile, 20, MODULE_KIND_FILE, "/srv/lib/libvendor.so"));
	add(profile, STACK_NO_TABLE, 0, 2, (uint64_t[]){FRAME(16, 1), FRAME(20, 5)});
	add(profile, STACK_NO_TABLE, 1, 3, (uint64_t[]){FRAME(MODULE_KERNEL, 9), FRAME(20, 1), FRAME(20, 7)});
	add(profile, STACK_NO_RULE, 0, 1, (uint64_t[]){FRAME(20, 1)});
	add(profile, STACK_COMPLETE, 0, 1, (uint64_t[]){FRAME(20, 1)});
	add(profile, STACK_TRUNCATED, 0, 1, (uint64_t[]){FRAME(20, 1)});
	add(profile, STACK_JIT, 0, 2, (uint64_t[]){FRAME(16, 1), FRAME(MODULE_ANONYMOUS, 0x7000)});
	assert_int_equal(profile_count_spoilers(profile), 3);
	spoiler = profile_get_spoiler(profile, 0);
	assert_string_equal(spoiler_get_name(profile, &spoiler), "libvendor.so");
	assert_int_equal(spoiler.reason, STACK_NO_TABLE);
	assert_int_equal(spoiler.samples, 2);
	assert_int_equal(profile_get_spoiled(profile, 20, STACK_NO_RULE), 1);
	assert_int_equal(profile_get_spoiled(profile, 20, STACK_TRUNCATED), 0);
	assert_int_equal(profile_get_spoiled(profile, MODULE_ANONYMOUS, STACK_JIT), 1);
	assert_int_equal(profile_get_spoiled(profile, 16, STACK_JIT), 0);
	/* A stack that is settled already counts on. */
	add(profile, STACK_NO_RULE, 0, 1, (uint64_t[]){FRAME(20, 1)});
	add(profile, STACK_NO_RULE, 0, 1, (uint64_t[]){FRAME(20, 1)});
	spoiler = profile_get_spoiler(profile, (profile_count_spoilers(profile), 0));
	assert_int_equal(spoiler.reason, STACK_NO_RULE);
	assert_int_equal(spoiler.samples, 3);
	profile_destroy(profile);
}

/* Nobody is blamed for what nobody knows. */
static void test_not_known(void **state)
{
	struct profile *profile;
	struct spoiler spoiler;
	uint32_t stack;

	assert_null(profile_create(&profile));
	/* No user code was walked. */
	add(profile, STACK_UNREADABLE, 1, 1, (uint64_t[]){FRAME(MODULE_KERNEL, 9)});
	add(profile, STACK_UNREADABLE, 0, 0, NULL);
	/* Of an older snapshot, and of hostile ones. */
	stack = profile_intern_stack(profile, 0, FRAME(MODULE_STACK_END, STACK_BAD_CFA));
	for (uint64_t offset = 0; offset <= FRAME_OFFSET_MASK; offset += FRAME_OFFSET_MASK) {
		uint32_t child = profile_intern_stack(profile, stack, FRAME(MODULE_MERGED, offset));

		profile_add_samples(profile, child, 0, 1, 0, SAMPLE_USER, STACK_BAD_CFA, 1);
	}
	profile_add_samples(profile, profile_intern_stack(profile, stack, FRAME(MODULE_MERGED, 4000)), 0, 1,
			    0, SAMPLE_USER, STACK_BAD_CFA, 1);
	assert_int_equal(profile_count_spoilers(profile), 2);
	assert_int_equal(profile_get_spoiled(profile, MODULE_MERGED, STACK_UNREADABLE), 2);
	assert_int_equal(profile_get_spoiled(profile, MODULE_MERGED, STACK_BAD_CFA), 3);
	spoiler = profile_get_spoiler(profile, 0);
	assert_string_equal(spoiler_get_name(profile, &spoiler), "[not known]");
	profile_destroy(profile);
}

/* What is merged loses its callers, and still says where it broke. */
static void test_merge(void **state)
{
	static struct expected expected;
	struct profile *profile;
	bool is_merged = false;

	memset(&expected, 0, sizeof(expected));
	assert_null(profile_create(&profile));
	profile->stacks.limit = 6000;
	for (unsigned round = 0; round < 30; round++) {
		feed(profile, &expected, 400);
		check(profile, &expected);
		if (round % 3 == 0)
			name_all(profile);
	}
	/* Also next to the root, where the module would have been lost. */
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++) {
		struct stack stack = profile_get_stack(profile, i), above = {0};

		if (stack.parent)
			above = profile_get_stack(profile, stack.parent);
		if (FRAME_MODULE(stack.frame) != MODULE_MERGED || stack.end <= STACK_TRUNCATED)
			continue;
		assert_int_equal(FRAME_OFFSET(stack.frame) > 0,
				 FRAME_MODULE(above.frame) == MODULE_STACK_END);
		is_merged |= FRAME_OFFSET(stack.frame) > 0;
	}
	assert_true(is_merged);
	profile_destroy(profile);
}

static void test_snapshot(void **state)
{
	char path[] = "/tmp/kiln-test-spoilers-XXXXXX";
	static struct expected expected;
	struct profile *profile, *read = NULL;
	struct error *error;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	memset(&expected, 0, sizeof(expected));
	assert_null(profile_create(&profile));
	profile->stacks.limit = 6000;
	feed(profile, &expected, 5000);
	name_all(profile);
	feed(profile, &expected, 5000);
	assert_true(profile->stacks.is_merged);
	error = snapshot_write(profile, path);
	if (!error)
		error = snapshot_read(path, &read);
	if (error)
		fail_msg("%s", error_get_message(error));
	check(profile, &expected);
	check(read, &expected);
	unlink(path);
	profile_destroy(read);
	profile_destroy(profile);
}

/* Names that come late move stacks, not the blame. Weights go down, too. */
static void test_moves(void **state)
{
	static struct expected expected;
	struct profile *profile;
	uint32_t leaf;

	memset(&expected, 0, sizeof(expected));
	assert_null(profile_create(&profile));
	feed(profile, &expected, 200);
	check(profile, &expected);
	name_all(profile);
	check(profile, &expected);
	add(profile, STACK_BAD_RETURN, 0, 1, (uint64_t[]){FRAME(19, 1)});
	leaf = (uint32_t)profile->stacks.leaves.count - 1;
	profile_set_weight(profile, leaf, 70);
	assert_int_equal(profile_get_spoiled(profile, 19, STACK_BAD_RETURN), 70);
	profile_set_weight(profile, leaf, 20);
	assert_int_equal(profile_get_spoiled(profile, 19, STACK_BAD_RETURN), 20);
	profile_set_weight(profile, leaf, 0);
	check(profile, &expected);
	profile_destroy(profile);
}

/* Without memory for another sum the samples stay counted, of no known module, and are taken from there. */
static void test_shortage(void **state)
{
	struct profile *profile;
	uint32_t leaf;

	assert_null(profile_create(&profile));
	add(profile, STACK_JIT, 0, 1, (uint64_t[]){FRAME(16, 1)});
	assert_int_equal(profile_count_spoilers(profile), 1);
	profile->spoilers.is_short = true;
	add(profile, STACK_JIT, 0, 1, (uint64_t[]){FRAME(16, 1)});
	add(profile, STACK_JIT, 0, 1, (uint64_t[]){FRAME(17, 1)});
	leaf = (uint32_t)profile->stacks.leaves.count - 1;
	assert_int_equal(profile_get_spoiled(profile, 16, STACK_JIT), 2);
	assert_int_equal(profile_get_spoiled(profile, 17, STACK_JIT), 0);
	assert_int_equal(profile_get_spoiled(profile, MODULE_MERGED, STACK_JIT), 1);
	profile_set_weight(profile, leaf, 0);
	assert_int_equal(profile_get_spoiled(profile, MODULE_MERGED, STACK_JIT), 0);
	assert_int_equal(profile_count_spoilers(profile), 1);
	profile_destroy(profile);
}

/* Each reason says what it is and what would mend it. */
static void test_words(void **state)
{
	for (int end = STACK_TRUNCATED + 1; end < STACK_ENDS; end++) {
		assert_string_not_equal(stack_end_get_problem((enum stack_end)end), "not complete");
		assert_int_not_equal(*stack_end_get_remedy((enum stack_end)end), '\0');
	}
	assert_string_equal(stack_end_get_problem(STACK_ENDS), "not complete");
	assert_string_equal(stack_end_get_remedy(STACK_ENDS), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_frame), cmocka_unit_test(test_not_known),
		cmocka_unit_test(test_merge),	   cmocka_unit_test(test_snapshot),
		cmocka_unit_test(test_moves),	   cmocka_unit_test(test_words),
		cmocka_unit_test(test_shortage),

	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
