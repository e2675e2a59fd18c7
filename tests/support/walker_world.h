/* The world that the walker sees in its unit tests: hand-made mappings, one table, one stack, code bytes.
 *
 * Included once by a test program, after cmocka.h: it defines the walker's accessors, includes the walker as
 * plain C, and has helpers that make tables and stacks. Every test starts with world_setup().
 */
#ifndef KILN_TESTS_WALKER_WORLD_H
#define KILN_TESTS_WALKER_WORLD_H

#include "bpf/tables.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/user.h>

#define helper static __attribute__((unused))

#define STACK_BASE  0x7ffc00000000ull
#define STACK_WORDS 4096
#define STACK_END   (STACK_BASE + 8 * STACK_WORDS)
#define AT(word)    (STACK_BASE + 8ull * (word))
#define CODE	    0x400000ull
#define CODE_BYTES  0x2000
/* Executable memory without a file: world_add_jit() maps it. */
#define JIT    0x10000000ull
#define MODULE MODULE_FIRST_FILE

static struct {
	union {
		struct mapping_header header;
		struct mapping elements[64]; /* the first is the header */
	};
	uint32_t *table; /* of MODULE; NULL: none */
	uint64_t stack[STACK_WORDS];
	uint8_t code[CODE_BYTES], jit[CODE_BYTES];
	struct user_regs_struct registers;
	uint64_t exec_count;
	unsigned reads;
	unsigned missing; /* walks that wanted a table, and the last module that had none */
	uint32_t missing_module;
	uint64_t remap_count, remapped;
	unsigned asked;
	struct mapping vma; /* what the kernel knows and the list does not */
	uint64_t site;
	struct {
		uint64_t slot, pc;
	} returns[2];
} world;

/* ---- the walker's accessors ---- */

static void *walk_get_mappings(void)
{
	return world.elements;
}

static const void *walk_get_mapping(void *array, uint32_t index)
{
	return index <= world.header.count ? (struct mapping *)array + index : NULL;
}

static void *walk_get_table(uint32_t module)
{
	return module == MODULE ? world.table : NULL;
}

static const uint32_t *walk_get_chunk(void *table, uint32_t chunk)
{
	const struct table_header *header = table;

	if (chunk >= header->words / TABLE_CHUNK_WORDS)
		return NULL;
	return (uint32_t *)table + (size_t)chunk * TABLE_CHUNK_WORDS;
}

static void walk_count_missing(uint32_t module)
{
	world.missing++;
	world.missing_module = module;
}

static uint64_t walk_get_exec_count(void)
{
	return world.exec_count;
}

/* Memory was mapped in the place of the mappings that begin at remapped. */
static uint64_t walk_get_remap_count(void)
{
	return world.remap_count;
}

static int walk_is_remapped(const struct mapping_header *header, const struct mapping *mapping)
{
	return header->remap_count != world.remap_count && mapping->start == world.remapped;
}
#define walk_get_remap_count walk_get_remap_count

static int walk_ask_kernel(uint64_t pc, struct mapping *ret)
{
	world.asked++;
	*ret = (struct mapping){0};
	if (pc < world.vma.start || pc >= world.vma.end)
		return 0;
	*ret = world.vma;
	return 1;
}
#define walk_ask_kernel walk_ask_kernel

/* As the kernel's helper: what cannot be read is zeros. */
static long world_read(void *ret, uint32_t bytes, uint64_t address, const void *memory, uint64_t start,
		       uint64_t size)
{
	if (address < start || address - start > size || size - (address - start) < bytes) {
		memset(ret, 0, bytes);
		return -14;
	}
	memcpy(ret, (const uint8_t *)memory + (address - start), bytes);
	return 0;
}

static long walk_read_stack(__u64 *ret, uint32_t bytes, uint64_t address)
{
	world.reads++;
	return world_read(ret, bytes, address, world.stack, STACK_BASE, sizeof(world.stack));
}

static long walk_read_code(void *ret, uint32_t bytes, uint64_t address)
{
	if (address >= JIT)
		return world_read(ret, bytes, address, world.jit, JIT, sizeof(world.jit));
	return world_read(ret, bytes, address, world.code, CODE, sizeof(world.code));
}

static int walk_is_site(uint64_t frame)
{
	return frame == world.site;
}

/* The thread's pending returns. */
static uint64_t walk_find_return(uint64_t low, uint64_t high, __u64 *ret_slot)
{
	for (unsigned i = 0; i < 2; i++) {
		if (world.returns[i].slot >= low && world.returns[i].slot < high) {
			*ret_slot = world.returns[i].slot;
			return world.returns[i].pc;
		}
	}
	return 0;
}

#include "bpf/unwind.bpf.h"

/* What a walk without a memo reads at once. */
#define WINDOW_WORDS (WALK_WINDOW_BYTES / 8)

static struct walk walk;
static __u64 frames[WALK_FRAMES_MAX];

helper void walk_all(uint64_t pc, uint64_t sp, uint64_t bp)
{
	struct walk_context context = {.walk = &walk, .frames = frames};

	memset(&walk, 0xa5, sizeof(walk)); /* scratch memory: what the last walk left */
	walk_take_registers(&walk, &world.registers);
	walk_start(&walk, pc, sp, bp, 0);
	for (uint32_t i = 0; i < STACK_USER_MAX; i++)
		if (walk_step(i, &context))
			break;
}

/* ---- making tables ---- */

enum {
	RULE_GAP,
	RULE_ROOT,
	RULE_UNSUPPORTED,
	RULE_LEAF,	/* CFA = rsp + 8 */
	RULE_RSP_24,	/* CFA = rsp + 24 */
	RULE_RBP,	/* CFA = rbp + 16, rbp at CFA - 16 */
	RULE_RSP_SAVED, /* CFA = rsp + 32, rbp at CFA - 24 */
	RULE_LOST,	/* CFA = rsp + 8, rbp undefined */
	RULE_DOWN,	/* CFA = rsp - 8 */
	RULE_STAY,	/* CFA = rsp */
	RULE_SIGNAL,	/* the restorer's, at its first instruction */
	RULES,
};

static const struct unwind_rule rules[RULES] = {
	[RULE_GAP] = {.cfa = UNWIND_GAP},
	[RULE_ROOT] = {.cfa = UNWIND_ROOT},
	[RULE_UNSUPPORTED] = {.cfa = UNWIND_UNSUPPORTED},
	[RULE_LEAF] = {.cfa = UNWIND_CFA_RSP, .cfa_offset = 8},
	[RULE_RSP_24] = {.cfa = UNWIND_CFA_RSP, .cfa_offset = 24},
	[RULE_RBP] = {.cfa = UNWIND_CFA_RBP, .rbp = UNWIND_RBP_AT_CFA, .cfa_offset = 16, .rbp_offset = -16},
	[RULE_RSP_SAVED] = {.cfa = UNWIND_CFA_RSP,
			    .rbp = UNWIND_RBP_AT_CFA,
			    .cfa_offset = 32,
			    .rbp_offset = -24},
	[RULE_LOST] = {.cfa = UNWIND_CFA_RSP, .rbp = UNWIND_RBP_UNDEFINED, .cfa_offset = 8},
	[RULE_DOWN] = {.cfa = UNWIND_CFA_RSP, .cfa_offset = -8},
	[RULE_STAY] = {.cfa = UNWIND_CFA_RSP, .cfa_offset = 0},
	[RULE_SIGNAL] = {.cfa = UNWIND_SIGNAL, .cfa_offset = GREGS_AT},
};

/* Code of the default table: each constant is the start of the code with that rule. */
enum {
	PC_LEAF = CODE,
	PC_RSP_24 = CODE + 0x100,
	PC_RBP = CODE + 0x200,
	PC_RSP_SAVED = CODE + 0x300,
	PC_ROOT = CODE + 0x400,
	PC_GAP = CODE + 0x500,
	PC_SIGNAL = CODE + 0xa00,
};

#define FIRST_PAGE 2
#define CHUNKS	   3

/* A table of pages, filled page by page with rows; rules_at lies at the end of the last chunk. */
static uint32_t row_at;
static uint32_t page_at;

static void table_begin_with(const struct unwind_rule *own_rules, uint32_t rule_count, uint32_t pages,
			     uint32_t pages_at, uint32_t rows_at)
{
	struct table_header *header;

	free(world.table);
	world.table = calloc(CHUNKS * TABLE_CHUNK_WORDS, sizeof(uint32_t));
	assert_non_null(world.table);
	header = (void *)world.table;
	header->magic = TABLE_MAGIC;
	header->words = CHUNKS * TABLE_CHUNK_WORDS;
	header->first_page = FIRST_PAGE;
	header->page_count = pages;
	header->pages_at = pages_at;
	header->rules_at = header->words - rule_count * 4;
	header->rule_count = rule_count;
	memcpy(&world.table[header->rules_at], own_rules, rule_count * sizeof(*own_rules));
	row_at = rows_at;
	page_at = pages_at;
}

helper void table_begin(uint32_t pages, uint32_t pages_at, uint32_t rows_at)
{
	table_begin_with(rules, RULES, pages, pages_at, rows_at);
}

helper void table_page(void)
{
	world.table[page_at++] = row_at;
}

helper void table_row(uint32_t offset, uint32_t rule)
{
	world.table[row_at++] = TABLE_ROW(offset, rule);
}

helper void table_end(void)
{
	struct error *error;

	world.table[page_at] = row_at;
	/* What the walker is fed here, the probe would publish. */
	error = table_check(world.table, CHUNKS * TABLE_CHUNK_BYTES);
	if (error)
		fail_msg("%s", error_get_message(error));
}

/* Rows of code that goes over several pages; the first one is at offset 0. */
struct code_row {
	uint32_t offset, rule;
};

helper void table_fill(const struct code_row *rows, uint32_t count, uint32_t pages)
{
	uint32_t at = 0;

	for (uint32_t page = 0; page < pages; page++) {
		uint32_t begin = page << TABLE_PAGE_SHIFT, end = begin + (1 << TABLE_PAGE_SHIFT);

		table_page();
		if (at == count || rows[at].offset != begin)
			table_row(0, rows[at - 1].rule);
		for (; at < count && rows[at].offset < end; at++)
			table_row(rows[at].offset - begin, rows[at].rule);
	}
}

/* Row i has rule i: rule 0 is the gap. */
#define OWN_RULE_BYTES 0x80
#define PC_OWN(rule)   (CODE + (rule)*OWN_RULE_BYTES + 0x10)

helper void table_of_rules(const struct unwind_rule *own_rules, uint32_t count)
{
	uint32_t pages = (count * OWN_RULE_BYTES >> TABLE_PAGE_SHIFT) + 1;
	struct code_row rows[64];

	assert_true(count <= sizeof(rows) / sizeof(*rows));
	for (uint32_t i = 0; i < count; i++)
		rows[i] = (struct code_row){i * OWN_RULE_BYTES, i};
	table_begin_with(own_rules, count, pages, 8, 64);
	table_fill(rows, count, pages);
	table_end();
}

/* ---- making mappings, stacks and code ---- */

static void mapping_add(uint64_t start, uint64_t end, uint64_t offset, uint32_t module, uint32_t flags)
{
	world.elements[++world.header.count] = (struct mapping){start, end, offset, module, flags};
}

/* Code of MODULE at CODE, whose file offset is that of FIRST_PAGE. */
#define OFFSET(pc) ((pc)-CODE + ((uint64_t)FIRST_PAGE << TABLE_PAGE_SHIFT))

static int world_setup(void **state)
{
	/* As the PC_… say; a signal's restorer has its rule from a byte before on, as in C libraries. */
	static const struct code_row rows[] = {
		{0x000, RULE_LEAF},  {0x100, RULE_RSP_24}, {0x200, RULE_RBP},	      {0x300, RULE_RSP_SAVED},
		{0x400, RULE_ROOT},  {0x500, RULE_GAP},	   {0x600, RULE_UNSUPPORTED}, {0x700, RULE_DOWN},
		{0x800, RULE_STAY},  {0x900, RULE_LOST},   {0x9ff, RULE_SIGNAL},      {0xb00, RULE_LOST},
		{0x1000, RULE_LEAF},
	};

	free(world.table);
	memset(&world, 0, sizeof(world));
	table_begin(CODE_BYTES >> TABLE_PAGE_SHIFT, 8, 64);
	table_fill(rows, sizeof(rows) / sizeof(*rows), CODE_BYTES >> TABLE_PAGE_SHIFT);
	table_end();
	mapping_add(CODE, CODE + CODE_BYTES, OFFSET(CODE), MODULE, 0);
	return 0;
}

helper int world_teardown(void **state)
{
	free(world.table);
	world.table = NULL;
	return 0;
}

helper void world_add_jit(void)
{
	mapping_add(JIT, JIT + CODE_BYTES, JIT, MODULE_ANONYMOUS, 0);
}

/* Writes bytes into code; a call is what a return address must stand behind. */
helper void code_put(uint64_t address, const void *bytes, size_t count)
{
	uint8_t *memory = address >= JIT ? &world.jit[address - JIT] : &world.code[address - CODE];

	memcpy(memory, bytes, count);
}

/* A call rel32 that ends at the address; returns it. */
helper uint64_t code_call(uint64_t address)
{
	code_put(address - 5, "\xe8\x11\x22\x33\x44", 5);
	return address;
}

/* What the kernel puts for a signal: the words from the restorer's rsp on. r8 to r15 are 8 to 15, the others
 * 100 + their DWARF number. */
helper void stack_put_ucontext(unsigned word, uint64_t pc, uint64_t sp, uint64_t bp)
{
	const uint64_t gregs[GREGS_COUNT] = {8,	  9,  10,  11,	12,  13,  14, 15, 105,
					     104, bp, 103, 101, 100, 102, sp, pc};

	memcpy(&world.stack[word + GREGS_AT / 8], gregs, sizeof(gregs));
}

/* How many words of the stack that takes. */
#define UCONTEXT_WORDS (GREGS_AT / 8 + GREGS_COUNT)

helper void assert_frame(unsigned index, uint64_t pc)
{
	assert_int_equal(frames[index], FRAME(MODULE, OFFSET(pc)));
}

helper void assert_walk(enum stack_end end, unsigned count)
{
	assert_int_equal(walk.end, end);
	assert_int_equal(walk.count, count);
}

#define walker_test(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

#endif
