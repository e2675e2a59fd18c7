/* Annotated functions: which function is meant, which addresses are its own, and the text that comes of a
 * listing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "annotate_choose.h"
#include "base/cleanup.h"
#include "export/report_annotate.h"
#include "tests/support/reports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A      16
#define B      17
#define SOURCE "/src/app.c"
#define HEADER "/src/inline.h"

/* ---- a profile ---- */

static void sample(struct profile *profile, uint64_t frame, const char *function, const char *file,
		   uint32_t line, uint64_t count)
{
	struct frame_name name = {
		.start = FRAME_OFFSET(frame), .function = function, .file = file, .line = line};
	uint32_t stack = profile_intern_stack(profile, 0, FRAME(A, 0x9000));

	name.function_length = strlen(function);
	name.file_length = file ? strlen(file) : 0;
	stack = profile_intern_stack(profile, stack, frame);
	profile_add_samples(profile, stack, 1000, 1, 0, SAMPLE_USER, STACK_COMPLETE, count);
	profile_set_name(profile, frame, &name, 1);
}

static struct profile *create(void)
{
	struct frame_name name = {.start = 0x8000, .function = "main", .function_length = 4};
	struct profile *profile;

	assert_null(profile_create(&profile));
	assert_null(profile_set_module(profile, A, MODULE_KIND_FILE, "/usr/bin/app"));
	assert_null(profile_set_module(profile, B, MODULE_KIND_FILE, "/usr/lib/libb.so.1"));
	sample(profile, FRAME(A, 0x1000), "work", SOURCE, 10, 20);
	sample(profile, FRAME(A, 0x1004), "work", SOURCE, 11, 70);
	sample(profile, FRAME(A, 0x1006), "work", SOURCE, 11, 10);
	sample(profile, FRAME(B, 0x1004), "work", NULL, 0, 5);
	sample(profile, FRAME(B, 0x2000), "operator!=(A const&, A const&)", NULL, 0, 3);
	sample(profile, FRAME(B, 0x3000), "json::Parser::next()", NULL, 0, 2);
	profile_set_name(profile, FRAME(A, 0x9000), &name, 1);
	return profile;
}

static uint32_t find(struct profile *profile, const char *name)
{
	uint32_t function;

	assert_null(annotate_choose(profile, name, stderr, &function));
	return function;
}

/* ---- which function ---- */

static void expect_choice(struct profile *profile, const char *symbol, uint32_t module, const char *name,
			  const char *notes_part)
{
	_cleanup_free_ char *notes = NULL;
	struct function function;
	uint32_t number;
	size_t size;
	FILE *stream = open_memstream(&notes, &size);

	assert_null(annotate_choose(profile, symbol, stream, &number));
	fclose(stream);
	function = profile_get_function(profile, number);
	assert_int_equal(function.module, module);
	assert_string_equal(function.name, name);
	if (notes_part)
		assert_contains(notes, notes_part);
	else
		assert_int_equal(size, 0);
}

static void test_choice(void **state)
{
	_cleanup_profile_ struct profile *profile = create();

	expect_choice(profile, "json::Parser::next()", B, "json::Parser::next()", NULL);
	expect_choice(profile, "work", A, "work", "libb.so.1!work (5 samples");
	expect_choice(profile, "libb.so.1!work", B, "work", NULL);
	expect_choice(profile, "app!work", A, "work", NULL);
	expect_choice(profile, "operator!=(A const&, A const&)", B, "operator!=(A const&, A const&)", NULL);
	expect_choice(profile, "libb.so.1!operator!=(A const&, A const&)", B,
		      "operator!=(A const&, A const&)", NULL);
	/* Without samples of its own. */
	expect_choice(profile, "main", A, "main", NULL);
}

static void expect_none(struct profile *profile, const char *symbol, const char *hint)
{
	uint32_t number;
	struct error *error = annotate_choose(profile, symbol, stderr, &number);

	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_GENERAL);
	assert_contains(error_get_message(error), symbol);
	assert_contains(error_get_hint(error), hint);
	error_destroy(error);
}

static void test_no_such_function(void **state)
{
	_cleanup_profile_ struct profile *profile = create();

	expect_none(profile, "wrok", "did you mean: work");
	expect_none(profile, "next", "did you mean: json::Parser::next()");
	expect_none(profile, "app!worf", "work");
	expect_none(profile, "nothing_like_this", "--view hot");
	expect_none(profile, "libc.so.6!work", "work");
	expect_none(profile, "!", "operator!=");
	expect_none(profile, "work!", "did you mean: work");
	expect_none(profile, "", "did you mean: work | ");
}

/* ---- which addresses ---- */

static void test_addresses(void **state)
{
	_cleanup_profile_ struct profile *profile = create();
	struct addresses addresses;

	/* The same leaf below another caller. */
	profile_add_samples(profile, profile_intern_stack(profile, 0, FRAME(A, 0x1006)), 1000, 1, 0,
			    SAMPLE_USER, STACK_COMPLETE, 3);
	/* Rare samples that were merged: somewhere in the function. */
	profile_add_samples(profile, profile_intern_stack(profile, 0, FRAME(A, 1ull << 47 | 1)), 1000, 1, 0,
			    SAMPLE_USER, STACK_COMPLETE, 4);
	profile_set_frame(profile, FRAME(A, 1ull << 47 | 1), find(profile, "work"), SOURCE, 0);
	assert_null(addresses_collect(profile, find(profile, "work"), &addresses));
	assert_int_equal(addresses.items.count, 3);
	assert_int_equal(addresses.items.items[0].offset, 0x1004);
	assert_int_equal(addresses.items.items[0].self, 70);
	assert_int_equal(addresses.items.items[0].line, 11);
	assert_string_equal(addresses.items.items[0].file, SOURCE);
	assert_int_equal(addresses.items.items[1].offset, 0x1000);
	assert_int_equal(addresses.items.items[2].self, 13);
	assert_int_equal(addresses.elsewhere, 4);
	assert_int_equal(addresses.self, 107);
	assert_int_equal(profile_get_function(profile, find(profile, "work")).self, 107);
	addresses_deinit(&addresses);
	/* Only callers stood in it. */
	assert_null(addresses_collect(profile, find(profile, "main"), &addresses));
	assert_int_equal(addresses.items.count, 1);
	assert_int_equal(addresses.items.items[0].self, 0);
	addresses_deinit(&addresses);
}

/* Code that is inlined into a function is code of it: at the line of the call. */
static void test_addresses_of_inlined_code(void **state)
{
	_cleanup_profile_ struct profile *profile = create();
	const struct frame_name names[] = {
		{.function = "inner", .function_length = 5, .file = HEADER, .file_length = 13, .line = 3},
		{.function = "middle", .function_length = 6, .file = HEADER, .file_length = 13, .line = 20},
		{.function = "work", .function_length = 4, .file = SOURCE, .file_length = 10, .line = 12},
	};
	static const struct {
		const char *function;
		uint64_t self;
		uint32_t line;
	} wanted[] = {{"inner", 30, 3}, {"middle", 30, 20}, {"work", 130, 12}};

	profile_add_samples(profile, profile_intern_stack(profile, 0, FRAME(A, 0x1010)), 1000, 1, 0,
			    SAMPLE_USER, STACK_COMPLETE, 30);
	profile_set_name(profile, FRAME(A, 0x1010), names, 3);
	for (size_t i = 0; i < 3; i++) {
		struct addresses addresses;
		const struct address *found = NULL;

		assert_null(addresses_collect(profile, find(profile, wanted[i].function), &addresses));
		assert_int_equal(addresses.self, wanted[i].self);
		for (size_t at = 0; at < addresses.items.count; at++) {
			if (addresses.items.items[at].offset == 0x1010)
				found = &addresses.items.items[at];
		}
		assert_non_null(found);
		assert_int_equal(found->self, 30);
		assert_int_equal(found->line, wanted[i].line);
		addresses_deinit(&addresses);
	}
}

/* ---- text ---- */

static const char *source_why;
static bool source_is_newer;

static bool find_source(void *arg, const char *file, struct annotate_file *ret)
{
	*ret = (struct annotate_file){.path = file, .why = source_why, .is_newer = source_is_newer};
	return true;
}

static const char *get_line(void *arg, const char *file, uint32_t line)
{
	static char text[64];

	if (source_why)
		return NULL;
	snprintf(text, sizeof(text), "%s line %u;", strcmp(file, SOURCE) ? "header" : "source", line);
	return text;
}

/* work() at 0x401000: 6 instructions, of which two are of an inlined function. */
static struct code_level levels[] = {
	{NULL, SOURCE, 10},
	{"twice", HEADER, 3},
	{NULL, SOURCE, 11},
	{NULL, SOURCE, 30},
};
static struct code_place places[] = {{0, 0}, {0, 1}, {1, 2}, {3, 1}};
static struct code_instruction instructions[] = {
	{0x401000, 0, NULL, "pushq  %rbx", 1, 4, 0},
	{0x401004, 0, NULL, "addl   %eax, %eax", 2, 2, 0},
	{0x401006, 0x401004, NULL, "jne    0x401004", 2, 2, CODE_JUMP | CODE_CONDITIONAL},
	{0x401008, 0x401100, "callee@plt", "callq  0x401100", 3, 5, CODE_CALL},
	{0x40100d, 0x402000, "elsewhere", "jmp    0x402000", 3, 2, CODE_JUMP},
	{0x40100f, 0, NULL, ".byte  0x06", 0, 1, CODE_UNKNOWN},
};
static struct code_listing listing = {
	.module = A,
	.offset = 0x1004,
	.function = "work",
	.start = 0x401000,
	.end = 0x401010,
	.first = 0x401000,
	.last = 0x401010,
	.start_offset = 0x1000,
	.instructions = instructions,
	.count = 6,
	.places = places,
	.place_count = 4,
	.levels = levels,
	.level_count = 4,
};

static char *write_text(struct profile *profile, const char *name, struct code_listing *one)
{
	struct annotate_options options = {
		.function = find(profile, name),
		.listings = &one,
		.count = one != NULL,
		.sources = {find_source, get_line, NULL},
	};
	struct addresses addresses;
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	assert_null(addresses_collect(profile, options.function, &addresses));
	options.addresses = &addresses;
	assert_no_error(report_write_annotate(profile, &options, stream));
	fclose(stream);
	addresses_deinit(&addresses);
	return text;
}

static int reset(void **state)
{
	source_why = NULL;
	source_is_newer = false;
	listing.function = "work";
	listing.start = 0x401000;
	listing.start_offset = 0x1000;
	return 0;
}

static void expect_before(const char *text, const char *first, const char *second)
{
	const char *at = strstr(text, first);

	assert_contains(text, first);
	if (!strstr(at + strlen(first), second))
		fail_msg("no \"%s\" behind \"%s\" in\n%s", second, first, text);
}

static void test_lines_and_instructions(void **state)
{
	_cleanup_profile_ struct profile *profile = create();
	_cleanup_free_ char *text = write_text(profile, "work", &listing);

	assert_contains(text,
			"work  (app)\n100 samples in its code, 90.9 % of 110; 100 with what it calls\n");
	/* The call that was inlined is where its samples are; the lines around are shown, not all of them. */
	assert_contains(text, "\n    20.0% ±  7.8        20      10  source line 10;\n");
	assert_contains(
		text,
		"\n>   80.0% ±  7.8        80      11  source line 11;   (inlined: twice inline.h:3)\n");
	assert_contains(text, "     9  source line 9;\n");
	assert_contains(text, "    13  source line 13;\n                                 …\n");
	assert_null(strstr(text, "source line 20;"));
	expect_before(text, "…\n", "    28  source line 28;\n");
	assert_contains(text, "    30  source line 30;\n");
	/* Source between the instructions, each time that it changes. */
	expect_before(text, "; app.c:10  source line 10;\n", "401000    pushq  %rbx\n");
	expect_before(text, "pushq", "; inline.h:3  header line 3;   (inlined: twice ← app.c:11)\n");
	assert_contains(text, ">   70.0% ±  8.8        70    401004 •  addl   %eax, %eax\n");
	assert_contains(text, "    10.0% ±  6.0        10    401006  ↑ jne    0x401004\n");
	assert_contains(text, "401008    callq  0x401100 <callee@plt>\n");
	assert_contains(text, "40100d  → jmp    0x402000 <elsewhere>\n");
	expect_before(text, "; no line\n", "40100f    .byte  0x06\n");
	assert_null(strstr(text, "not listed"));
	assert_null(strstr(text, "too long"));
}

static void test_what_is_missing_is_said(void **state)
{
	_cleanup_profile_ struct profile *profile = create();
	_cleanup_free_ char *text = NULL;

	source_is_newer = true;
	text = write_text(profile, "work", &listing);
	assert_contains(text, SOURCE "\n  newer than the binary: lines may be wrong\n");
	free(text);
	source_why = "No such file or directory";
	text = write_text(profile, "work", &listing);
	assert_contains(text, SOURCE "\n  no source: No such file or directory\n");
	assert_contains(text, "\n>   80.0% ±  7.8        80      11   (inlined: twice inline.h:3)\n");
	assert_contains(text, "; app.c:10\n");
	assert_null(strstr(text, "source line"));
	/* Only a part is listed: the first two instructions are before it. */
	free(text);
	listing.start = 0x400000;
	listing.start_offset = 0;
	text = write_text(profile, "work", &listing);
	assert_contains(text, "too long to be listed: only 16 B from 0x401000 on\n");
}

static void test_samples_that_are_not_listed(void **state)
{
	_cleanup_profile_ struct profile *profile = create();
	_cleanup_free_ char *text = NULL;

	sample(profile, FRAME(A, 0x7000), "work", SOURCE, 99, 25);
	text = write_text(profile, "work", &listing);
	assert_contains(text, "20.0% ±  7.0        25          at other places, which are not listed\n");
}

/* Of a function that is inlined into the listed one: its own instructions, its own lines. */
static void test_inlined_function(void **state)
{
	_cleanup_profile_ struct profile *profile = create();
	_cleanup_free_ char *text = NULL;

	sample(profile, FRAME(A, 0x1006), "twice", HEADER, 3, 10);
	text = write_text(profile, "twice", &listing);
	assert_contains(text, HEADER "\n");
	assert_contains(text, "       3  header line 3;\n");
	assert_contains(text, "\ninlined into work, 0x401000 to 0x401010, 16 B: ");
	assert_contains(text, "addl");
	assert_contains(text, "jne");
	assert_null(strstr(text, "pushq"));
	assert_null(strstr(text, "callq"));
}

/* Nothing but what the snapshot knows. */
static void test_without_instructions(void **state)
{
	_cleanup_profile_ struct profile *profile = create();
	_cleanup_free_ char *text = write_text(profile, "work", NULL);

	assert_contains(text, "\n    20.0% ±  7.8        20      10  source line 10;\n");
	assert_contains(text, "\n>   80.0% ±  7.8        80      11  source line 11;\n");
	assert_null(strstr(text, "INSTRUCTION"));
	free(text);
	text = write_text(profile, "json::Parser::next()", NULL);
	assert_contains(text, "no line is known");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_no_such_function),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_addresses_of_inlined_code),
		cmocka_unit_test_setup(test_lines_and_instructions, reset),
		cmocka_unit_test_setup(test_what_is_missing_is_said, reset),
		cmocka_unit_test_setup(test_samples_that_are_not_listed, reset),
		cmocka_unit_test_setup(test_inlined_function, reset),
		cmocka_unit_test_setup(test_without_instructions, reset),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
