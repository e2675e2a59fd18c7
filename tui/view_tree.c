/* Screen 3: the call tree, top-down or bottom-up. Each direction has folds, zoom and cursor of its own. */
#include "tui/code_text.h"
#include "tui/format.h"
#include "tui/label.h"
#include "tui/metric.h"
#include "tui/tree_rows.h"
#include "tui/view.h"

#include <stdlib.h>
#include <string.h>

static const unsigned limits_permille[] = {5, 10, 50, 0, 1}; /* what L goes through */

struct tree_side {
	struct tree_rows rows;
	struct rows cursor;
	struct pace pace;
	uint64_t
		looked_at; /* samples when the first look was unfolded; UINT64_MAX: the user has taken over */
};

struct tree_view {
	struct view view;
	struct tree_side sides[2];
	enum tree_direction direction;
	struct hits hits;
	unsigned limit; /* in limits_permille */
	unsigned width; /* of the last drawing */
	uint64_t all;
	/* Opened from the memory screen on a function's stacks: Esc goes back there. */
	bool returns_to_memory;
	uint64_t opened; /* the zoom that it was opened with */
	unsigned metric; /* that it showed last */
};

/* ---- life ---- */

static void destroy(struct view *view)
{
	struct tree_view *tree = (struct tree_view *)view;

	if (!tree)
		return;
	tree_rows_deinit(&tree->sides[0].rows);
	tree_rows_deinit(&tree->sides[1].rows);
	hits_deinit(&tree->hits);
	free(tree);
}

static struct error *create(struct view_context *context, struct view **ret)
{
	struct tree_view *tree = calloc(1, sizeof(*tree));
	struct error *error;
	int i;

	if (!tree)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	tree->view = (struct view){&view_tree, context};
	for (i = 0; i < 2; i++) {
		enum tree_direction direction = i ? TREE_BOTTOM_UP : TREE_TOP_DOWN;

		tree->sides[i].rows.keeps_first = direction == TREE_BOTTOM_UP;
		error = tree_create(metric_get_profile(context), direction, &tree->sides[i].rows.tree);
		if (error) {
			destroy(&tree->view);
			return error;
		}
	}
	*ret = &tree->view;
	return NULL;
}

static struct tree_side *get_side(struct tree_view *tree)
{
	return &tree->sides[tree->direction == TREE_BOTTOM_UP];
}

static struct profile *get_profile(struct tree_view *tree)
{
	return metric_get_profile(tree->view.context);
}

/* ---- the list ---- */

static uint64_t get_key(void *arg, size_t place)
{
	struct tree_rows *rows = arg;

	return rows->rows.items[place].key;
}

static size_t find_key(void *arg, uint64_t key, size_t hint)
{
	return tree_rows_find(arg, key, hint);
}

static struct rows_list get_list(struct tree_side *side)
{
	return (struct rows_list){&side->rows, side->rows.rows.count, get_key, find_key};
}

/* Until the user touches the tree, what holds a fifth of all is unfolded; looked at again when the samples
 * have doubled, since the first few say little. */
static void look_first(struct tree_view *tree, struct tree_side *side)
{
	if (side->looked_at == UINT64_MAX || tree->all < side->looked_at * 2 || !tree->all)
		return;
	side->looked_at = tree->all;
	steady_sort_now(&side->rows.siblings.steady);
	key_set_clear(&side->rows.open);
	tree_rows_open_heavy(&side->rows, 0,
			     tree->direction == TREE_TOP_DOWN ? tree->all / 5 + 1 : tree->all);
}

/* is_forced: a key may have changed what is shown. */
static void rebuild(struct tree_view *tree, unsigned height, bool is_forced)
{
	uint64_t revision = profile_get_revision(get_profile(tree));
	struct tree_side *side = get_side(tree);
	struct rows_list list;
	struct totals totals;

	if (pace_is_due(&side->pace, revision, is_forced || !side->rows.base)) {
		profile_get_totals(get_profile(tree), &totals);
		tree->all = totals.samples;
		side->rows.limit_permille = limits_permille[tree->limit];
		look_first(tree, side);
		tree_rows_build(&side->rows, revision);
		side->pace.work = side->rows.read;
	}
	list = get_list(side);
	rows_refresh(&side->cursor, &list, height);
}

static const struct tree_row *get_selected(struct tree_view *tree)
{
	struct tree_side *side = get_side(tree);

	return side->cursor.cursor < side->rows.rows.count ? &side->rows.rows.items[side->cursor.cursor]
							   : NULL;
}

/* ---- drawing ---- */

#define MARKER 2

struct columns {
	unsigned total, self, samples, path;
};

static struct columns lay_out(unsigned width)
{
	struct columns columns = {7, 8, 10, 0};

	if (width < 70)
		columns.self = columns.samples = 0;
	columns.path = MARKER + columns.total + columns.self + columns.samples + 2;
	if (width < columns.path + 8) { /* very narrow: the path alone */
		columns.total = 0;
		columns.path = MARKER;
	}
	return columns;
}

static const char *get_light_word(const struct tree_view *tree, const struct tree_row *row)
{
	if (row->depth <= 1 && !row->parent)
		return "functions";
	return tree->direction == TREE_TOP_DOWN ? "callees" : "callers";
}

static void write_function(struct tree_view *tree, uint32_t number, char *ret, size_t capacity)
{
	struct source_status status;
	struct function function;

	if (number == TREE_NO_FUNCTION) {
		tree->view.context->source->ops->get_status(tree->view.context->source, &status);
		snprintf(ret, capacity, "%s", status.target && status.target[0] ? status.target : "all");
		return;
	}
	function = profile_get_function(get_profile(tree), number);
	code_write_name(&function, ret, capacity);
}

/* Draws one name of a row; returns the cells used. */
static unsigned draw_name(struct tree_view *tree, struct canvas *canvas, unsigned x, unsigned row,
			  unsigned width, uint32_t function)
{
	char name[CODE_NAME_MAX], label[LABEL_MAX];
	uint16_t style = STYLE_NORMAL;

	write_function(tree, function, name, sizeof(name));
	label_fit(name, width, label, sizeof(label));
	if (function == TREE_NO_FUNCTION)
		style = STYLE_BOLD;
	else if (hits_has(&tree->hits, tree->view.context, function))
		style = STYLE_MATCH;
	return canvas_text(canvas, x, row, width, style, label);
}

static unsigned measure_name(struct tree_view *tree, uint32_t function)
{
	char name[CODE_NAME_MAX];

	write_function(tree, function, name, sizeof(name));
	return canvas_text_width(name);
}

/* "start_thread › worker_main › Pool::run (3 frames folded)": when there is no room, the middle goes first.
 */
static void draw_path(struct tree_view *tree, struct canvas *canvas, unsigned x, unsigned y, unsigned width,
		      const struct tree_row *row)
{
	const struct tree_link *run = &get_side(tree)->rows.run.items[row->run_first];
	unsigned last = measure_name(tree, row->function), used = 0;
	char note[48];
	uint32_t i;

	/* The last name gets what it needs, at most half of the room; those before it stand in what is left.
	 */
	if (row->run_count && last > width / 2)
		last = width / 2;
	for (i = 0; i < row->run_count; i++) {
		unsigned wanted = measure_name(tree, run[i].function), left = width - used - last;
		bool fits = wanted + 3 + (i + 1 < row->run_count ? 4 : 0) <= left;

		if (!fits && i == 0 && left > 12) {
			wanted = left - 3 - (row->run_count > 1 ? 4 : 0);
			fits = true;
		}
		if (fits) {
			used += draw_name(tree, canvas, x + used, y, wanted, run[i].function);
			used += canvas_text(canvas, x + used, y, 3, STYLE_DIM, " › ");
			continue;
		}
		used += canvas_text(canvas, x + used, y, left < 4 ? left : 4, STYLE_DIM, "… › ");
		break;
	}
	used += draw_name(tree, canvas, x + used, y, width - used, row->function);
	snprintf(note, sizeof(note), "  (%u frames)", row->run_count + 1);
	if (row->run_count && used + strlen(note) <= width)
		canvas_text(canvas, x + used, y, width - used, STYLE_DIM, note);
}

static void draw_numbers(struct tree_view *tree, struct canvas *canvas, struct rectangle area, unsigned y,
			 struct columns columns, const struct tree_row *row)
{
	unsigned x = area.column + MARKER;
	char text[FORMAT_MAX];

	if (!columns.total)
		return;
	canvas_text_right(canvas, x, y, columns.total, STYLE_NORMAL,
			  format_share(row->total, tree->all, text));
	x += columns.total;
	if (columns.self)
		canvas_text_right(canvas, x, y, columns.self, row->self ? STYLE_NORMAL : STYLE_DIM,
				  format_share(row->self, tree->all, text));
	x += columns.self;
	if (columns.samples)
		canvas_text_right(canvas, x, y, columns.samples, STYLE_DIM,
				  metric_format(tree->view.context->metric, row->total, text));
}

static void draw_row(struct tree_view *tree, struct canvas *canvas, struct rectangle area, unsigned y,
		     struct columns columns, const struct tree_row *row, bool is_selected)
{
	unsigned step = area.columns < 70 ? 1 : 2, x = columns.path, left;
	const char *mark = row->merged ? "⋯" : !row->has_children ? "·" : row->is_open ? "▾" : "▸";
	char limit[16];

	draw_numbers(tree, canvas, area, y, columns, row);
	/* A deep path must not push the names out: indentation stops at half of the room. */
	left = area.columns > x ? area.columns - x : 0;
	x += row->depth * step < left / 2 ? row->depth * step : left / 2;
	left = area.columns > x ? area.columns - x : 0;
	canvas_text(canvas, area.column + x, y, left, STYLE_DIM, mark);
	x += 2;
	left = left > 2 ? left - 2 : 0;
	if (row->merged) {
		snprintf(limit, sizeof(limit), "%g%%", limits_permille[tree->limit] / 10.0);
		canvas_print(canvas, area.column + x, y, left, STYLE_DIM, "%u %s below %s", row->merged,
			     get_light_word(tree, row), limit);
	} else if (left) {
		draw_path(tree, canvas, area.column + x, y, left, row);
	}
	if (is_selected) {
		code_draw_cursor(canvas, area.column, y);
		canvas_restyle(canvas, area.column, y, area.columns, STYLE_SELECTED);
	}
}

static void draw_head(struct tree_view *tree, struct canvas *canvas, struct rectangle area,
		      struct columns columns)
{
	unsigned x = area.column + MARKER;

	canvas_text_right(canvas, x, area.row, columns.total, STYLE_TITLE, "TOTAL%");
	canvas_text_right(canvas, x + columns.total, area.row, columns.self, STYLE_TITLE, "SELF%");
	canvas_text_right(canvas, x + columns.total + columns.self, area.row, columns.samples, STYLE_TITLE,
			  metric_get_column(tree->view.context->metric));
	if (area.columns > columns.path)
		canvas_text(canvas, area.column + columns.path, area.row, area.columns - columns.path,
			    STYLE_TITLE, tree->direction == TREE_TOP_DOWN ? "CALL PATH" : "WHO CALLED IT");
}

static void draw(struct view *view, struct canvas *canvas, struct rectangle area)
{
	struct tree_view *tree = (struct tree_view *)view;
	struct tree_side *side = get_side(tree);
	struct columns columns = lay_out(area.columns);
	unsigned head = area.rows > 1, height = area.rows - head, i;
	char text[256];

	tree->width = area.columns - 1; /* the detail row begins one cell in */
	rebuild(tree, height, false);
	if (!tree->all) {
		code_write_empty(view->context, text, sizeof(text));
		canvas_text(canvas, area.column + 1, area.row + area.rows / 2, area.columns - 1, STYLE_NORMAL,
			    text);
		return;
	}
	if (head)
		draw_head(tree, canvas, area, columns);
	for (i = 0; i < height && side->cursor.top + i < side->rows.rows.count; i++)
		draw_row(tree, canvas, area, area.row + head + i, columns,
			 &side->rows.rows.items[side->cursor.top + i],
			 side->cursor.top + i == side->cursor.cursor);
}

/* ---- keys ---- */

static void select_key(struct tree_side *side, uint64_t key)
{
	rows_select_key(&side->cursor, key);
}

/* Folds the row; a row that is folded already goes to its parent. */
static void fold(struct tree_side *side, const struct tree_row *row)
{
	size_t parent;

	if (row->is_open && row->key != side->rows.zoom) {
		key_set_remove(&side->rows.open, row->key);
		select_key(side, row->key);
		return;
	}
	parent = tree_rows_find_parent(&side->rows, side->cursor.cursor);
	if (parent != ROWS_NONE)
		select_key(side, side->rows.rows.items[parent].key);
}

/* Unfolds the row; a row that is unfolded already goes to its first child. */
static void unfold(struct tree_side *side, const struct tree_row *row)
{
	size_t next = side->cursor.cursor + 1;

	if (!row->has_children)
		return;
	if (!row->is_open)
		key_set_add(&side->rows.open, row->key);
	else if (next < side->rows.rows.count)
		select_key(side, side->rows.rows.items[next].key);
}

/* In: a folded row unfolds, an unfolded one becomes the zoom. */
static void go_in(struct tree_side *side, const struct tree_row *row)
{
	if (!row->has_children)
		return;
	if (row->merged || !row->is_open) {
		key_set_add(&side->rows.open, row->key);
		return;
	}
	select_key(side, row->key);
	side->rows.zoom = row->key;
}

/* Out: to the next node above that has siblings, since a run of only children is one row. */
static bool go_out(struct tree_side *side)
{
	struct tree_item zoom, above;
	uint64_t key = side->rows.zoom;

	if (!key || !tree_get_item(side->rows.tree, key, &zoom))
		return false;
	do {
		key = tree_get_parent(side->rows.tree, key);
	} while (key && tree_get_item(side->rows.tree, key, &above) && above.total == zoom.total);
	select_key(side, side->rows.zoom);
	tree_rows_reveal(&side->rows, side->rows.zoom);
	side->rows.zoom = key;
	return true;
}

static bool reveal(struct tree_side *side, uint64_t key)
{
	tree_rows_reveal(&side->rows, key);
	select_key(side, key);
	return true;
}

static enum view_reply press_on_row(struct tree_view *tree, struct tree_side *side,
				    const struct tree_row *row, uint32_t key)
{
	switch (key) {
	case KEY_CODE_LEFT:
	case 'h':
		fold(side, row);
		return VIEW_HANDLED;
	case KEY_CODE_RIGHT:
	case 'l':
		unfold(side, row);
		return VIEW_HANDLED;
	case KEY_CODE_ENTER:
		go_in(side, row);
		return VIEW_HANDLED;
	case '*':
		if (row->merged)
			unfold(side, row);
		else
			tree_rows_open_all(&side->rows, row->key);
		return VIEW_HANDLED;
	case 'H':
		reveal(side, tree_find_hottest_leaf(side->rows.tree, row->merged ? row->parent : row->key));
		return VIEW_HANDLED;
	case 'c':
		if (row->function == TREE_NO_FUNCTION || row->merged)
			return VIEW_HANDLED;
		tree->view.context->selected_function = row->function;
		tree->view.context->opens_callers = true;
		return VIEW_GO_HOT;
	}
	return VIEW_IGNORED;
}

static enum view_reply press(struct tree_view *tree, uint32_t key)
{
	struct tree_side *side = get_side(tree);
	const struct tree_row *row = get_selected(tree);

	switch (key) {
	case KEY_CODE_ESCAPE:
		if (tree->returns_to_memory && tree->direction == TREE_BOTTOM_UP &&
		    side->rows.zoom == tree->opened) {
			side->rows.zoom = 0;
			side->rows.has_no_runs = tree->returns_to_memory = false;
			return VIEW_GO_MEMORY;
		}
		if (!go_out(side))
			return VIEW_IGNORED;
		if (tree->returns_to_memory && !side->rows.zoom) /* a run of only children goes too far */
			side->rows.zoom = tree->opened;
		return VIEW_HANDLED;
	case 'i':
		tree->direction = tree->direction == TREE_TOP_DOWN ? TREE_BOTTOM_UP : TREE_TOP_DOWN;
		return VIEW_HANDLED;
	case 'L':
		tree->limit = (tree->limit + 1) % (sizeof(limits_permille) / sizeof(limits_permille[0]));
		return VIEW_HANDLED;
	case 'r':
		steady_sort_now(&side->rows.siblings.steady);
		return VIEW_HANDLED;
	}
	return row ? press_on_row(tree, side, row, key) : VIEW_IGNORED;
}

/* Rows have changed: the next key must see them as the user will. */
static void settle(struct tree_view *tree, bool is_forced)
{
	const struct tree_row *row;

	rebuild(tree, get_side(tree)->cursor.height, is_forced);
	row = get_selected(tree);
	if (row && get_side(tree)->cursor.is_pinned && !row->merged && row->function != TREE_NO_FUNCTION)
		tree->view.context->selected_function = row->function;
}

/* A function of the first level of the inverted tree; 0: it is not there. */
static uint64_t find_leaf_function(struct tree *tree, uint32_t function)
{
	const struct tree_item *children;
	struct error *error;
	size_t count, i;

	error = tree_list_children(tree, 0, &children, &count);
	if (error) {
		error_destroy(error);
		return 0;
	}
	for (i = 0; i < count; i++)
		if (children[i].function == function)
			return children[i].key;
	return 0;
}

/* With opens_callers: the stacks that end in the function, inverted, from the function on. */
static void enter(struct view *view)
{
	struct tree_view *tree = (struct tree_view *)view;
	struct tree_side *side = &tree->sides[1];
	bool opens_callers = view->context->opens_callers;
	uint64_t key;

	if (tree->metric !=
	    view->context->metric) { /* figures of another metric: in their own order, at once */
		tree->metric = view->context->metric;
		steady_sort_now(&tree->sides[0].rows.siblings.steady);
		steady_sort_now(&tree->sides[1].rows.siblings.steady);
		rebuild(tree, get_side(tree)->cursor.height, true);
	}
	view->context->opens_callers = tree->returns_to_memory = side->rows.has_no_runs = false;
	if (!opens_callers)
		return;
	key = find_leaf_function(side->rows.tree, view->context->selected_function);
	if (!key)
		return;
	tree->direction = TREE_BOTTOM_UP;
	tree->returns_to_memory = side->rows.has_no_runs = true;
	tree->opened = side->rows.zoom = key;
	side->looked_at = UINT64_MAX;
	tree_rows_open_all(&side->rows, key);
	select_key(side, key);
	rebuild(tree, side->cursor.height, true);
}

static enum view_reply key_pressed(struct view *view, uint32_t key)
{
	struct tree_view *tree = (struct tree_view *)view;
	struct tree_side *side = get_side(tree);
	struct rows_list list = get_list(side);
	bool is_move = rows_press(&side->cursor, &list, key);
	enum view_reply reply = is_move ? VIEW_HANDLED : press(tree, key);

	if (reply == VIEW_IGNORED)
		return reply;
	steady_press(&side->rows.siblings.steady);
	if (key != 'i')
		side->looked_at = UINT64_MAX;
	settle(tree, !is_move);
	return reply;
}

/* ---- search: the whole tree, in the order of the rows ---- */

#define FIND_NODES_MAX 100000 /* then the search gives up: a key is answered in a fraction of a second */

struct finder {
	uint64_t from;		/* key of the cursor's row */
	uint64_t before, after; /* the nearest hits on either side; 0 none */
	uint64_t first, last;	/* for going round */
	bool is_behind;		/* the cursor's row has been passed */
};

static void note_hit(struct finder *finder, uint64_t key)
{
	if (!finder->first)
		finder->first = key;
	finder->last = key;
	if (key == finder->from)
		return;
	if (!finder->is_behind)
		finder->before = key;
	else if (!finder->after)
		finder->after = key;
}

static void find_in_tree(struct tree_view *tree, struct tree_side *side, struct finder *finder)
{
	ARRAY(struct tree_link)
	keys = {0};
	const struct tree_item *children;
	size_t visited, count;
	struct error *error;

	if (!array_append(&keys, (struct tree_link){side->rows.zoom, TREE_NO_FUNCTION}))
		return;
	for (visited = 0; keys.count && visited < FIND_NODES_MAX; visited++) {
		struct tree_link link = keys.items[--keys.count];

		if (link.function != TREE_NO_FUNCTION &&
		    hits_has(&tree->hits, tree->view.context, link.function))
			note_hit(finder, link.key);
		finder->is_behind |= link.key == finder->from;
		error = tree_list_children(side->rows.tree, link.key, &children, &count);
		error_destroy(error);
		while (!error && count-- > 0)
			if (children[count].function != TREE_NO_FUNCTION &&
			    !array_append(&keys,
					  (struct tree_link){children[count].key, children[count].function}))
				break;
	}
	array_deinit(&keys);
}

static bool find(struct view *view, int direction)
{
	struct tree_view *tree = (struct tree_view *)view;
	struct tree_side *side = get_side(tree);
	const struct tree_row *row = get_selected(tree);
	struct finder finder = {0};
	uint64_t found;

	if (!row || !hits_is_active(view->context))
		return false;
	/* A row with a run has several nodes: going on means behind its last, going back before its first. */
	finder.from = row->merged ? row->parent : row->key;
	if (direction < 0 && row->run_count)
		finder.from = side->rows.run.items[row->run_first].key;
	find_in_tree(tree, side, &finder);
	found = direction > 0 ? (finder.after ? finder.after : finder.first)
			      : (finder.before ? finder.before : finder.last);
	if (!found)
		return false;
	side->looked_at = UINT64_MAX;
	steady_press(&side->rows.siblings.steady);
	reveal(side, found);
	settle(tree, true);
	return true;
}

/* ---- words ---- */

static void describe(struct view *view, char *ret, size_t capacity)
{
	struct tree_view *tree = (struct tree_view *)view;
	const struct tree_row *row = get_selected(tree);
	unsigned metric = view->context->metric;
	char figures[256], self[FORMAT_MAX], total[FORMAT_MAX], interval[FORMAT_MAX], count[FORMAT_MAX];

	ret[0] = '\0';
	if (!row || !tree->all)
		return;
	snprintf(figures, sizeof(figures), "self %s  total %s%s  %s",
		 format_share(row->self, tree->all, self), format_share(row->total, tree->all, total),
		 metric_format_interval(metric, row->total, tree->all, interval),
		 metric_format_amount(metric, row->total, count));
	if (row->merged)
		snprintf(ret, capacity, "%u %s, each below %g%%  %s", row->merged, get_light_word(tree, row),
			 limits_permille[tree->limit] / 10.0, figures);
	else if (row->function == TREE_NO_FUNCTION)
		snprintf(ret, capacity, "all %s  %s",
			 metric_is_exact(view->context) ? metric_get_name(metric) : "samples", count);
	else
		code_write_detail(get_profile(tree), row->function, figures, tree->width, ret, capacity);
}

static void scope(struct view *view, char *ret, size_t capacity)
{
	struct tree_view *tree = (struct tree_view *)view;
	struct tree_side *side = get_side(tree);
	const char *direction = tree->direction == TREE_TOP_DOWN ? "top-down" : "bottom-up";
	char trail[CODE_TRAIL_MAX], limit[32] = "", metric[64];

	metric_write_scope(view->context, metric, sizeof(metric));
	if (limits_permille[tree->limit])
		snprintf(limit, sizeof(limit), " ▸ rows ≥ %g%%", limits_permille[tree->limit] / 10.0);
	code_write_trail(get_profile(tree), side->rows.tree, side->rows.zoom, trail);
	if (side->rows.zoom)
		snprintf(ret, capacity, "%s ▸ zoom ▸ %s%s", direction, trail, metric);
	else
		snprintf(ret, capacity, "whole process ▸ all threads ▸ %s%s%s", direction, limit, metric);
}

const struct view_ops view_tree = {
	.name = "Call tree",
	.tab = "Tree",
	.key = '3',
	.keys = "←→ fold  Enter in  Esc out  b metric  * all  H hottest  i invert  c callers  L limit",
	.create = create,
	.destroy = destroy,
	.enter = enter,
	.draw = draw,
	.key_pressed = key_pressed,
	.describe = describe,
	.scope = scope,
	.find = find,
};
