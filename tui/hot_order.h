/* The order in which functions are shown: the profile's own (by self, or the first of it by total), held
 * still between refreshes until it is clearly wrong (rows.h: struct steady).
 *
 * Only the places that were asked for are held: those on the screen and above. Cost of a refresh:
 * proportional to them; by total or value, every tenth refresh reads those of all functions once.
 */
#ifndef KILN_TUI_HOT_ORDER_H
#define KILN_TUI_HOT_ORDER_H

#include "base/array.h"
#include "profile/profile.h"
#include "tui/rows.h"

enum hot_sort { HOT_BY_SELF, HOT_BY_TOTAL, HOT_BY_VALUE };

struct hot_order {
	const struct profile *profile;
	enum hot_sort sort;
	bool has_only_self; /* functions without self are not in the list */
	/* HOT_BY_VALUE: what it is sorted by. */
	uint64_t (*read_value)(void *arg, uint32_t function);
	void *read_value_arg;
	ARRAY(uint32_t)
	shown;
	ARRAY(uint32_t)
	ranked; /* by total: the first places now */
	struct steady steady;
	uint64_t revision;
	uint32_t count;	    /* functions with samples */
	unsigned age;	    /* refreshes since ranked was made */
	unsigned unchecked; /* refreshes since the order was compared with what it should be */
	bool is_valid;	    /* shown has been sorted once */
};

/* Once a drawing: at least the first `wanted` places are right afterwards. */
void hot_order_refresh(struct hot_order *order, size_t wanted);
void hot_order_set_sort(struct hot_order *order, enum hot_sort sort);
/* The function at a place < count; places are added as they are asked for. UINT32_MAX when memory is short.
 */
uint32_t hot_order_get(struct hot_order *order, size_t place);
/* The place of a function, ROWS_NONE when it has no samples. */
size_t hot_order_find(struct hot_order *order, uint32_t function);
void hot_order_deinit(struct hot_order *order);

/* How many functions are in the list. */
uint32_t hot_order_count(const struct hot_order *order);

#endif
