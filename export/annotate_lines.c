/* The lines of a function with their samples, file by file: its own file first. */
#include "base/cleanup.h"
#include "export/annotate_parts.h"
#include "export/report_parts.h"

#include <errno.h>
#include <string.h>

/* So many lines without code are shown between two with code; of more, the first and the last ones. */
#define GAP_MAX	 6
#define GAP_EDGE 2
/* Before the first line with code. */
#define LEAD 1

struct line {
	const char *file;
	uint32_t line;
	uint64_t self;
	/* What is inlined there; of its hottest instruction. NULL: nothing. */
	const struct code_level *inlined;
	uint64_t inlined_self;
};

struct file {
	const char *name;
	size_t first, count; /* of lines */
	uint64_t self;
};

struct lines {
	ARRAY(struct line)
	lines;
	ARRAY(struct file)
	files;
	uint64_t unknown; /* samples without a line */
	uint64_t hottest;
};

static int compare_lines(const void *a, const void *b)
{
	const struct line *first = a, *second = b;
	int order = strcmp(first->file, second->file);

	if (order)
		return order;
	return first->line == second->line ? 0 : first->line < second->line ? -1 : 1;
}

static int compare_files(const void *a, const void *b)
{
	const struct file *first = a, *second = b;

	if (first->self != second->self)
		return first->self < second->self ? 1 : -1;
	return strcmp(first->name, second->name);
}

static bool add(struct lines *lines, const char *file, uint32_t number, uint64_t self,
		const struct code_level *inlined)
{
	if (!file || !*file || !number) {
		lines->unknown += self;
		return true;
	}
	return array_append(&lines->lines, (struct line){file, number, self, inlined, inlined ? self : 0});
}

static bool add_piece(struct lines *lines, const struct annotate *annotate,
		      const struct annotate_piece *piece)
{
	for (size_t i = 0; i < piece->listing->count; i++) {
		const struct code_instruction *instruction = &piece->listing->instructions[i];
		const struct code_level *own = annotate_find_own_level(annotate, piece, instruction);
		const struct code_level *inner = annotate_get_innermost(piece->listing, instruction);

		if (!annotate_is_own(annotate, piece, i))
			continue;
		if (!add(lines, own ? own->file : NULL, own ? own->line : 0, piece->self[i],
			 inner != own ? inner : NULL))
			return false;
	}
	return true;
}

static bool add_addresses(struct lines *lines, const struct addresses *addresses)
{
	for (size_t i = 0; i < addresses->items.count; i++) {
		const struct address *address = &addresses->items.items[i];

		if (address->self && !add(lines, address->file, address->line, address->self, NULL))
			return false;
	}
	return true;
}

static void join(struct lines *lines)
{
	size_t kept = 0;

	if (lines->lines.count)
		qsort(lines->lines.items, lines->lines.count, sizeof(struct line), compare_lines);
	for (size_t i = 0; i < lines->lines.count; i++) {
		const struct line line = lines->lines.items[i];
		struct line *last = kept ? &lines->lines.items[kept - 1] : NULL;

		if (!last || compare_lines(last, &line)) {
			lines->lines.items[kept++] = line;
			continue;
		}
		last->self += line.self;
		if (line.inlined && (!last->inlined || line.inlined_self > last->inlined_self)) {
			last->inlined = line.inlined;
			last->inlined_self = line.inlined_self;
		}
	}
	lines->lines.count = kept;
}

static bool list_files(struct lines *lines)
{
	for (size_t i = 0; i < lines->lines.count; i++) {
		const struct line *line = &lines->lines.items[i];
		struct file *last = lines->files.count ? &lines->files.items[lines->files.count - 1] : NULL;

		if (!last || strcmp(last->name, line->file)) {
			if (!array_append(&lines->files, (struct file){.name = line->file, .first = i}))
				return false;
			last = &lines->files.items[lines->files.count - 1];
		}
		last->count++;
		last->self += line->self;
		if (line->self > lines->hottest)
			lines->hottest = line->self;
	}
	if (lines->files.count)
		qsort(lines->files.items, lines->files.count, sizeof(struct file), compare_files);
	return true;
}

/* ---- writing ---- */

static void put_source(const struct annotate *annotate, const char *file, uint32_t number)
{
	const struct annotate_sources *sources = &annotate->options->sources;
	const char *text = sources->get_line(sources->arg, file, number);

	fprintf(annotate->stream, "%6u%s%s", number, text && *text ? "  " : "", text ? text : "");
}

static void put_line(const struct annotate *annotate, const struct lines *lines, const struct line *line)
{
	annotate_put_figures(annotate, line->self, line->self && line->self == lines->hottest);
	put_source(annotate, line->file, line->line);
	if (line->inlined) {
		fprintf(annotate->stream, "   (inlined: %s",
			line->inlined->function ? line->inlined->function : "?");
		if (line->inlined->file && line->inlined->line)
			fprintf(annotate->stream, " %s:%u", annotate_get_basename(line->inlined->file),
				line->inlined->line);
		fputc(')', annotate->stream);
	}
	fputc('\n', annotate->stream);
}

static void put_plain(const struct annotate *annotate, const char *file, uint32_t number)
{
	annotate_put_no_figures(annotate);
	put_source(annotate, file, number);
	fputc('\n', annotate->stream);
}

/* Lines without code between two with code. */
static void put_gap(const struct annotate *annotate, const char *file, uint32_t after, uint32_t before)
{
	uint32_t count = before - after - 1;

	for (uint32_t number = after + 1; number < before; number++) {
		if (count > GAP_MAX && number == after + 1 + GAP_EDGE) {
			annotate_put_no_figures(annotate);
			fputs("     …\n", annotate->stream);
			number = before - GAP_EDGE;
		}
		put_plain(annotate, file, number);
	}
}

static void put_missing(const struct annotate *annotate, const char *name, const struct annotate_file *found)
{
	fputs("  no source: ", annotate->stream);
	if (found->path && strcmp(found->path, name))
		fprintf(annotate->stream, "%s: ", found->path);
	fprintf(annotate->stream, "%s\n", found->why ? found->why : "memory is short");
}

static void put_file(const struct annotate *annotate, const struct lines *lines, const struct file *file)
{
	const struct annotate_sources *sources = &annotate->options->sources;
	struct annotate_file found = {0};
	bool is_there = sources->find(sources->arg, file->name, &found) && !found.why;

	fprintf(annotate->stream, "\n%s\n", is_there ? found.path : file->name);
	if (!is_there)
		put_missing(annotate, file->name, &found);
	else if (found.is_newer)
		fprintf(annotate->stream, "  newer than the binary: lines may be wrong\n");
	fprintf(annotate->stream, "%9s %6s %9s  %6s  %s\n", "SELF", "±", "SAMPLES", "LINE", "SOURCE");
	for (size_t i = 0; i < file->count; i++) {
		const struct line *line = &lines->lines.items[file->first + i];

		if (i && is_there)
			put_gap(annotate, file->name, line[-1].line, line->line);
		else if (!i && is_there && line->line > LEAD)
			put_gap(annotate, file->name, line->line - 1 - LEAD, line->line);
		put_line(annotate, lines, line);
	}
}

struct error *annotate_write_lines(const struct annotate *annotate)
{
	struct lines lines = {0};
	bool is_done = true;

	for (size_t i = 0; is_done && i < annotate->pieces.count; i++)
		is_done = add_piece(&lines, annotate, &annotate->pieces.items[i]);
	if (is_done && !annotate->pieces.count)
		is_done = add_addresses(&lines, annotate->options->addresses);
	if (is_done) {
		join(&lines);
		is_done = list_files(&lines);
	}
	for (size_t i = 0; is_done && i < lines.files.count; i++)
		put_file(annotate, &lines, &lines.files.items[i]);
	if (is_done && !lines.files.count)
		fputs("\nno line is known: the file has no line information that could be read\n",
		      annotate->stream);
	else if (is_done && lines.unknown) {
		fputc('\n', annotate->stream);
		annotate_put_figures(annotate, lines.unknown, false);
		fputs("        without a line\n", annotate->stream);
	}
	array_deinit(&lines.lines);
	array_deinit(&lines.files);
	return is_done ? NULL : error_create(ERROR_GENERAL, ENOMEM, NULL, "annotate");
}
