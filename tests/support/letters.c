#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/letters.h"

void letters_make_profile(struct profile **ret)
{
	struct profile *profile;
	const char *file = "x.c";
	char letter, name[3] = "fa";

	profile_destroy(*ret);
	assert_null(profile_create(ret));
	profile = *ret;
	assert_null(profile_set_module(profile, MODULE_FIRST_FILE, MODULE_KIND_FILE, "/bin/x"));
	for (letter = 'a'; letter <= 'z'; letter++) {
		name[1] = letter;
		profile_set_frame(profile, FRAME(MODULE_FIRST_FILE, letter),
				  profile_intern_function(profile, MODULE_FIRST_FILE, name), file, letter);
	}
}

void letters_add_stack(struct profile *profile, const char *letters, uint64_t count)
{
	uint32_t stack = 0;

	for (; *letters; letters++)
		stack = profile_intern_stack(profile, stack, FRAME(MODULE_FIRST_FILE, *letters));
	profile_add_samples(profile, stack, 1000000000, 1, 0, SAMPLE_USER, STACK_COMPLETE, count);
}
