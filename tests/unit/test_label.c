#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "tui/canvas.h"
#include "tui/label.h"

#include <stdlib.h>
#include <string.h>

static void assert_label(const char *name, unsigned cells, const char *wanted)
{
	char label[LABEL_MAX];
	unsigned used = label_fit(name, cells, label, sizeof(label));

	assert_string_equal(label, wanted);
	assert_int_equal(used, canvas_text_width(label));
}

static void test_arguments_go_first(void **state)
{
	const char *name = "Router::dispatch(Request&) const";

	assert_label(name, 32, "Router::dispatch(Request&) const");
	assert_label(name, 31, "Router::dispatch(…) const");
	assert_label(name, 24, "Router::dispatch");
	assert_label("json::Parser::next()", 19, "json::Parser::next");
	assert_label("f(int (*)(char), long) [clone .cold]", 20, "f(…) [clone .cold]");
	assert_label("f(int (*)(char), long) [clone .cold]", 10, "f");
}

static void test_then_templates(void **state)
{
	const char *name = "std::map<int, std::vector<char> >::find(int const&)";

	assert_label(name, 50, "std::map<int, std::vector<char> >::find(…)");
	assert_label(name, 41, "std::map<int, std::vector<char> >::find");
	assert_label(name, 38, "std::map<…>::find");
	assert_label(name, 16, "std::map::find");
	assert_label(name, 13, "map::find");
	assert_label(name, 8, "find");
}

static void test_then_the_left_part_and_last_the_end(void **state)
{
	const char *name = "Cache::lookup(Key const&)";

	assert_label(name, 12, "lookup");
	assert_label(name, 6, "lookup");
	assert_label(name, 5, "look…");
	assert_label(name, 2, "l…");
	assert_label(name, 1, "l");
	assert_label(name, 0, "");
	assert_label("void api::run<int>(int)", 12, "api::run");
	assert_label("__memmove_avx_unaligned_erms", 12, "__memmove_a…");
}

static void test_brackets_that_are_part_of_the_name(void **state)
{
	assert_label("(anonymous namespace)::parse(char const*)", 40, "(anonymous namespace)::parse(…)");
	assert_label("(anonymous namespace)::parse(char const*)", 6, "parse");
	assert_label("Less::operator()(int, int) const", 17, "Less::operator()");
	assert_label("std::operator<< <char>(std::ostream&, char)", 18, "std::operator<<");
	assert_label("operator()<api::Reply>(api::Reply&&) const [clone .constprop.0]", 21, "operator()<…>");
	assert_label("Smart::operator->() const", 20, "Smart::operator->");
	assert_label("net/http.(*conn).serve", 18, "http.(*conn).serve");
	assert_label("run(int)::{lambda(char, long)#1}::operator()(char, long) const", 40,
		     "run::{lambda#1}::operator()");
	assert_label("run(int)::{lambda(char, long)#1}::operator()(char, long) const", 20, "operator()");
	assert_label("<alloc::vec::Vec<T> as core::ops::Drop>::drop", 10, "<…>::drop");
	assert_label("<alloc::vec::Vec<T> as core::ops::Drop>::drop", 8, "drop");
	assert_label("core::ptr::drop_in_place<alloc::string::String>", 30, "core::ptr::drop_in_place<…>");
	assert_label("operator new(unsigned long)", 12, "operator new");
	assert_label("[no stack: unwinder stopped]", 12, "[no stack: …");
}

static void test_code_without_a_symbol_keeps_its_offset(void **state)
{
	assert_label("libvendor.so+0x1b41b", 20, "libvendor.so+0x1b41b");
	assert_label("libvendor.so+0x1b41b", 14, "libve…+0x1b41b");
	assert_label("libvendor.so+0x1b41b", 10, "l…+0x1b41b");
	assert_label("libvendor.so+0x1b41b", 9, "libvendo…");
}

static void test_odd_names(void **state)
{
	assert_label("", 5, "");
	assert_label("f((((((((((((", 5, "f(((…");
	assert_label(")))>>>", 3, "))…");
	assert_label("a<b<c", 4, "a<b…");
	assert_label("::", 1, ":");
	assert_label("日本語の関数", 5, "日本…");
	assert_label("日本語の関数", 1, "");
	assert_label("日本語の関数", 2, "");
	assert_label("\xff\xfe\xfd", 2, "\xff…");
}

/* Whatever a target calls its functions. */
static void test_random_names(void **state)
{
	static const char *const pieces[] = {"a", "operator", "::", "<", ">",  "(",   ")", "{", "}",
					     "[", "]",	      " ",  "…", "日", "+0x", "/", "*", "~"};
	char name[256], label[LABEL_MAX];
	unsigned round, i, cells;

	srandom(7);
	for (round = 0; round < 20000; round++) {
		name[0] = '\0';
		for (i = random() % 12 + 1; i; i--)
			strcat(name, pieces[random() % (sizeof(pieces) / sizeof(pieces[0]))]);
		cells = random() % 20;
		i = label_fit(name, cells, label, sizeof(label));
		assert_true(i <= cells);
		assert_int_equal(i, canvas_text_width(label));
		if (strcmp(name, "…"))
			assert_true(strcmp(label, "…") || !strncmp(name, "…", 3) || strstr(name, "…"));
		if (cells > 2)
			assert_true(i > 0);
	}
}

static void test_small_buffers(void **state)
{
	char label[8];

	assert_int_equal(label_fit("abcdefghijkl", 12, label, sizeof(label)), 0);
	assert_string_equal(label, "");
	assert_int_equal(label_fit("abc", 3, label, 0), 0);
	assert_int_equal(label_fit("abc", 3, label, sizeof(label)), 3);
}

static void test_a_name_of_the_greatest_length(void **state)
{
	char name[4097], label[LABEL_MAX];

	memset(name, 'x', sizeof(name) - 1);
	name[4096] = '\0';
	assert_int_equal(label_fit(name, 30, label, sizeof(label)), 30);
	assert_int_equal(label_fit(name, 5000, label, sizeof(label)), 4096);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arguments_go_first),
		cmocka_unit_test(test_then_templates),
		cmocka_unit_test(test_then_the_left_part_and_last_the_end),
		cmocka_unit_test(test_brackets_that_are_part_of_the_name),
		cmocka_unit_test(test_code_without_a_symbol_keeps_its_offset),
		cmocka_unit_test(test_odd_names),
		cmocka_unit_test(test_random_names),
		cmocka_unit_test(test_small_buffers),
		cmocka_unit_test(test_a_name_of_the_greatest_length),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
