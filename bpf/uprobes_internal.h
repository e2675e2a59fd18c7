/* The two kinds of links. Only for uprobes*.c.
 *
 * Ownership: what is in ret is the caller's to close. Errors: ERROR_PERMISSION, ERROR_UNSUPPORTED,
 * ERROR_NO_TARGET and ERROR_GENERAL, in words.
 */
#ifndef KILN_BPF_UPROBES_INTERNAL_H
#define KILN_BPF_UPROBES_INTERNAL_H

#include "base/error.h"
#include "bpf/uprobes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* /proc/self/fd/N: the file itself, whatever became of its path. */
#define FD_PATH_BYTES 32
void fd_path_format(int fd, char *ret);

/* Why the kernel did not give a program, a link or an event. needs_admin: CAP_BPF and CAP_PERFMON are not
 * enough for it. */
struct error *uprobes_refuse(int saved_errno, bool needs_admin, const char *what);

/* As uprobes_destroy(), but does not wait for it: a process of its own does, for as long as the kernel takes.
 */
void uprobes_destroy_later(struct uprobes *uprobes);

/* ---- links are made and closed in children ----
 *
 * A SIGKILL that comes while the kernel sets or takes traps makes it stop half-way: what it has not taken
 * away stays in the target (get_user_pages_remote() ends with EINTR; "failed to unregister, leaking uprobe"
 * in the log). The death of an idle process is no such case: the kernel has taken the signal off before it
 * closes the fds, and takes no second one. So the probe itself never does either: children do, which are in
 * no session, no process group and under no name that somebody would kill. */

enum link_step {
	LINK_STEP_NONE, /* before or between the calls */
	LINK_STEP_MULTI,
	LINK_STEP_SESSION,
	LINK_STEP_EVENT,
	LINK_STEP_PERF,
};

struct links {
	int *fds; /* in the order in which they were made */
	size_t count, capacity;
	int failure; /* errno; 0: none */
	enum link_step failed_step;
	pid_t parent;
};

/* Runs make() in a child that shares this process's memory but not its fds, and takes the links over that it
 * has made: all or, with links->failure, none. links->fds has room for links->capacity. make() must do
 * nothing but add: no allocation, no stdio: the child may be killed, and then another one begins again at the
 * same places, which mends what was left half-way. */
void links_make(struct links *links, void (*make)(struct links *links, void *arg), void *arg);
/* Closes them all and waits until the kernel has taken the traps away; even if this process is killed. */
void links_close(const int *fds, size_t count);
/* The same without waiting. */
void links_close_later(const int *fds, size_t count);

/* For the functions that add: whether there is room, and somebody to hand the links to. */
bool links_may_add(struct links *links, size_t count);

/* ---- uprobe_multi and session links ---- */

/* enum bpf_attach_type of kernels that are newer than Debian 12's headers (6.6, 6.13). */
#define ATTACH_UPROBE_MULTI   ((enum bpf_attach_type)48)
#define ATTACH_UPROBE_SESSION ((enum bpf_attach_type)57)

struct multi_request {
	int program_fd; /* loaded for this attach type */
	enum bpf_attach_type attach_type;
	int file_fd;
	pid_t pid;
	const uint64_t *offsets;
	const uint64_t *cookies; /* NULL: none */
	uint32_t count;
};

/* Both add for links_make(); false: links->failure says why, and nothing more is to be added. */
bool links_add_multi(struct links *links, const struct multi_request *request);

/* ---- perf-event uprobes ---- */

struct perf_uprobes {
	uint32_t type;	     /* of the PMU */
	uint64_t return_bit; /* in perf_event_attr.config */
};

struct error *perf_uprobes_find(struct perf_uprobes *ret);

struct perf_request {
	int program_fd;
	int file_fd;
	pid_t pid;
	uint64_t offset;
	uint64_t cookie;
	bool is_return;
};

/* Two fds: the event, then the link, which holds it. */
bool links_add_perf(struct links *links, const struct perf_uprobes *pmu, const struct perf_request *request);

/* links->failure in words; NULL without one. */
struct error *links_explain(const struct links *links);

#endif
