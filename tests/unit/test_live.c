/* --max-lost: the worse of samples and allocations. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "live.h"
#include "profile/heap.h"

#include <math.h>
#include <string.h>

static struct profile *profile;

static void assert_no_error(struct error *error)
{
	if (error)
		fail_msg("%s", error_get_message(error));
}

/* 900 samples, and 100 that were lost: 10 %. */
static int set_up(void **state)
{
	struct facts facts;
	uint32_t stack;

	assert_no_error(profile_create(&profile));
	stack = profile_intern_stack(profile, 0, FRAME(16, 16));
	profile_add_samples(profile, stack, 0, 1, 0, SAMPLE_USER, STACK_COMPLETE, 900);
	profile_get_facts(profile, &facts);
	facts.lost[LOST_CPU_RING_FULL] = 60;
	facts.lost[LOST_CPU_SCRATCH_BUSY] = 40;
	assert_no_error(profile_set_facts(profile, &facts));
	return 0;
}

static int tear_down(void **state)
{
	profile_destroy(profile);
	return 0;
}

static void set_heap(enum heap_mode mode, const struct heap_counters *counters)
{
	struct heap_facts facts = {.mode = mode, .cost_pct = NAN, .budget_pct = NAN, .counters = *counters};
	struct heap *heap = NULL;

	assert_no_error(profile_ensure_heap(profile, &heap));
	assert_no_error(heap_set_facts(heap, &facts));
}

static void assert_kept(double limit_pct)
{
	assert_no_error(live_judge_loss(profile, limit_pct));
}

static void assert_lost(double limit_pct, const char *words)
{
	_cleanup_error_ struct error *error = live_judge_loss(profile, limit_pct);

	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_LOST);
	if (!strstr(error_get_message(error), words))
		fail_msg("%s", error_get_message(error));
}

static void test_samples(void **state)
{
	assert_kept(-1);
	assert_kept(10);
	assert_lost(9.9, "10.00 % of the samples");
	assert_lost(0, "(limit 0 %)");
}

/* The samples are worse than the heap: they are what is said. */
static void test_heap_with_little_loss(void **state)
{
	set_heap(HEAP_MODE_EXACT, &(struct heap_counters){.allocs = 1000, .refused = 50});
	assert_kept(10);
	assert_lost(9.9, "10.00 % of the samples");
}

static void test_heap_is_worse(void **state)
{
	/* Refused blocks are among the allocs; calls that were not followed are not. */
	set_heap(HEAP_MODE_EXACT, &(struct heap_counters){.allocs = 950,
							  .refused = 100,
							  .lost_pending = 50,
							  .lost_scratch_busy = 30,
							  .lost_stack_full = 20});
	assert_lost(19.9, "20.00 % of the allocations");
	assert_kept(20);
	assert_kept(-1);
}

static void test_heap_that_lost_all(void **state)
{
	set_heap(HEAP_MODE_CLOSED,
		 &(struct heap_counters){.allocs = 10, .refused = 10, .lost_stack_full = 10});
	assert_lost(99.9, "100.00 % of the allocations");
	assert_kept(100);
}

/* What was not measured lost nothing; neither did an allocator that was not called. */
static void test_heap_that_was_not_measured(void **state)
{
	set_heap(HEAP_MODE_OFF, &(struct heap_counters){.allocs = 10, .refused = 10});
	assert_kept(10);
	set_heap(HEAP_MODE_EXACT, &(struct heap_counters){0});
	assert_kept(10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_samples, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_heap_with_little_loss, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_heap_is_worse, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_heap_that_lost_all, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_heap_that_was_not_measured, set_up, tear_down),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
