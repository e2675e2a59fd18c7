/* The report is three tables of checks: the kernel, the rights, the surroundings; with a PID a fourth one, of
 * the target. A check tries the thing itself, never a version, and answers with a reason. What sampling
 * needs, decides the status. */
#include "bpf/doctor.h"

#include "base/cleanup.h"
#include "bpf/doctor_kernel.h"
#include "bpf/maps.h"
#include "bpf/modules.h"
#include "bpf/privileges.h"
#include "bpf/supervisor.h"
#include "bpf/target.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#define TRIAL_MS 5000

struct doctor {
	FILE *stream;
	bool lacks;	/* the kernel or the machine: 5 */
	bool forbidden; /* only rights: 4 */
	bool no_target; /* 3 */
};

static const char *const answer_words[] = {[ANSWER_YES] = "yes", [ANSWER_PART] = "part", [ANSWER_NO] = "no"};

static void print_finding(struct doctor *doctor, const char *name, bool is_required,
			  const struct finding *finding)
{
	fprintf(doctor->stream, "%s: %s: %s\n", name, answer_words[finding->answer], finding->reason);
	if (!is_required || finding->answer == ANSWER_YES)
		return;
	if (finding->cause == CAUSE_RIGHTS)
		doctor->forbidden = true;
	else if (finding->answer == ANSWER_NO)
		doctor->lacks = true;
}

/* ---- rights ---- */

static void report_rights(struct doctor *doctor)
{
	bool has_all = true;

	for (const struct privilege *wanted = privileges_wanted; wanted->name; wanted++) {
		struct finding finding;

		if (privileges_has(wanted->capability))
			continue;
		has_all = false;
		finding_set(&finding, ANSWER_NO, CAUSE_RIGHTS, "missing; it is for %s%s", wanted->purpose,
			    geteuid() ? " (run with sudo)" : "");
		print_finding(doctor, wanted->name, wanted->is_required, &finding);
	}
	if (has_all)
		fprintf(doctor->stream, "capabilities: yes: all that kiln asks for\n");
	if (privileges_are_namespaced()) {
		struct finding finding;

		finding_set(&finding, ANSWER_NO, CAUSE_RIGHTS,
			    "capabilities hold in this user namespace only; BPF asks for the machine's");
		print_finding(doctor, "user namespace", true, &finding);
	}
}

/* ---- surroundings ---- */

static void check_kernel_symbols(struct finding *ret)
{
	int fd = -1;
	_cleanup_error_ struct error *error = modules_open_kernel(&fd);

	if (fd >= 0)
		close(fd);
	if (!error)
		finding_set(ret, ANSWER_YES, CAUSE_NONE,
			    "/proc/kallsyms shows the addresses of the kernel's functions");
	else
		finding_set(ret, ANSWER_NO, CAUSE_RIGHTS, "%s (kernel functions stay unnamed)",
			    error_get_message(error));
}

static struct error *try_map_link(void *arg, const struct map *map)
{
	int *ret_errno = arg;
	char link[64];
	int fd;

	if (map->kind != MAP_KIND_FILE || *ret_errno >= 0)
		return NULL;
	snprintf(link, sizeof(link), "/proc/self/map_files/%llx-%llx", (unsigned long long)map->start,
		 (unsigned long long)map->end);
	fd = open(link, O_PATH | O_CLOEXEC);
	*ret_errno = fd < 0 ? errno : 0;
	if (fd >= 0)
		close(fd);
	return NULL;
}

static void check_map_files(struct finding *ret)
{
	_cleanup_close_ int proc_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fclose_ FILE *stream = NULL;
	_cleanup_error_ struct error *error = NULL;
	int failed_errno = -1;

	error = maps_open(proc_fd, &stream);
	if (!error)
		error = maps_read(stream, try_map_link, &failed_errno);
	if (!error && failed_errno == 0)
		finding_set(ret, ANSWER_YES, CAUSE_NONE,
			    "mapped files open also when deleted or in a container");
	else
		finding_set(ret, ANSWER_PART, CAUSE_RIGHTS,
			    "/proc/PID/map_files: %s; files open by their paths, deleted ones do not",
			    error ? error_get_message(error) : strerror(failed_errno));
}

static void check_memory_lock(struct finding *ret)
{
	struct rlimit limit;
	int failed_errno = doctor_try_map(16u << 20);

	if (failed_errno == EPERM && !privileges_has(CAP_BPF)) {
		finding_set(ret, ANSWER_PART, CAUSE_RIGHTS, "not tried: needs CAP_BPF");
		return;
	}
	if (getrlimit(RLIMIT_MEMLOCK, &limit) < 0)
		limit.rlim_cur = 0;
	if (!failed_errno)
		finding_set(ret, ANSWER_YES, CAUSE_NONE,
			    "a 16 MiB map can be made (limit of locked memory: %llu KiB)",
			    (unsigned long long)limit.rlim_cur / 1024);
	else
		finding_set(ret, ANSWER_NO, CAUSE_RIGHTS,
			    "a 16 MiB map: %s (limit of locked memory: %llu KiB; raise it with ulimit -l)",
			    strerror(failed_errno), (unsigned long long)limit.rlim_cur / 1024);
}

/* Where terminfo(5) entries lie; the directory below is the name's first letter, or its code in hex. */
static bool has_terminal_entry(const char *name)
{
	const char *own = getenv("TERMINFO"), *home = getenv("HOME");
	_cleanup_free_ char *in_home = NULL;
	const char *roots[] = {
		own, NULL, "/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo"};
	char path[512];

	if (home && asprintf(&in_home, "%s/.terminfo", home) < 0)
		in_home = NULL;
	roots[1] = in_home;
	for (size_t i = 0; i < sizeof(roots) / sizeof(roots[0]); i++) {
		if (!roots[i])
			continue;
		snprintf(path, sizeof(path), "%s/%c/%s", roots[i], name[0], name);
		if (access(path, R_OK) == 0)
			return true;
		snprintf(path, sizeof(path), "%s/%02x/%s", roots[i], (unsigned char)name[0], name);
		if (access(path, R_OK) == 0)
			return true;
	}
	return false;
}

static void check_terminal(struct finding *ret)
{
	const char *name = getenv("TERM");
	struct winsize size = {0};

	if (!name || !name[0])
		finding_set(ret, ANSWER_NO, CAUSE_MACHINE, "TERM is not set; there are text reports only");
	else if (strchr(name, '/') || !has_terminal_entry(name))
		finding_set(ret, ANSWER_NO, CAUSE_MACHINE,
			    "TERM names a terminal without a terminfo entry here; text reports only");
	else if (!strcmp(name, "dumb"))
		finding_set(ret, ANSWER_NO, CAUSE_MACHINE, "TERM is dumb; text reports only");
	else if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
		finding_set(ret, ANSWER_PART, CAUSE_MACHINE,
			    "TERM=%s is known, but the output is no terminal: one text report", name);
	else if (size.ws_col < 60 || size.ws_row < 20)
		finding_set(ret, ANSWER_PART, CAUSE_MACHINE,
			    "TERM=%s, %ux%u is too small: 60x20 is the least", name, size.ws_col,
			    size.ws_row);
	else
		finding_set(ret, ANSWER_YES, CAUSE_NONE, "TERM=%s, %ux%u", name, size.ws_col, size.ws_row);
}

/* ---- the sandbox ---- */

/* By the name of its answer. */
static bool parse_answer(const char *text, struct finding *ret)
{
	for (size_t i = 0; i < sizeof(answer_words) / sizeof(answer_words[0]); i++) {
		size_t length = strlen(answer_words[i]);

		if (strncmp(text, answer_words[i], length) == 0 && strncmp(text + length, ": ", 2) == 0) {
			finding_set(ret, (enum finding_answer)i, CAUSE_MACHINE, "%s", text + length + 2);
			return true;
		}
	}
	return false;
}

/* What a worker of this kiln gives up here: one is started, as the probe does it, and says so itself. */
static void report_sandbox(struct doctor *doctor, int (*trial)(int probe_fd, int kiln_fd))
{
	struct child child = {.socket = -1};
	_cleanup_error_ struct error *error = supervisor_fork_worker(trial, false, &child, NULL);
	_cleanup_close_ int socket = child.socket;
	struct pollfd ready = {.fd = socket, .events = POLLIN};
	struct finding finding;
	char text[sizeof(finding.reason)] = "";

	if (!error && poll(&ready, 1, TRIAL_MS) > 0 && recv(socket, text, sizeof(text) - 1, MSG_DONTWAIT) < 0)
		text[0] = '\0';
	if (!error) {
		kill(child.pid, SIGKILL);
		waitpid(child.pid, NULL, 0);
	}
	if (!parse_answer(text, &finding))
		finding_set(&finding, ANSWER_NO, CAUSE_MACHINE, "%s",
			    error ? error_get_message(error) : "the worker that tries it says nothing");
	print_finding(doctor, "worker sandbox", true, &finding);
}

/* ---- the target ---- */

struct map_census {
	size_t mappings, executable, trampolines;
};

static struct error *count_map(void *arg, const struct map *map)
{
	struct map_census *census = arg;

	census->mappings++;
	census->executable += map->is_executable;
	census->trampolines += map->kind == MAP_KIND_TRAMPOLINE;
	return NULL;
}

static void report_maps(struct doctor *doctor, const struct target *target)
{
	_cleanup_fclose_ FILE *stream = NULL;
	_cleanup_error_ struct error *error = maps_open(target->proc_fd, &stream);
	struct map_census census = {0};
	struct finding finding;

	if (!error)
		error = maps_read(stream, count_map, &census);
	if (error)
		finding_set(&finding, ANSWER_NO,
			    error_get_code(error) == ERROR_PERMISSION ? CAUSE_RIGHTS : CAUSE_MACHINE, "%s",
			    error_get_message(error));
	else
		finding_set(&finding, ANSWER_YES, CAUSE_NONE, "%zu mappings, %zu of them executable",
			    census.mappings, census.executable);
	print_finding(doctor, "target maps", true, &finding);
	if (error)
		return;
	finding_set(&finding, census.trampolines ? ANSWER_YES : ANSWER_NO, CAUSE_NONE,
		    census.trampolines
			    ? "the kernel keeps its one-page [uprobes] mapping in the target, from an "
			      "earlier probe, until it execs or exits"
			    : "no uprobe has ever been in the target (CPU profiling puts none there)");
	print_finding(doctor, "uprobes mapping", false, &finding);
}

static void report_target(struct doctor *doctor, pid_t pid)
{
	struct target *target = NULL;
	_cleanup_error_ struct error *error = target_find_by_pid(pid, NULL, 0, &target);
	bool is_foreign = error && error_get_code(error) == ERROR_UNSUPPORTED;
	struct finding finding;

	if (error) {
		finding_set(&finding, ANSWER_NO, CAUSE_MACHINE, "%s", error_get_message(error));
		doctor->no_target = !is_foreign;
		print_finding(doctor, "target", is_foreign, &finding);
		return;
	}
	finding_set(&finding, ANSWER_YES, CAUSE_NONE, "process %d (%s)", (int)target->pid, target->comm);
	print_finding(doctor, "target", true, &finding);
	if (target->exe[0])
		finding_set(&finding, ANSWER_YES, CAUSE_NONE, "a 64-bit x86-64 program");
	else
		finding_set(&finding, ANSWER_PART, CAUSE_RIGHTS,
			    "not known: its program file may not be looked at");
	print_finding(doctor, "target 64-bit", true, &finding);
	report_maps(doctor, target);
	target_destroy(target);
}

/* ---- all ---- */

static const struct check kernel_checks[] = {
	{"architecture", true, doctor_check_architecture},
	{"kernel btf", true, doctor_check_btf},
	{"bpf programs", true, doctor_check_programs},
	{"bpf ring buffer", true, doctor_check_ring_buffer},
	{"bpf_loop", true, doctor_check_loop},
	{"tracepoints", true, doctor_check_tracepoints},
	{"perf events cpu-clock", true, doctor_check_cpu_clock},
	{"hardware cycles", false, doctor_check_cycles},
};

static const struct check other_checks[] = {
	{"kernel symbols", false, check_kernel_symbols},
	{"map_files", false, check_map_files},
	{"memory lock", true, check_memory_lock},
	{"terminal", false, check_terminal},
	{"heap", false, doctor_check_heap},
};

static void report_checks(struct doctor *doctor, const struct check *checks, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct finding finding;

		checks[i].run(&finding);
		print_finding(doctor, checks[i].name, checks[i].is_required, &finding);
	}
}

struct error *doctor_report(pid_t pid, int (*trial)(int probe_fd, int kiln_fd), FILE *stream, int *ret_status)
{
	struct doctor doctor = {.stream = stream};

	doctor_silence_libbpf();
	report_checks(&doctor, kernel_checks, sizeof(kernel_checks) / sizeof(kernel_checks[0]));
	report_rights(&doctor);
	report_checks(&doctor, other_checks, sizeof(other_checks) / sizeof(other_checks[0]));
	if (trial)
		report_sandbox(&doctor, trial);
	if (pid)
		report_target(&doctor, pid);
	if (fflush(stream) || ferror(stream))
		return error_create(ERROR_GENERAL, errno, NULL, "write the report");
	*ret_status = doctor.no_target	 ? ERROR_NO_TARGET
		      : doctor.lacks	 ? ERROR_UNSUPPORTED
		      : doctor.forbidden ? ERROR_PERMISSION
					 : 0;
	return NULL;
}
