/* The probe's course: find the target and check rights (an error ends it here) → fork interface and workers →
 * give up what is not needed → load and attach → serve until the interface has ended. */
#include "bpf/probe_internal.h"

#include "base/cleanup.h"
#include "base/terminal.h"
#include "bpf/doctor.h"
#include "bpf/privileges.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A busy machine has not built the tables of the target's libraries when the rest is ready: so long they are
 * waited for, no longer (libLLVM's takes a second). Without it 12 of 900 samples lacked one. */
#define TABLES_GRACE_MS 50

/* ---- the target's life ---- */

static void on_exec(struct probe *probe, const struct control_record *record)
{
	struct event_message message = {.kind = EVENT_EXEC, .time_ns = record->time_ns};
	struct error *error = target_reload(probe->target);

	if (!error)
		error = target_check_machine(probe->target);
	if (error)
		probe_send_note(probe, error_get_message(error));
	error_destroy(error);
	probe_heap_on_exec(probe, record);
	probe->refresh_ms = REFRESH_LEAST_MS;
	probe->looks_due = LOOKS_AFTER_EXEC;
	probe->look_ms = REFRESH_LEAST_MS;
	/* A target that does nothing but exec must not keep the probe busy. */
	probe_refresh_soon(probe);
	error_destroy(loop_set_timer(probe->refresh_timer, REFRESH_LEAST_MS, 0));
	probe_send_target(probe);
	probe_send(probe, PROBE_EVENT, &message, sizeof(message));
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
	probe_send_note(probe, text);
}

static void on_fork(struct probe *probe, const struct control_record *record)
{
	struct event_message message = {.kind = EVENT_FORK, .time_ns = record->time_ns, .pid = record->pid};

	tell_forks(probe, record->value - 1);
	probe->told_forks = record->value;
	probe_heap_on_fork(probe);
	probe_send(probe, PROBE_EVENT, &message, sizeof(message));
}

static void send_exit(struct probe *probe, uint64_t time_ns, uint64_t status, uint64_t cpu_ns)
{
	struct event_message message = {
		.kind = EVENT_EXIT, .time_ns = time_ns, .status = status, .target_cpu_ns = cpu_ns};

	if (probe->has_exit_record)
		return;
	probe->has_exit_record = true;
	probe_jit_look_last(probe);
	if (probe->collector)
		tell_forks(probe, collector_read_fork_count(probe->collector));
	probe_send(probe, PROBE_EVENT, &message, sizeof(message));
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
		probe_refresh_soon(probe);
		return;
	case CONTROL_HEAP_ROOM:
		probe_heap_on_room(probe, record);
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
	send_exit(probe, probe_clock_ns(CLOCK_MONOTONIC), ~0ull, 0);
	if (probe->collector)
		error_destroy(collector_disable(probe->collector));
	probe_heap_on_target_gone(probe);
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
		error = loop_add_timer(probe->loop, 0, 0, probe_on_refresh_timer, probe,
				       &probe->refresh_timer);
	if (!error)
		error = loop_add_timer(probe->loop, 0, 0, probe_on_flush_timer, probe, &probe->flush_timer);
	return error;
}

static struct error *send_ready(struct probe *probe)
{
	struct ready_message message = {
		.start_ns = probe_clock_ns(CLOCK_MONOTONIC),
		.start_unix_ns = probe_clock_ns(CLOCK_REALTIME),
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

/* No table is waited for any longer: a sample that needs one says so, and with that brings it forward. */
static void start_collecting(void *arg)
{
	struct probe *probe = arg;
	struct error *error;

	if (probe->is_collecting)
		return;
	probe_on_flush_timer(probe);
	probe->is_collecting = true;
	error = send_ready(probe);
	if (!error)
		error = collector_enable(probe->collector);
	if (!error && probe->launch.pid)
		error = launch_release(&probe->launch, probe->options->command[0]);
	if (error)
		probe_send_failed(probe, error);
	else
		probe_heap_on_tables(probe);
}

/* kiln may meet the kernel's names from the first sample on. Most targets' tables have been built while they
 * were read. */
static void on_kernel_names(struct probe *probe)
{
	unsigned grace_ms = workers_count_waiting(probe->workers) ? TABLES_GRACE_MS : 1;
	struct error *error =
		loop_add_timer(probe->loop, grace_ms, 0, start_collecting, probe, &probe->start_timer);

	if (error)
		probe_send_failed(probe, error);
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
	/* For the tests that force losses, and compare walks with and without memo. */
	const char *ring_bytes = getenv("KILN_RING_BYTES"), *memo = getenv("KILN_MEMO");
	struct error *error;

	if (ring_bytes)
		options.ring_bytes = strtoul(ring_bytes, NULL, 0);
	options.has_no_memo = memo && !strcmp(memo, "off");
	options.checks_memo = memo && !strcmp(memo, "check");
	error = collector_create(&options, &probe->collector);
	if (!error)
		error = collector_attach(probe->collector);
	if (!error)
		error = watch(probe);
	if (error)
		return error;
	probe_announce_vdso(probe);
	probe_heap_start(probe);
	/* A command that has not called exec yet has nothing of its own mapped. */
	if (!probe->launch.pid)
		error = probe_refresh(probe);
	probe_heap_open(probe);
	return error ? error : probe_announce_kernel(probe, on_kernel_names);
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
	case KILN_CLOSE:
		probe_heap_close(probe);
		probe_jit_look_last(probe);
		/* fallthrough */
	case KILN_PAUSE:
		if (probe->collector)
			error_destroy(collector_disable(probe->collector));
		probe_send(probe, PROBE_PAUSED, NULL, 0);
		return;
	case KILN_STOPPED:
		probe_heap_on_stop(probe);
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
		probe_stop_with_command(probe);
}

static void on_signal(void *arg, int signal)
{
	struct probe *probe = arg;

	if (signal == SIGCHLD)
		reap(probe);
	else
		probe_send(probe, PROBE_END, NULL, 0);
}

static struct error *take_signals(struct probe *probe)
{
	sigset_t signals;

	signal(SIGQUIT, SIG_IGN);
	/* Taking the terminal back from a command is done from the background. */
	signal(SIGTTOU, SIG_IGN);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	/* The terminal's ^C comes to the interface as well, which ends once; `kill -INT` comes only here. */
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	return loop_add_signals(probe->loop, &signals, on_signal, probe);
}

static struct error *fork_children(struct probe *probe)
{
	struct error *error = loop_create(&probe->loop);

	/* Before the first fork: a child that ends at once must not be missed. */
	if (!error)
		error = take_signals(probe);
	if (!error)
		error = supervisor_fork_interface(probe->uid, probe->gid, probe->options->interface_main,
						  probe->options->arg, &probe->interface);
	if (!error)
		error = channel_create(probe->loop, probe->interface.socket, on_kiln_message, on_kiln_closed,
				       probe, &probe->kiln);
	if (!error)
		error = workers_start(probe->loop, probe->options->worker_main, &probe_workers_ops, probe,
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

static struct error *create_table_cache(struct probe *probe)
{
	const char *bytes = getenv("KILN_TABLES_UNMAPPED_BYTES"); /* tests make it tiny */

	return table_cache_create(bytes ? strtoul(bytes, NULL, 0) : TABLE_CACHE_UNMAPPED_BYTES,
				  &probe->tables);
}

static void start(void *arg)
{
	struct probe *probe = arg;
	struct error *error;
	unsigned admin;

	loop_remove(probe->start_timer);
	probe->start_timer = NULL;
	probe_send_target(probe);
	probe_send_pids(probe);
	probe_heap_prepare(probe);
	admin = probe_heap_needs_admin(probe) ? PRIVILEGES_KEEP_ADMIN : 0;
	error = privileges_keep_least(PRIVILEGES_KEEP_FORKING |
				      (needs_admin() ? (unsigned)PRIVILEGES_KEEP_ADMIN : admin));
	if (!error)
		error = modules_create(&probe->modules);
	if (!error)
		error = create_table_cache(probe);
	if (!error)
		error = load(probe);
	if (!error)
		error = privileges_keep_least(PRIVILEGES_KEEP_FORKING | admin);
	if (error)
		probe_send_failed(probe, error);
}

static struct error *serve(struct probe *probe, int *ret_status)
{
	struct error *error = fork_children(probe);

	if (!error)
		error = loop_add_timer(probe->loop, 1, 0, start, probe, &probe->start_timer);
	/* Without an interface that could say it, the caller does. */
	if (error && !probe->kiln)
		return error;
	if (error)
		probe_send_failed(probe, error);
	*ret_status = loop_run(probe->loop);
	return NULL;
}

static void clean_up(struct probe *probe)
{
	probe_heap_destroy(probe);
	probe_jit_stop(probe);
	probe_stop_reading_kernel(probe);
	collector_destroy(probe->collector);
	workers_destroy(probe->workers);
	channel_destroy(probe->kiln);
	probe_end_command(probe);
	table_cache_destroy(probe->tables);
	modules_destroy(probe->modules);
	target_destroy(probe->target);
	loop_destroy(probe->loop);
}

/* ---- the target ---- */

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
	return error ? error : probe_start_command(probe);
}

struct error *probe_run(const struct probe_options *options, int *ret_status)
{
	struct probe probe = {.options = options, .refresh_ms = REFRESH_LEAST_MS, .is_publish_due = true};
	struct error *error = find_target(&probe);

	if (!error)
		error = serve(&probe, ret_status);
	clean_up(&probe);
	return error;
}

struct error *probe_find_invoker(uid_t *ret_uid, char **ret_home)
{
	gid_t gid;

	return privileges_find_invoker(ret_uid, &gid, ret_home);
}

struct error *probe_doctor(uint32_t pid, int (*sandbox_trial)(int probe_fd, int kiln_fd), int *ret_status)
{
	return doctor_report((pid_t)pid, sandbox_trial, stdout, ret_status);
}
