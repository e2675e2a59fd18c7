#include "symbolizer/cfi_expression.h"

#include "bpf/table.h"

#include <dwarf.h>

#define STACK_DEPTH_MAX 8
/* The only factor that bpf/table.h knows: an index into an array of pointers. */
#define INDEX_FACTOR 8

struct stack {
	struct cfi_sum items[STACK_DEPTH_MAX];
	size_t count;
};

static bool is_number(const struct cfi_sum *sum)
{
	return sum->base == CFI_BASE_NONE && sum->index == CFI_BASE_NONE && !sum->is_read;
}

static bool push(struct stack *stack, uint8_t base, uint64_t offset)
{
	if (stack->count >= STACK_DEPTH_MAX)
		return false;
	stack->items[stack->count++] = (struct cfi_sum){
		.base = base,
		.index = CFI_BASE_NONE,
		.offset = offset,
	};
	return true;
}

static bool push_register(struct stack *stack, uint64_t number, uint64_t offset)
{
	return number < UNWIND_REGISTERS && push(stack, (uint8_t)number, offset);
}

static void add_number(struct cfi_sum *sum, uint64_t number)
{
	if (sum->is_read)
		sum->extra += number;
	else
		sum->offset += number;
}

/* *left += *right */
static bool add(struct cfi_sum *left, const struct cfi_sum *right)
{
	if (is_number(right)) {
		add_number(left, right->offset);
		return true;
	}
	if (is_number(left)) {
		uint64_t number = left->offset;

		*left = *right;
		add_number(left, number);
		return true;
	}
	if (left->is_read || right->is_read)
		return false;
	if (left->base != CFI_BASE_NONE && right->base != CFI_BASE_NONE)
		return false;
	if (left->index != CFI_BASE_NONE && right->index != CFI_BASE_NONE)
		return false;
	if (left->base == CFI_BASE_NONE)
		left->base = right->base;
	if (left->index == CFI_BASE_NONE)
		left->index = right->index;
	left->offset += right->offset;
	return true;
}

static bool scale(struct cfi_sum *sum, uint64_t factor)
{
	if (is_number(sum)) {
		sum->offset *= factor;
		return true;
	}
	if (factor != INDEX_FACTOR || sum->is_read || sum->index != CFI_BASE_NONE ||
	    sum->base == CFI_BASE_CFA)
		return false;
	sum->index = sum->base;
	sum->base = CFI_BASE_NONE;
	sum->offset *= factor;
	return true;
}

static bool multiply(struct cfi_sum *left, const struct cfi_sum *right)
{
	struct cfi_sum scaled = *right;

	if (is_number(right))
		return scale(left, right->offset);
	if (!is_number(left) || !scale(&scaled, left->offset))
		return false;
	*left = scaled;
	return true;
}

static bool shift_left(struct cfi_sum *left, const struct cfi_sum *right)
{
	return is_number(right) && right->offset < 64 && scale(left, 1ull << right->offset);
}

static bool subtract(struct cfi_sum *left, const struct cfi_sum *right)
{
	if (!is_number(right))
		return false;
	add_number(left, -right->offset);
	return true;
}

/* One memory access is all that a rule has. */
static bool dereference(struct stack *stack)
{
	struct cfi_sum *top;

	if (!stack->count)
		return false;
	top = &stack->items[stack->count - 1];
	if (top->is_read || top->base == CFI_BASE_NONE)
		return false;
	top->is_read = true;
	return true;
}

static bool run_binary(struct stack *stack, uint8_t atom)
{
	struct cfi_sum *left, *right;

	if (stack->count < 2)
		return false;
	right = &stack->items[--stack->count];
	left = right - 1;
	switch (atom) {
	case DW_OP_plus:
		return add(left, right);
	case DW_OP_minus:
		return subtract(left, right);
	case DW_OP_mul:
		return multiply(left, right);
	case DW_OP_shl:
		return shift_left(left, right);
	default:
		return false;
	}
}

static bool run(struct stack *stack, const Dwarf_Op *op)
{
	if (op->atom >= DW_OP_lit0 && op->atom <= DW_OP_lit31)
		return push(stack, CFI_BASE_NONE, op->atom - DW_OP_lit0);
	if (op->atom >= DW_OP_breg0 && op->atom <= DW_OP_breg31)
		return push_register(stack, op->atom - DW_OP_breg0, op->number);
	switch (op->atom) {
	case DW_OP_nop:
		return true;
	case DW_OP_bregx:
		return push_register(stack, op->number, op->number2);
	case DW_OP_call_frame_cfa:
		return push(stack, CFI_BASE_CFA, 0);
	case DW_OP_const1u:
	case DW_OP_const1s:
	case DW_OP_const2u:
	case DW_OP_const2s:
	case DW_OP_const4u:
	case DW_OP_const4s:
	case DW_OP_const8u:
	case DW_OP_const8s:
	case DW_OP_constu:
	case DW_OP_consts:
		return push(stack, CFI_BASE_NONE, op->number);
	case DW_OP_plus_uconst:
		if (!stack->count)
			return false;
		add_number(&stack->items[stack->count - 1], op->number);
		return true;
	case DW_OP_deref:
		return dereference(stack);
	default:
		return run_binary(stack, op->atom);
	}
}

bool cfi_expression_evaluate(const Dwarf_Op *ops, size_t count, struct cfi_sum *ret, bool *ret_is_value)
{
	struct stack stack;

	stack.count = 0; /* the rest need not be cleared: this runs three times a row */
	*ret_is_value = count && ops[count - 1].atom == DW_OP_stack_value;
	if (*ret_is_value)
		count--;
	for (size_t i = 0; i < count; i++) {
		if (!run(&stack, &ops[i]))
			return false;
	}
	if (!stack.count)
		return false;
	*ret = stack.items[stack.count - 1];
	return true;
}
