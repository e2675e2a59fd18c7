/* Several workers for tables: in what order, beside whom, and what is built once only. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/puppets.h"

#include "bpf/events.h"

#include <signal.h>
#include <string.h>

static const struct workers_ops ops = {
	.table = puppets_on_table,
	.heat = puppets_read_heat,
	.names_socket = puppets_on_names_socket,
	.pids = puppets_on_pids,
	.hooks = puppets_on_hooks,
	.given_up = puppets_on_given_up,
	.deadline_ms = 300,
	.tables_max = 1,
};

static const struct workers_ops sharing_ops = {
	.table = puppets_on_table,
	.share_table = puppets_on_share,
	.names_socket = puppets_on_names_socket,
	.pids = puppets_on_pids,
	.deadline_ms = 300,
	.tables_max = 1,
};

static const struct workers_ops parallel_ops = {
	.table = puppets_on_table,
	.names_socket = puppets_on_names_socket,
	.pids = puppets_on_pids,
	.given_up = puppets_on_given_up,
	.deadline_ms = 3000,
	.tables_max = 3,
};

static int set_up(void **state)
{
	return puppets_set_up(state, &ops);
}

static int set_up_sharing(void **state)
{
	return puppets_set_up(state, &sharing_ops);
}

static int set_up_parallel(void **state)
{
	return puppets_set_up(state, &parallel_ops);
}

static void test_hottest_first(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, WAITS, 10);
	puppets_add(fixture, GOOD, 1000);
	puppets_add(fixture, CRASHES_ONCE, 3000);
	puppets_add(fixture, SAYS_WHY_WITH_ESCAPES, 2000);
	puppets_add(fixture, OK_WITHOUT_TABLE, 5000);
	/* They are missed after they were added: it counts when the worker is free. */
	fixture->modules[OK_WITHOUT_TABLE].heat = 7;
	fixture->modules[CRASHES_ONCE].heat = 3;
	fixture->modules[SAYS_WHY_WITH_ESCAPES].heat = 3;
	puppets_shared->is_released = true;
	puppets_wait_for_answers(fixture, 5);
	assert_int_equal(fixture->modules[WAITS].number, 1);
	assert_int_equal(fixture->modules[OK_WITHOUT_TABLE].number, 2);
	assert_int_equal(fixture->modules[SAYS_WHY_WITH_ESCAPES].number, 3);
	/* One that cost a worker keeps its place. */
	assert_int_equal(fixture->modules[CRASHES_ONCE].number, 4);
	assert_int_equal(fixture->modules[GOOD].number, 5);
}

/* ---- several workers ---- */

static unsigned count_pids(struct puppets *fixture)
{
	pid_t pids[WORKERS_PIDS_MAX];
	size_t count = workers_get_pids(fixture->workers, pids);
	unsigned ret = 0;

	for (size_t i = 0; i < count; i++)
		ret += pids[i] > 0;
	return ret;
}

static void test_parallel(void **state)
{
	struct puppets *fixture = *state;

	assert_int_equal(count_pids(fixture), 2);
	puppets_add_only(fixture, WAITS_FOR_TWO_MORE, 10);
	puppets_add_only(fixture, WAITS_FOR_TWO_MORE_B, 10);
	puppets_add(fixture, WAITS_FOR_TWO_MORE_C, 10);
	assert_int_equal(count_pids(fixture), 4);
	assert_int_equal(fixture->pids_changes, 2);
	assert_int_equal(workers_count_waiting(fixture->workers), 3);
	puppets_wait_for_answers(fixture, 3);
	for (uint32_t module = WAITS_FOR_TWO_MORE; module <= WAITS_FOR_TWO_MORE_C; module++) {
		puppets_check_good(fixture, module);
		assert_int_equal(puppets_shared->builds[module], 1);
	}
	/* They stay, and take what comes. */
	puppets_add(fixture, GOOD, 10);
	puppets_wait_for_answers(fixture, 4);
	assert_int_equal(count_pids(fixture), 4);
	assert_int_equal(fixture->pids_changes, 2);
}

/* A second one only when two tables wait. */
static void test_no_worker_too_many(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, GOOD, 10);
	puppets_wait_for_answers(fixture, 1);
	puppets_add(fixture, OK_WITHOUT_TABLE, 10);
	puppets_wait_for_answers(fixture, 2);
	assert_int_equal(count_pids(fixture), 2);
	assert_int_equal(fixture->pids_changes, 0);
	puppets_add_only(fixture, WAITS, 10);
	puppets_add(fixture, SAYS_WHY_WITH_ESCAPES, 20);
	puppets_wait_for_answers(fixture, 3);
	assert_int_equal(count_pids(fixture), 3);
	puppets_shared->is_released = true;
	puppets_wait_for_answers(fixture, 4);
}

/* What one worker dies of costs the other nothing. */
static void test_death_beside_life(void **state)
{
	struct puppets *fixture = *state;

	puppets_add_only(fixture, WAITS, 10);
	puppets_add(fixture, CRASHES, 20);
	puppets_wait_for_answers(fixture, 1);
	assert_int_equal(fixture->modules[CRASHES].answers, 1);
	assert_non_null(strstr(fixture->modules[CRASHES].why, "set aside"));
	assert_int_equal(fixture->modules[WAITS].answers, 0);
	puppets_shared->is_released = true;
	puppets_wait_for_answers(fixture, 2);
	puppets_check_good(fixture, WAITS);
	assert_int_equal(puppets_shared->builds[WAITS], 1);
	assert_int_equal(puppets_shared->builds[CRASHES], 2);
	assert_int_equal(fixture->given_up, 0);
}

/* Each worker may speak of its own module only. */
static void test_answer_for_the_other(void **state)
{
	struct puppets *fixture = *state;

	puppets_add_only(fixture, GOOD, 20);
	puppets_add_only(fixture, WAITS, 10);
	puppets_add(fixture, ANSWERS_FOR_ANOTHER, 30);
	puppets_wait_for_answers(fixture, 2);
	assert_non_null(strstr(fixture->modules[ANSWERS_FOR_ANOTHER].why, "set aside"));
	puppets_check_good(fixture, GOOD);
	puppets_shared->is_released = true;
	puppets_wait_for_answers(fixture, 3);
	puppets_check_good(fixture, WAITS);
}

/* One is killed while it has nothing to do; the next that is needed is there. */
static void test_idle_worker_dies(void **state)
{
	struct puppets *fixture = *state;
	pid_t pids[WORKERS_PIDS_MAX];

	workers_get_pids(fixture->workers, pids);
	kill(pids[1], SIGKILL);
	/* It may be gone already, though nobody has said so. */
	puppets_add(fixture, GOOD, 10);
	puppets_wait_for_answers(fixture, 1);
	puppets_check_good(fixture, GOOD);
	while (!fixture->pids_changes)
		puppets_wait_a_turn(fixture);
	workers_get_pids(fixture->workers, &pids[0]);
	assert_true(pids[1] > 0);
}

static void test_unusual_modules(void **state)
{
	struct puppets *fixture = *state;
	struct error *error;

	error = workers_add_module(fixture->workers, MODULE_UNKNOWN, MODULE_KIND_FILE, fixture->null, 1,
				   true);
	assert_non_null(error);
	error_destroy(error);
	error = workers_add_module(fixture->workers, MODULE_LIMIT, MODULE_KIND_FILE, fixture->null, 1, true);
	assert_non_null(error);
	error_destroy(error);
	assert_int_equal(workers_count_waiting(fixture->workers), 0);
}

/* ---- once more, and the same once ---- */

static void test_rebuild(void **state)
{
	struct puppets *fixture = *state;

	assert_false(workers_rebuild_table(fixture->workers, GOOD));
	puppets_add(fixture, GOOD, 10);
	/* It is under way. */
	assert_false(workers_rebuild_table(fixture->workers, GOOD));
	puppets_wait_for_answers(fixture, 1);
	assert_true(workers_rebuild_table(fixture->workers, GOOD));
	assert_false(workers_rebuild_table(fixture->workers, GOOD));
	workers_build(fixture->workers);
	puppets_wait_for_answers(fixture, 2);
	assert_int_equal(fixture->modules[GOOD].tables, 2);
	assert_int_equal(puppets_shared->builds[GOOD], 2);
}

static void test_same_build_id(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, GOOD, 1000);
	puppets_wait_for_answers(fixture, 1);
	puppets_add(fixture, CRASHES, 1000);
	puppets_wait_for_answers(fixture, 2);
	assert_int_equal(puppets_shared->offers[CRASHES], 1);
	assert_int_equal(fixture->modules[CRASHES].twin, GOOD);
	assert_int_equal(fixture->modules[CRASHES].answers, 0);
	assert_int_equal(workers_count_waiting(fixture->workers), 0);
	/* Another size: it is another file, whatever it says. */
	puppets_add(fixture, OK_WITHOUT_TABLE, 1001);
	puppets_wait_for_answers(fixture, 3);
	assert_int_equal(puppets_shared->offers[OK_WITHOUT_TABLE], 0);
	assert_string_equal(fixture->modules[OK_WITHOUT_TABLE].why, "no table");
}

static void test_same_is_gone(void **state)
{
	struct puppets *fixture = *state;

	fixture->refuses_to_share = true;
	puppets_add(fixture, GOOD, 1000);
	puppets_wait_for_answers(fixture, 1);
	puppets_add(fixture, CRASHES_ONCE, 1000);
	puppets_wait_for_answers(fixture, 2);
	assert_int_equal(puppets_shared->offers[CRASHES_ONCE], 1);
	puppets_check_good(fixture, CRASHES_ONCE);
	/* Its own is what the next one is offered. */
	fixture->refuses_to_share = false;
	puppets_add(fixture, CRASHES, 1000);
	puppets_wait_for_answers(fixture, 3);
	assert_int_equal(fixture->modules[CRASHES].twin, CRASHES_ONCE);
}

/* The one that is built again is not offered its own. */
static void test_not_its_own_twin(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, GOOD, 1000);
	puppets_wait_for_answers(fixture, 1);
	assert_true(workers_rebuild_table(fixture->workers, GOOD));
	workers_build(fixture->workers);
	puppets_wait_for_answers(fixture, 2);
	assert_int_equal(puppets_shared->offers[GOOD], 0);
	assert_int_equal(fixture->modules[GOOD].tables, 2);
}

static void test_same_unasked(void **state)
{
	puppets_check_set_aside(*state, SAYS_SAME_UNASKED);
}

static void test_long_build_id(void **state)
{
	puppets_check_set_aside(*state, SAYS_LONG_BUILD_ID);
}

static void test_nobody_shares(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, GOOD, 1000);
	puppets_wait_for_answers(fixture, 1);
	puppets_add(fixture, OK_WITHOUT_TABLE, 1000);
	puppets_wait_for_answers(fixture, 2);
	assert_int_equal(puppets_shared->offers[OK_WITHOUT_TABLE], 0);
}

int main(void)
{
#define TEST(name)	    cmocka_unit_test_setup_teardown(name, set_up, puppets_tear_down)
#define TEST_SHARING(name)  cmocka_unit_test_setup_teardown(name, set_up_sharing, puppets_tear_down)
#define TEST_PARALLEL(name) cmocka_unit_test_setup_teardown(name, set_up_parallel, puppets_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_hottest_first),
		TEST_PARALLEL(test_parallel),
		TEST_PARALLEL(test_no_worker_too_many),
		TEST_PARALLEL(test_death_beside_life),
		TEST_PARALLEL(test_answer_for_the_other),
		TEST_PARALLEL(test_idle_worker_dies),
		TEST(test_unusual_modules),
		TEST(test_rebuild),
		TEST_SHARING(test_same_build_id),
		TEST_SHARING(test_same_is_gone),
		TEST_SHARING(test_not_its_own_twin),
		TEST(test_same_unasked),
		TEST_SHARING(test_same_unasked),
		TEST(test_long_build_id),
		TEST(test_nobody_shares),
	};

	puppets_map_shared();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
