/* Keeps the trie of stacks from growing for ever: when it is full, what is rare is merged.
 *
 * A program like a compiler makes a new stack with nearly every sample. When the trie has reached its limit,
 * the subtrees with the fewest samples lose their middle: the stack goes on from its last common caller to
 * "[merged]", and from there to its leaf. So the samples and the self of every function stay exact, as do
 * the totals of all callers that are common; what is lost is counted as the total of "[merged]".
 *
 * Invariants: what is common keeps its order, parents stay before children; numbers of stacks change. Errors:
 * without memory nothing is merged, and it is tried again later.
 */
#ifndef KILN_PROFILE_MERGE_H
#define KILN_PROFILE_MERGE_H

struct profile;

/* Nodes of the trie; some 150 bytes each with all that hangs on them, so 10 MiB: the plateau of a target that
 * never repeats itself. clang++ with 75 frames a stack fills them in about five minutes at 99 Hz. Merging
 * half of twice as many took 50 ms. */
#define MERGE_LIMIT (1u << 16)

/* To be called between two samples, when the trie has reached profile->stacks.limit. Nobody may hold the
 * number of a stack. */
void merge_rare_stacks(struct profile *profile);

#endif
