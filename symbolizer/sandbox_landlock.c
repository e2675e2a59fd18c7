/* Landlock without a single rule: whatever the kernel's version can refuse is refused.
 *
 * It stands behind seccomp, for a system call that the filter lets through and a later kernel gives a new
 * meaning to. The numbers are ours: Debian 12's headers end with version 2.
 */
#include "symbolizer/sandbox_layers.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CREATE_RULESET_VERSION 1u

/* struct landlock_ruleset_attr. An older kernel takes a longer one when what it does not know is 0
 * (copy_min_struct_from_user()). */
struct ruleset {
	uint64_t fs;	 /* rights on files: bits from 0 on, more with each version */
	uint64_t net;	 /* since version 4: bind and connect of TCP */
	uint64_t scoped; /* since version 6: abstract UNIX sockets and signals, to outside */
};

/* Rights on files by version (security/landlock/limits.h): 2 refer, 3 truncate, 5 ioctl on devices. What a
 * later version adds is not asked for: its meaning is not known here. */
static const unsigned char fs_rights[] = {0, 13, 14, 15, 15, 16};
#define FS_RIGHTS_LAST 5

int sandbox_restrict_landlock(void)
{
	int version = (int)syscall(SYS_landlock_create_ruleset, NULL, 0, CREATE_RULESET_VERSION);
	struct ruleset ruleset = {0};
	int fd, failed_errno = 0;

	if (version < 1)
		return version < 0 ? -errno : -ENOSYS;
	ruleset.fs = (1ull << fs_rights[version < FS_RIGHTS_LAST ? version : FS_RIGHTS_LAST]) - 1;
	ruleset.net = version >= 4 ? 3 : 0;
	ruleset.scoped = version >= 6 ? 3 : 0;
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, sizeof(ruleset), 0);
	if (fd < 0)
		return -errno;
	if (syscall(SYS_landlock_restrict_self, fd, 0))
		failed_errno = errno;
	close(fd);
	return failed_errno ? -failed_errno : version;
}
