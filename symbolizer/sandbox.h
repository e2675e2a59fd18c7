/* The rights that a worker gives up for good: afterwards it can compute, and read and write the fds that it
 * has, and nothing else.
 *
 * In layers, each of which would be enough for most of it: user 65534 where it was root; user, mount,
 * network, IPC, UTS and cgroup namespaces of its own, in an empty root directory; no capability and none to
 * be had by exec; Landlock without a rule; limits (no core file, which would hold the target's bytes; no
 * process; bounded memory and files); an empty environment; a list of the system calls that are let, of which
 * everything else fails with EACCES.
 * Errors: capabilities that remain, limits or the list of calls that cannot be set: such a worker must not go
 * on. The other layers are taken where this kernel and this user can have them. For processes of one thread.
 */
#ifndef KILN_SYMBOLIZER_SANDBOX_H
#define KILN_SYMBOLIZER_SANDBOX_H

#include "base/error.h"

struct error *sandbox_enter(void);

/* In the place of symbolizer_worker_main(): enters the sandbox, sends one message (text, `yes|part|no:
 * reason`: which layers hold) to probe_fd, and ends. */
int sandbox_trial_main(int probe_fd, int kiln_fd);

#endif
