/* Interned strings: the same text is the same pointer, for as long as the store lives.
 *
 * Ownership: texts are copied in. Errors: NULL when memory is short.
 */
#ifndef KILN_PROFILE_STRINGS_H
#define KILN_PROFILE_STRINGS_H

#include "base/array.h"
#include "profile/index.h"

struct string_chunk;

struct strings {
	struct index index;
	ARRAY(const char *)
	items;
	struct string_chunk *chunks; /* the newest first; texts are cut from it */
	uint64_t seed;
};

void strings_init(struct strings *strings, uint64_t seed);
void strings_deinit(struct strings *strings);
/* A text with a zero byte inside ends there. */
const char *strings_intern(struct strings *strings, const char *text, size_t length);

#endif
