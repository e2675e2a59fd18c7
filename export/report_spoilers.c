/* Whose code the stacks broke in, why, and what would mend it. */
#include "export/report_parts.h"
#include "profile/spoilers.h"

#include <stdio.h>

/* In the text; JSON has all. */
#define SPOILERS_SHOWN 5
#define LABEL_COLUMNS  12
#define WHY_COLUMN     (LABEL_COLUMNS + 7)
#define NAME_MAX_CELLS 40

bool report_has_spoiled(const struct profile *profile, uint32_t module)
{
	for (int reason = 0; reason < STACK_ENDS; reason++)
		if (profile_get_spoiled(profile, module, (enum stack_end)reason))
			return true;
	return false;
}

json_t *report_make_spoiled(const struct profile *profile, uint32_t module)
{
	json_t *json = json_object();

	for (int reason = 0; reason < STACK_ENDS; reason++) {
		uint64_t samples = profile_get_spoiled(profile, module, (enum stack_end)reason);

		if (samples)
			json_object_set_new(json, stack_end_names[reason], json_integer((json_int_t)samples));
	}
	return json;
}

/* The share of a few samples among very many is not nothing. */
static void put_share(uint64_t part, uint64_t whole, FILE *stream)
{
	double pct = report_get_pct(part, whole);

	if (pct < 0.01)
		fprintf(stream, "%6s ", "<0.01%");
	else
		fprintf(stream, "%5.2f%% ", pct);
}

/* " 1.00% libvendor.so: no unwind table; build it with …", wrapped. */
static void put_spoiler(const struct profile *profile, const struct spoiler *spoiler, uint64_t samples,
			FILE *stream)
{
	const char *name = spoiler_get_name(profile, spoiler);
	size_t width = report_get_width(name);
	char why[512];

	put_share(spoiler->samples, samples, stream);
	report_put_start(name, NAME_MAX_CELLS, stream);
	fputs(": ", stream);
	width = WHY_COLUMN + (width < NAME_MAX_CELLS ? width : NAME_MAX_CELLS) + 2;
	snprintf(why, sizeof(why), "%s; %s", stack_end_get_problem(spoiler->reason),
		 stack_end_get_remedy(spoiler->reason));
	report_put_why(why, width, WHY_COLUMN, stream);
}

void report_put_spoilers(const struct profile *profile, uint64_t samples, FILE *stream)
{
	size_t count = profile_count_spoilers(profile), i;
	uint64_t rest = 0;

	for (i = 0; i < count && i < SPOILERS_SHOWN; i++) {
		struct spoiler spoiler = profile_get_spoiler(profile, i);

		fprintf(stream, "  %-*s", LABEL_COLUMNS - 2, i ? "" : "broken");
		put_spoiler(profile, &spoiler, samples, stream);
	}
	if (i == count)
		return;
	for (size_t hidden = i; hidden < count; hidden++)
		rest += profile_get_spoiler(profile, hidden).samples;
	fprintf(stream, "%*s", LABEL_COLUMNS, "");
	put_share(rest, samples, stream);
	fprintf(stream, "… %zu more\n", count - i);
}
