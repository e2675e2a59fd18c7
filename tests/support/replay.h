/* The walker over a recording (tests/support/recording.h). Included once by a program: it defines the
 * accessors. */
#ifndef KILN_TESTS_REPLAY_H
#define KILN_TESTS_REPLAY_H

#include "tests/support/recording.h"

#include <string.h>

static struct recording *replayed;

static void *walk_get_mappings(void)
{
	return replayed;
}

static const void *walk_get_mapping(void *recording, uint32_t index)
{
	const struct recording *self = recording;

	return index < self->mappings.count ? &self->mappings.items[index] : NULL;
}

static void *walk_get_table(uint32_t module)
{
	return recording_find_table(replayed, module);
}

static const uint32_t *walk_get_chunk(void *table, uint32_t chunk)
{
	const uint32_t *words = ((struct recorded_table *)table)->words;

	if (chunk >= ((const struct table_header *)words)->words / TABLE_CHUNK_WORDS)
		return NULL;
	return words + (size_t)chunk * TABLE_CHUNK_WORDS;
}

static void walk_count_missing(uint32_t module)
{
}

static uint64_t walk_get_exec_count(void)
{
	return 0;
}

static long walk_read_stack(__u64 *ret, uint32_t bytes, uint64_t address)
{
	return recording_get_memory(replayed, address, ret, bytes) ? 0 : -14;
}

static long walk_read_code(void *ret, uint32_t bytes, uint64_t address)
{
	return recording_get_memory(replayed, address, ret, bytes) ? 0 : -14;
}

static int walk_is_site(uint64_t frame)
{
	return 0;
}

static uint64_t walk_find_return(uint64_t low, uint64_t high, __u64 *ret_slot)
{
	return 0; /* nobody probes what is recorded */
}

#include "bpf/unwind.bpf.h"

/* The recording must have its tables built. frames: WALK_FRAMES_MAX of them. */
static void replay_walk(struct recording *recording, struct walk *walk, __u64 *frames)
{
	struct walk_context context = {.walk = walk, .frames = frames};

	replayed = recording;
	memset(walk, 0xa5, sizeof(*walk));
	memcpy(walk->registers, recording->registers, sizeof(walk->registers));
	walk_start(walk, recording->pc, recording->registers[7], recording->registers[6], 0);
	for (uint32_t i = 0; i < STACK_USER_MAX; i++)
		if (walk_step(i, &context))
			break;
}

#endif
