/* A worker's sandbox, entered as a worker does it: what it must not do fails, what it needs works, and both
 * whoever starts it and whichever layers the kernel refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/confined.h"

#include "base/cleanup.h"
#include "bpf/privileges.h"
#include "bpf/supervisor.h"
#include "symbolizer/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOME_USER 12345 /* in no password database */
#define WAIT_MS	  10000

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "# line %d: %s\n", __LINE__, #condition);                            \
			return __LINE__;                                                                     \
		}                                                                                            \
	} while (0)

/* Runs check() in a child, with rights or without: it returns 0, or the line that failed. */
static void expect_in_child(int (*check)(void), uid_t uid)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (uid && geteuid() == 0 && privileges_drop_to_user(uid, uid))
			_exit(2);
		_exit(check() ? 1 : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void need_root(void)
{
	if (geteuid() != 0 || !privileges_has(CAP_SYS_ADMIN) || !privileges_has(CAP_SETUID)) {
		print_message("needs root\n");
		skip();
	}
}

/* ---- a worker that says when it is inside, and waits ---- */

static int waits_inside(int probe_fd, int kiln_fd)
{
	struct error *error = sandbox_enter();

	return error ? 1 : confined_wait(probe_fd);
}

static bool is_inside(const struct child *worker)
{
	struct pollfd ready = {.fd = worker->socket, .events = POLLIN};
	char byte;

	return poll(&ready, 1, WAIT_MS) == 1 && recv(worker->socket, &byte, 1, 0) == 1;
}

static void end(struct child *worker)
{
	close(worker->socket);
	kill(worker->pid, SIGKILL);
	waitpid(worker->pid, NULL, 0);
}

static bool read_proc(pid_t pid, const char *file, char *ret, size_t capacity, size_t *ret_length)
{
	char path[64];
	_cleanup_close_ int fd = -1;
	ssize_t length;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, ret, capacity - 1);
	if (length < 0)
		return false;
	ret[length] = '\0';
	*ret_length = (size_t)length;
	return true;
}

static bool has_line(const char *text, const char *name, const char *value)
{
	const char *at = strstr(text, name);

	if (!at)
		return false;
	at += strlen(name);
	at += strspn(at, ":\t ");
	return strncmp(at, value, strlen(value)) == 0 && (at[strlen(value)] == '\n' || !at[strlen(value)]);
}

static int check_status(void)
{
	struct child worker;
	char text[8192];
	size_t length;

	CHECK(!supervisor_fork_worker(waits_inside, false, &worker, NULL));
	CHECK(is_inside(&worker));
	CHECK(read_proc(worker.pid, "status", text, sizeof(text), &length));
	CHECK(has_line(text, "CapInh", "0000000000000000"));
	CHECK(has_line(text, "CapPrm", "0000000000000000"));
	CHECK(has_line(text, "CapEff", "0000000000000000"));
	CHECK(has_line(text, "CapBnd", "0000000000000000"));
	CHECK(has_line(text, "CapAmb", "0000000000000000"));
	CHECK(has_line(text, "NoNewPrivs", "1"));
	CHECK(has_line(text, "Seccomp", "2"));
	end(&worker);
	return 0;
}

/* The bounding set of an ordinary user goes by the user namespace: where there is none, it stays. */
static bool has_user_namespaces(void)
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(unshare(CLONE_NEWUSER) != 0);
	return waitpid(pid, &status, 0) == pid && status == 0;
}

static void test_status(void **state)
{
	if (geteuid() == 0)
		expect_in_child(check_status, 0);
	if (has_user_namespaces())
		expect_in_child(check_status, SOME_USER);
	else if (geteuid() != 0)
		skip();
}

static bool is_other(pid_t pid, const char *file)
{
	char path[64];
	struct stat own, its;

	snprintf(path, sizeof(path), "/proc/self/%s", file);
	if (stat(path, &own))
		return false;
	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return stat(path, &its) == 0 && (own.st_dev != its.st_dev || own.st_ino != its.st_ino);
}

static size_t count_entries(pid_t pid, const char *folder)
{
	char path[64];
	size_t count = 0;
	struct dirent *entry;
	DIR *directory;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, folder);
	directory = opendir(path);
	if (!directory)
		return SIZE_MAX;
	while ((entry = readdir(directory)))
		count += entry->d_name[0] != '.';
	closedir(directory);
	return count;
}

/* As root sees it from outside. */
static int check_surroundings(void)
{
	static const char *const spaces[] = {"ns/mnt", "ns/net", "ns/ipc", "ns/uts", "ns/cgroup"};
	struct child worker;
	char text[65536];
	size_t length;

	setenv("DEBUGINFOD_URLS", "https://example.invalid", 1);
	CHECK(!supervisor_fork_worker(waits_inside, false, &worker, NULL));
	CHECK(is_inside(&worker));
	for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
		CHECK(is_other(worker.pid, spaces[i]));
	CHECK(!has_user_namespaces() || is_other(worker.pid, "ns/user"));
	CHECK(count_entries(worker.pid, "root") == 0);
	CHECK(count_entries(worker.pid, "cwd") == 0);
	/* Standard input, output and error, the probe's socket. */
	CHECK(count_entries(worker.pid, "fd") == 4);
	CHECK(read_proc(worker.pid, "mountinfo", text, sizeof(text), &length));
	CHECK(strstr(text, " / / ro,nosuid,nodev,noexec") && strchr(text, '\n') == text + length - 1);
	CHECK(read_proc(worker.pid, "environ", text, sizeof(text), &length));
	for (size_t i = 0; i < length; i++)
		CHECK(!text[i]);
	CHECK(read_proc(worker.pid, "status", text, sizeof(text), &length));
	CHECK(strstr(text, "\nUid:\t65534\t65534\t65534\t65534\n"));
	CHECK(strstr(text, "\nGroups:\t \n"));
	CHECK(read_proc(worker.pid, "limits", text, sizeof(text), &length));
	CHECK(strstr(text, "Max core file size        0                    0 "));
	CHECK(strstr(text, "Max processes             0                    0 "));
	end(&worker);
	return 0;
}

static void test_surroundings(void **state)
{
	need_root();
	expect_in_child(check_surroundings, 0);
}

/* On a machine whose mounts are shared (systemd's): what the worker mounts, nobody else sees. */
static int check_mounts_stay(void)
{
	static char before[65536], after[65536];
	struct child worker;
	size_t length;

	CHECK(unshare(CLONE_NEWNS) == 0);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0);
	CHECK(mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) == 0);
	CHECK(read_proc(getpid(), "mountinfo", before, sizeof(before), &length));
	CHECK(strstr(before, " shared:"));
	CHECK(!supervisor_fork_worker(waits_inside, false, &worker, NULL));
	CHECK(is_inside(&worker));
	CHECK(read_proc(getpid(), "mountinfo", after, sizeof(after), &length));
	CHECK(!strcmp(before, after));
	CHECK(count_entries(worker.pid, "root") == 0);
	end(&worker);
	return 0;
}

static void test_mounts_stay(void **state)
{
	need_root();
	expect_in_child(check_mounts_stay, 0);
}

/* ---- what it tries ---- */

static int check_attempts(void)
{
	struct confined *shared = confined_map();
	struct child worker;
	int status;

	CHECK(shared != NULL);
	shared->parent = getpid();
	CHECK(!supervisor_fork_worker(confined_main, false, &worker, NULL));
	CHECK(confined_send_file(worker.socket, "/proc/self/exe"));
	CHECK(waitpid(worker.pid, &status, 0) == worker.pid);
	close(worker.socket);
	/* Killed would do as well; but then the rest has not been tried. */
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK(shared->tried > 60);
	for (unsigned i = 0; i < shared->tried; i++) {
		bool is_refused =
			shared->errnos[i] == EACCES || (shared->errnos[i] && confined_is_beyond_list(i));

		if (!is_refused)
			fprintf(stderr, "# %s: %s\n", confined_get_attempt(i), strerror(shared->errnos[i]));
		CHECK(is_refused);
	}
	if (*shared->needs)
		fprintf(stderr, "# it cannot have %s\n", shared->needs);
	CHECK(!*shared->needs);
	munmap(shared, sizeof(*shared));
	return 0;
}

static void test_attempts(void **state)
{
	if (geteuid() == 0)
		expect_in_child(check_attempts, 0);
	expect_in_child(check_attempts, SOME_USER);
}

/* System calls of 32-bit programs have other numbers. */
static int calls_as_32_bit(int probe_fd, int kiln_fd)
{
	int result = 0;

	if (sandbox_enter())
		return 1;
#ifdef __x86_64__
	/* getpid() by its number there */
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(20) : "memory", "r8", "r9", "r10", "r11");
#endif
	return result > 0 ? 2 : 3;
}

static void test_32_bit_call(void **state)
{
	struct child worker;
	int status;

	assert_null(supervisor_fork_worker(calls_as_32_bit, false, &worker, NULL));
	assert_int_equal(waitpid(worker.pid, &status, 0), worker.pid);
	close(worker.socket);
	assert_true(WIFSIGNALED(status));
	/* SIGSEGV: a kernel that has no such calls. */
	assert_true(WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGSEGV);
}

/* ---- layers that are refused ---- */

static struct child trial;

static bool trial_says(char *ret, size_t capacity)
{
	struct pollfd ready;
	ssize_t length;

	if (supervisor_fork_worker(sandbox_trial_main, false, &trial, NULL))
		return false;
	ready = (struct pollfd){.fd = trial.socket, .events = POLLIN};
	length = poll(&ready, 1, WAIT_MS) == 1 ? recv(trial.socket, ret, capacity - 1, 0) : -1;
	ret[length > 0 ? length : 0] = '\0';
	end(&trial);
	return length > 0;
}

static int check_trial(void)
{
	char text[512];

	CHECK(trial_says(text, sizeof(text)));
	CHECK(!strncmp(text, "yes: ", 5) || !strncmp(text, "part: ", 6));
	CHECK(strstr(text, "no capability, few system calls"));
	CHECK(!strncmp(text, "yes: ", 5) == !strstr(text, "; not: "));
	return 0;
}

static void test_trial(void **state)
{
	expect_in_child(check_trial, 0);
	expect_in_child(check_trial, SOME_USER);
}

/* A kernel without Landlock (5.10), in a container that lets nobody have namespaces. */
static int check_few_layers(void)
{
	static const unsigned missing[] = {SYS_landlock_create_ruleset}, forbidden[] = {SYS_unshare};
	char text[512];

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(confined_refuse(missing, 1, ENOSYS) && confined_refuse(forbidden, 1, EPERM));
	CHECK(trial_says(text, sizeof(text)));
	CHECK(!strcmp(text,
		      "part: no capability, few system calls; not: Landlock (Function not implemented), "
		      "user namespace, mount namespace, network namespace, IPC namespace, "
		      "UTS namespace, cgroup namespace, empty root directory (Operation not "
		      "permitted)"));
	/* It cannot do more for it. */
	return check_attempts();
}

static void test_few_layers(void **state)
{
	if (geteuid() == 0)
		expect_in_child(check_few_layers, 0);
	expect_in_child(check_few_layers, SOME_USER);
}

/* Namespaces, but nothing may be mounted in them. */
static int check_no_mounts(void)
{
	static const unsigned forbidden[] = {SYS_mount};
	char text[512];

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(confined_refuse(forbidden, 1, EPERM));
	CHECK(trial_says(text, sizeof(text)));
	CHECK(strstr(text, "; not: ") && strstr(text, "empty root directory (Operation not permitted)"));
	return check_attempts();
}

/* An initramfs: its root cannot be moved away. */
static int check_no_pivot(void)
{
	static const unsigned forbidden[] = {SYS_pivot_root};
	char text[512];

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(confined_refuse(forbidden, 1, EINVAL));
	CHECK(trial_says(text, sizeof(text)));
	CHECK(strstr(text, ", empty root directory") && !strstr(text, "; not: "));
	return check_attempts();
}

static void test_other_roots(void **state)
{
	need_root();
	expect_in_child(check_no_mounts, 0);
	expect_in_child(check_no_pivot, 0);
	if (!has_user_namespaces())
		return;
	expect_in_child(check_no_mounts, SOME_USER);
	expect_in_child(check_no_pivot, SOME_USER);
}

/* Without the list of calls there is no worker. */
static int check_no_list(void)
{
	char text[512];

	CHECK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
	CHECK(confined_refuse_seccomp(EINVAL));
	CHECK(trial_says(text, sizeof(text)));
	CHECK(!strcmp(text, "no: seccomp: Invalid argument"));
	return 0;
}

static void test_no_list(void **state)
{
	expect_in_child(check_no_list, 0);
}

/* Root's own worker, which nobody has prepared. */
static int check_alone(void)
{
	char text[8192];
	size_t length;
	struct child worker;
	int pair[2];

	CHECK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) == 0);
	worker = (struct child){.pid = fork(), .socket = pair[0]};
	if (!worker.pid) {
		close(pair[0]);
		_exit(waits_inside(pair[1], -1));
	}
	close(pair[1]);
	CHECK(is_inside(&worker));
	CHECK(read_proc(worker.pid, "status", text, sizeof(text), &length));
	CHECK(strstr(text, "\nUid:\t65534\t65534\t65534\t65534\n"));
	CHECK(has_line(text, "CapEff", "0000000000000000"));
	CHECK(has_line(text, "CapBnd", "0000000000000000"));
	CHECK(count_entries(worker.pid, "root") == 0);
	end(&worker);
	return 0;
}

static void test_alone(void **state)
{
	need_root();
	expect_in_child(check_alone, 0);
}

/* Whatever becomes of its socket. */
static int waits_for_ever(int probe_fd, int kiln_fd)
{
	if (sandbox_enter() || !confined_say(probe_fd))
		return 1;
	for (;;)
		poll(NULL, 0, -1);
}

/* It ends with its parent, also after its ids have changed. */
static int dies_with_parent(void)
{
	struct child worker;

	if (supervisor_fork_worker(waits_for_ever, false, &worker, NULL) || !is_inside(&worker))
		return 1;
	confined_get()->worker = worker.pid;
	return 0;
}

static void test_parent_dies(void **state)
{
	struct confined *shared = confined_map();
	_cleanup_close_ int pidfd = -1;
	struct pollfd ended = {.events = POLLIN};
	int status;
	pid_t pid;

	/* Orphans come to us: nobody else reaps ours. */
	assert_int_equal(prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), 0);
	pid = fork();
	if (!pid)
		_exit(dies_with_parent());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	pidfd = (int)syscall(SYS_pidfd_open, shared->worker, 0);
	ended.fd = pidfd;
	assert_true(pidfd >= 0);
	assert_int_equal(poll(&ended, 1, WAIT_MS), 1);
	assert_int_equal(waitpid(shared->worker, &status, 0), shared->worker);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
	munmap(shared, sizeof(*shared));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),	    cmocka_unit_test(test_surroundings),
		cmocka_unit_test(test_mounts_stay), cmocka_unit_test(test_attempts),
		cmocka_unit_test(test_32_bit_call), cmocka_unit_test(test_trial),
		cmocka_unit_test(test_few_layers),  cmocka_unit_test(test_other_roots),
		cmocka_unit_test(test_no_list),	    cmocka_unit_test(test_alone),
		cmocka_unit_test(test_parent_dies),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
