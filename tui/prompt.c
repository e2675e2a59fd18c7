#include "tui/prompt.h"

#include "base/text.h"
#include "tui/view.h"

#include <string.h>

void prompt_open(struct prompt *prompt)
{
	*prompt = (struct prompt){.is_open = true};
}

static enum prompt_reply append(struct prompt *prompt, uint32_t key)
{
	size_t length = strlen(prompt->text), bytes;
	char encoded[4];

	if (key < 0x20 || (key >= 0x7f && key < 0xa0) || key > 0x10ffff)
		return PROMPT_IGNORED;
	bytes = text_encode(key, encoded);
	if (length + bytes >= sizeof(prompt->text))
		return PROMPT_IGNORED;
	memcpy(prompt->text + length, encoded, bytes);
	prompt->text[length + bytes] = '\0';
	return PROMPT_EDITED;
}

static enum prompt_reply remove_last(struct prompt *prompt)
{
	size_t length = strlen(prompt->text);

	if (!length) {
		prompt->is_open = false; /* nothing left to take away: as in vi and less */
		return PROMPT_CANCELLED;
	}
	do
		length--;
	while (length && (prompt->text[length] & 0xc0) == 0x80);
	prompt->text[length] = '\0';
	return PROMPT_EDITED;
}

enum prompt_reply prompt_press(struct prompt *prompt, uint32_t key)
{
	switch (key) {
	case KEY_CODE_ENTER:
	case '\n':
		prompt->is_open = false;
		return PROMPT_ACCEPTED;
	case KEY_CODE_ESCAPE:
	case KEY_CODE_CTRL('c'):
	case KEY_CODE_CTRL('g'):
		prompt->is_open = false;
		return PROMPT_CANCELLED;
	case KEY_CODE_BACKSPACE:
	case KEY_CODE_CTRL('h'):
		return remove_last(prompt);
	case KEY_CODE_CTRL('u'):
		prompt->text[0] = '\0';
		return PROMPT_EDITED;
	default:
		return append(prompt, key);
	}
}

void prompt_draw(const struct prompt *prompt, struct canvas *canvas, unsigned row, const char *label)
{
	unsigned columns = canvas_get_columns(canvas), at = 1;

	at += canvas_text(canvas, at, row, columns - at, STYLE_KEY, label);
	at += canvas_text(canvas, at, row, columns - at, STYLE_BOLD, prompt->text);
	canvas_put(canvas, at, row, ' ', STYLE_NORMAL | STYLE_SELECTED); /* the cursor */
	if (prompt->complaint[0])
		canvas_text(canvas, at + 3, row, columns > at + 3 ? columns - at - 3 : 0, STYLE_WARN,
			    prompt->complaint);
}
