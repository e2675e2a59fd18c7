/* The walker in a world that is made of the bytes of one input: mappings, tables, stack, code, registers.
 *
 * Included once by a program: walker_garbage_run() makes the world, walks it, and aborts when the walk does
 * what it never may. The tables pass table_check() first, as in the probe: most inputs do, because they are
 * decoded into rules and rows; words that the input then overwrites at will get most of those refused. Every
 * chunk, mapping, walk and array of frames is memory of its own and of exactly its size, so that
 * AddressSanitizer sees a step outside. The walk runs twice on different leftovers in its scratch memory: a
 * difference is a read of what was never written. And it runs with a memo, again, and once more when the
 * input has changed some of the world: each time as without one.
 */
#ifndef KILN_TESTS_FUZZ_WALKER_GARBAGE_H
#define KILN_TESTS_FUZZ_WALKER_GARBAGE_H

#include "bpf/tables.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define GARBAGE_MAPPINGS 8
#define GARBAGE_TABLES	 2
#define GARBAGE_CHUNKS	 3
#define GARBAGE_RULES	 16
#define GARBAGE_WORDS	 4096
#define GARBAGE_CHANGES	 8
#define GARBAGE_STACK	 0x7ffc00000000ull
#define GARBAGE_CODE	 0x400000ull
/* Calls of accessors that one step may need: a few searches among 2^17 mappings and 4,096 rows. */
#define GARBAGE_CALLS_A_STEP 256

#define garbage_assert(condition)                                                                            \
	do {                                                                                                 \
		if (!(condition))                                                                            \
			abort();                                                                             \
	} while (0)

struct garbage_table {
	uint32_t *chunks[GARBAGE_CHUNKS];
	uint32_t count;
};

static struct {
	struct mapping *mappings[1 + GARBAGE_MAPPINGS]; /* the first is the header */
	uint32_t mapping_count;
	struct garbage_table tables[GARBAGE_TABLES];
	uint64_t stack[GARBAGE_WORDS];
	uint32_t stack_words;
	uint8_t code[64]; /* all code, over and over */
	uint64_t registers[UNWIND_REGISTERS];
	uint64_t pc, sp, bp;
	struct {
		uint64_t slot, pc;
	} returns[2];
	uint64_t exec_count;
	bool has_no_mappings;
	uint32_t swap_after; /* accessor calls until the tables change places, or go; 0: never */
	bool is_swap_removal;
	uint32_t calls;
	uint32_t missing;
	/* What is different when the thread is sampled again. */
	struct {
		uint32_t word;
		uint64_t value;
	} changes[GARBAGE_CHANGES];
	uint32_t change_count;
	uint64_t pc_again, sp_again, bp_again;
	uint32_t steps_again; /* nonzero: what is sampled then is the caller so far up */
} garbage;

/* ---- the walker's accessors ---- */

static bool garbage_is_swapped(void)
{
	return garbage.swap_after && garbage.calls > garbage.swap_after;
}

static void *walk_get_mappings(void)
{
	garbage.calls++;
	return garbage.has_no_mappings ? NULL : garbage.mappings;
}

static const void *walk_get_mapping(void *array, uint32_t index)
{
	garbage.calls++;
	return index <= garbage.mapping_count ? garbage.mappings[index] : NULL;
}

static void *walk_get_table(uint32_t module)
{
	uint32_t number = module - MODULE_FIRST_FILE;

	garbage.calls++;
	if (number >= GARBAGE_TABLES || (garbage_is_swapped() && garbage.is_swap_removal))
		return NULL;
	if (garbage_is_swapped())
		number ^= 1;
	return garbage.tables[number].count ? &garbage.tables[number] : NULL;
}

static const uint32_t *walk_get_chunk(void *table, uint32_t chunk)
{
	const struct garbage_table *self = table;

	garbage.calls++;
	return chunk < self->count ? self->chunks[chunk] : NULL;
}

static void walk_count_missing(uint32_t module)
{
	garbage.calls++;
	garbage.missing++;
}

static uint64_t walk_get_exec_count(void)
{
	garbage.calls++;
	return garbage.exec_count;
}

static long walk_read_stack(__u64 *ret, uint32_t bytes, uint64_t address)
{
	uint64_t inside = address - GARBAGE_STACK, size = 8ull * garbage.stack_words;

	garbage.calls++;
	memset(ret, 0, bytes);
	if (inside > size || size - inside < bytes)
		return -14;
	memcpy(ret, (const uint8_t *)garbage.stack + inside, bytes);
	return 0;
}

static long walk_read_code(void *ret, uint32_t bytes, uint64_t address)
{
	garbage.calls++;
	memset(ret, 0, bytes);
	if (address < GARBAGE_CODE || address >> 32)
		return -14;
	for (uint32_t i = 0; i < bytes; i++)
		((uint8_t *)ret)[i] = garbage.code[(address + i) % sizeof(garbage.code)];
	return 0;
}

static int walk_is_site(uint64_t frame)
{
	return frame & 1;
}

static uint64_t walk_find_return(uint64_t low, uint64_t high, __u64 *ret_slot)
{
	garbage.calls++;
	for (unsigned i = 0; i < 2; i++) {
		if (garbage.returns[i].slot >= low && garbage.returns[i].slot < high) {
			*ret_slot = garbage.returns[i].slot;
			return garbage.returns[i].pc;
		}
	}
	return 0;
}

#include "bpf/unwind.bpf.h"

/* ---- decoding ---- */

struct garbage_input {
	const uint8_t *at, *end;
};

/* Behind its end an input is zeros. */
static uint64_t garbage_take(struct garbage_input *input, unsigned bytes)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < bytes && input->at < input->end; i++)
		value |= (uint64_t)*input->at++ << (8 * i);
	return value;
}

static uint64_t garbage_take_code(struct garbage_input *input)
{
	const struct mapping *mapping;
	uint64_t offset = garbage_take(input, 2);

	if (!garbage.mapping_count)
		return GARBAGE_CODE + offset;
	mapping = garbage.mappings[1 + offset % garbage.mapping_count];
	return mapping->start + offset / garbage.mapping_count % (mapping->end - mapping->start + 1);
}

/* A word as it may lie on a stack. word: its own place. */
static uint64_t garbage_take_word(struct garbage_input *input, uint32_t word)
{
	switch (garbage_take(input, 1) % 8) {
	case 0:
		return garbage_take(input, 8);
	case 1:
	case 2:
		return garbage_take_code(input);
	case 3:
		return GARBAGE_STACK + 8 * (garbage_take(input, 2) % GARBAGE_WORDS);
	case 4:
		return GARBAGE_STACK + garbage_take(input, 2);
	case 5:
		return garbage_take(input, 1);
	case 6:
		return GARBAGE_STACK + 8ull * word + 8 * garbage_take(input, 1);
	default:
		return 0 - garbage_take(input, 2);
	}
}

static void garbage_take_mappings(struct garbage_input *input)
{
	static const uint32_t modules[] = {MODULE_FIRST_FILE, MODULE_FIRST_FILE + 1, MODULE_ANONYMOUS,
					   MODULE_ANONYMOUS,  MODULE_VDSO,	     MODULE_UNKNOWN};
	uint64_t address = GARBAGE_CODE;

	garbage.mapping_count = garbage_take(input, 1) % (GARBAGE_MAPPINGS + 1);
	for (uint32_t i = 0; i <= garbage.mapping_count; i++) {
		garbage.mappings[i] = calloc(1, sizeof(struct mapping));
		garbage_assert(garbage.mappings[i]);
	}
	for (uint32_t i = 1; i <= garbage.mapping_count; i++) {
		struct mapping *mapping = garbage.mappings[i];
		uint8_t kind = (uint8_t)garbage_take(input, 1);

		mapping->start = address + 0x400 * (garbage_take(input, 1) % 16);
		mapping->end = mapping->start + 0x400 * (1 + garbage_take(input, 1) % 32);
		mapping->offset = garbage_take(input, 1) << 10;
		mapping->module = modules[kind % 6];
		if (kind % 6 == 3)
			mapping->flags = MAPPING_TRAMPOLINE;
		address = mapping->end;
	}
	((struct mapping_header *)garbage.mappings[0])->count = garbage.mapping_count;
	((struct mapping_header *)garbage.mappings[0])->generation = 1;
}

static int32_t garbage_take_offset(struct garbage_input *input)
{
	uint8_t kind = (uint8_t)garbage_take(input, 1);

	/* mostly as in real frames */
	if (kind < 128)
		return 8 * (kind % 16) - (kind & 64 ? 128 : 0);
	if (kind < 192)
		return 8 * (kind - 160);
	return kind < 240 ? (int16_t)garbage_take(input, 2) : (int32_t)garbage_take(input, 4);
}

static struct unwind_rule garbage_take_rule(struct garbage_input *input)
{
	uint8_t kinds = (uint8_t)garbage_take(input, 1);
	struct unwind_rule rule = {.cfa = kinds % 8 % UNWIND_CFA_KINDS};

	rule.rbp = kinds / 8 % (rule.cfa == UNWIND_FULL ? UNWIND_RBP_KINDS : UNWIND_RBP_UNDEFINED + 1);
	rule.cfa_offset = garbage_take_offset(input);
	rule.rbp_offset = garbage_take_offset(input);
	if (rule.rbp == UNWIND_RBP_IN_REGISTER)
		rule.rbp_offset &= UNWIND_REGISTERS - 1;
	if (rule.cfa != UNWIND_FULL)
		return rule;
	kinds = (uint8_t)garbage_take(input, 1);
	rule.ra = kinds % UNWIND_RA_KINDS;
	rule.sp = kinds & 0x80 ? kinds / 4 % (UNWIND_REGISTERS + 1) : 0;
	rule.base = garbage_take(input, 1) % UNWIND_REGISTERS;
	rule.flags = garbage_take(input, 1) & (0xf0 | UNWIND_DEREF | UNWIND_INDEXED);
	rule.extra = (int16_t)garbage_take_offset(input);
	if (rule.ra == UNWIND_RA_IN_REGISTER)
		rule.extra &= UNWIND_REGISTERS - 1;
	return rule;
}

/* The rows of one page; returns where the next page's begin. */
static uint32_t garbage_take_page(struct garbage_input *input, uint32_t *words, uint32_t at,
				  uint32_t rule_count)
{
	uint32_t rows = 1 + garbage_take(input, 1) % 12, offset = 0;

	for (uint32_t i = 0; i < rows && offset < 1 << TABLE_PAGE_SHIFT; i++) {
		words[at++] = TABLE_ROW(offset, garbage_take(input, 1) % rule_count);
		offset += 1 + 4 * garbage_take(input, 1);
	}
	return at;
}

/* Copies of the last row up to the end of its chunk. */
static uint32_t garbage_pad(uint32_t *words, uint32_t at)
{
	while (at & TABLE_CHUNK_MASK) {
		words[at] = words[at - 1];
		at++;
	}
	return at;
}

static void garbage_fill_table(struct garbage_input *input, uint32_t *words, uint32_t chunks)
{
	struct table_header *header = (void *)words;
	uint32_t layout = (uint32_t)garbage_take(input, 1), at;
	struct unwind_rule rule = {0};

	header->magic = TABLE_MAGIC;
	header->words = chunks * TABLE_CHUNK_WORDS;
	header->first_page = layout / 8 % 8;
	header->page_count = garbage_take(input, 1) % 6;
	header->rule_count = 1 + garbage_take(input, 1) % GARBAGE_RULES;
	/* Behind the header, or so that the index and the rows straddle chunks. */
	header->pages_at = chunks > 1 && (layout & 1) ? TABLE_CHUNK_WORDS - 3 : 8;
	header->rules_at = header->words - 4 * GARBAGE_RULES;
	for (uint32_t i = 0; i < header->rule_count; i++) {
		memcpy(&words[header->rules_at + 4 * i], &rule, sizeof(rule));
		rule = garbage_take_rule(input);
	}
	at = header->pages_at + header->page_count + 1;
	for (uint32_t page = 0; page < header->page_count; page++) {
		words[header->pages_at + page] = at;
		at = garbage_take_page(input, words, at, header->rule_count);
		if (chunks > 2 && page == 0 && (layout & 2))
			at = garbage_pad(words, at);
	}
	words[header->pages_at + header->page_count] = at;
}

/* false: the probe would not have published it. */
static bool garbage_take_table(struct garbage_input *input, struct garbage_table *table)
{
	uint32_t kinds = (uint32_t)garbage_take(input, 1), chunks = kinds % (GARBAGE_CHUNKS + 1);
	uint32_t *words = calloc(chunks ? chunks : 1, TABLE_CHUNK_BYTES);
	struct error *error = NULL;

	garbage_assert(words);
	if (chunks) {
		garbage_fill_table(input, words, chunks);
		for (uint32_t i = 0; kinds >= 240 && i < kinds % 4; i++) {
			uint64_t word = garbage_take(input, 2) % (chunks * TABLE_CHUNK_WORDS);

			words[word] = (uint32_t)garbage_take(input, 4);
		}
		error = table_check(words, chunks * TABLE_CHUNK_BYTES);
	}
	for (uint32_t i = 0; i < chunks && !error; i++) {
		table->chunks[i] = malloc(TABLE_CHUNK_BYTES);
		garbage_assert(table->chunks[i]);
		memcpy(table->chunks[i], words + i * TABLE_CHUNK_WORDS, TABLE_CHUNK_BYTES);
		table->count = i + 1;
	}
	free(words);
	error_destroy(error);
	return !error;
}

static void garbage_put(uint64_t word)
{
	if (garbage.stack_words < GARBAGE_WORDS)
		garbage.stack[garbage.stack_words++] = word;
}

static void garbage_take_stack(struct garbage_input *input)
{
	while (input->at < input->end && garbage.stack_words < GARBAGE_WORDS) {
		uint8_t kind = *input->at;
		uint64_t word, times;

		if (kind < 224) {
			garbage_put(garbage_take_word(input, garbage.stack_words));
			continue;
		}
		input->at++;
		times = garbage_take(input, 1);
		word = garbage_take_code(input);
		/* A chain of frame records, or one word over and over: deep stacks. */
		for (uint64_t i = 0; i < 8 * times; i++) {
			if (kind < 240)
				garbage_put(GARBAGE_STACK + 8ull * garbage.stack_words + 16);
			garbage_put(word);
		}
	}
}

/* A few bytes at will, and pieces of code that the walker looks for. */
static void garbage_take_code_bytes(struct garbage_input *input)
{
	static const struct {
		uint8_t count, bytes[9];
	} pieces[] = {
		{5, {0xe8}},		 /* call */
		{2, {0xff, 0xd0}},	 /* call *%rax */
		{6, {0xff, 0x15}},	 /* call *x(%rip) */
		{1, {0x55}},		 /* push %rbp */
		{3, {0x48, 0x89, 0xe5}}, /* mov %rsp, %rbp */
		{1, {0xc3}},		 /* ret */
		{4, {0xf3, 0x0f, 0x1e, 0xfa}},
		{9, {0x48, 0xc7, 0xc0, 0x0f, 0, 0, 0, 0x0f, 0x05}}, /* a restorer */
	};
	uint64_t count = garbage_take(input, 1) % 16;

	for (unsigned i = 0; i < 8; i++)
		garbage.code[i] = (uint8_t)garbage_take(input, 1);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t kind = garbage_take(input, 1), at = garbage_take(input, 1);

		for (unsigned j = 0; j < pieces[kind % 8].count; j++)
			garbage.code[(at + j) % sizeof(garbage.code)] = pieces[kind % 8].bytes[j];
	}
}

static void garbage_take_changes(struct garbage_input *input)
{
	uint8_t kinds = (uint8_t)garbage_take(input, 1);

	garbage.change_count = kinds % (GARBAGE_CHANGES + 1);
	for (uint32_t i = 0; i < garbage.change_count; i++) {
		/* near the leaf, or anywhere */
		garbage.changes[i].word = (uint32_t)(kinds & 16 ? garbage_take(input, 2)
								: (garbage.sp - GARBAGE_STACK) / 8 +
									  garbage_take(input, 1) % 64) %
					  GARBAGE_WORDS;
		garbage.changes[i].value = garbage_take_word(input, garbage.changes[i].word);
	}
	garbage.pc_again = kinds & 32 ? garbage_take_word(input, 0) : garbage.pc;
	garbage.sp_again = kinds & 64 ? garbage_take_word(input, 0) : garbage.sp;
	garbage.bp_again = kinds & 128 ? garbage_take_word(input, 0) : garbage.bp;
	garbage.steps_again = garbage_take(input, 1) % 8;
}

static bool garbage_take_world(struct garbage_input *input)
{
	uint8_t flags = (uint8_t)garbage_take(input, 1);

	memset(&garbage, 0, sizeof(garbage));
	garbage.exec_count = flags % 32 == 31;
	garbage.has_no_mappings = flags % 32 == 30;
	if (flags & 128)
		garbage.swap_after = 1 + (uint32_t)garbage_take(input, 1);
	garbage.is_swap_removal = flags & 64;
	garbage_take_mappings(input);
	garbage.pc = garbage_take_word(input, 0);
	garbage.sp = garbage_take_word(input, 0);
	garbage.bp = garbage_take_word(input, 0);
	for (unsigned i = 0; i < UNWIND_REGISTERS; i++)
		garbage.registers[i] =
			flags & 32 ? garbage_take_word(input, i) : GARBAGE_STACK + 8 * ((i * flags) % 64);
	for (unsigned i = 0; i < 2; i++) {
		garbage.returns[i].slot = garbage_take_word(input, i);
		garbage.returns[i].pc = garbage_take_code(input);
	}
	garbage_take_changes(input);
	garbage_take_code_bytes(input);
	for (unsigned i = 0; i < GARBAGE_TABLES; i++)
		if (!garbage_take_table(input, &garbage.tables[i]))
			return false;
	garbage_take_stack(input);
	return true;
}

static void garbage_free_world(void)
{
	for (unsigned i = 0; i < GARBAGE_TABLES; i++)
		for (uint32_t j = 0; j < garbage.tables[i].count; j++)
			free(garbage.tables[i].chunks[j]);
	for (uint32_t i = 0; i <= garbage.mapping_count; i++)
		free(garbage.mappings[i]);
}

/* ---- walking ---- */

struct garbage_result {
	struct walk *walk;
	__u64 *frames;
};

static void garbage_free_result(struct garbage_result *result)
{
	free(result->walk);
	free(result->frames);
}

static void garbage_check_bounds(const struct garbage_result *result, uint32_t step, uint8_t leftovers)
{
	const struct walk *walk = result->walk;

	garbage_assert(garbage.calls <= (step + 2) * GARBAGE_CALLS_A_STEP);
	garbage_assert(walk->end < STACK_ENDS && garbage.missing <= 1);
	garbage_assert(walk->count <= STACK_USER_MAX && walk->count <= step + 1);
	garbage_assert(step < STACK_USER_MAX || walk->end == STACK_TRUNCATED);
	/* Nothing is written but the frames. */
	for (uint32_t i = 0; i < WALK_FRAMES_MAX; i++)
		garbage_assert((i >= walk->first && i < walk->first + walk->count) ||
			       result->frames[i] == leftovers * 0x0101010101010101ull);
}

/* leftovers: what the scratch memory holds before. memo: NULL for none. */
static struct garbage_result garbage_walk(uint8_t leftovers, struct walk_memo *memo)
{
	struct garbage_result result = {malloc(sizeof(struct walk)), malloc(WALK_FRAMES_MAX * sizeof(__u64))};
	struct walk_context context = {.walk = result.walk, .frames = result.frames, .memo = memo};
	uint32_t step;

	garbage_assert(result.walk && result.frames);
	memset(result.walk, leftovers, sizeof(struct walk));
	memset(result.frames, leftovers, WALK_FRAMES_MAX * sizeof(__u64));
	memcpy(result.walk->registers, garbage.registers, sizeof(garbage.registers));
	garbage.calls = 0;
	garbage.missing = 0;
	walk_undo_trap(result.walk, garbage.pc, garbage.sp);
	walk_start(result.walk, garbage.pc, garbage.sp, garbage.bp, STACK_KERNEL_MAX);
	memo_start(&context);
	for (step = 0; step < STACK_USER_MAX; step++)
		if (walk_step(step, &context))
			break;
	memo_end(&context);
	garbage_check_bounds(&result, step, leftovers);
	return result;
}

/* Every frame but an unknown leaf lies in a mapping of its module. */
static void garbage_check_frame(uint64_t frame, bool is_leaf)
{
	for (uint32_t i = 1; i <= garbage.mapping_count; i++) {
		const struct mapping *mapping = garbage.mappings[i];
		uint64_t inside = FRAME_OFFSET(frame) - mapping->offset;

		if (FRAME_MODULE(frame) == mapping->module && inside <= mapping->end - mapping->start)
			return;
	}
	garbage_assert(is_leaf && FRAME_MODULE(frame) == MODULE_UNKNOWN);
}

static void garbage_check_same(const struct garbage_result *one, const struct garbage_result *two)
{
	garbage_assert(one->walk->end == two->walk->end && one->walk->count == two->walk->count);
	garbage_assert(one->walk->unknown_pc == two->walk->unknown_pc);
	garbage_assert(!memcmp(one->frames + STACK_KERNEL_MAX, two->frames + STACK_KERNEL_MAX,
			       one->walk->count * sizeof(*one->frames)));
}

/* The registers of a caller of the frame that is sampled now. */
static void garbage_climb(uint32_t steps)
{
	struct garbage_result result = {malloc(sizeof(struct walk)), malloc(WALK_FRAMES_MAX * sizeof(__u64))};
	struct walk_context context = {.walk = result.walk, .frames = result.frames};

	garbage_assert(result.walk && result.frames);
	memcpy(result.walk->registers, garbage.registers, sizeof(garbage.registers));
	walk_start(result.walk, garbage.pc, garbage.sp, garbage.bp, 0);
	for (uint32_t step = 0; step < steps; step++)
		if (walk_step(step, &context))
			break;
	garbage.pc_again = result.walk->pc;
	garbage.sp_again = result.walk->sp;
	garbage.bp_again = result.walk->bp;
	garbage_free_result(&result);
}

static void garbage_change(void)
{
	if (garbage.steps_again)
		garbage_climb(garbage.steps_again);
	for (uint32_t i = 0; i < garbage.change_count; i++)
		garbage.stack[garbage.changes[i].word] = garbage.changes[i].value;
	garbage.pc = garbage.pc_again;
	garbage.sp = garbage.sp_again;
	garbage.bp = garbage.bp_again;
}

/* Tables that change places under their modules are what a memo need not stand. */
static void garbage_check_memo(const struct garbage_result *plain)
{
	struct walk_memo *memo = calloc(1, sizeof(*memo));
	struct garbage_result with, without;

	garbage_assert(memo);
	for (unsigned i = 0; i < 2; i++) {
		with = garbage_walk(0xa5, memo);
		garbage_check_same(plain, &with);
		garbage_free_result(&with);
	}
	garbage_change();
	without = garbage_walk(0xa5, NULL);
	for (unsigned i = 0; i < 2; i++) {
		with = garbage_walk(0xa5, memo);
		garbage_check_same(&without, &with);
		garbage_free_result(&with);
	}
	garbage_free_result(&without);
	free(memo);
}

static void walker_garbage_run(const uint8_t *data, size_t size)
{
	struct garbage_input input = {data, data + size};
	struct garbage_result one, two;

	if (garbage_take_world(&input)) {
		one = garbage_walk(0, NULL);
		two = garbage_walk(0xa5, NULL);
		garbage_check_same(&one, &two);
		for (uint32_t i = 0; i < one.walk->count; i++)
			garbage_check_frame(one.frames[STACK_KERNEL_MAX + i], i == 0);
		if (!garbage.swap_after)
			garbage_check_memo(&one);
		garbage_free_result(&one);
		garbage_free_result(&two);
	}
	garbage_free_world();
}

#endif
