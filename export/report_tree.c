/* The call tree, root first: nested rows in JSON, an indented list for people.
 *
 * Trees are a thousand levels deep and may have a million nodes: walks keep their own stack and hold the
 * children of one path only, and JSON is written as it is met. With -n the heaviest rows are chosen first: as
 * no row is heavier than its parent, taking the heaviest of what is reachable, again and again, gives them
 * with all their parents. */
#include "base/array.h"
#include "base/cleanup.h"
#include "export/report_parts.h"
#include "profile/tree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* In the text a level is shown by this much, down to INDENT_MAX; deeper rows tell their depth. */
#define INDENT	   2
#define INDENT_MAX 40
#define NAME_MIN   40
#define MARK_MAX   6 /* "  ⋯9" */

/* The children of one node, of which some are still to be written. */
struct level {
	size_t next, end; /* in walk.items */
	size_t hidden;	  /* rows */
	uint64_t hidden_total;
	bool has_written; /* a row */
};

struct walk {
	const struct report_measure *measure;
	const struct report_options *options;
	struct tree *tree;
	FILE *stream;
	uint64_t smallest; /* rows with less are left out */
	size_t ties;	   /* of rows with exactly `smallest`: how many may still be written */
	bool has_marks;	   /* a line has lost its callees to "⋯9" */
	ARRAY(struct level)
	levels;
	ARRAY(struct tree_item)
	items; /* of all levels, the deepest last */
};

static struct error *fail_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "report");
}

static void walk_deinit(struct walk *walk)
{
	tree_destroy(walk->tree);
	array_deinit(&walk->levels);
	array_deinit(&walk->items);
}

/* ---- which rows ---- */

/* Totals, the largest on top (a binary heap). */
struct candidate {
	uint64_t total, key;
};

struct queue {
	ARRAY(struct candidate)
	list;
};

static void queue_deinit(struct queue *queue)
{
	array_deinit(&queue->list);
}

static bool queue_push(struct queue *queue, struct candidate candidate)
{
	size_t at = queue->list.count;

	if (!array_append(&queue->list, candidate))
		return false;
	for (; at && queue->list.items[(at - 1) / 2].total < candidate.total; at = (at - 1) / 2)
		queue->list.items[at] = queue->list.items[(at - 1) / 2];
	queue->list.items[at] = candidate;
	return true;
}

static struct candidate queue_pop(struct queue *queue)
{
	struct candidate top = queue->list.items[0], last = queue->list.items[--queue->list.count];
	size_t at = 0;

	for (size_t child; (child = 2 * at + 1) < queue->list.count; at = child) {
		if (child + 1 < queue->list.count &&
		    queue->list.items[child + 1].total > queue->list.items[child].total)
			child++;
		if (queue->list.items[child].total <= last.total)
			break;
		queue->list.items[at] = queue->list.items[child];
	}
	if (queue->list.count)
		queue->list.items[at] = last;
	return top;
}

/* A function that only calls one other says nothing of its own: people see the chain as one row. */
static bool is_chain(const struct tree_item *item, const struct tree_item *children, size_t count)
{
	return count == 1 && !item->self && children->total == item->total;
}

static struct error *push_children(struct walk *walk, struct queue *queue, uint64_t key)
{
	bool fold = walk->options->format == REPORT_TEXT;
	const struct tree_item *items;
	struct tree_item only;
	struct error *error;
	size_t count;

	for (;;) {
		error = tree_list_children(walk->tree, key, &items, &count);
		if (error)
			return error;
		if (!fold || !key || count != 1 || !tree_get_item(walk->tree, key, &only) ||
		    !is_chain(&only, items, count))
			break;
		key = items->key;
	}
	for (size_t i = 0; i < count; i++)
		if (!queue_push(queue, (struct candidate){items[i].total, items[i].key}))
			return fail_memory();
	return NULL;
}

/* Finds the total of the n-th heaviest row, and how many of that very total are among the first n. */
static struct error *choose_rows(struct walk *walk)
{
	_cleanup_(queue_deinit) struct queue queue = {0};
	struct error *error;

	if (!walk->options->rows)
		return NULL;
	error = push_children(walk, &queue, 0);
	for (size_t i = 0; !error && i < walk->options->rows && queue.list.count; i++) {
		struct candidate candidate = queue_pop(&queue);

		walk->ties = candidate.total == walk->smallest ? walk->ties + 1 : 1;
		walk->smallest = candidate.total;
		error = push_children(walk, &queue, candidate.key);
	}
	return error;
}

/* Without taking it. */
static bool is_shown(const struct walk *walk, const struct tree_item *item)
{
	if (report_is_below(item->total, walk->measure->total, walk->options->limit_pct))
		return false;
	return !walk->options->rows || item->total > walk->smallest ||
	       (item->total == walk->smallest && walk->ties);
}

static bool take_row(struct walk *walk, const struct tree_item *item)
{
	if (!is_shown(walk, item))
		return false;
	if (walk->options->rows && item->total == walk->smallest)
		walk->ties--;
	return true;
}

/* ---- the walk ---- */

static struct error *enter(struct walk *walk, const struct tree_item *items, size_t count)
{
	struct level level = {.next = walk->items.count, .end = walk->items.count + count};

	for (size_t i = 0; i < count; i++)
		if (!array_append(&walk->items, items[i]))
			return fail_memory();
	return array_append(&walk->levels, level) ? NULL : fail_memory();
}

static struct level *get_level(struct walk *walk)
{
	return &walk->levels.items[walk->levels.count - 1];
}

/* The next row of the deepest level that is to be written; NULL: there is none. */
static const struct tree_item *next_row(struct walk *walk)
{
	struct level *level = get_level(walk);

	while (level->next < level->end) {
		const struct tree_item *item = &walk->items.items[level->next++];

		if (take_row(walk, item))
			return item;
		level->hidden++;
		level->hidden_total += item->total;
	}
	return NULL;
}

static void leave(struct walk *walk)
{
	walk->levels.count--;
	walk->items.count = walk->levels.count ? get_level(walk)->end : 0;
}

/* ---- JSON ---- */

static struct error *put_json_row(struct walk *walk, const struct tree_item *item)
{
	struct report_row row = {
		.function = profile_get_function(walk->measure->profile, item->function),
		.self = item->self,
		.total = item->total,
	};
	_cleanup_free_ char *text = NULL;
	json_t *json = report_json_row(&row, walk->measure);

	if (json)
		text = json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9));
	json_decref(json);
	if (!text)
		return fail_memory();
	/* Without its closing brace: the children come into it. */
	fprintf(walk->stream, "%s\n%.*s,\"children\":[", get_level(walk)->has_written ? "," : "",
		(int)strlen(text) - 1, text);
	get_level(walk)->has_written = true;
	return NULL;
}

static void close_json_level(struct walk *walk)
{
	const struct level *level = get_level(walk);

	fputc(']', walk->stream);
	if (level->hidden)
		fprintf(walk->stream, ",\"left_out\":{\"rows\":%zu,\"total\":%llu}", level->hidden,
			(unsigned long long)level->hidden_total);
	fputs(walk->levels.count > 1 ? "}" : "\n}\n", walk->stream);
}

static struct error *write_json(struct walk *walk)
{
	const struct tree_item *items;
	struct error *error;
	size_t count;

	fprintf(walk->stream, "{\"schema\":%d,\"metric\":\"%s\",\"total\":%llu,\"rows\":[", REPORT_SCHEMA,
		walk->measure->metric, (unsigned long long)walk->measure->total);
	error = tree_list_children(walk->tree, 0, &items, &count);
	if (!error)
		error = enter(walk, items, count);
	while (!error && walk->levels.count) {
		const struct tree_item *item = next_row(walk);
		uint64_t key = item ? item->key : 0;

		if (!item) {
			close_json_level(walk);
			leave(walk);
			continue;
		}
		error = put_json_row(walk, item);
		if (!error)
			error = tree_list_children(walk->tree, key, &items, &count);
		if (!error)
			error = enter(walk, items, count);
	}
	return error;
}

/* ---- text ---- */

static const char *get_name(const struct walk *walk, const struct tree_item *item)
{
	return profile_get_function(walk->measure->profile, item->function).name;
}

static void put_figures(const struct walk *walk, const struct tree_item *item)
{
	char number[REPORT_NUMBER_MAX];

	fprintf(walk->stream, "%6.1f%% %6.1f%% %10s  ", report_get_pct(item->total, walk->measure->total),
		report_get_pct(item->self, walk->measure->total),
		report_format_amount(walk->measure, item->total, number));
}

/* Returns the columns used. */
static size_t put_indent(const struct walk *walk, size_t depth)
{
	size_t indent = depth * INDENT;
	char mark[32];

	if (indent <= INDENT_MAX) {
		fprintf(walk->stream, "%*s", (int)indent, "");
		return indent;
	}
	snprintf(mark, sizeof(mark), "⋯%zu ", depth);
	fprintf(walk->stream, "%*s%s", INDENT_MAX, "", mark);
	return INDENT_MAX + report_get_width(mark);
}

static void put_chain_ends(const struct walk *walk, const char *first, size_t links,
			   const struct tree_item *last, size_t room)
{
	size_t half = room > 30 ? (room - 14) / 2 : 8;

	report_put_text(first, half, walk->stream);
	if (links > 1)
		fprintf(walk->stream, " › … %zu … › ", links - 1);
	else
		fputs(" › ", walk->stream);
	report_put_text(get_name(walk, last), half, walk->stream);
}

/* "first › second › last"; of a long chain "first › … 7 … › last". The children are those of its last. */
static struct error *put_chain(struct walk *walk, struct tree_item last, size_t room,
			       const struct tree_item **ret, size_t *ret_count)
{
	const char *first_name = get_name(walk, &last);
	struct error *error = tree_list_children(walk->tree, last.key, ret, ret_count);
	size_t size = 0, links = 0, used = report_get_width(first_name);
	_cleanup_free_ char *whole = NULL;
	FILE *text = open_memstream(&whole, &size);

	if (!text) {
		error_destroy(error);
		return fail_memory();
	}
	for (; !error && is_chain(&last, *ret, *ret_count); links++) {
		last = **ret;
		used += 3 + report_get_width(get_name(walk, &last));
		if (used <= room)
			fprintf(text, " › %s", get_name(walk, &last));
		error = tree_list_children(walk->tree, last.key, ret, ret_count);
	}
	if (fclose(text) || !whole) {
		error_destroy(error);
		return fail_memory();
	}
	if (used <= room || !links)
		report_put_text(first_name, room, walk->stream);
	if (used <= room)
		fputs(whole, walk->stream);
	else if (links)
		put_chain_ends(walk, first_name, links, &last, room);
	return error;
}

static void close_text_level(struct walk *walk)
{
	const struct level *level = get_level(walk);
	struct tree_item rest = {.total = level->hidden_total};
	char number[REPORT_NUMBER_MAX];

	if (!level->hidden)
		return;
	fprintf(walk->stream, "%6.1f%% %7s %10s  ", report_get_pct(rest.total, walk->measure->total), "",
		report_format_amount(walk->measure, rest.total, number));
	put_indent(walk, walk->levels.count - 1);
	fprintf(walk->stream, "… %s more, %.1f%%\n", report_format_number(level->hidden, number),
		report_get_pct(level->hidden_total, walk->measure->total));
}

/* Children none of which is shown are a mark on their parent, not a line. */
static struct error *put_text_row(struct walk *walk, struct tree_item item, const struct tree_item **ret,
				  size_t *ret_count)
{
	size_t used, room;
	struct error *error;

	put_figures(walk, &item);
	used = 28 + MARK_MAX + put_indent(walk, walk->levels.count - 1);
	room = used + NAME_MIN < REPORT_COLUMNS ? REPORT_COLUMNS - used : NAME_MIN;
	error = put_chain(walk, item, room, ret, ret_count);
	if (!error && *ret_count && !is_shown(walk, *ret)) {
		fprintf(walk->stream, "  ⋯%zu", *ret_count);
		walk->has_marks = true;
		*ret_count = 0;
	}
	fputc('\n', walk->stream);
	return error;
}

static struct error *write_text(struct walk *walk)
{
	const struct tree_item *items;
	struct error *error;
	size_t count;

	report_put_head(walk->measure, walk->stream);
	fprintf(walk->stream, "%7s %7s %10s  %s\n", "TOTAL", "SELF", walk->measure->column, "CALL PATH");
	error = tree_list_children(walk->tree, 0, &items, &count);
	if (!error)
		error = enter(walk, items, count);
	while (!error && walk->levels.count) {
		const struct tree_item *item = next_row(walk);

		if (!item) {
			close_text_level(walk);
			leave(walk);
			continue;
		}
		error = put_text_row(walk, *item, &items, &count);
		if (!error)
			error = enter(walk, items, count);
	}
	if (!error && !walk->measure->total)
		fprintf(walk->stream, "%s\n", walk->measure->nothing);
	if (!error && walk->has_marks)
		fputs("⋯n: n callees are not shown; TOTAL has them\n", walk->stream);
	return error;
}

struct error *report_write_tree(const struct report_measure *measure, const struct report_options *options,
				FILE *stream)
{
	_cleanup_(walk_deinit) struct walk walk = {.measure = measure, .options = options, .stream = stream};
	struct error *error = tree_create(measure->profile, TREE_TOP_DOWN, &walk.tree);

	if (!error)
		error = choose_rows(&walk);
	if (error)
		return error;
	return options->format == REPORT_JSON ? write_json(&walk) : write_text(&walk);
}
