/* The walker's rare rules: FULL in every combination that bpf/table.h allows, and signal frames. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/walker_world.h"

/* DWARF numbers. */
enum { RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP };

static unsigned long long *register_of(unsigned number)
{
	struct user_regs_struct *r = &world.registers;
	unsigned long long *const by_number[UNWIND_REGISTERS] = {
		&r->rax, &r->rdx, &r->rcx, &r->rbx, &r->rsi, &r->rdi, &r->rbp, &r->rsp,
		&r->r8,	 &r->r9,  &r->r10, &r->r11, &r->r12, &r->r13, &r->r14, &r->r15};

	return by_number[number];
}

/* A walk of one rule: 1 a caller without anything known but rsp and rbp, 2 the rule, 3 the root. */
enum { OWN_GAP, OWN_LEAF, OWN_RULE, OWN_ROOT, OWN_RULES };

static void table_of_rule(struct unwind_rule rule)
{
	const struct unwind_rule own[OWN_RULES] = {
		[OWN_LEAF] = {.cfa = UNWIND_CFA_RSP, .cfa_offset = 8},
		[OWN_RULE] = rule,
		[OWN_ROOT] = {.cfa = UNWIND_ROOT},
	};

	table_of_rules(own, OWN_RULES);
}

/* One step with the rule, from the top frame; returns why the walk ends there, or STACK_ENDS. */
static uint32_t step_top(uint64_t sp, uint64_t bp)
{
	struct walk_context context = {.walk = &walk, .frames = frames};

	memset(&walk, 0xa5, sizeof(walk));
	walk_take_registers(&walk, &world.registers);
	walk_start(&walk, PC_OWN(OWN_RULE), sp, bp, 0);
	return walk_step(0, &context) ? walk.end : STACK_ENDS;
}

/* The same where the rule's frame is a caller. */
static uint32_t step_caller(uint64_t sp, uint64_t bp)
{
	struct walk_context context = {.walk = &walk, .frames = frames};

	world.stack[(sp - STACK_BASE) / 8 - 1] = PC_OWN(OWN_RULE);
	memset(&walk, 0xa5, sizeof(walk));
	walk_take_registers(&walk, &world.registers);
	walk_start(&walk, PC_OWN(OWN_LEAF), sp - 8, bp, 0);
	assert_int_equal(walk_step(0, &context), 0);
	assert_int_equal(walk.sp, sp);
	return walk_step(1, &context) ? walk.end : STACK_ENDS;
}

static void assert_registers(uint64_t pc, uint64_t sp, uint64_t bp)
{
	assert_int_equal(walk.pc, pc);
	assert_int_equal(walk.sp, sp);
	assert_int_equal(walk.bp, bp);
}

/* ---- the CFA ---- */

static void test_base_register(void **state)
{
	for (uint8_t base = 0; base < UNWIND_REGISTERS; base++) {
		table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL, .base = base, .cfa_offset = 24});
		/* Each register has a place of its own on the stack. */
		for (unsigned i = 0; i < UNWIND_REGISTERS; i++) {
			*register_of(i) = AT(100 + 10 * i);
			world.stack[100 + 10 * i + 2] = PC_OWN(OWN_ROOT) + i;
		}
		assert_int_equal(step_top(base == RSP ? AT(170) : AT(10), AT(160)), STACK_ENDS);
		assert_registers(PC_OWN(OWN_ROOT) + base, AT(103 + 10 * base), AT(160));
		/* A caller's are not known. */
		if (base == RBP || base == RSP)
			assert_int_equal(step_caller(base == RSP ? AT(170) : AT(10), AT(160)), STACK_ENDS);
		else
			assert_int_equal(step_caller(AT(10), AT(160)), STACK_BAD_CFA);
	}
}

static void test_offsets_have_signs(void **state)
{
	table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL, .base = RAX, .cfa_offset = -800});
	world.registers.rax = AT(200);
	world.stack[99] = PC_OWN(OWN_ROOT);
	assert_int_equal(step_top(AT(10), 0), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(100), 0);
	table_of_rule((struct unwind_rule){
		.cfa = UNWIND_FULL, .base = RAX, .flags = UNWIND_DEREF, .cfa_offset = -8, .extra = -16});
	world.stack[199] = AT(52);
	world.stack[49] = PC_OWN(OWN_ROOT);
	assert_int_equal(step_top(AT(10), 0), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(50), 0);
}

static void test_deref_of_what_is_unreadable(void **state)
{
	table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL, .base = RAX, .flags = UNWIND_DEREF});
	world.registers.rax = 0x1000;
	assert_int_equal(step_top(AT(10), 0), STACK_UNREADABLE);
	world.registers.rax = STACK_END - 4;
	assert_int_equal(step_top(AT(10), 0), STACK_UNREADABLE);
}

/* CFA = *(base + offset + 8 * index) + extra: what the runtime linker's and OpenSSL's code needs. */
static void test_index(void **state)
{
	for (uint8_t index = 0; index < UNWIND_REGISTERS; index++) {
		if (index == RSP || index == RBP)
			continue;
		table_of_rule((struct unwind_rule){
			.cfa = UNWIND_FULL,
			.base = RSP,
			.flags = (uint8_t)(UNWIND_DEREF | UNWIND_INDEXED | index << UNWIND_INDEX_SHIFT),
			.cfa_offset = 40,
			.extra = 8});
		memset(&world.registers, 0x7f, sizeof(world.registers));
		*register_of(index) = 3;
		world.stack[10 + 5 + 3] = AT(60);
		world.stack[60] = PC_OWN(OWN_ROOT);
		assert_int_equal(step_top(AT(10), 0), STACK_ENDS);
		assert_registers(PC_OWN(OWN_ROOT), AT(61), 0);
		assert_int_equal(step_caller(AT(10), 0), STACK_BAD_CFA);
		/* An index that wraps around, and one that leads out of the stack. */
		*register_of(index) = 1ull << 61;
		world.stack[15] = 0;
		assert_int_equal(step_top(AT(10), 0), STACK_BAD_CFA);
		*register_of(index) = 1ull << 40;
		assert_int_equal(step_top(AT(10), 0), STACK_UNREADABLE);
	}
	/* Without DEREF it has nothing to index, but must be known all the same. */
	table_of_rule((struct unwind_rule){
		.cfa = UNWIND_FULL, .base = RSP, .flags = UNWIND_INDEXED, .cfa_offset = 8});
	assert_int_equal(step_caller(AT(10), 0), STACK_BAD_CFA);
}

/* Before the first read there is no window, wherever the registers point to: what the last walk left in it is
 * no stack. */
static void test_nothing_is_read_from_before(void **state)
{
	table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL, .base = RAX});
	for (uint64_t cfa = 1; cfa < WALK_WINDOW_BYTES; cfa++) {
		world.registers.rax = cfa;
		assert_int_equal(step_top(0, 0), STACK_UNREADABLE);
	}
	/* plain rules, whose place for rbp wraps around */
	for (int offset = -16; offset > -WALK_WINDOW_BYTES / 2; offset--) {
		table_of_rule((struct unwind_rule){
			.cfa = UNWIND_CFA_RBP, .rbp = UNWIND_RBP_AT_CFA, .rbp_offset = offset});
		assert_int_equal(step_top(0, (uint64_t)-offset - 1), STACK_UNREADABLE);
	}
}

static void test_cfa_must_grow(void **state)
{
	table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL, .base = RAX});
	world.registers.rax = AT(9);
	assert_int_equal(step_top(AT(10), 0), STACK_BAD_CFA);
	world.registers.rax = AT(10);
	assert_int_equal(step_top(AT(10), 0), STACK_BAD_CFA);
	/* what was read counts, not where it was read */
	table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL, .base = RAX, .flags = UNWIND_DEREF});
	world.registers.rax = AT(50);
	world.stack[50] = AT(10);
	assert_int_equal(step_top(AT(10), 0), STACK_BAD_CFA);
	world.stack[50] = AT(12);
	world.stack[11] = PC_OWN(OWN_ROOT);
	assert_int_equal(step_top(AT(10), 0), STACK_ENDS);
}

/* ---- the return address, rsp and rbp ---- */

/* vfork() has taken its return address off the stack, and keeps it in a register. */
static void test_vfork(void **state)
{
	const struct unwind_rule rule = {
		.cfa = UNWIND_FULL, .base = RSP, .ra = UNWIND_RA_IN_REGISTER, .extra = RDI};

	table_of_rule(rule);
	world.registers.rdi = PC_OWN(OWN_ROOT);
	walk_all(PC_OWN(OWN_RULE), AT(10), 7);
	assert_walk(STACK_COMPLETE, 2);
	assert_registers(PC_OWN(OWN_ROOT), AT(10), 7);
	assert_frame(1, PC_OWN(OWN_ROOT));
	assert_int_equal(world.reads, 0);
	/* not below it */
	table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL,
					   .base = RSP,
					   .cfa_offset = -8,
					   .ra = UNWIND_RA_IN_REGISTER,
					   .extra = RDI});
	assert_int_equal(step_top(AT(10), 7), STACK_BAD_CFA);
	/* and not in a frame that can not know the register */
	table_of_rule(rule);
	assert_int_equal(step_caller(AT(10), 7), STACK_BAD_RETURN);
}

static void test_return_address_at_an_offset(void **state)
{
	for (int word = -20; word <= 20; word++) {
		table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL,
						   .base = RSP,
						   .cfa_offset = 160,
						   .ra = UNWIND_RA_AT_OFFSET,
						   .extra = (int16_t)(8 * word)});
		memset(world.stack, 0, sizeof(world.stack));
		world.stack[100 + 20 + word] = PC_OWN(OWN_ROOT);
		assert_int_equal(step_top(AT(100), 0), STACK_ENDS);
		assert_registers(PC_OWN(OWN_ROOT), AT(120), 0);
	}
	assert_int_equal(step_top(STACK_END - 168, 0), STACK_UNREADABLE);
}

/* longjmp(): all that it goes back to is in registers. */
static void test_rsp_in_a_register(void **state)
{
	const struct unwind_rule rule = {.cfa = UNWIND_FULL,
					 .rbp = UNWIND_RBP_IN_REGISTER,
					 .rbp_offset = 9,
					 .base = RDI,
					 .ra = UNWIND_RA_IN_REGISTER,
					 .extra = RDX,
					 .sp = 1 + 8};

	table_of_rule(rule);
	world.registers.rdi = 0x5000; /* the jmp_buf: no place of the stack */
	world.registers.rdx = PC_OWN(OWN_ROOT);
	world.registers.r8 = AT(5); /* below: another coroutine's */
	world.registers.r9 = 99;
	assert_int_equal(step_top(AT(10), 7), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(5), 99);
	assert_int_equal(step_caller(AT(10), 7), STACK_BAD_CFA);
	/* A base that is known, an rsp that is not. */
	table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL, .base = RSP, .cfa_offset = 16, .sp = 1 + 8});
	assert_int_equal(step_caller(AT(10), 7), STACK_BAD_CFA);
}

static void test_rbp(void **state)
{
	struct unwind_rule rule = {.cfa = UNWIND_FULL, .base = RSP, .cfa_offset = 16, .rbp_offset = -16};

	world.stack[11] = PC_OWN(OWN_ROOT);
	world.stack[10] = 1234;
	world.stack[58] = 5678;
	rule.rbp = UNWIND_RBP_SAME;
	table_of_rule(rule);
	assert_int_equal(step_top(AT(10), AT(60)), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(12), AT(60));
	rule.rbp = UNWIND_RBP_AT_CFA;
	table_of_rule(rule);
	assert_int_equal(step_top(AT(10), AT(60)), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(12), 1234);
	/* realigned stacks save it where the callee's rbp points to */
	rule.rbp = UNWIND_RBP_AT_RBP;
	table_of_rule(rule);
	assert_int_equal(step_top(AT(10), AT(60)), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(12), 5678);
	assert_int_equal(step_top(AT(10), 0x1000), STACK_UNREADABLE);
	rule.rbp = UNWIND_RBP_UNDEFINED;
	table_of_rule(rule);
	assert_int_equal(step_top(AT(10), AT(60)), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(12), 0);
	rule.rbp = UNWIND_RBP_IN_REGISTER;
	rule.rbp_offset = 12;
	table_of_rule(rule);
	world.registers.r12 = 4321;
	assert_int_equal(step_top(AT(10), AT(60)), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(12), 4321);
	/* not known is no reason to stop before it is needed */
	assert_int_equal(step_caller(AT(10), AT(60)), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(12), 0);
	rule.rbp = UNWIND_RBP_AT_CFA;
	rule.rbp_offset = 8 * STACK_WORDS;
	table_of_rule(rule);
	assert_int_equal(step_top(AT(10), AT(60)), STACK_UNREADABLE);
}

/* gcc's realigned frames: CFA = *(rbp - 8), rbp saved at rbp. */
static void test_realigned_caller(void **state)
{
	table_of_rule((struct unwind_rule){.cfa = UNWIND_FULL,
					   .rbp = UNWIND_RBP_AT_RBP,
					   .base = RBP,
					   .flags = UNWIND_DEREF,
					   .cfa_offset = -8});
	world.stack[39] = AT(52);
	world.stack[40] = AT(70);
	world.stack[51] = PC_OWN(OWN_ROOT);
	assert_int_equal(step_caller(AT(30), AT(40)), STACK_ENDS);
	assert_registers(PC_OWN(OWN_ROOT), AT(52), AT(70));
}

/* ---- every combination, against a second reading of bpf/table.h ---- */

/* Nonzero: the register is known; they all are in a top frame. */
static uint64_t model_register(unsigned number, uint64_t sp, uint64_t bp)
{
	return number == RSP ? sp : number == RBP ? bp : *register_of(number);
}

static uint64_t word_at(uint64_t address)
{
	return world.stack[(address - STACK_BASE) / 8];
}

static void check_combination(const struct unwind_rule *rule, uint64_t sp, uint64_t bp)
{
	uint64_t cfa = model_register(rule->base, sp, bp) + (uint64_t)(int64_t)rule->cfa_offset, pc, new_bp;

	if (rule->flags & UNWIND_DEREF) {
		if (rule->flags & UNWIND_INDEXED)
			cfa += 8 * model_register(rule->flags >> UNWIND_INDEX_SHIFT, sp, bp);
		cfa = word_at(cfa) + (uint64_t)(int64_t)rule->extra;
	}
	if (rule->ra == UNWIND_RA_IN_REGISTER)
		pc = model_register((unsigned)rule->extra, sp, bp);
	else
		pc = word_at(cfa + (uint64_t)(int64_t)(rule->ra == UNWIND_RA_AT_OFFSET ? rule->extra : -8));
	if (rule->rbp == UNWIND_RBP_SAME)
		new_bp = bp;
	else if (rule->rbp == UNWIND_RBP_UNDEFINED)
		new_bp = 0;
	else if (rule->rbp == UNWIND_RBP_IN_REGISTER)
		new_bp = model_register((unsigned)rule->rbp_offset, sp, bp);
	else
		new_bp = word_at((rule->rbp == UNWIND_RBP_AT_RBP   ? bp
				  : rule->rbp == UNWIND_RBP_AT_RSP ? sp
								   : cfa) +
				 (uint64_t)rule->rbp_offset);
	table_of_rule(*rule);
	assert_int_equal(step_top(sp, bp), STACK_ENDS);
	assert_registers(pc, rule->sp ? model_register(rule->sp - 1u, sp, bp) : cfa, new_bp);
}

static void test_all_combinations(void **state)
{
	static const uint8_t flags[] = {0, UNWIND_DEREF, UNWIND_INDEXED | RCX << UNWIND_INDEX_SHIFT,
					UNWIND_DEREF | UNWIND_INDEXED | RCX << UNWIND_INDEX_SHIFT};
	static const uint8_t bases[] = {RAX, RBP, RSP, 15}, sps[] = {0, 1 + RDX, 1 + RBP};
	unsigned count = 0;

	/* A word of the stack points 2,000 words up, and differs from every other. */
	for (unsigned i = 0; i < STACK_WORDS; i++)
		world.stack[i] = AT(i + 2000);
	for (unsigned i = 0; i < UNWIND_REGISTERS; i++)
		*register_of(i) = AT(100 + 10 * i);
	world.registers.rcx = 13; /* the index */
	for (unsigned mix = 0; mix < 4 * 4 * 3 * UNWIND_RA_KINDS * UNWIND_RBP_KINDS; mix++) {
		struct unwind_rule rule = {.cfa = UNWIND_FULL, .cfa_offset = 80, .extra = 8};

		rule.base = bases[mix % 4];
		rule.flags = flags[mix / 4 % 4];
		rule.sp = sps[mix / 16 % 3];
		rule.ra = (uint8_t)(mix / 48 % UNWIND_RA_KINDS);
		rule.rbp = (uint8_t)(mix / 48 / UNWIND_RA_KINDS);
		rule.rbp_offset = rule.rbp == UNWIND_RBP_IN_REGISTER ? 14 : 24;
		check_combination(&rule, AT(20), AT(40));
		count++;
	}
	assert_int_equal(count, 4 * 4 * 3 * UNWIND_RA_KINDS * UNWIND_RBP_KINDS);
}

/* ---- signals ---- */

static void test_signal_in_the_middle(void **state)
{
	/* leaf ← handler (rsp+24) ← restorer; interrupted: rsp+32 with a saved rbp ← root */
	world.stack[0] = PC_RSP_24 + 0x20;
	world.stack[3] = PC_SIGNAL;
	stack_put_ucontext(4, PC_RSP_SAVED + 0x10, AT(100), 55);
	world.stack[101] = 66;
	world.stack[103] = PC_ROOT + 1;
	walk_all(PC_LEAF + 8, STACK_BASE, 0);
	assert_walk(STACK_COMPLETE, 5);
	assert_frame(1, PC_RSP_24 + 0x20);
	assert_frame(2, PC_SIGNAL);
	/* offset - 1 is where the name is looked up: inside of what was interrupted, not before */
	assert_frame(3, PC_RSP_SAVED + 0x10 + 1);
	assert_frame(4, PC_ROOT + 1);
	assert_int_equal(walk.bp, 66);
}

static void test_signal_at_a_first_instruction(void **state)
{
	/* The byte before belongs to the gap: a walk that took the pc for a return address would end. */
	world.stack[0] = PC_SIGNAL;
	stack_put_ucontext(1, CODE + 0x600 - 0x100, AT(100), 55);
	walk_all(PC_LEAF, STACK_BASE, 0);
	assert_walk(STACK_NO_RULE, 3);
	assert_frame(2, PC_GAP + 1);
	stack_put_ucontext(1, PC_RSP_24, AT(100), 55);
	world.stack[102] = PC_ROOT + 1;
	walk_all(PC_LEAF, STACK_BASE, 0);
	assert_walk(STACK_COMPLETE, 4);
	assert_frame(2, PC_RSP_24 + 1);
	/* the first byte of a mapping: nothing lies before */
	stack_put_ucontext(1, PC_LEAF, AT(100), 55);
	world.stack[100] = PC_ROOT + 1;
	walk_all(PC_LEAF, STACK_BASE, 0);
	assert_walk(STACK_COMPLETE, 4);
	assert_frame(2, PC_LEAF + 1);
}

static void test_sample_in_the_restorer(void **state)
{
	stack_put_ucontext(0, PC_ROOT, AT(100), 55);
	walk_all(PC_SIGNAL, STACK_BASE, 0);
	assert_walk(STACK_COMPLETE, 2);
	assert_frame(0, PC_SIGNAL);
	assert_frame(1, PC_ROOT + 1);
}

/* The registers are those of the ucontext, not those of the sample. */
static void test_signal_registers(void **state)
{
	for (uint8_t number = 0; number < UNWIND_REGISTERS; number++) {
		const struct unwind_rule own[] = {
			{.cfa = UNWIND_GAP},
			{.cfa = UNWIND_SIGNAL, .cfa_offset = GREGS_AT},
			{.cfa = UNWIND_FULL,
			 .rbp = UNWIND_RBP_IN_REGISTER,
			 .rbp_offset = number,
			 .base = RSP,
			 .cfa_offset = 8},
			{.cfa = UNWIND_ROOT},
		};
		uint64_t want = number == RSP	? AT(100)
				: number == RBP ? 77
				: number < 8	? 100u + number
						: number;

		memset(&world.registers, 0x33, sizeof(world.registers));
		table_of_rules(own, 4);
		stack_put_ucontext(0, PC_OWN(2), AT(100), 77);
		world.stack[100] = PC_OWN(3);
		walk_all(PC_OWN(1), STACK_BASE, 0);
		assert_walk(STACK_COMPLETE, 3);
		assert_int_equal(walk.bp, want);
	}
}

/* One step further they are not known any more. */
static void test_registers_after_the_interrupted_frame(void **state)
{
	const struct unwind_rule own[] = {
		{.cfa = UNWIND_GAP},
		{.cfa = UNWIND_SIGNAL, .cfa_offset = GREGS_AT},
		{.cfa = UNWIND_CFA_RSP, .cfa_offset = 8},
		{.cfa = UNWIND_FULL, .base = RBX, .cfa_offset = 8},
	};

	table_of_rules(own, 4);
	stack_put_ucontext(0, PC_OWN(2), AT(100), 77);
	world.stack[100] = PC_OWN(3);
	walk_all(PC_OWN(1), STACK_BASE, 0);
	assert_walk(STACK_BAD_CFA, 3);
}

static void test_alternate_stacks(void **state)
{
	/* below and above what was interrupted, and another signal on the way */
	world.stack[2000] = PC_SIGNAL;
	stack_put_ucontext(2001, PC_LEAF + 8, AT(100), 55);
	world.stack[100] = PC_SIGNAL;
	stack_put_ucontext(101, PC_LEAF + 16, AT(3000), 66);
	world.stack[3000] = PC_ROOT + 1;
	walk_all(PC_LEAF, AT(2000), 0);
	assert_walk(STACK_COMPLETE, 6);
	assert_frame(2, PC_LEAF + 8 + 1);
	assert_frame(4, PC_LEAF + 16 + 1);
	assert_frame(5, PC_ROOT + 1);
	assert_int_equal(walk.sp, AT(3001));
	assert_int_equal(walk.bp, 66);
}

/* The alternate stack ends before a window does; the other one is read by windows again. */
static void test_window_after_an_alternate_stack(void **state)
{
	unsigned alternate = STACK_WORDS - UCONTEXT_WORDS - 2;

	world.stack[alternate] = PC_LEAF + 1;
	world.stack[alternate + 1] = PC_SIGNAL;
	stack_put_ucontext(alternate + 2, PC_LEAF + 8, AT(100), 55);
	for (unsigned i = 0; i < WINDOW_WORDS; i++)
		world.stack[100 + i] = PC_LEAF + 1;
	world.stack[100 + WINDOW_WORDS] = 0;
	walk_all(PC_LEAF, AT(alternate), 0);
	assert_walk(STACK_COMPLETE, 3 + 1 + WINDOW_WORDS);
	/* a window in vain and two words, the ucontext, two windows */
	assert_int_equal(world.reads, 3 + 1 + 2);
}

static void test_unreadable_ucontext(void **state)
{
	unsigned at = STACK_WORDS - UCONTEXT_WORDS;

	world.stack[at] = PC_SIGNAL; /* a word too high */
	walk_all(PC_LEAF, AT(at), 0);
	assert_walk(STACK_UNREADABLE, 2);
	world.stack[at - 1] = PC_SIGNAL;
	stack_put_ucontext(at, PC_ROOT, AT(100), 55);
	walk_all(PC_LEAF, AT(at - 1), 0);
	assert_walk(STACK_COMPLETE, 3);
}

static void test_signal_without_a_place(void **state)
{
	world.stack[0] = PC_SIGNAL;
	stack_put_ucontext(1, 0, AT(100), 55);
	walk_all(PC_LEAF, STACK_BASE, 0);
	assert_walk(STACK_COMPLETE, 2);
	/* a jump into nowhere was interrupted: the unknown pc is that itself */
	stack_put_ucontext(1, 0x1234, AT(100), 55);
	walk_all(PC_LEAF, STACK_BASE, 0);
	assert_walk(STACK_BAD_RETURN, 2);
	assert_int_equal(walk.unknown_pc, 0x1234);
}

static void test_endless_signals(void **state)
{
	stack_put_ucontext(0, PC_SIGNAL, STACK_BASE, 55);
	walk_all(PC_SIGNAL, STACK_BASE, 0);
	assert_walk(STACK_TRUNCATED, STACK_USER_MAX);
	assert_frame(0, PC_SIGNAL);
	assert_frame(STACK_USER_MAX - 1, PC_SIGNAL + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		walker_test(test_base_register),
		walker_test(test_offsets_have_signs),
		walker_test(test_deref_of_what_is_unreadable),
		walker_test(test_index),
		walker_test(test_nothing_is_read_from_before),
		walker_test(test_cfa_must_grow),
		walker_test(test_vfork),
		walker_test(test_return_address_at_an_offset),
		walker_test(test_rsp_in_a_register),
		walker_test(test_rbp),
		walker_test(test_realigned_caller),
		walker_test(test_all_combinations),
		walker_test(test_signal_in_the_middle),
		walker_test(test_signal_at_a_first_instruction),
		walker_test(test_sample_in_the_restorer),
		walker_test(test_signal_registers),
		walker_test(test_registers_after_the_interrupted_frame),
		walker_test(test_alternate_stacks),
		walker_test(test_window_after_an_alternate_stack),
		walker_test(test_unreadable_ucontext),
		walker_test(test_signal_without_a_place),
		walker_test(test_endless_signals),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
