#include "worker_start.h"

#include "base/channel.h"
#include "base/cleanup.h"
#include "bpf/supervisor.h"
#include "symbolizer/symbolizer.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

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
	/* It ends when its socket closes; one that hangs dies with us (PR_SET_PDEATHSIG), also when we are no
	 * longer root and may not kill it. */
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
