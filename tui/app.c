/* The dashboard without a terminal: which view is shown, who gets a key, what stands in the rows around. */
#include "tui/app.h"

#include "base/text.h"
#include "tui/app_internal.h"
#include "tui/format.h"
#include "tui/frame.h"
#include "tui/heap_text.h"
#include "tui/metric.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const struct view_ops *const view_list[APP_VIEWS] = {&view_overview, &view_hot, &view_tree,
							    &view_flame, &view_memory};
enum { OVERVIEW, HOT, TREE, FLAME, MEMORY };

static struct error *create_views(struct app *app)
{
	struct error *error;
	unsigned i;

	for (i = 0; i < APP_VIEWS; i++) {
		error = view_list[i]->create(&app->context, &app->views[i]);
		if (error)
			return error;
	}
	return NULL;
}

struct error *app_create(struct source *source, const struct app_options *options, struct app **ret)
{
	struct app *app = calloc(1, sizeof(*app));
	struct source_status status;
	struct heap_facts heap;
	struct error *error;

	if (!app)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	app->source = source;
	app->options = *options;
	app->context = (struct view_context){
		.source = source,
		.search = app->search.pattern,
		.search_matches = search_matches_in_context,
		.search_state = &app->search,
		.selected_function = UINT32_MAX,
		.ascii = options->ascii,
	};
	error = create_views(app);
	if (error) {
		app_destroy(app);
		return error;
	}
	source->ops->get_status(source, &status);
	app->state_seen = status.state;
	heap_read_facts(source->profile, &heap);
	app->heap_seen = heap.mode;
	if (options->note)
		app_set_message(app, options->note);
	*ret = app;
	return NULL;
}

void app_destroy(struct app *app)
{
	unsigned i;

	if (!app)
		return;
	for (i = 0; i < APP_VIEWS; i++) {
		if (app->views[i])
			app->views[i]->ops->destroy(app->views[i]);
		if (app->heap_views[i])
			app->heap_views[i]->ops->destroy(app->heap_views[i]);
	}
	search_deinit(&app->search);
	free(app);
}

static bool has_metric(unsigned screen)
{
	return screen >= HOT && screen <= FLAME;
}

static struct view *get_view(const struct app *app)
{
	if (has_metric(app->current) && app->context.metric != METRIC_CPU)
		return app->heap_views[app->current];
	return app->views[app->current];
}

/* ---- messages ---- */

void app_say(struct app *app, uint16_t style, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(app->message, sizeof(app->message), format, args);
	va_end(args);
	app->message_style = style;
	app->is_dirty = true;
}

void app_set_message(struct app *app, const char *message)
{
	app_say(app, STYLE_NORMAL, "%s", message);
}

/* The message, and with it the hint, of an error that is ours now. */
static void say_error(struct app *app, const char *what, struct error *error)
{
	const char *hint = error_get_hint(error);

	app_say(app, STYLE_BAD, "%s: %s%s%s", what, error_get_message(error), hint ? ". " : "",
		hint ? hint : "");
	error_destroy(error);
}

/* News of the source are said once; the next key takes them away. */
static void say_news(struct app *app, const struct source_status *status, const struct heap_facts *heap)
{
	const char *note = status->note ? status->note : "";
	char end[APP_MESSAGE_MAX];

	if (strncmp(note, app->note_seen, sizeof(app->note_seen) - 1)) {
		snprintf(app->note_seen, sizeof(app->note_seen), "%s", note);
		if (*note)
			app_set_message(app, note);
	}
	if (status->state != app->state_seen) {
		app->state_seen = status->state;
		if (app_describe_end(status, end, sizeof(end)))
			app_say(app, STYLE_BAD, "%s", end);
	}
	if (heap->mode != app->heap_seen) {
		app->heap_seen = heap->mode;
		heap_write_state(heap, end, sizeof(end));
		if (heap->mode == HEAP_MODE_CLOSED)
			app_say(app, STYLE_WARN, "%s", end);
	}
}

/* ---- drawing ---- */

static void draw_too_small(struct canvas *canvas)
{
	unsigned columns = canvas_get_columns(canvas), rows = canvas_get_rows(canvas);
	char text[80];
	unsigned width;

	snprintf(text, sizeof(text), "%ux%u is below %ux%u; collecting goes on", columns, rows,
		 FRAME_COLUMNS_MIN, FRAME_ROWS_MIN);
	width = canvas_text_width(text);
	if (width > columns) {
		snprintf(text, sizeof(text), "%ux%u < %ux%u", columns, rows, FRAME_COLUMNS_MIN,
			 FRAME_ROWS_MIN);
		width = canvas_text_width(text);
	}
	canvas_text(canvas, columns > width ? (columns - width) / 2 : 0, rows / 2, columns, STYLE_WARN, text);
}

/* Without samples there is nothing to see. The heap has its own figures. */
static bool shows_only_samples(const struct app *app, const struct source_status *status)
{
	if (app->current == OVERVIEW)
		return !heap_is_measured(app->source->profile);
	if (app->current == MEMORY)
		return status->state == SOURCE_STARTING && !heap_is_measured(app->source->profile);
	return app->context.metric == METRIC_CPU;
}

static void draw_content(struct app *app, struct canvas *canvas, const struct frame *frame,
			 const struct source_status *status)
{
	struct view *view = get_view(app);
	char text[APP_MESSAGE_MAX];

	if (shows_only_samples(app, status) && app_describe_emptiness(status, text, sizeof(text)))
		canvas_text(canvas, 2, frame->content.row + 1, frame->content.columns - 2, STYLE_WARN, text);
	else
		view->ops->draw(view, canvas, frame->content);
	if (app->help.is_open)
		help_draw(&app->help, canvas, frame->content, view->ops);
}

static void draw_detail(struct app *app, struct canvas *canvas, const struct frame *frame)
{
	struct view *view = get_view(app);
	char text[1024] = "";

	if (!view->ops->describe)
		return;
	view->ops->describe(view, text, sizeof(text));
	canvas_text(canvas, 1, frame->detail, canvas_get_columns(canvas) - 1, STYLE_NORMAL, text);
}

/* Returns whether the row was used. */
static bool draw_message(struct app *app, struct canvas *canvas, const struct frame *frame,
			 const struct source_status *status)
{
	char text[APP_MESSAGE_MAX];
	uint16_t style = app->message_style;

	if (app->prompt.is_open) {
		prompt_draw(&app->prompt, canvas, frame->message, "/");
		return true;
	}
	snprintf(text, sizeof(text), "%s", app->message);
	if (!text[0] && !frame->is_compact)
		style = app_describe_state(app, status, text, sizeof(text));
	canvas_text(canvas, 1, frame->message, canvas_get_columns(canvas) - 1, style, text);
	return text[0];
}

static void draw_keys(struct app *app, struct canvas *canvas, const struct frame *frame,
		      const struct source_status *status)
{
	unsigned columns = canvas_get_columns(canvas);
	const char *save_key = status->state == SOURCE_SNAPSHOT ? "" : "S save  ";
	struct view *view = get_view(app);
	char keys[80];

	snprintf(keys, sizeof(keys), "%s%s%s? help  q quit", columns >= 80 ? "1-5 screens  " : "",
		 columns >= 54 ? "/ find  " : "", columns >= 54 ? save_key : "");

	if (app->help.is_open)
		frame_draw_keys(canvas, frame->keys, "Esc close  ↑↓ scroll", "Q quit");
	else if (app->prompt.is_open)
		frame_draw_keys(canvas, frame->keys, "Enter find  Esc cancel  ^U empty", "");
	else
		frame_draw_keys(canvas, frame->keys,
				view->ops->get_keys ? view->ops->get_keys(view) : view->ops->keys, keys);
}

void app_draw(struct app *app, struct canvas *canvas)
{
	unsigned columns = canvas_get_columns(canvas), rows = canvas_get_rows(canvas), free_column;
	struct view *view = get_view(app);
	struct source_status status;
	struct heap_facts heap;
	struct frame frame;
	char scope[512] = "";

	app->is_dirty = app->context.wants_more = false;
	canvas_set_ascii(canvas, app->options.ascii);
	canvas_clear(canvas);
	app->source->ops->get_status(app->source, &status);
	heap_read_facts(app->source->profile, &heap);
	say_news(app, &status, &heap);
	if (columns < FRAME_COLUMNS_MIN || rows < FRAME_ROWS_MIN) {
		draw_too_small(canvas);
		return;
	}
	frame = frame_lay_out(columns, rows);
	frame_draw_status(canvas, &status, &heap);
	free_column = frame_draw_tabs(canvas, view_list, APP_VIEWS, app->current);
	draw_content(app, canvas, &frame, &status);
	if (view->ops->scope)
		view->ops->scope(view, scope, sizeof(scope));
	frame_draw_scope(canvas, frame.scope, frame.is_compact ? free_column + 2 : 1, scope);
	if (!draw_message(app, canvas, &frame, &status) || !frame.is_compact)
		draw_detail(app, canvas, &frame);
	draw_keys(app, canvas, &frame, &status);
	app->is_dirty = app->context.wants_more;
}

/* ---- keys ---- */

/* The views of the heap's figures are made when they are first asked for. */
static bool make_heap_view(struct app *app, unsigned number)
{
	struct error *error;

	if (app->heap_views[number])
		return true;
	error = view_list[number]->create(&app->context, &app->heap_views[number]);
	if (!error)
		return true;
	say_error(app, view_list[number]->name, error);
	return false;
}

/* Makes the context that of a screen: which profile, and what its figures are. */
static void choose_metric(struct app *app, unsigned number)
{
	struct view_context *context = &app->context;
	const struct heap *heap = profile_get_heap(app->source->profile);
	unsigned wanted = METRIC_CPU;

	if (has_metric(number))
		wanted = app->metric;
	else if (number == MEMORY && heap && heap_is_measured(app->source->profile))
		wanted = METRIC_HEAP + heap_get_metric(heap); /* the screen chooses its own */
	if (!metric_use(context, wanted) ||
	    (has_metric(number) && wanted != METRIC_CPU && !make_heap_view(app, number)))
		metric_use(context, METRIC_CPU);
}

static void go_to_screen(struct app *app, unsigned number)
{
	struct view *view;

	/* what the memory screen shows is what its tree and flame show */
	if (app->current == MEMORY && has_metric(number) && app->context.metric != METRIC_CPU)
		app->metric = app->context.metric;
	choose_metric(app, number);
	app->current = number;
	view = get_view(app);
	if (view->ops->enter)
		view->ops->enter(view);
}

static void change_metric(struct app *app)
{
	struct heap_facts heap;
	char text[APP_MESSAGE_MAX];

	if (!heap_is_measured(app->source->profile)) {
		heap_read_facts(app->source->profile, &heap);
		heap_write_state(&heap, text, sizeof(text));
		app_say(app, STYLE_WARN, "%s", text);
		return;
	}
	app->metric = (app->metric + 1) % METRICS;
	go_to_screen(app, app->current);
}

static void find_next(struct app *app, int direction)
{
	struct view *view = get_view(app);

	if (!app->search.pattern[0])
		app_set_message(app, "nothing to find yet: / starts a search");
	else if (!view->ops->find || !view->ops->find(view, direction))
		app_say(app, STYLE_WARN, "no match for /%s/ here", app->search.pattern);
}

static void press_in_prompt(struct app *app, uint32_t key)
{
	enum prompt_reply reply = prompt_press(&app->prompt, key);
	char *why = app->prompt.complaint;

	if (reply == PROMPT_IGNORED)
		return;
	*why = '\0';
	if (reply == PROMPT_CANCELLED) {
		search_set(&app->search, app->search_before, why, sizeof(app->prompt.complaint));
		return;
	}
	if (!search_set(&app->search, app->prompt.text, why, sizeof(app->prompt.complaint))) {
		app->prompt.is_open = true; /* so that it can be mended */
		return;
	}
	if (reply == PROMPT_ACCEPTED && app->search.pattern[0])
		find_next(app, 1);
}

static void open_search(struct app *app)
{
	memcpy(app->search_before, app->search.pattern, sizeof(app->search_before));
	prompt_open(&app->prompt);
}

static void on_saved(void *arg, struct error *error, const char *path)
{
	struct app *app = arg;

	if (error)
		say_error(app, "not saved", error);
	else
		app_say(app, STYLE_GOOD, "saved %s", path);
}

static void save(struct app *app)
{
	struct source_status status;
	struct error *error;

	app->source->ops->get_status(app->source, &status);
	if (status.state == SOURCE_SNAPSHOT) {
		app_set_message(app, "nothing to save: this is a saved snapshot");
		return;
	}
	if (!app->source->ops->save) {
		app_say(app, STYLE_WARN, "this source cannot be saved");
		return;
	}
	app_set_message(app, "saving …");
	error = app->source->ops->save(app->source, NULL, on_saved, app);
	if (error)
		say_error(app, "not saved", error);
}

/* ---- ^Z ---- */

static void suspend_now(struct app *app)
{
	if (app->suspend)
		app->suspend(app->suspend_arg);
}

static void on_paused(void *arg)
{
	struct app *app = arg;
	struct error *error;

	suspend_now(app);
	app->is_pausing = false;
	error = app->source->ops->resume(app->source);
	if (error)
		say_error(app, "collecting stays off", error);
	app->is_dirty = true;
}

/* Collecting goes off first: a stopped kiln would lose samples and still cost the target its share. */
static void pause_and_suspend(struct app *app)
{
	const struct source_ops *ops = app->source->ops;
	struct source_status status;
	struct error *error;

	ops->get_status(app->source, &status);
	if (app->is_pausing)
		return;
	if (!ops->pause || !ops->resume || status.state != SOURCE_LIVE) {
		suspend_now(app);
		return;
	}
	app->is_pausing = true;
	error = ops->pause(app->source, on_paused, app);
	if (!error)
		return;
	app->is_pausing = false;
	say_error(app, "not paused", error);
}

static void answer_view(struct app *app, enum view_reply reply)
{
	if (reply == VIEW_GO_HOT) {
		if (app->current == OVERVIEW) /* what is selected there is hot in CPU */
			app->metric = METRIC_CPU;
		go_to_screen(app, HOT);
	} else if (reply == VIEW_GO_TREE)
		go_to_screen(app, TREE);
	else if (reply == VIEW_GO_FLAME)
		go_to_screen(app, FLAME);
	else if (reply == VIEW_GO_MEMORY)
		go_to_screen(app, MEMORY);
}

/* Keys that mean the same whatever the view would do with them. false: not one of them. */
static bool press_first(struct app *app, uint32_t key)
{
	switch (key) {
	case KEY_CODE_CTRL('l'):
		app->wants_redraw = true;
		return true;
	case KEY_CODE_CTRL('z'):
		pause_and_suspend(app);
		return true;
	case KEY_CODE_NONE:
	case KEY_CODE_RESIZE:
		return true;
	default:
		return false;
	}
}

/* A letter that answers nothing looks as if kiln did not listen. */
static void say_unknown_key(struct app *app, uint32_t key)
{
	char text[5] = "";

	if (key <= ' ' || key == 0x7f || key >= KEY_CODE_UP)
		return;
	text_encode(key, text);
	app_say(app, STYLE_WARN, "%s does nothing on this screen: ? shows the keys", text);
}

/* Keys that the view did not want. Returns true to quit. */
static bool press_last(struct app *app, uint32_t key)
{
	if (key >= '1' && key < '1' + APP_VIEWS)
		go_to_screen(app, key - '1');
	else if (key == ']' || key == KEY_CODE_TAB)
		go_to_screen(app, (app->current + 1) % APP_VIEWS);
	else if (key == '[' || key == KEY_CODE_BACKTAB)
		go_to_screen(app, (app->current + APP_VIEWS - 1) % APP_VIEWS);
	else if (key == '?' || key == KEY_CODE_F1)
		help_open(&app->help);
	else if (key == '/')
		open_search(app);
	else if (key == 'n' || key == 'N')
		find_next(app, key == 'n' ? 1 : -1);
	else if (key == 'S')
		save(app);
	else if (key == 'b' && has_metric(app->current))
		change_metric(app);
	else if (key == KEY_CODE_ESCAPE)
		search_deinit(&app->search); /* the outermost level: what is still on is the search */
	else if (key != 'q')
		say_unknown_key(app, key);
	return key == 'q';
}

bool app_press_key(struct app *app, uint32_t key)
{
	struct view *view = get_view(app);
	enum view_reply reply;

	if (press_first(app, key))
		return false;
	app->message[0] = '\0';
	if (app->prompt.is_open) {
		press_in_prompt(app, key);
		return false;
	}
	if (key == 'Q' || key == KEY_CODE_CTRL('c'))
		return true;
	if (app->help.is_open) {
		help_press(&app->help, key);
		return false;
	}
	reply = view->ops->key_pressed(view, key);
	answer_view(app, reply);
	return reply == VIEW_IGNORED && press_last(app, key);
}
