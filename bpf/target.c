/* A process is identified by four things that must agree: a pidfd, a directory fd of /proc/PID, the start
 * time, and that a signal can still be addressed to the pidfd after the rest was opened. A /proc directory fd
 * is bound to the process, not to the number (fs/proc/base.c: the inode holds a struct pid), so later reads
 * need no further check. */
#include "bpf/target.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "bpf/process.h"

#include <ctype.h>
#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#define LISTED_MAX 20 /* candidates that a message names */
#define NEAR_MAX   5

/* ---- one process ---- */

/* The same message wherever a process has vanished. */
static struct error *error_no_process(pid_t pid)
{
	return error_create(ERROR_NO_TARGET, 0, "list the processes with: ps -e", "no process %d", (int)pid);
}

static struct error *fill_target(struct target *target, const struct process *process)
{
	char shown[TARGET_CMDLINE_MAX + 8];
	char *exe, *cmdline;

	text_sanitize(process->comm, SIZE_MAX, target->comm, sizeof(target->comm));
	target->start_time_ticks = process->start_time_ticks;
	target->uid = process->uid;
	target->gid = process->gid;
	process_format_cmdline(process, shown, sizeof(shown));
	cmdline = strdup(shown);
	text_sanitize(process->exe, SIZE_MAX, shown, sizeof(shown));
	exe = strdup(shown);
	if (!exe || !cmdline) {
		free(exe);
		free(cmdline);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "process %d", (int)process->pid);
	}
	free(target->exe);
	free(target->cmdline);
	target->exe = exe;
	target->cmdline = cmdline;
	return NULL;
}

static bool pidfd_is_there(int pidfd)
{
	/* 0 sends nothing. EPERM: it is there, and another user's. */
	return pidfd_send_signal(pidfd, 0, NULL, 0) == 0 || errno == EPERM;
}

/* Turns a thread's id into its process's. A thread has a /proc/TID too, though readdir(3) does not list it.
 */
static bool find_process_id(pid_t pid, pid_t *ret)
{
	struct process process = {.pid = pid, .proc_fd = process_open_dir(pid)};
	bool found = process.proc_fd >= 0 && process_read_status(&process) && process.tgid > 0;

	process_close(&process);
	if (found)
		*ret = process.tgid;
	return found;
}

static struct error *target_open_process(pid_t pid, struct process *process, struct target **ret)
{
	struct target *target = calloc(1, sizeof(*target));
	struct error *error;

	if (!target)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "process %d", (int)pid);
	target->pid = pid;
	target->proc_fd = -1;
	target->pidfd = pidfd_open(pid, 0);
	if (target->pidfd < 0) {
		error = errno == ESRCH || errno == EINVAL || errno == ENOENT
				? error_no_process(pid)
				: error_create(ERROR_GENERAL, errno, NULL, "open process %d", (int)pid);
		target_destroy(target);
		return error;
	}
	/* /proc is opened after the pidfd; if the pidfd's process is there afterwards, the number was never
	 * free. */
	if (!process_open(pid, process) || !pidfd_is_there(target->pidfd)) {
		process_close(process);
		target_destroy(target);
		return error_no_process(pid);
	}
	target->proc_fd = take_fd(&process->proc_fd);
	error = fill_target(target, process);
	if (error) {
		target_destroy(target);
		return error;
	}
	process->proc_fd = target->proc_fd; /* borrowed by the checks that follow */
	*ret = target;
	return NULL;
}

void target_destroy(struct target *target)
{
	if (!target)
		return;
	if (target->pidfd >= 0)
		close(target->pidfd);
	if (target->proc_fd >= 0)
		close(target->proc_fd);
	free(target->exe);
	free(target->cmdline);
	free(target);
}

struct error *target_open(pid_t pid, struct target **ret)
{
	struct process process;

	return target_open_process(pid, &process, ret);
}

static struct error *check_kind(const struct process *process, const pid_t *own_pids, size_t own_count)
{
	char comm[sizeof(process->comm)];

	text_sanitize(process->comm, SIZE_MAX, comm, sizeof(comm));
	if (process_is_kernel_thread(process))
		return error_create(ERROR_NO_TARGET, 0,
				    "kiln profiles programs; the kernel's own time is in their samples",
				    "process %d is a kernel thread (%s)", (int)process->pid, comm);
	if (process_is_zombie(process))
		return error_create(ERROR_NO_TARGET, 0, "it has ended already, and only waits for its parent",
				    "process %d is a zombie (%s)", (int)process->pid, comm);
	if (process_is_own(process, own_pids, own_count))
		return error_create(ERROR_NO_TARGET, 0, "choose another process", "process %d is kiln itself",
				    (int)process->pid);
	if (strchr("ZXx", process->state))
		return error_create(
			ERROR_UNSUPPORTED, 0, "start it again, or profile another process",
			"process %d (%s): its main thread has ended, the kernel shows no memory map of it",
			(int)process->pid, comm);
	return NULL;
}

struct error *target_find_by_pid(pid_t pid, const pid_t *own_pids, size_t own_count, struct target **ret)
{
	struct process process;
	struct target *target;
	struct error *error;

	if (pid <= 0 || !find_process_id(pid, &pid))
		return error_no_process(pid);
	error = target_open_process(pid, &process, &target);
	if (error)
		return error;
	error = check_kind(&process, own_pids, own_count);
	if (!error)
		error = target_check_machine(target);
	if (error) {
		target_destroy(target);
		return error;
	}
	*ret = target;
	return NULL;
}

struct error *target_reload(struct target *target)
{
	struct process process = {.pid = target->pid, .proc_fd = target->proc_fd};
	uint64_t start = target->start_time_ticks;

	if (!process_read_stat(&process) || !process_read_status(&process) ||
	    process.start_time_ticks != start)
		return error_no_process(target->pid);
	process_read_words(&process);
	return fill_target(target, &process);
}

/* ---- by name ---- */

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

struct candidate {
	pid_t pid;
	char user[32];
	char cmdline[64];
};

struct near_name {
	unsigned distance;
	char name[64];
};

struct search {
	const char *name;
	const pid_t *own_pids;
	size_t own_count;
	ARRAY(struct candidate)
	found;
	struct near_name near[NEAR_MAX];
	size_t near_count;
};

static bool process_has_name(const struct process *process, const char *name)
{
	return !strcmp(process->comm, name) || (process->exe[0] && !strcmp(base_name(process->exe), name)) ||
	       (process->cmdline_length && !strcmp(base_name(process->cmdline), name));
}

/* Keeps the few nearest names, each once, nearest first. */
static void offer_near(struct search *search, const char *name)
{
	unsigned distance = text_distance(search->name, name);
	size_t at;
	struct near_name entry = {.distance = distance};

	if (!name[0] || distance > strlen(search->name) / 3 + 1)
		return;
	text_sanitize(name, SIZE_MAX, entry.name, sizeof(entry.name));
	for (size_t i = 0; i < search->near_count; i++)
		if (!strcmp(search->near[i].name, entry.name))
			return;
	for (at = search->near_count; at > 0 && search->near[at - 1].distance > distance; at--)
		if (at < NEAR_MAX)
			search->near[at] = search->near[at - 1];
	if (at == NEAR_MAX)
		return;
	search->near[at] = entry;
	if (search->near_count < NEAR_MAX)
		search->near_count++;
}

static bool search_process(struct search *search, const struct process *process)
{
	struct candidate candidate = {.pid = process->pid};

	if (process_is_kernel_thread(process) || process_is_zombie(process) ||
	    process_is_own(process, search->own_pids, search->own_count))
		return true;
	if (!process_has_name(process, search->name)) {
		offer_near(search, process->comm);
		offer_near(search, base_name(process->exe));
		return true;
	}
	process_format_user(process->uid, candidate.user, sizeof(candidate.user));
	if (process->cmdline_length)
		process_format_cmdline(process, candidate.cmdline, sizeof(candidate.cmdline));
	else
		text_sanitize(process->comm, SIZE_MAX, candidate.cmdline, sizeof(candidate.cmdline));
	return array_append(&search->found, candidate);
}

static struct error *search_all(struct search *search)
{
	DIR *dir = opendir("/proc");
	struct process process;
	struct dirent *entry;
	bool fits = true;

	if (!dir)
		return error_create(ERROR_GENERAL, errno, "is /proc mounted?", "list processes");
	while (fits && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]) || !process_open(atoi(entry->d_name), &process))
			continue;
		fits = search_process(search, &process);
		process_close(&process);
	}
	closedir(dir);
	return fits ? NULL : error_create(ERROR_GENERAL, ENOMEM, NULL, "list processes");
}

static struct error *error_nobody(const struct search *search, const char *shown)
{
	char near[NEAR_MAX * 68] = "", hint[sizeof(near) + 80];
	size_t length = 0;

	for (size_t i = 0; i < search->near_count; i++)
		length += (size_t)snprintf(near + length, sizeof(near) - length, "%s%s", i ? ", " : "",
					   search->near[i].name);
	if (search->near_count)
		snprintf(hint, sizeof(hint), "did you mean: %s", near);
	else
		snprintf(hint, sizeof(hint),
			 "the name is compared whole, with comm and with the program's file name");
	return error_create(ERROR_NO_TARGET, 0, hint, "no process is called %s", shown);
}

static struct error *error_several(const struct search *search, const char *shown)
{
	size_t count = search->found.count, listed = count < LISTED_MAX ? count : LISTED_MAX;
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *stream = NULL;
	size_t size;
	char hint[64];

	stream = open_memstream(&text, &size);
	if (!stream)
		return error_create(ERROR_NO_TARGET, 0, "take the PID", "%zu processes are called %s", count,
				    shown);
	for (size_t i = 0; i < listed; i++)
		fprintf(stream, "\n  %7d  %-10s  %s", (int)search->found.items[i].pid,
			search->found.items[i].user, search->found.items[i].cmdline);
	if (listed < count)
		fprintf(stream, "\n  and %zu more", count - listed);
	fclose(take_ptr(stream));
	snprintf(hint, sizeof(hint), "take the PID, for example: kiln %d", (int)search->found.items[0].pid);
	return error_create(ERROR_NO_TARGET, 0, hint, "%zu processes are called %s:%s", count, shown, text);
}

struct error *target_find_by_name(const char *name, const pid_t *own_pids, size_t own_count,
				  struct target **ret)
{
	struct search search = {.name = name, .own_pids = own_pids, .own_count = own_count};
	char shown[128];
	struct error *error = search_all(&search);

	text_sanitize(name, SIZE_MAX, shown, sizeof(shown));
	if (!error && search.found.count == 0)
		error = error_nobody(&search, shown);
	else if (!error && search.found.count > 1)
		error = error_several(&search, shown);
	else if (!error)
		error = target_find_by_pid(search.found.items[0].pid, own_pids, own_count, ret);
	array_deinit(&search.found);
	return error;
}

/* ---- asking a target ---- */

bool target_is_same(const struct target *target)
{
	struct process process = {.pid = target->pid, .proc_fd = target->proc_fd};

	return pidfd_is_there(target->pidfd) && process_read_stat(&process) &&
	       process.start_time_ticks == target->start_time_ticks;
}

bool target_is_alive(const struct target *target)
{
	struct pollfd poll_fd = {.fd = target->pidfd, .events = POLLIN};

	return poll(&poll_fd, 1, 0) == 0;
}

bool target_read_cpu_ns(const struct target *target, uint64_t *ret)
{
	struct timespec time;
	clockid_t clock;

	if (clock_getcpuclockid(target->pid, &clock) || clock_gettime(clock, &time))
		return false;
	/* The clock goes by the number: believe it only while the number is the target's. */
	if (!pidfd_is_there(target->pidfd))
		return false;
	*ret = (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
	return true;
}

/* The first 20 bytes of the program file are all the ELF that the probe looks at. */
static bool read_elf_header(const struct target *target, unsigned char ret[20])
{
	_cleanup_close_ int fd = openat(target->proc_fd, "exe", O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

	return fd >= 0 && pread(fd, ret, 20, 0) == 20 && !memcmp(ret, ELFMAG, SELFMAG);
}

struct error *target_check_machine(const struct target *target)
{
	unsigned char header[20];
	struct utsname host;
	unsigned machine;

	/* i686 is what an x86-64 kernel says under setarch(8). */
	if (uname(&host) == 0 && strcmp(host.machine, "x86_64") && strcmp(host.machine, "i686"))
		return error_create(ERROR_UNSUPPORTED, 0, "kiln runs on x86-64 only", "this machine is %s",
				    host.machine);
	if (!read_elf_header(target, header))
		return NULL;
	machine = header[18] | (unsigned)header[19] << 8;
	if (header[EI_CLASS] == ELFCLASS64 && header[EI_DATA] == ELFDATA2LSB && machine == EM_X86_64)
		return NULL;
	if (header[EI_CLASS] == ELFCLASS32)
		return error_create(ERROR_UNSUPPORTED, 0,
				    "kiln walks the stacks of 64-bit x86-64 programs only",
				    "process %d (%s) is a 32-bit program", (int)target->pid, target->comm);
	return error_create(ERROR_UNSUPPORTED, 0, "kiln walks the stacks of 64-bit x86-64 programs only",
			    "process %d (%s) is a program for another machine (ELF machine %u)",
			    (int)target->pid, target->comm, machine);
}
