#include "profile/heap.h"

#include "profile/heap_internal.h"
#include "profile/internal.h"

#include <math.h>

const char *const heap_metric_names[HEAP_METRICS] = {
	"live-bytes", "live-count", "alloc-bytes", "alloc-count", "peak-bytes",
};

static struct error *out_of_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "heap");
}

static enum profile_unit get_unit(enum heap_metric metric)
{
	return metric == HEAP_LIVE_COUNT || metric == HEAP_ALLOC_COUNT ? PROFILE_BLOCKS : PROFILE_BYTES;
}

/* ---- life ---- */

struct heap *profile_get_heap(const struct profile *profile)
{
	return profile->heap;
}

static struct error *copy_modules(struct profile *to, const struct profile *from)
{
	struct error *error = NULL;

	for (size_t i = 0; !error && i < from->modules.items.count; i++) {
		const struct module *module = &from->modules.items.items[i].public;

		error = profile_set_module(to, module->id, module->kind, module->path);
		if (!error)
			error = profile_set_module_symbols(to, module->id, module->symbols, module->build_id);
	}
	return error;
}

static struct error *init_heap(struct heap *heap)
{
	struct error *error = profile_create(&heap->profile);
	uint32_t stack;

	if (!error)
		error = copy_modules(heap->profile, heap->owner);
	if (error)
		return error;
	heap->profile->unit = get_unit(heap->metric);
	heap->profile->owner = heap->owner;
	heap->profile->stacks.limit = HEAP_NODES_MAX;
	if (!array_append(&heap->sites, (struct heap_figures){0}) ||
	    !array_append(&heap->frame_sums, (struct heap_figures){0}) ||
	    !heap_timeline_init(&heap->timeline))
		return out_of_memory();
	heap->frames_known = heap->profile->stacks.frames.count;
	stack = stacks_intern_child(heap->profile, 0, FRAME_NOT_TAKEN);
	heap->not_taken = stack ? heap_intern_site(heap, stack) : 0;
	heap_share_frames(heap);
	return heap->not_taken ? NULL : out_of_memory();
}

struct error *profile_ensure_heap(struct profile *profile, struct heap **ret)
{
	struct heap *heap = profile->heap;
	struct error *error;

	if (!heap) {
		heap = calloc(1, sizeof(*heap));
		if (!heap)
			return out_of_memory();
		heap->owner = profile;
		heap->facts.cost_pct = heap->facts.budget_pct = NAN;
		error = init_heap(heap);
		if (error) {
			heap_destroy(heap);
			return error;
		}
		profile->heap = heap;
		profile->weights = heap->profile;
		profile->revision++;
	}
	*ret = heap;
	return NULL;
}

void heap_destroy(struct heap *heap)
{
	if (!heap)
		return;
	for (size_t i = 0; i < HEAP_CHUNKS; i++)
		free(heap->chunks[i].slots);
	array_deinit(&heap->sites);
	array_deinit(&heap->frame_numbers);
	array_deinit(&heap->frame_sums);
	array_deinit(&heap->wrappers.ranges);
	heap_timeline_deinit(&heap->timeline);
	profile_destroy(heap->profile);
	free(heap);
}

void heap_touch(struct heap *heap)
{
	heap->profile->revision++;
	heap->owner->revision++;
}

/* ---- facts ---- */

struct error *heap_set_facts(struct heap *heap, const struct heap_facts *facts)
{
	struct heap_facts copy = *facts;

	if (copy.why) {
		copy.why = strings_intern(&heap->owner->strings, copy.why, SIZE_MAX);
		if (!copy.why)
			return out_of_memory();
	}
	heap->facts = copy;
	heap_touch(heap);
	return NULL;
}

void heap_get_facts(const struct heap *heap, struct heap_facts *ret)
{
	*ret = heap->facts;
}

/* ---- sums ---- */

static void add_change(struct heap_figures *sum, const struct heap_figures *before,
		       const struct heap_figures *after)
{
	/* modulo 2^64: perhaps downwards */
	sum->live_bytes += after->live_bytes - before->live_bytes;
	sum->live_count += after->live_count - before->live_count;
	sum->alloc_bytes += after->alloc_bytes - before->alloc_bytes;
	sum->alloc_count += after->alloc_count - before->alloc_count;
	sum->peak_bytes += after->peak_bytes - before->peak_bytes;
}

static uint64_t get_figure(const struct heap_figures *figures, enum heap_metric metric)
{
	switch (metric) {
	case HEAP_LIVE_BYTES:
		return figures->live_bytes;
	case HEAP_LIVE_COUNT:
		return figures->live_count;
	case HEAP_ALLOC_BYTES:
		return figures->alloc_bytes;
	case HEAP_ALLOC_COUNT:
		return figures->alloc_count;
	case HEAP_PEAK_BYTES:
	case HEAP_METRICS:
		break;
	}
	return figures->peak_bytes;
}

static uint32_t get_site_frame(const struct heap *heap, uint32_t site)
{
	const struct stacks *stacks = &heap->profile->stacks;

	return stacks->nodes.items[stacks->leaves.items[site].node].number;
}

void heap_change(struct heap *heap, uint32_t site, const struct heap_figures *before,
		 const struct heap_figures *after)
{
	uint32_t frame = get_site_frame(heap, site);

	add_change(&heap->sites.items[site], before, after);
	add_change(&heap->frame_sums.items[heap->frame_numbers.items[frame]], before, after);
	add_change(&heap->sum, before, after);
	profile_set_weight(heap->profile, site, get_figure(&heap->sites.items[site], heap->metric));
}

uint32_t heap_intern_site(struct heap *heap, uint32_t stack)
{
	struct stacks *stacks = &heap->profile->stacks;
	uint32_t frame = stacks->nodes.items[stack].number, site;

	/* All room first: a leaf is a site in every array, or there is none. */
	if (!array_reserve(&heap->sites, stacks->leaves.count + 1) ||
	    !array_reserve(&heap->frame_numbers, stacks->frames.count) ||
	    !array_reserve(&heap->frame_sums, heap->frame_sums.count + 1))
		return 0;
	site = stacks_intern_leaf(stacks, stack);
	if (!site)
		return 0;
	while (heap->sites.count <= site)
		heap->sites.items[heap->sites.count++] = (struct heap_figures){0};
	while (heap->frame_numbers.count < stacks->frames.count)
		heap->frame_numbers.items[heap->frame_numbers.count++] = 0;
	if (!heap->frame_numbers.items[frame]) {
		heap->frame_numbers.items[frame] = (uint32_t)heap->frame_sums.count;
		heap->frame_sums.items[heap->frame_sums.count++] = (struct heap_figures){0};
	}
	return site;
}

void heap_share_frames(struct heap *heap)
{
	const struct stacks *stacks = &heap->profile->stacks;

	for (; heap->frames_known < stacks->frames.count; heap->frames_known++) {
		uint64_t frame = stacks->frames.items[heap->frames_known].word;
		uint32_t number = stacks_intern_frame(heap->owner, frame);

		/* Without memory: again with the next update. */
		if (!number)
			return;
		heap->owner->stacks.frames.items[number].is_kept = true;
		if (!names_copy(heap->profile, heap->owner, frame))
			return;
	}
}

void heap_take_name(struct heap *heap, uint64_t frame)
{
	uint32_t number = stacks_find_frame(&heap->profile->stacks, frame);

	/* Without memory: again with the next update. */
	if (number && !names_copy(heap->profile, heap->owner, frame) && heap->frames_known > number)
		heap->frames_known = number;
}

/* ---- what is shown ---- */

struct profile *heap_get_profile(struct heap *heap)
{
	return heap->profile;
}

enum heap_metric heap_get_metric(const struct heap *heap)
{
	return heap->metric;
}

/* Only sets the weights: the sums are made when somebody reads them (settle.h). */
struct error *heap_set_metric(struct heap *heap, enum heap_metric metric)
{
	if ((unsigned)metric >= HEAP_METRICS)
		return error_create(ERROR_USAGE, 0, NULL, "the heap has no such metric");
	if (metric == heap->metric)
		return NULL;
	heap->metric = metric;
	heap->profile->unit = get_unit(metric);
	for (uint32_t site = 1; site < heap->sites.count; site++)
		profile_set_weight(heap->profile, site, get_figure(&heap->sites.items[site], metric));
	heap_touch(heap);
	return NULL;
}

void heap_get_function(const struct heap *heap, uint32_t function, struct heap_figures *ret)
{
	const struct heap_figures none = {0};
	const struct profile *profile = heap->profile;
	uint32_t place;

	profile_settle(profile);
	*ret = none;
	place = functions_find(&profile->functions, function);
	if (place == FUNCTION_NONE)
		return;
	for (uint32_t frame = profile->functions.items.items[place].frames; frame;
	     frame = profile->stacks.frames.items[frame].next_of_function)
		if (frame < heap->frame_numbers.count)
			add_change(ret, &none, &heap->frame_sums.items[heap->frame_numbers.items[frame]]);
}

void heap_get_sum(const struct heap *heap, struct heap_figures *ret)
{
	*ret = heap->sum;
}

/* ---- for snapshots ---- */

void heap_get_stack(const struct heap *heap, uint32_t stack, struct heap_figures *ret)
{
	uint32_t site = heap->profile->stacks.nodes.items[stack].leaf;

	*ret = heap->sites.items[site < heap->sites.count ? site : 0];
}

struct error *heap_add_figures(struct heap *heap, uint32_t stack, const struct heap_figures *figures)
{
	const struct heap_figures none = {0};
	uint32_t site = heap_intern_site(heap, stack);

	if (!site)
		return out_of_memory();
	heap_share_frames(heap);
	heap_change(heap, site, &none, figures);
	heap_touch(heap);
	return NULL;
}
