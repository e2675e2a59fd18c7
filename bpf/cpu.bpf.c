/* CPU samples of one process, and what happens to that process.
 *
 * A perf event on each CPU runs on_cpu_sample(), for every process: the target is tested first, the rest
 * costs nothing. A sample is put together in a scratch slot of its CPU and copied into the ring in one piece,
 * so that its length is what it needs. Accounts close: attempts == delivered + lost_ring_full +
 * lost_scratch_busy; a reader that looks while a program runs may see one attempt a CPU that is not decided
 * yet.
 */
#include "bpf/unwind.bpf.h"

#include <linux/bpf_perf_event.h>

#include "bpf/kernel.h"

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* ---- set before load ---- */
const volatile __u32 config_wants_user;
const volatile __u32 config_wants_kernel;
const volatile __u32 config_checks_memo;
const volatile __u64 config_wakeup_bytes; /* with more than this in the ring the reader is woken */

__u32 exit_sent;
__u64 fork_sent_ns; /* when CONTROL_FORK was sent last */

/* A shell that forks thousands a second is told once in so long, with their number. */
#define FORK_INTERVAL_NS 100000000ull

#define THREADS_MAX (1u << 20)

#define SAMPLE_BYTES_MAX (sizeof(struct sample_record) + WALK_FRAMES_MAX * sizeof(__u64))

struct scratch {
	__u32 claimed;
	__u32 reserved;
	struct walk walk;
	union {
		__u8 room[SAMPLE_BYTES_MAX];
		struct sample_record record;
	};
};

/* Sizes of these arrays and rings are set before load: CPUs × slots, CPUs, by rate. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS);
	__type(key, __u32);
	__type(value, struct scratch);
} scratches SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct cpu_counters);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} samples SEC(".maps");

static __always_inline struct scratch *scratch_claim(__u32 cpu)
{
	for (__u32 i = 0; i < SCRATCH_SLOTS; i++) {
		__u32 slot = cpu * SCRATCH_SLOTS + i;
		struct scratch *scratch = bpf_map_lookup_elem(&scratches, &slot);

		if (scratch && __sync_val_compare_and_swap(&scratch->claimed, 0, 1) == 0)
			return scratch;
	}
	return NULL;
}

static __always_inline void scratch_release(struct scratch *scratch)
{
	__sync_lock_test_and_set(&scratch->claimed, 0);
}

/* The kernel's own unwinder fills in the kernel frames; returns how many. */
static __always_inline __u32 kernel_stack_take(struct bpf_perf_event_data *ctx, struct scratch *scratch)
{
	long bytes = bpf_get_stack(ctx, scratch->record.frames, STACK_KERNEL_MAX * sizeof(__u64), 0);
	__u32 count;

	if (bytes < (long)sizeof(__u64)) {
		/* It has no room for another one at the moment: the interrupted instruction is known all the
		 * same. */
		scratch->record.frames[0] = FRAME(MODULE_KERNEL, ctx->regs.rip);
		return 1;
	}
	count = (__u32)bytes / sizeof(__u64);
	for (__u32 i = 0; i < STACK_KERNEL_MAX; i++) {
		if (i >= count)
			break;
		scratch->record.frames[i] = FRAME(MODULE_KERNEL, scratch->record.frames[i]);
	}
	return count;
}

struct stack_sum {
	const __u64 *frames;
	__u32 first, count;
	__u64 sum;
};

static long stack_sum_step(__u32 index, struct stack_sum *sum)
{
	__u32 at = sum->first + index;

	walk_opaque(at);
	if (index >= sum->count || at >= WALK_FRAMES_MAX)
		return 1;
	sum->sum = sum->sum * 0x9e3779b97f4a7c15ull + sum->frames[at];
	return 0;
}

static __always_inline __u64 stack_sum(struct scratch *scratch)
{
	struct stack_sum sum = {
		.frames = scratch->record.frames,
		.first = scratch->walk.first,
		.count = scratch->walk.count,
		.sum = scratch->walk.end,
	};

	bpf_loop(STACK_USER_MAX, stack_sum_step, &sum, 0);
	return sum.sum;
}

/* For tests: walks it again without the memo. */
static __always_inline int memo_is_right(struct scratch *scratch, __u64 pc, __u64 sp, __u64 bp, __u32 first)
{
	struct walk_context context = {.walk = &scratch->walk, .frames = scratch->record.frames};
	__u64 with_memo = stack_sum(scratch);

	walk_start(&scratch->walk, pc, sp, bp, first);
	bpf_loop(STACK_USER_MAX, walk_step, &context, 0);
	return stack_sum(scratch) == with_memo;
}

static __always_inline void user_stack_walk(struct scratch *scratch, struct cpu_counters *counter, __u64 pc,
					    __u64 sp, __u64 bp, __u32 first)
{
	struct walk_context context = {.walk = &scratch->walk, .frames = scratch->record.frames};

	context.memo = memo_claim(scratch->record.tid);
	walk_start(&scratch->walk, pc, sp, bp, first);
	memo_start(&context);
	bpf_loop(STACK_USER_MAX, walk_step, &context, 0);
	memo_end(&context);
	memo_release(context.memo);
	__sync_fetch_and_add(&counter->frames, scratch->walk.count);
	__sync_fetch_and_add(&counter->adopted, scratch->walk.adopted);
	if (config_checks_memo && scratch->walk.adopted && !memo_is_right(scratch, pc, sp, bp, first))
		__sync_fetch_and_add(&counter->memo_wrong, 1);
}

static __always_inline void sample_fill(struct bpf_perf_event_data *ctx, struct scratch *scratch,
					struct cpu_counters *counter, __u32 mode, __u32 cpu, __u64 now_ns)
{
	__u64 pc = ctx->regs.rip, sp = ctx->regs.rsp, bp = ctx->regs.rbp;
	struct sample_record *record = &scratch->record;
	__u32 kernel_count = 0;

	record->time_ns = now_ns;
	record->tid = (__u32)bpf_get_current_pid_tgid();
	record->cpu = cpu;
	record->mode = mode;
	record->reserved = 0;
	if (mode == SAMPLE_KERNEL) {
		struct pt_regs *regs = (struct pt_regs *)bpf_task_pt_regs(bpf_get_current_task_btf());

		kernel_count = kernel_stack_take(ctx, scratch);
		sp = regs->rsp;
		bp = regs->rbp;
		pc = walk_undo_trap(&scratch->walk, regs->rip, sp);
		walk_take_registers(&scratch->walk, regs);
		/* A thread that ends has left its memory behind. */
		if (!BPF_CORE_READ(bpf_get_current_task_btf(), mm))
			pc = 0;
	} else {
		walk_take_registers(&scratch->walk, &ctx->regs);
	}
	if (pc || mode == SAMPLE_USER) {
		user_stack_walk(scratch, counter, pc, sp, bp, kernel_count);
	} else {
		/* Nor will a worker ever return to user space (io_uring): copy_thread() clears its registers.
		 */
		walk_start(&scratch->walk, 0, 0, 0, kernel_count);
		scratch->walk.end = STACK_COMPLETE;
	}
	record->kernel_count = kernel_count;
	record->user_count = scratch->walk.count;
	record->end = scratch->walk.end;
}

/* Copies the sample into the ring; nonzero: the ring is full. */
static __always_inline long sample_send(struct scratch *scratch)
{
	__u64 used = bpf_ringbuf_query(&samples, BPF_RB_AVAIL_DATA);
	/* The reader comes by itself, at its own pace; it is woken (which costs) only when it is late. */
	__u64 flags = used > config_wakeup_bytes ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
	__u32 count = scratch->record.kernel_count + scratch->record.user_count;
	__u32 bytes = sizeof(struct sample_record) + count * sizeof(__u64);

	walk_opaque(bytes);
	if (bytes > SAMPLE_BYTES_MAX)
		bytes = SAMPLE_BYTES_MAX; /* never: for the verifier */
	return bpf_ringbuf_output(&samples, &scratch->record, bytes, flags);
}

SEC("perf_event")
int on_cpu_sample(struct bpf_perf_event_data *ctx)
{
	struct cpu_counters *counter;
	struct scratch *scratch;
	__u32 cpu, mode;
	__u64 now_ns;

	if (bpf_get_current_pid_tgid() >> 32 != config_tgid)
		return 0;
	mode = (ctx->regs.cs & 3) ? SAMPLE_USER : SAMPLE_KERNEL;
	if (mode == SAMPLE_USER ? !config_wants_user : !config_wants_kernel)
		return 0;
	now_ns = bpf_ktime_get_ns();
	cpu = bpf_get_smp_processor_id();
	counter = bpf_map_lookup_elem(&counters, &cpu);
	if (!counter)
		return 0; /* never: there is one for every possible CPU */
	__sync_fetch_and_add(&counter->attempts, 1);
	scratch = scratch_claim(cpu);
	if (!scratch) {
		__sync_fetch_and_add(&counter->lost_scratch_busy, 1);
		return 0;
	}
	sample_fill(ctx, scratch, counter, mode, cpu, now_ns);
	if (scratch->walk.unknown_pc) {
		__sync_fetch_and_add(&counter->unknown_pc, 1);
		unknown_pc_send(scratch->walk.unknown_pc, now_ns);
	}
	if (sample_send(scratch))
		__sync_fetch_and_add(&counter->lost_ring_full, 1);
	else
		__sync_fetch_and_add(&counter->delivered, 1);
	scratch_release(scratch);
	__sync_fetch_and_add(&counter->program_ns, bpf_ktime_get_ns() - now_ns);
	return 0;
}

/* ---- the target's life ---- */

/* The range first, then the count that makes it count. The target's mmap_lock is held for writing: nobody
 * else is here. */
static __always_inline void remap_note(struct target_life *target, __u64 low, __u64 high)
{
	__u32 zero = 0, at = (__u32)target->remap_count;
	struct remaps *found = bpf_map_lookup_elem(&remaps, &zero);

	walk_opaque(at);
	at &= REMAPS_MAX - 1;
	if (found) {
		found->ranges[at].low = low;
		found->ranges[at].high = high;
	}
	__sync_fetch_and_add(&target->remap_count, 1);
}

/* Free addresses have been found for a mapping: where the published ones had code, that is gone (dlclose()
 * and dlopen()). Before the mapping is made: no frame of the new code is taken for one of the old. Replacing
 * by MAP_FIXED goes unseen. */
SEC("tp_btf/vm_unmapped_area")
int BPF_PROG(on_unmapped_area, unsigned long address, struct vm_unmapped_area_info *info)
{
	struct target_life *target = life_get();
	const struct mapping_header *header;
	const struct mapping *mapping;
	void *array;
	__u64 end;
	__u32 last;

	if (bpf_get_current_pid_tgid() >> 32 != config_tgid || !target || address >= ~4095ull)
		return 0;
	array = walk_get_mappings();
	header = array ? walk_get_mapping(array, 0) : NULL;
	if (!header)
		return 0;
	end = address + info->length;
	last = mappings_search(array, header->count, end - 1);
	mapping = last ? walk_get_mapping(array, last) : NULL;
	if (!mapping || mapping->end <= address)
		return 0;
	remap_note(target, address, end);
	unknown_pc_send(address, bpf_ktime_get_ns());
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid)
{
	struct target_life *target = life_get();
	__u64 count;

	if ((__u32)task->tgid != config_tgid || !target)
		return 0;
	count = __sync_fetch_and_add(&target->exec_count, 1) + 1;
	control_send(CONTROL_EXEC, old_pid, count, 0);
	return 0;
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(on_fork, struct task_struct *parent, struct task_struct *child)
{
	struct target_life *target = life_get();
	__u64 now_ns, sent_ns, count;

	if ((__u32)parent->tgid != config_tgid || child->tgid == parent->tgid || !target)
		return 0;
	count = __sync_fetch_and_add(&target->fork_count, 1) + 1;
	now_ns = bpf_ktime_get_ns();
	sent_ns = *(volatile __u64 *)&fork_sent_ns;
	if (sent_ns && now_ns - sent_ns < FORK_INTERVAL_NS)
		return 0;
	if (__sync_val_compare_and_swap(&fork_sent_ns, sent_ns, now_ns) == sent_ns)
		control_send(CONTROL_FORK, child->pid, count, 0);
	return 0;
}

struct runtime_sum {
	__u64 node; /* address of the list node that comes next */
	__u64 head;
	__u64 ns;
};

static long runtime_add_thread(__u32 index, struct runtime_sum *sum)
{
	struct list_head *node = (struct list_head *)sum->node;
	struct task_struct *task = (void *)node - bpf_core_field_offset(struct task_struct, thread_node);

	if (!node || sum->node == sum->head)
		return 1;
	sum->ns += BPF_CORE_READ(task, se.sum_exec_runtime);
	sum->node = (__u64)BPF_CORE_READ(node, next);
	return 0;
}

/* CPU time of all threads, the dead ones included. The scheduler brings the running thread's own up to date
 * at its ticks: that much may be missing. 0: threads were released while they were summed up, or there are
 * too many. */
static __always_inline __u64 runtime_get_ns(struct task_struct *task)
{
	struct signal_struct *signal = task->signal;
	struct runtime_sum sum = {0};

	for (int i = 0; i < 3; i++) {
		__u64 released_ns = BPF_CORE_READ(signal, sum_sched_runtime);

		sum.ns = released_ns;
		sum.head = (__u64)signal + bpf_core_field_offset(struct signal_struct, thread_head);
		sum.node = (__u64)BPF_CORE_READ(signal, thread_head.next);
		bpf_loop(THREADS_MAX, runtime_add_thread, &sum, 0);
		if (sum.node == sum.head && BPF_CORE_READ(signal, sum_sched_runtime) == released_ns)
			return sum.ns;
	}
	return 0;
}

/* signal->live is 0 when the last thread passes here (do_exit() has counted it down before); two that die at
 * once may both see 0. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(on_exit, struct task_struct *task)
{
	struct signal_struct *signal;
	__u32 status;

	if ((__u32)task->tgid != config_tgid)
		return 0;
	signal = task->signal;
	if (signal->live.counter != 0 || __sync_lock_test_and_set(&exit_sent, 1))
		return 0;
	/* As wait_task_zombie() in kernel/exit.c decides it. */
	status =
		(signal->flags & SIGNAL_GROUP_EXIT) ? signal->group_exit_code : task->group_leader->exit_code;
	control_send(CONTROL_EXIT, task->tgid, status, runtime_get_ns(task));
	return 0;
}
