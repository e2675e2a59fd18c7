#include "tui/view_help.h"

#include "tui/commands.h"

#include <stdio.h>
#include <string.h>

#define GROUP_CELLS 10

/* How to read the figures, by screen as in commands.def. */
static const struct {
	const char *screens, *text;
} notes[] = {
	{"1234",
	 "self: samples in the function's own code. total: also in what it called; recursion counts once."},
	{"1234", "± is the 95 % interval of a sampled share."},
	{"5",
	 "Graph: █ live heap, from its own 0, ░ above it the most inside a column. • RSS, less what it was "
	 "at the attach; the band below 0 is that, not to scale. P: the peak."},
	{"5",
	 "A site is a function that allocates; the allocator's own frames (malloc, operator new) are folded "
	 "into it. LIVE: allocated since the attach and not freed. RATE/s: bytes a second, now."},
	{"2345",
	 "Figures of the heap are exact: bytes as they were requested, no ±. Blocks from before the attach "
	 "are not in them."},
	{"4", "Width is the share of samples; the blank under a frame is its own time; ⋯n are n frames "
	      "narrower than a cell."},
	{"1", "A core is one CPU that is always busy; a column shows its mean, ░ its highest part where a "
	      "column is 2 s and longer. w changes the time of the graph; everything else is of all time."},
	{"1",
	 "Below the shares: whose code spoils most stacks, and why. `kiln report` on a snapshot lists the "
	 "others and says what would mend them."},
	{"3", "L goes through the limits: smaller rows are merged into ⋯, with their sum."},
	{"*",
	 "Top row: samples a CPU second, delivered/asked for; samples; stacks (stk) that are whole; "
	 "lost samples; ovh: kiln's own CPU, % of a core. heap: ✓ is measured exactly, ✗ is not (any more)."},
	{"*", "module+0x… has no name (yet): stripped code, or its name is on the way."},
	{"*", "Stacks that are cut have a root that says why. lost, truncated and unknown are counted and "
	      "shown, never spread "
	      "over others."},
};

void help_open(struct help *help)
{
	*help = (struct help){.is_open = true};
}

static void scroll_by(struct help *help, int lines)
{
	unsigned limit = help->lines > help->height ? help->lines - help->height : 0;
	int wanted = (int)help->scroll + lines;

	help->scroll = wanted < 0 ? 0 : (unsigned)wanted > limit ? limit : (unsigned)wanted;
}

bool help_press(struct help *help, uint32_t key)
{
	switch (key) {
	case KEY_CODE_UP:
	case 'k':
		scroll_by(help, -1);
		return true;
	case KEY_CODE_DOWN:
	case 'j':
		scroll_by(help, 1);
		return true;
	case KEY_CODE_PAGE_UP:
		scroll_by(help, -(int)help->height);
		return true;
	case KEY_CODE_PAGE_DOWN:
	case ' ':
		scroll_by(help, (int)help->height);
		return true;
	case 'q':
	case '?':
	case KEY_CODE_F1:
	case KEY_CODE_ESCAPE:
	case KEY_CODE_ENTER:
		help->is_open = false;
		return true;
	default:
		return false;
	}
}

/* Where the next word goes: lines are counted from the top of the whole text, those that are scrolled away
 * are not drawn. */
struct pen {
	struct canvas *canvas;
	struct rectangle inside;
	unsigned scroll, line, column;
};

static void put_text(struct pen *pen, uint16_t style, const char *text)
{
	unsigned width = canvas_text_width(text);

	if (pen->line >= pen->scroll && pen->line - pen->scroll < pen->inside.rows)
		canvas_text(pen->canvas, pen->inside.column + pen->column,
			    pen->inside.row + pen->line - pen->scroll, width, style, text);
	pen->column += width;
}

static void break_line(struct pen *pen)
{
	pen->line++;
	pen->column = GROUP_CELLS;
}

static void put_command(struct pen *pen, const struct command *command)
{
	unsigned width = canvas_text_width(command->keys) + 1 + canvas_text_width(command->help);

	if (pen->column > GROUP_CELLS && pen->column + 3 + width > pen->inside.columns)
		break_line(pen);
	else if (pen->column > GROUP_CELLS)
		pen->column += 3;
	put_text(pen, STYLE_KEY, command->keys);
	pen->column++;
	put_text(pen, STYLE_NORMAL, command->help);
}

static void put_commands(struct pen *pen, char screen_key)
{
	const char *group = "";
	size_t i;

	for (i = 0; i < commands_count; i++) {
		if (!command_is_on_screen(&commands[i], screen_key))
			continue;
		if (strcmp(group, commands[i].group)) {
			if (*group)
				break_line(pen);
			group = commands[i].group;
			pen->column = 0;
			put_text(pen, STYLE_TITLE, group);
			pen->column = GROUP_CELLS;
		}
		put_command(pen, &commands[i]);
	}
	break_line(pen);
}

/* Breaks between words. */
static void put_note(struct pen *pen, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, " ");
		char word[64];
		unsigned width;

		snprintf(word, sizeof(word), "%.*s", (int)length, text);
		width = canvas_text_width(word);
		if (pen->column > GROUP_CELLS && pen->column + 1 + width > pen->inside.columns)
			break_line(pen);
		else if (pen->column > GROUP_CELLS)
			pen->column++;
		put_text(pen, STYLE_NORMAL, word);
		text += length + (text[length] == ' ');
	}
	break_line(pen);
}

static void put_notes(struct pen *pen, char screen_key)
{
	size_t i;

	pen->line++;
	pen->column = 0;
	put_text(pen, STYLE_TITLE, "READING");
	pen->column = GROUP_CELLS;
	for (i = 0; i < sizeof(notes) / sizeof(notes[0]); i++)
		if (notes[i].screens[0] == '*' || strchr(notes[i].screens, screen_key))
			put_note(pen, notes[i].text);
}

static void draw_box(struct canvas *canvas, struct rectangle area, const char *title)
{
	unsigned right = area.column + area.columns - 1, bottom = area.row + area.rows - 1;

	canvas_fill(canvas, area.column, area.row, area.columns, area.rows, ' ', STYLE_NORMAL);
	canvas_rule(canvas, area.column, area.row, area.columns, title);
	canvas_rule(canvas, area.column, bottom, area.columns, NULL);
	canvas_fill(canvas, area.column, area.row, 1, area.rows, 0x2502, STYLE_DIM);
	canvas_fill(canvas, right, area.row, 1, area.rows, 0x2502, STYLE_DIM);
	canvas_put(canvas, area.column, area.row, 0x250c, STYLE_DIM); /* ┌┐└┘ */
	canvas_put(canvas, right, area.row, 0x2510, STYLE_DIM);
	canvas_put(canvas, area.column, bottom, 0x2514, STYLE_DIM);
	canvas_put(canvas, right, bottom, 0x2518, STYLE_DIM);
}

void help_draw(struct help *help, struct canvas *canvas, struct rectangle area, const struct view_ops *view)
{
	struct pen pen = {canvas, {area.column + 2, area.row + 1, area.columns - 4, area.rows - 2}, 0, 0, 0};
	char title[80];

	snprintf(title, sizeof(title), "help: %s", view->name);
	draw_box(canvas, area, title);
	pen.scroll = help->scroll;
	put_commands(&pen, view->key);
	put_notes(&pen, view->key);
	help->lines = pen.line;
	help->height = pen.inside.rows;
	if (help->scroll + help->height < help->lines)
		canvas_text(canvas, area.column + 2, area.row + area.rows - 1, area.columns - 4, STYLE_KEY,
			    " ↓ more ");
	scroll_by(help, 0);
}
