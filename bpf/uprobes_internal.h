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
/* Closes links and events in that way. */
void uprobes_close_later(const int *fds, size_t count);

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
	size_t count;
};

struct error *multi_link_create(const struct multi_request *request, int *ret_fd);

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

struct error *perf_link_create(const struct perf_uprobes *pmu, const struct perf_request *request,
			       int *ret_event_fd, int *ret_link_fd);

#endif
