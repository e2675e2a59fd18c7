/* The table walker: from (pc, sp, bp) to the frames of a user stack, one frame a step.
 *
 * It compiles for BPF, where walk_step() is the callback of bpf_loop(), and as plain C for tests and fuzzing.
 * Whoever includes it as plain C defines the nine accessors below first (static functions).
 *
 * A step looks the pc up in the mappings (binary search, the last hit remembered), then in its module's table
 * (page index, binary search inside one map value), and applies the rule. Code without a rule (JITs, Go,
 * hand-written code) is left by its frame pointer, where the return address that this finds stands behind a
 * call. Nothing that comes from the target's memory is trusted: the CFA must grow, the return address must
 * lie in an executable mapping. Nothing that comes from a table can lead outside of it: every index is
 * masked, and the probe has checked the table before (tables.c).
 *
 * Mappings and tables may be replaced between two steps: every lookup that fails ends the walk with its
 * reason.
 */
#ifndef KILN_BPF_UNWIND_BPF_H
#define KILN_BPF_UNWIND_BPF_H

#include "bpf/events.h"
#include "bpf/limits.h"
#include "bpf/table.h"

#define TABLE_CHUNK_MASK (TABLE_CHUNK_WORDS - 1)
#define TABLE_WORD_BYTES 4

/* Halvings of the search among the rows of a page: it has at most one for each byte. */
#define ROW_SEARCH_STEPS TABLE_PAGE_SHIFT

/* The target's stack is read in windows of so many bytes: one read costs 125 ns here, whatever its size
 * (stac, barriers, clac); one a frame would be two thirds of the whole walk. */
#define WALK_WINDOW_BYTES 1024
/* Where the memo says how far the stack goes, so much is read at once. */
#define WALK_WINDOW_MOST_BYTES (16 * 1024)
#define WALK_WINDOW_WORDS      (WALK_WINDOW_MOST_BYTES / 8)

/* The longest stack that one record holds, and a little room for a kernel frame more than expected. */
#define WALK_FRAMES_MAX (STACK_KERNEL_MAX + 1 + STACK_USER_MAX)

/* A walk that meets a trampoline looks at so many of the thread's pending returns. */
#define PENDING_RETURNS_MAX 16
/* What the trampoline's own code has pushed when it is interrupted (x86-64 from 6.11 on: three registers). */
#define TRAMPOLINE_PUSHES_BYTES 64
/* Offsets in it: pop r11, pop rcx, ret. */
#define TRAMPOLINE_AFTER_CALL 13
#define TRAMPOLINE_SECOND_POP 15
#define TRAMPOLINE_RETURN     16

/* The kernel's order of the registers in a ucontext (struct sigcontext): r8 to r15, rdi, rsi, rbp, rbx, rdx,
 * rax, rcx, rsp, rip. */
#define GREGS_COUNT 17
#define GREGS_RSP   15
#define GREGS_RIP   16
/* They begin so far above rsp when the handler has returned to its restorer (struct rt_sigframe). */
#define GREGS_AT 40
/* A frame of code without rules is hardly larger. */
#define FRAME_POINTER_REACH (8u << 20)
/* So often a chain of frame pointers may go over to another stack: it must end. */
#define SWITCHES_MAX 4

/* What one walk knows. Lives in scratch memory: the BPF stack has 512 bytes. */
struct walk {
	__u64 pc, sp, bp;
	__u64 registers[UNWIND_REGISTERS]; /* by DWARF number, without sp and bp; only when is_exact */
	__u32 is_exact; /* pc is no return address, but what was interrupted: the top frame, and by a signal
			 */
	__u32 is_by_pointer; /* the last step was by frame pointer */
	__u32 switches;	     /* of stacks by it */
	__u32 has_rbx;	     /* rbx is the frame's; of the top frame it is among the registers */
	__u64 rbx;
	/* What a step without a rule reads: the code at pc, before a return address, two words of the stack.
	 */
	__u64 code[2], call, words[2];
	__u64 unknown_pc;	/* the pc that was in no mapping; 0: none */
	struct mapping mapping; /* the last hit */
	__u32 table_module;	/* whose header is remembered; 0: none */
	__u32 first_page, page_count, pages_at, rules_at;
	__u32 first;	     /* index of the leaf in frames */
	__u32 count;	     /* frames written */
	__u32 end;	     /* enum stack_end */
	__u32 has_no_window; /* one could not be read: the end of the stack is near */
	__u32 window_bytes;  /* of window that hold the stack: all or, before the first read, none */
	__u64 window_start;  /* address of its first word */
	/* unwind_memo.bpf.h: where in the last walk this one is, how many frames that has, and this one so
	 * far; which half of the memo is the last walk's; frames that were not walked. */
	__u32 memo_at, memo_count, memo_made, memo_turn, adopted;
	__u64 memo_generation, memo_step; /* of the last rule that was applied, if it was a plain one */
	__u64 window[WALK_WINDOW_WORDS];
};

/* Deeper frames are not remembered. */
#define MEMO_FRAMES 512

struct memo_frame {
	__u64 pc, sp, bp;
	__u64 frame;
	__u64 step; /* to the next frame: MEMO_… */
};

/* Two walks of one thread: the last one, and the one that is being made. */
struct walk_memo {
	__u32 claimed;
	__u32 turn;  /* of the last one in frames */
	__u32 count; /* its frames */
	__u32 reserved;
	__u64 generation; /* of the mappings; 0: nothing is remembered */
	struct memo_frame frames[2][MEMO_FRAMES];
};

struct walk_context {
	struct walk *walk;
	__u64 *frames;		/* WALK_FRAMES_MAX of them */
	struct walk_memo *memo; /* NULL: none */
};

#ifdef __bpf__

#define walk_global __attribute__((noinline))

#include "bpf/unwind_maps.bpf.h"

#else

#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define walk_opaque(variable) ((void)0)
#ifndef walk_get_remap_count
#define walk_get_remap_count()		  0ull
#define walk_is_remapped(header, mapping) 0
#endif
#ifndef walk_ask_kernel
#define walk_ask_kernel(pc, ret) 0
#endif
#define walk_global static

#endif

/* The last of the mappings that starts at or below an address; 0, the header's place: there is none. */
static __always_inline __u32 mappings_search(void *array, __u64 count, __u64 address)
{
	__u32 base = 0, left = (__u32)count + 1;

	for (int i = 0; i < MAPPING_SEARCH_STEPS && left > 1; i++) {
		const struct mapping *mapping;
		__u32 half = left / 2;

		mapping = walk_get_mapping(array, base + half);
		if (!mapping)
			return 0;
		if (mapping->start <= address)
			base += half;
		left -= half;
	}
	return base;
}

/* The search of walk_find_mapping(). Global, for the verifier: it is checked once, not anew at each place
 * that calls it (1 M steps, and no program, on 6.1). */
walk_global int walk_search_mapping(struct walk *walk, __u64 pc)
{
	const struct mapping_header *header;
	const struct mapping *mapping;
	__u32 base;
	void *array;

	if (!walk)
		return 0; /* never: for the verifier */
	array = walk_get_mappings();
	if (!array)
		return 0;
	header = walk_get_mapping(array, 0);
	if (!header || header->exec_count != walk_get_exec_count())
		return 0;
	base = mappings_search(array, header->count, pc);
	if (!base)
		return 0;
	mapping = walk_get_mapping(array, base);
	if (!mapping || pc < mapping->start || pc >= mapping->end)
		return 0;
	if (walk_is_remapped(header, mapping))
		return 0;
	walk->mapping = *mapping;
	return 1;
}

/* Makes the mapping of pc the walk's last hit; 0: pc is in no known executable mapping. */
static __always_inline int walk_find_mapping(struct walk *walk, __u64 pc)
{
	if (pc >= walk->mapping.start && pc < walk->mapping.end)
		return 1;
	if (walk_search_mapping(walk, pc))
		return 1;
	/* Where the target has just loaded a library. Nothing of that is remembered: what is unloaded again
	 * before it is published goes unnoticed. */
	if (!walk_ask_kernel(pc, &walk->mapping)) {
		walk->mapping.end = 0;
		return 0;
	}
	walk->memo_generation = 0;
	return 1;
}

/* The remembered header becomes that of table; 0: there is no such table. */
static __always_inline int walk_use_table(struct walk *walk, void *table, __u32 module)
{
	const __u32 *chunk;

	if (walk->table_module == module)
		return 1;
	chunk = walk_get_chunk(table, 0);
	/* A table that had to go has left an array of zeros in its place. */
	if (!chunk || !((const struct table_header *)chunk)->magic)
		return 0;
	walk->first_page = ((const struct table_header *)chunk)->first_page;
	walk->page_count = ((const struct table_header *)chunk)->page_count;
	walk->pages_at = ((const struct table_header *)chunk)->pages_at;
	walk->rules_at = ((const struct table_header *)chunk)->rules_at;
	walk->table_module = module;
	return 1;
}

/* The rule number of a file offset. Outside of the table's pages it is 0, the gap, as on every failure: a
 * frame that has lost its table in the middle of a walk has no rule. */
static __always_inline __u32 walk_find_rule(struct walk *walk, void *table, __u64 offset)
{
	__u64 page = (offset >> TABLE_PAGE_SHIFT) - walk->first_page;
	__u32 wanted = TABLE_ROW(offset & ((1 << TABLE_PAGE_SHIFT) - 1), TABLE_RULES_MAX - 1);
	__u32 at, first, end, inside, left, row = 0;
	const __u32 *chunk;

	if (page >= walk->page_count)
		return 0;
	at = walk->pages_at + (__u32)page;
	chunk = walk_get_chunk(table, at >> TABLE_CHUNK_SHIFT);
	if (!chunk)
		return 0;
	inside = at & TABLE_CHUNK_MASK;
	walk_opaque(inside);
	first = chunk[inside & TABLE_CHUNK_MASK];
	at++;
	inside = at & TABLE_CHUNK_MASK;
	if (!inside) {
		chunk = walk_get_chunk(table, at >> TABLE_CHUNK_SHIFT);
		if (!chunk)
			return 0;
	}
	walk_opaque(inside);
	end = chunk[inside & TABLE_CHUNK_MASK];

	chunk = walk_get_chunk(table, first >> TABLE_CHUNK_SHIFT);
	if (!chunk)
		return 0;
	/* The last row at or below the offset: the first row of a page is at offset 0. */
	left = end - first;
	for (int i = 0; i < ROW_SEARCH_STEPS && left > 1; i++) {
		__u32 half = left / 2;

		inside = first + half;
		walk_opaque(inside);
		if (chunk[inside & TABLE_CHUNK_MASK] <= wanted)
			first += half;
		left -= half;
	}
	inside = first;
	walk_opaque(inside);
	row = chunk[inside & TABLE_CHUNK_MASK];
	return TABLE_ROW_RULE(row);
}

/* Makes the window begin at low. */
static __always_inline void walk_read_window(struct walk *walk, __u64 low, __u32 bytes)
{
	bytes &= ~7u;
	walk_opaque(bytes);
	if (bytes > WALK_WINDOW_MOST_BYTES)
		bytes = WALK_WINDOW_MOST_BYTES; /* never: for the verifier */
	walk->window_start = low;
	walk->window_bytes = bytes;
	if (!walk_read_stack(walk->window, bytes, low))
		return;
	walk->window_bytes = 0;
	walk->has_no_window = 1;
}

/* Makes the window begin at low, unless it holds [low, high) already. A walk goes up: what comes next lies
 * above. */
static __always_inline void walk_move_window(struct walk *walk, __u64 low, __u64 high)
{
	if (!walk->has_no_window &&
	    !(low >= walk->window_start && high - walk->window_start <= walk->window_bytes))
		walk_read_window(walk, low, WALK_WINDOW_BYTES);
}

/* Nonzero: it could not be read. */
static __always_inline long walk_read_word(struct walk *walk, __u64 address, __u64 *ret)
{
	__u64 inside = address - walk->window_start;

	if (inside >= walk->window_bytes || (inside & 7))
		return walk_read_stack(ret, 8, address);
	inside /= 8;
	walk_opaque(inside);
	*ret = walk->window[inside & (WALK_WINDOW_WORDS - 1)];
	return 0;
}

/* pc, sp and bp become the caller's. */
static __always_inline __u32 walk_go_on(struct walk *walk, __u64 pc, __u64 sp, __u64 bp)
{
	walk->pc = pc;
	walk->sp = sp;
	walk->bp = bp;
	walk->is_exact = 0;
	walk->is_by_pointer = 0;
	return pc ? STACK_ENDS : STACK_COMPLETE;
}

#include "bpf/unwind_rare.bpf.h"

/* Writes one frame; 0: there is no room. */
static __always_inline int walk_put_frame(struct walk_context *context, __u32 index, __u64 frame)
{
	__u32 at = context->walk->first + index;

	walk_opaque(at);
	if (at >= WALK_FRAMES_MAX)
		return 0;
	context->frames[at] = frame;
	context->walk->count = index + 1;
	return 1;
}

#include "bpf/unwind_memo.bpf.h"

/* ---- one frame ---- */

static __always_inline __u32 walk_end_at_root(struct walk *walk)
{
	walk->memo_step = MEMO_ROOT;
	return STACK_COMPLETE;
}

/* The memo does not know of rbx: such steps are walked. */
static __always_inline void walk_track_rbx(struct walk *walk, __u64 cfa, __s16 offset)
{
	walk->memo_step = MEMO_NEVER;
	if (walk->is_exact) {
		walk->rbx = walk->registers[3];
		walk->has_rbx = 1;
	}
	if (offset)
		walk->has_rbx = !walk_read_word(walk, cfa + (__s64)offset, &walk->rbx);
}

/* Applies a rule: pc, sp and bp become the caller's. Returns STACK_ENDS when the walk goes on, else why it
 * ends. */
static __always_inline __u32 walk_apply_rule(struct walk *walk, void *table, __u32 rule)
{
	__u32 at = walk->rules_at + rule * (sizeof(struct unwind_rule) / TABLE_WORD_BYTES);
	__u32 inside = at & TABLE_CHUNK_MASK & ~3u, kinds, cfa_kind;
	__s32 cfa_offset, rbp_offset;
	__u64 cfa, low, pc, bp = walk->bp;
	const __u32 *chunk;

	chunk = walk_get_chunk(table, at >> TABLE_CHUNK_SHIFT);
	if (!chunk)
		return STACK_NO_RULE;
	walk_opaque(inside);
	inside &= TABLE_CHUNK_MASK & ~3u;
	/* the words of a struct unwind_rule */
	kinds = chunk[inside];
	cfa_offset = (__s32)chunk[inside + 1];
	rbp_offset = (__s32)chunk[inside + 2];
	cfa_kind = kinds & 0xff;

	if (cfa_kind == UNWIND_CFA_RSP)
		cfa = walk->sp + (__s64)cfa_offset;
	else if (cfa_kind == UNWIND_CFA_RBP)
		cfa = walk->bp + (__s64)cfa_offset;
	else if (cfa_kind == UNWIND_ROOT)
		return walk_end_at_root(walk);
	else if (cfa_kind == UNWIND_FULL)
		return walk_apply_full(walk, kinds, cfa_offset, rbp_offset, chunk[inside + 3]);
	else if (cfa_kind == UNWIND_SIGNAL)
		return walk_leave_signal(walk, walk->sp + (__s64)cfa_offset);
	else
		return STACK_NO_RULE;
	if (cfa <= walk->sp)
		return STACK_BAD_CFA;

	kinds = kinds >> 8 & 0xff;
	low = cfa - 8;
	if (kinds == UNWIND_RBP_AT_CFA && rbp_offset < -8 && rbp_offset > -WALK_WINDOW_BYTES / 2)
		low = cfa + (__s64)rbp_offset;
	walk_move_window(walk, low, cfa);
	if (walk_read_word(walk, cfa - 8, &pc))
		return STACK_UNREADABLE;
	if (kinds == UNWIND_RBP_AT_CFA) {
		if (walk_read_word(walk, cfa + (__s64)rbp_offset, &bp))
			return STACK_UNREADABLE;
		walk->memo_step = (__u64)(__s64)rbp_offset << MEMO_OFFSET_SHIFT | MEMO_SAVED;
	} else if (kinds == UNWIND_RBP_UNDEFINED) {
		bp = 0; /* a rule that needs it ends as STACK_BAD_CFA */
		walk->memo_step = MEMO_ZERO;
	} else {
		walk->memo_step = MEMO_SAME;
	}
	if (chunk[inside + 3])
		walk_track_rbx(walk, cfa, (__s16)(chunk[inside + 3] >> 16));
	else
		walk->has_rbx = 0;
	return walk_go_on(walk, pc, cfa, bp);
}

/* Behind its system call the trampoline of x86-64 (arch/x86/kernel/uprobes.c, from 6.11 on) takes two
 * registers off the stack, and returns to what the kernel has put behind them; the pending return is off the
 * list then. Where it stands by what is still to be done at this place of the trampoline. */
static __always_inline __u64 walk_read_trampoline(struct walk *walk, __u64 *ret_slot)
{
	__u64 inside = walk->pc - walk->mapping.start, pc = 0;

	if (inside == TRAMPOLINE_AFTER_CALL)
		*ret_slot = walk->sp + 16;
	else if (inside == TRAMPOLINE_SECOND_POP)
		*ret_slot = walk->sp + 8;
	else if (inside == TRAMPOLINE_RETURN)
		*ret_slot = walk->sp;
	else
		return 0;
	return walk_read_stack(&pc, 8, *ret_slot) ? 0 : pc;
}

/* The pc is in a trampoline: it becomes the real return address, and its mapping the walk's. 0: that is not
 * known. */
static __always_inline int walk_leave_trampoline(struct walk *walk)
{
	__u64 slot = 0, pc;

	/* A caller's slot has just been read: it lies below sp. In the trampoline itself registers may lie
	 * between. */
	pc = walk_find_return(walk->sp - 8, walk->sp + (walk->is_exact ? TRAMPOLINE_PUSHES_BYTES : 0), &slot);
	if (!pc && walk->is_exact)
		pc = walk_read_trampoline(walk, &slot);
	if (!pc || !walk_find_mapping(walk, pc - 1) || (walk->mapping.flags & MAPPING_TRAMPOLINE))
		return 0;
	walk_go_on(walk, pc, slot + 8, walk->bp);
	return 1;
}

/* Makes the mapping of the frame's code the walk's last hit. A trampoline lies at the very start of its page:
 * the byte before is in no mapping, or in another one's last. */
static __always_inline int walk_find_code(struct walk *walk)
{
	if (walk->is_exact)
		return walk_find_mapping(walk, walk->pc);
	if (walk_find_mapping(walk, walk->pc - 1) && walk->pc != walk->mapping.end)
		return 1;
	if (walk_find_mapping(walk, walk->pc) && (walk->mapping.flags & MAPPING_TRAMPOLINE))
		return 1;
	return walk_find_mapping(walk, walk->pc - 1);
}

/* The first word of a rule. */
static __always_inline __u32 walk_get_kind(struct walk *walk, void *table, __u32 rule)
{
	__u32 at = walk->rules_at + rule * (sizeof(struct unwind_rule) / TABLE_WORD_BYTES);
	const __u32 *chunk = walk_get_chunk(table, at >> TABLE_CHUNK_SHIFT);

	at &= TABLE_CHUNK_MASK & ~3u;
	walk_opaque(at);
	return chunk ? chunk[at & TABLE_CHUNK_MASK & ~3u] & 0xff : UNWIND_GAP;
}

/* The rule of the byte beside a gap, which says more than the gap: a system call that is the last instruction
 * of an FDE leaves the pc behind it (the restorer of signals); and a return address that is the first byte of
 * code behind a gap was pushed without a call: nobody has called what returns there (functions of
 * makecontext()). 0: neither is the case. */
walk_global __u32 walk_find_beside(struct walk *walk, __u64 offset)
{
	void *table;
	__u32 rule;

	if (!walk)
		return 0; /* never: for the verifier */
	table = walk_get_table(walk->mapping.module);
	if (!table)
		return 0;
	rule = walk_find_rule(walk, table, walk->pc + offset - walk->is_exact);
	return !walk->is_exact || walk_get_kind(walk, table, rule) == UNWIND_SIGNAL ? rule : 0;
}

/* Goes on to the caller from a pc in a module; offset: what makes an address a frame's offset. */
static __always_inline __u32 walk_leave_module(struct walk *walk, __u64 offset)
{
	void *table = walk_get_table(walk->mapping.module);
	/* A return address is the byte after the call, which may belong to the next function, or to nothing.
	 */
	__u64 lookup = walk->pc - (walk->is_exact ? 0 : 1);
	__u32 rule;

	if (!table || !walk_use_table(walk, table, walk->mapping.module)) {
		walk_count_missing(walk->mapping.module);
		return STACK_NO_TABLE;
	}
	rule = walk_find_rule(walk, table, lookup + offset);
	if (rule == 0) {
		rule = walk_find_beside(walk, offset);
		if (rule == 0)
			return walk_leave_by_pointer(walk, walk->page_count ? STACK_NO_RULE : STACK_NO_TABLE);
		if (!walk->is_exact)
			return STACK_COMPLETE;
	}
	return walk_apply_rule(walk, table, rule);
}

/* Why the walk ends at this frame, or STACK_ENDS. */
static __always_inline __u32 walk_one_frame(__u32 index, struct walk_context *context)
{
	struct walk *walk = context->walk;
	__u64 offset;
	/* Names are looked up a byte before a caller's offset: what a signal interrupted is told one higher.
	 */
	__u64 shift = index && walk->is_exact;
	__u32 end;

	if (context->memo && !shift) {
		end = memo_adopt(context, index);
		if (end != STACK_NO_RULE)
			return end;
	}
	if (!walk_find_code(walk)) {
		walk->unknown_pc = walk->pc - !walk->is_exact;
		if (index)
			return STACK_BAD_RETURN;
		walk_put_frame(context, index, FRAME(MODULE_UNKNOWN, walk->pc));
		return STACK_NO_MAPPING;
	}
	/* A caller's trampoline is no caller. */
	if ((walk->mapping.flags & MAPPING_TRAMPOLINE) && !walk->is_exact && !walk_leave_trampoline(walk))
		return STACK_TRAMPOLINE;
	offset = walk->mapping.offset - walk->mapping.start;
	if (!walk_put_frame(context, index, FRAME(walk->mapping.module, walk->pc + offset + shift)))
		return STACK_TRUNCATED;
	if (context->memo)
		memo_put(context, walk->pc, walk->sp, walk->bp, MEMO_NEVER,
			 FRAME(walk->mapping.module, walk->pc + offset + shift));
	if (walk->mapping.flags & MAPPING_TRAMPOLINE)
		return walk_leave_trampoline(walk) ? STACK_ENDS : STACK_TRAMPOLINE;
	if (walk->mapping.module == MODULE_ANONYMOUS)
		return walk_leave_by_pointer(walk, STACK_JIT);
	walk->memo_step = MEMO_NEVER;
	end = walk_leave_module(walk, offset);
	/* What a signal has interrupted is looked up elsewhere than what returns there. */
	if (walk->memo_step && (end == STACK_ENDS || walk->memo_step == MEMO_ROOT) && !shift)
		memo_set_step(context, index);
	return end;
}

/* One frame; nonzero ends the walk. The callback of bpf_loop(STACK_USER_MAX, …). */
static __attribute__((unused)) long walk_step(__u32 index, struct walk_context *context)
{
	__u32 end = walk_one_frame(index, context);

	if (end == STACK_ENDS)
		return 0;
	context->walk->end = end;
	return 1;
}

/* For registers that were saved when the kernel was entered. A trap leaves the pc behind its first byte until
 * the kernel has looked at it: an instruction of one byte (push) then seems to have been executed. If that is
 * so, a return address still lies on top of the stack. */
static __always_inline __u64 walk_undo_trap(struct walk *walk, __u64 pc, __u64 sp)
{
	__u64 top = 0, frame;

	walk->mapping.start = 0;
	walk->mapping.end = 0;
	if (!walk_find_mapping(walk, pc - 1))
		return pc;
	frame = FRAME(walk->mapping.module, pc - 1 - walk->mapping.start + walk->mapping.offset);
	if (!walk_is_site(frame) || walk_read_stack(&top, 8, sp) || !walk_find_mapping(walk, top - 1))
		return pc;
	return pc - 1;
}

/* regs: a pointer to anything with the fields of struct pt_regs. Before walk_start(). */
#define walk_take_registers(walk, regs)                                                                      \
	do {                                                                                                 \
		(walk)->registers[0] = (regs)->rax;                                                          \
		(walk)->registers[1] = (regs)->rdx;                                                          \
		(walk)->registers[2] = (regs)->rcx;                                                          \
		(walk)->registers[3] = (regs)->rbx;                                                          \
		(walk)->registers[4] = (regs)->rsi;                                                          \
		(walk)->registers[5] = (regs)->rdi;                                                          \
		(walk)->registers[8] = (regs)->r8;                                                           \
		(walk)->registers[9] = (regs)->r9;                                                           \
		(walk)->registers[10] = (regs)->r10;                                                         \
		(walk)->registers[11] = (regs)->r11;                                                         \
		(walk)->registers[12] = (regs)->r12;                                                         \
		(walk)->registers[13] = (regs)->r13;                                                         \
		(walk)->registers[14] = (regs)->r14;                                                         \
		(walk)->registers[15] = (regs)->r15;                                                         \
	} while (0)

/* Before the first step, and before memo_start(). first: where the leaf goes in the frames. */
static __always_inline void walk_start(struct walk *walk, __u64 pc, __u64 sp, __u64 bp, __u32 first)
{
	walk->pc = pc;
	walk->sp = sp;
	walk->bp = bp;
	walk->is_exact = 1;
	walk->is_by_pointer = 0;
	walk->has_rbx = 0;
	walk->switches = 0;
	walk->unknown_pc = 0;
	walk->mapping.start = 0;
	walk->mapping.end = 0;
	walk->table_module = 0;
	walk->has_no_window = 0;
	walk->window_start = 0;
	walk->window_bytes = 0;
	walk->first = first;
	walk->count = 0;
	/* If no step ends it, then it is too deep. */
	walk->end = STACK_TRUNCATED;
}

#endif
