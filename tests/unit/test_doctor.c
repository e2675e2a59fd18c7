/* kiln doctor: the form of its lines, and its status with and without rights. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/doctor.h"
#include "bpf/privileges.h"
#include "symbolizer/sandbox.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int report(pid_t pid, char **ret_text)
{
	size_t size;
	FILE *stream = open_memstream(ret_text, &size);
	struct error *error;
	int status = -1;

	assert_non_null(stream);
	error = doctor_report(pid, sandbox_trial_main, stream, &status);
	fclose(stream);
	if (error)
		fail_msg("%s", error_get_message(error));
	return status;
}

/* name: yes|no|part: reason */
static void check_lines(char *text)
{
	char *rest = text;

	for (char *line = strsep(&rest, "\n"); rest; line = strsep(&rest, "\n")) {
		char *answer = strstr(line, ": ");
		char *reason = answer ? strstr(answer + 2, ": ") : NULL;

		if (!reason || answer == line || !reason[2])
			fail_msg("no such line: %s", line);
		*reason = '\0';
		if (strcmp(answer + 2, "yes") && strcmp(answer + 2, "no") && strcmp(answer + 2, "part"))
			fail_msg("no such answer: %s", answer + 2);
	}
}

static void test_lines(void **state)
{
	_cleanup_free_ char *text = NULL;
	int status = report(0, &text);

	assert_true(status == 0 || status == ERROR_PERMISSION || status == ERROR_UNSUPPORTED);
	assert_non_null(strstr(text, "architecture: yes: "));
	assert_null(strstr(text, "\ntarget"));
	check_lines(text);
}

/* What answers follows from the probes that can be had, however they are had. */
static void test_heap(void **state)
{
	static const struct {
		const char *forced, *line;
	} cases[] = {
		{"session", "\nheap: yes: "},
		{"perf", "\nheap: part: probes of allocators attach as perf events only"},
	};

	if (geteuid() != 0) {
		print_message("needs root: probes are attached\n");
		skip();
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup_free_ char *text = NULL;

		setenv("KILN_UPROBES", cases[i].forced, 1);
		report(0, &text);
		unsetenv("KILN_UPROBES");
		/* A kernel without sessions says so. */
		if (!strstr(text, cases[i].line) && (i || !strstr(text, "\nheap: no: ")))
			fail_msg("no \"%s\" in:\n%s", cases[i].line, text);
		check_lines(text);
	}
}

/* This process itself is kiln's own: the target is a process that has ended, and then a stranger. */
static void test_target(void **state)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_free_ char *gone = NULL;
	int ready[2];
	char byte;
	pid_t pid;

	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		/* sh says that it runs, and is there until it is told to end. */
		dup2(ready[1], STDOUT_FILENO);
		execl("/bin/sh", "sh", "-c", "echo; kill -STOP $$", NULL);
		_exit(127);
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	report(pid, &text);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close(ready[0]);
	assert_non_null(strstr(text, "\ntarget: yes: process "));
	assert_non_null(strstr(text, "\ntarget 64-bit: yes: "));
	assert_non_null(strstr(text, "\ntarget maps: yes: "));
	assert_non_null(strstr(text, "\nuprobes mapping: no: "));
	check_lines(text);
	assert_int_equal(report(pid, &gone), ERROR_NO_TARGET);
	assert_non_null(strstr(gone, "\ntarget: no: no process "));
	check_lines(gone);
}

static void test_without_rights(void **state)
{
	int status;
	pid_t pid;

	if (geteuid() != 0 && privileges_has(CAP_BPF)) {
		print_message("runs with CAP_BPF\n");
		skip();
	}
	pid = fork();
	if (!pid) {
		char *text = NULL;

		if (geteuid() == 0 && privileges_drop_to_user(12345, 12345))
			_exit(99);
		status = report(0, &text);
		if (!strstr(text, "\nCAP_BPF: no: ") || !strstr(text, "\nkernel symbols: no: ") ||
		    !strstr(text, "\nheap: no: "))
			_exit(98);
		_exit(status);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	/* Rights are what is missing, unless the kernel lacks something too. */
	assert_true(WEXITSTATUS(status) == ERROR_PERMISSION || WEXITSTATUS(status) == ERROR_UNSUPPORTED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_heap),
		cmocka_unit_test(test_target),
		cmocka_unit_test(test_without_rights),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
