/* Whether two profiles show the same: everything that a view, a report or a snapshot can read of them. */
#ifndef KILN_TESTS_SUPPORT_PROFILE_EQUAL_H
#define KILN_TESTS_SUPPORT_PROFILE_EQUAL_H

#include "profile/profile.h"

#include <stdbool.h>
#include <stdio.h>

/* Says on `why` what differs first (NULL: nobody cares). */
bool profile_equal(struct profile *a, struct profile *b, FILE *why);

#endif
