#include "bpf/doctor_kernel.h"

#include "base/cleanup.h"
#include "bpf/uprobes.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <linux/bpf.h>
#include <linux/perf_event.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

void finding_set(struct finding *finding, enum finding_answer answer, enum finding_cause cause,
		 const char *format, ...)
{
	va_list args;

	finding->answer = answer;
	finding->cause = cause;
	va_start(args, format);
	vsnprintf(finding->reason, sizeof(finding->reason), format, args);
	va_end(args);
}

static int print_nothing(enum libbpf_print_level level, const char *format, va_list args)
{
	return 0;
}

void doctor_silence_libbpf(void)
{
	libbpf_set_print(print_nothing);
}

static bool is_refusal(int failed_errno)
{
	return failed_errno == EPERM || failed_errno == EACCES;
}

/* yes or no by the errno of what was tried (0: it worked). Without the right to try, neither is known. */
static void set_tried(struct finding *finding, int failed_errno, const char *yes, const char *what)
{
	if (!failed_errno)
		finding_set(finding, ANSWER_YES, CAUSE_NONE, "%s", yes);
	else if (is_refusal(failed_errno))
		finding_set(finding, ANSWER_PART, CAUSE_RIGHTS,
			    "not known: trying it needs CAP_BPF and CAP_PERFMON (%s)",
			    strerror(failed_errno));
	else
		finding_set(finding, ANSWER_NO, CAUSE_MACHINE, "%s: %s", what, strerror(failed_errno));
}

void doctor_check_architecture(struct finding *ret)
{
	struct utsname host;

	if (uname(&host) < 0)
		finding_set(ret, ANSWER_NO, CAUSE_MACHINE, "uname: %s", strerror(errno));
	else if (strcmp(host.machine, "x86_64") && strcmp(host.machine, "i686"))
		finding_set(ret, ANSWER_NO, CAUSE_MACHINE, "%s; kiln runs on x86-64 only", host.machine);
	else
		finding_set(ret, ANSWER_YES, CAUSE_NONE, "x86-64");
}

void doctor_check_btf(struct finding *ret)
{
	static const char path[] = "/sys/kernel/btf/vmlinux";

	if (access(path, R_OK) == 0)
		finding_set(ret, ANSWER_YES, CAUSE_NONE, "%s", path);
	else
		finding_set(ret, ANSWER_NO, CAUSE_MACHINE, "%s: %s", path, strerror(errno));
}

/* ---- BPF ---- */

/* Loads "return 0", or "call HELPER, return 0" would: what matters is the errno. */
static int try_program(enum bpf_prog_type type, const struct bpf_prog_load_opts *options)
{
	static const struct bpf_insn return_zero[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int fd = bpf_prog_load(type, "kiln_doctor", "Dual BSD/GPL", return_zero, 2, options);
	int failed_errno = fd < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return failed_errno;
}

void doctor_check_programs(struct finding *ret)
{
	set_tried(ret, try_program(BPF_PROG_TYPE_PERF_EVENT, NULL), "a program for perf events loads",
		  "load a program for perf events");
}

int doctor_try_map(size_t bytes)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "kiln_doctor", 4, 4096, (unsigned)(bytes / 4096), NULL);
	int failed_errno = fd < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	return failed_errno;
}

void doctor_check_ring_buffer(struct finding *ret)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_RINGBUF, "kiln_doctor", 0, 0, 64 * 1024, NULL);
	int failed_errno = fd < 0 ? errno : 0;

	if (fd >= 0)
		close(fd);
	set_tried(ret, failed_errno, "a ring buffer can be made", "make a ring buffer");
}

/* libbpf's probe cannot tell a refusal from a missing helper: the program type is tried first. */
static int try_helper(enum bpf_func_id helper)
{
	int failed_errno = try_program(BPF_PROG_TYPE_PERF_EVENT, NULL);

	if (failed_errno)
		return failed_errno;
	switch (libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, helper, NULL)) {
	case 1:
		return 0;
	case 0:
		return ENOTSUP;
	default:
		return errno ? errno : EINVAL;
	}
}

void doctor_check_loop(struct finding *ret)
{
	static const struct {
		enum bpf_func_id id;
		const char *name;
	} helpers[] = {
		{BPF_FUNC_loop, "bpf_loop"},
		{BPF_FUNC_task_pt_regs, "bpf_task_pt_regs"},
		{BPF_FUNC_get_current_task_btf, "bpf_get_current_task_btf"},
		{BPF_FUNC_probe_read_user, "bpf_probe_read_user"},
		{BPF_FUNC_ringbuf_query, "bpf_ringbuf_query"},
	};

	for (size_t i = 0; i < sizeof(helpers) / sizeof(helpers[0]); i++) {
		int failed_errno = try_helper(helpers[i].id);

		if (failed_errno) {
			set_tried(ret, failed_errno, "", helpers[i].name);
			return;
		}
	}
	finding_set(ret, ANSWER_YES, CAUSE_NONE, "stacks can be walked in the kernel");
}

void doctor_check_tracepoints(struct finding *ret)
{
	static const char *const names[] = {"sched_process_exec", "sched_process_fork", "sched_process_exit"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP);
		int id = libbpf_find_vmlinux_btf_id(names[i], BPF_TRACE_RAW_TP);
		int failed_errno;

		options.attach_btf_id = id > 0 ? (__u32)id : 0;
		failed_errno = id > 0 ? try_program(BPF_PROG_TYPE_TRACING, &options) : ENOENT;
		if (failed_errno) {
			set_tried(ret, failed_errno, "", names[i]);
			return;
		}
	}
	finding_set(ret, ANSWER_YES, CAUSE_NONE, "exec, fork and exit of the target are seen (tp_btf)");
}

/* ---- perf events ---- */

/* Every process on CPU 0, as kiln does it; only this process and user mode, as anybody may. */
static int try_event(unsigned type, unsigned long long config, bool everywhere)
{
	struct perf_event_attr attributes = {
		.type = type,
		.size = sizeof(attributes),
		.config = config,
		.sample_freq = 99,
		.freq = 1,
		.disabled = 1,
		.exclude_kernel = !everywhere,
		.exclude_hv = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attributes, everywhere ? -1 : 0, everywhere ? 0 : -1, -1,
			  PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return errno;
	close((int)fd);
	return 0;
}

static void check_event(struct finding *ret, unsigned type, unsigned long long config, const char *instead)
{
	int failed_errno = try_event(type, config, true);

	if (!failed_errno)
		finding_set(ret, ANSWER_YES, CAUSE_NONE, "opens for every process of a CPU");
	else if (is_refusal(failed_errno) && try_event(type, config, false) == 0)
		finding_set(ret, ANSWER_PART, CAUSE_RIGHTS,
			    "opens for own processes; others need CAP_PERFMON");
	else if (is_refusal(failed_errno))
		finding_set(ret, ANSWER_NO, CAUSE_RIGHTS, "%s", strerror(failed_errno));
	else
		finding_set(ret, ANSWER_NO, CAUSE_MACHINE, "%s%s", strerror(failed_errno), instead);
}

void doctor_check_cpu_clock(struct finding *ret)
{
	check_event(ret, PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, "");
}

void doctor_check_cycles(struct finding *ret)
{
	check_event(ret, PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, "; cpu-clock is used instead");
}

/* ---- uprobes ---- */

/* On a function of this process. Perf-event uprobes do all that sessions do: slower, and with more rights. */
void doctor_check_heap(struct finding *ret)
{
	enum uprobe_links links;
	_cleanup_error_ struct error *error = uprobes_choose(&links);
	bool is_forbidden = error && error_get_code(error) == ERROR_PERMISSION;

	if (error)
		finding_set(ret, ANSWER_NO, is_forbidden ? CAUSE_RIGHTS : CAUSE_MACHINE, "%s",
			    error_get_message(error));
	else if (links == UPROBE_SESSION)
		finding_set(ret, ANSWER_YES, CAUSE_NONE, "probes of allocators attach (uprobe sessions)");
	else
		finding_set(ret, ANSWER_PART, CAUSE_MACHINE,
			    "probes of allocators attach as perf events only: they need CAP_SYS_ADMIN, and "
			    "~0.1 s each to go");
}
