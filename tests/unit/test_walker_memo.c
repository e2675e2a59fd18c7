/* The memo of the walker (bpf/unwind_memo.bpf.h): whatever it remembers, a walk with it is the walk without
 * it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/walker_world.h"

#define ROUNDS 20000

static struct walk_memo memo;

struct outcome {
	uint32_t count, end;
	uint64_t unknown_pc;
	__u64 frames[WALK_FRAMES_MAX];
};

static void walk_with(struct walk_memo *remembered, uint64_t pc, uint64_t sp, uint64_t bp)
{
	struct walk_context context = {&walk, frames, remembered};

	memset(&walk, 0xa5, sizeof(walk));
	walk_take_registers(&walk, &world.registers);
	walk_start(&walk, pc, sp, bp, 0);
	memo_start(&context);
	for (uint32_t i = 0; i < STACK_USER_MAX; i++)
		if (walk_step(i, &context))
			break;
	memo_end(&context);
}

static void keep(struct outcome *ret)
{
	ret->count = walk.count;
	ret->end = walk.end;
	ret->unknown_pc = walk.unknown_pc;
	memcpy(ret->frames, frames, walk.count * sizeof(frames[0]));
}

/* Both ways. */
static void walk_and_compare(uint64_t pc, uint64_t sp, uint64_t bp)
{
	static struct outcome plain;

	walk_with(NULL, pc, sp, bp);
	assert_int_equal(walk.adopted, 0);
	keep(&plain);
	walk_with(&memo, pc, sp, bp);
	assert_int_equal(walk.count, plain.count);
	assert_int_equal(walk.end, plain.end);
	assert_int_equal(walk.unknown_pc, plain.unknown_pc);
	assert_memory_equal(frames, plain.frames, plain.count * sizeof(frames[0]));
}

static int memo_setup(void **state)
{
	memset(&memo, 0, sizeof(memo));
	world_setup(state);
	world.header.generation = 1;
	return 0;
}

/* leaf, rsp+24, a saved rbp, a frame by rbp, the root: 5 frames. */
static void stack_put(void)
{
	world.stack[0] = PC_RSP_24 + 0x10;
	world.stack[3] = PC_RSP_SAVED + 0x10;
	world.stack[5] = AT(20); /* saved at CFA - 24, CFA at 8 */
	world.stack[7] = PC_RBP + 0x10;
	world.stack[20] = 0x77;
	world.stack[21] = PC_ROOT + 0x10;
}

static void test_the_same_again(void **state)
{
	stack_put();
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	assert_int_equal(walk.count, 5);
	assert_int_equal(walk.adopted, 0);
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	assert_int_equal(walk.adopted, 5);
}

static void test_one_read_instead_of_many(void **state)
{
	unsigned deep = STACK_WORDS - 10, reads;

	for (unsigned i = 0; i < deep; i++)
		world.stack[i] = i % 100 == 99 ? PC_LEAF + 9 : PC_LEAF + 7;
	world.stack[deep] = PC_ROOT + 1;
	walk_with(&memo, PC_LEAF, AT(deep - 500), 0);
	reads = world.reads;
	walk_with(&memo, PC_LEAF, AT(deep - 500), 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(walk.count, 502);
	assert_int_equal(walk.adopted, 502);
	assert_int_equal(world.reads - reads, 1);
}

/* Another leaf, deeper or not so deep: the callers are the same. */
static void test_callers_are_shared(void **state)
{
	stack_put();
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	walk_and_compare(PC_LEAF + 6, AT(0), 1);
	assert_int_equal(walk.adopted, 4);
	/* deeper by a frame is lower on the stack: move all of it up to have room */
	memmove(&world.stack[10], &world.stack[0], 30 * 8);
	world.stack[15] = AT(30);
	memset(&memo, 0, sizeof(memo));
	walk_and_compare(PC_LEAF + 5, AT(10), 1);
	world.stack[9] = PC_LEAF + 9;
	walk_and_compare(PC_LEAF + 1, AT(9), 1);
	assert_int_equal(walk.count, 6);
	assert_int_equal(walk.adopted, 4);
	walk_and_compare(PC_RSP_24 + 0x10, AT(11), 1);
	assert_int_equal(walk.count, 4);
	/* as a leaf it is looked up elsewhere than as a caller */
	assert_int_equal(walk.adopted, 3);
}

static void test_each_word_that_was_read_counts(void **state)
{
	static const unsigned words[] = {0, 3, 5, 7, 21};

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		memo_setup(state);
		stack_put();
		walk_and_compare(PC_LEAF + 5, AT(0), 1);
		world.stack[words[i]] = words[i] == 5 ? AT(24) : PC_ROOT + 0x20;
		world.stack[24] = 5;
		world.stack[25] = PC_ROOT + 0x30;
		walk_and_compare(PC_LEAF + 5, AT(0), 1);
	}
	/* what was saved by a rule by rbp, too: the walk goes on with it */
	memo_setup(state);
	stack_put();
	world.stack[21] = PC_RBP + 0x20;
	world.stack[20] = AT(40);
	world.stack[41] = PC_ROOT + 1;
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	world.stack[20] = AT(50);
	world.stack[51] = PC_ROOT + 2;
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	assert_int_equal(frames[walk.count - 1], FRAME(MODULE, OFFSET(PC_ROOT + 2)));
}

static void test_rbp_is_part_of_the_place(void **state)
{
	world.stack[0] = PC_RBP + 0x10;
	world.stack[11] = PC_ROOT + 1;
	world.stack[31] = PC_ROOT + 2;
	walk_and_compare(PC_LEAF + 5, AT(0), AT(10));
	walk_and_compare(PC_LEAF + 5, AT(0), AT(30));
	assert_int_equal(walk.adopted, 0);
	assert_int_equal(frames[2], FRAME(MODULE, OFFSET(PC_ROOT + 2)));
}

/* Other mappings make another meaning of every address; so does an exec. */
static void test_mappings_are_part_of_it(void **state)
{
	stack_put();
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	world.header.generation = 2;
	world.elements[1].offset += 0x100;
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	assert_int_equal(walk.adopted, 0);
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	assert_int_equal(walk.adopted, walk.count - 1);
	world.exec_count = 1;
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	assert_int_equal(walk.end, STACK_NO_MAPPING);
	assert_int_equal(walk.adopted, 0);
}

static void test_a_table_that_comes_later(void **state)
{
	uint32_t *table = world.table;

	stack_put();
	world.table = NULL;
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	assert_int_equal(walk.end, STACK_NO_TABLE);
	world.table = table;
	walk_and_compare(PC_LEAF + 5, AT(0), 1);
	assert_int_equal(walk.end, STACK_COMPLETE);
}

static void test_deeper_than_the_memo(void **state)
{
	unsigned deep = MEMO_FRAMES + 200;

	for (unsigned i = 0; i < deep; i++)
		world.stack[i] = PC_LEAF + 7;
	world.stack[deep] = PC_ROOT + 1;
	for (unsigned i = 0; i < 3; i++) {
		walk_and_compare(PC_LEAF, AT(0), 0);
		assert_int_equal(walk.count, deep + 2);
		assert_int_equal(walk.adopted, i ? MEMO_FRAMES - 1 : 0);
	}
}

/* What a signal has interrupted is walked each time, what it stands on is not. */
static void test_signals(void **state)
{
	stack_put();
	memmove(&world.stack[100], &world.stack[0], 40 * 8);
	world.stack[105] = AT(120);
	world.stack[0] = PC_SIGNAL;
	stack_put_ucontext(1, PC_LEAF + 5, AT(100), 1);
	for (unsigned i = 0; i < 3; i++) {
		walk_and_compare(PC_LEAF + 1, AT(0), 9);
		assert_int_equal(walk.end, STACK_COMPLETE);
		assert_int_equal(walk.count, 7);
		/* the handler, then the callers of what was interrupted */
		assert_int_equal(walk.adopted, i ? 5 : 0);
	}
}

/* ---- at random ---- */

static uint64_t random_pc(void)
{
	static const uint64_t pcs[] = {PC_LEAF, PC_LEAF, PC_LEAF,      PC_RSP_24, PC_RSP_24,
				       PC_RBP,	PC_RBP,	 PC_RSP_SAVED, PC_ROOT,	  PC_GAP};

	return pcs[random() % 10] + 0x10 + (uint64_t)random() % 4;
}

/* Return addresses, and now and then a place on the stack, or nothing. */
static void random_word(unsigned at)
{
	unsigned kind = random() % 16;

	if (kind < 11)
		world.stack[at] = random_pc();
	else if (kind < 15)
		world.stack[at] = AT(at + 2 + (unsigned)random() % 20);
	else
		world.stack[at] = (uint64_t)random();
}

static void test_random_stacks(void **state)
{
	unsigned seed = getenv("KILN_SEED") ? (unsigned)atoi(getenv("KILN_SEED")) : 20;
	uint64_t adopted = 0, walked = 0;

	print_message("# KILN_SEED=%u\n", seed);
	srandom(seed);
	for (unsigned i = 0; i < 1000; i++)
		random_word(i);
	for (unsigned i = 0; i < ROUNDS; i++) {
		/* now and then the same walk again, or the next one of a thread: some words, another leaf */
		static uint64_t pc, sp, bp;

		if (i % 3 == 0) {
			sp = AT(random() % 200);
			bp = random() % 2 ? sp + 16 + 8 * ((uint64_t)random() % 20) : 5;
			pc = random_pc();
		}
		for (unsigned changes = random() % 4; changes; changes--)
			random_word((unsigned)random() % 1000);
		if (random() % 500 == 0)
			world.header.generation++;
		walk_and_compare(pc, sp, bp);
		adopted += walk.adopted;
		walked += walk.count;
	}
	print_message("# %lu of %lu frames from the memo\n", adopted, walked);
	assert_true(adopted > walked / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_the_same_again, memo_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_one_read_instead_of_many, memo_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_callers_are_shared, memo_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_each_word_that_was_read_counts, memo_setup,
						world_teardown),
		cmocka_unit_test_setup_teardown(test_rbp_is_part_of_the_place, memo_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_mappings_are_part_of_it, memo_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_a_table_that_comes_later, memo_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_deeper_than_the_memo, memo_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_signals, memo_setup, world_teardown),
		cmocka_unit_test_setup_teardown(test_random_stacks, memo_setup, world_teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
