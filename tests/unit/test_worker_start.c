/* Who keeps the rights to end a worker: a process that has none any more leaves it behind, hanging or not. */
#include "worker_start.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY	  65534
#define SOMEBODY  1234
#define EXIT_CODE 7

/* A worker that looks at nothing and ends at nothing. */
static pid_t start_hanging(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		if (setgid(NOBODY) || setuid(NOBODY))
			_exit(1);
		for (;;)
			pause();
	}
	return pid;
}

/* As kiln annotate: a worker is started, then the rights are dropped. */
static int run_guarded(pid_t *worker)
{
	int status;

	if (!worker_guard(&status))
		return status;
	*worker = start_hanging();
	if (setgid(SOMEBODY) || setuid(SOMEBODY) || (kill(*worker, SIGKILL) == 0) || errno != EPERM)
		return 1;
	return EXIT_CODE;
}

static void test_what_hangs_is_ended(void **state)
{
	pid_t *worker = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;
	int status;

	if (geteuid() != 0)
		skip();
	assert_ptr_not_equal(worker, MAP_FAILED);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(run_guarded(worker));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_CODE);
	assert_true(*worker > 0);
	assert_int_equal(kill(*worker, 0), -1);
	assert_int_equal(errno, ESRCH);
	munmap(worker, 4096);
}

/* It has no more rights than its worker. */
static void test_without_root(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		if (geteuid() == 0 && setuid(SOMEBODY))
			_exit(1);
		_exit(worker_guard(&status) && waitpid(-1, NULL, 0) < 0 && errno == ECHILD ? EXIT_CODE : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), EXIT_CODE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_hangs_is_ended),
		cmocka_unit_test(test_without_root),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
