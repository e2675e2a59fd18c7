/* All FDEs are read at once, in one pass without their instructions. The binary search table of .eh_frame_hdr
 * would save that pass, but it is optional, and its order is the file's word. */
#include "symbolizer/fde.h"

struct error *fde_read_list(Elf *elf, const struct segments *segments, struct cfi_fdes *ret)
{
	const unsigned char *elf_ident = (const unsigned char *)elf_getident(elf, NULL);
	struct cfi_section section;
	const char *why;

	*ret = (struct cfi_fdes){0};
	if (!elf_ident || cfi_section_find(elf, segments, &section, &why) != TABLE_OK)
		return NULL;
	return cfi_fdes_init(elf_ident, &section, segments, ret);
}

const struct cfi_fde *fde_find_offset(const struct cfi_fdes *fdes, uint64_t offset)
{
	size_t low = 0, high = fdes->list.count;
	const struct cfi_fde *fde;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (fdes->list.items[middle].offset <= offset)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return NULL;
	fde = &fdes->list.items[low - 1];
	return offset - fde->offset < fde->length ? fde : NULL;
}
