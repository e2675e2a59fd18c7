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
	size_t count;
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

/* ---- life ---- */

/* Closes what came after the first `keep`. A link before its event, which it holds. */
static void close_from(struct uprobes *uprobes, size_t keep)
{
	while (uprobes->fds.count > keep)
		close(uprobes->fds.items[--uprobes->fds.count]);
}

void uprobes_destroy(struct uprobes *uprobes)
{
	if (!uprobes)
		return;
	close_from(uprobes, 0);
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
	uprobes_close_later(uprobes->fds.items, uprobes->fds.count);
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

/* One link for the sites that want their return, or for those that do not. */
static struct error *attach_multi(struct uprobes *uprobes, int file_fd, const struct uprobe_site *sites,
				  size_t count, bool wants_return)
{
	_cleanup_free_ uint64_t *offsets = calloc(count, sizeof(*offsets));
	_cleanup_free_ uint64_t *cookies = calloc(count, sizeof(*cookies));
	struct multi_request request = {
		.program_fd = wants_return ? uprobes->programs.session_fd : uprobes->programs.entry_fd,
		.attach_type = wants_return ? ATTACH_UPROBE_SESSION : ATTACH_UPROBE_MULTI,
		.file_fd = file_fd,
		.pid = uprobes->pid,
		.offsets = offsets,
		.cookies = cookies,
	};
	struct error *error;
	int fd;

	if (!offsets || !cookies || !array_reserve(&uprobes->fds, uprobes->fds.count + 1))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot set probes");
	for (size_t i = 0; i < count; i++) {
		if (sites[i].wants_return != wants_return)
			continue;
		offsets[request.count] = sites[i].offset;
		cookies[request.count++] = sites[i].cookie;
	}
	if (!request.count)
		return NULL;
	error = multi_link_create(&request, &fd);
	if (!error)
		array_append(&uprobes->fds, fd);
	return error;
}

static struct error *remember_file(struct uprobes *uprobes, int file_fd, const struct uprobe_site *sites,
				   size_t count)
{
	struct probed_file file = {.fd = file_fd, .offsets = calloc(count, sizeof(uint64_t)), .count = count};

	for (size_t i = 0; file.offsets && i < count; i++)
		file.offsets[i] = sites[i].offset;
	if (file.offsets && array_append(&uprobes->files, file))
		return NULL;
	free(file.offsets);
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot set probes");
}

static struct error *attach_session(struct uprobes *uprobes, int file_fd, const struct uprobe_site *sites,
				    size_t count)
{
	/* Those without return first: what is given out is not seen before what is taken back. */
	struct error *error = attach_multi(uprobes, file_fd, sites, count, false);

	if (!error)
		error = attach_multi(uprobes, file_fd, sites, count, true);
	return error ? error : remember_file(uprobes, file_fd, sites, count);
}

static struct error *attach_perf_one(struct uprobes *uprobes, int file_fd, const struct uprobe_site *site,
				     bool is_return)
{
	struct perf_request request = {
		.program_fd = is_return ? uprobes->programs.return_fd : uprobes->programs.entry_fd,
		.file_fd = file_fd,
		.pid = uprobes->pid,
		.offset = site->offset,
		.cookie = site->cookie,
		.is_return = is_return,
	};
	int event, link;
	struct error *error;

	if (!array_reserve(&uprobes->fds, uprobes->fds.count + 2))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot set a probe");
	error = perf_link_create(&uprobes->pmu, &request, &event, &link);
	if (error)
		return error;
	array_append(&uprobes->fds, event);
	array_append(&uprobes->fds, link);
	return NULL;
}

/* The return first: an entry that is seen has its return seen too. */
static struct error *attach_perf(struct uprobes *uprobes, int file_fd, const struct uprobe_site *sites,
				 size_t count)
{
	struct error *error = NULL;

	for (size_t i = 0; i < count && !error; i++) {
		if (sites[i].wants_return)
			error = attach_perf_one(uprobes, file_fd, &sites[i], true);
		if (!error)
			error = attach_perf_one(uprobes, file_fd, &sites[i], false);
	}
	return error;
}

struct error *uprobes_attach(struct uprobes *uprobes, int file_fd, const struct uprobe_site *sites,
			     size_t count)
{
	size_t before = uprobes->fds.count;
	struct error *error = check_filter(uprobes->pid);

	if (error || !count)
		return error;
	if (uprobes->links == UPROBE_SESSION)
		error = attach_session(uprobes, file_fd, sites, count);
	else
		error = attach_perf(uprobes, file_fd, sites, count);
	if (error)
		close_from(uprobes, before);
	else
		uprobes->count += count;
	return error;
}

/* ---- sweep ---- */

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
	struct error *error = multi_link_create(&request, &fd);

	if (error)
		return error_wrap(error, "cannot free the target's children");
	uprobes_close_later(&fd, 1);
	return NULL;
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
