/* Both answers belong to threads, not to processes: strace without -f traces one, and a filter is installed
 * by one. A thread that comes later is a child of one that was looked at, and has its filter. */
#include "bpf/hooks.h"

#include "base/cleanup.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define THREADS_MAX 8192 /* at ~12 µs each: a tenth of a second */

struct thread_state {
	long tracer;
	long seccomp; /* SECCOMP_MODE_…: 0 is none */
};

/* false: the thread is gone. The list of groups in this file has no limit: it is read line by line. The
 * kernel escapes newlines in names. */
static bool read_thread(int task_fd, const char *tid, struct thread_state *ret)
{
	_cleanup_free_ char *line = NULL;
	_cleanup_fclose_ FILE *stream = NULL;
	size_t capacity = 0;
	bool is_there = false;
	char path[NAME_MAX + 8];
	int fd;

	snprintf(path, sizeof(path), "%s/status", tid);
	fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
	stream = fd < 0 ? NULL : fdopen(fd, "re");
	if (!stream) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	*ret = (struct thread_state){0};
	while (getline(&line, &capacity, stream) > 0) {
		is_there = sscanf(line, "TracerPid: %ld", &ret->tracer) == 1 || is_there;
		if (sscanf(line, "Seccomp: %ld", &ret->seccomp) == 1)
			break;
	}
	return is_there;
}

static void cleanup_closedir(DIR **dir)
{
	if (*dir)
		closedir(*dir);
}

static DIR *open_tasks(const struct target *target)
{
	_cleanup_close_ int fd = openat(target->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (dir)
		fd = -1; /* is the stream's now */
	return dir;
}

const char *hooks_check_target(const struct target *target, bool *ret_has_seccomp)
{
	_cleanup_(cleanup_closedir) DIR *dir = open_tasks(target);
	struct thread_state thread;
	struct dirent *entry;
	size_t seen = 0;

	*ret_has_seccomp = false;
	while (dir && (entry = readdir(dir))) {
		if (!isdigit((unsigned char)entry->d_name[0]) ||
		    !read_thread(dirfd(dir), entry->d_name, &thread))
			continue;
		if (thread.tracer)
			return "another process traces it (debugger, strace): probes would meet its "
			       "breakpoints";
		if (thread.seccomp)
			*ret_has_seccomp = true;
		if (++seen == THREADS_MAX) {
			*ret_has_seccomp = true; /* what is not known is not harmless */
			break;
		}
	}
	return seen ? NULL : "the kernel does not tell the state of its threads";
}
