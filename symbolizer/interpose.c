/* libdw calls open() through the PLT, so that a definition in the program is what it finds (elfutils 0.188:
 * libdw_find_split_unit.c, dwarf_getalt.c; seen with nm -D). libc's own calls, fopen()'s among them, do not
 * come here. What is passed through is what libc does: the same system call. */
#include "symbolizer/interpose.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

static int (*hook)(void *arg, const char *path);
static void *hook_arg;

void interpose_set(int (*open_dwo)(void *arg, const char *path), void *arg)
{
	hook = open_dwo;
	hook_arg = arg;
}

static bool is_dwo(const char *path)
{
	size_t length = strlen(path);

	return length > 4 && strcmp(path + length - 4, ".dwo") == 0;
}

static int open_at(int directory, const char *path, int flags, mode_t mode)
{
	int fd;

	if (!hook || !is_dwo(path))
		return (int)syscall(SYS_openat, directory, path, flags, mode);
	fd = hook(hook_arg, path);
	if (fd < 0)
		errno = ENOENT;
	return fd;
}

/* The third argument is there when a file may be made. */
#define TAKE_MODE(flags)                                                                                     \
	({                                                                                                   \
		mode_t mode = 0;                                                                             \
		if (((flags)&O_CREAT) || ((flags)&O_TMPFILE) == O_TMPFILE) {                                 \
			va_list args;                                                                        \
			va_start(args, flags);                                                               \
			mode = va_arg(args, mode_t);                                                         \
			va_end(args);                                                                        \
		}                                                                                            \
		mode;                                                                                        \
	})

int open(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, TAKE_MODE(flags));
}

int open64(const char *path, int flags, ...)
{
	return open_at(AT_FDCWD, path, flags, TAKE_MODE(flags));
}

int openat(int directory, const char *path, int flags, ...)
{
	return open_at(directory, path, flags, TAKE_MODE(flags));
}

int openat64(int directory, const char *path, int flags, ...)
{
	return open_at(directory, path, flags, TAKE_MODE(flags));
}
