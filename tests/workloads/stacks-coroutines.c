/* Eight coroutines on stacks of their own, which take turns; the root of each is its entry function. They
 * work for some microseconds a turn: the CFI of glibc's swapcontext() is wrong for the instructions after it
 * has changed stacks. */
#include "workload.h"

#include <ucontext.h>

#define COROUTINES  8
#define STACK_BYTES (64 << 10)

static ucontext_t contexts[COROUTINES], main_context;

NOINLINE uint64_t turn_work(uint64_t seed)
{
	return workload_burn(seed, 5000) + 1;
}

NOINLINE void take_turns(int self, int depth)
{
	if (depth) {
		take_turns(self, depth - 1);
		asm volatile(""); /* no tail call */
		return;
	}
	workload_sink = turn_work(workload_sink);
	swapcontext(&contexts[self], &contexts[(self + 1) % COROUTINES]);
}

static void coroutine_entry(int self)
{
	for (;;)
		take_turns(self, self);
}

int main(void)
{
	static unsigned char stacks[COROUTINES][STACK_BYTES] __attribute__((aligned(16)));

	workload_start();
	for (int i = 0; i < COROUTINES; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = stacks[i];
		contexts[i].uc_stack.ss_size = STACK_BYTES;
		makecontext(&contexts[i], (void (*)(void))coroutine_entry, 1, i);
	}
	workload_say("ready");
	swapcontext(&main_context, &contexts[0]);
}
