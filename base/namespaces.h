/* Leaves the machine's namespaces for empty ones, as far as this process may: for one that is to have nothing
 * but its fds.
 *
 * What cannot be had is left as it is, and noted with its errno: never an error. Called twice by a process
 * that gives its rights up: before, with NAMESPACES_BY_RIGHT (CAP_SYS_ADMIN is enough for all but the user
 * namespace), and after, with NAMESPACES_BY_USER (what is missing by a user namespace of its own, where the
 * kernel lets everybody have one). Invariants: the second leaves every capability over the process's own
 * namespaces: the caller drops them. For processes of one thread.
 */
#ifndef KILN_BASE_NAMESPACES_H
#define KILN_BASE_NAMESPACES_H

#include <stdbool.h>

enum namespace_kind {
	NAMESPACE_USER,
	NAMESPACE_MOUNT,
	NAMESPACE_NETWORK,
	NAMESPACE_IPC,
	NAMESPACE_UTS,
	NAMESPACE_CGROUP,
	NAMESPACE_ROOT, /* none of its own: an empty, read-only root directory in the mount namespace */
	NAMESPACE_KINDS,
};

enum namespaces_way { NAMESPACES_BY_RIGHT, NAMESPACES_BY_USER };

struct namespaces {
	bool is_own[NAMESPACE_KINDS];
	int why[NAMESPACE_KINDS]; /* errno of the last try where it is not; 0: not tried */
};

/* What holds after this and the calls before it in this process. */
const struct namespaces *namespaces_leave(enum namespaces_way way);
const char *namespaces_get_name(enum namespace_kind kind); /* "network" */

#endif
