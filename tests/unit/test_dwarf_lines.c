/* Line tables made by hand: every version of DWARF, what ends a sequence, and what is damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "symbolizer/dwarf_lines.h"

#include <dwarf.h>
#include <stdlib.h>
#include <string.h>

#define LOWEST 0x1000
#define TEXT   0x2000

/* A table while it is written. */
struct maker {
	unsigned char bytes[4096];
	size_t length, header_length_at, header_end;
};

static void put(struct maker *maker, uint64_t value, size_t size)
{
	memcpy(maker->bytes + maker->length, &value, size);
	maker->length += size;
}

static void put_text(struct maker *maker, const char *text)
{
	memcpy(maker->bytes + maker->length, text, strlen(text) + 1);
	maker->length += strlen(text) + 1;
}

static void put_many(struct maker *maker, const unsigned char *bytes, size_t count)
{
	memcpy(maker->bytes + maker->length, bytes, count);
	maker->length += count;
}

static void put_old_files(struct maker *maker)
{
	put_text(maker, "sub");
	put_text(maker, "/absolute");
	put(maker, 0, 1);
	put_text(maker, "own.c");
	put_many(maker, (unsigned char[]){0, 0, 0}, 3);
	put_text(maker, "in_sub.h");
	put_many(maker, (unsigned char[]){1, 0, 0}, 3);
	put_text(maker, "in_absolute.h");
	put_many(maker, (unsigned char[]){2, 0, 0}, 3);
	put_text(maker, "/rooted.h");
	put_many(maker, (unsigned char[]){1, 0, 0}, 3);
	put(maker, 0, 1);
}

/* The same files, numbered from 0, with an MD5 that nobody wants. */
static void put_new_files(struct maker *maker)
{
	static const unsigned char md5[16] = {1, 2, 3};
	static const struct {
		const char *name;
		unsigned char directory;
	} files[] = {{"own.c", 0}, {"in_sub.h", 1}, {"in_absolute.h", 2}, {"/rooted.h", 1}};

	put_many(maker, (unsigned char[]){1, DW_LNCT_path, DW_FORM_string, 3}, 4);
	put_text(maker, "/dir");
	put_text(maker, "sub");
	put_text(maker, "/absolute");
	put_many(maker,
		 (unsigned char[]){3, DW_LNCT_path, DW_FORM_string, DW_LNCT_directory_index, DW_FORM_udata,
				   DW_LNCT_MD5, DW_FORM_data16, 4},
		 8);
	for (unsigned i = 0; i < 4; i++) {
		put_text(maker, files[i].name);
		put(maker, files[i].directory, 1);
		put_many(maker, md5, sizeof(md5));
	}
}

static void start(struct maker *maker, unsigned version, unsigned line_range)
{
	static const unsigned char lengths[] = {0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 1};

	memset(maker, 0, sizeof(*maker));
	put(maker, 0, 4);
	put(maker, version, 2);
	if (version == 5)
		put(maker, 8, 2);
	maker->header_length_at = maker->length;
	put(maker, 0, 4);
	put(maker, 1, 1);
	if (version >= 4)
		put(maker, 1, 1);
	put(maker, 1, 1);
	put(maker, (unsigned char)-3, 1);
	put(maker, line_range, 1);
	put(maker, 13, 1);
	put_many(maker, lengths, sizeof(lengths));
	if (version == 5)
		put_new_files(maker);
	else
		put_old_files(maker);
	maker->header_end = maker->length;
}

static void put_address(struct maker *maker, uint64_t address)
{
	put_many(maker, (unsigned char[]){0, 9, DW_LNE_set_address}, 3);
	put(maker, address, 8);
}

/* Moves on and makes a row. */
static void put_row(struct maker *maker, unsigned advance, int line_advance)
{
	put_many(maker,
		 (unsigned char[]){DW_LNS_advance_pc, (unsigned char)advance, DW_LNS_advance_line,
				   (unsigned char)(line_advance & 0x7f), DW_LNS_copy},
		 5);
}

static void put_end(struct maker *maker, unsigned advance)
{
	put_many(maker,
		 (unsigned char[]){DW_LNS_advance_pc, (unsigned char)advance, 0, 1, DW_LNE_end_sequence}, 5);
}

static struct lines *finish(struct maker *maker)
{
	uint32_t length = (uint32_t)maker->length - 4;
	uint32_t header = (uint32_t)(maker->header_end - maker->header_length_at - 4);
	struct line_sections sections = {.line = bytes_make(maker->bytes, maker->length)};
	struct lines *lines;

	memcpy(maker->bytes, &length, 4);
	memcpy(maker->bytes + maker->header_length_at, &header, 4);
	lines = lines_read(&sections, 0, LOWEST);
	assert_non_null(lines);
	return lines;
}

static void expect(const struct lines *lines, uint64_t address, unsigned line, unsigned file, uint64_t until)
{
	uint64_t found_until;
	const struct line_row *row = lines_find(lines, address, &found_until);

	if (!line) {
		assert_null(row);
	} else {
		assert_non_null(row);
		assert_int_equal(row->line, line);
		assert_int_equal(row->file, file);
	}
	assert_true(found_until == until);
}

static void expect_path(const struct lines *lines, uint64_t file, const char *path)
{
	char text[64];
	size_t length = lines_make_path(lines, file, "/dir", text, sizeof(text));

	assert_int_equal(length, strlen(path));
	if (length)
		assert_string_equal(text, path);
}

static void test_versions(void **state)
{
	for (unsigned version = 2; version <= 5; version++) {
		unsigned first = version == 5 ? 0 : 1;
		struct maker maker;
		struct lines *lines;

		start(&maker, version, 14);
		put_address(&maker, TEXT);
		put_row(&maker, 0, 9);
		put_many(&maker, (unsigned char[]){DW_LNS_set_file, 2}, 2);
		put_row(&maker, 0x10, 5);
		put(&maker, 13 + 14 * 4 + 3 + 2, 1); /* special: 4 bytes and 2 lines on */
		put(&maker, DW_LNS_const_add_pc, 1); /* 17 */
		put_row(&maker, 0, -7);
		put_many(&maker,
			 (unsigned char[]){DW_LNS_fixed_advance_pc, 0, 1, DW_LNS_set_column, 3, DW_LNS_copy},
			 6);
		put_end(&maker, 4);
		lines = finish(&maker);
		expect(lines, TEXT - 1, 0, 0, TEXT);
		expect(lines, TEXT, 10, 1, TEXT + 0x10);
		expect(lines, TEXT + 0xf, 10, 1, TEXT + 0x10);
		expect(lines, TEXT + 0x10, 15, 2, TEXT + 0x14);
		expect(lines, TEXT + 0x14, 17, 2, TEXT + 0x25);
		/* The same line again is no row of its own. */
		expect(lines, TEXT + 0x25, 10, 2, TEXT + 0x129);
		expect(lines, TEXT + 0x129, 0, 0, UINT64_MAX);
		assert_int_equal(lines_count_files(lines), 4 + first);
		expect_path(lines, first, "/dir/own.c");
		expect_path(lines, first + 1, "/dir/sub/in_sub.h");
		expect_path(lines, first + 2, "/absolute/in_absolute.h");
		expect_path(lines, first + 3, "/rooted.h");
		expect_path(lines, first + 4, "");
		expect_path(lines, UINT64_MAX, "");
		assert_true(lines_measure(lines) > 0);
		lines_destroy(lines);
	}
}

static void test_paths_are_cut(void **state)
{
	struct maker maker;
	struct lines *lines;
	char text[8];

	start(&maker, 4, 14);
	lines = finish(&maker);
	assert_int_equal(lines_make_path(lines, 1, "/dir", text, sizeof(text)), 7);
	assert_string_equal(text, "/dir/ow");
	assert_int_equal(lines_make_path(lines, 1, NULL, text, sizeof(text)), 5);
	assert_string_equal(text, "own.c");
	lines_destroy(lines);
}

/* Sequences in any order, inside of each other, thrown away by the linker, without an end. */
static void test_sequences(void **state)
{
	struct maker maker;
	struct lines *lines;

	start(&maker, 4, 14);
	put_address(&maker, TEXT + 0x50);
	put_row(&maker, 0, 49);
	put_end(&maker, 0x10);
	put_address(&maker, TEXT);
	put_row(&maker, 0, 9);
	put_end(&maker, 0x20);
	put_address(&maker, 0); /* .text of a function that is not there */
	put_row(&maker, 0, 19);
	put_end(&maker, 0x20);
	put_address(&maker, UINT64_MAX - 1); /* as lld marks it */
	put_row(&maker, 0, 19);
	put_end(&maker, 0x20);
	put_address(&maker, LOWEST - 1);
	put_row(&maker, 0, 19);
	put_end(&maker, 0x20);
	put_address(&maker, TEXT + 0x58);
	put_row(&maker, 0, 57);
	put_end(&maker, 2);
	put_address(&maker, TEXT + 0x100);
	put_row(&maker, 0, 19);
	lines = finish(&maker);
	expect(lines, LOWEST + 1, 0, 0, TEXT);
	expect(lines, TEXT, 10, 1, TEXT + 0x20);
	expect(lines, TEXT + 0x20, 0, 0, TEXT + 0x50);
	expect(lines, TEXT + 0x57, 50, 1, TEXT + 0x58);
	expect(lines, TEXT + 0x58, 58, 1, TEXT + 0x5a);
	expect(lines, TEXT + 0x5a, 50, 1, TEXT + 0x60);
	expect(lines, TEXT + 0x100, 0, 0, UINT64_MAX);
	lines_destroy(lines);
}

/* An address that goes back, and two rows of one address: the last one counts. */
static void test_rows_of_one_address(void **state)
{
	struct maker maker;
	struct lines *lines;

	start(&maker, 4, 14);
	put_address(&maker, TEXT + 0x10);
	put_row(&maker, 0, 9);
	put_row(&maker, 0, 1);
	put_row(&maker, 4, 1);
	put_address(&maker, TEXT);
	put_row(&maker, 0, 1);
	put_address(&maker, TEXT + 0x18);
	put_row(&maker, 0, 1);
	put_end(&maker, 8);
	lines = finish(&maker);
	expect(lines, TEXT, 0, 0, TEXT + 0x10);
	expect(lines, TEXT + 0x10, 11, 1, TEXT + 0x14);
	expect(lines, TEXT + 0x14, 12, 1, TEXT + 0x18);
	expect(lines, TEXT + 0x18, 14, 1, TEXT + 0x20);
	lines_destroy(lines);
}

static void test_strings_of_other_sections(void **state)
{
	static const char strings[] = "\0in_line_str.c\0/there";
	struct maker maker;
	struct line_sections sections;
	struct lines *lines;

	start(&maker, 5, 14);
	maker.length = maker.header_length_at + 4 + 6 + 12;
	put_many(&maker, (unsigned char[]){1, DW_LNCT_path, DW_FORM_line_strp, 1}, 4);
	put(&maker, 15, 4);
	put_many(&maker, (unsigned char[]){1, DW_LNCT_path, DW_FORM_strp, 3}, 4);
	put(&maker, 1, 4);
	put(&maker, sizeof(strings), 4); /* outside */
	put(&maker, UINT32_MAX, 4);
	maker.header_end = maker.length;
	lines_destroy(finish(&maker));
	sections = (struct line_sections){bytes_make(maker.bytes, maker.length),
					  bytes_make(strings, sizeof(strings)),
					  bytes_make(strings, sizeof(strings))};
	lines = lines_read(&sections, 0, LOWEST);
	assert_int_equal(lines_count_files(lines), 3);
	expect_path(lines, 0, "/there/in_line_str.c");
	expect_path(lines, 1, "");
	expect_path(lines, 2, "");
	lines_destroy(lines);
}

/* ---- damaged ---- */

static void ask(struct lines *lines)
{
	char path[64];
	uint64_t until;

	assert_non_null(lines);
	for (uint64_t at = TEXT; at < TEXT + 0x200; at += 7)
		lines_find(lines, at, &until);
	for (uint64_t file = 0; file < 8; file++)
		lines_make_path(lines, file, "/dir", path, sizeof(path));
	lines_destroy(lines);
}

static void make_usual(struct maker *maker, unsigned version)
{
	start(maker, version, 14);
	put_address(maker, TEXT);
	for (unsigned i = 0; i < 40; i++)
		put(maker, 13 + (i * 37) % 240, 1);
	put_end(maker, 8);
	put_many(maker, (unsigned char[]){0, 6, DW_LNE_define_file, 'x', 0, 0, 0, 0}, 8);
	lines_destroy(finish(maker));
}

/* The section ends where the file's does: a byte behind it belongs to nobody (AddressSanitizer sees it). */
static void read_copy(const struct maker *maker, size_t length, uint64_t offset)
{
	unsigned char *copy = malloc(length ? length : 1);
	struct line_sections sections = {.line = bytes_make(copy, length)};

	memcpy(copy, maker->bytes, length);
	ask(lines_read(&sections, offset, LOWEST));
	free(copy);
}

static void test_cut(void **state)
{
	for (unsigned version = 2; version <= 5; version++) {
		struct maker maker;

		make_usual(&maker, version);
		for (size_t length = 0; length <= maker.length; length++)
			read_copy(&maker, length, 0);
		read_copy(&maker, maker.length, maker.length);
		read_copy(&maker, maker.length, UINT64_MAX);
	}
}

static void test_mutated(void **state)
{
	srandom(4);
	for (unsigned round = 0; round < 20000; round++) {
		struct maker maker;

		make_usual(&maker, 2 + round % 4);
		for (unsigned i = 0; i < 1 + round % 5; i++)
			maker.bytes[(size_t)random() % maker.length] =
				random() % 4 ? (unsigned char)random() : 0xff;
		read_copy(&maker, maker.length, 0);
	}
}

static void test_no_table(void **state)
{
	struct maker maker;

	start(&maker, 4, 0); /* would be divided by */
	ask(finish(&maker));
	start(&maker, 6, 14);
	ask(finish(&maker));
	start(&maker, 1, 14);
	ask(finish(&maker));
	/* As many entries as 64 bits count, of no bytes each. */
	start(&maker, 5, 14);
	maker.length = maker.header_length_at + 4 + 6 + 12;
	put_many(&maker, (unsigned char[]){0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 11);
	put_many(&maker, (unsigned char[]){0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1}, 11);
	ask(finish(&maker));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_paths_are_cut),
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_rows_of_one_address),
		cmocka_unit_test(test_strings_of_other_sections),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_mutated),
		cmocka_unit_test(test_no_table),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
