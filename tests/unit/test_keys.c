/* Bytes of a terminal become keys. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tui/keys.h"
#include "tui/view.h"

#include <string.h>

/* Feeds all, then time passes. Returns the keys; the list ends in KEY_CODE_NONE. */
static const uint32_t *feed(const char *bytes)
{
	static uint32_t list[64];
	struct keys keys = {0};
	size_t count = 0, i, length = strlen(bytes);
	uint32_t key;

	for (i = 0; i < length; i++) {
		key = keys_feed(&keys, (unsigned char)bytes[i]);
		if (key != KEY_CODE_NONE)
			list[count++] = key;
	}
	key = keys_is_waiting(&keys) ? keys_flush(&keys) : KEY_CODE_NONE;
	if (key != KEY_CODE_NONE)
		list[count++] = key;
	assert_false(keys_is_waiting(&keys));
	list[count] = KEY_CODE_NONE;
	return list;
}

static void assert_key(const char *bytes, uint32_t want)
{
	const uint32_t *keys = feed(bytes);

	assert_int_equal(keys[0], want);
	if (want != KEY_CODE_NONE)
		assert_int_equal(keys[1], KEY_CODE_NONE);
}

static void test_letters(void **state)
{
	assert_key("q", 'q');
	assert_key("\r", KEY_CODE_ENTER);
	assert_key("\n", KEY_CODE_ENTER);
	assert_key("\t", KEY_CODE_TAB);
	assert_key("\x7f", KEY_CODE_BACKSPACE);
	assert_key("\x0c", KEY_CODE_CTRL('l'));
	assert_key("é", 0xe9);
	assert_key("中", 0x4e2d);
	assert_key("\xf0\x9f\x98\x80", 0x1f600);
}

static void test_sequences(void **state)
{
	assert_key("\033[A", KEY_CODE_UP);
	assert_key("\033OA", KEY_CODE_UP); /* application mode */
	assert_key("\033[B", KEY_CODE_DOWN);
	assert_key("\033[1;5C", KEY_CODE_RIGHT);
	assert_key("\033[H", KEY_CODE_HOME);
	assert_key("\033[1~", KEY_CODE_HOME);
	assert_key("\033[7~", KEY_CODE_HOME);
	assert_key("\033OF", KEY_CODE_END);
	assert_key("\033[4~", KEY_CODE_END);
	assert_key("\033[5~", KEY_CODE_PAGE_UP);
	assert_key("\033[6~", KEY_CODE_PAGE_DOWN);
	assert_key("\033[Z", KEY_CODE_BACKTAB);
	assert_key("\033OP", KEY_CODE_F1);
	assert_key("\033[11~", KEY_CODE_F1);
	assert_key("\033[[A", KEY_CODE_F1);
}

static void test_escape_alone(void **state)
{
	const uint32_t *keys;

	assert_key("\033", KEY_CODE_ESCAPE);
	keys = feed("\033\033");
	assert_int_equal(keys[0], KEY_CODE_ESCAPE);
	assert_int_equal(keys[1], KEY_CODE_ESCAPE);
	keys = feed("\033\033[A"); /* Esc, then quickly Up */
	assert_int_equal(keys[0], KEY_CODE_ESCAPE);
	assert_int_equal(keys[1], KEY_CODE_UP);
}

static void test_foreign_sequences_never_become_letters(void **state)
{
	assert_key("\033[3~", KEY_CODE_NONE);					   /* Del */
	assert_key("\033[24~", KEY_CODE_NONE);					   /* F12 */
	assert_key("\033[<0;10;20M", KEY_CODE_NONE);				   /* mouse */
	assert_key("\033[200~", KEY_CODE_NONE);					   /* paste */
	assert_key("\033q", KEY_CODE_NONE);					   /* Alt-q must not quit */
	assert_key("\033[", KEY_CODE_NONE);					   /* cut off */
	assert_key("\033[1;2;3;4;5;6;7;8;9;10;11;12;13;14;15;16;17;18;19qx", 'x'); /* too long */
}

static void test_broken_utf8(void **state)
{
	const uint32_t *keys = feed("\xc3q");

	assert_true(keys[0] == KEY_CODE_NONE || keys[0] == 'q');
	assert_key("\xff", KEY_CODE_NONE);
	assert_key("\xc3", KEY_CODE_NONE);
	assert_key("\xffq", 'q');
}

static void test_random_bytes(void **state)
{
	struct keys keys = {0};
	uint64_t random = 88172645463325252ull;
	unsigned i;

	for (i = 0; i < 1000000; i++) {
		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		/* escapes and brackets are much more frequent than by chance */
		keys_feed(&keys, random % 7 == 0   ? 27
				 : random % 7 == 1 ? '['
						   : (unsigned char)(random >> 20));
		assert_true(keys.count <= KEYS_SEQUENCE_MAX);
	}
	keys_flush(&keys);
	assert_int_equal(keys_feed(&keys, 'a'), 'a');
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_escape_alone),
		cmocka_unit_test(test_foreign_sequences_never_become_letters),
		cmocka_unit_test(test_broken_utf8),
		cmocka_unit_test(test_random_bytes),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
