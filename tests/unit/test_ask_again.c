/* Frames of JIT code: one function "[anon]" until there is a file that names them, asked for again when it
 * has got more; sums stay right whatever comes when. */
#include "profile/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define JIT(offset) FRAME(MODULE_ANONYMOUS, offset)

static void add(struct profile *profile, uint64_t leaf, uint64_t root)
{
	uint64_t buffer[sizeof(struct sample_record) / 8 + 2];
	struct sample_record *record = (struct sample_record *)buffer;

	*record = (struct sample_record){.time_ns = 7, .user_count = 2};
	record->frames[0] = leaf;
	record->frames[1] = root;
	profile_add_sample(profile, record, 0);
}

static int create(void **state)
{
	struct profile *profile;

	assert_null(profile_create(&profile));
	assert_null(profile_set_module(profile, 16, MODULE_KIND_FILE, "/usr/bin/app"));
	*state = profile;
	return 0;
}

static int destroy(void **state)
{
	profile_destroy(*state);
	return 0;
}

static void set_name(struct profile *profile, uint64_t frame, const char *function)
{
	struct frame_name name = {
		.start = FRAME_OFFSET(frame),
		.function = function,
		.function_length = function ? strlen(function) : 0,
	};

	profile_set_name(profile, frame, &name, 1);
}

static uint64_t get_self(struct profile *profile, const char *name)
{
	for (uint32_t i = 0; i < profile_count_functions(profile); i++) {
		struct function function = profile_get_function(profile, i);

		if (!strcmp(function.name, name))
			return function.self;
	}
	return 0;
}

/* Takes everything that is asked of [anon]; returns how much, *ret_first: the first offset. */
static size_t take(struct profile *profile, uint64_t *ret_first)
{
	uint64_t offsets[64];
	uint32_t module;
	size_t count, sum = 0;

	while ((count = profile_take_unnamed(profile, &module, offsets, 64))) {
		if (module != MODULE_ANONYMOUS)
			continue;
		if (!sum && ret_first)
			*ret_first = offsets[0];
		sum += count;
	}
	return sum;
}

static void test_without_files(void **state)
{
	struct profile *profile = *state;

	add(profile, JIT(0x1000), FRAME(16, 0x100));
	add(profile, JIT(0x2000), JIT(0x3000));
	assert_int_equal(take(profile, NULL), 0);
	assert_int_equal(get_self(profile, "[anon]"), 2);
}

static void test_map_comes_late(void **state)
{
	struct profile *profile = *state;

	add(profile, JIT(0x1000), FRAME(16, 0x100));
	add(profile, JIT(0x2000), JIT(0x3001));
	assert_int_equal(get_self(profile, "[anon]"), 2);
	profile_ask_again(profile, MODULE_ANONYMOUS);
	assert_int_equal(take(profile, NULL), 3);
	/* Nothing is asked twice. */
	assert_int_equal(take(profile, NULL), 0);
	set_name(profile, JIT(0x1000), "f");
	set_name(profile, JIT(0x2000), NULL);
	set_name(profile, JIT(0x3000), "caller");
	assert_int_equal(get_self(profile, "[anon]"), 1);
	assert_int_equal(get_self(profile, "f"), 1);
	/* There is more: only what has no name is asked. */
	profile_ask_again(profile, MODULE_ANONYMOUS);
	assert_int_equal(take(profile, NULL), 1);
	/* Asked, and there is more already: it is under way. */
	profile_ask_again(profile, MODULE_ANONYMOUS);
	assert_int_equal(take(profile, NULL), 0);
	assert_int_equal(get_self(profile, "[anon]"), 1);
	set_name(profile, JIT(0x2000), "g");
	assert_int_equal(get_self(profile, "[anon]"), 0);
	assert_int_equal(get_self(profile, "g"), 1);
	profile_ask_again(profile, MODULE_ANONYMOUS);
	assert_int_equal(take(profile, NULL), 0);
}

/* With the file there, new frames are asked at once, and are "[anon]" only as long as nobody knows better. */
static void test_map_is_there(void **state)
{
	struct profile *profile = *state;
	uint64_t first = 0;

	profile_ask_again(profile, MODULE_ANONYMOUS);
	add(profile, JIT(0x1000), FRAME(16, 0x100));
	add(profile, JIT(0x2000), FRAME(16, 0x100));
	assert_int_equal(take(profile, &first), 2);
	assert_true(first == 0x1000);
	set_name(profile, JIT(0x1000), "f");
	assert_int_equal(get_self(profile, "f"), 1);
	assert_int_equal(get_self(profile, "[anon]"), 1);
	set_name(profile, JIT(0x2000), "f");
	assert_int_equal(get_self(profile, "f"), 2);
	assert_int_equal(get_self(profile, "[anon]"), 0);
	/* Other modules are none of its business. */
	profile_ask_again(profile, 16);
	add(profile, FRAME(16, 0x500), FRAME(16, 0x100));
	assert_int_equal(get_self(profile, "app+0x500"), 1);
}

/* Thousands, of which half stay unknown, asked again and again, in all orders. */
static void test_many(void **state)
{
	enum { COUNT = 6000, ROUNDS = 20 };
	struct profile *profile = *state;
	struct timespec start, now;
	uint64_t offsets[NAMES_REQUEST_MAX];
	uint32_t module;
	char text[32];

	srandom(3);
	for (uint64_t i = 0; i < COUNT; i++)
		add(profile, JIT(0x1000 + i * 16), FRAME(16, 0x100));
	assert_int_equal(get_self(profile, "[anon]"), COUNT);
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int round = 0; round < ROUNDS; round++) {
		size_t count, asked = 0;

		profile_ask_again(profile, MODULE_ANONYMOUS);
		while ((count = profile_take_unnamed(profile, &module, offsets, NAMES_REQUEST_MAX))) {
			for (size_t i = 0; i < count && module == MODULE_ANONYMOUS; i++, asked++) {
				snprintf(text, sizeof(text), "function %d", (int)(offsets[i] >> 4));
				set_name(profile, FRAME(module, offsets[i]),
					 random() % ROUNDS == 0 ? text : NULL);
			}
			if (random() % 4 == 0)
				add(profile, JIT(0x1000 + (uint64_t)random() % COUNT * 16), FRAME(16, 0x100));
		}
		assert_true(asked <= COUNT);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	print_message("# %d frames asked %d times: %.3f s\n", COUNT, ROUNDS,
		      (double)(now.tv_sec - start.tv_sec) + (double)(now.tv_nsec - start.tv_nsec) / 1e9);
	profile_ask_again(profile, MODULE_ANONYMOUS);
	while ((module = 0, profile_take_unnamed(profile, &module, offsets, 1)))
		set_name(profile, FRAME(module, offsets[0]), "rest");
	assert_int_equal(get_self(profile, "[anon]"), 0);
	assert_true(get_self(profile, "rest") > 0);
}

/* What stands for a whole function, where rare stacks were merged, is never asked for. */
static void test_merged(void **state)
{
	struct profile *profile = *state;
	uint32_t anonymous = functions_intern_text(profile, MODULE_ANONYMOUS, ANONYMOUS_NAME);

	add(profile, JIT(0x1000), FRAME(16, 0x100));
	assert_int_equal(get_self(profile, "[anon]"), 1);
	assert_true(stacks_intern_somewhere(profile, anonymous, 0) > 0);
	profile_ask_again(profile, MODULE_ANONYMOUS);
	assert_int_equal(take(profile, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_without_files, create, destroy),
		cmocka_unit_test_setup_teardown(test_map_comes_late, create, destroy),
		cmocka_unit_test_setup_teardown(test_map_is_there, create, destroy),
		cmocka_unit_test_setup_teardown(test_many, create, destroy),
		cmocka_unit_test_setup_teardown(test_merged, create, destroy),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
