/* Each kind of rule, from what an assembler makes of it to the table; and the variants that no kind can say,
 * which must not look as if one could. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/cfi.h"
#include "tests/support/library.h"
#include "tests/support/table_lookup.h"

#include <fcntl.h>
#include <libelf.h>
#include <string.h>
#include <unistd.h>

enum { RAX, RDX, RCX, RBX, RSI, RDI, RBP, RSP, R8, R9, R10 };

/* A function that begins with this CFI, and the rule of its first instruction. */
struct rule_case {
	const char *name, *cfi;
	struct unwind_rule rule;
};

#define CASES_MAX 32
#define BODY	  "\nnop\nret"

static void assert_rule(const char *name, struct unwind_rule got, const struct unwind_rule *expected)
{
	if (memcmp(&got, expected, sizeof(got)))
		print_message("%s: cfa %d rbp %d ra %d sp %d, %d %d, base %d flags %#x extra %d\n", name,
			      got.cfa, got.rbp, got.ra, got.sp, got.cfa_offset, got.rbp_offset, got.base,
			      got.flags, got.extra);
	assert_memory_equal(&got, expected, sizeof(got));
}

static struct cfi_figures build(const struct library *library, struct table_map *ret)
{
	_cleanup_close_ int fd = open(library->path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int memfd = -1;
	struct cfi_figures figures = {0};
	enum table_status status;
	char why[CFI_WHY_LENGTH];

	assert_true(fd >= 0);
	assert_null(cfi_build_table(fd, &memfd, &status, why, &figures));
	assert_string_equal(why, "");
	assert_int_equal(status, TABLE_OK);
	assert_true(table_map(memfd, ret));
	assert_string_equal(table_check_file(ret->words, ret->count) ?: "good", "good");
	return figures;
}

static struct unwind_rule rule_of(const struct library *library, const struct table_map *map,
				  const char *name)
{
	uint64_t offset = 0, length;

	assert_true(library_nm(library, false, name, &offset, &length));
	return table_lookup(map->words, offset);
}

/* Assembles the cases, the last of which has no name, and compares all of their rules. */
static void assert_cases(const struct rule_case *cases)
{
	struct library_function functions[CASES_MAX + 1] = {0};
	char *codes[CASES_MAX];
	struct cfi_figures figures;
	uint64_t unsupported = 0;
	struct library library;
	struct table_map map;
	size_t count = 0;

	for (; cases[count].name; count++) {
		assert_true(count < CASES_MAX);
		assert_true(asprintf(&codes[count], "%s" BODY, cases[count].cfi) > 0);
		functions[count] = (struct library_function){cases[count].name, codes[count]};
		unsupported += cases[count].rule.cfa == UNWIND_UNSUPPORTED;
	}
	library_assemble(functions, NULL, &library);
	figures = build(&library, &map);
	for (size_t i = 0; i < count; i++) {
		assert_rule(cases[i].name, rule_of(&library, &map, cases[i].name), &cases[i].rule);
		free(codes[i]);
	}
	library_remove(&library);
	assert_int_equal(figures.unsupported_rows, unsupported);
	assert_int_equal(figures.refused_fdes, 0);
	table_unmap(&map);
}

#define UNSUPPORTED                                                                                          \
	{                                                                                                    \
		.cfa = UNWIND_UNSUPPORTED                                                                    \
	}

/* ---- plain ones: whatever they are written like, they must not become full ---- */

static const struct rule_case plain_cases[] = {
	{"entry", "", {.cfa = UNWIND_CFA_RSP, .cfa_offset = 8}},
	{"framed",
	 ".cfi_def_cfa rbp, 16\n.cfi_offset rbp, -16",
	 {.cfa = UNWIND_CFA_RBP, .rbp = UNWIND_RBP_AT_CFA, .cfa_offset = 16, .rbp_offset = -16}},
	{"saved_at_cfa_itself",
	 ".cfi_offset rbp, 0",
	 {.cfa = UNWIND_CFA_RSP, .rbp = UNWIND_RBP_AT_CFA, .cfa_offset = 8}},
	{"rbp_undefined",
	 ".cfi_undefined rbp",
	 {.cfa = UNWIND_CFA_RSP, .rbp = UNWIND_RBP_UNDEFINED, .cfa_offset = 8}},
	{"rbp_in_rbp", ".cfi_register rbp, rbp", {.cfa = UNWIND_CFA_RSP, .cfa_offset = 8}},
	{"root", ".cfi_undefined rip", {.cfa = UNWIND_ROOT}},
	{"root_of_signals", ".cfi_signal_frame\n.cfi_undefined rip", {.cfa = UNWIND_ROOT}},
	/* CFA: breg7 16, plus_uconst 8 */
	{"cfa_as_expression",
	 ".cfi_escape 0x0f, 4, 0x77, 16, 0x23, 8",
	 {.cfa = UNWIND_CFA_RSP, .cfa_offset = 24}},
	/* CFA: lit8, bregx 6 24, plus, lit1, minus, nop */
	{"cfa_the_long_way",
	 ".cfi_escape 0x0f, 8, 0x38, 0x92, 6, 24, 0x22, 0x31, 0x1c, 0x96",
	 {.cfa = UNWIND_CFA_RBP, .cfa_offset = 31}},
	/* rip at breg7 0, rbp at breg7 -16, CFA = rsp + 8 */
	{"saved_at_rsp",
	 ".cfi_escape 0x10, 16, 2, 0x77, 0\n.cfi_escape 0x10, 6, 2, 0x77, 0x70",
	 {.cfa = UNWIND_CFA_RSP, .rbp = UNWIND_RBP_AT_CFA, .cfa_offset = 8, .rbp_offset = -24}},
	/* rip at call_frame_cfa (libdw's own), lit8, minus */
	{"rip_by_expression",
	 ".cfi_escape 0x10, 16, 2, 0x38, 0x1c",
	 {.cfa = UNWIND_CFA_RSP, .cfa_offset = 8}},
	/* rsp = CFA + 0 in so many words: DW_CFA_val_offset */
	{"rsp_is_cfa", ".cfi_escape 0x14, 7, 0", {.cfa = UNWIND_CFA_RSP, .cfa_offset = 8}},
	{0},
};

static void test_plain(void **state)
{
	assert_cases(plain_cases);
}

/* ---- full ones ---- */

static const struct rule_case cfa_of_any_register_cases[] = {
	{"r10_0", ".cfi_def_cfa r10, 0", {.cfa = UNWIND_FULL, .base = R10}},
	{"rax_8", ".cfi_def_cfa rax, 8", {.cfa = UNWIND_FULL, .base = RAX, .cfa_offset = 8}},
	{"r15_far",
	 ".cfi_def_cfa r15, 0x70000000\n.cfi_offset rbp, -16",
	 {.cfa = UNWIND_FULL,
	  .rbp = UNWIND_RBP_AT_CFA,
	  .base = 15,
	  .cfa_offset = 0x70000000,
	  .rbp_offset = -16}},
	{"below_rdi",
	 ".cfi_escape 0x12, 5, 1", /* def_cfa_sf rdi, 1 * -8 */
	 {.cfa = UNWIND_FULL, .base = RDI, .cfa_offset = -8}},
	{"rip_relative", ".cfi_def_cfa rip, 8", UNSUPPORTED},
	{"of_xmm0", ".cfi_def_cfa xmm0, 8", UNSUPPORTED},
	{"of_no_register", ".cfi_escape 0x0c, 0xff, 0xff, 0x03, 8", UNSUPPORTED},
	/* def_cfa rsp, 2^32 + 8, and 2^31 */
	{"too_far", ".cfi_escape 0x0c, 7, 0x88, 0x80, 0x80, 0x80, 0x10", UNSUPPORTED},
	{"just_too_far", ".cfi_escape 0x0c, 7, 0x80, 0x80, 0x80, 0x80, 0x08", UNSUPPORTED},
	{0},
};

static void test_cfa_of_any_register(void **state)
{
	assert_cases(cfa_of_any_register_cases);
}

static const struct rule_case cfa_from_memory_cases[] = {
	/* breg7 40, deref, plus_uconst 8 (libcrypto) */
	{"saved_rsp",
	 ".cfi_escape 0x0f, 5, 0x77, 40, 0x06, 0x23, 8\n.cfi_offset rbp, -24",
	 {.cfa = UNWIND_FULL,
	  .rbp = UNWIND_RBP_AT_CFA,
	  .base = RSP,
	  .flags = UNWIND_DEREF,
	  .cfa_offset = 40,
	  .rbp_offset = -24,
	  .extra = 8}},
	/* breg6 -8, deref; rbp at breg6 0 (gcc's realigned stacks) */
	{"realigned",
	 ".cfi_escape 0x0f, 3, 0x76, 0x78, 0x06\n.cfi_escape 0x10, 6, 2, 0x76, 0",
	 {.cfa = UNWIND_FULL,
	  .rbp = UNWIND_RBP_AT_RBP,
	  .base = RBP,
	  .flags = UNWIND_DEREF,
	  .cfa_offset = -8}},
	/* breg7 8, breg9 0, lit8, mul, plus, deref, plus_uconst 8 (libcrypto) */
	{"indexed",
	 ".cfi_escape 0x0f, 10, 0x77, 8, 0x79, 0, 0x38, 0x1e, 0x22, 0x06, 0x23, 8",
	 {.cfa = UNWIND_FULL,
	  .base = RSP,
	  .flags = UNWIND_DEREF | UNWIND_INDEXED | R9 << UNWIND_INDEX_SHIFT,
	  .cfa_offset = 8,
	  .extra = 8}},
	/* breg7 152, deref, plus_uconst 8; rbp at breg7 160 (libgcrypt) */
	{"saved_beside_a_saved_rsp",
	 ".cfi_escape 0x0f, 6, 0x77, 0x98, 0x01, 0x06, 0x23, 8\n.cfi_escape 0x10, 6, 3, 0x77, 0xa0, 0x01",
	 {.cfa = UNWIND_FULL,
	  .rbp = UNWIND_RBP_AT_RSP,
	  .base = RSP,
	  .flags = UNWIND_DEREF,
	  .cfa_offset = 152,
	  .rbp_offset = 160,
	  .extra = 8}},
	/* breg9 2, lit3, shl, breg15 8, plus, deref */
	{"indexed_the_other_way",
	 ".cfi_escape 0x0f, 8, 0x79, 2, 0x33, 0x24, 0x7f, 8, 0x22, 0x06",
	 {.cfa = UNWIND_FULL,
	  .base = 15,
	  .flags = UNWIND_DEREF | UNWIND_INDEXED | R9 << UNWIND_INDEX_SHIFT,
	  .cfa_offset = 24}},
	/* lit8, breg9 0, mul, breg7 0, plus, deref */
	{"factor_first",
	 ".cfi_escape 0x0f, 8, 0x38, 0x79, 0, 0x1e, 0x77, 0, 0x22, 0x06",
	 {.cfa = UNWIND_FULL,
	  .base = RSP,
	  .flags = UNWIND_DEREF | UNWIND_INDEXED | R9 << UNWIND_INDEX_SHIFT}},
	/* rip at breg16 …: the CFA is from memory, and the return address elsewhere: one extra for
	   two */
	{"two_extras", ".cfi_escape 0x0f, 3, 0x77, 40, 0x06\n.cfi_offset rip, -16", UNSUPPORTED},
	{"two_extras_register", ".cfi_escape 0x0f, 3, 0x77, 40, 0x06\n.cfi_register rip, rdi", UNSUPPORTED},
	/* breg7 0, deref, plus_uconst 0x8000 */
	{"extra_too_far", ".cfi_escape 0x0f, 7, 0x77, 0, 0x06, 0x23, 0x80, 0x80, 0x02", UNSUPPORTED},
	/* breg7 0, deref, deref */
	{"twice", ".cfi_escape 0x0f, 4, 0x77, 0, 0x06, 0x06", UNSUPPORTED},
	/* lit8, deref */
	{"absolute", ".cfi_escape 0x0f, 2, 0x38, 0x06", UNSUPPORTED},
	/* breg17 (xmm0) 0, deref */
	{"from_xmm0", ".cfi_escape 0x0f, 3, 0x81, 0, 0x06", UNSUPPORTED},
	/* breg7 0, breg9 0, lit4, mul, plus, deref */
	{"other_factor", ".cfi_escape 0x0f, 8, 0x77, 0, 0x79, 0, 0x34, 0x1e, 0x22, 0x06", UNSUPPORTED},
	/* breg7 0, breg9 0, plus, deref: two bases */
	{"two_bases", ".cfi_escape 0x0f, 6, 0x77, 0, 0x79, 0, 0x22, 0x06", UNSUPPORTED},
	/* breg7 0, breg9 0, lit3, shl, plus: an index, and nothing read */
	{"indexed_not_read", ".cfi_escape 0x0f, 7, 0x77, 0, 0x79, 0, 0x33, 0x24, 0x22", UNSUPPORTED},
	{0},
};

static void test_cfa_from_memory(void **state)
{
	assert_cases(cfa_from_memory_cases);
}

static const struct rule_case saved_elsewhere_cases[] = {
	/* glibc's vfork */
	{"vfork",
	 ".cfi_def_cfa rsp, 0\n.cfi_register rip, rdi",
	 {.cfa = UNWIND_FULL, .base = RSP, .ra = UNWIND_RA_IN_REGISTER, .extra = RDI}},
	/* glibc's __longjmp */
	{"longjmp",
	 ".cfi_def_cfa rdi, 0\n.cfi_register rsp, r8\n.cfi_register rbp, r9\n.cfi_register rip, rdx",
	 {.cfa = UNWIND_FULL,
	  .rbp = UNWIND_RBP_IN_REGISTER,
	  .base = RDI,
	  .sp = 1 + R8,
	  .ra = UNWIND_RA_IN_REGISTER,
	  .rbp_offset = R9,
	  .extra = RDX}},
	{"rip_at_offset",
	 ".cfi_offset rip, -24",
	 {.cfa = UNWIND_FULL, .base = RSP, .cfa_offset = 8, .ra = UNWIND_RA_AT_OFFSET, .extra = -24}},
	{"rip_at_cfa",
	 ".cfi_offset rip, 0",
	 {.cfa = UNWIND_FULL, .base = RSP, .cfa_offset = 8, .ra = UNWIND_RA_AT_OFFSET}},
	/* rip at breg6 8, CFA = rbp + 0x20 */
	{"rip_at_rbp",
	 ".cfi_def_cfa rbp, 0x20\n.cfi_escape 0x10, 16, 2, 0x76, 8",
	 {.cfa = UNWIND_FULL, .base = RBP, .cfa_offset = 32, .ra = UNWIND_RA_AT_OFFSET, .extra = -24}},
	{"rbp_in_rax",
	 ".cfi_register rbp, rax",
	 {.cfa = UNWIND_FULL, .rbp = UNWIND_RBP_IN_REGISTER, .base = RSP, .cfa_offset = 8}},
	/* rbp = breg10 0 */
	{"rbp_is_r10",
	 ".cfi_escape 0x16, 6, 2, 0x7a, 0",
	 {.cfa = UNWIND_FULL,
	  .rbp = UNWIND_RBP_IN_REGISTER,
	  .base = RSP,
	  .cfa_offset = 8,
	  .rbp_offset = R10}},
	/* rbp at breg6 -16, CFA = r10 + 0 */
	{"rbp_at_rbp",
	 ".cfi_def_cfa r10, 0\n.cfi_escape 0x10, 6, 2, 0x76, 0x70",
	 {.cfa = UNWIND_FULL, .rbp = UNWIND_RBP_AT_RBP, .base = R10, .rbp_offset = -16}},
	{"rip_in_xmm0", ".cfi_register rip, xmm0", UNSUPPORTED},
	{"rbp_in_xmm0", ".cfi_register rbp, xmm0", UNSUPPORTED},
	{"rsp_in_xmm0", ".cfi_register rsp, xmm0", UNSUPPORTED},
	{"rip_too_far", ".cfi_offset rip, 0x8000", UNSUPPORTED},
	/* offset_extended rbp, 2^30 * -8 */
	{"rbp_too_far", ".cfi_escape 0x05, 6, 0x80, 0x80, 0x80, 0x80, 0x04", UNSUPPORTED},
	{"rip_as_before", ".cfi_same_value rip", UNSUPPORTED},
	{"rsp_as_before", ".cfi_same_value rsp", UNSUPPORTED},
	{"rsp_in_memory", ".cfi_offset rsp, -16", UNSUPPORTED},
	/* rbp = CFA; rbp = breg10 8; rip = breg10 8; rbp at breg10 0; rbp at
	 *(rbp) */
	{"rbp_is_cfa", ".cfi_escape 0x14, 6, 0", UNSUPPORTED},
	{"rbp_is_other", ".cfi_escape 0x16, 6, 2, 0x7a, 8", UNSUPPORTED},
	{"rip_is_other", ".cfi_escape 0x16, 16, 2, 0x7a, 8", UNSUPPORTED},
	{"rbp_at_r10", ".cfi_escape 0x10, 6, 2, 0x7a, 0", UNSUPPORTED},
	{"rbp_behind_rbp", ".cfi_escape 0x10, 6, 3, 0x76, 0, 0x06", UNSUPPORTED},
	{0},
};

static void test_saved_elsewhere(void **state)
{
	assert_cases(saved_elsewhere_cases);
}

/* The caller's rsp is CFA + N: the walker's CFA is there. */
static const struct rule_case moved_cfa_cases[] = {
	/* GHC's StgRun: rsp = breg7 16440 */
	{"stg_run",
	 ".cfi_def_cfa rsp, 0\n.cfi_offset rip, 16432\n.cfi_offset rbp, 16392\n"
	 ".cfi_escape 0x16, 7, 4, 0x77, 0xb8, 0x80, 0x01",
	 {.cfa = UNWIND_CFA_RSP, .rbp = UNWIND_RBP_AT_CFA, .cfa_offset = 16440, .rbp_offset = -48}},
	/* val_offset_sf rsp, -1 * -8 */
	{"behind_cfa",
	 ".cfi_escape 0x15, 7, 0x7f\n.cfi_offset rip, 0",
	 {.cfa = UNWIND_CFA_RSP, .cfa_offset = 16}},
	/* val_offset rsp, 1 * -8: the return address is where rsp points afterwards */
	{"before_cfa",
	 ".cfi_escape 0x14, 7, 1",
	 {.cfa = UNWIND_FULL, .base = RSP, .ra = UNWIND_RA_AT_OFFSET}},
	/* CFA = *(rsp + 40) + 8, rsp = CFA + 8 */
	{"behind_memory",
	 ".cfi_escape 0x0f, 5, 0x77, 40, 0x06, 0x23, 8\n.cfi_escape 0x15, 7, 0x7f\n.cfi_offset rip, "
	 "0",
	 {.cfa = UNWIND_FULL, .base = RSP, .flags = UNWIND_DEREF, .cfa_offset = 40, .extra = 16}},
	/* rsp = breg10 0 */
	{"is_r10",
	 ".cfi_escape 0x16, 7, 2, 0x7a, 0",
	 {.cfa = UNWIND_FULL, .base = RSP, .cfa_offset = 8, .sp = 1 + R10}},
	{"is_behind_r10", ".cfi_escape 0x16, 7, 2, 0x7a, 8", UNSUPPORTED},
	/* rsp = CFA + 2^31 - 8; CFA = *(rsp) + 8 and rsp = CFA + 0x7ff8 */
	{"too_far", ".cfi_escape 0x16, 7, 6, 0x23, 0xf8, 0xff, 0xff, 0xff, 0x07", UNSUPPORTED},
	{"memory_too_far",
	 ".cfi_escape 0x0f, 5, 0x77, 0, 0x06, 0x23, 8\n.cfi_escape 0x16, 7, 4, 0x23, 0xf8, 0xff, "
	 "0x01\n"
	 ".cfi_offset rip, 0x7ff0",
	 UNSUPPORTED},
	{0},
};

static void test_moved_cfa(void **state)
{
	assert_cases(moved_cfa_cases);
}

/* ---- signal frames ---- */

/* As glibc's __restore_rt has it: CFA = *(rsp + 160); rbp, rsp and rip at rsp + 120, 160, 168. */
#define SIGNAL_CFA(low)	 ".cfi_escape 0x0f, 4, 0x77, " low ", 1, 0x06\n"
#define SAVED(r, low)	 ".cfi_escape 0x10, " r ", 3, 0x77, " low ", 1\n"
#define SIGNAL_CFA_160	 SIGNAL_CFA("0xa0")
#define SIGNAL_RBP_120	 ".cfi_escape 0x10, 6, 3, 0x77, 0xf8, 0\n"
#define SIGNAL_RSP_160	 SAVED("7", "0xa0")
#define SIGNAL_RIP_168	 SAVED("16", "0xa8")
#define SIGNAL_AUGMENTED ".cfi_signal_frame\n"

static const struct rule_case signal_frames_cases[] = {
	{"restore_rt",
	 SIGNAL_AUGMENTED SIGNAL_CFA_160 SIGNAL_RBP_120 SIGNAL_RSP_160 SIGNAL_RIP_168,
	 {.cfa = UNWIND_SIGNAL, .cfa_offset = 40}},
	/* all of it 8 higher */
	{"elsewhere",
	 SIGNAL_AUGMENTED SIGNAL_CFA("0xa8") SAVED("6", "0x80") SAVED("7", "0xa8") SAVED("16", "0xb0"),
	 {.cfa = UNWIND_SIGNAL, .cfa_offset = 48}},
	{"plain_signal", SIGNAL_AUGMENTED, UNSUPPORTED},
	{"other_rbp", SIGNAL_AUGMENTED SIGNAL_CFA_160 SAVED("6", "0x80") SIGNAL_RSP_160 SIGNAL_RIP_168,
	 UNSUPPORTED},
	{"other_rsp", SIGNAL_AUGMENTED SIGNAL_CFA_160 SIGNAL_RBP_120 SAVED("7", "0xa8") SIGNAL_RIP_168,
	 UNSUPPORTED},
	{"other_rip", SIGNAL_AUGMENTED SIGNAL_CFA_160 SIGNAL_RBP_120 SIGNAL_RSP_160 SAVED("16", "0xb0"),
	 UNSUPPORTED},
	{"other_cfa", SIGNAL_AUGMENTED SIGNAL_CFA("0xa8") SIGNAL_RBP_120 SIGNAL_RSP_160 SIGNAL_RIP_168,
	 UNSUPPORTED},
	{"plain_cfa", SIGNAL_AUGMENTED SIGNAL_RBP_120 SIGNAL_RSP_160 SIGNAL_RIP_168, UNSUPPORTED},
	{"no_rbp", SIGNAL_AUGMENTED SIGNAL_CFA_160 SIGNAL_RSP_160 SIGNAL_RIP_168, UNSUPPORTED},
	{"no_rsp", SIGNAL_AUGMENTED SIGNAL_CFA_160 SIGNAL_RBP_120 SIGNAL_RIP_168, UNSUPPORTED},
	{"no_rip", SIGNAL_AUGMENTED SIGNAL_CFA_160 SIGNAL_RBP_120 SIGNAL_RSP_160, UNSUPPORTED},
	/* the same registers, and not said to be a signal's */
	{"no_signal", SIGNAL_CFA_160 SIGNAL_RBP_120 SIGNAL_RSP_160 SIGNAL_RIP_168, UNSUPPORTED},
	/* 8 GiB above rsp: rip, rsp, rbp agree, and do not fit */
	{"too_far",
	 SIGNAL_AUGMENTED ".cfi_escape 0x0f, 7, 0x77, 0xa0, 0x81, 0x80, 0x80, 0x20, 0x06\n"
			  ".cfi_escape 0x10, 6, 6, 0x77, 0xf8, 0x80, 0x80, 0x80, 0x20\n"
			  ".cfi_escape 0x10, 7, 6, 0x77, 0xa0, 0x81, 0x80, 0x80, 0x20\n"
			  ".cfi_escape 0x10, 16, 6, 0x77, 0xa8, 0x81, 0x80, 0x80, 0x20\n",
	 UNSUPPORTED},
	{0},
};

static void test_signal_frames(void **state)
{
	assert_cases(signal_frames_cases);
}

/* ---- expressions that are none ---- */

static const struct rule_case broken_expressions_cases[] = {
	{"empty", ".cfi_escape 0x0f, 0", UNSUPPORTED},
	{"deref_of_nothing", ".cfi_escape 0x0f, 1, 0x06", UNSUPPORTED},
	{"plus_of_nothing", ".cfi_escape 0x0f, 1, 0x22", UNSUPPORTED},
	{"plus_of_one", ".cfi_escape 0x0f, 3, 0x77, 8, 0x22", UNSUPPORTED},
	{"uconst_of_nothing", ".cfi_escape 0x0f, 2, 0x23, 8", UNSUPPORTED},
	{"a_number", ".cfi_escape 0x0f, 1, 0x38", UNSUPPORTED},
	{"a_value", ".cfi_escape 0x0f, 3, 0x77, 8, 0x9f", UNSUPPORTED},
	{"only_a_value", ".cfi_escape 0x0f, 1, 0x9f", UNSUPPORTED},
	{"shifted_out", ".cfi_escape 0x0f, 6, 0x77, 8, 0x08, 64, 0x24, 0x06", UNSUPPORTED},
	{"minus_a_register", ".cfi_escape 0x0f, 5, 0x38, 0x77, 8, 0x1c, 0x06", UNSUPPORTED},
	{"product_of_registers", ".cfi_escape 0x0f, 6, 0x77, 8, 0x79, 0, 0x1e, 0x06", UNSUPPORTED},
	{"index_twice", ".cfi_escape 0x0f, 11, 0x79, 0, 0x38, 0x1e, 0x78, 0, 0x38, 0x1e, 0x22, 0x06, 0x96",
	 UNSUPPORTED},
	{"index_of_index", ".cfi_escape 0x0f, 7, 0x79, 0, 0x38, 0x1e, 0x38, 0x1e, 0x06", UNSUPPORTED},
	{"read_times_eight", ".cfi_escape 0x0f, 5, 0x77, 0, 0x06, 0x38, 0x1e", UNSUPPORTED},
	{"sum_of_reads", ".cfi_escape 0x0f, 7, 0x77, 0, 0x06, 0x76, 0, 0x06, 0x22", UNSUPPORTED},
	/* nine numbers: more than anybody needs */
	{"deep", ".cfi_escape 0x0f, 9, 0x38, 0x38, 0x38, 0x38, 0x38, 0x38, 0x38, 0x38, 0x38", UNSUPPORTED},
	/* breg7 8, breg16 0, lit15, and: the beginning of a PLT's */
	{"half_a_plt", ".cfi_escape 0x0f, 6, 0x77, 8, 0x80, 0, 0x3f, 0x1a", UNSUPPORTED},
	/* a whole one, and rbp at breg7 0: which of the two CFAs is it relative to? */
	{"plt_with_rbp",
	 ".cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22\n"
	 ".cfi_escape 0x10, 6, 2, 0x77, 0",
	 UNSUPPORTED},
	{"plt_with_rip",
	 ".cfi_escape 0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22\n"
	 ".cfi_escape 0x10, 16, 2, 0x77, 0",
	 UNSUPPORTED},
	{0},
};

static void test_broken_expressions(void **state)
{
	assert_cases(broken_expressions_cases);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_cfa_of_any_register),
		cmocka_unit_test(test_cfa_from_memory),
		cmocka_unit_test(test_saved_elsewhere),
		cmocka_unit_test(test_moved_cfa),
		cmocka_unit_test(test_signal_frames),
		cmocka_unit_test(test_broken_expressions),
	};

	elf_version(EV_CURRENT);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
