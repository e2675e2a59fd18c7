/* The walker where there is no rule: frame pointers, leaves, restorers by their bytes, and back to tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/walker_world.h"

/* The places of calls: what lies behind one may be a return address. */
#define JIT_RETURN   (JIT + 0x100)
#define JIT_RETURN_2 (JIT + 0x200)
#define LEAF_RETURN  (PC_LEAF + 0x20)
#define ROOT_RETURN  (PC_ROOT + 0x20)
#define GAP_RETURN   (PC_GAP + 0x20)

static int setup(void **state)
{
	world_setup(state);
	world_add_jit();
	memset(world.code, 0x90, sizeof(world.code));
	memset(world.jit, 0x90, sizeof(world.jit));
	code_call(JIT_RETURN);
	code_call(JIT_RETURN_2);
	code_call(LEAF_RETURN);
	code_call(ROOT_RETURN);
	code_call(GAP_RETURN);
	return 0;
}

/* A frame record: what rbp points to. Returns its address. */
static uint64_t put_record(unsigned word, uint64_t bp, uint64_t pc)
{
	world.stack[word] = bp;
	world.stack[word + 1] = pc;
	return AT(word);
}

/* ---- plausible ---- */

static void test_jit_and_back_to_tables(void **state)
{
	/* table leaf → JIT → JIT → table leaf → root */
	world.stack[0] = JIT_RETURN;
	put_record(5, AT(10), JIT_RETURN_2);
	put_record(10, 1234, LEAF_RETURN);
	world.stack[12] = ROOT_RETURN;
	walk_all(PC_LEAF, STACK_BASE, AT(5));
	assert_walk(STACK_COMPLETE, 5);
	assert_int_equal(frames[1], FRAME(MODULE_ANONYMOUS, JIT_RETURN));
	assert_int_equal(frames[2], FRAME(MODULE_ANONYMOUS, JIT_RETURN_2));
	assert_frame(3, LEAF_RETURN);
	assert_frame(4, ROOT_RETURN);
	assert_int_equal(walk.bp, 1234);
	assert_int_equal(walk.sp, AT(13));
	/* the same with a sample in the JIT's code */
	walk_all(JIT + 0x50, AT(1), AT(5));
	assert_walk(STACK_COMPLETE, 4);
	assert_int_equal(frames[0], FRAME(MODULE_ANONYMOUS, JIT + 0x50));
	assert_frame(3, ROOT_RETURN);
}

static void test_gap(void **state)
{
	world.stack[0] = GAP_RETURN;
	put_record(5, 0, ROOT_RETURN);
	walk_all(PC_LEAF, STACK_BASE, AT(5));
	assert_walk(STACK_COMPLETE, 3);
	assert_frame(2, ROOT_RETURN);
	/* a rule that the walker does not know is no gap */
	world.stack[0] = CODE + 0x610;
	walk_all(PC_LEAF, STACK_BASE, AT(5));
	assert_walk(STACK_NO_RULE, 2);
}

static void test_module_with_an_empty_table(void **state)
{
	const struct unwind_rule own[] = {{.cfa = UNWIND_GAP}};

	table_begin_with(own, 1, 0, 8, 64);
	table_end();
	put_record(5, AT(10), LEAF_RETURN);
	put_record(10, 0, ROOT_RETURN);
	walk_all(PC_RBP, STACK_BASE, AT(5));
	/* everything by frame pointer; rbp 0 then is the root */
	assert_walk(STACK_COMPLETE, 3);
	assert_frame(2, ROOT_RETURN);
	/* and nothing is missing that a table could mend */
	assert_int_equal(world.missing, 0);
	put_record(5, AT(10), LEAF_RETURN + 1);
	walk_all(PC_RBP, STACK_BASE, AT(5));
	assert_walk(STACK_NO_TABLE, 1);
}

static void test_without_a_table_nothing_is_guessed(void **state)
{
	/* The table will come: then the stack is whole and exact. */
	mapping_add(JIT + 0x10000, JIT + 0x11000, 0x3000, MODULE + 1, 0);
	put_record(5, 0, ROOT_RETURN);
	walk_all(JIT + 0x10010, STACK_BASE, AT(5));
	assert_walk(STACK_NO_TABLE, 1);
	assert_int_equal(world.missing, 1);
	assert_int_equal(world.missing_module, MODULE + 1);
	world.stack[0] = JIT + 0x10010;
	walk_all(PC_LEAF, STACK_BASE, AT(5));
	assert_walk(STACK_NO_TABLE, 2);
	assert_int_equal(world.missing, 2);
}

/* The caller's frame directly above: rbp == rsp. */
static void test_nearest_and_farthest_record(void **state)
{
	put_record(0, 0, ROOT_RETURN);
	walk_all(JIT + 0x50, STACK_BASE, STACK_BASE);
	assert_walk(STACK_COMPLETE, 2);
	assert_int_equal(walk.sp, AT(2));
	walk_all(JIT + 0x50, STACK_BASE - FRAME_POINTER_REACH, STACK_BASE);
	assert_walk(STACK_COMPLETE, 2);
	walk_all(JIT + 0x50, STACK_BASE - FRAME_POINTER_REACH - 8, STACK_BASE);
	assert_walk(STACK_JIT, 1);
}

static void test_every_form_of_call(void **state)
{
	static const struct {
		const char *bytes;
		unsigned count;
		bool is_call;
	} forms[] = {
		{"\xe8\x01\x02\x03\x04", 5, true},	   /* call rel32 */
		{"\xff\xd0", 2, true},			   /* call *%rax */
		{"\x41\xff\xd3", 3, true},		   /* call *%r11 */
		{"\xff\x10", 2, true},			   /* call *(%rax) */
		{"\xff\x50\x08", 3, true},		   /* call *8(%rax) */
		{"\xff\x54\x24\x08", 4, true},		   /* call *8(%rsp) */
		{"\xff\x14\xc8", 3, true},		   /* call *(%rax,%rcx,8) */
		{"\xff\x15\x01\x02\x03\x04", 6, true},	   /* call *x(%rip) */
		{"\xff\x90\x01\x02\x03\x04", 6, true},	   /* call *x(%rax) */
		{"\xff\x94\xc8\x01\x02\x03\x04", 7, true}, /* call *x(%rax,%rcx,8) */
		{"\xff\xe0", 2, false},			   /* jmp *%rax */
		{"\xe9\x01\x02\x03\x04", 5, false},	   /* jmp rel32 */
		{"\x90\x90", 2, false},
		{"\xc3", 1, false},
	};

	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		memset(world.jit, 0x90, sizeof(world.jit));
		code_put(JIT_RETURN - forms[i].count, forms[i].bytes, forms[i].count);
		put_record(5, AT(10), JIT_RETURN);
		walk_all(JIT + 0x50, STACK_BASE, AT(5));
		assert_walk(STACK_JIT, forms[i].is_call ? 2 : 1);
	}
}

/* A call as the last instruction of its mapping. */
static void test_return_behind_the_mapping(void **state)
{
	world.stack[0] = JIT_RETURN;
	put_record(5, 0, code_call(CODE + CODE_BYTES));
	walk_all(PC_LEAF, STACK_BASE, AT(5));
	assert_int_equal(walk.count, 3);
	assert_frame(2, CODE + CODE_BYTES);
}

static void test_trampoline_as_the_return(void **state)
{
	uint64_t page = JIT + 0x20000;

	mapping_add(page, page + 0x1000, page, MODULE_ANONYMOUS, MAPPING_TRAMPOLINE);
	put_record(5, 0, page);
	world.returns[0].slot = AT(6);
	world.returns[0].pc = ROOT_RETURN;
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_COMPLETE, 2);
	assert_frame(1, ROOT_RETURN);
}

/* The same where other code ends at the trampoline's page. */
static void test_trampoline_behind_other_code(void **state)
{
	uint64_t page = JIT + CODE_BYTES;

	mapping_add(page, page + 0x1000, page, MODULE_ANONYMOUS, MAPPING_TRAMPOLINE);
	put_record(5, 0, page);
	world.returns[0].slot = AT(6);
	world.returns[0].pc = ROOT_RETURN;
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_COMPLETE, 2);
	assert_frame(1, ROOT_RETURN);
}

/* ---- implausible ---- */

static void assert_implausible(uint64_t bp)
{
	walk_all(JIT + 0x50, AT(4), bp);
	assert_walk(STACK_JIT, 1);
	walk_all(PC_GAP + 0x50, AT(4), bp);
	assert_walk(STACK_NO_RULE, 1);
}

static void test_implausible_pointers(void **state)
{
	put_record(5, 0, ROOT_RETURN);
	/* it is the pointer alone that is wrong in each case */
	walk_all(JIT + 0x50, AT(4), AT(5));
	assert_walk(STACK_COMPLETE, 2);
	for (unsigned i = 1; i < 8; i++)
		assert_implausible(AT(5) + i);
	put_record(2, 0, ROOT_RETURN);
	assert_implausible(AT(2)); /* below rsp */
	assert_implausible(0);
	assert_implausible(AT(5) + FRAME_POINTER_REACH + 8);
	assert_implausible(STACK_END - 8); /* half of the record */
	assert_implausible(~7ull);
}

static void test_implausible_returns(void **state)
{
	put_record(5, AT(10), ROOT_RETURN + 1); /* not behind a call */
	assert_implausible(AT(5));
	put_record(5, 0, JIT + 0x10000); /* not executable */
	assert_implausible(AT(5));
	put_record(5, 0, 0);
	assert_implausible(AT(5));
	put_record(5, 0, 1);
	assert_implausible(AT(5));
	mapping_add(JIT + 0x10000, JIT + 0x11000, 0x3000, MODULE + 1, 0);
	put_record(5, AT(10), JIT + 0x10100); /* code that cannot be read */
	assert_implausible(AT(5));
}

/* rbp is just a number where code uses it as such: a whole chain needs plausible records. */
static void test_chain_that_breaks(void **state)
{
	put_record(5, AT(10), JIT_RETURN);
	put_record(10, 77, JIT_RETURN_2);
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_JIT, 3);
	/* one that leads far away is on another stack; it cannot be read here */
	put_record(10, STACK_BASE - (64u << 20), JIT_RETURN_2);
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_JIT, 3);
	/* one that leads down would never end */
	put_record(10, AT(5), JIT_RETURN_2);
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_JIT, 3);
}

/* A goroutine's first function returns to goexit+1, which stands behind a nop. */
static void test_outermost_record(void **state)
{
	put_record(5, 0, JIT + 0x81);
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_COMPLETE, 2);
	assert_int_equal(frames[1], FRAME(MODULE_ANONYMOUS, JIT + 0x81));
	/* any other record leads behind a call */
	put_record(5, AT(10), JIT + 0x81);
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_JIT, 1);
}

static void test_zero_ends_a_chain_only(void **state)
{
	/* a frame pointer step found it */
	put_record(5, 0, JIT_RETURN);
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_COMPLETE, 2);
	/* the sample's own, or a table's, may be any number */
	walk_all(JIT + 0x50, STACK_BASE, 0);
	assert_walk(STACK_JIT, 1);
	world.stack[0] = JIT_RETURN;
	walk_all(PC_LEAF, STACK_BASE, 0);
	assert_walk(STACK_JIT, 2);
	/* a rule is asked first */
	put_record(5, 0, LEAF_RETURN);
	world.stack[7] = ROOT_RETURN;
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_COMPLETE, 3);
	assert_frame(2, ROOT_RETURN);
	/* and its step is none by frame pointer */
	put_record(5, 0, LEAF_RETURN);
	world.stack[7] = JIT_RETURN;
	walk_all(JIT + 0x50, STACK_BASE, AT(5));
	assert_walk(STACK_JIT, 3);
}

/* ---- leaves ---- */

static void test_first_and_last_instructions(void **state)
{
	static const struct {
		const char *bytes;
		unsigned count, pushed;
	} forms[] = {
		{"\xf3\x0f\x1e\xfa", 4, 0}, /* endbr64 */
		{"\x55", 1, 0},		    /* push %rbp */
		{"\x48\x89\xe5", 3, 1},	    /* mov %rsp, %rbp */
		{"\x48\x8b\xec", 3, 1},
		{"\xc3", 1, 0}, /* ret */
		{"\xf3\xc3", 2, 0},
	};

	/* rbp is the caller's: its return leads to the caller's caller */
	put_record(5, 0, ROOT_RETURN);
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		code_put(JIT + 0x50, forms[i].bytes, forms[i].count);
		memset(world.stack, 0, 4 * sizeof(world.stack[0]));
		world.stack[0] = AT(5);
		world.stack[forms[i].pushed] = JIT_RETURN;
		walk_all(JIT + 0x50, STACK_BASE, forms[i].pushed ? 77 : AT(5));
		assert_walk(STACK_COMPLETE, 3);
		assert_int_equal(frames[1], FRAME(MODULE_ANONYMOUS, JIT_RETURN));
		assert_frame(2, ROOT_RETURN);
		/* the same bytes at a return address say nothing */
		world.stack[0] = JIT + 0x50;
		code_call(JIT + 0x50);
		world.stack[1] = JIT_RETURN_2;
		walk_all(PC_LEAF, STACK_BASE, AT(5));
		assert_walk(STACK_COMPLETE, 3);
		assert_frame(2, ROOT_RETURN);
	}
}

static void test_leaf_without_a_frame(void **state)
{
	/* rbp is of no use, and a return address lies on top of the stack */
	world.stack[0] = LEAF_RETURN;
	world.stack[1] = ROOT_RETURN;
	walk_all(JIT + 0x50, STACK_BASE, 77);
	assert_walk(STACK_COMPLETE, 3);
	assert_int_equal(walk.bp, 77);
	/* a caller is no leaf */
	world.stack[0] = JIT_RETURN;
	world.stack[1] = ROOT_RETURN;
	walk_all(PC_LEAF, STACK_BASE, 77);
	assert_walk(STACK_JIT, 2);
	/* nor is one with something else on top */
	world.stack[0] = ROOT_RETURN + 1;
	walk_all(JIT + 0x50, STACK_BASE, 77);
	assert_walk(STACK_JIT, 1);
	walk_all(JIT + 0x50, STACK_END - 8, 77);
	assert_walk(STACK_JIT, 1);
}

/* A leaf that a signal interrupted. */
static void test_interrupted_leaf(void **state)
{
	code_put(JIT + 0x50, "\x55", 1);
	world.stack[0] = PC_SIGNAL;
	stack_put_ucontext(1, JIT + 0x50, AT(100), AT(105));
	world.stack[100] = JIT_RETURN;
	put_record(105, 0, ROOT_RETURN);
	walk_all(PC_LEAF, STACK_BASE, 0);
	assert_walk(STACK_COMPLETE, 5);
	assert_int_equal(frames[2], FRAME(MODULE_ANONYMOUS, JIT + 0x50 + 1));
	assert_frame(4, ROOT_RETURN);
}

/* ---- restorers without a rule ---- */

static void test_restorer_by_its_bytes(void **state)
{
	static const uint64_t places[] = {JIT + 0x300, PC_GAP + 0x80};

	for (unsigned i = 0; i < 2; i++) {
		code_put(places[i], "\x48\xc7\xc0\x0f\x00\x00\x00\x0f\x05", 9);
		world.stack[0] = places[i];
		stack_put_ucontext(1, PC_LEAF + 8, AT(100), 55);
		world.stack[100] = ROOT_RETURN;
		walk_all(PC_LEAF, STACK_BASE, 0);
		assert_walk(STACK_COMPLETE, 4);
		assert_frame(2, PC_LEAF + 8 + 1);
		assert_frame(3, ROOT_RETURN);
		/* sampled in itself */
		walk_all(places[i], AT(1), 0);
		assert_walk(STACK_COMPLETE, 3);
		/* another system call's number is no restorer */
		code_put(places[i] + 3, "\x10", 1);
		walk_all(PC_LEAF, STACK_BASE, 0);
		assert_walk(i ? STACK_NO_RULE : STACK_JIT, 2);
	}
}

static void test_unreadable_code(void **state)
{
	/* mapped executable, but not to be read: no bytes, no guess, but frame pointers still hold */
	mapping_add(JIT + 0x10000, JIT + 0x11000, JIT + 0x10000, MODULE_ANONYMOUS, 0);
	put_record(5, 0, ROOT_RETURN);
	walk_all(JIT + 0x10010, STACK_BASE, AT(5));
	assert_walk(STACK_COMPLETE, 2);
}

int main(void)
{
#undef walker_test
#define walker_test(name) cmocka_unit_test_setup_teardown(name, setup, world_teardown)
	const struct CMUnitTest tests[] = {
		walker_test(test_jit_and_back_to_tables),
		walker_test(test_gap),
		walker_test(test_module_with_an_empty_table),
		walker_test(test_without_a_table_nothing_is_guessed),
		walker_test(test_nearest_and_farthest_record),
		walker_test(test_every_form_of_call),
		walker_test(test_return_behind_the_mapping),
		walker_test(test_trampoline_as_the_return),
		walker_test(test_trampoline_behind_other_code),
		walker_test(test_implausible_pointers),
		walker_test(test_implausible_returns),
		walker_test(test_chain_that_breaks),
		walker_test(test_outermost_record),
		walker_test(test_zero_ends_a_chain_only),
		walker_test(test_first_and_last_instructions),
		walker_test(test_leaf_without_a_frame),
		walker_test(test_interrupted_leaf),
		walker_test(test_restorer_by_its_bytes),
		walker_test(test_unreadable_code),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
