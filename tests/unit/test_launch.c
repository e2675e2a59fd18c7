/* Starting CMD: it waits, runs, fails with words, and never outlives a kiln that died before the release. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

static struct launch_options options_for(char *const *argv)
{
	return (struct launch_options){
		.argv = argv,
		.uid = getuid(),
		.gid = getgid(),
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
	};
}

static struct error *start(const struct launch_options *options, struct launch *launch)
{
	struct error *error = launch_prepare(options, launch);

	if (error)
		fail_msg("%s", error_get_message(error));
	return launch_release(launch, options->argv[0]);
}

/* Everything that the process writes until it ends, and its status. */
static int collect(struct launch *launch, int fd, char *text, size_t capacity)
{
	size_t length = 0;
	ssize_t got;
	int status;

	while (length < capacity - 1 && (got = read(fd, text + length, capacity - 1 - length)) > 0)
		length += (size_t)got;
	text[length] = '\0';
	assert_int_equal(waitpid(launch->pid, &status, 0), launch->pid);
	return status;
}

static void test_waits_and_runs(void **state)
{
	char *argv[] = {"sh", "-c", "echo ran; cat; exit 3", NULL};
	struct launch_options options = options_for(argv);
	struct launch launch;
	char text[64];
	int out[2], status;
	struct pollfd ready;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	options.stdin_fd = launch_open_null();
	options.stdout_fd = out[1];
	assert_null(launch_prepare(&options, &launch));
	close(out[1]);
	close(options.stdin_fd);
	/* Nothing comes before the release. (A wait that must run out: it cannot come later than never.) */
	ready = (struct pollfd){.fd = out[0], .events = POLLIN};
	assert_int_equal(poll(&ready, 1, 50), 0);
	assert_null(launch_release(&launch, argv[0]));
	status = collect(&launch, out[0], text, sizeof(text));
	assert_string_equal(text, "ran\n");
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	launch_abort(&launch); /* nothing to do */
	close(out[0]);
}

static void test_no_such_command(void **state)
{
	char *argv[] = {"kiln-no-such-\033command", NULL};
	struct launch_options options = options_for(argv);
	struct launch launch;
	struct error *error = start(&options, &launch);

	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_NO_TARGET);
	assert_int_equal(error_get_errno(error), ENOENT);
	assert_string_equal(error_get_message(error),
			    "cannot execute kiln-no-such-?command: No such file or directory");
	assert_non_null(strstr(error_get_hint(error), "PATH"));
	error_destroy(error);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* reaped */
	assert_int_equal(errno, ECHILD);
}

static void test_not_executable(void **state)
{
	char path[] = "/tmp/kiln-launch-XXXXXX";
	char *argv[] = {path, NULL};
	struct launch_options options = options_for(argv);
	struct launch launch;
	struct error *error;

	close(mkstemp(path));
	error = start(&options, &launch);
	unlink(path);
	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_NO_TARGET);
	assert_int_equal(error_get_errno(error), EACCES);
	assert_non_null(strstr(error_get_hint(error), "chmod"));
	error_destroy(error);
}

static void test_abort(void **state)
{
	char path[] = "/tmp/kiln-launch-XXXXXX";
	char *argv[] = {"rm", path, NULL};
	struct launch_options options = options_for(argv);
	struct launch launch;
	pid_t pid;

	close(mkstemp(path));
	assert_null(launch_prepare(&options, &launch));
	pid = launch.pid;
	launch_abort(&launch);
	assert_int_equal(kill(pid, 0), -1);
	assert_int_equal(access(path, F_OK), 0); /* it did not run */
	unlink(path);
	launch_abort(&launch);
}

/* kiln is killed while CMD waits: CMD must end, and must not run. */
static void test_kiln_dies_before_release(void **state)
{
	char path[] = "/tmp/kiln-launch-XXXXXX";
	char *argv[] = {"rm", path, NULL};
	struct pollfd ended;
	int pids[2];
	pid_t kiln, command = 0;

	close(mkstemp(path));
	assert_int_equal(pipe2(pids, O_CLOEXEC), 0);
	kiln = fork();
	if (!kiln) {
		struct launch_options options = options_for(argv);
		struct launch launch;

		if (!launch_prepare(&options, &launch) &&
		    write(pids[1], &launch.pid, sizeof(pid_t)) == sizeof(pid_t))
			pause();
		_exit(1);
	}
	close(pids[1]);
	assert_int_equal(read(pids[0], &command, sizeof(pid_t)), sizeof(pid_t));
	close(pids[0]);
	ended = (struct pollfd){.fd = pidfd_open(command, 0), .events = POLLIN};
	assert_true(ended.fd >= 0);
	kill(kiln, SIGKILL);
	waitpid(kiln, NULL, 0);
	assert_int_equal(poll(&ended, 1, 10000), 1);
	close(ended.fd);
	assert_int_equal(access(path, F_OK), 0);
	unlink(path);
}

/* A fresh program's signals, its own group, and no fd of ours. */
static void test_clean_start(void **state)
{
	char *argv[] = {"sh", "-c",
			"grep -E '^Sig(Ign|Blk)' /proc/self/status; ls /proc/self/fd; "
			"cut -d' ' -f1,4,5 /proc/$$/stat",
			NULL};
	struct launch_options options = options_for(argv);
	struct launch launch;
	int out[2], status, leak = open("/dev/null", O_RDONLY); /* without close-on-exec */
	char text[512], expected[128];
	sigset_t blocked, before;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	signal(SIGINT, SIG_IGN);
	assert_int_equal(pipe(out), 0);
	options.stdout_fd = out[1];
	options.own_group = true;
	assert_null(start(&options, &launch));
	signal(SIGINT, SIG_DFL);
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(out[1]);
	close(leak);
	status = collect(&launch, out[0], text, sizeof(text));
	close(out[0]);
	assert_int_equal(status, 0);
	/* 3 is the directory that ls reads; then pid (the comm holds no blank), parent and group. */
	snprintf(expected, sizeof(expected),
		 "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n0\n1\n2\n3\n%d %d %d\n",
		 (int)launch.pid, (int)getpid(), (int)launch.pid);
	assert_string_equal(text, expected);
}

static void test_as_another_user(void **state)
{
	char *argv[] = {"sh", "-c",
			"id -u; id -g; grep CapEff /proc/self/status; echo $HOME; exec 2>&-; : </etc/shadow",
			NULL};
	struct launch_options options = options_for(argv);
	struct launch launch;
	char text[256];
	int out[2], status;

	if (geteuid() != 0) {
		print_message("needs root\n");
		skip();
	}
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	options.uid = options.gid = 65534;
	options.stdout_fd = out[1];
	assert_null(start(&options, &launch));
	close(out[1]);
	status = collect(&launch, out[0], text, sizeof(text));
	close(out[0]);
	assert_int_not_equal(status, 0); /* /etc/shadow */
	assert_string_equal(text, "65534\n65534\nCapEff:\t0000000000000000\n/nonexistent\n");
}

static void test_as_root(void **state)
{
	char *argv[] = {"id", "-u", NULL};
	struct launch_options options = options_for(argv);
	struct launch launch;
	char text[32], expected[32];
	int out[2], status;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	options.uid = options.gid = 65534;
	options.as_root = true;
	options.stdout_fd = out[1];
	assert_null(start(&options, &launch));
	close(out[1]);
	status = collect(&launch, out[0], text, sizeof(text));
	close(out[0]);
	snprintf(expected, sizeof(expected), "%u\n", (unsigned)geteuid());
	assert_string_equal(text, expected);
	assert_int_equal(status, 0);
}

/* Also when 0, 1 and 2 are given as each other, and when kiln itself has none of them open. */
static void test_fds_in_each_others_place(void **state)
{
	char *argv[] = {"sh", "-c", "echo out; echo err >&2", NULL};
	int out[2], err[2];
	char text[16] = "";
	pid_t pid;

	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	assert_int_equal(pipe2(err, O_CLOEXEC), 0);
	pid = fork();
	if (!pid) {
		struct launch_options options = options_for(argv);
		struct launch launch;
		int status = 1;

		close(0);
		dup2(err[1], 1); /* crossed */
		dup2(out[1], 2);
		options.stdout_fd = 2;
		options.stderr_fd = 1;
		if (!launch_prepare(&options, &launch) && !launch_release(&launch, "sh"))
			waitpid(launch.pid, &status, 0);
		_exit(status != 0);
	}
	close(out[1]);
	close(err[1]);
	assert_int_equal(read(out[0], text, 15), 4);
	assert_string_equal(text, "out\n");
	assert_int_equal(read(err[0], text, 15), 4);
	assert_string_equal(text, "err\n");
	waitpid(pid, NULL, 0);
	close(out[0]);
	close(err[0]);
}

/* In a session of its own with a terminal: CMD reads from it, and kiln has it back afterwards. */
static int run_on_terminal(void)
{
	char *argv[] = {"sh", "-c", "read word && test \"$word\" = hello", NULL};
	struct launch_options options = options_for(argv);
	struct launch launch;
	int status;

	options.own_group = options.in_foreground = true;
	if (start(&options, &launch))
		return 1;
	if (waitpid(launch.pid, &status, WUNTRACED) != launch.pid || !WIFEXITED(status) ||
	    WEXITSTATUS(status))
		return 2;
	if (tcgetpgrp(0) == getpgrp())
		return 3; /* CMD never was in front */
	launch_take_terminal();
	return tcgetpgrp(0) == getpgrp() ? 0 : 4;
}

static void test_terminal(void **state)
{
	int master, status;
	char text[256];
	pid_t pid = forkpty(&master, NULL, NULL, NULL);

	assert_true(pid >= 0);
	if (!pid)
		_exit(run_on_terminal());
	assert_int_equal(write(master, "hello\n", 6), 6);
	while (read(master, text, sizeof(text)) > 0)
		;
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(master);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_waits_and_runs),		 cmocka_unit_test(test_no_such_command),
		cmocka_unit_test(test_not_executable),		 cmocka_unit_test(test_abort),
		cmocka_unit_test(test_kiln_dies_before_release), cmocka_unit_test(test_clean_start),
		cmocka_unit_test(test_as_another_user),		 cmocka_unit_test(test_as_root),
		cmocka_unit_test(test_fds_in_each_others_place), cmocka_unit_test(test_terminal),
	};

	/* A directory of PATH that may not be read makes EACCES of ENOENT. */
	setenv("PATH", "/usr/bin:/bin", 1);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
