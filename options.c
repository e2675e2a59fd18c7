#include "options.h"

#include "base/text.h"
#include "symbolize.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Long options without a letter of their own. */
enum option_code {
	OPTION_HEAP = 256,
	OPTION_MAX_OVERHEAD,
	OPTION_MAX_MEMORY,
	OPTION_CHILDREN,
	OPTION_USER,
	OPTION_KERNEL,
	OPTION_DEBUGINFOD,
	OPTION_MAX_LOST,
	OPTION_COLOR,
	OPTION_THEME,
	OPTION_ASCII,
	OPTION_NO_MOUSE,
	OPTION_PLAIN,
	OPTION_AS_ROOT,
	OPTION_VIEW,
	OPTION_METRIC,
	OPTION_FORMAT,
	OPTION_SCOPE,
	OPTION_SOURCE_PATH,
	OPTION_INTEL,
	OPTION_HELP,
	OPTION_VERSION,
};

#define COLLECTING                                                                                           \
	{"heap", required_argument, NULL, OPTION_HEAP},                                                      \
		{"max-overhead", required_argument, NULL, OPTION_MAX_OVERHEAD},                              \
		{"max-memory", required_argument, NULL, OPTION_MAX_MEMORY},                                  \
		{"children", no_argument, NULL, OPTION_CHILDREN}, {"user", no_argument, NULL, OPTION_USER},  \
		{"kernel", no_argument, NULL, OPTION_KERNEL},                                                \
		{"debuginfod", no_argument, NULL, OPTION_DEBUGINFOD},                                        \
		{"max-lost", required_argument, NULL, OPTION_MAX_LOST},                                      \
	{                                                                                                    \
		"as-root", no_argument, NULL, OPTION_AS_ROOT                                                 \
	}
#define SCREEN                                                                                               \
	{"color", required_argument, NULL, OPTION_COLOR}, {"theme", required_argument, NULL, OPTION_THEME},  \
		{"ascii", no_argument, NULL, OPTION_ASCII},                                                  \
		{"no-mouse", no_argument, NULL, OPTION_NO_MOUSE},                                            \
	{                                                                                                    \
		"plain", no_argument, NULL, OPTION_PLAIN                                                     \
	}
#define GENERAL                                                                                              \
	{"help", no_argument, NULL, OPTION_HELP},                                                            \
	{                                                                                                    \
		"version", no_argument, NULL, OPTION_VERSION                                                 \
	}
#define END                                                                                                  \
	{                                                                                                    \
		NULL, 0, NULL, 0                                                                             \
	}

static const struct option live_options[] = {COLLECTING, SCREEN, GENERAL, END};
static const struct option open_options[] = {SCREEN, GENERAL, END};
static const struct option report_options[] = {
	{"view", required_argument, NULL, OPTION_VIEW},
	{"metric", required_argument, NULL, OPTION_METRIC},
	{"format", required_argument, NULL, OPTION_FORMAT},
	{"scope", required_argument, NULL, OPTION_SCOPE},
	GENERAL,
	END,
};
static const struct option annotate_options[] = {
	{"source-path", required_argument, NULL, OPTION_SOURCE_PATH},
	{"intel", no_argument, NULL, OPTION_INTEL},
	GENERAL,
	END,
};
static const struct option doctor_options[] = {GENERAL, END};

struct verb_syntax {
	const char *name;
	enum verb verb;
	const char *letters; /* getopt: '+' stops at the first operand, ':' reports a missing argument */
	const struct option *options;
};

static const struct verb_syntax verbs[] = {
	{"run", VERB_RUN, "+:e:F:d:o:qv", live_options},
	{"record", VERB_RECORD, ":p:n:e:F:d:o:qv", live_options},
	{"open", VERB_OPEN, ":qv", open_options},
	{"report", VERB_REPORT, ":L:n:qv", report_options},
	{"annotate", VERB_ANNOTATE, ":qv", annotate_options},
	{"doctor", VERB_DOCTOR, ":p:qv", doctor_options},
	{"demo", VERB_DEMO, ":e:F:d:o:qv", live_options},
	{"symbolize", VERB_SYMBOLIZE, ":e:qv", doctor_options},
};
static const struct verb_syntax attach_syntax = {"", VERB_ATTACH, ":p:n:e:F:d:qv", live_options};

static const char *const later_verbs[] = {"diff", "export"};

/* What was said of the heap in so many words: two options may oppose each other, a default opposes nothing.
 */
struct given {
	enum { EVENTS_NOT_GIVEN, EVENTS_WITH_HEAP, EVENTS_WITHOUT_HEAP } events; /* -e */
	bool has_heap;								 /* --heap */
};

static struct error *not_built(const char *what)
{
	return error_create(ERROR_USAGE, 0, "see: kiln --help", "%s: not built yet", what);
}

static struct error *usage(const char *what, const char *why)
{
	return error_create(ERROR_USAGE, 0, "see: kiln --help", "%s: %s", what, why);
}

static struct error *parse_number(const char *option, const char *text, double least, double most,
				  double *ret)
{
	char *end;
	double value;

	errno = 0;
	value = strtod(text, &end);
	if (end == text || *end || errno || !isfinite(value) || value < least || value > most)
		return error_create(ERROR_USAGE, 0, "see: kiln --help", "%s %s: not a number from %g to %g",
				    option, text, least, most);
	*ret = value;
	return NULL;
}

static bool is_number(const char *text)
{
	return *text && text[strspn(text, "0123456789")] == '\0';
}

/* A number that no process can have is no such target, as any other that none has. */
static struct error *parse_pid(const char *text, uint32_t *ret)
{
	unsigned long long value;

	if (!is_number(text))
		return usage(text, "not a process id");
	errno = 0;
	value = strtoull(text, NULL, 10);
	if (errno || !value || value > INT32_MAX)
		return error_create(ERROR_NO_TARGET, 0, "ps -e lists the processes",
				    "no process has the id %s", text);
	*ret = (uint32_t)value;
	return NULL;
}

/* A word of a fixed list; words behind `later` of them are named in the contract and not built yet. */
static struct error *parse_word(const char *option, const char *text, const char *const *words, size_t built,
				size_t all, unsigned *ret)
{
	for (size_t i = 0; i < all; i++) {
		if (strcmp(text, words[i]))
			continue;
		if (i >= built)
			return error_create(ERROR_USAGE, 0, "see: kiln --help", "%s %s: not built yet",
					    option, text);
		*ret = (unsigned)i;
		return NULL;
	}
	return error_create(ERROR_USAGE, 0, "see: kiln --help", "%s %s: unknown", option, text);
}

#define WORDS(option, text, built, ret, ...)                                                                 \
	({                                                                                                   \
		static const char *const words[] = {__VA_ARGS__};                                            \
		parse_word(option, text, words, built, sizeof(words) / sizeof(words[0]), ret);               \
	})

static struct error *parse_events(const char *text, struct given *given)
{
	char *copy = strdup(text), *save = NULL;
	bool cpu = false, heap = false;
	struct error *error = NULL;

	if (!copy)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "-e");
	for (char *word = strtok_r(copy, ",", &save); word && !error; word = strtok_r(NULL, ",", &save)) {
		if (!strcmp(word, "cpu"))
			cpu = true;
		else if (!strcmp(word, "heap"))
			heap = true;
		else if (!strcmp(word, "offcpu"))
			error = not_built("-e offcpu");
		else
			error = error_create(ERROR_USAGE, 0, "known are: cpu, heap", "-e %s: unknown event",
					     word);
	}
	free(copy);
	if (!error && heap && !cpu)
		error = not_built("-e heap without cpu");
	if (!error && !cpu)
		error = usage("-e", "names no event");
	if (!error)
		given->events = heap ? EVENTS_WITH_HEAP : EVENTS_WITHOUT_HEAP;
	return error;
}

static struct error *parse_heap(const char *text, struct options *options, struct given *given)
{
	struct error *error;
	unsigned word = 0;

	if (!strncmp(text, "sampled:", 8))
		return not_built("--heap=sampled");
	/* The built ones in the order of enum heap_choice. */
	error = WORDS("--heap", text, 3, &word, "auto", "off", "exact", "growth", "sampled");
	options->heap = (enum heap_choice)word;
	given->has_heap = true;
	return error;
}

/* Above 0: a budget of nothing is --heap=off. */
static struct error *parse_overhead(const char *text, double *ret)
{
	struct error *error = parse_number("--max-overhead", text, 0, 100, ret);

	if (!error && *ret <= 0)
		error = usage("--max-overhead", "needs more than 0 %; --heap=off measures no heap");
	return error;
}

static struct error *parse_collecting(int code, const char *argument, struct options *options,
				      struct given *given)
{
	struct error *error;

	switch (code) {
	case 'e':
		return parse_events(argument, given);
	case 'F':
		return parse_number("-F", argument, 1, 10000, &options->hz);
	case 'd':
		error = parse_number("-d", argument, 0, 1e8, &options->duration_s);
		if (!error && options->duration_s <= 0)
			error = usage("-d", "needs a duration above 0 seconds");
		return error;
	case OPTION_HEAP:
		return parse_heap(argument, options, given);
	case OPTION_MAX_OVERHEAD:
		return parse_overhead(argument, &options->max_overhead_pct);
	case OPTION_MAX_MEMORY:
		return not_built("--max-memory");
	case OPTION_CHILDREN:
		return not_built("--children");
	case OPTION_DEBUGINFOD:
		options->debuginfod = true;
		return NULL;
	case OPTION_USER:
		options->user_only = true;
		return NULL;
	case OPTION_KERNEL:
		options->kernel_only = true;
		return NULL;
	case OPTION_MAX_LOST:
		return parse_number("--max-lost", argument, 0, 100, &options->max_lost_pct);
	default:
		options->as_root = true;
		return NULL;
	}
}

static struct error *parse_screen(int code, const char *argument, struct options *options)
{
	struct error *error;
	unsigned word = 0;

	switch (code) {
	case OPTION_COLOR:
		error = WORDS("--color", argument, 3, &word, "auto", "always", "never");
		options->app.color = (enum color_mode)word;
		return error;
	case OPTION_THEME:
		return WORDS("--theme", argument, 1, &word, "dark", "light", "contrast", "mono");
	case OPTION_ASCII:
		options->app.ascii = true;
		return NULL;
	case OPTION_NO_MOUSE:
		options->app.no_mouse = true;
		return NULL;
	default:
		options->app.plain = true;
		options->app.ascii = true;
		options->app.color = COLOR_NEVER;
		return NULL;
	}
}

static struct error *parse_reporting(int code, const char *argument, struct options *options)
{
	struct error *error;
	unsigned word = 0;
	double number = 0;

	switch (code) {
	case OPTION_VIEW:
		error = WORDS("--view", argument, 4, &word, "summary", "hot", "tree", "alloc", "callers",
			      "leaks", "threads", "timeline");
		options->report.view = (enum report_view)word;
		return error;
	case OPTION_METRIC:
		/* In the order of enum report_metric, whose first is the view's default. */
		error = WORDS("--metric", argument, 6, &word, "cpu", "live-bytes", "live-count",
			      "alloc-bytes", "alloc-count", "peak-bytes");
		options->report.metric = (enum report_metric)(word + 1);
		return error;
	case OPTION_FORMAT:
		error = WORDS("--format", argument, 2, &word, "text", "json", "csv");
		options->report.format = (enum report_format)word;
		return error;
	case 'L':
		return parse_number("-L", argument, 0, 100, &options->report.limit_pct);
	default:
		error = parse_number("-n", argument, 1, 1e9, &number);
		options->report.rows = (size_t)number;
		return error;
	}
}

static struct error *parse_annotating(int code, const char *argument, struct options *options)
{
	if (code == OPTION_INTEL) {
		options->is_intel = true;
		return NULL;
	}
	if (options->source_map_count == SOURCE_MAPS_MAX)
		return usage("--source-path", "too many");
	options->source_maps[options->source_map_count++] = argument;
	return NULL;
}

/* The option that the user probably meant. */
static struct error *unknown_option(const char *given, const struct verb_syntax *syntax)
{
	const char *nearest = NULL;
	unsigned best = 4;
	char hint[96];

	for (const struct option *option = syntax->options; option->name; option++) {
		unsigned distance = strncmp(given, "--", 2) ? best : text_distance(given + 2, option->name);

		if (distance < best) {
			best = distance;
			nearest = option->name;
		}
	}
	if (nearest)
		snprintf(hint, sizeof(hint), "did you mean --%s?", nearest);
	else
		snprintf(hint, sizeof(hint), "see: kiln %s%s--help", syntax->name, *syntax->name ? " " : "");
	return error_create(ERROR_USAGE, 0, hint, "%s: unknown option", given);
}

static struct error *parse_option(int code, const char *argument, const char *word,
				  const struct verb_syntax *syntax, struct options *options,
				  struct given *given)
{
	switch (code) {
	case '?':
		return unknown_option(word, syntax);
	case ':':
		return usage(word, "needs a value");
	case 'p':
		return parse_pid(argument, &options->pid);
	case 'n':
		if (syntax->verb == VERB_REPORT)
			return parse_reporting(code, argument, options);
		options->name = argument;
		return NULL;
	case 'e':
		if (syntax->verb != VERB_SYMBOLIZE)
			return parse_collecting(code, argument, options, given);
		options->file = argument;
		return NULL;
	case 'o':
		options->output = argument;
		return NULL;
	case 'q':
		options->quiet = true;
		return NULL;
	case 'v':
		options->verbose = true;
		return NULL;
	case OPTION_HELP:
		options->help_about = syntax->verb;
		options->verb = VERB_HELP;
		return NULL;
	case OPTION_VERSION:
		options->verb = VERB_VERSION;
		return NULL;
	case 'L':
	case OPTION_VIEW:
	case OPTION_METRIC:
	case OPTION_FORMAT:
		return parse_reporting(code, argument, options);
	case OPTION_SCOPE:
		return not_built("--scope");
	case OPTION_SOURCE_PATH:
	case OPTION_INTEL:
		return parse_annotating(code, argument, options);
	case OPTION_COLOR:
	case OPTION_THEME:
	case OPTION_ASCII:
	case OPTION_NO_MOUSE:
	case OPTION_PLAIN:
		return parse_screen(code, argument, options);
	default:
		return parse_collecting(code, argument, options, given);
	}
}

static struct error *take_target(char **operands, size_t count, struct options *options)
{
	if (count > 1)
		return usage(operands[1], "one target at a time");
	if (count) {
		if (options->pid || options->name)
			return usage(operands[0], "the target is given twice");
		if (is_number(operands[0]))
			return parse_pid(operands[0], &options->pid);
		options->name = operands[0];
	}
	if (options->pid && options->name)
		return usage("-p and -n", "the target is given twice");
	return NULL;
}

static struct error *take_file(char **operands, size_t count, struct options *options)
{
	if (count != 1)
		return usage(count ? operands[1] : "FILE", count ? "one file at a time" : "which snapshot?");
	options->file = operands[0];
	return NULL;
}

static struct error *take_addresses(char **operands, size_t count, struct options *options)
{
	uint64_t address;

	if (!options->file)
		return usage("symbolize", "of which file? -e ELF");
	for (size_t i = 0; i < count; i++) {
		if (!symbolize_parse_address(operands[i], strlen(operands[i]), &address))
			return usage(operands[i], "not an address in hex");
	}
	options->addresses = operands;
	options->address_count = count;
	return NULL;
}

static struct error *take_symbol(char **operands, size_t count, struct options *options)
{
	if (count != 2)
		return usage(count > 2 ? operands[2]
			     : count   ? "SYMBOL"
				       : "FILE",
			     count > 2 ? "one function at a time"
			     : count   ? "which function?"
				       : "which snapshot?");
	options->file = operands[0];
	options->symbol = operands[1];
	return NULL;
}

static struct error *take_operands(const struct verb_syntax *syntax, char **operands, size_t count,
				   struct options *options)
{
	struct error *error;

	switch (syntax->verb) {
	case VERB_ATTACH:
		error = take_target(operands, count, options);
		if (!error && !options->pid && !options->name)
			error = not_built("choosing a process");
		return error;
	case VERB_RUN:
		if (count)
			return usage(operands[0], "the command stands behind --");
		return options->command ? NULL : usage("run", "no command: kiln run -- CMD");
	case VERB_RECORD:
		error = take_target(operands, count, options);
		if (error)
			return error;
		if (!options->pid && !options->name && !options->command)
			return usage("record", "what? -p PID, -n NAME or -- CMD");
		if ((options->pid || options->name) && options->command)
			return usage("record", "a process or a command, not both");
		return NULL;
	case VERB_OPEN:
	case VERB_REPORT:
		return take_file(operands, count, options);
	case VERB_SYMBOLIZE:
		return take_addresses(operands, count, options);
	case VERB_ANNOTATE:
		return take_symbol(operands, count, options);
	default:
		return count ? usage(operands[0], "unexpected") : NULL;
	}
}

/* Cuts "-- CMD ARG…" off; getopt never sees CMD's own options. */
static int cut_command(int argc, char **argv, const struct verb_syntax *syntax, struct options *options)
{
	if (syntax->verb != VERB_RUN && syntax->verb != VERB_RECORD)
		return argc;
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--"))
			continue;
		if (argv[i + 1])
			options->command = argv + i + 1;
		return i;
	}
	return argc;
}

static const struct verb_syntax *find_verb(const char *word)
{
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (!strcmp(word, verbs[i].name))
			return &verbs[i];
	}
	return NULL;
}

static struct error *check_together(struct options *options, const struct given *given)
{
	bool wants_heap = options->heap != HEAP_CHOICE_OFF;

	if (options->user_only && options->kernel_only)
		return usage("--user and --kernel", "one of the two");
	if (given->events && given->has_heap && wants_heap != (given->events == EVENTS_WITH_HEAP))
		return usage("-e and --heap",
			     wants_heap ? "-e does not name heap" : "-e names heap, and --heap=off");
	if (given->events == EVENTS_WITHOUT_HEAP)
		options->heap = HEAP_CHOICE_OFF;
	if (options->report.view == REPORT_ALLOC && options->report.metric == REPORT_METRIC_CPU)
		return usage("--view alloc --metric cpu", "allocations are measured in bytes and blocks");
	return NULL;
}

struct error *options_parse(int argc, char **argv, struct options *ret)
{
	struct options options = {
		.hz = 99, .max_lost_pct = -1, .max_overhead_pct = 5, .report.rows = SIZE_MAX};
	struct given given = {0};
	const struct verb_syntax *syntax = argc > 1 ? find_verb(argv[1]) : NULL;
	struct error *error;

	for (size_t i = 0; argc > 1 && i < sizeof(later_verbs) / sizeof(later_verbs[0]); i++) {
		if (!strcmp(argv[1], later_verbs[i]))
			return not_built(argv[1]);
	}
	if (syntax)
		argc--, argv++;
	else
		syntax = &attach_syntax;
	options.verb = syntax->verb;
	argc = cut_command(argc, argv, syntax, &options);
	opterr = 0;
	optind = 1;
	for (;;) {
		/* What is being looked at, for the message: getopt moves on before it answers. */
		const char *word = optind < argc ? argv[optind] : "";
		int code = getopt_long(argc, argv, syntax->letters, syntax->options, NULL);

		if (code < 0)
			break;
		if ((code == '?' || code == ':') && strncmp(argv[optind - 1], "-", 1) == 0)
			word = argv[optind - 1];
		error = parse_option(code, optarg, word, syntax, &options, &given);
		if (error)
			return error;
		if (options.verb == VERB_HELP || options.verb == VERB_VERSION) {
			*ret = options;
			return NULL;
		}
	}
	error = take_operands(syntax, argv + optind, (size_t)(argc - optind), &options);
	if (!error)
		error = check_together(&options, &given);
	if (error)
		return error;
	if (options.report.rows == SIZE_MAX)
		options.report.rows = options.report.format == REPORT_TEXT ? 40 : 0;
	*ret = options;
	return NULL;
}
