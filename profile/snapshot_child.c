/* Saving while the session goes on: a forked child is a copy of the profile at this moment, and writes it.
 *
 * The child says through a pipe how it went. The parent waits for the pipe on its loop, so for nothing else
 * than the end of this one child. */
#include "profile/snapshot.h"

#include "base/cleanup.h"
#include "profile/snapshot_temporary.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* One write into the pipe: whole or not at all (PIPE_BUF). */
struct result {
	int32_t code; /* enum error_code; 0: saved */
	char message[2048];
	char hint[512];
};
_Static_assert(sizeof(struct result) <= PIPE_BUF, "arrives in one piece");

struct save {
	pid_t pid;
	int fd;
	char *path;
	struct loop_source *source;
	void (*on_done)(void *arg, struct error *error);
	void *arg;
};

static void save_destroy(struct save *save)
{
	if (!save)
		return;
	loop_remove(save->source);
	if (save->fd >= 0)
		close(save->fd);
	free(save->path);
	free(save);
}

static void cleanup_save(struct save **save)
{
	save_destroy(*save);
}

/* ---- the child ---- */

/* Handlers are the parent's business: here signals have their default action, and what asks to end is
 * ignored, for the file is nearly done. A write beyond RLIMIT_FSIZE shall be an error. */
static void reset_signals(void)
{
	static const int ignored[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGPIPE, SIGXFSZ};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		signal(number, SIG_DFL);
	for (size_t i = 0; i < sizeof(ignored) / sizeof(*ignored); i++)
		signal(ignored[i], SIG_IGN);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void run_child(const struct profile *profile, const char *path, int fd, pid_t parent)
{
	struct result result = {0};
	struct error *error;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	reset_signals();
	/* The parent's sockets and rings: a copy of them here would hide from the other end that it has gone.
	 */
	if (fd != 3 && dup2(fd, 3) < 0)
		_exit(1);
	close_range(4, ~0u, 0);
	error = snapshot_write(profile, path);
	if (error) {
		const char *hint = error_get_hint(error);

		result.code = error_get_code(error);
		snprintf(result.message, sizeof(result.message), "%s", error_get_message(error));
		snprintf(result.hint, sizeof(result.hint), "%s", hint ? hint : "");
	}
	_exit(write(3, &result, sizeof(result)) != sizeof(result));
}

/* ---- the parent ---- */

static struct error *read_result(struct save *save)
{
	struct result result;
	ssize_t count;
	int status = 0;

	do
		count = read(save->fd, &result, sizeof(result));
	while (count < 0 && errno == EINTR);
	/* It has written its last word, or is dead: this does not take long. */
	while (waitpid(save->pid, &status, 0) < 0 && errno == EINTR)
		;
	if (count != sizeof(result)) {
		temporary_remove_of(save->path, save->pid);
		if (WIFSIGNALED(status))
			return error_create(ERROR_GENERAL, 0, "save again",
					    "snapshot %s: the writer was killed by signal %d", save->path,
					    WTERMSIG(status));
		return error_create(ERROR_GENERAL, 0, "save again", "snapshot %s: the writer ended early",
				    save->path);
	}
	if (!result.code)
		return NULL;
	result.message[sizeof(result.message) - 1] = '\0';
	result.hint[sizeof(result.hint) - 1] = '\0';
	return error_create((enum error_code)result.code, 0, *result.hint ? result.hint : NULL, "%s",
			    result.message);
}

static void on_result(void *arg, uint32_t events)
{
	struct save *save = arg;
	struct error *error = read_result(save);
	void (*on_done)(void *arg, struct error *error) = save->on_done;
	void *done_arg = save->arg;

	save_destroy(save);
	on_done(done_arg, error);
}

static struct error *fork_writer(const struct profile *profile, const char *path, struct save *save)
{
	_cleanup_close_ int write_fd = -1;
	pid_t parent = getpid();
	int fds[2];

	if (pipe2(fds, O_CLOEXEC))
		return error_create(ERROR_GENERAL, errno, NULL, "pipe");
	save->fd = fds[0];
	write_fd = fds[1];
	save->pid = fork();
	if (save->pid < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "fork");
	if (!save->pid)
		run_child(profile, path, write_fd, parent);
	return NULL;
}

struct error *snapshot_write_in_child(const struct profile *profile, const char *path, struct loop *loop,
				      void (*on_done)(void *arg, struct error *error), void *arg)
{
	_cleanup_(cleanup_save) struct save *save = calloc(1, sizeof(*save));
	struct error *error = NULL;

	if (save)
		*save = (struct save){.fd = -1, .path = strdup(path), .on_done = on_done, .arg = arg};
	if (!save || !save->path)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "snapshot");
	error = fork_writer(profile, path, save);
	if (error)
		return error_wrap(error, "snapshot %s", path);
	error = loop_add_fd(loop, save->fd, EPOLLIN, on_result, save, &save->source);
	if (error) {
		kill(save->pid, SIGKILL);
		waitpid(save->pid, NULL, 0);
		temporary_remove_of(path, save->pid);
		return error_wrap(error, "snapshot %s", path);
	}
	save = NULL; /* on_result's */
	return NULL;
}
