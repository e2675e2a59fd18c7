/* setjmp() and longjmp() out of six frames, in a loop: __longjmp() takes rsp, rbp and the return address out
 * of registers. */
#include "workload.h"

#include <setjmp.h>

static jmp_buf place;
static sigjmp_buf signal_place;

NOINLINE void jump_from(int depth)
{
	if (depth) {
		jump_from(depth - 1);
		asm volatile(""); /* no tail call */
		return;
	}
	longjmp(place, 1);
}

NOINLINE void jump_once(void)
{
	if (!setjmp(place))
		jump_from(6);
	if (!sigsetjmp(signal_place, 0))
		siglongjmp(signal_place, 1);
}

int main(void)
{
	workload_start();
	workload_say("ready");
	for (;;)
		jump_once();
}
