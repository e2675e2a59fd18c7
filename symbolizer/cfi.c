#include "symbolizer/cfi.h"

#include "base/cleanup.h"
#include "symbolizer/cfi_debug_frame.h"
#include "symbolizer/cfi_fde.h"
#include "symbolizer/cfi_rule.h"
#include "symbolizer/cfi_section.h"
#include "symbolizer/elf.h"
#include "symbolizer/pclntab_section.h"
#include "symbolizer/segments.h"
#include "symbolizer/table_writer.h"

#include <elfutils/libdw.h>
#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libdw runs an FDE's program from its start for each row: quadratic in a long one. A program of this many
 * bytes in all is worth about a second; the greedy rest of the module stays without rules. */
#define WORK_BYTES_MIN		    (64ull << 20)
#define WORK_BYTES_PER_SECTION_BYTE 256
/* An advance takes at least a byte of the section and makes one row; an FDE of at least 13 makes two more. */
#define ROWS_PER_SECTION_BYTE 2
/* A PLT expression makes two rows for each 16 bytes of code, whatever the section's size: so many slots. */
#define PLT_SLOTS_MAX (1u << 20)

static const struct unwind_rule rule_gap = {.cfa = UNWIND_GAP};
static const struct unwind_rule rule_root = {.cfa = UNWIND_ROOT};
static const struct unwind_rule rule_unsupported = {.cfa = UNWIND_UNSUPPORTED};

/* Everything that is open while a table is built. */
struct table_build {
	Elf *elf;
	struct segments segments;
	struct cfi_section eh_frame; /* without data: there is none */
	Dwarf_CFI *eh_cfi;
	struct cfi_debug_frame debug_frame;
	struct cfi_fdes fdes;
	struct table_writer writer;
	struct cfi_figures figures;
	uint64_t work_left; /* bytes of CFA programs */
	uint64_t rows_left;
	uint64_t plt_rows_left;
	bool wants_rbx, tracks_rbx; /* cfi_rule.h */
	enum table_status status;
	char why[CFI_WHY_LENGTH];
};

static void build_deinit(struct table_build *build)
{
	table_writer_deinit(&build->writer);
	cfi_fdes_deinit(&build->fdes);
	segments_deinit(&build->segments);
	cfi_debug_frame_close(&build->debug_frame);
	if (build->eh_cfi)
		dwarf_cfi_end(build->eh_cfi);
	elf_end(build->elf);
}

static struct error *build_refuse(struct table_build *build, enum table_status status, const char *why)
{
	build->status = status;
	snprintf(build->why, sizeof(build->why), "%s", why ? why : "unknown");
	return NULL;
}

/* What the module's bytes are to blame for becomes a status; the rest stays an error. */
static struct error *build_blame(struct table_build *build, struct error *error)
{
	if (!error || error_get_code(error) != ERROR_BAD_FILE)
		return error;
	build_refuse(build, TABLE_BAD, error_get_message(error));
	error_destroy(error);
	return NULL;
}

/* ---- rows ---- */

static struct error *append_rows(struct table_build *build, const struct cfi_fde *fde, uint64_t begin,
				 uint64_t end, const struct cfi_rule *rule)
{
	while (begin < end) {
		uint64_t rule_end;
		struct unwind_rule plain = cfi_rule_at(rule, begin, &rule_end);
		struct error *error;

		if (rule->is_plt && !build->plt_rows_left) {
			plain = rule_unsupported;
			rule_end = end;
		} else if (rule->is_plt) {
			build->plt_rows_left--;
		}
		if (plain.cfa == UNWIND_UNSUPPORTED)
			build->figures.unsupported_rows++;
		error = table_writer_append(&build->writer, fde->offset + (begin - fde->address), &plain);
		if (error)
			return error;
		begin = rule_end;
	}
	return NULL;
}

/* One row of libdw, from begin on. *ret_end: where the next one begins; begin itself when libdw has none. */
static struct error *append_frame(struct table_build *build, const struct cfi_fde *fde, uint64_t begin,
				  uint64_t *ret_end)
{
	_cleanup_free_ Dwarf_Frame *frame = NULL;
	Dwarf_CFI *cfi = fde->is_debug_frame ? build->debug_frame.cfi : build->eh_cfi;
	uint64_t fde_end = fde->address + fde->length;
	Dwarf_Addr frame_begin, frame_end;
	struct cfi_rule rule;
	bool is_signal;

	*ret_end = begin;
	if (dwarf_cfi_addrframe(cfi, begin, &frame))
		return NULL;
	dwarf_frame_info(frame, &frame_begin, &frame_end, &is_signal);
	if (frame_begin > begin || frame_end <= begin)
		return NULL;
	*ret_end = frame_end < fde_end ? frame_end : fde_end;
	rule = cfi_rule_from_frame(frame);
	build->wants_rbx |= cfi_rule_needs_rbx(&rule);
	if (build->tracks_rbx)
		cfi_rule_track_rbx(frame, &rule);
	return append_rows(build, fde, begin, *ret_end, &rule);
}

static struct error *append_fde(struct table_build *build, const struct cfi_fde *fde)
{
	uint64_t fde_end = fde->address + fde->length;
	uint64_t next = fde->address;
	struct error *error = NULL;

	if (fde->is_root) {
		error = table_writer_append(&build->writer, fde->offset, &rule_root);
		next = fde_end;
	}
	if (error)
		return error;
	for (uint64_t at = next; at < fde_end; at = next) {
		uint64_t cost = fde->program_bytes + 1;

		if (build->work_left < cost || !build->rows_left) {
			static const struct cfi_rule refused = {.rule = {.cfa = UNWIND_UNSUPPORTED}};

			error = append_rows(build, fde, at, fde_end, &refused);
			if (error)
				return error;
			break;
		}
		build->work_left -= cost;
		build->rows_left--;
		error = append_frame(build, fde, at, &next);
		if (error)
			return error;
		if (next <= at) {
			build->figures.refused_fdes++;
			return table_writer_append(&build->writer, fde->offset + (at - fde->address),
						   &rule_gap);
		}
	}
	return table_writer_append(&build->writer, fde->offset + fde->length, &rule_gap);
}

static struct error *build_rows_once(struct table_build *build)
{
	uint64_t section_bytes = build->debug_frame.worth_bytes;
	struct error *error = table_writer_init(&build->writer);

	if (build->eh_frame.data)
		section_bytes += build->eh_frame.data->d_size;
	build->work_left = WORK_BYTES_MIN + WORK_BYTES_PER_SECTION_BYTE * section_bytes;
	build->rows_left = ROWS_PER_SECTION_BYTE * section_bytes;
	build->plt_rows_left = 2 * PLT_SLOTS_MAX;
	for (size_t i = 0; !error && i < build->fdes.list.count; i++)
		error = append_fde(build, &build->fdes.list.items[i]);
	return error;
}

/* Anew where rbx is wanted: hardly any module but the dynamic linker. */
static struct error *build_rows(struct table_build *build)
{
	struct cfi_figures figures = build->figures;
	struct error *error = build_rows_once(build);

	if (!error && build->wants_rbx) {
		table_writer_deinit(&build->writer);
		build->figures = figures;
		build->tracks_rbx = true;
		error = build_rows_once(build);
	}
	return build_blame(build, error);
}

/* ---- the module ---- */

static bool is_our_machine(Elf *elf)
{
	GElf_Ehdr header;

	return elf_kind(elf) == ELF_K_ELF && gelf_getehdr(elf, &header) && header.e_machine == EM_X86_64 &&
	       header.e_ident[EI_CLASS] == ELFCLASS64 && header.e_ident[EI_DATA] == ELFDATA2LSB &&
	       (header.e_type == ET_EXEC || header.e_type == ET_DYN);
}

/* TABLE_OK: it covers something. */
static struct error *open_eh_frame(struct table_build *build)
{
	const char *why;
	enum table_status status = cfi_section_find(build->elf, &build->segments, &build->eh_frame, &why);
	struct error *error;

	if (status == TABLE_OK) {
		build->eh_cfi = dwarf_getcfi_elf(build->elf);
		why = build->eh_cfi ? NULL : dwarf_errmsg(-1);
	}
	if (!build->eh_cfi) {
		build->eh_frame.data = NULL;
		return build_refuse(build, status == TABLE_OK ? TABLE_BAD : status, why);
	}
	error = cfi_fdes_init((const unsigned char *)elf_getident(build->elf, NULL), &build->eh_frame,
			      &build->segments, &build->fdes);
	if (error || build->fdes.list.count)
		return error;
	if (build->fdes.is_cut || build->fdes.refused)
		return build_refuse(build, TABLE_BAD, "its .eh_frame is damaged");
	return build_refuse(build, TABLE_NO_EH_FRAME, "its .eh_frame covers no code");
}

/* Where the .eh_frame speaks, it is right; the .debug_frame, which is not loaded, speaks of the rest. */
static struct error *open_debug_frame(struct table_build *build)
{
	struct cfi_fdes fdes = {0};
	struct error *error = cfi_debug_frame_open(build->elf, &build->debug_frame);

	if (error || !build->debug_frame.cfi)
		return error;
	error = cfi_fdes_init((const unsigned char *)elf_getident(build->elf, NULL),
			      &build->debug_frame.section, &build->segments, &fdes);
	if (!error)
		error = cfi_fdes_merge(&build->fdes, &fdes);
	cfi_fdes_deinit(&fdes);
	if (error || !build->fdes.list.count)
		return error;
	build->status = TABLE_OK;
	*build->why = '\0';
	return NULL;
}

/* Go's table says which functions a stack begins with: those of its threads (runtime.mstart), whose frame
 * pointer is another thread's, and of goroutines. Everything else of Go is left by frame pointers. */
static struct error *add_go_roots(struct table_build *build)
{
	struct pclntab_function function;
	struct error *error = NULL;
	struct pclntab table = {0};

	if (!elf_has_section(build->elf, ".gopclntab") &&
	    !elf_has_section(build->elf, ".data.rel.ro.gopclntab"))
		return NULL;
	pclntab_section_find(build->elf, &build->segments, &table);
	for (uint64_t number = 0; !error && pclntab_next_root(&table, &number, &function);)
		error = cfi_fdes_add_root(&build->fdes, &build->segments, function.start,
					  function.end - function.start);
	if (error || build->status != TABLE_NO_EH_FRAME || !build->fdes.list.count)
		return error;
	build->status = TABLE_OK;
	*build->why = '\0';
	return NULL;
}

static struct error *build_open(struct table_build *build, int module_fd)
{
	struct error *error;
	GElf_Ehdr header;

	elf_version(EV_CURRENT);
	build->elf = elf_begin(module_fd, ELF_C_READ_MMAP, NULL);
	if (!build->elf)
		return build_refuse(build, TABLE_BAD, elf_errmsg(-1));
	if (!is_our_machine(build->elf))
		return build_refuse(build, TABLE_BAD, "it is no ELF module for x86-64");
	error = segments_init(build->elf, &build->segments);
	if (error)
		return build_blame(build, error);
	error = open_eh_frame(build);
	if (!error)
		error = open_debug_frame(build);
	if (!error)
		error = add_go_roots(build);
	if (!error && build->status == TABLE_OK && gelf_getehdr(build->elf, &header) && header.e_entry)
		error = cfi_fdes_add_entry(&build->fdes, &build->segments, header.e_entry);
	build->figures.fdes = build->fdes.list.count;
	build->figures.refused_fdes = build->fdes.refused;
	return error;
}

static void build_count(struct table_build *build, uint32_t words)
{
	build->figures.refused_rules = build->writer.refused_rules;
	build->figures.rows = (uint32_t)build->writer.rows.count;
	build->figures.rules = (uint32_t)build->writer.rules.count;
	build->figures.words = words;
}

struct error *cfi_build_table(int module_fd, int *ret_memfd, enum table_status *ret_status,
			      char ret_why[CFI_WHY_LENGTH], struct cfi_figures *ret_figures)
{
	_cleanup_(build_deinit) struct table_build build = {.status = TABLE_OK};
	struct error *error = build_open(&build, module_fd);
	uint32_t words = 0;
	int memfd = -1;

	if (!error && build.status == TABLE_OK)
		error = build_rows(&build);
	if (!error && build.status == TABLE_OK) {
		error = build_blame(&build, table_writer_finish(&build.writer, &memfd, &words));
		build_count(&build, words);
	}
	if (error)
		return error;
	*ret_memfd = memfd;
	*ret_status = build.status;
	memcpy(ret_why, build.why, CFI_WHY_LENGTH);
	if (ret_figures)
		*ret_figures = build.figures;
	return NULL;
}
