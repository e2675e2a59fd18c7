/* What all programs of one target share: the state of its life, and the ring that tells the probe.
 *
 * The maps are made by the CPU programs' object; the heap's reuses them (collector.h).
 */
#ifndef KILN_BPF_LIFE_BPF_H
#define KILN_BPF_LIFE_BPF_H

#include "bpf/events.h"

#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

const volatile __u32 config_tgid;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct target_life);
} life SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} control SEC(".maps");

#define UNKNOWN_INTERVAL_NS 5000000ull
#define USER_ADDRESS_MIN                                                                                     \
	0x1000ull /* lower and higher are no code: nothing that a new look at the maps would find */
#define USER_ADDRESS_END 0x800000000000ull

static __always_inline struct target_life *life_get(void)
{
	__u32 zero = 0;

	return bpf_map_lookup_elem(&life, &zero);
}

/* Nonzero: the ring is full, which is counted. */
static __always_inline long control_send(__u32 kind, __u32 pid, __u64 value, __u64 cpu_ns)
{
	struct control_record record = {
		.kind = kind,
		.pid = pid,
		.time_ns = bpf_ktime_get_ns(),
		.value = value,
		.cpu_ns = cpu_ns,
	};
	struct target_life *target = life_get();
	long failure = bpf_ringbuf_output(&control, &record, sizeof(record), 0);

	if (failure && target)
		__sync_fetch_and_add(&target->control_lost, 1);
	return failure;
}

/* Once per interval, on whatever CPU comes first: the probe then reads the maps again. */
static __always_inline void unknown_pc_send(__u64 pc, __u64 now_ns)
{
	struct target_life *target = life_get();
	__u64 sent_ns;

	if (!target || pc < USER_ADDRESS_MIN || pc >= USER_ADDRESS_END)
		return;
	sent_ns = *(volatile __u64 *)&target->unknown_sent_ns;
	if (sent_ns && now_ns - sent_ns < UNKNOWN_INTERVAL_NS)
		return;
	if (__sync_val_compare_and_swap(&target->unknown_sent_ns, sent_ns, now_ns) == sent_ns)
		control_send(CONTROL_UNKNOWN_PC, config_tgid, pc, 0);
}

#endif
