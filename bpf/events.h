/* Records and limits that the kernel programs and user space share: data only.
 *
 * Units: _ns is CLOCK_MONOTONIC nanoseconds unless it is a duration; offsets are bytes.
 * Invariant: these formats are final; what comes later adds values at the ends of the enums, not fields.
 */
#ifndef KILN_BPF_EVENTS_H
#define KILN_BPF_EVENTS_H

#include <linux/types.h>

/* ---- frames ----
 * A frame is one 64-bit word: module id << 48 | offset. Module ids are given by the probe, and never reused
 * within a session. The offset is
 *   files and vDSO:              the offset in the file (not the ELF virtual address: the probe parses no
 * ELF), kernel, anonymous, unmapped: the low 48 bits of the address. A frame that is not the leaf is a return
 * address: names and lines are looked up at offset - 1.
 */
#define FRAME_OFFSET_BITS 48
#define FRAME_OFFSET_MASK ((1ull << FRAME_OFFSET_BITS) - 1)

enum module_id {
	MODULE_UNKNOWN = 0, /* a pc in no known executable mapping */
	MODULE_KERNEL = 1,
	MODULE_ANONYMOUS = 2, /* executable memory without a file: JIT code */
	MODULE_VDSO = 3,
	MODULE_STACK_END =
		4, /* made by profile/: offset is an enum stack_end; root of every stack that is not whole */
	MODULE_MERGED = 5, /* made by profile/: stands for the middle of stacks that were too many to keep */
	MODULE_FIRST_FILE = 16,
	MODULE_LIMIT = 65536,
};

#define FRAME(module, offset) (((__u64)(module) << FRAME_OFFSET_BITS) | ((__u64)(offset)&FRAME_OFFSET_MASK))
#define FRAME_MODULE(frame)   ((__u32)((__u64)(frame) >> FRAME_OFFSET_BITS))
#define FRAME_OFFSET(frame)   ((__u64)(frame)&FRAME_OFFSET_MASK)

/* ---- how a user stack ended ---- (CLI names: complete truncated no_mapping no_table …) */
enum stack_end {
	STACK_COMPLETE,	  /* the root: return address undefined by its rule, or zero */
	STACK_TRUNCATED,  /* deeper than STACK_USER_MAX: cut at the root side */
	STACK_NO_MAPPING, /* the pc is in no known executable mapping */
	STACK_NO_TABLE,	  /* the module has no table (yet) */
	STACK_NO_RULE,	  /* the table has no rule for this pc, or one that the walker does not know */
	STACK_BAD_CFA,	  /* the CFA did not grow */
	STACK_BAD_RETURN, /* the return address is no user address in an executable mapping */
	STACK_UNREADABLE, /* stack memory could not be read */
	STACK_TRAMPOLINE, /* stopped at a uretprobe trampoline */
	STACK_JIT,	  /* stopped in executable memory without a file */
	STACK_ENDS,
};

#define STACK_USER_MAX	 1024
#define STACK_KERNEL_MAX 127 /* kernel.perf_event_max_stack by default */

/* ---- a CPU sample, as it lies in the ring "samples" ---- */
enum sample_mode { SAMPLE_USER, SAMPLE_KERNEL };

struct sample_record {
	__u64 time_ns;
	__u32 tid;
	__u16 cpu;
	__u8 mode; /* enum sample_mode: what the sample interrupted */
	__u8 end;  /* enum stack_end of the user stack */
	__u16 kernel_count;
	__u16 user_count;
	__u32 reserved;
	__u64 frames[]; /* kernel_count then user_count frames, each leaf first */
};

/* ---- counters: one struct per possible CPU in the mmapable array "counters" ----
 * Closed accounts: attempts == delivered + lost_ring_full + lost_scratch_busy.
 */
struct cpu_counters {
	__u64 attempts; /* samples that hit the target */
	__u64 delivered;
	__u64 lost_ring_full;
	__u64 lost_scratch_busy;
	__u64 program_ns; /* time inside the program, summed over attempts */
	__u64 unknown_pc; /* walks that met a pc in no known mapping */
	__u64 frames;	  /* of user stacks */
	__u64 adopted;	  /* of them: taken from the memo of the thread's last stack, proved unchanged */
	__u64 memo_wrong; /* stacks that were another one by the memo, where that is checked: 0 */
	__u64 reserved[7];
};

/* ---- what happens to the target: ring "control", read by the probe ---- */
enum control_kind {
	CONTROL_EXEC,
	CONTROL_FORK,
	CONTROL_EXIT,
	CONTROL_UNKNOWN_PC, /* a pc in no mapping, or where a mapping has been replaced */
	CONTROL_HEAP_ROOM,  /* the heap's maps are half full: value says which (enum heap_room_kind) */
};

struct control_record {
	__u32 kind; /* enum control_kind */
	__u32 pid;  /* FORK: the child; EXEC: the thread that called it */
	__u64 time_ns;
	__u64 value;  /* EXIT: status as wait(2) gives it; EXEC: new exec count; FORK: children so far, of
			 which  not all are told */
	__u64 cpu_ns; /* EXIT: CPU time of the whole process; 0 unknown */
};

/* ---- the target's life: the one element of the array "life" ---- */
struct target_life {
	__u64 exec_count; /* since the programs were attached */
	__u64 fork_count;
	__u64 control_lost;    /* control records that found their ring full */
	__u64 unknown_sent_ns; /* when CONTROL_UNKNOWN_PC was sent last */
	__u64 remap_count;     /* memory was mapped where the published mappings had code */
	__u64 reserved[3];
};

/* ---- where memory was mapped in place of published code: the one element of the array "remaps" ----
 * The newest ranges, [remap_count % REMAPS_MAX] is written next.
 */
#define REMAPS_MAX 1024
/* Of so many the oldest may be overwritten while they are read: then all mappings count as replaced. */
#define REMAPS_READ_MAX (REMAPS_MAX / 2)

struct remaps {
	struct {
		__u64 low, high; /* [low, high) */
	} ranges[REMAPS_MAX];
};

/* ---- executable mappings of the target, sorted by start: inner array "mappings" ----
 * Element 0 is a struct mapping_header, elements 1 to count are struct mapping.
 */
struct mapping {
	__u64 start, end; /* [start, end) */
	__u64 offset;	  /* frame offset of start: of a file its file offset; anonymous: start itself */
	__u32 module;
	__u32 flags; /* MAPPING_… */
};
#define MAPPING_TRAMPOLINE 1 /* the kernel's [uprobes] page */

struct mapping_header {
	__u64 count;
	__u64 exec_count; /* of the target when the mappings were read: differs = they are another program's
			   */
	__u64 generation;
	__u64 remap_count; /* of the target then: differs = some of them have been replaced since
			      (struct remaps) */
};

/* ---- files that have an id: hash "files" ---- */
struct file_key {
	__u64 inode;
	__u32 device; /* as the kernel writes it: major << 20 | minor */
	__u32 reserved;
};

struct known_file {
	__u64 size_bytes;
	__s64 modified_s;
	__u32 modified_ns;
	__u32 module;
};
#define KNOWN_FILES_MAX 4096 /* the newest; of others the mappings are read first */

#endif
