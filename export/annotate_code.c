/* The instructions of a function with their samples; source lines between them; where jumps go. */
#include "export/annotate_parts.h"
#include "export/report_parts.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* What is inlined here, and by which calls: "(inlined: skip_ws ← parse json.h:40 ← json.c:219)". */
static void put_levels(const struct code_listing *listing, const struct code_place *place, FILE *stream)
{
	const struct code_level *levels = &listing->levels[place->first];

	if (place->count < 2)
		return;
	fprintf(stream, "   (inlined: %s", levels[0].function ? levels[0].function : "?");
	for (uint32_t i = 1; i < place->count; i++) {
		bool is_last = i + 1 == place->count;

		fprintf(stream, " ←%s%s", !is_last && levels[i].function ? " " : "",
			!is_last && levels[i].function ? levels[i].function : "");
		if (levels[i].file && levels[i].line)
			fprintf(stream, " %s:%u", annotate_get_basename(levels[i].file), levels[i].line);
	}
	fputc(')', stream);
}

static const char *skip_blanks(const char *text)
{
	return text + strspn(text, " ");
}

static void put_place(const struct annotate *annotate, const struct code_listing *listing,
		      const struct code_place *place)
{
	const struct annotate_sources *sources = &annotate->options->sources;
	const struct code_level *level = place->count ? &listing->levels[place->first] : NULL;
	const char *text;

	annotate_put_no_figures(annotate);
	if (!level || !level->file || !level->line) {
		fputs("; no line\n", annotate->stream);
		return;
	}
	text = sources->get_line(sources->arg, level->file, level->line);
	fprintf(annotate->stream, "; %s:%u", annotate_get_basename(level->file), level->line);
	if (text && *skip_blanks(text))
		fprintf(annotate->stream, "  %s", skip_blanks(text));
	put_levels(listing, place, annotate->stream);
	fputc('\n', annotate->stream);
}

static bool is_inside(const struct code_listing *listing, uint64_t target)
{
	return target >= listing->start && target < listing->end;
}

static int compare_addresses(const void *key, const void *item)
{
	uint64_t address = *(const uint64_t *)key;
	const struct code_instruction *instruction = item;

	return address == instruction->address ? 0 : address < instruction->address ? -1 : 1;
}

/* Which instructions jumps of the function go to. NULL when memory is short: then no marks. */
static bool *find_targets(const struct code_listing *listing)
{
	bool *ret = calloc(listing->count + 1, sizeof(*ret));

	for (size_t i = 0; ret && i < listing->count; i++) {
		const struct code_instruction *instruction = &listing->instructions[i], *target;

		if (!(instruction->flags & CODE_JUMP) || !is_inside(listing, instruction->target))
			continue;
		target = bsearch(&instruction->target, listing->instructions, listing->count,
				 sizeof(*instruction), compare_addresses);
		if (target)
			ret[target - listing->instructions] = true;
	}
	return ret;
}

/* Up or down inside of the function, out of it. */
static const char *get_arrow(const struct code_listing *listing, const struct code_instruction *instruction)
{
	if (!(instruction->flags & CODE_JUMP) || !instruction->target)
		return " ";
	if (!is_inside(listing, instruction->target))
		return "→";
	return instruction->target > instruction->address ? "↓" : "↑";
}

static void put_instruction(const struct annotate *annotate, const struct annotate_piece *piece,
			    size_t number, bool is_target, bool is_hottest)
{
	const struct code_instruction *instruction = &piece->listing->instructions[number];

	annotate_put_figures(annotate, piece->self[number], is_hottest);
	fprintf(annotate->stream, "%8" PRIx64 " %s%s %s", instruction->address, is_target ? "•" : " ",
		get_arrow(piece->listing, instruction), instruction->text);
	if (instruction->target_name)
		fprintf(annotate->stream, " <%s>", instruction->target_name);
	fputc('\n', annotate->stream);
}

static void put_head(const struct annotate *annotate, const struct annotate_piece *piece)
{
	const struct code_listing *listing = piece->listing;
	char number[REPORT_NUMBER_MAX], all[REPORT_NUMBER_MAX];

	fprintf(annotate->stream, "\n%s%s, 0x%" PRIx64 " to 0x%" PRIx64 ", %s: %s samples\n",
		piece->is_inlined ? "inlined into " : "",
		*listing->function ? listing->function : annotate->function.name, listing->start,
		listing->end, report_format_bytes(listing->end - listing->start, all),
		report_format_number(piece->sum, number));
	if (listing->last - listing->first < listing->end - listing->start)
		fprintf(annotate->stream, "  too long to be listed: only %s from 0x%" PRIx64 " on\n",
			report_format_bytes(listing->last - listing->first, number), listing->first);
	fprintf(annotate->stream, "%9s %6s %9s  %8s    %s\n", "SELF", "±", "SAMPLES", "ADDRESS",
		"INSTRUCTION");
}

static uint64_t find_hottest(const struct annotate_piece *piece)
{
	uint64_t ret = 0;

	for (size_t i = 0; i < piece->listing->count; i++)
		ret = piece->self[i] > ret ? piece->self[i] : ret;
	return ret;
}

void annotate_write_code(const struct annotate *annotate, const struct annotate_piece *piece)
{
	const struct code_listing *listing = piece->listing;
	bool *targets = find_targets(listing);
	uint64_t hottest = find_hottest(piece);
	size_t before = SIZE_MAX; /* that was written last */

	put_head(annotate, piece);
	for (size_t i = 0; i < listing->count; i++) {
		uint32_t place = listing->instructions[i].place;

		if (!annotate_is_own(annotate, piece, i))
			continue;
		if (before != SIZE_MAX && before + 1 != i) {
			annotate_put_no_figures(annotate);
			fputs("…\n", annotate->stream);
		}
		if (before == SIZE_MAX ? listing->places[place].count
				       : place != listing->instructions[before].place)
			put_place(annotate, listing, &listing->places[place]);
		put_instruction(annotate, piece, i, targets && targets[i],
				hottest && piece->self[i] == hottest);
		before = i;
	}
	free(targets);
}
