/* Names and lines of real, stripped Go programs against what nm and addr2line say of the same programs
 * unstripped: addr2line reads DWARF, which shares nothing with Go's own table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/array.h"
#include "base/cleanup.h"
#include "symbolizer/modules.h"
#include "symbolizer/pclntab_section.h"
#include "symbolizer/segments.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODULE 16
#define STEP   61 /* bytes of code from question to question */

/* Methods, a generic function and a closure; -trimpath keeps the paths short. */
static const char program[] = "package main\n"
			      "import (\"fmt\"; \"os\")\n"
			      "type T struct{ n int }\n"
			      "//go:noinline\n"
			      "func (t *T) Method(x int) int { return t.n*x + len(os.Args) }\n"
			      "//go:noinline\n"
			      "func generic[K any](k K) string { return fmt.Sprint(k) }\n"
			      "//go:noinline\n"
			      "func apply(g func(int) int, x int) int { return g(x) + 1 }\n"
			      "func main() {\n"
			      "	t := &T{3}\n"
			      "	n := apply(func(x int) int {\n"
			      "		return t.Method(x) * 2\n"
			      "	}, 4)\n"
			      "	fmt.Println(n, generic(n), generic(\"x\"))\n"
			      "}\n";

static char directory[] = "/tmp/kiln-go-XXXXXX";

struct opened {
	struct symbolizer_modules *modules;
	struct segments segments;
	struct pclntab table;
	Elf *elf;
	int fd;
};

static void open_program(const char *path, struct opened *ret)
{
	memset(ret, 0, sizeof(*ret));
	ret->fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(ret->fd >= 0);
	assert_null(symbolizer_modules_create(&ret->modules));
	assert_null(symbolizer_modules_add(ret->modules, MODULE, MODULE_KIND_FILE, dup(ret->fd)));
	ret->elf = elf_begin(ret->fd, ELF_C_READ_MMAP, NULL);
	assert_null(segments_init(ret->elf, &ret->segments));
	assert_true(pclntab_section_find(ret->elf, &ret->segments, &ret->table));
}

static void close_program(struct opened *opened)
{
	symbolizer_modules_destroy(opened->modules);
	segments_deinit(&opened->segments);
	elf_end(opened->elf);
	close(opened->fd);
}

static void look_up(struct opened *opened, uint64_t address, struct module_name *ret)
{
	uint64_t offset;

	assert_true(segments_to_offset(&opened->segments, address, &offset));
	module_name_offset(symbolizer_modules_find(opened->modules, MODULE), offset, ret);
}

/* ---- the unstripped program ---- */

static FILE *run(const char *format, const char *name)
{
	_cleanup_free_ char *command = NULL;
	FILE *output;

	assert_true(asprintf(&command, format, directory, name) > 0);
	output = popen(command, "re");
	assert_non_null(output);
	return output;
}

/* What differs on purpose: nm adds the ABI of assembly, and has type arguments where the table has "...". */
static void to_table_name(char *text)
{
	char *open = strchr(text, '['), *close = strrchr(text, ']');
	size_t length = strlen(text);

	if (length > 5 && strcmp(text + length - 5, ".abi0") == 0)
		text[length - 5] = '\0';
	if (open && close && close > open) {
		memmove(open + 4, close, strlen(close) + 1);
		memcpy(open, "[...", 4);
	}
}

struct function {
	uint64_t start, size;
	char name[256];
};

typedef ARRAY(struct function)
function_list;

static void read_functions(const char *name, function_list *ret)
{
	FILE *nm = run("nm -S --defined-only %s/%s", name);
	char line[4096];

	while (fgets(line, sizeof(line), nm)) {
		struct function function;
		int digits = 0;
		char type;

		line[strcspn(line, "\n")] = '\0';
		/* Symbols without a size have 16 digits only. Functions of C have no package. */
		if (sscanf(line, "%lx %lx%n %c %255[^\n]", &function.start, &function.size, &digits, &type,
			   function.name) == 4 &&
		    digits == 33 && (type == 't' || type == 'T') && strchr(function.name, '.'))
			assert_true(array_append(ret, function));
	}
	assert_int_equal(pclose(nm), 0);
}

static bool has_same_name(const struct function *function, const struct module_name *name)
{
	char shortened[512];

	if (strcmp(function->name, name->function) == 0)
		return true;
	snprintf(shortened, sizeof(shortened), "%s", function->name);
	to_table_name(shortened);
	return strcmp(shortened, name->function) == 0;
}

static unsigned compare_names(const char *name, const function_list *functions)
{
	unsigned count = 0;
	struct opened opened;
	char path[100];

	snprintf(path, sizeof(path), "%s/%s.stripped", directory, name);
	open_program(path, &opened);
	for (size_t i = 0; i < functions->count; i++) {
		const struct function *function = &functions->items[i];

		for (uint64_t at = 0; at < function->size; at += STEP, count++) {
			struct module_name found;

			look_up(&opened, function->start + at, &found);
			if (found.start != function->start || !has_same_name(function, &found))
				fail_msg("%lx: %s at %lx, not %s at %lx", function->start + at,
					 found.function_length ? found.function : "nothing", found.start,
					 function->name, function->start);
		}
	}
	close_program(&opened);
	return count;
}

static void write_questions(const char *name, const function_list *functions)
{
	char path[100];
	FILE *questions;

	snprintf(path, sizeof(path), "%s/%s.questions", directory, name);
	questions = fopen(path, "we");
	assert_non_null(questions);
	for (size_t i = 0; i < functions->count; i++)
		for (uint64_t at = 0; at < functions->items[i].size; at += STEP)
			fprintf(questions, "%lx\n", functions->items[i].start + at);
	assert_int_equal(fclose(questions), 0);
}

/* addr2line puts the unit's directory before a file without one, and a discriminator after the line. */
static bool is_same_line(char *line, const struct module_name *found)
{
	char ours[NAME_LENGTH_MAX + 20];

	line[strcspn(line, "\n")] = '\0';
	if (strstr(line, " (discriminator"))
		*strstr(line, " (discriminator") = '\0';
	snprintf(ours, sizeof(ours), "%s:%u", found->file_length ? found->file : "??", found->line);
	return strcmp(line, ours) == 0 || (strncmp(line, "./", 2) == 0 && strcmp(line + 2, ours) == 0);
}

static void compare_lines(const char *name, const function_list *functions)
{
	unsigned count = 0, different = 0;
	struct opened opened;
	char path[100], line[8192];
	FILE *answers;

	write_questions(name, functions);
	answers = run("cd %s && n=%s && addr2line -e $n <$n.questions", name);
	snprintf(path, sizeof(path), "%s/%s.stripped", directory, name);
	open_program(path, &opened);
	for (size_t i = 0; i < functions->count; i++) {
		for (uint64_t at = 0; at < functions->items[i].size; at += STEP, count++) {
			struct module_name found;

			assert_non_null(fgets(line, sizeof(line), answers));
			look_up(&opened, functions->items[i].start + at, &found);
			if (!is_same_line(line, &found) && different++ < 5)
				print_message("%lx: %s:%u, not %s\n", functions->items[i].start + at,
					      found.file, found.line, line);
		}
	}
	assert_int_equal(pclose(answers), 0);
	close_program(&opened);
	print_message("%s: %u lines, %u different\n", name, count, different);
	assert_int_equal(different, 0);
}

static void compare_program(const char *name)
{
	function_list functions = {0};
	struct info_message info;
	struct opened opened;
	char path[100];

	snprintf(path, sizeof(path), "%s/%s.stripped", directory, name);
	open_program(path, &opened);
	module_open(symbolizer_modules_find(opened.modules, MODULE), &info);
	assert_int_equal(info.symbols, SYMBOLS_FULL);
	close_program(&opened);
	read_functions(name, &functions);
	assert_true(functions.count > 1000);
	assert_true(compare_names(name, &functions) > functions.count);
	compare_lines(name, &functions);
	array_deinit(&functions);
}

/* ---- building ---- */

static void write_file(const char *name, const char *text)
{
	char path[100];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	file = fopen(path, "we");
	assert_non_null(file);
	fputs(text, file);
	assert_int_equal(fclose(file), 0);
}

/* Go's cache of its own packages stays in the build directory: only the first run compiles them. */
static bool build(const char *name, const char *flags, const char *link_flags)
{
	const char *base = getenv("O") ?: "build";
	_cleanup_free_ char *cache = realpath(base, NULL), *command = NULL;
	int status;

	assert_true(
		asprintf(&command,
			 "cd %s && export GOCACHE=%s/go-cache GOFLAGS=-mod=mod GOPROXY=off GO111MODULE=on "
			 "GOTOOLCHAIN=local && "
			 "go build -trimpath %s -ldflags='%s' -o %s . 2>%s.log && "
			 "go build -trimpath %s -ldflags='%s -s -w' -o %s.stripped . 2>>%s.log",
			 directory, cache ?: directory, flags, link_flags, name, name, flags, link_flags,
			 name, name) > 0);
	status = system(command);
	return status == 0;
}

static bool has_go(void)
{
	return system("go version >/dev/null 2>&1") == 0;
}

static void test_program(void **state)
{
	if (!has_go()) {
		print_message("Go is not installed (golang-go)\n");
		skip();
	}
	assert_true(build("exe", "", ""));
	compare_program("exe");
}

static void test_position_independent_program(void **state)
{
	if (!has_go()) {
		print_message("Go is not installed (golang-go)\n");
		skip();
	}
	assert_true(build("pie", "-buildmode=pie", ""));
	compare_program("pie");
}

/* By the system's linker, as with cgo: the table is somewhere in .data.rel.ro. */
static void test_system_linker(void **state)
{
	if (!has_go()) {
		print_message("Go is not installed (golang-go)\n");
		skip();
	}
	assert_true(build("external", "-buildmode=pie", "-linkmode=external"));
	compare_program("external");
}

static void expect_function(const char *name, const char *function)
{
	struct pclntab_function found = {0};
	struct opened opened;
	uint64_t address;
	char path[100];

	snprintf(path, sizeof(path), "%s/%s.stripped", directory, name);
	open_program(path, &opened);
	address = opened.table.text_start;
	while (pclntab_find(&opened.table, address, &found)) {
		if (found.length == strlen(function) && memcmp(found.name, function, found.length) == 0)
			break;
		address = found.end;
		found.length = 0;
	}
	close_program(&opened);
	if (!found.length)
		fail_msg("no %s in %s", function, name);
}

static void test_names_as_people_know_them(void **state)
{
	if (!has_go()) {
		print_message("Go is not installed (golang-go)\n");
		skip();
	}
	assert_true(build("exe", "", ""));
	expect_function("exe", "main.main");
	expect_function("exe", "main.(*T).Method");
	expect_function("exe", "main.main.func1");
	expect_function("exe", "main.generic[...]");
	expect_function("exe", "runtime.mallocgc");
}

/* A program as the distribution ships it: all functions have names, all with code of Go have lines. */
static void test_packaged_program(void **state)
{
	struct pclntab_function function;
	struct module_name found;
	struct opened opened;
	uint64_t count = 0, with_lines = 0, address;
	bool has_main = false;

	if (access("/usr/bin/fzf", R_OK)) {
		print_message("fzf is not installed\n");
		skip();
	}
	open_program("/usr/bin/fzf", &opened);
	address = opened.table.text_start;
	assert_true(address != 0);
	for (; pclntab_find(&opened.table, address, &function); address = function.end) {
		look_up(&opened, address, &found);
		count++;
		with_lines += found.line > 0;
		assert_true(found.start == address && found.function_length > 0);
		if (strcmp(found.function, "main.main") == 0) {
			has_main = true;
			assert_true(found.line > 0);
			assert_non_null(strstr(found.file, "main.go"));
		}
	}
	assert_true(has_main);
	assert_true(count == opened.table.count && count > 1000);
	assert_true(with_lines * 100 > count * 95);
	close_program(&opened);
}

static int make_directory(void **state)
{
	elf_version(EV_CURRENT);
	if (!mkdtemp(directory))
		return -1;
	write_file("main.go", program);
	write_file("go.mod", "module example.com/hello\n\ngo 1.18\n");
	return 0;
}

static int remove_directory(void **state)
{
	char command[100];

	snprintf(command, sizeof(command), "rm -rf '%s'", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_program),		 cmocka_unit_test(test_position_independent_program),
		cmocka_unit_test(test_system_linker),	 cmocka_unit_test(test_names_as_people_know_them),
		cmocka_unit_test(test_packaged_program),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
