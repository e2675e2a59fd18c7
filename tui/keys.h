/* Bytes of a terminal become keys: UTF-8 code points and enum key of view.h.
 *
 * The escape sequences are those that xterm, the Linux console, tmux, screen and rxvt send in normal and
 * application mode; sequences of other keys (and pasted junk) are swallowed whole, they never turn into
 * letters. A lone Esc cannot be told from the start of a sequence but by time: when keys_is_waiting(), the
 * caller waits KEYS_ESCAPE_MS and calls keys_flush().
 */
#ifndef KILN_TUI_KEYS_H
#define KILN_TUI_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYS_ESCAPE_MS	  25
#define KEYS_SEQUENCE_MAX 32 /* a longer sequence is junk */

/* Zeroed: nothing came yet. */
struct keys {
	unsigned char bytes[KEYS_SEQUENCE_MAX];
	size_t count;
	bool is_swallowing; /* the rest of a sequence that was too long */
};

/* Takes one byte. Returns the key that it completes, or KEY_CODE_NONE. */
uint32_t keys_feed(struct keys *keys, unsigned char byte);
bool keys_is_waiting(const struct keys *keys);
/* No byte came for a while: what waits is an Esc (or junk). KEY_CODE_NONE: nothing waited. */
uint32_t keys_flush(struct keys *keys);

#endif
