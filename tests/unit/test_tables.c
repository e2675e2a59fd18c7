/* Unwind tables from a hostile worker: each kind of damage is refused, and what is not sealed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/limits.h"
#include "bpf/tables.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define CHUNKS 2
#define WORDS  (CHUNKS * TABLE_CHUNK_WORDS)

/* Three pages of rows at ROWS, the index at PAGES, three rules at RULES. */
#define PAGES 8
#define RULES 16
#define ROWS  64

static uint32_t words[WORDS];

static struct table_header *header(void)
{
	return (void *)words;
}

static struct unwind_rule *rule(unsigned number)
{
	return (void *)&words[RULES + 4 * number];
}

static int table_setup(void **state)
{
	memset(words, 0, sizeof(words));
	*header() = (struct table_header){TABLE_MAGIC, WORDS, 1, 3, PAGES, RULES, 3, 5};
	*rule(1) = (struct unwind_rule){.cfa = UNWIND_CFA_RSP, .cfa_offset = 8};
	*rule(2) = (struct unwind_rule){
		.cfa = UNWIND_CFA_RBP,
		.rbp = UNWIND_RBP_AT_CFA,
		.cfa_offset = 16,
		.rbp_offset = -16,
	};
	words[PAGES] = ROWS;
	words[ROWS] = TABLE_ROW(0, 0);
	words[ROWS + 1] = TABLE_ROW(0x10, 1);
	words[ROWS + 2] = TABLE_ROW(0x20, 2);
	words[PAGES + 1] = ROWS + 3;
	words[ROWS + 3] = TABLE_ROW(0, 2);
	words[PAGES + 2] = ROWS + 4;
	words[ROWS + 4] = TABLE_ROW(0, 1);
	words[PAGES + 3] = ROWS + 5;
	return 0;
}

static void assert_good(void)
{
	struct error *error = table_check(words, sizeof(words));

	if (error)
		fail_msg("%s", error_get_message(error));
}

/* Refused, with these words in the reason. */
static void assert_bad(const char *why)
{
	struct error *error = table_check(words, sizeof(words));

	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_BAD_FILE);
	if (!strstr(error_get_message(error), why))
		fail_msg("%s: not about \"%s\"", error_get_message(error), why);
	error_destroy(error);
	table_setup(NULL);
}

static void test_good_tables(void **state)
{
	assert_good();
	/* padding: copies of the last row */
	words[ROWS + 2] = words[ROWS + 1];
	assert_good();
	/* nothing covered */
	header()->page_count = 0;
	words[PAGES] = 0;
	assert_good();
}

static void test_size(void **state)
{
	struct error *error = table_check(words, 0);

	assert_non_null(error);
	error_destroy(error);
	error = table_check(words, sizeof(words) - 4);
	assert_non_null(error);
	error_destroy(error);
	error = table_check(words, TABLE_CHUNK_BYTES);
	assert_non_null(error);
	error_destroy(error);
}

static void test_header(void **state)
{
	header()->magic++;
	assert_bad("magic");
	header()->words--;
	assert_bad("words");
	header()->words = WORDS + TABLE_CHUNK_WORDS;
	assert_bad("words");
	header()->rule_count = 0;
	assert_bad("rules");
	header()->rule_count = TABLE_RULES_MAX + 1;
	assert_bad("rules");
	header()->rules_at = RULES + 1;
	assert_bad("not aligned");
	header()->page_count = 0xffffffff;
	assert_bad("outside");
	header()->pages_at = WORDS - 3;
	assert_bad("outside");
	header()->pages_at = 0xfffffffe;
	assert_bad("outside");
	header()->rules_at = WORDS;
	assert_bad("outside");
	header()->rules_at = 0xfffffffc;
	assert_bad("outside");
	header()->rule_count = TABLE_RULES_MAX;
	assert_bad("outside");
	header()->pages_at = 7;
	assert_bad("overlap");
	header()->rules_at = 4;
	assert_bad("overlap");
	header()->rules_at = PAGES;
	assert_bad("overlap");
	header()->pages_at = RULES + 2;
	assert_bad("overlap");
}

static void test_rules(void **state)
{
	rule(0)->cfa = UNWIND_CFA_RSP;
	assert_bad("rule 0");
	rule(1)->cfa = UNWIND_CFA_KINDS;
	assert_bad("known kind");
	rule(2)->rbp = UNWIND_RBP_KINDS;
	assert_bad("known kind");
}

/* What belongs to UNWIND_FULL has to be 0 elsewhere: the walker does not look. */
static void test_plain_rules(void **state)
{
	static const enum unwind_cfa kinds[] = {UNWIND_GAP,	UNWIND_ROOT,	UNWIND_UNSUPPORTED,
						UNWIND_CFA_RSP, UNWIND_CFA_RBP, UNWIND_SIGNAL};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		rule(1)->cfa = kinds[i];
		assert_good();
		rule(1)->ra = UNWIND_RA_AT_OFFSET;
		assert_bad("rule 1 makes no sense");
		rule(1)->cfa = kinds[i];
		rule(1)->sp = 1;
		assert_bad("rule 1 makes no sense");
		rule(1)->cfa = kinds[i];
		rule(1)->base = 10;
		assert_bad("rule 1 makes no sense");
		rule(1)->cfa = kinds[i];
		rule(1)->flags = UNWIND_DEREF;
		assert_bad("rule 1 makes no sense");
		rule(1)->cfa = kinds[i];
		rule(1)->extra = -1;
		assert_bad("rule 1 makes no sense");
		rule(1)->cfa = kinds[i];
		rule(1)->rbp = UNWIND_RBP_IN_REGISTER;
		assert_bad("rule 1 makes no sense");
		rule(1)->cfa = kinds[i];
		rule(1)->rbp = UNWIND_RBP_AT_RBP;
		assert_bad("rule 1 makes no sense");
	}
}

static struct unwind_rule *full_rule(void)
{
	*rule(1) = (struct unwind_rule){.cfa = UNWIND_FULL, .base = 10, .cfa_offset = 8};
	return rule(1);
}

static void test_good_full_rules(void **state)
{
	full_rule();
	assert_good();
	full_rule()->base = 15;
	assert_good();
	full_rule()->flags = UNWIND_DEREF;
	rule(1)->extra = -8;
	assert_good();
	full_rule()->flags = UNWIND_DEREF | UNWIND_INDEXED | 15 << UNWIND_INDEX_SHIFT;
	assert_good();
	full_rule()->ra = UNWIND_RA_AT_OFFSET;
	rule(1)->extra = INT16_MIN;
	assert_good();
	full_rule()->ra = UNWIND_RA_IN_REGISTER;
	rule(1)->extra = 15;
	rule(1)->sp = 16;
	rule(1)->rbp = UNWIND_RBP_IN_REGISTER;
	rule(1)->rbp_offset = 15;
	assert_good();
	full_rule()->rbp = UNWIND_RBP_AT_RBP;
	rule(1)->rbp_offset = INT32_MIN;
	assert_good();
}

/* Each number of a register that is none would be read behind the walker's array. */
static void test_bad_full_rules(void **state)
{
	full_rule()->base = 16;
	assert_bad("rule 1 makes no sense");
	full_rule()->base = 255;
	assert_bad("rule 1 makes no sense");
	full_rule()->ra = UNWIND_RA_KINDS;
	assert_bad("rule 1 makes no sense");
	full_rule()->sp = 17;
	assert_bad("rule 1 makes no sense");
	full_rule()->flags = 4;
	assert_bad("rule 1 makes no sense");
	full_rule()->flags = 8 | UNWIND_DEREF;
	assert_bad("rule 1 makes no sense");
	full_rule()->ra = UNWIND_RA_IN_REGISTER;
	rule(1)->extra = 16;
	assert_bad("rule 1 makes no sense");
	full_rule()->ra = UNWIND_RA_IN_REGISTER;
	rule(1)->extra = -1;
	assert_bad("rule 1 makes no sense");
	full_rule()->rbp = UNWIND_RBP_IN_REGISTER;
	rule(1)->rbp_offset = 16;
	assert_bad("rule 1 makes no sense");
	full_rule()->rbp = UNWIND_RBP_IN_REGISTER;
	rule(1)->rbp_offset = -1;
	assert_bad("rule 1 makes no sense");
	full_rule()->rbp = UNWIND_RBP_KINDS;
	assert_bad("known kind");
}

static void test_pages(void **state)
{
	words[PAGES + 1] = ROWS; /* no row at all */
	assert_bad("page 0 has rows");
	words[PAGES + 1] = ROWS + 5; /* descending */
	words[PAGES + 2] = ROWS + 4;
	assert_bad("order");
	words[PAGES + 2] = ROWS + 2;
	assert_bad("page 1 has rows");
	words[PAGES + 3] = WORDS + 1;
	assert_bad("page 2 has rows");
	words[PAGES + 3] = 0xffffffff;
	assert_bad("page 2 has rows");
	words[PAGES] = 4;
	assert_bad("overlap");
	words[PAGES] = PAGES + 3;
	assert_bad("overlap");
	words[PAGES] = RULES + 11;
	assert_bad("overlap");
}

static void test_rows(void **state)
{
	words[ROWS] = TABLE_ROW(1, 0);
	assert_bad("does not start at its start");
	words[ROWS + 2] = TABLE_ROW(0x10, 2);
	assert_bad("out of order");
	words[ROWS + 2] = TABLE_ROW(0x8, 2);
	assert_bad("out of order");
	words[ROWS + 2] = TABLE_ROW(0x20, 3);
	assert_bad("rule 3 of 3");
	words[ROWS + 4] = TABLE_ROW(0, TABLE_RULES_MAX - 1);
	assert_bad("rule 1048575 of 3");
}

static void test_straddling_page(void **state)
{
	/* page 2 goes over the border of the chunks */
	for (uint32_t at = ROWS + 4; at < TABLE_CHUNK_WORDS; at++)
		words[at] = TABLE_ROW(0, 1);
	words[PAGES + 3] = TABLE_CHUNK_WORDS;
	assert_good();
	words[TABLE_CHUNK_WORDS] = TABLE_ROW(0x10, 1);
	words[PAGES + 3] = TABLE_CHUNK_WORDS + 1;
	assert_bad("straddle");
}

/* Whatever a word is changed to, the check ends, and what it lets pass keeps the promises of bpf/table.h. */
static void test_random_damage(void **state)
{
	uint64_t random = 88172645463325252ull;
	unsigned passed = 0;

	for (unsigned round = 0; round < 20000; round++) {
		struct error *error;
		uint32_t at, value;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		at = random % (ROWS + 6);
		value = random & 1u << 31 ? (uint32_t)(random >> 32)
					  : words[at] ^ (1u << (random >> 40) % 32);
		words[at] = value;
		error = table_check(words, sizeof(words));
		if (!error) {
			passed++;
			for (uint32_t page = 0; page < header()->page_count; page++) {
				uint32_t row = words[header()->pages_at + page];

				assert_true(row < WORDS);
				assert_true(TABLE_ROW_RULE(words[row]) < header()->rule_count);
			}
		}
		error_destroy(error);
		table_setup(NULL);
	}
	assert_true(passed > 0 && passed < 20000);
}

/* ---- the fd ---- */

static int memfd_make(int seals)
{
	int fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, words, sizeof(words)), sizeof(words));
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

static void assert_refused(int fd, const char *why)
{
	int table = -1;
	struct error *error = table_load(fd, &table);

	assert_int_equal(table, -1);
	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_BAD_FILE);
	if (!strstr(error_get_message(error), why))
		fail_msg("%s: not about \"%s\"", error_get_message(error), why);
	error_destroy(error);
	close(fd);
}

static void test_seals(void **state)
{
	int fd;

	assert_refused(memfd_make(0), "sealed");
	assert_refused(memfd_make(F_SEAL_SHRINK | F_SEAL_GROW), "sealed");
	assert_refused(memfd_make(F_SEAL_WRITE | F_SEAL_GROW), "sealed");
	assert_refused(memfd_make(F_SEAL_WRITE | F_SEAL_SHRINK), "sealed");
	assert_refused(open("/dev/zero", O_RDONLY | O_CLOEXEC), "sealed");
	words[0] = 0;
	assert_refused(memfd_make(F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), "magic");
	fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_refused(fd, "chunks");
	/* a hole of any size costs the worker nothing */
	fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW), 0);
	assert_refused(fd, "too many");
}

/* ---- mappings ---- */

static void test_mappings(void **state)
{
	struct mapping mappings[3] = {
		{0x1000, 0x2000, 0, MODULE_FIRST_FILE, 0},
		{0x2000, 0x3000, 0x1000, MODULE_FIRST_FILE, 0},
		{0x5000, 0x6000, 0x5000, MODULE_ANONYMOUS, 0},
	};
	struct error *error = mappings_check(mappings, 3);

	assert_null(error);
	assert_null(mappings_check(NULL, 0));
	mappings[1].end = 0x5001;
	error = mappings_check(mappings, 3);
	assert_non_null(error);
	error_destroy(error);
	mappings[1].end = 0x2000;
	error = mappings_check(mappings, 3);
	assert_non_null(error);
	error_destroy(error);
	mappings[1].end = 0x3000;
	mappings[2].module = MODULE_LIMIT;
	error = mappings_check(mappings, 3);
	assert_non_null(error);
	error_destroy(error);
	error = mappings_check(mappings, MAPPINGS_MAX + 1ul);
	assert_non_null(error);
	assert_int_equal(error_get_code(error), ERROR_UNSUPPORTED);
	error_destroy(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_good_tables, table_setup),
		cmocka_unit_test_setup(test_size, table_setup),
		cmocka_unit_test_setup(test_header, table_setup),
		cmocka_unit_test_setup(test_rules, table_setup),
		cmocka_unit_test_setup(test_plain_rules, table_setup),
		cmocka_unit_test_setup(test_good_full_rules, table_setup),
		cmocka_unit_test_setup(test_bad_full_rules, table_setup),
		cmocka_unit_test_setup(test_pages, table_setup),
		cmocka_unit_test_setup(test_rows, table_setup),
		cmocka_unit_test_setup(test_straddling_page, table_setup),
		cmocka_unit_test_setup(test_random_damage, table_setup),
		cmocka_unit_test_setup(test_seals, table_setup),
		cmocka_unit_test(test_mappings),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
