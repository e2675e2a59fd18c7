/* Every input that the fuzzer of perf maps and jitdumps has kept, once: what is found must cover what was
 * asked for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/fuzz/jit_garbage.h"

#include "tests/support/corpus.h"

static void test_corpus(void **state)
{
	corpus_run("tests/fuzz/corpus-jit", 10, jit_garbage_run);
}

static void test_short_inputs(void **state)
{
	corpus_run_short(jit_garbage_run);
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
