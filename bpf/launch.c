#include "bpf/launch.h"

#include "base/cleanup.h"
#include "base/signals.h"
#include "base/text.h"
#include "bpf/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a child that could not become CMD writes before it ends. An exec closes the pipe instead. */
enum outcome_stage { STAGE_PREPARE, STAGE_RIGHTS, STAGE_EXEC };

struct outcome {
	int stage;
	int saved_errno;
};

#define CHILD_FD_GO	 3
#define CHILD_FD_OUTCOME 4

/* ---- in the child, until exec ---- */

static __attribute__((noreturn)) void child_fail(int fd, enum outcome_stage stage, int saved_errno)
{
	struct outcome outcome = {.stage = stage, .saved_errno = saved_errno};
	ssize_t ignored = write(fd, &outcome, sizeof(outcome));

	(void)ignored;
	_exit(127);
}

static int open_terminal(void)
{
	return open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
}

/* A background process that calls tcsetpgrp() is stopped by SIGTTOU, unless it blocks that. */
static void set_foreground(int terminal_fd, pid_t group)
{
	sigset_t output, before;

	sigemptyset(&output);
	sigaddset(&output, SIGTTOU);
	sigprocmask(SIG_BLOCK, &output, &before);
	tcsetpgrp(terminal_fd, group);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

/* Only kiln's own place in front is given to CMD: a kiln in the background (`kiln record … &`) has none to
 * give. */
static void pass_foreground(void)
{
	_cleanup_close_ int fd = open_terminal();

	if (fd >= 0 && tcgetpgrp(fd) == getpgid(getppid()))
		set_foreground(fd, getpid());
}

static bool redirect(int from, int to)
{
	return from < 0 || from == to || dup2(from, to) == to;
}

/* The wanted fds are first copied out of the way of their places; then everything else goes. */
static bool arrange_fds(const struct launch_options *options, int *go_fd, int *outcome_fd)
{
	int input = options->stdin_fd < 0 ? -1 : fcntl(options->stdin_fd, F_DUPFD, 10);
	int output = options->stdout_fd < 0 ? -1 : fcntl(options->stdout_fd, F_DUPFD, 10);
	int errors = options->stderr_fd < 0 ? -1 : fcntl(options->stderr_fd, F_DUPFD, 10);
	int go = fcntl(*go_fd, F_DUPFD, 10), outcome = fcntl(*outcome_fd, F_DUPFD, 10);

	if ((options->stdin_fd >= 0 && input < 0) || (options->stdout_fd >= 0 && output < 0) ||
	    (options->stderr_fd >= 0 && errors < 0) || go < 0 || outcome < 0)
		return false;
	*outcome_fd = outcome;
	if (!redirect(input, STDIN_FILENO) || !redirect(output, STDOUT_FILENO) ||
	    !redirect(errors, STDERR_FILENO) || dup3(go, CHILD_FD_GO, O_CLOEXEC) < 0 ||
	    dup3(outcome, CHILD_FD_OUTCOME, O_CLOEXEC) < 0)
		return false;
	*go_fd = CHILD_FD_GO;
	*outcome_fd = CHILD_FD_OUTCOME;
	return close_range(CHILD_FD_OUTCOME + 1, ~0u, 0) == 0;
}

/* sudo has set these for root. */
static void set_environment(uid_t uid)
{
	struct passwd *user = getpwuid(uid);

	if (!user)
		return;
	setenv("HOME", user->pw_dir, 1);
	setenv("USER", user->pw_name, 1);
	setenv("LOGNAME", user->pw_name, 1);
	setenv("SHELL", user->pw_shell, 1);
}

static __attribute__((noreturn)) void child_main(const struct launch_options *options, int go_fd,
						 int outcome_fd)
{
	_cleanup_error_ struct error *error = NULL;
	bool is_other_user = !options->as_root && options->uid != geteuid();
	ssize_t got;
	char byte;

	if (options->own_group && setpgid(0, 0) < 0)
		child_fail(outcome_fd, STAGE_PREPARE, errno);
	if (!arrange_fds(options, &go_fd, &outcome_fd))
		child_fail(outcome_fd, STAGE_PREPARE, errno);
	signals_reset();
	if (!options->as_root)
		error = privileges_become_user(options->uid, options->gid);
	if (error)
		child_fail(outcome_fd, STAGE_RIGHTS, error_get_errno(error));
	if (is_other_user)
		set_environment(options->uid);
	do
		got = read(go_fd, &byte, 1);
	while (got < 0 && errno == EINTR);
	if (got != 1)
		_exit(127); /* kiln has gone */
	if (options->own_group && options->in_foreground)
		pass_foreground();
	execvp(options->argv[0], options->argv);
	child_fail(outcome_fd, STAGE_EXEC, errno);
}

/* ---- in the parent ---- */

int launch_open_null(void)
{
	return open("/dev/null", O_RDWR | O_CLOEXEC);
}

struct error *launch_prepare(const struct launch_options *options, struct launch *ret)
{
	int go[2], outcome[2];
	pid_t pid;

	if (pipe2(go, O_CLOEXEC) < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "start %s", options->argv[0]);
	if (pipe2(outcome, O_CLOEXEC) < 0) {
		int saved_errno = errno;

		close(go[0]);
		close(go[1]);
		return error_create(ERROR_GENERAL, saved_errno, NULL, "start %s", options->argv[0]);
	}
	pid = fork();
	if (pid == 0) {
		close(go[1]); /* or its own copy would keep the pipe open when kiln dies */
		close(outcome[0]);
		child_main(options, go[0], outcome[1]);
	}
	close(go[0]);
	close(outcome[1]);
	if (pid < 0) {
		int saved_errno = errno;

		close(go[1]);
		close(outcome[0]);
		return error_create(ERROR_GENERAL, saved_errno, NULL, "start %s", options->argv[0]);
	}
	ret->pid = pid;
	ret->go_fd = go[1];
	ret->outcome_fd = outcome[0];
	return NULL;
}

static void close_fds(struct launch *launch)
{
	close(launch->go_fd);
	close(launch->outcome_fd);
	launch->go_fd = launch->outcome_fd = -1;
}

static void reap(pid_t pid)
{
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static struct error *error_not_started(const struct outcome *outcome, const char *command)
{
	const char *hint = NULL;
	char shown[256];

	text_sanitize(command, SIZE_MAX, shown, sizeof(shown));
	if (outcome->stage != STAGE_EXEC)
		return error_create(ERROR_GENERAL, outcome->saved_errno, NULL, "start %s: %s", shown,
				    outcome->stage == STAGE_RIGHTS ? "become the invoking user" : "prepare");
	if (outcome->saved_errno == ENOENT)
		hint = "give the path of a program, or a name that is in PATH";
	else if (outcome->saved_errno == EACCES && !strchr(command, '/'))
		hint = "no program of this name in PATH that the invoking user may execute; give its path";
	else if (outcome->saved_errno == EACCES)
		hint = "it must be a program that the invoking user may execute (chmod +x), on no noexec "
		       "file system";
	else if (outcome->saved_errno == ENOEXEC)
		hint = "it is no program of this machine";
	return error_create(ERROR_NO_TARGET, outcome->saved_errno, hint, "cannot execute %s", shown);
}

struct error *launch_release(struct launch *launch, const char *command)
{
	struct outcome outcome = {.stage = STAGE_PREPARE};
	ssize_t written, got;

	/* A child that has failed already does not read: that must not kill us. MSG_NOSIGNAL is for sockets
	 * only. */
	struct sigaction ignore = {.sa_handler = SIG_IGN}, before;

	sigaction(SIGPIPE, &ignore, &before);
	do
		written = write(launch->go_fd, "g", 1);
	while (written < 0 && errno == EINTR);
	sigaction(SIGPIPE, &before, NULL);
	do
		got = read(launch->outcome_fd, &outcome, sizeof(outcome));
	while (got < 0 && errno == EINTR);
	close_fds(launch);
	if (got == 0 && written == 1)
		return NULL; /* also when it was killed while it waited: its death is seen as any target's */
	reap(launch->pid);
	launch->pid = 0;
	if (got != sizeof(outcome))
		return error_create(ERROR_NO_TARGET, 0, NULL, "start %s: it ended before it began", command);
	return error_not_started(&outcome, command);
}

void launch_abort(struct launch *launch)
{
	if (launch->pid <= 0 || launch->go_fd < 0)
		return;
	close_fds(launch);
	kill(launch->pid, SIGKILL); /* it may be stopped */
	reap(launch->pid);
	launch->pid = 0;
}

void launch_take_terminal(void)
{
	_cleanup_close_ int fd = open_terminal();
	pid_t group = fd < 0 ? -1 : tcgetpgrp(fd);

	/* Whoever is alive in front got there by the shell's will, or is CMD's own. */
	if (group > 0 && group != getpgrp() && kill(-group, 0) < 0 && errno == ESRCH)
		set_foreground(fd, getpgrp());
}
