/* Every input that the fuzzer of perf maps and jitdumps has kept, once: what is found must cover what was
 * asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fuzz/jit_garbage.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <stdio.h>

#define FOLDER	  "tests/fuzz/corpus-jit"
#define FILES_MIN 10
#define INPUT_MAX 65536

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_file(const char *name)
{
	static uint8_t input[INPUT_MAX];
	_cleanup_fclose_ FILE *file = NULL;
	char path[512];
	uint8_t *exact;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", FOLDER, name);
	file = fopen(path, "re");
	if (!file)
		fail_msg("no %s", path);
	size = fread(input, 1, sizeof(input), file);
	assert_true(size > 0 && size < sizeof(input));
	/* memory of its own, so that a sanitizer sees a read behind it */
	exact = malloc(size);
	assert_non_null(exact);
	memcpy(exact, input, size);
	jit_garbage_run(exact, size); /* aborts */
	free(exact);
}

static void test_corpus(void **state)
{
	struct dirent **entries;
	int count = scandir(FOLDER, &entries, is_input, alphasort);

	assert_true(count >= FILES_MIN);
	for (int i = 0; i < count; i++) {
		run_file(entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
}

/* Nothing, and one byte. */
static void test_short_inputs(void **state)
{
	uint8_t byte = 0;

	jit_garbage_run(&byte, 0);
	for (unsigned i = 0; i < 256; i++) {
		byte = (uint8_t)i;
		jit_garbage_run(&byte, 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corpus),
		cmocka_unit_test(test_short_inputs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
