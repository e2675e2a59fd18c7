/* The dashboard: frame around the views, keys, prompt, refresh; runs on the event loop until the user quits.
 */
#ifndef KILN_TUI_APP_H
#define KILN_TUI_APP_H

#include "base/error.h"
#include "base/loop.h"
#include "profile/source.h"
#include "tui/canvas.h"

enum color_mode { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };

struct app_options {
	enum color_mode color;
	bool ascii;
	bool no_mouse;
	bool plain;
	const char *note; /* one line to show at the start (where CMD's output goes), or NULL */
};

struct app;

/* ---- without a terminal: for tests and for the one below ---- */
struct error *app_create(struct source *source, const struct app_options *options, struct app **ret);
void app_destroy(struct app *app); /* NULL accepted */
/* Draws the whole screen for this size. */
void app_draw(struct app *app, struct canvas *canvas);
/* true: the user wants to quit. */
bool app_press_key(struct app *app, uint32_t key);
/* Says something in the message row. */
void app_set_message(struct app *app, const char *message);

/* ---- on a terminal ---- */
/* Checks TERM and size before anything is attached: ERROR_USAGE in words. */
struct error *app_check_terminal(void);
/* Takes the terminal, draws at most 10 times a second and only what changed, restores it. Returns when the
 * user quits or a signal ends it (SIGTERM, SIGHUP, SIGINT: the caller's loop_quit()). The terminal comes back
 * on every way out. */
struct error *app_run(struct app *app, struct loop *loop, const struct app_options *options);
/* Puts the terminal back from a static byte string: safe in a signal handler, harmless when it was never
 * taken. */
void app_restore_terminal(void);

#endif
