/* uprobe_multi and session links by raw bpf(2): libbpf 1.1 knows neither. */
#include "bpf/uprobes_internal.h"

#include <errno.h>
#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The part of union bpf_attr that BPF_LINK_CREATE reads for uprobe_multi (include/uapi/linux/bpf.h, 6.6).
 * Kernels that do not know it see that the attach type is none of theirs: EINVAL. */
struct multi_attr {
	uint32_t program_fd, target_fd, attach_type, link_flags;
	uint64_t path, offsets, reference_counters, cookies;
	uint32_t count, flags, pid, reserved;
};

bool links_add_multi(struct links *links, const struct multi_request *request)
{
	char path[FD_PATH_BYTES];
	struct multi_attr attr = {
		.program_fd = (uint32_t)request->program_fd,
		.attach_type = request->attach_type,
		.path = (uintptr_t)path,
		.offsets = (uintptr_t)request->offsets,
		.cookies = (uintptr_t)request->cookies,
		.count = request->count,
		.pid = (uint32_t)request->pid,
	};
	int fd;

	if (!links_may_add(links, 1))
		return false;
	fd_path_format(request->file_fd, path);
	fd = (int)syscall(SYS_bpf, BPF_LINK_CREATE, &attr, sizeof(attr));
	if (fd < 0) {
		links->failure = errno;
		links->failed_step =
			request->attach_type == ATTACH_UPROBE_SESSION ? LINK_STEP_SESSION : LINK_STEP_MULTI;
		return false;
	}
	links->fds[links->count++] = fd;
	return true;
}
