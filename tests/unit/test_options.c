/* The command line: what is collected, what is reported, and what opposes what. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "options.h"
#include "profile/heap.h"

#include <stdio.h>
#include <string.h>

#define WORDS_MAX 16

/* "kiln" and these words, cut at the blanks. */
static struct error *parse(const char *line, struct options *ret)
{
	static char copy[256];
	char *argv[WORDS_MAX + 1] = {"kiln"}, *save = NULL;
	int argc = 1;

	snprintf(copy, sizeof(copy), "%s", line);
	for (char *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		assert_true(argc < WORDS_MAX);
		argv[argc++] = word;
	}
	return options_parse(argc, argv, ret);
}

static struct options parse_good(const char *line)
{
	_cleanup_error_ struct error *error = NULL;
	struct options options;

	error = parse(line, &options);
	if (error)
		fail_msg("%s: %s", line, error_get_message(error));
	return options;
}

/* Exit code 2, and these words. */
static void assert_refused(const char *line, const char *words)
{
	_cleanup_error_ struct error *error = NULL;
	struct options options;

	error = parse(line, &options);
	if (!error)
		fail_msg("%s: taken", line);
	assert_int_equal(error_get_code(error), ERROR_USAGE);
	if (!strstr(error_get_message(error), words))
		fail_msg("%s: \"%s\" is not in \"%s\"", line, words, error_get_message(error));
}

/* ---- the heap ---- */

static void test_heap_is_on_by_default(void **state)
{
	struct options options = parse_good("1");

	assert_int_equal(options.heap, HEAP_CHOICE_AUTO);
	assert_true(options.max_overhead_pct == 5);
	assert_int_equal(parse_good("record -p 1 -e cpu,heap").heap, HEAP_CHOICE_AUTO);
	assert_int_equal(parse_good("record -p 1 -e heap,cpu").heap, HEAP_CHOICE_AUTO);
}

static void test_heap_choice(void **state)
{
	assert_int_equal(parse_good("record -p 1 --heap=auto").heap, HEAP_CHOICE_AUTO);
	assert_int_equal(parse_good("record -p 1 --heap=off").heap, HEAP_CHOICE_OFF);
	assert_int_equal(parse_good("record -p 1 --heap=exact").heap, HEAP_CHOICE_EXACT);
	assert_int_equal(parse_good("record -p 1 -e cpu,heap --heap exact").heap, HEAP_CHOICE_EXACT);
	assert_int_equal(parse_good("run --heap=exact -- true --heap=off").heap, HEAP_CHOICE_EXACT);
	assert_refused("record -p 1 --heap=growth", "not built yet");
	assert_refused("record -p 1 --heap=sampled", "not built yet");
	assert_refused("record -p 1 --heap=sampled:4096", "not built yet");
	assert_refused("record -p 1 --heap=on", "unknown");
	assert_refused("record -p 1 --heap=", "unknown");
}

static void test_events_without_heap(void **state)
{
	assert_int_equal(parse_good("record -p 1 -e cpu").heap, HEAP_CHOICE_OFF);
	assert_int_equal(parse_good("record -p 1 -e cpu --heap=off").heap, HEAP_CHOICE_OFF);
	/* The last one counts, as with every option. */
	assert_int_equal(parse_good("record -p 1 -e cpu -e cpu,heap").heap, HEAP_CHOICE_AUTO);
}

/* Both given and opposed, in either order. */
static void test_events_against_heap(void **state)
{
	assert_refused("record -p 1 -e cpu --heap=exact", "-e does not name heap");
	assert_refused("record -p 1 --heap=exact -e cpu", "-e does not name heap");
	assert_refused("record -p 1 -e cpu --heap=auto", "-e does not name heap");
	assert_refused("record -p 1 -e cpu,heap --heap=off", "-e names heap");
}

static void test_events_that_are_not_built(void **state)
{
	assert_refused("record -p 1 -e heap", "not built yet");
	assert_refused("record -p 1 -e heap --heap=exact", "not built yet");
	assert_refused("record -p 1 -e cpu,offcpu", "not built yet");
	assert_refused("record -p 1 -e cpu,head", "unknown event");
	assert_refused("record -p 1 -e ,", "names no event");
}

static void test_max_overhead(void **state)
{
	assert_true(parse_good("record -p 1 --max-overhead 0.5").max_overhead_pct == 0.5);
	assert_true(parse_good("record -p 1 --max-overhead 100").max_overhead_pct == 100);
	assert_true(parse_good("record -p 1 --heap=exact --max-overhead 1").max_overhead_pct == 1);
	assert_refused("record -p 1 --max-overhead 0", "--max-overhead");
	assert_refused("record -p 1 --max-overhead -1", "--max-overhead");
	assert_refused("record -p 1 --max-overhead 100.1", "--max-overhead");
	assert_refused("record -p 1 --max-overhead nan", "--max-overhead");
	assert_refused("record -p 1 --max-overhead 5%", "--max-overhead");
	assert_refused("report f --max-overhead 5", "unknown option");
}

/* ---- reports ---- */

static void test_views(void **state)
{
	assert_int_equal(parse_good("report f").report.view, REPORT_SUMMARY);
	assert_int_equal(parse_good("report f --view hot").report.view, REPORT_HOT);
	assert_int_equal(parse_good("report f --view tree").report.view, REPORT_TREE);
	assert_int_equal(parse_good("report f --view alloc").report.view, REPORT_ALLOC);
	assert_int_equal(parse_good("report f --view alloc").report.rows, 40);
	assert_int_equal(parse_good("report f --view alloc --format json").report.rows, 0);
	assert_refused("report f --view callers", "not built yet");
	assert_refused("report f --view leaks", "not built yet");
	assert_refused("report f --view threads", "not built yet");
	assert_refused("report f --view timeline", "not built yet");
	assert_refused("report f --view memory", "unknown");
	assert_refused("report f --view alloc --format csv", "not built yet");
}

static void test_metrics(void **state)
{
	assert_int_equal(parse_good("report f --view alloc").report.metric, REPORT_METRIC_DEFAULT);
	assert_int_equal(parse_good("report f --view hot --metric cpu").report.metric, REPORT_METRIC_CPU);
	for (unsigned metric = 0; metric < HEAP_METRICS; metric++) {
		char line[64];

		/* The words are those of the model, and the numbers follow each other in its order. */
		snprintf(line, sizeof(line), "report f --view hot --metric %s", heap_metric_names[metric]);
		assert_int_equal(parse_good(line).report.metric, REPORT_METRIC_LIVE_BYTES + metric);
	}
	assert_refused("report f --metric bytes", "unknown");
	assert_refused("report f --view alloc --metric cpu", "allocations are measured in bytes and blocks");
	assert_refused("report f --metric cpu --view alloc", "allocations are measured in bytes and blocks");
}

/* What --help says of a verb is what the verb takes. */
static void test_help(void **state)
{
	static const char *const words[] = {"-e cpu,heap", "--heap=auto|exact|off", "--max-overhead",
					    "summary|hot|tree|alloc"};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_non_null(strstr(options_help(VERB_ATTACH), words[i]));
	for (unsigned metric = 0; metric < HEAP_METRICS; metric++)
		assert_non_null(strstr(options_help(VERB_REPORT), heap_metric_names[metric]));
	assert_non_null(strstr(options_help(VERB_RECORD), "--heap=auto|exact|off"));
	assert_null(strstr(options_help(VERB_ATTACH), "not measured yet"));
}

/* ---- annotate ---- */

static void test_annotate(void **state)
{
	struct options options =
		parse_good("annotate a.kiln f --source-path /a=/b --intel --source-path c=d");

	assert_int_equal(options.verb, VERB_ANNOTATE);
	assert_string_equal(options.file, "a.kiln");
	assert_string_equal(options.symbol, "f");
	assert_true(options.is_intel);
	assert_int_equal(options.source_map_count, 2);
	assert_string_equal(options.source_maps[0], "/a=/b");
	assert_string_equal(options.source_maps[1], "c=d");
	assert_false(parse_good("annotate a.kiln f").is_intel);
	/* A name that looks like an option stands behind --. */
	assert_string_equal(parse_good("annotate -- a.kiln -f").symbol, "-f");
	assert_refused("annotate", "which snapshot?");
	assert_refused("annotate a.kiln", "which function?");
	assert_refused("annotate a.kiln f g", "one function at a time");
	assert_refused("annotate a.kiln f --source-path", "needs a value");
	assert_refused("annotate a.kiln f --view hot", "unknown option");
}

static void test_too_many_source_maps(void **state)
{
	char *argv[2 * SOURCE_MAPS_MAX + 8] = {"kiln", "annotate", "a.kiln", "f"};
	_cleanup_error_ struct error *error = NULL;
	struct options options;
	int argc = 4;

	for (unsigned i = 0; i < SOURCE_MAPS_MAX; i++) {
		argv[argc++] = "--source-path";
		argv[argc++] = "a=b";
	}
	assert_null(options_parse(argc, argv, &options));
	assert_int_equal(options.source_map_count, SOURCE_MAPS_MAX);
	argv[argc++] = "--source-path=c=d";
	error = options_parse(argc, argv, &options);
	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_USAGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heap_is_on_by_default),
		cmocka_unit_test(test_heap_choice),
		cmocka_unit_test(test_events_without_heap),
		cmocka_unit_test(test_events_against_heap),
		cmocka_unit_test(test_events_that_are_not_built),
		cmocka_unit_test(test_max_overhead),
		cmocka_unit_test(test_views),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_help),
		cmocka_unit_test(test_annotate),
		cmocka_unit_test(test_too_many_source_maps),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
