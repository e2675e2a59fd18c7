/* Closing the last fd of a link or an event waits for the kernel: 20 to 100 ms each. Where nobody needs to
 * know when it has gone, a process of its own waits. */
#include "bpf/uprobes_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Without room for its copies it ends at once, and the caller is the one that waits. */
static void hold_until_closed(const int *fds, size_t count, int pipe)
{
	int first = pipe, copy;
	char byte;

	setsid();
	for (size_t i = 0; i < count; i++)
		if (fds[i] > first)
			first = fds[i];
	copy = fcntl(pipe, F_DUPFD_CLOEXEC, first + 1);
	for (size_t i = 0; i < count && copy >= 0; i++)
		if (fcntl(fds[i], F_DUPFD_CLOEXEC, copy) < 0)
			_exit(0);
	/* Whatever else was inherited goes first, the other end of the pipe and the target's links among it.
	 */
	if (copy < 0 || close_range(0, (unsigned)copy - 1, 0) < 0)
		_exit(0);
	while (read(copy, &byte, 1) < 0 && errno == EINTR)
		;
	_exit(0);
}

/* A grandchild, which is nobody's to reap. It takes no signal: the terminal's ^Z must not keep a trap. */
static void fork_holder(const int *fds, size_t count, int pipe)
{
	sigset_t all, before;
	pid_t child;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	child = fork();
	if (child == 0) {
		if (fork() == 0)
			hold_until_closed(fds, count, pipe);
		_exit(0);
	}
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
	sigprocmask(SIG_SETMASK, &before, NULL);
}

void uprobes_close_later(const int *fds, size_t count)
{
	int ends[2] = {-1, -1};

	if (count && pipe2(ends, O_CLOEXEC) == 0)
		fork_holder(fds, count, ends[0]);
	for (size_t i = count; i > 0; i--)
		close(fds[i - 1]);
	/* Now the holder's are the last: it ends with this pipe, which our death would close too. */
	if (ends[0] >= 0) {
		close(ends[0]);
		close(ends[1]);
	}
}
