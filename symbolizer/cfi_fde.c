#include "symbolizer/cfi_fde.h"

/* ld.so's _start and _dl_start_user take 90 bytes. */
#define ENTRY_BYTES_MAX 256

#include "symbolizer/cfi_pointer.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <string.h>

/* Enumerates a section; remembers the CIE of the entry before, which most FDEs share. */
struct fde_reader {
	const unsigned char *elf_ident;
	const struct cfi_section *section;
	const struct segments *segments;
	struct cfi_fdes *fdes;
	Dwarf_Off cie_offset; /* of `encoding`; LIBDW_CIE_ID when there is none yet */
	bool is_cie_good;
	uint8_t encoding;
};

static struct error *out_of_memory(void)
{
	return error_create(ERROR_GENERAL, 0, NULL, "out of memory for the FDEs of a module");
}

/* How the FDEs of this CIE encode their pointers. Letters after an unknown one cannot be read. */
static bool cie_read_encoding(const Dwarf_CIE *cie, uint8_t *ret)
{
	struct cfi_pointer_input input = {
		.at = cie->augmentation_data,
		.end = cie->augmentation_data + cie->augmentation_data_size,
	};
	const char *letter = cie->augmentation;
	uint64_t unused;

	*ret = DW_EH_PE_absptr;
	if (*letter == 'z')
		letter++;
	for (; *letter; letter++) {
		if (*letter == 'S')
			continue;
		if (input.at >= input.end || !strchr("LRP", *letter))
			return false;
		if (*letter == 'R') {
			*ret = *input.at;
			return true;
		}
		if (*letter == 'P') {
			uint8_t personality = *input.at++;

			if (!cfi_pointer_read_length(&input, personality, &unused))
				return false;
		} else {
			input.at++;
		}
	}
	return true;
}

static bool reader_find_encoding(struct fde_reader *reader, Dwarf_Off cie_offset)
{
	Dwarf_CFI_Entry entry;
	Dwarf_Off next;

	if (reader->cie_offset == cie_offset)
		return reader->is_cie_good;
	reader->cie_offset = cie_offset;
	reader->is_cie_good = cie_offset < reader->section->data->d_size &&
			      !dwarf_next_cfi(reader->elf_ident, reader->section->data,
					      !reader->section->is_debug_frame, cie_offset, &next, &entry) &&
			      dwarf_cfi_cie_p(&entry) && cie_read_encoding(&entry.cie, &reader->encoding);
	return reader->is_cie_good;
}

/* false: it could not be decoded. An FDE of code that is not loaded is dropped and fine. */
static bool reader_decode(struct fde_reader *reader, const Dwarf_FDE *entry, struct cfi_fde *ret)
{
	const uint8_t *section_begin = reader->section->data->d_buf;
	struct cfi_pointer_input input = {
		.at = entry->start,
		.end = entry->end,
		.address = reader->section->address + (uint64_t)(entry->start - section_begin),
	};
	uint64_t end;

	if (entry->start > entry->end || !reader_find_encoding(reader, entry->CIE_pointer))
		return false;
	if (!cfi_pointer_read(&input, reader->encoding, &ret->address) ||
	    !cfi_pointer_read_length(&input, reader->encoding, &ret->length))
		return false;
	ret->program_bytes = (uint64_t)(input.end - input.at);
	ret->is_debug_frame = reader->section->is_debug_frame;
	return !__builtin_add_overflow(ret->address, ret->length, &end);
}

static struct error *reader_append(struct fde_reader *reader, struct cfi_fde *fde)
{
	const struct segment *segment = segments_find_address(reader->segments, fde->address);
	uint64_t inside;

	if (!segment || !segment->executable || !fde->length)
		return NULL;
	/* A linker that drops a function leaves its FDE in .debug_frame, at address 0. */
	if (fde->is_debug_frame && !fde->address)
		return NULL;
	inside = fde->address - segment->address;
	if (fde->length > segment->length - inside)
		fde->length = segment->length - inside;
	fde->offset = segment->offset + inside;
	if (!array_append(&reader->fdes->list, *fde))
		return out_of_memory();
	return NULL;
}

/* A length of zero ends an .eh_frame; what follows is something else (LSB Core, "The .eh_frame section"). */
static bool is_terminator(const struct cfi_section *section, Dwarf_Off offset)
{
	const Elf_Data *data = section->data;
	uint32_t length;

	if (data->d_size - offset < sizeof(length))
		return true; /* libdw takes nothing so short either */
	memcpy(&length, (const uint8_t *)data->d_buf + offset, sizeof(length));
	return !length && !section->is_debug_frame;
}

static struct error *reader_run(struct fde_reader *reader)
{
	Elf_Data *data = reader->section->data;
	Dwarf_Off offset = 0;

	while (offset < data->d_size && !is_terminator(reader->section, offset)) {
		Dwarf_Off next = offset;
		Dwarf_CFI_Entry entry;
		struct cfi_fde fde = {0};
		struct error *error = NULL;
		int result = dwarf_next_cfi(reader->elf_ident, data, !reader->section->is_debug_frame, offset,
					    &next, &entry);

		if (next <= offset || next > data->d_size) {
			reader->fdes->is_cut = true;
			break;
		}
		offset = next;
		if (result || (!dwarf_cfi_cie_p(&entry) && !reader_decode(reader, &entry.fde, &fde)))
			reader->fdes->refused++;
		else if (!dwarf_cfi_cie_p(&entry))
			error = reader_append(reader, &fde);
		if (error)
			return error;
	}
	return NULL;
}

/* Of several that begin at one place the longest comes last, and stays. */
static int fde_compare(const void *left, const void *right)
{
	const struct cfi_fde *a = left, *b = right;

	if (a->offset != b->offset)
		return a->offset < b->offset ? -1 : 1;
	if (a->length != b->length)
		return a->length < b->length ? -1 : 1;
	return 0;
}

static void fdes_sort(struct cfi_fdes *fdes)
{
	size_t kept = 0;

	if (fdes->list.count)
		qsort(fdes->list.items, fdes->list.count, sizeof(*fdes->list.items), fde_compare);
	for (size_t i = 0; i < fdes->list.count; i++) {
		struct cfi_fde fde = fdes->list.items[i];

		if (i + 1 < fdes->list.count && fdes->list.items[i + 1].offset - fde.offset < fde.length)
			fde.length = fdes->list.items[i + 1].offset - fde.offset;
		if (fde.length)
			fdes->list.items[kept++] = fde;
	}
	fdes->list.count = kept;
}

struct error *cfi_fdes_init(const unsigned char *elf_ident, const struct cfi_section *section,
			    const struct segments *segments, struct cfi_fdes *ret)
{
	struct cfi_fdes fdes = {0};
	struct fde_reader reader = {
		.elf_ident = elf_ident,
		.section = section,
		.segments = segments,
		.fdes = &fdes,
		.cie_offset = LIBDW_CIE_ID,
	};
	struct error *error = reader_run(&reader);

	if (error) {
		cfi_fdes_deinit(&fdes);
		return error;
	}
	fdes_sort(&fdes);
	*ret = fdes;
	return NULL;
}

/* ---- two sections ---- */

static bool append_piece(struct cfi_fdes *fdes, const struct cfi_fde *fde, uint64_t begin, uint64_t end)
{
	struct cfi_fde piece = *fde;

	piece.offset = begin;
	piece.address += begin - fde->offset;
	piece.length = end - begin;
	return begin >= end || array_append(&fdes->list, piece);
}

/* The parts of an FDE that lie between the FDEs from *at on, which *at then has passed. */
static bool append_uncovered(struct cfi_fdes *merged, const struct cfi_fde *fde, const struct cfi_fdes *cover,
			     size_t *at)
{
	uint64_t begin = fde->offset, end = fde->offset + fde->length;

	for (; *at < cover->list.count && begin < end; ++*at) {
		const struct cfi_fde *covered = &cover->list.items[*at];
		uint64_t covered_end = covered->offset + covered->length;

		if (covered->offset >= end)
			break;
		if (!append_piece(merged, fde, begin, covered->offset))
			return false;
		if (covered_end > begin)
			begin = covered_end;
		if (covered_end > end)
			break; /* it may cover the next one, too */
	}
	return append_piece(merged, fde, begin, end);
}

struct error *cfi_fdes_merge(struct cfi_fdes *fdes, const struct cfi_fdes *others)
{
	struct cfi_fdes merged = {.refused = fdes->refused + others->refused,
				  .is_cut = fdes->is_cut || others->is_cut};
	bool is_good = true;
	size_t at = 0;

	for (size_t i = 0; is_good && i < others->list.count; i++)
		is_good = append_uncovered(&merged, &others->list.items[i], fdes, &at);
	for (size_t i = 0; is_good && i < fdes->list.count; i++)
		is_good = array_append(&merged.list, fdes->list.items[i]);
	if (!is_good) {
		cfi_fdes_deinit(&merged);
		return out_of_memory();
	}
	if (merged.list.count)
		qsort(merged.list.items, merged.list.count, sizeof(*merged.list.items), fde_compare);
	cfi_fdes_deinit(fdes);
	*fdes = merged;
	return NULL;
}

/* The first whose end lies behind the offset. */
static size_t find_behind(const struct cfi_fdes *fdes, uint64_t offset)
{
	size_t low = 0, high = fdes->list.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct cfi_fde *fde = &fdes->list.items[middle];

		if (fde->offset + fde->length > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

struct error *cfi_fdes_add_root(struct cfi_fdes *fdes, const struct segments *segments, uint64_t start,
				uint64_t length)
{
	const struct segment *segment = segments_find_address(segments, start);
	struct cfi_fde added = {.address = start, .length = length, .is_root = true};
	size_t at;

	if (!segment || !segment->executable || !length)
		return NULL;
	added.offset = start - segment->address + segment->offset;
	at = find_behind(fdes, added.offset);
	if (at < fdes->list.count && fdes->list.items[at].offset <= added.offset)
		return NULL;
	if (added.length > segment->address + segment->length - start)
		added.length = segment->address + segment->length - start;
	if (at < fdes->list.count && fdes->list.items[at].offset - added.offset < added.length)
		added.length = fdes->list.items[at].offset - added.offset;
	if (!array_append(&fdes->list, added))
		return out_of_memory();
	memmove(&fdes->list.items[at + 1], &fdes->list.items[at],
		(fdes->list.count - 1 - at) * sizeof(added));
	fdes->list.items[at] = added;
	return NULL;
}

struct error *cfi_fdes_add_entry(struct cfi_fdes *fdes, const struct segments *segments, uint64_t entry)
{
	return cfi_fdes_add_root(fdes, segments, entry, ENTRY_BYTES_MAX);
}

void cfi_fdes_deinit(struct cfi_fdes *fdes)
{
	array_deinit(&fdes->list);
}
