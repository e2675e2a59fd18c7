/* What the kernel tells: counters in place, and stacks of a ring.
 *
 * Counters of other CPUs are read while they change: the figures of a slot may be a moment apart, and are
 * right again at the next look. */
#include "profile/heap_internal.h"
#include "profile/internal.h"

static struct error *out_of_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "heap");
}

/* ---- slots ---- */

static bool make_slots(struct heap *heap, uint32_t chunk)
{
	/* Only pages that are used cost memory. */
	if (!heap->chunks[chunk].slots)
		heap->chunks[chunk].slots = calloc(HEAP_CHUNK_SLOTS, sizeof(struct heap_slot));
	return heap->chunks[chunk].slots;
}

struct error *heap_set_chunk(struct heap *heap, uint32_t index, const struct heap_totals *memory)
{
	if (index >= HEAP_CHUNKS)
		return error_create(ERROR_GENERAL, 0, NULL, "there is no heap chunk %u", index);
	if (!make_slots(heap, index))
		return out_of_memory();
	heap->chunks[index].memory = memory;
	return NULL;
}

void heap_drop_chunks(struct heap *heap)
{
	heap_update(heap, heap->slots, heap->peak_epoch, heap->exec, 0);
	for (size_t i = 0; i < HEAP_CHUNKS; i++)
		heap->chunks[i].memory = NULL;
}

static uint64_t load(const __u64 *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static uint64_t subtract(uint64_t allocated, uint64_t freed)
{
	return allocated > freed ? allocated - freed : 0;
}

static void read_slot(const struct heap *heap, const struct heap_totals *totals, struct heap_figures *ret)
{
	uint32_t exec = __atomic_load_n(&totals->exec, __ATOMIC_RELAXED);
	/* Frees first: whatever comes between, they are not more than the allocations. */
	uint64_t free_count = load(&totals->free_count), free_bytes = load(&totals->free_bytes), live;

	ret->alloc_count = load(&totals->alloc_count);
	ret->alloc_bytes = load(&totals->alloc_bytes);
	live = subtract(ret->alloc_bytes, free_bytes);
	/* Of a program before the current one everything has gone; but that may have been the peak. */
	ret->live_bytes = exec == heap->exec ? live : 0;
	ret->live_count = exec == heap->exec ? subtract(ret->alloc_count, free_count) : 0;
	if (exec != heap->peak_exec)
		ret->peak_bytes = 0;
	else if (load(&totals->peak_epoch) == heap->peak_epoch)
		ret->peak_bytes = load(&totals->peak_bytes);
	else
		ret->peak_bytes = live;
	if (ret->peak_bytes > ret->alloc_bytes)
		ret->peak_bytes = ret->alloc_bytes;
}

static bool is_same(const struct heap_figures *a, const struct heap_figures *b)
{
	return a->live_bytes == b->live_bytes && a->live_count == b->live_count &&
	       a->alloc_bytes == b->alloc_bytes && a->alloc_count == b->alloc_count &&
	       a->peak_bytes == b->peak_bytes;
}

static bool update_slot(struct heap *heap, uint32_t number)
{
	struct heap_chunk *chunk = &heap->chunks[number / HEAP_CHUNK_SLOTS];
	struct heap_slot *slot = &chunk->slots[number % HEAP_CHUNK_SLOTS];
	struct heap_figures now;

	read_slot(heap, &chunk->memory[number % HEAP_CHUNK_SLOTS], &now);
	if (is_same(&now, &slot->taken))
		return false;
	heap_change(heap, slot->site ? slot->site : heap->not_taken, &slot->taken, &now);
	slot->taken = now;
	return true;
}

bool heap_update(struct heap *heap, uint32_t slots, uint64_t peak_epoch, uint32_t exec, size_t max)
{
	/* Slot 0 is never given, and counts nevertheless. */
	uint32_t end = slots < HEAP_SLOTS - 1 ? slots + 1 : HEAP_SLOTS;
	bool is_changed = false;

	if (heap->facts.global.peak_epoch == peak_epoch)
		heap->peak_exec = heap->facts.global.peak_exec;
	else if (peak_epoch != heap->peak_epoch)
		heap->peak_exec = exec;
	heap->peak_epoch = peak_epoch;
	heap->exec = exec;
	heap->slots = slots;
	if (!max) {
		heap->cursor = 0;
		max = end;
	}
	while (heap->cursor < end && max) {
		if (!heap->chunks[heap->cursor / HEAP_CHUNK_SLOTS].memory) {
			heap->cursor = (heap->cursor / HEAP_CHUNK_SLOTS + 1) * HEAP_CHUNK_SLOTS;
			continue;
		}
		is_changed |= update_slot(heap, heap->cursor++);
		max--;
	}
	heap_share_frames(heap);
	if (is_changed)
		heap_touch(heap);
	if (heap->cursor < end)
		return false;
	heap->cursor = 0;
	return true;
}

/* ---- stacks ---- */

/* The frames of the allocator: its function, and what only passes on. Returns how many. */
static size_t count_own_frames(const struct heap *heap, const struct heap_stack_record *record)
{
	size_t own = record->count ? 1 : 0;

	while (own < record->count &&
	       wrappers_contain(&heap->wrappers, frame_inside_call(record->frames[own])))
		own++;
	return own;
}

static void tell_full(struct heap *heap)
{
	if (heap->is_full)
		return;
	heap->is_full = true;
	error_destroy(profile_add_event(heap->owner, heap->timeline.last_ns,
					"new allocation stacks are shortened: see [merged]"));
}

/* When the trie is full, a new stack goes on from its last known caller to "[merged]", and from there to its
 * site: two nodes, however deep it is. */
static uint32_t intern_callers(struct heap *heap, uint32_t stack, const __u64 *frames, size_t count)
{
	struct stacks *stacks = &heap->profile->stacks;

	for (size_t i = count; i-- > 0;) {
		uint64_t frame = frame_inside_call(frames[i]);
		uint32_t child = stacks_find_child(stacks, stack, frame);

		if (!child && i && stacks->nodes.count >= stacks->limit) {
			tell_full(heap);
			child = stacks_intern_child(heap->profile, stack, FRAME(MODULE_MERGED, 0));
			i = child ? 1 : i; /* the site is next */
		}
		if (!child)
			child = stacks_intern_child(heap->profile, stack, frame);
		if (!child)
			return 0;
		stack = child;
	}
	return stack;
}

static uint32_t intern_stack(struct heap *heap, const struct heap_stack_record *record)
{
	size_t own = count_own_frames(heap, record);
	uint32_t stack = 0;

	if (record->end != STACK_COMPLETE) {
		stack = stacks_intern_child(heap->profile, 0, FRAME(MODULE_STACK_END, record->end));
		if (!stack)
			return 0;
	}
	if (own == record->count)
		return stacks_intern_child(heap->profile, stack, FRAME(MODULE_UNKNOWN, 0));
	return intern_callers(heap, stack, record->frames + own, record->count - own);
}

void heap_add_stack(struct heap *heap, const struct heap_stack_record *record)
{
	const struct heap_figures none = {0};
	struct heap_slot *slot;
	uint32_t stack, site;

	if (record->slot == HEAP_SLOT_NONE || record->slot >= HEAP_SLOTS || record->end >= STACK_ENDS ||
	    record->count > STACK_USER_MAX || !make_slots(heap, record->slot / HEAP_CHUNK_SLOTS))
		return;
	slot = &heap->chunks[record->slot / HEAP_CHUNK_SLOTS].slots[record->slot % HEAP_CHUNK_SLOTS];
	/* A slot is one stack's for ever. */
	if (slot->site)
		return;
	stack = intern_stack(heap, record);
	site = stack ? heap_intern_site(heap, stack) : 0;
	if (!site)
		return;
	heap_share_frames(heap);
	slot->site = site;
	heap_change(heap, heap->not_taken, &slot->taken, &none);
	heap_change(heap, site, &none, &slot->taken);
	heap_touch(heap);
}

struct error *heap_add_wrapper(struct heap *heap, uint32_t module, uint64_t start, uint64_t end)
{
	if (module >= MODULE_LIMIT || start >= end || end > FRAME_OFFSET_MASK)
		return error_create(ERROR_GENERAL, 0, NULL, "no range of module %u", module);
	return wrappers_add(&heap->wrappers, FRAME(module, start), FRAME(module, end)) ? NULL
										       : out_of_memory();
}
