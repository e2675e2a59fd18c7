/* Curses does what it is good at: what to send so that the screen shows these cells, on any terminal. It is
 * not asked for keys (keys.c reads the bytes), and it never sees a cell that did not change. */
#include "tui/term.h"

#include "base/cleanup.h"
#include "base/terminal.h"
#include "tui/width.h"

#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <errno.h>
#include <fcntl.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>
#include <wchar.h>

#undef columns /* term.h makes it a macro: terminfo's number of columns */

/* ---- giving the terminal back, from anywhere ---- */

static struct {
	int in, out;
	bool is_checked;
	volatile sig_atomic_t is_taken;
} tty = {.in = -1, .out = -1};

void term_restore(void)
{
	if (!tty.is_taken)
		return;
	tty.is_taken = 0;
	terminal_restore();
}

static const int fatal_signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGSYS};
#define FATAL_SIGNALS (sizeof(fatal_signals) / sizeof(fatal_signals[0]))
static struct sigaction fatal_actions_before[FATAL_SIGNALS];

/* SA_RESETHAND has brought the default back: the signal ends the process when the handler returns and it is
 * raised again. */
static void on_fatal_signal(int number)
{
	term_restore();
	raise(number);
}

static void catch_fatal_signals(void)
{
	static char stack[16384]; /* an overflow of the stack has none left */
	stack_t alternate = {.ss_sp = stack, .ss_size = sizeof(stack)};
	struct sigaction action = {.sa_handler = on_fatal_signal,
				   .sa_flags = SA_RESETHAND | SA_NODEFER | SA_ONSTACK};
	size_t i;

	sigaltstack(&alternate, NULL);
	for (i = 0; i < FATAL_SIGNALS; i++)
		sigaction(fatal_signals[i], &action, &fatal_actions_before[i]);
}

static void release_fatal_signals(void)
{
	size_t i;

	for (i = 0; i < FATAL_SIGNALS; i++)
		sigaction(fatal_signals[i], &fatal_actions_before[i], NULL);
}

/* ---- before anything is attached ---- */

static struct error *find_tty(int fd, int *ret)
{
	if (isatty(fd)) {
		*ret = fd;
		return NULL;
	}
	*ret = open("/dev/tty", O_RDWR | O_CLOEXEC);
	if (*ret < 0)
		return error_create(ERROR_USAGE, errno,
				    "use kiln record or kiln report where there is no terminal",
				    "the dashboard needs a terminal: /dev/tty");
	return NULL;
}

static struct error *check_terminfo(int fd)
{
	static const char hint[] =
		"export TERM=xterm-256color (or what your terminal is), or use kiln record";
	const char *name = getenv("TERM");
	bool can_move;
	int status;

	if (!name || !name[0])
		return error_create(ERROR_USAGE, 0, hint,
				    "TERM is not set: what the terminal can do is not known");
	if (setupterm(NULL, fd, &status) != OK)
		return error_create(ERROR_USAGE, 0, hint, "TERM=%.64s is not known on this machine", name);
	can_move = cursor_address && clear_screen;
	del_curterm(cur_term);
	if (!can_move)
		return error_create(ERROR_USAGE, 0, hint, "TERM=%.64s cannot move its cursor", name);
	return NULL;
}

struct error *term_check(void)
{
	struct error *error;

	if (tty.is_checked)
		return NULL;
	error = find_tty(STDIN_FILENO, &tty.in);
	if (!error)
		error = find_tty(STDOUT_FILENO, &tty.out);
	if (!error)
		error = check_terminfo(tty.out);
	if (error)
		return error;
	terminal_remember(tty.out);
	tty.is_checked = true;
	return NULL;
}

/* ---- palettes ---- */

struct look {
	short foreground, background; /* -1: the terminal's own */
	attr_t attributes;
};

/* In 16 and 8 colours; in none only the attributes are left. A frame of a flame (a kind with a lightness) is
 * black on its kind's colour, a kind without lightness is a word in that colour. */
static const struct look looks[STYLES] = {
	[STYLE_NORMAL] = {-1, -1, 0},
	[STYLE_DIM] = {-1, -1, A_DIM},
	[STYLE_BOLD] = {-1, -1, A_BOLD},
	[STYLE_HEADER] = {-1, -1, A_BOLD},
	[STYLE_TAB] = {-1, -1, 0},
	[STYLE_TAB_ACTIVE] = {COLOR_CYAN, -1, A_BOLD},
	[STYLE_TITLE] = {-1, -1, A_BOLD},
	[STYLE_KEY] = {COLOR_CYAN, -1, A_BOLD},
	[STYLE_GOOD] = {COLOR_GREEN, -1, A_BOLD},
	[STYLE_WARN] = {COLOR_YELLOW, -1, A_BOLD},
	[STYLE_BAD] = {COLOR_RED, -1, A_BOLD},
	[STYLE_BAR] = {COLOR_CYAN, -1, 0},
	[STYLE_GRAPH_USER] = {COLOR_CYAN, -1, 0},
	[STYLE_GRAPH_KERNEL] = {COLOR_MAGENTA, -1, 0},
	[STYLE_GRAPH_UNKNOWN] = {COLOR_YELLOW, -1, 0},
	[STYLE_GRAPH_HEAP] = {COLOR_GREEN, -1, 0},
	[STYLE_GRAPH_RSS] = {COLOR_YELLOW, -1, A_BOLD},
	[STYLE_MATCH] = {-1, -1, A_UNDERLINE | A_REVERSE},
	[STYLE_KIND_APP] = {COLOR_YELLOW, -1, 0},
	[STYLE_KIND_LIBRARY] = {COLOR_GREEN, -1, 0},
	[STYLE_KIND_LIBC] = {COLOR_CYAN, -1, 0},
	[STYLE_KIND_KERNEL] = {COLOR_MAGENTA, -1, 0},
	[STYLE_KIND_JIT] = {COLOR_BLUE, -1, 0},
	[STYLE_KIND_UNKNOWN] = {COLOR_WHITE, -1, 0},
};

/* Of 256 colours: foregrounds, and the four lightnesses of each kind. */
static const short foregrounds_256[STYLES] = {
	[STYLE_DIM] = 245,	     [STYLE_TAB] = 248,
	[STYLE_TAB_ACTIVE] = 81,     [STYLE_KEY] = 75,
	[STYLE_GOOD] = 114,	     [STYLE_WARN] = 179,
	[STYLE_BAD] = 203,	     [STYLE_BAR] = 74,
	[STYLE_GRAPH_USER] = 74,     [STYLE_GRAPH_KERNEL] = 139,
	[STYLE_GRAPH_UNKNOWN] = 179, [STYLE_GRAPH_HEAP] = 108,
	[STYLE_GRAPH_RSS] = 215,     [STYLE_KIND_APP] = 179,
	[STYLE_KIND_LIBRARY] = 107,  [STYLE_KIND_LIBC] = 74,
	[STYLE_KIND_KERNEL] = 139,   [STYLE_KIND_JIT] = 80,
	[STYLE_KIND_UNKNOWN] = 247,
};
static const short kinds_256[][4] = {
	{172, 178, 179, 215}, /* app */
	{71, 107, 108, 150},  /* library */
	{67, 74, 110, 117},   /* libc */
	{133, 139, 176, 182}, /* kernel */
	{37, 44, 79, 80},     /* jit */
	{244, 246, 248, 250}, /* unknown */
};

struct terminal {
	SCREEN *screen;
	FILE *in, *out;
	bool has_colors, is_utf8;
	unsigned columns, rows;
	struct cell *shown; /* what the screen shows, row by row; codepoint UINT32_MAX: not known */
};

/* Pairs: 0 is the terminal's own, then one a style, then the filled kinds with their lightnesses. */
#define KINDS (STYLE_KIND_UNKNOWN - STYLE_KIND_APP + 1)

static short pair_of_filled(unsigned kind, unsigned lightness)
{
	return (short)(1 + STYLES + (COLORS >= 256 ? kind * 4 + lightness : kind));
}

static void fill_pairs(void)
{
	unsigned base, kind, lightness;

	for (base = 0; base < STYLES; base++)
		init_pair((short)(1 + base),
			  COLORS >= 256 && foregrounds_256[base] ? foregrounds_256[base]
								 : looks[base].foreground,
			  looks[base].background);
	for (kind = 0; kind < KINDS; kind++) {
		init_pair(pair_of_filled(kind, 0), COLOR_BLACK, looks[STYLE_KIND_APP + kind].foreground);
		for (lightness = 0; COLORS >= 256 && lightness < 4; lightness++)
			init_pair(pair_of_filled(kind, lightness), 16, kinds_256[kind][lightness]);
	}
}

static bool wants_colors(const struct app_options *options)
{
	const char *no_color = getenv("NO_COLOR");

	if (options->color == COLOR_NEVER)
		return false;
	return options->color == COLOR_ALWAYS || !no_color || !no_color[0];
}

static bool start_palette(const struct app_options *options)
{
	if (!wants_colors(options) || !has_colors() || start_color() == ERR || COLORS < 8 ||
	    COLOR_PAIRS <= STYLES + KINDS)
		return false;
	use_default_colors();
	fill_pairs();
	return true;
}

static short choose_pair(const struct terminal *term, uint16_t style, unsigned base)
{
	if (!term->has_colors)
		return 0;
	if (style & STYLE_FILLED && base >= STYLE_KIND_APP && base < STYLE_KIND_APP + KINDS)
		return pair_of_filled(base - STYLE_KIND_APP, style >> 10 & 3);
	return (short)(1 + base);
}

static attr_t choose_attributes(const struct terminal *term, uint16_t style, unsigned base)
{
	attr_t attributes = looks[base].attributes;

	if (term->has_colors && COLORS >= 256)
		attributes &= ~A_DIM; /* the palette has a grey of its own */
	if (style & STYLE_SELECTED)   /* a hit on the selected row is reversed back, and stays underlined */
		attributes = (attributes & ~A_DIM) ^ A_REVERSE;
	return attributes;
}

/* ---- taking and giving back ---- */

static FILE *open_stream(int fd, const char *mode)
{
	_cleanup_close_ int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	FILE *stream = copy >= 0 ? fdopen(copy, mode) : NULL;

	if (stream)
		copy = -1;
	return stream;
}

/* Names are UTF-8; a locale that says otherwise means a terminal that cannot show them. */
static bool take_locale(void)
{
	/* only LC_CTYPE: numbers keep their point */
	if (!setlocale(LC_CTYPE, ""))
		setlocale(LC_CTYPE, "C.UTF-8");
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static struct error *start_curses(struct terminal *term, const struct app_options *options)
{
	term->out = open_stream(tty.out, "w");
	term->in = open_stream(tty.in, "r");
	if (!term->out || !term->in)
		return error_create(ERROR_GENERAL, errno, NULL, "the terminal cannot be opened");
	tty.is_taken = 1;
	term->screen = newterm(NULL, term->out, term->in);
	if (!term->screen)
		return error_create(ERROR_USAGE, 0, NULL, "curses cannot drive this terminal");
	raw();
	noecho();
	nonl();
	keypad(stdscr, TRUE); /* application mode on; keys.c reads both */
	curs_set(0);
	leaveok(stdscr, TRUE);
	scrollok(stdscr, FALSE);
	term->has_colors = start_palette(options);
	term->columns = (unsigned)COLS;
	term->rows = (unsigned)LINES;
	return NULL;
}

struct error *term_create(const struct app_options *options, struct terminal **ret)
{
	struct error *error = term_check();
	struct terminal *term;

	if (error)
		return error;
	term = calloc(1, sizeof(*term));
	if (!term)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	term->is_utf8 = take_locale();
	catch_fatal_signals();
	atexit(term_restore);
	error = start_curses(term, options);
	if (error) {
		term_destroy(term);
		return error;
	}
	term_forget(term);
	*ret = term;
	return NULL;
}

void term_destroy(struct terminal *term)
{
	if (!term)
		return;
	if (term->screen) {
		endwin();
		delscreen(term->screen);
	}
	term_restore();
	release_fatal_signals();
	if (term->in)
		fclose(term->in);
	if (term->out)
		fclose(term->out);
	free(term->shown);
	free(term);
}

void term_suspend(struct terminal *term, void (*stopping)(void *arg), void *arg)
{
	endwin();
	term_restore();
	stopping(arg);
	raise(SIGSTOP);
	/* SIGCONT: the shell has put us into the foreground again, or `kill -CONT` has not: then this stops
	 * again */
	tty.is_taken = 1;
	clearok(curscr, TRUE);
	refresh();
	term_update_size(term);
	term_forget(term);
}

int term_get_fd(const struct terminal *term)
{
	return tty.in;
}

bool term_is_utf8(const struct terminal *term)
{
	return term->is_utf8;
}

/* ---- size ---- */

void term_get_size(const struct terminal *term, unsigned *ret_columns, unsigned *ret_rows)
{
	*ret_columns = term->columns;
	*ret_rows = term->rows;
}

bool term_update_size(struct terminal *term)
{
	struct winsize size;

	if (ioctl(tty.out, TIOCGWINSZ, &size) < 0 || !size.ws_col || !size.ws_row)
		return false;
	if (size.ws_col == term->columns && size.ws_row == term->rows)
		return false;
	resizeterm(size.ws_row, size.ws_col);
	term->columns = size.ws_col;
	term->rows = size.ws_row;
	term_forget(term);
	return true;
}

/* ---- cells ---- */

void term_forget(struct terminal *term)
{
	free(term->shown);
	term->shown = NULL; /* term_show() makes it, as all unknown */
	clearok(curscr, TRUE);
}

static bool make_shown(struct terminal *term)
{
	size_t count = (size_t)term->columns * term->rows, i;

	term->shown = malloc((count ? count : 1) * sizeof(*term->shown));
	for (i = 0; term->shown && i < count; i++)
		term->shown[i].codepoint = UINT32_MAX;
	return term->shown != NULL;
}

static void write_cell(const struct terminal *term, unsigned column, unsigned row, struct cell cell)
{
	unsigned width = width_of_codepoint(cell.codepoint);
	wchar_t text[2] = {(wchar_t)cell.codepoint, 0};
	unsigned base = STYLE_BASE(cell.style) < STYLES ? STYLE_BASE(cell.style) : STYLE_NORMAL;
	cchar_t out;

	/* Where libc thinks otherwise of the width, curses would too, and the rest of the row would be
	 * shifted. */
	if (cell.codepoint >= 0x80 && (!term->is_utf8 || wcwidth(text[0]) != (int)width))
		text[0] = '?';
	setcchar(&out, text, choose_attributes(term, cell.style, base), choose_pair(term, cell.style, base),
		 NULL);
	mvadd_wch((int)row, (int)column, &out); /* ERR in the last corner, but it is drawn */
	if (width == 2 && text[0] == '?')
		mvadd_wch((int)row, (int)column + 1, &out);
}

void term_show(struct terminal *term, const struct canvas *canvas)
{
	unsigned column, row, changed = 0;

	if (!term->shown && !make_shown(term))
		return;
	for (row = 0; row < term->rows; row++) {
		for (column = 0; column < term->columns; column++) {
			struct cell cell = canvas_get(canvas, column, row);
			struct cell *shown = &term->shown[(size_t)row * term->columns + column];

			if (shown->codepoint == cell.codepoint && shown->style == cell.style)
				continue;
			*shown = cell;
			changed++;
			if (cell.codepoint)
				write_cell(term, column, row, cell);
		}
	}
	if (changed)
		refresh();
}
