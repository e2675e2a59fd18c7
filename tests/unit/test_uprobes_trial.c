/* What is tried before a target is touched: which links there are, what they cost, what a seccomp filter
 * does. As root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/uprobes_trial.h"
#include "tests/support/probing.h"
#include "tests/support/victim.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- choosing ---- */

static void test_choose(void **state)
{
	enum uprobe_links links;

	require_root();
	assert_ok(uprobes_choose(&links));
	assert_int_equal(links, has_sessions() ? UPROBE_SESSION : UPROBE_PERF);
	/* Nothing stays in this process. */
	wait_for_byte(getpid(), (uintptr_t)trial_functions[TRIAL_LINK], PUSH, DEADLINE_NS);
}

static void test_choose_says_what_the_kernel_lacks(void **state)
{
	enum uprobe_links links;

	require_root();
	if (has_sessions()) {
		print_message("# skipped: this kernel has uprobe sessions\n");
		skip();
	}
	setenv("KILN_UPROBES", "session", 1);
	assert_refused(uprobes_choose(&links), ERROR_UNSUPPORTED, "no uprobe sessions");
	unsetenv("KILN_UPROBES");
}

static void test_choose_is_forced(void **state)
{
	enum uprobe_links links = UPROBE_SESSION;

	require_links(UPROBE_PERF);
	setenv("KILN_UPROBES", "perf", 1);
	assert_ok(uprobes_choose(&links));
	assert_int_equal(links, UPROBE_PERF);
	setenv("KILN_UPROBES", "kprobe", 1);
	assert_refused(uprobes_choose(&links), ERROR_USAGE, "KILN_UPROBES");
	unsetenv("KILN_UPROBES");
}

static void keep_capabilities(const cap_value_t *values, int count)
{
	cap_t set = cap_init();

	if (count)
		cap_set_flag(set, CAP_PERMITTED, count, values, CAP_SET);
	if (count)
		cap_set_flag(set, CAP_EFFECTIVE, count, values, CAP_SET);
	if (cap_set_proc(set) != 0)
		_exit(99);
	cap_free(set);
}

/* What uprobes_choose() says in a process with these capabilities: 0 and the kind of links, or the error. */
struct choice {
	int code;
	enum uprobe_links links;
	char message[256];
	bool has_hint;
};

static struct choice choose_with(const char *forced, const cap_value_t *values, int count)
{
	struct choice choice = {0};
	struct error *error;
	int answer[2];
	pid_t child;

	assert_int_equal(pipe2(answer, O_CLOEXEC), 0);
	child = fork();
	if (child == 0) {
		if (forced)
			setenv("KILN_UPROBES", forced, 1);
		keep_capabilities(values, count);
		error = uprobes_choose(&choice.links);
		if (error) {
			choice.code = (int)error_get_code(error);
			snprintf(choice.message, sizeof(choice.message), "%s", error_get_message(error));
			choice.has_hint = error_get_hint(error) != NULL;
		}
		_exit(write(answer[1], &choice, sizeof(choice)) != sizeof(choice));
	}
	close(answer[1]);
	assert_int_equal(read(answer[0], &choice, sizeof(choice)), sizeof(choice));
	close(answer[0]);
	waitpid(child, NULL, 0);
	return choice;
}

static void test_choose_names_what_is_missing(void **state)
{
	static const cap_value_t bpf[] = {CAP_BPF}, both[] = {CAP_BPF, CAP_PERFMON};
	struct choice choice;

	require_root();
	choice = choose_with(NULL, NULL, 0);
	assert_int_equal(choice.code, ERROR_PERMISSION);
	assert_non_null(strstr(choice.message, "CAP_BPF is missing"));
	assert_true(choice.has_hint);
	choice = choose_with(NULL, bpf, 1);
	assert_int_equal(choice.code, ERROR_PERMISSION);
	assert_true(choice.has_hint);
	/* Some kernels are content with CAP_PERFMON for this. */
	choice = choose_with("perf", both, 2);
	if (choice.code) {
		assert_int_equal(choice.code, ERROR_PERMISSION);
		assert_non_null(strstr(choice.message, "CAP_SYS_ADMIN is missing"));
		assert_true(choice.has_hint);
	}
}

static void test_session_needs_two_capabilities(void **state)
{
	static const cap_value_t both[] = {CAP_BPF, CAP_PERFMON};
	struct choice choice;

	require_links(UPROBE_SESSION);
	choice = choose_with("session", both, 1);
	assert_int_equal(choice.code, ERROR_PERMISSION);
	assert_non_null(strstr(choice.message, "CAP_PERFMON is missing"));
	choice = choose_with(NULL, both, 2);
	assert_int_equal(choice.code, 0);
	assert_int_equal(choice.links, UPROBE_SESSION);
}

/* ---- trials ---- */

static void check_costs(enum uprobe_links links)
{
	struct uprobe_costs costs = {0};
	uint64_t start_ns;

	require_links(links);
	start_ns = now_ns();
	assert_ok(uprobes_measure_costs(links, &costs));
	print_message("# entry %.0f ns, with return %.0f ns, vetoed %.0f ns; measured in %d ms\n",
		      costs.entry_ns, costs.return_ns, costs.vetoed_ns,
		      (int)((now_ns() - start_ns) / 1000000));
	/* An exception and a return from it cannot be faster. */
	assert_true(costs.entry_ns > 50);
	assert_true(costs.return_ns > costs.entry_ns * 1.1);
	if (links == UPROBE_SESSION)
		assert_true(costs.vetoed_ns > 50 && costs.vetoed_ns < costs.return_ns * 0.9);
	else
		assert_true(costs.vetoed_ns == costs.return_ns);
}

static void test_session_costs(void **state)
{
	check_costs(UPROBE_SESSION);
}

static void test_perf_costs(void **state)
{
	check_costs(UPROBE_PERF);
}

static void check_seccomp(enum uprobe_links links)
{
	bool survives = false;

	require_links(links);
	assert_ok(uprobes_try_seccomp(links, &survives));
	assert_true(survives);
}

static void test_session_under_seccomp(void **state)
{
	check_seccomp(UPROBE_SESSION);
}

static void test_perf_under_seccomp(void **state)
{
	check_seccomp(UPROBE_PERF);
}

/* The filter does kill, and a death is seen: reading the clock is a system call that it does not know. */
static void test_puppet_dies_of_its_filter(void **state)
{
	struct puppet puppet;
	uint64_t ns;
	bool lives = false;

	assert_ok(puppet_start(true, &puppet));
	assert_ok(puppet_call(&puppet, TRIAL_RETURN, 1, &lives, NULL));
	assert_true(lives);
	assert_ok(puppet_call(&puppet, TRIAL_RETURN, 1, &lives, &ns));
	assert_false(lives);
	puppet_end(&puppet);
}

/* A puppet holds nothing of its parent's: a pipe that was open at the fork ends with the parent's end. */
static void test_puppet_inherits_nothing(void **state)
{
	struct puppet puppet;
	struct pollfd event = {.events = POLLIN};
	int fds[2];

	assert_int_equal(pipe(fds), 0);
	assert_ok(puppet_start(false, &puppet));
	close(fds[1]);
	event.fd = fds[0];
	assert_int_equal(poll(&event, 1, 0), 1);
	assert_true(event.revents & POLLHUP);
	puppet_end(&puppet);
	close(fds[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choose),
		cmocka_unit_test(test_choose_is_forced),
		cmocka_unit_test(test_choose_says_what_the_kernel_lacks),
		cmocka_unit_test(test_choose_names_what_is_missing),
		cmocka_unit_test(test_session_needs_two_capabilities),
		cmocka_unit_test(test_session_costs),
		cmocka_unit_test(test_perf_costs),
		cmocka_unit_test(test_session_under_seccomp),
		cmocka_unit_test(test_perf_under_seccomp),
		cmocka_unit_test(test_puppet_dies_of_its_filter),
		cmocka_unit_test(test_puppet_inherits_nothing),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
