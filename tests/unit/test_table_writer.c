/* The layout of unwind tables: pages, chunks, padding, merging, seals, against a naive list of rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/table_writer.h"
#include "tests/support/table_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>

#define PAGE_BYTES (1u << TABLE_PAGE_SHIFT)

static const struct unwind_rule gap = {.cfa = UNWIND_GAP};

static struct unwind_rule rsp_rule(int32_t offset)
{
	return (struct unwind_rule){.cfa = UNWIND_CFA_RSP, .cfa_offset = offset};
}

static void assert_rule(const struct table_map *map, uint64_t offset, const struct unwind_rule *expected)
{
	struct unwind_rule rule = table_lookup(map->words, offset);

	assert_memory_equal(&rule, expected, sizeof(rule));
}

static void append(struct table_writer *writer, uint64_t offset, struct unwind_rule rule)
{
	assert_null(table_writer_append(writer, offset, &rule));
}

/* Maps the finished table, and checks what holds for every one. */
static struct table_map finish(struct table_writer *writer)
{
	_cleanup_close_ int memfd = -1;
	struct table_map map;
	uint32_t words;

	assert_null(table_writer_finish(writer, &memfd, &words));
	assert_true(table_map(memfd, &map));
	assert_int_equal(map.count, words);
	assert_string_equal(table_check_file(map.words, map.count) ?: "good", "good");
	table_writer_deinit(writer);
	return map;
}

static const struct table_header *header_of(const struct table_map *map)
{
	return (const struct table_header *)map->words;
}

static void test_few_rows(void **state)
{
	struct unwind_rule entry = rsp_rule(8), pushed = rsp_rule(16);
	struct table_writer writer;
	struct table_map map;

	assert_null(table_writer_init(&writer));
	append(&writer, 0x5010, entry);
	append(&writer, 0x5011, pushed);
	append(&writer, 0x5020, gap);
	append(&writer, 0x5020, entry); /* replaces the gap: another function begins at once */
	append(&writer, 0x8000, gap);
	map = finish(&writer);
	assert_int_equal(header_of(&map)->first_page, 0x5000 / PAGE_BYTES);
	assert_int_equal(header_of(&map)->page_count,
			 0x3000 / PAGE_BYTES); /* the gap at 0x8000 opens no page */
	assert_int_equal(header_of(&map)->row_count, 4 + 0x3000 / PAGE_BYTES - 1);
	assert_rule(&map, 0, &gap);
	assert_rule(&map, 0x500f, &gap);
	assert_rule(&map, 0x5010, &entry);
	assert_rule(&map, 0x5011, &pushed);
	assert_rule(&map, 0x501f, &pushed);
	assert_rule(&map, 0x5020, &entry);
	assert_rule(&map, 0x7fff, &entry);
	assert_rule(&map, 0x8000, &gap);
	assert_rule(&map, UINT64_MAX, &gap);
	table_unmap(&map);
}

static void test_neighbours_merge(void **state)
{
	struct table_writer writer;
	struct table_map map;

	assert_null(table_writer_init(&writer));
	append(&writer, 0x100, rsp_rule(8));
	append(&writer, 0x110, rsp_rule(8));
	append(&writer, 0x120, rsp_rule(16));
	append(&writer, 0x130, rsp_rule(8)); /* takes the row before back: same offset below */
	append(&writer, 0x140, gap);
	append(&writer, 0x140, rsp_rule(8));
	append(&writer, 0x150, gap);
	map = finish(&writer);
	assert_int_equal(header_of(&map)->row_count, 5);
	table_unmap(&map);
}

static void test_empty(void **state)
{
	struct table_writer writer;
	struct table_map map;

	assert_null(table_writer_init(&writer));
	map = finish(&writer);
	assert_int_equal(header_of(&map)->page_count, 0);
	assert_rule(&map, 0, &gap);
	table_unmap(&map);
}

/* Full pages of a row a byte do not divide a chunk behind header, index and rules: padding has to appear. */
static void test_rows_of_every_byte(void **state)
{
	uint64_t end = 40 * PAGE_BYTES;
	struct table_writer writer;
	struct table_map map;

	assert_null(table_writer_init(&writer));
	for (uint64_t offset = 3; offset < end; offset++)
		append(&writer, offset, rsp_rule(8 + (int32_t)(offset % 7) * 8));
	append(&writer, end, gap);
	map = finish(&writer);
	assert_int_equal(header_of(&map)->row_count, end - 3 + 1);
	for (uint64_t offset = 3; offset < end; offset++) {
		struct unwind_rule expected = rsp_rule(8 + (int32_t)(offset % 7) * 8);

		assert_rule(&map, offset, &expected);
	}
	table_unmap(&map);
}

/* A naive table: the rule of each byte. */
static void test_random_rows(void **state)
{
	enum { BYTES = 64 * PAGE_BYTES };
	_cleanup_free_ int32_t *model = calloc(BYTES, sizeof(*model));
	uint32_t seed = 12345, next = 0;
	struct table_writer writer;
	struct table_map map;

	assert_null(table_writer_init(&writer));
	for (uint32_t offset = 0; offset < BYTES; offset++) {
		if (offset == next) {
			seed = seed * 1664525 + 1013904223;
			/* Short functions here, wide plains there. */
			next = offset + 1 + (seed >> 8) % (seed & 1u << 31 ? 9000 : 20);
			model[offset] = (int32_t)((seed >> 20) % 5) * 8;
			append(&writer, offset, model[offset] ? rsp_rule(model[offset]) : gap);
		} else {
			model[offset] = model[offset - 1];
		}
	}
	append(&writer, BYTES, gap);
	map = finish(&writer);
	for (uint32_t offset = 0; offset < BYTES; offset++) {
		struct unwind_rule expected = model[offset] ? rsp_rule(model[offset]) : gap;

		assert_rule(&map, offset, &expected);
	}
	table_unmap(&map);
}

/* Rules that differ in one field only are different rules, whichever field it is. */
static void test_every_field_counts(void **state)
{
	static const struct unwind_rule rules[] = {
		{.cfa = UNWIND_FULL, .base = 10},
		{.cfa = UNWIND_FULL, .base = 11},
		{.cfa = UNWIND_FULL, .base = 10, .flags = UNWIND_DEREF},
		{.cfa = UNWIND_FULL, .base = 10, .flags = UNWIND_DEREF, .extra = 8},
		{.cfa = UNWIND_FULL, .base = 10, .ra = UNWIND_RA_AT_OFFSET},
		{.cfa = UNWIND_FULL, .base = 10, .sp = 1},
		{.cfa = UNWIND_FULL, .base = 10, .cfa_offset = 8},
		{.cfa = UNWIND_FULL, .base = 10, .rbp = UNWIND_RBP_AT_RBP},
		{.cfa = UNWIND_FULL, .base = 10, .rbp = UNWIND_RBP_AT_RBP, .rbp_offset = -8},
		{.cfa = UNWIND_SIGNAL, .cfa_offset = 40},
	};
	const size_t count = sizeof(rules) / sizeof(*rules);
	struct table_writer writer;
	struct table_map map;

	assert_null(table_writer_init(&writer));
	for (size_t i = 0; i < 3 * count; i++)
		append(&writer, 0x1000 + i * 16, rules[i % count]);
	append(&writer, 0x1000 + 3 * count * 16, gap);
	map = finish(&writer);
	assert_int_equal(header_of(&map)->rule_count, 2 + count);
	for (size_t i = 0; i < 3 * count; i++)
		assert_rule(&map, 0x1000 + i * 16, &rules[i % count]);
	table_unmap(&map);
}

static void test_seals(void **state)
{
	const int wanted = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	_cleanup_close_ int memfd = -1;
	struct table_writer writer;
	uint32_t words;

	assert_null(table_writer_init(&writer));
	append(&writer, 16, rsp_rule(8));
	append(&writer, 32, gap);
	assert_null(table_writer_finish(&writer, &memfd, &words));
	table_writer_deinit(&writer);
	assert_int_equal(fcntl(memfd, F_GET_SEALS), wanted);
	assert_true(fcntl(memfd, F_GETFD) & FD_CLOEXEC);
	assert_int_equal(pwrite(memfd, "x", 1, 0), -1);
	assert_int_equal(errno, EPERM);
}

static void assert_bad(struct error *error)
{
	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_BAD_FILE);
	error_destroy(error);
}

static void test_what_is_refused(void **state)
{
	struct unwind_rule rule = rsp_rule(8), other = rsp_rule(16);
	struct table_writer writer;

	assert_null(table_writer_init(&writer));
	append(&writer, 0x1000, rule);
	assert_bad(table_writer_append(&writer, 0xfff, &rule));
	assert_bad(table_writer_append(&writer, UINT64_MAX, &rule));
	/* A sparse file: the index would be larger than what it tells. The row behind flushes this one. */
	append(&writer, 0x1000 + ((uint64_t)TABLE_WRITER_PAGES_MAX << TABLE_PAGE_SHIFT), other);
	assert_bad(table_writer_append(
		&writer, 0x2000 + ((uint64_t)TABLE_WRITER_PAGES_MAX << TABLE_PAGE_SHIFT), &rule));
	table_writer_deinit(&writer);
}

static void test_full_dictionary(void **state)
{
	const struct unwind_rule unsupported = {.cfa = UNWIND_UNSUPPORTED};
	const int32_t more = 100;
	struct unwind_rule first = rsp_rule(1), last_kept = rsp_rule((int32_t)TABLE_RULES_MAX - 2);
	struct table_writer writer;
	struct table_map map;

	assert_null(table_writer_init(&writer));
	/* Gap and unsupported are in already. */
	for (int32_t i = 1; i <= (int32_t)TABLE_RULES_MAX - 2 + more; i++)
		append(&writer, (uint64_t)i * 16, rsp_rule(i));
	append(&writer, ((uint64_t)TABLE_RULES_MAX + 200) * 16, gap);
	assert_int_equal(writer.refused_rules, more);
	map = finish(&writer);
	assert_int_equal(header_of(&map)->rule_count, TABLE_RULES_MAX);
	assert_rule(&map, 16, &first);
	assert_rule(&map, ((uint64_t)TABLE_RULES_MAX - 2) * 16, &last_kept);
	assert_rule(&map, ((uint64_t)TABLE_RULES_MAX - 1) * 16, &unsupported);
	table_unmap(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_few_rows),
		cmocka_unit_test(test_neighbours_merge),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_rows_of_every_byte),
		cmocka_unit_test(test_random_rows),
		cmocka_unit_test(test_seals),
		cmocka_unit_test(test_every_field_counts),
		cmocka_unit_test(test_what_is_refused),
		cmocka_unit_test(test_full_dictionary),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
