/* A command that kiln started: its terminal, its output, its end. */
#include "bpf/probe_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Static, so that the interface, forked later, has it too. */
static char output_path[64];

const char *probe_get_output_path(void)
{
	return output_path;
}

/* Under the dashboard the terminal is the screen's: CMD reads nothing, and writes to a file. */
static struct error *redirect_command(struct probe *probe, struct launch_options *launch)
{
	snprintf(output_path, sizeof(output_path), "/tmp/kiln-output-XXXXXX");
	launch->stdout_fd = mkostemp(output_path, O_CLOEXEC);
	launch->stdin_fd = launch_open_null();
	if (launch->stdout_fd < 0 || launch->stdin_fd < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "%s", output_path);
	launch->stderr_fd = launch->stdout_fd;
	if (fchown(launch->stdout_fd, probe->uid, probe->gid)) {
		/* Without the right to give it away, it is the user's already. */
	}
	return NULL;
}

struct error *probe_start_command(struct probe *probe)
{
	const struct probe_options *options = probe->options;
	struct launch_options launch = {
		.argv = options->command,
		.uid = probe->uid,
		.gid = probe->gid,
		.as_root = options->as_root,
		.own_group = true,
		.in_foreground = !options->is_dashboard,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
	};
	struct error *error = options->is_dashboard ? redirect_command(probe, &launch) : NULL;

	if (!error)
		error = launch_prepare(&launch, &probe->launch);
	if (!error)
		error = target_open(probe->launch.pid, &probe->target);
	if (options->is_dashboard) {
		cleanup_close(&launch.stdin_fd);
		cleanup_close(&launch.stdout_fd);
	}
	return error;
}

/* A command in the terminal's foreground was stopped by ^Z: the shell must get its prompt, so kiln stops with
 * it; `fg` continues both. */
void probe_stop_with_command(struct probe *probe)
{
	pid_t front = tcgetpgrp(STDIN_FILENO);

	if (front != probe->launch.pid)
		return;
	tcsetpgrp(STDIN_FILENO, getpgrp());
	kill(0, SIGSTOP);
	if (tcgetpgrp(STDIN_FILENO) == getpgrp())
		tcsetpgrp(STDIN_FILENO, front);
	kill(-front, SIGCONT);
}

/* What kiln started ends with kiln: not released, it never ran; else it is asked to end. */
void probe_end_command(struct probe *probe)
{
	struct stat output;

	if (!probe->launch.pid)
		return;
	launch_abort(&probe->launch);
	if (probe->target && target_is_alive(probe->target))
		kill(-probe->target->pid, SIGTERM);
	/* The file is named on the screen: one that was never written to is only litter. */
	if (*output_path && stat(output_path, &output) == 0 && !output.st_size)
		unlink(output_path);
	/* A command that is slow to end must not keep the terminal. */
	if (!probe->options->is_dashboard && tcgetpgrp(STDIN_FILENO) == probe->launch.pid)
		tcsetpgrp(STDIN_FILENO, getpgrp());
}
