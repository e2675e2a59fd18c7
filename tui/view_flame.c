/* Screen 4: the flame. Geometry is flame_layout.c's; here it gets colours, labels, a cursor and a zoom.
 *
 * The cursor is a node of the tree, kept by key: when its frame is too narrow to be drawn, or was merged, the
 * cursor shows on what stands for it, the nearest drawn frame above.
 */
#include "base/hash.h"
#include "tui/code_text.h"
#include "tui/flame_layout.h"
#include "tui/flame_match.h"
#include "tui/format.h"
#include "tui/label.h"
#include "tui/metric.h"
#include "tui/rows.h"
#include "tui/siblings.h"
#include "tui/tree_rows.h"
#include "tui/view.h"

#include <stdlib.h>
#include <string.h>

struct flame_side {
	struct tree *tree;
	struct siblings siblings;
	struct pace pace;
	uint64_t zoom;	    /* key of the root of what is drawn; 0: all */
	uint64_t selected;  /* a key of the tree */
	uint64_t sorted_at; /* samples when it was sorted last without being asked */
	bool is_touched;    /* a key has come: from now on the order is held (rows.h) */
	uint64_t merged; /* key of the merged frame under the cursor, whose parent is `selected`; 0: none */
};

struct flame {
	struct view view;
	struct flame_side sides[2];
	enum tree_direction direction;
	struct flame_layout layout;
	struct hits hits;
	struct flame_match match;
	uint64_t all;
	uint64_t cell;		/* samples of a cell, at least 1 */
	unsigned scroll;	/* depth of the first row that is drawn */
	unsigned columns, rows; /* of the flame, when it was laid out last … */
	unsigned depths;	/* … and how deep */
	bool goes_deeper;	/* than the rows that are drawn */
	bool grows_up;
	unsigned metric; /* that it showed last */
};

/* ---- life ---- */

static void destroy(struct view *view)
{
	struct flame *flame = (struct flame *)view;
	int i;

	if (!flame)
		return;
	for (i = 0; i < 2; i++) {
		tree_destroy(flame->sides[i].tree);
		siblings_deinit(&flame->sides[i].siblings);
	}
	flame_layout_deinit(&flame->layout);
	flame_match_deinit(&flame->match);
	hits_deinit(&flame->hits);
	free(flame);
}

static struct error *create(struct view_context *context, struct view **ret)
{
	struct flame *flame = calloc(1, sizeof(*flame));
	struct error *error;
	int i;

	if (!flame)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	flame->view = (struct view){&view_flame, context};
	for (i = 0; i < 2; i++) {
		error = tree_create(metric_get_profile(context), i ? TREE_BOTTOM_UP : TREE_TOP_DOWN,
				    &flame->sides[i].tree);
		if (error) {
			destroy(&flame->view);
			return error;
		}
	}
	*ret = &flame->view;
	return NULL;
}

static struct flame_side *get_side(struct flame *flame)
{
	return &flame->sides[flame->direction == TREE_BOTTOM_UP];
}

static struct profile *get_profile(struct flame *flame)
{
	return metric_get_profile(flame->view.context);
}

/* ---- layout ---- */

static size_t list_children(void *arg, uint64_t key, const struct tree_item **ret)
{
	struct flame *flame = arg;
	struct flame_side *side = get_side(flame);
	size_t count = 0;
	struct error *error = tree_list_children(side->tree, key, ret, &count);

	error_destroy(error); /* memory is short: it shows no children */
	if (error)
		return 0;
	side->pace.work += count;
	*ret = siblings_sort(&side->siblings, *ret, count, flame->cell);
	return count;
}

/* The depth of the cursor below the zoom. */
static unsigned measure_depth(struct flame_side *side)
{
	uint64_t key = side->selected;
	unsigned depth = side->merged != 0;

	while (key && key != side->zoom && depth < UINT16_MAX) {
		key = tree_get_parent(side->tree, key);
		depth++;
	}
	return depth;
}

static uint32_t find_merged(struct flame *flame, uint32_t parent)
{
	uint32_t number;

	for (number = parent + 1; number < flame->layout.frames.count; number++)
		if (flame->layout.frames.items[number].parent == parent &&
		    flame->layout.frames.items[number].merged)
			return number;
	return parent;
}

/* The frame under the cursor: of its node, else of the merged frame that holds it, else of the node above. */
static uint32_t find_selected(struct flame *flame)
{
	struct flame_side *side = get_side(flame);
	uint32_t number = side->merged ? flame_layout_find(&flame->layout, side->merged) : FLAME_NONE;
	bool is_hidden = side->merged != 0;
	uint64_t key = side->selected;

	if (number != FLAME_NONE)
		return number;
	while ((number = flame_layout_find(&flame->layout, key)) == FLAME_NONE && key && key != side->zoom) {
		key = tree_get_parent(side->tree, key);
		is_hidden = true;
	}
	if (number == FLAME_NONE)
		return 0;
	return is_hidden ? find_merged(flame, number) : number;
}

/* is_forced: a key may have changed what is shown. */
static void build(struct flame *flame, unsigned columns, unsigned rows, bool is_forced)
{
	struct flame_side *side = get_side(flame);
	struct flame_tree tree = {flame, list_children};
	uint64_t revision = profile_get_revision(get_profile(flame));
	unsigned depths = flame->scroll + rows + 1;
	struct totals totals;
	struct tree_item root;

	is_forced |= columns != flame->columns || depths != flame->depths || !flame->all;
	if (!pace_is_due(&side->pace, revision, is_forced))
		return;
	profile_get_totals(get_profile(flame), &totals);
	flame->all = totals.samples;
	flame->columns = columns;
	flame->depths = depths;
	flame->rows = rows;
	while (!tree_get_item(side->tree, side->zoom, &root) && side->zoom)
		side->zoom = tree_get_parent(side->tree, side->zoom);
	if (!side->zoom)
		root.total = flame->all;
	flame->cell = columns && root.total >= columns ? root.total / columns : 1;
	if (!side->is_touched && flame->all >= 2 * side->sorted_at) { /* the first few samples say little */
		side->sorted_at = flame->all;
		steady_sort_now(&side->siblings.steady);
	}
	siblings_begin(&side->siblings, revision);
	flame_layout_build(&flame->layout, &tree, &root, columns, depths);
}

/* Figures of another metric: in their own order, at once. */
static void enter(struct view *view)
{
	struct flame *flame = (struct flame *)view;

	if (flame->metric == view->context->metric)
		return;
	flame->metric = view->context->metric;
	steady_sort_now(&flame->sides[0].siblings.steady);
	steady_sort_now(&flame->sides[1].siblings.steady);
	flame->all = 0; /* lays it out anew */
}

/* The cursor's row must be on the screen: deep stacks scroll. */
static void scroll_to_cursor(struct flame *flame, unsigned rows)
{
	unsigned depth = measure_depth(get_side(flame));

	if (depth < flame->scroll)
		flame->scroll = depth;
	if (depth >= flame->scroll + rows)
		flame->scroll = depth - rows + 1;
}

/* ---- drawing ---- */

static uint16_t get_style(struct flame *flame, const struct flame_frame *frame)
{
	struct function function;
	uint64_t hash = 0;
	const char *c;

	if (frame->merged || !frame->key)
		return STYLE_DIM;
	if (hits_has(&flame->hits, flame->view.context, frame->function))
		return STYLE_MATCH;
	function = profile_get_function(get_profile(flame), frame->function);
	for (c = function.name; *c; c++)
		hash = hash_u64(hash ^ (unsigned char)*c);
	return (uint16_t)(code_get_kind(get_profile(flame), function.module) | STYLE_LIGHTNESS(hash));
}

static bool shows_share(struct flame *flame, const struct flame_frame *frame)
{
	return frame->depth == 0 || frame->total < flame->layout.frames.items[frame->parent].total;
}

/* "all  12,402 samples", "all  498M live bytes". */
static void write_root(struct flame *flame, const struct flame_frame *frame, char *ret, size_t capacity)
{
	unsigned metric = flame->view.context->metric;
	char amount[FORMAT_MAX];

	snprintf(ret, capacity, "all  %s %s", metric_format(metric, frame->total, amount),
		 metric == METRIC_CPU ? "samples" : metric_get_name(metric));
}

static void write_label(struct flame *flame, const struct flame_frame *frame, unsigned cells, char *ret,
			size_t capacity)
{
	char name[CODE_NAME_MAX], share[FORMAT_MAX];
	unsigned used;

	if (frame->merged) {
		snprintf(name, sizeof(name), "⋯%u", frame->merged);
		snprintf(ret, capacity, "%s", canvas_text_width(name) <= cells ? name : cells ? "⋯" : "");
		return;
	}
	if (!frame->key)
		write_root(flame, frame, name, sizeof(name));
	else
		snprintf(name, sizeof(name), "%s",
			 profile_get_function(get_profile(flame), frame->function).name);
	used = label_fit(name, cells, ret, capacity);
	format_share(frame->total, flame->all, share);
	/* The share stands where the whole name leaves room, and only where it says something new. */
	if (shows_share(flame, frame) && !strcmp(ret, name) && used + 1 + strlen(share) <= cells)
		snprintf(ret + strlen(ret), capacity - strlen(ret), " %s", share);
}

static void draw_frame(struct flame *flame, struct canvas *canvas, struct rectangle area,
		       const struct flame_frame *frame, bool is_selected)
{
	unsigned row = frame->depth - flame->scroll, x = area.column + frame->column, y;
	uint16_t style = get_style(flame, frame);
	char label[LABEL_MAX + FORMAT_MAX];

	y = flame->grows_up ? area.row + area.rows - 1 - row : area.row + row;
	canvas_fill(canvas, x, y, frame->columns, 1, ' ', style);
	canvas_put(canvas, x, y, 0x258f, style);
	if (frame->columns > 1) {
		write_label(flame, frame, frame->columns - 1, label, sizeof(label));
		canvas_text(canvas, x + 1, y, frame->columns - 1, style, label);
	} else if (frame->merged) {
		canvas_put(canvas, x, y, 0x22ef, style);
	}
	if (is_selected)
		canvas_restyle(canvas, x, y, frame->columns, STYLE_SELECTED);
}

static void draw_legend(struct canvas *canvas, struct rectangle area, bool is_exact)
{
	canvas_rule(canvas, area.column, area.row, area.columns, "legend");
	code_draw_legend(canvas, area.column + 1, area.row + 1, area.columns - 1);
	canvas_text(canvas, area.column + 1, area.row + 2, area.columns - 1, STYLE_DIM,
		    is_exact
			    ? "width = bytes or blocks   blank below = its own   ▏ = edge   "
			      "⋯n = n narrow siblings"
			    : "width = samples   blank below = own time   ▏ = edge   ⋯n = n narrow siblings");
}

#define LEGEND_ROWS 3

static void draw(struct view *view, struct canvas *canvas, struct rectangle area)
{
	struct flame *flame = (struct flame *)view;
	unsigned legend = area.rows >= 20 && area.columns >= 80 ? LEGEND_ROWS : 0, rows = area.rows - legend;
	uint32_t selected, i;
	char text[256];

	scroll_to_cursor(flame, rows);
	build(flame, area.columns, rows, false);
	if (!flame->all) {
		code_write_empty(view->context, text, sizeof(text));
		canvas_text(canvas, area.column + 1, area.row + area.rows / 2, area.columns - 1, STYLE_NORMAL,
			    text);
		return;
	}
	flame_match_refresh(&flame->match, view->context, &flame->hits, flame->sides[0].tree);
	view->context->wants_more |= hits_is_active(view->context) && flame->match.is_running;
	selected = find_selected(flame);
	area.rows = rows;
	flame->goes_deeper = false;
	for (i = 0; i < flame->layout.frames.count; i++) {
		const struct flame_frame *frame = &flame->layout.frames.items[i];

		flame->goes_deeper |= frame->depth >= flame->scroll + rows;
		if (frame->depth >= flame->scroll && frame->depth < flame->scroll + rows)
			draw_frame(flame, canvas, area, frame, i == selected);
	}
	area.row += rows;
	if (legend)
		draw_legend(canvas, area, metric_is_exact(view->context));
}

/* ---- keys ---- */

static void select_key(struct flame *flame, uint64_t key)
{
	get_side(flame)->selected = key;
	get_side(flame)->merged = 0;
}

static void select_frame(struct flame *flame, uint32_t number)
{
	const struct flame_frame *frame;

	if (number == FLAME_NONE || number >= flame->layout.frames.count)
		return;
	frame = &flame->layout.frames.items[number];
	select_key(flame, frame->merged ? flame->layout.frames.items[frame->parent].key : frame->key);
	if (frame->merged)
		get_side(flame)->merged = frame->key;
}

static void go_to_child(struct flame *flame, uint32_t number)
{
	select_frame(flame, flame_layout_get_child(&flame->layout, number));
}

static void go_to_parent(struct flame *flame, uint32_t number)
{
	if (number)
		select_frame(flame, flame->layout.frames.items[number].parent);
}

/* Of a merged frame its parent is what can be zoomed to; what it holds gets wider by that. */
static void zoom_in(struct flame *flame)
{
	struct flame_side *side = get_side(flame);

	side->zoom = side->selected;
	flame->scroll = 0;
}

static bool zoom_out(struct flame *flame)
{
	struct flame_side *side = get_side(flame);
	struct tree_item zoom, above;
	uint64_t key = side->zoom;

	if (!key)
		return false;
	if (!tree_get_item(side->tree, key, &zoom))
		zoom.total = 0;
	do { /* a parent of the same width would look the same */
		key = tree_get_parent(side->tree, key);
	} while (key && tree_get_item(side->tree, key, &above) && above.total == zoom.total);
	side->zoom = key;
	return true;
}

static enum view_reply press(struct flame *flame, uint32_t key)
{
	struct flame_side *side = get_side(flame);
	uint32_t number = find_selected(flame);
	const struct flame_frame *frame = &flame->layout.frames.items[number];

	switch (key) {
	case KEY_CODE_ESCAPE:
		return zoom_out(flame) ? VIEW_HANDLED : VIEW_IGNORED;
	case KEY_CODE_DOWN:
	case 'j':
		(flame->grows_up ? go_to_parent : go_to_child)(flame, number);
		return VIEW_HANDLED;
	case KEY_CODE_UP:
	case 'k':
		(flame->grows_up ? go_to_child : go_to_parent)(flame, number);
		return VIEW_HANDLED;
	case KEY_CODE_LEFT:
	case 'h':
		select_frame(flame, flame_layout_get_neighbour(&flame->layout, number, -1));
		return VIEW_HANDLED;
	case KEY_CODE_RIGHT:
	case 'l':
		select_frame(flame, flame_layout_get_neighbour(&flame->layout, number, 1));
		return VIEW_HANDLED;
	case 'g':
	case KEY_CODE_HOME:
		select_key(flame, side->zoom);
		return VIEW_HANDLED;
	case 'G':
	case KEY_CODE_END:
		select_frame(flame, (uint32_t)flame->layout.frames.count - 1);
		return VIEW_HANDLED;
	case 'H':
		select_key(flame, tree_find_hottest_leaf(side->tree, side->selected));
		return VIEW_HANDLED;
	case KEY_CODE_ENTER:
		zoom_in(flame);
		return VIEW_HANDLED;
	case '=':
		side->zoom = 0;
		return VIEW_HANDLED;
	case 'r':
		steady_sort_now(&side->siblings.steady);
		return VIEW_HANDLED;
	case 'o':
		flame->grows_up = !flame->grows_up;
		return VIEW_HANDLED;
	case 'i':
		flame->direction = flame->direction == TREE_TOP_DOWN ? TREE_BOTTOM_UP : TREE_TOP_DOWN;
		flame->scroll = 0;
		return VIEW_HANDLED;
	case 'c':
		if (frame->merged || !frame->key)
			return VIEW_HANDLED;
		flame->view.context->selected_function = frame->function;
		flame->view.context->opens_callers = true;
		return VIEW_GO_HOT;
	}
	return VIEW_IGNORED;
}

static enum view_reply key_pressed(struct view *view, uint32_t key)
{
	struct flame *flame = (struct flame *)view;
	enum tree_direction direction = flame->direction;
	uint64_t zoom = get_side(flame)->zoom;
	const struct flame_frame *frame;
	enum view_reply reply;

	if (!flame->layout.frames.count)
		return VIEW_IGNORED;
	reply = press(flame, key);
	if (reply == VIEW_IGNORED)
		return reply;
	steady_press(&get_side(flame)->siblings.steady);
	get_side(flame)->is_touched = true;
	/* The next key must see what the user will: the layout of now. */
	scroll_to_cursor(flame, flame->rows);
	build(flame, flame->columns, flame->rows,
	      direction != flame->direction || zoom != get_side(flame)->zoom ||
		      get_side(flame)->siblings.steady.now);
	if (!flame->layout.frames.count)
		return reply;
	frame = &flame->layout.frames.items[find_selected(flame)];
	if (frame->key && !frame->merged)
		view->context->selected_function = frame->function;
	return reply;
}

/* Hits among the frames that are drawn, by rows from left to right. */
static bool find(struct view *view, int direction)
{
	struct flame *flame = (struct flame *)view;
	uint32_t count = (uint32_t)flame->layout.frames.count, from, step, number;

	if (!count)
		return false;
	from = find_selected(flame);
	for (step = 1; step <= count; step++) {
		const struct flame_frame *frame;

		number = (from + (direction > 0 ? step : count - step)) % count;
		frame = &flame->layout.frames.items[number];
		if (frame->merged || !frame->key || !hits_has(&flame->hits, view->context, frame->function))
			continue;
		select_key(flame, frame->key);
		view->context->selected_function = frame->function;
		return true;
	}
	return false;
}

/* ---- words ---- */

/* "match 51.3% of all  ": a lower bound while it is being counted. */
static void describe_match(struct flame *flame, char *ret, size_t capacity)
{
	char share[FORMAT_MAX];

	ret[0] = '\0';
	if (hits_is_active(flame->view.context))
		snprintf(ret, capacity, "match %s%s of all  ", flame->match.is_done ? "" : "≥ ",
			 format_share(flame->match.samples, flame->match.all, share));
}

static void describe(struct view *view, char *ret, size_t capacity)
{
	struct flame *flame = (struct flame *)view;
	char figures[256], of_zoom[64] = "", match[64], total[FORMAT_MAX], interval[FORMAT_MAX],
			   self[FORMAT_MAX], share[FORMAT_MAX], count[FORMAT_MAX];
	unsigned metric = view->context->metric;
	const struct flame_frame *frame;

	ret[0] = '\0';
	if (!flame->all || !flame->layout.frames.count)
		return;
	frame = &flame->layout.frames.items[find_selected(flame)];
	describe_match(flame, match, sizeof(match));
	if (get_side(flame)->zoom)
		snprintf(of_zoom, sizeof(of_zoom), "%s%s of zoom", flame->columns < 80 ? ", " : " of all, ",
			 format_share(frame->total, flame->layout.frames.items[0].total, share));
	snprintf(figures, sizeof(figures), "%stotal %s%s%s  self %s  %s", match,
		 format_share(frame->total, flame->all, total),
		 metric_format_interval(metric, frame->total, flame->all, interval), of_zoom,
		 format_share(frame->self, flame->all, self),
		 metric_format_amount(metric, frame->total, count));
	if (frame->merged)
		snprintf(ret, capacity, "%u siblings under a cell  %s", frame->merged, figures);
	else if (!frame->key)
		snprintf(ret, capacity, "%sall %s  %s", match,
			 metric == METRIC_CPU ? "samples" : metric_get_name(metric), count);
	else /* the detail row begins one cell in */
		code_write_detail(get_profile(flame), frame->function, figures, flame->columns - 1, ret,
				  capacity);
}

static void scope(struct view *view, char *ret, size_t capacity)
{
	struct flame *flame = (struct flame *)view;
	struct flame_side *side = get_side(flame);
	char trail[CODE_TRAIL_MAX], rows[64] = "", metric[64];

	metric_write_scope(view->context, metric, sizeof(metric));
	code_write_trail(get_profile(flame), side->tree, side->zoom, trail);
	if (flame->all && (flame->scroll || flame->goes_deeper))
		snprintf(rows, sizeof(rows), "  depth %u-%u%s", flame->scroll,
			 flame->scroll + flame->rows - 1, flame->goes_deeper ? ", deeper below" : "");
	snprintf(ret, capacity, "%szoom ▸ %s%s%s", flame->direction == TREE_BOTTOM_UP ? "bottom-up ▸ " : "",
		 trail, rows, metric);
}

const struct view_ops view_flame = {
	.name = "Flame",
	.tab = "Flame",
	.key = '4',
	.keys = "↑↓←→ move  Enter zoom  Esc out  b metric  H hottest  o flip  i invert  c callers",
	.create = create,
	.destroy = destroy,
	.enter = enter,
	.draw = draw,
	.key_pressed = key_pressed,
	.describe = describe,
	.scope = scope,
	.find = find,
};
