#include "symbolizer/cfi_debug_frame.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

/* The image: ELF header, three section headers, their names, the section. */
static const char image_names[] = "\0.debug_frame\0.shstrtab";
#define NAME_OF_FRAME 1
#define NAME_OF_NAMES 14

enum { SECTION_NONE, SECTION_FRAME, SECTION_NAMES, SECTIONS };

struct image_head {
	Elf64_Ehdr header;
	Elf64_Shdr sections[SECTIONS];
	char names[sizeof(image_names)];
};

#define IMAGE_FRAME_AT ((sizeof(struct image_head) + 15) & ~15ul)

static void fill_head(struct image_head *head, size_t frame_bytes)
{
	*head = (struct image_head){
		.header = {.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB,
				       EV_CURRENT},
			   .e_type = ET_DYN,
			   .e_machine = EM_X86_64,
			   .e_version = EV_CURRENT,
			   .e_shoff = offsetof(struct image_head, sections),
			   .e_ehsize = sizeof(Elf64_Ehdr),
			   .e_shentsize = sizeof(Elf64_Shdr),
			   .e_shnum = SECTIONS,
			   .e_shstrndx = SECTION_NAMES},
	};
	head->sections[SECTION_FRAME] = (Elf64_Shdr){.sh_name = NAME_OF_FRAME,
						     .sh_type = SHT_PROGBITS,
						     .sh_offset = IMAGE_FRAME_AT,
						     .sh_size = frame_bytes,
						     .sh_addralign = 1};
	head->sections[SECTION_NAMES] = (Elf64_Shdr){.sh_name = NAME_OF_NAMES,
						     .sh_type = SHT_STRTAB,
						     .sh_offset = offsetof(struct image_head, names),
						     .sh_size = sizeof(image_names),
						     .sh_addralign = 1};
	memcpy(head->names, image_names, sizeof(image_names));
}

static struct error *image_open(struct cfi_debug_frame *frame, const Elf_Data *data)
{
	frame->image = malloc(IMAGE_FRAME_AT + data->d_size);
	if (!frame->image)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory for a .debug_frame");
	fill_head((struct image_head *)frame->image, data->d_size);
	memcpy(frame->image + IMAGE_FRAME_AT, data->d_buf, data->d_size);
	frame->elf = elf_memory((char *)frame->image, IMAGE_FRAME_AT + data->d_size);
	frame->dwarf = frame->elf ? dwarf_begin_elf(frame->elf, DWARF_C_READ, NULL) : NULL;
	frame->section.data = frame->elf ? elf_rawdata(elf_getscn(frame->elf, SECTION_FRAME), NULL) : NULL;
	frame->section.is_debug_frame = true;
	if (frame->dwarf && frame->section.data)
		frame->cfi = dwarf_getcfi(frame->dwarf);
	return NULL;
}

/* false: it is in a compression that libelf does not know, or claims to be too large. */
static bool inflate(Elf_Scn *section, const GElf_Shdr *header, bool is_gnu)
{
	GElf_Chdr compression;

	if (is_gnu) {
		/* Old style: "ZLIB", then the size in 8 bytes, the highest first. */
		Elf_Data *data = elf_rawdata(section, NULL);
		uint64_t size;

		if (!data || data->d_size < 12 || memcmp(data->d_buf, "ZLIB", 4))
			return false;
		memcpy(&size, (const char *)data->d_buf + 4, sizeof(size));
		return __builtin_bswap64(size) <= DEBUG_FRAME_BYTES_MAX &&
		       elf_compress_gnu(section, 0, 0) == 1;
	}
	if (!(header->sh_flags & SHF_COMPRESSED))
		return true;
	return gelf_getchdr(section, &compression) && compression.ch_size <= DEBUG_FRAME_BYTES_MAX &&
	       elf_compress(section, 0, 0) == 1;
}

static Elf_Scn *find_section(Elf *module, GElf_Shdr *ret_header, bool *ret_is_gnu)
{
	Elf_Scn *section = NULL;
	size_t names;

	if (elf_getshdrstrndx(module, &names))
		return NULL;
	while ((section = elf_nextscn(module, section))) {
		const char *name;

		if (!gelf_getshdr(section, ret_header))
			continue;
		name = elf_strptr(module, names, ret_header->sh_name);
		*ret_is_gnu = name && !strcmp(name, ".zdebug_frame");
		if (*ret_is_gnu || (name && !strcmp(name, ".debug_frame")))
			return section;
	}
	return NULL;
}

struct error *cfi_debug_frame_open(Elf *module, struct cfi_debug_frame *ret)
{
	GElf_Shdr header;
	bool is_gnu = false;
	Elf_Scn *section = find_section(module, &header, &is_gnu);
	Elf_Data *data;

	*ret = (struct cfi_debug_frame){0};
	if (!section || header.sh_type == SHT_NOBITS || !inflate(section, &header, is_gnu))
		return NULL;
	data = elf_rawdata(section, NULL);
	if (!data || !data->d_buf || !data->d_size || data->d_size > DEBUG_FRAME_BYTES_MAX)
		return NULL;
	ret->worth_bytes = data->d_size;
	if (ret->worth_bytes / DEBUG_FRAME_INFLATION_MAX > header.sh_size)
		ret->worth_bytes = header.sh_size * DEBUG_FRAME_INFLATION_MAX;
	return image_open(ret, data);
}

void cfi_debug_frame_close(struct cfi_debug_frame *frame)
{
	if (frame->dwarf)
		dwarf_end(frame->dwarf);
	elf_end(frame->elf);
	free(frame->image);
	*frame = (struct cfi_debug_frame){0};
}
