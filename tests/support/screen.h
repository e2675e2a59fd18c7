/* Screens under test: keys go in, the drawn canvas is compared with a golden file.
 *
 * A screen is either one view alone (row 0 its scope, last row its description, the view between) or the
 * whole dashboard (screen_create_app). Both draw the caller's profile through a source whose status the test
 * sets. Golden files: tests/screens/golden/NAME.txt, canvas_dump() as it is; UPDATE=1 in the environment
 * rewrites them. Tests run in the project's top folder. Everything here fails the running cmocka test when
 * something goes wrong.
 *
 * Use:  screen = screen_create_view(&view_hot, profile, 80, 24);
 *       screen_press(screen, "jj<Enter>");  screen_assert_golden(screen, "hot-80x24");
 * screen_destroy(screen);
 */
#ifndef KILN_TESTS_SUPPORT_SCREEN_H
#define KILN_TESTS_SUPPORT_SCREEN_H

#include "profile/source.h"
#include "tui/canvas.h"
#include "tui/view.h"

struct screen;
struct app_options;

/* The profile stays the caller's. */
struct screen *screen_create_view(const struct view_ops *ops, struct profile *profile, unsigned columns,
				  unsigned rows);
/* options NULL: the defaults. */
struct screen *screen_create_app(struct profile *profile, const struct app_options *options, unsigned columns,
				 unsigned rows);
void screen_destroy(struct screen *screen); /* NULL accepted */

/* What the source says; change it as the test needs. Filled from the profile when the screen is created:
 * LIVE, the facts' pid, comm and duration, the totals. */
struct source_status *screen_status(struct screen *screen);
/* How often ops->save, pause and resume were called. */
struct screen_calls {
	unsigned saves, pauses, resumes;
};
struct screen_calls screen_calls(const struct screen *screen);
/* Ends the save that runs: error NULL (path is there now) or an error, which is taken. */
void screen_finish_save(struct screen *screen, struct error *error, const char *path);

/* Draws, then hands over the keys one by one, drawing after each (as the terminal does). Written as text,
 * special keys as <Up> <Down> <Left> <Right> <Home> <End> <PgUp> <PgDn> <Enter> <Esc> <Tab> <BackTab> <BS>
 * <F1> <C-x> <lt>. In a view alone n and N call ops->find. Returns the last key's answer: of a view the enum
 * view_reply, of the dashboard 1 for quit. */
int screen_press(struct screen *screen, const char *keys);
/* Only for a view alone: the search pattern (a substring, smart case). */
void screen_search(struct screen *screen, const char *pattern);
void screen_resize(struct screen *screen, unsigned columns, unsigned rows);
void screen_set_ascii(struct screen *screen, bool ascii);
struct view_context *screen_context(struct screen *screen); /* of a view alone */

/* Draws; the rows of text without styles, each ending in a newline; lives until the next call. */
const char *screen_text(struct screen *screen);
struct canvas *screen_canvas(struct screen *screen); /* as it was drawn last */
/* Draws; fails and prints the screen when the text is not (is) on it. */
void screen_assert_shows(struct screen *screen, const char *text);
void screen_assert_hides(struct screen *screen, const char *text);
/* Draws and compares text and styles. */
void screen_assert_golden(struct screen *screen, const char *name);
/* A view at 100x30, 80x24 and 60x20: "NAME-100x30" …; asked in one screen that shrinks. */
void screen_assert_golden_sizes(const struct view_ops *ops, struct profile *profile, const char *name);
/* One row of the text; good until the next call. */
const char *screen_row(struct screen *screen, unsigned number);
void screen_assert_row_shows(struct screen *screen, unsigned number, const char *text);
unsigned screen_style(struct screen *screen, unsigned column, unsigned row);

#endif
