#include "tui/overview_broken.h"

#include "profile/spoilers.h"
#include "tui/format.h"
#include "tui/label.h"

#include <stdio.h>

/* Broken stacks in 1,000 from which the line stands there. */
#define LIMIT	    1
#define LIMIT_TIGHT 50

unsigned overview_broken_count_rows(const struct profile *profile, bool is_tight)
{
	struct totals totals;
	uint64_t broken;

	profile_get_totals(profile, &totals);
	broken = totals.samples - totals.ends[STACK_COMPLETE] - totals.ends[STACK_TRUNCATED];
	return (double)broken * 1000 > (double)totals.samples * (is_tight ? LIMIT_TIGHT : LIMIT);
}

/* While tables are being made, a missing one says nothing of its module. */
static const char *get_problem(const struct view_context *context, const struct spoiler *spoiler)
{
	struct source *source = context->source;
	struct source_status status;

	source->ops->get_status(source, &status);
	if (spoiler->reason == STACK_NO_TABLE && status.tables_ready < status.tables_total)
		return "table not read yet";
	return stack_end_get_problem(spoiler->reason);
}

static const char *format_part(uint64_t part, uint64_t whole, char ret[FORMAT_MAX])
{
	if ((double)part * 1000 >= (double)whole)
		return format_share(part, whole, ret);
	snprintf(ret, FORMAT_MAX, "<0.1%%"); /* of many, none is much */
	return ret;
}

#define TEXT_MAX   (LABEL_MAX + 512)
#define NAME_CELLS 30

/* From all that there is to say down to the least. */
enum detail { DETAIL_REMEDY, DETAIL_SENTENCE, DETAIL_SHORT, DETAIL_LEAST };

static void write_line(const struct view_context *context, enum detail detail, char *ret, size_t capacity)
{
	const struct profile *profile = context->source->profile;
	size_t count = profile_count_spoilers(profile);
	struct spoiler worst;
	char name[LABEL_MAX], share[FORMAT_MAX], more[32] = "";
	struct totals totals;

	*ret = '\0';
	if (!count) /* cannot be: what broke has spoilers */
		return;
	worst = profile_get_spoiler(profile, 0);
	profile_get_totals(profile, &totals);
	label_fit(spoiler_get_name(profile, &worst), NAME_CELLS, name, sizeof(name));
	if (count > 1 && detail != DETAIL_LEAST)
		snprintf(more, sizeof(more), "  +%zu more", count - 1);
	snprintf(ret, capacity, "%s%s: %s, %s%s%s%s%s", detail <= DETAIL_SENTENCE ? "stacks break in " : "",
		 name, get_problem(context, &worst), format_part(worst.samples, totals.samples, share),
		 detail == DETAIL_LEAST ? "" : " of samples", detail == DETAIL_REMEDY ? "; " : "",
		 detail == DETAIL_REMEDY ? stack_end_get_remedy(worst.reason) : "", more);
}

void overview_broken_draw(const struct view_context *context, struct canvas *canvas, struct rectangle area)
{
	unsigned room = area.columns > 2 ? area.columns - 2 : 0;
	char text[TEXT_MAX];

	for (int detail = DETAIL_REMEDY; detail <= DETAIL_LEAST; detail++) {
		write_line(context, (enum detail)detail, text, sizeof(text));
		if (canvas_text_width(text) <= room)
			break;
	}
	canvas_text(canvas, area.column + 1, area.row, room, STYLE_WARN, text);
}
