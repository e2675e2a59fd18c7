/* Who spoils stacks: per module and reason, how many samples have a stack that ends there without its root,
 * and what would mend it.
 *
 * The module is the one of the last frame that was walked: it has no table, or its rule led astray. In the
 * trie that is the frame next to the root. The sums are kept up to date as stacks are settled, so that nobody
 * walks over them to ask. Where a merge (merge.h) takes that frame away, what stands for it still says the
 * module. Invariants: for each reason, Σ samples over all modules = the samples that ended so. Truncated
 * stacks are not spoiled: they are deeper than a record. Errors: when memory is short, the module is counted
 * as not known.
 */
#ifndef KILN_PROFILE_SPOILERS_H
#define KILN_PROFILE_SPOILERS_H

#include "profile/profile.h"

struct spoiler {
	uint32_t module; /* MODULE_MERGED: not known */
	enum stack_end reason;
	uint64_t samples; /* more than 0 */
};

/* Settles. How many there are; then they are numbered from 0, most samples first. */
size_t profile_count_spoilers(const struct profile *profile);
struct spoiler profile_get_spoiler(const struct profile *profile, size_t rank);
/* Settles. The samples that a module has spoiled in one way. */
uint64_t profile_get_spoiled(const struct profile *profile, uint32_t module, enum stack_end reason);

/* "libvendor.so", "[not known]". */
const char *spoiler_get_name(const struct profile *profile, const struct spoiler *spoiler);
/* What is the matter, and what would mend it, in a few words each: "no unwind table", "build it without …".
 */
const char *stack_end_get_problem(enum stack_end reason);
const char *stack_end_get_remedy(enum stack_end reason);

#endif
