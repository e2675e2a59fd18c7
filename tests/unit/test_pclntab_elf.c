/* Go's names and lines of files: where a linker puts the table, how it says where the text starts, which of
 * several names wins. The files are made by the system's linker of a handmade table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/elf.h"
#include "symbolizer/modules.h"
#include "tests/support/library.h"
#include "tests/support/pclntab_make.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MODULE 16

#define STATIC "gcc -nostdlib -static -no-pie -Wl,-e,0 -x assembler"
#define SHARED "gcc -shared -nostdlib -x assembler"

#define TABLE_TEXT_START 24 /* in the header, since Go 1.18 */

static struct module_name name;

static const struct made_function functions[] = {
	{.start = 0x00, .name = "main.main", .lines = {{10, 0x10}, {12, 0x10}}, .files = {{0, 0x20}}},
	{.start = 0x20, .name = "main.(*T).Method", .lines = {{20, 0x20}}, .files = {{1, 0x20}}},
	{.start = 0x40, .name = "main.\033[2J", .lines = {{30, 0x20}}, .files = {{0, 0x20}}},
	{.start = 0x60, .name = "_Z3foov", .lines = {{40, 0x20}}, .files = {{0, 0x20}}},
	{.start = 0x80},
};
static const struct made_function functions_without_lines[] = {
	{.start = 0x00, .name = "main.main"}, {.start = 0x20, .name = "main.(*T).Method"}, {.start = 0x80}};

struct image {
	uint8_t *bytes;
	size_t length;
	uint64_t table; /* its place in the file */
	uint64_t code;
};

static void image_deinit(struct image *image)
{
	free(image->bytes);
}
#define _cleanup_image_ _cleanup_(image_deinit)

/* 0x80 bytes of Go's code between others of C. */
static const char code[] =
	".text\nbefore:\n.skip 0x20, 0x90\n"
	".globl go_text\n.hidden go_text\ngo_text:\n.skip 0x80, 0xcc\n"
	".globl after\n.type after,@function\nafter:\n.skip 0x20, 0x91\n.size after,.-after\n";

struct recipe {
	const char *compiler;
	const char *section; /* of the table: its name and flags */
	const char *before;  /* assembler that comes first in that section */
	const char *more;    /* after all */
	const struct made_function *functions;
	uint8_t magic;
	bool has_text_start;
};

static void write_bytes(FILE *text, const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		fprintf(text, ".byte %u\n", bytes[i]);
}

static struct image image_read(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct image image = {0};
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	image.length = (size_t)status.st_size;
	image.bytes = malloc(image.length);
	assert_int_equal(read(fd, image.bytes, image.length), image.length);
	return image;
}

static void find_places(struct image *image, uint8_t magic)
{
	const uint8_t start[16] = {magic, 0xff, 0xff, 0xff, 0, 0, 1, 8};
	const uint8_t text[16] = {[0 ... 15] = 0xcc};
	const uint8_t *found = memmem(image->bytes, image->length, text, sizeof(text));

	assert_non_null(found);
	image->code = (uint64_t)(found - image->bytes);
	/* The last one: what comes before may only look like a table. */
	for (size_t at = 0; (found = memmem(image->bytes + at, image->length - at, start, 8));
	     at = image->table + 1)
		image->table = (uint64_t)(found - image->bytes);
	assert_true(image->table > 0);
}

static struct image image_make(struct recipe recipe)
{
	_cleanup_free_ char *source = NULL;
	struct made_table table;
	struct library library;
	struct image image;
	size_t length;
	FILE *text = open_memstream(&source, &length);

	recipe.magic = recipe.magic ?: MADE_GO_1_20;
	made_table_make(recipe.magic, 0, recipe.functions ?: functions, &table);
	fprintf(text, "%s\n.section %s\n%s\n.p2align 5\ntable:\n", code, recipe.section, recipe.before ?: "");
	write_bytes(text, table.bytes, TABLE_TEXT_START);
	fprintf(text, ".quad %s\n", recipe.has_text_start ? "go_text" : "0");
	write_bytes(text, table.bytes + TABLE_TEXT_START + 8, table.length - TABLE_TEXT_START - 8);
	fprintf(text, "%s\n", recipe.more ?: "");
	fclose(text);
	assert_true(library_compile(recipe.compiler, source, &library));
	image = image_read(library.path);
	library_remove(&library);
	find_places(&image, recipe.magic);
	return image;
}

static struct symbolizer_modules *image_open(const struct image *image, struct info_message *ret)
{
	int fd = memfd_create("module", MFD_CLOEXEC);
	struct symbolizer_modules *modules;

	assert_int_equal(write(fd, image->bytes, image->length), image->length);
	assert_null(symbolizer_modules_create(&modules));
	assert_null(symbolizer_modules_add(modules, MODULE, MODULE_KIND_FILE, fd));
	module_open(symbolizer_modules_find(modules, MODULE), ret);
	return modules;
}

/* at: from the start of Go's code. line 0: none. */
static void expect(struct symbolizer_modules *modules, const struct image *image, int64_t at,
		   const char *function, uint32_t line, const char *file)
{
	module_name_offset(symbolizer_modules_find(modules, MODULE), image->code + (uint64_t)at, &name);
	assert_string_equal(name.function_length ? name.function : "", function);
	assert_int_equal(name.line, line);
	assert_string_equal(name.file_length ? name.file : "", file);
}

static void expect_go(const struct image *image)
{
	struct info_message info;
	struct symbolizer_modules *modules = image_open(image, &info);

	assert_int_equal(info.symbols, SYMBOLS_FULL);
	expect(modules, image, 0x00, "main.main", 10, "/src/hello/main.go");
	expect(modules, image, 0x1f, "main.main", 12, "/src/hello/main.go");
	expect(modules, image, 0x20, "main.(*T).Method", 20, "/src/hello/?inlined.go");
	expect(modules, image, 0x40, "main.?[2J", 30, "/src/hello/main.go");
	expect(modules, image, 0x7f, "_Z3foov", 40, "/src/hello/main.go"); /* Go's, whatever it looks like */
	expect(modules, image, -1, "", 0, "");
	symbolizer_modules_destroy(modules);
}

static void expect_nothing(const struct image *image)
{
	struct info_message info;
	struct symbolizer_modules *modules = image_open(image, &info);

	assert_int_equal(info.symbols, SYMBOLS_STRIPPED);
	expect(modules, image, 0x00, "", 0, "");
	symbolizer_modules_destroy(modules);
}

/* ---- what is Go ---- */

static bool is_go(const char *section)
{
	char source[200];
	struct library library;
	bool result;
	Elf *elf;
	int fd;

	snprintf(source, sizeof(source), ".section %s,\"a\"\n.quad 1\n", section);
	assert_true(library_compile("gcc -c -x assembler", source, &library));
	fd = open(library.path, O_RDONLY | O_CLOEXEC);
	elf_version(EV_CURRENT);
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	assert_non_null(elf);
	result = elf_is_go(elf);
	elf_end(elf);
	close(fd);
	library_remove(&library);
	return result;
}

static void test_detector(void **state)
{
	assert_true(is_go(".gopclntab"));
	assert_true(is_go(".data.rel.ro.gopclntab"));
	assert_true(is_go(".go.buildinfo"));
	assert_true(is_go(".go.module"));
	assert_true(is_go(".note.go.buildid"));
	assert_false(is_go(".gopclntabs"));
	assert_false(is_go(".data.rel.ro"));
}

/* ---- places ---- */

static void test_sections(void **state)
{
	_cleanup_image_ struct image plain = image_make((struct recipe){
		.compiler = STATIC " -s", .section = ".gopclntab,\"a\"", .has_text_start = true});
	/* The name that Go's own linker gives it in position-independent programs. */
	_cleanup_image_ struct image other =
		image_make((struct recipe){.compiler = STATIC " -s -Wl,--unique=.data.rel.ro.gopclntab",
					   .section = ".data.rel.ro.gopclntab,\"aw\"",
					   .has_text_start = true});

	expect_go(&plain);
	expect_go(&other);
}

#define BUILDINFO "\n.section .go.buildinfo,\"aw\"\n.quad 1\n"
/* Begins like a table, and is none: the numbers make no sense. */
#define LOOKALIKE                                                                                            \
	".byte 0xf1,0xff,0xff,0xff,0,0,1,8\n.quad -1\n"                                                      \
	".byte 0xf1,0xff,0xff,0xff,0,0,1,8\n.quad 1,1,1,-1,-1,-1,-1,-1\n.skip 33\n"

static void test_among_other_data(void **state)
{
	struct recipe recipe = {.compiler = STATIC " -s",
				.section = ".data.rel.ro,\"aw\"",
				.before = LOOKALIKE,
				.more = BUILDINFO,
				.has_text_start = true};
	_cleanup_image_ struct image image = image_make(recipe);
	_cleanup_image_ struct image unmarked = {0};

	expect_go(&image);
	/* Nobody looks through the data of a program that is not Go's. */
	recipe.more = NULL;
	unmarked = image_make(recipe);
	expect_nothing(&unmarked);
}

static void test_without_section_headers(void **state)
{
	_cleanup_image_ struct image image = image_make((struct recipe){.compiler = STATIC " -s",
									.section = ".data,\"aw\"",
									.before = LOOKALIKE,
									.has_text_start = true});
	Elf64_Ehdr *header = (Elf64_Ehdr *)image.bytes;

	expect_nothing(&image);
	header->e_shoff = header->e_shnum = header->e_shstrndx = 0;
	expect_go(&image);
}

/* ---- the start of the text ---- */

/* The relocation of the header's word: the table lies at a multiple of 32. */
static Elf64_Rela *find_relocation(const struct image *image)
{
	for (size_t at = 64; at + sizeof(Elf64_Rela) <= image->length; at += 8) {
		Elf64_Rela *entry = (Elf64_Rela *)(image->bytes + at);

		if (entry->r_info == R_X86_64_RELATIVE && entry->r_offset % 32 == TABLE_TEXT_START)
			return entry;
	}
	fail_msg("no relocation");
	return NULL;
}

static void test_start_by_relocation(void **state)
{
	_cleanup_image_ struct image image = image_make((struct recipe){
		.compiler = SHARED " -s", .section = ".gopclntab,\"aw\"", .has_text_start = true});

	/* GNU's linker writes the value as well, LLVM's does not. */
	memset(image.bytes + image.table + TABLE_TEXT_START, 0, 8);
	expect_go(&image);
	/* One whose value is that of a symbol says nothing. */
	find_relocation(&image)->r_info = R_X86_64_64;
	expect_nothing(&image);
}

#define MARK		"0x1d4b4d6f64756c65"
#define MODULE_TEXT	176
#define MODULE_WORDS(t) ".section .go.module,\"aw\"\n.quad " t "\n.skip 168\n.quad go_text\n.quad " MARK "\n"

/* Go 1.26: in runtime.moduledata, if that is about our table. */
static void test_start_by_moduledata(void **state)
{
	static const char *const compilers[] = {STATIC " -s", SHARED " -s"};
	struct recipe recipe = {.section = ".gopclntab,\"aw\""};

	for (size_t i = 0; i < 2; i++) {
		_cleanup_image_ struct image image = {0}, without = {0}, foreign = {0};

		recipe.compiler = compilers[i];
		recipe.more = MODULE_WORDS("table");
		image = image_make(recipe);
		expect_go(&image);
		recipe.more = MODULE_WORDS("table+8");
		foreign = image_make(recipe);
		expect_nothing(&foreign);
		recipe.more = NULL;
		without = image_make(recipe);
		expect_nothing(&without);
	}
}

/* The same where the linker leaves these words to the dynamic linker. */
static void test_moduledata_by_relocation(void **state)
{
	_cleanup_image_ struct image image = image_make((struct recipe){
		.compiler = SHARED " -s", .section = ".gopclntab,\"aw\"", .more = MODULE_WORDS("table")});
	const uint64_t mark = strtoull(MARK, NULL, 16);
	uint8_t *end = memmem(image.bytes, image.length, &mark, sizeof(mark));

	assert_non_null(end);
	memset(end - MODULE_TEXT - 8, 0, MODULE_TEXT + 8);
	expect_go(&image);
}

/* ---- which name ---- */

/* A symbol over Go's second function that knows its size, and one in the first that does not. */
#define SYMBOLS                                                                                              \
	"\n.text 1\n.globl sized\n.type sized,@function\n.set sized, go_text+0x20\n.size sized, 0x20\n"      \
	".globl unsized\n.type unsized,@function\n.set unsized, go_text\n"

static void test_symtab_goes_first(void **state)
{
	_cleanup_image_ struct image image = image_make((struct recipe){
		.compiler = STATIC, .section = ".gopclntab,\"a\"", .more = SYMBOLS, .has_text_start = true});
	struct info_message info;
	struct symbolizer_modules *modules = image_open(&image, &info);

	assert_int_equal(info.symbols, SYMBOLS_FULL);
	expect(modules, &image, 0x20, "sized", 20, "/src/hello/?inlined.go");
	expect(modules, &image, 0x10, "main.main", 12, "/src/hello/main.go");
	expect(modules, &image, 0x80, "after", 0, "");
	symbolizer_modules_destroy(modules);
}

static void test_dynsym_goes_last(void **state)
{
	_cleanup_image_ struct image image = image_make((struct recipe){.compiler = SHARED " -s",
									.section = ".gopclntab,\"aw\"",
									.more = SYMBOLS,
									.has_text_start = true});
	struct info_message info;
	struct symbolizer_modules *modules = image_open(&image, &info);

	expect(modules, &image, 0x20, "main.(*T).Method", 20, "/src/hello/?inlined.go");
	expect(modules, &image, 0x00, "main.main", 10, "/src/hello/main.go");
	expect(modules, &image, 0x80, "after", 0, "");
	symbolizer_modules_destroy(modules);
}

static void test_names_without_lines(void **state)
{
	_cleanup_image_ struct image image = image_make((struct recipe){.compiler = STATIC " -s",
									.section = ".gopclntab,\"a\"",
									.functions = functions_without_lines,
									.has_text_start = true});
	struct info_message info;
	struct symbolizer_modules *modules = image_open(&image, &info);

	assert_int_equal(info.symbols, SYMBOLS_MINIMAL);
	expect(modules, &image, 0x7f, "main.(*T).Method", 0, "");
	symbolizer_modules_destroy(modules);
}

static void test_long_name_is_cut(void **state)
{
	_cleanup_free_ char *text = malloc(10000);
	const struct made_function one[] = {{.start = 0, .name = text}, {.start = 0x80}};
	_cleanup_image_ struct image image = {0};
	struct symbolizer_modules *modules;
	struct info_message info;

	memset(text, 'x', 9999);
	text[9999] = '\0';
	image = image_make((struct recipe){.compiler = STATIC " -s",
					   .section = ".gopclntab,\"a\"",
					   .functions = one,
					   .has_text_start = true});
	modules = image_open(&image, &info);
	module_name_offset(symbolizer_modules_find(modules, MODULE), image.code, &name);
	assert_int_equal(name.function_length, NAME_LENGTH_MAX);
	assert_string_equal(name.function + NAME_LENGTH_MAX - 3, "…");
	symbolizer_modules_destroy(modules);
}

/* ---- damaged files ---- */

/* Everything is asked in a child with an alarm: the first crash, and a lookup that does not end, are seen. */
static bool survives(const struct image *image)
{
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (!child) {
		struct symbolizer_modules *modules;
		struct info_message info;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int number = 1; number < 32; number++)
			signal(number, SIG_DFL); /* cmocka catches SIGSEGV */
		alarm(20);
		modules = image_open(image, &info);
		for (uint64_t at = 0; at < 0xa0; at += 3)
			module_name_offset(symbolizer_modules_find(modules, MODULE), image->code + at, &name);
		symbolizer_modules_destroy(modules);
		_exit(42);
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) && WEXITSTATUS(status) == 42;
}

static struct image make_victim(bool is_shared, bool has_text_start)
{
	return image_make((struct recipe){.compiler = is_shared ? SHARED " -s" : STATIC " -s",
					  .section = is_shared ? ".data.rel.ro,\"aw\"" : ".gopclntab,\"a\"",
					  .more = BUILDINFO MODULE_WORDS("table"),
					  .has_text_start = has_text_start});
}

static void test_truncated_files(void **state)
{
	for (unsigned kind = 0; kind < 4; kind++) {
		_cleanup_image_ struct image image = make_victim(kind & 1, kind & 2);
		size_t whole = image.length;

		for (unsigned i = 0; i < 50; i++) {
			image.length = whole * i / 50;
			assert_true(survives(&image));
		}
	}
}

static void test_flipped_files(void **state)
{
	uint32_t seed = 1;

	for (unsigned kind = 0; kind < 4; kind++) {
		_cleanup_image_ struct image image = make_victim(kind & 1, kind & 2);
		_cleanup_free_ uint8_t *whole = malloc(image.length);

		memcpy(whole, image.bytes, image.length);
		for (unsigned i = 0; i < 50; i++) {
			memcpy(image.bytes, whole, image.length);
			for (unsigned flips = 0; flips < 8; flips++) {
				seed = seed * 1664525 + 1013904223;
				/* Half of them in the headers: of the file, of segments and of sections. */
				if (i % 2)
					image.bytes[64 + (seed >> 8) % 400] ^= (uint8_t)seed | 1;
				else
					image.bytes[image.length - 1 - (seed >> 8) % 1000] ^=
						(uint8_t)seed | 1;
			}
			assert_true(survives(&image));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_detector),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_among_other_data),
		cmocka_unit_test(test_without_section_headers),
		cmocka_unit_test(test_start_by_relocation),
		cmocka_unit_test(test_start_by_moduledata),
		cmocka_unit_test(test_moduledata_by_relocation),
		cmocka_unit_test(test_symtab_goes_first),
		cmocka_unit_test(test_dynsym_goes_last),
		cmocka_unit_test(test_names_without_lines),
		cmocka_unit_test(test_long_name_is_cut),
		cmocka_unit_test(test_truncated_files),
		cmocka_unit_test(test_flipped_files),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
