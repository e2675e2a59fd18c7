#include "symbolizer/cfi_section.h"

#include "symbolizer/cfi_pointer.h"

#include <gelf.h>
#include <string.h>

static enum table_status section_use(Elf_Scn *section, const GElf_Shdr *header, struct cfi_section *ret,
				     const char **ret_why)
{
	*ret_why = "its .eh_frame has no bytes in the file";
	if (header->sh_type == SHT_NOBITS || !header->sh_size)
		return TABLE_NO_EH_FRAME; /* so in files that hold debug information only */
	*ret_why = "its .eh_frame is compressed";
	if (header->sh_flags & SHF_COMPRESSED)
		return TABLE_BAD;
	*ret_why = "its .eh_frame lies outside of the file";
	ret->data = elf_rawdata(section, NULL);
	ret->address = header->sh_addr;
	if (!ret->data || !ret->data->d_buf || !ret->data->d_size)
		return TABLE_BAD;
	return TABLE_OK;
}

/* Without section headers: .eh_frame_hdr, which PT_GNU_EH_FRAME names, says where .eh_frame begins. Where it
 * ends is not said: at its terminator, at the latest with its segment. */
static enum table_status segment_use(Elf *elf, const struct segments *segments, const GElf_Phdr *header,
				     struct cfi_section *ret, const char **ret_why)
{
	struct cfi_pointer_input input;
	const struct segment *segment;
	Elf_Data *data;
	uint64_t begin;

	*ret_why = "its PT_GNU_EH_FRAME is damaged";
	data = elf_getdata_rawchunk(elf, (int64_t)header->p_offset, header->p_filesz, ELF_T_BYTE);
	if (!data || !data->d_buf || data->d_size < 4 || *(uint8_t *)data->d_buf != 1)
		return TABLE_BAD;
	input = (struct cfi_pointer_input){
		.at = (const uint8_t *)data->d_buf + 4,
		.end = (const uint8_t *)data->d_buf + data->d_size,
		.address = header->p_vaddr + 4,
	};
	if (!cfi_pointer_read(&input, ((const uint8_t *)data->d_buf)[1], &ret->address))
		return TABLE_BAD;
	segment = segments_find_address(segments, ret->address);
	if (!segment)
		return TABLE_BAD;
	begin = ret->address - segment->address;
	ret->data = elf_getdata_rawchunk(elf, (int64_t)(segment->offset + begin), segment->length - begin,
					 ELF_T_BYTE);
	if (!ret->data || !ret->data->d_buf || !ret->data->d_size)
		return TABLE_BAD;
	return TABLE_OK;
}

enum table_status cfi_section_find(Elf *elf, const struct segments *segments, struct cfi_section *ret,
				   const char **ret_why)
{
	size_t names, header_count;
	Elf_Scn *section = NULL;

	*ret = (struct cfi_section){0};
	if (!elf_getshdrstrndx(elf, &names)) {
		while ((section = elf_nextscn(elf, section))) {
			GElf_Shdr header;
			const char *name;

			if (!gelf_getshdr(section, &header))
				continue;
			name = elf_strptr(elf, names, header.sh_name);
			if (name && !strcmp(name, ".eh_frame"))
				return section_use(section, &header, ret, ret_why);
		}
	}
	if (elf_getphdrnum(elf, &header_count))
		header_count = 0;
	for (size_t i = 0; i < header_count; i++) {
		GElf_Phdr header;

		if (gelf_getphdr(elf, (int)i, &header) && header.p_type == PT_GNU_EH_FRAME)
			return segment_use(elf, segments, &header, ret, ret_why);
	}
	*ret_why = "it has no .eh_frame";
	return TABLE_NO_EH_FRAME;
}
