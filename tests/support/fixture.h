/* A made-up profile for tests and golden screens: an "api-server" that was sampled for 92 s.
 *
 * It goes in the way that a live session's data goes: records of the ring, then names, module by module.
 * Every run and every machine makes the same one. It has about 2,000 samples, 200 functions in 12 files,
 * kernel stacks, recursion, C++ templates, a stripped library, JIT code, idle and busy seconds, and stacks
 * that broke.
 */
#ifndef KILN_TESTS_SUPPORT_FIXTURE_H
#define KILN_TESTS_SUPPORT_FIXTURE_H

#include "profile/heap.h"
#include "profile/profile.h"

struct error *fixture_profile_create(struct profile **ret);

/* The same without names: every function is still "module+0xADDRESS". */
struct error *fixture_profile_create_unnamed(struct profile **ret);
/* Answers everything that the profile wants to be named. */
void fixture_profile_name_all(struct profile *profile);

/* Gives a profile of the fixture the heap of the same 92 s: a dozen sites, 702 MiB of RSS from before, a peak
 * at 1:15. Counters and stacks come in the way of a live session's; names that the profile has are there,
 * others are answered by fixture_profile_name_all(). The books close to the byte. */
struct error *fixture_add_heap(struct profile *profile);
/* Facts of a heap that is not measured, or was only until a moment: the header and empty screens. */
struct error *fixture_add_heap_closed(struct profile *profile, enum heap_mode mode, const char *why);

#endif
