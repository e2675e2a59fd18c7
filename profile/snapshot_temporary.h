/* A file that replaces another one in one step: made beside it, synced, renamed; removed when that fails.
 *
 * The target may exist as a regular file or a symbolic link to one (which stays a link). What is anything
 * else (a directory, /dev/null) is refused: a rename would replace the device.
 */
#ifndef KILN_PROFILE_SNAPSHOT_TEMPORARY_H
#define KILN_PROFILE_SNAPSHOT_TEMPORARY_H

#include "base/error.h"

#include <sys/types.h>

struct temporary {
	int fd;
	char *path;   /* DIRECTORY/.NAME.tmp-PID */
	char *target; /* after symbolic links */
};
#define TEMPORARY_NONE                                                                                       \
	{                                                                                                    \
		-1, NULL, NULL                                                                               \
	}

struct error *temporary_create(const char *target, struct temporary *ret);
/* Syncs, renames, syncs the directory. */
struct error *temporary_commit(struct temporary *temporary);
/* Removes the file unless it was committed. */
void temporary_deinit(struct temporary *temporary);
/* Removes what a killed writer left behind. */
void temporary_remove_of(const char *target, pid_t pid);

#endif
