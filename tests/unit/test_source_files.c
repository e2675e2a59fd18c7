/* Source files: where they are looked for, what is refused, which are newer than the binary, and their lines.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "symbolizer/source_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char directory[64];

static int set_up(void **state)
{
	snprintf(directory, sizeof(directory), "/tmp/kiln-source-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

static const char *in_directory(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *ret = path[next++ % 4];

	snprintf(ret, sizeof(path[0]), "%s/%s", directory, name);
	return ret;
}

static void put(const char *name, const char *text, size_t length)
{
	FILE *file = fopen(in_directory(name), "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, length, file), length);
	assert_int_equal(fclose(file), 0);
}

#define PUT(name, text) put(name, text, sizeof(text) - 1)

static struct source_files *create(void)
{
	struct source_files *files;

	assert_null(source_files_create(&files));
	return files;
}

static void map(struct source_files *files, const char *from, const char *to)
{
	char text[512];

	snprintf(text, sizeof(text), "%s=%s", from, to);
	assert_null(source_files_add_map(files, text));
}

static void expect_line(struct source_files *files, const struct source_file *file, uint32_t line,
			const char *expected)
{
	const char *text = source_files_get_line(files, file, line);

	assert_non_null(text);
	assert_string_equal(text, expected);
}

/* ---- lines ---- */

static void test_lines(void **state)
{
	struct source_files *files = create();
	const struct source_file *file;

	PUT("a.c", "first\n\n\tthird\r\nfourth");
	file = source_files_find(files, in_directory("a.c"));
	assert_null(file->why);
	assert_string_equal(file->path, in_directory("a.c"));
	assert_int_equal(file->lines, 4);
	expect_line(files, file, 1, "first");
	expect_line(files, file, 2, "");
	expect_line(files, file, 3, "        third");
	expect_line(files, file, 4, "fourth");
	assert_null(source_files_get_line(files, file, 0));
	assert_null(source_files_get_line(files, file, 5));
	assert_ptr_equal(source_files_find(files, in_directory("a.c")), file);
	source_files_destroy(files);
}

static void test_empty_file(void **state)
{
	struct source_files *files = create();
	const struct source_file *file;

	PUT("empty.c", "");
	file = source_files_find(files, in_directory("empty.c"));
	assert_null(file->why);
	assert_int_equal(file->lines, 0);
	assert_null(source_files_get_line(files, file, 1));
	source_files_destroy(files);
}

/* Escape sequences, invalid UTF-8, NUL bytes, bidi controls, and lines without an end. */
static void test_hostile_text(void **state)
{
	struct source_files *files = create();
	const struct source_file *file;
	char long_line[5000];
	const char *text;

	PUT("evil.c", "a\033[2Jb\n\xff\xfe\0z\nx\xe2\x80\xaey\n\ta\xc3\xa9\tb\n");
	file = source_files_find(files, in_directory("evil.c"));
	expect_line(files, file, 1, "a?[2Jb");
	expect_line(files, file, 2, "???z");
	expect_line(files, file, 3, "x?y");
	/* A character of two bytes is one cell wide. */
	expect_line(files, file, 4, "        a\xc3\xa9      b");
	memset(long_line, 'x', sizeof(long_line));
	put("long.c", long_line, sizeof(long_line));
	file = source_files_find(files, in_directory("long.c"));
	text = source_files_get_line(files, file, 1);
	assert_int_equal(file->lines, 1);
	assert_in_range(strlen(text), SOURCE_LINE_MAX - 3, SOURCE_LINE_MAX);
	assert_string_equal(text + strlen(text) - 3, "…");
	memset(long_line, '\t', sizeof(long_line));
	put("tabs.c", long_line, sizeof(long_line));
	file = source_files_find(files, in_directory("tabs.c"));
	assert_in_range(strlen(source_files_get_line(files, file, 1)), SOURCE_LINE_MAX - 3, SOURCE_LINE_MAX);
	source_files_destroy(files);
}

/* ---- where ---- */

static void test_maps(void **state)
{
	struct source_files *files = create();
	const struct source_file *file;

	assert_int_equal(mkdir(in_directory("src"), 0700), 0);
	PUT("src/b.c", "mapped\n");
	PUT("whole.c", "whole\n");
	map(files, "/build/app", in_directory("nowhere"));
	map(files, "/build/app/", in_directory("src/"));
	map(files, "/gone", in_directory("src"));
	map(files, ".", directory);
	/* The second of two maps, because the first has it not. */
	file = source_files_find(files, "/build/app/b.c");
	assert_null(file->why);
	assert_string_equal(file->path, in_directory("src/b.c"));
	expect_line(files, file, 1, "mapped");
	/* A part of the path that only begins so is another one. */
	file = source_files_find(files, "/build/application/b.c");
	assert_non_null(file->why);
	assert_string_equal(file->path, "/build/application/b.c");
	file = source_files_find(files, "src/b.c");
	assert_null(file->why);
	/* What no map knows is where the debug information says. */
	file = source_files_find(files, in_directory("whole.c"));
	assert_null(file->why);
	source_files_destroy(files);
}

/* A map of the root puts everything below a directory. */
static void test_map_of_the_root(void **state)
{
	struct source_files *files = create();

	PUT("root.c", "below\n");
	map(files, "/", directory);
	assert_null(source_files_find(files, "/root.c")->why);
	assert_non_null(source_files_find(files, "root.c")->why);
	source_files_destroy(files);
}

static void test_maps_that_are_none(void **state)
{
	static const char *const bad[] = {"", "/a", "=/b", "/a=", "="};
	struct source_files *files = create();

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct error *error = source_files_add_map(files, bad[i]);

		assert_non_null(error);
		assert_int_equal(error_get_code(error), ERROR_USAGE);
		assert_non_null(error_get_hint(error));
		error_destroy(error);
	}
	source_files_destroy(files);
}

/* ---- what is refused ---- */

static void expect_refused(struct source_files *files, const char *path, const char *why)
{
	const struct source_file *file = source_files_find(files, path);

	assert_non_null(file->why);
	assert_non_null(strstr(file->why, why));
	assert_int_equal(file->lines, 0);
	assert_null(source_files_get_line(files, file, 1));
}

static void test_what_is_no_source(void **state)
{
	struct source_files *files = create();
	int fd;

	/* Opening it would wait for a writer for ever. */
	assert_int_equal(mkfifo(in_directory("fifo.c"), 0600), 0);
	expect_refused(files, in_directory("fifo.c"), "not a regular file");
	expect_refused(files, "/dev/zero", "not a regular file");
	expect_refused(files, directory, "not a regular file");
	expect_refused(files, in_directory("missing.c"), "No such file");
	expect_refused(files, "relative.c", "relative");
	expect_refused(files, "", "relative");
	fd = open(in_directory("big.c"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SOURCE_BYTES_MAX + 1), 0);
	close(fd);
	expect_refused(files, in_directory("big.c"), "16 MiB");
	assert_int_equal(truncate(in_directory("big.c"), 1000), 0);
	source_files_destroy(files);
}

/* ---- older, newer ---- */

static void test_newer_than_the_binary(void **state)
{
	struct source_files *files = create();
	const struct timespec times[2] = {{1000, 5}, {1000, 5}};

	PUT("old.c", "x\n");
	PUT("same.c", "x\n");
	PUT("new.c", "x\n");
	assert_int_equal(utimensat(AT_FDCWD, in_directory("old.c"), times, 0), 0);
	assert_int_equal(utimensat(AT_FDCWD, in_directory("same.c"), times, 0), 0);
	/* Not known: nothing is said. */
	assert_false(source_files_find(files, in_directory("new.c"))->is_newer);
	source_files_destroy(files);
	files = create();
	source_files_set_binary_time(files, 1000000000004ull);
	assert_true(source_files_find(files, in_directory("old.c"))->is_newer);
	source_files_set_binary_time(files, 1000000000005ull);
	assert_false(source_files_find(files, in_directory("same.c"))->is_newer);
	assert_true(source_files_find(files, in_directory("new.c"))->is_newer);
	assert_false(source_files_find(files, in_directory("none.c"))->is_newer);
	source_files_destroy(files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_empty_file),
		cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_maps),
		cmocka_unit_test(test_map_of_the_root),
		cmocka_unit_test(test_maps_that_are_none),
		cmocka_unit_test(test_what_is_no_source),
		cmocka_unit_test(test_newer_than_the_binary),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
