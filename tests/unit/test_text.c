/* Foreign text: nothing that a terminal would obey comes through, whatever the bytes and the room. */
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static void check(const char *text, const char *expected)
{
	char buffer[256];

	assert_int_equal(text_sanitize(text, SIZE_MAX, buffer, sizeof(buffer)), strlen(expected));
	assert_string_equal(buffer, expected);
}

static void test_what_is_refused(void **state)
{
	check("", "");
	check("plain text ~", "plain text ~");
	check("\x1b[2J\x1b]0;title\x07", "?[2J?]0;title?");
	check("a\nb\tc\rd\x7f", "a?b?c?d?");
	/* C1 controls: as characters, and as bare bytes. */
	check("\xc2\x9b[31m", "?[31m");
	check("\x9b[31m", "?[31m");
	/* Bidi, zero width, line separators, byte order mark, soft hyphen, tags. */
	check("a\xe2\x80\xae"
	      "b",
	      "a?b");
	check("\xe2\x81\xa6\xe2\x80\x8b\xe2\x80\xa8\xef\xbb\xbf\xc2\xad\xf3\xa0\x80\x81", "??????");
	/* What people write stays. */
	check("äß€\xf0\x9f\x98\x80λ", "äß€\xf0\x9f\x98\x80λ");
}

/* Alone, and between letters, so that none of them hides behind a neighbour. */
static void test_every_character(void **state)
{
	static const struct {
		uint32_t first, last;
	} refused[] = {
		{0, 0x1f},	    {0x7f, 0x9f},	{0xad, 0xad},	    {0x34f, 0x34f},
		{0x600, 0x605},	    {0x61c, 0x61c},	{0x6dd, 0x6dd},	    {0x70f, 0x70f},
		{0x890, 0x891},	    {0x8e2, 0x8e2},	{0x115f, 0x1160},   {0x17b4, 0x17b5},
		{0x180b, 0x180f},   {0x200b, 0x200f},	{0x2028, 0x202e},   {0x2060, 0x206f},
		{0x3164, 0x3164},   {0xfdd0, 0xfdef},	{0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
		{0xffa0, 0xffa0},   {0xfff0, 0xfffb},	{0xfffe, 0xffff},   {0x110bd, 0x110bd},
		{0x110cd, 0x110cd}, {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a},
	};

	for (uint32_t codepoint = 0; codepoint < 0x110000; codepoint++) {
		bool is_refused = codepoint >= 0xe0000 || (codepoint & 0xfffe) == 0xfffe;
		char text[8] = "a", out[16];
		size_t size = text_encode(codepoint, text + 1);

		if (codepoint >= 0xd800 && codepoint < 0xe000)
			continue; /* no characters: test_broken_utf8 */
		for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
			is_refused |= codepoint >= refused[i].first && codepoint <= refused[i].last;
		text[1 + size] = 'z';
		text_sanitize(text, size + 2, out, sizeof(out));
		if (is_refused ? strcmp(out, "a?z") != 0 : memcmp(out, text, size + 2) != 0)
			fail_msg("U+%04X: %s", codepoint, out);
	}
}

/* 100 kB: what fits, whole characters, and a sign that it was cut. */
static void test_long(void **state)
{
	size_t length = 100000;
	char *text = malloc(length), out[4097];

	for (size_t i = 0; i + 4 <= length; i += 4)
		memcpy(text + i, "\xc3\xa4\x1b[", 4);
	assert_in_range(text_sanitize(text, length, out, sizeof(out)), 4090, 4096);
	assert_null(strchr(out, '\x1b'));
	assert_string_equal(out + strlen(out) - 3, "…");
	free(text);
}

static void test_broken_utf8(void **state)
{
	check("\xff\xfe", "??");
	check("\xc3", "?");
	check("\xe2\x82", "??");
	check("a\xe2\x82z", "a??z");
	/* Overlong slash and NUL, a surrogate, beyond Unicode. */
	check("\xc0\xaf", "??");
	check("\xe0\x80\x80", "???");
	check("\xed\xa0\x80", "???");
	check("\xf4\x90\x80\x80", "????");
	check("\xf8\x88\x80\x80\x80", "?????");
}

static void test_zero_byte_inside(void **state)
{
	char buffer[16];

	assert_int_equal(text_sanitize("a\0b", 3, buffer, sizeof(buffer)), 3);
	assert_string_equal(buffer, "a?b");
}

static void test_cut(void **state)
{
	char buffer[16];

	assert_int_equal(text_sanitize("abcdefghij", SIZE_MAX, buffer, 11), 10);
	assert_string_equal(buffer, "abcdefghij");
	text_sanitize("abcdefghij", SIZE_MAX, buffer, 10);
	assert_string_equal(buffer, "abcdef…");
	/* Never through a character. */
	text_sanitize("€€€€", SIZE_MAX, buffer, 8);
	assert_string_equal(buffer, "€…");
	text_sanitize("€€€€", SIZE_MAX, buffer, 4);
	assert_string_equal(buffer, "…");
	text_sanitize("€€€€", SIZE_MAX, buffer, 3);
	assert_string_equal(buffer, "");
	text_sanitize("abc", SIZE_MAX, buffer, 1);
	assert_string_equal(buffer, "");
	buffer[0] = 'x';
	assert_int_equal(text_sanitize("abc", SIZE_MAX, buffer, 0), 0);
	assert_int_equal(buffer[0], 'x');
}

static bool is_clean(const char *text, size_t length)
{
	for (size_t at = 0; at < length;) {
		uint32_t codepoint = 0;
		size_t count = text_decode(text + at, length - at, &codepoint);

		if (!count || codepoint < 0x20 || (codepoint >= 0x7f && codepoint < 0xa0))
			return false;
		at += count;
	}
	return true;
}

/* Any bytes, any room: terminated, within the room, clean, never longer, and the same when done again. */
static void test_random_bytes(void **state)
{
	srand(1);
	for (unsigned round = 0; round < 20000; round++) {
		size_t length = (size_t)rand() % 40, capacity = 1 + (size_t)rand() % 50, used, again;
		char *text = malloc(length + 1), *out = malloc(capacity), twice[64];

		for (size_t i = 0; i < length; i++)
			text[i] = (char)(rand() % 3 ? rand() : 0xc0 | rand() % 64);
		used = text_sanitize(text, length, out, capacity);
		assert_true(used < capacity);
		assert_int_equal(strlen(out), used);
		assert_true(is_clean(out, used));
		if (capacity > length)
			assert_true(used <= length);
		again = text_sanitize(out, used, twice, sizeof(twice));
		assert_int_equal(again, used);
		assert_memory_equal(out, twice, used);
		free(text);
		free(out);
	}
}

/* Runs of ASCII are taken as a whole: the same comes out as of the text byte by byte, whatever the room. */
static void test_runs(void **state)
{
	srandom(9);
	for (unsigned round = 0; round < 20000; round++) {
		char text[41], whole[64], single[8], expected[64] = "";
		size_t length = (size_t)random() % sizeof(text), capacity = 1 + (size_t)random() % 48;

		for (size_t i = 0; i < length; i++)
			text[i] = (char)(random() % 12 ? 0x20 + random() % 0x5f : random() % 0x80);
		for (size_t i = 0; i < length; i++) {
			assert_int_equal(text_sanitize(text + i, 1, single, sizeof(single)), 1);
			strcat(expected, single);
		}
		if (length >= capacity) {
			expected[capacity >= 4 ? capacity - 4 : 0] = '\0';
			strcat(expected, capacity >= 4 ? "\xe2\x80\xa6" : "");
		}
		assert_int_equal(text_sanitize(text, length, whole, capacity), strlen(expected));
		assert_string_equal(whole, expected);
	}
}

static void test_encode_and_decode(void **state)
{
	for (uint32_t codepoint = 0; codepoint < 0x110000; codepoint++) {
		char bytes[4];
		uint32_t back = 0;
		size_t count;

		if (codepoint >= 0xd800 && codepoint < 0xe000)
			continue;
		count = text_encode(codepoint, bytes);
		if (text_decode(bytes, count, &back) != count || back != codepoint)
			fail_msg("U+%04X", codepoint);
		/* Without its last byte it is none. */
		if (text_decode(bytes, count - 1, &back) != 0)
			fail_msg("U+%04X cut", codepoint);
	}
}

static void test_distance(void **state)
{
	char longer[300];

	assert_int_equal(text_distance("", ""), 0);
	assert_int_equal(text_distance("record", "record"), 0);
	assert_int_equal(text_distance("recrod", "record"), 2);
	assert_int_equal(text_distance("report", "record"), 2);
	assert_int_equal(text_distance("", "abc"), 3);
	assert_int_equal(text_distance("kitten", "sitting"), 3);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(text_distance(longer, ""), 64);
	assert_int_equal(text_distance(longer, longer), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_character),	  cmocka_unit_test(test_long),
		cmocka_unit_test(test_what_is_refused),	  cmocka_unit_test(test_broken_utf8),
		cmocka_unit_test(test_zero_byte_inside),  cmocka_unit_test(test_cut),
		cmocka_unit_test(test_random_bytes),	  cmocka_unit_test(test_runs),
		cmocka_unit_test(test_encode_and_decode), cmocka_unit_test(test_distance),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
