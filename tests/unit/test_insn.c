/* The prologue decoder: byte strings with known answers, what it must refuse, and random bytes at the edge of
 * what may be read. tests/e2e/test_prologues.py compares it with objdump on whole libraries. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/insn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8 };

/* "48 89 f8" → bytes; returns how many. */
static size_t parse(const char *text, uint8_t *ret, size_t capacity)
{
	size_t length = 0;
	char *end;

	for (;; text = end) {
		unsigned long byte = strtoul(text, &end, 16);

		if (end == text)
			break;
		assert_true(length < capacity && byte < 256);
		ret[length++] = (uint8_t)byte;
	}
	return length;
}

/* ---- places ---- */

static const struct {
	const char *code;
	unsigned arguments, offset, length;
	int first; /* register of the first argument; 0: its own */
} places[] = {
	/* glibc 2.36: malloc, free, memalign, posix_memalign */
	{"41 54 55 53 48 89 fb", 3, 0, 2, 0},
	{"48 85 ff 0f 84 bf 00 00 00 55", 3, 3, 6, 0},
	{"80 3d 71 0e 14 00 00 74 07", 3, 7, 2, 0},
	{"80 3d 01 02 14 00 00 41 54", 3, 7, 2, 0},
	/* jemalloc 5.3: malloc, free */
	{"48 81 ff 00 10 00 00 0f 87 93 00 00 00", 3, 7, 6, 0},
	{"48 89 f8 48 8b 15 0e 53 0a 00 48 89 f9 48 c1 e8 1a 48 81 e1 00 00 00 c0 25 f0 00 00 00 "
	 "64 48 03 04 25 00 00 00 00 48 01 d0 48 3b 88 b0 01 00 00 0f 85 8a 00 00 00",
	 1, 48, 6, 0},
	/* tcmalloc 2.10: malloc, posix_memalign, memalign */
	{"48 8b 05 59 ab 00 00 48 85 c0 75 75", 3, 10, 2, 0},
	{"48 8d 46 ff 48 83 c8 07 48 85 f0 75 2b", 3, 11, 2, 0},
	{"49 89 f8 48 81 ff 00 20 00 00 0f 87 e8 00 00 00", 2, 10, 6, 0},
	/* mimalloc 2.0.9: malloc, calloc; a jump to another function */
	{"48 8b 05 49 b4 00 00 48 89 fe 64 48 8b 38 48 81 fe 00 04 00 00 77 29", 1, 21, 2, RSI},
	{"48 8b 15 c9 ad 00 00 48 89 f8 64 48 8b 3a 48 83 f8 01 74 08", 2, 18, 2, -1}, /* rax, which is 0 */
	{"e9 5b 5c ff ff", 3, 0, 5, 0},
	/* every emulated instruction */
	{"50", 3, 0, 1, 0},
	{"54", 3, 0, 1, 0},
	{"57", 3, 0, 1, 0},
	{"41 50", 3, 0, 2, 0},
	{"41 57", 3, 0, 2, 0},
	{"90", 3, 0, 1, 0},
	{"70 00", 3, 0, 2, 0},
	{"7f fe", 3, 0, 2, 0},
	{"0f 80 00 00 00 00", 3, 0, 6, 0},
	{"0f 8f 00 00 00 00", 3, 0, 6, 0},
	{"eb 00", 3, 0, 2, 0},
	{"e8 00 00 00 00", 3, 0, 5, 0},
	/* what fills is passed: endbr64, and nops of more than one byte */
	{"f3 0f 1e fa 55", 3, 4, 1, 0},
	{"66 90 55", 3, 2, 1, 0},
	{"0f 1f 00 55", 3, 3, 1, 0},
	{"0f 1f 40 00 55", 3, 4, 1, 0},
	{"0f 1f 44 00 00 55", 3, 5, 1, 0},
	{"66 0f 1f 44 00 00 55", 3, 6, 1, 0},
	{"0f 1f 80 00 00 00 00 55", 3, 7, 1, 0},
	{"66 66 2e 0f 1f 84 00 00 00 00 00 55", 3, 11, 1, 0},
	/* addresses in all their forms: base, SIB, SIB without base, rip, displacements */
	{"48 8b 07 55", 3, 3, 1, 0},
	{"48 8b 04 24 55", 3, 4, 1, 0},
	{"48 8b 04 25 00 00 00 00 55", 3, 8, 1, 0},
	{"48 8b 44 24 08 55", 3, 5, 1, 0},
	{"48 8b 84 24 00 01 00 00 55", 3, 8, 1, 0},
	{"48 8b 05 00 00 00 00 55", 3, 7, 1, 0},
	{"48 8b 45 00 55", 3, 4, 1, 0},
	{"49 8b 45 00 55", 3, 4, 1, 0},
	{"49 8b 04 24 55", 3, 4, 1, 0},
	{"4a 8b 04 25 00 00 00 00 55", 3, 8, 1, 0},
	{"64 48 8b 04 25 28 00 00 00 55", 3, 9, 1, 0},
	{"64 8b 00 55", 3, 3, 1, 0},
	/* constants of all sizes */
	{"b8 00 00 00 00 55", 3, 5, 1, 0},
	{"48 b8 00 00 00 00 00 00 00 00 55", 3, 10, 1, 0},
	{"41 b8 00 00 00 00 55", 3, 6, 1, 0},
	{"b0 01 55", 3, 2, 1, 0},
	{"c6 c0 01 55", 3, 3, 1, 0},
	{"c7 c0 01 00 00 00 55", 3, 6, 1, 0},
	{"48 c7 c0 01 00 00 00 55", 3, 7, 1, 0},
	{"3c 01 55", 3, 2, 1, 0},
	{"48 3d 00 00 00 00 55", 3, 6, 1, 0},
	{"a8 01 55", 3, 2, 1, 0},
	{"a9 01 00 00 00 55", 3, 5, 1, 0},
	{"f6 c1 01 55", 3, 3, 1, 0},
	{"40 f6 c7 01 55", 3, 4, 1, 0},
	{"f7 c7 01 00 00 00 55", 3, 6, 1, 0},
	{"f7 d8 55", 3, 2, 1, 0},
	{"83 ff 01 55", 3, 3, 1, 0},
	{"80 ff 01 55", 3, 3, 1, 0},
	{"81 ff 01 00 00 00 55", 3, 6, 1, 0},
	{"c1 e0 03 55", 3, 3, 1, 0},
	{"d1 e8 55", 3, 2, 1, 0},
	{"0f b6 07 55", 3, 3, 1, 0},
	{"0f b7 47 02 55", 3, 4, 1, 0},
	{"48 0f be c7 55", 3, 4, 1, 0},
	{"48 63 c7 55", 3, 3, 1, 0},
	{"31 c0 55", 3, 2, 1, 0},
	{"84 c0 55", 3, 2, 1, 0},
	{"88 c8 55", 3, 2, 1, 0},
	{"4c 8d 04 37 55", 3, 4, 1, 0},
	/* the argument register is written back, or the argument is not asked for */
	{"48 89 ff 55", 3, 3, 1, 0},
	{"48 89 f8 31 ff 48 89 c7 55", 1, 8, 1, 0},
	{"31 f6 55", 1, 2, 1, 0},
	{"31 d2 55", 2, 2, 1, 0},
	{"31 c9 55", 3, 2, 1, 0},
	{"31 ff 55", 0, 2, 1, 0},
	/* moved: to r8 */
	{"49 89 f8 31 ff 55", 3, 5, 1, R8},
	{"4c 8b c7 31 ff 55", 3, 5, 1, R8},
	/* ah is not rsp, dh is not rsi, bh is not rdi */
	{"b4 01 55", 3, 2, 1, 0},
	{"b7 01 55", 3, 2, 1, 0},
	{"b6 01 55", 2, 2, 1, 0},
	{"30 ff 55", 3, 2, 1, 0},
};

static void test_places(void **state)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		unsigned arguments = places[i].arguments;
		uint8_t code[INSN_CODE_BYTES];
		size_t length = parse(places[i].code, code, sizeof(code));
		struct insn_site site = {0};
		const char *why = "";

		if (!insn_find_site(code, length, arguments, &site, &why))
			fail_msg("%s: %s", places[i].code, why);
		if (site.offset != places[i].offset || site.length != places[i].length)
			fail_msg("%s: %u, %u", places[i].code, site.offset, site.length);
		assert_false(site.is_stepped);
		assert_int_equal(site.is_moved, places[i].first != 0);
		if (places[i].first)
			assert_int_equal(site.registers[0], places[i].first < 0 ? RAX : places[i].first);
		else
			assert_int_equal(site.registers[0], RDI);
		assert_int_equal(site.registers[1], RSI);
		assert_int_equal(site.registers[2], RDX);
	}
}

/* mimalloc's realloc: both arguments are one register further, and a jump leads to where the work is done. */
static void test_both_arguments_moved(void **state)
{
	uint8_t code[INSN_CODE_BYTES];
	size_t length = parse("48 8b 05 49 a9 00 00 48 89 f2 48 89 fe 64 48 8b 00 48 89 c7 e9 f7 4e ff ff",
			      code, sizeof(code));
	struct insn_site site;
	const char *why;

	assert_true(insn_find_site(code, length, 2, &site, &why));
	assert_int_equal(site.offset, 20);
	assert_true(site.is_moved);
	assert_int_equal(site.registers[0], RSI);
	assert_int_equal(site.registers[1], RDX);
	assert_false(insn_find_site(code, length, 3, &site, &why));
	assert_non_null(strstr(why, "arguments are gone"));
}

/* ---- refused ---- */

static const struct {
	const char *code, *why;
} refusals[] = {
	/* arguments: whole registers and their parts */
	{"31 ff 55", "arguments are gone"},
	{"40 b7 01 55", "arguments are gone"},
	{"b2 01 55", "arguments are gone"},
	{"b6 01 55", "arguments are gone"}, /* dh */
	{"8b fe 55", "arguments are gone"},
	{"48 8b 3f 55", "arguments are gone"},
	{"48 83 c7 01 55", "arguments are gone"},
	{"48 c1 e6 03 55", "arguments are gone"},
	{"48 8d 7f 07 55", "arguments are gone"},
	{"0f b6 ff 55", "arguments are gone"},
	{"48 63 ff 55", "arguments are gone"},
	{"89 f8 31 ff 55", "arguments are gone"},    /* mov edi, eax: half of it */
	{"40 88 f8 31 ff 55", "arguments are gone"}, /* mov dil, al */
	{"48 89 f8 04 01 31 ff 55", "arguments are gone"},
	{"48 89 f8 0c 01 31 ff 55", "arguments are gone"},
	/* the stack pointer */
	{"48 83 ec 18 55", "stack pointer"},
	{"48 8d 64 24 f8 55", "stack pointer"},
	{"48 89 fc 55", "stack pointer"},
	{"48 83 e4 f0 55", "stack pointer"},
	{"48 c7 c4 00 00 00 00 55", "stack pointer"},
	{"40 b4 01 55", "stack pointer"}, /* spl */
	/* memory */
	{"48 89 3c 24 55", "writes memory"},
	{"48 89 7c 24 08 55", "writes memory"},
	{"80 0f 01 55", "writes memory"},
	{"c7 07 00 00 00 00 55", "writes memory"},
	{"01 07 55", "writes memory"},
	{"c1 27 03 55", "writes memory"},
	{"f7 1f 55", "writes memory"},
	/* not emulated, though they look like it */
	{"40 55", "none that are known"},
	{"48 55", "none that are known"},
	{"43 50", "none that are known"},
	{"49 50", "none that are known"},
	{"66 55", "none that are known"},
	{"66 e8 00 00 00 00", "none that are known"},
	{"66 74 00", "none that are known"},
	{"2e 74 00", "none that are known"},
	{"3e 74 00", "none that are known"},
	{"f2 e9 00 00 00 00", "none that are known"},
	{"f2 75 00", "none that are known"},
	{"48 e9 00 00 00 00", "none that are known"},
	{"64 74 00", "none that are known"},
	{"64 55", "none that are known"},
	{"41 90", "none that are known"}, /* xchg r8, rax */
	{"48 90", "none that are known"},
	{"f3 90", "none that are known"}, /* pause */
	{"68 00 00 00 00", "none that are known"},
	{"6a 00", "none that are known"},
	{"ff 75 00", "none that are known"},
	{"ff 25 00 00 00 00", "none that are known"},
	{"ff e0", "none that are known"},
	{"3e ff e0", "none that are known"},
	{"c3", "none that are known"},
	{"cc", "none that are known"},
	{"f1", "none that are known"},
	{"cd 80", "none that are known"},
	{"0f 05", "none that are known"},
	{"0f 0b", "none that are known"},
	/* prefixes */
	{"66 89 f8 55", "none that are known"},
	{"67 8b 07 55", "none that are known"},
	{"f0 01 07 55", "none that are known"},
	{"f2 48 89 f8 55", "none that are known"},
	{"65 48 8b 04 25 28 00 00 00 55", "none that are known"},
	{"2e 48 8b 07 55", "none that are known"},
	{"64 48 89 f8 55", "none that are known"},
	{"64 64 48 8b 00 55", "none that are known"},
	{"64 48 8d 07 55", "none that are known"},
	{"64 b8 00 00 00 00 55", "none that are known"},
	{"64 3c 01 55", "none that are known"},
	{"64 a8 01 55", "none that are known"},
	{"48 64 8b 00 55", "none that are known"},
	{"48 48 89 f8 55", "none that are known"},
	/* near the known ones */
	{"8d c7 55", "none that are known"}, /* lea of a register */
	{"c0 c0 01 55", "none that are known"},
	{"c1 f0 01 55", "none that are known"},
	{"c6 c8 01 55", "none that are known"},
	{"c7 f8 00 00 00 00 55", "none that are known"}, /* xbegin */
	{"f7 e6 55", "none that are known"},		 /* mul writes rdx */
	{"f7 c8 00 00 00 00 55", "none that are known"},
	{"d3 e0 55", "none that are known"},
	{"82 c0 01 55", "none that are known"},
	{"0f 1f c8 55", "none that are known"},
	{"f3 0f 1e fb 55", "none that are known"},
	{"0f 1e fa 55", "none that are known"},
	{"0f a2 55", "none that are known"}, /* cpuid */
	{"48 99 55", "none that are known"}, /* cqto */
	{"48 91 55", "none that are known"}, /* xchg */
	{"c5 f8 77 55", "none that are known"},
	{"62 f1 7c 48 28 c0", "none that are known"},
	{"06", "none that are known"},
	{"27", "none that are known"},
};

static void test_refusals(void **state)
{
	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		uint8_t code[INSN_CODE_BYTES];
		size_t length = parse(refusals[i].code, code, sizeof(code));
		struct insn_site site;
		const char *why;

		if (insn_find_site(code, length, 3, &site, &why))
			fail_msg("%s: taken at %u", refusals[i].code, site.offset);
		if (!strstr(why, refusals[i].why))
			fail_msg("%s: %s", refusals[i].code, why);
	}
}

/* Whatever is cut off at any byte is refused, and said so. */
static void test_cut_off(void **state)
{
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		uint8_t code[INSN_CODE_BYTES];
		struct insn_site site;
		const char *why;

		parse(places[i].code, code, sizeof(code));
		for (size_t length = 0; length < places[i].offset + places[i].length; length++) {
			why = NULL;
			if (insn_find_site(code, length, places[i].arguments, &site, &why))
				fail_msg("%s: taken with %zu bytes", places[i].code, length);
			assert_non_null(why);
		}
	}
}

static void test_too_far(void **state)
{
	uint8_t code[INSN_CODE_BYTES];
	struct insn_site site;
	const char *why;

	memset(code, 0, sizeof(code));
	for (size_t i = 0; i < INSN_SITE_MAX; i += 2)
		memcpy(code + i, "\x31\xc0", 2);
	code[INSN_SITE_MAX] = 0x55;
	assert_true(insn_find_site(code, sizeof(code), 3, &site, &why));
	assert_int_equal(site.offset, INSN_SITE_MAX);
	memcpy(code + INSN_SITE_MAX, "\x31\xc0\x55", 3);
	assert_false(insn_find_site(code, sizeof(code), 3, &site, &why));
	assert_non_null(strstr(why, "too far"));
	assert_false(insn_find_site(code, sizeof(code), INSN_ARGUMENTS + 1, &site, &why));
	assert_non_null(strstr(why, "more arguments"));
}

/* 15 bytes are an instruction, 16 are none. */
static void test_longest_instruction(void **state)
{
	uint8_t code[INSN_CODE_BYTES];
	struct insn_site site;
	const char *why;

	parse("66 66 66 66 66 66 2e 0f 1f 84 00 00 00 00 00 55", code, sizeof(code));
	assert_true(insn_find_site(code, 16, 3, &site, &why));
	assert_int_equal(site.offset, 15);
	parse("66 66 66 66 66 66 66 2e 0f 1f 84 00 00 00 00 00 55", code, sizeof(code));
	assert_false(insn_find_site(code, 17, 3, &site, &why));
}

static void test_stepped(void **state)
{
	static const struct {
		const char *code;
		unsigned offset, length;
		bool is_stepped;
	} cases[] = {
		{"48 89 f0 48 f7 e2 48 89 c6 70 05", 0, 3, true}, /* glibc's reallocarray */
		{"48 83 ec 18 55", 0, 4, true},
		{"f3 0f 1e fa 48 83 ec 18", 4, 4, true},
		{"0f 1f 00 f3 0f 1e fa 48 89 3c 24", 7, 4, true},
		{"f3 0f 1e fa 55", 4, 1, false},
	};
	static const char *const none[] = {
		"", "f3 0f 1e fa", "cc", "f3 48 a5", "66 89 f8", "c3", "48 f7 e6", "48 83 ec",
	};
	uint8_t code[INSN_CODE_BYTES];
	struct insn_site site;
	const char *why;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = parse(cases[i].code, code, sizeof(code));

		assert_true(insn_find_stepped_site(code, length, &site, &why));
		assert_int_equal(site.offset, cases[i].offset);
		assert_int_equal(site.length, cases[i].length);
		assert_int_equal(site.is_stepped, cases[i].is_stepped);
		assert_false(site.is_moved);
		assert_int_equal(site.registers[0], RDI);
		assert_int_equal(site.registers[1], RSI);
		assert_int_equal(site.registers[2], RDX);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		size_t length = parse(none[i], code, sizeof(code));

		if (insn_find_stepped_site(code, length, &site, &why))
			fail_msg("%s: taken", none[i]);
		assert_non_null(strstr(why, "first instruction"));
	}
}

/* ---- random bytes ---- */

static uint64_t random_next(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

/* Half of the buffers are made of bytes that occur in prologues: those are decoded further than one byte. */
static void fill(uint8_t *code, size_t length, uint64_t *seed)
{
	static const uint8_t usual[] = {0x48, 0x89, 0x8b, 0x64, 0x0f, 0x1f, 0x66, 0x2e, 0x84, 0x44, 0x24,
					0x25, 0x05, 0x04, 0x83, 0x81, 0xc0, 0xf8, 0x31, 0x85, 0x41, 0xc1,
					0xb8, 0x8d, 0xf7, 0xb6, 0xf3, 0x1e, 0xfa, 0x00, 0x3d, 0x80};
	bool is_usual = random_next(seed) & 1;

	for (size_t i = 0; i < length; i++) {
		uint64_t random = random_next(seed) >> 11;

		code[i] = is_usual ? usual[random % sizeof(usual)] : (uint8_t)random;
	}
}

static bool looks_emulated(const uint8_t *code, size_t length)
{
	switch (length) {
	case 1:
		return code[0] == 0x90 || (code[0] & 0xf8) == 0x50;
	case 2:
		return (code[0] == 0x41 && (code[1] & 0xf8) == 0x50) || (code[0] & 0xf0) == 0x70 ||
		       code[0] == 0xeb;
	case 5:
		return code[0] == 0xe8 || code[0] == 0xe9;
	case 6:
		return code[0] == 0x0f && (code[1] & 0xf0) == 0x80;
	}
	return false;
}

/* The buffer ends where the page does; the next one may not be touched. */
static void test_random_bytes(void **state)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), taken = 0;
	uint8_t *pages = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t seed = 0x9e3779b97f4a7c15;

	assert_true(pages != MAP_FAILED);
	assert_int_equal(mprotect(pages + page, page, PROT_NONE), 0);
	for (unsigned i = 0; i < 2000000; i++) {
		size_t length = random_next(&seed) % (INSN_CODE_BYTES + 1);
		uint8_t *code = pages + page - length;
		struct insn_site site;
		const char *why = NULL;

		fill(code, length, &seed);
		if (insn_find_site(code, length, i % 4, &site, &why)) {
			taken++;
			assert_true(site.offset <= INSN_SITE_MAX && site.offset + site.length <= length);
			assert_true(looks_emulated(code + site.offset, site.length));
		} else {
			assert_non_null(why);
		}
		if (insn_find_stepped_site(code, length, &site, &why))
			assert_true(site.offset + site.length <= length);
	}
	assert_true(taken > 10000);
	munmap(pages, 2 * page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),	 cmocka_unit_test(test_both_arguments_moved),
		cmocka_unit_test(test_refusals), cmocka_unit_test(test_cut_off),
		cmocka_unit_test(test_too_far),	 cmocka_unit_test(test_longest_instruction),
		cmocka_unit_test(test_stepped),	 cmocka_unit_test(test_random_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
