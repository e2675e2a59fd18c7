/* The help overlay: made from commands.def, drawn over the content of a screen. */
#ifndef KILN_TUI_VIEW_HELP_H
#define KILN_TUI_VIEW_HELP_H

#include "tui/view.h"

struct help {
	bool is_open;
	unsigned scroll;	/* lines */
	unsigned lines, height; /* as drawn last */
};

void help_open(struct help *help);
/* false: not the help's key. Closes itself. */
bool help_press(struct help *help, uint32_t key);
/* Shows the commands of all screens that this one has, then how to read it. */
void help_draw(struct help *help, struct canvas *canvas, struct rectangle area, const struct view_ops *view);

#endif
