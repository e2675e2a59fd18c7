/* The steps that are seldom taken: signal frames, rules of kind UNWIND_FULL, and code without a rule.
 * Included by unwind.bpf.h.
 *
 * Each is a global function, which the verifier checks once; none has more than a few words on the BPF stack:
 * on 6.1 the frames of nested calls may take 512 bytes together, and the heap's programs take most of them.
 */
#ifndef KILN_BPF_UNWIND_RARE_BPF_H
#define KILN_BPF_UNWIND_RARE_BPF_H

/* ---- rare rules ---- */

/* 0: the register is not known in this frame. */
static __always_inline int walk_get_register(const struct walk *walk, __u32 number, __u64 *ret)
{
	number &= UNWIND_REGISTERS - 1;
	walk_opaque(number);
	if (number == 7)
		*ret = walk->sp;
	else if (number == 6)
		*ret = walk->bp;
	else if (number == 3 && walk->has_rbx && !walk->is_exact)
		*ret = walk->rbx;
	else if (walk->is_exact)
		*ret = walk->registers[number & (UNWIND_REGISTERS - 1)];
	else
		return 0;
	return 1;
}

/* What a signal interrupted; the handler's stack may be another one. */
walk_global __u32 walk_leave_signal(struct walk *walk, __u64 gregs)
{
	static const __u8 numbers[GREGS_RSP] = {8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2};

	if (!walk)
		return STACK_UNREADABLE; /* never: for the verifier */
	walk->has_no_window = 0;
	walk->window_bytes = 0;
	if (walk_read_stack(walk->window, GREGS_COUNT * 8, gregs))
		return STACK_UNREADABLE;
	for (int i = 0; i < GREGS_RSP; i++)
		walk->registers[numbers[i]] = walk->window[i];
	walk->pc = walk->window[GREGS_RIP];
	walk->sp = walk->window[GREGS_RSP];
	walk->bp = walk->registers[6];
	walk->is_exact = 1;
	walk->is_by_pointer = 0;
	walk->has_rbx = 0;
	return walk->pc ? STACK_ENDS : STACK_COMPLETE;
}

static __always_inline __u32 walk_find_full_cfa(struct walk *walk, __s32 offset, __u32 full, __u64 *ret)
{
	__u32 flags = full >> 8 & 0xff;
	__s16 extra = (__s16)(full >> 16);
	__u64 cfa, index = 0;

	if (!walk_get_register(walk, full & 0xff, &cfa))
		return STACK_BAD_CFA;
	cfa += (__s64)offset;
	if ((flags & UNWIND_INDEXED) && !walk_get_register(walk, flags >> UNWIND_INDEX_SHIFT, &index))
		return STACK_BAD_CFA;
	if (flags & UNWIND_DEREF) {
		if (walk_read_word(walk, cfa + 8 * index, &cfa))
			return STACK_UNREADABLE;
		cfa += (__s64)extra;
	}
	*ret = cfa;
	return STACK_ENDS;
}

static __always_inline __u32 walk_find_full_bp(struct walk *walk, __u32 kind, __s32 offset, __u64 cfa,
					       __u64 *ret)
{
	*ret = walk->bp;
	if (kind == UNWIND_RBP_AT_CFA && walk_read_word(walk, cfa + (__s64)offset, ret))
		return STACK_UNREADABLE;
	if (kind == UNWIND_RBP_AT_RBP && walk_read_word(walk, walk->bp + (__s64)offset, ret))
		return STACK_UNREADABLE;
	if (kind == UNWIND_RBP_AT_RSP && walk_read_word(walk, walk->sp + (__s64)offset, ret))
		return STACK_UNREADABLE;
	/* Unknown is no reason to stop before it is needed. */
	if (kind == UNWIND_RBP_UNDEFINED ||
	    (kind == UNWIND_RBP_IN_REGISTER && !walk_get_register(walk, (__u32)offset, ret)))
		*ret = 0;
	return STACK_ENDS;
}

/* The words of a struct unwind_rule of kind UNWIND_FULL. */
walk_global __u32 walk_apply_full(struct walk *walk, __u32 kinds, __s32 cfa_offset, __s32 rbp_offset,
				  __u32 full)
{
	__u32 ra = kinds >> 16 & 0xff, sp_register = kinds >> 24, end;
	__s16 extra = (__s16)(full >> 16);
	__u64 cfa = 0, pc = 0, bp = 0, sp;

	if (!walk)
		return STACK_NO_RULE; /* never: for the verifier */
	end = walk_find_full_cfa(walk, cfa_offset, full, &cfa);
	if (end != STACK_ENDS)
		return end;
	sp = cfa;
	if (sp_register && !walk_get_register(walk, sp_register - 1, &sp))
		return STACK_BAD_CFA;
	/* Where the return address has been taken off the stack (vfork), the CFA is where rsp points to. */
	if (!sp_register && (cfa < walk->sp || (cfa == walk->sp && ra != UNWIND_RA_IN_REGISTER)))
		return STACK_BAD_CFA;
	if (ra == UNWIND_RA_IN_REGISTER) {
		if (!walk_get_register(walk, (__u32)extra, &pc))
			return STACK_BAD_RETURN;
	} else if (walk_read_word(walk, cfa + (ra == UNWIND_RA_AT_OFFSET ? (__s64)extra : -8), &pc)) {
		return STACK_UNREADABLE;
	}
	end = walk_find_full_bp(walk, kinds >> 8 & 0xff, rbp_offset, cfa, &bp);
	walk->has_rbx = 0;
	return end == STACK_ENDS ? walk_go_on(walk, pc, sp, bp) : end;
}

/* ---- without a rule ---- */

/* mov $15, %rax; syscall: how C libraries and Go come back from a signal handler. */
static __always_inline int walk_is_restorer(const __u64 code[2])
{
	return code[0] == 0x0f0000000fc0c748ull && (code[1] & 0xff) == 0x05;
}

/* Whether a return to this address is one: in code that may be executed, behind a call. Nothing is behind the
 * code of a trampoline; whose return it is is found out later. */
static __always_inline int walk_is_return(struct walk *walk, __u64 pc)
{
	const __u8 *code = (const __u8 *)&walk->call;

	/* Other code may end where the trampoline's page begins. */
	if (walk_find_mapping(walk, pc) && pc == walk->mapping.start &&
	    (walk->mapping.flags & MAPPING_TRAMPOLINE))
		return 1;
	if (!walk_find_mapping(walk, pc - 1))
		return 0;
	if (walk_read_code(&walk->call, sizeof(walk->call), pc - sizeof(walk->call)))
		return 0;
	/* call rel32, or by register or memory: ff /2, with what its address needs behind it */
	if (code[3] == 0xe8 || (code[6] == 0xff && (code[7] & 0x38) == 0x10) ||
	    (code[5] == 0xff && (code[6] & 0x38) == 0x10) || (code[4] == 0xff && (code[5] & 0x38) == 0x10) ||
	    (code[2] == 0xff && (code[3] & 0x38) == 0x10) || (code[1] == 0xff && (code[2] & 0x38) == 0x10))
		return 1;
	/* A handler returns to the restorer, which nobody calls. */
	return !walk_read_code(walk->code, sizeof(walk->code), pc) && walk_is_restorer(walk->code);
}

/* How many words lie on top of the stack before the return address, in the top frame, at the first and the
 * last instructions of a function with a frame pointer; -1: its frame stands. */
static __always_inline int walk_count_pushed(__u64 code)
{
	if ((code & 0xffffffff) == 0xfa1e0ff3) /* endbr64 */
		return 0;
	if ((code & 0xff) == 0x55 || (code & 0xff) == 0xc3 || (code & 0xffff) == 0xc3f3) /* push rbp; ret */
		return 0;
	if ((code & 0xffffff) == 0xe58948 || (code & 0xffffff) == 0xec8b48) /* mov rsp, rbp */
		return 1;
	return -1;
}

/* From the leaf of code without rules, where it has no frame yet, or none any more, or never has one. */
static __always_inline int walk_leave_leaf(struct walk *walk, int pushed)
{
	__u64 pc, bp = walk->bp;

	if (walk_read_stack(walk->words, sizeof(walk->words), walk->sp))
		return 0;
	pc = walk->words[0];
	if (pushed) {
		pc = walk->words[1];
		bp = walk->words[0];
	}
	if (!walk_is_return(walk, pc))
		return 0;
	walk_go_on(walk, pc, walk->sp + (pushed ? 16 : 8), bp);
	return 1;
}

static __always_inline int walk_leave_frame(struct walk *walk)
{
	int is_near = walk->bp >= walk->sp && walk->bp - walk->sp <= FRAME_POINTER_REACH;
	/* Go's runtime calls on other stacks, whose frames are chained all the same. */
	int is_far = walk->is_by_pointer &&
		     (walk->bp + FRAME_POINTER_REACH < walk->sp || walk->bp > walk->sp + FRAME_POINTER_REACH);

	if (is_far && walk->switches++ >= SWITCHES_MAX)
		return 0;
	if ((walk->bp & 7) || !(is_near || is_far) ||
	    walk_read_stack(walk->words, sizeof(walk->words), walk->bp))
		return 0;
	/* The outermost record may lead to where nothing was called: Go's goroutines return to goexit+1. */
	if (!walk_is_return(walk, walk->words[1]) &&
	    (walk->words[0] || !walk_find_mapping(walk, walk->words[1] - 1)))
		return 0;
	walk_go_on(walk, walk->words[1], walk->bp + 16, walk->words[0]);
	walk->is_by_pointer = 1;
	return 1;
}

/* A thread whose clone() has just returned 0, on a stack where nothing is yet: behind the system call, or
 * behind the test of its result (test %rax, %rax). */
static __always_inline int walk_is_newborn(struct walk *walk)
{
	const __u8 *code = (const __u8 *)&walk->call;

	if (walk->registers[0] ||
	    walk_read_code(&walk->call, sizeof(walk->call), walk->pc - sizeof(walk->call)))
		return 0;
	return (code[6] == 0x0f && code[7] == 0x05) || (code[3] == 0x0f && code[4] == 0x05);
}

/* Code without a rule. reason: why the walk ends when nothing plausible is found. */
walk_global __u32 walk_leave_by_pointer(struct walk *walk, __u32 reason)
{
	int pushed = -1;

	if (!walk)
		return STACK_NO_RULE; /* never: for the verifier */
	walk->has_rbx = 0;
	if (walk_read_code(walk->code, sizeof(walk->code), walk->pc))
		walk->code[0] = 0; /* no instruction that is looked for */
	else if (walk_is_restorer(walk->code))
		return walk_leave_signal(walk, walk->sp + GREGS_AT);
	/* The outermost frame of a chain (System V ABI for AMD64, 3.4.1): Go's goroutines begin so. */
	if (walk->is_by_pointer && !walk->bp)
		return STACK_COMPLETE;
	if (walk->is_exact)
		pushed = walk_count_pushed(walk->code[0]);
	if (pushed >= 0 && walk_leave_leaf(walk, pushed))
		return STACK_ENDS;
	if (walk_leave_frame(walk))
		return STACK_ENDS;
	if (walk->is_exact && walk_leave_leaf(walk, 0))
		return STACK_ENDS;
	return walk->is_exact && walk_is_newborn(walk) ? STACK_COMPLETE : reason;
}

#endif
