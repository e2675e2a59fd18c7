/* The probe's course: find the target and check rights (an error ends it here) → fork interface and workers →
 * give up what is not needed → load and attach → serve until the interface has ended. */
#include "bpf/probe.h"

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/loop.h"
#include "base/terminal.h"
#include "bpf/collector.h"
#include "bpf/doctor.h"
#include "bpf/launch.h"
#include "bpf/messages.h"
#include "bpf/modules.h"
#include "bpf/privileges.h"
#include "bpf/supervisor.h"
#include "bpf/target.h"
#include "bpf/workers.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Sampling begins when the first tables are there, or after so long. */
#define FIRST_TABLES_MS 500
/* Tables that come within so long are published together. */
#define FLUSH_MS 3
/* Between two looks at the target's mappings: short while they change, longer while they do not. */
#define REFRESH_LEAST_MS 10
#define REFRESH_MOST_MS	 250
/* A look takes at most one part in so many of a CPU, however many mappings there are: the target, too, waits
 * for its mmap_lock meanwhile. */
#define REFRESH_SHARE 30

struct probe {
	const struct probe_options *options;
	struct loop *loop;
	struct child interface;
	struct channel *kiln;
	struct workers *workers;
	struct target *target;
	struct launch launch; /* pid 0: the target was running before */
	struct modules *modules;
	struct collector *collector;
	struct loop_source *refresh_timer, *start_timer, *flush_timer;
	bool is_flush_due;
	unsigned refresh_ms;
	uint64_t last_refresh_ns, last_refresh_cost_ns;
	uint64_t published_execs; /* exec count of the mappings that the walker has */
	bool is_publish_due;
	uint64_t told_forks;
	size_t tables_ready, tables_total;
	char table_note[240];
	bool is_collecting, was_seen_exiting, has_exit_record;
	uid_t uid;
	gid_t gid;
};

/* Static, so that the interface, forked later, has it too. */
static char output_path[64];

const char *probe_get_output_path(void)
{
	return output_path;
}

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void copy_text(char *ret, size_t capacity, const char *text)
{
	snprintf(ret, capacity, "%s", text ? text : "");
}

/* ---- telling kiln ---- */

static void send_to_kiln(struct probe *probe, uint32_t type, const void *payload, size_t length)
{
	if (probe->kiln)
		error_destroy(channel_send(probe->kiln, type, payload, length, NULL, 0));
}

static void send_failed(struct probe *probe, struct error *error)
{
	struct failed_message message = {.code = error_get_code(error)};

	copy_text(message.message, sizeof(message.message), error_get_message(error));
	copy_text(message.hint, sizeof(message.hint), error_get_hint(error));
	error_destroy(error);
	send_to_kiln(probe, PROBE_FAILED, &message, sizeof(message));
}

static void send_note(struct probe *probe, const char *text)
{
	struct event_message message = {.kind = EVENT_NOTE, .time_ns = clock_ns(CLOCK_MONOTONIC)};

	copy_text(message.text, sizeof(message.text), text);
	send_to_kiln(probe, PROBE_EVENT, &message, sizeof(message));
}

static void send_target(struct probe *probe)
{
	struct target_message message = {.pid = (uint32_t)probe->target->pid};

	copy_text(message.comm, sizeof(message.comm), probe->target->comm);
	copy_text(message.exe, sizeof(message.exe), probe->target->exe);
	copy_text(message.cmdline, sizeof(message.cmdline), probe->target->cmdline);
	send_to_kiln(probe, PROBE_TARGET, &message, sizeof(message));
}

static void send_pids(void *arg)
{
	struct probe *probe = arg;
	struct pids_message message = {.count = 2,
				       .pids = {(uint32_t)getpid(), (uint32_t)probe->interface.pid}};
	pid_t workers[2];
	size_t count = probe->workers ? workers_get_pids(probe->workers, workers) : 0;

	for (size_t i = 0; i < count; i++) {
		if (workers[i] > 0)
			message.pids[message.count++] = (uint32_t)workers[i];
	}
	send_to_kiln(probe, PROBE_PIDS, &message, sizeof(message));
}

static void send_tables(struct probe *probe)
{
	struct tables_message message = {
		.ready = (uint32_t)probe->tables_ready,
		.total = (uint32_t)probe->tables_total,
	};

	copy_text(message.note, sizeof(message.note), probe->table_note);
	send_to_kiln(probe, PROBE_TABLES, &message, sizeof(message));
}

/* ---- modules and tables ---- */

static void announce_module(struct probe *probe, uint32_t id, enum module_kind kind, const char *shown,
			    int fd, uint64_t size_bytes, bool wants_table)
{
	struct probe_module_message message = {.module = id, .kind = kind, .size_bytes = size_bytes};
	struct error *error;

	copy_text(message.path, sizeof(message.path), shown);
	/* The workers first: what kiln asks them must have arrived. */
	if (fd >= 0) {
		probe->tables_total += wants_table;
		error = workers_add_module(probe->workers, id, kind, fd, size_bytes, wants_table);
		if (error)
			send_note(probe, error_get_message(error));
		error_destroy(error);
	}
	send_to_kiln(probe, PROBE_MODULE, &message,
		     offsetof(struct probe_module_message, path) + strlen(message.path) + 1);
}

/* What every target has: the vDSO, and the kernel's names. Their fds live as long as the process. */
static void announce_fixed_modules(struct probe *probe)
{
	int fd = -1;
	struct stat status;
	struct error *error = modules_open_vdso(&fd);

	if (!error && fstat(fd, &status) == 0)
		announce_module(probe, MODULE_VDSO, MODULE_KIND_VDSO, "[vdso]", fd, (uint64_t)status.st_size,
				true);
	error_destroy(error);
	fd = -1;
	error = modules_open_kernel(&fd);
	if (error)
		send_note(probe, error_get_message(error));
	else if (fstat(fd, &status) == 0)
		announce_module(probe, MODULE_KERNEL, MODULE_KIND_KERNEL, "[kernel]", fd,
				(uint64_t)status.st_size, false);
	error_destroy(error);
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void announce_fresh(struct probe *probe, const struct modules_change *change)
{
	for (size_t i = 0; i < change->fresh_count; i++) {
		const struct target_module *module = change->fresh[i];

		announce_module(probe, module->id, MODULE_KIND_FILE, module->shown, module->fd,
				module->size_bytes, module->fd >= 0);
		if (module->why) {
			char text[240];

			snprintf(text, sizeof(text), "%.80s: %.150s", last_component(module->shown),
				 module->why);
			send_note(probe, text);
		}
	}
	if (change->fresh_count)
		send_tables(probe);
}

static void on_table(void *arg, uint32_t module, int fd, const char *why)
{
	struct probe *probe = arg;
	_cleanup_close_ int table = fd;
	struct error *error = NULL;
	const struct target_module *about = modules_get(probe->modules, module);
	const char *name = about ? last_component(about->shown) : "[vdso]";

	probe->table_note[0] = '\0';
	probe->tables_ready++;
	if (table >= 0)
		error = collector_queue_table(probe->collector, module, table);
	if (error)
		snprintf(probe->table_note, sizeof(probe->table_note), "%.80s: %.150s", name,
			 error_get_message(error));
	else if (table < 0 && *why)
		snprintf(probe->table_note, sizeof(probe->table_note), "%.80s: %.150s", name, why);
	error_destroy(error);
	send_tables(probe);
	/* Publishing waits for the kernel: what comes within a moment goes in one flush. */
	if (!probe->is_flush_due)
		error_destroy(loop_set_timer(probe->flush_timer, FLUSH_MS, 0));
	probe->is_flush_due = true;
}

static void on_flush_timer(void *arg)
{
	struct probe *probe = arg;
	struct error *error = collector_flush_tables(probe->collector);

	probe->is_flush_due = false;
	if (error)
		send_note(probe, error_get_message(error));
	error_destroy(error);
	if (!workers_count_waiting(probe->workers) && !probe->is_collecting && probe->start_timer)
		error_destroy(loop_set_timer(probe->start_timer, 1, 0));
}

static void on_names_socket(void *arg, int fd, uint32_t generation)
{
	struct worker_message message = {.generation = generation};
	struct probe *probe = arg;
	_cleanup_close_ int socket = fd;

	if (probe->kiln)
		error_destroy(channel_send(probe->kiln, PROBE_WORKER, &message, sizeof(message), &socket, 1));
}

static const struct workers_ops workers_ops = {
	.table = on_table,
	.names_socket = on_names_socket,
	.pids = send_pids,
};

/* ---- mappings ---- */

static struct error *refresh(struct probe *probe)
{
	/* Before the mappings: if an exec comes in between, the walker sees that they are not its. */
	uint64_t exec_count = collector_read_exec_count(probe->collector);
	uint64_t used_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	struct modules_change change;
	struct error *error;

	probe->last_refresh_ns = clock_ns(CLOCK_MONOTONIC);
	error = modules_refresh(probe->modules, probe->target, &change);
	probe->last_refresh_cost_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used_ns;
	if (error)
		return error;
	announce_fresh(probe, &change);
	if (change.changed)
		probe->refresh_ms = REFRESH_LEAST_MS;
	else if ((probe->refresh_ms *= 2) > REFRESH_MOST_MS)
		probe->refresh_ms = REFRESH_MOST_MS;
	/* Kept until it has succeeded. The same mappings after an exec must be published too: the walker
	 * follows none that were read before. */
	probe->is_publish_due |= change.changed || exec_count != probe->published_execs;
	if (!probe->is_publish_due)
		return NULL;
	error = collector_publish_mappings(probe->collector, change.mappings, change.count, exec_count);
	probe->is_publish_due = error != NULL;
	if (!error)
		probe->published_execs = exec_count;
	return error;
}

static void refresh_or_say(struct probe *probe)
{
	struct error *error = refresh(probe);

	/* A target that has just ended is told by its exit. */
	if (error && error_get_code(error) != ERROR_NO_TARGET)
		send_note(probe, error_get_message(error));
	error_destroy(error);
}

static void on_refresh_timer(void *arg)
{
	refresh_or_say(arg);
}

/* Look again, but not more often than the pace allows. */
static void refresh_soon(struct probe *probe)
{
	uint64_t since_ms = (clock_ns(CLOCK_MONOTONIC) - probe->last_refresh_ns) / 1000000;
	uint64_t pace_ms = probe->last_refresh_cost_ns * REFRESH_SHARE / 1000000;

	if (pace_ms < probe->refresh_ms)
		pace_ms = probe->refresh_ms;
	if (since_ms >= pace_ms)
		refresh_or_say(probe);
	else
		error_destroy(loop_set_timer(probe->refresh_timer, (unsigned)(pace_ms - since_ms), 0));
}

/* ---- the target's life ---- */

static void on_exec(struct probe *probe, const struct control_record *record)
{
	struct event_message message = {.kind = EVENT_EXEC, .time_ns = record->time_ns};
	struct error *error = target_reload(probe->target);

	if (!error)
		error = target_check_machine(probe->target);
	if (error)
		send_note(probe, error_get_message(error));
	error_destroy(error);
	probe->refresh_ms = REFRESH_LEAST_MS;
	/* A target that does nothing but exec must not keep the probe busy. */
	refresh_soon(probe);
	send_target(probe);
	send_to_kiln(probe, PROBE_EVENT, &message, sizeof(message));
}

/* Forks that came too thick to be told one by one. */
static void tell_forks(struct probe *probe, uint64_t count)
{
	char text[96];

	if (count <= probe->told_forks)
		return;
	snprintf(text, sizeof(text), "fork: %llu more children (not profiled)",
		 (unsigned long long)(count - probe->told_forks));
	probe->told_forks = count;
	send_note(probe, text);
}

static void on_fork(struct probe *probe, const struct control_record *record)
{
	struct event_message message = {.kind = EVENT_FORK, .time_ns = record->time_ns, .pid = record->pid};

	tell_forks(probe, record->value - 1);
	probe->told_forks = record->value;
	send_to_kiln(probe, PROBE_EVENT, &message, sizeof(message));
}

static void send_exit(struct probe *probe, uint64_t time_ns, uint64_t status, uint64_t cpu_ns)
{
	struct event_message message = {
		.kind = EVENT_EXIT, .time_ns = time_ns, .status = status, .target_cpu_ns = cpu_ns};

	if (probe->has_exit_record)
		return;
	probe->has_exit_record = true;
	if (probe->collector)
		tell_forks(probe, collector_read_fork_count(probe->collector));
	send_to_kiln(probe, PROBE_EVENT, &message, sizeof(message));
}

static void on_control(void *arg, const struct control_record *record)
{
	struct probe *probe = arg;

	switch (record->kind) {
	case CONTROL_EXEC:
		on_exec(probe, record);
		return;
	case CONTROL_FORK:
		on_fork(probe, record);
		return;
	case CONTROL_EXIT:
		send_exit(probe, record->time_ns, record->value, record->cpu_ns);
		return;
	case CONTROL_UNKNOWN_PC:
		/* A pc in no known mapping. */
		refresh_soon(probe);
		return;
	}
}

static void on_control_ready(void *arg, uint32_t events)
{
	struct probe *probe = arg;

	collector_read_control(probe->collector, on_control, probe);
}

static struct loop_source *pidfd_source;

static void on_target_gone(void *arg, uint32_t events)
{
	struct probe *probe = arg;

	loop_remove(pidfd_source);
	pidfd_source = NULL;
	if (probe->collector)
		collector_read_control(probe->collector, on_control, probe);
	send_exit(probe, clock_ns(CLOCK_MONOTONIC), ~0ull, 0);
	if (probe->collector)
		error_destroy(collector_disable(probe->collector));
}

/* ---- starting ---- */

static struct error *watch(struct probe *probe)
{
	struct loop_source *source;
	struct error *error;

	error = loop_add_fd(probe->loop, collector_get_control_fd(probe->collector), EPOLLIN,
			    on_control_ready, probe, &source);
	if (!error)
		error = loop_add_fd(probe->loop, probe->target->pidfd, EPOLLIN, on_target_gone, probe,
				    &pidfd_source);
	if (!error)
		error = loop_add_timer(probe->loop, 0, 0, on_refresh_timer, probe, &probe->refresh_timer);
	if (!error)
		error = loop_add_timer(probe->loop, 0, 0, on_flush_timer, probe, &probe->flush_timer);
	return error;
}

static struct error *send_ready(struct probe *probe)
{
	struct ready_message message = {
		.start_ns = clock_ns(CLOCK_MONOTONIC),
		.start_unix_ns = clock_ns(CLOCK_REALTIME),
		.ring_bytes = collector_get_ring_bytes(probe->collector),
		.cpu_count = collector_get_cpu_count(probe->collector),
		.uses_cpu_clock = collector_get_clock(probe->collector) == SAMPLER_CPU_CLOCK,
	};
	int fds[2] = {collector_get_ring_fd(probe->collector), collector_get_counters_fd(probe->collector)};
	uint64_t used_ns;

	if (target_read_cpu_ns(probe->target, &used_ns))
		message.target_cpu_ns = used_ns;
	return channel_send(probe->kiln, PROBE_READY, &message, sizeof(message), fds, 2);
}

static void start_collecting(void *arg)
{
	struct probe *probe = arg;
	struct error *error;

	if (probe->is_collecting)
		return;
	probe->is_collecting = true;
	error = send_ready(probe);
	if (!error)
		error = collector_enable(probe->collector);
	if (!error && probe->launch.pid)
		error = launch_release(&probe->launch, probe->options->command[0]);
	if (error)
		send_failed(probe, error);
}

static struct error *load(struct probe *probe)
{
	struct collector_options options = {
		.tgid = probe->target->pid,
		.hz = (unsigned)probe->options->hz,
		.wants_user = !probe->options->kernel_only,
		.wants_kernel = !probe->options->user_only,
		.is_verbose = probe->options->verbose,
	};
	const char *ring_bytes = getenv("KILN_RING_BYTES");
	struct error *error;

	if (ring_bytes)
		options.ring_bytes = strtoul(ring_bytes, NULL, 0);
	error = collector_create(&options, &probe->collector);
	if (!error)
		error = collector_attach(probe->collector);
	if (!error)
		error = watch(probe);
	if (error)
		return error;
	announce_fixed_modules(probe);
	/* A command that has not called exec yet has nothing of its own mapped. */
	if (!probe->launch.pid)
		error = refresh(probe);
	if (!error)
		error = loop_add_timer(probe->loop, probe->launch.pid ? 1 : FIRST_TABLES_MS, 0,
				       start_collecting, probe, &probe->start_timer);
	return error;
}

/* ---- kiln's words ---- */

/* ^Z: the shell watches this process, and takes the terminal when it stops: the interface must have stopped,
 * or a quick `fg` would come before its own SIGSTOP. */
static void stop_with_kiln(struct probe *probe)
{
	siginfo_t info;

	if (waitid(P_PID, (id_t)probe->interface.pid, &info, WSTOPPED | WEXITED | WNOWAIT) == 0)
		raise(SIGSTOP);
}

static void on_kiln_message(void *arg, struct message *message)
{
	const struct stuck_message *stuck;
	struct probe *probe = arg;

	switch (message->type) {
	case KILN_PAUSE:
		if (probe->collector)
			error_destroy(collector_disable(probe->collector));
		send_to_kiln(probe, PROBE_PAUSED, NULL, 0);
		return;
	case KILN_STOPPED:
		stop_with_kiln(probe);
		return;
	case KILN_RESUME:
		if (probe->collector && !probe->has_exit_record)
			error_destroy(collector_enable(probe->collector));
		return;
	case KILN_STUCK:
		stuck = message->payload;
		if (message->length == sizeof(*stuck))
			workers_restart_names(probe->workers, stuck->module, stuck->generation);
		return;
	}
}

static void on_kiln_closed(void *arg)
{
	/* Its exit is noticed by SIGCHLD; if it only closed its socket, it is of no use any more. */
	struct probe *probe = arg;

	kill(probe->interface.pid, SIGTERM);
}

/* ---- signals and the end ---- */

static void on_interface_exit(struct probe *probe, int status)
{
	terminal_restore();
	if (WIFEXITED(status)) {
		loop_quit(probe->loop, WEXITSTATUS(status));
		return;
	}
	fprintf(stderr,
		"kiln: the interface was killed by signal %d (%s)\n  nothing was left in the target\n",
		WTERMSIG(status), strsignal(WTERMSIG(status)));
	loop_quit(probe->loop, ERROR_GENERAL);
}

/* A command in the terminal's foreground was stopped by ^Z: the shell must get its prompt, so kiln stops with
 * it; `fg` continues both. */
static void stop_with_command(struct probe *probe)
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

static void reap(struct probe *probe)
{
	int status;
	pid_t pid;

	/* CMD's own end is told by its pidfd and its control record; here it is only reaped. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == probe->interface.pid)
			on_interface_exit(probe, status);
		else if (probe->workers)
			workers_handle_exit(probe->workers, pid);
	}
	if (probe->launch.pid && waitpid(probe->launch.pid, &status, WNOHANG | WUNTRACED) > 0 &&
	    WIFSTOPPED(status))
		stop_with_command(probe);
}

static void on_signal(void *arg, int signal)
{
	struct probe *probe = arg;

	if (signal == SIGCHLD)
		reap(probe);
	else
		send_to_kiln(probe, PROBE_END, NULL, 0);
}

static struct error *take_signals(struct probe *probe)
{
	sigset_t signals;

	/* ^C is the interface's business. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	/* Taking the terminal back from a command is done from the background. */
	signal(SIGTTOU, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	return loop_add_signals(probe->loop, &signals, on_signal, probe);
}

static struct error *fork_children(struct probe *probe)
{
	struct error *error;

	error = supervisor_fork_interface(probe->uid, probe->gid, probe->options->interface_main,
					  probe->options->arg, &probe->interface);
	if (error)
		return error;
	error = loop_create(&probe->loop);
	if (!error)
		error = take_signals(probe);
	if (!error)
		error = channel_create(probe->loop, probe->interface.socket, on_kiln_message, on_kiln_closed,
				       probe, &probe->kiln);
	if (!error)
		error = workers_start(probe->loop, probe->options->worker_main, &workers_ops, probe,
				      &probe->workers);
	return error;
}

/* Debian's own kernel starts with kernel.perf_event_paranoid = 3, a value of its patch "security, perf: Allow
 * further restriction of perf_event_open": CAP_PERFMON is not enough to open an event then. */
static bool needs_admin(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int level = 0;

	return file && fscanf(file, "%d", &level) == 1 && level > 2;
}

static void start(void *arg)
{
	struct probe *probe = arg;
	struct error *error;

	loop_remove(probe->start_timer);
	probe->start_timer = NULL;
	send_target(probe);
	send_pids(probe);
	error = privileges_keep_least(PRIVILEGES_KEEP_FORKING | (needs_admin() ? PRIVILEGES_KEEP_ADMIN : 0));
	if (!error)
		error = modules_create(&probe->modules);
	if (!error)
		error = load(probe);
	if (!error)
		error = privileges_keep_least(PRIVILEGES_KEEP_FORKING);
	if (error)
		send_failed(probe, error);
}

static int serve(struct probe *probe)
{
	struct error *error = fork_children(probe);
	int status;

	if (!error)
		error = loop_add_timer(probe->loop, 1, 0, start, probe, &probe->start_timer);
	if (error)
		send_failed(probe, error);
	if (!probe->loop)
		return ERROR_GENERAL;
	status = loop_run(probe->loop);
	return status;
}

/* What kiln started ends with kiln: not released, it never ran; else it is asked to end. */
static void end_command(struct probe *probe)
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

static void clean_up(struct probe *probe)
{
	collector_destroy(probe->collector);
	workers_destroy(probe->workers);
	channel_destroy(probe->kiln);
	end_command(probe);
	modules_destroy(probe->modules);
	target_destroy(probe->target);
	loop_destroy(probe->loop);
}

/* ---- the target ---- */

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

static struct error *start_command(struct probe *probe)
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

static struct error *find_target(struct probe *probe)
{
	const struct probe_options *options = probe->options;
	char what[64];
	struct error *error = NULL;
	_cleanup_free_ char *home = NULL;
	_cleanup_free_ char *typed = privileges_format_command(options->argv);

	error = privileges_find_invoker(&probe->uid, &probe->gid, &home);
	if (error)
		return error;
	if (!options->command) {
		if (options->name)
			error = target_find_by_name(options->name, NULL, 0, &probe->target);
		else
			error = target_find_by_pid((pid_t)options->pid, NULL, 0, &probe->target);
		if (error)
			return error;
		snprintf(what, sizeof(what), "attach to %d", probe->target->pid);
		return privileges_check(what, probe->target->uid, typed);
	}
	error = privileges_check("run", probe->uid, typed);
	return error ? error : start_command(probe);
}

struct error *probe_run(const struct probe_options *options, int *ret_status)
{
	struct probe probe = {.options = options, .refresh_ms = REFRESH_LEAST_MS, .is_publish_due = true};
	struct error *error = find_target(&probe);

	if (!error)
		*ret_status = serve(&probe);
	clean_up(&probe);
	return error;
}

struct error *probe_find_invoker(uid_t *ret_uid, char **ret_home)
{
	gid_t gid;

	return privileges_find_invoker(ret_uid, &gid, ret_home);
}

struct error *probe_doctor(uint32_t pid, int *ret_status)
{
	return doctor_report((pid_t)pid, stdout, ret_status);
}
