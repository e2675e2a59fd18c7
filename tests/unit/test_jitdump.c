/* jitdumps: code that is loaded, moved and replaced, its lines, growth, and files that are damaged or none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/events.h"
#include "symbolizer/jitdump.h"
#include "symbolizer/modules.h"
#include "tests/support/jitdump_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define BASE 0x7f0000001000ull

struct world {
	int fd; /* for writing */
	struct jitdump *dump;
};

static struct world open_world(void)
{
	struct world world = {.fd = memfd_create("dump", MFD_CLOEXEC)};

	assert_true(world.fd >= 0);
	assert_null(jitdump_create(dup(world.fd), &world.dump));
	return world;
}

static void close_world(struct world *world)
{
	jitdump_destroy(world->dump);
	close(world->fd);
}

static void update(struct world *world)
{
	jitdump_update(world->dump, UINT64_MAX);
}

/* name NULL: none; line 0: none. */
static void expect(const struct world *world, uint64_t address, const char *name, const char *file,
		   uint32_t line)
{
	struct jitdump_name found;

	if (!name) {
		assert_false(jitdump_find(world->dump, address, &found));
		return;
	}
	assert_true(jitdump_find(world->dump, address, &found));
	assert_int_equal(found.length, strlen(name));
	assert_memory_equal(found.name, name, found.length);
	assert_int_equal(found.line, line);
	if (!line)
		return;
	assert_int_equal(found.file_length, strlen(file));
	assert_memory_equal(found.file, file, found.file_length);
}

static void test_code(void **state)
{
	struct world world = open_world();

	update(&world);
	expect(&world, BASE, NULL, NULL, 0);
	jitdump_put_head(world.fd);
	jitdump_put_load(world.fd, BASE, 0x100, "first", 0x100);
	/* Unwinding information, and what nobody knows yet. */
	jitdump_put_other(world.fd, 4, 100);
	jitdump_put_other(world.fd, 77, 0);
	jitdump_put_load(world.fd, BASE + 0x100, 0x10, "LazyCompile:*second /a.js:1", 0x10);
	jitdump_put_load(world.fd, BASE + 0x200, 0x300000, "big", 0x300000);
	jitdump_put_load(world.fd, BASE + 0x400000, 0, "no code", 0);
	jitdump_put_load(world.fd, BASE + 0x400000, 1, "", 0);
	jitdump_put_load(world.fd, UINT64_MAX - 5, 100, "nowhere", 0);
	jitdump_put_load(world.fd, BASE + 0x500000, 8, "last", 8);
	update(&world);
	expect(&world, BASE - 1, NULL, NULL, 0);
	expect(&world, BASE, "first", NULL, 0);
	expect(&world, BASE + 0xff, "first", NULL, 0);
	expect(&world, BASE + 0x100, "JS:second /a.js:1", NULL, 0);
	expect(&world, BASE + 0x300000, "big", NULL, 0);
	expect(&world, BASE + 0x400000, NULL, NULL, 0);
	expect(&world, UINT64_MAX - 5, NULL, NULL, 0);
	expect(&world, BASE + 0x500007, "last", NULL, 0);
	/* In the place of another one. */
	jitdump_put_load(world.fd, BASE + 0x80, 0x100, "new", 0);
	update(&world);
	expect(&world, BASE + 0x7f, "first", NULL, 0);
	expect(&world, BASE + 0x80, "new", NULL, 0);
	expect(&world, BASE + 0x10f, "new", NULL, 0);
	assert_string_equal(jitdump_get_why(world.dump), "");
	close_world(&world);
}

static void test_lines(void **state)
{
	static const struct jitdump_line lines[] = {
		{BASE + 0x10, 10, "/src/a.lang"}, {BASE + 0x20, 11, "\xff"}, {BASE + 0x40, 7, "/src/b.lang"},
		{BASE + 0x30, 12, "/src/a.lang"}, {BASE + 0x30, 13, "\xff"},
	};
	struct world world = open_world();

	jitdump_put_head(world.fd);
	jitdump_put_lines(world.fd, BASE, lines, 5);
	jitdump_put_load(world.fd, BASE, 0x100, "with lines", 0);
	jitdump_put_load(world.fd, BASE + 0x100, 0x100, "without lines", 0);
	/* Of code that never comes. */
	jitdump_put_lines(world.fd, BASE + 0x300, lines, 5);
	jitdump_put_load(world.fd, BASE + 0x200, 0x100, "without lines, too", 0);
	update(&world);
	expect(&world, BASE + 0xf, "with lines", NULL, 0);
	expect(&world, BASE + 0x10, "with lines", "/src/a.lang", 10);
	expect(&world, BASE + 0x2f, "with lines", "/src/a.lang", 11);
	expect(&world, BASE + 0x3f, "with lines", "/src/a.lang", 13);
	expect(&world, BASE + 0xff, "with lines", "/src/b.lang", 7);
	expect(&world, BASE + 0x100, "without lines", NULL, 0);
	expect(&world, BASE + 0x200, "without lines, too", NULL, 0);
	/* Lines move with their code. */
	jitdump_put_move(world.fd, BASE, BASE + 0x10000, 0x100);
	jitdump_put_move(world.fd, BASE + 0x10, BASE + 0x20000, 0x100);
	jitdump_put_move(world.fd, BASE + 0x90000, BASE + 0x20000, 0x100);
	update(&world);
	expect(&world, BASE + 0x10025, "with lines", "/src/a.lang", 11);
	expect(&world, BASE + 0x10000, "with lines", NULL, 0);
	expect(&world, BASE + 0x20000, NULL, NULL, 0);
	/* Moved once more. */
	jitdump_put_move(world.fd, BASE + 0x10000, BASE + 0x30000, 0x100);
	update(&world);
	expect(&world, BASE + 0x30041, "with lines", "/src/b.lang", 7);
	close_world(&world);
}

/* V8's lines lie 64 bytes behind their code. */
static void test_v8_lines(void **state)
{
	static const struct jitdump_line lines[] = {{BASE + 0x50, 10, "/a.js"}, {BASE + 0x60, 11, "\xff"}};
	struct world world = open_world();

	jitdump_put_head(world.fd);
	jitdump_put_lines(world.fd, BASE, lines, 2);
	jitdump_put_load(world.fd, BASE, 0x100, "JS:*f /a.js:9:1", 0);
	update(&world);
	expect(&world, BASE + 0xf, "JS:f /a.js:9:1", NULL, 0);
	expect(&world, BASE + 0x10, "JS:f /a.js:9:1", "/a.js", 10);
	expect(&world, BASE + 0x20, "JS:f /a.js:9:1", "/a.js", 11);
	close_world(&world);
}

/* V8 writes names that it has freed: the first 16 bytes are the allocator's. */
static void test_freed_names(void **state)
{
	static const char short_name[] = "/a.js", freed_short[] = "\xa2\0\x4e\0\x1b",
			  name[] = "/home/user/some/file.js", other[] = "/home/user/some/other.js";
	static const uint64_t addresses[] = {BASE + 0x40, BASE + 0x50, BASE + 0x60, BASE + 0x70};
	struct world world = open_world();
	uint32_t sizes[] = {sizeof(name), sizeof(name), sizeof(other), sizeof(short_name)};
	uint32_t head[4] = {2, 16 + 16 + 4 * 16 + sizes[0] + sizes[1] + sizes[2] + sizes[3]};
	uint64_t rest[2] = {BASE, 4};

	jitdump_put_head(world.fd);
	assert_int_equal(write(world.fd, head, sizeof(head)), sizeof(head));
	assert_int_equal(write(world.fd, rest, sizeof(rest)), sizeof(rest));
	for (unsigned i = 0; i < 4; i++) {
		const char *texts[] = {name, name, other, short_name};
		char freed[64] = "\xa2\x9d\x4e\x1b\0\0\0\x7f\x80\xa4\x83\x62\0\xb2\x34";
		uint32_t line[2] = {10 + i, 0};

		memcpy(freed + 16, texts[i] + 16, sizes[i] > 16 ? sizes[i] - 16 : 0);
		memcpy(freed, i == 1 ? name : freed, i == 1 ? sizeof(name) : 0);
		memcpy(freed, freed_short, i == 3 ? sizeof(freed_short) : 0);
		assert_int_equal(write(world.fd, &addresses[i], 8), 8);
		assert_int_equal(write(world.fd, line, 8), 8);
		assert_int_equal(write(world.fd, freed, sizes[i]), sizes[i]);
	}
	jitdump_put_load(world.fd, BASE, 0x100, "JS:*f /home/user/some/file.js:1:18", 0);
	update(&world);
	expect(&world, BASE, "JS:f /home/user/some/file.js:1:18", name, 10);
	expect(&world, BASE + 0x10, "JS:f /home/user/some/file.js:1:18", name, 11);
	/* Another file: which one nobody knows. */
	expect(&world, BASE + 0x20, "JS:f /home/user/some/file.js:1:18", NULL, 0);
	expect(&world, BASE + 0x30, "JS:f /home/user/some/file.js:1:18", NULL, 0);
	close_world(&world);
}

/* A file that arrives byte by byte says at no moment what is not so. */
static void test_growth(void **state)
{
	static const struct jitdump_line lines[] = {{BASE, 10, "/src/a.lang"}};
	struct world whole = open_world(), world = open_world();
	struct jitdump_name found;
	off_t size;
	char byte;

	jitdump_put_head(whole.fd);
	jitdump_put_lines(whole.fd, BASE, lines, 1);
	jitdump_put_load(whole.fd, BASE, 16, "first", 16);
	jitdump_put_load(whole.fd, BASE + 16, 16, "second", 16);
	size = lseek(whole.fd, 0, SEEK_CUR);
	for (off_t at = 0; at < size; at++) {
		assert_int_equal(pread(whole.fd, &byte, 1, at), 1);
		assert_int_equal(write(world.fd, &byte, 1), 1);
		update(&world);
		if (jitdump_find(world.dump, BASE, &found))
			expect(&world, BASE, "first", "/src/a.lang", 10);
		if (jitdump_find(world.dump, BASE + 16, &found))
			expect(&world, BASE + 16, "second", NULL, 0);
	}
	expect(&world, BASE + 31, "second", NULL, 0);
	expect(&world, BASE, "first", "/src/a.lang", 10);
	/* Another file in its place, shorter. */
	assert_int_equal(ftruncate(world.fd, 0), 0);
	assert_int_equal(lseek(world.fd, 0, SEEK_SET), 0);
	jitdump_put_head(world.fd);
	jitdump_put_load(world.fd, BASE, 16, "other", 0);
	update(&world);
	expect(&world, BASE, "other", NULL, 0);
	expect(&world, BASE + 16, NULL, NULL, 0);
	close_world(&world);
	close_world(&whole);
}

static void test_pieces(void **state)
{
	struct world world = open_world();
	char name[32];

	jitdump_put_head(world.fd);
	for (unsigned i = 0; i < 5000; i++) {
		snprintf(name, sizeof(name), "function %u", i);
		jitdump_put_load(world.fd, BASE + i * 16, 16, name, 100 + i % 300);
	}
	for (unsigned i = 0; i < 50; i++)
		jitdump_update(world.dump, 99);
	expect(&world, BASE + 4949 * 16, "function 4949", NULL, 0);
	expect(&world, BASE + 4950 * 16, NULL, NULL, 0);
	update(&world);
	expect(&world, BASE + 4999 * 16, "function 4999", NULL, 0);
	close_world(&world);
}

static void test_closed(void **state)
{
	struct world world = open_world();

	jitdump_put_head(world.fd);
	jitdump_put_load(world.fd, BASE, 16, "before", 0);
	jitdump_put_other(world.fd, 3, 0);
	jitdump_put_load(world.fd, BASE + 16, 16, "behind", 0);
	update(&world);
	expect(&world, BASE, "before", NULL, 0);
	expect(&world, BASE + 16, NULL, NULL, 0);
	assert_string_equal(jitdump_get_why(world.dump), "");
	close_world(&world);
}

static void test_foreign(void **state)
{
	static const struct {
		size_t at;
		uint32_t value;
		const char *why;
	} faults[] = {
		{0, 0x4454694a, "byte order"},
		{0, 0x464c457f, "no jitdump"},
		{4, 2, "version"},
		{8, 39, "damaged"},
		{12, 183, "another machine"},
	};

	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
		struct world world = open_world();

		jitdump_put_head(world.fd);
		jitdump_put_load(world.fd, BASE, 16, "code", 0);
		assert_int_equal(pwrite(world.fd, &faults[i].value, 4, (off_t)faults[i].at), 4);
		update(&world);
		assert_non_null(strstr(jitdump_get_why(world.dump), faults[i].why));
		expect(&world, BASE, NULL, NULL, 0);
		close_world(&world);
	}
}

static void test_damaged(void **state)
{
	struct world world = open_world();
	static const uint32_t sizes[] = {0, 15, 16, 55};

	for (size_t i = 0; i < 4; i++) {
		uint32_t head[4] = {0, sizes[i]};

		assert_int_equal(ftruncate(world.fd, 0), 0);
		assert_int_equal(lseek(world.fd, 0, SEEK_SET), 0);
		jitdump_put_head(world.fd);
		jitdump_put_load(world.fd, BASE, 16, i % 2 ? "odd" : "even", 0);
		assert_int_equal(write(world.fd, head, sizeof(head)), sizeof(head));
		jitdump_put_load(world.fd, BASE + 16, 16, "behind", 0);
		jitdump_destroy(world.dump);
		assert_null(jitdump_create(dup(world.fd), &world.dump));
		update(&world);
		assert_non_null(strstr(jitdump_get_why(world.dump), "damaged"));
		expect(&world, BASE, i % 2 ? "odd" : "even", NULL, 0);
		expect(&world, BASE + 16, NULL, NULL, 0);
	}
	close_world(&world);
}

/* Any byte may be any other. */
static void test_random_damage(void **state)
{
	static const struct jitdump_line lines[] = {{BASE, 10, "/src/a.lang"}, {BASE + 8, 11, "\xff"}};
	struct world whole = open_world();
	static char bytes[65536], damaged[65536];
	size_t size;

	jitdump_put_head(whole.fd);
	for (unsigned i = 0; i < 8; i++) {
		jitdump_put_lines(whole.fd, BASE + i * 16, lines, 2);
		jitdump_put_load(whole.fd, BASE + i * 16, 16, "some function", 16);
	}
	jitdump_put_move(whole.fd, BASE, BASE + 1024, 16);
	size = (size_t)lseek(whole.fd, 0, SEEK_CUR);
	assert_int_equal(pread(whole.fd, bytes, sizeof(bytes), 0), (ssize_t)size);
	srandom(9);
	for (int round = 0; round < 3000; round++) {
		struct world world = open_world();
		struct jitdump_name found;

		memcpy(damaged, bytes, size);
		for (int i = 0; i < 1 + round % 6; i++)
			damaged[40 + (size_t)random() % (size - 40)] = (char)random();
		assert_true(write(world.fd, damaged, 40 + (size_t)random() % (size - 40)) > 0);
		jitdump_update(world.dump, random() % 2 ? 3 : UINT64_MAX);
		update(&world);
		for (uint64_t address = BASE; address < BASE + 160; address += 4)
			if (jitdump_find(world.dump, address, &found))
				assert_true(found.length && found.start <= address &&
					    (!found.line || found.file));
		close_world(&world);
	}
	close_world(&whole);
}

/* A record of lines that is longer than what is read of it, and one that promises more than it has. */
static void test_many_lines(void **state)
{
	enum { COUNT = 100000 };
	_cleanup_free_ struct jitdump_line *lines = calloc(COUNT, sizeof(*lines));
	struct world world = open_world();

	for (unsigned i = 0; i < COUNT; i++)
		lines[i] = (struct jitdump_line){BASE + i, i + 1, i ? "\xff" : "/src/long.lang"};
	jitdump_put_head(world.fd);
	jitdump_put_lines(world.fd, BASE, lines, COUNT);
	jitdump_put_load(world.fd, BASE, COUNT, "long", 0);
	lines[0].address = BASE + COUNT;
	jitdump_put_lines(world.fd, BASE + COUNT, lines, 1);
	assert_int_equal(pwrite(world.fd, &(uint64_t){UINT64_MAX}, 8,
				lseek(world.fd, 0, SEEK_CUR) - 16 - (off_t)strlen("/src/long.lang") - 1 - 8),
			 8);
	jitdump_put_load(world.fd, BASE + COUNT, 16, "promises", 0);
	update(&world);
	expect(&world, BASE + 1000, "long", "/src/long.lang", 1001);
	expect(&world, BASE + COUNT + 5, "promises", "/src/long.lang", 1);
	close_world(&world);
}

/* Through the module: jitdump before map, names and files made safe. */
static void test_module(void **state)
{
	static const struct jitdump_line lines[] = {{BASE, 10, "/src/\033[1m.lang"}};
	static struct module_name answer;
	struct symbolizer_modules *modules;
	struct info_message info;
	struct module *module;
	int dump = memfd_create("dump", MFD_CLOEXEC), map = memfd_create("map", MFD_CLOEXEC);

	jitdump_put_head(dump);
	jitdump_put_lines(dump, BASE, lines, 1);
	jitdump_put_load(dump, BASE, 16, "dumped\x9f", 0);
	assert_int_equal(dprintf(map, "%llx 20 mapped\n", BASE), 23);
	assert_null(symbolizer_modules_create(&modules));
	assert_null(symbolizer_modules_add(modules, 40, MODULE_KIND_JITDUMP, dup(dump)));
	assert_null(symbolizer_modules_add(modules, MODULE_ANONYMOUS, MODULE_KIND_PERF_MAP, map));
	module = symbolizer_modules_find(modules, MODULE_ANONYMOUS);
	assert_null(symbolizer_modules_find(modules, 40));
	module_open(module, &info);
	assert_int_equal(info.symbols, SYMBOLS_JIT);
	assert_string_equal(info.why, "");
	module_name_offset(module, BASE + 8, &answer);
	assert_string_equal(answer.function, "dumped?");
	assert_string_equal(answer.file, "/src/?[1m.lang");
	assert_int_equal(answer.line, 10);
	module_name_offset(module, BASE + 16, &answer);
	assert_string_equal(answer.function, "mapped");
	/* A later dump goes before an earlier one, and one that is none says so. */
	assert_null(
		symbolizer_modules_add(modules, 41, MODULE_KIND_JITDUMP, memfd_create("none", MFD_CLOEXEC)));
	module = symbolizer_modules_find(modules, MODULE_ANONYMOUS);
	module_name_offset(module, BASE + 8, &answer);
	assert_string_equal(answer.function, "dumped?");
	assert_int_equal(pwrite(dump, "X", 1, 0), 1);
	assert_null(symbolizer_modules_add(modules, 42, MODULE_KIND_JITDUMP, dup(dump)));
	module = symbolizer_modules_find(modules, MODULE_ANONYMOUS);
	module_open(module, &info);
	assert_non_null(strstr(info.why, "no jitdump"));
	symbolizer_modules_destroy(modules);
	close(dump);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_code),	      cmocka_unit_test(test_lines),
		cmocka_unit_test(test_v8_lines),      cmocka_unit_test(test_growth),
		cmocka_unit_test(test_pieces),	      cmocka_unit_test(test_closed),
		cmocka_unit_test(test_foreign),	      cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_random_damage), cmocka_unit_test(test_module),
		cmocka_unit_test(test_many_lines),    cmocka_unit_test(test_freed_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
