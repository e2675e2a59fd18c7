/* Levels, rows and lines of this very program, with and without memory for its index; and copies of it whose
 * debug sections are damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/dwarf.h"

#include <fcntl.h>
#include <gelf.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LEVELS 64

struct world {
	int fd;
	Elf *elf;
	struct debug *debug;
	uint64_t start, end; /* of .text */
};

static Elf64_Shdr find_section(Elf *elf, const char *name)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	assert_int_equal(elf_getshdrstrndx(elf, &names), 0);
	while ((section = elf_nextscn(elf, section))) {
		assert_non_null(gelf_getshdr(section, &header));
		if (!strcmp(elf_strptr(elf, names, header.sh_name), name))
			return header;
	}
	return (Elf64_Shdr){0};
}

static struct world open_world(int fd)
{
	struct world world = {.fd = fd};
	Elf64_Shdr text;

	elf_version(EV_CURRENT);
	world.elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	assert_non_null(world.elf);
	text = find_section(world.elf, ".text");
	world.start = text.sh_addr;
	world.end = text.sh_addr + text.sh_size;
	assert_null(debug_create(world.elf, &world.debug));
	return world;
}

static void close_world(struct world *world)
{
	debug_destroy(world->debug);
	elf_end(world->elf);
	close(world->fd);
}

static struct world open_self(void)
{
	return open_world(open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
}

/* ---- where we are ---- */

static int take_bias(struct dl_phdr_info *info, size_t size, void *arg)
{
	*(uintptr_t *)arg = info->dlpi_addr;
	return 1;
}

/* The ELF address of one of this process. */
static uint64_t locate(const void *pointer)
{
	uintptr_t bias = 0;

	dl_iterate_phdr(take_bias, &bias);
	return (uintptr_t)pointer - bias;
}

static unsigned here_line, middle_line, outer_line;

static inline __attribute__((always_inline)) const void *inlined_inner(void)
{
	const void *here;

	here_line = __LINE__ + 1;
	__asm__ volatile("1: lea 1b(%%rip), %0" : "=r"(here));
	return here;
}

static inline __attribute__((always_inline)) const void *inlined_middle(void)
{
	const void *here;

	middle_line = __LINE__ + 1;
	here = inlined_inner();
	return here;
}

static __attribute__((noinline)) const void *concrete_outer(void)
{
	const void *here;

	outer_line = __LINE__ + 1;
	here = inlined_middle();
	__asm__ volatile("" : : : "memory");
	return here;
}

#define DEEPER(number, next)                                                                                 \
	static inline __attribute__((always_inline)) const void *deep_##number(void)                         \
	{                                                                                                    \
		return deep_##next();                                                                        \
	}
static inline __attribute__((always_inline)) const void *deep_0(void)
{
	return inlined_inner();
}
DEEPER(1, 0)
DEEPER(2, 1)
DEEPER(3, 2)
DEEPER(4, 3)
DEEPER(5, 4)
DEEPER(6, 5)
DEEPER(7, 6)
DEEPER(8, 7)
DEEPER(9, 8)

static __attribute__((noinline)) const void *concrete_deep(void)
{
	return deep_9();
}

/* ---- levels ---- */

static void assert_level(const struct debug_level *level, const char *function, unsigned line)
{
	assert_string_equal(level->function.name, function);
	assert_non_null(level->file);
	assert_non_null(strstr(level->file, "tests/unit/test_dwarf.c"));
	assert_int_equal(level->line, line);
}

static void test_levels(void **state)
{
	struct world world = open_self();
	uint64_t address = locate(concrete_outer());
	struct debug_level levels[LEVELS];
	struct debug_function function;
	struct debug_line line;

	assert_int_equal(debug_find_levels(world.debug, address, levels, LEVELS), 3);
	assert_level(&levels[0], "inlined_inner", here_line);
	assert_level(&levels[1], "inlined_middle", middle_line);
	assert_level(&levels[2], "concrete_outer", outer_line);
	assert_true(levels[2].function.start == locate((void *)concrete_outer));
	assert_true(levels[2].function.range_start == levels[2].function.start);
	assert_true(levels[0].function.start <= address);
	/* The other two questions see the same. */
	assert_true(debug_find_function(world.debug, address, &function));
	assert_string_equal(function.name, "concrete_outer");
	assert_true(debug_find_line(world.debug, address, &line));
	assert_int_equal(line.line, here_line);
	assert_int_equal(debug_find_levels(world.debug, 1, levels, LEVELS), 0);
	assert_int_equal(debug_find_levels(world.debug, UINT64_MAX, levels, LEVELS), 0);
	assert_int_equal(debug_find_levels(world.debug, address, levels, 0), 0);
	close_world(&world);
}

static void test_more_levels_than_room(void **state)
{
	static const char *const expected[] = {"inlined_inner", "deep_0", "deep_9", "concrete_deep"};
	struct world world = open_self();
	uint64_t address = locate(concrete_deep());
	struct debug_level levels[LEVELS];

	assert_int_equal(debug_find_levels(world.debug, address, levels, LEVELS), 12);
	assert_int_equal(debug_find_levels(world.debug, address, levels, 12), 12);
	assert_int_equal(debug_find_levels(world.debug, address, levels, 4), 4);
	for (size_t i = 0; i < 4; i++)
		assert_string_equal(levels[i].function.name, expected[i]);
	assert_int_equal(debug_find_levels(world.debug, address, levels, 1), 1);
	assert_string_equal(levels[0].function.name, "concrete_deep");
	close_world(&world);
}

/* ---- functions in another file (-gsplit-dwarf) ---- */

/* Compiles a C++ program; returns false when there is no compiler. */
static bool compile(const char *directory, const char *name, const char *options)
{
	char command[1024];

	snprintf(command, sizeof(command),
		 "exec g++ -O2 -g %s -w -o %s/%s tests/workloads/names-templates.cc 2>/dev/null", options,
		 directory, name);
	return system(command) == 0;
}

static struct world open_file(const char *directory, const char *name)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return open_world(open(path, O_RDONLY | O_CLOEXEC));
}

/* The same code, once with its functions in the .dwo: libdw opens that itself, where it may. */
static void compare_split(const char *directory, const char *options)
{
	char split_options[64], command[128];
	struct world whole, split;
	struct debug_level left[LEVELS], right[LEVELS];
	size_t inlined = 0;

	snprintf(split_options, sizeof(split_options), "%s -gsplit-dwarf", options);
	if (!compile(directory, "whole", options) || !compile(directory, "split", split_options)) {
		print_message("no g++, or not in the tree\n");
		skip();
	}
	whole = open_file(directory, "whole");
	split = open_file(directory, "split");
	assert_true(whole.start == split.start && whole.end == split.end);
	for (uint64_t at = whole.start; at < whole.end; at += 5) {
		size_t count = debug_find_levels(whole.debug, at, left, LEVELS);

		assert_int_equal(debug_find_levels(split.debug, at, right, LEVELS), count);
		for (size_t i = 0; i < count; i++) {
			assert_string_equal(left[i].function.name, right[i].function.name);
			assert_true(left[i].function.start == right[i].function.start);
			assert_string_equal(left[i].file ? left[i].file : "",
					    right[i].file ? right[i].file : "");
			assert_int_equal(left[i].line, right[i].line);
		}
		inlined += count > 1;
	}
	assert_true(inlined > 100);
	close_world(&split);
	close_world(&whole);
	/* Without the other file: lines, and no functions. */
	snprintf(command, sizeof(command), "exec rm -f %s/*.dwo", directory);
	assert_int_equal(system(command), 0);
	split = open_file(directory, "split");
	assert_int_equal(debug_find_levels(split.debug, split.start + 600, left, LEVELS), 0);
	assert_true(debug_list_rows(split.debug, split.start, split.end, NULL, 0) > 100);
	close_world(&split);
}

static void test_split(void **state)
{
	char directory[] = "/tmp/test_dwarf.XXXXXX", command[128];

	assert_non_null(mkdtemp(directory));
	compare_split(directory, "-gdwarf-5");
	compare_split(directory, "-gdwarf-4");
	snprintf(command, sizeof(command), "exec rm -r %s", directory);
	assert_int_equal(system(command), 0);
}

/* ---- a bounded index ---- */

static void assert_same_levels(struct debug *debug, struct debug *other, uint64_t address)
{
	struct debug_level left[LEVELS], right[LEVELS];
	size_t count = debug_find_levels(debug, address, left, LEVELS);

	assert_int_equal(debug_find_levels(other, address, right, LEVELS), count);
	for (size_t i = 0; i < count; i++) {
		assert_string_equal(left[i].function.name, right[i].function.name);
		assert_true(left[i].function.start == right[i].function.start);
		assert_true(left[i].function.range_start == right[i].function.range_start);
		assert_int_equal(left[i].line, right[i].line);
		assert_string_equal(left[i].file ? left[i].file : "", right[i].file ? right[i].file : "");
	}
}

/* The units of this program take turns; what was thrown away comes back as it was. */
static void test_little_memory(void **state)
{
	struct world world = open_self(), other = open_self();
	uint64_t address = locate(concrete_outer());
	struct debug_level levels[LEVELS];
	const char *name, *file;
	size_t most = 0, all;

	for (uint64_t at = world.start; at < world.end; at += 16)
		debug_find_levels(world.debug, at, levels, LEVELS);
	all = debug_measure(world.debug);
	assert_true(all > 0);
	debug_set_budget(other.debug, all / 4);
	assert_int_equal(debug_find_levels(other.debug, address, levels, LEVELS), 3);
	name = levels[0].function.name;
	file = levels[0].file;
	srandom(3);
	for (unsigned i = 0; i < 3000; i++) {
		uint64_t at = world.start + (uint64_t)random() % (world.end - world.start);

		assert_same_levels(world.debug, other.debug, at);
		if (debug_measure(other.debug) > most)
			most = debug_measure(other.debug);
	}
	assert_int_equal(debug_measure(world.debug), all);
	/* The unit that is being asked may be larger than that. */
	assert_true(most > all / 8 && most < all * 3 / 4);
	/* Strings live as long as the debug. */
	assert_string_equal(name, "inlined_inner");
	assert_non_null(strstr(file, "tests/unit/test_dwarf.c"));
	debug_set_budget(world.debug, 0);
	assert_true(debug_measure(world.debug) < all);
	assert_same_levels(world.debug, other.debug, address);
	close_world(&other);
	close_world(&world);
}

/* ---- rows ---- */

/* Every byte has the line of the last row at or before it. */
static void test_rows(void **state)
{
	struct world world = open_self();
	uint64_t start = world.start + 17, end = start + (world.end - start) / 2;
	size_t count = debug_list_rows(world.debug, start, end, NULL, 0), at = 0, changes = 0;
	_cleanup_free_ struct debug_row *rows = calloc(count + 1, sizeof(*rows));

	assert_true(count > 100);
	assert_int_equal(debug_list_rows(world.debug, start, end, rows, count), count);
	assert_true(rows[0].address == start);
	for (uint64_t address = start; address < end; address++) {
		struct debug_line line;

		if (at + 1 < count && rows[at + 1].address == address) {
			at++;
			changes++;
		}
		if (!debug_find_line(world.debug, address, &line)) {
			assert_int_equal(rows[at].line, 0);
			continue;
		}
		assert_int_equal(rows[at].line, line.line);
		assert_string_equal(rows[at].file, line.file);
	}
	assert_int_equal(changes, count - 1);
	/* Room for fewer: the first ones. */
	rows[2].line = 77777;
	assert_int_equal(debug_list_rows(world.debug, start, end, rows, 2), count);
	assert_int_equal(rows[2].line, 77777);
	assert_int_equal(debug_list_rows(world.debug, end, start, rows, 2), 0);
	assert_int_equal(debug_list_rows(world.debug, 1, 2, rows, 2), 0);
	assert_int_equal(debug_list_rows(world.debug, UINT64_MAX - 1, UINT64_MAX, rows, 2), 0);
	close_world(&world);
}

/* ---- damaged debug sections ---- */

static void ask_everything(int fd)
{
	struct debug_level levels[LEVELS];
	struct debug_row rows[16];
	struct world world;

	alarm(20);
	/* Crashes are the worker's lot: no noise about them. */
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	world = open_world(fd);
	debug_set_budget(world.debug, 1 << 20);
	for (uint64_t at = world.start; at < world.end; at += 1 + (world.end - world.start) / 3000)
		debug_find_levels(world.debug, at, levels, LEVELS);
	debug_list_rows(world.debug, world.start, world.end, rows, 16);
	close_world(&world);
	_exit(0);
}

/* Returns true when it crashed. */
static bool try_damaged(int fd)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		ask_everything(fd);
	close(fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
	return WIFSIGNALED(status) || WEXITSTATUS(status);
}

static int copy_self(void)
{
	_cleanup_close_ int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	int fd = memfd_create("damaged", MFD_CLOEXEC);
	char buffer[65536];
	ssize_t got;

	while ((got = read(self, buffer, sizeof(buffer))) > 0)
		assert_int_equal(write(fd, buffer, (size_t)got), got);
	return fd;
}

/* libdw asserts and reads beyond what it should on some input: that is what workers are for. Our own part
 * must not. */
static void test_damaged(void **state)
{
	static const char *const names[] = {".debug_info", ".debug_abbrev",   ".debug_line",
					    ".debug_str",  ".debug_rnglists", ".debug_line_str"};
	struct world world = open_self();
	unsigned crashes = 0;

	srandom(12);
	for (unsigned round = 0; round < 60; round++) {
		Elf64_Shdr section = find_section(world.elf, names[round % 6]);
		int fd = copy_self();

		if (!section.sh_size) {
			close(fd);
			continue;
		}
		for (unsigned i = 0; i < 4u << round % 5; i++) {
			unsigned char byte = random() % 3 ? (unsigned char)random() : 0;

			assert_int_equal(
				pwrite(fd, &byte, 1,
				       (off_t)(section.sh_offset + (uint64_t)random() % section.sh_size)),
				1);
		}
		crashes += try_damaged(fd);
	}
	print_message("crashes: %u of 60\n", crashes);
	assert_in_range(crashes, 0, 10);
	close_world(&world);
}

static void test_nothing_there(void **state)
{
	struct debug_level levels[LEVELS];
	struct debug_function function;
	struct debug_line line;
	struct debug_row row;
	char path[] = "/tmp/test_dwarf.XXXXXX", command[256];
	_cleanup_close_ int made = mkstemp(path);
	struct world world;

	assert_true(made >= 0);
	snprintf(command, sizeof(command), "exec strip -o %s /proc/%d/exe 2>/dev/null", path, getpid());
	if (system(command)) {
		unlink(path);
		print_message("no binutils\n");
		skip();
	}
	world = open_world(open(path, O_RDONLY | O_CLOEXEC));
	unlink(path);
	assert_int_equal(debug_find_levels(world.debug, world.start, levels, LEVELS), 0);
	assert_false(debug_find_function(world.debug, world.start, &function));
	assert_false(debug_find_line(world.debug, world.start, &line));
	assert_int_equal(debug_list_rows(world.debug, world.start, world.end, &row, 1), 0);
	assert_int_equal(debug_measure(world.debug), 0);
	debug_set_budget(world.debug, 1);
	close_world(&world);
	debug_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_levels),	      cmocka_unit_test(test_more_levels_than_room),
		cmocka_unit_test(test_little_memory), cmocka_unit_test(test_rows),
		cmocka_unit_test(test_damaged),	      cmocka_unit_test(test_nothing_there),
		cmocka_unit_test(test_split),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
