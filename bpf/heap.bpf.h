/* The programs that keep the books of a process's heap (bpf/heap_events.h says which books).
 *
 * A call of an allocating function is followed from its entry to its return: what was asked stands in the
 * thread's struct pending_call meanwhile (task storage). At the entry the stack is walked, with the same
 * walker and tables as a CPU sample, and a block that is to be reallocated is taken out of the books: once
 * the allocator has freed it, another thread may get its address before this call returns. At the return the
 * call is booked, or, if it failed, undone. free() is booked at its entry.
 *
 * Calls inside a call (an interposed malloc that calls the next one; calloc by way of malloc) are one call,
 * the outermost. Inside is what has a lower stack pointer, or the same one by a tail call.
 *
 * Nothing here allocates per call, but the books themselves. Updates are atomic: threads on many CPUs, and
 * under full preemption several on one.
 */
#ifndef KILN_BPF_HEAP_BPF_H
#define KILN_BPF_HEAP_BPF_H

#include "bpf/unwind.bpf.h"

#include "bpf/heap_events.h"

#include <linux/ptrace.h>

#include <bpf/bpf_tracing.h>

/* ---- set before load ---- */
const volatile __u64 config_seed;	  /* of the hash of stacks: nobody can aim at a collision */
const volatile __u64 config_wakeup_bytes; /* with more than this in the ring the reader is woken */

/* ---- maps ---- */

struct pending_call {
	__u64 sp;      /* at the entry: where the return address stands */
	__u64 address; /* that was to be reallocated; of posix_memalign: where the result goes */
	__u64 bytes;
	struct heap_block old; /* taken out of the books, when has_old */
	__u32 slot;
	__u8 kind;
	__u8 is_active;
	__u8 has_old;
	__u8 tail_calls; /* that will return at the same stack pointer before it */
	/* The thread's last call of free(), where there are several: the return address, and where it stands.
	 */
	__u64 freed_sp, freed_return, freed_ip;
};

struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct pending_call);
} pending_calls SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, HEAP_LEVELS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_HASH);
			__uint(max_entries, HEAP_LEVEL_BLOCKS);
			__uint(map_flags, BPF_F_NO_PREALLOC);
			__uint(key_size, sizeof(__u64));
			__uint(value_size, sizeof(struct heap_block));
		});
} blocks SEC(".maps");

/* hash of a stack → its slot */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, HEAP_LEVELS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_HASH);
			__uint(max_entries, HEAP_LEVEL_STACKS);
			__uint(map_flags, BPF_F_NO_PREALLOC);
			__uint(key_size, sizeof(__u64));
			__uint(value_size, sizeof(__u32));
		});
} stacks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, HEAP_CHUNKS);
	__uint(key_size, sizeof(__u32));
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(max_entries, HEAP_CHUNK_SLOTS);
			__uint(map_flags, BPF_F_MMAPABLE);
			__uint(key_size, sizeof(__u32));
			__uint(value_size, sizeof(struct heap_totals));
		});
} chunks SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct heap_global);
} heap_global SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct heap_room);
} heap_room SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1); /* CPUs: set before load */
	__uint(map_flags, BPF_F_MMAPABLE);
	__type(key, __u32);
	__type(value, struct heap_counters);
} heap_counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} heap_stacks SEC(".maps");

#define HEAP_RECORD_BYTES_MAX (sizeof(struct heap_stack_record) + STACK_USER_MAX * sizeof(__u64))

struct heap_scratch {
	__u32 claimed;
	__u32 reserved;
	__u64 hash;
	struct walk walk;
	union {
		__u8 room[sizeof(struct heap_stack_record) + WALK_FRAMES_MAX * sizeof(__u64)];
		struct heap_stack_record record;
	};
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SCRATCH_SLOTS); /* CPUs × slots: set before load */
	__type(key, __u32);
	__type(value, struct heap_scratch);
} heap_scratches SEC(".maps");

/* What every program needs; found once at its start. */
/* Not while a stack is walked: a function of its own, so that its part of the BPF stack is not the walk's,
 * too. The frames of nested calls may take 512 bytes together; the compiler does not share what is inlined.
 */
#define off_the_chain __attribute__((noinline))

struct books {
	struct heap_global *global;
	struct heap_room *room;
	struct heap_counters *counters;
	__u32 cpu;
	__u32 exec;
};

static __always_inline int books_open(struct books *books)
{
	__u32 zero = 0;

	books->cpu = bpf_get_smp_processor_id();
	books->global = bpf_map_lookup_elem(&heap_global, &zero);
	books->room = bpf_map_lookup_elem(&heap_room, &zero);
	books->counters = bpf_map_lookup_elem(&heap_counters, &books->cpu);
	if (!books->global || !books->room || !books->counters)
		return 0;
	books->exec = (__u32) * (volatile __u64 *)&books->global->exec;
	return !*(volatile __u32 *)&books->room->is_closed;
}

#define ADD(place, amount) __sync_fetch_and_add(&(place), amount)

/* The probe is to make room, and is told once. */
static __always_inline void room_ask(struct books *books, __u32 kind)
{
	if (*(volatile __u32 *)&books->room->is_asked[kind] ||
	    __sync_val_compare_and_swap(&books->room->is_asked[kind], 0, 1) != 0)
		return;
	if (control_send(CONTROL_HEAP_ROOM, config_tgid, kind, 0))
		__sync_lock_test_and_set(&books->room->is_asked[kind], 0);
}

/* ---- counters of a stack ---- */

static __always_inline struct heap_totals *totals_get(__u32 slot)
{
	__u32 index = slot / HEAP_CHUNK_SLOTS, inside = slot % HEAP_CHUNK_SLOTS;
	void *chunk = bpf_map_lookup_elem(&chunks, &index);

	return chunk ? bpf_map_lookup_elem(chunk, &inside) : NULL;
}

/* Before the live bytes of a stack change: if the heap has had a peak since they changed last, they are its
 * part of that peak. */
static __always_inline void totals_keep_peak(struct heap_totals *totals, const struct heap_global *global)
{
	__u64 epoch = *(volatile __u64 *)&global->peak_epoch, known = *(volatile __u64 *)&totals->peak_epoch;

	if (known != epoch && __sync_val_compare_and_swap(&totals->peak_epoch, known, epoch) == known)
		totals->peak_bytes = totals->alloc_bytes - totals->free_bytes;
}

static __always_inline void peak_raise(struct books *books, __u64 live, __u64 now_ns)
{
	struct heap_global *global = books->global;

	for (int i = 0; i < 4; i++) {
		__u64 peak = *(volatile __u64 *)&global->peak_bytes;

		if (live <= peak)
			return;
		if (__sync_val_compare_and_swap(&global->peak_bytes, peak, live) == peak) {
			global->peak_ns = now_ns;
			global->peak_exec = books->exec;
			ADD(global->peak_epoch, 1);
			return;
		}
	}
}

static __always_inline void book_alloc(struct books *books, __u32 slot, __u64 bytes, __u64 now_ns)
{
	struct heap_totals *totals = totals_get(slot);
	__u64 live;

	ADD(books->counters->allocs, 1);
	ADD(books->counters->alloc_bytes, bytes);
	if (totals) {
		totals_keep_peak(totals, books->global);
		ADD(totals->alloc_count, 1);
		ADD(totals->alloc_bytes, bytes);
	}
	ADD(books->global->live_blocks, 1);
	live = ADD(books->global->live_bytes, bytes) + bytes;
	peak_raise(books, live, now_ns);
}

static __always_inline void book_free(struct books *books, const struct heap_block *block)
{
	struct heap_totals *totals = totals_get(block->slot);

	ADD(books->counters->frees, 1);
	ADD(books->counters->free_bytes, block->bytes);
	if (totals) {
		totals_keep_peak(totals, books->global);
		ADD(totals->free_count, 1);
		ADD(totals->free_bytes, block->bytes);
	}
	ADD(books->global->live_blocks, -1);
	ADD(books->global->live_bytes, -block->bytes);
}

/* ---- blocks ---- */

/* Takes a block out of the books' list; 0: it is not there, or belonged to a program that exec has replaced.
 */
static off_the_chain int block_take(struct books *books, __u64 address, struct heap_block *ret)
{
	for (__u32 i = 0; i < HEAP_LEVELS; i++) {
		__u32 level = i;
		struct heap_block *block;
		void *map;

		if (i >= books->room->blocks.count)
			return 0;
		map = bpf_map_lookup_elem(&blocks, &level);
		if (!map)
			return 0;
		block = bpf_map_lookup_elem(map, &address);
		if (!block)
			continue;
		*ret = *block;
		/* Of two that free the same block at once one is wrong, and the books count the other. */
		if (bpf_map_delete_elem(map, &address))
			return 0;
		ADD(books->room->blocks.used[i], -1);
		return ret->exec == books->exec;
	}
	return 0;
}

/* 0: there is no room. */
static off_the_chain int block_put(struct books *books, __u64 address, const struct heap_block *block)
{
	struct heap_levels *levels = &books->room->blocks;

	for (__u32 i = 0; i < HEAP_LEVELS; i++) {
		__u32 level = i;
		__u64 used;
		void *map;

		if (i >= levels->count)
			return 0;
		used = ADD(levels->used[i], 1);
		if (i + 1 == levels->count && used >= levels->capacity[i] / 2)
			room_ask(books, HEAP_ROOM_BLOCKS);
		map = used < levels->capacity[i] ? bpf_map_lookup_elem(&blocks, &level) : NULL;
		if (map && !bpf_map_update_elem(map, &address, block, BPF_NOEXIST))
			return 1;
		ADD(levels->used[i], -1);
	}
	return 0;
}

/* A new block. One that is listed at its address already has been freed without being seen. */
static __always_inline void block_add(struct books *books, __u64 address, __u64 bytes, __u32 slot,
				      __u64 now_ns)
{
	struct heap_block block = {
		.bytes = bytes,
		.time_ns = now_ns,
		.slot = slot,
		.tid = (__u32)bpf_get_current_pid_tgid(),
		.exec = books->exec,
	};
	struct heap_block stale;

	if (block_take(books, address, &stale)) {
		book_free(books, &stale);
		ADD(books->counters->unseen_frees, 1);
	}
	if (block_put(books, address, &block)) {
		book_alloc(books, slot, bytes, now_ns);
		return;
	}
	ADD(books->counters->allocs, 1);
	ADD(books->counters->alloc_bytes, bytes);
	ADD(books->counters->refused, 1);
	ADD(books->counters->refused_bytes, bytes);
}

/* ---- stacks ---- */

struct heap_walk_context {
	struct walk_context walk; /* first */
	struct heap_scratch *scratch;
};

static __always_inline __u64 hash_mix(__u64 hash, __u64 word)
{
	hash = (hash ^ word) * 0x9e3779b97f4a7c15ull;
	return hash ^ hash >> 29;
}

/* One frame, and its part of the stack's hash. */
static long heap_walk_step(__u32 index, struct heap_walk_context *context)
{
	struct heap_scratch *scratch = context->scratch;
	__u32 before = scratch->walk.count, end;

	end = walk_one_frame(index, &context->walk);
	if (scratch->walk.count > before && index < WALK_FRAMES_MAX) {
		walk_opaque(index);
		if (index < WALK_FRAMES_MAX)
			scratch->hash = hash_mix(scratch->hash, scratch->record.frames[index]);
	}
	if (end == STACK_ENDS)
		return 0;
	scratch->walk.end = end;
	return 1;
}

static __always_inline struct heap_scratch *heap_scratch_claim(__u32 cpu)
{
	for (__u32 i = 0; i < SCRATCH_SLOTS; i++) {
		__u32 slot = cpu * SCRATCH_SLOTS + i;
		struct heap_scratch *scratch = bpf_map_lookup_elem(&heap_scratches, &slot);

		if (scratch && __sync_val_compare_and_swap(&scratch->claimed, 0, 1) == 0)
			return scratch;
	}
	return NULL;
}

static __always_inline int stack_find(struct books *books, __u64 hash, __u32 *ret)
{
	for (__u32 i = 0; i < HEAP_LEVELS; i++) {
		__u32 level = i, *slot;
		void *map;

		if (i >= books->room->stacks.count)
			return 0;
		map = bpf_map_lookup_elem(&stacks, &level);
		if (!map)
			return 0;
		slot = bpf_map_lookup_elem(map, &hash);
		if (slot) {
			*ret = *slot;
			return 1;
		}
	}
	return 0;
}

/* A slot for a stack that has none; HEAP_SLOT_NONE when there is no room. */
static off_the_chain __u32 stack_add(struct books *books, __u64 hash, __u64 now_ns)
{
	struct heap_levels *levels = &books->room->stacks;
	struct heap_totals *totals;
	__u32 slot, ready = *(volatile __u32 *)&books->room->slots;

	if (*(volatile __u32 *)&books->global->slots >= ready)
		return HEAP_SLOT_NONE;
	slot = ADD(books->global->slots, 1);
	if (slot >= ready / 2)
		room_ask(books, HEAP_ROOM_SLOTS);
	if (slot >= ready)
		return HEAP_SLOT_NONE;
	totals = totals_get(slot);
	if (!totals)
		return HEAP_SLOT_NONE;
	totals->first_ns = now_ns;
	totals->exec = books->exec;
	for (__u32 i = 0; i < HEAP_LEVELS; i++) {
		__u32 level = i;
		__u64 used;
		void *map;

		if (i >= levels->count)
			return HEAP_SLOT_NONE;
		used = ADD(levels->used[i], 1);
		if (i + 1 == levels->count && used >= levels->capacity[i] / 2)
			room_ask(books, HEAP_ROOM_STACKS);
		map = used < levels->capacity[i] ? bpf_map_lookup_elem(&stacks, &level) : NULL;
		if (map && !bpf_map_update_elem(map, &hash, &slot, BPF_NOEXIST))
			return slot;
		ADD(levels->used[i], -1);
		/* Another CPU was first: its slot is the stack's, ours stays empty. */
		if (stack_find(books, hash, &slot))
			return slot;
	}
	return HEAP_SLOT_NONE;
}

/* Until the ring has taken it, a stack is sent again at each of its allocations. */
static off_the_chain void stack_send(struct books *books, struct heap_scratch *scratch, __u32 slot,
				     __u64 now_ns)
{
	struct heap_totals *totals = totals_get(slot);
	struct heap_stack_record *record = &scratch->record;
	__u64 flags;
	__u32 bytes;

	if (!totals || *(volatile __u32 *)&totals->sent ||
	    __sync_val_compare_and_swap(&totals->sent, 0, 1) != 0)
		return;
	record->time_ns = now_ns;
	record->slot = slot;
	record->tid = (__u32)bpf_get_current_pid_tgid();
	record->exec = books->exec;
	record->end = scratch->walk.end;
	record->count = scratch->walk.count;
	bytes = sizeof(*record) + record->count * sizeof(__u64);
	walk_opaque(bytes);
	if (bytes > HEAP_RECORD_BYTES_MAX)
		bytes = HEAP_RECORD_BYTES_MAX; /* never: for the verifier */
	flags = bpf_ringbuf_query(&heap_stacks, BPF_RB_AVAIL_DATA) > config_wakeup_bytes ? BPF_RB_FORCE_WAKEUP
											 : BPF_RB_NO_WAKEUP;
	if (bpf_ringbuf_output(&heap_stacks, record, bytes, flags)) {
		ADD(books->counters->lost_ring_full, 1);
		__sync_lock_test_and_set(&totals->sent, 0);
	}
}

/* The slot of the stack of this call. */
static __always_inline __u32 stack_take(struct books *books, struct pt_regs *ctx, __u32 kind, __u64 now_ns)
{
	struct heap_walk_context context = {};
	struct heap_scratch *scratch = heap_scratch_claim(books->cpu);
	__u32 slot = HEAP_SLOT_NONE;
	__u64 hash;

	if (!scratch) {
		ADD(books->counters->lost_scratch_busy, 1);
		return HEAP_SLOT_NONE;
	}
	context.walk.walk = &scratch->walk;
	context.walk.frames = scratch->record.frames;
	context.scratch = scratch;
	scratch->hash = config_seed;
	scratch->record.kind = kind;
	walk_take_registers(&scratch->walk, ctx);
	context.walk.memo = memo_claim((__u32)bpf_get_current_pid_tgid());
	walk_start(&scratch->walk, PT_REGS_IP(ctx), PT_REGS_SP(ctx), PT_REGS_FP(ctx), 0);
	memo_start(&context.walk);
	bpf_loop(STACK_USER_MAX, heap_walk_step, &context, 0);
	memo_end(&context.walk);
	memo_release(context.walk.memo);
	ADD(books->counters->frames, scratch->walk.count);
	ADD(books->counters->memo_frames, scratch->walk.adopted);
	if (scratch->walk.unknown_pc) {
		ADD(books->counters->unknown_pc, 1);
		unknown_pc_send(scratch->walk.unknown_pc, now_ns);
	}
	hash = hash_mix(hash_mix(scratch->hash, scratch->walk.end), books->exec);
	if (!stack_find(books, hash, &slot))
		slot = stack_add(books, hash, now_ns);
	if (slot == HEAP_SLOT_NONE)
		ADD(books->counters->lost_stack_full, 1);
	else
		stack_send(books, scratch, slot, now_ns);
	__sync_lock_test_and_set(&scratch->claimed, 0);
	return slot;
}

/* ---- calls ---- */

static __always_inline __u64 multiply(__u64 count, __u64 size)
{
	__u64 most = ~0ull;

	/* Clang would make a 128-bit multiplication of it, which BPF has not. */
	walk_opaque(most);
	/* The call will fail: what it asked for is no number. */
	if (count && size > most / count)
		return most;
	return count * size;
}

/* Where the arguments are when they are in their own registers: nearly always. */
#define OWN_REGISTERS HEAP_COOKIE(0, 7, 6, 2)

/* A register by the number that the processor gives it. The verifier wants constant offsets in ctx: all are
 * copied. */
static off_the_chain __u64 register_read(struct pt_regs *ctx, __u32 number)
{
	volatile __u64 values[16] = {
		ctx->rax, ctx->rcx, ctx->rdx, ctx->rbx, ctx->rsp, ctx->rbp, ctx->rsi, ctx->rdi,
		ctx->r8,  ctx->r9,  ctx->r10, ctx->r11, ctx->r12, ctx->r13, ctx->r14, ctx->r15,
	};

	return values[number & 15];
}

static __always_inline __u64 argument_read(struct pt_regs *ctx, __u64 cookie, unsigned number)
{
	if ((cookie & ~0xffull) == OWN_REGISTERS)
		return number == 0   ? PT_REGS_PARM1(ctx)
		       : number == 1 ? PT_REGS_PARM2(ctx)
				     : PT_REGS_PARM3(ctx);
	return register_read(ctx, HEAP_COOKIE_REGISTER(cookie, number));
}

static off_the_chain void call_read(struct pt_regs *ctx, __u64 cookie, struct pending_call *call)
{
	__u64 first = argument_read(ctx, cookie, 0);
	__u64 second = argument_read(ctx, cookie, 1);
	__u64 third = argument_read(ctx, cookie, 2);
	__u32 kind = HEAP_COOKIE_KIND(cookie);

	call->kind = kind;
	call->address = 0;
	switch (kind) {
	case HEAP_CALLOC:
		call->bytes = multiply(first, second);
		return;
	case HEAP_REALLOC:
		call->address = first;
		call->bytes = second;
		return;
	case HEAP_REALLOCARRAY:
		call->address = first;
		call->bytes = multiply(second, third);
		return;
	case HEAP_MEMALIGN:
		call->bytes = second;
		return;
	case HEAP_POSIX_MEMALIGN:
		call->address = first;
		call->bytes = third;
		return;
	default:
		call->bytes = first;
	}
}

/* Whether this entry lies inside the pending call: deeper on the stack, and the trampoline still stands where
 * that one will return. Its return may have been missed (longjmp), and the stack have grown down again. */
static __always_inline int call_is_inside(const struct books *books, const struct pending_call *call,
					  __u64 sp)
{
	__u64 trampoline = *(volatile __u64 *)&books->room->trampoline, now = 0;

	if (!call->is_active || sp > call->sp)
		return 0;
	return !trampoline || walk_read_stack(&now, 8, call->sp) || now == trampoline;
}

/* A block that was taken out of the books for a call that did nothing to it goes back. */
static off_the_chain void call_restore(struct books *books, struct pending_call *call)
{
	if (call->has_old && !block_put(books, call->address, &call->old)) {
		/* Its place is gone meanwhile: as if it had been refused in the first place. */
		book_free(books, &call->old);
		ADD(books->counters->frees, -1);
		ADD(books->counters->free_bytes, -call->old.bytes);
		ADD(books->counters->refused, 1);
		ADD(books->counters->refused_bytes, call->old.bytes);
	}
	call->has_old = 0;
}

/* A pending call that can never return any more: its thread is outside of it. */
static __always_inline void call_abandon(struct books *books, struct pending_call *call)
{
	ADD(books->counters->abandoned, 1);
	call_restore(books, call);
	call->is_active = 0;
}

/* Whether the thread is still inside its last free(): deeper on the stack, and the return address of that one
 * is where it was. An interposed free() calls the next one, perhaps with an address of its own. */
static __always_inline int free_is_inside(const struct pending_call *call, __u64 sp, __u64 ip)
{
	__u64 now = 0;

	/* The same function at the same place has been called again. */
	if (sp == call->freed_sp && ip == call->freed_ip)
		return 0;
	return call->freed_sp && sp <= call->freed_sp && !walk_read_stack(&now, 8, call->freed_sp) &&
	       now == call->freed_return;
}

static __always_inline void free_remember(struct books *books, struct pending_call *call, __u64 sp, __u64 ip)
{
	call->freed_sp = 0;
	/* One read more, only where it can matter. */
	if (*(volatile __u32 *)&books->room->free_files > 1 && !walk_read_stack(&call->freed_return, 8, sp)) {
		call->freed_sp = sp;
		call->freed_ip = ip;
	}
}

/* Books a free; of a block that is unknown only when it was there before us. */
static off_the_chain void call_free(struct books *books, __u64 address, __u64 sp, __u64 ip)
{
	struct pending_call *call;
	struct heap_block block;

	if (!address)
		return;
	call = bpf_task_storage_get(&pending_calls, bpf_get_current_task_btf(), 0,
				    BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (block_take(books, address, &block)) {
		book_free(books, &block);
	} else if (call && (call_is_inside(books, call, sp) || free_is_inside(call, sp, ip))) {
		ADD(books->counters->nested, 1);
		return;
	} else {
		ADD(books->counters->frees_before, 1);
	}
	if (call)
		free_remember(books, call, sp, ip);
}

/* Returns whether its return is wanted. */
static __always_inline int call_enter(struct books *books, struct pt_regs *ctx, __u64 cookie, __u64 now_ns,
				      int can_veto)
{
	__u32 kind = HEAP_COOKIE_KIND(cookie);
	struct pending_call *call = bpf_task_storage_get(&pending_calls, bpf_get_current_task_btf(), 0,
							 BPF_LOCAL_STORAGE_GET_F_CREATE);
	__u64 sp = PT_REGS_SP(ctx);

	if (!call) {
		ADD(books->counters->lost_pending, 1);
		return 0;
	}
	if (call_is_inside(books, call, sp)) {
		ADD(books->counters->nested, 1);
		/* Its return cannot be vetoed, and comes at the same stack pointer before the call's own. */
		if (!can_veto && sp == call->sp)
			call->tail_calls++;
		return 0;
	}
	if (call->is_active)
		call_abandon(books, call);
	call_read(ctx, cookie, call);
	call->sp = sp;
	call->tail_calls = 0;
	call->has_old = 0;
	call->freed_sp = 0;
	if ((kind == HEAP_REALLOC || kind == HEAP_REALLOCARRAY) && call->address)
		call->has_old = block_take(books, call->address, &call->old);
	call->slot = stack_take(books, ctx, kind, now_ns);
	call->is_active = 1;
	return 1;
}

/* The block that was reallocated, or freed by realloc(p, 0). */
static __always_inline void call_free_old(struct books *books, struct pending_call *call)
{
	if (call->has_old)
		book_free(books, &call->old);
	else if (call->address)
		ADD(books->counters->frees_before, 1);
	call->has_old = 0;
}

static __always_inline void call_book(struct books *books, struct pending_call *call, __u64 result,
				      __u64 now_ns)
{
	int is_realloc = call->kind == HEAP_REALLOC || call->kind == HEAP_REALLOCARRAY;

	if (call->kind == HEAP_POSIX_MEMALIGN) {
		if (result || bpf_probe_read_user(&result, sizeof(result), (const void *)call->address))
			result = 0;
	}
	if (!result && is_realloc && call->address && !call->bytes) {
		call_free_old(books, call);
		return;
	}
	if (!result) {
		ADD(books->counters->failed, 1);
		call_restore(books, call);
		return;
	}
	if (is_realloc)
		call_free_old(books, call);
	block_add(books, result, call->bytes, call->slot, now_ns);
}

static __always_inline void call_leave(struct books *books, struct pt_regs *ctx, __u64 now_ns)
{
	struct pending_call *call = bpf_task_storage_get(&pending_calls, bpf_get_current_task_btf(), 0, 0);
	__u64 sp = PT_REGS_SP(ctx) - 8; /* the return address has been taken off the stack */

	if (!call || !call->is_active || sp < call->sp)
		return; /* of a call inside, or of one that was not followed */
	if (sp > call->sp) {
		call_abandon(books, call);
		return;
	}
	if (call->tail_calls) {
		call->tail_calls--;
		return;
	}
	call_book(books, call, PT_REGS_RC(ctx), now_ns);
	call->is_active = 0;
}

/* ---- the programs' common frame ---- */

static __always_inline int is_target(void)
{
	return bpf_get_current_pid_tgid() >> 32 == config_tgid;
}

/* Returns whether the return is wanted. */
static __always_inline int on_alloc(struct pt_regs *ctx, __u64 cookie, int can_veto)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct books books;
	int is_wanted;

	if (!books_open(&books))
		return 0;
	ADD(books.counters->hits, 1);
	is_wanted = call_enter(&books, ctx, cookie, now_ns, can_veto);
	ADD(books.counters->program_ns, bpf_ktime_get_ns() - now_ns);
	return is_wanted;
}

static __always_inline void on_free(struct pt_regs *ctx, __u64 cookie)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct books books;

	if (!books_open(&books))
		return;
	ADD(books.counters->hits, 1);
	call_free(&books, argument_read(ctx, cookie, 0), PT_REGS_SP(ctx), PT_REGS_IP(ctx));
	ADD(books.counters->program_ns, bpf_ktime_get_ns() - now_ns);
}

static __always_inline void on_leave(struct pt_regs *ctx)
{
	__u64 now_ns = bpf_ktime_get_ns();
	struct books books;

	if (!books_open(&books))
		return;
	ADD(books.counters->hits, 1);
	call_leave(&books, ctx, now_ns);
	ADD(books.counters->program_ns, bpf_ktime_get_ns() - now_ns);
}

/* The blocks of a program that exec replaces are gone with it. The other threads have ended before. */
SEC("tp_btf/sched_process_exec")
int BPF_PROG(on_heap_exec, struct task_struct *task)
{
	struct heap_totals *totals;
	struct pending_call *call;
	struct books books;

	if ((__u32)task->tgid != config_tgid || !books_open(&books))
		return 0;
	ADD(books.global->exec, 1);
	totals = totals_get(HEAP_SLOT_NONE);
	if (totals) {
		totals->exec = (__u32)books.global->exec;
		totals->free_count = totals->alloc_count;
		totals->free_bytes = totals->alloc_bytes;
	}
	ADD(books.global->gone_blocks, __sync_lock_test_and_set(&books.global->live_blocks, 0));
	ADD(books.global->gone_bytes, __sync_lock_test_and_set(&books.global->live_bytes, 0));
	call = bpf_task_storage_get(&pending_calls, bpf_get_current_task_btf(), 0, 0);
	if (call) {
		call->is_active = 0;
		call->freed_sp = 0;
	}
	return 0;
}

#endif
