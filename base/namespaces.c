#include "base/namespaces.h"

#include <errno.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

static const struct {
	const char *name;
	int flag;
} kinds[NAMESPACE_KINDS] = {
	[NAMESPACE_USER] = {"user", CLONE_NEWUSER},	 [NAMESPACE_MOUNT] = {"mount", CLONE_NEWNS},
	[NAMESPACE_NETWORK] = {"network", CLONE_NEWNET}, [NAMESPACE_IPC] = {"IPC", CLONE_NEWIPC},
	[NAMESPACE_UTS] = {"UTS", CLONE_NEWUTS},	 [NAMESPACE_CGROUP] = {"cgroup", CLONE_NEWCGROUP},
	[NAMESPACE_ROOT] = {"empty root directory", 0},
};

/* Of this process: there is only one of each. */
static struct namespaces mine;

static void note(enum namespace_kind kind, bool is_own)
{
	mine.is_own[kind] = is_own;
	mine.why[kind] = is_own ? 0 : errno;
}

/* Some KiB of kernel memory, in which nothing can be made. /proc is what it is mounted on: kiln needs that
 * one anyway, so that it is there. */
static bool mount_empty(void)
{
	/* Without this, machines whose mounts are shared would get it too. Slaves, not private: should the
	 * old tree stay, a disk that the machine takes off is not held here. */
	return mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 &&
	       mount("none", "/proc", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC,
		     "nr_inodes=2,size=4k,mode=555") == 0 &&
	       chdir("/proc") == 0;
}

/* pivot_root() puts the old root below the new one's own place, from where it is taken off with all that is
 * mounted in it. The root of an initramfs cannot be moved away: there the new one goes on top of it. */
static bool enter_empty(void)
{
	if (syscall(SYS_pivot_root, ".", ".") == 0)
		return umount2(".", MNT_DETACH) == 0 && chdir("/") == 0;
	return mount(".", "/", NULL, MS_MOVE, NULL) == 0 && chroot(".") == 0 && chdir("/") == 0;
}

const struct namespaces *namespaces_leave(enum namespaces_way way)
{
	bool had_mounts = mine.is_own[NAMESPACE_MOUNT];

	/* One by one: a kernel or a container may refuse some of them. The user's first: it is what lets an
	 * ordinary user have the others. */
	for (enum namespace_kind kind = way == NAMESPACES_BY_USER ? NAMESPACE_USER : NAMESPACE_MOUNT;
	     kind < NAMESPACE_ROOT; kind++) {
		if (!mine.is_own[kind])
			note(kind, unshare(kinds[kind].flag) == 0);
	}
	if (mine.is_own[NAMESPACE_MOUNT] && !had_mounts)
		note(NAMESPACE_ROOT, mount_empty() && enter_empty());
	else if (!mine.is_own[NAMESPACE_MOUNT])
		mine.why[NAMESPACE_ROOT] = mine.why[NAMESPACE_MOUNT];
	return &mine;
}

const char *namespaces_get_name(enum namespace_kind kind)
{
	return kinds[kind].name;
}
