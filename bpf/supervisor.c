#include "bpf/supervisor.h"

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/signals.h"
#include "bpf/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

/* Moves the sockets to 3, 4 …, closes all else. Nothing of the probe's, no link, no map, stays open in a
 * child. */
static void keep_only(int *sockets, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		sockets[i] = fcntl(sockets[i], F_DUPFD, 100);
	for (unsigned i = 0; i < count; i++)
		sockets[i] = dup3(sockets[i], 3 + (int)i, O_CLOEXEC);
	close_range(3 + count, ~0u, 0);
}

/* A child that cannot give its rights up must not go on with them. */
static void die(struct error *error)
{
	if (!error)
		return;
	fprintf(stderr, "kiln: %s\n", error_get_message(error));
	_exit(ERROR_GENERAL);
}

struct error *supervisor_fork_interface(uid_t uid, gid_t gid, int (*interface_main)(void *arg, int probe_fd),
					void *arg, struct child *ret)
{
	struct error *error;
	int sockets[2];
	pid_t pid;

	error = channel_socketpair(sockets);
	if (error)
		return error;
	fflush(NULL);
	pid = fork();
	if (pid < 0) {
		error = error_create(ERROR_GENERAL, errno, NULL, "fork");
		close(sockets[0]);
		close(sockets[1]);
		return error;
	}
	if (!pid) {
		int mine = sockets[1];
		int status;

		keep_only(&mine, 1);
		signals_reset();
		signal(SIGPIPE, SIG_IGN);
		die(privileges_drop_to_user(uid, gid));
		status = interface_main(arg, mine);
		fflush(NULL);
		_exit(status);
	}
	close(sockets[1]);
	*ret = (struct child){.pid = pid, .socket = sockets[0]};
	return NULL;
}

/* A worker has no terminal: what a library prints about a broken file must not tear the screen. */
static void detach_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int fd = 0; fd < 3; fd++) {
		if (null < 0 || dup2(null, fd) < 0)
			_exit(ERROR_GENERAL);
	}
	close(null);
	setsid();
}

static void run_worker(int (*worker_main)(int probe_fd, int kiln_fd), int probe_fd, int kiln_fd, pid_t parent)
{
	int sockets[2] = {probe_fd, kiln_fd};

	detach_terminal();
	keep_only(sockets, kiln_fd < 0 ? 1 : 2);
	signals_reset();
	signal(SIGPIPE, SIG_IGN);
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	die(privileges_drop_to_nobody());
	/* The drop may have cleared it (prctl(2)); and the parent may have died before. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	_exit(worker_main(sockets[0], kiln_fd < 0 ? -1 : sockets[1]));
}

struct error *supervisor_fork_worker(int (*worker_main)(int probe_fd, int kiln_fd), bool with_kiln,
				     struct child *ret, int *ret_kiln_fd)
{
	_cleanup_close_ int probe_end = -1, worker_end = -1, kiln_end = -1, names_end = -1;
	struct error *error;
	int pair[2];
	pid_t pid, parent;

	error = channel_socketpair(pair);
	if (error)
		return error;
	probe_end = pair[0];
	worker_end = pair[1];
	if (with_kiln) {
		error = channel_socketpair(pair);
		if (error)
			return error;
		kiln_end = pair[0];
		names_end = pair[1];
	}
	parent = getpid();
	fflush(NULL);
	pid = fork();
	if (pid < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "fork");
	if (!pid)
		run_worker(worker_main, worker_end, names_end, parent);
	*ret = (struct child){.pid = pid, .socket = take_fd(&probe_end)};
	if (with_kiln)
		*ret_kiln_fd = take_fd(&kiln_end);
	return NULL;
}
