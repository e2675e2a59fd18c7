#include "profile/snapshot_temporary.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* What SQLite's file layer takes (MAX_PATHNAME of os_unix.c is 512), with room for the rest of it. */
#define PATH_LENGTH_MAX 500

static struct error *fail(int saved_errno, const char *what, const char *path)
{
	return error_create(ERROR_GENERAL, saved_errno, "save to a directory that you may write to: -o FILE",
			    "%s %s", what, path);
}

/* "DIR/NAME" → "DIR/.NAME.tmp-PID"; NULL when memory is short. */
static char *make_temporary_path(const char *target, pid_t pid)
{
	const char *slash = strrchr(target, '/');
	int directory = slash ? (int)(slash + 1 - target) : 0;
	char *path;

	if (asprintf(&path, "%.*s.%s.tmp-%d", directory, target, target + directory, (int)pid) < 0)
		return NULL;
	return path;
}

static struct error *resolve_target(const char *target, char **ret)
{
	struct stat status;
	size_t length = strlen(target);

	if (!length || target[length - 1] == '/')
		return error_create(ERROR_GENERAL, 0, "give the name of a file", "\"%s\" is no file name",
				    target);
	if (lstat(target, &status) && errno == ENOENT) {
		*ret = strdup(target);
		return *ret ? NULL : fail(ENOMEM, "write", target);
	}
	if (stat(target, &status))
		return fail(errno, "write", target);
	if (!S_ISREG(status.st_mode))
		return error_create(ERROR_GENERAL, S_ISDIR(status.st_mode) ? EISDIR : 0,
				    "give the name of a file", "%s is no regular file", target);
	*ret = realpath(target, NULL);
	return *ret ? NULL : fail(errno, "write", target);
}

struct error *temporary_create(const char *target, struct temporary *ret)
{
	_cleanup_(temporary_deinit) struct temporary made = TEMPORARY_NONE;
	_cleanup_free_ char *path = NULL;
	struct error *error = resolve_target(target, &made.target);

	if (error)
		return error;
	path = make_temporary_path(made.target, getpid());
	if (!path)
		return fail(ENOMEM, "write", target);
	if (strlen(path) > PATH_LENGTH_MAX)
		return fail(ENAMETOOLONG, "write", target);
	/* Left behind by a writer that had this pid and was killed. */
	unlink(path);
	made.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (made.fd < 0)
		return fail(errno, "create", path);
	made.path = take_ptr(path);
	*ret = made;
	made = (struct temporary)TEMPORARY_NONE;
	return NULL;
}

static struct error *sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *directory = slash ? strndup(path, (size_t)(slash + 1 - path)) : strdup(".");
	_cleanup_close_ int fd = -1;

	if (!directory)
		return fail(ENOMEM, "sync", path);
	/* A directory that may be written but not read (mode 0300) cannot be opened: the rename is done, only
	 * not yet certain to outlive a power cut. Some file systems cannot sync directories (EINVAL). */
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return NULL;
	if (fsync(fd) && errno != EINVAL)
		return fail(errno, "sync", directory);
	return NULL;
}

struct error *temporary_commit(struct temporary *temporary)
{
	if (fsync(temporary->fd))
		return fail(errno, "sync", temporary->path);
	if (rename(temporary->path, temporary->target))
		return fail(errno, "rename to", temporary->target);
	free(take_ptr(temporary->path));
	return sync_directory(temporary->target);
}

void temporary_deinit(struct temporary *temporary)
{
	if (temporary->path)
		unlink(temporary->path);
	if (temporary->fd >= 0)
		close(temporary->fd);
	free(temporary->path);
	free(temporary->target);
	*temporary = (struct temporary)TEMPORARY_NONE;
}

void temporary_remove_of(const char *target, pid_t pid)
{
	_cleanup_free_ char *resolved = realpath(target, NULL);
	_cleanup_free_ char *path = make_temporary_path(resolved ? resolved : target, pid);

	if (path)
		unlink(path);
}
