/* Stacks that are hard to walk: each is reached once, and stopped in by an int3, for
 * tests/tools/record_stack.
 *
 *   stacks signal | jit | realign | vfork | longjmp | plain
 *
 * Outside of a tracer the int3 is ignored. */
#include "workload.h"

#include <setjmp.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#define stop() __asm__ volatile("int3" ::: "memory")

/* ---- a callback out of a library, interrupted by a signal whose handler has a stack of its own ---- */

static void on_signal(int signal)
{
	workload_sink += (uint64_t)signal;
	stop();
}

static NOINLINE int compare(const void *one, const void *two)
{
	if (workload_phase++ == 5)
		raise(SIGUSR2);
	return *(const int *)one - *(const int *)two;
}

static NOINLINE void run_signal(void)
{
	static char alternate[65536];
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	stack_t stack = {.ss_sp = alternate, .ss_size = sizeof(alternate)};
	int numbers[] = {5, 3, 9, 1, 7, 2, 8};

	sigaltstack(&stack, NULL);
	sigaction(SIGUSR2, &action, NULL);
	qsort(numbers, 7, sizeof(int), compare);
	workload_sink += (uint64_t)numbers[0];
}

/* ---- code without a table, with a frame pointer ---- */

static NOINLINE void called_back(void)
{
	stop();
	workload_sink++;
}

static NOINLINE void run_jit(void)
{
	/* push %rbp; mov %rsp, %rbp; sub $32, %rsp; call *%rdi; leave; ret */
	static const unsigned char code[] = {0x55, 0x48, 0x89, 0xe5, 0x48, 0x83,
					     0xec, 0x20, 0xff, 0xd7, 0xc9, 0xc3};
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	void (*enter)(void (*)(void));

	if (page == MAP_FAILED)
		exit(1);
	memcpy(page, code, sizeof(code));
	mprotect(page, 4096, PROT_READ | PROT_EXEC);
	memcpy(&enter, &page, sizeof(enter));
	enter(called_back);
	workload_sink++;
}

/* ---- a stack that is aligned anew, and grows by what it is told ---- */

static NOINLINE void run_realign(size_t bytes)
{
	volatile char aligned[64] __attribute__((aligned(64)));
	char *more = __builtin_alloca(bytes);

	more[0] = 1;
	aligned[0] = more[0];
	called_back();
	workload_sink += (uint64_t)aligned[0] + (uint64_t)more[0];
}

static NOINLINE void run_vfork(void)
{
	pid_t pid;
	int status;

	stop();
	pid = vfork();
	if (pid == 0)
		_exit(3);
	waitpid(pid, &status, 0);
	workload_sink += (uint64_t)status;
}

static NOINLINE void jump(jmp_buf place)
{
	stop();
	longjmp(place, 1);
}

static NOINLINE void run_longjmp(void)
{
	jmp_buf place;

	if (!setjmp(place))
		jump(place);
	workload_sink++;
}

static NOINLINE void run_plain(void)
{
	char text[64];

	stop();
	/* through the linker's lazy binding */
	snprintf(text, sizeof(text), "%d %s %.3f", 42, "words", 3.5);
	workload_sink += strlen(text);
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	signal(SIGTRAP, SIG_IGN);
	if (!strcmp(name, "signal"))
		run_signal();
	else if (!strcmp(name, "jit"))
		run_jit();
	else if (!strcmp(name, "realign"))
		run_realign((size_t)argc * 100);
	else if (!strcmp(name, "vfork"))
		run_vfork();
	else if (!strcmp(name, "longjmp"))
		run_longjmp();
	else if (!strcmp(name, "plain"))
		run_plain();
	else
		return 2;
	workload_sink++;
	return 0;
}
