#include "symbolizer/cfi_rule.h"

#include "symbolizer/cfi_expression.h"

#include <dwarf.h>

/* DWARF numbers of the registers (System V ABI for AMD64, figure 3.36). */
#define REGISTER_RBX		3
#define REGISTER_RBP		6
#define REGISTER_RSP		7
#define REGISTER_RETURN_ADDRESS 16

#define PLT_SLOT_BYTES	 16
#define PLT_PUSHED_BYTES 8

/* In the gregs of a ucontext, which begin with r8 (glibc's sys/ucontext.h). */
#define GREGS_RBP 80
#define GREGS_RSP 120
#define GREGS_RIP 128

static const struct unwind_rule rule_unsupported = {.cfa = UNWIND_UNSUPPORTED};

static bool fits_s32(Dwarf_Word value)
{
	return (int64_t)value == (int32_t)value;
}

static bool fits_s16(Dwarf_Word value)
{
	return (int64_t)value == (int16_t)value;
}

/* ---- where the caller's registers are ---- */

enum saved_kind {
	SAVED_UNKNOWN, /* in no way that a rule can say */
	SAVED_UNDEFINED,
	SAVED_SAME,
	SAVED_IS_CFA,	   /* it is CFA + offset: rsp's own rule, with 0, unless something else is said */
	SAVED_AT_CFA,	   /* in memory at CFA + offset */
	SAVED_IN_REGISTER, /* it is register `base` + offset */
	SAVED_AT_REGISTER, /* in memory at register `base` + offset */
};

struct saved {
	enum saved_kind kind;
	uint8_t base;
	Dwarf_Word offset;
};

static struct saved read_saved_expression(const Dwarf_Op *ops, size_t count)
{
	struct saved saved = {.kind = SAVED_UNKNOWN};
	struct cfi_sum sum;
	bool is_value;

	if (!cfi_expression_evaluate(ops, count, &sum, &is_value) || sum.is_read ||
	    sum.index != CFI_BASE_NONE || sum.base == CFI_BASE_NONE)
		return saved;
	saved.base = sum.base;
	saved.offset = sum.offset;
	if (!is_value)
		saved.kind = sum.base == CFI_BASE_CFA ? SAVED_AT_CFA : SAVED_AT_REGISTER;
	else
		saved.kind = sum.base == CFI_BASE_CFA ? SAVED_IS_CFA : SAVED_IN_REGISTER;
	return saved;
}

/* The two forms that nearly all rows have, without evaluating them. */
static bool read_saved_common(const Dwarf_Op *ops, size_t count, struct saved *ret)
{
	if (count != 2 || ops[0].atom != DW_OP_call_frame_cfa)
		return false;
	if (ops[1].atom == DW_OP_plus_uconst)
		*ret = (struct saved){.kind = SAVED_AT_CFA, .offset = ops[1].number};
	else if (ops[1].atom == DW_OP_stack_value)
		*ret = (struct saved){.kind = SAVED_IS_CFA};
	else
		return false;
	return true;
}

/* libdw writes "saved at CFA + N" as call_frame_cfa, plus_uconst N; "in register N" as regx N; "is CFA + N"
 * with a stack_value at its end; and puts a call_frame_cfa before each expression of the file. */
static struct saved read_saved(Dwarf_Frame *frame, int number)
{
	Dwarf_Op memory[3], *ops;
	struct saved saved;
	size_t count;

	if (dwarf_frame_register(frame, number, memory, &ops, &count))
		return (struct saved){.kind = SAVED_UNKNOWN};
	if (!count)
		return (struct saved){.kind = ops == memory ? SAVED_UNDEFINED : SAVED_SAME};
	if (read_saved_common(ops, count, &saved))
		return saved;
	if (count != 1 || ops[0].atom != DW_OP_regx)
		return read_saved_expression(ops, count);
	if (ops[0].number >= UNWIND_REGISTERS)
		return (struct saved){.kind = SAVED_UNKNOWN};
	if (ops[0].number == (Dwarf_Word)number)
		return (struct saved){.kind = SAVED_SAME};
	return (struct saved){.kind = SAVED_IN_REGISTER, .base = (uint8_t)ops[0].number};
}

/* What is relative to the register that the CFA is relative to is as well relative to the CFA, and plain. */
static struct saved saved_from_cfa(struct saved saved, const struct unwind_rule *cfa)
{
	bool is_at = saved.kind == SAVED_AT_REGISTER;

	if ((!is_at && saved.kind != SAVED_IN_REGISTER) || saved.base != cfa->base || cfa->flags)
		return saved;
	return (struct saved){
		.kind = is_at ? SAVED_AT_CFA : SAVED_IS_CFA,
		.offset = saved.offset - (Dwarf_Word)cfa->cfa_offset,
	};
}

/* ---- the CFA, as UNWIND_FULL says it ---- */

/* DW_OP_breg7 OFFSET, DW_OP_breg16 0, lit15, and, litN, ge, lit3, shl, plus: what GNU ld and gold write for
 * .plt. N depends on how the slots look: 11, and with IBT 10 or 9 (bfd/elf64-x86-64.c of binutils). */
static bool read_plt_expression(const Dwarf_Op *ops, size_t count, struct cfi_rule *ret)
{
	static const uint8_t atoms[] = {
		DW_OP_breg7, DW_OP_breg16, DW_OP_lit15, DW_OP_and,  0,
		DW_OP_ge,    DW_OP_lit3,   DW_OP_shl,	DW_OP_plus,
	};

	if (count != sizeof(atoms))
		return false;
	for (size_t i = 0; i < count; i++) {
		if (atoms[i] && ops[i].atom != atoms[i])
			return false;
	}
	if (ops[4].atom < DW_OP_lit0 || ops[4].atom > DW_OP_lit15)
		return false;
	if (ops[1].number || !fits_s32(ops[0].number) || !fits_s32(ops[0].number + PLT_PUSHED_BYTES))
		return false;
	ret->is_plt = true;
	ret->plt_threshold = ops[4].atom - DW_OP_lit0;
	ret->rule.base = REGISTER_RSP;
	ret->rule.cfa_offset = (int32_t)ops[0].number;
	return true;
}

static bool read_cfa_expression(const Dwarf_Op *ops, size_t count, struct unwind_rule *ret)
{
	struct cfi_sum sum = {.index = CFI_BASE_NONE};
	bool is_value = false;

	if (count == 1 && ops[0].atom == DW_OP_bregx && ops[0].number < UNWIND_REGISTERS) {
		/* nearly all rows */
		sum.base = (uint8_t)ops[0].number;
		sum.offset = ops[0].number2;
	} else if (!cfi_expression_evaluate(ops, count, &sum, &is_value) || is_value) {
		return false;
	}
	if (sum.base >= UNWIND_REGISTERS || !fits_s32(sum.offset) || !fits_s16(sum.extra))
		return false;
	if (sum.index != CFI_BASE_NONE && !sum.is_read)
		return false; /* nobody writes that */
	ret->base = sum.base;
	ret->cfa_offset = (int32_t)sum.offset;
	ret->extra = (int16_t)sum.extra;
	if (sum.is_read)
		ret->flags = UNWIND_DEREF;
	if (sum.index != CFI_BASE_NONE)
		ret->flags |= (uint8_t)(UNWIND_INDEXED | sum.index << UNWIND_INDEX_SHIFT);
	return true;
}

static bool read_cfa(Dwarf_Frame *frame, struct cfi_rule *ret)
{
	Dwarf_Op *ops;
	size_t count;

	if (dwarf_frame_cfa(frame, &ops, &count) || !count)
		return false;
	ret->rule.cfa = UNWIND_FULL;
	return read_plt_expression(ops, count, ret) || read_cfa_expression(ops, count, &ret->rule);
}

/* ---- the parts of a rule ---- */

/* The CFA is only a name for a place: what is at CFA + N is at (CFA + by) + N - by. */
static bool move_cfa(struct unwind_rule *rule, Dwarf_Word by)
{
	Dwarf_Word moved;

	if (rule->flags & UNWIND_DEREF) {
		moved = (Dwarf_Word)rule->extra + by;
		rule->extra = (int16_t)moved;
		return fits_s16(moved);
	}
	moved = (Dwarf_Word)rule->cfa_offset + by;
	rule->cfa_offset = (int32_t)moved;
	return fits_s32(moved);
}

/* The walker takes the CFA for the caller's rsp. Where that is somewhere else (GHC's StgRun), the CFA moves
 * there. *ret_moved: by so much. */
static bool set_rsp(struct unwind_rule *rule, struct saved saved, Dwarf_Word *ret_moved)
{
	struct saved from_cfa = saved_from_cfa(saved, rule);

	*ret_moved = 0;
	if (from_cfa.kind == SAVED_IS_CFA) {
		*ret_moved = from_cfa.offset;
		return move_cfa(rule, from_cfa.offset);
	}
	if (saved.kind != SAVED_IN_REGISTER || saved.offset)
		return false;
	rule->sp = saved.base + 1;
	return true;
}

static bool set_return_address(struct unwind_rule *rule, struct saved saved)
{
	if (saved.kind == SAVED_AT_CFA && saved.offset == (Dwarf_Word)-8)
		return true;
	if (rule->flags & UNWIND_DEREF)
		return false; /* `extra` is taken */
	if (saved.kind == SAVED_IN_REGISTER && !saved.offset) {
		rule->ra = UNWIND_RA_IN_REGISTER;
		rule->extra = saved.base;
		return true;
	}
	if (saved.kind != SAVED_AT_CFA || !fits_s16(saved.offset))
		return false;
	rule->ra = UNWIND_RA_AT_OFFSET;
	rule->extra = (int16_t)saved.offset;
	return true;
}

static bool set_rbp(struct unwind_rule *rule, struct saved saved)
{
	switch (saved.kind) {
	case SAVED_SAME:
		rule->rbp = UNWIND_RBP_SAME;
		return true;
	case SAVED_UNDEFINED:
		rule->rbp = UNWIND_RBP_UNDEFINED;
		return true;
	case SAVED_AT_CFA:
		rule->rbp = UNWIND_RBP_AT_CFA;
		rule->rbp_offset = (int32_t)saved.offset;
		return fits_s32(saved.offset);
	case SAVED_IN_REGISTER:
		rule->rbp = UNWIND_RBP_IN_REGISTER;
		rule->rbp_offset = saved.base;
		return !saved.offset;
	case SAVED_AT_REGISTER:
		rule->rbp = saved.base == REGISTER_RBP ? UNWIND_RBP_AT_RBP : UNWIND_RBP_AT_RSP;
		rule->rbp_offset = (int32_t)saved.offset;
		return (saved.base == REGISTER_RBP || saved.base == REGISTER_RSP) && fits_s32(saved.offset);
	default:
		return false;
	}
}

/* Rules that a plain kind can say say it that way. */
static void make_plain(struct unwind_rule *rule)
{
	if ((rule->base != REGISTER_RSP && rule->base != REGISTER_RBP) || rule->flags || rule->ra ||
	    rule->sp || rule->rbp > UNWIND_RBP_UNDEFINED)
		return;
	rule->cfa = rule->base == REGISTER_RSP ? UNWIND_CFA_RSP : UNWIND_CFA_RBP;
	rule->base = 0;
}

/* ---- the rule ---- */

static bool is_saved_at(struct saved saved, Dwarf_Word offset)
{
	return saved.kind == SAVED_AT_REGISTER && saved.base == REGISTER_RSP && saved.offset == offset;
}

/* glibc's __restore_rt: every register is in the ucontext above rsp. A signal frame that is laid out in
 * another way, or not said in this way, is not ours. */
static bool read_signal(Dwarf_Frame *frame, struct saved return_address, struct cfi_rule *ret)
{
	Dwarf_Word gregs = return_address.offset - GREGS_RIP;

	if (!is_saved_at(return_address, gregs + GREGS_RIP) ||
	    !is_saved_at(read_saved(frame, REGISTER_RSP), gregs + GREGS_RSP) ||
	    !is_saved_at(read_saved(frame, REGISTER_RBP), gregs + GREGS_RBP))
		return false;
	if (!read_cfa(frame, ret) || ret->is_plt || ret->rule.base != REGISTER_RSP ||
	    ret->rule.flags != UNWIND_DEREF || ret->rule.extra ||
	    (Dwarf_Word)ret->rule.cfa_offset != gregs + GREGS_RSP)
		return false;
	ret->rule = (struct unwind_rule){.cfa = UNWIND_SIGNAL, .cfa_offset = (int32_t)gregs};
	return fits_s32(gregs);
}

/* A PLT rule's CFA is not one sum: there, only what is relative to the CFA itself can be said. */
static bool is_plt_sound(const struct unwind_rule *rule, struct saved return_address)
{
	return return_address.kind == SAVED_AT_CFA && rule->cfa == UNWIND_CFA_RSP &&
	       rule->rbp == UNWIND_RBP_SAME;
}

static bool read_rule(Dwarf_Frame *frame, struct saved return_address, struct cfi_rule *ret)
{
	struct saved saved[] = {return_address, read_saved(frame, REGISTER_RBP)};
	Dwarf_Word moved;

	if (!read_cfa(frame, ret))
		return false;
	for (size_t i = 0; i < 2; i++)
		if (saved[i].kind == SAVED_AT_REGISTER)
			saved[i] = saved_from_cfa(saved[i], &ret->rule);
	if (!set_rsp(&ret->rule, read_saved(frame, REGISTER_RSP), &moved))
		return false;
	for (size_t i = 0; i < 2; i++)
		saved[i].offset -= saved[i].kind == SAVED_AT_CFA ? moved : 0;
	if (!set_return_address(&ret->rule, saved[0]) || !set_rbp(&ret->rule, saved[1]))
		return false;
	make_plain(&ret->rule);
	return !ret->is_plt || is_plt_sound(&ret->rule, return_address);
}

struct cfi_rule cfi_rule_from_frame(Dwarf_Frame *frame)
{
	struct cfi_rule rule = {0};
	Dwarf_Addr start, end;
	bool is_signal = false;
	struct saved return_address;

	if (dwarf_frame_info(frame, &start, &end, &is_signal) != REGISTER_RETURN_ADDRESS)
		return (struct cfi_rule){.rule = rule_unsupported};
	return_address = read_saved(frame, REGISTER_RETURN_ADDRESS);
	if (return_address.kind == SAVED_UNDEFINED)
		return (struct cfi_rule){.rule.cfa = UNWIND_ROOT};
	if (is_signal ? read_signal(frame, return_address, &rule) : read_rule(frame, return_address, &rule))
		return rule;
	return (struct cfi_rule){.rule = rule_unsupported};
}

bool cfi_rule_needs_rbx(const struct cfi_rule *rule)
{
	return rule->rule.cfa == UNWIND_FULL && rule->rule.base == REGISTER_RBX;
}

void cfi_rule_track_rbx(Dwarf_Frame *frame, struct cfi_rule *rule)
{
	struct unwind_rule *plain = &rule->rule;
	struct saved rbx;

	if (plain->cfa != UNWIND_CFA_RSP && plain->cfa != UNWIND_CFA_RBP)
		return;
	rbx = read_saved(frame, REGISTER_RBX);
	if (rbx.kind == SAVED_AT_CFA && rbx.offset && fits_s16(rbx.offset))
		plain->extra = (int16_t)rbx.offset;
	else if (rbx.kind != SAVED_SAME)
		return;
	plain->flags = UNWIND_TRACKS_RBX;
}

struct unwind_rule cfi_rule_at(const struct cfi_rule *rule, uint64_t address, uint64_t *ret_end)
{
	uint64_t in_slot = address % PLT_SLOT_BYTES;
	struct unwind_rule at = rule->rule;

	*ret_end = UINT64_MAX;
	if (!rule->is_plt)
		return at;
	*ret_end = address - in_slot + (in_slot < rule->plt_threshold ? rule->plt_threshold : PLT_SLOT_BYTES);
	if (in_slot >= rule->plt_threshold)
		at.cfa_offset += PLT_PUSHED_BYTES;
	return at;
}
