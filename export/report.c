#include "export/report.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "export/report_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static struct error *fail_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "report");
}

double report_get_pct(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

double report_get_ci(uint64_t count, uint64_t samples)
{
	const double z = 1.959964;
	double n = (double)samples, share;

	if (!samples)
		return NAN;
	share = (double)count / n;
	return n * z / (1 + z * z / n) * sqrt(share * (1 - share) / n + z * z / (4 * n * n));
}

bool report_is_below(uint64_t count, uint64_t samples, double limit_pct)
{
	return report_get_pct(count, samples) < limit_pct;
}

/* ---- JSON ---- */

json_t *report_json_text(const char *text)
{
	_cleanup_free_ char *safe = NULL;
	size_t length;

	if (!text || !*text)
		return json_null();
	length = strlen(text);
	safe = malloc(length + 1);
	if (!safe)
		return NULL;
	text_sanitize(text, length, safe, length + 1);
	return json_string(safe);
}

json_t *report_json_real(double value)
{
	return isfinite(value) ? json_real(value) : json_null();
}

json_t *report_json_row(const struct report_row *row, const struct report_measure *measure)
{
	const struct function *function = &row->function;

	return json_pack(
		"{s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "function", report_json_text(function->name), "module",
		report_json_text(function->module_name), "file", report_json_text(function->file), "line",
		function->line ? json_integer(function->line) : json_null(), "self", (json_int_t)row->self,
		"total", (json_int_t)row->total, "self_ci",
		report_json_real(measure->is_sampled ? report_get_ci(row->self, measure->total) : NAN));
}

struct error *report_dump_json(json_t *json, size_t flags, FILE *stream)
{
	int failed;

	if (!json)
		return fail_memory();
	failed = json_dumpf(json, stream, flags);
	fputc('\n', stream);
	json_decref(json);
	/* A stream that fails is told by report_write(). */
	return failed && !ferror(stream) ? fail_memory() : NULL;
}

/* ---- text ---- */

const char *report_format_number(uint64_t number, char ret[REPORT_NUMBER_MAX])
{
	char digits[REPORT_NUMBER_MAX];
	int length = snprintf(digits, sizeof(digits), "%" PRIu64, number);
	char *at = ret;

	for (int i = 0; i < length; i++) {
		if (i && (length - i) % 3 == 0)
			*at++ = ',';
		*at++ = digits[i];
	}
	*at = '\0';
	return ret;
}

/* A number with a unit's letter, below `base` of that unit: 3 digits and a decimal say enough to people. */
static double scale(uint64_t number, double base, size_t units, size_t *ret_unit)
{
	double value = (double)number;
	size_t unit = 0;

	/* 1023.96 would be written as 1024.0. */
	for (; unit + 1 < units && value >= base - 0.05; unit++)
		value /= base;
	*ret_unit = unit;
	return value;
}

const char *report_format_short(uint64_t number, char ret[REPORT_NUMBER_MAX])
{
	static const char *const units[] = {"", "k", "M", "G", "T", "P", "E"};
	size_t unit;
	double value = scale(number, 1000, sizeof(units) / sizeof(units[0]), &unit);

	snprintf(ret, REPORT_NUMBER_MAX, "%.*f%s", unit ? 1 : 0, value, units[unit]);
	return ret;
}

const char *report_format_short_bytes(uint64_t bytes, char ret[REPORT_NUMBER_MAX])
{
	static const char *const units[] = {"B", "K", "M", "G", "T", "P", "E"};
	size_t unit;
	double value = scale(bytes, 1024, sizeof(units) / sizeof(units[0]), &unit);

	snprintf(ret, REPORT_NUMBER_MAX, "%.*f%s", unit ? 1 : 0, value, units[unit]);
	return ret;
}

const char *report_format_bytes(uint64_t bytes, char ret[REPORT_NUMBER_MAX])
{
	static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	size_t unit;
	double value = scale(bytes, 1024, sizeof(units) / sizeof(units[0]), &unit);

	snprintf(ret, REPORT_NUMBER_MAX, "%.*f %s", unit ? 1 : 0, value, units[unit]);
	return ret;
}

/* Bytes of the character at text; what is no UTF-8 counts byte by byte. */
static size_t get_step(const char *text)
{
	uint32_t codepoint;
	size_t step = text_decode(text, strlen(text) < 4 ? strlen(text) : 4, &codepoint);

	return step ? step : 1;
}

size_t report_get_width(const char *text)
{
	size_t width = 0;

	for (; *text; text += get_step(text))
		width++;
	return width;
}

static bool begins_list(const char *text, const char *at, char open)
{
	/* operator<, operator<< and operator() are names. */
	return *at == open && strncmp(at, "(anonymous namespace)", 21) != 0 &&
	       !(at - text >= 8 && !strncmp(at - 8, "operator", 8)) &&
	       !(at - text >= 9 && !strncmp(at - 9, "operator<", 9));
}

/* "a<b<c>>::d(e)" → "a<…>::d(e)" for '<', "a<b<c>>::d(…)" for '('. ret has room: at most 3 bytes take the
 * place of 2 characters and more, or of none. */
static void fold_lists(const char *text, char open, char close, char *ret)
{
	unsigned depth = 0;

	for (const char *at = text; *at; at++) {
		if (!depth && begins_list(text, at, open) && at[1] != close) {
			ret = stpcpy(stpncpy(ret, at, 1), "…");
			depth = 1;
			continue;
		}
		if (depth)
			depth += (*at == open) - (*at == close && at[-1] != '-');
		if (!depth)
			*ret++ = *at;
	}
	*ret = '\0';
}

static void put_middle(const char *text, size_t width, FILE *stream)
{
	size_t all = report_get_width(text), tail = (width - 1) / 2, head = width - 1 - tail, at = 0;

	for (; *text; at++) {
		size_t step = get_step(text);

		if (all <= width || at < head || at >= all - tail)
			fwrite(text, 1, step, stream);
		else if (at == head)
			fputs("…", stream);
		text += step;
	}
}

/* Where the next part of a name begins: behind its return type, behind a namespace; NULL: there is none
 * before the arguments. */
static const char *find_next_part(const char *text)
{
	unsigned depth = 0;

	for (const char *at = text; *at; at++) {
		if (*at == '<' && begins_list(text, at, '<'))
			depth++;
		else if (*at == '>' && depth && at[-1] != '-')
			depth--;
		if (depth)
			continue;
		if (*at == '(' && begins_list(text, at, '('))
			return NULL;
		if (*at == ' ' && (at - text < 8 || strncmp(at - 8, "operator", 8) != 0) && at[1] != '[')
			return at + 1;
		if (at[0] == ':' && at[1] == ':')
			return at + 2;
	}
	return NULL;
}

/* The return type and namespaces go, one after the other, until the rest fits; not the last, which is the
 * class. */
static const char *drop_left(const char *text, size_t width)
{
	const char *next;

	while (report_get_width(text) > width && (next = find_next_part(text)) && *next) {
		if (next[-1] == ':' && !find_next_part(next))
			break;
		text = next;
	}
	return text;
}

void report_put_text(const char *text, size_t width, FILE *stream)
{
	_cleanup_free_ char *folded = NULL, *more = NULL;
	size_t size = 3 * strlen(text) + 1;

	if (report_get_width(text) > width) {
		folded = malloc(size);
		more = malloc(3 * size);
		if (folded && more) {
			fold_lists(text, '<', '>', folded);
			text = folded;
			if (report_get_width(text) > width) {
				fold_lists(text, '(', ')', more);
				text = more;
			}
			text = drop_left(text, width);
		}
	}
	put_middle(text, width, stream);
}

void report_put_start(const char *text, size_t width, FILE *stream)
{
	bool is_cut = report_get_width(text) > width;
	size_t left = is_cut ? width - 1 : width;

	for (; *text && left; left--) {
		size_t step = get_step(text);

		fwrite(text, 1, step, stream);
		text += step;
	}
	fputs(is_cut ? "…" : "", stream);
}

const char *report_format_place(const struct function *function, char *ret, size_t size)
{
	const char *slash = function->file ? strrchr(function->file, '/') : NULL;
	const char *name = slash ? slash + 1 : function->file;

	*ret = '\0';
	if (name && *name && function->line)
		snprintf(ret, size, "%s:%u", name, function->line);
	return ret;
}

/* ---- */

static struct error *write_rows(struct profile *profile, const struct report_options *options, FILE *stream)
{
	enum report_metric metric = options->metric;
	struct report_measure measure;
	struct error *error;

	if (metric == REPORT_METRIC_DEFAULT && options->view == REPORT_ALLOC)
		metric = REPORT_METRIC_LIVE_BYTES;
	error = report_measure_init(profile, metric, &measure);
	if (error)
		return error;
	if (!measure.profile)
		return report_write_unmeasured(&measure, options, stream);
	switch (options->view) {
	case REPORT_TREE:
		return report_write_tree(&measure, options, stream);
	case REPORT_ALLOC:
		return report_write_alloc(&measure, options, stream);
	default:
		return report_write_hot(&measure, options, stream);
	}
}

struct error *report_write(struct profile *profile, const struct report_options *options, FILE *stream)
{
	struct error *error = options->view == REPORT_SUMMARY ? report_write_summary(profile, options, stream)
							      : write_rows(profile, options, stream);

	/* A reader that has seen enough (head, a pager) is no fault. */
	if (!error && (fflush(stream) || ferror(stream)) && errno != EPIPE)
		error = error_create(ERROR_GENERAL, errno, NULL, "write the report");
	return error;
}
