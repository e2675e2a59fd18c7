/* What the reports have in common: numbers and texts for people and for JSON. Included by export/report*.c
 * and its tests only. */
#ifndef KILN_EXPORT_REPORT_PARTS_H
#define KILN_EXPORT_REPORT_PARTS_H

#include "base/array.h"
#include "export/report.h"
#include "profile/heap.h"

#include <jansson.h>

#define REPORT_SCHEMA  1
#define REPORT_COLUMNS 100
/* Below this the target's CPU time is too short to divide by (CLI.md). */
#define REPORT_TARGET_CPU_S_MIN 0.1
#define REPORT_JSON_FLAGS	(JSON_INDENT(2) | JSON_REAL_PRECISION(9))

/* The heap of a profile, as far as it was measured. */
struct report_heap {
	struct heap *heap; /* NULL: not measured */
	struct heap_facts facts;
	const char *why; /* it was not measured, or ended; NULL: no reason is known */
};

void report_read_heap(const struct profile *profile, struct report_heap *ret);

/* What the rows of a report count: samples, or bytes or blocks of the heap. */
struct report_measure {
	struct profile *profile; /* whose samples they are; NULL: not measured */
	struct report_heap heap; /* of a metric of the heap */
	const char *metric;	 /* CLI.md: "cpu" … */
	const char *column;	 /* "SAMPLES" … */
	const char *nothing;	 /* "no samples" … */
	bool is_sampled;	 /* else exact: without an interval */
	bool is_bytes;
	uint64_t total;
};

struct error *report_measure_init(struct profile *profile, enum report_metric metric,
				  struct report_measure *ret);

struct error *report_write_summary(struct profile *profile, const struct report_options *options,
				   FILE *stream);
struct error *report_write_hot(const struct report_measure *measure, const struct report_options *options,
			       FILE *stream);
struct error *report_write_tree(const struct report_measure *measure, const struct report_options *options,
				FILE *stream);
struct error *report_write_alloc(const struct report_measure *measure, const struct report_options *options,
				 FILE *stream);
/* Instead of rows: why there are none. */
struct error *report_write_unmeasured(const struct report_measure *measure,
				      const struct report_options *options, FILE *stream);

/* The heap's part of the summary. */
json_t *report_make_heap(const struct report_heap *heap); /* null: not measured */
void report_put_heap(const struct report_heap *heap, FILE *stream);

/* The summary's broken stacks, by module (profile/spoilers.h). */
bool report_has_spoiled(const struct profile *profile, uint32_t module);
json_t *report_make_spoiled(const struct profile *profile, uint32_t module); /* {} when there are none */
void report_put_spoilers(const struct profile *profile, uint64_t samples, FILE *stream);

/* A function as rows show it. */
struct report_row {
	struct function function;
	uint64_t self, total;
	struct heap_figures figures; /* of the heap: of the function itself */
};

struct report_rows {
	ARRAY(struct report_row)
	list;
	size_t shown; /* the first ones */
	uint64_t hidden_self;
};

void report_rows_deinit(struct report_rows *rows);
/* The functions by self. has_figures: those that have allocated too, whatever they hold; in the text only
 * those. */
struct error *report_rows_collect(struct report_rows *rows, const struct report_measure *measure,
				  const struct report_options *options, bool has_figures);
/* Takes the list of rows; NULL is a lack of memory. */
struct error *report_rows_dump(const struct report_rows *rows, const struct report_measure *measure,
			       json_t *list, FILE *stream);
/* Cells of the column of modules: what the shown ones take, at most so many. */
size_t report_rows_get_module_width(const struct report_rows *rows, size_t most);
void report_rows_put_module(const struct report_row *row, size_t width, FILE *stream); /* padded */
/* What the text says above and below the rows. */
void report_put_head(const struct report_measure *measure, FILE *stream);
void report_rows_put_rest(const struct report_rows *rows, const struct report_measure *measure, FILE *stream);

double report_get_pct(uint64_t part, uint64_t whole); /* 0 of 0 is 0 */
/* Half width of the 95 % interval of a count of samples, in samples (Wilson: also honest near 0 and near
 * all). */
double report_get_ci(uint64_t count, uint64_t samples);
bool report_is_below(uint64_t count, uint64_t samples, double limit_pct);

/* ---- JSON ---- */

json_t *report_json_text(const char *text); /* NULL and "": null */
json_t *report_json_real(double value);	    /* NAN: null */
json_t *report_json_row(const struct report_row *row, const struct report_measure *measure);
struct error *report_dump_json(json_t *json, size_t flags,
			       FILE *stream); /* takes json; NULL is a lack of memory */

/* ---- text ---- */

#define REPORT_NUMBER_MAX 32
const char *report_format_number(uint64_t number, char ret[REPORT_NUMBER_MAX]);	    /* "12,402" */
const char *report_format_short(uint64_t number, char ret[REPORT_NUMBER_MAX]);	    /* "999", "12.4k" */
const char *report_format_bytes(uint64_t bytes, char ret[REPORT_NUMBER_MAX]);	    /* "512 B", "11.8 MiB" */
const char *report_format_short_bytes(uint64_t bytes, char ret[REPORT_NUMBER_MAX]); /* "512B", "11.8M" */
/* In the measure's unit. */
const char *report_format_amount(const struct report_measure *measure, uint64_t amount,
				 char ret[REPORT_NUMBER_MAX]);
/* Cells that a text takes, near enough: code points. */
size_t report_get_width(const char *text);
/* At most `width` cells. What does not fit loses its template arguments first, "std::map<…>::find(int)", then
 * the parameters, then its middle. */
void report_put_text(const char *text, size_t width, FILE *stream);
/* At most `width` cells: the end is cut. For what is no name. */
void report_put_start(const char *text, size_t width, FILE *stream);
/* A sentence that somebody else may have written, and a line's end: sanitized, wrapped. The first line goes
 * on at `column`, the others begin at `indent`. */
void report_put_why(const char *why, size_t column, size_t indent, FILE *stream);
/* "name.cc:12", "" when the line is not known. */
const char *report_format_place(const struct function *function, char *ret, size_t size);

#endif
