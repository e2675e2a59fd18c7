#include "symbolizer/cfi_rule.h"

#include <dwarf.h>

/* DWARF numbers of the registers (System V ABI for AMD64, figure 3.36). */
#define REGISTER_RBP		6
#define REGISTER_RSP		7
#define REGISTER_RETURN_ADDRESS 16

#define PLT_SLOT_BYTES	 16
#define PLT_PUSHED_BYTES 8

static const struct unwind_rule rule_unsupported = {.cfa = UNWIND_UNSUPPORTED};

static bool fits_s32(Dwarf_Word value)
{
	return (int64_t)value == (int32_t)value;
}

/* Saved at CFA + *ret_offset. libdw writes this as DW_OP_call_frame_cfa, DW_OP_plus_uconst. */
static bool is_saved_at_cfa(const Dwarf_Op *ops, size_t count, int32_t *ret_offset)
{
	if (!count || count > 2 || ops[0].atom != DW_OP_call_frame_cfa)
		return false;
	*ret_offset = 0;
	if (count == 1)
		return true;
	if (ops[1].atom != DW_OP_plus_uconst || !fits_s32(ops[1].number))
		return false;
	*ret_offset = (int32_t)ops[1].number;
	return true;
}

enum return_address { RETURN_AT_CFA, RETURN_UNDEFINED, RETURN_ELSEWHERE };

static enum return_address read_return_address(Dwarf_Frame *frame)
{
	Dwarf_Op memory[3], *ops;
	int32_t offset;
	size_t count;

	if (dwarf_frame_register(frame, REGISTER_RETURN_ADDRESS, memory, &ops, &count))
		return RETURN_ELSEWHERE;
	if (!count)
		return ops == memory ? RETURN_UNDEFINED : RETURN_ELSEWHERE;
	return is_saved_at_cfa(ops, count, &offset) && offset == -8 ? RETURN_AT_CFA : RETURN_ELSEWHERE;
}

static bool read_rbp(Dwarf_Frame *frame, struct unwind_rule *rule)
{
	Dwarf_Op memory[3], *ops;
	size_t count;

	if (dwarf_frame_register(frame, REGISTER_RBP, memory, &ops, &count))
		return false;
	if (!count) {
		rule->rbp = ops == memory ? UNWIND_RBP_UNDEFINED : UNWIND_RBP_SAME;
		return true;
	}
	rule->rbp = UNWIND_RBP_AT_CFA;
	return is_saved_at_cfa(ops, count, &rule->rbp_offset);
}

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
	ret->rule.cfa = UNWIND_CFA_RSP;
	ret->rule.cfa_offset = (int32_t)ops[0].number;
	return true;
}

static bool read_cfa(Dwarf_Frame *frame, struct cfi_rule *ret)
{
	Dwarf_Op *ops;
	size_t count;

	if (dwarf_frame_cfa(frame, &ops, &count))
		return false;
	if (count != 1 || ops[0].atom != DW_OP_bregx)
		return read_plt_expression(ops, count, ret);
	if ((ops[0].number != REGISTER_RSP && ops[0].number != REGISTER_RBP) || !fits_s32(ops[0].number2))
		return false;
	ret->rule.cfa = ops[0].number == REGISTER_RSP ? UNWIND_CFA_RSP : UNWIND_CFA_RBP;
	ret->rule.cfa_offset = (int32_t)ops[0].number2;
	return true;
}

struct cfi_rule cfi_rule_from_frame(Dwarf_Frame *frame)
{
	struct cfi_rule rule = {0};
	Dwarf_Addr start, end;
	bool is_signal = false;
	int column = dwarf_frame_info(frame, &start, &end, &is_signal);

	if (is_signal || column != REGISTER_RETURN_ADDRESS)
		return (struct cfi_rule){.rule = rule_unsupported};
	switch (read_return_address(frame)) {
	case RETURN_UNDEFINED:
		return (struct cfi_rule){.rule.cfa = UNWIND_ROOT};
	case RETURN_AT_CFA:
		if (read_cfa(frame, &rule) && read_rbp(frame, &rule.rule))
			return rule;
		return (struct cfi_rule){.rule = rule_unsupported};
	case RETURN_ELSEWHERE:
		break;
	}
	return (struct cfi_rule){.rule = rule_unsupported};
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
