/* The kernel side for real: a process of our own is sampled, its life is followed, losses are counted. As
 * root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/collector.h"
#include "bpf/ring.h"
#include "symbolizer/cfi.h"
#include "tests/support/probing.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define HZ 1999

/* ---- targets ---- */

static volatile unsigned long sink;
static volatile bool is_burning = true;

/* Does something on its stack after the call as well: no tail call, no loop. */
static __attribute__((noinline)) unsigned long burn_at_depth(unsigned depth)
{
	volatile unsigned long here = depth;

	while (depth == 0 && is_burning)
		sink += here;
	if (depth == 0)
		return here;
	here += burn_at_depth(depth - 1);
	return here;
}

static void target_burn(int go)
{
	burn_at_depth(30);
}

static void target_too_deep(int go)
{
	burn_at_depth(STACK_USER_MAX + 100);
}

/* Is in the kernel most of the time. */
static void target_kernel(int go)
{
	int fd = open("/dev/zero", O_RDONLY);
	char *buffer = malloc(1 << 20);

	for (;;)
		sink += (unsigned long)read(fd, buffer, 1 << 20);
}

static void *thread_burn(void *arg)
{
	burn_at_depth(5);
	return NULL;
}

static void target_threads(int go)
{
	pthread_t thread;

	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, thread_burn, NULL);
	thread_burn(NULL);
}

#define FORKS 40

/* Burns a little, forks much, then becomes another program. */
static void target_life(int go)
{
	uint64_t end = now_ns() + NS / 20;
	char byte;
	pid_t child;

	while (read(go, &byte, 1) != 1)
		;
	while (now_ns() < end)
		sink++;
	for (int i = 0; i < FORKS; i++) {
		child = vfork();
		if (child == 0)
			_exit(0);
		waitpid(child, NULL, 0);
	}
	execl("/bin/sh", "sh", "-c", "exit 7", NULL);
	_exit(1);
}

static void *thread_exit(void *arg)
{
	syscall(SYS_exit, 3);
	return NULL;
}

/* The main thread leaves first; the process ends with its last thread. Not by pthread_exit(), where libc
 * calls exit() in the last one. */
static void target_leaving(int go)
{
	pthread_t threads[20];
	char byte;

	while (read(go, &byte, 1) != 1)
		;
	for (int i = 0; i < 20; i++)
		pthread_create(&threads[i], NULL, thread_exit, NULL);
	syscall(SYS_exit, 3);
}

struct target {
	pid_t pid;
	int go;
};

static struct target target_start(void (*body)(int go))
{
	struct target target;
	int go[2];

	assert_int_equal(pipe2(go, O_CLOEXEC), 0);
	target.pid = fork();
	assert_true(target.pid >= 0);
	if (target.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(go[1]);
		body(go[0]);
		_exit(0);
	}
	close(go[0]);
	target.go = go[1];
	return target;
}

static void target_end(struct target *target)
{
	kill(target->pid, SIGKILL);
	waitpid(target->pid, NULL, 0);
	close(target->go);
}

/* ---- what is collected ---- */

static struct {
	struct collector *collector;
	struct ring *ring;
	struct counters *counters;
	pid_t pid;
	unsigned samples, kernel_samples, strangers, misfits;
	unsigned ends[STACK_ENDS], kernel_ends[STACK_ENDS];
	unsigned deepest;
	uint32_t tids[8];
	uint64_t last_frame; /* leaf of the last sample */
	uint16_t last_user_count;
	struct control_record controls[64];
	unsigned control_count;
} seen;

static void take_sample(void *arg, const void *record, size_t length)
{
	const struct sample_record *sample = record;

	seen.samples++;
	if (length != sizeof(*sample) + (sample->kernel_count + sample->user_count) * sizeof(uint64_t) ||
	    sample->end >= STACK_ENDS || sample->cpu >= collector_get_cpu_count(seen.collector) ||
	    sample->user_count > STACK_USER_MAX || sample->kernel_count > STACK_KERNEL_MAX ||
	    !sample->kernel_count != (sample->mode == SAMPLE_USER)) {
		seen.misfits++;
		return;
	}
	for (unsigned i = 0; i < sample->kernel_count; i++)
		if (FRAME_MODULE(sample->frames[i]) != MODULE_KERNEL)
			seen.misfits++;
	for (unsigned i = 0; i < 8; i++) {
		if (seen.tids[i] == sample->tid || !seen.tids[i]) {
			seen.tids[i] = sample->tid;
			break;
		}
	}
	seen.ends[sample->end]++;
	if (sample->mode == SAMPLE_KERNEL) {
		seen.kernel_samples++;
		seen.kernel_ends[sample->end]++;
	}
	if (sample->user_count > seen.deepest)
		seen.deepest = sample->user_count;
	seen.last_user_count = sample->user_count;
	seen.last_frame = sample->user_count ? sample->frames[sample->kernel_count] : 0;
}

static void take_control(void *arg, const struct control_record *record)
{
	if (seen.control_count < 64)
		seen.controls[seen.control_count++] = *record;
}

static void collect_start_with(pid_t pid, size_t ring_bytes, bool wants_user, bool wants_kernel)
{
	const struct collector_options options = {
		.tgid = pid,
		.hz = HZ,
		.ring_bytes = ring_bytes,
		.wants_user = wants_user,
		.wants_kernel = wants_kernel,
	};

	memset(&seen, 0, sizeof(seen));
	seen.pid = pid;
	assert_ok(collector_create(&options, &seen.collector));
	assert_ok(collector_attach(seen.collector));
	assert_ok(ring_open(collector_get_ring_fd(seen.collector), collector_get_ring_bytes(seen.collector),
			    &seen.ring));
	assert_ok(counters_open(collector_get_counters_fd(seen.collector),
				collector_get_cpu_count(seen.collector), &seen.counters));
}

static void collect_start(pid_t pid)
{
	collect_start_with(pid, 0, true, true);
}

static void collect_end(void)
{
	ring_destroy(seen.ring);
	counters_destroy(seen.counters);
	collector_destroy(seen.collector);
}

/* Reads for 10 ms at most; false when the test has waited for too long. */
static bool collect_more(uint64_t start_ns)
{
	struct pollfd control = {.fd = collector_get_control_fd(seen.collector), .events = POLLIN};

	poll(&control, 1, 10);
	collector_read_control(seen.collector, take_control, NULL);
	ring_read(seen.ring, take_sample, NULL, 0);
	return now_ns() - start_ns < DEADLINE_NS;
}

static void collect_samples(unsigned wanted)
{
	uint64_t start_ns = now_ns();

	assert_ok(collector_enable(seen.collector));
	while (seen.samples < wanted && collect_more(start_ns))
		;
	assert_ok(collector_disable(seen.collector));
	ring_read(seen.ring, take_sample, NULL, 0);
	assert_true(seen.samples >= wanted);
}

/* The programs have stopped: now the accounts must close. A disabled event's program may still run elsewhere
 * for a moment. */
static struct cpu_counters assert_accounts_close(void)
{
	uint64_t start_ns = now_ns();
	struct cpu_counters sum;

	do {
		counters_sum(seen.counters, &sum);
	} while (sum.attempts != sum.delivered + sum.lost_ring_full + sum.lost_scratch_busy &&
		 now_ns() - start_ns < DEADLINE_NS);
	ring_read(seen.ring, take_sample, NULL, 0);
	assert_int_equal(sum.attempts, sum.delivered + sum.lost_ring_full + sum.lost_scratch_busy);
	assert_int_equal(sum.delivered, seen.samples);
	assert_int_equal(seen.misfits, 0);
	assert_false(ring_is_damaged(seen.ring));
	return sum;
}

/* ---- mappings and tables of a target, as the probe will make them ---- */

static struct error *publish_memory(pid_t pid, const struct mapping *mapping, uint32_t module)
{
	size_t bytes = mapping->end - mapping->start;
	struct iovec local = {malloc(bytes), bytes}, remote = {(void *)mapping->start, bytes};
	int image = memfd_create("image", MFD_CLOEXEC), table = -1;
	char why[CFI_WHY_LENGTH];
	enum table_status status;

	assert_int_equal(process_vm_readv(pid, &local, 1, &remote, 1, 0), bytes);
	assert_int_equal(write(image, local.iov_base, bytes), bytes);
	free(local.iov_base);
	assert_ok(cfi_build_table(image, &table, &status, why, NULL));
	close(image);
	assert_int_equal(status, TABLE_OK);
	assert_ok(collector_publish_table(seen.collector, module, table));
	close(table);
	return NULL;
}

static void publish_file(const char *path, uint32_t module)
{
	int file = open(path, O_RDONLY | O_CLOEXEC), table = -1;
	char why[CFI_WHY_LENGTH];
	enum table_status status;

	assert_true(file >= 0);
	assert_ok(cfi_build_table(file, &table, &status, why, NULL));
	close(file);
	if (status != TABLE_OK)
		return;
	assert_ok(collector_queue_table(seen.collector, module, table));
	close(table);
}

static size_t read_mappings(pid_t pid, struct mapping *ret, size_t max, bool wants_tables)
{
	char path[64], line[512], protection[8], name[256];
	uint32_t module = MODULE_FIRST_FILE;
	struct mapping mapping;
	size_t count = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/maps", pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file) && count < max) {
		memset(&mapping, 0, sizeof(mapping));
		name[0] = '\0';
		sscanf(line, "%llx-%llx %7s %llx %*s %*s %255s", &mapping.start, &mapping.end, protection,
		       &mapping.offset, name);
		if (protection[2] != 'x' || mapping.start >> 63)
			continue;
		if (name[0] == '/') {
			mapping.module = module++;
			if (wants_tables)
				publish_file(name, mapping.module);
		} else {
			mapping.module = strcmp(name, "[vdso]") ? MODULE_ANONYMOUS : MODULE_VDSO;
			mapping.offset = strcmp(name, "[vdso]") ? mapping.start : 0;
			if (wants_tables && mapping.module == MODULE_VDSO)
				publish_memory(pid, &mapping, MODULE_VDSO);
		}
		ret[count++] = mapping;
	}
	fclose(file);
	return count;
}

static void publish_all(pid_t pid)
{
	uint64_t exec_count = collector_read_exec_count(seen.collector);
	struct mapping mappings[256];
	size_t count = read_mappings(pid, mappings, 256, true);

	assert_ok(collector_flush_tables(seen.collector));
	assert_ok(collector_publish_mappings(seen.collector, mappings, count, exec_count,
					     collector_read_remap_count(seen.collector)));
}

/* ---- samples ---- */

static void test_whole_stacks(void **state)
{
	struct target target;
	struct cpu_counters sum;

	require_root();
	target = target_start(target_burn);
	collect_start(target.pid);
	publish_all(target.pid);
	collect_samples(300);
	sum = assert_accounts_close();
	assert_int_equal(sum.lost_scratch_busy, 0);
	assert_int_equal(sum.lost_ring_full, 0);
	assert_true(sum.program_ns > 0);
	assert_int_equal(seen.tids[0], target.pid);
	assert_int_equal(seen.tids[1], 0);
	/* burn_at_depth() 31 times, and those who called it; a sample may fall before the burning starts */
	assert_true(seen.ends[STACK_COMPLETE] * 100 >= seen.samples * 99);
	assert_true(seen.deepest > 31);
	print_message("# %llu ns a sample of %u frames\n", sum.program_ns / sum.attempts, seen.deepest);
	collect_end();
	target_end(&target);
}

static void test_too_deep(void **state)
{
	struct target target;

	require_root();
	target = target_start(target_too_deep);
	collect_start(target.pid);
	publish_all(target.pid);
	collect_samples(50);
	assert_accounts_close();
	assert_true(seen.ends[STACK_TRUNCATED] > 40);
	assert_int_equal(seen.deepest, STACK_USER_MAX);
	assert_int_equal(FRAME_MODULE(seen.last_frame), MODULE_FIRST_FILE);
	collect_end();
	target_end(&target);
}

static void test_kernel_mode(void **state)
{
	struct target target;

	require_root();
	target = target_start(target_kernel);
	collect_start(target.pid);
	publish_all(target.pid);
	collect_samples(200);
	assert_accounts_close();
	assert_true(seen.kernel_samples > 100);
	assert_true(seen.kernel_ends[STACK_COMPLETE] * 100 >= seen.kernel_samples * 99);
	collect_end();
	target_end(&target);
}

static void test_modes_are_filtered(void **state)
{
	struct target target;

	require_root();
	target = target_start(target_kernel);
	collect_start_with(target.pid, 0, false, true);
	collect_samples(50);
	assert_accounts_close();
	assert_int_equal(seen.kernel_samples, seen.samples);
	collect_end();
	target_end(&target);

	target = target_start(target_burn);
	collect_start_with(target.pid, 0, true, false);
	collect_samples(50);
	assert_accounts_close();
	assert_int_equal(seen.kernel_samples, 0);
	collect_end();
	target_end(&target);
}

static void test_threads(void **state)
{
	struct target target;
	uint64_t start_ns = now_ns();

	require_root();
	target = target_start(target_threads);
	collect_start(target.pid);
	assert_ok(collector_enable(seen.collector));
	while (!seen.tids[3] && collect_more(start_ns))
		;
	assert_ok(collector_disable(seen.collector));
	assert_accounts_close();
	assert_int_not_equal(seen.tids[3], 0);
	assert_int_equal(seen.tids[4], 0);
	for (unsigned i = 0; i < 4; i++) {
		char path[64];

		snprintf(path, sizeof(path), "/proc/%d/task/%u", target.pid, seen.tids[i]);
		assert_int_equal(access(path, F_OK), 0);
	}
	collect_end();
	target_end(&target);
}

static void test_no_mappings_yet(void **state)
{
	struct cpu_counters sum;
	struct target target;
	uint64_t last_ns = 0;

	require_root();
	target = target_start(target_burn);
	collect_start(target.pid);
	collect_samples(100);
	sum = assert_accounts_close();
	assert_int_equal(seen.ends[STACK_NO_MAPPING], seen.samples);
	assert_int_equal(sum.unknown_pc, seen.samples);
	assert_int_equal(seen.last_user_count, 1);
	assert_int_equal(FRAME_MODULE(seen.last_frame), MODULE_UNKNOWN);
	collector_read_control(seen.collector, take_control, NULL);
	assert_true(seen.control_count > 0);
	assert_true(seen.control_count < seen.samples);
	for (unsigned i = 0; i < seen.control_count; i++) {
		assert_int_equal(seen.controls[i].kind, CONTROL_UNKNOWN_PC);
		/* 5 ms apart, but for the time from the sample to the record */
		assert_true(seen.controls[i].time_ns - last_ns > 3000000);
		last_ns = seen.controls[i].time_ns;
	}
	collect_end();
	target_end(&target);
}

static void test_mappings_of_another_program(void **state)
{
	struct mapping mappings[256];
	struct target target;
	size_t count;

	require_root();
	target = target_start(target_burn);
	collect_start(target.pid);
	count = read_mappings(target.pid, mappings, 256, false);
	assert_ok(collector_publish_mappings(seen.collector, mappings, count, 1, 0));
	collect_samples(20);
	assert_int_equal(seen.ends[STACK_NO_MAPPING], seen.samples);
	assert_ok(collector_publish_mappings(seen.collector, mappings, count, 0, 0));
	memset(seen.ends, 0, sizeof(seen.ends));
	seen.samples = 0;
	collect_samples(20);
	assert_int_equal(seen.ends[STACK_NO_TABLE], seen.samples);
	collect_end();
	target_end(&target);
}

static void test_table_comes_and_goes(void **state)
{
	struct target target;
	uint64_t missing;

	require_root();
	target = target_start(target_burn);
	collect_start(target.pid);
	publish_all(target.pid);
	assert_ok(collector_queue_removal(seen.collector, MODULE_FIRST_FILE));
	assert_ok(collector_queue_removal(seen.collector, MODULE_FIRST_FILE));
	assert_ok(collector_flush_tables(seen.collector));
	missing = collector_read_missing(seen.collector, MODULE_FIRST_FILE);
	collect_samples(20);
	assert_int_equal(seen.ends[STACK_NO_TABLE], seen.samples);
	/* Each of them was counted. */
	assert_true(collector_read_missing(seen.collector, MODULE_FIRST_FILE) >= missing + seen.samples);
	assert_int_equal(collector_read_missing(seen.collector, MODULE_LIMIT - 1), 0);
	assert_int_equal(collector_read_missing(seen.collector, MODULE_LIMIT), 0);
	collect_end();
	target_end(&target);
}

/* ---- loss ---- */

static void test_every_loss_is_counted(void **state)
{
	uint64_t start_ns = now_ns();
	struct cpu_counters sum;
	struct target target;

	require_root();
	target = target_start(target_burn);
	collect_start_with(target.pid, 4096, true, true);
	assert_int_equal(collector_get_ring_bytes(seen.collector), 4096);
	publish_all(target.pid);
	assert_ok(collector_enable(seen.collector));
	/* nobody reads */
	do {
		poll(NULL, 0, 10);
		counters_sum(seen.counters, &sum);
	} while (sum.lost_ring_full < 100 && now_ns() - start_ns < DEADLINE_NS);
	assert_ok(collector_disable(seen.collector));
	sum = assert_accounts_close();
	assert_true(sum.lost_ring_full >= 100);
	assert_true(sum.delivered > 0);
	collect_end();
	target_end(&target);
}

/* The ring is read while it is written, at the highest rate. */
static void test_nothing_is_lost(void **state)
{
	struct cpu_counters sum;
	struct target target;

	require_root();
	target = target_start(target_burn);
	collect_start(target.pid);
	publish_all(target.pid);
	collect_samples(2000);
	sum = assert_accounts_close();
	assert_int_equal(sum.attempts, sum.delivered);
	collect_end();
	target_end(&target);
}

/* Nobody is woken for a sample, but for a ring that fills up. */
static void test_late_reader_is_woken(void **state)
{
	struct epoll_event event = {.events = EPOLLIN};
	struct cpu_counters sum;
	struct target target;
	int epoll;

	require_root();
	target = target_start(target_burn);
	collect_start_with(target.pid, 16384, true, true);
	publish_all(target.pid);
	epoll = epoll_create1(EPOLL_CLOEXEC);
	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, collector_get_ring_fd(seen.collector), &event), 0);
	assert_ok(collector_enable(seen.collector));
	assert_int_equal(epoll_wait(epoll, &event, 1, DEADLINE_NS / 1000000), 1);
	assert_true(ring_get_used_bytes(seen.ring) > 16384 / 4);
	assert_ok(collector_disable(seen.collector));
	sum = assert_accounts_close();
	assert_true(sum.delivered > 4);
	close(epoll);
	collect_end();
	target_end(&target);
}

/* ---- the target's life ---- */

static const struct control_record *control_find(uint32_t kind)
{
	for (unsigned i = 0; i < seen.control_count; i++)
		if (seen.controls[i].kind == kind)
			return &seen.controls[i];
	return NULL;
}

static void wait_for_exit(void)
{
	uint64_t start_ns = now_ns();

	while (!control_find(CONTROL_EXIT) && collect_more(start_ns))
		;
	assert_non_null(control_find(CONTROL_EXIT));
}

static void test_fork_exec_exit(void **state)
{
	const struct control_record *fork_record, *exec_record, *exit_record;
	uint64_t cpu_ns, slack_ns = 20000000;
	struct rusage usage;
	struct target target;
	int status;

	require_root();
	target = target_start(target_life);
	collect_start(target.pid);
	assert_int_equal(collector_read_exec_count(seen.collector), 0);
	assert_int_equal(write(target.go, "x", 1), 1);
	wait_for_exit();
	fork_record = control_find(CONTROL_FORK);
	exec_record = control_find(CONTROL_EXEC);
	exit_record = control_find(CONTROL_EXIT);
	/* All forks are counted, not all are told. */
	assert_in_range(seen.control_count, 3, FORKS / 2);
	assert_true(fork_record && exec_record && exit_record);
	assert_int_equal(fork_record->value, 1);
	assert_int_equal(collector_read_fork_count(seen.collector), FORKS);
	assert_true(fork_record->pid > 0 && fork_record->pid != (uint32_t)target.pid);
	assert_int_equal(exec_record->pid, target.pid);
	assert_int_equal(exec_record->value, 1);
	assert_int_equal(collector_read_exec_count(seen.collector), 1);
	assert_int_equal(exit_record->pid, target.pid);
	assert_int_equal(exit_record->value, 7 << 8);
	assert_true(fork_record->time_ns < exec_record->time_ns &&
		    exec_record->time_ns < exit_record->time_ns);
	assert_int_equal(wait4(target.pid, &status, 0, &usage), target.pid);
	assert_int_equal(status, exit_record->value);
	cpu_ns = (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * NS +
		 (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000;
	print_message("# cpu time at exit: %llu ns, by wait4: %llu ns\n", exit_record->cpu_ns,
		      (unsigned long long)cpu_ns);
	/* wait4() counts the waited-for child in: it has done next to nothing */
	assert_true(exit_record->cpu_ns + slack_ns > cpu_ns && exit_record->cpu_ns < cpu_ns + slack_ns);
	assert_int_equal(collector_get_control_lost(seen.collector), 0);
	collect_end();
	close(target.go);
}

static void test_killed(void **state)
{
	struct target target;

	require_root();
	target = target_start(target_threads);
	collect_start(target.pid);
	kill(target.pid, SIGKILL);
	wait_for_exit();
	assert_int_equal(seen.control_count, 1);
	assert_int_equal(control_find(CONTROL_EXIT)->value, SIGKILL);
	collect_end();
	target_end(&target);
}

static void test_last_thread_ends_the_process(void **state)
{
	struct target target;
	int status;

	require_root();
	target = target_start(target_leaving);
	collect_start(target.pid);
	assert_int_equal(write(target.go, "x", 1), 1);
	wait_for_exit();
	assert_int_equal(seen.control_count, 1);
	assert_int_equal(waitpid(target.pid, &status, 0), target.pid);
	assert_int_equal(status, 3 << 8);
	assert_int_equal(control_find(CONTROL_EXIT)->value, status);
	collect_end();
	close(target.go);
}

/* ---- rights ---- */

static void become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))
		_exit(99);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static int child_status(pid_t child)
{
	int status = 0;

	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_reader_needs_no_rights(void **state)
{
	struct target target;
	uint64_t start_ns;
	pid_t reader;

	require_root();
	target = target_start(target_burn);
	collect_start(target.pid);
	assert_ok(collector_enable(seen.collector));
	reader = fork();
	if (reader == 0) {
		struct counters *counters;
		struct cpu_counters sum;
		struct ring *ring;

		become_nobody();
		if (ring_open(collector_get_ring_fd(seen.collector), collector_get_ring_bytes(seen.collector),
			      &ring))
			_exit(1);
		if (counters_open(collector_get_counters_fd(seen.collector),
				  collector_get_cpu_count(seen.collector), &counters))
			_exit(2);
		start_ns = now_ns();
		while (seen.samples < 20 && now_ns() - start_ns < DEADLINE_NS) {
			ring_read(ring, take_sample, NULL, 1);
			poll(NULL, 0, 1);
		}
		counters_sum(counters, &sum);
		_exit(seen.samples < 20 ? 3 : sum.delivered < 20 ? 4 : 0);
	}
	assert_int_equal(child_status(reader), 0);
	collect_end();
	target_end(&target);
}

static void test_without_rights(void **state)
{
	pid_t child;

	require_root();
	child = fork();
	if (child == 0) {
		const struct collector_options options = {.tgid = getppid(), .hz = 99, .wants_user = true};
		struct collector *collector;
		struct error *error;

		become_nobody();
		error = collector_create(&options, &collector);
		if (!error)
			_exit(1);
		if (error_get_code(error) != ERROR_PERMISSION)
			_exit(2);
		if (!strstr(error_get_message(error), "CAP_BPF") || !error_get_hint(error))
			_exit(3);
		error_destroy(error);
		_exit(0);
	}
	assert_int_equal(child_status(child), 0);
}

/* ---- nothing is left ---- */

static uint32_t map_get_id(int fd)
{
	struct bpf_map_info info = {0};
	uint32_t length = sizeof(info);

	assert_int_equal(bpf_obj_get_info_by_fd(fd, &info, &length), 0);
	return info.id;
}

/* The programs hold the map: when it is gone, so are they. */
static void assert_map_goes_away(uint32_t id)
{
	uint64_t start_ns = now_ns();
	int fd;

	while ((fd = bpf_map_get_fd_by_id(id)) >= 0 && now_ns() - start_ns < DEADLINE_NS) {
		close(fd);
		poll(NULL, 0, 10);
	}
	assert_true(fd < 0);
	assert_int_equal(errno, ENOENT);
}

static void test_nothing_is_left(void **state)
{
	struct target target;
	int ids[2];
	pid_t probe;
	uint32_t id;

	require_root();
	target = target_start(target_burn);
	collect_start(target.pid);
	id = map_get_id(collector_get_ring_fd(seen.collector));
	collect_end();
	assert_map_goes_away(id);

	/* by kill -9 */
	assert_int_equal(pipe2(ids, O_CLOEXEC), 0);
	probe = fork();
	if (probe == 0) {
		collect_start(target.pid);
		if (collector_enable(seen.collector))
			_exit(1);
		id = map_get_id(collector_get_ring_fd(seen.collector));
		if (write(ids[1], &id, sizeof(id)) != sizeof(id))
			_exit(1);
		for (;;)
			pause();
	}
	close(ids[1]);
	assert_int_equal(read(ids[0], &id, sizeof(id)), sizeof(id));
	close(ids[0]);
	kill(probe, SIGKILL);
	waitpid(probe, NULL, 0);
	assert_map_goes_away(id);
	target_end(&target);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_stacks),
		cmocka_unit_test(test_too_deep),
		cmocka_unit_test(test_kernel_mode),
		cmocka_unit_test(test_modes_are_filtered),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_no_mappings_yet),
		cmocka_unit_test(test_mappings_of_another_program),
		cmocka_unit_test(test_table_comes_and_goes),
		cmocka_unit_test(test_every_loss_is_counted),
		cmocka_unit_test(test_nothing_is_lost),
		cmocka_unit_test(test_late_reader_is_woken),
		cmocka_unit_test(test_fork_exec_exit),
		cmocka_unit_test(test_killed),
		cmocka_unit_test(test_last_thread_ends_the_process),
		cmocka_unit_test(test_reader_needs_no_rights),
		cmocka_unit_test(test_without_rights),
		cmocka_unit_test(test_nothing_is_left),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
