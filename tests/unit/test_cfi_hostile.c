/* Modules that lie. Each is given to a child with little memory and an alarm: libdw may crash there (workers
 * are expendable), but it must not hang, and a table that comes out must keep every invariant. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/cfi.h"
#include "tests/support/table_lookup.h"

#include <dwarf.h>
#include <fcntl.h>
#include <gelf.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define CHILD_SECONDS	   10
#define CHILD_MEMORY_BYTES (1ul << 30)

/* Shadow memory of the sanitizer is terabytes of address space. */
#if defined(__SANITIZE_ADDRESS__)
#define HAS_ADDRESS_SANITIZER 1
#elif defined(__has_feature)
#define HAS_ADDRESS_SANITIZER __has_feature(address_sanitizer)
#else
#define HAS_ADDRESS_SANITIZER 0
#endif

enum outcome { OUTCOME_TABLE, OUTCOME_REFUSED, OUTCOME_CRASHED, OUTCOME_HUNG, OUTCOME_BROKEN, OUTCOMES };

struct image {
	uint8_t *bytes;
	size_t length;
};

static int image_memfd(const struct image *image)
{
	int fd = memfd_create("module", MFD_CLOEXEC);

	assert_int_equal(write(fd, image->bytes, image->length), image->length);
	return fd;
}

/* ---- building under guard ---- */

/* rows: of a table that came out; not written otherwise. */
static enum outcome build(int fd, struct cfi_figures *figures, bool with_words)
{
	_cleanup_close_ int memfd = -1;
	enum table_status status = 99;
	char why[CFI_WHY_LENGTH] = "untouched";
	struct table_map map;
	const char *broken;
	struct error *error = cfi_build_table(fd, &memfd, &status, why, figures);

	if (error) {
		error_destroy(error);
		return OUTCOME_REFUSED; /* out of memory, most likely */
	}
	if (status != TABLE_OK) {
		if (with_words)
			printf("# %s\n", why);
		return memfd == -1 && *why && strlen(why) < sizeof(why) ? OUTCOME_REFUSED : OUTCOME_BROKEN;
	}
	if (*why || !table_map(memfd, &map))
		return OUTCOME_BROKEN;
	broken = table_check_file(map.words, map.count);
	if (broken)
		printf("# the table is wrong: %s\n", broken);
	table_unmap(&map);
	return broken ? OUTCOME_BROKEN : OUTCOME_TABLE;
}

static enum outcome build_in_child(const struct image *image)
{
	_cleanup_close_ int fd = image_memfd(image);
	const struct rlimit memory = {CHILD_MEMORY_BYTES, CHILD_MEMORY_BYTES};
	const struct rlimit no_core = {0, 0};
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (!HAS_ADDRESS_SANITIZER)
			setrlimit(RLIMIT_AS, &memory);
		setrlimit(RLIMIT_CORE, &no_core);
		for (int signal_number = 1; signal_number < 32; signal_number++)
			signal(signal_number, SIG_DFL); /* cmocka catches SIGSEGV */
		alarm(CHILD_SECONDS);
		_exit(100 + (int)build(fd, NULL, false));
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGALRM ? OUTCOME_HUNG : OUTCOME_CRASHED;
	/* Under a sanitizer a fault is an exit status. */
	return WEXITSTATUS(status) >= 100 ? (enum outcome)(WEXITSTATUS(status) - 100) : OUTCOME_CRASHED;
}

/* Builds, and fails for a hang or a table that breaks its rules. */
static void count_outcome(const struct image *image, unsigned counts[OUTCOMES], unsigned number)
{
	enum outcome outcome = build_in_child(image);

	if (outcome == OUTCOME_HUNG || outcome == OUTCOME_BROKEN)
		print_message("mutation %u: %s\n", number, outcome == OUTCOME_HUNG ? "hung" : "broken");
	counts[outcome]++;
}

static void assert_counts(const unsigned counts[OUTCOMES])
{
	print_message("%u tables, %u refused, %u crashed inside of the child\n", counts[OUTCOME_TABLE],
		      counts[OUTCOME_REFUSED], counts[OUTCOME_CRASHED]);
	assert_int_equal(counts[OUTCOME_HUNG], 0);
	assert_int_equal(counts[OUTCOME_BROKEN], 0);
}

/* ---- a real module to spoil: the loader, which is small and everywhere ---- */

static struct image image_read(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct image image = {0};
	struct stat status;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	image.length = (size_t)status.st_size;
	image.bytes = malloc(image.length);
	assert_int_equal(read(fd, image.bytes, image.length), image.length);
	return image;
}

static struct image image_of_loader(void)
{
	char path[4096] = "";
	FILE *maps = fopen("/proc/self/maps", "r");
	uint64_t loader = getauxval(AT_BASE), begin;
	char line[5000];

	while (fgets(line, sizeof(line), maps)) {
		if (sscanf(line, "%lx-%*x %*s %*s %*s %*s %4095[^\n]", &begin, path) == 2 && begin == loader)
			break;
	}
	fclose(maps);
	return image_read(path);
}

struct range {
	size_t offset, length;
};

static struct range image_section(const struct image *image, const char *wanted)
{
	Elf *elf = elf_memory((char *)image->bytes, image->length);
	struct range range = {0};
	Elf_Scn *section = NULL;
	GElf_Shdr header;
	size_t names;

	assert_int_equal(elf_getshdrstrndx(elf, &names), 0);
	while ((section = elf_nextscn(elf, section))) {
		gelf_getshdr(section, &header);
		if (!strcmp(elf_strptr(elf, names, header.sh_name), wanted))
			range = (struct range){header.sh_offset, header.sh_size};
	}
	elf_end(elf);
	assert_true(range.length > 0);
	return range;
}

static struct image image_copy(const struct image *image)
{
	struct image copy = {.bytes = malloc(image->length), .length = image->length};

	memcpy(copy.bytes, image->bytes, image->length);
	return copy;
}

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void mutate(const struct image *image, struct range range, uint32_t *seed)
{
	unsigned bytes = 1 + random_next(seed) % 64;

	for (unsigned i = 0; i < bytes; i++)
		image->bytes[range.offset + random_next(seed) % range.length] = (uint8_t)random_next(seed);
}

static void test_spoiled_copies_do_not_hang(void **state)
{
	static const char *const sections[] = {".eh_frame", ".eh_frame", ".eh_frame_hdr"};
	struct image original = image_of_loader();
	unsigned counts[OUTCOMES] = {0};
	uint32_t seed = 1;

	for (unsigned i = 0; i < 200; i++) {
		struct image copy = image_copy(&original);

		if (i % 4 == 3)
			mutate(&copy, (struct range){0, 64 + 12 * 56}, &seed); /* headers */
		else
			mutate(&copy, image_section(&original, sections[i % 4]), &seed);
		count_outcome(&copy, counts, i);
		free(copy.bytes);
	}
	assert_counts(counts);
	assert_true(counts[OUTCOME_TABLE] > 50); /* a bad FDE does not cost the module its table */
	free(original.bytes);
}

static void test_zeroed_parts(void **state)
{
	struct image original = image_of_loader();
	struct range section = image_section(&original, ".eh_frame");
	unsigned counts[OUTCOMES] = {0};

	for (unsigned i = 0; i < 8; i++) {
		struct image copy = image_copy(&original);

		memset(copy.bytes + section.offset + section.length / 8 * i, 0, section.length / 8);
		count_outcome(&copy, counts, i);
		free(copy.bytes);
	}
	assert_counts(counts);
	memset(original.bytes + section.offset, 0, section.length);
	assert_int_equal(build_in_child(&original), OUTCOME_REFUSED);
	free(original.bytes);
}

static void test_truncated_copies(void **state)
{
	struct image original = image_of_loader();
	size_t whole = original.length;
	unsigned counts[OUTCOMES] = {0};

	for (unsigned i = 0; i < 20; i++) {
		original.length = whole * i / 20;
		count_outcome(&original, counts, i);
	}
	assert_counts(counts);
	free(original.bytes);
}

/* ---- files that are no modules ---- */

static void assert_refused(const void *bytes, size_t length)
{
	struct image image = {.bytes = (uint8_t *)bytes, .length = length};
	_cleanup_close_ int fd = image_memfd(&image);

	assert_int_equal(build(fd, NULL, true), OUTCOME_REFUSED);
}

static void test_no_modules(void **state)
{
	struct image loader = image_of_loader();
	Elf64_Ehdr *header = (Elf64_Ehdr *)loader.bytes;

	assert_refused("", 0);
	assert_refused("garbage", 7);
	assert_refused("!<arch>\n", 8);
	header->e_machine = EM_AARCH64;
	assert_refused(loader.bytes, loader.length);
	header->e_machine = EM_X86_64;
	header->e_type = ET_REL;
	assert_refused(loader.bytes, loader.length);
	header->e_type = ET_DYN;
	header->e_ident[EI_CLASS] = ELFCLASS32;
	assert_refused(loader.bytes, loader.length);
	free(loader.bytes);
}

static void test_bad_fd(void **state)
{
	assert_int_equal(build(-1, NULL, true), OUTCOME_REFUSED);
}

/* ---- hand-made modules: no section headers, one code segment that is the whole file ----
 * ELF header, program headers, .eh_frame_hdr without a search table, and from SPECIAL_FRAMES the CIE and
 * FDEs.
 */
#define SPECIAL_FRAMES 0x200
#define SPECIAL_CODE   0x100000 /* where the code of the FDEs begins: behind everything else */

static void put(uint8_t **at, const void *bytes, size_t length)
{
	memcpy(*at, bytes, length);
	*at += length;
}

static void put_u32(uint8_t **at, uint32_t value)
{
	put(at, &value, sizeof(value));
}

/* Zeros of this size; the caller puts CIE and FDEs at SPECIAL_FRAMES. */
static struct image special_begin(size_t length, uint8_t **ret_at)
{
	struct image image = {.bytes = calloc(1, length), .length = length};
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(header),
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 2,
	};
	Elf64_Phdr headers[] = {
		{.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_filesz = length, .p_memsz = length},
		{.p_type = PT_GNU_EH_FRAME, .p_flags = PF_R, .p_filesz = 16, .p_memsz = 16},
	};
	uint8_t *at = image.bytes;

	headers[1].p_offset = headers[1].p_vaddr = sizeof(header) + sizeof(headers);
	put(&at, &header, sizeof(header));
	put(&at, headers, sizeof(headers));
	/* Version, .eh_frame's address as absolute udata4, no search table. */
	put(&at, (uint8_t[]){1, DW_EH_PE_udata4, DW_EH_PE_omit, DW_EH_PE_omit}, 4);
	put_u32(&at, SPECIAL_FRAMES);
	*ret_at = image.bytes + SPECIAL_FRAMES;
	return image;
}

/* CFA = rsp + 8, return address at CFA - 8. augmentation: two letters or three, the second is R. */
static void put_cie_with(uint8_t **at, const char *augmentation, uint8_t encoding)
{
	const uint8_t program[] = {DW_CFA_def_cfa, 7, 8, DW_CFA_offset | 16, 1, DW_CFA_nop, DW_CFA_nop};
	const uint32_t letters = (uint32_t)strlen(augmentation) + 1;

	put_u32(at, 4 + 1 + letters + 3 + 2 + sizeof(program));
	put_u32(at, 0);
	put(at, (uint8_t[]){1}, 1);
	put(at, augmentation, letters);
	/* Alignment of code 1 and data -8, return address column, one byte of augmentation data. */
	put(at, (uint8_t[]){1, 0x78, 16, 1, encoding}, 5);
	put(at, program, sizeof(program));
}

static void put_cie(uint8_t **at, uint8_t encoding)
{
	put_cie_with(at, "zR", encoding);
}

/* Pointer and length as udata-N of so many bytes; the program follows. */
static void put_fde(const struct image *image, uint8_t **at, size_t pointer_bytes, uint64_t address,
		    uint64_t length, uint32_t program_bytes)
{
	put_u32(at, (uint32_t)(4 + 2 * pointer_bytes + 1 + program_bytes));
	put_u32(at, (uint32_t)(*at - (image->bytes + SPECIAL_FRAMES)));
	put(at, &address, pointer_bytes);
	put(at, &length, pointer_bytes);
	put(at, "", 1); /* no augmentation data */
}

/* Builds in this process: these are well-formed for libdw. */
static struct cfi_figures special_build(struct image *image, struct table_map *ret_map)
{
	_cleanup_close_ int fd = image_memfd(image), memfd = -1;
	enum table_status status;
	char why[CFI_WHY_LENGTH];
	struct cfi_figures figures;

	free(image->bytes);
	assert_null(cfi_build_table(fd, &memfd, &status, why, &figures));
	assert_string_equal(why, "");
	assert_true(table_map(memfd, ret_map));
	assert_string_equal(table_check_file(ret_map->words, ret_map->count) ?: "good", "good");
	return figures;
}

static void assert_cfa(const struct table_map *map, uint64_t offset, enum unwind_cfa cfa, int32_t cfa_offset)
{
	struct unwind_rule rule = table_lookup(map->words, offset);

	assert_int_equal(rule.cfa, cfa);
	assert_int_equal(rule.cfa_offset, cfa_offset);
}

static void test_pointer_encodings(void **state)
{
	static const struct {
		uint8_t encoding;
		size_t bytes;
	} encodings[] = {
		{DW_EH_PE_absptr, 8}, {DW_EH_PE_udata8, 8}, {DW_EH_PE_sdata8, 8},
		{DW_EH_PE_udata4, 4}, {DW_EH_PE_sdata4, 4},
	};

	for (size_t i = 0; i < sizeof(encodings) / sizeof(*encodings); i++) {
		uint8_t *at;
		struct image image = special_begin(SPECIAL_CODE + 0x1000, &at);
		struct cfi_figures figures;
		struct table_map map;

		put_cie(&at, encodings[i].encoding);
		put_fde(&image, &at, encodings[i].bytes, SPECIAL_CODE + 0x10, 0x20, 0);
		/* Reaches out of the file: cut. */
		put_fde(&image, &at, encodings[i].bytes, SPECIAL_CODE + 0xf00, 0x10000, 0);
		/* Outside of all segments: dropped. */
		put_fde(&image, &at, encodings[i].bytes, SPECIAL_CODE + 0x2000, 0x10, 0);
		figures = special_build(&image, &map);
		assert_int_equal(figures.fdes, 2);
		assert_cfa(&map, SPECIAL_CODE + 0xf, UNWIND_GAP, 0);
		assert_cfa(&map, SPECIAL_CODE + 0x10, UNWIND_CFA_RSP, 8);
		assert_cfa(&map, SPECIAL_CODE + 0x2f, UNWIND_CFA_RSP, 8);
		assert_cfa(&map, SPECIAL_CODE + 0x30, UNWIND_GAP, 0);
		assert_cfa(&map, SPECIAL_CODE + 0xfff, UNWIND_CFA_RSP, 8);
		assert_cfa(&map, SPECIAL_CODE + 0x1000, UNWIND_GAP, 0);
		table_unmap(&map);
	}
}

static void test_refused_encodings(void **state)
{
	static const uint8_t encodings[] = {DW_EH_PE_textrel | DW_EH_PE_udata4,
					    DW_EH_PE_datarel | DW_EH_PE_sdata4,
					    DW_EH_PE_indirect | DW_EH_PE_udata4,
					    DW_EH_PE_aligned,
					    DW_EH_PE_omit,
					    0x05};

	for (size_t i = 0; i < sizeof(encodings); i++) {
		uint8_t *at;
		struct image image = special_begin(SPECIAL_CODE + 0x1000, &at);

		put_cie(&at, encodings[i]);
		put_fde(&image, &at, 4, SPECIAL_CODE, 0x20, 0);
		assert_refused(image.bytes, image.length);
		free(image.bytes);
	}
}

static void test_overlapping_fdes_are_cut(void **state)
{
	uint8_t *at;
	struct image image = special_begin(SPECIAL_CODE + 0x1000, &at);
	struct table_map map;

	put_cie(&at, DW_EH_PE_udata4);
	put_fde(&image, &at, 4, SPECIAL_CODE, 0x100, 0);
	put_fde(&image, &at, 4, SPECIAL_CODE + 0x80, 0x10, 0);
	put_fde(&image, &at, 4, SPECIAL_CODE, 0x20, 0);
	assert_int_equal(special_build(&image, &map).fdes, 2);
	assert_cfa(&map, SPECIAL_CODE + 0x7f, UNWIND_CFA_RSP, 8);
	assert_cfa(&map, SPECIAL_CODE + 0x8f, UNWIND_CFA_RSP, 8);
	assert_cfa(&map, SPECIAL_CODE + 0x90, UNWIND_GAP, 0);
	assert_cfa(&map, SPECIAL_CODE + 0xff, UNWIND_GAP, 0);
	table_unmap(&map);
}

/* What follows the terminator is something else, however much it looks like an FDE. */
static void test_terminator_ends_the_section(void **state)
{
	uint8_t *at;
	struct image image = special_begin(SPECIAL_CODE + 0x1000, &at);
	struct cfi_figures figures;
	struct table_map map;

	put_cie(&at, DW_EH_PE_udata4);
	put_fde(&image, &at, 4, SPECIAL_CODE + 0x20, 0x10, 0);
	put_fde(&image, &at, 4, SPECIAL_CODE, 0x10, 0); /* not in order */
	put_u32(&at, 0);
	put_fde(&image, &at, 4, SPECIAL_CODE + 0x40, 0x10, 0);
	figures = special_build(&image, &map);
	assert_int_equal(figures.fdes, 2);
	assert_int_equal(figures.refused_fdes, 0);
	assert_cfa(&map, SPECIAL_CODE, UNWIND_CFA_RSP, 8);
	assert_cfa(&map, SPECIAL_CODE + 0x10, UNWIND_GAP, 0);
	assert_cfa(&map, SPECIAL_CODE + 0x20, UNWIND_CFA_RSP, 8);
	assert_cfa(&map, SPECIAL_CODE + 0x40, UNWIND_GAP, 0);
	table_unmap(&map);
}

/* libdw runs a program from its start for every row: this one would take it hours. */
static void test_long_program_ends(void **state)
{
	const uint32_t program_bytes = 3u << 20;
	uint8_t *at;
	struct image image = special_begin(SPECIAL_CODE + (8u << 20), &at);
	struct cfi_figures figures;
	struct table_map map;

	put_cie(&at, DW_EH_PE_udata4);
	put_fde(&image, &at, 4, SPECIAL_CODE + (4u << 20), 4u << 20, program_bytes);
	for (uint32_t i = 0; i < program_bytes / 3; i++)
		put(&at, (uint8_t[]){DW_CFA_advance_loc | 1, DW_CFA_def_cfa_offset, (uint8_t)(8 + i % 2 * 8)},
		    3);
	figures = special_build(&image, &map);
	assert_true(figures.rows > 100);
	assert_cfa(&map, SPECIAL_CODE + (4u << 20), UNWIND_CFA_RSP, 8);
	assert_cfa(&map, SPECIAL_CODE + (4u << 20) + 2, UNWIND_CFA_RSP, 16);
	assert_cfa(&map, SPECIAL_CODE + (5u << 20), UNWIND_UNSUPPORTED, 0);
	assert_cfa(&map, SPECIAL_CODE + (8u << 20), UNWIND_GAP, 0);
	table_unmap(&map);
}

/* What the walker cannot follow must not look as if it could: above all no register that is none.
 * (test_cfi_rules.c has the rest.) */
static void test_unsupported_rules(void **state)
{
	static const struct {
		const char *what;
		uint8_t program[4];
		enum unwind_cfa cfa;
	} cases[] = {
		{"plain", {DW_CFA_nop, 0, 0, 0}, UNWIND_CFA_RSP},
		{"CFA from rbp", {DW_CFA_def_cfa, 6, 16, 0}, UNWIND_CFA_RBP},
		{"CFA from r15", {DW_CFA_def_cfa, 15, 0, 0}, UNWIND_FULL},
		{"CFA from the return address", {DW_CFA_def_cfa, 16, 0, 0}, UNWIND_UNSUPPORTED},
		{"CFA from xmm14", {DW_CFA_def_cfa, 31, 0, 0}, UNWIND_UNSUPPORTED},
		{"CFA from register 127", {DW_CFA_def_cfa, 127, 0, 0}, UNWIND_UNSUPPORTED},
		{"CFA from r15's sum", {DW_CFA_def_cfa_expression, 2, DW_OP_breg15, 0}, UNWIND_FULL},
		{"CFA from xmm14's sum", {DW_CFA_def_cfa_expression, 2, DW_OP_breg31, 0}, UNWIND_UNSUPPORTED},
		{"return address in r15", {DW_CFA_register, 16, 15, 0}, UNWIND_FULL},
		{"return address in itself", {DW_CFA_register, 16, 16, 0}, UNWIND_UNSUPPORTED},
		{"return address in xmm0", {DW_CFA_register, 16, 17, 0}, UNWIND_UNSUPPORTED},
		{"rbp in r15", {DW_CFA_register, 6, 15, 0}, UNWIND_FULL},
		{"rbp in the return address", {DW_CFA_register, 6, 16, 0}, UNWIND_UNSUPPORTED},
		{"rbp in register 127", {DW_CFA_register, 6, 127, 0}, UNWIND_UNSUPPORTED},
		{"rsp in r15", {DW_CFA_register, 7, 15, 0}, UNWIND_FULL},
		{"rsp in the return address", {DW_CFA_register, 7, 16, 0}, UNWIND_UNSUPPORTED},
		{"rsp in register 127", {DW_CFA_register, 7, 127, 0}, UNWIND_UNSUPPORTED},
		{"root", {DW_CFA_undefined, 16, 0, 0}, UNWIND_ROOT},
	};
	const size_t count = sizeof(cases) / sizeof(*cases);
	uint8_t *at;
	struct image image = special_begin(SPECIAL_CODE + 0x1000, &at);
	struct table_map map;

	put_cie(&at, DW_EH_PE_udata4);
	for (size_t i = 0; i < count; i++) {
		put_fde(&image, &at, 4, SPECIAL_CODE + i * 16, 16, 4);
		put(&at, cases[i].program, 4);
	}
	special_build(&image, &map);
	for (size_t i = 0; i < count; i++) {
		struct unwind_rule rule = table_lookup(map.words, SPECIAL_CODE + i * 16 + 8);

		if (rule.cfa != cases[i].cfa)
			print_message("%s: %d\n", cases[i].what, rule.cfa);
		assert_int_equal(rule.cfa, cases[i].cfa);
	}
	table_unmap(&map);
}

/* A signal frame's rows look plain here, but its pc is exact and its registers are the interrupted code's. */
static void test_signal_frames(void **state)
{
	uint8_t *at;
	struct image image = special_begin(SPECIAL_CODE + 0x1000, &at);
	struct cfi_figures figures;
	struct table_map map;

	put_cie_with(&at, "zRS", DW_EH_PE_udata4);
	put_fde(&image, &at, 4, SPECIAL_CODE, 0x10, 0);
	figures = special_build(&image, &map);
	assert_int_equal(figures.unsupported_rows, 1);
	assert_cfa(&map, SPECIAL_CODE, UNWIND_UNSUPPORTED, 0);
	table_unmap(&map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_modules),
		cmocka_unit_test(test_bad_fd),
		cmocka_unit_test(test_pointer_encodings),
		cmocka_unit_test(test_refused_encodings),
		cmocka_unit_test(test_overlapping_fdes_are_cut),
		cmocka_unit_test(test_terminator_ends_the_section),
		cmocka_unit_test(test_long_program_ends),
		cmocka_unit_test(test_unsupported_rules),
		cmocka_unit_test(test_signal_frames),
		cmocka_unit_test(test_truncated_copies),
		cmocka_unit_test(test_zeroed_parts),
		cmocka_unit_test(test_spoiled_copies_do_not_hang),
	};

	elf_version(EV_CURRENT);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
