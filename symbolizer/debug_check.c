#include "symbolizer/debug_check.h"

#include "symbolizer/elf.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <lzma.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What all sections of one file may unpack to, and how much more for each packed byte: real debug information
 * packs to a third or a fifth, a bomb to a thousandth. */
#define UNPACKED_BASE	(128ull << 20)
#define UNPACKED_FACTOR 16
#define UNPACKED_MAX	(2ull << 30)

#define CRC_BYTES_MAX (4ll << 30) /* a few seconds of reading */
#define CRC_CHUNK     (1u << 20)

struct sums {
	uint64_t packed, unpacked; /* bytes of all packed debug sections */
	const char *why;
};

static bool is_debug_name(const char *name)
{
	return strncmp(name, ".debug_", 7) == 0 || strncmp(name, ".zdebug_", 8) == 0;
}

static void add_sizes(struct sums *sums, uint64_t packed, uint64_t unpacked)
{
	if (__builtin_add_overflow(sums->packed, packed, &sums->packed) ||
	    __builtin_add_overflow(sums->unpacked, unpacked, &sums->unpacked))
		sums->why = "debug sections of impossible sizes";
}

/* GNU's old way of packing: "ZLIB", then the size in big-endian order. */
static void add_old_packed(struct sums *sums, Elf_Scn *section, uint64_t packed)
{
	Elf_Data *data = elf_rawdata(section, NULL);
	uint64_t size;

	if (!data || !data->d_buf || data->d_size < 12)
		return;
	memcpy(&size, (const char *)data->d_buf + 4, sizeof(size));
	add_sizes(sums, packed, __builtin_bswap64(size));
}

static void add_section(struct sums *sums, Elf_Scn *section, const GElf_Shdr *header, const char *name)
{
	GElf_Chdr packed;

	if (!(header->sh_flags & SHF_COMPRESSED)) {
		if (name[1] == 'z')
			add_old_packed(sums, section, header->sh_size);
	} else if (!gelf_getchdr(section, &packed)) {
		sums->why = "a damaged compressed section";
	} else if (packed.ch_type != ELFCOMPRESS_ZLIB) {
		sums->why = "debug sections are compressed with zstd, which elfutils cannot read";
	} else {
		add_sizes(sums, header->sh_size, packed.ch_size);
	}
}

bool debug_check_is_readable(Elf *elf, const char **ret_why)
{
	struct sums sums = {0};
	Elf_Scn *section = NULL;
	uint64_t limit;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return true; /* no sections, then */
	while ((section = elf_nextscn(elf, section)) && !sums.why) {
		GElf_Shdr header;
		const char *name;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		name = elf_strptr(elf, names, header.sh_name);
		if (name && is_debug_name(name))
			add_section(&sums, section, &header, name);
	}
	limit = sums.packed < UNPACKED_MAX / UNPACKED_FACTOR ? UNPACKED_BASE + UNPACKED_FACTOR * sums.packed
							     : UNPACKED_MAX;
	if (!sums.why && sums.unpacked > limit)
		sums.why = "debug sections that claim to unpack to far more than they can hold";
	if (sums.why)
		*ret_why = sums.why;
	return !sums.why;
}

void debug_check_contents(Elf *elf, struct debug_contents *ret)
{
	*ret = (struct debug_contents){.has_symtab = elf_has_symtab(elf)};
	/* .zdebug_…: GNU's old way to compress sections. */
	ret->has_dwarf = (elf_has_section(elf, ".debug_info") && elf_has_section(elf, ".debug_line")) ||
			 (elf_has_section(elf, ".zdebug_info") && elf_has_section(elf, ".zdebug_line"));
	if (ret->has_dwarf && !debug_check_is_readable(elf, &ret->why))
		ret->has_dwarf = false;
}

bool debug_check_crc(int fd, uint32_t *ret)
{
	unsigned char *chunk;
	uint32_t crc = 0;
	struct stat status;
	ssize_t length;
	off_t at = 0;

	if (fstat(fd, &status) || !S_ISREG(status.st_mode) || status.st_size > CRC_BYTES_MAX)
		return false;
	chunk = malloc(CRC_CHUNK);
	if (!chunk)
		return false;
	/* A file that grows meanwhile does not keep us. */
	while (at < status.st_size) {
		length = pread(fd, chunk, CRC_CHUNK, at);
		if (length < 0 && errno == EINTR)
			continue;
		if (length <= 0)
			break;
		crc = lzma_crc32(chunk, (size_t)length, crc);
		at += length;
	}
	free(chunk);
	*ret = crc;
	return at >= status.st_size;
}
