#include "bpf/table_queue.h"

void table_queue_deinit(struct table_queue *queue)
{
	array_deinit(&queue->heap);
}

size_t table_queue_count(const struct table_queue *queue)
{
	return queue->heap.count;
}

static bool is_before(const struct queued_table *a, const struct queued_table *b)
{
	if (a->heat != b->heat)
		return a->heat > b->heat;
	return a->size_bytes < b->size_bytes;
}

static void swap_places(struct table_queue *queue, size_t a, size_t b)
{
	struct queued_table table = queue->heap.items[a];

	queue->heap.items[a] = queue->heap.items[b];
	queue->heap.items[b] = table;
}

static void sift_up(struct table_queue *queue, size_t place)
{
	const struct queued_table *items = queue->heap.items;

	while (place && is_before(&items[place], &items[(place - 1) / 2])) {
		swap_places(queue, place, (place - 1) / 2);
		place = (place - 1) / 2;
	}
}

static void sift_down(struct table_queue *queue, size_t place)
{
	const struct queued_table *items = queue->heap.items;

	for (;;) {
		size_t child = 2 * place + 1;

		if (child + 1 < queue->heap.count && is_before(&items[child + 1], &items[child]))
			child++;
		if (child >= queue->heap.count || !is_before(&items[child], &items[place]))
			return;
		swap_places(queue, place, child);
		place = child;
	}
}

static uint64_t read_heat(const struct table_queue *queue, uint32_t module)
{
	return queue->heat ? queue->heat(queue->arg, module) : 0;
}

bool table_queue_push(struct table_queue *queue, uint32_t module, uint64_t size_bytes)
{
	struct queued_table table = {
		.heat = read_heat(queue, module), .size_bytes = size_bytes, .module = module};

	if (!array_append(&queue->heap, table))
		return false;
	sift_up(queue, queue->heap.count - 1);
	return true;
}

static void read_heat_of_all(struct table_queue *queue)
{
	queue->takes = 0;
	for (size_t i = 0; i < queue->heap.count; i++)
		queue->heap.items[i].heat = read_heat(queue, queue->heap.items[i].module);
	for (size_t i = queue->heap.count / 2; i-- > 0;)
		sift_down(queue, i);
}

uint32_t table_queue_take(struct table_queue *queue)
{
	uint32_t module;

	if (queue->heat && ++queue->takes * TABLE_QUEUE_READS >= queue->heap.count)
		read_heat_of_all(queue);
	module = queue->heap.items[0].module;
	queue->heap.items[0] = queue->heap.items[--queue->heap.count];
	sift_down(queue, 0);
	return module;
}
