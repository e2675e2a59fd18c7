#include "tests/support/profile_equal.h"

#include "profile/heap.h"
#include "profile/tree.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TIMELINE_COLUMNS 184
#define NEIGHBOURS_MAX	 256

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			if (why)                                                                             \
				fprintf(why, "%s: %s\n", __func__, #condition);                              \
			return false;                                                                        \
		}                                                                                            \
	} while (0)

static bool same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

static bool same_real(double a, double b)
{
	return a == b || (isnan(a) && isnan(b));
}

static bool same_facts(struct profile *a, struct profile *b, FILE *why)
{
	struct facts first, second;
	struct totals first_totals, second_totals;

	profile_get_facts(a, &first);
	profile_get_facts(b, &second);
	profile_get_totals(a, &first_totals);
	profile_get_totals(b, &second_totals);
	CHECK(!memcmp(&first_totals, &second_totals, sizeof(first_totals)));
	CHECK(first.pid == second.pid && same_text(first.comm, second.comm));
	CHECK(same_text(first.exe, second.exe) && same_text(first.cmdline, second.cmdline));
	CHECK(same_text(first.host, second.host) && same_text(first.kernel, second.kernel));
	CHECK(same_text(first.version, second.version) && same_text(first.heap_why, second.heap_why));
	CHECK(first.start_unix_ns == second.start_unix_ns && first.duration_ns == second.duration_ns);
	CHECK(same_real(first.hz_requested, second.hz_requested));
	CHECK(same_real(first.target_cpu_s, second.target_cpu_s));
	CHECK(same_real(first.self_cpu_s, second.self_cpu_s));
	CHECK(first.probe_hits == second.probe_hits && first.probe_ns_total == second.probe_ns_total);
	CHECK(first.frames == second.frames && first.memo_frames == second.memo_frames);
	CHECK(first.exit_kind == second.exit_kind && first.exit_value == second.exit_value);
	CHECK(first.uses_cpu_clock == second.uses_cpu_clock && first.is_rescued == second.is_rescued);
	return true;
}

static bool same_modules(struct profile *a, struct profile *b, FILE *why)
{
	CHECK(profile_count_modules(a) == profile_count_modules(b));
	for (size_t i = 0; i < profile_count_modules(a); i++) {
		struct module first = profile_get_module(a, i), second;

		CHECK(profile_find_module(b, first.id, &second));
		CHECK(first.kind == second.kind && first.symbols == second.symbols);
		CHECK(same_text(first.path, second.path) && same_text(first.name, second.name));
		CHECK(same_text(first.build_id, second.build_id) && first.samples == second.samples);
	}
	return true;
}

static bool same_inlines(struct profile *a, struct profile *b, uint64_t frame, FILE *why)
{
	uint32_t first = profile_get_frame_inline(a, frame), second = profile_get_frame_inline(b, frame);

	while (first && second) {
		struct inlined one = profile_get_inline(a, first), other = profile_get_inline(b, second);

		CHECK(same_text(profile_get_function(a, one.function).name,
				profile_get_function(b, other.function).name));
		CHECK(same_text(one.file, other.file) && one.line == other.line);
		first = one.around;
		second = other.around;
	}
	CHECK(!first && !second);
	return true;
}

static bool same_name(struct profile *a, struct profile *b, uint64_t frame, FILE *why)
{
	uint32_t first_function = 0, second_function = 0, first_line = 0, second_line = 0;
	const char *first_file = "", *second_file = "";
	bool named = profile_get_name(a, frame, &first_function, &first_file, &first_line);

	CHECK(named == profile_get_name(b, frame, &second_function, &second_file, &second_line));
	if (!named)
		return true;
	CHECK(same_text(profile_get_function(a, first_function).name,
			profile_get_function(b, second_function).name));
	CHECK(same_text(first_file, second_file) && first_line == second_line);
	return same_inlines(a, b, frame, why);
}

static bool same_stacks(struct profile *a, struct profile *b, FILE *why)
{
	CHECK(profile_count_stacks(a) == profile_count_stacks(b));
	for (uint32_t i = 1; i <= profile_count_stacks(a); i++) {
		struct stack first = profile_get_stack(a, i), second = profile_get_stack(b, i);

		CHECK(first.parent == second.parent && first.frame == second.frame &&
		      first.end == second.end);
		CHECK(first.self == second.self && first.self_kernel == second.self_kernel);
		if (!same_name(a, b, first.frame, why))
			return false;
	}
	return true;
}

static bool same_log(struct profile *a, struct profile *b, FILE *why)
{
	CHECK(profile_count_log(a) == profile_count_log(b));
	for (size_t i = 0; i < profile_count_log(a); i++) {
		struct log_entry first = profile_get_log(a, i), second = profile_get_log(b, i);

		CHECK(first.time_ns == second.time_ns && first.tid == second.tid && first.cpu == second.cpu);
		CHECK(first.stack == second.stack && first.count == second.count);
		CHECK(first.mode == second.mode && first.end == second.end);
	}
	CHECK(profile_count_events(a) == profile_count_events(b));
	for (size_t i = 0; i < profile_count_events(a); i++) {
		struct event first = profile_get_event(a, i), second = profile_get_event(b, i);

		CHECK(first.time_ns == second.time_ns && same_text(first.text, second.text));
	}
	return true;
}

static int compare_functions(const void *a, const void *b)
{
	const struct function *first = a, *second = b;
	int order = strcmp(first->name, second->name);

	return order ? order : (int)first->module - (int)second->module;
}

static struct function *list_functions(struct profile *profile)
{
	uint32_t count = profile_count_hot(profile);
	struct function *list = calloc(count + 1, sizeof(*list));

	assert(list);
	for (uint32_t i = 0; i < count; i++)
		list[i] = profile_get_function(profile, profile_get_function_by_self(profile, i));
	qsort(list, count, sizeof(*list), compare_functions);
	return list;
}

static bool same_function_lists(const struct function *first, const struct function *second, uint32_t count,
				FILE *why)
{
	for (uint32_t i = 0; i < count; i++) {
		CHECK(same_text(first[i].name, second[i].name) && first[i].module == second[i].module);
		CHECK(same_text(first[i].module_name, second[i].module_name));
		CHECK(same_text(first[i].file, second[i].file) && first[i].line == second[i].line);
		CHECK(first[i].self == second[i].self && first[i].total == second[i].total);
		CHECK(first[i].is_provisional == second[i].is_provisional);
	}
	return true;
}

static bool same_functions(struct profile *a, struct profile *b, FILE *why)
{
	struct function *first, *second;
	bool same;

	CHECK(profile_count_hot(a) == profile_count_hot(b));
	first = list_functions(a);
	second = list_functions(b);
	same = same_function_lists(first, second, profile_count_hot(a), why);
	free(first);
	free(second);
	return same;
}

static bool same_neighbours(struct profile *a, struct profile *b, FILE *why)
{
	struct neighbour first[NEIGHBOURS_MAX], second[NEIGHBOURS_MAX];
	uint64_t first_sum = 0, second_sum = 0;
	uint32_t function;
	size_t count;

	/* The hottest one stands for all: the sums that it is made of are those of the trees. */
	if (!profile_count_hot(a))
		return true;
	function = profile_get_function_by_self(a, 0);
	CHECK(profile_get_function(a, function).self ==
	      profile_get_function(b, profile_get_function_by_self(b, 0)).self);
	count = profile_list_callers(a, function, first, NEIGHBOURS_MAX);
	for (size_t i = 0; i < count && i < NEIGHBOURS_MAX; i++)
		first_sum += first[i].samples;
	function = profile_get_function_by_self(b, 0);
	CHECK(count == profile_list_callers(b, function, second, NEIGHBOURS_MAX));
	for (size_t i = 0; i < count && i < NEIGHBOURS_MAX; i++)
		second_sum += second[i].samples;
	CHECK(first_sum == second_sum);
	return true;
}

static bool same_children(struct tree *a, struct tree *b, struct profile *first, struct profile *second,
			  const uint64_t keys[2], unsigned depth, FILE *why)
{
	const struct tree_item *first_items, *second_items;
	struct tree_item *first_copy, *second_copy;
	size_t first_count, second_count;
	bool same = true;

	assert(!tree_list_children(a, keys[0], &first_items, &first_count));
	assert(!tree_list_children(b, keys[1], &second_items, &second_count));
	CHECK(first_count == second_count);
	first_copy = calloc(first_count + 1, sizeof(*first_copy));
	second_copy = calloc(first_count + 1, sizeof(*second_copy));
	assert(first_copy && second_copy && depth < 2000);
	for (size_t i = 0; i < first_count; i++) {
		first_copy[i] = first_items[i];
		second_copy[i] = second_items[i];
	}
	for (size_t i = 0; same && i < first_count; i++) {
		const uint64_t below[2] = {first_copy[i].key, second_copy[i].key};

		same = first_copy[i].total == second_copy[i].total &&
		       first_copy[i].self == second_copy[i].self &&
		       same_text(profile_get_function(first, first_copy[i].function).name,
				 profile_get_function(second, second_copy[i].function).name);
		if (!same && why)
			fprintf(why, "call trees differ at depth %u\n", depth);
		same = same && same_children(a, b, first, second, below, depth + 1, why);
	}
	free(first_copy);
	free(second_copy);
	return same;
}

static bool same_trees(struct profile *a, struct profile *b, enum tree_direction direction, FILE *why)
{
	const uint64_t roots[2] = {0, 0};
	struct tree *first, *second;
	bool same;

	assert(!tree_create(a, direction, &first));
	assert(!tree_create(b, direction, &second));
	same = same_children(first, second, a, b, roots, 0, why);
	tree_destroy(first);
	tree_destroy(second);
	return same;
}

static bool same_timelines(struct profile *a, struct profile *b, FILE *why)
{
	struct timeline_column first[TIMELINE_COLUMNS], second[TIMELINE_COLUMNS];
	struct facts facts;

	profile_get_facts(a, &facts);
	profile_read_timeline(a, 0, facts.duration_ns, first, TIMELINE_COLUMNS);
	profile_read_timeline(b, 0, facts.duration_ns, second, TIMELINE_COLUMNS);
	for (size_t i = 0; i < TIMELINE_COLUMNS; i++) {
		CHECK(first[i].has_data == second[i].has_data && first[i].user == second[i].user);
		CHECK(first[i].kernel == second[i].kernel && first[i].unknown == second[i].unknown);
		CHECK(first[i].peak == second[i].peak);
	}
	return true;
}

/* ---- heaps ---- */

static bool same_heap_facts(struct heap *a, struct heap *b, FILE *why)
{
	struct heap_facts first, second;

	heap_get_facts(a, &first);
	heap_get_facts(b, &second);
	CHECK(first.mode == second.mode && same_text(first.why, second.why));
	CHECK(first.sites == second.sites && first.since_ns == second.since_ns);
	CHECK(first.closed_ns == second.closed_ns && first.unseen_ns == second.unseen_ns);
	CHECK(same_real(first.cost_pct, second.cost_pct) && same_real(first.budget_pct, second.budget_pct));
	CHECK(first.rss_start_bytes == second.rss_start_bytes);
	CHECK(!memcmp(&first.counters, &second.counters, sizeof(first.counters)));
	CHECK(!memcmp(&first.global, &second.global, sizeof(first.global)));
	return true;
}

static bool same_figures(const struct heap_figures *a, const struct heap_figures *b)
{
	return !memcmp(a, b, sizeof(*a));
}

/* Of stacks: heap_get_function() is made of these, as same_functions() shows for each metric. */
static bool same_heap_stacks(struct heap *a, struct heap *b, FILE *why)
{
	struct profile *profile = heap_get_profile(a);
	struct heap_figures first, second;

	heap_get_sum(a, &first);
	heap_get_sum(b, &second);
	CHECK(same_figures(&first, &second));
	CHECK(profile_count_stacks(profile) == profile_count_stacks(heap_get_profile(b)));
	for (uint32_t i = 1; i <= profile_count_stacks(profile); i++) {
		heap_get_stack(a, i, &first);
		heap_get_stack(b, i, &second);
		CHECK(same_figures(&first, &second));
	}
	return true;
}

static bool same_heap_timelines(struct heap *a, struct heap *b, int64_t from_ns, int64_t to_ns, FILE *why)
{
	struct heap_column first[TIMELINE_COLUMNS], second[TIMELINE_COLUMNS];

	heap_read_timeline(a, from_ns, to_ns, first, TIMELINE_COLUMNS);
	heap_read_timeline(b, from_ns, to_ns, second, TIMELINE_COLUMNS);
	for (size_t i = 0; i < TIMELINE_COLUMNS; i++) {
		CHECK(same_real(first[i].live_bytes, second[i].live_bytes));
		CHECK(same_real(first[i].live_max_bytes, second[i].live_max_bytes));
		CHECK(same_real(first[i].rss_bytes, second[i].rss_bytes));
		CHECK(same_real(first[i].rss_max_bytes, second[i].rss_max_bytes));
		CHECK(same_real(first[i].allocs_per_s, second[i].allocs_per_s));
		CHECK(same_real(first[i].alloc_bytes_per_s, second[i].alloc_bytes_per_s));
		CHECK(same_real(first[i].frees_per_s, second[i].frees_per_s));
		CHECK(same_real(first[i].free_bytes_per_s, second[i].free_bytes_per_s));
	}
	return true;
}

static bool same_heap_profiles(struct heap *a, struct heap *b, FILE *why)
{
	struct profile *first = heap_get_profile(a), *second = heap_get_profile(b);
	struct totals first_totals, second_totals;

	profile_get_totals(first, &first_totals);
	profile_get_totals(second, &second_totals);
	CHECK(!memcmp(&first_totals, &second_totals, sizeof(first_totals)));
	CHECK(profile_get_unit(first) == profile_get_unit(second));
	return same_modules(first, second, why) && same_stacks(first, second, why) &&
	       same_functions(first, second, why) && same_neighbours(first, second, why) &&
	       same_trees(first, second, TREE_TOP_DOWN, why) &&
	       same_trees(first, second, TREE_BOTTOM_UP, why);
}

static bool same_heaps(struct profile *a, struct profile *b, FILE *why)
{
	struct heap *first = profile_get_heap(a), *second = profile_get_heap(b);
	enum heap_metric metrics[2];
	struct facts facts;
	bool same = true;

	CHECK(!first == !second);
	if (!first)
		return true;
	profile_get_facts(a, &facts);
	metrics[0] = heap_get_metric(first);
	metrics[1] = heap_get_metric(second);
	for (int metric = 0; same && metric < HEAP_METRICS; metric++) {
		assert(!heap_set_metric(first, metric) && !heap_set_metric(second, metric));
		same = same_heap_profiles(first, second, why);
	}
	assert(!heap_set_metric(first, metrics[0]) && !heap_set_metric(second, metrics[1]));
	return same && same_heap_facts(first, second, why) && same_heap_stacks(first, second, why) &&
	       same_heap_timelines(first, second, 0, (int64_t)facts.duration_ns, why) &&
	       same_heap_timelines(first, second, (int64_t)facts.duration_ns - 20000000000,
				   (int64_t)facts.duration_ns, why);
}

bool profile_equal(struct profile *a, struct profile *b, FILE *why)
{
	return same_facts(a, b, why) && same_modules(a, b, why) && same_stacks(a, b, why) &&
	       same_log(a, b, why) && same_functions(a, b, why) && same_neighbours(a, b, why) &&
	       same_timelines(a, b, why) && same_trees(a, b, TREE_TOP_DOWN, why) &&
	       same_trees(a, b, TREE_BOTTOM_UP, why) && same_heaps(a, b, why);
}
