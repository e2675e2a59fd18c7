/* Listings of functions: what a worker answers against objdump and addr2line, long functions, damaged ones, a
 * real worker over real sockets, and workers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "bpf/events.h"
#include "symbolizer/code_answer.h"
#include "symbolizer/code_client.h"
#include "symbolizer/code_listing.h"
#include "tests/support/library.h"
#include "tests/support/listings.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MODULE MODULE_FIRST_FILE

/* ---- listings without a worker ---- */

struct reading {
	struct symbolizer_modules *modules;
	struct code_answer *answer;
	unsigned parts;
};

static void reading_init(struct reading *reading, const char *path)
{
	memset(reading, 0, sizeof(*reading));
	assert_null(symbolizer_modules_create(&reading->modules));
	assert_null(symbolizer_modules_add(reading->modules, MODULE, MODULE_KIND_FILE,
					   open(path, O_RDONLY | O_CLOEXEC)));
	assert_null(code_answer_create(&reading->answer));
}

static void reading_deinit(struct reading *reading)
{
	code_answer_destroy(reading->answer);
	symbolizer_modules_destroy(reading->modules);
}

static struct code_listing *read_listing(struct reading *reading, uint64_t offset, uint32_t flags)
{
	struct module *module = symbolizer_modules_find(reading->modules, MODULE);
	struct code_request request = {.module = MODULE, .offset = offset, .flags = flags};
	struct code_listing *listing = code_listing_create(MODULE, offset);

	assert_non_null(listing);
	reading->parts = 0;
	do {
		size_t length;
		uint64_t next;
		const void *message = code_answer_make(reading->answer, module, &request, &length);

		assert_in_range(length, sizeof(struct code_part), CHANNEL_PAYLOAD_MAX);
		assert_true(code_listing_append(listing, message, length, &next));
		request.next = next;
		reading->parts++;
	} while (request.next);
	return listing;
}

static struct code_listing *read_symbol(struct reading *reading, const struct library *library,
					bool is_dynamic, const char *symbol, uint32_t flags)
{
	struct code_listing *listing;
	uint64_t offset, length;

	assert_true(library_nm(library, is_dynamic, symbol, &offset, &length));
	/* Wherever it was sampled. */
	listing = read_listing(reading, offset + length / 2, flags);
	assert_null(listing->why);
	assert_int_equal(listing->start_offset, offset);
	assert_int_equal(listing->end - listing->start, length);
	assert_int_equal(listing->first, listing->start);
	assert_int_equal(listing->last, listing->end);
	return listing;
}

static void locate_workload(const char *name, struct library *ret)
{
	char self[2048];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	/* build/tests/unit/test_…, or build/san/tests/unit/test_…: the workloads are in
	 * build/tests/workloads. */
	assert_true(length > 0);
	self[length] = '\0';
	for (unsigned i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	if (!strcmp(strrchr(self, '/'), "/san"))
		*strrchr(self, '/') = '\0';
	snprintf(ret->path, sizeof(ret->path), "%s/tests/workloads/%s", self, name);
	if (access(ret->path, R_OK))
		fail_msg("%s is not built", ret->path);
}

/* ---- against objdump ---- */

/* What follows the mnemonic of a direct jump or call: "1300 <hot_three+0x20>". */
static uint64_t parse_target(const char *text)
{
	const char *at = strchr(text, ' ');
	char *end;
	uint64_t target;

	if (!at)
		return 0;
	at += strspn(at, " ");
	target = strtoull(at, &end, 16);
	return end > at && end[0] == ' ' && end[1] == '<' ? target : 0;
}

static void compare_with_objdump(const struct library *library, const struct code_listing *listing)
{
	char command[8192], line[1024];
	size_t number = 0, targets = 0;
	FILE *pipe;

	snprintf(command, sizeof(command),
		 "objdump -d -w --no-show-raw-insn '%s' --start-address=%#" PRIx64
		 " --stop-address=%#" PRIx64,
		 library->path, listing->start, listing->end);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe)) {
		const struct code_instruction *instruction = &listing->instructions[number];
		char *text;
		uint64_t address = strtoull(line, &text, 16);

		if (text == line || text[0] != ':' || text[1] != '\t')
			continue;
		assert_true(number < listing->count);
		assert_true(instruction->address == address);
		if (instruction->target != parse_target(text + 2))
			fail_msg("%" PRIx64 ": %s goes to %" PRIx64 ", not: %s", address, instruction->text,
				 instruction->target, text);
		targets += instruction->target > 0;
		number++;
	}
	assert_int_equal(pclose(pipe), 0);
	assert_int_equal(number, listing->count);
	assert_true(targets > 0);
}

static void test_objdump_agrees(void **state)
{
	static const char *const symbols[] = {"qsort_r", "getaddrinfo", "malloc"};
	struct library libc, workload;
	struct code_listing *listing;
	struct reading reading;

	library_locate_libc(&libc);
	reading_init(&reading, libc.path);
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		listing = read_symbol(&reading, &libc, true, symbols[i], 0);
		compare_with_objdump(&libc, listing);
		code_listing_destroy(listing);
	}
	reading_deinit(&reading);
	locate_workload("hot-inlined", &workload);
	reading_init(&reading, workload.path);
	listing = read_symbol(&reading, &workload, false, "main", 0);
	compare_with_objdump(&workload, listing);
	assert_string_equal(listing->function, "main");
	code_listing_destroy(listing);
	reading_deinit(&reading);
}

static void test_intel_has_the_same_instructions(void **state)
{
	struct code_listing *att, *intel;
	struct library libc;
	struct reading reading;
	size_t different = 0;

	library_locate_libc(&libc);
	reading_init(&reading, libc.path);
	att = read_symbol(&reading, &libc, true, "qsort_r", 0);
	intel = read_symbol(&reading, &libc, true, "qsort_r", CODE_INTEL);
	assert_int_equal(att->count, intel->count);
	for (size_t i = 0; i < att->count; i++) {
		assert_true(att->instructions[i].address == intel->instructions[i].address);
		assert_true(att->instructions[i].target == intel->instructions[i].target);
		assert_null(strchr(intel->instructions[i].text, '%'));
		different += strcmp(att->instructions[i].text, intel->instructions[i].text) != 0;
	}
	assert_true(different > att->count / 2);
	code_listing_destroy(att);
	code_listing_destroy(intel);
	reading_deinit(&reading);
}

/* ---- lines ---- */

/* "function\nfile:line\n" for each level of an address, the innermost first. */
static FILE *start_addr2line(const struct library *library, const struct code_instruction *instruction)
{
	char command[8192];
	FILE *pipe;

	snprintf(command, sizeof(command), "addr2line -i -f -C -e '%s' %#" PRIx64, library->path,
		 instruction->address);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	return pipe;
}

/* Returns how many levels there are. */
static unsigned compare_levels(const struct library *library, const struct code_listing *listing,
			       const struct code_instruction *instruction)
{
	const struct code_place *place = &listing->places[instruction->place];
	FILE *pipe = start_addr2line(library, instruction);
	char function[4096], line[4096];
	unsigned count = 0;

	for (; fgets(function, sizeof(function), pipe) && fgets(line, sizeof(line), pipe); count++) {
		const struct code_level *level = &listing->levels[place->first + count];
		bool is_last = count + 1 == place->count;
		const char *colon = strrchr(line, ':');

		assert_true(count < place->count);
		function[strcspn(function, "\n")] = '\0';
		assert_string_equal(is_last ? listing->function : level->function, function);
		assert_int_equal(level->line, atoi(colon + 1));
		assert_non_null(strstr(line, strrchr(level->file, '/')));
	}
	assert_int_equal(pclose(pipe), 0);
	assert_int_equal(count, place->count);
	return count;
}

static void compare_all_levels(const struct library *library, const char *symbol, unsigned least_depth)
{
	struct code_listing *listing;
	struct reading reading;
	unsigned deepest = 0;

	reading_init(&reading, library->path);
	listing = read_symbol(&reading, library, false, symbol, 0);
	for (size_t i = 0; i < listing->count; i++) {
		unsigned depth = compare_levels(library, listing, &listing->instructions[i]);

		deepest = depth > deepest ? depth : deepest;
	}
	assert_true(deepest >= least_depth);
	code_listing_destroy(listing);
	reading_deinit(&reading);
}

static void test_levels_are_those_of_addr2line(void **state)
{
	struct library library;

	locate_workload("hot-inlined", &library);
	compare_all_levels(&library, "hot_three", 2);
	/* Three deep, with names that need demangling. */
	assert_true(library_compile(
		"g++ -O2 -g -shared -fPIC -x c++",
		"namespace deep {\n"
		"template <class T> inline __attribute__((always_inline)) T one(T a) {\n"
		"	return a * 3 + 1;\n"
		"}\n"
		"struct S { int v; inline __attribute__((always_inline)) int two(int n) const {\n"
		"	int s = 0;\n"
		"	for (int i = 0; i < n; i++)\n"
		"		s += one(v ^ i) ^ s;\n"
		"	return s; } };\n"
		"}\n"
		"extern \"C\" int outer(const deep::S *s, int n) {\n"
		"	return s->two(n) + deep::one(n);\n"
		"}\n",
		&library));
	compare_all_levels(&library, "outer", 3);
	library_remove(&library);
}

/* ---- calls ---- */

static void test_calls_have_names(void **state)
{
	static const struct library_function functions[] = {
		{"callee", "nop\nret"},
		{"caller",
		 "call callee@PLT\ncall .Lbehind\n.Lbehind: jmp callee_hidden\nnop\njmp .Lbehind\nret"},
		{"callee_hidden", ".hidden callee_hidden\npush %rax\npop %rax\nret"},
		{NULL, "hlt"},
	};
	struct code_listing *listing;
	struct library library;
	struct reading reading;

	library_assemble(functions, NULL, &library);
	reading_init(&reading, library.path);
	listing = read_symbol(&reading, &library, true, "caller", 0);
	assert_int_equal(listing->count, 6);
	assert_int_equal(listing->instructions[0].flags, CODE_CALL);
	assert_true(listing->instructions[0].target > 0);
	/* Into itself: what is called there is its second half. */
	assert_string_equal(listing->instructions[1].target_name, "caller+0xa");
	assert_int_equal(listing->instructions[2].flags, CODE_JUMP);
	assert_string_equal(listing->instructions[2].target_name, "callee_hidden");
	/* A jump inside needs no name. */
	assert_true(listing->instructions[4].target == listing->start + 10);
	assert_null(listing->instructions[4].target_name);
	assert_int_equal(listing->instructions[5].flags, CODE_RETURN);
	assert_string_equal(listing->function, "caller");
	code_listing_destroy(listing);
	reading_deinit(&reading);
	library_remove(&library);
}

/* ---- long, damaged, none ---- */

static void test_data_among_the_code(void **state)
{
	static const struct library_function functions[] = {
		{"mixed", "nop\njmp 1f\n.byte 0x06,0x06,0x1f\n1: xor %eax,%eax\nret"},
		{NULL, "hlt"},
	};
	struct code_listing *listing;
	struct library library;
	struct reading reading;

	library_assemble(functions, NULL, &library);
	reading_init(&reading, library.path);
	listing = read_symbol(&reading, &library, true, "mixed", 0);
	assert_int_equal(listing->count, 7);
	for (size_t i = 2; i < 5; i++) {
		assert_int_equal(listing->instructions[i].length, 1);
		assert_int_equal(listing->instructions[i].flags, CODE_UNKNOWN);
		assert_memory_equal(listing->instructions[i].text, ".byte", 5);
	}
	assert_true(listing->instructions[1].target == listing->instructions[5].address);
	assert_string_equal(listing->instructions[5].text, "xorl   %eax, %eax");
	code_listing_destroy(listing);
	reading_deinit(&reading);
	library_remove(&library);
}

/* 10 MiB of one function: 1 MiB of it, around what was asked for. */
static void test_a_long_function_is_cut(void **state)
{
	static const struct library_function functions[] = {
		{"endless", ".fill 10485760, 1, 0x90\nret"},
		{NULL, "hlt"},
	};
	static const uint64_t places[] = {0, 1000, 5000000, 10485760};
	struct library library;
	struct reading reading;
	uint64_t offset, length;

	library_assemble(functions, NULL, &library);
	reading_init(&reading, library.path);
	assert_true(library_nm(&library, true, "endless", &offset, &length));
	assert_int_equal(length, 10485761);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct code_listing *listing = read_listing(&reading, offset + places[i], 0);
		uint64_t address = listing->start + places[i];

		assert_null(listing->why);
		assert_int_equal(listing->end - listing->start, length);
		assert_true(listing->last - listing->first <= CODE_BYTES_MAX);
		assert_true(listing->first <= address && address < listing->last);
		assert_int_equal(listing->instructions[0].address, listing->first);
		assert_int_equal(listing->count, listing->last - listing->first);
		assert_true(reading.parts > 1 || listing->count < 1000);
		code_listing_destroy(listing);
	}
	reading_deinit(&reading);
	library_remove(&library);
}

static void expect_why(struct reading *reading, uint64_t offset, const char *why)
{
	struct code_listing *listing = read_listing(reading, offset, 0);

	assert_non_null(listing->why);
	assert_non_null(strstr(listing->why, why));
	assert_int_equal(listing->count, 0);
	code_listing_destroy(listing);
}

static void test_no_code(void **state)
{
	struct library workload;
	struct reading reading;

	locate_workload("hot-inlined", &workload);
	reading_init(&reading, workload.path);
	expect_why(&reading, 0, "no code");
	expect_why(&reading, 1ull << 40, "no code");
	expect_why(&reading, UINT64_MAX, "no code");
	reading_deinit(&reading);
	reading_init(&reading, "/etc/passwd");
	expect_why(&reading, 64, "no ELF file");
	reading_deinit(&reading);
	reading_init(&reading, "/dev/null");
	expect_why(&reading, 64, "no ELF file");
	assert_null(symbolizer_modules_add(reading.modules, MODULE, MODULE_KIND_KERNEL,
					   open("/dev/null", O_RDONLY | O_CLOEXEC)));
	expect_why(&reading, 64, "kernel");
	reading_deinit(&reading);
}

/* Without symbols the FDE says where the function is; it has no name then. */
static void test_a_function_without_a_symbol(void **state)
{
	static const struct library_function functions[] = {
		{"named", "xor %eax,%eax\nret"},
		{"hidden_one", ".hidden hidden_one\nmov $7,%eax\nnop\nret"},
		{NULL, "hlt"},
	};
	struct code_listing *listing;
	struct library library;
	struct reading reading;
	uint64_t offset, length;
	char command[8192];

	library_assemble(functions, NULL, &library);
	assert_true(library_nm(&library, false, "hidden_one", &offset, &length));
	snprintf(command, sizeof(command), "strip '%s'", library.path);
	assert_int_equal(system(command), 0);
	reading_init(&reading, library.path);
	listing = read_listing(&reading, offset + 2, 0);
	assert_null(listing->why);
	assert_string_equal(listing->function, "");
	assert_int_equal(listing->start_offset, offset);
	assert_int_equal(listing->end - listing->start, length);
	assert_int_equal(listing->count, 3);
	assert_int_equal(listing->places[listing->instructions[0].place].count, 0);
	code_listing_destroy(listing);
	reading_deinit(&reading);
	library_remove(&library);
}

/* ---- a lying worker ---- */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Whatever changes in an answer: it is refused, or what comes of it holds together. */
static void test_damaged_answers(void **state)
{
	uint64_t seed = 88172645463325252ull, offset, length;
	struct code_request request = {.module = MODULE};
	unsigned refused = 0, rounds = 20000;
	_cleanup_free_ unsigned char *copy = NULL;
	struct library workload;
	struct reading reading;
	const void *message;
	size_t size;

	locate_workload("hot-inlined", &workload);
	reading_init(&reading, workload.path);
	assert_true(library_nm(&workload, false, "main", &offset, &length));
	request.offset = offset;
	message = code_answer_make(reading.answer, symbolizer_modules_find(reading.modules, MODULE), &request,
				   &size);
	copy = malloc(size);
	for (unsigned round = 0; round < rounds; round++) {
		struct code_listing *listing = code_listing_create(MODULE, offset);
		size_t cut = round % 8 ? size : next_random(&seed) % size;
		_cleanup_free_ unsigned char *exact = malloc(cut + 1);
		uint64_t next;

		memcpy(copy, message, size);
		for (unsigned i = 0; i < 1 + round % 4; i++) {
			/* The header decides most: it is hit more often than by chance. */
			size_t at = next_random(&seed) % (round % 3 ? size : sizeof(struct code_part) + 64);

			copy[at] = (unsigned char)next_random(&seed);
		}
		memcpy(exact, copy, cut);
		refused += !code_listing_append(listing, exact, cut, &next);
		check_listing(listing);
		code_listing_destroy(listing);
	}
	assert_in_range(refused, rounds / 20, rounds - rounds / 20);
	reading_deinit(&reading);
}

/* Files that lie about their symbols, sections and segments: what is listed lies in the file, or nothing is.
 */
static void test_damaged_files(void **state)
{
	static const struct library_function functions[] = {
		{"first", "nop\njmp 1f\n1: xor %eax,%eax\nret"},
		{"second", "call first@PLT\nret"},
		{NULL, "hlt"},
	};
	uint64_t seed = 88172645463325252ull, offset, length;
	_cleanup_free_ unsigned char *bytes = NULL;
	struct library library;
	struct stat status;
	unsigned listed = 0;
	int fd;

	library_assemble(functions, NULL, &library);
	assert_true(library_nm(&library, true, "second", &offset, &length));
	fd = open(library.path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0 && fstat(fd, &status) == 0);
	bytes = malloc((size_t)status.st_size);
	assert_int_equal(pread(fd, bytes, (size_t)status.st_size, 0), status.st_size);
	for (unsigned round = 0; round < 3000; round++) {
		struct code_listing *listing;
		struct reading reading;
		unsigned count = 1 + round % 6;
		size_t places[6];

		for (unsigned i = 0; i < count; i++) {
			unsigned char byte = (unsigned char)next_random(&seed);

			places[i] = next_random(&seed) % (size_t)status.st_size;
			/* Headers of the file, of segments, and of sections, which are at its end. */
			if (i % 3 == 1)
				places[i] %= 0x200;
			else if (i % 3 == 2)
				places[i] = (size_t)status.st_size - 1 - places[i] % 0x400;
			assert_int_equal(pwrite(fd, &byte, 1, (off_t)places[i]), 1);
		}
		reading_init(&reading, library.path);
		listing = read_listing(&reading, offset + round % length, 0);
		check_listing(listing);
		listed += listing->count > 0;
		code_listing_destroy(listing);
		reading_deinit(&reading);
		for (unsigned i = 0; i < count; i++)
			assert_int_equal(pwrite(fd, bytes + places[i], 1, (off_t)places[i]), 1);
	}
	assert_true(listed > 1000);
	close(fd);
	library_remove(&library);
}

static size_t add_record(unsigned char *message, size_t at, uint16_t kind, uint16_t count, const void *body,
			 size_t size)
{
	struct code_record record = {
		.kind = kind, .length = (uint16_t)(sizeof(record) + size), .count = count};

	memcpy(message + at, &record, sizeof(record));
	if (size)
		memcpy(message + at + sizeof(record), body, size);
	return at + record.length;
}

/* Places come and go: of the middle instruction nothing is known. Each part says again where it goes on. */
static void test_places(void **state)
{
	struct code_part part = {.module = MODULE,
				 .offset = 7,
				 .start = 1,
				 .first = 1,
				 .last = 20,
				 .end = 20,
				 .from = 1,
				 .next = 4};
	const struct code_record_level level = {.line = 5};
	const struct code_record_instruction instruction = {0};
	struct code_listing *listing = code_listing_create(MODULE, 7);
	unsigned char message[1024];
	size_t length = sizeof(part);
	uint64_t next;

	length = add_record(message, length, CODE_RECORD_PLACE, 1, &level, sizeof(level));
	length = add_record(message, length, CODE_RECORD_INSTRUCTION, 1, &instruction, sizeof(instruction));
	length = add_record(message, length, CODE_RECORD_PLACE, 0, NULL, 0);
	length = add_record(message, length, CODE_RECORD_INSTRUCTION, 1, &instruction, sizeof(instruction));
	length = add_record(message, length, CODE_RECORD_PLACE, 1, &level, sizeof(level));
	length = add_record(message, length, CODE_RECORD_INSTRUCTION, 1, &instruction, sizeof(instruction));
	memcpy(message, &part, sizeof(part));
	assert_true(code_listing_append(listing, message, length, &next));
	assert_int_equal(next, 4);
	/* The second part: in the same line. */
	part.from = 4;
	part.next = 0;
	memcpy(message, &part, sizeof(part));
	length = add_record(message, sizeof(part), CODE_RECORD_PLACE, 1, &level, sizeof(level));
	length = add_record(message, length, CODE_RECORD_INSTRUCTION, 1, &instruction, sizeof(instruction));
	assert_true(code_listing_append(listing, message, length, &next));
	assert_int_equal(next, 0);
	assert_int_equal(listing->count, 4);
	assert_int_equal(listing->instructions[1].place, 0);
	assert_int_equal(listing->places[listing->instructions[0].place].count, 1);
	assert_int_equal(listing->instructions[2].place, listing->instructions[3].place);
	assert_int_equal(listing->levels[listing->places[listing->instructions[3].place].first].line, 5);
	check_listing(listing);
	code_listing_destroy(listing);
}

static void test_answers_to_other_questions(void **state)
{
	struct code_part part = {
		.module = MODULE, .offset = 7, .start = 1, .first = 1, .last = 20, .end = 20, .from = 1};
	struct code_listing *listing;
	uint64_t next;

	/* As it should be: nothing is listed, and it is the end. */
	listing = code_listing_create(MODULE, 7);
	assert_true(code_listing_append(listing, &part, sizeof(part), &next));
	assert_int_equal(next, 0);
	code_listing_destroy(listing);
	listing = code_listing_create(MODULE, 8);
	assert_false(code_listing_append(listing, &part, sizeof(part), &next));
	code_listing_destroy(listing);
	listing = code_listing_create(MODULE + 1, 7);
	assert_false(code_listing_append(listing, &part, sizeof(part), &next));
	code_listing_destroy(listing);
	/* It says that it goes on, and has said nothing. */
	part.next = 1;
	listing = code_listing_create(MODULE, 7);
	assert_false(code_listing_append(listing, &part, sizeof(part), &next));
	code_listing_destroy(listing);
	part.next = 0;
	part.last = part.end = part.first + CODE_BYTES_MAX + 1;
	listing = code_listing_create(MODULE, 7);
	assert_false(code_listing_append(listing, &part, sizeof(part), &next));
	code_listing_destroy(listing);
	memset(part.why, 'w', sizeof(part.why));
	listing = code_listing_create(MODULE, 7);
	assert_true(code_listing_append(listing, &part, sizeof(part), &next));
	assert_in_range(strlen(listing->why), 100, sizeof(part.why));
	code_listing_destroy(listing);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objdump_agrees),
		cmocka_unit_test(test_intel_has_the_same_instructions),
		cmocka_unit_test(test_levels_are_those_of_addr2line),
		cmocka_unit_test(test_calls_have_names),
		cmocka_unit_test(test_data_among_the_code),
		cmocka_unit_test(test_a_long_function_is_cut),
		cmocka_unit_test(test_no_code),
		cmocka_unit_test(test_a_function_without_a_symbol),
		cmocka_unit_test(test_damaged_answers),
		cmocka_unit_test(test_damaged_files),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_answers_to_other_questions),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
