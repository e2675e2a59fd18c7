/* The modules that wait for an unwind table: the hottest is next, of equally hot ones the smallest file.
 *
 * Heat changes by itself (the walker counts), so it is read anew while tables are taken, but never more than
 * TABLE_QUEUE_READS times a table: with that many waiting or fewer it is always today's.
 * Ownership: in place, init by zeroes, table_queue_deinit(). Units: heat is a count of walks.
 */
#ifndef KILN_BPF_TABLE_QUEUE_H
#define KILN_BPF_TABLE_QUEUE_H

#include "base/array.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A build takes a worker a millisecond or more; so many reads take the probe a few microseconds. */
#define TABLE_QUEUE_READS 1024

struct queued_table {
	uint64_t heat, size_bytes;
	uint32_t module;
};

struct table_queue {
	ARRAY(struct queued_table)
	heap;					      /* a binary heap */
	size_t takes;				      /* since the heat of all was read */
	uint64_t (*heat)(void *arg, uint32_t module); /* NULL: all are equally hot */
	void *arg;
};

void table_queue_deinit(struct table_queue *queue);
bool table_queue_push(struct table_queue *queue, uint32_t module, uint64_t size_bytes); /* false: memory */
size_t table_queue_count(const struct table_queue *queue);
/* The next one; the queue must not be empty. */
uint32_t table_queue_take(struct table_queue *queue);

#endif
