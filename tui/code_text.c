#include "tui/code_text.h"

#include "tui/format.h"
#include "tui/heap_text.h"
#include "tui/label.h"
#include "tui/metric.h"

#include <stdlib.h>
#include <string.h>

/* ---- kinds ---- */

static bool starts_with_one_of(const char *name, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
		if (!strncmp(name, *prefixes, strlen(*prefixes)))
			return true;
	return false;
}

static enum style get_kind_of_file(const struct profile *profile, const struct module *module)
{
	static const char *const runtime[] = {
		"libc.so",   "libc-",	    "libc.musl",   "ld-linux",	  "ld-musl",
		"ld-2.",     "libpthread",  "libjemalloc", "libtcmalloc", "libmimalloc",
		"libmalloc", "librpmalloc", NULL,
	};
	struct facts facts;

	profile_get_facts(profile, &facts);
	if (facts.exe && !strcmp(facts.exe, module->path))
		return STYLE_KIND_APP;
	if (starts_with_one_of(module->name, runtime))
		return STYLE_KIND_LIBC;
	return STYLE_KIND_LIBRARY;
}

enum style code_get_kind(const struct profile *profile, uint32_t module_id)
{
	struct module module;

	if (module_id == MODULE_KERNEL)
		return STYLE_KIND_KERNEL;
	if (module_id == MODULE_ANONYMOUS)
		return STYLE_KIND_JIT;
	if (module_id == MODULE_UNKNOWN || module_id == MODULE_STACK_END || module_id == MODULE_MERGED ||
	    !profile_find_module(profile, module_id, &module))
		return STYLE_KIND_UNKNOWN;
	if (module.kind == MODULE_KIND_ANONYMOUS)
		return STYLE_KIND_JIT;
	return module.kind == MODULE_KIND_FILE ? get_kind_of_file(profile, &module) : STYLE_KIND_LIBRARY;
}

static const struct {
	enum style kind;
	char letter;
	const char *word;
} kinds[] = {
	{STYLE_KIND_APP, 'A', "app"},	      {STYLE_KIND_LIBRARY, 'L', "library"},
	{STYLE_KIND_LIBC, 'C', "libc/alloc"}, {STYLE_KIND_KERNEL, 'K', "kernel"},
	{STYLE_KIND_JIT, 'J', "JIT"},	      {STYLE_KIND_UNKNOWN, '?', "unknown"},
};

char code_get_letter(enum style kind)
{
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].kind == kind)
			return kinds[i].letter;
	return '?';
}

unsigned code_draw_legend(struct canvas *canvas, unsigned column, unsigned row, unsigned width)
{
	unsigned used = 0;
	size_t i;

	for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		unsigned wanted = 2 + strlen(kinds[i].word);

		if (used + wanted > width)
			break;
		canvas_put(canvas, column + used, row, kinds[i].letter, kinds[i].kind);
		canvas_text(canvas, column + used + 2, row, wanted - 2, STYLE_DIM, kinds[i].word);
		used += wanted + 2;
	}
	return used;
}

/* ---- names and places ---- */

void code_write_name(const struct function *function, char *ret, size_t capacity)
{
	snprintf(ret, capacity, "%s%s", function->module == MODULE_KERNEL ? "[k] " : "", function->name);
}

void code_write_place(const struct profile *profile, const struct function *function, char *ret,
		      size_t capacity)
{
	const char *slash = strrchr(function->file, '/');
	const char *file = slash ? slash + 1 : function->file;
	struct module module;

	if (*file && function->line)
		snprintf(ret, capacity, "%s:%u", file, function->line);
	else if (*file)
		snprintf(ret, capacity, "%s", file);
	else if (function->module >= MODULE_FIRST_FILE &&
		 profile_find_module(profile, function->module, &module) &&
		 module.symbols == SYMBOLS_STRIPPED)
		snprintf(ret, capacity, "stripped");
	else
		snprintf(ret, capacity, "-");
}

void code_fit_place(const struct profile *profile, const struct function *function, unsigned cells, char *ret,
		    size_t capacity)
{
	char place[256], file[128];
	const char *line;
	unsigned line_cells;

	code_write_place(profile, function, place, sizeof(place));
	line = strrchr(place, ':');
	line_cells = line ? (unsigned)strlen(line) : 0;
	if (!line || canvas_text_width(place) <= cells || line_cells + 3 > cells) {
		label_fit(place, cells, ret, capacity);
		return;
	}
	place[line - place] = '\0';
	label_fit(place, cells - line_cells, file, sizeof(file));
	snprintf(ret, capacity, "%s:%s", file, line + 1);
}

void code_draw_cursor(struct canvas *canvas, unsigned column, unsigned row)
{
	canvas_put(canvas, column, row, canvas_is_ascii(canvas) ? '>' : 0x25b8, STYLE_BOLD); /* ▸ */
}

#define DETAIL_NAME_MIN 20

/* Takes the last figures away until there is room for a name. */
static void drop_figures(char *figures, unsigned columns, unsigned name_cells)
{
	char *last, *next;

	while (canvas_text_width(figures) + 2 + name_cells > columns) {
		last = NULL;
		for (next = strstr(figures, "  "); next; next = strstr(next + 2, "  "))
			last = next;
		if (!last)
			return;
		*last = '\0';
	}
}

void code_write_detail(const struct profile *profile, uint32_t number, const char *all_figures,
		       unsigned columns, char *ret, size_t capacity)
{
	struct function function = profile_get_function(profile, number);
	char name[CODE_NAME_MAX], label[LABEL_MAX], place[256], tail[258] = "", with_module[512];
	const char *behind = tail;
	char figures[512];
	unsigned left, wanted;

	code_write_name(&function, name, sizeof(name));
	wanted = canvas_text_width(name) < DETAIL_NAME_MIN ? canvas_text_width(name) : DETAIL_NAME_MIN;
	snprintf(figures, sizeof(figures), "%s", all_figures);
	drop_figures(figures, columns, wanted);
	left = canvas_text_width(figures) + 2;
	left = columns > left ? columns - left : 0;
	code_write_place(profile, &function, place, sizeof(place));
	/* "stripped" says nothing without the module that it is about */
	if (*function.file && wanted + 1 + canvas_text_width(place) <= left)
		snprintf(tail, sizeof(tail), " %s", place);
	snprintf(with_module, sizeof(with_module), "%s %s", tail, function.module_name);
	if (function.module != MODULE_STACK_END && function.module != MODULE_MERGED &&
	    function.module != MODULE_KERNEL && /* [k] says it */
	    strcmp(function.module_name, name) && wanted + canvas_text_width(with_module) <= left)
		behind = with_module;
	if (behind == with_module && !strcmp(place, "stripped") &&
	    wanted + canvas_text_width(with_module) + strlen(" stripped") <= left)
		strcat(with_module, " stripped");
	label_fit(name, left - canvas_text_width(behind), label, sizeof(label));
	snprintf(ret, capacity, "%s%s  %s", label, behind, figures);
}

#define TRAIL_PARTS 3
#define TRAIL_CELLS 24

void code_write_trail(const struct profile *profile, struct tree *tree, uint64_t key,
		      char ret[CODE_TRAIL_MAX])
{
	char labels[TRAIL_PARTS][4 * TRAIL_CELLS + 1], name[CODE_NAME_MAX];
	struct tree_item item;
	unsigned count = 0;
	int used;

	for (; key && count < TRAIL_PARTS && tree_get_item(tree, key, &item);
	     key = tree_get_parent(tree, key)) {
		struct function function = profile_get_function(profile, item.function);

		code_write_name(&function, name, sizeof(name));
		label_fit(name, TRAIL_CELLS, labels[count++], sizeof(labels[0]));
	}
	used = snprintf(ret, CODE_TRAIL_MAX, "all%s", key ? " › …" : "");
	while (count--)
		used += snprintf(ret + used, CODE_TRAIL_MAX - used, " › %s", labels[count]);
}

void code_write_empty(const struct view_context *context, char *ret, size_t capacity)
{
	struct source_status status;
	char clock[FORMAT_MAX];

	if (metric_is_exact(context)) {
		heap_write_empty(context->source->profile, context->metric, ret, capacity);
		return;
	}
	context->source->ops->get_status(context->source, &status);
	switch (status.state) {
	case SOURCE_STARTING:
		snprintf(ret, capacity, "no samples yet: the programs are being loaded");
		break;
	case SOURCE_LIVE:
		snprintf(ret, capacity, "0 samples after %s: the target has used no CPU time",
			 format_duration(status.elapsed_ns, clock));
		break;
	case SOURCE_PAUSED:
		snprintf(ret, capacity, "0 samples: collecting is off");
		break;
	case SOURCE_SNAPSHOT:
		snprintf(ret, capacity, "this snapshot holds no samples");
		break;
	default:
		snprintf(ret, capacity, "0 samples: the target ended before it used CPU time");
	}
}

/* ---- search hits ---- */

enum { HIT_UNKNOWN, HIT_NO, HIT_YES };

bool hits_is_active(const struct view_context *context)
{
	return context->search && context->search[0] && context->search_matches;
}

/* Forgets the answers when the pattern is another one. */
static void refresh_hits(struct hits *hits, const char *pattern)
{
	if (hits->pattern && !strcmp(hits->pattern, pattern))
		return;
	free(hits->pattern);
	hits->pattern = strdup(pattern); /* NULL: the answers are asked again at every call */
	if (hits->capacity)
		memset(hits->answers, HIT_UNKNOWN, hits->capacity);
}

static bool ask(const struct view_context *context, uint32_t function)
{
	return context->search_matches(context,
				       profile_get_function(metric_get_profile(context), function).name);
}

bool hits_has(struct hits *hits, const struct view_context *context, uint32_t function)
{
	if (!hits_is_active(context) || function >= profile_count_functions(metric_get_profile(context)))
		return false;
	refresh_hits(hits, context->search);
	if (function >= hits->capacity) {
		size_t capacity = profile_count_functions(metric_get_profile(context)) + 256;
		unsigned char *answers = realloc(hits->answers, capacity);

		if (!answers)
			return ask(context, function);
		memset(answers + hits->capacity, HIT_UNKNOWN, capacity - hits->capacity);
		hits->answers = answers;
		hits->capacity = capacity;
	}
	if (hits->answers[function] == HIT_UNKNOWN)
		hits->answers[function] = ask(context, function) ? HIT_YES : HIT_NO;
	return hits->answers[function] == HIT_YES;
}

void hits_deinit(struct hits *hits)
{
	free(hits->pattern);
	free(hits->answers);
	*hits = (struct hits){0};
}
