/* The kernel's table walker as plain C, on hand-made tables, mappings and stacks: plain rules, the window
 * over the stack, mappings, trampolines, depth, and where things lie in a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/walker_world.h"

/* ---- the rules ---- */

static void test_rsp_rules_to_the_root(void **state)
{
	world.stack[0] = CODE + 0x150;
	world.stack[1] = 1;
	world.stack[2] = 2;
	world.stack[3] = CODE + 0x450;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(walk.count, 3);
	assert_frame(0, CODE + 0x10);
	assert_frame(1, CODE + 0x150);
	assert_frame(2, CODE + 0x450);
	assert_int_equal(walk.unknown_pc, 0);
}

static void test_rbp_rule_and_saved_rbp(void **state)
{
	/* leaf with a frame pointer; its caller saves rbp in the middle of its frame; the third uses it again
	 */
	uint64_t bp = STACK_BASE + 5 * 8;

	world.stack[5] = 77;		   /* the caller's rbp */
	world.stack[6] = CODE + 0x350;	   /* rsp is now at 7 */
	world.stack[8] = STACK_BASE + 160; /* CFA is at 11, rbp at 8 */
	world.stack[10] = CODE + 0x250;
	world.stack[20] = 0;
	world.stack[21] = CODE + 0x410;
	walk_all(CODE + 0x210, STACK_BASE, bp);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(walk.count, 4);
	assert_frame(1, CODE + 0x350);
	assert_frame(2, CODE + 0x250);
	assert_frame(3, CODE + 0x410);
	assert_int_equal(walk.bp, 0);
}

static void test_zero_return_is_the_root(void **state)
{
	world.stack[0] = 0;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(walk.count, 1);
}

static void test_gap_and_unsupported(void **state)
{
	walk_all(CODE + 0x550, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_RULE);
	assert_int_equal(walk.count, 1);
	walk_all(CODE + 0x650, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_RULE);
	/* before and behind the table's pages */
	mapping_add(CODE + 0x10000, CODE + 0x11000, 0x0, MODULE, 0);
	mapping_add(CODE + 0x20000, CODE + 0x21000, 0x4000, MODULE, 0);
	walk_all(CODE + 0x10010, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_RULE);
	walk_all(CODE + 0x20010, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_RULE);
	assert_int_equal(frames[0], FRAME(MODULE, 0x4010));
}

static void test_cfa_must_grow(void **state)
{
	walk_all(CODE + 0x750, STACK_BASE + 64, 0);
	assert_int_equal(walk.end, STACK_BAD_CFA);
	walk_all(CODE + 0x850, STACK_BASE + 64, 0);
	assert_int_equal(walk.end, STACK_BAD_CFA);
	/* a frame pointer that leads down */
	walk_all(CODE + 0x250, STACK_BASE + 64, STACK_BASE + 8);
	assert_int_equal(walk.end, STACK_BAD_CFA);
	assert_int_equal(walk.count, 1);
	/* a rule whose rbp its callee has lost */
	world.stack[0] = CODE + 0x250;
	walk_all(CODE + 0x950, STACK_BASE, STACK_BASE + 800);
	assert_int_equal(walk.end, STACK_BAD_CFA);
	assert_int_equal(walk.count, 2);
	assert_int_equal(world.reads, 1);
}

static void test_unreadable(void **state)
{
	walk_all(CODE + 0x10, STACK_BASE + sizeof(world.stack), 0);
	assert_int_equal(walk.end, STACK_UNREADABLE);
	assert_int_equal(walk.count, 1);
	/* rbp's place alone */
	walk_all(CODE + 0x350, STACK_BASE - 16, 0);
	assert_int_equal(walk.end, STACK_UNREADABLE);
	walk_all(CODE + 0x250, STACK_BASE - 16, STACK_BASE - 8);
	assert_int_equal(walk.end, STACK_UNREADABLE);
}

/* ---- the window over the stack ---- */

static void test_end_of_the_stack(void **state)
{
	/* Less than a window is left above: the words are read one by one, and the root is found all the
	 * same. */
	for (unsigned left = 1; left <= 2 * WINDOW_WORDS; left++) {
		unsigned at = STACK_WORDS - left;

		for (unsigned i = at; i < STACK_WORDS - 1; i++)
			world.stack[i] = CODE + 0x10;
		world.stack[STACK_WORDS - 1] = CODE + 0x410;
		walk_all(CODE + 0x10, STACK_BASE + 8ul * at, 0);
		assert_int_equal(walk.end, STACK_COMPLETE);
		assert_int_equal(walk.count, left + 1);
	}
}

static void test_few_reads(void **state)
{
	for (unsigned i = 0; i < 4 * WINDOW_WORDS; i++)
		world.stack[i] = CODE + 0x10;
	world.stack[4 * WINDOW_WORDS] = 0;
	world.reads = 0;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(walk.count, 4 * WINDOW_WORDS + 1);
	assert_int_equal(world.reads, 5);
}

static void test_frames_larger_than_windows(void **state)
{
	/* Chains of frame pointers with every distance around a window's size, aligned and not. */
	for (uint64_t size = WALK_WINDOW_BYTES - 40; size <= WALK_WINDOW_BYTES + 40; size += 4) {
		uint64_t bp = 64;

		memset(world.stack, 0xff, sizeof(world.stack));
		for (unsigned i = 0; i < 8; i++) {
			uint64_t pair[2] = {STACK_BASE + bp + size, i < 7 ? CODE + 0x250 : 0};

			memcpy((uint8_t *)world.stack + bp, pair, sizeof(pair));
			bp += size;
		}
		walk_all(CODE + 0x250, STACK_BASE, STACK_BASE + 64);
		assert_int_equal(walk.end, STACK_COMPLETE);
		assert_int_equal(walk.count, 8);
	}
}

/* ---- mappings ---- */

static void test_leaf_in_no_mapping(void **state)
{
	walk_all(CODE - 1, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_MAPPING);
	assert_int_equal(walk.count, 1);
	assert_int_equal(frames[0], FRAME(MODULE_UNKNOWN, CODE - 1));
	assert_int_equal(walk.unknown_pc, CODE - 1);
	walk_all(CODE + 0x2000, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_MAPPING);
}

static void test_no_mappings_at_all(void **state)
{
	world.header.count = 0;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_MAPPING);
	assert_int_equal(walk.count, 1);
}

static void test_mappings_of_another_program(void **state)
{
	world.exec_count = 1;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_MAPPING);
	world.header.exec_count = 1;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
}

static void test_kernel_knows_more(void **state)
{
	uint64_t fresh = CODE + 0x100000;

	/* A library that was loaded since the mappings were published. */
	world.vma = (struct mapping){fresh, fresh + CODE_BYTES, OFFSET(CODE), MODULE, 0};
	world.stack[0] = CODE + 0x408;
	walk_all(fresh + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(frames[0], FRAME(MODULE, 0x10 + OFFSET(CODE)));
	assert_int_equal(world.asked, 1);
	/* What the list has is not asked for. */
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(world.asked, 1);
	/* Nobody knows. */
	walk_all(fresh - 8, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_MAPPING);
	assert_int_equal(walk.unknown_pc, fresh - 8);
}

static void test_replaced_mapping_is_asked_for(void **state)
{
	uint64_t other = CODE + 0x100000;

	mapping_add(other, other + CODE_BYTES, OFFSET(CODE), MODULE, 0);
	world.remap_count = 1;
	world.remapped = other;
	world.stack[0] = CODE + 0x408;
	/* The caller's mapping is another one, and still good. */
	walk_all(other + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_MAPPING);
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	world.vma = (struct mapping){other, other + CODE_BYTES, OFFSET(CODE) + 0x1000, MODULE, 0};
	walk_all(other + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(frames[0], FRAME(MODULE, 0x1010 + OFFSET(CODE)));
}

static void test_bad_return_is_no_frame(void **state)
{
	world.stack[0] = 0x1234;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_BAD_RETURN);
	assert_int_equal(walk.count, 1);
	assert_int_equal(walk.unknown_pc, 0x1233);
}

static void test_return_at_the_very_end(void **state)
{
	/* a call as the last instruction: pc - 1 is in the mapping and in its last page, pc is not */
	world.stack[0] = CODE + 0x2000;
	world.stack[1] = CODE + 0x400; /* pc - 1 still saves rbp: not the root yet */
	world.stack[3] = 9;
	world.stack[5] = 0;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.count, 3);
	assert_frame(1, CODE + 0x2000);
	assert_frame(2, CODE + 0x400);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(walk.bp, 9);
}

static void test_leaf_is_looked_up_exactly(void **state)
{
	walk_all(CODE + 0x400, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(world.reads, 0);
}

static void test_jit_trampoline_and_no_table(void **state)
{
	uint64_t jit = CODE + 0x100000, page = CODE + 0x200000, bare = CODE + 0x300000;

	mapping_add(jit, jit + 0x1000, jit, MODULE_ANONYMOUS, 0);
	mapping_add(page, page + 0x1000, page, MODULE_ANONYMOUS, MAPPING_TRAMPOLINE);
	mapping_add(bare, bare + 0x1000, 0x3000, MODULE + 1, 0);
	world.stack[0] = jit + 0x20;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_JIT);
	assert_int_equal(walk.count, 2);
	assert_int_equal(frames[1], FRAME(MODULE_ANONYMOUS, jit + 0x20));
	world.stack[0] = page + 0x20;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_TRAMPOLINE);
	assert_int_equal(walk.count, 1);
	walk_all(page + 0x20, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_TRAMPOLINE);
	assert_int_equal(walk.count, 1);
	world.stack[0] = bare + 0x20;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_NO_TABLE);
	assert_int_equal(walk.count, 2);
	assert_int_equal(frames[1], FRAME(MODULE + 1, 0x3020));
}

/* The real return address stands in the thread's list of pending returns. */
static void test_trampoline_is_left(void **state)
{
	uint64_t page = CODE + 0x200000;

	mapping_add(page, page + 0x1000, page, MODULE_ANONYMOUS, MAPPING_TRAMPOLINE);
	/* as a caller: its slot on the stack is the one that was replaced */
	world.stack[0] = page;
	world.returns[0].slot = STACK_BASE;
	world.returns[0].pc = CODE + 0x401;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(walk.count, 2);
	assert_frame(1, CODE + 0x401);
	/* of another slot: not this one's */
	world.returns[0].slot = STACK_BASE + 8;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_TRAMPOLINE);
	/* a sample in the trampoline itself, which has pushed three registers */
	walk_all(page + 0x10, STACK_BASE + 16 - 24, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(walk.count, 2);
	assert_int_equal(frames[0], FRAME(MODULE_ANONYMOUS, page + 0x10));
	assert_frame(1, CODE + 0x401);
	/* a real address that is none */
	world.returns[0].pc = 0x1234;
	walk_all(page + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_TRAMPOLINE);
}

/* Behind its system call the trampoline returns to what lies on the stack; no return is pending any more. */
static void test_trampoline_after_its_call(void **state)
{
	static const struct {
		unsigned inside, words;
	} places[] = {{TRAMPOLINE_AFTER_CALL, 2}, {TRAMPOLINE_SECOND_POP, 1}, {TRAMPOLINE_RETURN, 0}};
	uint64_t page = CODE + 0x200000;

	mapping_add(page, page + 0x1000, page, MODULE_ANONYMOUS, MAPPING_TRAMPOLINE);
	for (unsigned i = 0; i < 3; i++) {
		memset(world.stack, 0, sizeof(world.stack));
		world.stack[places[i].words] = CODE + 0x401;
		walk_all(page + places[i].inside, STACK_BASE, 0);
		assert_int_equal(walk.end, STACK_COMPLETE);
		assert_int_equal(walk.count, 2);
		assert_frame(1, CODE + 0x401);
	}
	/* anywhere else it is not known where */
	walk_all(page + TRAMPOLINE_RETURN + 1, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_TRAMPOLINE);
}

/* The trampoline lies at the start of its page: the byte before is in no mapping, or in another one. */
static void test_trampoline_behind_code(void **state)
{
	world.stack[0] = CODE + 0x2000; /* where the code ends */
	mapping_add(CODE + 0x2000, CODE + 0x3000, CODE + 0x2000, MODULE_ANONYMOUS, MAPPING_TRAMPOLINE);
	world.returns[0].slot = STACK_BASE;
	world.returns[0].pc = CODE + 0x401;
	walk_all(CODE + 0x10, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_frame(1, CODE + 0x401);
}

static void test_trap_is_undone(void **state)
{
	uint64_t site = CODE + 0x10;

	walk_start(&walk, 0, 0, 0, 0);
	world.stack[0] = CODE + 0x401; /* a return address: the push has not been executed */
	assert_int_equal(walk_undo_trap(&walk, site + 1, STACK_BASE), site + 1);
	world.site = FRAME(MODULE, site - CODE + world.elements[1].offset);
	assert_int_equal(walk_undo_trap(&walk, site + 1, STACK_BASE), site);
	/* what was pushed, on top of it: it has been */
	world.stack[0] = 0x1234;
	assert_int_equal(walk_undo_trap(&walk, site + 1, STACK_BASE), site + 1);
	/* no stack, no mapping */
	assert_int_equal(walk_undo_trap(&walk, site + 1, 0x1000), site + 1);
	assert_int_equal(walk_undo_trap(&walk, 0x1001, STACK_BASE), 0x1001);
}

static void test_many_mappings(void **state)
{
	/* every number of mappings, every one of them found, every hole between them not */
	for (unsigned count = 1; count <= 60; count++) {
		world.header.count = 0;
		for (unsigned i = 0; i < count; i++)
			mapping_add(CODE + i * 0x2000, CODE + i * 0x2000 + 0x1000, 0x9000, MODULE_VDSO, 0);
		for (unsigned i = 0; i < count; i++) {
			walk_all(CODE + i * 0x2000, STACK_BASE, 0);
			assert_int_equal(walk.end, STACK_NO_TABLE);
			walk_all(CODE + i * 0x2000 + 0xfff, STACK_BASE, 0);
			assert_int_equal(frames[0], FRAME(MODULE_VDSO, 0x9fff));
			walk_all(CODE + i * 0x2000 + 0x1000, STACK_BASE, 0);
			assert_int_equal(walk.end, STACK_NO_MAPPING);
		}
	}
}

/* ---- depth ---- */

static void stack_recurse(unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		world.stack[i] = CODE + 0x10;
	world.stack[depth] = CODE + 0x410;
}

static void test_truncation_keeps_the_leaf(void **state)
{
	stack_recurse(STACK_USER_MAX);
	walk_all(CODE + 0x20, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_TRUNCATED);
	assert_int_equal(walk.count, STACK_USER_MAX);
	assert_frame(0, CODE + 0x20);
	assert_frame(1, CODE + 0x10);
	assert_frame(STACK_USER_MAX - 1, CODE + 0x10);
}

static void test_the_deepest_whole_stack(void **state)
{
	stack_recurse(STACK_USER_MAX - 2);
	walk_all(CODE + 0x20, STACK_BASE, 0);
	assert_int_equal(walk.end, STACK_COMPLETE);
	assert_int_equal(walk.count, STACK_USER_MAX);
	assert_frame(STACK_USER_MAX - 1, CODE + 0x410);
}

static void test_frames_behind_others(void **state)
{
	struct walk_context context = {.walk = &walk, .frames = frames};

	walk_start(&walk, CODE + 0x410, STACK_BASE, 0, STACK_KERNEL_MAX);
	assert_int_equal(walk_step(0, &context), 1);
	assert_frame(STACK_KERNEL_MAX, CODE + 0x410);
	/* and never behind the end */
	walk_start(&walk, CODE + 0x410, STACK_BASE, 0, WALK_FRAMES_MAX);
	assert_int_equal(walk_step(0, &context), 1);
	assert_int_equal(walk.end, STACK_TRUNCATED);
	assert_int_equal(walk.count, 0);
}

/* ---- where things lie in the table ---- */

/* The rule number that the walker finds at an offset. */
static uint32_t rule_at(uint64_t offset)
{
	walk_start(&walk, 0, 0, 0, 0);
	assert_true(walk_use_table(&walk, world.table, MODULE));
	return walk_find_rule(&walk, world.table, offset);
}

#define PAGE_BYTES (1u << TABLE_PAGE_SHIFT)

static void test_row_and_page_borders(void **state)
{
	uint64_t page = (uint64_t)FIRST_PAGE << TABLE_PAGE_SHIFT;

	assert_int_equal(rule_at(page), RULE_LEAF);
	assert_int_equal(rule_at(page + 0xff), RULE_LEAF);
	assert_int_equal(rule_at(page + 0x100), RULE_RSP_24);
	assert_int_equal(rule_at(page + 0xfff), RULE_LOST);
	assert_int_equal(rule_at(page + 0x1000), RULE_LEAF);
	assert_int_equal(rule_at(page + 0x1fff), RULE_LEAF);
	assert_int_equal(rule_at(page + 0x2000), RULE_GAP);
	assert_int_equal(rule_at(page - 1), RULE_GAP);
	assert_int_equal(rule_at(0), RULE_GAP);
	assert_int_equal(rule_at(FRAME_OFFSET_MASK), RULE_GAP);
}

static void test_full_page(void **state)
{
	uint64_t page = (uint64_t)FIRST_PAGE << TABLE_PAGE_SHIFT;

	/* a row a byte: as many as a page can have */
	table_begin(1, 8, 64);
	table_page();
	for (uint32_t offset = 0; offset < PAGE_BYTES; offset++)
		table_row(offset, 1 + offset % 7);
	table_end();
	for (uint32_t offset = 0; offset < PAGE_BYTES; offset++)
		assert_int_equal(rule_at(page + offset), 1 + offset % 7);
}

static void test_padding_and_chunk_borders(void **state)
{
	uint64_t page = (uint64_t)FIRST_PAGE << TABLE_PAGE_SHIFT;

	/* The page index straddles chunks 0 and 1; the first page fills its chunk with padding, the second
	 * starts the next one. */
	table_begin(3, TABLE_CHUNK_WORDS - 2, TABLE_CHUNK_WORDS + 2);
	table_page();
	table_row(0, RULE_RBP);
	table_row(0x80, RULE_LEAF);
	while (row_at < 2 * TABLE_CHUNK_WORDS)
		table_row(0x80, RULE_LEAF);
	table_page();
	table_row(0, RULE_ROOT);
	table_row(PAGE_BYTES - 1, RULE_RSP_24);
	table_page();
	table_row(0, RULE_DOWN);
	table_end();
	assert_int_equal(rule_at(page), RULE_RBP);
	assert_int_equal(rule_at(page + 0x7f), RULE_RBP);
	assert_int_equal(rule_at(page + 0x80), RULE_LEAF);
	assert_int_equal(rule_at(page + PAGE_BYTES - 1), RULE_LEAF);
	assert_int_equal(rule_at(page + PAGE_BYTES), RULE_ROOT);
	assert_int_equal(rule_at(page + 2 * PAGE_BYTES - 2), RULE_ROOT);
	assert_int_equal(rule_at(page + 2 * PAGE_BYTES - 1), RULE_RSP_24);
	assert_int_equal(rule_at(page + 3 * PAGE_BYTES - 1), RULE_DOWN);
	assert_int_equal(rule_at(page + 3 * PAGE_BYTES), RULE_GAP);
}

static void test_table_that_goes_away(void **state)
{
	/* the header is remembered, the chunks are gone */
	walk_start(&walk, 0, 0, 0, 0);
	assert_true(walk_use_table(&walk, world.table, MODULE));
	((struct table_header *)world.table)->words = 0;
	assert_int_equal(walk_find_rule(&walk, world.table, OFFSET(CODE)), RULE_GAP);
	assert_int_equal(walk_apply_rule(&walk, world.table, RULE_LEAF), STACK_NO_RULE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		walker_test(test_rsp_rules_to_the_root),
		walker_test(test_rbp_rule_and_saved_rbp),
		walker_test(test_zero_return_is_the_root),
		walker_test(test_gap_and_unsupported),
		walker_test(test_cfa_must_grow),
		walker_test(test_unreadable),
		walker_test(test_end_of_the_stack),
		walker_test(test_few_reads),
		walker_test(test_frames_larger_than_windows),
		walker_test(test_leaf_in_no_mapping),
		walker_test(test_no_mappings_at_all),
		walker_test(test_mappings_of_another_program),
		walker_test(test_kernel_knows_more),
		walker_test(test_replaced_mapping_is_asked_for),
		walker_test(test_bad_return_is_no_frame),
		walker_test(test_return_at_the_very_end),
		walker_test(test_leaf_is_looked_up_exactly),
		walker_test(test_jit_trampoline_and_no_table),
		walker_test(test_trampoline_is_left),
		walker_test(test_trampoline_after_its_call),
		walker_test(test_trampoline_behind_code),
		walker_test(test_trap_is_undone),
		walker_test(test_many_mappings),
		walker_test(test_truncation_keeps_the_leaf),
		walker_test(test_the_deepest_whole_stack),
		walker_test(test_frames_behind_others),
		walker_test(test_row_and_page_borders),
		walker_test(test_full_page),
		walker_test(test_padding_and_chunk_borders),
		walker_test(test_table_that_goes_away),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
