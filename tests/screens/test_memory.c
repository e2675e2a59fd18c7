/* The memory screen, the heap in tree, flame, hotspots and overview, and what is said where it is not
 * measured. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tests/support/letters.h"
#include "tests/support/screen.h"
#include "tui/app.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define S 1000000000ull

static struct profile *profile;

static int set_up(void **state)
{
	if (fixture_profile_create(&profile) || fixture_add_heap(profile))
		return -1;
	fixture_profile_name_all(profile);
	return 0;
}

static int tear_down(void **state)
{
	profile_destroy(profile);
	profile = NULL;
	return 0;
}

static const unsigned sizes[][2] = {{100, 30}, {80, 24}, {60, 20}};

static void assert_golden_at_all_sizes(const char *name, const char *keys)
{
	char golden[80];
	size_t i;

	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct screen *screen = screen_create_app(profile, NULL, sizes[i][0], sizes[i][1]);

		screen_press(screen, keys);
		snprintf(golden, sizeof(golden), "%s-%ux%u", name, sizes[i][0], sizes[i][1]);
		screen_assert_golden(screen, golden);
		screen_destroy(screen);
	}
}

static void assert_golden(const char *name, const char *keys, unsigned columns, unsigned rows)
{
	struct screen *screen = screen_create_app(profile, NULL, columns, rows);

	screen_press(screen, keys);
	screen_assert_golden(screen, name);
	screen_destroy(screen);
}

static struct screen *create(unsigned columns, unsigned rows, const char *keys)
{
	struct screen *screen = screen_create_app(profile, NULL, columns, rows);

	screen_press(screen, keys);
	return screen;
}

/* A profile without a heap, or with one that has such facts. */
static void make_unmeasured(enum heap_mode mode, const char *why)
{
	profile_destroy(profile);
	assert_null(fixture_profile_create(&profile));
	assert_null(fixture_add_heap_closed(profile, mode, why));
}

/* ---- golden screens ---- */

static void test_memory(void **state)
{
	assert_golden_at_all_sizes("memory", "5");
	assert_golden("memory-40x10", "5", 40, 10);
}

static void test_memory_by_allocations_all_time(void **state)
{
	assert_golden_at_all_sizes("memory-allocated", "5sswjj");
}

static void test_memory_in_ascii(void **state)
{
	const struct app_options options = {.ascii = true};
	struct screen *screen = screen_create_app(profile, &options, 80, 24);
	const char *text;

	screen_press(screen, "5");
	for (text = screen_text(screen); *text; text++)
		assert_true((unsigned char)*text < 0x7f);
	screen_assert_golden(screen, "memory-ascii-80x24");
	screen_destroy(screen);
}

static void test_help(void **state)
{
	assert_golden("memory-help-100x30", "5?", 100, 30);
}

static void test_views_of_the_heap(void **state)
{
	assert_golden_at_all_sizes("tree-heap", "53");
	assert_golden_at_all_sizes("flame-heap", "54");
	assert_golden("hot-heap-100x30", "52", 100, 30);
	assert_golden("hot-heap-60x20", "52", 60, 20);
	assert_golden("hot-heap-callers-80x24", "5c", 80, 24);
	assert_golden("tree-heap-site-80x24", "5j<Enter>", 80, 24);
}

static void test_overview_with_heap(void **state)
{
	assert_golden_at_all_sizes("overview-heap", "");
}

static void test_closed_books(void **state)
{
	assert_null(
		fixture_add_heap_closed(profile, HEAP_MODE_CLOSED,
					"would cost 23 % of the target, budget 5 %: --heap=exact goes on"));
	assert_golden("memory-closed-80x24", "5", 80, 24);
	assert_golden("memory-closed-60x20", "5", 60, 20);
	assert_golden("overview-heap-closed-100x30", "", 100, 30);
}

static void test_not_measured(void **state)
{
	make_unmeasured(HEAP_MODE_OFF, "uprobes need CAP_BPF+CAP_PERFMON. Run: sudo kiln 4242");
	assert_golden("memory-off-80x24", "5", 80, 24);
	assert_golden("memory-off-60x20", "5", 60, 20);
}

/* ---- states in words ---- */

static void test_the_state_of_the_books_is_said(void **state)
{
	struct heap_facts facts = {.cost_pct = NAN, .budget_pct = NAN};
	struct heap *heap = profile_get_heap(profile);
	struct screen *screen;

	make_unmeasured(HEAP_MODE_OFF, NULL);
	screen = create(100, 30, "5");
	screen_assert_shows(screen, "heap off");
	screen_assert_shows(screen, "heap: not measured: the heap is not measured by this version");
	screen_press(screen, "3b");
	screen_assert_shows(screen, "heap: not measured:");
	screen_assert_hides(screen, "metric ▸");
	screen_press(screen, "1");
	screen_assert_shows(screen, "heap: not measured:");
	screen_assert_hides(screen, "live heap");
	heap = profile_get_heap(profile);
	facts.mode = HEAP_MODE_WAITING;
	assert_null(heap_set_facts(heap, &facts));
	screen_press(screen, "5");
	screen_assert_shows(screen, "heap waiting");
	screen_assert_shows(screen, "heap: no allocator found yet");
	facts.mode = HEAP_MODE_EXACT;
	assert_null(heap_set_facts(heap, &facts));
	screen_assert_shows(screen, "heap exact");
	screen_assert_shows(screen, "no allocation since the probes were in place");
	facts.counters.refused = 1204;
	facts.counters.refused_bytes = 12 << 20;
	facts.unseen_ns = 12000000;
	assert_null(heap_set_facts(heap, &facts));
	screen_assert_shows(screen, "live heap incomplete: 1,204 blocks, 12.0M, had no room in the books");
	screen_assert_shows(screen, "heap unseen for the first 12 ms");
	facts.mode = HEAP_MODE_CLOSED;
	facts.closed_ns = 92 * S;
	facts.cost_pct = 23;
	facts.budget_pct = 5;
	assert_null(heap_set_facts(heap, &facts));
	screen_press(screen, "1");
	screen_assert_shows(screen, "heap closed 01:32");
	screen_assert_shows(screen, "heap: exact until 01:32: would cost 23% of the target, budget 5%: "
				    "--heap=exact goes on");
	/* not "00:00" */
	facts.closed_ns = 900000000;
	assert_null(heap_set_facts(heap, &facts));
	screen_assert_shows(screen, "heap closed 0.9 s");
	screen_assert_shows(screen, "heap: exact until 0.9 s: would cost 23%");
	screen_destroy(screen);
}

static void test_no_heap_at_all(void **state)
{
	struct screen *screen;

	profile_destroy(profile);
	assert_null(fixture_profile_create(&profile));
	screen = create(80, 24, "5");
	screen_assert_shows(screen, "heap: not measured: the heap is not measured by this version");
	screen_press(screen, "jk<Enter>cswr/x<Enter>nN<Esc>3b4b2b5");
	screen_assert_shows(screen, "[5 Mem]");
	/* it comes later, as in a live session */
	assert_null(fixture_add_heap(profile));
	fixture_profile_name_all(profile);
	screen_assert_shows(screen, "Cache::insert");
	screen_press(screen, "4");
	screen_assert_shows(screen, "live bytes");
	screen_destroy(screen);
}

/* An idle target has a heap, too. */
static void test_a_heap_without_samples(void **state)
{
	struct screen *screen;

	profile_destroy(profile);
	assert_null(profile_create(&profile));
	assert_null(fixture_add_heap(profile));
	fixture_profile_name_all(profile);
	screen = create(100, 30, "");
	screen_assert_shows(screen, "biggest live allocation sites");
	screen_assert_shows(screen, "0 samples after");
	screen_press(screen, "5");
	screen_assert_shows(screen, "Cache::insert");
	screen_press(screen, "4");
	screen_assert_shows(screen, "all  364M live bytes");
	screen_press(screen, "bbbbb");
	screen_assert_hides(screen, "live bytes");
	screen_assert_shows(screen, "no samples yet");
	screen_destroy(screen);
}

/* ---- keys ---- */

static void test_sort(void **state)
{
	struct screen *screen = create(100, 30, "5");

	screen_assert_shows(screen, "LIVE▼");
	screen_assert_shows(screen, "▸     168M   46.0%   13,207       180M");
	screen_press(screen, "s");
	screen_assert_shows(screen, "by live blocks");
	screen_assert_shows(screen, "BLOCKS▼ BLOCKS%");
	screen_assert_shows(screen, "▸     168M   13,207   40.0%");
	screen_press(screen, "s");
	screen_assert_shows(screen, "by allocated bytes");
	screen_assert_shows(screen, "ALLOCATED▼  ALLOC%");
	screen_press(screen, "sg");
	screen_assert_shows(screen, "by rate of allocation");
	screen_assert_shows(screen, "RATE/s▼");
	screen_press(screen, "s");
	screen_assert_shows(screen, "LIVE▼");
	screen_destroy(screen);
}

static void test_the_stacks_of_a_site(void **state)
{
	struct screen *screen = create(80, 24, "5jj");

	screen_assert_row_shows(screen, 21, "std::string::_M_append");
	screen_press(screen, "<Enter>");
	screen_assert_shows(screen, "[3 Tree]");
	screen_assert_shows(screen, "bottom-up ▸ zoom");
	screen_assert_row_shows(screen, 4, "▾ std::string::_M_append");
	screen_assert_row_shows(screen, 5, "▾ json::Parser::string()"); /* frame by frame, no run */
	screen_assert_row_shows(screen, 6, "▾ json::Parser::next()");
	screen_press(screen, "j<Enter><Esc>"); /* in and out one level */
	screen_assert_row_shows(screen, 4, "▾ std::string::_M_append");
	screen_press(screen, "<Esc>");
	screen_assert_shows(screen, "[5 Mem]");
	screen_assert_row_shows(screen, 21, "std::string::_M_append");
	screen_press(screen, "c");
	screen_assert_shows(screen, "[2 Hot]");
	screen_assert_shows(screen, "callers and callees › std::string::_M_append");
	screen_assert_shows(screen, "metric ▸ live bytes");
	/* without having come from there, Esc stays */
	screen_press(screen, "3i<Esc><Esc><Esc>");
	screen_assert_shows(screen, "[3 Tree]");
	screen_destroy(screen);
}

static void test_search(void **state)
{
	struct screen *screen = create(80, 24, "5/arena|ssl<Enter>");

	screen_assert_row_shows(screen, 21, "Arena::grow");
	screen_press(screen, "n");
	screen_assert_row_shows(screen, 21, "SSL_do_handshake");
	screen_press(screen, "N");
	screen_assert_row_shows(screen, 21, "Arena::grow");
	screen_press(screen, "/nothing of that<Enter>");
	screen_assert_shows(screen, "no match for");
	screen_destroy(screen);
}

static void test_the_metric_goes_round(void **state)
{
	static const char *const names[] = {"live bytes",  "live blocks", "allocated bytes",
					    "allocations", "peak bytes",  "cpu"};
	struct screen *screen = create(100, 30, "4");
	char want[64];
	size_t i;

	screen_assert_shows(screen, "metric ▸ cpu");
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		screen_press(screen, "b");
		snprintf(want, sizeof(want), "metric ▸ %s", names[i]);
		screen_assert_row_shows(screen, 2, want);
		if (i < 5) {
			assert_null(strstr(screen_text(screen), "±"));
			assert_null(strstr(screen_text(screen), " samples"));
		}
	}
	screen_assert_shows(screen, " samples 100.0%");
	screen_destroy(screen);
}

static void test_screens_share_the_metric(void **state)
{
	struct screen *screen = create(100, 30, "2b");

	screen_assert_row_shows(screen, 2, "metric ▸ live bytes");
	screen_press(screen, "3");
	screen_assert_row_shows(screen, 2, "metric ▸ live bytes");
	screen_press(screen, "5ss4"); /* what the memory screen shows */
	screen_assert_row_shows(screen, 2, "metric ▸ allocated bytes");
	screen_press(screen, "13"); /* what was shown last */
	screen_assert_row_shows(screen, 2, "metric ▸ allocated bytes");
	screen_press(screen, "1j<Enter>"); /* hot in CPU */
	screen_assert_shows(screen, "[2 Hot]");
	screen_assert_row_shows(screen, 2, "metric ▸ cpu");
	screen_assert_row_shows(screen, 27, "±");
	screen_destroy(screen);
}

static void test_the_selection_follows_the_metric(void **state)
{
	struct screen *screen = create(100, 30, "2/Cache::insert<Enter>");

	screen_assert_row_shows(screen, 27, "Cache::insert");
	screen_press(screen, "b");
	screen_assert_row_shows(screen, 27, "Cache::insert");
	screen_assert_row_shows(screen, 27, "self 46.0%  total 65.1%  168M");
	screen_press(screen, "bbbbb");
	screen_assert_row_shows(screen, 2, "metric ▸ cpu");
	screen_assert_row_shows(screen, 27, "Cache::insert");
	screen_destroy(screen);
}

/* Each metric has its own order at once, whatever stood there before. */
static void test_order_of_another_metric(void **state)
{
	struct screen *screen = create(100, 40, "5s3i");
	double before = 101, share;
	unsigned row;

	screen_press(screen, "bb");
	screen_assert_row_shows(screen, 2, "metric ▸ allocations");
	for (row = 5; sscanf(screen_row(screen, row), "%lf%%", &share) == 1; row++) {
		assert_true(share <= before);
		before = share;
	}
	assert_true(row > 10);
	screen_destroy(screen);
}

static void test_window(void **state)
{
	struct screen *screen = create(100, 30, "5");

	screen_assert_shows(screen, "-60s");
	screen_assert_shows(screen, "peak 467M at -16s");
	screen_press(screen, "w");
	screen_assert_hides(screen, "-60s");
	screen_assert_shows(screen, "peak 467M at 01:1");
	screen_press(screen, "1"); /* one window for all screens */
	screen_assert_hides(screen, "-60s");
	screen_destroy(screen);
}

/* ---- live ---- */

static struct heap_totals *books; /* of a heap of letters */

static void add_stack(struct heap *heap, uint32_t slot, const char *letters)
{
	union {
		struct heap_stack_record record;
		char bytes[sizeof(struct heap_stack_record) + 32 * sizeof(uint64_t)];
	} memory = {.record = {.slot = slot, .tid = 1, .kind = HEAP_MALLOC, .exec = 1}};
	uint64_t *frames = (uint64_t *)(memory.bytes + sizeof(struct heap_stack_record));

	frames[memory.record.count++] = FRAME(MODULE_FIRST_FILE, 0x9000); /* malloc */
	while (*letters) /* leaf first; return addresses lie behind their call */
		frames[memory.record.count++] = FRAME(MODULE_FIRST_FILE, *letters++ + 1);
	heap_add_stack(heap, &memory.record);
}

static struct heap *make_heap_of_letters(void)
{
	struct heap_facts facts = {.mode = HEAP_MODE_EXACT, .cost_pct = NAN, .budget_pct = NAN};
	struct heap *heap;

	letters_make_profile(&profile);
	letters_add_stack(profile, "ab", 10);
	assert_null(profile_ensure_heap(profile, &heap));
	facts.counters.allocs = 1;
	assert_null(heap_set_facts(heap, &facts));
	books = calloc(HEAP_CHUNK_SLOTS, sizeof(*books));
	assert_non_null(books);
	assert_null(heap_set_chunk(heap, 0, books));
	return heap;
}

static void allocate(uint32_t slot, uint64_t bytes)
{
	books[slot].alloc_count++;
	books[slot].alloc_bytes += bytes;
	books[slot].exec = 1;
}

static void drop_books(struct heap *heap)
{
	heap_drop_chunks(heap);
	free(books);
	books = NULL;
}

static void test_rates(void **state)
{
	struct heap *heap = make_heap_of_letters();
	struct screen *screen;

	add_stack(heap, 1, "ba");
	add_stack(heap, 2, "ca");
	allocate(1, 8 << 20);
	allocate(2, 1 << 20);
	heap_update(heap, 3, 0, 1, 0);
	screen = create(100, 30, "5");
	screen_status(screen)->elapsed_ns = 10 * S;
	screen_assert_shows(screen, "8.0M        -  fb"); /* not known is not 0 */
	allocate(2, 1 << 20);
	heap_update(heap, 3, 0, 1, 0);
	screen_status(screen)->elapsed_ns = 12 * S;
	screen_assert_shows(screen, "8.0M        0  fb");
	screen_assert_shows(screen, "2.0M     512K  fc");
	screen_press(screen, "sss");
	screen_assert_shows(screen, "RATE/s▼");
	screen_assert_row_shows(screen, 17, "fc");
	screen_assert_row_shows(screen, 18, "fb");
	/* a while later nobody knows what happens now */
	screen_status(screen)->elapsed_ns = 100 * S;
	screen_assert_shows(screen, "8.0M        -");
	/* at the end, the mean over all of it */
	screen_status(screen)->state = SOURCE_EXITED;
	screen_assert_shows(screen, "MEAN/s▼");
	screen_assert_shows(screen, "8.0M    81.9K   80.0%  fb");
	screen_destroy(screen);
	drop_books(heap);
}

static void test_order_and_selection_are_stable(void **state)
{
	struct heap *heap = make_heap_of_letters();
	struct screen *screen;
	unsigned i;

	add_stack(heap, 1, "ba");
	add_stack(heap, 2, "ca");
	allocate(1, 1000);
	allocate(2, 900);
	heap_update(heap, 3, 0, 1, 0);
	screen = create(80, 24, "5j");
	screen_assert_row_shows(screen, 21, "fc");
	for (i = 0; i < 20; i++) { /* 1,100 at the end: not clearly more */
		allocate(2, 10);
		heap_update(heap, 3, 0, 1, 0);
		screen_assert_row_shows(screen, 15, "fb");
	}
	for (i = 0; i < 6; i++) {
		allocate(2, 5000);
		heap_update(heap, 3, 0, 1, 0);
		screen_text(screen);
	}
	screen_assert_row_shows(screen, 15, "fc");
	screen_assert_row_shows(screen, 15, "▸");
	screen_assert_row_shows(screen, 21, "fc");
	screen_destroy(screen);
	drop_books(heap);
}

static void test_all_was_freed(void **state)
{
	struct heap *heap = make_heap_of_letters();
	struct screen *screen;

	add_stack(heap, 1, "ba");
	allocate(1, 1000);
	books[1].free_count = 1;
	books[1].free_bytes = 1000;
	heap_update(heap, 2, 0, 1, 0);
	screen = create(100, 30, "5");
	screen_assert_shows(screen, "0 live bytes: what was allocated has been freed");
	screen_press(screen, "3");
	screen_assert_shows(screen, "0 live bytes: what was allocated has been freed");
	screen_press(screen, "5ss");
	screen_assert_shows(screen, "fb");
	screen_press(screen, "1");
	screen_assert_shows(screen, "0 live bytes: what was allocated has been");
	screen_destroy(screen);
	drop_books(heap);
}

static void test_names_that_come_later(void **state)
{
	struct screen *screen;

	profile_destroy(profile);
	assert_null(fixture_profile_create_unnamed(&profile));
	assert_null(fixture_add_heap(profile));
	screen = create(100, 30, "5jj");
	screen_assert_row_shows(screen, 27, "libstdc++.so.6.0.30+0x");
	fixture_profile_name_all(profile);
	screen_assert_hides(screen, "libstdc++.so.6.0.30+0x");
	screen_assert_shows(screen, "std::string::_M_append");
	screen_press(screen, "4<Enter>3*<Enter>2c5<Enter>");
	screen_assert_shows(screen, "[3 Tree]");
	screen_destroy(screen);
}

/* ---- no size is too small, no key is wrong ---- */

static void test_every_size(void **state)
{
	struct screen *screen = screen_create_app(profile, NULL, 1, 1);
	unsigned columns, rows;

	for (columns = 1; columns <= 130; columns += columns < 44 ? 3 : 7) {
		for (rows = 1; rows <= 40; rows += 2) {
			screen_resize(screen, columns, rows);
			screen_press(screen, "5jws<Enter>jb<Esc><Esc>4bj1j5c2uG");
		}
	}
	screen_resize(screen, 300, 100);
	screen_press(screen, "12345<Enter>");
	screen_destroy(screen);
}

static void change_something(struct heap *heap)
{
	uint32_t slot = 1 + (uint32_t)random() % 200, site = 'a' + slot % 20;
	char letters[] = {(char)site, (char)('a' + slot % 7), (char)('a' + slot % 3), 0};

	if (!books[slot].sent) {
		add_stack(heap, slot, letters);
		books[slot].sent = 1;
	}
	if (random() % 3 || books[slot].alloc_count == books[slot].free_count) {
		allocate(slot, (uint64_t)random() % (1 << random() % 25));
	} else {
		books[slot].free_count++;
		books[slot].free_bytes += random() % (books[slot].alloc_bytes - books[slot].free_bytes + 1);
	}
	heap_update(heap, 201, 1, 1, 0);
}

static void test_any_keys(void **state)
{
	static const char *const keys[] = {"1", "2", "3", "4", "5", "5",       "b",	 "b",	   "j",
					   "k", "h", "l", "s", "w", "<Enter>", "<Esc>",	 "c",	   "i",
					   "o", "*", "H", "L", "G", "g",       "n",	 "N",	   "r",
					   "=", "u", "?", "q", "[", "<Tab>",   "<PgDn>", "<PgUp>", "<End>"};
	struct heap *heap = make_heap_of_letters();
	struct screen *screen = create(80, 24, "");
	unsigned step;

	srandom(7);
	for (step = 0; step < 3000; step++) {
		if (random() % 3 == 0)
			change_something(heap);
		if (random() % 40 == 0)
			screen_resize(screen, 1 + random() % 140, 1 + random() % 40);
		if (random() % 20 == 0) {
			screen_status(screen)->elapsed_ns += random() % (3 * S);
			heap_add_point(heap, screen_status(screen)->elapsed_ns, (uint64_t)random());
		}
		if (random() % 100 == 0)
			screen_press(screen, random() % 2 ? "/f[a-f]<Enter>" : "<Esc>");
		screen_press(screen, keys[random() % (sizeof(keys) / sizeof(keys[0]))]);
	}
	screen_destroy(screen);
	drop_books(heap);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_memory),
		TEST(test_memory_by_allocations_all_time),
		TEST(test_memory_in_ascii),
		TEST(test_help),
		TEST(test_views_of_the_heap),
		TEST(test_overview_with_heap),
		TEST(test_closed_books),
		TEST(test_not_measured),
		TEST(test_the_state_of_the_books_is_said),
		TEST(test_no_heap_at_all),
		TEST(test_a_heap_without_samples),
		TEST(test_sort),
		TEST(test_the_stacks_of_a_site),
		TEST(test_search),
		TEST(test_the_metric_goes_round),
		TEST(test_screens_share_the_metric),
		TEST(test_the_selection_follows_the_metric),
		TEST(test_order_of_another_metric),
		TEST(test_window),
		TEST(test_rates),
		TEST(test_order_and_selection_are_stable),
		TEST(test_all_was_freed),
		TEST(test_names_that_come_later),
		TEST(test_every_size),
		TEST(test_any_keys),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
