/* Perf-event uprobes: an event and a link for each entry and for each return. */
#include "base/cleanup.h"
#include "bpf/uprobes_internal.h"

#include <errno.h>
#include <inttypes.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PMU_FOLDER "/sys/bus/event_source/devices/uprobe/"

static struct error *pmu_read(const char *path, const char *format, unsigned *ret)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	if (file && fscanf(file, format, ret) == 1)
		return NULL;
	return error_create(ERROR_UNSUPPORTED, file ? 0 : errno,
			    "a kernel with CONFIG_UPROBE_EVENTS, and sysfs mounted on /sys",
			    "cannot set probes: this kernel has no perf-event uprobes (%s)", path);
}

struct error *perf_uprobes_find(struct perf_uprobes *ret)
{
	unsigned type, bit;
	struct error *error = pmu_read(PMU_FOLDER "type", "%u", &type);

	if (!error)
		error = pmu_read(PMU_FOLDER "format/retprobe", "config:%u", &bit);
	if (!error && bit >= 64)
		error = error_create(ERROR_UNSUPPORTED, 0, NULL, "%s: bit %u", PMU_FOLDER "format/retprobe",
				     bit);
	if (error)
		return error;
	*ret = (struct perf_uprobes){.type = type, .return_bit = 1ull << bit};
	return NULL;
}

static int event_open(const struct perf_uprobes *pmu, const struct perf_request *request)
{
	char path[FD_PATH_BYTES];
	struct perf_event_attr attr = {
		.size = sizeof(attr),
		.type = pmu->type,
		.config = request->is_return ? pmu->return_bit : 0,
		.uprobe_path = (uintptr_t)path,
		.probe_offset = request->offset,
	};

	fd_path_format(request->file_fd, path);
	return (int)syscall(SYS_perf_event_open, &attr, request->pid, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

bool links_add_perf(struct links *links, const struct perf_uprobes *pmu, const struct perf_request *request)
{
	LIBBPF_OPTS(bpf_link_create_opts, options, .perf_event.bpf_cookie = request->cookie);
	int event, link;

	if (!links_may_add(links, 2))
		return false;
	event = event_open(pmu, request);
	if (event < 0) {
		links->failure = errno;
		links->failed_step = LINK_STEP_EVENT;
		return false;
	}
	links->fds[links->count++] = event;
	link = bpf_link_create(request->program_fd, event, BPF_PERF_EVENT, &options);
	if (link < 0) {
		links->failure = -link;
		links->failed_step = LINK_STEP_PERF;
		return false;
	}
	links->fds[links->count++] = link;
	return true;
}
