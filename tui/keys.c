#include "tui/keys.h"

#include "base/text.h"
#include "tui/view.h"

#include <stdlib.h>
#include <string.h>

bool keys_is_waiting(const struct keys *keys)
{
	return keys->count > 0;
}

uint32_t keys_flush(struct keys *keys)
{
	bool is_escape = keys->count == 1 && keys->bytes[0] == KEY_CODE_ESCAPE;

	keys->count = 0;
	keys->is_swallowing = false;
	return is_escape ? KEY_CODE_ESCAPE : KEY_CODE_NONE;
}

/* ESC [ … letter and ESC O letter (application mode). */
static uint32_t name_letter(unsigned char letter)
{
	switch (letter) {
	case 'A':
		return KEY_CODE_UP;
	case 'B':
		return KEY_CODE_DOWN;
	case 'C':
		return KEY_CODE_RIGHT;
	case 'D':
		return KEY_CODE_LEFT;
	case 'H':
		return KEY_CODE_HOME;
	case 'F':
		return KEY_CODE_END;
	case 'P':
		return KEY_CODE_F1;
	case 'M':
		return KEY_CODE_ENTER; /* of the number pad in application mode */
	case 'Z':
		return KEY_CODE_BACKTAB;
	default:
		return KEY_CODE_NONE;
	}
}

/* ESC [ number ~ */
static uint32_t name_number(long number)
{
	switch (number) {
	case 1:
	case 7:
		return KEY_CODE_HOME;
	case 4:
	case 8:
		return KEY_CODE_END;
	case 5:
		return KEY_CODE_PAGE_UP;
	case 6:
		return KEY_CODE_PAGE_DOWN;
	case 11:
		return KEY_CODE_F1;
	default:
		return KEY_CODE_NONE;
	}
}

/* The sequence is complete: bytes[1] is '[' or 'O'. */
static uint32_t name_sequence(const struct keys *keys)
{
	unsigned char last = keys->bytes[keys->count - 1];
	char number[KEYS_SEQUENCE_MAX + 1];

	if (keys->count == 4 && keys->bytes[2] == '[') /* the Linux console's F1 to F5 */
		return last == 'A' ? KEY_CODE_F1 : KEY_CODE_NONE;
	if (last != '~')
		return last == 'M' && keys->bytes[1] == '[' ? KEY_CODE_NONE : name_letter(last);
	memcpy(number, keys->bytes + 2, keys->count - 2);
	number[keys->count - 2] = '\0';
	return name_number(strtol(number, NULL, 10));
}

/* ESC [ parameters (0x20 to 0x3f) and a final byte (0x40 to 0x7e), ECMA-48; ESC O and one byte; ESC [ [ and
 * one. */
static bool is_sequence_complete(const struct keys *keys)
{
	unsigned char last = keys->bytes[keys->count - 1];

	if (keys->bytes[1] == 'O')
		return keys->count == 3;
	if (keys->count == 3 && last == '[')
		return false;
	return keys->count > 2 && last >= 0x40 && last <= 0x7e;
}

static uint32_t feed_sequence(struct keys *keys)
{
	uint32_t key;

	if (keys->count == 2 && keys->bytes[1] == KEY_CODE_ESCAPE) {
		keys->count = 1; /* Esc Esc: the first is one */
		return KEY_CODE_ESCAPE;
	}
	if (keys->count == 2 && keys->bytes[1] != '[' && keys->bytes[1] != 'O') {
		keys->count = 0; /* Alt and a key: not ours */
		return KEY_CODE_NONE;
	}
	if (keys->count < 3 || !is_sequence_complete(keys)) {
		keys->is_swallowing = keys->count == KEYS_SEQUENCE_MAX;
		return KEY_CODE_NONE;
	}
	key = name_sequence(keys);
	keys->count = 0;
	return key;
}

static size_t utf8_length(unsigned char first)
{
	return first < 0x80		? 1
	       : (first & 0xe0) == 0xc0 ? 2
	       : (first & 0xf0) == 0xe0 ? 3
	       : (first & 0xf8) == 0xf0 ? 4
					: 1;
}

static uint32_t feed_text(struct keys *keys)
{
	uint32_t key;

	if (keys->count < utf8_length(keys->bytes[0]) &&
	    (keys->count == 1 || (keys->bytes[keys->count - 1] & 0xc0) == 0x80))
		return KEY_CODE_NONE;
	if (!text_decode((const char *)keys->bytes, keys->count, &key))
		key = KEY_CODE_NONE;
	keys->count = 0;
	if (key == 0x7f || key == KEY_CODE_CTRL('h'))
		return KEY_CODE_BACKSPACE;
	return key == '\n' ? KEY_CODE_ENTER : key;
}

uint32_t keys_feed(struct keys *keys, unsigned char byte)
{
	if (keys->is_swallowing) {
		if (byte >= 0x40 && byte <= 0x7e)
			keys_flush(keys);
		return KEY_CODE_NONE;
	}
	keys->bytes[keys->count++] = byte;
	if (keys->bytes[0] == KEY_CODE_ESCAPE)
		return keys->count == 1 ? KEY_CODE_NONE : feed_sequence(keys);
	return feed_text(keys);
}
