#include "bpf/process.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PROCESS_FLAG_KERNEL_THREAD                                                                           \
	0x00200000 /* PF_KTHREAD, include/linux/sched.h; field 9 of /proc/PID/stat */

/* Reads at most capacity - 1 bytes and terminates them; -1 with errno. */
static ssize_t read_file_at(int dir_fd, const char *name, char *buffer, size_t capacity)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	size_t length = 0;

	if (fd < 0)
		return -1;
	while (length < capacity - 1) {
		ssize_t got = read(fd, buffer + length, capacity - 1 - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -1;
		if (got == 0)
			break;
		length += (size_t)got;
	}
	buffer[length] = '\0';
	return (ssize_t)length;
}

int process_open_dir(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* comm stands in parentheses and may hold any byte, ')' included: the numbers follow the last one. */
bool process_read_stat(struct process *process)
{
	char text[2048];
	char *opening, *closing;
	unsigned long long start;
	size_t length;

	if (read_file_at(process->proc_fd, "stat", text, sizeof(text)) <= 0)
		return false;
	opening = strchr(text, '(');
	closing = strrchr(text, ')');
	if (!opening || !closing || closing <= opening)
		return false;
	length = (size_t)(closing - opening - 1);
	if (length >= sizeof(process->comm))
		length = sizeof(process->comm) - 1;
	memcpy(process->comm, opening + 1, length);
	process->comm[length] = '\0';
	/* state ppid pgrp session tty tpgid FLAGS, 10 more, NUM_THREADS itrealvalue START: fields 3, 9, 20,
	 * 22 */
	if (sscanf(closing + 1,
		   " %c %*d %*d %*d %*d %*d %u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
		   &process->state, &process->flags, &process->threads, &start) != 4)
		return false;
	process->start_time_ticks = start;
	return true;
}

/* The kernel escapes newlines of comm in this file: a line cannot be forged. */
bool process_read_status(struct process *process)
{
	char text[4096];
	const char *tgid, *uid, *gid;
	unsigned effective_uid, effective_gid;
	int number;

	if (read_file_at(process->proc_fd, "status", text, sizeof(text)) <= 0)
		return false;
	tgid = strstr(text, "\nTgid:");
	uid = strstr(text, "\nUid:");
	gid = strstr(text, "\nGid:");
	if (!tgid || !uid || !gid || sscanf(tgid, "\nTgid: %d", &number) != 1 ||
	    sscanf(uid, "\nUid: %*u %u", &effective_uid) != 1 ||
	    sscanf(gid, "\nGid: %*u %u", &effective_gid) != 1)
		return false;
	process->tgid = number;
	process->uid = effective_uid;
	process->gid = effective_gid;
	return true;
}

static void strip_deleted(char *path)
{
	static const char suffix[] = " (deleted)";
	size_t length = strlen(path);

	if (length > strlen(suffix) && !strcmp(path + length - strlen(suffix), suffix))
		path[length - strlen(suffix)] = '\0';
}

void process_read_words(struct process *process)
{
	ssize_t length = readlinkat(process->proc_fd, "exe", process->exe, sizeof(process->exe) - 1);

	process->exe[length > 0 ? length : 0] = '\0';
	strip_deleted(process->exe);
	length = read_file_at(process->proc_fd, "cmdline", process->cmdline, sizeof(process->cmdline));
	process->cmdline_length = length > 0 ? (size_t)length : 0;
	process->cmdline[process->cmdline_length] = '\0';
}

void process_close(struct process *process)
{
	if (process->proc_fd >= 0)
		close(process->proc_fd);
	process->proc_fd = -1;
}

bool process_open(pid_t pid, struct process *ret)
{
	ret->pid = pid;
	ret->proc_fd = process_open_dir(pid);
	if (ret->proc_fd < 0)
		return false;
	if (!process_read_stat(ret) || !process_read_status(ret)) {
		process_close(ret);
		return false;
	}
	process_read_words(ret);
	return true;
}

bool process_is_kernel_thread(const struct process *process)
{
	return process->flags & PROCESS_FLAG_KERNEL_THREAD;
}

/* A main thread that has ended while others run shows as a zombie too, but is none. */
bool process_is_zombie(const struct process *process)
{
	return strchr("ZXx", process->state) && process->threads <= 1;
}

bool process_is_own(const struct process *process, const pid_t *own_pids, size_t own_count)
{
	struct stat mine, theirs;

	if (process->pid == getpid())
		return true;
	for (size_t i = 0; i < own_count; i++)
		if (process->pid == own_pids[i])
			return true;
	return stat("/proc/self/exe", &mine) == 0 && fstatat(process->proc_fd, "exe", &theirs, 0) == 0 &&
	       mine.st_dev == theirs.st_dev && mine.st_ino == theirs.st_ino;
}

/* ---- words for people ---- */

void process_format_cmdline(const struct process *process, char *ret, size_t capacity)
{
	char joined[TARGET_CMDLINE_MAX];
	size_t length = process->cmdline_length;

	memcpy(joined, process->cmdline, length);
	while (length && joined[length - 1] == '\0')
		length--;
	for (size_t i = 0; i < length; i++)
		if (joined[i] == '\0')
			joined[i] = ' ';
	text_sanitize(joined, length, ret, capacity);
}

void process_format_user(uid_t uid, char *ret, size_t capacity)
{
	struct passwd entry, *found = NULL;
	char buffer[4096];

	if (getpwuid_r(uid, &entry, buffer, sizeof(buffer), &found) == 0 && found)
		text_sanitize(found->pw_name, SIZE_MAX, ret, capacity);
	else
		snprintf(ret, capacity, "%u", (unsigned)uid);
}
