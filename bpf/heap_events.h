/* What the heap programs, the probe and kiln share: the books of a process's allocations. Data only.
 *
 * The books: every block that was allocated while the probes were in place is an element of the hash "blocks"
 * (address → struct heap_block), every allocating stack has a slot of counters (struct heap_totals), and all
 * of them together have one struct heap_global and per-CPU struct heap_counters. Books that are read while
 * nothing runs close, to the byte:
 *   allocs = frees + live + gone + refused         (blocks, and the same in bytes)
 *   Σ over slots = the sums of the counters
 *   lookups = frees + frees_before
 * Units: bytes are bytes requested; _ns is CLOCK_MONOTONIC.
 * Invariant: these formats are final; what comes later uses reserved words.
 */
#ifndef KILN_BPF_HEAP_EVENTS_H
#define KILN_BPF_HEAP_EVENTS_H

#include <linux/types.h>

/* Which argument of a hooked function is what. */
enum heap_kind {
	HEAP_MALLOC = 1, /* (size): malloc, valloc, pvalloc, operator new; further arguments do not matter */
	HEAP_CALLOC,	 /* (count, size) */
	HEAP_REALLOC,	 /* (block, size) */
	HEAP_REALLOCARRAY,   /* (block, count, size) */
	HEAP_MEMALIGN,	     /* (alignment, size): memalign, aligned_alloc */
	HEAP_POSIX_MEMALIGN, /* (&result, alignment, size): returns 0 or an error number */
	HEAP_FREE,	     /* (block): free, operator delete */
	HEAP_KINDS,
};

/* The cookie of a probe: the kind, and the numbers of the registers that hold the first three arguments where
 * the trap is (bpf/insn.h). */
#define HEAP_COOKIE(kind, first, second, third)                                                              \
	((__u64)(kind) | (__u64)(first) << 8 | (__u64)(second) << 16 | (__u64)(third) << 24)
#define HEAP_COOKIE_KIND(cookie)	     ((__u32)((cookie)&0xff))
#define HEAP_COOKIE_REGISTER(cookie, number) ((__u32)((cookie) >> (8 + 8 * (number)) & 0xff))

/* ---- a block, as it lies in the hash "blocks" ---- */
struct heap_block {
	__u64 bytes;
	__u64 time_ns;
	__u32 slot; /* of its stack */
	__u32 tid;
	__u32 exec; /* of struct heap_global then: a block of another program has gone with that program */
	__u32 reserved;
};

/* ---- counters of one stack: element of a chunk (mmapable array of HEAP_CHUNK_SLOTS) ----
 * Live are alloc - free. The part of the stack in the peak of the whole heap is peak_bytes when peak_epoch
 * equals that of struct heap_global, else its live bytes: it has not changed since.
 */
struct heap_totals {
	__u64 alloc_count, alloc_bytes;
	__u64 free_count, free_bytes;
	__u64 peak_bytes;
	__u64 peak_epoch;
	__u64 first_ns;
	__u32 sent; /* the ring has taken its struct heap_stack_record */
	__u32 exec;
};

#define HEAP_CHUNK_SLOTS (1u << 14)
#define HEAP_CHUNKS	 64u
#define HEAP_SLOTS	 (HEAP_CHUNK_SLOTS * HEAP_CHUNKS)
/* Of allocations whose stack could not be taken, which is counted. Its frees include what has gone with an
 * exec. */
#define HEAP_SLOT_NONE 0u

/* ---- the whole heap: the one element of the mmapable array "heap_global" ---- */
struct heap_global {
	__u64 live_blocks, live_bytes;
	__u64 peak_bytes;
	__u64 peak_epoch; /* grows by one with each new peak */
	__u64 peak_ns;
	__u64 gone_blocks, gone_bytes; /* that were live when the target called exec */
	__u32 slots;		       /* given so far; slot 0 is HEAP_SLOT_NONE */
	__u32 peak_exec;	       /* exec at the peak: slots of others have no part in it */
	__u64 exec;		       /* how often the target has called exec since the books were opened */
	__u64 rest[6];
};

/* ---- per-CPU counters: element of the mmapable array "heap_counters" ---- */
struct heap_counters {
	__u64 hits; /* of entry and return probes */
	__u64 program_ns;
	__u64 allocs, alloc_bytes;
	__u64 frees, free_bytes;
	__u64 failed;	    /* calls that returned NULL, or an error number */
	__u64 frees_before; /* frees and reallocs of blocks that are not in the books */
	__u64 nested;	    /* calls inside a call that is counted already */
	__u64 abandoned;    /* calls that never returned (longjmp, thread cancelled), or returns of no call */
	__u64 refused, refused_bytes; /* blocks without room in "blocks" (lost live_map_full): neither live
					 nor freed */
	__u64 lost_scratch_busy;      /* stacks not walked: the block has HEAP_SLOT_NONE */
	__u64 lost_stack_full;	      /* stacks without a slot: HEAP_SLOT_NONE */
	__u64 lost_ring_full;	      /* stacks not sent: tried again at their next allocation */
	__u64 lost_pending; /* calls not followed, because the kernel had no memory for their thread */
	__u64 unknown_pc;
	__u64 unseen_frees; /* of frees: the address was given out again, so its block must have been freed
			       unseen */
	__u64 frames;	    /* of the stacks that were taken */
	__u64 memo_frames;  /* of them: proved unchanged instead of walked */
	__u64 reserved[12];
};

/* ---- a stack, as it lies in the ring "heap_stacks": once for each slot, before or after it counts ---- */
struct heap_stack_record {
	__u64 time_ns;
	__u32 slot;
	__u32 tid; /* of the first that was there */
	__u32 exec;
	__u8 end;  /* enum stack_end */
	__u8 kind; /* enum heap_kind */
	__u16 count;
	__u64 frames[]; /* leaf first: the leaf is the hooked function itself */
};

/* ---- how much room the maps have: the one element of the mmapable array "heap_room" ----
 * Maps cannot grow: another level, twice as big, is put beside the full ones by the probe, which is told when
 * the newest one is half full (CONTROL_HEAP_ROOM).
 */
enum heap_room_kind { HEAP_ROOM_BLOCKS, HEAP_ROOM_STACKS, HEAP_ROOM_SLOTS, HEAP_ROOM_KINDS };

#define HEAP_LEVELS	  8
#define HEAP_LEVEL_BLOCKS (1u << 18) /* in the first level */
#define HEAP_LEVEL_STACKS (1u << 16)

struct heap_levels {
	__u32 count; /* in place */
	__u32 reserved;
	__u64 capacity[HEAP_LEVELS];
	__u64 used[HEAP_LEVELS];
};

struct heap_room {
	__u32 is_closed;  /* set by the probe: nothing is booked */
	__u32 free_files; /* files with a probed free(): of several, one may call another's */
	__u64 trampoline; /* the address that stands in place of a return that is probed; 0: not known yet */
	struct heap_levels blocks, stacks;
	__u32 slots;			 /* in chunks that are in place */
	__u32 is_asked[HEAP_ROOM_KINDS]; /* the probe has been told */
};

#endif
