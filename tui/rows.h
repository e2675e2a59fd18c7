/* The one engine of every list and tree: a cursor that stays on its row by identity, the scroll, sets of keys
 * for folds, and the rule when a live list may change its order.
 *
 * A row is identified by a 64-bit key that the list gives (function number, key of a tree node …). The engine
 * never sees the rows themselves: the list tells how many there are and where a key stands.
 *
 * Invariants: after rows_refresh(), cursor < count (0 when there is none), and the cursor is on the screen.
 * Until the user has moved it (or somebody has put it on a row), the cursor stays on the first row.
 */
#ifndef KILN_TUI_ROWS_H
#define KILN_TUI_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- cursor and scroll ---- */

#define ROWS_NONE SIZE_MAX

struct rows {
	uint64_t key;  /* of the row under the cursor; valid when is_pinned */
	size_t cursor; /* its place */
	size_t top;    /* the first place on the screen */
	size_t count;
	unsigned height; /* rows on the screen, at least 1 */
	bool is_pinned;
};

/* How a list answers. find(): the place of a key or ROWS_NONE; hint: where it was. */
struct rows_list {
	void *arg;
	size_t count;
	uint64_t (*get_key)(void *arg, size_t place);
	size_t (*find)(void *arg, uint64_t key, size_t hint);
};

/* The list has changed, or the screen: finds the row of the cursor again; when it has gone, the cursor stays
 * at its place. */
void rows_refresh(struct rows *rows, const struct rows_list *list, unsigned height);
/* Puts the cursor on a place of the list (the last one when there are fewer). */
void rows_select(struct rows *rows, const struct rows_list *list, size_t place);
/* Puts the cursor on a row that may come with the next refresh. */
void rows_select_key(struct rows *rows, uint64_t key);
/* The keys that move in a list: ↑ ↓ k j g G Home End PgUp PgDn ^U ^D. false: another key. */
bool rows_press(struct rows *rows, const struct rows_list *list, uint32_t key);

/* ---- sets of keys ---- */

/* Zeroed: empty. No key is special. */
struct key_set {
	uint64_t *slots;
	size_t count, capacity; /* capacity: a power of two, or 0 */
	bool has_zero;		/* key 0 is kept here, since a slot of 0 is free */
};

bool key_set_has(const struct key_set *set, uint64_t key);
bool key_set_add(struct key_set *set, uint64_t key); /* false: memory is short, the set is as before */
void key_set_remove(struct key_set *set, uint64_t key);
void key_set_clear(struct key_set *set);
void key_set_deinit(struct key_set *set);

/* ---- order that is stable under the eye ---- */

#define STEADY_RATIO	     1.25 /* beyond that, two neighbours stand clearly wrong … */
#define STEADY_REFRESHES     3	  /* … when they do so for so many refreshes */
#define STEADY_KEY_REFRESHES 5	  /* after a key nothing moves for so many */

struct steady {
	unsigned wrong; /* refreshes in a row in which the order was clearly wrong */
	unsigned quiet; /* refreshes for which the order must not change any more */
	bool now;	/* the user wants it sorted */
};

/* a stands before b: is that clearly wrong? */
static inline bool steady_is_wrong(uint64_t a, uint64_t b)
{
	return (double)b > (double)a * STEADY_RATIO;
}

void steady_press(struct steady *steady); /* a key came */
void steady_sort_now(struct steady *steady);
/* Once a refresh; true: sort now. */
bool steady_refresh(struct steady *steady, bool is_wrong);

/* ---- pace ---- */

#define PACE_WORK 5000 /* items a refresh may read at full pace */

/* How often something costly is made anew: at every refresh while it reads few items, at every n-th when it
 * reads n · PACE_WORK, so that a refresh costs about the same however big the target is. Counted in items,
 * not in time: the same data give the same screens. */
struct pace {
	uint64_t revision;
	size_t work;	 /* items that the last time read; the caller's to count */
	unsigned waited; /* refreshes since then */
};

/* true: make it now, and count the work from 0. */
bool pace_is_due(struct pace *pace, uint64_t revision, bool is_forced);

#endif
