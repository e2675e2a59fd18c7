/* Finding a target among real processes: copies of this very program under other names, zombies, threads,
 * kernel threads. A copy is another file: it does not count as kiln's own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "bpf/target.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the process that is looked for ---- */

static void wait_for_end(void)
{
	char byte;

	while (read(STDIN_FILENO, &byte, 1) > 0)
		;
}

static void report_ready(pid_t tid)
{
	if (write(STDOUT_FILENO, &tid, sizeof(tid)) != sizeof(tid))
		_exit(1);
}

static void *thread_main(void *arg)
{
	prctl(PR_SET_NAME, arg);
	/* The main thread of "orphan" shows as a zombie only when it has ended: the state is awaited, not
	 * slept for. */
	report_ready((pid_t)syscall(SYS_gettid));
	wait_for_end();
	_exit(0);
}

/* argv: "--child", kind, [name] */
static int child_main(int argc, char **argv)
{
	pthread_t thread;

	if (argc > 3)
		prctl(PR_SET_NAME, argv[3]);
	if (!strcmp(argv[2], "thread") || !strcmp(argv[2], "orphan")) {
		pthread_create(&thread, NULL, thread_main, (void *)"kiln-thread");
		if (!strcmp(argv[2], "orphan"))
			pthread_exit(NULL);
		pthread_join(thread, NULL);
		return 0;
	}
	if (!strcmp(argv[2], "burn"))
		for (volatile unsigned long n = 0; n < 30000000; n++)
			;
	report_ready(getpid());
	wait_for_end();
	return 0;
}

/* ---- starting one ---- */

struct program {
	char dir[32];
	char path[96];
	const char *name; /* basename of path */
};

struct process {
	pid_t pid;
	pid_t tid; /* that it reported */
	int in, out;
};

static void copy_file(const char *from, const char *to)
{
	char buffer[65536];
	int in = open(from, O_RDONLY), out = open(to, O_WRONLY | O_CREAT | O_EXCL, 0700);
	ssize_t length;

	assert_true(in >= 0 && out >= 0);
	while ((length = read(in, buffer, sizeof(buffer))) > 0)
		assert_int_equal(write(out, buffer, (size_t)length), length);
	close(in);
	close(out);
}

/* A name that nobody else uses: this process's number is in it. */
static void program_create(struct program *program, const char *prefix)
{
	strcpy(program->dir, "/tmp/kiln-target-XXXXXX");
	assert_non_null(mkdtemp(program->dir));
	snprintf(program->path, sizeof(program->path), "%s/%s%d", program->dir, prefix, (int)getpid());
	program->name = strrchr(program->path, '/') + 1;
	copy_file("/proc/self/exe", program->path);
}

static void program_destroy(struct program *program)
{
	unlink(program->path);
	rmdir(program->dir);
}

static struct process process_start(const char *path, const char *argv0, const char *kind, const char *name)
{
	int in[2], out[2];
	struct process process;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	process.pid = fork();
	if (!process.pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		execl(path, argv0, "--child", kind, name, NULL);
		_exit(127);
	}
	assert_true(process.pid > 0);
	close(in[0]);
	close(out[1]);
	process.in = in[1];
	process.out = out[0];
	assert_int_equal(read(process.out, &process.tid, sizeof(pid_t)), sizeof(pid_t));
	return process;
}

static void process_stop(struct process *process)
{
	close(process->in);
	close(process->out);
	while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

static void expect_error(struct error *error, enum error_code code, const char *words)
{
	assert_non_null(error);
	if (error_get_code(error) != code || !strstr(error_get_message(error), words))
		fail_msg("code %d: %s", error_get_code(error), error_get_message(error));
	assert_non_null(error_get_hint(error));
	error_destroy(error);
}

/* ---- by PID ---- */

static void test_finds_a_process(void **state)
{
	struct program program;
	struct process process;
	struct target *target = NULL;
	uint64_t cpu_ns = 0;

	program_create(&program, "kt");
	process = process_start(program.path, "an argv0", "burn", "na\033me");
	assert_null(target_find_by_pid(process.pid, NULL, 0, &target));
	assert_int_equal(target->pid, process.pid);
	assert_int_equal(target->uid, geteuid());
	assert_string_equal(target->comm, "na?me");
	assert_string_equal(target->exe, program.path);
	assert_string_equal(target->cmdline, "an argv0 --child burn na?me");
	assert_true(target_is_same(target));
	assert_true(target_is_alive(target));
	assert_true(target_read_cpu_ns(target, &cpu_ns));
	assert_true(cpu_ns > 1000000);

	process_stop(&process);
	assert_false(target_is_alive(target));
	assert_false(target_is_same(target));
	assert_false(target_read_cpu_ns(target, &cpu_ns));
	expect_error(target_reload(target), ERROR_NO_TARGET, "no process");
	target_destroy(target);
	program_destroy(&program);
}

static void test_thread_means_its_process(void **state)
{
	struct program program;
	struct process process;
	struct target *target = NULL;

	program_create(&program, "kt");
	process = process_start(program.path, program.path, "thread", NULL);
	assert_int_not_equal(process.tid, process.pid);
	assert_null(target_find_by_pid(process.tid, NULL, 0, &target));
	assert_int_equal(target->pid, process.pid);
	target_destroy(target);
	process_stop(&process);
	program_destroy(&program);
}

static char read_state(pid_t pid)
{
	char path[32], text[512];
	ssize_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY);
	length = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(length > 0);
	text[length] = '\0';
	return strrchr(text, ')')[2];
}

static void test_main_thread_has_ended(void **state)
{
	struct program program;
	struct process process;
	struct target *target = NULL;

	program_create(&program, "kt");
	process = process_start(program.path, program.path, "orphan", NULL);
	while (read_state(process.pid) != 'Z')
		sched_yield();
	expect_error(target_find_by_pid(process.pid, NULL, 0, &target), ERROR_UNSUPPORTED,
		     "main thread has ended");
	process_stop(&process);
	program_destroy(&program);
}

static void test_no_such_process(void **state)
{
	struct target *target = NULL;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	waitpid(pid, NULL, 0);
	expect_error(target_find_by_pid(pid, NULL, 0, &target), ERROR_NO_TARGET, "no process");
	expect_error(target_find_by_pid(0, NULL, 0, &target), ERROR_NO_TARGET, "no process");
	expect_error(target_find_by_pid(-1, NULL, 0, &target), ERROR_NO_TARGET, "no process");
	expect_error(target_find_by_pid(0x7fffffff, NULL, 0, &target), ERROR_NO_TARGET, "no process");
}

static void test_zombie(void **state)
{
	struct target *target = NULL;
	siginfo_t info;
	pid_t pid = fork();

	if (!pid)
		_exit(0);
	assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
	expect_error(target_find_by_pid(pid, NULL, 0, &target), ERROR_NO_TARGET, "zombie");
	waitpid(pid, NULL, 0);
}

static void test_kernel_thread(void **state)
{
	struct target *target = NULL;
	char comm[32] = "";
	int fd = open("/proc/2/comm", O_RDONLY);

	if (fd < 0 || read(fd, comm, sizeof(comm) - 1) <= 0 || strcmp(comm, "kthreadd\n")) {
		if (fd >= 0)
			close(fd);
		print_message("PID 2 is no kernel thread here (a PID namespace)\n");
		skip();
	}
	close(fd);
	expect_error(target_find_by_pid(2, NULL, 0, &target), ERROR_NO_TARGET, "kernel thread");
	expect_error(target_find_by_name("kthreadd", NULL, 0, &target), ERROR_NO_TARGET,
		     "no process is called");
}

static void test_kiln_itself(void **state)
{
	struct program program;
	struct process copy, own;
	struct target *target = NULL;

	expect_error(target_find_by_pid(getpid(), NULL, 0, &target), ERROR_NO_TARGET, "kiln itself");
	/* The same executable, in another process. */
	own = process_start("/proc/self/exe", "x", "plain", "kiln-own-name");
	expect_error(target_find_by_pid(own.pid, NULL, 0, &target), ERROR_NO_TARGET, "kiln itself");
	expect_error(target_find_by_name("kiln-own-name", NULL, 0, &target), ERROR_NO_TARGET,
		     "no process is called");
	/* Unless kiln has started it itself, and knows. */
	assert_null(target_open(own.pid, &target));
	assert_string_equal(target->comm, "kiln-own-name");
	target_destroy(target);
	process_stop(&own);
	/* Named by the caller. */
	program_create(&program, "kt");
	copy = process_start(program.path, "x", "plain", NULL);
	expect_error(target_find_by_pid(copy.pid, &copy.pid, 1, &target), ERROR_NO_TARGET, "kiln itself");
	process_stop(&copy);
	program_destroy(&program);
}

/* ---- by name ---- */

static void expect_found(const char *name, pid_t pid)
{
	struct target *target = NULL;
	struct error *error = target_find_by_name(name, NULL, 0, &target);

	if (error)
		fail_msg("%s: %s", name, error_get_message(error));
	assert_int_equal(target->pid, pid);
	target_destroy(target);
}

static void test_by_each_name(void **state)
{
	struct program program;
	struct process process;
	char argv0[64], comm[16];

	program_create(&program, "a-rather-long-program-name-");
	snprintf(argv0, sizeof(argv0), "/no/where/argv0-%d", (int)getpid());
	snprintf(comm, sizeof(comm), "co) %d", (int)getpid());
	process = process_start(program.path, argv0, "plain", comm);
	expect_found(program.name, process.pid);
	expect_found(argv0 + strlen("/no/where/"), process.pid);
	expect_found(comm, process.pid);
	/* The program's file is gone: its name stays. */
	program_destroy(&program);
	expect_found(program.name, process.pid);
	process_stop(&process);
}

static void test_several_and_none(void **state)
{
	struct program program;
	struct process first, second;
	struct target *target = NULL;
	struct error *error;
	char first_pid[32], second_pid[32], near[128];

	program_create(&program, "kt-near-");
	first = process_start(program.path, "x", "plain", NULL);
	second = process_start(program.path, "x", "plain", NULL);
	error = target_find_by_name(program.name, NULL, 0, &target);
	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_NO_TARGET);
	snprintf(first_pid, sizeof(first_pid), " %d ", (int)first.pid);
	snprintf(second_pid, sizeof(second_pid), " %d ", (int)second.pid);
	assert_non_null(strstr(error_get_message(error), "2 processes are called"));
	assert_non_null(strstr(error_get_message(error), first_pid));
	assert_non_null(strstr(error_get_message(error), second_pid));
	assert_non_null(strstr(error_get_message(error), "x --child plain"));
	assert_non_null(strstr(error_get_hint(error), "PID"));
	error_destroy(error);

	snprintf(near, sizeof(near), "%sX", program.name);
	error = target_find_by_name(near, NULL, 0, &target);
	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_NO_TARGET);
	assert_non_null(strstr(error_get_hint(error), program.name));
	error_destroy(error);
	process_stop(&first);
	process_stop(&second);
	program_destroy(&program);
	expect_error(target_find_by_name("no-such-\033program-anywhere", NULL, 0, &target), ERROR_NO_TARGET,
		     "no-such-?program-anywhere");
}

/* ---- other machines ---- */

/* The smallest 32-bit program: pause() in a loop. */
static void write_32_bit_program(const char *path)
{
	static const unsigned char code[] = {0xb8, 29, 0, 0, 0, 0xcd, 0x80, 0xeb, 0xf7};
	unsigned char image[128] = "\177ELF\1\1\1";
	uint32_t base = 0x8048000, entry = base + 84, length = 84 + sizeof(code);
	uint32_t header[] = {1, 0, base, base, length, length, 5, 4096};
	uint16_t types[] = {2, 3}, sizes[] = {52, 32, 1, 0, 0, 0};
	uint32_t fields[] = {1, entry, 52, 0, 0};
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0700);

	memcpy(image + 16, types, 4);
	memcpy(image + 20, fields, 20);
	memcpy(image + 40, sizes, 12);
	memcpy(image + 52, header, 32);
	memcpy(image + 84, code, sizeof(code));
	assert_int_equal(write(fd, image, length), length);
	close(fd);
}

static void test_32_bit_program(void **state)
{
	char dir[] = "/tmp/kiln-target-XXXXXX", path[64];
	int failed[2], failed_errno = 0;
	struct target *target = NULL;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/p32", dir);
	write_32_bit_program(path);
	assert_int_equal(pipe2(failed, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		execl(path, path, NULL);
		failed_errno = errno;
		_exit(write(failed[1], &failed_errno, sizeof(int)) != sizeof(int));
	}
	close(failed[1]);
	if (read(failed[0], &failed_errno, sizeof(int)) == 0)
		expect_error(target_find_by_pid(pid, NULL, 0, &target), ERROR_UNSUPPORTED, "32-bit");
	close(failed[0]);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	unlink(path);
	rmdir(dir);
	if (failed_errno) {
		print_message("this kernel runs no 32-bit programs: %s\n", strerror(failed_errno));
		skip();
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finds_a_process),
		cmocka_unit_test(test_thread_means_its_process),
		cmocka_unit_test(test_main_thread_has_ended),
		cmocka_unit_test(test_no_such_process),
		cmocka_unit_test(test_zombie),
		cmocka_unit_test(test_kernel_thread),
		cmocka_unit_test(test_kiln_itself),
		cmocka_unit_test(test_by_each_name),
		cmocka_unit_test(test_several_and_none),
		cmocka_unit_test(test_32_bit_program),
	};

	if (argc > 2 && !strcmp(argv[1], "--child"))
		return child_main(argc, argv);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
