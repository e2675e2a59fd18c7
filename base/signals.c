#include "base/signals.h"

#include <signal.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <unistd.h>

void signals_reset(void)
{
	/* By the system call: glibc refuses to touch 32 and 33, which it uses for threads, and a launcher may
	 * have left them ignored. All zeros is the kernel's struct sigaction for the default action. */
	static const unsigned long default_action[4];
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		syscall(SYS_rt_sigaction, number, default_action, NULL, (size_t)8);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}
