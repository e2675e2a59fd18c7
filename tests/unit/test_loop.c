/* The event loop: descriptors, timers, signals; and what may be removed while callbacks run. */
#include "base/loop.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { SOURCES = 40 };

struct fixture {
	struct loop *loop;
	int fds[SOURCES];
	struct loop_source *sources[SOURCES], *timer;
	unsigned calls, ticks;
	int signals[8];
	unsigned signal_count;
	bool is_nested;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	assert_null(loop_create(&fixture->loop));
	for (int i = 0; i < SOURCES; i++) {
		fixture->fds[i] = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
		assert_true(fixture->fds[i] >= 0);
	}
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	loop_destroy(fixture->loop);
	for (int i = 0; i < SOURCES; i++)
		close(fixture->fds[i]);
	free(fixture);
	return 0;
}

static void add_all(struct fixture *fixture, void (*callback)(void *arg, uint32_t events))
{
	for (int i = 0; i < SOURCES; i++)
		assert_null(loop_add_fd(fixture->loop, fixture->fds[i], EPOLLIN, callback, fixture,
					&fixture->sources[i]));
}

static void remove_all(void *arg, uint32_t events)
{
	struct fixture *fixture = arg;

	assert_int_equal(events, EPOLLIN);
	fixture->calls++;
	for (int i = 0; i < SOURCES; i++)
		loop_remove(fixture->sources[i]);
	loop_quit(fixture->loop, 5);
}

/* The first callback removes all others, which are ready in the same batch: none of them is called. */
static void test_removed_in_a_callback(void **state)
{
	struct fixture *fixture = *state;

	add_all(fixture, remove_all);
	assert_int_equal(loop_run(fixture->loop), 5);
	assert_int_equal(fixture->calls, 1);
	/* Their descriptors are the caller's, and open. */
	for (int i = 0; i < SOURCES; i++) {
		uint64_t value;

		assert_int_equal(read(fixture->fds[i], &value, sizeof(value)), sizeof(value));
	}
}

static void run_inside(void *arg, uint32_t events)
{
	struct fixture *fixture = arg;

	fixture->calls++;
	if (fixture->is_nested) {
		/* The inner run removes what the outer batch still holds. */
		remove_all(fixture, events);
		fixture->calls--;
		return;
	}
	fixture->is_nested = true;
	loop_run(fixture->loop);
}

static void stop(void *arg)
{
	struct fixture *fixture = arg;

	fixture->ticks++;
	loop_quit(fixture->loop, 0);
}

static void test_run_in_a_callback(void **state)
{
	struct fixture *fixture = *state;
	struct loop_source *timer;

	add_all(fixture, run_inside);
	assert_null(loop_add_timer(fixture->loop, 20, 0, stop, fixture, &timer));
	loop_run(fixture->loop);
	assert_int_equal(fixture->calls, 2);
}

static void tick(void *arg)
{
	struct fixture *fixture = arg;

	if (++fixture->ticks == 3)
		loop_quit(fixture->loop, 1);
}

static void test_timer(void **state)
{
	struct fixture *fixture = *state;

	assert_null(loop_add_timer(fixture->loop, 1, 2, tick, fixture, &fixture->timer));
	assert_int_equal(loop_run(fixture->loop), 1);
	assert_int_equal(fixture->ticks, 3);
	/* Switched off: only the other one comes. */
	assert_null(loop_set_timer(fixture->timer, 0, 0));
	assert_null(loop_add_timer(fixture->loop, 30, 0, stop, fixture, &fixture->timer));
	assert_int_equal(loop_run(fixture->loop), 0);
	assert_int_equal(fixture->ticks, 4);
	/* Longer than a second. */
	assert_null(loop_set_timer(fixture->timer, 86400000, 1500));
}

static void remove_own_timer(void *arg)
{
	struct fixture *fixture = arg;

	fixture->ticks++;
	loop_remove(fixture->timer);
	loop_remove(fixture->timer); /* twice is once */
	loop_quit(fixture->loop, 0);
}

static void test_timer_removes_itself(void **state)
{
	struct fixture *fixture = *state;

	assert_null(loop_add_timer(fixture->loop, 1, 1, remove_own_timer, fixture, &fixture->timer));
	loop_run(fixture->loop);
	assert_int_equal(fixture->ticks, 1);
}

static void on_signal(void *arg, int signal)
{
	struct fixture *fixture = arg;

	fixture->signals[fixture->signal_count++] = signal;
	if (fixture->signal_count == 2)
		loop_quit(fixture->loop, 0);
}

static void test_signals(void **state)
{
	struct fixture *fixture = *state;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigaddset(&signals, SIGUSR2);
	assert_null(loop_add_signals(fixture->loop, &signals, on_signal, fixture));
	raise(SIGUSR1);
	raise(SIGUSR2);
	loop_run(fixture->loop);
	assert_int_equal(fixture->signals[0] + fixture->signals[1], SIGUSR1 + SIGUSR2);
	assert_int_equal(fixture->signal_count, 2);
}

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 1024; fd++)
		count += dup2(fd, fd) == fd;
	return count;
}

static void test_leaves_no_descriptor(void **state)
{
	struct loop_source *timer;
	struct fixture *fixture = *state;
	int before = count_fds();
	struct loop *loop;
	sigset_t none;

	sigemptyset(&none);
	for (int i = 0; i < 10; i++) {
		assert_null(loop_create(&loop));
		assert_null(loop_add_timer(loop, 1000, 0, tick, fixture, &timer));
		assert_null(loop_add_signals(loop, &none, on_signal, fixture));
		loop_destroy(loop);
	}
	assert_int_equal(count_fds(), before);
	loop_destroy(NULL);
	loop_remove(NULL);
}

static void test_bad_descriptor(void **state)
{
	struct fixture *fixture = *state;
	struct loop_source *source = NULL;
	struct error *error = loop_add_fd(fixture->loop, -1, EPOLLIN, remove_all, fixture, &source);

	assert_non_null(error);
	assert_null(source);
	error_destroy(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_removed_in_a_callback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_run_in_a_callback, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_timer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_timer_removes_itself, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_signals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_leaves_no_descriptor, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bad_descriptor, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
