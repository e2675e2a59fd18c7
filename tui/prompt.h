/* One line that is being typed: text, the cursor at its end, a label before it, a complaint behind it. */
#ifndef KILN_TUI_PROMPT_H
#define KILN_TUI_PROMPT_H

#include "tui/canvas.h"

#define PROMPT_MAX 128

struct prompt {
	bool is_open;
	char text[PROMPT_MAX];
	char complaint[96]; /* why the text is not right; "" it is */
};

enum prompt_reply {
	PROMPT_EDITED, /* the text has changed */
	PROMPT_IGNORED,
	PROMPT_ACCEPTED,
	PROMPT_CANCELLED,
};

void prompt_open(struct prompt *prompt);
/* Accepted and cancelled close it. */
enum prompt_reply prompt_press(struct prompt *prompt, uint32_t key);
void prompt_draw(const struct prompt *prompt, struct canvas *canvas, unsigned row, const char *label);

#endif
