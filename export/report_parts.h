/* What the reports have in common: numbers and texts for people and for JSON. Included by export/report*.c
 * only. */
#ifndef KILN_EXPORT_REPORT_PARTS_H
#define KILN_EXPORT_REPORT_PARTS_H

#include "export/report.h"

#include <jansson.h>

#define REPORT_SCHEMA  1
#define REPORT_COLUMNS 100
/* Below this the target's CPU time is too short to divide by (CLI.md). */
#define REPORT_TARGET_CPU_S_MIN 0.1
#define REPORT_JSON_FLAGS	(JSON_INDENT(2) | JSON_REAL_PRECISION(9))

struct error *report_write_summary(struct profile *profile, const struct report_options *options,
				   FILE *stream);
struct error *report_write_hot(struct profile *profile, const struct report_options *options, FILE *stream);
struct error *report_write_tree(struct profile *profile, const struct report_options *options, FILE *stream);

/* A function as rows show it. */
struct report_row {
	struct function function;
	uint64_t self, total;
	uint64_t samples; /* of the whole profile */
};

double report_get_pct(uint64_t part, uint64_t whole); /* 0 of 0 is 0 */
/* Half width of the 95 % interval of a count of samples, in samples (Wilson: also honest near 0 and near
 * all). */
double report_get_ci(uint64_t count, uint64_t samples);
bool report_is_below(uint64_t count, uint64_t samples, double limit_pct);

/* ---- JSON ---- */

json_t *report_json_text(const char *text); /* NULL and "": null */
json_t *report_json_real(double value);	    /* NAN: null */
json_t *report_json_row(const struct report_row *row);
struct error *report_dump_json(json_t *json, size_t flags,
			       FILE *stream); /* takes json; NULL is a lack of memory */

/* ---- text ---- */

#define REPORT_NUMBER_MAX 32
const char *report_format_number(uint64_t number, char ret[REPORT_NUMBER_MAX]); /* "12,402" */
/* Cells that a text takes, near enough: code points. */
size_t report_get_width(const char *text);
/* At most `width` cells. What does not fit loses its template arguments first, "std::map<…>::find(int)", then
 * the parameters, then its middle. */
void report_put_text(const char *text, size_t width, FILE *stream);
/* At most `width` cells: the end is cut. For what is no name. */
void report_put_start(const char *text, size_t width, FILE *stream);
/* "name.cc:12", "" when the line is not known. */
const char *report_format_place(const struct function *function, char *ret, size_t size);

#endif
