/* A view alone on a canvas, the source behind it, and the comparison with golden files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "tests/support/screen.h"
#include "tests/support/screen_internal.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define GOLDEN "tests/screens/golden"

void screen_check(struct error *error)
{
	if (error)
		fail_msg("%s", error_get_message(error));
}

/* ---- the source ---- */

static void get_status(struct source *source, struct source_status *ret)
{
	*ret = ((struct screen *)source)->status;
}

static struct error *save(struct source *source, const char *path,
			  void (*on_saved)(void *arg, struct error *error, const char *path), void *arg)
{
	struct screen *screen = (struct screen *)source;

	if (screen->on_saved)
		return error_create(ERROR_GENERAL, 0, NULL, "a save is running already");
	screen->calls.saves++;
	screen->on_saved = on_saved;
	screen->on_saved_arg = arg;
	return NULL;
}

static struct error *pause_source(struct source *source, void (*on_paused)(void *arg), void *arg)
{
	((struct screen *)source)->calls.pauses++;
	on_paused(arg);
	return NULL;
}

static struct error *resume_source(struct source *source)
{
	((struct screen *)source)->calls.resumes++;
	return NULL;
}

static void destroy_source(struct source *source)
{
}

static const struct source_ops source_ops = {
	.get_status = get_status,
	.save = save,
	.pause = pause_source,
	.resume = resume_source,
	.destroy = destroy_source,
};

struct source_status *screen_status(struct screen *screen)
{
	return &screen->status;
}

struct screen_calls screen_calls(const struct screen *screen)
{
	return screen->calls;
}

void screen_finish_save(struct screen *screen, struct error *error, const char *path)
{
	void (*on_saved)(void *, struct error *, const char *) = screen->on_saved;

	assert_non_null(on_saved);
	screen->on_saved = NULL;
	on_saved(screen->on_saved_arg, error, path);
}

static void fill_status(struct screen *screen, struct profile *profile)
{
	struct facts facts;
	struct totals totals;

	profile_get_facts(profile, &facts);
	profile_get_totals(profile, &totals);
	snprintf(screen->target, sizeof(screen->target), "%s", facts.comm ? facts.comm : "target");
	screen->status = (struct source_status){
		.state = SOURCE_LIVE,
		.pid = facts.pid,
		.target = screen->target,
		.elapsed_ns = facts.duration_ns,
		.hz_requested = facts.hz_requested,
		.hz_delivered = facts.target_cpu_s > 0 ? totals.samples / facts.target_cpu_s : 0.0 / 0.0,
		.complete_pct =
			totals.samples ? 100.0 * totals.ends[STACK_COMPLETE] / totals.samples : 0.0 / 0.0,
		.self_cpu_pct = 0.4,
		.target_cpu_cores = facts.duration_ns ? facts.target_cpu_s / (facts.duration_ns / 1e9) : 0,
		.samples = totals.samples,
		.lost = totals_sum_lost(&totals),
		.note = "",
	};
}

struct screen *screen_create(struct profile *profile, unsigned columns, unsigned rows)
{
	struct screen *screen = calloc(1, sizeof(*screen));

	assert_non_null(screen);
	screen->source.ops = &source_ops;
	screen->source.profile = profile;
	fill_status(screen, profile);
	screen_check(canvas_create(columns, rows, &screen->canvas));
	return screen;
}

void screen_destroy(struct screen *screen)
{
	if (!screen)
		return;
	screen->destroy(screen);
	canvas_destroy(screen->canvas);
	free(screen->text);
	free(screen);
}

/* ---- a view alone ---- */

static bool has_upper(const char *text)
{
	for (; *text; text++)
		if (isupper((unsigned char)*text))
			return true;
	return false;
}

static bool matches_pattern(const struct view_context *context, const char *name)
{
	if (!context->search[0])
		return false;
	return has_upper(context->search) ? strstr(name, context->search) != NULL
					  : strcasestr(name, context->search) != NULL;
}

static void draw_view(struct screen *screen)
{
	unsigned columns = canvas_get_columns(screen->canvas), rows = canvas_get_rows(screen->canvas);
	const struct view_ops *ops = screen->view->ops;
	char line[512] = "";

	if (ops->scope) {
		ops->scope(screen->view, line, sizeof(line));
		canvas_text(screen->canvas, 0, 0, columns, STYLE_NORMAL, line);
	}
	if (rows > 2)
		ops->draw(screen->view, screen->canvas, (struct rectangle){0, 1, columns, rows - 2});
	line[0] = '\0';
	if (ops->describe && rows > 1) {
		ops->describe(screen->view, line, sizeof(line));
		canvas_text(screen->canvas, 0, rows - 1, columns, STYLE_NORMAL, line);
	}
}

static int press_view(struct screen *screen, uint32_t key)
{
	const struct view_ops *ops = screen->view->ops;

	if ((key == 'n' || key == 'N') && ops->find)
		return ops->find(screen->view, key == 'n' ? 1 : -1) ? VIEW_HANDLED : VIEW_IGNORED;
	return ops->key_pressed(screen->view, key);
}

static void destroy_view(struct screen *screen)
{
	screen->view->ops->destroy(screen->view);
}

struct screen *screen_create_view(const struct view_ops *ops, struct profile *profile, unsigned columns,
				  unsigned rows)
{
	struct screen *screen = screen_create(profile, columns, rows);

	screen->context = (struct view_context){
		.source = &screen->source,
		.search = screen->pattern,
		.search_matches = matches_pattern,
		.selected_function = UINT32_MAX,
	};
	screen->draw = draw_view;
	screen->press = press_view;
	screen->destroy = destroy_view;
	screen_check(ops->create(&screen->context, &screen->view));
	if (ops->enter)
		ops->enter(screen->view);
	return screen;
}

void screen_search(struct screen *screen, const char *pattern)
{
	snprintf(screen->pattern, sizeof(screen->pattern), "%s", pattern);
}

struct view_context *screen_context(struct screen *screen)
{
	return &screen->context;
}

void screen_set_ascii(struct screen *screen, bool ascii)
{
	screen->context.ascii = ascii;
	canvas_set_ascii(screen->canvas, ascii);
}

void screen_resize(struct screen *screen, unsigned columns, unsigned rows)
{
	screen_check(canvas_resize(screen->canvas, columns, rows));
}

/* ---- keys ---- */

static const struct {
	const char *name;
	uint32_t key;
} key_names[] = {
	{"Up", KEY_CODE_UP},	    {"Down", KEY_CODE_DOWN},	  {"Left", KEY_CODE_LEFT},
	{"Right", KEY_CODE_RIGHT},  {"Home", KEY_CODE_HOME},	  {"End", KEY_CODE_END},
	{"PgUp", KEY_CODE_PAGE_UP}, {"PgDn", KEY_CODE_PAGE_DOWN}, {"Enter", KEY_CODE_ENTER},
	{"Esc", KEY_CODE_ESCAPE},   {"Tab", KEY_CODE_TAB},	  {"BackTab", KEY_CODE_BACKTAB},
	{"BS", KEY_CODE_BACKSPACE}, {"F1", KEY_CODE_F1},	  {"lt", '<'},
};

/* "<Name>" at *keys; moves *keys behind it. */
static uint32_t parse_named_key(const char **keys)
{
	const char *name = *keys + 1, *end = strchr(name, '>');
	size_t i;

	if (!end)
		fail_msg("no '>' in the keys \"%s\"", *keys);
	*keys = end + 1;
	if (end - name == 3 && !strncmp(name, "C-", 2))
		return KEY_CODE_CTRL(name[2]);
	for (i = 0; i < sizeof(key_names) / sizeof(key_names[0]); i++)
		if (strlen(key_names[i].name) == (size_t)(end - name) &&
		    !strncmp(key_names[i].name, name, end - name))
			return key_names[i].key;
	fail_msg("no such key: <%.*s>", (int)(end - name), name);
	return 0;
}

static void redraw(struct screen *screen)
{
	canvas_clear(screen->canvas);
	screen->draw(screen);
}

int screen_press(struct screen *screen, const char *keys)
{
	int reply = 0;

	redraw(screen);
	while (*keys) {
		uint32_t key;

		if (*keys == '<')
			key = parse_named_key(&keys);
		else
			keys += text_decode(keys, strlen(keys), &key);
		reply = screen->press(screen, key);
		redraw(screen);
	}
	return reply;
}

/* ---- what is shown ---- */

static char *dump(struct screen *screen)
{
	char *text = NULL;
	size_t length;
	FILE *stream = open_memstream(&text, &length);

	assert_non_null(stream);
	canvas_dump(screen->canvas, stream);
	fclose(stream);
	return text;
}

const char *screen_text(struct screen *screen)
{
	unsigned row, column;
	size_t length;
	FILE *stream;
	char bytes[4];

	free(screen->text);
	screen->text = NULL;
	redraw(screen);
	stream = open_memstream(&screen->text, &length);
	assert_non_null(stream);
	for (row = 0; row < canvas_get_rows(screen->canvas); row++) {
		for (column = 0; column < canvas_get_columns(screen->canvas); column++) {
			uint32_t codepoint = canvas_get(screen->canvas, column, row).codepoint;

			if (codepoint)
				fwrite(bytes, 1, text_encode(codepoint, bytes), stream);
		}
		fputc('\n', stream);
	}
	fclose(stream);
	return screen->text;
}

struct canvas *screen_canvas(struct screen *screen)
{
	return screen->canvas;
}

void screen_assert_shows(struct screen *screen, const char *text)
{
	if (!strstr(screen_text(screen), text))
		fail_msg("\"%s\" is not on the screen:\n%s", text, screen->text);
}

void screen_assert_hides(struct screen *screen, const char *text)
{
	if (strstr(screen_text(screen), text))
		fail_msg("\"%s\" is on the screen:\n%s", text, screen->text);
}

/* ---- golden files ---- */

static char *read_golden(const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	char *text = NULL;
	size_t capacity = 0;

	if (!file)
		return NULL;
	if (getdelim(&text, &capacity, '\0', file) < 0) {
		free(text);
		return NULL;
	}
	return text;
}

static void write_golden(const char *path, const char *text)
{
	_cleanup_fclose_ FILE *file = NULL;

	mkdir(GOLDEN, 0777);
	file = fopen(path, "we");
	if (!file || fputs(text, file) < 0)
		fail_msg("%s: %s", path, strerror(errno));
}

static const char *cut_line(char **text)
{
	char *line = *text, *end = strchrnul(line, '\n');

	*text = *end ? end + 1 : end;
	*end = '\0';
	return line;
}

/* Line against line: both have the same form, so equal line numbers mean equal rows. Eats its arguments. */
static void print_difference(char *want, char *got)
{
	unsigned number;

	for (number = 0; *want || *got; number++) {
		const char *wanted = cut_line(&want), *drawn = cut_line(&got);

		if (strcmp(wanted, drawn))
			print_message("line %3u golden %s\n         drawn  %s\n", number + 1, wanted, drawn);
	}
}

void screen_assert_golden(struct screen *screen, const char *name)
{
	_cleanup_free_ char *path = NULL, *want = NULL, *got = NULL;
	const char *update = getenv("UPDATE");

	redraw(screen);
	got = dump(screen);
	if (asprintf(&path, GOLDEN "/%s.txt", name) < 0)
		fail_msg("out of memory");
	if (update && update[0]) {
		write_golden(path, got);
		return;
	}
	want = read_golden(path);
	if (!want)
		fail_msg("%s is not there; run with UPDATE=1 to write it", path);
	if (!strcmp(want, got))
		return;
	print_difference(want, got);
	fail_msg("%s differs; when the drawn screen is right, run with UPDATE=1", path);
}

const char *screen_row(struct screen *screen, unsigned number)
{
	static char row[1024];
	const char *text = screen_text(screen);

	while (number--)
		text = strchr(text, '\n') + 1;
	snprintf(row, sizeof(row), "%.*s", (int)strcspn(text, "\n"), text);
	return row;
}

void screen_assert_row_shows(struct screen *screen, unsigned number, const char *text)
{
	const char *row = screen_row(screen, number);

	if (!strstr(row, text))
		fail_msg("\"%s\" is not in row %u: \"%s\"", text, number, row);
}

unsigned screen_style(struct screen *screen, unsigned column, unsigned row)
{
	return canvas_get(screen_canvas(screen), column, row).style;
}

void screen_assert_golden_sizes(const struct view_ops *ops, struct profile *profile, const char *name)
{
	static const struct {
		unsigned columns, rows;
	} sizes[] = {{100, 30}, {80, 24}, {60, 20}};
	struct screen *screen = screen_create_view(ops, profile, sizes[0].columns, sizes[0].rows);
	char golden[64];

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		screen_resize(screen, sizes[i].columns, sizes[i].rows);
		snprintf(golden, sizeof(golden), "%s-%ux%u", name, sizes[i].columns, sizes[i].rows);
		screen_assert_golden(screen, golden);
	}
	screen_destroy(screen);
}
