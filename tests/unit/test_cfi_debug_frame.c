/* Tables from .debug_frame: alone, beside an .eh_frame (which wins), compressed, damaged. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/cfi.h"
#include "symbolizer/cfi_debug_frame.h"
#include "tests/support/library.h"
#include "tests/support/table_lookup.h"

#include <elf.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct built {
	enum table_status status;
	char why[CFI_WHY_LENGTH];
	struct cfi_figures figures;
	struct table_map map;
};

static struct built build(const struct library *library)
{
	_cleanup_close_ int fd = open(library->path, O_RDONLY | O_CLOEXEC);
	_cleanup_close_ int memfd = -1;
	struct built built = {0};

	assert_true(fd >= 0);
	assert_null(cfi_build_table(fd, &memfd, &built.status, built.why, &built.figures));
	if (built.status != TABLE_OK) {
		assert_int_equal(memfd, -1);
		assert_string_not_equal(built.why, "");
		return built;
	}
	assert_string_equal(built.why, "");
	assert_true(table_map(memfd, &built.map));
	assert_string_equal(table_check_file(built.map.words, built.map.count) ?: "good", "good");
	return built;
}

static uint64_t offset_of(const struct library *library, const char *name)
{
	uint64_t offset = 0, length;

	assert_true(library_nm(library, false, name, &offset, &length));
	return offset;
}

static void assert_cfa(const struct built *built, uint64_t offset, enum unwind_cfa cfa, int32_t cfa_offset)
{
	struct unwind_rule rule = table_lookup(built->map.words, offset);

	assert_int_equal(rule.cfa, cfa);
	assert_int_equal(rule.cfa_offset, cfa_offset);
}

/* ---- what an assembler makes ---- */

static const struct library_function two_functions[] = {
	{"first", "push %rbp\n.cfi_adjust_cfa_offset 8\n.cfi_offset rbp, -16\nnop\npop "
		  "%rbp\n.cfi_def_cfa_offset 8\nret"},
	{"second",
	 "sub $24, %rsp\n.cfi_adjust_cfa_offset 24\nnop\nadd $24, %rsp\n.cfi_adjust_cfa_offset -24\nret"},
	{0},
};

static void compile(const char *flags, const char *before, struct library *ret)
{
	_cleanup_free_ char *compiler = NULL, *source = NULL;

	assert_true(asprintf(&compiler, "gcc -shared -nostdlib -x assembler %s", flags) > 0);
	assert_true(asprintf(&source,
			     ".text\n%s\n.globl first\nfirst:\n.cfi_startproc\n%s\n.cfi_endproc\n.size "
			     "first,.-first\n"
			     ".p2align 4\n.globl second\nsecond:\n.cfi_startproc\n%s\n.cfi_endproc\n"
			     ".size second,.-second\n.fill 0x100, 1, 0x90\n",
			     before, two_functions[0].code, two_functions[1].code) > 0);
	assert_true(library_compile(compiler, source, ret));
}

static void assert_two_functions(const struct library *library)
{
	struct built built = build(library);
	uint64_t first = offset_of(library, "first"), second = offset_of(library, "second");
	struct unwind_rule pushed;

	assert_int_equal(built.status, TABLE_OK);
	assert_int_equal(built.figures.fdes, 2);
	assert_int_equal(built.figures.refused_fdes, 0);
	assert_cfa(&built, first, UNWIND_CFA_RSP, 8);
	assert_cfa(&built, first + 1, UNWIND_CFA_RSP, 16);
	pushed = table_lookup(built.map.words, first + 2);
	assert_int_equal(pushed.rbp, UNWIND_RBP_AT_CFA);
	assert_int_equal(pushed.rbp_offset, -16);
	assert_cfa(&built, first + 3, UNWIND_CFA_RSP, 8);
	assert_cfa(&built, second, UNWIND_CFA_RSP, 8);
	assert_cfa(&built, second + 4, UNWIND_CFA_RSP, 32);
	assert_cfa(&built, second - 1, UNWIND_GAP, 0);
	table_unmap(&built.map);
}

static void test_alone(void **state)
{
	static const char *const flags[] = {"", "-Wl,--compress-debug-sections=zlib",
					    "-Wl,--compress-debug-sections=zlib-gnu",
					    "-Wl,--no-eh-frame-hdr"};

	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		struct library library;

		compile(flags[i], ".cfi_sections .debug_frame", &library);
		assert_two_functions(&library);
		library_remove(&library);
	}
}

/* The same rows twice are the same rows. */
static void test_both_sections_say_it(void **state)
{
	struct library library;

	compile("", ".cfi_sections .eh_frame, .debug_frame", &library);
	assert_two_functions(&library);
	library_remove(&library);
}

/* ---- what a hand makes ---- */

/* A .debug_frame whose CIE says CFA = rsp + 64, and these FDEs; then .text again. */
#define DEBUG_FRAME(fdes)                                                                                    \
	".section .debug_frame,\"\",@progbits\n"                                                             \
	".Lcie: .long .Lcie_end - .Lcie_begin\n"                                                             \
	".Lcie_begin: .long 0xffffffff\n.byte 1, 0\n.uleb128 1\n.sleb128 -8\n.byte 16\n"                     \
	".byte 0x0c, 7, 64, 0x90, 1\n.p2align 3, 0\n.Lcie_end:\n" fdes ".text\n"
#define DEBUG_FDE(begin, length, program)                                                                    \
	".long 1f - 0f\n0: .long .Lcie\n.quad " begin ", " length "\n" program "\n1:\n"

static void test_eh_frame_wins(void **state)
{
	/* One FDE over both functions, what is between them, and 16 bytes behind. */
	static const char debug_frame[] =
		DEBUG_FRAME(DEBUG_FDE("first", "second - first + 0x40", ".byte 0x48, 0x0e, 72"));
	struct built built;
	struct library library;
	uint64_t first, second;

	compile("", debug_frame, &library);
	built = build(&library);
	first = offset_of(&library, "first");
	second = offset_of(&library, "second");
	library_remove(&library);
	assert_int_equal(built.status, TABLE_OK);
	assert_int_equal(built.figures.fdes, 4);
	assert_cfa(&built, first, UNWIND_CFA_RSP, 8);
	assert_cfa(&built, first + 1, UNWIND_CFA_RSP, 16);
	assert_cfa(&built, first + 3, UNWIND_CFA_RSP, 8);
	assert_cfa(&built, first + 4, UNWIND_CFA_RSP, 64); /* between the functions, before the advance */
	assert_cfa(&built, first + 8, UNWIND_CFA_RSP, 72);
	assert_cfa(&built, second - 1, UNWIND_CFA_RSP, 72);
	assert_cfa(&built, second, UNWIND_CFA_RSP, 8);
	assert_cfa(&built, second + 4, UNWIND_CFA_RSP, 32);
	assert_cfa(&built, second + 9, UNWIND_CFA_RSP, 8); /* its ret */
	assert_cfa(&built, second + 10, UNWIND_CFA_RSP, 72);
	table_unmap(&built.map);
}

/* A function that the linker has dropped is at 0, where the ELF header is; and code of nowhere. */
static void test_fdes_of_no_code(void **state)
{
	static const char debug_frame[] = DEBUG_FRAME(DEBUG_FDE("0", "0x100000", "") DEBUG_FDE(
		"0x7fffffff0000", "0x100", "") DEBUG_FDE("first", "0", "") DEBUG_FDE("-8", "0x100", ""));
	struct library library;
	struct built built;

	compile("", debug_frame, &library);
	built = build(&library);
	assert_int_equal(built.figures.fdes, 2);
	assert_int_equal(built.figures.refused_fdes, 1); /* the one that wraps around */
	table_unmap(&built.map);
	library_remove(&library);
	/* One segment, so that address 0 is in executable bytes. */
	compile("-Wl,-z,noseparate-code", DEBUG_FRAME(DEBUG_FDE("0", "0x100000", "")), &library);
	assert_two_functions(&library);
	library_remove(&library);
}

static void test_damaged_beside_eh_frame(void **state)
{
	static const char *const bad[] = {
		".section .debug_frame,\"\",@progbits\n.long 0\n.text\n",
		".section .debug_frame,\"\",@progbits\n.long 0xfffffff0, 0\n.text\n",
		".section .debug_frame,\"\",@progbits\n.byte 1\n.text\n",
		/* an FDE of no CIE */
		".section .debug_frame,\"\",@progbits\n.long 20, 0x1000\n.quad first, 16\n.text\n",
	};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct library library;
		struct built built;

		/* It costs the .eh_frame's rows nothing. */
		compile("", bad[i], &library);
		built = build(&library);
		assert_int_equal(built.status, TABLE_OK);
		assert_int_equal(built.figures.fdes, 2);
		assert_cfa(&built, offset_of(&library, "second") + 4, UNWIND_CFA_RSP, 32);
		table_unmap(&built.map);
		library_remove(&library);
	}
}

/* ---- hostile sections ---- */

static Elf64_Shdr *find_debug_frame(uint8_t *bytes)
{
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)bytes;
	Elf64_Shdr *sections = (Elf64_Shdr *)(bytes + header->e_shoff);
	const char *names = (const char *)bytes + sections[header->e_shstrndx].sh_offset;

	for (int i = 0; i < header->e_shnum; i++) {
		if (!strcmp(names + sections[i].sh_name, ".debug_frame"))
			return &sections[i];
	}
	fail();
	return NULL;
}

/* The library's bytes, to be changed in place. */
static uint8_t *map_library(const struct library *library, size_t *ret_length)
{
	_cleanup_close_ int fd = open(library->path, O_RDWR | O_CLOEXEC);
	struct stat status;
	void *bytes;

	assert_int_equal(fstat(fd, &status), 0);
	*ret_length = (size_t)status.st_size;
	bytes = mmap(NULL, *ret_length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	assert_ptr_not_equal(bytes, MAP_FAILED);
	return bytes;
}

enum damage { DAMAGE_SIZE, DAMAGE_TYPE, DAMAGE_BYTES, DAMAGE_NOBITS, DAMAGE_OUTSIDE, DAMAGES };

static void damage(const struct library *library, enum damage kind)
{
	size_t length;
	uint8_t *bytes = map_library(library, &length);
	Elf64_Shdr *section = find_debug_frame(bytes);
	Elf64_Chdr *compression = (Elf64_Chdr *)(bytes + section->sh_offset);

	assert_true(section->sh_flags & SHF_COMPRESSED);
	switch (kind) {
	case DAMAGE_SIZE:
		compression->ch_size = DEBUG_FRAME_BYTES_MAX + 1;
		break;
	case DAMAGE_TYPE:
		compression->ch_type = 77;
		break;
	case DAMAGE_BYTES:
		memset(compression + 1, 0xff, section->sh_size - sizeof(*compression));
		break;
	case DAMAGE_NOBITS:
		section->sh_type = SHT_NOBITS;
		break;
	default:
		section->sh_offset = length;
	}
	munmap(bytes, length);
}

static void test_damaged_compression(void **state)
{
	for (int kind = 0; kind < DAMAGES; kind++) {
		struct library library;

		compile("-Wl,--compress-debug-sections=zlib", ".cfi_sections .debug_frame", &library);
		damage(&library, kind);
		assert_int_equal(build(&library).status, TABLE_NO_EH_FRAME);
		library_remove(&library);
	}
}

/* 1.2 MB of a program in a few kilobytes: the work that it makes is bounded by what stands in the file. */
static void test_inflated_program_ends(void **state)
{
	struct library library;
	struct built built;

	/* advance 1, CFA offset 8, advance 1, CFA offset 16 */
	compile("-Wl,--compress-debug-sections=zlib",
		".cfi_sections .debug_frame\n" DEBUG_FRAME(DEBUG_FDE(
			"room", "400000",
			".rept 200000\n.byte 0x41, 0x0e, 8, 0x41, 0x0e, 16\n.endr")) ".p2align 4\nroom: "
										     ".fill 400000\n",
		&library);
	built = build(&library);
	library_remove(&library);
	assert_int_equal(built.status, TABLE_OK);
	assert_int_equal(built.figures.unsupported_rows, 1);
	/* A row for each of 391 pages, and 64 MiB of work by grant. By the inflated size it would be 371 MiB,
	 * which are 300 rows more. */
	assert_in_range(built.figures.rows, 391 + 20, 391 + 150);
	table_unmap(&built.map);
}

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

/* libdw may refuse, this may not crash (it runs in this process), and what comes out is a table. */
static void test_spoiled_sections(void **state)
{
	struct library library;
	uint32_t seed = 1;
	unsigned tables = 0;
	uint8_t *bytes, *original;
	Elf64_Shdr *section;
	size_t length;

	compile("", ".cfi_sections .debug_frame", &library);
	bytes = map_library(&library, &length);
	section = find_debug_frame(bytes);
	original = malloc(section->sh_size);
	memcpy(original, bytes + section->sh_offset, section->sh_size);
	for (unsigned i = 0; i < 500; i++) {
		struct built built;

		memcpy(bytes + section->sh_offset, original, section->sh_size);
		for (unsigned bits = 1 + i % 4; bits; bits--)
			bytes[section->sh_offset + random_next(&seed) % section->sh_size] ^=
				(uint8_t)(1u << random_next(&seed) % 8);
		built = build(&library);
		tables += built.status == TABLE_OK;
		table_unmap(&built.map);
	}
	assert_in_range(tables, 100, 500);
	free(original);
	munmap(bytes, length);
	library_remove(&library);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_both_sections_say_it),
		cmocka_unit_test(test_eh_frame_wins),
		cmocka_unit_test(test_fdes_of_no_code),
		cmocka_unit_test(test_damaged_beside_eh_frame),
		cmocka_unit_test(test_damaged_compression),
		cmocka_unit_test(test_inflated_program_ends),
		cmocka_unit_test(test_spoiled_sections),
	};

	elf_version(EV_CURRENT);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
