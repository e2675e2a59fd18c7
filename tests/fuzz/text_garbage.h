/* The sanitizer of names on any bytes: what comes out is what text.h says, whatever goes in. */
#ifndef KILN_TESTS_FUZZ_TEXT_GARBAGE_H
#define KILN_TESTS_FUZZ_TEXT_GARBAGE_H

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_GARBAGE_CHECK(condition)                                                                        \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			abort();                                                                             \
		}                                                                                            \
	} while (0)

/* By other means than the sanitizer's own: no byte that a terminal obeys, and of the rest well-formed UTF-8
 * without the sequences that hide or turn text. */
static inline void text_garbage_check_safe(const char *text, size_t length)
{
	static const char *const never[] = {
		"\xc2\xad",	"\xe2\x80\x8b", "\xe2\x80\x8e", "\xe2\x80\x8f",
		"\xe2\x80\xa8", "\xe2\x80\xa9", "\xe2\x80\xaa", "\xe2\x80\xae",
		"\xe2\x81\xa6", "\xe2\x81\xa9", "\xef\xbb\xbf", "\xf3\xa0",
	};

	for (size_t i = 0; i < length; i++) {
		unsigned char byte = (unsigned char)text[i];

		TEXT_GARBAGE_CHECK(byte >= 0x20 && byte != 0x7f);
		TEXT_GARBAGE_CHECK(byte != 0xc0 && byte != 0xc1 && byte < 0xf4);
		/* C1 as a character */
		TEXT_GARBAGE_CHECK(byte != 0xc2 || (unsigned char)text[i + 1] >= 0xa0);
		/* surrogates */
		TEXT_GARBAGE_CHECK(byte != 0xed || (unsigned char)text[i + 1] < 0xa0);
	}
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		TEXT_GARBAGE_CHECK(!memmem(text, length, never[i], strlen(never[i])));
}

/* The first byte is the room; the rest the text. */
static inline void text_garbage_run(const uint8_t *data, size_t size)
{
	size_t capacity = size ? 1 + (size_t)data[0] * 4 : 1, length, again;
	char *out = (char *)malloc(capacity), *twice = (char *)malloc(capacity);

	TEXT_GARBAGE_CHECK(out && twice);
	length = text_sanitize(size ? (const char *)data + 1 : "", size ? size - 1 : 0, out, capacity);
	TEXT_GARBAGE_CHECK(length < capacity && strlen(out) == length);
	TEXT_GARBAGE_CHECK(capacity <= size || length < size || !length);
	text_garbage_check_safe(out, length);
	again = text_sanitize(out, length, twice, capacity);
	TEXT_GARBAGE_CHECK(again == length && !memcmp(out, twice, length));
	free(out);
	free(twice);
}

#endif
