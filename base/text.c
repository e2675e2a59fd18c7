#include "base/text.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

size_t text_decode(const char *text, size_t length, uint32_t *ret)
{
	static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	const unsigned char *bytes = (const unsigned char *)text;
	uint32_t codepoint;
	size_t count;

	if (!length)
		return 0;
	if (bytes[0] < 0x80) {
		*ret = bytes[0];
		return 1;
	}
	if ((bytes[0] & 0xe0) == 0xc0)
		count = 2, codepoint = bytes[0] & 0x1f;
	else if ((bytes[0] & 0xf0) == 0xe0)
		count = 3, codepoint = bytes[0] & 0x0f;
	else if ((bytes[0] & 0xf8) == 0xf0)
		count = 4, codepoint = bytes[0] & 0x07;
	else
		return 0;
	if (count > length)
		return 0;
	for (size_t i = 1; i < count; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 0;
		codepoint = codepoint << 6 | (bytes[i] & 0x3f);
	}
	/* Overlong forms, surrogates and what is beyond Unicode are no characters (RFC 3629). */
	if (codepoint < smallest[count] || codepoint > 0x10ffff ||
	    (codepoint >= 0xd800 && codepoint < 0xe000))
		return 0;
	*ret = codepoint;
	return count;
}

size_t text_encode(uint32_t codepoint, char ret[4])
{
	if (codepoint < 0x80) {
		ret[0] = (char)codepoint;
		return 1;
	}
	if (codepoint < 0x800) {
		ret[0] = (char)(0xc0 | codepoint >> 6);
		ret[1] = (char)(0x80 | (codepoint & 0x3f));
		return 2;
	}
	if (codepoint < 0x10000) {
		ret[0] = (char)(0xe0 | codepoint >> 12);
		ret[1] = (char)(0x80 | (codepoint >> 6 & 0x3f));
		ret[2] = (char)(0x80 | (codepoint & 0x3f));
		return 3;
	}
	ret[0] = (char)(0xf0 | codepoint >> 18);
	ret[1] = (char)(0x80 | (codepoint >> 12 & 0x3f));
	ret[2] = (char)(0x80 | (codepoint >> 6 & 0x3f));
	ret[3] = (char)(0x80 | (codepoint & 0x3f));
	return 4;
}

/* What could move the cursor, switch the terminal's state, reorder the line or hide itself. */
static bool is_unsafe(uint32_t codepoint)
{
	return codepoint < 0x20 || (codepoint >= 0x7f && codepoint < 0xa0) || codepoint == 0xad ||
	       codepoint == 0x61c || codepoint == 0x180e || (codepoint >= 0x200b && codepoint <= 0x200f) ||
	       (codepoint >= 0x2028 && codepoint <= 0x202e) || (codepoint >= 0x2060 && codepoint <= 0x206f) ||
	       codepoint == 0xfeff || (codepoint >= 0xfff9 && codepoint <= 0xfffb) || codepoint >= 0xe0000;
}

/* How many bytes at the start are printable ASCII, which most text is: eight at a time. */
static size_t count_plain(const char *text, size_t length)
{
	const uint64_t ones = 0x0101010101010101ull, high = 0x80 * ones;
	size_t count = 0;
	uint64_t word, no_del;

	for (; length - count >= sizeof(word); count += sizeof(word)) {
		memcpy(&word, text + count, sizeof(word));
		no_del = word ^ 0x7f * ones;
		/* A byte with its high bit, below a space, or DEL. */
		if ((word | (word - 0x20 * ones) | ((no_del - ones) & ~no_del)) & high)
			break;
	}
	while (count < length && text[count] >= 0x20 && text[count] < 0x7f)
		count++;
	return count;
}

size_t text_sanitize(const char *text, size_t in_length, char *ret, size_t capacity)
{
	static const char ellipsis[] = "\xe2\x80\xa6";
	size_t length = in_length == SIZE_MAX ? strlen(text) : in_length;
	size_t used = 0, last_fit = 0;

	if (!capacity)
		return 0;
	for (size_t i = 0; i < length;) {
		size_t room = capacity > used + sizeof(ellipsis) ? capacity - used - sizeof(ellipsis) : 0;
		size_t plain = count_plain(text + i, length - i < room ? length - i : room);
		uint32_t codepoint = 0;
		char encoded[4];
		size_t count, size;

		if (plain) {
			memcpy(ret + used, text + i, plain);
			last_fit = used += plain;
			i += plain;
			continue;
		}
		count = text_decode(text + i, length - i, &codepoint);
		if (!count || is_unsafe(codepoint))
			codepoint = '?';
		size = text_encode(codepoint, encoded);
		if (used + size >= capacity) {
			used = last_fit;
			if (used + sizeof(ellipsis) <= capacity) {
				memcpy(ret + used, ellipsis, sizeof(ellipsis) - 1);
				used += sizeof(ellipsis) - 1;
			}
			break;
		}
		memcpy(ret + used, encoded, size);
		used += size;
		if (used + sizeof(ellipsis) <= capacity)
			last_fit = used;
		i += count ? count : 1;
	}
	ret[used] = '\0';
	return used;
}

static unsigned smaller(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

unsigned text_distance(const char *a, const char *b)
{
	enum { LONGEST = 64 };
	size_t a_length = strnlen(a, LONGEST), b_length = strnlen(b, LONGEST);
	unsigned row[LONGEST + 1];

	for (size_t j = 0; j <= b_length; j++)
		row[j] = (unsigned)j;
	for (size_t i = 1; i <= a_length; i++) {
		unsigned diagonal = row[0];

		row[0] = (unsigned)i;
		for (size_t j = 1; j <= b_length; j++) {
			unsigned above = row[j];
			unsigned change = diagonal + (a[i - 1] != b[j - 1]);

			row[j] = smaller(change, 1 + smaller(above, row[j - 1]));
			diagonal = above;
		}
	}
	return row[b_length];
}
