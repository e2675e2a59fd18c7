/* Reports: JSON field by field against the profile and CLI.md, text as people read it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "export/report.h"
#include "export/report_parts.h"
#include "tests/support/fixture.h"
#include "tests/support/reports.h"

#include <errno.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct profile *fixture;
static struct totals totals;

/* ---- summary ---- */

static void test_summary_json(void **state)
{
	_cleanup_json_ json_t *json = parse_report(fixture, (struct report_options){.view = REPORT_SUMMARY});

	assert_keys(json, "schema target duration_s cpu heap lost overhead modules events");
	assert_int_equal(get_count(json, "schema"), 1);
	assert_keys(get(json, "target"), "pid exe cmdline exit");
	assert_int_equal(get_count(json, "target.pid"), 4242);
	assert_string_equal(get_text(json, "target.exe"), "/srv/api-server");
	assert_string_equal(get_text(json, "target.cmdline"),
			    "/srv/api-server --port 8080 --workers 24 --config /etc/api/prod.toml");
	assert_true(json_is_null(get(json, "target.exit")));
	assert_true(get_real(json, "duration_s") == 92.0);
	assert_true(json_is_null(get(json, "heap")));
	assert_keys(get(json, "overhead"), "target_pct self_cpu_pct probe_hits probe_ns frames memo_frames "
					   "memo_wrong heap_hits heap_ns heap_frames heap_memo_frames "
					   "heap_pct");
	assert_true(fabs(get_real(json, "overhead.target_pct") - 98.7 * 1870 / 1e7) < 1e-6);
	assert_true(fabs(get_real(json, "overhead.self_cpu_pct") - 37 / 92.0) < 1e-6);
	assert_int_equal(get_count(json, "overhead.probe_hits"), totals.samples);
	assert_true(get_real(json, "overhead.probe_ns") == 1870);
	assert_true(json_is_null(get(json, "overhead.heap_hits")));
	assert_true(json_is_null(get(json, "overhead.heap_ns")));
	assert_true(json_is_null(get(json, "overhead.heap_pct")));
}

static void test_summary_json_closes_accounts(void **state)
{
	_cleanup_json_ json_t *json = parse_report(fixture, (struct report_options){.view = REPORT_SUMMARY});
	int64_t samples = get_count(json, "cpu.samples"), broken = 0, modules = 0;
	const char *key;
	json_t *value;
	size_t i;

	assert_keys(get(json, "cpu"), "hz_requested hz_delivered samples user_samples kernel_samples stacks");
	assert_true(get_real(json, "cpu.hz_requested") == 99);
	assert_true(fabs(get_real(json, "cpu.hz_delivered") - 98.7) < 1e-6);
	assert_int_equal(samples, totals.samples);
	assert_int_equal(samples,
			 get_count(json, "cpu.user_samples") + get_count(json, "cpu.kernel_samples"));
	assert_int_equal(get_count(json, "cpu.kernel_samples"), totals.kernel_samples);
	assert_keys(get(json, "cpu.stacks"), "complete truncated broken");
	assert_keys(get(json, "cpu.stacks.broken"),
		    "no_mapping no_table no_rule bad_cfa bad_return unreadable trampoline jit");
	json_object_foreach(get(json, "cpu.stacks.broken"), key, value) broken += json_integer_value(value);
	assert_int_equal(get_count(json, "cpu.stacks.broken.jit"), totals.ends[STACK_JIT]);
	assert_true(broken > 0);
	assert_int_equal(samples, get_count(json, "cpu.stacks.complete") +
					  get_count(json, "cpu.stacks.truncated") + broken);
	assert_keys(get(json, "lost"),
		    "cpu_ring_full cpu_scratch_busy heap_ring_full heap_scratch_busy live_map_full "
		    "stack_map_full reader_dropped");
	json_array_foreach(get(json, "modules"), i, value)
	{
		assert_keys(value, "name path build_id symbols samples broken");
		modules += get_count(value, "samples");
	}
	assert_int_equal(modules, samples);
}

static void test_summary_json_modules(void **state)
{
	_cleanup_json_ json_t *json = parse_report(fixture, (struct report_options){.view = REPORT_SUMMARY});
	bool kernel_seen = false;
	int64_t last = INT64_MAX;
	json_t *module;
	size_t i;

	module = json_array_get(get(json, "modules"), 0);
	assert_string_equal(get_text(module, "name"), "api-server");
	assert_string_equal(get_text(module, "path"), "/srv/api-server");
	assert_string_equal(get_text(module, "symbols"), "full");
	assert_string_equal(get_text(module, "build_id"), "9b7c1f6f8a1e4bd2a1c07d7a43f5c1b8d8b0a111");
	json_array_foreach(get(json, "modules"), i, module)
	{
		assert_true(get_count(module, "samples") <= last);
		last = get_count(module, "samples");
		if (strcmp(get_text(module, "name"), "[kernel]"))
			continue;
		kernel_seen = true;
		assert_string_equal(get_text(module, "symbols"), "minimal");
		assert_true(json_is_null(get(module, "build_id")));
	}
	assert_true(kernel_seen);
}

/* Each broken stack is somebody's: the modules' figures add up to the reasons'. */
static void test_summary_json_broken(void **state)
{
	_cleanup_json_ json_t *json = parse_report(fixture, (struct report_options){.view = REPORT_SUMMARY});
	int64_t sums[STACK_ENDS] = {0};
	json_t *module, *count;
	const char *reason;
	size_t i;

	json_array_foreach(get(json, "modules"), i, module)
	{
		json_object_foreach(get(module, "broken"), reason, count)
		{
			for (int end = 0; end < STACK_ENDS; end++)
				if (!strcmp(reason, stack_end_names[end]))
					sums[end] += json_integer_value(count);
			assert_true(json_integer_value(count) > 0);
		}
		if (!strcmp(get_text(module, "name"), "libvendor.so"))
			assert_int_equal(get_count(module, "broken.no_table"), totals.ends[STACK_NO_TABLE]);
		if (!strcmp(get_text(module, "name"), "libc.so.6"))
			assert_keys(get(module, "broken"), "");
	}
	for (int end = STACK_TRUNCATED + 1; end < STACK_ENDS; end++)
		assert_int_equal(sums[end], totals.ends[end]);
	assert_int_equal(sums[STACK_TRUNCATED], 0);
}

static void add_broken(struct profile *profile, uint32_t module, enum stack_end end, uint64_t count)
{
	uint32_t stack = profile_intern_stack(profile, 0, FRAME(MODULE_STACK_END, end));

	stack = profile_intern_stack(profile, stack, FRAME(module, 0x100));
	/* The leaf is elsewhere: what spoils samples need not have any. */
	stack = profile_intern_stack(profile, stack, FRAME(16, 0x10));
	profile_add_samples(profile, stack, 0, 1, 0, SAMPLE_USER, end, count);
}

static struct profile *make_broken(void)
{
	struct profile *profile;
	uint32_t stack;

	assert_no_error(profile_create(&profile));
	assert_no_error(profile_set_module(profile, 16, MODULE_KIND_FILE, "/srv/app"));
	assert_no_error(profile_set_module(profile, 17, MODULE_KIND_FILE, "/srv/lib/libvendor.so"));
	stack = profile_intern_stack(profile, 0, FRAME(16, 0x10));
	profile_add_samples(profile, stack, 0, 1, 0, SAMPLE_USER, STACK_COMPLETE, 99000);
	add_broken(profile, 17, STACK_NO_TABLE, 700);
	add_broken(profile, MODULE_ANONYMOUS, STACK_JIT, 200);
	add_broken(profile, 17, STACK_BAD_RETURN, 60);
	add_broken(profile, MODULE_UNKNOWN, STACK_NO_MAPPING, 20);
	add_broken(profile, 16, STACK_NO_RULE, 12);
	add_broken(profile, 16, STACK_TRAMPOLINE, 7);
	add_broken(profile, MODULE_MERGED, STACK_UNREADABLE, 1);
	return profile;
}

static void test_summary_json_spoilers_without_samples(void **state)
{
	_cleanup_profile_ struct profile *profile = make_broken();
	_cleanup_json_ json_t *json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	static const char *const names[] = {"app", "[unknown]", "[anon]", "[merged]", "libvendor.so"};
	static const char *const broken[] = {"no_rule trampoline", "no_mapping", "jit", "unreadable",
					     "no_table bad_return"};

	assert_int_equal(json_array_size(get(json, "modules")), 5);
	for (size_t i = 0; i < 5; i++) {
		json_t *module = json_array_get(get(json, "modules"), i);

		assert_string_equal(get_text(module, "name"), names[i]);
		assert_keys(get(module, "broken"), broken[i]);
		assert_int_equal(get_count(module, "samples"), i ? 0 : 100000);
	}
}

static void test_summary_text_broken(void **state)
{
	_cleanup_profile_ struct profile *profile = make_broken();
	_cleanup_free_ char *text = write_report(profile, (struct report_options){.view = REPORT_SUMMARY});

	assert_contains(text, "  stacks    99.00% complete  no_mapping 20  no_table 700  no_rule 12  "
			      "bad_return 60  unreadable 1\n"
			      "            trampoline 7  jit 200\n"
			      "  broken     0.70% libvendor.so: no unwind table; ");
	assert_contains(
		text,
		" no unwind table; build it without -fno-asynchronous-unwind-tables\n"
		"                   (or its samples came before it was read)\n"
		"             0.20% [anon]: JIT code without frame pointers; switch them on (java:\n"
		"                   -XX:+PreserveFramePointer)\n"
		"             0.06% libvendor.so: a return address that is none; its unwind rules are wrong");
	assert_contains(text,
			"             0.01% app: no unwind rule there; add .cfi directives (hand-written "
			"assembly?)\n"
			"            <0.01% … 2 more\n"
			"  lost      0\n");
	assert_in_range(get_widest(text), 60, 100);
}

/* Nothing is said where nothing broke. */
static void test_summary_text_whole(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	_cleanup_free_ char *text = NULL;
	uint32_t stack;

	assert_no_error(profile_create(&profile));
	stack = profile_intern_stack(profile, 0, FRAME(16, 0x10));
	profile_add_samples(profile, stack, 0, 1, 0, SAMPLE_USER, STACK_COMPLETE, 5);
	stack = profile_intern_stack(profile, 0, FRAME(MODULE_STACK_END, STACK_TRUNCATED));
	profile_add_samples(profile, stack, 0, 1, 0, SAMPLE_USER, STACK_TRUNCATED, 5);
	text = write_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_contains(text, "truncated 5\n  lost ");
	assert_null(strstr(text, "broken  "));
}

static void test_summary_json_without_figures(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	_cleanup_json_ json_t *json = NULL;
	struct facts facts;

	assert_no_error(profile_create(&profile));
	json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_true(json_is_null(get(json, "cpu.hz_delivered")));
	assert_true(json_is_null(get(json, "cpu.hz_requested")));
	assert_true(json_is_null(get(json, "target.exe")));
	assert_true(json_is_null(get(json, "overhead.target_pct")));
	assert_true(json_is_null(get(json, "overhead.self_cpu_pct")));
	assert_true(json_is_null(get(json, "overhead.probe_ns")));
	assert_int_equal(get_count(json, "cpu.samples"), 0);
	assert_int_equal(json_array_size(get(json, "modules")), 0);
	json_decref(json);

	profile_get_facts(profile, &facts);
	facts.target_cpu_s = 0.09; /* below 0.1 s a rate says nothing */
	facts.exit_kind = EXIT_SIGNAL;
	facts.exit_value = 11;
	facts.lost[LOST_CPU_RING_FULL] = 3;
	facts.cmdline = "a\x1b[1m\"\xff";
	assert_no_error(profile_set_facts(profile, &facts));
	json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_true(json_is_null(get(json, "cpu.hz_delivered")));
	assert_keys(get(json, "target.exit"), "signal");
	assert_int_equal(get_count(json, "target.exit.signal"), 11);
	assert_int_equal(get_count(json, "lost.cpu_ring_full"), 3);
	assert_string_equal(get_text(json, "target.cmdline"), "a?[1m\"?");
	json_decref(json);

	facts.exit_kind = EXIT_CODE;
	facts.exit_value = 3;
	assert_no_error(profile_set_facts(profile, &facts));
	json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_int_equal(get_count(json, "target.exit.code"), 3);
}

static void test_summary_text(void **state)
{
	_cleanup_free_ char *text = write_report(fixture, (struct report_options){.view = REPORT_SUMMARY});

	assert_contains(text, "api-server [4242]\n");
	assert_contains(text, "  time      92.0 s from 2026-03-02 12:00:00 UTC on api-prod-3\n");
	assert_contains(text, "  rate      98.7 Hz delivered, 99 Hz requested (cpu-clock)\n");
	assert_contains(text, "  samples   2,000  user ");
	assert_contains(text, "% complete  truncated ");
	assert_contains(text, "  lost      0\n");
	assert_contains(text, "  heap      not measured: the heap is not measured by this version\n");
	assert_null(strstr(text, "bad_cfa")); /* zero */
	assert_in_range(get_widest(text), 60, 100);
}

/* What has no names for good is said; of the other events only JSON tells. */
static void test_summary_events(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	_cleanup_json_ json_t *json = NULL;
	_cleanup_free_ char *text = NULL;
	json_t *event;

	assert_no_error(profile_create(&profile));
	assert_no_error(profile_add_event(profile, 500000000, "attached"));
	assert_no_error(profile_add_event(profile, 2500000000,
					  "liba.so: set aside: reading its names killed two workers"));
	text = write_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_contains(text, "\n  note      liba.so: set aside: reading its names killed two workers\n");
	assert_null(strstr(text, "attached"));
	json = parse_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_int_equal(json_array_size(get(json, "events")), 2);
	event = json_array_get(get(json, "events"), 1);
	assert_keys(event, "at_s text");
	assert_true(get_real(event, "at_s") == 2.5);
	assert_string_equal(get_text(event, "text"),
			    "liba.so: set aside: reading its names killed two workers");
}

/* A command is shown as it was given, cut at its end: its brackets are no parameters of a C++ name. */
static void test_summary_text_command(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;
	_cleanup_free_ char *text = NULL;
	struct facts facts;

	assert_null(profile_create(&profile));
	profile_get_facts(fixture, &facts);
	facts.cmdline =
		"python3 -c print(1) for _ in range(2) a<b> and then many words which do not fit into "
		"one row of a report";
	assert_null(profile_set_facts(profile, &facts));
	text = write_report(profile, (struct report_options){.view = REPORT_SUMMARY});
	assert_contains(text,
			"  command   python3 -c print(1) for _ in range(2) a<b> and then many words which do "
			"not fit into on…\n");
}

/* ---- hot ---- */

static void assert_row(json_t *row)
{
	double self = (double)get_count(row, "self"), n = (double)totals.samples, z2 = 1.959964 * 1.959964;
	double share = self / n, root = sqrt(share * (1 - share) / n + z2 / (4 * n * n));

	assert_keys(row, "function module file line self total self_ci");
	assert_true(fabs(get_real(row, "self_ci") - n * 1.959964 * root / (1 + z2 / n)) < 1e-4);
	assert_true(get_count(row, "self") <= get_count(row, "total"));
	assert_true(json_is_null(get(row, "file")) == json_is_null(get(row, "line")));
}

static void test_hot_json(void **state)
{
	_cleanup_json_ json_t *json = parse_report(fixture, (struct report_options){.view = REPORT_HOT});
	int64_t last = INT64_MAX, sum = 0;
	json_t *row;
	size_t i;

	assert_keys(json, "schema metric total rows");
	assert_int_equal(get_count(json, "schema"), 1);
	assert_string_equal(get_text(json, "metric"), "cpu");
	assert_int_equal(get_count(json, "total"), totals.samples);
	assert_int_equal(json_array_size(get(json, "rows")), profile_count_hot(fixture));
	json_array_foreach(get(json, "rows"), i, row)
	{
		assert_row(row);
		assert_true(get_count(row, "self") <= last);
		last = get_count(row, "self");
		sum += last;
	}
	assert_int_equal(sum, totals.samples);
	row = json_array_get(get(json, "rows"), 0);
	assert_string_equal(get_text(row, "function"), "json::Parser::next()");
	assert_string_equal(get_text(row, "module"), "api-server");
	assert_string_equal(get_text(row, "file"), "/src/api/json.cc");
}

static void test_hot_json_limits(void **state)
{
	_cleanup_json_ json_t *json = NULL;
	int64_t sum;
	json_t *row;
	size_t i;

	json = parse_report(fixture, (struct report_options){.view = REPORT_HOT, .rows = 3});
	assert_int_equal(json_array_size(get(json, "rows")), 3);
	sum = get_count(json, "left_out.self");
	json_array_foreach(get(json, "rows"), i, row) sum += get_count(row, "self");
	assert_int_equal(sum, totals.samples);
	assert_int_equal(get_count(json, "left_out.rows"), profile_count_hot(fixture) - 3);
	json_decref(json);

	json = parse_report(fixture, (struct report_options){.view = REPORT_HOT, .limit_pct = 2});
	assert_true(json_array_size(get(json, "rows")) > 3);
	json_array_foreach(get(json, "rows"), i, row)
		assert_true(get_count(row, "self") * 50 >= (int64_t)totals.samples);
}

static void test_hot_text(void **state)
{
	_cleanup_free_ char *text =
		write_report(fixture, (struct report_options){.view = REPORT_HOT, .rows = 20});
	unsigned lines = 0;

	for (const char *at = text; *at; at++)
		lines += *at == '\n';
	assert_int_equal(lines, 1 + 20 + 1);
	assert_contains(text, "MODULE          FUNCTION\n");
	assert_contains(text, "  api-server      json::Parser::next()  json.cc:2");
	assert_contains(text, "  [kernel]        ");
	assert_contains(text, "std::_Rb_tree<…>::find(…)  stl_tree.h:");
	assert_contains(text, " more, ");
	assert_in_range(get_widest(text), 60, 100);
}

static void test_empty_text(void **state)
{
	_cleanup_profile_ struct profile *profile = NULL;

	assert_no_error(profile_create(&profile));
	for (enum report_view view = REPORT_SUMMARY; view <= REPORT_TREE; view++) {
		_cleanup_free_ char *text = write_report(profile, (struct report_options){.view = view});
		_cleanup_json_ json_t *json = parse_report(profile, (struct report_options){.view = view});

		assert_int_equal(get_count(json, "schema"), 1);
		if (view != REPORT_SUMMARY)
			assert_contains(text, "no samples");
	}
}

/* ---- tree ---- */

static size_t assert_tree(json_t *rows, int64_t *ret_total, int64_t *ret_self)
{
	size_t i, count = 0;
	json_t *row;

	*ret_total = *ret_self = 0;
	json_array_foreach(rows, i, row)
	{
		int64_t total, self;

		assert_keys(row, "function module file line self total self_ci children");
		count += 1 + assert_tree(get(row, "children"), &total, &self);
		assert_int_equal(get_count(row, "total"), get_count(row, "self") + total);
		*ret_total += get_count(row, "total");
		*ret_self += get_count(row, "self") + self;
	}
	return count;
}

static void test_tree_json(void **state)
{
	_cleanup_json_ json_t *json = parse_report(fixture, (struct report_options){.view = REPORT_TREE});
	int64_t total, self;

	assert_keys(json, "schema metric total rows");
	assert_int_equal(get_count(json, "total"), totals.samples);
	assert_true(assert_tree(get(json, "rows"), &total, &self) > 500);
	assert_int_equal(total, totals.samples);
	assert_int_equal(self, totals.samples);
}

static int64_t sum_tree(json_t *rows, size_t *count, int64_t *smallest)
{
	int64_t sum = 0;
	json_t *row;
	size_t i;

	json_array_foreach(rows, i, row)
	{
		json_t *left_out = json_object_get(row, "left_out");
		int64_t total = get_count(row, "total"),
			below = sum_tree(get(row, "children"), count, smallest);

		++*count;
		*smallest = total < *smallest ? total : *smallest;
		sum += total;
		if (left_out)
			below += get_count(left_out, "total");
		assert_int_equal(total, get_count(row, "self") + below);
	}
	return sum;
}

static void test_tree_json_limits(void **state)
{
	_cleanup_json_ json_t *json = NULL;
	int64_t smallest = INT64_MAX;
	size_t count = 0;

	for (size_t rows = 1; rows < 300; rows = rows * 3 + 1) {
		json = parse_report(fixture, (struct report_options){.view = REPORT_TREE, .rows = rows});
		count = 0;
		assert_int_equal(sum_tree(get(json, "rows"), &count, &smallest) +
					 get_count(json, "left_out.total"),
				 totals.samples);
		assert_int_equal(count, rows);
		json_decref(json);
	}
	json = parse_report(fixture, (struct report_options){.view = REPORT_TREE, .limit_pct = 1.5});
	smallest = INT64_MAX;
	sum_tree(get(json, "rows"), &count, &smallest);
	assert_in_range(smallest, 30, 60);
}

static void test_tree_text(void **state)
{
	_cleanup_free_ char *text =
		write_report(fixture, (struct report_options){.view = REPORT_TREE, .rows = 40});

	assert_contains(text, "clone3 › start_thread\n");
	assert_contains(text, "    worker_main(void*) › Pool::run() › Router::dispatch(Request&)\n");
	assert_contains(text, "⋯n: n callees are not shown");
	assert_in_range(get_widest(text), 60, 100);
}

static struct profile *make_deep(uint32_t depth)
{
	struct profile *profile;
	uint32_t stack = 0;

	assert_no_error(profile_create(&profile));
	for (uint32_t i = 0; i < depth; i++) {
		stack = profile_intern_stack(profile, stack, FRAME(16, 16 * i));
		profile_add_samples(profile, stack, 0, 1, 0, SAMPLE_USER, STACK_COMPLETE, 1);
	}
	return profile;
}

static void test_deep_tree(void **state)
{
	/* jansson reads 2,048 levels, two for each frame: this much is read back as a whole … */
	_cleanup_profile_ struct profile *deep = make_deep(1020), *deeper = make_deep(4000);
	_cleanup_json_ json_t *json = parse_report(deep, (struct report_options){.view = REPORT_TREE});
	json_t *rows = get(json, "rows");
	_cleanup_free_ char *text = NULL, *list = NULL;
	size_t levels = 0, depth = 0, deepest = 0;

	for (; json_array_size(rows); levels++)
		rows = get(json_array_get(rows, 0), "children");
	assert_int_equal(levels, 1020);
	/* … and of more at least the brackets are right. No name here has one in it. */
	text = write_report(deeper, (struct report_options){.view = REPORT_TREE, .format = REPORT_JSON});
	for (const char *at = text; *at; at++) {
		depth += *at == '{' || (*at == '[' && at[-1] == ':');
		deepest = depth > deepest ? depth : deepest;
		depth -= *at == '}' || (*at == ']' && at[-1] != '6');
	}
	assert_int_equal(depth, 0);
	assert_int_equal(deepest, 2 * (4000 + 1));
	list = write_report(deeper, (struct report_options){.view = REPORT_TREE});
	assert_contains(list, "⋯3999 ");
	assert_in_range(get_widest(list), 60, 110);
}

/* ---- errors ---- */

/* What tells least goes first: template and other arguments, the return type, namespaces. */
static void test_names_that_are_too_long(void **state)
{
	static const struct {
		const char *name, *shown;
		size_t width;
	} names[] = {
		{"void std::sort<int*>(int*, int*)", "void std::sort<int*>(int*, int*)", 40},
		{"void std::sort<int*>(int*, int*)", "void std::sort<…>(int*, int*)", 30},
		{"void std::sort<int*>(int*, int*)", "void std::sort<…>(…)", 20},
		{"void std::sort<int*>(int*, int*)", "std::sort<…>(…)", 15},
		{"__gnu_cxx::__normal_iterator<int*, std::vector<int> >::operator--()",
		 "__normal_iterator<…>::operator--()", 40},
		{"bool a::b::operator()<int>(int) const", "b::operator()<…>(…) const", 26},
		{"f(std::function<void ()>, (anonymous namespace)::g)", "f(…)", 10},
		{"(anonymous namespace)::make_it_so(int, int)", "(anonymous namespace)::make_it_so(…)", 40},
		{"a_function_of_c_with_a_long_name", "a_funct…ng_name", 15},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		char text[256] = "";
		FILE *stream = fmemopen(text, sizeof(text), "w");

		assert_non_null(stream);
		report_put_text(names[i].name, names[i].width, stream);
		fclose(stream);
		assert_string_equal(text, names[i].shown);
	}
}

static void test_full_stream(void **state)
{
	for (enum report_view view = REPORT_SUMMARY; view <= REPORT_TREE; view++) {
		for (enum report_format format = REPORT_TEXT; format <= REPORT_JSON; format++) {
			_cleanup_(cleanup_fclose) FILE *full = fopen("/dev/full", "w");
			_cleanup_error_ struct error *error = NULL;

			assert_non_null(full);
			error = report_write(fixture,
					     &(struct report_options){.view = view, .format = format}, full);
			assert_non_null(error);
			assert_int_equal(error_get_code(error), ERROR_GENERAL);
			assert_int_equal(error_get_errno(error), ENOSPC);
		}
	}
}

static void test_reader_that_leaves(void **state)
{
	void (*before)(int) = signal(SIGPIPE, SIG_IGN);

	for (enum report_view view = REPORT_SUMMARY; view <= REPORT_TREE; view++) {
		_cleanup_(cleanup_fclose) FILE *stream = NULL;
		_cleanup_error_ struct error *error = NULL;
		int ends[2];

		assert_int_equal(pipe(ends), 0);
		close(ends[0]);
		stream = fdopen(ends[1], "w");
		assert_non_null(stream);
		error = report_write(fixture, &(struct report_options){.view = view}, stream);
		assert_null(error);
	}
	signal(SIGPIPE, before);
}

static int set_up(void **state)
{
	assert_no_error(fixture_profile_create(&fixture));
	profile_get_totals(fixture, &totals);
	return 0;
}

static int tear_down(void **state)
{
	profile_destroy(fixture);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_summary_json),
		cmocka_unit_test(test_names_that_are_too_long),
		cmocka_unit_test(test_summary_json_closes_accounts),
		cmocka_unit_test(test_summary_json_modules),
		cmocka_unit_test(test_summary_json_broken),
		cmocka_unit_test(test_summary_json_spoilers_without_samples),
		cmocka_unit_test(test_summary_json_without_figures),
		cmocka_unit_test(test_summary_text),
		cmocka_unit_test(test_summary_text_command),
		cmocka_unit_test(test_summary_events),
		cmocka_unit_test(test_summary_text_broken),
		cmocka_unit_test(test_summary_text_whole),
		cmocka_unit_test(test_hot_json),
		cmocka_unit_test(test_hot_json_limits),
		cmocka_unit_test(test_hot_text),
		cmocka_unit_test(test_empty_text),
		cmocka_unit_test(test_tree_json),
		cmocka_unit_test(test_tree_json_limits),
		cmocka_unit_test(test_tree_text),
		cmocka_unit_test(test_deep_tree),
		cmocka_unit_test(test_full_stream),
		cmocka_unit_test(test_reader_that_leaves),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
