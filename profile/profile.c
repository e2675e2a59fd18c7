#include "profile/profile.h"

#include "profile/heap_internal.h"
#include "profile/internal.h"
#include "profile/merge.h"

#include <math.h>
#include <string.h>
#include <sys/random.h>

#define EVENTS_MAX 10000

const char *const lost_reason_names[LOST_REASONS] = {
	"cpu_ring_full", "cpu_scratch_busy", "heap_ring_full", "heap_scratch_busy",
	"live_map_full", "stack_map_full",   "reader_dropped",
};

static struct error *out_of_memory(const char *what)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "%s", what);
}

/* ---- life ---- */

static bool init_parts(struct profile *profile)
{
	uint64_t seed = 0;

	/* Without a seed everything works, a hostile target could only make it slow. */
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uintptr_t)profile;
	strings_init(&profile->strings, seed);
	log_init(&profile->log);
	return inlines_init(&profile->inlines) && modules_init(&profile->modules, &profile->strings) &&
	       stacks_init(&profile->stacks, seed) && calltree_init(&profile->calltree, seed) &&
	       timeline_init(&profile->timeline) && spoilers_init(&profile->spoilers) &&
	       settling_init(profile);
}

struct error *profile_create(struct profile **ret)
{
	struct profile *profile = calloc(1, sizeof(*profile));

	if (!profile)
		return out_of_memory("profile");
	profile->facts.hz_requested = NAN;
	profile->facts.target_cpu_s = NAN;
	profile->facts.self_cpu_s = NAN;
	if (!init_parts(profile)) {
		profile_destroy(profile);
		return out_of_memory("profile");
	}
	*ret = profile;
	return NULL;
}

void profile_destroy(struct profile *profile)
{
	if (!profile)
		return;
	heap_destroy(profile->heap);
	array_deinit(&profile->neighbours);
	array_deinit(&profile->events);
	timeline_deinit(&profile->timeline);
	log_deinit(&profile->log);
	array_deinit(&profile->settling.path);
	spoilers_deinit(&profile->spoilers);
	calltree_deinit(&profile->calltree);
	functions_deinit(&profile->functions);
	inlines_deinit(&profile->inlines);
	stacks_deinit(&profile->stacks);
	modules_deinit(&profile->modules);
	strings_deinit(&profile->strings);
	free(profile);
}

uint64_t profile_get_revision(const struct profile *profile)
{
	return profile->revision;
}

enum profile_unit profile_get_unit(const struct profile *profile)
{
	return profile->unit;
}

/* ---- facts ---- */

static bool copy_string(struct profile *profile, const char **string)
{
	if (!*string)
		return true;
	*string = strings_intern(&profile->strings, *string, SIZE_MAX);
	return *string != NULL;
}

struct error *profile_set_facts(struct profile *profile, const struct facts *facts)
{
	struct facts copy = *facts;

	/* Interned: facts are set every tick, and their strings hardly ever change. */
	if (!copy_string(profile, &copy.comm) || !copy_string(profile, &copy.exe) ||
	    !copy_string(profile, &copy.cmdline) || !copy_string(profile, &copy.host) ||
	    !copy_string(profile, &copy.kernel) || !copy_string(profile, &copy.version) ||
	    !copy_string(profile, &copy.heap_why))
		return out_of_memory("facts");
	profile->facts = copy;
	profile->revision++;
	return NULL;
}

void profile_get_facts(const struct profile *profile, struct facts *ret)
{
	*ret = profile->owner ? profile->owner->facts : profile->facts;
}

struct error *profile_add_event(struct profile *profile, uint64_t time_ns, const char *text)
{
	const char *copy;

	/* A target that execs and forks all day must not fill the memory. */
	if (profile->events.count > EVENTS_MAX)
		return NULL;
	if (profile->events.count == EVENTS_MAX)
		text = "more events came, and are not kept";
	copy = strings_intern(&profile->strings, text, SIZE_MAX);

	if (!copy || !array_append(&profile->events, (struct event){time_ns, copy}))
		return out_of_memory("event");
	profile->revision++;
	return NULL;
}

size_t profile_count_events(const struct profile *profile)
{
	return profile->events.count;
}

struct event profile_get_event(const struct profile *profile, size_t index)
{
	return profile->events.items[index];
}

/* ---- samples ---- */

static void count_lost(struct profile *profile, uint64_t count)
{
	profile->totals.lost[LOST_READER_DROPPED] += count;
	profile->revision++;
}

/* Everything that can fail comes first: a sample is counted everywhere or nowhere. */
static bool add(struct profile *profile, const struct log_entry *entry, uint64_t count)
{
	uint32_t number = stacks_intern_leaf(&profile->stacks, entry->stack);
	struct leaf *leaf;

	if (!number || !log_append(&profile->log, entry))
		return false;
	leaf = &profile->stacks.leaves.items[number];
	leaf->self += count;
	profile->totals.samples += count;
	profile->totals.ends[entry->end] += count;
	if (entry->mode == SAMPLE_KERNEL) {
		leaf->self_kernel += count;
		profile->totals.kernel_samples += count;
	} else {
		profile->totals.user_samples += count;
	}
	stacks_mark_dirty(&profile->stacks, number);
	timeline_add(&profile->timeline, entry->time_ns, (enum sample_mode)entry->mode,
		     (enum stack_end)entry->end, count);
	profile->revision++;
	return true;
}

void profile_add_sample(struct profile *profile, const struct sample_record *record, uint64_t start_ns)
{
	struct log_entry entry = {
		.time_ns = record->time_ns > start_ns ? record->time_ns - start_ns : 0,
		.tid = record->tid,
		.count = 1,
		.cpu = record->cpu,
		.mode = record->mode,
		.end = record->end,
	};

	if (profile->stacks.nodes.count >= (size_t)profile->stacks.limit + profile->stacks.excess)
		merge_rare_stacks(profile);
	if (record->end < STACK_ENDS && record->mode <= SAMPLE_KERNEL)
		entry.stack = stacks_intern_record(profile, record);
	if (!entry.stack || !add(profile, &entry, 1))
		count_lost(profile, 1);
}

void profile_add_samples(struct profile *profile, uint32_t stack, uint64_t time_ns, uint32_t tid,
			 uint16_t cpu, enum sample_mode mode, enum stack_end end, uint64_t count)
{
	struct log_entry entry = {
		.time_ns = time_ns,
		.tid = tid,
		.stack = stack,
		.count = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX,
		.cpu = cpu,
		.mode = (uint8_t)mode,
		.end = (uint8_t)end,
	};

	if (!count)
		return;
	if (!stack)
		entry.stack = stacks_intern_child(profile, 0, FRAME(MODULE_UNKNOWN, 0));
	if ((unsigned)end >= STACK_ENDS || (unsigned)mode > SAMPLE_KERNEL || !entry.stack ||
	    entry.stack >= profile->stacks.nodes.count || !add(profile, &entry, count))
		count_lost(profile, count);
}

/* Never fails: the leaf is there. */
void profile_set_weight(struct profile *profile, uint32_t number, uint64_t weight)
{
	struct leaf *leaf = &profile->stacks.leaves.items[number];
	uint64_t change = weight - leaf->self; /* modulo 2^64: perhaps downwards */

	if (!change)
		return;
	leaf->self = weight;
	profile->totals.samples += change;
	profile->totals.user_samples += change;
	profile->totals.ends[profile->stacks.nodes.items[leaf->node].end] += change;
	stacks_mark_dirty(&profile->stacks, number);
}

void profile_get_totals(const struct profile *profile, struct totals *ret)
{
	*ret = profile->totals;
	for (size_t i = 0; i < LOST_REASONS; i++)
		ret->lost[i] += profile->facts.lost[i];
}

uint64_t totals_sum_lost(const struct totals *totals)
{
	return totals->lost[LOST_CPU_RING_FULL] + totals->lost[LOST_CPU_SCRATCH_BUSY] +
	       totals->lost[LOST_READER_DROPPED];
}

/* ---- log ---- */

size_t profile_count_log(const struct profile *profile)
{
	return log_count(&profile->log);
}

struct log_entry profile_get_log(const struct profile *profile, size_t index)
{
	return log_get(&profile->log, index);
}
