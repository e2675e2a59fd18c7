#include "bpf/jit_files.h"

#include "base/array.h"
#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

/* Of jitdumps, as many are watched for growth. */
#define DUMPS_WATCHED_MAX 64
/* Clocks are set now and then. */
#define CLOCK_SLACK_S 2

/* Where and as whom the target looks for its map. */
struct place {
	int root_fd;  /* O_PATH; -1: not known yet */
	unsigned pid; /* in its own PID namespace */
	unsigned uid; /* effective, as we see it */
	bool is_known;
};

struct jit_files {
	struct place place; /* the last that was seen: what has ended shows none */
	int map_fd;	    /* -1: none */
	dev_t map_device;
	ino_t map_inode;
	ARRAY(int)
	dumps;
	uint64_t told_bytes;
	bool was_new; /* the last look had news */
	char told_why[200];
};

struct error *jit_files_create(struct jit_files **ret)
{
	struct jit_files *files = calloc(1, sizeof(*files));

	if (!files)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "names of JIT code");
	files->place.root_fd = files->map_fd = -1;
	*ret = files;
	return NULL;
}

void jit_files_destroy(struct jit_files *files)
{
	if (!files)
		return;
	cleanup_close(&files->place.root_fd);
	cleanup_close(&files->map_fd);
	array_deinit(&files->dumps);
	free(files);
}

/* ---- the target's view ---- */

/* "NSpid: 1234 56 7": from our namespace inwards. */
static unsigned parse_innermost(const char *numbers)
{
	unsigned pid = 0;
	char *end;

	for (unsigned long value = strtoul(numbers, &end, 10); end > numbers;
	     value = strtoul(numbers, &end, 10)) {
		pid = (unsigned)value;
		numbers = end;
	}
	return pid;
}

static bool read_status(int proc_fd, unsigned *ret_pid, unsigned *ret_uid)
{
	int fd = openat(proc_fd, "status", O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	bool has_uid = false;
	char line[512];

	*ret_pid = 0;
	if (!file) {
		cleanup_close(&fd);
		return false;
	}
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "Uid: %*u %u", ret_uid) == 1)
			has_uid = true;
		else if (!strncmp(line, "NSpid:", 6))
			*ret_pid = parse_innermost(line + 6);
	}
	return has_uid && *ret_pid;
}

/* What cannot be seen any more (the target is ending) is as it was. */
static void look_at_place(struct place *place, const struct target *target)
{
	int root_fd = openat(target->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	unsigned pid, uid;

	if (root_fd < 0)
		return;
	if (!read_status(target->proc_fd, &pid, &uid)) {
		close(root_fd);
		return;
	}
	cleanup_close(&place->root_fd);
	*place = (struct place){root_fd, pid, uid, true};
}

/* ---- the map ---- */

static const char *find_fault(const struct stat *status, unsigned uid)
{
	if (S_ISLNK(status->st_mode))
		return "it is a symbolic link";
	if (!S_ISREG(status->st_mode))
		return "it is no regular file";
	if (status->st_uid != 0 && status->st_uid != uid)
		return "it belongs to another user than the target";
	if (status->st_nlink > 1)
		return "it has a second name";
	if ((uint64_t)status->st_size > JIT_FILE_BYTES_MAX)
		return "it is too big";
	return NULL;
}

/* Left behind by a process that had the same number before. */
static bool is_of_another(const struct stat *status, const struct target *target)
{
	struct timespec wall, boot;
	double age_s;

	clock_gettime(CLOCK_REALTIME, &wall);
	clock_gettime(CLOCK_BOOTTIME, &boot);
	age_s = (double)boot.tv_sec - (double)target->start_time_ticks / (double)sysconf(_SC_CLK_TCK);
	return (double)(wall.tv_sec - status->st_mtim.tv_sec) > age_s + CLOCK_SLACK_S;
}

static int open_handle(const struct place *place)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS,
	};
	char path[64];

	snprintf(path, sizeof(path), "tmp/perf-%u.map", place->pid);
	return (int)syscall(SYS_openat2, place->root_fd, path, &how, sizeof(how));
}

/* Through the handle: what was checked is what is read. */
static int open_for_reading(int handle)
{
	char self[32];

	snprintf(self, sizeof(self), "/proc/self/fd/%d", handle);
	return open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

static void refuse(struct jit_files *files, struct jit_look *look, const char *why)
{
	char text[sizeof(look->why)];

	snprintf(text, sizeof(text), "/tmp/perf-%u.map is not read: %s", files->place.pid, why);
	if (strcmp(text, files->told_why) != 0) {
		memcpy(files->told_why, text, sizeof(text));
		memcpy(look->why, text, sizeof(text));
	}
}

static void take_map(struct jit_files *files, const struct stat *status, int fd, struct jit_look *ret)
{
	cleanup_close(&files->map_fd);
	files->map_fd = fd;
	files->map_device = status->st_dev;
	files->map_inode = status->st_ino;
	files->told_why[0] = '\0';
	ret->new_map_fd = fd;
	ret->map_bytes = (uint64_t)status->st_size;
}

static void look_at_map(struct jit_files *files, const struct target *target, struct jit_look *ret)
{
	_cleanup_close_ int handle = open_handle(&files->place);
	const char *fault;
	struct stat status;
	int fd;

	if (handle < 0 && (errno == ELOOP || errno == EXDEV))
		refuse(files, ret, "a symbolic link is in its path");
	if (handle < 0 || fstat(handle, &status) < 0)
		return;
	/* While it is open, its number is nobody else's. */
	if (files->map_fd >= 0 && status.st_dev == files->map_device && status.st_ino == files->map_inode)
		return;
	if (is_of_another(&status, target))
		return;
	fault = find_fault(&status, files->place.uid);
	if (fault) {
		refuse(files, ret, fault);
		return;
	}
	fd = open_for_reading(handle);
	if (fd < 0)
		refuse(files, ret, strerror(errno));
	else
		take_map(files, &status, fd, ret);
}

/* ---- all ---- */

static uint64_t get_size(int fd)
{
	struct stat status;

	return fd >= 0 && fstat(fd, &status) == 0 && status.st_size > 0 ? (uint64_t)status.st_size : 0;
}

void jit_files_look(struct jit_files *files, const struct target *target, bool is_last, struct jit_look *ret)
{
	bool has_any, is_new;

	*ret = (struct jit_look){.new_map_fd = -1};
	look_at_place(&files->place, target);
	if (files->place.is_known)
		look_at_map(files, target, ret);
	ret->total_bytes = get_size(files->map_fd);
	for (size_t i = 0; i < files->dumps.count; i++)
		ret->total_bytes += get_size(files->dumps.items[i]);
	has_any = files->map_fd >= 0 || files->dumps.count;
	is_new = ret->new_map_fd >= 0 || ret->total_bytes != files->told_bytes;
	/* Once more when nothing has come since: what was half written then is whole now. */
	ret->has_news = has_any && (is_new || files->was_new || is_last);
	files->was_new = is_new;
	files->told_bytes = ret->total_bytes;
}

bool jit_files_is_dump(const char *path)
{
	const char *slash = strrchr(path, '/');

	return fnmatch("jit-*.dump", slash ? slash + 1 : path, 0) == 0;
}

bool jit_files_add_dump(struct jit_files *files, const struct target *target, int fd)
{
	struct stat status;

	look_at_place(&files->place, target);
	if (!files->place.is_known || fstat(fd, &status) < 0 || find_fault(&status, files->place.uid))
		return false;
	files->was_new = true;
	if (files->dumps.count < DUMPS_WATCHED_MAX)
		return array_append(&files->dumps, fd);
	return true;
}
