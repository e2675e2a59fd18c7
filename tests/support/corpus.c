#include "tests/support/corpus.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INPUT_MAX 65536

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static void run_file(const char *folder, const char *name, void (*run)(const uint8_t *input, size_t size))
{
	static uint8_t input[INPUT_MAX];
	_cleanup_fclose_ FILE *file = NULL;
	char path[512];
	uint8_t *exact;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "re");
	if (!file)
		fail_msg("no %s", path);
	size = fread(input, 1, sizeof(input), file);
	assert_true(size > 0 && size < sizeof(input));
	exact = malloc(size);
	assert_non_null(exact);
	memcpy(exact, input, size);
	run(exact, size);
	free(exact);
}

void corpus_run(const char *folder, int least, void (*run)(const uint8_t *input, size_t size))
{
	struct dirent **entries;
	int count = scandir(folder, &entries, is_input, alphasort);

	assert_true(count >= least);
	for (int i = 0; i < count; i++) {
		run_file(folder, entries[i]->d_name, run);
		free(entries[i]);
	}
	free(entries);
}

void corpus_run_short(void (*run)(const uint8_t *input, size_t size))
{
	uint8_t byte = 0;

	run(&byte, 0);
	for (unsigned i = 0; i < 256; i++) {
		byte = (uint8_t)i;
		run(&byte, 1);
	}
}
