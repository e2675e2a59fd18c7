#include "export/report_annotate.h"

#include "export/annotate_parts.h"
#include "export/report_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *annotate_get_basename(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

/* ---- whose an instruction is ---- */

const struct code_level *annotate_get_innermost(const struct code_listing *listing,
						const struct code_instruction *instruction)
{
	const struct code_place *place = &listing->places[instruction->place];

	return place->count ? &listing->levels[place->first] : NULL;
}

const struct code_level *annotate_find_own_level(const struct annotate *annotate,
						 const struct annotate_piece *piece,
						 const struct code_instruction *instruction)
{
	const struct code_listing *listing = piece->listing;
	const struct code_place *place = &listing->places[instruction->place];

	if (!place->count)
		return NULL;
	if (!piece->is_inlined)
		return &listing->levels[place->first + place->count - 1];
	for (uint32_t i = 0; i < place->count; i++) {
		const struct code_level *level = &listing->levels[place->first + i];

		if (level->function && !strcmp(level->function, annotate->function.name))
			return level;
	}
	return NULL;
}

/* Of code whose inlined functions are not known, samples alone say what is of the function. */
bool annotate_is_own(const struct annotate *annotate, const struct annotate_piece *piece, size_t number)
{
	return !piece->is_inlined || piece->self[number] ||
	       annotate_find_own_level(annotate, piece, &piece->listing->instructions[number]);
}

/* ---- figures ---- */

void annotate_put_figures(const struct annotate *annotate, uint64_t self, bool is_marked)
{
	uint64_t all = annotate->options->addresses->self;
	char number[REPORT_NUMBER_MAX];

	if (!self) {
		annotate_put_no_figures(annotate);
		return;
	}
	fprintf(annotate->stream, "%s %6.1f%% ±%5.1f %9s  ", is_marked ? ">" : " ", report_get_pct(self, all),
		report_get_pct(1, all) * report_get_ci(self, all), report_format_number(self, number));
}

void annotate_put_no_figures(const struct annotate *annotate)
{
	fprintf(annotate->stream, "%28s", "");
}

/* ---- samples ---- */

static int compare_offset(const void *key, const void *item)
{
	uint64_t address = *(const uint64_t *)key;
	const struct code_instruction *instruction = item;

	if (address < instruction->address)
		return -1;
	return address >= instruction->address + instruction->length;
}

/* The function's samples by instruction. An address that lies inside of one belongs to it. */
static bool place_samples(const struct annotate *annotate, struct annotate_piece *piece)
{
	const struct code_listing *listing = piece->listing;
	const struct addresses *addresses = annotate->options->addresses;

	piece->self = calloc(listing->count + 1, sizeof(*piece->self));
	if (!piece->self)
		return false;
	for (size_t i = 0; i < addresses->items.count; i++) {
		const struct address *address = &addresses->items.items[i];
		uint64_t at = address->offset - listing->start_offset + listing->start;
		const struct code_instruction *found;

		if (!listing->count)
			break;
		found = bsearch(&at, listing->instructions, listing->count, sizeof(*found), compare_offset);
		if (!found)
			continue;
		piece->self[found - listing->instructions] += address->self;
		piece->sum += address->self;
	}
	return true;
}

static bool add_piece(struct annotate *annotate, const struct code_listing *listing)
{
	struct annotate_piece piece = {.listing = listing};

	if (!listing || !listing->count)
		return true;
	piece.is_inlined = *listing->function && strcmp(listing->function, annotate->function.name);
	if (!array_reserve(&annotate->pieces, annotate->pieces.count + 1) || !place_samples(annotate, &piece))
		return false;
	annotate->placed += piece.sum;
	array_append(&annotate->pieces, piece);
	return true;
}

/* ---- */

static void put_head(const struct annotate *annotate)
{
	const struct function *function = &annotate->function;
	uint64_t code = annotate->options->addresses->self;
	char number[REPORT_NUMBER_MAX], all[REPORT_NUMBER_MAX];

	fprintf(annotate->stream, "%s  (%s)\n", function->name, function->module_name);
	fprintf(annotate->stream, "%s samples in its code, %.1f %% of %s", report_format_number(code, number),
		report_get_pct(code, annotate->total), report_format_number(annotate->total, all));
	if (code != function->self)
		fprintf(annotate->stream, "; %s of its own, without what is inlined there",
			report_format_number(function->self, number));
	fprintf(annotate->stream, "; %s with what it calls\n", report_format_number(function->total, number));
}

/* Nothing is left out without a word. */
static void put_rest(const struct annotate *annotate)
{
	const struct addresses *addresses = annotate->options->addresses;
	uint64_t rest = addresses->self - addresses->elsewhere;

	rest = annotate->pieces.count && rest > annotate->placed ? rest - annotate->placed : 0;
	if (!rest && !addresses->elsewhere)
		return;
	fputc('\n', annotate->stream);
	if (rest) {
		annotate_put_figures(annotate, rest, false);
		fputs("        at other places, which are not listed\n", annotate->stream);
	}
	if (addresses->elsewhere) {
		annotate_put_figures(annotate, addresses->elsewhere, false);
		fputs("        of rare stacks, whose addresses were not kept\n", annotate->stream);
	}
}

static struct error *write(struct annotate *annotate)
{
	struct error *error;

	put_head(annotate);
	error = annotate_write_lines(annotate);
	for (size_t i = 0; !error && i < annotate->pieces.count; i++)
		annotate_write_code(annotate, &annotate->pieces.items[i]);
	if (!error)
		put_rest(annotate);
	/* A reader that has seen enough (head, a pager) is no fault. */
	if (!error && (fflush(annotate->stream) || ferror(annotate->stream)) && errno != EPIPE)
		error = error_create(ERROR_GENERAL, errno, NULL, "write the report");
	return error;
}

struct error *report_write_annotate(struct profile *profile, const struct annotate_options *options,
				    FILE *stream)
{
	struct annotate annotate = {
		.profile = profile,
		.options = options,
		.function = profile_get_function(profile, options->function),
		.stream = stream,
	};
	struct totals totals;
	struct error *error;
	bool is_done = true;

	profile_get_totals(profile, &totals);
	annotate.total = totals.samples;
	for (size_t i = 0; is_done && i < options->count; i++)
		is_done = add_piece(&annotate, options->listings[i]);
	error = is_done ? write(&annotate) : error_create(ERROR_GENERAL, ENOMEM, NULL, "annotate");
	for (size_t i = 0; i < annotate.pieces.count; i++)
		free(annotate.pieces.items[i].self);
	array_deinit(&annotate.pieces);
	return error;
}
