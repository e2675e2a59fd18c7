#include "symbolizer/segments.h"

#include <gelf.h>
#include <stdlib.h>

/* The kernel refuses to execute a file with more than 64 KiB of program headers (fs/binfmt_elf.c,
 * load_elf_phdrs); what has more is no real module, and would make every lookup slow. */
#define SEGMENTS_HEADERS_MAX (65536 / sizeof(Elf64_Phdr))

static bool segment_read(const GElf_Phdr *header, struct segment *ret)
{
	uint64_t end;

	if (header->p_type != PT_LOAD || !header->p_filesz)
		return false;
	if (__builtin_add_overflow(header->p_offset, header->p_filesz, &end) ||
	    __builtin_add_overflow(header->p_vaddr, header->p_filesz, &end))
		return false;
	*ret = (struct segment){
		.offset = header->p_offset,
		.address = header->p_vaddr,
		.length = header->p_filesz,
		.executable = header->p_flags & PF_X,
	};
	return true;
}

static void segments_append(Elf *elf, size_t header_count, bool executable, struct segments *segments)
{
	for (size_t i = 0; i < header_count; i++) {
		struct segment segment;
		GElf_Phdr header;

		if (!gelf_getphdr(elf, (int)i, &header) || !segment_read(&header, &segment))
			continue;
		if (segment.executable == executable)
			segments->items[segments->count++] = segment;
	}
}

struct error *segments_init(Elf *elf, struct segments *ret)
{
	struct segments segments = {0};
	size_t header_count;

	if (elf_getphdrnum(elf, &header_count))
		return error_create(ERROR_BAD_FILE, 0, NULL, "program headers: %s", elf_errmsg(-1));
	if (header_count > SEGMENTS_HEADERS_MAX)
		return error_create(ERROR_BAD_FILE, 0, NULL, "%zu program headers", header_count);
	segments.items = calloc(header_count ? header_count : 1, sizeof(*segments.items));
	if (!segments.items)
		return error_create(ERROR_GENERAL, 0, NULL, "out of memory");
	segments_append(elf, header_count, true, &segments);
	segments_append(elf, header_count, false, &segments);
	*ret = segments;
	return NULL;
}

void segments_deinit(struct segments *segments)
{
	free(segments->items);
	*segments = (struct segments){0};
}

const struct segment *segments_find_address(const struct segments *segments, uint64_t address)
{
	for (size_t i = 0; i < segments->count; i++) {
		const struct segment *segment = &segments->items[i];

		if (address >= segment->address && address - segment->address < segment->length)
			return segment;
	}
	return NULL;
}

const struct segment *segments_find_offset(const struct segments *segments, uint64_t offset)
{
	for (size_t i = 0; i < segments->count; i++) {
		const struct segment *segment = &segments->items[i];

		if (offset >= segment->offset && offset - segment->offset < segment->length)
			return segment;
	}
	return NULL;
}

bool segments_to_offset(const struct segments *segments, uint64_t address, uint64_t *ret)
{
	const struct segment *segment = segments_find_address(segments, address);

	if (!segment)
		return false;
	*ret = segment->offset + (address - segment->address);
	return true;
}

bool segments_to_address(const struct segments *segments, uint64_t offset, uint64_t *ret)
{
	const struct segment *segment = segments_find_offset(segments, offset);

	if (!segment)
		return false;
	*ret = segment->address + (offset - segment->offset);
	return true;
}
