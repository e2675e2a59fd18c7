#include "bpf/uprobes.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "bpf/privileges.h"
#include "bpf/uprobes_internal.h"
#include "bpf/uprobes_trial.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a sweep goes over again. */
struct probed_file {
	int fd; /* borrowed */
	uint64_t *offsets;
	uint32_t count;
};

struct uprobes {
	enum uprobe_links links;
	struct uprobes_programs programs;
	pid_t pid;
	struct perf_uprobes pmu;
	int nothing_fd; /* the program of sweeps */
	ARRAY(int)
	fds; /* links and events */
	ARRAY(struct probed_file)
	files;
	size_t count;
};

/* Of the kernel alone (include/linux/errno.h), but it gets out. */
#define KERNEL_ENOTSUPP 524

/* ---- words ---- */

void fd_path_format(int fd, char *ret)
{
	snprintf(ret, FD_PATH_BYTES, "/proc/self/fd/%d", fd);
}

/* SYS_ADMIN stands for the two others (capabilities(7)). */
static const char *missing_capability(bool needs_admin)
{
	if (needs_admin && !privileges_has(CAP_SYS_ADMIN))
		return "CAP_SYS_ADMIN";
	if (!privileges_has(CAP_BPF))
		return "CAP_BPF";
	if (!privileges_has(CAP_PERFMON))
		return "CAP_PERFMON";
	return NULL;
}

static struct error *refuse_rights(int saved_errno, bool needs_admin, const char *what)
{
	const char *missing = missing_capability(needs_admin);

	if (!missing)
		return error_create(ERROR_PERMISSION, saved_errno,
				    "a container's seccomp filter or the kernel's lockdown forbids it", "%s",
				    what);
	return error_create(ERROR_PERMISSION, saved_errno, "run kiln as root, or see `kiln doctor`",
			    "%s: %s is missing", what, missing);
}

struct error *uprobes_refuse(int saved_errno, bool needs_admin, const char *what)
{
	switch (saved_errno) {
	case EPERM:
	case EACCES:
		return refuse_rights(saved_errno, needs_admin, what);
	case ESRCH:
		return error_create(ERROR_NO_TARGET, saved_errno, NULL, "%s", what);
	case EMFILE:
	case ENFILE:
		return error_create(ERROR_GENERAL, saved_errno, "raise the limit of open files (ulimit -n)",
				    "%s", what);
	case ENOENT:
	case ENOSYS:
	case EOPNOTSUPP:
		return error_create(ERROR_UNSUPPORTED, saved_errno, NULL, "%s", what);
	case KERNEL_ENOTSUPP:
		return error_create(ERROR_UNSUPPORTED, 0, NULL, "%s: not on this instruction", what);
	default:
		return error_create(ERROR_GENERAL, saved_errno, NULL, "%s", what);
	}
}

struct error *links_explain(const struct links *links)
{
	int failure = links->failure;

	if (!failure)
		return NULL;
	if (links->failed_step == LINK_STEP_SESSION && failure == EINVAL)
		return error_create(ERROR_UNSUPPORTED, failure, "uprobe sessions are in Linux 6.13 and newer",
				    "cannot set probes: this kernel has no uprobe sessions");
	if (links->failed_step == LINK_STEP_PERF && failure == EINVAL)
		return error_create(ERROR_UNSUPPORTED, failure,
				    "links on perf events are in Linux 5.15 and newer",
				    "cannot run a program at a probe");
	return uprobes_refuse(failure, links->failed_step == LINK_STEP_EVENT,
			      links->failed_step == LINK_STEP_PERF ? "cannot run a program at a probe"
								   : "cannot set probes");
}

/* ---- life ---- */

void uprobes_destroy(struct uprobes *uprobes)
{
	if (!uprobes)
		return;
	links_close(uprobes->fds.items, uprobes->fds.count);
	for (size_t i = 0; i < uprobes->files.count; i++)
		free(uprobes->files.items[i].offsets);
	if (uprobes->nothing_fd >= 0)
		close(uprobes->nothing_fd);
	array_deinit(&uprobes->fds);
	array_deinit(&uprobes->files);
	free(uprobes);
}

static void cleanup_uprobes(struct uprobes **uprobes)
{
	uprobes_destroy(*uprobes);
}

void uprobes_destroy_later(struct uprobes *uprobes)
{
	if (!uprobes)
		return;
	links_close_later(uprobes->fds.items, uprobes->fds.count);
	uprobes->fds.count = 0;
	uprobes_destroy(uprobes);
}

struct error *uprobes_create(enum uprobe_links links, const struct uprobes_programs *programs, pid_t pid,
			     struct uprobes **ret)
{
	_cleanup_(cleanup_uprobes) struct uprobes *uprobes = calloc(1, sizeof(*uprobes));
	struct error *error;

	if (!uprobes)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot set probes");
	uprobes->links = links;
	uprobes->programs = *programs;
	uprobes->pid = pid;
	uprobes->nothing_fd = -1;
	error = links == UPROBE_PERF ? perf_uprobes_find(&uprobes->pmu)
				     : trial_load_nothing(&uprobes->nothing_fd);
	if (error)
		return error;
	*ret = take_ptr(uprobes);
	return NULL;
}

size_t uprobes_count(const struct uprobes *uprobes)
{
	return uprobes->count;
}

/* ---- the filter by pid ---- */

/* The kernel compares the memory of the process's first thread (kernel/trace/bpf_trace.c,
 * uprobe_multi_link_filter()). Once that thread has ended while others run, it has none: nothing would be
 * trapped, and a sweep would take the target's own traps away. */
static struct error *check_filter(pid_t pid)
{
	char path[32];
	unsigned long pages = 0;
	_cleanup_fclose_ FILE *file = NULL;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	file = fopen(path, "re");
	if (!file || fscanf(file, "%lu", &pages) != 1)
		return error_create(ERROR_NO_TARGET, ESRCH, NULL, "cannot set probes in %d", pid);
	if (!pages)
		return error_create(ERROR_UNSUPPORTED, 0, NULL,
				    "cannot set probes: the main thread of %d has ended", pid);
	return NULL;
}

/* ---- attach ---- */

/* What the child does that makes the links: all is laid out before, as it allocates nothing. */
struct attach_job {
	const struct uprobes *uprobes;
	int file_fd;
	const struct uprobe_site *sites;
	size_t count;
	/* SESSION: those without return first: what is given out is not seen before what is taken back. */
	struct multi_request requests[2];
};

/* numbers: room for offsets and cookies. */
static struct multi_request lay_out_multi(const struct attach_job *job, bool wants_return, uint64_t *numbers)
{
	const struct uprobes *uprobes = job->uprobes;
	uint64_t *offsets = numbers, *cookies = numbers + job->count;
	struct multi_request request = {
		.program_fd = wants_return ? uprobes->programs.session_fd : uprobes->programs.entry_fd,
		.attach_type = wants_return ? ATTACH_UPROBE_SESSION : ATTACH_UPROBE_MULTI,
		.file_fd = job->file_fd,
		.pid = uprobes->pid,
		.offsets = offsets,
		.cookies = cookies,
	};

	for (size_t i = 0; i < job->count; i++) {
		if (job->sites[i].wants_return != wants_return)
			continue;
		offsets[request.count] = job->sites[i].offset;
		cookies[request.count++] = job->sites[i].cookie;
	}
	return request;
}

static void make_sessions(struct links *links, void *arg)
{
	const struct attach_job *job = arg;

	for (int i = 0; i < 2; i++)
		if (job->requests[i].count && !links_add_multi(links, &job->requests[i]))
			return;
}

static bool add_event(struct links *links, const struct attach_job *job, const struct uprobe_site *site,
		      bool is_return)
{
	const struct uprobes *uprobes = job->uprobes;
	struct perf_request request = {
		.program_fd = is_return ? uprobes->programs.return_fd : uprobes->programs.entry_fd,
		.file_fd = job->file_fd,
		.pid = uprobes->pid,
		.offset = site->offset,
		.cookie = site->cookie,
		.is_return = is_return,
	};

	return links_add_perf(links, &uprobes->pmu, &request);
}

/* The return first: an entry that is seen has its return seen too. */
static void make_events(struct links *links, void *arg)
{
	const struct attach_job *job = arg;

	for (size_t i = 0; i < job->count; i++) {
		const struct uprobe_site *site = &job->sites[i];

		if ((site->wants_return && !add_event(links, job, site, true)) ||
		    !add_event(links, job, site, false))
			return;
	}
}

/* Two fds for each event, two events for each site; sessions need two in all. */
static struct error *make_links(struct uprobes *uprobes, struct attach_job *job)
{
	struct links links = {.capacity = 4 * job->count};

	if (!array_reserve(&uprobes->fds, uprobes->fds.count + links.capacity))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot set probes");
	links.fds = uprobes->fds.items + uprobes->fds.count;
	links_make(&links, uprobes->links == UPROBE_SESSION ? make_sessions : make_events, job);
	uprobes->fds.count += links.count;
	return links_explain(&links);
}

/* For sweeps. There is room for it. */
static void remember_file(struct uprobes *uprobes, int file_fd, const struct uprobe_site *sites,
			  uint64_t *offsets, size_t count)
{
	for (size_t i = 0; i < count; i++)
		offsets[i] = sites[i].offset;
	uprobes->files.items[uprobes->files.count++] =
		(struct probed_file){.fd = file_fd, .offsets = offsets, .count = (uint32_t)count};
}

struct error *uprobes_attach(struct uprobes *uprobes, int file_fd, const struct uprobe_site *sites,
			     size_t count)
{
	_cleanup_free_ uint64_t *numbers = calloc(count ? count : 1, 4 * sizeof(*numbers));
	_cleanup_free_ uint64_t *offsets = calloc(count ? count : 1, sizeof(*offsets));
	struct attach_job job = {uprobes, file_fd, sites, count, {{0}}};
	struct error *error = check_filter(uprobes->pid);

	if (error || !count)
		return error;
	if (!numbers || !offsets || !array_reserve(&uprobes->files, uprobes->files.count + 1))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot set probes");
	job.requests[0] = lay_out_multi(&job, false, numbers);
	job.requests[1] = lay_out_multi(&job, true, numbers + 2 * count);
	error = make_links(uprobes, &job);
	if (error)
		return error;
	uprobes->count += count;
	if (uprobes->links == UPROBE_SESSION)
		remember_file(uprobes, file_fd, sites, take_ptr(offsets), count);
	return NULL;
}

/* ---- sweep ---- */

static void make_sweep(struct links *links, void *arg)
{
	links_add_multi(links, arg);
}

/* The kernel frees the children when the link goes, which is not waited for. */
static struct error *sweep_file(const struct uprobes *uprobes, const struct probed_file *file)
{
	struct multi_request request = {
		.program_fd = uprobes->nothing_fd,
		.attach_type = ATTACH_UPROBE_MULTI,
		.file_fd = file->fd,
		.pid = uprobes->pid,
		.offsets = file->offsets,
		.count = file->count,
	};
	int fd;
	struct links links = {.fds = &fd, .capacity = 1};

	links_make(&links, make_sweep, &request);
	links_close_later(links.fds, links.count);
	return error_wrap(links_explain(&links), "cannot free the target's children");
}

struct error *uprobes_sweep(struct uprobes *uprobes)
{
	struct error *error;

	for (size_t i = 0; i < uprobes->files.count; i++) {
		error = check_filter(uprobes->pid);
		if (error) {
			error_destroy(error);
			return NULL;
		}
		error = sweep_file(uprobes, &uprobes->files.items[i]);
		if (error)
			return error;
	}
	return NULL;
}

/* ---- choose ---- */

static struct error *try_links(enum uprobe_links links)
{
	const enum trial_kind kind = TRIAL_LINK;
	struct trial *trial = NULL;
	struct uprobes *uprobes = NULL;
	struct error *error = trial_create(links, &trial);

	if (!error)
		error = trial_attach(trial, getpid(), &kind, 1, &uprobes);
	uprobes_destroy_later(uprobes);
	trial_destroy(trial);
	return error;
}

struct error *uprobes_choose(enum uprobe_links *ret)
{
	const char *forced = getenv("KILN_UPROBES");
	enum uprobe_links links = UPROBE_SESSION;
	struct error *error;

	if (forced && strcmp(forced, "session") != 0 && strcmp(forced, "perf") != 0)
		return error_create(ERROR_USAGE, 0, "KILN_UPROBES=session or KILN_UPROBES=perf",
				    "unknown kind of probes in KILN_UPROBES");
	if (forced && strcmp(forced, "perf") == 0)
		links = UPROBE_PERF;
	error = try_links(links);
	if (error && !forced) {
		error_destroy(error);
		links = UPROBE_PERF;
		error = try_links(links);
	}
	if (error)
		return error;
	*ret = links;
	return NULL;
}
