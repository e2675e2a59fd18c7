/* Error objects and growable arrays, also when there is no memory. */
#include "base/error.h"

#include "base/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#ifdef __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>

static void test_message(void **state)
{
	struct error *error = error_create(ERROR_PERMISSION, EACCES, "use sudo", "open %s", "/x");

	assert_int_equal(error_get_code(error), ERROR_PERMISSION);
	assert_int_equal(error_get_errno(error), EACCES);
	assert_string_equal(error_get_message(error), "open /x: Permission denied");
	assert_string_equal(error_get_hint(error), "use sudo");
	assert_ptr_equal(error_wrap(error, "process %d", 12), error);
	assert_string_equal(error_get_message(error), "process 12: open /x: Permission denied");
	assert_string_equal(error_get_hint(error), "use sudo");
	error_destroy(error);
}

static void test_no_errno_no_hint(void **state)
{
	struct error *error = error_create(ERROR_USAGE, 0, NULL, "%s", "100 % wrong %n");

	assert_string_equal(error_get_message(error), "100 % wrong %n");
	assert_null(error_get_hint(error));
	error_set_hint(error, "first");
	error_set_hint(error, "second");
	assert_string_equal(error_get_hint(error), "first");
	error_destroy(error);
}

static void test_success(void **state)
{
	assert_null(error_wrap(NULL, "context"));
	assert_null(error_set_hint(NULL, "hint"));
	error_destroy(NULL);
}

/* A message that no memory is left for becomes the static object; it can be wrapped and destroyed. */
static void test_no_memory(void **state)
{
#if defined(__SANITIZE_ADDRESS__)
	print_message("# the sanitizer has its own allocator\n");
	skip();
#else
	size_t size = (size_t)64 << 20;
	char *text = malloc(size);
	struct rlimit limit, none;
	struct error *error;

	assert_non_null(text);
	memset(text, 'x', size - 1);
	text[size - 1] = '\0';
	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	none = (struct rlimit){(rlim_t)100 << 20, limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_AS, &none), 0);
	error = error_create(ERROR_USAGE, ENOENT, text, "%s%s", text, text);
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	assert_non_null(error);
	assert_string_equal(error_get_message(error), "out of memory");
	assert_int_equal(error_get_errno(error), ENOMEM);
	assert_ptr_equal(error_wrap(error, "context"), error);
	error_set_hint(error, "hint");
	assert_null(error_get_hint(error));
	error_destroy(error);
	error_destroy(error);
	free(text);
#endif
}

static void test_array(void **state)
{
	ARRAY(uint32_t)
	array = {0};

	for (uint32_t i = 0; i < 100000; i++)
		assert_true(array_append(&array, i * 3));
	assert_int_equal(array.count, 100000);
	for (uint32_t i = 0; i < 100000; i++)
		assert_int_equal(array.items[i], i * 3);
	assert_true(array.capacity < 200000);
	/* What cannot be is refused, and leaves all as it was. */
	assert_false(array_reserve(&array, SIZE_MAX / 2));
	assert_false(array_reserve(&array, SIZE_MAX));
	assert_int_equal(array.items[99999], 99999 * 3);
	array_deinit(&array);
	assert_null(array.items);
	assert_int_equal(array.capacity, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message), cmocka_unit_test(test_no_errno_no_hint),
		cmocka_unit_test(test_success), cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_array),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
