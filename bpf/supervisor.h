/* The probe's children: the interface and the workers, each forked with the rights that it needs and no fd
 * more.
 *
 * Order: all are forked before the first bpf(2); what is forked later (a replacement) closes every fd as its
 * first act, so that no link outlives the probe. A child dies when its socket closes; nothing is left behind
 * when the probe is killed. Ownership: sockets in ret belong to the caller.
 */
#ifndef KILN_BPF_SUPERVISOR_H
#define KILN_BPF_SUPERVISOR_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child {
	pid_t pid;
	int socket; /* ours, to the child; -1 none */
};

/* Forks the interface: the invoking user's rights, the terminal, one socket. */
struct error *supervisor_fork_interface(uid_t uid, gid_t gid, int (*interface_main)(void *arg, int probe_fd),
					void *arg, struct child *ret);
/* Forks a worker: nobody's rights, no terminal, its own session. with_kiln: ret_kiln_fd is the socket for
 * kiln. */
struct error *supervisor_fork_worker(int (*worker_main)(int probe_fd, int kiln_fd), bool with_kiln,
				     struct child *ret, int *ret_kiln_fd);

#endif
