/* Which tables stay when their modules come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/table_cache.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FIRST MODULE_FIRST_FILE
#define ONE   (64u << 10)

static struct {
	uint32_t modules[64];
	size_t count;
} back;

static void on_come_back(void *arg, uint32_t module)
{
	assert_ptr_equal(arg, &back);
	assert_in_range(back.count, 0, 63);
	back.modules[back.count++] = module;
}

static struct table_cache *make(uint64_t bytes)
{
	struct table_cache *cache;

	back.count = 0;
	assert_null(table_cache_create(bytes, &cache));
	return cache;
}

static void put(struct table_cache *cache, uint32_t module, uint64_t bytes)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_null(table_cache_put(cache, module, bytes, fd));
}

/* count modules from first on are mapped, each twice. */
static void look(struct table_cache *cache, uint32_t first, uint32_t count)
{
	struct mapping mappings[200] = {{.module = MODULE_VDSO}, {.module = MODULE_ANONYMOUS}};

	assert_in_range(count, 0, 99);
	for (uint32_t i = 0; i < 2 * count; i++)
		mappings[2 + i].module = first + i / 2;
	assert_null(table_cache_look(cache, mappings, 2 + 2 * count, on_come_back, &back));
}

static bool has(const struct table_cache *cache, uint32_t module)
{
	uint64_t bytes = 0;
	int fd = table_cache_get(cache, module, &bytes);

	assert_true(fd < 0 || bytes > 0);
	return fd >= 0;
}

static void test_comes_and_goes(void **state)
{
	struct table_cache *cache = make(10 * ONE);

	for (int turn = 0; turn < 5; turn++) {
		look(cache, FIRST, 10);
		for (uint32_t i = 0; !turn && i < 10; i++)
			put(cache, FIRST + i, ONE);
		assert_int_equal(table_cache_get_unmapped_bytes(cache), 0);
		look(cache, FIRST, 0);
		assert_int_equal(table_cache_get_unmapped_bytes(cache), 10 * ONE);
		assert_int_equal(table_cache_take_surplus(cache), MODULE_UNKNOWN);
	}
	/* All find their tables again. */
	assert_int_equal(back.count, 0);
	for (uint32_t i = 0; i < 10; i++)
		assert_true(has(cache, FIRST + i));
	table_cache_destroy(cache);
}

/* A new file each time: the memory is bounded, and what went first goes first. */
static void test_always_new(void **state)
{
	struct table_cache *cache = make(10 * ONE);

	for (uint32_t i = 0; i < 2000; i++) {
		uint32_t gone;

		look(cache, FIRST + i, 1);
		put(cache, FIRST + i, ONE);
		gone = table_cache_take_surplus(cache);
		assert_int_equal(gone, i <= 10 ? MODULE_UNKNOWN : FIRST + i - 11);
		assert_false(table_cache_has_surplus(cache));
		assert_in_range(table_cache_get_unmapped_bytes(cache), 0, 10 * ONE);
		assert_false(gone && has(cache, gone));
	}
	table_cache_destroy(cache);
}

static void test_comes_back_too_late(void **state)
{
	struct table_cache *cache = make(2 * ONE);

	look(cache, FIRST, 4);
	for (uint32_t i = 0; i < 4; i++)
		put(cache, FIRST + i, ONE);
	/* 0 and 1 go before 2 and 3 do. */
	look(cache, FIRST + 2, 2);
	look(cache, FIRST, 0);
	assert_int_equal(table_cache_take_surplus(cache), FIRST);
	assert_int_equal(table_cache_take_surplus(cache), FIRST + 1);
	assert_int_equal(table_cache_take_surplus(cache), MODULE_UNKNOWN);
	look(cache, FIRST, 4);
	assert_int_equal(back.count, 2);
	assert_int_equal(back.modules[0], FIRST);
	assert_int_equal(back.modules[1], FIRST + 1);
	/* Said once; then it is built. */
	look(cache, FIRST, 4);
	assert_int_equal(back.count, 2);
	put(cache, FIRST, ONE);
	assert_true(has(cache, FIRST));
	table_cache_destroy(cache);
}

/* Its table comes when it has gone already. */
static void test_unmapped_while_built(void **state)
{
	struct table_cache *cache = make(0);

	look(cache, FIRST, 1);
	look(cache, FIRST, 0);
	put(cache, FIRST, ONE);
	assert_int_equal(table_cache_get_unmapped_bytes(cache), ONE);
	assert_int_equal(table_cache_take_surplus(cache), FIRST);
	assert_int_equal(table_cache_get_unmapped_bytes(cache), 0);
	table_cache_destroy(cache);
}

static void test_mapped_tables_stay(void **state)
{
	struct table_cache *cache = make(0);

	look(cache, FIRST, 99);
	for (uint32_t i = 0; i < 99; i++)
		put(cache, FIRST + i, 1ull << 40);
	put(cache, MODULE_VDSO, ONE);
	look(cache, FIRST, 99);
	assert_int_equal(table_cache_take_surplus(cache), MODULE_UNKNOWN);
	look(cache, FIRST, 0);
	for (uint32_t i = 0; i < 99; i++)
		assert_true(table_cache_take_surplus(cache) != MODULE_UNKNOWN);
	assert_int_equal(table_cache_take_surplus(cache), MODULE_UNKNOWN);
	assert_true(has(cache, MODULE_VDSO));
	table_cache_destroy(cache);
}

static void test_replaced_table(void **state)
{
	struct table_cache *cache = make(0);

	put(cache, FIRST, 3 * ONE);
	put(cache, FIRST, ONE);
	assert_int_equal(table_cache_get_unmapped_bytes(cache), ONE);
	look(cache, FIRST, 1);
	assert_int_equal(table_cache_get_unmapped_bytes(cache), 0);
	put(cache, FIRST, 2 * ONE);
	look(cache, FIRST, 0);
	assert_int_equal(table_cache_get_unmapped_bytes(cache), 2 * ONE);
	table_cache_destroy(cache);
}

/* Where no fd is left. */
static void test_without_fd(void **state)
{
	struct table_cache *cache = make(0);
	struct error *error;

	assert_null(table_cache_put(cache, FIRST, ONE, -1));
	assert_false(has(cache, FIRST));
	assert_false(has(cache, MODULE_LIMIT - 1));
	assert_int_equal(table_cache_take_surplus(cache), FIRST);
	error = table_cache_put(cache, MODULE_LIMIT, ONE, -1);
	assert_non_null(error);
	error_destroy(error);
	table_cache_destroy(cache);
	table_cache_destroy(NULL);
}

static unsigned count_files(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

/* Any order: the sum is always that of the modules which are not mapped, and no fd is left behind. */
static void test_random(void **state)
{
	unsigned files = count_files();

	for (unsigned seed = 1; seed <= 30; seed++) {
		struct table_cache *cache = make(8 * ONE);
		uint32_t first = 0, count = 0;
		bool tables[120] = {0};

		srandom(seed);
		for (int turn = 0; turn < 300; turn++) {
			uint32_t module = (uint32_t)random() % 120, gone;
			uint64_t sum = 0;

			if (random() % 2) {
				put(cache, FIRST + module, ONE);
				tables[module] = true;
			} else {
				first = (uint32_t)random() % 100;
				count = (uint32_t)random() % 20;
				back.count = 0;
				look(cache, FIRST + first, count);
			}
			while (random() % 4 && (gone = table_cache_take_surplus(cache)) != MODULE_UNKNOWN) {
				assert_true(tables[gone - FIRST]);
				assert_false(gone - FIRST >= first && gone - FIRST < first + count);
				tables[gone - FIRST] = false;
			}
			for (uint32_t i = 0; i < 120; i++)
				sum += tables[i] && !(i >= first && i < first + count) ? ONE : 0;
			assert_int_equal(table_cache_get_unmapped_bytes(cache), sum);
		}
		table_cache_destroy(cache);
	}
	assert_int_equal(count_files(), files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_comes_and_goes),	    cmocka_unit_test(test_always_new),
		cmocka_unit_test(test_comes_back_too_late), cmocka_unit_test(test_unmapped_while_built),
		cmocka_unit_test(test_mapped_tables_stay),  cmocka_unit_test(test_replaced_table),
		cmocka_unit_test(test_without_fd),	    cmocka_unit_test(test_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
