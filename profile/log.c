#include "profile/log.h"

#include "base/hash.h"

#include <string.h>

#define CHUNK_ENTRIES 4096
#define SECOND_NS     1000000000ull

/* word 0: time 55 bits (one year), folded 1, mode 1, end 4, upper 3 bits of the CPU
 * word 1: stack 32 bits; lower 10 bits of the CPU and thread 22 bits (Linux: at most 2^22 threads, 2^13
 * CPUs); folded: count 32 bits */
struct packed_entry {
	uint64_t time : 55, is_folded : 1, mode : 1, end : 4, cpu_high : 3;
	uint32_t stack;
	uint32_t rest;
};
_Static_assert(sizeof(struct packed_entry) == 16, "16 bytes a sample");

struct log_chunk {
	struct packed_entry entries[CHUNK_ENTRIES];
};

static const size_t level_limits[LOG_LEVELS] = {256 << 10, 64 << 10, 64 << 10, 64 << 10, SIZE_MAX};

void log_init(struct sample_log *log)
{
	*log = (struct sample_log){0};
	for (size_t i = 0; i < LOG_LEVELS; i++) {
		log->levels[i].limit = level_limits[i];
		log->levels[i].granule_ns = i ? SECOND_NS << (4 * (i - 1)) : 0;
	}
}

void log_deinit(struct sample_log *log)
{
	for (size_t i = 0; i < LOG_LEVELS; i++) {
		struct log_level *level = &log->levels[i];

		for (size_t chunk = 0; chunk < level->chunks.count; chunk++)
			free(level->chunks.items[chunk]);
		array_deinit(&level->chunks);
	}
	index_deinit(&log->folding);
}

/* ---- packing ---- */

static struct packed_entry pack(const struct log_entry *entry)
{
	uint64_t time_max = (1ull << 55) - 1;
	struct packed_entry packed = {
		.time = entry->time_ns < time_max ? entry->time_ns : time_max,
		.is_folded = entry->count != 1,
		.mode = entry->mode & 1,
		.end = entry->end & 15,
		.stack = entry->stack,
		.rest = entry->count,
	};

	if (!packed.is_folded) {
		packed.cpu_high = (entry->cpu >> 10) & 7;
		packed.rest = (uint32_t)entry->cpu << 22 | (entry->tid & ((1u << 22) - 1));
	}
	return packed;
}

static struct log_entry unpack(const struct packed_entry *packed)
{
	struct log_entry entry = {
		.time_ns = packed->time,
		.stack = packed->stack,
		.count = packed->is_folded ? packed->rest : 1,
		.mode = packed->mode,
		.end = packed->end,
	};

	if (!packed->is_folded) {
		entry.cpu = (uint16_t)(packed->cpu_high << 10 | packed->rest >> 22);
		entry.tid = packed->rest & ((1u << 22) - 1);
	}
	return entry;
}

/* ---- one level: a queue of chunks ---- */

static struct packed_entry *level_at(const struct log_level *level, size_t index)
{
	size_t at = level->head + index;

	return &level->chunks.items[at / CHUNK_ENTRIES]->entries[at % CHUNK_ENTRIES];
}

static bool level_append(struct log_level *level, const struct packed_entry *entry)
{
	size_t at = level->head + level->count;

	if (at == level->chunks.count * CHUNK_ENTRIES) {
		struct log_chunk *chunk = malloc(sizeof(*chunk));

		if (!chunk)
			return false;
		if (!array_append(&level->chunks, chunk)) {
			free(chunk);
			return false;
		}
	}
	level->count++;
	*level_at(level, level->count - 1) = *entry;
	return true;
}

static void level_pop(struct log_level *level)
{
	level->count--;
	if (++level->head < CHUNK_ENTRIES)
		return;
	free(level->chunks.items[0]);
	level->chunks.count--;
	memmove(level->chunks.items, level->chunks.items + 1,
		level->chunks.count * sizeof(level->chunks.items[0]));
	level->head = 0;
}

/* ---- folding ---- */

static bool is_same_group(const struct packed_entry *a, const struct packed_entry *b)
{
	return a->stack == b->stack && a->mode == b->mode && a->end == b->end;
}

/* Adds an entry to the group that starts at `first` of a level; false when memory is short. */
static bool fold_entry(struct sample_log *log, struct log_level *level, size_t first,
		       const struct packed_entry *entry)
{
	uint64_t group = (uint64_t)entry->stack << 5 | entry->mode << 4 | entry->end;
	uint64_t samples = entry->is_folded ? entry->rest : 1;
	uint32_t hash = (uint32_t)hash_u64(group), number;
	struct packed_entry folded = *entry;
	uint64_t at = hash;

	while ((number = index_next(&log->folding, hash, &at))) {
		struct packed_entry *known = level_at(level, first + number - 1);

		/* A group of more than 2^32 samples goes on in another entry. */
		if (!is_same_group(known, entry) || known->rest + samples > UINT32_MAX)
			continue;
		known->rest += (uint32_t)samples;
		return true;
	}
	folded.is_folded = true;
	folded.cpu_high = 0;
	folded.rest = (uint32_t)samples;
	if (!index_reserve(&log->folding) || !level_append(level, &folded))
		return false;
	index_add(&log->folding, hash, (uint32_t)(level->count - first));
	return true;
}

/* Hands the oldest group of a level to the next one. */
static void fold_oldest(struct sample_log *log, struct log_level *from, struct log_level *to)
{
	uint64_t group = level_at(from, 0)->time / to->granule_ns;
	size_t first = to->count;

	index_clear(&log->folding);
	while (from->count && level_at(from, 0)->time / to->granule_ns == group) {
		if (!fold_entry(log, to, first, level_at(from, 0)))
			return;
		level_pop(from);
	}
}

/* ---- the whole ---- */

bool log_append(struct sample_log *log, const struct log_entry *entry)
{
	struct packed_entry packed = pack(entry);

	if (!level_append(&log->levels[0], &packed))
		return false;
	for (size_t i = 0; i + 1 < LOG_LEVELS; i++)
		if (log->levels[i].count > log->levels[i].limit)
			fold_oldest(log, &log->levels[i], &log->levels[i + 1]);
	return true;
}

void log_renumber(struct sample_log *log, const uint32_t *places)
{
	for (size_t i = 0; i < LOG_LEVELS; i++)
		for (size_t at = 0; at < log->levels[i].count; at++) {
			struct packed_entry *entry = level_at(&log->levels[i], at);

			entry->stack = places[entry->stack];
		}
}

size_t log_count(const struct sample_log *log)
{
	size_t count = 0;

	for (size_t i = 0; i < LOG_LEVELS; i++)
		count += log->levels[i].count;
	return count;
}

struct log_entry log_get(const struct sample_log *log, size_t index)
{
	for (size_t i = LOG_LEVELS; i-- > 0; index -= log->levels[i].count)
		if (index < log->levels[i].count)
			return unpack(level_at(&log->levels[i], index));
	return (struct log_entry){0};
}
