#include "tui/rows.h"

#include "base/hash.h"
#include "tui/view.h"

#include <stdlib.h>

/* ---- cursor and scroll ---- */

static void scroll_to_cursor(struct rows *rows)
{
	if (rows->cursor < rows->top)
		rows->top = rows->cursor;
	if (rows->cursor - rows->top >= rows->height)
		rows->top = rows->cursor - rows->height + 1;
	if (rows->top &&
	    rows->top + rows->height > rows->count) /* no blank rows while there are more above */
		rows->top = rows->count > rows->height ? rows->count - rows->height : 0;
}

void rows_refresh(struct rows *rows, const struct rows_list *list, unsigned height)
{
	size_t place = 0;

	rows->count = list->count;
	rows->height = height ? height : 1;
	if (rows->is_pinned && list->count) {
		place = list->find(list->arg, rows->key, rows->cursor);
		if (place == ROWS_NONE)
			place = rows->cursor < list->count ? rows->cursor : list->count - 1;
		rows->key = list->get_key(list->arg, place);
	}
	rows->cursor = place;
	scroll_to_cursor(rows);
}

void rows_select(struct rows *rows, const struct rows_list *list, size_t place)
{
	if (!list->count)
		return;
	rows->count = list->count;
	rows->cursor = place < list->count ? place : list->count - 1;
	rows->key = list->get_key(list->arg, rows->cursor);
	rows->is_pinned = true;
	if (!rows->height)
		rows->height = 1;
	scroll_to_cursor(rows);
}

void rows_select_key(struct rows *rows, uint64_t key)
{
	rows->key = key;
	rows->is_pinned = true;
}

static size_t move_by(const struct rows *rows, size_t distance, bool is_down)
{
	size_t last = rows->count ? rows->count - 1 : 0;

	if (is_down)
		return distance < last - rows->cursor ? rows->cursor + distance : last;
	return distance < rows->cursor ? rows->cursor - distance : 0;
}

bool rows_press(struct rows *rows, const struct rows_list *list, uint32_t key)
{
	size_t page = rows->height > 1 ? rows->height - 1 : 1, half = rows->height > 2 ? rows->height / 2 : 1;
	size_t place;

	rows->count = list->count;
	if (rows->cursor >= rows->count)
		rows->cursor = rows->count ? rows->count - 1 : 0;
	switch (key) {
	case KEY_CODE_UP:
	case 'k':
		place = move_by(rows, 1, false);
		break;
	case KEY_CODE_DOWN:
	case 'j':
		place = move_by(rows, 1, true);
		break;
	case KEY_CODE_PAGE_UP:
		place = move_by(rows, page, false);
		break;
	case KEY_CODE_PAGE_DOWN:
		place = move_by(rows, page, true);
		break;
	case KEY_CODE_CTRL('U'):
		place = move_by(rows, half, false);
		break;
	case KEY_CODE_CTRL('D'):
		place = move_by(rows, half, true);
		break;
	case KEY_CODE_HOME:
	case 'g':
		place = 0;
		break;
	case KEY_CODE_END:
	case 'G':
		place = move_by(rows, rows->count, true);
		break;
	default:
		return false;
	}
	rows_select(rows, list, place);
	return true;
}

/* ---- sets of keys: open addressing, at most half full ---- */

static size_t find_slot(const struct key_set *set, uint64_t key)
{
	size_t mask = set->capacity - 1, slot = hash_u64(key) & mask;

	while (set->slots[slot] && set->slots[slot] != key)
		slot = (slot + 1) & mask;
	return slot;
}

bool key_set_has(const struct key_set *set, uint64_t key)
{
	if (!key)
		return set->has_zero;
	return set->capacity && set->slots[find_slot(set, key)] == key;
}

static bool grow(struct key_set *set)
{
	struct key_set bigger = *set;
	size_t i;

	bigger.capacity = set->capacity ? set->capacity * 2 : 32;
	bigger.slots = calloc(bigger.capacity, sizeof(*bigger.slots));
	if (!bigger.slots)
		return false;
	for (i = 0; i < set->capacity; i++)
		if (set->slots[i])
			bigger.slots[find_slot(&bigger, set->slots[i])] = set->slots[i];
	free(set->slots);
	*set = bigger;
	return true;
}

bool key_set_add(struct key_set *set, uint64_t key)
{
	size_t slot;

	if (!key)
		return set->has_zero = true;
	if (set->count * 2 >= set->capacity && !grow(set))
		return false;
	slot = find_slot(set, key);
	set->count += set->slots[slot] != key;
	set->slots[slot] = key;
	return true;
}

void key_set_remove(struct key_set *set, uint64_t key)
{
	size_t mask = set->capacity - 1, hole, next;

	if (!key) {
		set->has_zero = false;
		return;
	}
	if (!key_set_has(set, key))
		return;
	hole = find_slot(set, key);
	set->slots[hole] = 0;
	set->count--;
	/* What stood behind the hole may have been pushed there by it: put each in again until a free slot.
	 */
	for (next = (hole + 1) & mask; set->slots[next]; next = (next + 1) & mask) {
		uint64_t moved = set->slots[next];

		set->slots[next] = 0;
		set->slots[find_slot(set, moved)] = moved;
	}
}

void key_set_clear(struct key_set *set)
{
	key_set_deinit(set);
}

void key_set_deinit(struct key_set *set)
{
	free(set->slots);
	*set = (struct key_set){0};
}

/* ---- order ---- */

void steady_press(struct steady *steady)
{
	steady->quiet = STEADY_KEY_REFRESHES;
}

void steady_sort_now(struct steady *steady)
{
	steady->now = true;
}

bool steady_refresh(struct steady *steady, bool is_wrong)
{
	bool is_quiet = steady->quiet > 0;

	if (is_quiet)
		steady->quiet--;
	steady->wrong = is_wrong ? steady->wrong + 1 : 0;
	if (!steady->now && (is_quiet || steady->wrong < STEADY_REFRESHES))
		return false;
	steady->wrong = 0;
	steady->now = false;
	return true;
}

/* ---- pace ---- */

bool pace_is_due(struct pace *pace, uint64_t revision, bool is_forced)
{
	if (revision == pace->revision && !is_forced)
		return false;
	pace->revision = revision;
	if (++pace->waited <= pace->work / PACE_WORK && !is_forced)
		return false;
	pace->waited = 0;
	pace->work = 0;
	return true;
}
