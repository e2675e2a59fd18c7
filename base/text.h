/* Text that somebody else wrote: made safe for a terminal and for every text output, once, at the boundary.
 */
#ifndef KILN_BASE_TEXT_H
#define KILN_BASE_TEXT_H

#include <stddef.h>
#include <stdint.h>

/* Copies at most capacity - 1 bytes of text to ret and terminates it. Control characters (C0, C1, DEL), bidi
 * controls, line and paragraph separators, what is invisible or only formats, what is no character, and each
 * byte of invalid UTF-8 become '?'. What is cut ends in "…".
 * Returns the length. in_length: bytes of text, or SIZE_MAX when it is terminated. */
size_t text_sanitize(const char *text, size_t in_length, char *ret, size_t capacity);

/* Decodes one UTF-8 sequence; returns its bytes (1 to 4), 0 when it is invalid or length is 0. */
size_t text_decode(const char *text, size_t length, uint32_t *ret);
/* Encodes a code point; returns the bytes written (1 to 4), no terminator. */
size_t text_encode(uint32_t codepoint, char ret[4]);

/* Edit distance of two words: for "did you mean". */
unsigned text_distance(const char *a, const char *b);

#endif
