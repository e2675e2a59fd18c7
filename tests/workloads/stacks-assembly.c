/* Hand-written functions without CFI in the middle of a program that has some: by_frames() keeps frame
 * pointers, its stacks are whole; by_nothing() (argv[1] = "nothing") uses rbp for itself, and its stacks must
 * say so. */
#include "workload.h"

#include <string.h>

typedef uint64_t call_back(uint64_t seed);

uint64_t by_frames(call_back *back, uint64_t seed), by_nothing(call_back *back, uint64_t seed);

/* Both spin a little, and then call. */
asm(".text\n"
    ".globl by_frames\n"
    ".type by_frames, @function\n"
    "by_frames:\n"
    "	push %rbp\n"
    "	mov %rsp, %rbp\n"
    "	mov $20000, %ecx\n"
    "1:	imul $3, %rsi, %rsi\n"
    "	dec %ecx\n"
    "	jnz 1b\n"
    "	sub $64, %rsp\n"
    "	mov %rdi, %rax\n"
    "	mov %rsi, %rdi\n"
    "	call *%rax\n"
    "	leave\n"
    "	ret\n"
    ".size by_frames, .-by_frames\n"
    ".globl by_nothing\n"
    ".type by_nothing, @function\n"
    "by_nothing:\n"
    "	push %rbp\n"
    "	mov $20000, %ebp\n"
    "1:	imul $3, %rsi, %rsi\n"
    "	dec %ebp\n"
    "	jnz 1b\n"
    "	mov $42, %ebp\n"
    "	sub $64, %rsp\n"
    "	mov %rdi, %rax\n"
    "	mov %rsi, %rdi\n"
    "	call *%rax\n"
    "	add $64, %rsp\n"
    "	pop %rbp\n"
    "	ret\n"
    ".size by_nothing, .-by_nothing\n");

NOINLINE uint64_t called_back(uint64_t seed)
{
	return workload_burn(seed, 20000) + 3;
}

int main(int argc, char **argv)
{
	uint64_t (*call)(call_back * back, uint64_t seed) = by_frames;

	if (argc > 1 && !strcmp(argv[1], "nothing"))
		call = by_nothing;
	workload_start();
	workload_say("ready");
	for (;;)
		workload_sink = call(called_back, workload_sink);
}
