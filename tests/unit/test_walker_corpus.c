/* Every input that the fuzzer has kept (tests/fuzz/corpus), once: the walk must be as it was when it was
 * kept. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fuzz/walker_garbage.h"

#include "tests/support/corpus.h"

static void test_corpus(void **state)
{
	corpus_run("tests/fuzz/corpus", 24, walker_garbage_run);
}

/* What is too short for a world is one all the same. */
static void test_short_inputs(void **state)
{
	corpus_run_short(walker_garbage_run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_corpus),
		cmocka_unit_test(test_short_inputs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
