/* A made-up profile for tests and golden screens: an "api-server" that was sampled for 92 s.
 *
 * It goes in the way that a live session's data goes: records of the ring, then names, module by module.
 * Every run and every machine makes the same one. It has about 2,000 samples, 200 functions in 12 files,
 * kernel stacks, recursion, C++ templates, a stripped library, JIT code, idle and busy seconds, and stacks
 * that broke.
 */
#ifndef KILN_TESTS_SUPPORT_FIXTURE_H
#define KILN_TESTS_SUPPORT_FIXTURE_H

#include "profile/profile.h"

struct error *fixture_profile_create(struct profile **ret);

/* The same without names: every function is still "module+0xADDRESS". */
struct error *fixture_profile_create_unnamed(struct profile **ret);
/* Answers everything that the profile wants to be named. */
void fixture_profile_name_all(struct profile *profile);

#endif
