/* The sums of spoilers.h, for the files of profile/ that keep them. */
#ifndef KILN_PROFILE_SPOILERS_INTERNAL_H
#define KILN_PROFILE_SPOILERS_INTERNAL_H

#include "base/array.h"
#include "profile/index.h"
#include "profile/spoilers.h"

struct spoilers {
	struct index index; /* place + 1 */
	ARRAY(struct spoiler)
	items; /* the first STACK_ENDS: by reason, of no known module */
	ARRAY(uint32_t)
	order; /* places of those that have samples; most first while is_sorted */
	bool is_sorted;
	bool is_short; /* memory was: what has no place by now never gets one, so that what is added somewhere
			  is taken from there */
};

bool spoilers_init(struct spoilers *spoilers);
void spoilers_deinit(struct spoilers *spoilers);
/* Samples end in a node of the trie; modulo 2^64: weights may go down. */
void spoilers_count(struct profile *profile, uint32_t node, uint64_t samples);

/* Next to the root of a broken stack: what stands for a frame whose stack is merged. */
uint64_t spoilers_make_merged(uint64_t frame);

#endif
