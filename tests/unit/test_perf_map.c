/* The text map of a JIT: lines, tiers, growth, another text in its place, hostile text, a million lines. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/events.h"
#include "symbolizer/frame.h"
#include "symbolizer/modules.h"
#include "symbolizer/perf_map.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

struct world {
	int fd; /* for writing */
	struct perf_map *map;
};

static void write_text(const struct world *world, const void *text, size_t length)
{
	assert_int_equal(write(world->fd, text, length), (ssize_t)length);
}

/* As if it had been written a while ago. */
static void make_old(const struct world *world)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}};

	assert_int_equal(futimens(world->fd, times), 0);
}

static struct world open_world(const char *text)
{
	struct world world = {.fd = memfd_create("map", MFD_CLOEXEC)};

	assert_true(world.fd >= 0);
	write_text(&world, text, strlen(text));
	assert_null(perf_map_create(dup(world.fd), &world.map));
	perf_map_update(world.map, UINT64_MAX);
	return world;
}

static void close_world(struct world *world)
{
	perf_map_destroy(world->map);
	close(world->fd);
}

static void grow(struct world *world, const char *text)
{
	write_text(world, text, strlen(text));
	perf_map_update(world->map, UINT64_MAX);
}

/* name NULL: none. */
static void expect(const struct world *world, uint64_t address, const char *name, uint64_t start)
{
	struct perf_map_name found;

	if (!name) {
		assert_false(perf_map_find(world->map, address, &found));
		return;
	}
	assert_true(perf_map_find(world->map, address, &found));
	assert_int_equal(found.length, strlen(name));
	assert_memory_equal(found.name, name, found.length);
	assert_true(found.start == start);
}

static void test_lines(void **state)
{
	struct world world = open_world("1000 10 plain\n"
					"0x2000 0x10 with prefix and blanks \r\n"
					"7FFF0000ABCD\tff\ttabs\n"
					"3000 0 without size\n"
					"nonsense\n"
					"\n"
					"4000 10\n"
					"4000 10 \n"
					"4000\n"
					"4000 zz name\n"
					"12345678901234567 10 too long\n"
					"7fffffffffff 2 beyond user space\n"
					"5000 ffffffffffffffff too big\n"
					"ffffffff81000000 10 the kernel\n"
					"6000 10 last\n");

	expect(&world, 0xfff, NULL, 0);
	expect(&world, 0x1000, "plain", 0x1000);
	expect(&world, 0x100f, "plain", 0x1000);
	expect(&world, 0x1010, NULL, 0);
	expect(&world, 0x2001, "with prefix and blanks", 0x2000);
	expect(&world, 0x7fff0000accb, "tabs", 0x7fff0000abcd);
	expect(&world, 0x3000, "without size", 0x3000);
	expect(&world, 0x3001, NULL, 0);
	expect(&world, 0x4000, NULL, 0);
	expect(&world, 0x5000, NULL, 0);
	expect(&world, 0x7fffffffffff, NULL, 0);
	expect(&world, 0xffffffff81000000, NULL, 0);
	expect(&world, 0x600f, "last", 0x6000);
	assert_int_equal(perf_map_count_garbage(world.map), 10);
	close_world(&world);
}

static void test_latest_wins(void **state)
{
	struct world world = open_world("1000 100 old\n1000 100 new\n1080 10 inside\n2000 10 other\n");

	expect(&world, 0x1000, "new", 0x1000);
	expect(&world, 0x1085, "inside", 0x1080);
	/* Of the function that is cut in two its own start. */
	expect(&world, 0x1090, "new", 0x1000);
	grow(&world, "10f0 f20 over all\n");
	expect(&world, 0x10ef, "new", 0x1000);
	expect(&world, 0x1100, "over all", 0x10f0);
	expect(&world, 0x2000, "over all", 0x10f0);
	expect(&world, 0x2010, NULL, 0);
	close_world(&world);
}

static void test_tiers(void **state)
{
	static const char *const folded[][2] = {
		{"LazyCompile:~f /a.js:1:2", "JS:f /a.js:1:2"},
		{"LazyCompile:*f /a.js:1:2", "JS:f /a.js:1:2"},
		{"InterpretedFunction:~f /a.js:1:2", "JS:f /a.js:1:2"},
		{"Function:^f /a.js:1:2", "JS:f /a.js:1:2"},
		{"Function:f", "Function:f"},
		{"JS:*", "JS:"},
		{"Function:^f", "JS:f"},
		{"JS:+f", "JS:f"},
		{"JS:*'f x", "JS:f x"},
		{"Script:~ /a.js:1:1", "Script: /a.js:1:1"},
		{"Eval:~", "Eval:"},
		{"LazyCompile:f", "LazyCompile:f"},
		{"LazyCompile:", "LazyCompile:"},
		{"RegExp:*f", "RegExp:*f"},
		{"~f", "~f"},
		{"operator*", "operator*"},
		{"Builtin:~x", "Builtin:~x"},
	};
	char text[256];

	for (size_t i = 0; i < sizeof(folded) / sizeof(folded[0]); i++) {
		struct world world;

		snprintf(text, sizeof(text), "1000 10 %s\n", folded[i][0]);
		world = open_world(text);
		expect(&world, 0x1000, folded[i][1], 0x1000);
		close_world(&world);
	}
}

static void test_growth(void **state)
{
	struct world world = open_world("");

	expect(&world, 0x1000, NULL, 0);
	grow(&world, "1000 10 first\n2000 10 sec");
	expect(&world, 0x1000, "first", 0x1000);
	/* It may be half a line. */
	expect(&world, 0x2000, NULL, 0);
	grow(&world, "ond\n30");
	expect(&world, 0x2000, "second", 0x2000);
	grow(&world, "00 10 third");
	expect(&world, 0x3000, NULL, 0);
	make_old(&world);
	perf_map_update(world.map, UINT64_MAX);
	expect(&world, 0x3000, "third", 0x3000);
	/* Nothing has changed. */
	perf_map_update(world.map, UINT64_MAX);
	expect(&world, 0x3000, "third", 0x3000);
	grow(&world, " and more\n");
	expect(&world, 0x3000, "third and more", 0x3000);
	grow(&world, "4000 10");
	make_old(&world);
	perf_map_update(world.map, UINT64_MAX);
	expect(&world, 0x4000, NULL, 0);
	assert_int_equal(perf_map_count_garbage(world.map), 0);
	close_world(&world);
}

static void test_pieces(void **state)
{
	struct world world = open_world("");
	char line[64];
	int length = 0;

	for (unsigned i = 0; i < 20000; i++) {
		length = snprintf(line, sizeof(line), "%x 10 function %u\n", 0x1000 + i * 16, i);
		write_text(&world, line, (size_t)length);
	}
	/* Each call reads some, none gives half a line a name. */
	for (unsigned i = 0; i < 20; i++) {
		struct perf_map_name found;

		perf_map_update(world.map, 1);
		for (unsigned at = 0; at < 20000; at += 97) {
			if (!perf_map_find(world.map, 0x1008 + at * 16, &found))
				continue;
			length = snprintf(line, sizeof(line), "function %u", at);
			assert_int_equal(found.length, length);
			assert_memory_equal(found.name, line, found.length);
		}
	}
	expect(&world, 0x1000 + 19999 * 16, "function 19999", 0x1000 + 19999 * 16);
	assert_int_equal(perf_map_count_garbage(world.map), 0);
	close_world(&world);
}

static void rewrite(struct world *world, const char *text)
{
	assert_int_equal(ftruncate(world->fd, 0), 0);
	assert_int_equal(lseek(world->fd, 0, SEEK_SET), 0);
	write_text(world, text, strlen(text));
}

static void test_replaced(void **state)
{
	struct world world = open_world("1000 10 first\n2000 10 second\n3000 10 third\n");

	/* Shorter. */
	rewrite(&world, "1000 10 other\n");
	/* Not read yet: what is found is not what the line says now. */
	expect(&world, 0x2000, NULL, 0);
	perf_map_update(world.map, UINT64_MAX);
	expect(&world, 0x1000, "other", 0x1000);
	expect(&world, 0x2000, NULL, 0);
	/* Longer, with another beginning. */
	rewrite(&world, "9000 10 new first\n9100 10 new second\n");
	perf_map_update(world.map, UINT64_MAX);
	expect(&world, 0x1000, NULL, 0);
	expect(&world, 0x9100, "new second", 0x9100);
	/* Longer, with the same beginning, and other lines behind it. */
	rewrite(&world, "9000 10 new first\n9200 10 new second\n9300 10 third\n");
	perf_map_update(world.map, UINT64_MAX);
	expect(&world, 0x9100, NULL, 0);
	expect(&world, 0x9200, "new second", 0x9200);
	expect(&world, 0x9300, "third", 0x9300);
	/* Empty. */
	rewrite(&world, "");
	perf_map_update(world.map, UINT64_MAX);
	expect(&world, 0x9000, NULL, 0);
	close_world(&world);
}

static void test_long_names(void **state)
{
	enum { LONG = 10000, HUGE = 3 << 20 };
	_cleanup_free_ char *text = malloc(HUGE + 100);
	struct world world = open_world("1000 10 ");
	struct perf_map_name found;

	memset(text, 'x', HUGE);
	write_text(&world, text, LONG);
	grow(&world, "\n2000 10 ");
	write_text(&world, text, HUGE);
	grow(&world, "\n3000 10 behind\n");
	assert_true(perf_map_find(world.map, 0x1000, &found));
	assert_true(found.length > NAME_LENGTH_MAX);
	assert_true(perf_map_find(world.map, 0x2000, &found));
	assert_true(found.length > NAME_LENGTH_MAX);
	expect(&world, 0x3000, "behind", 0x3000);
	assert_int_equal(perf_map_count_garbage(world.map), 0);
	close_world(&world);
}

/* Pieces of lines, damaged, in random steps: every answer covers what was asked for. */
static void test_garbage(void **state)
{
	static const char *const pieces[] = {"1000 10 a\n", "1008 ", "20 b",	     "\n",
					     "\n\n",	    "0x",    "ffffffff",     " ",
					     "\0",	    "\xff",  "1000 0 c\r\n", "LazyCompile:*"};

	srandom(5);
	for (int round = 0; round < 300; round++) {
		struct world world = open_world("");

		for (int i = 0; i < 40; i++) {
			const char *piece = pieces[(size_t)random() % (sizeof(pieces) / sizeof(pieces[0]))];
			struct perf_map_name found;

			write_text(&world, piece, *piece ? strlen(piece) : 1);
			if (random() % 8 == 0)
				assert_int_equal(ftruncate(world.fd, random() % 64), 0);
			if (random() % 4 == 0)
				make_old(&world);
			perf_map_update(world.map, random() % 2 ? UINT64_MAX : 7);
			for (uint64_t address = 0xff0; address < 0x1040; address += 8)
				if (perf_map_find(world.map, address, &found))
					assert_true(found.length && found.start <= address);
		}
		close_world(&world);
	}
}

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void test_million(void **state)
{
	enum { COUNT = 1000000, LOOKUPS = 200000 };
	struct world world = open_world("");
	FILE *file = fdopen(dup(world.fd), "w");
	struct perf_map_name found;
	struct stat status;
	double start;

	for (uint64_t i = 0; i < COUNT; i++) {
		uint64_t at = i * 7919 % COUNT;

		fprintf(file, "%lx 60 LazyCompile:*function_%lu /usr/lib/node_modules/some/thing.js:%lu:12\n",
			(unsigned long)(0x7f0000000000 + at * 128), (unsigned long)at,
			(unsigned long)at % 5000);
	}
	fclose(file);
	start = now_s();
	perf_map_update(world.map, UINT64_MAX);
	expect(&world, 0x7f0000000000 + 3 * 128, "JS:function_3 /usr/lib/node_modules/some/thing.js:3:12",
	       0x7f0000000000 + 3 * 128);
	fstat(world.fd, &status);
	print_message("# a million lines, %ld MB: %.2f s\n", (long)(status.st_size >> 20), now_s() - start);
	start = now_s();
	for (uint64_t i = 0; i < LOOKUPS; i++)
		assert_true(perf_map_find(world.map, 0x7f0000000000 + i * 104729 % COUNT * 128 + 9, &found));
	print_message("# %d look-ups: %.2f s\n", LOOKUPS, now_s() - start);
	close_world(&world);
}

/* 64 GiB of nothing, a folder, a file that is gone. */
static void test_strange_files(void **state)
{
	struct world world = open_world("1000 10 a\n");
	struct perf_map *map;
	struct perf_map_name found;

	assert_int_equal(ftruncate(world.fd, 64ll << 30), 0);
	perf_map_update(world.map, 8 << 20);
	expect(&world, 0x1000, "a", 0x1000);
	close_world(&world);
	assert_null(perf_map_create(open("/tmp", O_RDONLY | O_CLOEXEC), &map));
	perf_map_update(map, UINT64_MAX);
	assert_false(perf_map_find(map, 0x1000, &found));
	perf_map_destroy(map);
	assert_null(perf_map_create(-1, &map));
	perf_map_update(map, UINT64_MAX);
	assert_false(perf_map_find(map, 0x1000, &found));
	perf_map_destroy(map);
}

/* Through the module, as the worker asks. */
static void test_module(void **state)
{
	static const char text[] = "1000 10 evil\033[31m \xc2\x9b \xe2\x80\xae \xff end\n2000 10 ";
	static char name[10001];
	static struct module_name answer;
	struct symbolizer_modules *modules;
	struct info_message info;
	struct module *module;
	int fd = memfd_create("map", MFD_CLOEXEC);

	assert_null(symbolizer_modules_create(&modules));
	assert_int_equal(write(fd, text, sizeof(text) - 1), sizeof(text) - 1);
	memset(name, 'n', sizeof(name));
	name[sizeof(name) - 1] = '\n';
	assert_int_equal(write(fd, name, sizeof(name)), sizeof(name));
	assert_null(symbolizer_modules_add(modules, MODULE_ANONYMOUS, MODULE_KIND_PERF_MAP, dup(fd)));
	module = symbolizer_modules_find(modules, MODULE_ANONYMOUS);
	module_open(module, &info);
	assert_int_equal(info.symbols, SYMBOLS_JIT);
	assert_int_equal(info.module, MODULE_ANONYMOUS);
	module_name_offset(module, 0x1008, &answer);
	assert_string_equal(answer.function, "evil?[31m ? ? ? end");
	assert_true(answer.start == 0x1000);
	assert_int_equal(answer.line, 0);
	assert_int_equal(answer.flags, 0);
	module_name_offset(module, 0x2000, &answer);
	assert_in_range(answer.function_length, NAME_LENGTH_MAX - 8, NAME_LENGTH_MAX);
	assert_string_equal(answer.function + answer.function_length - 3, "…");
	module_name_offset(module, 0x3000, &answer);
	assert_int_equal(answer.function_length, 0);
	assert_true(answer.start == 0x3000);
	assert_int_equal(write(fd, "3000 10 late\n", 13), 13);
	module_update(module);
	module_name_offset(module, 0x3000, &answer);
	assert_string_equal(answer.function, "late");
	/* Another file. */
	close(fd);
	fd = memfd_create("map", MFD_CLOEXEC);
	assert_int_equal(write(fd, "3000 10 other\n", 14), 14);
	assert_null(symbolizer_modules_add(modules, MODULE_ANONYMOUS, MODULE_KIND_PERF_MAP, fd));
	module = symbolizer_modules_find(modules, MODULE_ANONYMOUS);
	module_update(module);
	module_name_offset(module, 0x3000, &answer);
	assert_string_equal(answer.function, "other");
	module_name_offset(module, 0x1000, &answer);
	assert_int_equal(answer.function_length, 0);
	symbolizer_modules_destroy(modules);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),	   cmocka_unit_test(test_latest_wins),
		cmocka_unit_test(test_tiers),	   cmocka_unit_test(test_growth),
		cmocka_unit_test(test_pieces),	   cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_long_names), cmocka_unit_test(test_garbage),
		cmocka_unit_test(test_million),	   cmocka_unit_test(test_strange_files),
		cmocka_unit_test(test_module),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
