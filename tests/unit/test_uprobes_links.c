/* How links are made and closed: in children, so that no kill leaves a trap half set or half taken. As root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/uprobes_internal.h"
#include "bpf/uprobes_trial.h"
#include "tests/support/probing.h"
#include "tests/support/victim.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define MANY   300 /* more than a message takes */
#define ROUNDS 25

/* ---- any fds ---- */

static void make_many(struct links *links, void *arg)
{
	const int *number = arg;

	while (links->count < (size_t)*number && links_may_add(links, 1))
		links->fds[links->count++] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static unsigned count_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_takes_over_more_than_a_message(void **state)
{
	int fds[MANY], number = MANY;
	struct links links = {.fds = fds, .capacity = MANY};
	unsigned before = count_fds();

	links_make(&links, make_many, &number);
	assert_int_equal(links.failure, 0);
	assert_int_equal(links.count, MANY);
	assert_int_equal(count_fds(), before + MANY);
	for (int i = 0; i < MANY; i++)
		assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
	links_close(fds, MANY);
	assert_int_equal(count_fds(), before);
}

static void test_more_than_there_is_room_for(void **state)
{
	int fds[2], number = 3;
	struct links links = {.fds = fds, .capacity = 2};
	unsigned before = count_fds();

	links_make(&links, make_many, &number);
	assert_int_equal(links.failure, E2BIG);
	assert_int_equal(links.count, 0);
	assert_int_equal(count_fds(), before);
}

/* All or none: what did arrive is closed again. */
static void test_no_fds_left(void **state)
{
	int fds[MANY], number = MANY;
	struct links links = {.fds = fds, .capacity = MANY};
	struct rlimit before, tight;
	unsigned open_before = count_fds();

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = open_before + 150;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	links_make(&links, make_many, &number);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_not_equal(links.failure, 0);
	assert_int_equal(links.count, 0);
	assert_int_equal(count_fds(), open_before);
	assert_refused(links_explain(&links), ERROR_GENERAL, "cannot set probes");
}

/* The caller takes its signals when the child has ended. */
static void make_and_signal(struct links *links, void *arg)
{
	kill(getppid(), SIGUSR1);
}

static volatile sig_atomic_t signals;

static void on_signal(int number)
{
	signals++;
}

static void test_signals_wait(void **state)
{
	struct links links = {0};

	signal(SIGUSR1, on_signal);
	links_make(&links, make_and_signal, NULL);
	assert_int_equal(signals, 1);
	signal(SIGUSR1, SIG_DFL);
}

/* ---- the child is killed ---- */

struct suicide {
	unsigned deaths, wanted; /* in memory that the children share */
};

static void make_and_die(struct links *links, void *arg)
{
	struct suicide *suicide = arg;
	int one = 1;

	make_many(links, &one);
	if (suicide->deaths < suicide->wanted) {
		suicide->deaths++;
		kill(getpid(), SIGKILL);
	}
}

static void check_deaths(unsigned deaths, int failure)
{
	struct suicide suicide = {.wanted = deaths};
	int fd;
	struct links links = {.fds = &fd, .capacity = 1};
	unsigned before = count_fds();

	links_make(&links, make_and_die, &suicide);
	assert_int_equal(links.failure, failure);
	assert_int_equal(links.count, failure ? 0 : 1);
	assert_int_equal(count_fds(), before + links.count);
	links_close(links.fds, links.count);
}

static void test_a_killed_child_is_replaced(void **state)
{
	check_deaths(2, 0);
}

static void test_killed_each_time(void **state)
{
	check_deaths(3, EINTR);
}

/* ---- whoever sets and takes traps is killed at any moment ---- */

static const struct uprobe_site sites[] = {
	{.offset = 1 * CODE_FUNCTION, .cookie = TRIAL_ENTRY, .wants_return = false},
	{.offset = 2 * CODE_FUNCTION, .cookie = TRIAL_RETURN, .wants_return = true},
};
#define SITES (sizeof(sites) / sizeof(sites[0]))

/* Sets and takes until it is killed. */
static void set_and_take(enum uprobe_links links, struct trial *trial, const struct victim *victim, int file,
			 int ready)
{
	struct uprobes_programs programs = trial_get_programs(trial);
	struct uprobes *uprobes;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		if (uprobes_create(links, &programs, victim->pid, &uprobes) || write(ready, "", 1) != 1 ||
		    uprobes_attach(uprobes, file, sites, SITES))
			_exit(1);
		uprobes_destroy(uprobes);
	}
}

static void kill_once(enum uprobe_links links, struct trial *trial, const struct victim *victim, int file,
		      unsigned spread_us)
{
	struct pollfd nothing = {.fd = -1};
	struct timespec moment = {.tv_nsec = (long)(random() % spread_us) * 1000};
	int ready[2];
	char byte;
	pid_t child;

	assert_int_equal(pipe2(ready, O_CLOEXEC | O_NONBLOCK), 0);
	assert_int_equal(fcntl(ready[0], F_SETFL, 0), 0);
	child = fork();
	if (child == 0)
		set_and_take(links, trial, victim, file, ready[1]);
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	/* No waiting for anything: the moment is what is random. */
	ppoll(&nothing, 0, &moment, NULL);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	for (unsigned i = 0; i < SITES; i++)
		wait_for_byte(victim->pid, victim->code + sites[i].offset, PUSH, DEADLINE_NS);
	close(ready[0]);
}

static void check_kills(enum uprobe_links links, unsigned spread_us)
{
	char path[] = "/tmp/kiln-test-links-XXXXXX";
	struct trial *trial;
	struct victim victim;
	unsigned seed = getenv("KILN_SEED") ? (unsigned)atoi(getenv("KILN_SEED")) : (unsigned)now_ns();
	int file;

	require_links(links);
	print_message("# KILN_SEED=%u\n", seed);
	srandom(seed);
	file = code_create(path);
	victim = victim_start(file);
	assert_ok(trial_create(links, &trial));
	for (unsigned i = 0; i < ROUNDS; i++)
		kill_once(links, trial, &victim, file, spread_us);
	/* It computes on. */
	victim_tell(&victim, VICTIM_CALL, (unsigned)sites[1].offset, 5);
	trial_destroy(trial);
	victim_end(&victim);
	close(file);
	unlink(path);
}

static void test_session_killed_at_any_moment(void **state)
{
	check_kills(UPROBE_SESSION, 200000);
}

static void test_perf_killed_at_any_moment(void **state)
{
	check_kills(UPROBE_PERF, 400000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes_over_more_than_a_message),
		cmocka_unit_test(test_more_than_there_is_room_for),
		cmocka_unit_test(test_no_fds_left),
		cmocka_unit_test(test_signals_wait),
		cmocka_unit_test(test_a_killed_child_is_replaced),
		cmocka_unit_test(test_killed_each_time),
		cmocka_unit_test(test_session_killed_at_any_moment),
		cmocka_unit_test(test_perf_killed_at_any_moment),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
