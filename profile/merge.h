/* Keeps the trie of stacks from growing for ever: when it is full, what is rare is merged.
 *
 * A program like a compiler makes a new stack with nearly every sample. When the trie has reached its limit,
 * the subtrees with the fewest samples lose their middle: the stack goes on from its last common caller to
 * "[merged]", and from there to its leaf. Leaves of one function that then hang side by side become one: not
 * an address any more, but "somewhere in this function" (stacks_intern_somewhere()), with its file and no
 * line. So the samples and the self of every function stay exact, as do the totals of all callers that are
 * common; what is lost is counted as the total of "[merged]". A leaf whose name has not come stays an address
 * until the next time.
 * Of a broken stack that keeps nothing but its root, "[merged]" says in its offset, plus one, in which module
 * the walk ended (spoilers.h).
 *
 * With the nodes go the frames that no stack has any more, whether they were asked for or not, and the
 * provisional functions that are empty: their places are used again.
 * Invariants: what is common keeps its order and its addresses, parents stay before children; numbers of
 * stacks and frames change. Errors: without memory nothing is merged, and it is tried again later.
 */
#ifndef KILN_PROFILE_MERGE_H
#define KILN_PROFILE_MERGE_H

struct profile;

/* Nodes of the trie. A node costs at most 370 bytes with its leaf, frame, place in the call tree and
 * provisional function, 190 where frames are shared: together at most 6 MiB. To that the model adds a log of
 * 7 MiB (log.h), a timeline of 1.6 MiB, and for each function of the target that was ever seen some 150 bytes
 * and its name. That is the bound. A quarter of the limit is free after a merge: beside clang++ with 75
 * frames a stack that lasts some 7 s at 99 Hz. Memory that stays flat beside such a target chose the number:
 * with half as much again it grew by 5 MiB in ten minutes, and a merge took 6 ms.
 */
#define MERGE_LIMIT (1u << 14)

/* To be called between two samples, when the trie has reached its limit. Nobody may hold the number of a
 * stack.
 */
void merge_rare_stacks(struct profile *profile);

#endif
