/* The order in which siblings of a live tree are shown: by weight at first, then as they stood, new ones
 * behind, until they stand clearly wrong (rows.h: struct steady). Shared by the call tree and the flame.
 *
 * Use: siblings_begin() once a drawing, siblings_sort() for every list of children that is shown.
 */
#ifndef KILN_TUI_SIBLINGS_H
#define KILN_TUI_SIBLINGS_H

#include "base/array.h"
#include "profile/tree.h"
#include "tui/rows.h"

/* Where each key stood. */
struct places {
	struct place {
		uint64_t key;
		uint32_t place; /* from 1; 0: a free slot */
	} * slots;
	size_t count, capacity;
};

struct siblings {
	struct places before, now;
	ARRAY(struct tree_item)
	items; /* the list that was sorted last */
	struct steady steady;
	uint64_t revision;
	bool is_wrong;	/* seen so far in this drawing */
	bool sorts;	/* this drawing puts right what is wrong */
	bool sorts_all; /* … and everything else: the user asked for it */
};

/* revision: of the profile; only a new one counts as a refresh. */
void siblings_begin(struct siblings *siblings, uint64_t revision);
/* Copies and orders; the result lives until the next call. floor: lighter ones never count as wrong. When
 * memory is short the list comes back in the order that it had. */
const struct tree_item *siblings_sort(struct siblings *siblings, const struct tree_item *items, size_t count,
				      uint64_t floor);
void siblings_deinit(struct siblings *siblings);

#endif
