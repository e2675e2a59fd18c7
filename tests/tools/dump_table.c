/* Prints the unwind table that kiln builds for an ELF file.
 *
 *   dump_table FILE…      "ADDRESS CFA RBP RA" where the rule changes, ELF virtual addresses in hex, then "#
 * …" dump_table -t FILE…   only the "# …" line: figures, and the best time of seven builds
 *
 * CFA: rsp+N (or another register), *(rsp+N)+M, *(rsp+N+8*r9)+M; root, gap, ? (unsupported), and signal+N
 * where the registers are in memory from rsp + N on: those have "-" for RBP and RA. RBP: s (same), u
 * (undefined), c-N (saved at CFA - N), (rbp+N) (saved there), r9 (in a register). RA: c-N, or a register. "
 * rsp=r8" at the end: the caller's rsp is no CFA, but in a register.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "symbolizer/cfi.h"
#include "symbolizer/segments.h"
#include "tests/support/table_lookup.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define TIMED_BUILDS 7

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static const char *const registers[UNWIND_REGISTERS] = {
	"rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp",
	"r8",  "r9",  "r10", "r11", "r12", "r13", "r14", "r15",
};

static void print_cfa(const struct unwind_rule *rule)
{
	uint8_t base = rule->cfa == UNWIND_CFA_RSP ? 7 : rule->cfa == UNWIND_CFA_RBP ? 6 : rule->base;

	if (!(rule->flags & UNWIND_DEREF)) {
		printf("%s%+d ", registers[base], rule->cfa_offset);
		return;
	}
	printf("*(%s%+d", registers[base], rule->cfa_offset);
	if (rule->flags & UNWIND_INDEXED)
		printf("+8*%s", registers[rule->flags >> UNWIND_INDEX_SHIFT]);
	printf(")%+d ", rule->extra);
}

static void print_rbp(const struct unwind_rule *rule)
{
	switch ((enum unwind_rbp)rule->rbp) {
	case UNWIND_RBP_AT_CFA:
		printf("c%+d ", rule->rbp_offset);
		break;
	case UNWIND_RBP_AT_RBP:
		printf("(rbp%+d) ", rule->rbp_offset);
		break;
	case UNWIND_RBP_IN_REGISTER:
		printf("%s ", registers[rule->rbp_offset]);
		break;
	default:
		printf("%s ", rule->rbp == UNWIND_RBP_SAME ? "s" : "u");
	}
}

static void print_rule(const struct unwind_rule *rule)
{
	static const char *const kinds[] = {
		[UNWIND_GAP] = "gap - -",
		[UNWIND_ROOT] = "root - u",
		[UNWIND_UNSUPPORTED] = "? - -",
	};

	if (rule->cfa == UNWIND_SIGNAL) {
		printf("signal%+d - -\n", rule->cfa_offset);
		return;
	}
	if (rule->cfa < UNWIND_CFA_RSP) {
		puts(kinds[rule->cfa]);
		return;
	}
	print_cfa(rule);
	print_rbp(rule);
	if (rule->ra == UNWIND_RA_IN_REGISTER)
		printf("%s", registers[rule->extra]);
	else
		printf("c%+d", rule->ra == UNWIND_RA_AT_OFFSET ? rule->extra : -8);
	if (rule->sp)
		printf(" rsp=%s", registers[rule->sp - 1]);
	putchar('\n');
}

static void print_row(void *arg, uint64_t offset, const struct unwind_rule *rule)
{
	const struct segments *segments = arg;
	uint64_t address;

	/* The end of a segment's last function lies behind its last byte. */
	if (!segments_to_address(segments, offset, &address)) {
		if (!offset || !segments_to_address(segments, offset - 1, &address))
			return;
		address++;
	}
	printf("%" PRIx64 " ", address);
	print_rule(rule);
}

static struct error *print_rows(int fd, int memfd)
{
	struct segments segments = {0};
	struct table_map map;
	struct error *error;
	const char *broken;
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);

	error = segments_init(elf, &segments);
	elf_end(elf);
	if (error)
		return error;
	if (!table_map(memfd, &map))
		return error_create(ERROR_GENERAL, 0, NULL, "mmap the table");
	broken = table_check_file(map.words, map.count);
	if (broken)
		error = error_create(ERROR_GENERAL, 0, NULL, "the table is wrong: %s", broken);
	else
		table_walk(map.words, print_row, &segments);
	table_unmap(&map);
	segments_deinit(&segments);
	return error;
}

static struct error *dump(const char *path, bool only_time)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t best_ns = UINT64_MAX;
	enum table_status status;
	struct cfi_figures figures;
	char why[CFI_WHY_LENGTH];
	struct error *error = NULL;

	for (int i = 0; i < (only_time ? TIMED_BUILDS : 1); i++) {
		_cleanup_close_ int memfd = -1;
		uint64_t begin_ns = now_ns(), took_ns;

		error = cfi_build_table(fd, &memfd, &status, why, &figures);
		if (error)
			return error;
		if (status != TABLE_OK)
			return error_create(ERROR_BAD_FILE, 0, NULL, "status %d: %s", status, why);
		took_ns = now_ns() - begin_ns;
		if (took_ns < best_ns)
			best_ns = took_ns;
		if (!only_time)
			error = print_rows(fd, memfd);
		if (error)
			return error;
	}
	printf("# %s: %" PRIu64 " FDEs (%" PRIu64 " refused), %u rows, %" PRIu64
	       " unsupported, %u rules, %u bytes,"
	       " %.2f bytes a row, %.2f ms\n",
	       path, figures.fdes, figures.refused_fdes, figures.rows, figures.unsupported_rows,
	       figures.rules, figures.words * 4, figures.words * 4.0 / (figures.rows ? figures.rows : 1),
	       best_ns / 1e6);
	return NULL;
}

int main(int argc, char **argv)
{
	bool only_time = argc > 1 && !strcmp(argv[1], "-t");

	elf_version(EV_CURRENT);
	for (int i = only_time ? 2 : 1; i < argc; i++) {
		_cleanup_error_ struct error *error = dump(argv[i], only_time);

		if (error) {
			fprintf(stderr, "dump_table: %s: %s\n", argv[i], error_get_message(error));
			return 1;
		}
	}
	return 0;
}
