/* Capabilities: which the probe has, which it needs, and how the other processes get rid of theirs.
 *
 * Invariants: a drop is verified before it returns; a process whose drop failed must exit.
 * Only for processes of one thread (as all of kiln's are): ids and capabilities belong to the calling thread.
 * Errors: ERROR_PERMISSION names what is missing, with the command that helps as its hint.
 */
#ifndef KILN_BPF_PRIVILEGES_H
#define KILN_BPF_PRIVILEGES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/capability.h>
#include <sys/types.h>

/* ---- what there is ---- */

struct privilege {
	cap_value_t capability;
	const char *name;    /* "CAP_BPF" */
	const char *purpose; /* what it is for, as a reason: "reading the names of the kernel's functions" */
	bool is_required;    /* nothing can be profiled without it */
};

/* The capabilities that kiln asks for, ended by one whose name is NULL. */
extern const struct privilege privileges_wanted[];

/* Whether the calling process has it in effect; CAP_SYS_ADMIN stands in for BPF, PERFMON and
 * CHECKPOINT_RESTORE. */
bool privileges_has(cap_value_t capability);
/* Capabilities that are of no use to BPF, because they hold in a user namespace only. */
bool privileges_are_namespaced(void);

/* NULL when the process may attach to a target of this user. what: "attach to 4242"; typed: the command line
 * as the user typed it, for the hint. */
struct error *privileges_check(const char *what, uid_t target_uid, const char *typed);
/* The words of a command line joined, quoted for a shell where they need it; NULL when memory is short. The
 * caller frees it. */
char *privileges_format_command(char *const *argv);

/* ---- whose ---- */

/* The user for whom kiln works: SUDO_UID and SUDO_GID where the real user is root, else the real ids.
 * *ret_home, to be freed, is the user's home by the password database ("/" where there is none); $HOME only
 * when it is the user's own. */
struct error *privileges_find_invoker(uid_t *ret_uid, gid_t *ret_gid, char **ret_home);

/* ---- getting rid of them ---- */

enum privileges_flags {
	PRIVILEGES_KEEP_FORKING =
		1, /* CAP_SETUID, SETGID, SETPCAP, KILL: to start and end workers of another user */
	PRIVILEGES_KEEP_ADMIN = 2, /* CAP_SYS_ADMIN: the perf-event fallback of probes needs it */
};

/* In the probe: keeps of the capabilities that it has those that are wanted, and what the flags say. Where
 * CAP_BPF or CAP_PERFMON are not there but CAP_SYS_ADMIN is, that one stays. */
struct error *privileges_keep_least(unsigned flags);

/* For good: the user's ids and groups, no capability, none to be had by exec. A process that may not change
 * its user (capabilities from its file, no CAP_SETUID) keeps its user and loses the capabilities. */
struct error *privileges_drop_to_user(uid_t uid, gid_t gid);
/* For a worker: user and group 65534, no groups, no new processes, no core dumps, not traceable; namespaces
 * and an empty root directory of its own where this process may have them. */
struct error *privileges_drop_to_nobody(void);
/* For CMD: the user's ids and groups, and what capabilities that user's programs start with; the way to more
 * (sudo) stays open to it. uid 0 stays root. */
struct error *privileges_become_user(uid_t uid, gid_t gid);

#endif
