/* The probe's workers, in real processes that crash, hang, lie and babble: one for names, one for tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/puppets.h"

#include "bpf/heap_events.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

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

/* As a probe that wants to know neither. */
static const struct workers_ops few_ops = {
	.table = puppets_on_table,
	.names_socket = puppets_on_names_socket,
	.pids = puppets_on_pids,
	.deadline_ms = 300,
	.tables_max = 1,
};

static int set_up(void **state)
{
	return puppets_set_up(state, &ops);
}

static int set_up_with_few(void **state)
{
	return puppets_set_up(state, &few_ops);
}

static void test_good(void **state)
{
	struct puppets *fixture = *state;

	assert_int_equal(fixture->sockets, 1);
	assert_int_equal(fixture->generation, 1);
	puppets_add(fixture, GOOD, 1000);
	assert_int_equal(workers_count_waiting(fixture->workers), 1);
	puppets_wait_for_answers(fixture, 1);
	assert_int_equal(workers_count_waiting(fixture->workers), 0);
	puppets_check_good(fixture, GOOD);
}

static void test_crash(void **state)
{
	puppets_check_set_aside(*state, CRASHES);
}

static void test_hang(void **state)
{
	puppets_check_set_aside(*state, HANGS);
}

static void test_answer_for_another(void **state)
{
	puppets_check_set_aside(*state, ANSWERS_FOR_ANOTHER);
}

static void test_answer_too_short(void **state)
{
	puppets_check_set_aside(*state, ANSWERS_TOO_SHORT);
}

static void test_close_and_live_on(void **state)
{
	puppets_check_set_aside(*state, CLOSES_AND_LIVES_ON);
}

static void test_crash_once(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, CRASHES_ONCE, 10);
	puppets_wait_for_answers(fixture, 1);
	puppets_check_good(fixture, CRASHES_ONCE);
}

static void test_foreign_words(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, SAYS_WHY_WITH_ESCAPES, 10);
	puppets_add(fixture, OK_WITHOUT_TABLE, 10);
	puppets_wait_for_answers(fixture, 2);
	assert_string_equal(fixture->modules[SAYS_WHY_WITH_ESCAPES].why, "?[2J?no?");
	assert_string_equal(fixture->modules[OK_WITHOUT_TABLE].why, "no table");
	assert_int_equal(fixture->pids_changes, 0);
}

/* A worker that goes on talking is killed, and no other module pays for it. */
static void test_babble(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, BABBLES, 10);
	puppets_add(fixture, GOOD, 1000);
	puppets_wait_for_answers(fixture, 2);
	puppets_check_good(fixture, BABBLES);
	puppets_check_good(fixture, GOOD);
	while (!fixture->pids_changes)
		puppets_wait_a_turn(fixture);
	assert_int_equal(fixture->pids_changes, 1);
}

static void test_names_worker_babbles(void **state)
{
	struct puppets *fixture = *state;

	while (!puppets_shared->names_starts)
		puppets_wait_a_turn(fixture);
	puppets_shared->names_babbles = true;
	puppets_shared->names_starts = 0;
	workers_restart_names(fixture->workers, GOOD, 1);
	/* Killed by us, then for its babble, then it behaves. */
	while (fixture->sockets < 3)
		puppets_wait_a_turn(fixture);
	assert_int_equal(fixture->generation, 3);
}

/* A new names worker gets all modules, but those that cost two of its kind. */
static void test_names_worker_is_replaced(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, GOOD, 10);
	puppets_add(fixture, SAYS_WHY_WITH_ESCAPES, 10);
	while (puppets_shared->names_modules != 2)
		puppets_wait_a_turn(fixture);
	workers_restart_names(fixture->workers, GOOD, 1);
	while (fixture->sockets < 2 || puppets_shared->names_starts < 2 || puppets_shared->names_modules != 2)
		puppets_wait_a_turn(fixture);
	/* What kiln says about the one before does not count. */
	workers_restart_names(fixture->workers, GOOD, 1);
	workers_restart_names(fixture->workers, GOOD, 2);
	while (fixture->sockets < 3 || puppets_shared->names_starts < 3 || puppets_shared->names_modules != 1)
		puppets_wait_a_turn(fixture);
	assert_int_equal(fixture->generation, 3);
}

/* A second file for one module (the names of JIT code) takes the place of the first, also in a worker that
 * comes later; what the module has cost is not forgotten. */
static void test_another_file_for_a_module(void **state)
{
	struct puppets *fixture = *state;

	for (unsigned i = 0; i < 3; i++)
		assert_null(workers_add_module(fixture->workers, GOOD, MODULE_KIND_FILE, fixture->null, 1,
					       false));
	while (puppets_shared->names_modules != 3)
		puppets_wait_a_turn(fixture);
	workers_restart_names(fixture->workers, GOOD, 1);
	while (fixture->sockets < 2 || puppets_shared->names_starts < 2 || puppets_shared->names_modules != 1)
		puppets_wait_a_turn(fixture);
	assert_null(workers_add_module(fixture->workers, GOOD, MODULE_KIND_FILE, fixture->null, 1, false));
	workers_restart_names(fixture->workers, GOOD, 2);
	while (fixture->sockets < 3 || puppets_shared->names_starts < 3 || puppets_shared->names_modules != 0)
		puppets_wait_a_turn(fixture);
}

static void test_smallest_first(void **state)
{
	struct puppets *fixture = *state;

	/* Of those that come together the smallest is first, whatever their order. */
	puppets_add_only(fixture, SAYS_WHY_WITH_ESCAPES, 5000);
	puppets_add_only(fixture, HANGS, 9000);
	puppets_add(fixture, GOOD, 1000);
	puppets_wait_for_answers(fixture, 2);
	assert_int_equal(fixture->modules[GOOD].number, 1);
	assert_int_equal(fixture->modules[SAYS_WHY_WITH_ESCAPES].number, 2);
	assert_int_equal(fixture->modules[HANGS].answers, 0);
}

static void test_without_table(void **state)
{
	struct puppets *fixture = *state;

	assert_null(workers_add_module(fixture->workers, GOOD, MODULE_KIND_KERNEL, fixture->null, 10, false));
	assert_int_equal(workers_count_waiting(fixture->workers), 0);
	while (puppets_shared->names_modules != 1)
		puppets_wait_a_turn(fixture);
	assert_int_equal(puppets_shared->builds[GOOD], 0);
}

static void test_foreign_child(void **state)
{
	struct puppets *fixture = *state;
	pid_t pids[WORKERS_PIDS_MAX];

	assert_false(workers_handle_exit(fixture->workers, getpid()));
	assert_int_equal(workers_get_pids(fixture->workers, pids), 2); /* one for tables is allowed here */
	assert_true(pids[0] > 0 && pids[1] > 0 && pids[0] != pids[1]);
}

/* ---- hooks ---- */

static void test_hooks(void **state)
{
	struct puppets *fixture = *state;
	char cut[32];

	puppets_add(fixture, PROPOSES, 10);
	puppets_wait_for_answers(fixture, 1);
	puppets_check_good(fixture, PROPOSES);
	assert_int_equal(fixture->modules[PROPOSES].hooks, 1);
	assert_int_equal(fixture->hooks.message.count, 2);
	assert_int_equal(fixture->hooks.message.is_go, 0);
	assert_int_equal(fixture->hooks.message.reserved, 0);
	assert_int_equal(fixture->hooks.proposals[0].flags, HOOK_WRAPPER);
	assert_int_equal(fixture->hooks.proposals[0].kind, 0);
	assert_string_equal(fixture->hooks.proposals[0].name, "operator?new");
	assert_int_equal(fixture->hooks.proposals[1].flags, HOOK_LIES);
	assert_int_equal(fixture->hooks.proposals[1].kind, HEAP_FREE);
	assert_int_equal(fixture->hooks.proposals[1].start, 0x100);
	assert_int_equal(fixture->hooks.proposals[1].length, 0x80);
	/* It came without an end. */
	memset(cut, 'x', 28);
	memcpy(cut + 28, "\xe2\x80\xa6", 4);
	assert_string_equal(fixture->hooks.proposals[1].name, cut);
	assert_int_equal(fixture->pids_changes, 0);
}

static void test_most_hooks(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, PROPOSES_MOST, 10);
	puppets_wait_for_answers(fixture, 1);
	puppets_check_good(fixture, PROPOSES_MOST);
	assert_int_equal(fixture->hooks.message.count, HOOK_PROPOSALS_MAX);
	assert_int_equal(fixture->hooks.proposals[1].flags, HOOK_THROWS);
	assert_int_equal(fixture->hooks.proposals[HOOK_PROPOSALS_MAX - 1].start, 0xff00);
}

static void test_go_without_hooks(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, PROPOSES_GO, 10);
	puppets_wait_for_answers(fixture, 1);
	puppets_check_good(fixture, PROPOSES_GO);
	assert_int_equal(fixture->modules[PROPOSES_GO].hooks, 1);
	assert_int_equal(fixture->hooks.message.count, 0);
	assert_int_equal(fixture->hooks.message.is_go, 1);
}

/* The worker dies of the table, and the next one proposes the same: it is told once. */
static void test_hooks_are_told_once(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, PROPOSES_AND_CRASHES_ONCE, 10);
	puppets_wait_for_answers(fixture, 1);
	puppets_check_good(fixture, PROPOSES_AND_CRASHES_ONCE);
	assert_int_equal(puppets_shared->builds[PROPOSES_AND_CRASHES_ONCE], 2);
	assert_int_equal(fixture->modules[PROPOSES_AND_CRASHES_ONCE].hooks, 1);
}

/* Who proposes what no worker proposes is somebody's puppet. */
static void check_bad_hooks(struct puppets *fixture, uint32_t module, unsigned told)
{
	puppets_check_set_aside(fixture, module);
	assert_int_equal(fixture->modules[module].hooks, told);
	assert_int_equal(fixture->modules[GOOD].hooks, 0);
}

static void test_hooks_twice(void **state)
{
	check_bad_hooks(*state, PROPOSES_TWICE, 1);
}

#define BAD_HOOKS(name, module)                                                                              \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		check_bad_hooks(*state, module, 0);                                                          \
	}
BAD_HOOKS(test_no_hooks, PROPOSES_NOTHING)
BAD_HOOKS(test_hooks_for_another, PROPOSES_FOR_ANOTHER)
BAD_HOOKS(test_hooks_without_header, PROPOSES_WITHOUT_HEADER)
BAD_HOOKS(test_hooks_too_short, PROPOSES_TOO_SHORT)
BAD_HOOKS(test_hooks_too_long, PROPOSES_TOO_LONG)
BAD_HOOKS(test_too_many_hooks, PROPOSES_TOO_MANY)
BAD_HOOKS(test_hook_without_kind, PROPOSES_WITHOUT_KIND)
BAD_HOOKS(test_hook_of_unknown_kind, PROPOSES_UNKNOWN_KIND)
BAD_HOOKS(test_wrapper_with_kind, PROPOSES_KIND_OF_WRAPPER)
BAD_HOOKS(test_hook_with_both_flags, PROPOSES_BOTH_FLAGS)
BAD_HOOKS(test_hook_with_unknown_flag, PROPOSES_UNKNOWN_FLAG)
BAD_HOOKS(test_hook_without_name, PROPOSES_WITHOUT_NAME)
BAD_HOOKS(test_hook_without_end, PROPOSES_ENDLESS)

static void test_hooks_after_table(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, PROPOSES_AFTER_TABLE, 10);
	puppets_wait_for_answers(fixture, 1);
	while (!fixture->pids_changes)
		puppets_wait_a_turn(fixture);
	puppets_check_good(fixture, PROPOSES_AFTER_TABLE);
	assert_int_equal(fixture->modules[PROPOSES_AFTER_TABLE].hooks, 0);
	puppets_add(fixture, GOOD, 10);
	puppets_wait_for_answers(fixture, 2);
	puppets_check_good(fixture, GOOD);
}

/* In the place of the tables worker, that is asked at this time. */
static void test_names_worker_proposes(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, HANGS, 10);
	while (!puppets_shared->names_starts)
		puppets_wait_a_turn(fixture);
	puppets_shared->names_proposes = true;
	puppets_shared->names_starts = 0;
	workers_restart_names(fixture->workers, GOOD, 1);
	while (fixture->sockets < 3)
		puppets_wait_a_turn(fixture);
	assert_int_equal(fixture->modules[HANGS].hooks, 0);
}

static void test_hooks_without_op(void **state)
{
	struct puppets *fixture = *state;

	puppets_add(fixture, PROPOSES, 10);
	puppets_wait_for_answers(fixture, 1);
	puppets_check_good(fixture, PROPOSES);
	assert_int_equal(fixture->modules[PROPOSES].hooks, 0);
	assert_int_equal(fixture->pids_changes, 0);
}

/* ---- workers that are not worth another start ---- */

static void wait_for_no_worker(struct puppets *fixture, int which)
{
	pid_t pids[WORKERS_PIDS_MAX];

	do {
		puppets_wait_a_turn(fixture);
		workers_get_pids(fixture->workers, pids);
	} while (pids[which]);
}

static void test_names_are_given_up(void **state)
{
	struct puppets *fixture = *state;
	struct error *error;

	puppets_shared->names_die = true;
	workers_restart_names(fixture->workers, GOOD, 1);
	wait_for_no_worker(fixture, 0);
	assert_int_equal(fixture->given_up, 1);
	assert_string_equal(fixture->given_up_what, "names");
	assert_int_equal(fixture->generation, fixture->sockets);
	assert_true(puppets_shared->names_starts > 2);
	/* Tables come as before. */
	error = workers_add_module(fixture->workers, GOOD, MODULE_KIND_FILE, fixture->null, 10, true);
	assert_non_null(error);
	error_destroy(error);
	workers_build(fixture->workers);
	puppets_wait_for_answers(fixture, 1);
	puppets_check_good(fixture, GOOD);
	assert_int_equal(fixture->given_up, 1);
}

static void test_tables_are_given_up(void **state)
{
	struct puppets *fixture = *state;
	pid_t pids[WORKERS_PIDS_MAX];

	for (unsigned changes = 0; !fixture->given_up; changes = fixture->pids_changes) {
		workers_get_pids(fixture->workers, pids);
		assert_true(pids[1] > 0);
		kill(pids[1], SIGKILL);
		while (fixture->pids_changes == changes)
			puppets_wait_a_turn(fixture);
	}
	workers_get_pids(fixture->workers, pids);
	assert_int_equal(pids[1], 0);
	assert_int_equal(fixture->given_up, 1);
	assert_string_equal(fixture->given_up_what, "unwind tables");
	puppets_add(fixture, GOOD, 10);
	puppets_wait_for_answers(fixture, 1);
	assert_int_equal(fixture->modules[GOOD].tables, 0);
	assert_non_null(strstr(fixture->modules[GOOD].why, "too often"));
}

static void test_given_up_without_op(void **state)
{
	struct puppets *fixture = *state;

	puppets_shared->names_die = true;
	workers_restart_names(fixture->workers, GOOD, 1);
	wait_for_no_worker(fixture, 0);
	assert_int_equal(fixture->given_up, 0);
}

int main(void)
{
#define TEST_WITH_FEW(name) cmocka_unit_test_setup_teardown(name, set_up_with_few, puppets_tear_down)
#define TEST(name)	    cmocka_unit_test_setup_teardown(name, set_up, puppets_tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_good),
		TEST(test_crash),
		TEST(test_hang),
		TEST(test_answer_for_another),
		TEST(test_answer_too_short),
		TEST(test_close_and_live_on),
		TEST(test_crash_once),
		TEST(test_foreign_words),
		TEST(test_babble),
		TEST(test_names_worker_babbles),
		TEST(test_names_worker_is_replaced),
		TEST(test_another_file_for_a_module),
		TEST(test_smallest_first),
		TEST(test_without_table),
		TEST(test_foreign_child),
		TEST(test_hooks),
		TEST(test_most_hooks),
		TEST(test_go_without_hooks),
		TEST(test_hooks_are_told_once),
		TEST(test_hooks_twice),
		TEST(test_no_hooks),
		TEST(test_hooks_for_another),
		TEST(test_hooks_without_header),
		TEST(test_hooks_too_short),
		TEST(test_hooks_too_long),
		TEST(test_too_many_hooks),
		TEST(test_hook_without_kind),
		TEST(test_hook_of_unknown_kind),
		TEST(test_wrapper_with_kind),
		TEST(test_hook_with_both_flags),
		TEST(test_hook_with_unknown_flag),
		TEST(test_hook_without_name),
		TEST(test_hook_without_end),
		TEST(test_hooks_after_table),
		TEST(test_names_worker_proposes),
		TEST_WITH_FEW(test_hooks_without_op),
		TEST(test_names_are_given_up),
		TEST(test_tables_are_given_up),
		TEST_WITH_FEW(test_given_up_without_op),
	};

	puppets_map_shared();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
