/* The ways to a mapped file, in order of preference:
 *   1. /proc/PID/map_files/START-END: the kernel itself leads to the very file that is mapped, deleted or in
 * a container as it may be. Needs CAP_CHECKPOINT_RESTORE or CAP_SYS_ADMIN.
 *   2. its path beneath the target's root, which must be the same device and inode as the mapping.
 * Each is opened as a mere handle (O_PATH) first: opening a device or a pipe has effects, opening a handle
 * has none. Only a regular file is then opened for reading, through the handle, so that nothing can be put in
 * its place in between. */
#include "bpf/modules_open.h"

#include "base/cleanup.h"
#include "bpf/modules.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>

static bool has_identity(const struct stat *status, const struct map *map)
{
	return status->st_ino == map->inode && major(status->st_dev) == map->dev_major &&
	       minor(status->st_dev) == map->dev_minor;
}

/* Bytes of /proc/kallsyms in one go: 2 to 5 ms. */
#define KERNEL_TEXT_PIECE (256u << 10)

/* ---- 1. map_files ---- */

/* On overlayfs and btrfs stat(2) gives another device than the mapping has. Whether the range still belongs
 * to this file then shows in the link's text, which is the mapping's path. */
static bool is_link_to(int proc_fd, const char *link, const struct map *map)
{
	char text[PATH_MAX];
	ssize_t length = readlinkat(proc_fd, link, text, sizeof(text));
	size_t path_length = strlen(map->path);

	return length > 0 && (size_t)length >= path_length && !memcmp(text, map->path, path_length) &&
	       ((size_t)length == path_length || map->is_deleted);
}

static int open_map_link(const struct target *target, const struct map *map, struct stat *status)
{
	_cleanup_close_ int fd = -1;
	char link[64];

	snprintf(link, sizeof(link), "map_files/%llx-%llx", (unsigned long long)map->start,
		 (unsigned long long)map->end);
	fd = openat(target->proc_fd, link, O_PATH | O_CLOEXEC);
	if (fd < 0 || fstat(fd, status) < 0)
		return -1;
	if (!has_identity(status, map) && !is_link_to(target->proc_fd, link, map)) {
		errno = ESTALE;
		return -1;
	}
	return take_fd(&fd);
}

/* ---- 2. the path under the target's root ---- */

/* A path in /proc/PID/maps is as we would see it: for a target in a chroot of our own mount namespace the
 * root's own path comes first, and has to go. */
static const char *skip_root(int proc_fd, const char *path)
{
	char root[PATH_MAX];
	ssize_t length = readlinkat(proc_fd, "root", root, sizeof(root));

	if (length > 1 && (size_t)length < sizeof(root) && !strncmp(path, root, (size_t)length) &&
	    path[length] == '/')
		return path + length;
	return path;
}

static int open_beneath(int root_fd, const char *path)
{
	struct open_how how = {
		.flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};

	return (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
}

/* The kernel's text of a path is ambiguous (maps.h): a newline may be a literal \012, a deleted file one that
 * is called so. spelling 0 is the plain reading, 1 and 2 the other ones. NULL: there is no such reading, or
 * no memory. */
static char *spell_path(const struct map *map, const char *path, int spelling)
{
	char *text = NULL, *out;

	if (spelling == 0)
		return map->is_deleted ? NULL : strdup(path);
	if (spelling == 1) {
		if (!map->is_deleted || asprintf(&text, "%s (deleted)", path) < 0)
			return NULL;
		return text;
	}
	if (!strchr(path, '\n'))
		return NULL;
	out = text = malloc(strlen(path) * 4 + 1);
	for (; text && *path; path++)
		out = *path == '\n' ? stpcpy(out, "\\012") : (*out = *path, out + 1);
	if (text)
		*out = '\0';
	return text;
}

static int open_path(const struct target *target, const struct map *map, struct stat *status)
{
	_cleanup_close_ int root_fd = openat(target->proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *path;
	int why = map->is_deleted ? ENOENT : 0;

	if (root_fd < 0)
		return -1;
	path = skip_root(target->proc_fd, map->path);
	for (int spelling = 0; spelling < 3; spelling++) {
		_cleanup_free_ char *spelled = spell_path(map, path, spelling);
		_cleanup_close_ int fd = spelled ? open_beneath(root_fd, spelled) : -1;

		if (!spelled)
			continue;
		if (fd < 0 || fstat(fd, status) < 0)
			why = why ? why : errno;
		else if (has_identity(status, map))
			return take_fd(&fd);
		else
			why = status->st_ino == map->inode ? EXDEV : ESTALE;
	}
	errno = why;
	return -1;
}

/* ---- both ---- */

static struct error *error_not_opened(const struct map *map, int link_errno, int path_errno)
{
	bool is_forbidden = link_errno == EPERM || link_errno == EACCES;
	enum error_code code = is_forbidden ? ERROR_PERMISSION : ERROR_GENERAL;
	const char *hint = is_forbidden ? "CAP_CHECKPOINT_RESTORE leads to every mapped file" : NULL;

	if (link_errno == EMFILE || link_errno == ENFILE)
		return error_create(ERROR_GENERAL, link_errno, "raise the limit of open files (ulimit -Hn)",
				    "not opened");
	if (path_errno == EXDEV)
		return error_create(
			code, 0, hint,
			"not trusted: the file system (overlayfs or btrfs?) gives the file another device "
			"number than the mapping has");
	if (path_errno == ESTALE)
		return error_create(code, 0, hint, "not trusted: another file stands at its path now");
	if (map->is_deleted && path_errno == ENOENT)
		return error_create(code, 0, hint, "the file has been deleted");
	return error_create(code, path_errno, hint, "not opened");
}

struct error *modules_open_file(const struct target *target, const struct map *map, int *ret)
{
	_cleanup_close_ int handle = -1;
	char self[32];
	struct stat status;
	int link_errno, fd;

	handle = open_map_link(target, map, &status);
	link_errno = errno;
	if (handle < 0)
		handle = open_path(target, map, &status);
	if (handle < 0)
		return error_not_opened(map, link_errno, errno);
	if (!S_ISREG(status.st_mode))
		return error_create(ERROR_GENERAL, 0, NULL, "not opened: no regular file");
	snprintf(self, sizeof(self), "/proc/self/fd/%d", handle);
	fd = open(self, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return error_create(errno == EACCES ? ERROR_PERMISSION : ERROR_GENERAL, errno, NULL,
				    "not opened");
	*ret = fd;
	return NULL;
}

/* ---- images that are no files ---- */

static bool write_all(int fd, const char *data, size_t length)
{
	while (length) {
		ssize_t written = write(fd, data, length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return false;
		data += written;
		length -= (size_t)written;
	}
	return true;
}

static struct error *seal(int *fd, int *ret)
{
	if (fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "seal the copy");
	*ret = take_fd(fd);
	return NULL;
}

struct vdso_search {
	uint64_t start, end;
};

static struct error *find_vdso(void *arg, const struct map *map)
{
	struct vdso_search *search = arg;

	if (map->kind == MAP_KIND_VDSO && map->start == search->start)
		search->end = map->end;
	return NULL;
}

static struct error *find_own_vdso(struct vdso_search *search)
{
	_cleanup_close_ int proc_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fclose_ FILE *stream = NULL;
	struct error *error;

	search->start = getauxval(AT_SYSINFO_EHDR);
	if (!search->start)
		return error_create(ERROR_UNSUPPORTED, 0, NULL, "this kernel maps no vDSO");
	if (proc_fd < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "open /proc/self");
	error = maps_open(proc_fd, &stream);
	if (!error)
		error = maps_read(stream, find_vdso, search);
	if (!error && search->end <= search->start)
		error = error_create(ERROR_UNSUPPORTED, 0, NULL, "the vDSO is not in our own memory map");
	return error;
}

struct error *modules_open_vdso(int *ret)
{
	_cleanup_close_ int fd = memfd_create("vdso", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct vdso_search search = {0};
	struct error *error;

	if (fd < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "vDSO");
	error = find_own_vdso(&search);
	if (!error && !write_all(fd, (const char *)(uintptr_t)search.start, search.end - search.start))
		error = error_create(ERROR_GENERAL, errno, NULL, "copy the image");
	if (!error)
		error = seal(&fd, ret);
	return error_wrap(error, "vDSO");
}

/* Whether any line of this piece has an address that is not zero: "0000000000000000 T name". Pieces may end
 * inside a line: *in_address tells the next one where it starts. */
static bool has_address(const char *text, size_t length, bool *in_address)
{
	for (size_t i = 0; i < length; i++) {
		if (*in_address && text[i] != '0' && text[i] != ' ')
			return true;
		*in_address = text[i] == '\n' || (*in_address && text[i] == '0');
	}
	return false;
}

struct kernel_text {
	int source, memfd;
	bool has_any, in_address;
	char buffer[64 * 1024];
};

void kernel_text_destroy(struct kernel_text *text)
{
	if (!text)
		return;
	cleanup_close(&text->source);
	cleanup_close(&text->memfd);
	free(text);
}

static void cleanup_kernel_text(struct kernel_text **text)
{
	kernel_text_destroy(*text);
}

struct error *kernel_text_open(struct kernel_text **ret)
{
	_cleanup_(cleanup_kernel_text) struct kernel_text *text = malloc(sizeof(*text));

	if (!text)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "kernel symbols");
	text->has_any = false;
	text->in_address = true;
	text->memfd = memfd_create("kallsyms", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	text->source = open("/proc/kallsyms", O_RDONLY | O_CLOEXEC);
	if (text->source < 0)
		return error_create(ERROR_UNSUPPORTED, errno, NULL, "kernel symbols: open /proc/kallsyms");
	if (text->memfd < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "kernel symbols");
	*ret = take_ptr(text);
	return NULL;
}

static struct error *end_kernel_text(struct kernel_text *text, int *ret)
{
	if (!text->has_any)
		return error_create(ERROR_PERMISSION, 0,
				    "needs CAP_SYSLOG, and kernel.kptr_restrict below 2: run kiln with sudo",
				    "kernel symbols: the kernel hides their addresses");
	return error_wrap(seal(&text->memfd, ret), "kernel symbols");
}

struct error *kernel_text_read(struct kernel_text *text, int *ret)
{
	size_t done = 0;

	*ret = -1;
	/* The kernel gives a page at a time, whatever is asked for. */
	while (done < KERNEL_TEXT_PIECE) {
		ssize_t got = read(text->source, text->buffer, sizeof(text->buffer));

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 || !write_all(text->memfd, text->buffer, (size_t)got))
			return error_create(ERROR_GENERAL, errno, NULL,
					    "kernel symbols: copy /proc/kallsyms");
		if (!got)
			return end_kernel_text(text, ret);
		text->has_any = text->has_any || has_address(text->buffer, (size_t)got, &text->in_address);
		done += (size_t)got;
	}
	return NULL;
}

struct error *modules_open_kernel(int *ret)
{
	_cleanup_(cleanup_kernel_text) struct kernel_text *text = NULL;
	struct error *error = kernel_text_open(&text);

	*ret = -1;
	while (!error && *ret < 0)
		error = kernel_text_read(text, ret);
	return error;
}
