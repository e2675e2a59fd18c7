/* The terminal: cells go out, bytes come in. The only file with curses behind it.
 *
 * Life: term_check() once, in the process that later forks the others, before anything is attached;
 * term_create() takes the terminal (alternate screen, raw mode), term_destroy() gives it back. term_restore()
 * gives it back from anywhere: from a signal handler, from the other process that shares the memory of
 * term_check(). Invariant: no byte is written when no cell changed.
 */
#ifndef KILN_TUI_TERM_H
#define KILN_TUI_TERM_H

#include "base/error.h"
#include "tui/app.h"
#include "tui/canvas.h"

struct terminal;

/* TERM is known and can move the cursor; input and output are terminals (else /dev/tty is one). ERROR_USAGE.
 * Remembers the modes that term_restore() brings back. */
struct error *term_check(void);
struct error *term_create(const struct app_options *options, struct terminal **ret);
void term_destroy(struct terminal *term); /* NULL accepted */

int term_get_fd(const struct terminal *term); /* to read bytes from */
bool term_is_utf8(const struct terminal *term);
void term_get_size(const struct terminal *term, unsigned *ret_columns, unsigned *ret_rows);
/* Asks the kernel; true when the size is another one, the screen is then painted anew. */
bool term_update_size(struct terminal *term);
void term_show(struct terminal *term, const struct canvas *canvas);
/* The next term_show() paints everything. */
void term_forget(struct terminal *term);
/* Gives the terminal back, calls stopping, stops this process, takes the terminal again. */
void term_suspend(struct terminal *term, void (*stopping)(void *arg), void *arg);

/* Async-signal-safe, harmless when the terminal was not taken or is back already. */
void term_restore(void);

#endif
