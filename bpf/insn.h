/* Decides where in a function a trap may go: the prologue decoder.
 *
 * From the function's first byte on, instructions of a short allow-list are decoded, until one comes that the
 * kernel emulates (x86-64: push r64, nop, jmp, jcc, call; arch/x86/kernel/uprobes.c): a trap there is neither
 * single-stepped nor inside an instruction. What is passed on the way writes neither memory nor the stack
 * pointer: at the trap, [rsp] is the return address. The arguments that matter are still there, usually in
 * their own registers, otherwise in those that they were moved to whole.
 *
 * Invariants: pure; reads nothing outside of code[0 … length). Whatever it does not know for sure, it
 * refuses. Units: bytes.
 */
#ifndef KILN_BPF_INSN_H
#define KILN_BPF_INSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* No trap lies further behind the function's start. jemalloc's free needs 48. */
#define INSN_SITE_MAX 64
/* So many bytes of a function are needed to decide: the last instruction may begin at INSN_SITE_MAX. */
#define INSN_CODE_BYTES (INSN_SITE_MAX + 15)
#define INSN_ARGUMENTS	3

struct insn_site {
	unsigned offset; /* of the trap, behind the function's start */
	unsigned length; /* of the instruction there */
	/* Where the arguments are: the numbers that the processor gives its registers (0 rax, 1 rcx, 2 rdx, 3
	 * rbx, 4 rsp, 5 rbp, 6 rsi, 7 rdi, 8 to 15). Of arguments that were not asked for, their own. */
	uint8_t registers[INSN_ARGUMENTS];
	bool is_moved;	 /* one that was asked for is not in its own register */
	bool is_stepped; /* the kernel single-steps it: insn_find_stepped_site() */
};

/* arguments: the first so many must be in place. false: there is no such place; *ret_why says why (static
 * text). */
bool insn_find_site(const uint8_t *code, size_t length, unsigned arguments, struct insn_site *ret,
		    const char **ret_why);

/* The place of last resort: the function's first instruction. Whatever it does has not happened yet, but a
 * trap costs 1 µs more, and 10 to 20 µs more in a virtual machine. */
bool insn_find_stepped_site(const uint8_t *code, size_t length, struct insn_site *ret, const char **ret_why);

#endif
