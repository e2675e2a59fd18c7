/* The model: what was sampled, by stack and function, always summed up and ready to be shown.
 *
 * Two tries: stacks of frames (module, offset), as they come from the kernel, and the call tree of functions,
 * as people read it. A frame that has no name yet is a function of its own, "module+0xADDRESS"; when its name
 * arrives, the stacks through it move to their right place. What came since the last look is added to the
 * sums before the next one (settle.h): no reader walks over everything, whatever it asks.
 *
 * Invariants: samples = user_samples + kernel_samples = Σ ends. Σ self of all functions = samples. A
 * function's total counts a sample once however often it recurs. A stack that is not complete hangs below a
 * root frame of module MODULE_STACK_END, so that it is never mistaken for a whole one. Frames: word of
 * bpf/events.h; here every frame that is not the leaf has 1 subtracted from its offset (a return address is
 * looked up inside the call). Ownership: strings are copied in; strings handed out live as long as the
 * profile. Units: times are ns since the start of the session (of the attach). Errors: adding a sample never
 * fails: when memory is short it is counted as lost (LOST_READER_DROPPED).
 */
#ifndef KILN_PROFILE_PROFILE_H
#define KILN_PROFILE_PROFILE_H

#include "base/error.h"
#include "bpf/events.h"
#include "symbolizer/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct profile;

struct error *profile_create(struct profile **ret);
void profile_destroy(struct profile *profile); /* NULL accepted */

/* What the samples of a profile stand for: those of a heap's profile (heap.h) are bytes or blocks. */
enum profile_unit { PROFILE_SAMPLES, PROFILE_BYTES, PROFILE_BLOCKS };
enum profile_unit profile_get_unit(const struct profile *profile);

/* Grows by one with everything that changes what a view could show. */
uint64_t profile_get_revision(const struct profile *profile);

/* ---- facts about the session ---- */

enum exit_kind { EXIT_NONE, EXIT_CODE, EXIT_SIGNAL };

enum lost_reason {
	LOST_CPU_RING_FULL,
	LOST_CPU_SCRATCH_BUSY,
	LOST_HEAP_RING_FULL,
	LOST_HEAP_SCRATCH_BUSY,
	LOST_LIVE_MAP_FULL,
	LOST_STACK_MAP_FULL,
	LOST_READER_DROPPED,
	LOST_REASONS,
};
extern const char *const lost_reason_names[LOST_REASONS]; /* CLI.md: "cpu_ring_full" … */
extern const char *const stack_end_names[STACK_ENDS]; /* CLI.md: "complete" "truncated" "no_mapping" … */

/* All strings may be NULL (unknown). Numbers that are not known are NAN. */
struct facts {
	uint32_t pid;
	const char *comm, *exe, *cmdline;
	const char *host, *kernel, *version;
	uint64_t start_unix_ns; /* wall clock of the attach */
	uint64_t duration_ns;	/* of collecting, so far */
	double hz_requested;
	double target_cpu_s; /* CPU seconds of the target since the attach */
	double self_cpu_s;   /* of all kiln processes */
	uint64_t probe_hits;
	uint64_t probe_ns_total;
	uint64_t frames, memo_frames; /* of user stacks; of them: proved unchanged instead of walked */
	uint64_t memo_wrong;	      /* stacks that the memo had wrong, where that is checked: 0 */
	enum exit_kind exit_kind;
	int exit_value;
	bool uses_cpu_clock;	     /* cpu-clock, not hardware cycles */
	const char *heap_why;	     /* why the heap is not measured */
	uint64_t lost[LOST_REASONS]; /* LOST_READER_DROPPED: only what the session dropped, the profile adds
					its own */
	bool is_rescued;	     /* saved after the probe had died: the end of the session is missing */
};
/* Copies the facts in (strings too) and counts as a change. */
struct error *profile_set_facts(struct profile *profile, const struct facts *facts);
void profile_get_facts(const struct profile *profile, struct facts *ret);

/* What happened to the target: attached, exec, fork, exit, rescue. */
struct event {
	uint64_t time_ns;
	const char *text; /* one sanitized line */
};
/* The first 10,000 are kept, and then one that says so. */
struct error *profile_add_event(struct profile *profile, uint64_t time_ns, const char *text);
size_t profile_count_events(const struct profile *profile);
struct event profile_get_event(const struct profile *profile, size_t index);

/* ---- modules ---- */

struct module {
	uint32_t id;
	enum module_kind kind;
	enum module_symbols symbols;
	const char *path;     /* "" for the kernel; "[vdso]" … */
	const char *name;     /* last component of the path; "[kernel]", "[vdso]", "[anon]", "[unknown]" */
	const char *build_id; /* hex; "" unknown */
	uint64_t samples;     /* whose leaf is in it */
};
/* Adds or changes; NULL strings leave what is there. The fixed modules of enum module_id always exist. */
struct error *profile_set_module(struct profile *profile, uint32_t id, enum module_kind kind,
				 const char *path);
struct error *profile_set_module_info(struct profile *profile, const struct info_message *info);
/* For snapshots, which know the build-id as text. */
struct error *profile_set_module_symbols(struct profile *profile, uint32_t id, enum module_symbols symbols,
					 const char *build_id);
size_t profile_count_modules(const struct profile *profile);
struct module profile_get_module(const struct profile *profile, size_t index);
bool profile_find_module(const struct profile *profile, uint32_t id, struct module *ret);

/* ---- samples ---- */

/* The record lies in the ring; time is made relative with start_ns. */
void profile_add_sample(struct profile *profile, const struct sample_record *record, uint64_t start_ns);

struct totals {
	uint64_t samples, user_samples, kernel_samples;
	uint64_t ends[STACK_ENDS];
	uint64_t lost[LOST_REASONS];
};
void profile_get_totals(const struct profile *profile, struct totals *ret);
/* Sum of the losses of CPU samples. */
uint64_t totals_sum_lost(const struct totals *totals);

/* ---- stacks of frames (for snapshots and exports) ---- */

/* A stack is a node of the frame trie; 0 is the root (no frame). Nodes are numbered from 1, parents before
 * children. */
struct stack {
	uint32_t parent;
	uint64_t frame;
	uint64_t self;	      /* samples whose leaf this is */
	uint64_t self_kernel; /* of them in kernel mode */
	enum stack_end end;
};
uint32_t profile_count_stacks(const struct profile *profile); /* highest number */
struct stack profile_get_stack(const struct profile *profile, uint32_t number);
/* For snapshots: finds or adds the child of a stack; 0 when memory is short, when there is no such parent,
 * and when the stack is deeper than any can be (8192). */
uint32_t profile_intern_stack(struct profile *profile, uint32_t parent, uint64_t frame);
/* For snapshots: count samples at once. More than one: they are taken as spread over the second of time_ns,
 * and the log keeps no thread and CPU. `end` must be that of the stack (struct stack). What is malformed is
 * counted as lost. */
void profile_add_samples(struct profile *profile, uint32_t stack, uint64_t time_ns, uint32_t tid,
			 uint16_t cpu, enum sample_mode mode, enum stack_end end, uint64_t count);

/* ---- the log of samples (timeline.c): 16 bytes a sample, folded to seconds when old ---- */

struct log_entry {
	uint64_t time_ns;
	uint32_t tid, stack, count;
	uint16_t cpu;
	uint8_t mode, end;
};
size_t profile_count_log(const struct profile *profile);
struct log_entry profile_get_log(const struct profile *profile, size_t index);

/* ---- names ---- */

/* Frames that were seen and not asked for yet, of one module, at most max; marks them as asked. 0: none. */
size_t profile_take_unnamed(struct profile *profile, uint32_t *ret_module, uint64_t *ret_offsets, size_t max);

/* The files that name the code of a module (MODULE_ANONYMOUS) have come, or have got more: the frames that
 * are still "[anon]" are taken once more. Until this is called the first time they are not taken at all. */
void profile_ask_again(struct profile *profile, uint32_t module);

/* One level of a frame: a function that is inlined into that of the next level, or (the last one) the
 * concrete one. */
struct frame_name {
	uint64_t start;	      /* ELF virtual address of function or FDE, else of the address */
	const char *function; /* NULL: none; "module+0xSTART" is made from start */
	const char *file;     /* NULL unknown */
	uint32_t line;
	size_t function_length, file_length;
	bool is_fde;
};
/* An answer for one frame, its levels innermost first: file and line are those of the instruction, of outer
 * levels those of the call. Moves its stacks to their functions. A frame that is not there (any more) has
 * none.
 */
void profile_set_name(struct profile *profile, uint64_t frame, const struct frame_name *levels, size_t count);
/* For snapshots. false: not named yet. */
bool profile_get_name(const struct profile *profile, uint64_t frame, uint32_t *ret_function,
		      const char **ret_file, uint32_t *ret_line);
/* For snapshots: the frame belongs to this function (a number of profile_intern_function). */
void profile_set_frame(struct profile *profile, uint64_t frame, uint32_t function, const char *file,
		       uint32_t line);
uint32_t profile_intern_function(struct profile *profile, uint32_t module, const char *name);

/* A call that was inlined: the function that it stands in, and where; numbered from 1, outer ones first. */
struct inlined {
	uint32_t around;   /* the call through which that function was inlined in its turn; 0: none */
	uint32_t function; /* number */
	const char *file;  /* of the call; "" unknown */
	uint32_t line;
};
uint32_t profile_count_inlines(const struct profile *profile); /* highest number */
struct inlined profile_get_inline(const struct profile *profile, uint32_t number);
/* For snapshots: finds or adds; 0 when it is none, too deep, or memory is short. */
uint32_t profile_intern_inline(struct profile *profile, const struct inlined *inlined);
/* The innermost call that a frame was inlined through; 0: none. */
uint32_t profile_get_frame_inline(const struct profile *profile, uint64_t frame);
/* For snapshots: of a frame that has its function. */
void profile_set_frame_inline(struct profile *profile, uint64_t frame, uint32_t number);

/* ---- functions ---- */

struct function {
	const char *name;
	uint32_t module;
	const char *module_name;
	const char *file; /* of its hottest frame whose line is known; "" unknown */
	uint32_t line;	  /* 0 unknown */
	uint64_t self, total;
	bool is_provisional; /* "module+0xADDRESS": the name may still come */
};
/* Numbers are 0 … count - 1, and never mean another function. Some are empty; some have gone: provisional
 * ones whose name has come. They have no samples. */
uint32_t profile_count_functions(const struct profile *profile);
struct function profile_get_function(const struct profile *profile, uint32_t number);
/* The function at a place of the list sorted by self, largest first: O(1), but after very much has changed at
 * once, when it is sorted anew. */
uint32_t profile_get_function_by_self(const struct profile *profile, uint32_t rank);
/* How many functions have self > 0 (or total > 0: they come first in the list by self, in no order). */
uint32_t profile_count_hot(const struct profile *profile);

struct neighbour {
	uint32_t function;
	uint64_t samples;
};
#define NEIGHBOUR_NONE UINT32_MAX /* as a caller: it is a root; as a callee: self */
/* Who calls a function (Σ = its total), and what it calls (Σ = its total, with its self), heaviest first. In
 * recursion the outermost call counts for callers, the innermost for callees. Returns how many there are;
 * writes at most max. */
size_t profile_list_callers(struct profile *profile, uint32_t function, struct neighbour *ret, size_t max);
size_t profile_list_callees(struct profile *profile, uint32_t function, struct neighbour *ret, size_t max);

/* ---- timeline ---- */

struct timeline_column {
	double user, kernel, unknown; /* cores, mean over the column; unknown: stacks that are not complete */
	double peak;		      /* cores, the largest of its buckets */
	bool has_data;		      /* false: before the start, after the end, or collecting was paused */
};
/* Cuts [from_ns, to_ns) into columns of equal length. Times are read as signed: a window of the last minute
 * may begin before the start. */
void profile_read_timeline(const struct profile *profile, uint64_t from_ns, uint64_t to_ns,
			   struct timeline_column *ret, size_t columns);
/* Collecting was off from … to: no data there, which is not the same as no CPU. Gaps come in time order. */
struct error *profile_add_gap(struct profile *profile, uint64_t from_ns, uint64_t to_ns);
size_t profile_count_gaps(const struct profile *profile);
void profile_get_gap(const struct profile *profile, size_t index, uint64_t *ret_from_ns, uint64_t *ret_to_ns);

#endif
