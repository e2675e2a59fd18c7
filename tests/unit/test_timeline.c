/* The timeline's buckets and the log of samples. */
#include "profile/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#define SECOND 1000000000ull
#define MS     1000000ull

static struct profile *create(double hz)
{
	struct profile *profile;
	struct facts facts;

	assert_null(profile_create(&profile));
	profile_get_facts(profile, &facts);
	facts.hz_requested = hz;
	assert_null(profile_set_facts(profile, &facts));
	return profile;
}

static void set_duration(struct profile *profile, uint64_t duration_ns)
{
	struct facts facts;

	profile_get_facts(profile, &facts);
	facts.duration_ns = duration_ns;
	assert_null(profile_set_facts(profile, &facts));
}

static void add(struct profile *profile, uint64_t time_ns, enum sample_mode mode, enum stack_end end)
{
	uint64_t buffer[sizeof(struct sample_record) / 8 + 1];
	struct sample_record *record = (struct sample_record *)buffer;

	*record = (struct sample_record){
		.time_ns = time_ns + 5, .user_count = 1, .mode = mode, .end = end, .cpu = 3, .tid = 42};
	record->frames[0] = FRAME(16, 0x1000);
	profile_add_sample(profile, record, 5);
}

static bool is_near(double a, double b)
{
	return fabs(a - b) < 1e-9;
}

/* ---- timeline ---- */

static void test_cores_by_mode(void **state)
{
	struct profile *profile = create(100);
	struct timeline_column columns[4];

	/* One second at 100 Hz: 50 user, 30 kernel, 20 not complete = 1 core; in the third nothing. */
	for (unsigned i = 0; i < 100; i++)
		add(profile, SECOND + i * 10 * MS, i % 10 < 3 ? SAMPLE_KERNEL : SAMPLE_USER,
		    i % 10 >= 8 ? STACK_NO_TABLE : STACK_COMPLETE);
	set_duration(profile, 3 * SECOND);
	profile_read_timeline(profile, 0, 4 * SECOND, columns, 4);
	assert_true(columns[0].has_data && columns[1].has_data && columns[2].has_data);
	assert_true(columns[0].user == 0 && columns[0].kernel == 0 && columns[0].unknown == 0);
	assert_true(is_near(columns[1].user, 0.5));
	assert_true(is_near(columns[1].kernel, 0.3));
	assert_true(is_near(columns[1].unknown, 0.2));
	assert_true(is_near(columns[1].peak, 1));
	assert_true(columns[2].user == 0 && columns[2].peak == 0);
	assert_false(columns[3].has_data);
	profile_destroy(profile);
}

static void test_rate_unknown_is_99(void **state)
{
	struct profile *profile = create(NAN);
	struct timeline_column column;

	for (unsigned i = 0; i < 99; i++)
		add(profile, i * 10 * MS, SAMPLE_USER, STACK_COMPLETE);
	set_duration(profile, SECOND);
	profile_read_timeline(profile, 0, SECOND, &column, 1);
	assert_true(is_near(column.user, 1));
	profile_destroy(profile);
}

/* The last column ends in the middle of the data: the mean is over what there is. */
static void test_column_over_the_edges(void **state)
{
	struct profile *profile = create(100);
	struct timeline_column columns[3];

	for (unsigned i = 0; i < 50; i++)
		add(profile, i * 10 * MS, SAMPLE_USER, STACK_COMPLETE);
	set_duration(profile, SECOND / 2);
	profile_read_timeline(profile, (uint64_t) - (int64_t)SECOND, 2 * SECOND, columns, 3);
	assert_false(columns[0].has_data);
	assert_true(columns[1].has_data);
	assert_true(is_near(columns[1].user, 1));
	assert_false(columns[2].has_data);
	/* Half before the start, half inside. */
	profile_read_timeline(profile, (uint64_t) - (int64_t)(SECOND / 4), SECOND / 4, columns, 1);
	assert_true(columns[0].has_data && is_near(columns[0].user, 1));
	/* Columns shorter than a bucket. */
	profile_read_timeline(profile, 0, 60 * MS, columns, 3);
	assert_true(is_near(columns[0].user, 1) && is_near(columns[2].user, 1));
	profile_read_timeline(profile, SECOND, 0, columns, 3);
	assert_false(columns[0].has_data || columns[1].has_data || columns[2].has_data);
	profile_destroy(profile);
}

static void test_nothing_yet(void **state)
{
	struct profile *profile = create(99);
	struct timeline_column columns[2] = {{.has_data = true}, {.has_data = true}};

	profile_read_timeline(profile, 0, SECOND, columns, 2);
	assert_false(columns[0].has_data || columns[1].has_data);
	profile_destroy(profile);
}

/* A peak of 100 ms hours ago is still there when its second, or its minute, is all that is kept. */
static void test_peak_never_disappears(void **state)
{
	struct profile *profile = create(100);
	struct timeline_column columns[10];
	double sum = 0, peak = 0;

	for (unsigned i = 0; i < 40; i++)
		add(profile, 100 * SECOND + i * 2 * MS, SAMPLE_USER, STACK_COMPLETE);
	for (unsigned i = 0; i < 36000; i++)
		add(profile, 200 * SECOND + i * SECOND, SAMPLE_USER, STACK_COMPLETE);
	set_duration(profile, 36200 * SECOND);
	profile_read_timeline(profile, 0, 36200 * SECOND, columns, 10);
	for (unsigned i = 0; i < 10; i++) {
		sum += columns[i].user * 3620 * 100;
		peak = fmax(peak, columns[i].peak);
	}
	assert_true(fabs(sum - 36040) < 1e-6);
	assert_true(is_near(peak, 4));
	assert_true(is_near(columns[0].peak, 4));
	assert_true(is_near(columns[9].peak, 0.1));
	profile_destroy(profile);
}

/* Whatever window of a long session: what is in it is counted, at the resolution that is left. */
static void test_resolutions_agree(void **state)
{
	struct profile *profile = create(10);
	static const uint64_t windows[] = {1, 60, 600, 800, 900, 3600, 8000, 9000, 40000, 90000};
	const uint64_t end = 100000;

	for (uint64_t i = 0; i < end; i++)
		for (unsigned j = 0; j < 1 + i % 4; j++)
			add(profile, i * SECOND + j * 250 * MS, SAMPLE_USER, STACK_COMPLETE);
	set_duration(profile, end * SECOND);
	for (size_t i = 0; i < sizeof(windows) / sizeof(windows[0]); i++) {
		struct timeline_column columns[50];
		double wanted = 0, found = 0;

		for (uint64_t at = end - windows[i]; at < end; at++)
			wanted += 1 + (double)(at % 4);
		profile_read_timeline(profile, (end - windows[i]) * SECOND, end * SECOND, columns, 50);
		for (unsigned c = 0; c < 50; c++)
			found += columns[c].user * (double)windows[i] / 50 * 10;
		assert_true(fabs(found - wanted) < 1e-6 * wanted);
	}
	profile_destroy(profile);
}

static void test_gap(void **state)
{
	struct profile *profile = create(100);
	struct timeline_column columns[4];

	for (unsigned i = 0; i < 100; i++)
		add(profile, i * 10 * MS, SAMPLE_USER, STACK_COMPLETE);
	set_duration(profile, 4 * SECOND);
	assert_null(profile_add_gap(profile, SECOND, 2 * SECOND + SECOND / 2));
	profile_read_timeline(profile, 0, 4 * SECOND, columns, 4);
	assert_true(columns[0].has_data && is_near(columns[0].user, 1));
	assert_false(columns[1].has_data);
	assert_true(columns[2].has_data && columns[3].has_data);
	/* The mean is over the time of collecting. */
	profile_read_timeline(profile, SECOND / 2, SECOND + SECOND / 2, columns, 1);
	assert_true(columns[0].has_data && is_near(columns[0].user, 1));
	profile_destroy(profile);
}

/* Samples that come as one number of their second are no peak in its first 100 ms. */
static void test_folded_samples_are_spread(void **state)
{
	struct profile *profile = create(100);
	struct timeline_column columns[10];
	uint32_t stack = profile_intern_stack(profile, 0, FRAME(16, 0x1000));

	profile_add_samples(profile, stack, 7 * SECOND + 1, 0, 0, SAMPLE_USER, STACK_COMPLETE, 103);
	set_duration(profile, 9 * SECOND);
	profile_read_timeline(profile, 7 * SECOND, 8 * SECOND, columns, 10);
	for (unsigned i = 0; i < 10; i++)
		assert_true(is_near(columns[i].user, i < 3 ? 1.1 : 1.0));
	profile_read_timeline(profile, 0, 9 * SECOND, columns, 9);
	assert_true(is_near(columns[7].user, 1.03) && is_near(columns[7].peak, 1.1));
	assert_true(columns[8].user == 0 && columns[8].has_data);
	profile_destroy(profile);
}

/* Times that a damaged file may hold. */
static void test_absurd_times(void **state)
{
	static const uint64_t times[] = {0, UINT64_MAX, INT64_MAX, 1ull << 62, 1ull << 55, SECOND};
	struct profile *profile = create(1e-300);
	uint32_t stack = profile_intern_stack(profile, 0, FRAME(16, 0x1000));
	struct timeline_column columns[3];
	struct totals totals;

	for (size_t i = 0; i < 6; i++)
		profile_add_samples(profile, stack, times[i], 0, 0, SAMPLE_USER, STACK_COMPLETE, 1 + i % 2);
	set_duration(profile, UINT64_MAX);
	for (size_t i = 0; i < 6; i++)
		for (size_t j = 0; j < 6; j++)
			profile_read_timeline(profile, times[i], times[j], columns, 3);
	assert_null(profile_add_gap(profile, UINT64_MAX - 1, UINT64_MAX));
	profile_get_totals(profile, &totals);
	assert_int_equal(totals.samples, 9);
	profile_destroy(profile);
}

/* ---- log ---- */

static void test_entries_come_back(void **state)
{
	static const struct log_entry entries[] = {
		{.time_ns = 123456789,
		 .tid = 4194303,
		 .stack = UINT32_MAX,
		 .count = 1,
		 .cpu = 8191,
		 .mode = 1,
		 .end = 9},
		{.time_ns = (1ull << 55) - 1,
		 .tid = 1,
		 .stack = 1,
		 .count = 1,
		 .cpu = 1024,
		 .mode = 0,
		 .end = 0},
		{.time_ns = 1ull << 54, .stack = 77, .count = UINT32_MAX, .mode = 1, .end = 4},
		{.time_ns = 5, .stack = 3, .count = 2},
		{.time_ns = 0, .tid = 1023, .stack = 9, .count = 1, .cpu = 1023},
	};
	struct sample_log log;

	log_init(&log);
	for (size_t i = 0; i < 5; i++)
		assert_true(log_append(&log, &entries[i]));
	assert_int_equal(log_count(&log), 5);
	for (size_t i = 0; i < 5; i++) {
		struct log_entry entry = log_get(&log, i);

		assert_int_equal(entry.time_ns, entries[i].time_ns);
		assert_int_equal(entry.tid, entries[i].tid);
		assert_int_equal(entry.stack, entries[i].stack);
		assert_int_equal(entry.count, entries[i].count);
		assert_int_equal(entry.cpu, entries[i].cpu);
		assert_int_equal(entry.mode, entries[i].mode);
		assert_int_equal(entry.end, entries[i].end);
	}
	log_deinit(&log);
}

#define STACKS 40

struct log_sums {
	uint64_t by_stack[STACKS], by_hour[64];
};

static void sum_log(const struct sample_log *log, struct log_sums *ret)
{
	uint64_t before = 0;

	memset(ret, 0, sizeof(*ret));
	for (size_t i = 0; i < log_count(log); i++) {
		struct log_entry entry = log_get(log, i);

		assert_true(entry.time_ns >= before);
		before = entry.time_ns;
		assert_int_equal(entry.mode, entry.stack % 2);
		assert_int_equal(entry.end, entry.stack % 10);
		ret->by_stack[entry.stack] += entry.count;
		ret->by_hour[entry.time_ns / (4096 * SECOND)] += entry.count;
	}
}

static size_t count_chunks(const struct sample_log *log)
{
	size_t chunks = 0;

	for (size_t i = 0; i < LOG_LEVELS; i++)
		chunks += log->levels[i].chunks.count;
	return chunks;
}

/* Two days at 20 samples a second with small limits: the log stays small, in order, and loses nothing. */
static void test_folding(void **state)
{
	struct log_sums wanted = {0}, found;
	struct sample_log log;
	uint64_t time_ns = 0;
	size_t chunks_max = 0;

	log_init(&log);
	for (size_t i = 0; i + 1 < LOG_LEVELS; i++)
		log.levels[i].limit = 5000;
	for (unsigned i = 0; i < 2 * 86400 * 20; i++) {
		uint32_t stack = (i * 7 + i / 1000) % STACKS;
		struct log_entry entry = {.time_ns = time_ns,
					  .tid = 3,
					  .stack = stack,
					  .count = 1,
					  .mode = stack % 2,
					  .end = stack % 10};

		assert_true(log_append(&log, &entry));
		wanted.by_stack[stack]++;
		wanted.by_hour[time_ns / (4096 * SECOND)]++;
		time_ns += 50 * MS;
		if (count_chunks(&log) > chunks_max)
			chunks_max = count_chunks(&log);
	}
	sum_log(&log, &found);
	assert_memory_equal(&found, &wanted, sizeof(wanted));
	assert_in_range(log_count(&log), 15000, 24000);
	assert_in_range(chunks_max, 4, 12);
	for (size_t i = 0; i + 1 < LOG_LEVELS; i++)
		assert_in_range(log.levels[i].count, 1, 5001);
	/* The newest are as they came. */
	assert_int_equal(log_get(&log, log_count(&log) - 1).time_ns, time_ns - 50 * MS);
	assert_int_equal(log_get(&log, log_count(&log) - 1).tid, 3);
	log_deinit(&log);
}

/* Folding what is folded: counts of 32 bits do not run over. */
static void test_large_counts_fold(void **state)
{
	struct sample_log log;
	uint64_t sum = 0;

	log_init(&log);
	log.levels[0].limit = 10;
	for (unsigned i = 0; i < 100; i++)
		assert_true(log_append(
			&log, &(struct log_entry){.time_ns = i * MS, .stack = 1, .count = UINT32_MAX / 3}));
	for (size_t i = 0; i < log_count(&log); i++)
		sum += log_get(&log, i).count;
	assert_int_equal(sum, 100ull * (UINT32_MAX / 3));
	assert_true(log_count(&log) < 50);
	log_deinit(&log);
}

static void test_log_of_a_profile(void **state)
{
	struct profile *profile = create(99);
	struct log_entry entry;

	add(profile, 17, SAMPLE_KERNEL, STACK_TRUNCATED);
	assert_int_equal(profile_count_log(profile), 1);
	entry = profile_get_log(profile, 0);
	assert_int_equal(entry.time_ns, 17);
	assert_int_equal(entry.tid, 42);
	assert_int_equal(entry.cpu, 3);
	assert_int_equal(entry.count, 1);
	assert_int_equal(entry.mode, SAMPLE_KERNEL);
	assert_int_equal(entry.end, STACK_TRUNCATED);
	assert_int_equal(profile_get_stack(profile, entry.stack).frame, FRAME(16, 0x1000));
	profile_destroy(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cores_by_mode),
		cmocka_unit_test(test_rate_unknown_is_99),
		cmocka_unit_test(test_column_over_the_edges),
		cmocka_unit_test(test_nothing_yet),
		cmocka_unit_test(test_peak_never_disappears),
		cmocka_unit_test(test_resolutions_agree),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_folded_samples_are_spread),
		cmocka_unit_test(test_absurd_times),
		cmocka_unit_test(test_entries_come_back),
		cmocka_unit_test(test_folding),
		cmocka_unit_test(test_large_counts_fold),
		cmocka_unit_test(test_log_of_a_profile),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
