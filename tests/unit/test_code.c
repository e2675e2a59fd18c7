/* Instructions against objdump, lengths of what capstone does not know, garbage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/code.h"
#include "tests/support/library.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static struct code_decoder *code;

static int set_up(void **state)
{
	return code_decoder_create(&code) != NULL;
}

static int tear_down(void **state)
{
	code_decoder_destroy(code);
	return 0;
}

static void decode(const char *bytes, size_t length, bool is_intel, struct decoded *ret)
{
	/* On the heap, so that a sanitizer sees what is read behind the end. */
	_cleanup_free_ uint8_t *copy = malloc(length);

	memcpy(copy, bytes, length);
	memset(ret, 0xee, sizeof(*ret));
	code_decode(code, copy, length, 0x1000, is_intel, ret);
	assert_in_range(ret->length, 1, length);
	assert_int_equal(ret->text_length, strlen(ret->text));
}

#define DECODE(bytes, is_intel, ret) decode(bytes, sizeof(bytes) - 1, is_intel, ret)

/* ---- text and flow ---- */

static void test_syntax(void **state)
{
	struct decoded decoded;

	DECODE("\x48\x89\xe5", false, &decoded);
	assert_int_equal(decoded.length, 3);
	assert_int_equal(decoded.flags, 0);
	assert_string_equal(decoded.text, "movq   %rsp, %rbp");
	DECODE("\x48\x89\xe5", true, &decoded);
	assert_string_equal(decoded.text, "mov    rbp, rsp");
	DECODE("\x48\x89\xe5", false, &decoded);
	assert_string_equal(decoded.text, "movq   %rsp, %rbp");
}

static void test_flow(void **state)
{
	static const struct {
		const char *bytes;
		size_t length;
		uint64_t target;
		unsigned flags;
	} cases[] = {
		{"\xeb\x10", 2, 0x1012, CODE_JUMP},
		{"\x75\xf0", 2, 0xff2, CODE_JUMP | CODE_CONDITIONAL},
		{"\x0f\x84\x00\x01\x00\x00", 6, 0x1106, CODE_JUMP | CODE_CONDITIONAL},
		{"\xe2\xfe", 2, 0x1000, CODE_JUMP | CODE_CONDITIONAL}, /* loop */
		{"\xe3\x10", 2, 0x1012, CODE_JUMP | CODE_CONDITIONAL}, /* jrcxz */
		{"\xe8\xfb\x0f\x00\x00", 5, 0x2000, CODE_CALL},
		{"\xff\xe0", 2, 0, CODE_JUMP}, /* jmp *%rax */
		{"\xff\xd0", 2, 0, CODE_CALL}, /* call *%rax */
		{"\xff\x25\x10\x00\x00\x00", 6, 0, CODE_JUMP},
		{"\xc3", 1, 0, CODE_RETURN},
		{"\xf3\xc3", 2, 0, CODE_RETURN}, /* repz ret */
		{"\x90", 1, 0, 0},
		{"\x68\x00\x10\x00\x00", 5, 0, 0}, /* push $0x1000 */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (unsigned is_intel = 0; is_intel < 2; is_intel++) {
			struct decoded decoded;

			decode(cases[i].bytes, cases[i].length, is_intel, &decoded);
			if (decoded.length != cases[i].length || decoded.target != cases[i].target ||
			    decoded.flags != cases[i].flags)
				fail_msg("case %zu: %s: %u bytes, target %#lx, flags %u", i, decoded.text,
					 decoded.length, (unsigned long)decoded.target, decoded.flags);
		}
	}
}

/* ---- what is unknown ---- */

static void test_garbage_is_bytes(void **state)
{
	struct decoded decoded;

	/* push %es, which 64-bit mode has not; then a nop. */
	DECODE("\x06\x90", false, &decoded);
	assert_int_equal(decoded.length, 1);
	assert_int_equal(decoded.flags, CODE_UNKNOWN);
	assert_string_equal(decoded.text, ".byte  0x06");
	/* The first half of a call. */
	DECODE("\xe8\x00", false, &decoded);
	assert_int_equal(decoded.length, 1);
	assert_string_equal(decoded.text, ".byte  0xe8");
}

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Whatever the bytes: at least one at a time, never behind the end. */
static void test_random_bytes(void **state)
{
	uint64_t seed = 88172645463325252ull;

	for (unsigned round = 0; round < 20000; round++) {
		char bytes[20];
		size_t length = 1 + next_random(&seed) % sizeof(bytes);
		struct decoded decoded;

		for (size_t i = 0; i < length; i++)
			bytes[i] = (char)next_random(&seed);
		/* Prefixes of vector instructions are rare among random bytes. */
		if (round % 4 == 0)
			bytes[0] = "\x62\xc4\xc5\x0f"[next_random(&seed) % 4];
		decode(bytes, length, round & 1, &decoded);
	}
}

static void test_lengths_by_encoding(void **state)
{
	static const struct {
		const char *bytes;
		size_t length, wanted;
	} cases[] = {
		{"\xf3\x0f\x1e\xfa", 4, 4},				  /* endbr64 */
		{"\xf3\x48\x0f\x1e\xc8", 5, 5},				  /* rdsspq %rax */
		{"\x62\xb1\xfe\x28\x6f\x84\x07\x00\x01\x00\x00", 11, 11}, /* vmovdqu64, disp32 */
		{"\x62\xf3\x7d\x20\x3f\x0e\x00", 7, 7},			  /* vpcmpub $0 */
		{"\x62\xf1\x7d\x28\x6f\x05\x01\x02\x03\x04", 10, 10},	  /* rip */
		{"\xc5\xf8\x77", 3, 3},					  /* vzeroupper */
		{"\xc4\xe3\x7d\x39\xc1\x01", 6, 6},			  /* vextracti128 */
		{"\xc4\xe2\x7d\x18\x04\x25\x00\x00\x00\x00", 10, 10},	  /* SIB without base */
		{"\x0f\x38\xf0\x44\x24\x08", 6, 6},			  /* movbe disp8 */
		{"\x62\xf1\xfe\x28\x6f", 5, 0},				  /* its operand is not there */
		{"\x62\xf9\x7d\x28\x6f\x00", 6, 0},			  /* a reserved bit */
		{"\xc4\xe0\x7d\x39\xc1\x01", 6, 0},			  /* map 0 */
		{"\x0f\x04", 2, 0},
		{"\x90", 1, 0},
		{"\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x66\x0f\x1f\x00", 18, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		size_t length = code_length_by_encoding((const uint8_t *)cases[i].bytes, cases[i].length);

		if (length != cases[i].wanted)
			fail_msg("case %zu: %zu", i, length);
	}
}

/* ---- against objdump ---- */

struct comparison {
	unsigned instructions, unknown, other_length, other_name;
};

/* "callq", "movzbl", "retq" as objdump writes them: without the size where operands say it. */
static bool is_same_name(const char *ours, size_t ours_length, const char *theirs, size_t theirs_length)
{
	static const char *const aliases[][2] = {
		{"cmovae", "cmovnb"},
		{"movabs", "movabsq"},
		{"nop", "xchg"},
		{"repz", "rep"},
	};

	if (ours_length == theirs_length && !memcmp(ours, theirs, ours_length))
		return true;
	if (ours_length == theirs_length + 1 && !memcmp(ours, theirs, theirs_length) &&
	    strchr("bwlq", ours[ours_length - 1]))
		return true;
	if (theirs_length == ours_length + 1 && !memcmp(ours, theirs, ours_length) &&
	    strchr("bwlq", theirs[theirs_length - 1]))
		return true;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		if (!strncmp(ours, aliases[i][0], strlen(aliases[i][0])) &&
		    !strncmp(theirs, aliases[i][1], strlen(aliases[i][1])))
			return true;
	}
	return false;
}

/* Prefixes that objdump writes as words. */
static const char *skip_prefixes(const char *text)
{
	static const char *const prefixes[] = {"bnd ",	 "notrack ", "data16 ", "cs ",	 "ds ",	  "es ",
					       "ss ",	 "fs ",	     "gs ",	"lock ", "rep ",  "repz ",
					       "repnz ", "rex.W ",   "addr32 ", "repe ", "repne "};
	bool is_skipped;

	do {
		is_skipped = false;
		for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
			if (!strncmp(text, prefixes[i], strlen(prefixes[i]))) {
				text += strlen(prefixes[i]);
				text += strspn(text, " ");
				is_skipped = true;
			}
		}
	} while (is_skipped);
	return text;
}

/* One line of objdump: address, length, text. */
static bool parse_line(char *line, uint64_t *ret_address, size_t *ret_length, const char **ret_text)
{
	char *end, *bytes, *text;

	*ret_address = strtoull(line, &end, 16);
	if (end == line || *end != ':' || end[1] != '\t')
		return false;
	bytes = end + 2;
	text = strchr(bytes, '\t');
	if (text)
		*text++ = '\0';
	*ret_length = 0;
	for (char *at = bytes; isxdigit((unsigned char)at[0]) && isxdigit((unsigned char)at[1]); at += 3)
		++*ret_length;
	*ret_text = text ? text : "";
	return *ret_length > 0;
}

static void compare_one(struct comparison *sum, const uint8_t *bytes, size_t left, uint64_t address,
			size_t length, const char *text)
{
	struct decoded decoded;
	const char *ours, *theirs;

	code_decode(code, bytes, left, address, false, &decoded);
	sum->instructions++;
	sum->unknown += decoded.flags & CODE_UNKNOWN ? 1 : 0;
	if (decoded.length != length) {
		sum->other_length++;
		print_message("# %lx: %u bytes, not %zu: %s | %s\n", address, decoded.length, length,
			      decoded.text, text);
	}
	if (decoded.flags & CODE_UNKNOWN)
		return;
	ours = skip_prefixes(decoded.text);
	theirs = skip_prefixes(text);
	if (!is_same_name(ours, strcspn(ours, " "), theirs, strcspn(theirs, " \n"))) {
		sum->other_name++;
		print_message("# %lx: %s | %s\n", address, decoded.text, text);
	}
}

static struct comparison compare_function(const struct library *library, bool is_dynamic, const char *symbol)
{
	struct comparison sum = {0};
	uint64_t offset, length;
	char command[8192], line[1024];
	struct stat status;
	const uint8_t *file;
	int fd = open(library->path, O_RDONLY | O_CLOEXEC);
	FILE *pipe;

	assert_true(fd >= 0 && fstat(fd, &status) == 0);
	file = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(file != MAP_FAILED);
	close(fd);
	assert_true(library_nm(library, is_dynamic, symbol, &offset, &length));
	/* Of these files the text lies at its offset. */
	snprintf(command, sizeof(command), "objdump -d -w '%s' --start-address=%#lx --stop-address=%#lx",
		 library->path, (unsigned long)offset, (unsigned long)(offset + length));
	pipe = popen(command, "re");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe)) {
		uint64_t address;
		size_t bytes;
		const char *text;

		if (!parse_line(line, &address, &bytes, &text))
			continue;
		compare_one(&sum, file + address, (size_t)(offset + length - address), address, bytes, text);
	}
	assert_int_equal(pclose(pipe), 0);
	munmap((void *)file, (size_t)status.st_size);
	return sum;
}

static void test_objdump_agrees_on_libc(void **state)
{
	static const char *const symbols[] = {"qsort_r", "malloc",     "getaddrinfo", "glob",	"wordexp",
					      "fnmatch", "strftime_l", "getdelim",    "mktime", "regexec"};
	struct comparison sum = {0};
	struct library libc;

	library_locate_libc(&libc);
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		struct comparison one = compare_function(&libc, true, symbols[i]);

		if (one.instructions <= 5)
			fail_msg("%s: %u instructions", symbols[i], one.instructions);
		sum.instructions += one.instructions;
		sum.unknown += one.unknown;
		sum.other_length += one.other_length;
		sum.other_name += one.other_name;
	}
	print_message("# %u instructions, %u unknown, %u of another length, %u of another name\n",
		      sum.instructions, sum.unknown, sum.other_length, sum.other_name);
	assert_true(sum.instructions > 2000);
	assert_int_equal(sum.other_length, 0);
	assert_true(sum.unknown * 100 <= sum.instructions);
	assert_true(sum.other_name * 100 <= sum.instructions);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_syntax),
		cmocka_unit_test(test_flow),
		cmocka_unit_test(test_garbage_is_bytes),
		cmocka_unit_test(test_random_bytes),
		cmocka_unit_test(test_lengths_by_encoding),
		cmocka_unit_test(test_objdump_agrees_on_libc),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
