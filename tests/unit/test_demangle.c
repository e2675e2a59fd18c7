/* C++ and Rust names demangled, hostile ones cut and made safe. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "symbolizer/demangle.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char result[NAME_LENGTH_MAX + 1];

static void expect(const char *name, const char *wanted)
{
	size_t length = demangle_name(name, strlen(name), result);

	assert_string_equal(result, wanted);
	assert_int_equal(length, strlen(wanted));
}

static void test_plain(void **state)
{
	expect("main", "main");
	expect("_start", "_start");
	expect("", "");
	expect("_Z", "_Z");
	expect("_R", "_R");
	expect("_ZZZZ", "_ZZZZ");
	expect("quicksort.part.0", "quicksort.part.0");
	expect("lookup.constprop.0.isra.0", "lookup.constprop.0.isra.0");
	expect("parse.cold", "parse.cold");
}

static void test_cplusplus(void **state)
{
	expect("_Z3foov", "foo()");
	expect("_ZN4llvm5Value7getTypeEi", "llvm::Value::getType(int)");
	expect("_ZNSt6vectorIiSaIiEE9push_backERKi",
	       "std::vector<int, std::allocator<int> >::push_back(int const&)");
	expect("_ZN1AC2Ev", "A::A()");
	expect("_ZN12_GLOBAL__N_14workEd", "(anonymous namespace)::work(double)");
	expect("_Z3foov.cold", "foo() [clone .cold]");
}

static void test_rust(void **state)
{
	expect("_ZN4core3fmt5Write9write_fmt17h0123456789abcdefE", "core::fmt::Write::write_fmt");
	expect("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
	       "3bar17h930b740aa94f1d3aE",
	       "<Test + 'static as foo::Bar<Test>>::bar");
	expect("_RNvC6_123foo3bar", "123foo::bar");
	expect("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar");
}

static void test_hostile_text(void **state)
{
	expect("evil\033[2Jname", "evil?[2Jname");
	expect("bell\a\x7f", "bell??");
	expect("c1\xc2\x9b"
	       "31m",
	       "c1?31m");
	expect("bad\xff\xfe", "bad??");
	/* A length inside of a mangled name lets any byte through the demangler. */
	expect("_Z4a\033[bv", "a?[b()");
	assert_int_equal(demangle_name("ab\0cd", 5, result), 5);
	assert_memory_equal(result, "ab?cd", 6);
}

static void test_long_names(void **state)
{
	char *name = malloc(100001);
	size_t length;

	memset(name, 'x', 100000);
	name[100000] = '\0';
	length = demangle_name(name, 100000, result);
	assert_in_range(length, NAME_LENGTH_MAX - 3, NAME_LENGTH_MAX);
	assert_string_equal(result + length - 3, "…");
	/* As long as it may be, and shown whole. */
	length = demangle_name(name, NAME_LENGTH_MAX, result);
	assert_int_equal(length, NAME_LENGTH_MAX);
	assert_int_equal(result[length - 1], 'x');
	/* Longer than libiberty's own limit: templates are. */
	memcpy(name, "_Z3foo", 6);
	memset(name + 6, 'i', 2000);
	length = demangle_name(name, 2006, result);
	assert_int_equal(length,
			 strlen("foo()") + 2000 * 3 + 1999 * 2 > NAME_LENGTH_MAX ? NAME_LENGTH_MAX : 0);
	assert_memory_equal(result, "foo(int, int, ", 14);
	free(name);
}

static void append_substitution(char *name, int number)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";

	if (number == 0)
		strcat(name, "S_");
	else if (number <= 36)
		sprintf(name + strlen(name), "S%c_", digits[number - 1]);
	else
		sprintf(name + strlen(name), "S%c%c_", digits[(number - 1) / 36], digits[(number - 1) % 36]);
}

/* f(a<int, int>, b<a<int, int>, a<int, int>>, …): each argument has the one before twice. 330 bytes of name
 * stand for half a gigabyte of text, and c++filt writes all of it. */
static void test_exploding(void **state)
{
	char name[1000] = "_Z1f1aIiiE";
	size_t length;

	for (int i = 0; i < 27; i++) {
		sprintf(name + strlen(name), "2b%cI", 'a' + i % 26);
		append_substitution(name, 2 * i + 1);
		append_substitution(name, 2 * i + 1);
		strcat(name, "E");
	}
	alarm(10);
	length = demangle_name(name, strlen(name), result);
	alarm(0);
	assert_in_range(length, NAME_LENGTH_MAX - 3, NAME_LENGTH_MAX);
	assert_memory_equal(result, "f(a<int, int>, ba<a<int, int>, a<int, int> >, bb<", 49);
	assert_string_equal(result + length - 3, "…");
}

/* As deep as a name can be: must not need more than the stack of an ordinary process, half of it. */
static void test_deep(void **state)
{
	static const char *const units[] = {"P",    "PK",  "F",	     "A_",  "1aI", "N1a",
					    "DpPK", "M1a", "XadL_Z", "U1a", "Dn",  "St1aI"};
	static char name[5000];

	for (size_t u = 0; u < sizeof(units) / sizeof(units[0]); u++) {
		for (size_t limit = 500; limit <= 4096; limit += 1198) {
			strcpy(name, "_Z1f");
			while (strlen(name) + strlen(units[u]) < limit)
				strcat(name, units[u]);
			assert_true(demangle_name(name, strlen(name), result) > 0);
			name[strlen(name) - 1] = 'i';
			assert_true(demangle_name(name, strlen(name), result) > 0);
			name[1] = 'R';
			assert_true(demangle_name(name, strlen(name), result) > 0);
		}
	}
}

/* Random bytes of the demanglers' alphabets: no crash, bounded, always valid. */
static void test_random(void **state)
{
	static const char alphabet[] = "_ZNRIEKPSTFMvicdsbC0123456789abcSt.$LTGhu";
	char name[400];

	srandom(7);
	for (int round = 0; round < 30000; round++) {
		size_t length = 3 + (size_t)random() % 120;

		for (size_t i = 0; i < length; i++)
			name[i] = alphabet[(size_t)random() % (sizeof(alphabet) - 1)];
		memcpy(name, random() % 3 ? "_ZN" : "_RN", 3);
		assert_true(demangle_name(name, length, result) <= NAME_LENGTH_MAX);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),	   cmocka_unit_test(test_cplusplus),
		cmocka_unit_test(test_rust),	   cmocka_unit_test(test_hostile_text),
		cmocka_unit_test(test_long_names), cmocka_unit_test(test_exploding),
		cmocka_unit_test(test_deep),	   cmocka_unit_test(test_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
