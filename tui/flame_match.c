#include "tui/flame_match.h"

#include "tui/metric.h"

#include <stdlib.h>
#include <string.h>

#define NODES_FIRST 10000 /* a drawing, for the first sum: a few ms */
#define NODES_AGAIN 1000  /* a drawing, when a sum is there already */

static void begin(struct flame_match *match, struct tree *tree, uint64_t revision)
{
	struct tree_item root;

	match->pending.count = 0;
	match->revision = revision;
	match->running = 0;
	match->running_all = tree_get_item(tree, 0, &root) ? root.total : 0;
	match->is_running = match->running_all && array_append(&match->pending, 0);
}

/* Counts what matches among the children of a node; what does not is looked at later. */
static void visit(struct flame_match *match, const struct view_context *context, struct hits *hits,
		  struct tree *tree, uint64_t key)
{
	size_t first = match->pending.count, last, count, i;
	const struct tree_item *children;
	struct error *error = tree_list_children(tree, key, &children, &count);

	error_destroy(error);
	if (error)
		return;
	for (i = 0; i < count; i++) {
		if (hits_has(hits, context, children[i].function))
			match->running += children[i].total;
		else if (children[i].has_children && !array_append(&match->pending, children[i].key))
			return;
	}
	/* heaviest on top of the stack */
	for (last = match->pending.count; first + 1 < last; first++, last--) {
		uint64_t moved = match->pending.items[first];

		match->pending.items[first] = match->pending.items[last - 1];
		match->pending.items[last - 1] = moved;
	}
}

void flame_match_refresh(struct flame_match *match, const struct view_context *context, struct hits *hits,
			 struct tree *tree)
{
	uint64_t revision = profile_get_revision(metric_get_profile(context));
	unsigned visited, most;

	if (!hits_is_active(context))
		return;
	if (!match->pattern || strcmp(match->pattern, context->search)) {
		free(match->pattern);
		match->pattern = strdup(context->search); /* NULL: every drawing begins anew */
		match->is_running = match->is_done = false;
	}
	if (!match->is_running && (!match->is_done || match->revision != revision))
		begin(match, tree, revision);
	most = match->is_done ? NODES_AGAIN : NODES_FIRST;
	for (visited = 0; match->is_running && match->pending.count && visited < most; visited++)
		visit(match, context, hits, tree, match->pending.items[--match->pending.count]);
	if (match->is_done && match->pending.count)
		return; /* the last whole sum stands until the next one is whole */
	match->samples = match->running;
	match->all = match->running_all;
	match->is_done = !match->pending.count;
	match->is_running = match->pending.count > 0;
}

void flame_match_deinit(struct flame_match *match)
{
	array_deinit(&match->pending);
	free(match->pattern);
}
