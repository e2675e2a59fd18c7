/* Go's table of functions and lines: handmade tables of each layout, and what can be wrong with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/frame.h"
#include "symbolizer/pclntab.h"
#include "tests/support/pclntab_make.h"

#include <stdlib.h>
#include <string.h>

#define TEXT 0x401000

static const uint8_t magics[] = {MADE_GO_1_2, MADE_GO_1_16, MADE_GO_1_18, MADE_GO_1_20};
#define LAYOUTS (sizeof(magics) / sizeof(magics[0]))

static const struct made_function functions[] = {
	{.start = 0x000, .name = "go:buildid"},
	{.start = 0x040, .name = "main.main", .lines = {{10, 5}, {12, 3}, {11, 0x28}}, .files = {{0, 0x30}}},
	{.start = 0x080, .name = "main.main.func1", .lines = {{100000, 4}, {3, 0x7c}}, .files = {{0, 0x80}}},
	{.start = 0x100,
	 .name = "main.(*T).Method",
	 .lines = {{20, 0x10}, {7, 0x10}, {21, 0x60}},
	 .files = {{0, 0x10}, {1, 0x10}, {0, 0x60}}},
	{.start = 0x180, .name = "main.f[...]", .lines = {{30, 0x200}}, .files = {{1, 0x200}}},
	{.start = 0x380},
};

static void open_table(const struct made_table *made, struct pclntab *ret)
{
	assert_true(pclntab_init(made->bytes, made->length, ret));
}

/* line 0: none. */
static void expect(const struct pclntab *table, uint64_t at, const char *name, uint64_t start, uint32_t line,
		   const char *file)
{
	struct pclntab_function function;
	struct pclntab_line found;

	assert_true(pclntab_find(table, TEXT + at, &function));
	assert_int_equal(function.length, strlen(name));
	assert_memory_equal(function.name, name, function.length);
	assert_true(function.start == TEXT + start);
	assert_int_equal(pclntab_find_line(table, &function, TEXT + at, &found), line != 0);
	if (!line)
		return;
	assert_int_equal(found.line, line);
	assert_int_equal(found.length, strlen(file));
	assert_memory_equal(found.file, file, found.length);
}

static void expect_all(const struct pclntab *table)
{
	struct pclntab_function function;

	expect(table, 0x000, "go:buildid", 0x000, 0, NULL);
	expect(table, 0x03f, "go:buildid", 0x000, 0, NULL);
	expect(table, 0x040, "main.main", 0x040, 10, made_files[0]);
	expect(table, 0x044, "main.main", 0x040, 10, made_files[0]);
	expect(table, 0x045, "main.main", 0x040, 12, made_files[0]);
	expect(table, 0x048, "main.main", 0x040, 11, made_files[0]);
	expect(table, 0x06f, "main.main", 0x040, 11, made_files[0]);
	expect(table, 0x070, "main.main", 0x040, 0, NULL); /* padding */
	expect(table, 0x083, "main.main.func1", 0x080, 100000, made_files[0]);
	expect(table, 0x084, "main.main.func1", 0x080, 3, made_files[0]);
	expect(table, 0x10f, "main.(*T).Method", 0x100, 20, made_files[0]);
	expect(table, 0x110, "main.(*T).Method", 0x100, 7, made_files[1]); /* inlined */
	expect(table, 0x120, "main.(*T).Method", 0x100, 21, made_files[0]);
	expect(table, 0x37f, "main.f[...]", 0x180, 30, made_files[1]);
	assert_false(pclntab_find(table, TEXT - 1, &function));
	assert_false(pclntab_find(table, 0, &function));
	assert_false(pclntab_find(table, TEXT + 0x380, &function));
	assert_false(pclntab_find(table, UINT64_MAX, &function));
}

static void test_each_layout(void **state)
{
	for (size_t i = 0; i < LAYOUTS; i++) {
		struct made_table made;
		struct pclntab table;

		made_table_make(magics[i], TEXT, functions, &made);
		open_table(&made, &table);
		assert_int_equal(table.count, 5);
		assert_false(pclntab_needs_text_start(&table));
		assert_true(pclntab_has_lines(&table));
		expect_all(&table);
	}
}

static void test_start_of_the_text_is_elsewhere(void **state)
{
	struct pclntab_function function;
	struct made_table made;
	struct pclntab table;

	made_table_make(MADE_GO_1_20, 0, functions, &made);
	open_table(&made, &table);
	assert_true(pclntab_needs_text_start(&table));
	assert_false(pclntab_find(&table, TEXT + 0x40, &function));
	assert_false(pclntab_find(&table, 0x40, &function));
	table.text_start = TEXT;
	expect_all(&table);
	/* Addresses that wrap around are nobody's. */
	table.text_start = UINT64_MAX - 0x41;
	assert_false(pclntab_find(&table, UINT64_MAX, &function));
	assert_false(pclntab_find(&table, 0, &function));
}

static void test_no_table(void **state)
{
	struct pclntab table = {0};
	struct pclntab_function function;
	struct made_table made;

	assert_false(pclntab_find(&table, 0, &function));
	assert_false(pclntab_has_lines(&table));
	assert_false(pclntab_needs_text_start(&table));
	assert_false(pclntab_init(NULL, 0, &table));
	/* Magic, the two zeros, the size of an instruction and of a pointer. */
	for (size_t at = 0; at < 8; at++) {
		made_table_make(MADE_GO_1_18, TEXT, functions, &made);
		made.bytes[at] ^= 2;
		assert_false(pclntab_init(made.bytes, made.length, &table));
	}
	made_table_make(MADE_GO_1_18, TEXT, &functions[5], &made);
	assert_false(pclntab_init(made.bytes, made.length, &table));
	assert_null(table.layout);
}

static void test_no_lines(void **state)
{
	static const struct made_function plain[] = {
		{.start = 0x000, .name = "a"}, {.start = 0x010, .name = "b"}, {.start = 0x020}};
	struct made_table made;
	struct pclntab table;

	for (size_t i = 0; i < LAYOUTS; i++) {
		made_table_make(magics[i], TEXT, plain, &made);
		open_table(&made, &table);
		assert_false(pclntab_has_lines(&table));
		expect(&table, 0x01f, "b", 0x010, 0, NULL);
	}
}

/* ---- damage ---- */

static size_t record_field(const struct made_table *made, unsigned function, size_t field)
{
	return made->records[function] + made->word + field;
}

static void test_damaged_record(void **state)
{
	struct pclntab_function function;
	struct pclntab_line line;
	struct made_table made;
	struct pclntab table;

	for (size_t i = 0; i < LAYOUTS; i++) {
		/* A name outside, or without an end. */
		made_table_make(magics[i], TEXT, functions, &made);
		made_table_set_u32(&made, record_field(&made, 1, MADE_RECORD_NAME), UINT32_MAX);
		open_table(&made, &table);
		assert_false(pclntab_find(&table, TEXT + 0x40, &function));
		made_table_set_u32(&made, record_field(&made, 1, MADE_RECORD_NAME),
				   (uint32_t)(made.length - (table.names.data - made.bytes) - 1));
		made.bytes[made.length - 1] = 'x';
		assert_false(pclntab_find(&table, TEXT + 0x40, &function));
		assert_true(pclntab_find(&table, TEXT + 0x80, &function));

		/* The record is another function's, or outside. */
		made_table_make(magics[i], TEXT, functions, &made);
		made_table_set_u32(&made, made.records[1], TEXT + 0x41);
		open_table(&made, &table);
		assert_false(pclntab_find(&table, TEXT + 0x40, &function));
		made_table_make(magics[i], TEXT, functions, &made);
		made_table_set_u32(&made, made.index + 3 * made.word, UINT32_MAX);
		assert_false(pclntab_find(&table, TEXT + 0x40, &function));

		/* Values and files outside. */
		made_table_make(magics[i], TEXT, functions, &made);
		made_table_set_u32(&made, record_field(&made, 1, MADE_RECORD_LINE), UINT32_MAX);
		assert_true(pclntab_find(&table, TEXT + 0x40, &function));
		assert_false(pclntab_find_line(&table, &function, TEXT + 0x40, &line));
		made_table_make(magics[i], TEXT, functions, &made);
		made_table_set_u32(&made, record_field(&made, 1, MADE_RECORD_FILE), UINT32_MAX);
		assert_false(pclntab_find_line(&table, &function, TEXT + 0x40, &line));
		if (magics[i] != MADE_GO_1_2) {
			/* The unit's file that was left out; then none at all. */
			made_table_make(magics[i], TEXT, functions, &made);
			made_table_set_u32(&made, record_field(&made, 1, MADE_RECORD_UNIT), 0);
			assert_false(pclntab_find_line(&table, &function, TEXT + 0x40, &line));
			made_table_set_u32(&made, record_field(&made, 1, MADE_RECORD_UNIT), UINT32_MAX);
			assert_false(pclntab_find_line(&table, &function, TEXT + 0x40, &line));
		}
	}
}

/* Go 1.2 numbers its files from 1 to the count that goes before them. */
static void test_numbers_of_files(void **state)
{
	struct pclntab_function function;
	struct made_table made;
	struct pclntab_line line;
	struct pclntab table;

	made_table_make(MADE_GO_1_2, TEXT, functions, &made);
	open_table(&made, &table);
	assert_true(pclntab_find(&table, TEXT + 0x40, &function));
	made_table_set_u32(&made, made.files, 1);
	assert_false(pclntab_find_line(&table, &function, TEXT + 0x40, &line));
	made_table_set_u32(&made, made.files, 3);
	assert_true(pclntab_find_line(&table, &function, TEXT + 0x40, &line));
	/* From -1 to 0. */
	made_table_set_u32(&made, record_field(&made, 1, MADE_RECORD_FILE), (uint32_t)made.length);
	memcpy(made.bytes + made.length, "\x02\x40", 2);
	made.length += 2;
	open_table(&made, &table);
	assert_true(pclntab_find(&table, TEXT + 0x40, &function));
	assert_false(pclntab_find_line(&table, &function, TEXT + 0x40, &line));
}

static void test_lines_outside_of_the_function(void **state)
{
	struct pclntab_function function;
	struct pclntab_line line;
	struct made_table made;
	struct pclntab table;

	made_table_make(MADE_GO_1_18, TEXT, functions, &made);
	open_table(&made, &table);
	assert_true(pclntab_find(&table, TEXT + 0x40, &function));
	assert_false(pclntab_find_line(&table, &function, TEXT + 0x3f, &line));
	assert_false(pclntab_find_line(&table, &function, TEXT + 0x80, &line));
}

/* Replaces the lines of main.main. */
static void set_lines(struct made_table *made, const char *bytes, size_t length)
{
	made_table_set_u32(made, record_field(made, 1, MADE_RECORD_LINE),
			   (uint32_t)(made->length - made->values));
	memcpy(made->bytes + made->length, bytes, length);
	made->length += length;
}

static bool has_line(const struct made_table *made, uint64_t at, uint32_t *ret)
{
	struct pclntab_function function;
	struct pclntab_line line;
	struct pclntab table;

	open_table(made, &table);
	assert_true(pclntab_find(&table, TEXT + at, &function));
	if (!pclntab_find_line(&table, &function, TEXT + at, &line))
		return false;
	*ret = line.line;
	return true;
}

static void test_damaged_values(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		uint32_t line; /* at the function's first byte */
	} cases[] = {
		{"\x0a\x40", 2, 4},	    /* without an end */
		{"\x00\x01\x0a\x40", 4, 0}, /* -1 first, then 4: the first may be 0, but -1 is no line */
		{"\x02\x40", 2, 0},	    /* line 0 */
		{"\x05\x40", 2, 0},	    /* below it */
		{"\x0a\x00\x0a\x40", 4, 0}, /* no bytes of code */
		{"\x0a", 1, 0},		    /* ends in the middle */
		{"\x8a", 1, 0},
		{"\x8a\x80\x80\x80\x80\x00\x40", 7, 0}, /* too long */
		{"\x8a\x80\x80\x80\x00\x40", 6, 4},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct made_table made;
		uint32_t line = 0;

		made_table_make(MADE_GO_1_18, TEXT, functions, &made);
		set_lines(&made, cases[i].bytes, cases[i].length);
		assert_int_equal(has_line(&made, 0x40, &line), cases[i].line != 0);
		assert_int_equal(line, cases[i].line);
	}
}

/* Only a function's first value may be as before, which is -1: then 0 is not the end. */
static void test_no_change_at_first(void **state)
{
	struct made_table made;
	uint32_t line = 0;

	made_table_make(MADE_GO_1_18, TEXT, functions, &made);
	set_lines(&made, "\x00\x01\x0a\x01\x00\x20\x0a\x20", 8);
	assert_false(has_line(&made, 0x40, &line));
	assert_true(has_line(&made, 0x41, &line));
	assert_int_equal(line, 4);
	assert_false(has_line(&made, 0x42, &line));
	assert_false(has_line(&made, 0x63, &line));
}

static void test_long_name(void **state)
{
	_cleanup_free_ char *text = malloc(10000);
	struct made_function one[] = {{.start = 0, .name = text}, {.start = 0x10}};
	struct pclntab_function function;
	struct made_table made;
	struct pclntab table;

	memset(text, 'x', 9999);
	text[9999] = '\0';
	made_table_make(MADE_GO_1_18, TEXT, one, &made);
	open_table(&made, &table);
	assert_true(pclntab_find(&table, TEXT, &function));
	assert_int_equal(function.length,
			 NAME_LENGTH_MAX + 1); /* one more than is shown: it is seen as cut */
}

/* A million changes of the line and more: a lookup ends, and what comes before is found. */
static void test_endless_values(void **state)
{
	const size_t changes = 3u << 20;
	static const struct made_function one[] = {
		{.start = 0, .name = "f", .lines = {{1, 1}}, .files = {{0, 1u << 31}}}, {.start = 1u << 31}};
	struct pclntab_function function;
	struct made_table made;
	struct pclntab_line line;
	struct pclntab table;
	_cleanup_free_ uint8_t *bytes = NULL;

	made_table_make(MADE_GO_1_18, TEXT, one, &made);
	made_table_set_u32(&made, record_field(&made, 0, MADE_RECORD_LINE),
			   (uint32_t)(made.length - made.values));
	bytes = malloc(made.length + 2 * changes);
	memcpy(bytes, made.bytes, made.length);
	for (size_t i = 0; i < changes; i++) {
		bytes[made.length + 2 * i] = i ? 2 : 4; /* +1; the first from -1 to 1 */
		bytes[made.length + 2 * i + 1] = 1;
	}
	assert_true(pclntab_init(bytes, made.length + 2 * changes, &table));
	assert_true(pclntab_find(&table, TEXT + changes, &function));
	assert_true(pclntab_find_line(&table, &function, TEXT + 500000, &line));
	assert_int_equal(line.line, 500001);
	assert_false(pclntab_find_line(&table, &function, TEXT + changes - 1, &line));
}

/* ---- at random ---- */

static bool is_inside(const struct made_table *made, const uint8_t *bytes, const char *text, size_t length)
{
	const uint8_t *at = (const uint8_t *)text;

	return length && length <= NAME_LENGTH_MAX + 1 && at >= bytes && at < bytes + made->length &&
	       length <= (size_t)(bytes + made->length - at);
}

/* Asks all over; what is found must be sound. Returns how many were found. */
static unsigned ask_all(const struct made_table *made, const uint8_t *bytes)
{
	struct pclntab table;
	unsigned found = 0;

	if (!pclntab_init(bytes, made->length, &table))
		return 0;
	pclntab_has_lines(&table);
	if (pclntab_needs_text_start(&table))
		table.text_start = TEXT;
	for (uint64_t at = 0; at < 0x390; at += 3) {
		uint64_t address = TEXT + at;
		struct pclntab_function function;
		struct pclntab_line line;

		if (!pclntab_find(&table, address, &function))
			continue;
		found++;
		assert_true(function.start <= address && address < function.end);
		assert_true(is_inside(made, bytes, function.name, function.length));
		if (pclntab_find_line(&table, &function, address, &line)) {
			assert_true(line.line > 0);
			assert_true(is_inside(made, bytes, line.file, line.length));
		}
	}
	return found;
}

/* In memory of its own, of exactly that length: the sanitizer sees each byte beyond. */
static unsigned ask_copy(const struct made_table *made)
{
	_cleanup_free_ uint8_t *copy = malloc(made->length ?: 1);

	memcpy(copy, made->bytes, made->length);
	return ask_all(made, copy);
}

static void test_truncated(void **state)
{
	for (size_t i = 0; i < LAYOUTS; i++) {
		struct made_table made;
		size_t whole;
		unsigned all;

		made_table_make(magics[i], TEXT, functions, &made);
		whole = made.length;
		all = ask_copy(&made);
		assert_true(all > 200);
		assert_true(whole > 200);
		for (made.length = 0; made.length < whole; made.length++)
			assert_true(ask_copy(&made) <= all);
	}
}

/* Each byte in eight ways, then several at once. */
static void test_flipped(void **state)
{
	static const uint8_t masks[] = {0x01, 0x02, 0x08, 0x10, 0x40, 0x80, 0x7f, 0xff};
	uint32_t seed = 1;
	unsigned found = 0;

	for (size_t i = 0; i < LAYOUTS; i++) {
		struct made_table made;

		made_table_make(magics[i], TEXT, functions, &made);
		for (size_t at = 0; at < made.length; at++) {
			for (size_t m = 0; m < sizeof(masks); m++) {
				made.bytes[at] ^= masks[m];
				found += ask_copy(&made) > 0;
				made.bytes[at] ^= masks[m];
			}
		}
		for (unsigned round = 0; round < 2000; round++) {
			made_table_make(magics[i], TEXT, functions, &made);
			for (unsigned flips = 0; flips < 1 + round % 8; flips++) {
				seed = seed * 1664525 + 1013904223;
				made.bytes[8 + (seed >> 8) % (made.length - 8)] ^= (uint8_t)seed | 1;
			}
			found += ask_copy(&made) > 0;
		}
	}
	/* Most damage does not make a table useless. */
	assert_true(found > 10000);
}

/* An index that is not sorted: some answer, or none. */
static void test_unsorted(void **state)
{
	uint32_t seed = 1;

	for (unsigned round = 0; round < 2000; round++) {
		struct made_table made;

		made_table_make(MADE_GO_1_18, TEXT, functions, &made);
		for (unsigned i = 1; i < 5; i++) {
			seed = seed * 1664525 + 1013904223;
			made_table_set_u32(&made, made.index + 2 * i * made.word, (seed >> 8) % 0x400);
		}
		ask_copy(&made);
	}
}

/* Functions that nobody calls: their flag is the second byte of a field that lies elsewhere since Go 1.20. */
static void test_roots(void **state)
{
	static const size_t fields[] = {0, 32, 32, 36};

	for (size_t i = 0; i < LAYOUTS; i++) {
		struct pclntab_function root;
		struct made_table made;
		struct pclntab table;
		uint64_t number = 0;

		made_table_make(magics[i], TEXT, functions, &made);
		open_table(&made, &table);
		assert_false(pclntab_next_root(&table, &number, &root));
		if (!fields[i])
			continue;
		made_table_set_u32(&made, made.records[1] + made.word + fields[i], 0x0105);
		made_table_set_u32(&made, made.records[2] + made.word + fields[i], 0xfe05);
		made_table_set_u32(&made, made.records[4] + made.word + fields[i], 0xff00);
		number = 0;
		assert_true(pclntab_next_root(&table, &number, &root));
		assert_int_equal(root.start, TEXT + 0x40);
		assert_int_equal(number, 2);
		assert_true(pclntab_next_root(&table, &number, &root));
		assert_int_equal(root.start, TEXT + 0x180);
		assert_int_equal(root.end, TEXT + 0x380);
		assert_false(pclntab_next_root(&table, &number, &root));
	}
}

/* They are entered by the kernel, but have interrupted somebody. */
static void test_signal_handlers_are_no_roots(void **state)
{
	static const struct made_function handlers[] = {
		{.start = 0x000, .name = "runtime.sigtramp"},
		{.start = 0x040, .name = "runtime.cgoSigtramp"},
		{.start = 0x080, .name = "runtime.mstart"},
		{.start = 0x0c0},
	};
	struct pclntab_function root;
	struct made_table made;
	struct pclntab table;
	uint64_t number = 0;

	made_table_make(MADE_GO_1_20, TEXT, handlers, &made);
	for (size_t i = 0; i < 3; i++)
		made_table_set_u32(&made, made.records[i] + made.word + 36, 0x0100);
	open_table(&made, &table);
	assert_true(pclntab_next_root(&table, &number, &root));
	assert_int_equal(root.start, TEXT + 0x80);
	assert_false(pclntab_next_root(&table, &number, &root));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_layout),
		cmocka_unit_test(test_roots),
		cmocka_unit_test(test_signal_handlers_are_no_roots),
		cmocka_unit_test(test_start_of_the_text_is_elsewhere),
		cmocka_unit_test(test_no_table),
		cmocka_unit_test(test_no_lines),
		cmocka_unit_test(test_damaged_record),
		cmocka_unit_test(test_lines_outside_of_the_function),
		cmocka_unit_test(test_damaged_values),
		cmocka_unit_test(test_no_change_at_first),
		cmocka_unit_test(test_numbers_of_files),
		cmocka_unit_test(test_long_name),
		cmocka_unit_test(test_endless_values),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_unsorted),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
