/* Places of the table, in order of preference:
 * 1. .gopclntab, or .data.rel.ro.gopclntab (position-independent programs of Go's own linker),
 * 2. somewhere in .data.rel.ro, where the system's linker puts the latter; known by its first bytes,
 * 3. somewhere in the segments of a file without section headers. */
#include "symbolizer/pclntab_section.h"

#include "symbolizer/elf.h"

#include <gelf.h>
#include <string.h>

/* In Go 1.26's runtime.moduledata, which .go.module begins with (runtime/symtab.go). */
#define MODULE_TABLE 0
#define MODULE_TEXT  176

struct search {
	Elf *elf;
	const struct segments *segments;
	struct pclntab table;
	uint64_t address; /* of the table */
};

static bool get_section(Elf *elf, const char *name, GElf_Shdr *ret)
{
	Elf_Scn *section = elf_find_section(elf, name);

	return section && gelf_getshdr(section, ret) && !(ret->sh_flags & SHF_COMPRESSED);
}

/* NULL: not in the file. In place: libelf copies no bytes of a mapped file. */
static const uint8_t *get_bytes(Elf *elf, uint64_t offset, uint64_t length)
{
	Elf_Data *data;

	if (offset > INT64_MAX || !length)
		return NULL;
	data = elf_getdata_rawchunk(elf, (int64_t)offset, length, ELF_T_BYTE);
	return data && data->d_size == length ? data->d_buf : NULL;
}

/* ---- words of the loaded program ---- */

static bool read_file_word(const struct search *search, uint64_t address, uint64_t *ret)
{
	const uint8_t *bytes;
	uint64_t offset;

	if (!segments_to_offset(search->segments, address, &offset))
		return false;
	bytes = get_bytes(search->elf, offset, sizeof(*ret));
	if (bytes)
		memcpy(ret, bytes, sizeof(*ret));
	return bytes;
}

/* The program's relocations with addends, as the dynamic linker finds them. */
static const uint8_t *get_relocations(const struct search *search, const GElf_Phdr *header, size_t *ret_count)
{
	const uint8_t *dynamic = get_bytes(search->elf, header->p_offset, header->p_filesz);
	const struct segment *segment;
	uint64_t address = 0, length = 0, inside;

	for (uint64_t i = 0; dynamic && i < header->p_filesz / sizeof(Elf64_Dyn); i++) {
		Elf64_Dyn entry;

		memcpy(&entry, dynamic + i * sizeof(entry), sizeof(entry));
		if (entry.d_tag == DT_NULL)
			break;
		if (entry.d_tag == DT_RELA)
			address = entry.d_un.d_ptr;
		if (entry.d_tag == DT_RELASZ)
			length = entry.d_un.d_val;
	}
	segment = segments_find_address(search->segments, address);
	if (!segment)
		return NULL;
	inside = address - segment->address;
	if (length > segment->length - inside)
		length = segment->length - inside;
	*ret_count = length / sizeof(Elf64_Rela);
	return get_bytes(search->elf, segment->offset + inside, length);
}

static bool find_relocation(const struct search *search, uint64_t address, uint64_t *ret)
{
	const uint8_t *relocations = NULL;
	size_t headers, count = 0;

	if (elf_getphdrnum(search->elf, &headers))
		return false;
	for (size_t i = 0; i < headers; i++) {
		GElf_Phdr header;

		if (gelf_getphdr(search->elf, (int)i, &header) && header.p_type == PT_DYNAMIC) {
			relocations = get_relocations(search, &header, &count);
			break;
		}
	}
	for (size_t i = 0; relocations && i < count; i++) {
		Elf64_Rela entry;

		memcpy(&entry, relocations + i * sizeof(entry), sizeof(entry));
		if (entry.r_offset == address && ELF64_R_TYPE(entry.r_info) == R_X86_64_RELATIVE) {
			*ret = (uint64_t)entry.r_addend;
			return true;
		}
	}
	return false;
}

/* Linkers leave 0 where the dynamic linker will write, or the address all the same. */
static bool read_address(const struct search *search, uint64_t address, uint64_t *ret)
{
	return (read_file_word(search, address, ret) && *ret) || find_relocation(search, address, ret);
}

/* ---- the table ---- */

static bool read_text_start(struct search *search)
{
	uint64_t table, *text = &search->table.text_start;
	GElf_Shdr module;

	if (find_relocation(search, search->address + PCLNTAB_TEXT_START, text) && *text)
		return true;
	return get_section(search->elf, ".go.module", &module) &&
	       read_address(search, module.sh_addr + MODULE_TABLE, &table) && table == search->address &&
	       read_address(search, module.sh_addr + MODULE_TEXT, text);
}

static bool use_bytes(struct search *search, const uint8_t *data, uint64_t length, uint64_t address)
{
	if (!pclntab_init(data, length, &search->table))
		return false;
	search->address = address;
	return !pclntab_needs_text_start(&search->table) || read_text_start(search);
}

static bool use_section(struct search *search, const char *name)
{
	const uint8_t *bytes;
	GElf_Shdr header;

	if (!get_section(search->elf, name, &header))
		return false;
	bytes = get_bytes(search->elf, header.sh_offset, header.sh_size);
	return bytes && use_bytes(search, bytes, header.sh_size, header.sh_addr);
}

/* The first that is a table. What only begins like one costs no more than its first bytes. */
static bool scan(struct search *search, uint64_t offset, uint64_t length, uint64_t address)
{
	const uint8_t *start = get_bytes(search->elf, offset, length), *at;
	uint64_t done = 1; /* the first byte of the magic goes before */

	while (start && done < length &&
	       (at = memmem(start + done, length - done, PCLNTAB_MAGIC_TAIL, PCLNTAB_MAGIC_TAIL_LENGTH))) {
		uint64_t before = (uint64_t)(at - start) - 1;

		if (pclntab_init(start + before, length - before, &search->table))
			return use_bytes(search, start + before, length - before, address + before);
		done = before + 2;
	}
	return false;
}

static bool scan_section(struct search *search, const char *name)
{
	GElf_Shdr header;

	return get_section(search->elf, name, &header) &&
	       scan(search, header.sh_offset, header.sh_size, header.sh_addr);
}

static bool scan_segments(struct search *search)
{
	for (size_t i = 0; i < search->segments->count; i++) {
		const struct segment *segment = &search->segments->items[i];

		if (scan(search, segment->offset, segment->length, segment->address))
			return true;
	}
	return false;
}

bool pclntab_section_find(Elf *elf, const struct segments *segments, struct pclntab *ret)
{
	struct search search = {.elf = elf, .segments = segments};
	size_t sections;
	bool found;

	if (elf_getshdrnum(elf, &sections) == 0 && !sections)
		found = scan_segments(&search);
	else
		found = elf_is_go(elf) && (use_section(&search, ".gopclntab") ||
					   use_section(&search, ".data.rel.ro.gopclntab") ||
					   scan_section(&search, ".data.rel.ro"));
	if (found)
		*ret = search.table;
	return found;
}
