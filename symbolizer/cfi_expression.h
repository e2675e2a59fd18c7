/* What an expression of a CFI program computes, as far as a rule of bpf/table.h can say it.
 *
 * An expression is evaluated with registers as unknowns: the result is a sum. Whatever order and whatever
 * operations a compiler or a hand chose for it, breg7 8, breg9 0, lit8, mul, plus, deref, plus_uconst 8 is
 * *(rsp + 8 * r9 + 8) + 8. Numbers wrap as DWARF's do.
 * Ownership: none, plain values. Errors: false, for what is no such sum.
 */
#ifndef KILN_SYMBOLIZER_CFI_EXPRESSION_H
#define KILN_SYMBOLIZER_CFI_EXPRESSION_H

#include <elfutils/libdw.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CFI_BASE_NONE 0xff
#define CFI_BASE_CFA  0xfe

/* base + 8 * index + offset, or with is_read *(base + 8 * index + offset) + extra. */
struct cfi_sum {
	uint8_t base;  /* DWARF number of a register, below UNWIND_REGISTERS, or one of CFI_BASE_… */
	uint8_t index; /* the same, never CFI_BASE_CFA */
	bool is_read;
	uint64_t offset;
	uint64_t extra;
};

/* ret_is_value: it ends with DW_OP_stack_value; else the sum is the address where the value is saved. */
bool cfi_expression_evaluate(const Dwarf_Op *ops, size_t count, struct cfi_sum *ret, bool *ret_is_value);

#endif
