/* What the probe tells kiln. */
#include "bpf/probe_internal.h"

#include "base/cleanup.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t probe_clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void probe_copy_text(char *ret, size_t capacity, const char *text)
{
	snprintf(ret, capacity, "%s", text ? text : "");
}

void probe_send(struct probe *probe, uint32_t type, const void *payload, size_t length)
{
	if (probe->kiln)
		error_destroy(channel_send(probe->kiln, type, payload, length, NULL, 0));
}

void probe_send_failed(struct probe *probe, struct error *error)
{
	struct failed_message message = {.code = error_get_code(error)};

	probe_copy_text(message.message, sizeof(message.message), error_get_message(error));
	probe_copy_text(message.hint, sizeof(message.hint), error_get_hint(error));
	error_destroy(error);
	probe_send(probe, PROBE_FAILED, &message, sizeof(message));
}

void probe_send_note(struct probe *probe, const char *text)
{
	struct event_message message = {.kind = EVENT_NOTE, .time_ns = probe_clock_ns(CLOCK_MONOTONIC)};

	probe_copy_text(message.text, sizeof(message.text), text);
	probe_send(probe, PROBE_EVENT, &message, sizeof(message));
}

static bool is_same_file(int directory, const char *path, const char *own)
{
	struct stat theirs, ours;

	/* What cannot be seen is taken for the usual. */
	return fstatat(directory, path, &theirs, 0) || stat(own, &ours) ||
	       (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino);
}

/* A handle on the target's root if it sees other files than kiln, in a container or a chroot; else -1. */
static int open_other_root(const struct target *target)
{
	if (is_same_file(target->proc_fd, "ns/mnt", "/proc/self/ns/mnt") &&
	    is_same_file(target->proc_fd, "root", "/"))
		return -1;
	return openat(target->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
}

void probe_send_target(struct probe *probe)
{
	_cleanup_close_ int root = open_other_root(probe->target);
	struct target_message message = {.pid = (uint32_t)probe->target->pid};

	probe_copy_text(message.comm, sizeof(message.comm), probe->target->comm);
	probe_copy_text(message.exe, sizeof(message.exe), probe->target->exe);
	probe_copy_text(message.cmdline, sizeof(message.cmdline), probe->target->cmdline);
	if (probe->kiln)
		error_destroy(
			channel_send(probe->kiln, PROBE_TARGET, &message, sizeof(message), &root, root >= 0));
}

void probe_send_pids(void *arg)
{
	struct probe *probe = arg;
	struct pids_message message = {.count = 2,
				       .pids = {(uint32_t)getpid(), (uint32_t)probe->interface.pid}};
	pid_t workers[WORKERS_PIDS_MAX];
	size_t count = probe->workers ? workers_get_pids(probe->workers, workers) : 0;

	_Static_assert(2 + WORKERS_PIDS_MAX <= sizeof(message.pids) / sizeof(message.pids[0]),
		       "all processes of kiln in one message");
	for (size_t i = 0; i < count; i++) {
		if (workers[i] > 0)
			message.pids[message.count++] = (uint32_t)workers[i];
	}
	probe_send(probe, PROBE_PIDS, &message, sizeof(message));
}

void probe_send_tables(struct probe *probe)
{
	struct tables_message message = {
		.ready = (uint32_t)probe->tables_ready,
		.total = (uint32_t)probe->tables_total,
	};

	probe_copy_text(message.note, sizeof(message.note), probe->table_note);
	probe_send(probe, PROBE_TABLES, &message, sizeof(message));
}
