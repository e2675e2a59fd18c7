/* Which table is next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/table_queue.h"

#include <stdlib.h>
#include <string.h>

#define MODULES 3000

struct world {
	uint64_t heat[MODULES], size_bytes[MODULES];
	bool waits[MODULES];
	size_t reads;
};

static uint64_t read_heat(void *arg, uint32_t module)
{
	struct world *world = arg;

	world->reads++;
	return world->heat[module];
}

static struct world *make_world(struct table_queue *queue, unsigned seed)
{
	struct world *world = calloc(1, sizeof(*world));

	assert_non_null(world);
	srandom(seed);
	*queue = (struct table_queue){.heat = read_heat, .arg = world};
	return world;
}

static void push(struct table_queue *queue, struct world *world, uint32_t module)
{
	/* No two of a size: there is one right answer. */
	world->size_bytes[module] = (uint64_t)random() % 1000 * MODULES + module;
	world->waits[module] = true;
	assert_true(table_queue_push(queue, module, world->size_bytes[module]));
}

/* By looking at all of them. */
static uint32_t find_next(const struct world *world)
{
	uint32_t best = UINT32_MAX;

	for (uint32_t i = 0; i < MODULES; i++) {
		if (!world->waits[i])
			continue;
		if (best == UINT32_MAX || world->heat[i] > world->heat[best] ||
		    (world->heat[i] == world->heat[best] && world->size_bytes[i] < world->size_bytes[best]))
			best = i;
	}
	return best;
}

static void check_next(struct table_queue *queue, struct world *world)
{
	uint32_t expected = find_next(world);

	assert_int_equal(table_queue_take(queue), expected);
	world->waits[expected] = false;
}

/* Heat changes all the time, and the order is always that of now. */
static void test_order(void **state)
{
	struct table_queue queue;

	for (unsigned seed = 1; seed <= 20; seed++) {
		struct world *world = make_world(&queue, seed);
		uint32_t pushed = 0;

		while (pushed < 300 || table_queue_count(&queue)) {
			for (int i = 0; i < 5; i++)
				world->heat[random() % 300] += (uint64_t)random() % 4;
			if (pushed < 300 && random() % 3)
				push(&queue, world, pushed++);
			else if (table_queue_count(&queue))
				check_next(&queue, world);
		}
		table_queue_deinit(&queue);
		free(world);
	}
}

static void test_without_heat(void **state)
{
	struct table_queue queue;
	struct world *world = make_world(&queue, 1);

	queue.heat = NULL;
	for (uint32_t i = 0; i < 500; i++)
		push(&queue, world, i);
	while (table_queue_count(&queue))
		check_next(&queue, world);
	table_queue_deinit(&queue);
	free(world);
}

/* However many wait, a table costs a bounded number of reads, and a hot one does not wait for long. */
static void test_many(void **state)
{
	struct table_queue queue;
	struct world *world = make_world(&queue, 1);
	unsigned takes = 0;

	for (uint32_t i = 0; i < MODULES; i++)
		push(&queue, world, i);
	world->reads = 0;
	world->heat[1234] = 1;
	while (table_queue_take(&queue) != 1234)
		takes++;
	assert_in_range(takes, 0, MODULES / TABLE_QUEUE_READS);
	while (table_queue_count(&queue)) {
		table_queue_take(&queue);
		takes++;
	}
	assert_int_equal(takes, MODULES - 1);
	assert_in_range(world->reads, MODULES, (size_t)MODULES * TABLE_QUEUE_READS);
	table_queue_deinit(&queue);
	free(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_without_heat),
		cmocka_unit_test(test_many),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
