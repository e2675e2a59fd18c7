/* The parser of /proc/PID/maps: the kernel's lines, hostile names in them, and lines that are none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/maps.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool parse(const char *text, struct map *ret)
{
	static char line[8192]; /* the strings of the result live in it */

	assert_true(strlen(text) < sizeof(line));
	strcpy(line, text);
	return maps_parse_line(line, ret);
}

static void test_file_line(void **state)
{
	struct map map;

	assert_true(parse(
		"7f4ebac40000-7f4ebac4a000 r-xp 00027000 fe:1a 332383                     /usr/lib/ld.so\n",
		&map));
	assert_int_equal(map.start, 0x7f4ebac40000);
	assert_int_equal(map.end, 0x7f4ebac4a000);
	assert_int_equal(map.offset, 0x27000);
	assert_int_equal(map.dev_major, 0xfe);
	assert_int_equal(map.dev_minor, 0x1a);
	assert_int_equal(map.inode, 332383);
	assert_true(map.is_readable && map.is_executable && !map.is_writable && !map.is_shared &&
		    !map.is_deleted);
	assert_int_equal(map.kind, MAP_KIND_FILE);
	assert_string_equal(map.path, "/usr/lib/ld.so");
}

static void test_kinds(void **state)
{
	static const struct {
		const char *tail;
		enum map_kind kind;
	} cases[] = {
		{"00:00 0 ", MAP_KIND_ANONYMOUS},
		{"00:00 0", MAP_KIND_ANONYMOUS},
		{"00:00 0 [heap]", MAP_KIND_ANONYMOUS},
		{"00:00 0 [anon:[vdso]]", MAP_KIND_ANONYMOUS},
		{"00:00 0 [vdso]", MAP_KIND_VDSO},
		{"00:00 0 [uprobes]", MAP_KIND_TRAMPOLINE},
		{"00:00 0 [uprobes-trampoline]", MAP_KIND_TRAMPOLINE},
		{"00:00 0 [vsyscall]", MAP_KIND_VSYSCALL},
		{"00:05 9 /dev/zero", MAP_KIND_ANONYMOUS},
		{"00:01 9 /dev/zero (deleted)", MAP_KIND_ANONYMOUS},
		{"00:01 9 /SYSV00000000 (deleted)", MAP_KIND_ANONYMOUS},
		{"00:01 9 /memfd:jit (deleted)", MAP_KIND_MEMFD},
		{"fe:00 9 /memfd:jit", MAP_KIND_FILE}, /* a file that is called so */
		{"fe:00 9 /[vdso]", MAP_KIND_FILE},
		{"fe:00 9 /SYSV", MAP_KIND_FILE},
	};
	struct map map;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char line[256];

		snprintf(line, sizeof(line), "1000-2000 rwxp 00000000 %s\n", cases[i].tail);
		assert_true(parse(line, &map));
		if (map.kind != cases[i].kind)
			fail_msg("%s: kind %d", line, map.kind);
	}
}

static void test_hostile_paths(void **state)
{
	struct map map;

	assert_true(parse("1000-2000 r-xp 00000000 fe:00 9 /a b\\012c\\x\\ (deleted) (deleted)\n", &map));
	assert_true(map.is_deleted);
	assert_string_equal(map.path, "/a b\nc\\x\\ (deleted)");
	/* A line inside a path stays inside it. */
	assert_true(parse("1000-2000 r-xp 00000000 fe:00 9 /x\\0121000-2000 r-xp 0 0:0 0 [vdso]\n", &map));
	assert_int_equal(map.kind, MAP_KIND_FILE);
	assert_true(parse("1000-2000 r-xp 00000000 fe:00 9 /\\01\n", &map));
	assert_string_equal(map.path, "/\\01");
	assert_true(parse("1000-2000 r-xp 00000000 fe:00 9  (deleted)\n", &map));
	assert_string_equal(map.path, "(deleted)");
	assert_int_equal(map.kind, MAP_KIND_ANONYMOUS);
}

static void test_lines_that_are_none(void **state)
{
	static const char *const lines[] = {
		"",
		"\n",
		"1000",
		"1000-",
		"-2000 r-xp 0 fe:00 9",
		"1000-2000",
		"2000-1000 r-xp 0 fe:00 9 /x",
		"1000-1000 r-xp 0 fe:00 9 /x",
		"1000-2000 r-x 0 fe:00 9 /x",
		"1000-2000 q-xp 0 fe:00 9 /x",
		"1000-2000 r-xp  fe:00 9 /x",
		"1000-2000 r-xp 0 fe 9 /x",
		"1000-2000 r-xp 0 fe:00",
		"1000-2000 r-xp 0 fe:00 x",
		"+1000-2000 r-xp 0 fe:00 9 /x",
		"0x1000-2000 r-xp 0 fe:00 9 /x",
		"10000000000000000-20000000000000000 r-xp 0 fe:00 9 /x",
		"1000-2000 r-xp 0 100000000:00 9 /x",
		"1000-2000 r-xp 0 fe:00 99999999999999999999 /x",
	};
	struct map map;

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (parse(lines[i], &map))
			fail_msg("taken: %s", lines[i]);
}

struct found {
	size_t count;
	uint64_t last_end;
	const char *wanted;
	struct map map;
};

static struct error *look(void *arg, const struct map *map)
{
	struct found *found = arg;

	assert_true(map->start >= found->last_end);
	found->last_end = map->end;
	found->count++;
	if (found->wanted && !strcmp(map->path, found->wanted)) {
		found->map = *map;
		found->map.path = NULL;
	}
	return NULL;
}

static void test_no_limit_on_lines(void **state)
{
	enum { PATH_LENGTH = 300000, LINES = 2000 };
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	struct found found = {0};
	struct error *error;

	for (unsigned i = 0; i < LINES; i++) {
		fprintf(stream, "%x000-%x000 r-xp 00000000 fe:00 9 /", i + 1, i + 2);
		for (size_t n = 0; i == 7 && n < PATH_LENGTH; n++)
			fputc('a', stream);
		fputc('\n', stream);
	}
	fclose(stream);
	stream = fmemopen(text, size, "r");
	error = maps_read(stream, look, &found);
	fclose(stream);
	assert_null(error);
	assert_int_equal(found.count, LINES);
}

static void test_bad_text_is_an_error(void **state)
{
	static const char text[] = "1000-2000 r-xp 0 fe:00 9 /x\nrubbish\n";
	static const char nul[] = "1000-2000 r-xp 0 fe:00 9 /x\0y\n";
	struct found found = {0};
	FILE *stream = fmemopen((void *)text, sizeof(text) - 1, "r");
	struct error *error = maps_read(stream, look, &found);

	fclose(stream);
	assert_non_null(error);
	error_destroy(error);
	stream = fmemopen((void *)nul, sizeof(nul) - 1, "r");
	error = maps_read(stream, look, &found);
	fclose(stream);
	assert_non_null(error);
	error_destroy(error);
}

/* What the running kernel really writes for a file whose name holds a newline, and after that was deleted. */
static void test_real_hostile_file(void **state)
{
	char dir[] = "/tmp/kiln-maps-XXXXXX", path[64];
	struct found found = {0};
	struct error *error;
	struct stat status;
	FILE *stream;
	int proc_fd = open("/proc/self", O_PATH | O_DIRECTORY);
	void *memory;
	int fd;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/a\nb (deleted)", dir);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL, 0600);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 4096), 0);
	memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(fstat(fd, &status), 0);
	unlink(path);
	rmdir(dir);

	found.wanted = path;
	error = maps_open(proc_fd, &stream);
	assert_null(error);
	error = maps_read(stream, look, &found);
	fclose(stream);
	assert_null(error);
	assert_int_equal(found.map.start, (uintptr_t)memory);
	assert_true(found.map.is_deleted);
	assert_int_equal(found.map.inode, status.st_ino);
	munmap(memory, 4096);
	close(fd);
	close(proc_fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_file_line),	  cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_hostile_paths),	  cmocka_unit_test(test_lines_that_are_none),
		cmocka_unit_test(test_no_limit_on_lines), cmocka_unit_test(test_bad_text_is_an_error),
		cmocka_unit_test(test_real_hostile_file),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
