/* Profiles with known answers: stacks are strings of letters, root first; 'a' is the function "fa" of the
 * module x. */
#ifndef KILN_TESTS_LETTERS_H
#define KILN_TESTS_LETTERS_H

#include "profile/profile.h"

/* Replaces the profile by an empty one that knows all letters. */
void letters_make_profile(struct profile **profile);
void letters_add_stack(struct profile *profile, const char *letters, uint64_t count);

#endif
