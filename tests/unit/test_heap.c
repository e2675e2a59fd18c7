/* The model of the heap: what the kernel's counters and stacks become, name by name and metric by metric. */
#include "profile/heap.h"
#include "profile/heap_wrappers.h"
#include "profile/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "profile/profile.h"
#include "profile/tree.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define LIBC 16
#define APP  17

struct books {
	struct profile *profile, *shown;
	struct heap *heap;
	struct heap_totals *chunks[2];
};

static void assert_no_error(struct error *error)
{
	if (error)
		fail_msg("%s", error_get_message(error));
}

static void books_deinit(struct books *books)
{
	profile_destroy(books->profile);
	free(books->chunks[0]);
	free(books->chunks[1]);
}
#define _cleanup_books_ _cleanup_(books_deinit)

static struct books make_books(void)
{
	struct books books;

	assert_no_error(profile_create(&books.profile));
	assert_null(profile_get_heap(books.profile));
	assert_no_error(profile_ensure_heap(books.profile, &books.heap));
	assert_ptr_equal(profile_get_heap(books.profile), books.heap);
	books.shown = heap_get_profile(books.heap);
	for (uint32_t i = 0; i < 2; i++) {
		books.chunks[i] = calloc(HEAP_CHUNK_SLOTS, sizeof(struct heap_totals));
		assert_non_null(books.chunks[i]);
		assert_no_error(heap_set_chunk(books.heap, i, books.chunks[i]));
	}
	return books;
}

static struct heap_totals *get_slot(struct books *books, uint32_t slot)
{
	return &books->chunks[slot / HEAP_CHUNK_SLOTS][slot % HEAP_CHUNK_SLOTS];
}

#define FRAMES_MAX 32

/* frames: leaf first, ends with 0. */
static void add_stack(struct heap *heap, uint32_t slot, enum stack_end end, const uint64_t *frames)
{
	uint64_t buffer[sizeof(struct heap_stack_record) / 8 + FRAMES_MAX];
	struct heap_stack_record *record = (struct heap_stack_record *)buffer;

	*record = (struct heap_stack_record){.slot = slot, .end = (uint8_t)end, .kind = HEAP_MALLOC};
	for (; record->count < FRAMES_MAX && frames[record->count]; record->count++)
		record->frames[record->count] = frames[record->count];
	heap_add_stack(heap, record);
}
#define STACK(...)                                                                                           \
	(const uint64_t[])                                                                                   \
	{                                                                                                    \
		__VA_ARGS__, 0                                                                               \
	}

static uint32_t find_function(struct profile *profile, const char *name)
{
	for (uint32_t i = 0; i < profile_count_functions(profile); i++)
		if (!strcmp(profile_get_function(profile, i).name, name))
			return i;
	return UINT32_MAX;
}

static uint64_t get_self(struct profile *profile, const char *name)
{
	return profile_get_function(profile, find_function(profile, name)).self;
}

static struct heap_figures get_figures(struct books *books, const char *name)
{
	struct heap_figures figures;

	heap_get_function(books->heap, find_function(books->shown, name), &figures);
	return figures;
}

static void assert_figures(struct heap_figures figures, uint64_t live_bytes, uint64_t live_count,
			   uint64_t alloc_bytes, uint64_t alloc_count, uint64_t peak_bytes)
{
	assert_int_equal(figures.live_bytes, live_bytes);
	assert_int_equal(figures.live_count, live_count);
	assert_int_equal(figures.alloc_bytes, alloc_bytes);
	assert_int_equal(figures.alloc_count, alloc_count);
	assert_int_equal(figures.peak_bytes, peak_bytes);
}

static struct heap_figures get_sum(struct books *books)
{
	struct heap_figures figures;

	heap_get_sum(books->heap, &figures);
	return figures;
}

/* ---- what a slot is worth ---- */

static void test_slot_before_and_after_its_stack(void **state)
{
	_cleanup_books_ struct books books = make_books();
	uint64_t revision = profile_get_revision(books.profile);

	*get_slot(&books, 1) = (struct heap_totals){
		.alloc_count = 5, .alloc_bytes = 500, .free_count = 2, .free_bytes = 180, .exec = 1};
	assert_true(heap_update(books.heap, 1, 0, 1, 0));
	assert_int_not_equal(profile_get_revision(books.profile), revision);
	assert_int_equal(get_self(books.shown, "[stack not taken]"), 320);
	assert_figures(get_figures(&books, "[stack not taken]"), 320, 3, 500, 5, 0);
	add_stack(books.heap, 1, STACK_COMPLETE,
		  STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2001), FRAME(APP, 0x3001)));
	assert_int_equal(get_self(books.shown, "[stack not taken]"), 0);
	assert_int_equal(get_self(books.shown, "[module 17]+0x2000"), 320);
	assert_figures(get_figures(&books, "[module 17]+0x2000"), 320, 3, 500, 5, 0);
	assert_figures(get_sum(&books), 320, 3, 500, 5, 0);
	assert_int_equal(
		profile_get_function(books.shown, find_function(books.shown, "[module 17]+0x3000")).total,
		320);
	/* The leaf is the allocator's own function. */
	assert_int_equal(find_function(books.shown, "[module 16]+0x100"), UINT32_MAX);
	/* A slot is one stack's: a second record says nothing. */
	add_stack(books.heap, 1, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x7001)));
	assert_int_equal(get_self(books.shown, "[module 17]+0x2000"), 320);
	/* What has no stack for good stays where it is. */
	*get_slot(&books, HEAP_SLOT_NONE) =
		(struct heap_totals){.alloc_count = 1, .alloc_bytes = 64, .exec = 1};
	add_stack(books.heap, HEAP_SLOT_NONE, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x7001)));
	heap_update(books.heap, 1, 0, 1, 0);
	assert_figures(get_figures(&books, "[stack not taken]"), 64, 1, 64, 1, 0);
}

static void test_stack_before_its_slot(void **state)
{
	_cleanup_books_ struct books books = make_books();

	add_stack(books.heap, HEAP_CHUNK_SLOTS + 3, STACK_COMPLETE,
		  STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2001)));
	assert_int_equal(profile_count_hot(books.shown), 0);
	*get_slot(&books, HEAP_CHUNK_SLOTS + 3) =
		(struct heap_totals){.alloc_count = 1, .alloc_bytes = 10, .exec = 0};
	assert_true(heap_update(books.heap, HEAP_CHUNK_SLOTS + 3, 0, 0, 0));
	assert_int_equal(get_self(books.shown, "[module 17]+0x2000"), 10);
	assert_int_equal(profile_count_hot(books.shown), 1);
	/* All freed: an empty function, and no node in the tree. */
	get_slot(&books, HEAP_CHUNK_SLOTS + 3)->free_count = 1;
	get_slot(&books, HEAP_CHUNK_SLOTS + 3)->free_bytes = 10;
	heap_update(books.heap, HEAP_CHUNK_SLOTS + 3, 0, 0, 0);
	assert_int_equal(profile_count_hot(books.shown), 0);
	assert_figures(get_figures(&books, "[module 17]+0x2000"), 0, 0, 10, 1, 0);
	/* And back again. */
	get_slot(&books, HEAP_CHUNK_SLOTS + 3)->alloc_count = 2;
	get_slot(&books, HEAP_CHUNK_SLOTS + 3)->alloc_bytes = 17;
	heap_update(books.heap, HEAP_CHUNK_SLOTS + 3, 0, 0, 0);
	assert_int_equal(get_self(books.shown, "[module 17]+0x2000"), 7);
}

static void test_peak_of_the_whole_heap(void **state)
{
	_cleanup_books_ struct books books = make_books();

	/* Slot 1 was touched since the peak, and keeps what it had then; slot 2 was not. */
	*get_slot(&books, 1) = (struct heap_totals){.alloc_count = 9,
						    .alloc_bytes = 900,
						    .free_count = 9,
						    .free_bytes = 900,
						    .peak_bytes = 700,
						    .peak_epoch = 4};
	*get_slot(&books, 2) =
		(struct heap_totals){.alloc_count = 1, .alloc_bytes = 50, .peak_bytes = 20, .peak_epoch = 3};
	heap_update(books.heap, 2, 4, 0, 0);
	assert_figures(get_sum(&books), 50, 1, 950, 10, 750);
	/* A new peak: what slot 1 had at the old one counts no more, although it has not changed. */
	heap_update(books.heap, 2, 5, 0, 0);
	assert_int_equal(get_sum(&books).peak_bytes, 50);
	/* Read in the middle of an update: never more than was allocated. */
	get_slot(&books, 2)->peak_epoch = 5;
	get_slot(&books, 2)->peak_bytes = 51;
	heap_update(books.heap, 2, 5, 0, 0);
	assert_int_equal(get_sum(&books).peak_bytes, 50);
}

static void test_exec_takes_the_live_ones(void **state)
{
	_cleanup_books_ struct books books = make_books();
	struct heap_facts facts = {.global = {.peak_epoch = 9, .peak_exec = 0}};

	*get_slot(&books, 1) = (struct heap_totals){.alloc_count = 3, .alloc_bytes = 300};
	heap_update(books.heap, 1, 8, 0, 0);
	assert_figures(get_sum(&books), 300, 3, 300, 3, 300);
	*get_slot(&books, 2) = (struct heap_totals){.alloc_count = 1, .alloc_bytes = 100, .exec = 1};
	heap_update(books.heap, 2, 8, 1, 0);
	/* The peak was the old program's. */
	assert_figures(get_sum(&books), 100, 1, 400, 4, 300);
	heap_update(books.heap, 2, 9, 1, 0);
	assert_figures(get_sum(&books), 100, 1, 400, 4, 100);
	/* The kernel knows better whose it was. */
	assert_no_error(heap_set_facts(books.heap, &facts));
	heap_update(books.heap, 2, 9, 1, 0);
	assert_figures(get_sum(&books), 100, 1, 400, 4, 300);
}

static void test_counters_in_the_middle_of_an_update(void **state)
{
	_cleanup_books_ struct books books = make_books();

	*get_slot(&books, 1) =
		(struct heap_totals){.alloc_count = 1, .alloc_bytes = 10, .free_count = 2, .free_bytes = 30};
	heap_update(books.heap, 1, 0, 0, 0);
	assert_figures(get_sum(&books), 0, 0, 10, 1, 0);
	get_slot(&books, 1)->alloc_count = 3;
	get_slot(&books, 1)->alloc_bytes = 35;
	heap_update(books.heap, 1, 0, 0, 0);
	assert_figures(get_sum(&books), 5, 1, 35, 3, 0);
}

static void test_bounded_updates(void **state)
{
	_cleanup_books_ struct books books = make_books();
	uint32_t slots = HEAP_CHUNK_SLOTS + 100;
	unsigned calls = 1;

	for (uint32_t i = 1; i <= slots; i++)
		*get_slot(&books, i) = (struct heap_totals){.alloc_count = 1, .alloc_bytes = 1};
	assert_false(heap_update(books.heap, slots, 0, 0, 1000));
	assert_int_equal(get_sum(&books).live_count, 999); /* and slot 0 */
	for (; !heap_update(books.heap, slots, 0, 0, 1000); calls++)
		;
	assert_int_equal(calls, (slots + 1) / 1000);
	assert_int_equal(get_sum(&books).live_count, slots);
	/* The next round begins with the first one again, also when there are fewer than there were. */
	get_slot(&books, 1)->alloc_count = 5;
	assert_false(heap_update(books.heap, slots, 0, 0, 1000));
	assert_int_equal(get_sum(&books).live_count, slots + 4);
	assert_true(heap_update(books.heap, 0, 0, 0, 1000));
}

static void test_dropped_chunks_are_read_a_last_time(void **state)
{
	_cleanup_books_ struct books books = make_books();

	heap_update(books.heap, 1, 0, 0, 0);
	*get_slot(&books, 1) = (struct heap_totals){.alloc_count = 1, .alloc_bytes = 10};
	heap_drop_chunks(books.heap);
	assert_int_equal(get_sum(&books).live_bytes, 10);
	free(books.chunks[0]);
	books.chunks[0] = NULL;
	assert_true(heap_update(books.heap, 5000, 0, 0, 10));
	assert_int_equal(get_sum(&books).live_bytes, 10);
}

static void test_odd_input(void **state)
{
	_cleanup_books_ struct books books = make_books();
	struct heap_stack_record record = {.slot = HEAP_SLOTS};

	heap_add_stack(books.heap, &record);
	record = (struct heap_stack_record){.slot = 1, .end = STACK_ENDS};
	heap_add_stack(books.heap, &record);
	record = (struct heap_stack_record){.slot = 1, .count = STACK_USER_MAX + 1};
	heap_add_stack(books.heap, &record);
	/* Without any frame. */
	record = (struct heap_stack_record){.slot = 1};
	heap_add_stack(books.heap, &record);
	*get_slot(&books, 1) = (struct heap_totals){.alloc_count = 1, .alloc_bytes = 10};
	heap_update(books.heap, UINT32_MAX, 0, 0, 0);
	assert_int_equal(get_self(books.shown, "[unknown]"), 10);
	for (int i = 0; i < 2; i++) {
		struct error *error = i ? heap_set_chunk(books.heap, HEAP_CHUNKS, books.chunks[0])
					: heap_set_metric(books.heap, HEAP_METRICS);

		assert_non_null(error);
		error_destroy(error);
	}
	error_destroy(heap_add_wrapper(books.heap, MODULE_LIMIT, 1, 2));
	error_destroy(heap_add_wrapper(books.heap, LIBC, 2, 2));
}

/* ---- which frame is the site ---- */

static void test_wrappers_belong_to_the_allocator(void **state)
{
	_cleanup_books_ struct books books = make_books();

	assert_no_error(heap_add_wrapper(books.heap, LIBC, 0x200, 0x280));
	assert_no_error(heap_add_wrapper(books.heap, APP, 0x1000, 0x1100));
	assert_no_error(heap_add_wrapper(books.heap, APP, 0x1100, 0x1180));
	assert_no_error(heap_add_wrapper(books.heap, APP, 0x0f00, 0x1050));
	for (uint32_t i = 1; i <= 7; i++)
		*get_slot(&books, i) = (struct heap_totals){.alloc_count = 1, .alloc_bytes = 1ull << i};
	/* operator new → malloc; the call may be the last instruction, so its return address is outside. */
	add_stack(books.heap, 1, STACK_COMPLETE,
		  STACK(FRAME(LIBC, 0x100), FRAME(LIBC, 0x280), FRAME(APP, 0x1180), FRAME(APP, 0x2001)));
	/* A wrapper further up is a caller. */
	add_stack(books.heap, 2, STACK_COMPLETE,
		  STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2101), FRAME(APP, 0x1010), FRAME(APP, 0x2001)));
	/* Of another module, and beside. */
	add_stack(books.heap, 3, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(LIBC, 0x1010)));
	add_stack(books.heap, 4, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x0f00)));
	/* Nothing but the allocator. */
	add_stack(books.heap, 5, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x0f01)));
	/* A stack that broke hangs below its end. */
	add_stack(books.heap, 6, STACK_NO_TABLE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x1001)));
	/* The first byte behind a range. */
	add_stack(books.heap, 7, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x1181)));
	heap_update(books.heap, 7, 0, 0, 0);
	assert_int_equal(get_self(books.shown, "[module 17]+0x1180"), 128);
	assert_int_equal(get_self(books.shown, "[module 17]+0x2000"), 2);
	assert_int_equal(get_self(books.shown, "[module 17]+0x2100"), 4);
	assert_int_equal(get_self(books.shown, "[module 16]+0x100f"), 8);
	assert_int_equal(get_self(books.shown, "[module 17]+0xeff"), 16);
	assert_int_equal(get_self(books.shown, "[unknown]"), 32 + 64);
	assert_int_equal(
		profile_get_function(books.shown, find_function(books.shown, "[broken: no_table]")).total,
		64);
}

static void test_ends(void **state)
{
	_cleanup_books_ struct books books = make_books();
	struct totals totals;

	for (uint32_t i = 1; i <= 3; i++)
		*get_slot(&books, i) = (struct heap_totals){.alloc_count = 1, .alloc_bytes = 1ull << i};
	add_stack(books.heap, 1, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2001)));
	add_stack(books.heap, 2, STACK_TRUNCATED, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2001)));
	heap_update(books.heap, 3, 0, 0, 0);
	profile_get_totals(books.shown, &totals);
	assert_int_equal(totals.samples, 14);
	assert_int_equal(totals.user_samples, 14);
	assert_int_equal(totals.ends[STACK_COMPLETE], 2);
	assert_int_equal(totals.ends[STACK_TRUNCATED], 4);
	/* Whose stack was not taken is not complete. */
	assert_int_equal(totals.ends[STACK_UNREADABLE], 8);
}

/* ---- names and modules ---- */

static void name_frame(struct profile *profile, uint64_t frame, const char *function, const char *file)
{
	struct frame_name name = {.function = function,
				  .function_length = strlen(function),
				  .file = file,
				  .file_length = file ? strlen(file) : 0,
				  .line = 7,
				  .start = 0x4000};

	/* Only of what was seen a name is taken. */
	profile_intern_stack(profile, 0, frame);
	profile_set_name(profile, frame, &name, 1);
}

static void test_inlined_allocators(void **state)
{
	static const char *const folded[] = {
		"operator new(unsigned long)",
		"operator new[](unsigned long)",
		"std::allocator<int>::allocate(unsigned long)",
		"__gnu_cxx::new_allocator<std::pair<int, int> >::allocate(unsigned long, void const*)",
		"std::allocator_traits<std::allocator<int> >::allocate(std::allocator<int>&, unsigned long)",
	};
	static const char *const kept[] = {
		"operator delete(void*)",
		"operator()",
		"std::allocator<int>::deallocate(int*, unsigned long)",
		"std::vector<int, std::allocator<int> >::push_back(int const&)",
		"my_operator new",
		"",
	};

	for (size_t i = 0; i < sizeof(folded) / sizeof(*folded); i++)
		assert_true(wrappers_is_inlined(folded[i], strlen(folded[i])));
	for (size_t i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		assert_false(wrappers_is_inlined(kept[i], strlen(kept[i])));
}

static void test_names_come_from_the_owner(void **state)
{
	_cleanup_books_ struct books books = make_books();
	uint64_t offsets[8];
	uint32_t module;
	struct module found;
	struct function function;

	/* One is named already, one only covered by an FDE, one is asked for now. */
	name_frame(books.profile, FRAME(APP, 0x2000), "early", "a.c");
	profile_intern_stack(books.profile, 0, FRAME(APP, 0x3000));
	profile_set_name(books.profile, FRAME(APP, 0x3000),
			 &(struct frame_name){.start = 0x9000, .is_fde = true}, 1);
	while (profile_take_unnamed(books.profile, &module, offsets, 8))
		;
	add_stack(books.heap, 1, STACK_COMPLETE,
		  STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2001), FRAME(APP, 0x3001), FRAME(APP, 0x5001)));
	*get_slot(&books, 1) = (struct heap_totals){.alloc_count = 1, .alloc_bytes = 10};
	heap_update(books.heap, 1, 0, 0, 0);
	function = profile_get_function(books.shown, find_function(books.shown, "early"));
	assert_int_equal(function.self, 10);
	assert_string_equal(function.file, "a.c");
	assert_int_not_equal(find_function(books.shown, "[module 17]+0x9000"), UINT32_MAX);
	/* A module that is announced later. */
	assert_no_error(profile_set_module(books.profile, APP, MODULE_KIND_FILE, "/srv/app"));
	assert_no_error(profile_set_module_symbols(books.profile, APP, SYMBOLS_FULL, "abcd"));
	assert_true(profile_find_module(books.shown, APP, &found));
	assert_string_equal(found.path, "/srv/app");
	assert_int_equal(found.symbols, SYMBOLS_FULL);
	assert_int_equal(found.samples, 10);
	assert_int_not_equal(find_function(books.shown, "app+0x9000"), UINT32_MAX);
	/* The owner asks for the new frame alone; its answer moves the stacks of both. */
	assert_int_equal(profile_take_unnamed(books.profile, &module, offsets, 8), 1);
	assert_int_equal(module, APP);
	assert_int_equal(offsets[0], 0x5000);
	name_frame(books.profile, FRAME(APP, 0x5000), "late", NULL);
	assert_int_equal(profile_get_function(books.shown, find_function(books.shown, "late")).total, 10);
	/* Frames that the heap has not are not its business. */
	name_frame(books.profile, FRAME(APP, 0x6000), "foreign", NULL);
	assert_int_equal(find_function(books.shown, "foreign"), UINT32_MAX);
}

/* The profile drops frames that no stack of its own has; not those that the heap wants to have named. */
static void test_names_come_after_a_merge(void **state)
{
	_cleanup_books_ struct books books = make_books();

	add_stack(books.heap, 1, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2001)));
	*get_slot(&books, 1) = (struct heap_totals){.alloc_count = 1, .alloc_bytes = 10};
	heap_update(books.heap, 1, 0, 0, 0);
	stacks_drop_frames(books.profile);
	profile_set_name(books.profile, FRAME(APP, 0x2000),
			 &(struct frame_name){.function = "late", .function_length = 4, .start = 0x2000}, 1);
	assert_int_equal(profile_get_function(books.shown, find_function(books.shown, "late")).self, 10);
}

static void test_two_frames_of_one_function(void **state)
{
	_cleanup_books_ struct books books = make_books();

	*get_slot(&books, 1) = (struct heap_totals){.alloc_count = 1, .alloc_bytes = 10};
	*get_slot(&books, 2) = (struct heap_totals){.alloc_count = 2, .alloc_bytes = 50};
	add_stack(books.heap, 1, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2001)));
	add_stack(books.heap, 2, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2021)));
	heap_update(books.heap, 2, 0, 0, 0);
	name_frame(books.profile, FRAME(APP, 0x2000), "f", "near.c");
	assert_figures(get_figures(&books, "f"), 10, 1, 10, 1, 0);
	name_frame(books.profile, FRAME(APP, 0x2020), "f", "far.c");
	assert_figures(get_figures(&books, "f"), 60, 3, 60, 3, 0);
	assert_int_equal(get_self(books.shown, "f"), 60);
	/* The file that is shown follows the heavier one, also downwards. */
	assert_string_equal(profile_get_function(books.shown, find_function(books.shown, "f")).file, "far.c");
	get_slot(&books, 2)->free_count = 2;
	get_slot(&books, 2)->free_bytes = 45;
	heap_update(books.heap, 2, 0, 0, 0);
	assert_string_equal(profile_get_function(books.shown, find_function(books.shown, "f")).file,
			    "near.c");
}

static void test_facts_are_the_owners(void **state)
{
	_cleanup_books_ struct books books = make_books();
	char why[] = "too dear";
	struct heap_facts facts = {.mode = HEAP_MODE_CLOSED, .why = why};
	struct facts shown;

	heap_get_facts(books.heap, &facts);
	assert_int_equal(facts.mode, HEAP_MODE_OFF);
	assert_true(isnan(facts.cost_pct));
	facts.why = why;
	assert_no_error(heap_set_facts(books.heap, &facts));
	why[0] = 'x';
	heap_get_facts(books.heap, &facts);
	assert_string_equal(facts.why, "too dear");
	assert_no_error(profile_set_facts(books.profile, &(struct facts){.pid = 77}));
	profile_get_facts(books.shown, &shown);
	assert_int_equal(shown.pid, 77);
}

/* ---- metrics ---- */

static void test_metrics_are_profiles(void **state)
{
	static const uint64_t expected[HEAP_METRICS] = {300, 3, 1000, 10, 800};
	_cleanup_books_ struct books books = make_books();
	struct totals totals;

	assert_int_equal(profile_get_unit(books.profile), PROFILE_SAMPLES);
	*get_slot(&books, 1) = (struct heap_totals){.alloc_count = 10,
						    .alloc_bytes = 1000,
						    .free_count = 7,
						    .free_bytes = 700,
						    .peak_bytes = 800,
						    .peak_epoch = 1};
	add_stack(books.heap, 1, STACK_COMPLETE, STACK(FRAME(LIBC, 0x100), FRAME(APP, 0x2001)));
	heap_update(books.heap, 1, 1, 0, 0);
	assert_int_equal(heap_get_metric(books.heap), HEAP_LIVE_BYTES);
	for (int metric = 0; metric < HEAP_METRICS; metric++) {
		bool is_count = strstr(heap_metric_names[metric], "-count");

		assert_no_error(heap_set_metric(books.heap, metric));
		assert_int_equal(heap_get_metric(books.heap), metric);
		assert_ptr_equal(heap_get_profile(books.heap), books.shown);
		assert_int_equal(profile_get_unit(books.shown), is_count ? PROFILE_BLOCKS : PROFILE_BYTES);
		assert_int_equal(get_self(books.shown, "[module 17]+0x2000"), expected[metric]);
		profile_get_totals(books.shown, &totals);
		assert_int_equal(totals.samples, expected[metric]);
	}
}

/* ---- against a reference ---- */

#define SLOTS	60
#define SITES	24
#define NAMES	7
#define ROUNDS	400
#define CALLERS 5

static uint64_t random_state = 88172645463325252ull;

static uint32_t get_random(uint32_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (uint32_t)(random_state >> 33) % below;
}

struct reference {
	uint8_t depth[SLOTS + 1];
	uint8_t words[SLOTS + 1][8]; /* site first */
	bool has_stack[SLOTS + 1];
	int names[SITES]; /* -1: none yet */
};

static uint64_t get_word(unsigned word)
{
	return FRAME(APP + word % 2, 0x1000 + word * 16);
}

static void change_slot(struct books *books, uint32_t slot)
{
	struct heap_totals *totals = get_slot(books, slot);
	uint64_t live = totals->alloc_count - totals->free_count,
		 bytes = totals->alloc_bytes - totals->free_bytes;

	if (live && get_random(2)) {
		uint64_t count = get_random(3) ? 1 + get_random((uint32_t)live) : live;

		totals->free_count += count;
		totals->free_bytes += count == live ? bytes : bytes * count / live;
	} else {
		totals->alloc_count += 1 + get_random(5);
		totals->alloc_bytes += get_random(2000);
	}
}

static void send_stack(struct books *books, struct reference *reference, uint32_t slot)
{
	uint64_t frames[10] = {FRAME(LIBC, 0x100)};

	if (reference->has_stack[slot])
		return;
	for (unsigned i = 0; i < reference->depth[slot]; i++)
		frames[i + 1] = get_word(reference->words[slot][i]) + 1;
	add_stack(books->heap, slot, STACK_COMPLETE, frames);
	reference->has_stack[slot] = true;
}

/* Identities: SITES words, then names, then "not taken". */
static unsigned identify(const struct reference *reference, unsigned word)
{
	return reference->names[word] < 0 ? word : SITES + (unsigned)reference->names[word];
}

static void identity_text(unsigned identity, char *text, size_t size)
{
	if (identity < SITES)
		snprintf(text, size, "[module %u]+0x%llx", FRAME_MODULE(get_word(identity)),
			 (unsigned long long)FRAME_OFFSET(get_word(identity)));
	else if (identity < SITES + NAMES)
		snprintf(text, size, "name%u", identity - SITES);
	else
		snprintf(text, size, "[stack not taken]");
}

static uint64_t get_metric(const struct heap_totals *totals, enum heap_metric metric)
{
	switch (metric) {
	case HEAP_LIVE_BYTES:
	case HEAP_PEAK_BYTES: /* no slot has the epoch: what lives */
		return totals->alloc_bytes - totals->free_bytes;
	case HEAP_LIVE_COUNT:
		return totals->alloc_count - totals->free_count;
	case HEAP_ALLOC_BYTES:
		return totals->alloc_bytes;
	default:
		return totals->alloc_count;
	}
}

static void check_tree(struct profile *profile, enum tree_direction direction, uint64_t expected)
{
	const struct tree_item *items;
	struct tree *tree;
	uint64_t sum = 0;
	size_t count;

	assert_no_error(tree_create(profile, direction, &tree));
	assert_no_error(tree_list_children(tree, 0, &items, &count));
	for (size_t i = 0; i < count; i++)
		sum += items[i].total;
	assert_int_equal(sum, expected);
	tree_destroy(tree);
}

static void check_profile(struct books *books, const struct reference *reference, enum heap_metric metric)
{
	uint64_t self[SITES + NAMES + 1] = {0}, total[SITES + NAMES + 1] = {0}, sum = 0, all = 0;
	char text[64];

	for (uint32_t slot = 1; slot <= SLOTS; slot++) {
		uint64_t weight = get_metric(get_slot(books, slot), metric);
		uint64_t seen = 0;

		sum += weight;
		if (!reference->has_stack[slot]) {
			self[SITES + NAMES] += weight;
			total[SITES + NAMES] += weight;
			continue;
		}
		self[identify(reference, reference->words[slot][0])] += weight;
		for (unsigned i = 0; i < reference->depth[slot]; i++) {
			unsigned identity = identify(reference, reference->words[slot][i]);

			total[identity] += seen >> identity & 1 ? 0 : weight;
			seen |= 1ull << identity;
		}
	}
	for (unsigned i = 0; i < SITES + NAMES + 1; i++) {
		struct function function;

		identity_text(i, text, sizeof(text));
		function = profile_get_function(books->shown, find_function(books->shown, text));
		assert_int_equal(function.self, self[i]);
		assert_int_equal(function.total, total[i]);
		all += function.self;
	}
	assert_int_equal(all, sum);
	for (uint32_t rank = 1; rank < profile_count_hot(books->shown); rank++)
		assert_true(profile_get_function(books->shown,
						 profile_get_function_by_self(books->shown, rank - 1))
				    .self >= profile_get_function(books->shown, profile_get_function_by_self(
											books->shown, rank))
						     .self);
	check_tree(books->shown, TREE_TOP_DOWN, sum);
	check_tree(books->shown, TREE_BOTTOM_UP, sum);
}

static void check_neighbours(struct books *books)
{
	struct neighbour neighbours[64];

	for (uint32_t i = 0; i < profile_count_functions(books->shown); i++) {
		uint64_t callers = 0, callees = 0, total = profile_get_function(books->shown, i).total;
		size_t count = profile_list_callers(books->shown, i, neighbours, 64);

		for (size_t j = 0; j < count; j++)
			callers += neighbours[j].samples;
		count = profile_list_callees(books->shown, i, neighbours, 64);
		for (size_t j = 0; j < count; j++)
			callees += neighbours[j].samples;
		assert_int_equal(callers, total);
		assert_int_equal(callees, total);
	}
}

static void init_reference(struct reference *reference)
{
	*reference = (struct reference){0};
	for (unsigned i = 0; i < SITES; i++)
		reference->names[i] = -1;
	for (uint32_t slot = 1; slot <= SLOTS; slot++) {
		reference->depth[slot] = (uint8_t)(1 + get_random(7));
		for (unsigned i = 0; i < reference->depth[slot]; i++) {
			bool is_near_root = i + 3 > reference->depth[slot];

			reference->words[slot][i] = (uint8_t)get_random(is_near_root ? CALLERS : SITES);
		}
	}
}

static void name_word(struct books *books, struct reference *reference, unsigned word)
{
	char text[16];

	reference->names[word] = (int)get_random(NAMES);
	snprintf(text, sizeof(text), "name%d", reference->names[word]);
	/* Of one module each, or the same name is two functions. */
	if (word % 2)
		reference->names[word] = -1;
	else
		name_frame(books->profile, get_word(word), text, text);
}

static void test_like_a_reference(void **state)
{
	_cleanup_books_ struct books books = make_books();
	struct reference reference;

	init_reference(&reference);
	for (unsigned round = 0; round < ROUNDS; round++) {
		enum heap_metric metric = heap_get_metric(books.heap);
		unsigned changes = get_random(2) ? get_random(4) : get_random(3 * SLOTS);

		for (unsigned i = 0; i < changes; i++)
			change_slot(&books, 1 + get_random(SLOTS));
		for (unsigned i = get_random(4); i > 0; i--)
			send_stack(&books, &reference, 1 + get_random(SLOTS));
		if (get_random(3) == 0)
			name_word(&books, &reference, get_random(SITES));
		if (get_random(4) == 0) {
			metric = get_random(HEAP_METRICS);
			assert_no_error(heap_set_metric(books.heap, metric));
		}
		while (!heap_update(books.heap, SLOTS, 1, 0, 1 + get_random(2 * SLOTS)))
			;
		/* Nobody looks at every moment. */
		if (get_random(3))
			continue;
		/* Where the round went on in the middle, the slots before were read too early. */
		heap_update(books.heap, SLOTS, 1, 0, 0);
		check_profile(&books, &reference, metric);
		if (round % 8 == 0)
			check_neighbours(&books);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slot_before_and_after_its_stack),
		cmocka_unit_test(test_stack_before_its_slot),
		cmocka_unit_test(test_peak_of_the_whole_heap),
		cmocka_unit_test(test_exec_takes_the_live_ones),
		cmocka_unit_test(test_counters_in_the_middle_of_an_update),
		cmocka_unit_test(test_bounded_updates),
		cmocka_unit_test(test_dropped_chunks_are_read_a_last_time),
		cmocka_unit_test(test_odd_input),
		cmocka_unit_test(test_wrappers_belong_to_the_allocator),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_inlined_allocators),
		cmocka_unit_test(test_names_come_from_the_owner),
		cmocka_unit_test(test_names_come_after_a_merge),
		cmocka_unit_test(test_two_frames_of_one_function),
		cmocka_unit_test(test_facts_are_the_owners),
		cmocka_unit_test(test_metrics_are_profiles),
		cmocka_unit_test(test_like_a_reference),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
