/* Reports of the heap: figure by figure against books that are known, and never a 0 for what was not
 * measured.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "export/report_parts.h"
#include "profile/heap.h"
#include "tests/support/fixture.h"
#include "tests/support/reports.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define APP    16u
#define LIBC   17u
#define MALLOC FRAME(LIBC, 0x5000)
#define MIB    (1ull << 20)
#define EPOCH  7

static const char *const metric_names[] = {"live-bytes", "live-count", "alloc-bytes", "alloc-count",
					   "peak-bytes"};

/* ---- a heap with known answers ---- */

static struct heap_totals chunk[HEAP_CHUNK_SLOTS];

/* Three owners below one root: "app+0x1000" holds most, "app+0x2000" some, "app+0x3000" has freed everything.
 */
static const struct heap_totals owners[] = {
	{.alloc_count = 5, .alloc_bytes = 3 * MIB, .free_count = 1, .free_bytes = MIB / 2, .peak_bytes = MIB},
	{.alloc_count = 100, .alloc_bytes = 2 * MIB, .free_count = 40, .free_bytes = MIB, .peak_bytes = 0},
	{.alloc_count = 1000, .alloc_bytes = MIB, .free_count = 1000, .free_bytes = MIB, .peak_bytes = 77},
};
#define OWNERS (sizeof(owners) / sizeof(owners[0]))

static void add_stack(struct heap *heap, uint32_t slot, uint64_t owner)
{
	/* Return addresses: the model looks one byte before them. */
	const uint64_t frames[] = {MALLOC, FRAME(APP, owner + 1), FRAME(APP, 0x9001)};
	union {
		struct heap_stack_record record;
		char bytes[sizeof(struct heap_stack_record) + sizeof(frames)];
	} stack = {.record = {.slot = slot, .end = STACK_COMPLETE, .kind = HEAP_MALLOC, .count = 3}};

	memcpy(stack.bytes + sizeof(struct heap_stack_record), frames, sizeof(frames));
	heap_add_stack(heap, &stack.record);
}

/* The books close: 1,105 + 8 + 5 blocks = 1,041 freed + 64 live + 8 gone + 5 refused. */
static struct heap_facts make_facts(void)
{
	struct heap_facts facts = {
		.mode = HEAP_MODE_EXACT,
		.sites = 8,
		.since_ns = 250000000,
		.cost_pct = 2,
		.budget_pct = 5,
		.rss_start_bytes = 40 * MIB,
		.counters = {.hits = 2000,
			     .program_ns = 900000,
			     .frames = 900,
			     .memo_frames = 850,
			     .allocs = 1118,
			     .alloc_bytes = 6 * MIB + 800 + 50,
			     .frees = 1041,
			     .free_bytes = 5 * MIB / 2,
			     .failed = 3,
			     .frees_before = 2104,
			     .nested = 9,
			     .abandoned = 2,
			     .refused = 5,
			     .refused_bytes = 50,
			     .lost_scratch_busy = 20,
			     .lost_pending = 1,
			     .lost_stack_full = 4,
			     .lost_ring_full = 6},
		.global = {.live_blocks = 64,
			   .live_bytes = 7 * MIB / 2,
			   .peak_bytes = MIB + 77,
			   .peak_epoch = EPOCH,
			   .peak_ns = 12300000000,
			   .gone_blocks = 8,
			   .gone_bytes = 800,
			   .slots = OWNERS + 1},
	};

	return facts;
}

static void set_facts(struct profile *profile, const struct heap_facts *facts)
{
	struct heap *heap = NULL;

	assert_no_error(profile_ensure_heap(profile, &heap));
	assert_no_error(heap_set_facts(heap, facts));
}

static struct profile *make_profile(void)
{
	struct heap_facts heap_facts = make_facts();
	struct profile *profile;
	struct facts facts;
	struct heap *heap;

	assert_no_error(profile_create(&profile));
	profile_get_facts(profile, &facts);
	facts.duration_ns = 100250000000;
	facts.target_cpu_s = 50;
	facts.self_cpu_s = 1;
	facts.probe_hits = 1000;
	facts.probe_ns_total = 5000000; /* 0.01 % */
	assert_no_error(profile_set_facts(profile, &facts));
	assert_no_error(profile_set_module(profile, APP, MODULE_KIND_FILE, "/srv/app"));
	assert_no_error(profile_set_module(profile, LIBC, MODULE_KIND_FILE, "/lib/libc.so.6"));
	set_facts(profile, &heap_facts);
	heap = profile_get_heap(profile);
	assert_non_null(heap);
	assert_no_error(heap_set_chunk(heap, 0, chunk));
	for (uint32_t i = 0; i < OWNERS; i++) {
		chunk[i + 1] = owners[i];
		chunk[i + 1].peak_epoch = EPOCH;
		add_stack(heap, i + 1, 0x1000 * (i + 1));
	}
	assert_true(heap_update(heap, OWNERS + 1, EPOCH, 0, 0));
	heap_drop_chunks(heap);
	return profile;
}

static struct report_options make_options(enum report_view view, unsigned metric)
{
	return (struct report_options){.view = view, .metric = REPORT_METRIC_LIVE_BYTES + metric};
}

/* ---- summary ---- */

static void test_summary_json(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	_cleanup_json_ json_t *json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	json_t *heap = get(json, "heap");

	/* CLI.md's, in its order, and then what the books need. */
	assert_keys(heap, "mode allocs frees failed alloc_bytes free_bytes live_blocks live_bytes peak_bytes "
			  "peak_at_s frees_before_attach sample_bytes why gone_blocks gone_bytes "
			  "refused_blocks refused_bytes nested abandoned sites since_s closed_s unseen_ms");
	assert_string_equal(get_text(heap, "mode"), "exact");
	assert_int_equal(get_count(heap, "failed"), 3);
	assert_int_equal(get_count(heap, "live_bytes"), 7 * MIB / 2);
	assert_int_equal(get_count(heap, "peak_bytes"), MIB + 77);
	assert_true(fabs(get_real(heap, "peak_at_s") - 12.3) < 1e-9);
	assert_int_equal(get_count(heap, "frees_before_attach"), 2104);
	assert_true(json_is_null(get(heap, "sample_bytes")));
	assert_true(json_is_null(get(heap, "why")));
	assert_int_equal(get_count(heap, "nested"), 9);
	assert_int_equal(get_count(heap, "abandoned"), 2);
	assert_int_equal(get_count(heap, "sites"), 8);
	assert_true(fabs(get_real(heap, "since_s") - 0.25) < 1e-9);
	assert_true(json_is_null(get(heap, "closed_s")));
	assert_true(json_is_null(get(heap, "unseen_ms")));
}

static void test_summary_json_closes_the_books(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	_cleanup_json_ json_t *json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	json_t *heap = get(json, "heap");

	assert_int_equal(get_count(heap, "allocs"), 1118);
	assert_int_equal(get_count(heap, "allocs"),
			 get_count(heap, "frees") + get_count(heap, "live_blocks") +
				 get_count(heap, "gone_blocks") + get_count(heap, "refused_blocks"));
	assert_int_equal(get_count(heap, "alloc_bytes"), 6 * MIB + 850);
	assert_int_equal(get_count(heap, "alloc_bytes"),
			 get_count(heap, "free_bytes") + get_count(heap, "live_bytes") +
				 get_count(heap, "gone_bytes") + get_count(heap, "refused_bytes"));
}

static void test_summary_json_losses_and_cost(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	_cleanup_json_ json_t *json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});

	assert_int_equal(get_count(json, "lost.heap_ring_full"), 6);
	assert_int_equal(get_count(json, "lost.heap_scratch_busy"), 20 + 1);
	assert_int_equal(get_count(json, "lost.live_map_full"), 5);
	assert_int_equal(get_count(json, "lost.stack_map_full"), 4);
	assert_int_equal(get_count(json, "lost.cpu_ring_full"), 0);
	assert_int_equal(get_count(json, "overhead.probe_hits"), 1000);
	assert_true(get_real(json, "overhead.probe_ns") == 5000);
	assert_int_equal(get_count(json, "overhead.heap_hits"), 2000);
	assert_int_equal(get_count(json, "overhead.heap_frames"), 900);
	assert_int_equal(get_count(json, "overhead.heap_memo_frames"), 850);
	assert_true(get_real(json, "overhead.heap_ns") == 450);
	assert_true(get_real(json, "overhead.heap_pct") == 2);
	/* 0.01 % for the samples, 2 % for the heap in 100 of 100.25 s. */
	assert_true(fabs(get_real(json, "overhead.target_pct") - (0.01 + 2 / 1.0025)) < 1e-6);
}

/* Without an estimate the programs' own time is the least: 0.9 ms of 50 s. */
static void test_summary_json_cost_without_estimate(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	struct heap_facts facts = make_facts();
	_cleanup_json_ json_t *json = NULL;

	facts.cost_pct = NAN;
	set_facts(profile, &facts);
	json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_true(fabs(get_real(json, "overhead.target_pct") - (0.01 + 0.0018)) < 1e-9);
}

/* The budget ended it: still exact, until then. */
static void test_summary_of_closed_books(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	struct heap_facts facts = make_facts();
	_cleanup_json_ json_t *json = NULL;
	_cleanup_free_ char *text = NULL;

	facts.mode = HEAP_MODE_CLOSED;
	facts.closed_ns = 50250000000;
	facts.cost_pct = 8;
	facts.why = "8.0 % of the target's CPU time\x1b[1m";
	facts.unseen_ns = 12500000;
	set_facts(profile, &facts);
	json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_string_equal(get_text(json, "heap.mode"), "exact");
	assert_string_equal(get_text(json, "heap.why"),
			    "exact until 50.2 s: 8.0 % of the target's CPU time?[1m");
	assert_true(get_real(json, "heap.closed_s") == 50.25);
	assert_true(get_real(json, "heap.unseen_ms") == 12.5);
	assert_int_equal(get_count(json, "heap.live_blocks"), 64);
	/* 50 of 100.25 s. */
	assert_true(fabs(get_real(json, "overhead.target_pct") - (0.01 + 8 / 2.005)) < 1e-6);
	text = write_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_contains(text,
			"            exact, every call from 0.2 s until 50.2 s\n            8.0 % of the "
			"target's CPU time?[1m\n");
	assert_contains(text, "            unseen: the first 12 ms of the command\n");
}

static void test_summary_text(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	_cleanup_free_ char *text = write_report(profile, (struct report_options){.view = REPORT_SUMMARY});

	assert_contains(text, "  heap      live 64 blocks (3.5 MiB); peak 1.0 MiB at 12.3 s\n");
	assert_contains(text,
			"            allocated 1,118 blocks (6.0 MiB), freed 1,041 blocks (2.5 MiB); 3 calls "
			"failed\n");
	assert_contains(text, "            from before the attach: 2,104 freed; the RSS was 40.0 MiB\n");
	assert_contains(text, "            gone with an exec: 8 blocks (800 B)\n");
	assert_contains(text,
			"            the live heap is incomplete by at least 5 blocks (50 B): no room\n");
	assert_contains(text, "            not counted: 2 calls that did not return\n");
	assert_contains(text, "            exact, every call from 0.2 s on\n");
	assert_contains(text, "            8 probes, 2,000 hits of 0.45 µs\n            cost about 2.0% of "
			      "the target's CPU "
			      "time while in place, traps included (budget 5%)\n");
	assert_contains(text, "  lost      36  heap_ring_full 6  heap_scratch_busy 21  live_map_full 5  "
			      "stack_map_full 4\n");
	assert_in_range(get_widest(text), 60, 100);
}

/* An allocator that was never called: measured, so these are zeros; but a peak that never was has no time. */
static void test_summary_without_allocations(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	_cleanup_json_ json_t *json = NULL;
	_cleanup_free_ char *text = NULL;

	assert_no_error(profile_create(&profile));
	set_facts(profile, &(struct heap_facts){.mode = HEAP_MODE_EXACT, .cost_pct = NAN, .budget_pct = NAN});
	json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_int_equal(get_count(json, "heap.allocs"), 0);
	assert_int_equal(get_count(json, "heap.peak_bytes"), 0);
	assert_true(json_is_null(get(json, "heap.peak_at_s")));
	assert_int_equal(get_count(json, "overhead.heap_hits"), 0);
	assert_true(json_is_null(get(json, "overhead.heap_ns")));
	text = write_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_contains(text, "  heap      live 0 blocks (0 B)\n");
	assert_contains(text, "            0 probes, 0 hits\n");
}

/* ---- rows ---- */

static json_t *find_row(json_t *json, const char *function)
{
	json_t *row;
	size_t i;

	json_array_foreach(get(json, "rows"), i, row)
	{
		if (!strcmp(get_text(row, "function"), function))
			return row;
	}
	fail_msg("there is no row of %s", function);
	return NULL;
}

static void test_alloc_json(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	_cleanup_json_ json_t *json = parse_report(profile, (struct report_options){.view = REPORT_ALLOC});
	json_t *row;

	assert_keys(json, "schema metric total rows");
	assert_string_equal(get_text(json, "metric"), "live-bytes");
	assert_int_equal(get_count(json, "total"), 7 * MIB / 2);
	row = json_array_get(get(json, "rows"), 0);
	assert_keys(row, "function module file line self total self_ci live_bytes live_count alloc_bytes "
			 "alloc_count peak_bytes lifetime_p50_s temporary_pct");
	/* The allocator's own frame is folded into its caller, which allocated it itself. */
	assert_string_equal(get_text(row, "function"), "app+0x1000");
	assert_string_equal(get_text(row, "module"), "app");
	assert_int_equal(get_count(row, "self"), 5 * MIB / 2);
	assert_int_equal(get_count(row, "total"), 5 * MIB / 2);
	assert_int_equal(get_count(row, "live_bytes"), 5 * MIB / 2);
	assert_int_equal(get_count(row, "live_count"), 4);
	assert_int_equal(get_count(row, "alloc_bytes"), 3 * MIB);
	assert_int_equal(get_count(row, "alloc_count"), 5);
	assert_int_equal(get_count(row, "peak_bytes"), MIB);
	assert_true(json_is_null(get(row, "self_ci")));
	assert_true(json_is_null(get(row, "lifetime_p50_s")));
	assert_true(json_is_null(get(row, "temporary_pct")));
	/* Who only calls who allocates has a total, and allocated nothing itself. */
	row = find_row(json, "app+0x9000");
	assert_int_equal(get_count(row, "self"), 0);
	assert_int_equal(get_count(row, "total"), 7 * MIB / 2);
	assert_int_equal(get_count(row, "alloc_count"), 0);
}

/* What holds nothing any more has still allocated: it is listed, whatever the metric. */
static void test_alloc_json_has_all_owners(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();

	for (unsigned metric = 0; metric < HEAP_METRICS; metric++) {
		_cleanup_json_ json_t *json = parse_report(profile, make_options(REPORT_ALLOC, metric));
		json_t *row = find_row(json, "app+0x3000");

		assert_string_equal(get_text(json, "metric"), metric_names[metric]);
		assert_int_equal(get_count(row, "live_bytes"), 0);
		assert_int_equal(get_count(row, "live_count"), 0);
		assert_int_equal(get_count(row, "alloc_bytes"), MIB);
		assert_int_equal(get_count(row, "alloc_count"), 1000);
		assert_int_equal(get_count(row, "peak_bytes"), 77);
	}
}

static void test_metrics(void **state)
{
	static const struct {
		int64_t total, first_self;
		const char *first;
	} answers[HEAP_METRICS] = {
		{7 * MIB / 2, 5 * MIB / 2, "app+0x1000"},
		{64, 60, "app+0x2000"},
		{6 * MIB, 3 * MIB, "app+0x1000"},
		{1105, 1000, "app+0x3000"},
		{MIB + 77, MIB, "app+0x1000"},
	};
	static const enum report_view views[] = {REPORT_HOT, REPORT_ALLOC};
	_cleanup_profile_ struct profile *profile = make_profile();

	for (size_t i = 0; i < 2 * HEAP_METRICS; i++) {
		unsigned metric = (unsigned)(i / 2);
		_cleanup_json_ json_t *json = parse_report(profile, make_options(views[i % 2], metric));
		json_t *row = json_array_get(get(json, "rows"), 0);

		assert_string_equal(get_text(json, "metric"), metric_names[metric]);
		assert_int_equal(get_count(json, "total"), answers[metric].total);
		assert_string_equal(get_text(row, "function"), answers[metric].first);
		assert_int_equal(get_count(row, "self"), answers[metric].first_self);
		assert_true(json_is_null(get(row, "self_ci")));
	}
}

static void test_alloc_limits(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	struct report_options options = {.view = REPORT_ALLOC, .rows = 1};
	_cleanup_json_ json_t *json = parse_report(profile, options);

	assert_int_equal(json_array_size(get(json, "rows")), 1);
	assert_int_equal(get_count(json, "left_out.self"), MIB);
	assert_int_equal(get_count(json, "left_out.rows"), 3);
	json_decref(json);
	/* 2.5 and 1 of 3.5 MiB are 71 and 29 %. */
	options = (struct report_options){.view = REPORT_ALLOC, .limit_pct = 28};
	json = parse_report(profile, options);
	assert_int_equal(json_array_size(get(json, "rows")), 2);
	json_decref(json);
	options.limit_pct = 30;
	json = parse_report(profile, options);
	assert_int_equal(json_array_size(get(json, "rows")), 1);
}

static void test_alloc_text(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	struct report_options options = {.view = REPORT_ALLOC, .rows = 2};
	_cleanup_free_ char *some = write_report(profile, options), *all = NULL;

	assert_string_equal(some, "live-bytes: 3.5 MiB in all\n"
				  "   SELF    LIVE BLOCKS ALLOCATED ALLOCS    PEAK  MODULE  FUNCTION\n"
				  "  71.4%    2.5M      4      3.0M      5    1.0M  app     app+0x1000\n"
				  "  28.6%    1.0M     60      2.0M    100      0B  app     app+0x2000\n"
				  "… 1 more, 0.0%\n");
	/* Who has freed everything is there; who only called them is not. */
	options.rows = 40;
	all = write_report(profile, options);
	assert_contains(all, "   0.0%      0B      0      1.0M   1.0k     77B  app     app+0x3000\n");
	assert_null(strstr(all, "app+0x9000"));
}

static void test_tree(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	_cleanup_json_ json_t *json = parse_report(profile, make_options(REPORT_TREE, HEAP_ALLOC_COUNT));
	_cleanup_free_ char *text = write_report(profile, make_options(REPORT_TREE, HEAP_LIVE_BYTES));
	json_t *root = json_array_get(get(json, "rows"), 0);

	assert_keys(json, "schema metric total rows");
	assert_string_equal(get_text(json, "metric"), "alloc-count");
	assert_int_equal(get_count(json, "total"), 1105);
	assert_string_equal(get_text(root, "function"), "app+0x9000");
	assert_int_equal(get_count(root, "total"), 1105);
	assert_true(json_is_null(get(root, "self_ci")));
	assert_int_equal(json_array_size(get(root, "children")), 3);
	assert_contains(text, "live-bytes: 3.5 MiB in all\n  TOTAL    SELF      BYTES  CALL PATH\n"
			      " 100.0%    0.0%    3.5 MiB  app+0x9000\n");
}

static void test_hot_text(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	_cleanup_free_ char *bytes = write_report(profile, make_options(REPORT_HOT, HEAP_LIVE_BYTES));
	_cleanup_free_ char *blocks = write_report(profile, make_options(REPORT_HOT, HEAP_ALLOC_COUNT));

	/* Exact: no interval. */
	assert_contains(bytes, "   SELF   TOTAL      BYTES  MODULE  FUNCTION\n"
			       "  71.4%   71.4%    2.5 MiB  app     app+0x1000\n");
	assert_null(strstr(bytes, "±"));
	assert_contains(blocks, "alloc-count: 1,105 in all\n   SELF   TOTAL     BLOCKS  MODULE  FUNCTION\n"
				"  90.5%   90.5%      1,000  app     app+0x3000\n");
}

/* Each metric is written in its own unit. */
static void test_units_in_text(void **state)
{
	static const char *const heads[HEAP_METRICS] = {
		"live-bytes: 3.5 MiB in all\n   SELF   TOTAL      BYTES  ",
		"live-count: 64 in all\n   SELF   TOTAL     BLOCKS  ",
		"alloc-bytes: 6.0 MiB in all\n   SELF   TOTAL      BYTES  ",
		"alloc-count: 1,105 in all\n   SELF   TOTAL     BLOCKS  ",
		"peak-bytes: 1.0 MiB in all\n   SELF   TOTAL      BYTES  ",
	};
	_cleanup_profile_ struct profile *profile = make_profile();

	for (unsigned metric = 0; metric < HEAP_METRICS; metric++) {
		_cleanup_free_ char *text = write_report(profile, make_options(REPORT_HOT, metric));

		assert_contains(text, heads[metric]);
	}
}

static void test_numbers(void **state)
{
	static const struct {
		uint64_t number;
		const char *bytes, *short_bytes, *count;
	} cases[] = {
		{0, "0 B", "0B", "0"},
		{999, "999 B", "999B", "999"},
		{1000, "1000 B", "1000B", "1.0k"},
		{1024, "1.0 KiB", "1.0K", "1.0k"},
		/* Never 1024.0 of a unit. */
		{MIB - 1, "1.0 MiB", "1.0M", "1.0M"},
		{999960, "976.5 KiB", "976.5K", "1.0M"},
		{UINT64_MAX, "16.0 EiB", "16.0E", "18.4E"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[REPORT_NUMBER_MAX];

		assert_string_equal(report_format_bytes(cases[i].number, text), cases[i].bytes);
		assert_string_equal(report_format_short_bytes(cases[i].number, text), cases[i].short_bytes);
		assert_string_equal(report_format_short(cases[i].number, text), cases[i].count);
	}
}

/* Rows of books that ended before the session say when. */
static void test_rows_of_closed_books(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	struct heap_facts facts = make_facts();
	_cleanup_json_ json_t *json = NULL;
	_cleanup_free_ char *text = NULL;

	facts.mode = HEAP_MODE_CLOSED;
	facts.closed_ns = 50500000000;
	facts.why = "too dear";
	set_facts(profile, &facts);
	json = parse_report(profile, (struct report_options){.view = REPORT_ALLOC});
	assert_keys(json, "schema metric total rows closed_s why");
	assert_true(get_real(json, "closed_s") == 50.5);
	assert_string_equal(get_text(json, "why"), "too dear");
	text = write_report(profile, (struct report_options){.view = REPORT_ALLOC});
	assert_contains(text, "live-bytes: 3.5 MiB in all, as of 50.5 s\ntoo dear\n");
}

/* ---- the fixture's heap: names, templates, modules ---- */

static struct profile *make_fixture(void)
{
	struct profile *profile;

	assert_no_error(fixture_profile_create(&profile));
	assert_no_error(fixture_add_heap(profile));
	fixture_profile_name_all(profile);
	return profile;
}

static uint64_t get_sum(const struct heap *heap, unsigned metric)
{
	struct heap_figures sum;

	heap_get_sum(heap, &sum);
	return (const uint64_t[]){sum.live_bytes, sum.live_count, sum.alloc_bytes, sum.alloc_count,
				  sum.peak_bytes}[metric];
}

/* Every block belongs to one row, in every metric; and self is that metric's figure. */
static void test_fixture_rows_add_up(void **state)
{
	static const char *const fields[] = {"live_bytes", "live_count", "alloc_bytes", "alloc_count",
					     "peak_bytes"};
	_cleanup_profile_ struct profile *profile = make_fixture();

	for (unsigned metric = 0; metric < HEAP_METRICS; metric++) {
		_cleanup_json_ json_t *json = parse_report(profile, make_options(REPORT_ALLOC, metric));
		int64_t sum = 0, last = INT64_MAX;
		json_t *row;
		size_t i;

		json_array_foreach(get(json, "rows"), i, row)
		{
			assert_int_equal(get_count(row, "self"), get_count(row, fields[metric]));
			assert_in_range(get_count(row, "self"), 0, last);
			assert_in_range(get_count(row, "self"), 0, get_count(row, "total"));
			last = get_count(row, "self");
			sum += last;
		}
		assert_int_equal(sum, get_count(json, "total"));
		assert_int_equal(sum, get_sum(profile_get_heap(profile), metric));
		assert_true(sum > 0);
	}
}

/* The summary and the rows are of one heap. */
static void test_fixture_summary_agrees_with_rows(void **state)
{
	_cleanup_profile_ struct profile *profile = make_fixture();
	_cleanup_json_ json_t *summary =
		parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	static const char *const fields[] = {"live_bytes", "live_blocks", "alloc_bytes", "allocs",
					     "peak_bytes"};

	for (unsigned metric = 0; metric < HEAP_METRICS; metric++) {
		_cleanup_json_ json_t *json = parse_report(profile, make_options(REPORT_HOT, metric));

		assert_int_equal(get_count(json, "total"), get_count(get(summary, "heap"), fields[metric]));
	}
}

static void test_fixture_text(void **state)
{
	_cleanup_profile_ struct profile *profile = make_fixture();

	for (enum report_view view = REPORT_SUMMARY; view <= REPORT_ALLOC; view++) {
		struct report_options options = make_options(view, HEAP_LIVE_BYTES);
		_cleanup_free_ char *text = NULL;

		options.rows = 40;
		text = write_report(profile, options);
		assert_in_range(get_widest(text), 60, 100);
		if (view != REPORT_SUMMARY)
			assert_contains(text, "live-bytes: ");
	}
}

/* ---- nothing was measured, or nothing was there ---- */

static void assert_unmeasured(struct profile *profile, const char *why)
{
	static const enum report_view views[] = {REPORT_ALLOC, REPORT_HOT, REPORT_TREE};
	_cleanup_json_ json_t *summary =
		parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	_cleanup_free_ char *page = write_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	char words[128];

	assert_true(json_is_null(get(summary, "heap")));
	assert_true(json_is_null(get(summary, "overhead.heap_hits")));
	assert_true(json_is_null(get(summary, "overhead.heap_ns")));
	assert_true(json_is_null(get(summary, "overhead.heap_pct")));
	snprintf(words, sizeof(words), "  heap      not measured: %s\n", why);
	assert_contains(page, words);
	snprintf(words, sizeof(words), "heap: not measured: %s\n", why);
	for (size_t i = 0; i < sizeof(views) / sizeof(views[0]); i++) {
		struct report_options options = make_options(views[i], HEAP_PEAK_BYTES);
		_cleanup_json_ json_t *json = parse_report(profile, options);
		_cleanup_free_ char *text = write_report(profile, options);

		assert_keys(json, "schema metric total rows why");
		assert_string_equal(get_text(json, "metric"), "peak-bytes");
		assert_true(json_is_null(get(json, "total")));
		assert_int_equal(json_array_size(get(json, "rows")), 0);
		assert_string_equal(get_text(json, "why"), why);
		assert_string_equal(text, words);
	}
}

static void test_not_measured(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	struct facts facts;

	assert_no_error(profile_create(&profile));
	profile_get_facts(profile, &facts);
	facts.heap_why = "it was not asked for";
	assert_no_error(profile_set_facts(profile, &facts));
	assert_unmeasured(profile, "it was not asked for");
	/* The heap's own reason is the better one. */
	set_facts(profile, &(struct heap_facts){.mode = HEAP_MODE_OFF, .why = "a Go program"});
	assert_unmeasured(profile, "a Go program");
}

/* A long reason is wrapped, not cut: its end says what to do. */
static void test_long_why(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	_cleanup_free_ char *page = NULL, *rows = NULL;
	static const char why[] =
		"the target is traced by a debugger, which must not meet traps that it has not "
		"set itself; detach it, and then attach kiln again";

	assert_no_error(profile_create(&profile));
	set_facts(profile, &(struct heap_facts){.mode = HEAP_MODE_OFF, .why = why});
	page = write_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_contains(page, "  heap      not measured: the target is traced by a debugger, which must not "
			      "meet traps that "
			      "it has\n            not set itself; detach it, and then attach kiln again\n");
	rows = write_report(profile, (struct report_options){.view = REPORT_ALLOC});
	assert_string_equal(rows,
			    "heap: not measured: the target is traced by a debugger, which must not meet "
			    "traps that it has not\n  set itself; detach it, and then attach kiln again\n");
	assert_in_range(get_widest(page), 60, 100);
	assert_in_range(get_widest(rows), 60, 100);
}

static void test_no_allocator(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;

	assert_no_error(profile_create(&profile));
	set_facts(profile, &(struct heap_facts){.mode = HEAP_MODE_WAITING});
	assert_unmeasured(profile, "no allocator was found");
	set_facts(profile, &(struct heap_facts){.mode = HEAP_MODE_WAITING, .why = "malloc is stripped"});
	assert_unmeasured(profile, "malloc is stripped");
}

static void test_nothing_allocated(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;

	assert_no_error(profile_create(&profile));
	set_facts(profile, &(struct heap_facts){.mode = HEAP_MODE_EXACT, .cost_pct = NAN, .budget_pct = NAN});
	for (enum report_view view = REPORT_HOT; view <= REPORT_ALLOC; view++) {
		_cleanup_json_ json_t *json = parse_report(profile, make_options(view, HEAP_LIVE_BYTES));
		_cleanup_free_ char *text = write_report(profile, make_options(view, HEAP_LIVE_BYTES));

		/* Measured: this 0 is one. */
		assert_int_equal(get_count(json, "total"), 0);
		assert_int_equal(json_array_size(get(json, "rows")), 0);
		assert_contains(text, "no live blocks\n");
	}
}

/* A metric of the heap leaves the CPU's reports as they are. */
static void test_cpu_after_heap(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();
	uint32_t stack = profile_intern_stack(profile, 0, FRAME(APP, 16));
	_cleanup_json_ json_t *json = NULL;

	profile_add_samples(profile, stack, 0, 1, 0, SAMPLE_USER, STACK_COMPLETE, 3);
	json_decref(parse_report(profile, make_options(REPORT_HOT, HEAP_LIVE_BYTES)));
	json = parse_report(profile, (struct report_options){.view = REPORT_HOT});
	assert_string_equal(get_text(json, "metric"), "cpu");
	assert_int_equal(get_count(json, "total"), 3);
	assert_true(json_is_real(json_object_get(json_array_get(get(json, "rows"), 0), "self_ci")));
}

static void test_full_stream(void **state)
{
	_cleanup_profile_ struct profile *profile = make_profile();

	for (enum report_format format = REPORT_TEXT; format <= REPORT_JSON; format++) {
		struct report_options options = {.view = REPORT_ALLOC, .format = format};
		_cleanup_(cleanup_fclose) FILE *full = fopen("/dev/full", "w");
		_cleanup_error_ struct error *error = NULL;

		assert_non_null(full);
		error = report_write(profile, &options, full);
		assert_non_null(error);
		assert_int_equal(error_get_errno(error), ENOSPC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_summary_json),
		cmocka_unit_test(test_summary_json_closes_the_books),
		cmocka_unit_test(test_summary_json_losses_and_cost),
		cmocka_unit_test(test_summary_json_cost_without_estimate),
		cmocka_unit_test(test_summary_of_closed_books),
		cmocka_unit_test(test_summary_text),
		cmocka_unit_test(test_summary_without_allocations),
		cmocka_unit_test(test_alloc_json),
		cmocka_unit_test(test_alloc_json_has_all_owners),
		cmocka_unit_test(test_metrics),
		cmocka_unit_test(test_alloc_limits),
		cmocka_unit_test(test_alloc_text),
		cmocka_unit_test(test_tree),
		cmocka_unit_test(test_hot_text),
		cmocka_unit_test(test_units_in_text),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_rows_of_closed_books),
		cmocka_unit_test(test_fixture_rows_add_up),
		cmocka_unit_test(test_fixture_summary_agrees_with_rows),
		cmocka_unit_test(test_fixture_text),
		cmocka_unit_test(test_not_measured),
		cmocka_unit_test(test_long_why),
		cmocka_unit_test(test_no_allocator),
		cmocka_unit_test(test_nothing_allocated),
		cmocka_unit_test(test_cpu_after_heap),
		cmocka_unit_test(test_full_stream),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
