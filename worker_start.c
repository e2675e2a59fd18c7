#include "worker_start.h"

#include "base/channel.h"
#include "base/cleanup.h"
#include "bpf/supervisor.h"
#include "symbolizer/symbolizer.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* Also workers of a process that has gone: they are ours then. */
static void end_children(void)
{
	_cleanup_fclose_ FILE *children = fopen("/proc/thread-self/children", "re");
	int pid;

	while (children && fscanf(children, "%d", &pid) == 1)
		kill(pid, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

bool worker_guard(int *ret_status)
{
	int status = 0;
	pid_t pid;

	*ret_status = 0;
	if (geteuid() != 0 || prctl(PR_SET_CHILD_SUBREAPER, 1))
		return true;
	pid = fork();
	/* Without a second process a worker that hangs stays behind: better than no answer. */
	if (pid <= 0)
		return true;
	/* ^C is for the other one, which ends. */
	signal(SIGINT, SIG_IGN);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	end_children();
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : ERROR_GENERAL;
	return false;
}

struct started_worker {
	struct child child;
	struct channel *channel;
};

/* It is asked for no tables. */
static void on_message(void *arg, struct message *message)
{
}

/* Its other socket has closed too: who asks hears of it there. */
static void on_closed(void *arg)
{
}

struct error *worker_start(struct loop *loop, int *ret_kiln_fd, struct started_worker **ret)
{
	struct started_worker *worker = calloc(1, sizeof(*worker));
	_cleanup_close_ int kiln_fd = -1;
	struct error *error;

	if (!worker)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "worker");
	error = supervisor_fork_worker(symbolizer_worker_main, true, &worker->child, &kiln_fd);
	if (!error)
		error = channel_create(loop, worker->child.socket, on_message, on_closed, worker,
				       &worker->channel);
	if (error) {
		worker_stop(worker);
		return error_wrap(error, "worker");
	}
	*ret_kiln_fd = take_fd(&kiln_fd);
	*ret = worker;
	return NULL;
}

void worker_stop(struct started_worker *worker)
{
	if (!worker)
		return;
	/* It ends when its socket closes; one that hangs is ended by worker_guard(), where we may not. */
	channel_destroy(worker->channel);
	if (worker->child.pid > 0 && kill(worker->child.pid, SIGKILL) == 0)
		waitpid(worker->child.pid, NULL, 0);
	free(worker);
}

struct error *worker_hand_over(struct started_worker *worker, uint32_t module, enum module_kind kind, int fd)
{
	struct module_message message = {.module = module, .kind = kind};

	return channel_send(worker->channel, SYMBOLIZER_MODULE, &message, sizeof(message), &fd, 1);
}
