/* 1,000 signals a second, whose handler computes: on the program's stack, with "altstack" on one of its own.
 * What they interrupt stands at its very first instruction half of the time (a lookup at pc - 1 would find
 * what lies before, which has no CFI), in prologues and epilogues, and in system calls. */
#include "workload.h"

#include <string.h>
#include <time.h>

/* Spins in its first two instructions. */
uint64_t at_the_first_instruction(uint64_t rounds);
asm(".text\n"
    ".skip 32, 0xcc\n"
    ".globl at_the_first_instruction\n"
    ".type at_the_first_instruction, @function\n"
    "at_the_first_instruction:\n"
    "	.cfi_startproc\n"
    "	dec %rdi\n"
    "	jnz at_the_first_instruction\n"
    "	mov $1, %eax\n"
    "	ret\n"
    "	.cfi_endproc\n"
    ".size at_the_first_instruction, .-at_the_first_instruction\n");

/* More prologue than work. */
NOINLINE uint64_t mostly_prologue(uint64_t a, uint64_t b)
{
	asm volatile("" ::: "rbx", "rbp", "r12", "r13", "r14", "r15");
	return a * 3 + b;
}

NOINLINE uint64_t in_the_handler(uint64_t seed)
{
	return workload_burn(seed, 400000) + 1;
}

static void handle(int number, siginfo_t *info, void *context)
{
	workload_sink = in_the_handler(workload_sink);
}

NOINLINE uint64_t interrupted(uint64_t seed)
{
	seed += at_the_first_instruction(100000);
	for (int i = 0; i < 20000; i++)
		seed = mostly_prologue(seed, (uint64_t)i);
	for (int i = 0; i < 100; i++)
		seed += (uint64_t)getppid();
	return seed + 2;
}

static int start_timer(void)
{
	struct itimerspec each_ms = {{0, 1000000}, {0, 1000000}};
	struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
	timer_t timer;

	return timer_create(CLOCK_MONOTONIC, &event, &timer) || timer_settime(timer, 0, &each_ms, NULL);
}

int main(int argc, char **argv)
{
	static unsigned char stack[64 << 10];
	stack_t other = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO | SA_RESTART};

	workload_start();
	if (argc > 1 && !strcmp(argv[1], "altstack")) {
		action.sa_flags |= SA_ONSTACK;
		if (sigaltstack(&other, NULL))
			return 1;
	}
	if (sigaction(SIGRTMIN, &action, NULL) || start_timer())
		return 1;
	workload_say("ready");
	for (;;)
		workload_sink = interrupted(workload_sink);
}
