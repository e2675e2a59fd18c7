#include "tui/tree_rows.h"

#include "base/hash.h"

uint64_t tree_rows_light_key(uint64_t parent)
{
	return hash_pair(parent, 0x22ef) | 1ull << 63;
}

bool tree_rows_is_light(const struct tree_rows *rows, uint64_t total)
{
	return (unsigned __int128)total * 1000 < (unsigned __int128)rows->base * rows->limit_permille;
}

static size_t list_children(struct tree *tree, uint64_t key, const struct tree_item **ret)
{
	struct error *error;
	size_t count = 0;

	error = tree_list_children(tree, key, ret, &count);
	error_destroy(error); /* memory is short: the node shows no children */
	return error ? 0 : count;
}

/* ---- building ---- */

/* Goes on while a node has nothing but one child: those before the last one are the run. */
static void follow_run(struct tree_rows *rows, struct tree_row *row)
{
	const struct tree_item *children;

	row->run_first = (uint32_t)rows->run.count;
	if (rows->has_no_runs || (rows->keeps_first && !row->parent))
		return;
	while (row->has_children && row->function != TREE_NO_FUNCTION && row->key != rows->zoom) {
		size_t count = list_children(rows->tree, row->key, &children);

		rows->read += count + 1;
		if (count != 1 || children[0].total != row->total)
			return;
		if (!array_append(&rows->run, (struct tree_link){row->key, row->function}))
			return;
		row->run_count++;
		row->key = children[0].key;
		row->function = children[0].function;
		row->self = children[0].self;
		row->has_children = children[0].has_children;
	}
}

/* The stack of what is still to be shown is popped from its end: the first child goes in last. */
static void reverse_pending(struct tree_rows *rows, size_t first)
{
	size_t last = rows->pending.count;

	for (; first + 1 < last; first++, last--) {
		struct tree_pending moved = rows->pending.items[first];

		rows->pending.items[first] = rows->pending.items[last - 1];
		rows->pending.items[last - 1] = moved;
	}
}

static void add_pending(struct tree_rows *rows, const struct tree_item *item, uint64_t parent, uint32_t depth,
			uint32_t merged)
{
	if (!array_append(&rows->pending, (struct tree_pending){*item, parent, depth, merged}))
		rows->is_short = true;
}

static void add_children(struct tree_rows *rows, const struct tree_row *row)
{
	struct tree_item light = {.key = tree_rows_light_key(row->key), .has_children = true};
	const struct tree_item *children;
	size_t first = rows->pending.count, count = list_children(rows->tree, row->key, &children), i;
	bool shows_light = key_set_has(&rows->open, light.key);
	uint32_t merged = 0, light_count = 0;

	rows->read += count;
	children = siblings_sort(&rows->siblings, children, count, rows->base / 200);
	for (i = 0; i < count; i++)
		light_count += tree_rows_is_light(rows, children[i].total);
	shows_light |= light_count == 1; /* a row for one row saves nothing */
	for (i = 0; i < count; i++) {
		if (shows_light || !tree_rows_is_light(rows, children[i].total)) {
			add_pending(rows, &children[i], row->key, row->depth + 1, 0);
			continue;
		}
		merged++;
		light.total += children[i].total;
		light.self += children[i].self;
		light.function = children[i].function;
	}
	if (merged)
		add_pending(rows, &light, row->key, row->depth + 1, merged);
	reverse_pending(rows, first);
}

static void add_row(struct tree_rows *rows, const struct tree_pending *pending)
{
	struct tree_row row = {
		.key = pending->item.key,
		.parent = pending->parent,
		.function = pending->item.function,
		.merged = pending->merged,
		.depth = pending->depth,
		.total = pending->item.total,
		.self = pending->item.self,
		.has_children = pending->item.has_children,
	};

	if (!row.key)
		row.function = TREE_NO_FUNCTION;
	if (!row.merged)
		follow_run(rows, &row);
	row.is_open = row.has_children && !row.merged &&
		      (row.key == rows->zoom || key_set_has(&rows->open, row.key));
	if (!array_append(&rows->rows, row))
		rows->is_short = true;
	else if (row.is_open)
		add_children(rows, &row);
}

void tree_rows_build(struct tree_rows *rows, uint64_t revision)
{
	struct tree_item root;

	siblings_begin(&rows->siblings, revision);
	rows->rows.count = rows->run.count = rows->pending.count = 0;
	rows->read = 0;
	rows->is_short = false;
	while (!tree_get_item(rows->tree, rows->zoom, &root)) {
		if (!rows->zoom)
			return;
		rows->zoom = tree_get_parent(rows->tree, rows->zoom);
	}
	rows->base = root.total;
	if (!root.total)
		return;
	add_pending(rows, &root, 0, 0, 0);
	while (rows->pending.count) {
		struct tree_pending next = rows->pending.items[--rows->pending.count];

		add_row(rows, &next);
	}
}

void tree_rows_deinit(struct tree_rows *rows)
{
	tree_destroy(rows->tree);
	key_set_deinit(&rows->open);
	siblings_deinit(&rows->siblings);
	array_deinit(&rows->rows);
	array_deinit(&rows->run);
	array_deinit(&rows->pending);
}

/* ---- finding ---- */

static bool has_key(const struct tree_rows *rows, const struct tree_row *row, uint64_t key)
{
	uint32_t i;

	if (row->key == key)
		return true;
	for (i = 0; i < row->run_count; i++)
		if (rows->run.items[row->run_first + i].key == key)
			return true;
	return false;
}

size_t tree_rows_find(const struct tree_rows *rows, uint64_t key, size_t hint)
{
	size_t i;

	if (hint < rows->rows.count && has_key(rows, &rows->rows.items[hint], key))
		return hint;
	for (i = 0; i < rows->rows.count; i++)
		if (has_key(rows, &rows->rows.items[i], key))
			return i;
	return ROWS_NONE;
}

size_t tree_rows_find_parent(const struct tree_rows *rows, size_t place)
{
	size_t i;

	for (i = place; i-- > 0;)
		if (rows->rows.items[i].depth < rows->rows.items[place].depth)
			return i;
	return ROWS_NONE;
}

/* ---- unfolding ---- */

void tree_rows_reveal(struct tree_rows *rows, uint64_t key)
{
	struct tree_item item;

	while (key && key != rows->zoom) {
		uint64_t parent = tree_get_parent(rows->tree, key);

		if (tree_get_item(rows->tree, key, &item) && tree_rows_is_light(rows, item.total))
			key_set_add(&rows->open, tree_rows_light_key(parent));
		key_set_add(&rows->open, parent);
		key = parent;
	}
}

void tree_rows_open_heavy(struct tree_rows *rows, uint64_t key, uint64_t least)
{
	ARRAY(uint64_t)
	keys = {0};
	const struct tree_item *children;
	bool ok = array_append(&keys, key);
	size_t i, count;

	while (ok && keys.count) {
		key = keys.items[--keys.count];
		ok = key_set_add(&rows->open, key);
		count = list_children(rows->tree, key, &children);
		for (i = 0; i < count && ok; i++)
			if (children[i].has_children && children[i].total >= least)
				ok = array_append(&keys, children[i].key);
	}
	array_deinit(&keys);
}

void tree_rows_open_all(struct tree_rows *rows, uint64_t key)
{
	uint64_t least = rows->base * rows->limit_permille / 1000;

	tree_rows_open_heavy(rows, key, least ? least : 1);
}

uint64_t tree_find_hottest_leaf(struct tree *tree, uint64_t key)
{
	const struct tree_item *children;
	struct tree_item item;

	while (tree_get_item(tree, key, &item) && list_children(tree, key, &children) &&
	       children[0].total > item.self)
		key = children[0].key;
	return key;
}
