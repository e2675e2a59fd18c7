/* Stacks of real programs, recorded by tests/tools/record_stack, walked again without them; and the format.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "profile/profile.h"
#include "tests/support/replay.h"

#include <dirent.h>

#define FOLDER "tests/replay"
/* Files there. A known shortfall is told as it is: whoever mends it sees it here, and writes the new end. */
#define FILES_MIN 9

static struct walk walk;
static __u64 frames[WALK_FRAMES_MAX];

static void read_file(const char *path, struct recording *ret)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	if (!file)
		fail_msg("no %s", path);
	if (!recording_read(file, ret) || !recording_build_tables(ret))
		fail_msg("%s makes no sense", path);
}

static void check_file(const char *path)
{
	struct recording recording;

	read_file(path, &recording);
	replay_walk(&recording, &walk, frames);
	if (walk.end != recording.end || walk.count != recording.frames.count)
		fail_msg("%s: %s after %u frames, was %s after %zu", path, stack_end_names[walk.end],
			 walk.count, stack_end_names[recording.end], recording.frames.count);
	for (uint32_t i = 0; i < walk.count; i++)
		if (frames[i] != recording.frames.items[i])
			fail_msg("%s: frame %u is %llx, was %llx", path, i, frames[i],
				 (unsigned long long)recording.frames.items[i]);
	recording_deinit(&recording);
}

static int is_recording(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && !strcmp(dot, ".stack");
}

static void test_recordings(void **state)
{
	struct dirent **entries;
	int count = scandir(FOLDER, &entries, is_recording, alphasort);

	assert_true(count >= FILES_MIN);
	for (int i = 0; i < count; i++) {
		char path[512];

		snprintf(path, sizeof(path), "%s/%s", FOLDER, entries[i]->d_name);
		print_message("# %s\n", path);
		check_file(path);
		free(entries[i]);
	}
	free(entries);
}

/* Without one of its bytes the walk is another one: a recording holds what is needed, and nothing else
 * counts. */
static void test_what_is_not_told_cannot_be_read(void **state)
{
	struct recording recording;
	size_t memory, tables;

	read_file(FOLDER "/signal.stack", &recording);
	assert_int_equal(recording.end, STACK_COMPLETE);
	memory = recording.memory.count;
	tables = recording.tables.count;
	recording.memory.count = 0;
	replay_walk(&recording, &walk, frames);
	assert_int_equal(walk.end, STACK_UNREADABLE);
	recording.tables.count = 0;
	replay_walk(&recording, &walk, frames);
	assert_int_equal(walk.end, STACK_NO_TABLE);
	recording.memory.count = memory;
	recording.tables.count = tables;
	recording_deinit(&recording);
}

static void test_written_as_read(void **state)
{
	_cleanup_free_ char *one = NULL, *two = NULL;
	char **const texts[] = {&one, &two};
	struct recording recording;
	size_t size;

	read_file(FOLDER "/signal.stack", &recording);
	for (unsigned i = 0; i < 2; i++) {
		FILE *file = open_memstream(texts[i], &size);

		assert_non_null(file);
		assert_true(recording_write(file, &recording));
		fclose(file);
		recording_deinit(&recording);
		file = fmemopen(*texts[i], size, "r");
		assert_true(recording_read(file, &recording));
		fclose(file);
	}
	assert_string_equal(one, two);
	recording_deinit(&recording);
}

static void test_memory_grows_together(void **state)
{
	struct recording recording;
	uint8_t bytes[8], got[8];

	assert_true(recording_init(&recording));
	for (uint8_t i = 0; i < 8; i++)
		bytes[i] = i;
	/* apart, then what lies between, then all of it and more */
	assert_true(recording_add_memory(&recording, 106, bytes + 6, 2));
	assert_true(recording_add_memory(&recording, 100, bytes, 2));
	assert_int_equal(recording.memory.count, 2);
	assert_false(recording_get_memory(&recording, 100, got, 8));
	assert_false(recording_get_memory(&recording, 99, got, 2));
	assert_true(recording_add_memory(&recording, 102, bytes + 2, 4));
	assert_int_equal(recording.memory.count, 1);
	assert_true(recording_get_memory(&recording, 100, got, 8));
	assert_memory_equal(got, bytes, 8);
	assert_true(recording_add_memory(&recording, 101, bytes + 1, 3));
	assert_true(recording_add_memory(&recording, 200, bytes, 8));
	assert_true(recording_add_memory(&recording, 95, "abcde", 5));
	assert_int_equal(recording.memory.count, 2);
	assert_int_equal(recording.memory.items[0].bytes.count, 13);
	assert_true(recording_get_memory(&recording, 99, got, 8));
	assert_memory_equal(got, "e\0\1\2\3\4\5\6", 8);
	recording_deinit(&recording);
}

static void test_what_is_no_recording(void **state)
{
	static const char *const texts[] = {
		"kiln-stack 1\n",
		"kiln-stack 2\npc\n",
		"kiln-stack 2\n\n",
		"kiln-stack 2\nregisters 1 2 3\n",
		"kiln-stack 2\nmapping 1 2 3\n",
		"kiln-stack 2\nrule 10 1 2 3\n",
		"kiln-stack 2\nmemory 1000\n",
		"kiln-stack 2\nend nowhere\n",
		"kiln-stack 2\nend \n",
		"kiln-stack 2\nframe 10\n",
		"kiln-stack 2\nwhat is this\n",
	};
	static const char *const bad_tables[] = {
		"kiln-stack 2\npage 10 4 0:0\n",			    /* no rules */
		"kiln-stack 2\nrule 10 1 0 0 0 0 0 0 0 0\n",		    /* rule 0 is no gap */
		"kiln-stack 2\nrule 10 0 0 0 0 0 0 0 0 0\npage 10 4 0:1\n", /* no such rule */
		"kiln-stack 2\nrule 10 0 0 0 0 0 0 0 0 0\npage 10 4\n",	    /* no row */
		"kiln-stack 2\nrule 10 0 0 0 0 0 0 0 0 0\npage 10 4 0:0\npage 10 3 0:0\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts) + sizeof(bad_tables) / sizeof(*bad_tables);
	     i++) {
		bool is_text = i < sizeof(texts) / sizeof(*texts);
		const char *text = is_text ? texts[i] : bad_tables[i - sizeof(texts) / sizeof(*texts)];
		_cleanup_fclose_ FILE *file = fmemopen((char *)text, strlen(text), "r");
		struct recording recording;

		assert_non_null(file);
		if (recording_read(file, &recording) == is_text)
			fail_msg("%s", text);
		if (is_text)
			continue;
		if (recording_build_tables(&recording))
			fail_msg("%s", text);
		recording_deinit(&recording);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recordings),
		cmocka_unit_test(test_what_is_not_told_cannot_be_read),
		cmocka_unit_test(test_written_as_read),
		cmocka_unit_test(test_memory_grows_together),
		cmocka_unit_test(test_what_is_no_recording),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
