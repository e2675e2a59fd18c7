/* What the walker reads, as the BPF programs have it: maps, and the accessors on them. Included by
 * unwind.bpf.h.
 */
#ifndef KILN_BPF_UNWIND_MAPS_BPF_H
#define KILN_BPF_UNWIND_MAPS_BPF_H

#include "bpf/kernel.h"
#include "bpf/life.bpf.h"

#include <bpf/bpf_core_read.h>

/* Keeps the compiler from dropping a mask that only the verifier needs. */
#define walk_opaque(variable) asm volatile("" : "+r"(variable))

/* One slot, which holds the current array of mappings: a new array replaces it by one update. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, 1);
			__uint(map_flags, INNER_MAP_FLAGS);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct mapping));
		});
} mappings SEC(".maps");

/* The tables by module id. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, MODULE_LIMIT);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, 1);
			__uint(map_flags, INNER_MAP_FLAGS);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, TABLE_CHUNK_BYTES);
		});
} tables SEC(".maps");

/* The frames where traps lie. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SITES_MAX);
	__type(key, __u64);
	__type(value, __u8);
} sites SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct remaps);
} remaps SEC(".maps");

/* Walks that ended for want of a module's table, by module: which tables are wanted most. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MODULE_LIMIT);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, __u64);
} missing SEC(".maps");

#include "bpf/unwind_vma.bpf.h"

static __always_inline void walk_count_missing(__u32 module)
{
	__u64 *count = bpf_map_lookup_elem(&missing, &module);

	if (count)
		__sync_fetch_and_add(count, 1);
}

static __always_inline void *walk_get_mappings(void)
{
	__u32 slot = 0;

	return bpf_map_lookup_elem(&mappings, &slot);
}

static __always_inline const void *walk_get_mapping(void *array, __u32 index)
{
	return bpf_map_lookup_elem(array, &index);
}

static __always_inline void *walk_get_table(__u32 module)
{
	return bpf_map_lookup_elem(&tables, &module);
}

static __always_inline const __u32 *walk_get_chunk(void *table, __u32 chunk)
{
	return bpf_map_lookup_elem(table, &chunk);
}

static __always_inline __u64 walk_get_exec_count(void)
{
	struct target_life *target = life_get();

	return target ? *(volatile __u64 *)&target->exec_count : ~0ull;
}

/* By thread; how many, is set before load. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk_memo);
} memos SEC(".maps");

const volatile __u32 config_memos; /* 0: every stack is walked */

/* NULL: another walk has it, or there is none. */
static __always_inline struct walk_memo *memo_claim(__u32 tid)
{
	struct walk_memo *memo;
	__u32 slot;

	if (!config_memos)
		return NULL;
	slot = tid % config_memos;
	memo = bpf_map_lookup_elem(&memos, &slot);
	if (!memo || __sync_val_compare_and_swap(&memo->claimed, 0, 1) != 0)
		return NULL;
	return memo;
}

static __always_inline void memo_release(struct walk_memo *memo)
{
	if (memo)
		__sync_lock_test_and_set(&memo->claimed, 0);
}

static __always_inline __u64 walk_get_remap_count(void)
{
	struct target_life *target = life_get();

	return target ? *(volatile __u64 *)&target->remap_count : ~0ull;
}

/* Whether a mapping has been replaced since the published ones were read. */
static __always_inline int walk_is_remapped(const struct mapping_header *header,
					    const struct mapping *mapping)
{
	__u64 count = walk_get_remap_count(), since = count - header->remap_count;
	struct remaps *found;
	__u32 zero = 0;

	if (!since)
		return 0;
	found = bpf_map_lookup_elem(&remaps, &zero);
	if (!found || since > REMAPS_READ_MAX)
		return 1;
	for (__u32 i = 1; i <= REMAPS_READ_MAX; i++) {
		__u32 at = (__u32)(count - i);

		if (i > since)
			break;
		walk_opaque(at);
		at &= REMAPS_MAX - 1;
		if (mapping->start < found->ranges[at].high && mapping->end > found->ranges[at].low)
			return 1;
	}
	return 0;
}

/* Whether one of our traps lies at this place. */
static __always_inline int walk_is_site(__u64 frame)
{
	return bpf_map_lookup_elem(&sites, &frame) != NULL;
}

/* A probe with a return puts its trampoline's address in place of the return address. The real one stands in
 * the thread's list of pending returns, newest first (kernel/events/uprobes.c, prepare_uretprobe()). Looks
 * for the one whose slot on the stack lies in [low, high); 0: there is none among the newest. */
walk_global __u64 walk_find_return(__u64 low, __u64 high, __u64 *ret_slot)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct return_instance *instance;
	struct uprobe_task *pending;

	if (!ret_slot)
		return 0; /* never: for the verifier */
	if (!bpf_core_field_exists(task->utask))
		return 0;
	pending = BPF_CORE_READ(task, utask);
	instance = pending ? BPF_CORE_READ(pending, return_instances) : NULL;
	for (int i = 0; i < PENDING_RETURNS_MAX && instance; i++) {
		__u64 slot = BPF_CORE_READ(instance, stack);

		if (slot >= low && slot < high) {
			*ret_slot = slot;
			return BPF_CORE_READ(instance, orig_ret_vaddr);
		}
		instance = BPF_CORE_READ(instance, next);
	}
	return 0;
}

/* Nonzero: it could not be read. */
static __always_inline long walk_read_stack(__u64 *ret, __u32 bytes, __u64 address)
{
	return bpf_probe_read_user(ret, bytes, (const void *)address);
}

static __always_inline long walk_read_code(void *ret, __u32 bytes, __u64 address)
{
	return bpf_probe_read_user(ret, bytes, (const void *)address);
}

#endif
