/* Closing the last fd of a link or an event waits for the kernel, 20 to 100 ms each, and must not be
 * disturbed: children hold copies, this process closes its own fds, and then the children end. What the
 * kernel closes in a process that is ending it closes whole: no signal reaches such a process any more. */
#include "bpf/uprobes_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Each event takes the kernel some 0.1 s, nearly all of it waiting, which several can do at once. */
#define HOLDERS 8
/* Two fds belong together: an event and its link. */
#define SLICE(count) (((count) / 2 + HOLDERS - 1) / HOLDERS * 2)

/* Without room for its copies it ends at once, and the caller is the one that waits. */
static void hold_until_closed(const int *fds, size_t count, int pipe)
{
	int first = pipe, copy;
	char byte;

	setsid();
	/* Not by the name of kiln: `pkill -9 kiln` must not meet it. */
	prctl(PR_SET_NAME, "uprobe-detach");
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

/* It takes no signal: the terminal's ^Z must not keep a trap. is_orphan: a grandchild, nobody's to reap. */
static pid_t fork_holder(const int *fds, size_t count, int pipe, bool is_orphan)
{
	sigset_t all, before;
	pid_t child;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	child = fork();
	if (child == 0) {
		if (!is_orphan || fork() == 0)
			hold_until_closed(fds, count, pipe);
		_exit(0);
	}
	sigprocmask(SIG_SETMASK, &before, NULL);
	return child;
}

static void wait_for(pid_t child)
{
	while (child > 0 && waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

static void close_all(const int *fds, size_t count)
{
	for (size_t i = count; i > 0; i--)
		close(fds[i - 1]);
}

void links_close(const int *fds, size_t count)
{
	size_t slice = count >= 2 * HOLDERS ? SLICE(count) : count, done = 0;
	pid_t holders[HOLDERS];
	unsigned holder_count = 0;
	int ends[2];

	if (!count)
		return;
	if (pipe2(ends, O_CLOEXEC) < 0) {
		close_all(fds, count);
		return;
	}
	for (; done < count && holder_count < HOLDERS; done += slice) {
		size_t rest = count - done;

		holders[holder_count++] =
			fork_holder(fds + done, rest < slice ? rest : slice, ends[0], false);
	}
	close_all(fds, count);
	/* Now the holders' are the last: they end with this pipe, which our death would close too. */
	close(ends[0]);
	close(ends[1]);
	for (unsigned i = 0; i < holder_count; i++)
		wait_for(holders[i]);
}

void links_close_later(const int *fds, size_t count)
{
	int ends[2] = {-1, -1};

	if (count && pipe2(ends, O_CLOEXEC) == 0)
		wait_for(fork_holder(fds, count, ends[0], true));
	close_all(fds, count);
	if (ends[0] >= 0) {
		close(ends[0]);
		close(ends[1]);
	}
}
