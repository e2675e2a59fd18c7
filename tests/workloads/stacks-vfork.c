/* vfork() in a loop: while it is in the system call its return address is in a register. */
#include "workload.h"

#include <sys/wait.h>

NOINLINE void spawn_one(void)
{
	pid_t child = vfork();

	if (!child)
		_exit(0);
	waitpid(child, NULL, 0);
	workload_sink = workload_burn(workload_sink, 50000);
}

int main(void)
{
	workload_start();
	workload_say("ready");
	for (;;)
		spawn_one();
}
