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

/* What could move the cursor, switch the terminal's state, reorder the line or hide itself; and what is no
 * character at all. Sorted. */
static const struct {
	uint32_t first, last;
} unsafe[] = {
	{0x00, 0x1f},	     /* C0 */
	{0x7f, 0x9f},	     /* DEL, C1 */
	{0xad, 0xad},	     /* soft hyphen */
	{0x34f, 0x34f},	     /* grapheme joiner */
	{0x600, 0x605},	     /* marks that reach over the numbers behind them */
	{0x61c, 0x61c},	     /* Arabic letter mark: bidi */
	{0x6dd, 0x6dd},	     /* reaches over, too */
	{0x70f, 0x70f},	     /* so does this one */
	{0x890, 0x891},	     /* … */
	{0x8e2, 0x8e2},	     /* … */
	{0x115f, 0x1160},    /* fillers */
	{0x17b4, 0x17b5},    /* vowels without a form */
	{0x180b, 0x180f},    /* variation selectors, vowel separator */
	{0x200b, 0x200f},    /* zero width; marks of direction */
	{0x2028, 0x202e},    /* line and paragraph separators, embeddings, overrides */
	{0x2060, 0x206f},    /* word joiner, invisible operators, isolates */
	{0x3164, 0x3164},    /* filler */
	{0xfdd0, 0xfdef},    /* no characters */
	{0xfe00, 0xfe0f},    /* variation selectors: some terminals change the width for them */
	{0xfeff, 0xfeff},    /* byte order mark */
	{0xffa0, 0xffa0},    /* filler */
	{0xfff0, 0xfffb},    /* unassigned, ignorable; annotations */
	{0xfffe, 0xffff},    /* no characters */
	{0x110bd, 0x110bd},  /* reaches over */
	{0x110cd, 0x110cd},  /* … */
	{0x13430, 0x1343f},  /* joiners of hieroglyphs */
	{0x1bca0, 0x1bca3},  /* shorthand */
	{0x1d173, 0x1d17a},  /* music */
	{0xe0000, 0x10ffff}, /* tags, variation selectors, private use */
};

static bool is_unsafe(uint32_t codepoint)
{
	size_t low = 0, high = sizeof(unsafe) / sizeof(unsafe[0]);

	if (codepoint >= 0x20 && codepoint < 0x7f)
		return false;
	while (low < high) {
		size_t middle = (low + high) / 2;

		if (codepoint < unsafe[middle].first)
			high = middle;
		else if (codepoint > unsafe[middle].last)
			low = middle + 1;
		else
			return true;
	}
	/* The last two of each plane are no characters. */
	return (codepoint & 0xfffe) == 0xfffe;
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
