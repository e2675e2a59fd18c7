/* Starting CMD: forked early, it waits before its exec until the programs that watch it are in place.
 *
 * Life: launch_prepare() → launch_release() | launch_abort(). If kiln dies in between, CMD ends without
 * having run; once released it goes on, whatever becomes of kiln. The caller reaps it (it is the caller's
 * child). Invariants: CMD has no fd of kiln but its standard three, the signal actions and mask of a fresh
 * program, and the user's rights. Errors: ERROR_NO_TARGET where CMD cannot be executed; then it has been
 * reaped already.
 */
#ifndef KILN_BPF_LAUNCH_H
#define KILN_BPF_LAUNCH_H

#include "base/error.h"

#include <stdbool.h>
#include <sys/types.h>

struct launch_options {
	char *const *argv; /* ended by NULL; argv[0] is looked up in PATH */
	uid_t uid; /* the invoking user's, with home "HOME" and name "USER" set when that is another one */
	gid_t gid;
	bool as_root;	    /* keep the rights of the caller: uid and gid do not matter */
	bool own_group;	    /* a process group of its own, so that ^C for kiln is not for CMD */
	bool in_foreground; /* with own_group: the terminal's foreground group, so that CMD may read from it
			     */
	int stdin_fd;	    /* -1: inherited */
	int stdout_fd;
	int stderr_fd;
};

/* What runs under the dashboard takes its input from here: opens /dev/null; -1 with errno. */
int launch_open_null(void);

struct launch {
	pid_t pid;
	int go_fd;	/* a byte lets it run; closed without one it ends */
	int outcome_fd; /* tells how exec went */
};

struct error *launch_prepare(const struct launch_options *options, struct launch *ret);
/* Returns when CMD's exec has succeeded or failed. Closes the fds in either case. */
struct error *launch_release(struct launch *launch, const char *command);
/* Ends and reaps a CMD that was not released. Does nothing after launch_release(), nor on a zeroed-out
 * launch. */
void launch_abort(struct launch *launch);
/* Puts the caller's process group in front of its terminal again, when a CMD with in_foreground has ended and
 * been reaped; does nothing while somebody is there. */
void launch_take_terminal(void);

#endif
