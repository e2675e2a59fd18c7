#include "symbolizer/elf.h"

#include "base/array.h"
#include "symbolizer/ranges.h"

#include <elf.h>
#include <errno.h>
#include <gelf.h>
#include <string.h>

struct symbol {
	uint64_t start;
	uint64_t size; /* 0: unknown */
	const char *name;
	uint32_t length;
	uint32_t section;
	/* Of several symbols at one address the lowest is taken, then symbol_compare_names() decides:
	 * 1. functions before labels without a type, 2. with a size before without, 3. exported before local.
	 */
	uint8_t rank;
};

struct symbols {
	ARRAY(struct symbol)
	items;			      /* sorted by start, one an address */
	struct ranges sized, unsized; /* value: number of the item */
};

struct section {
	uint64_t start, end;
	bool executable;
};

struct reader {
	struct symbols *symbols;
	ARRAY(struct section)
	sections;     /* of both files */
	size_t first; /* the Elf's own section 0 in sections */
	Elf *elf;
	bool strong_first;
};

bool elf_is_supported(Elf *elf, const char **ret_why)
{
	GElf_Ehdr header;

	if (!elf || elf_kind(elf) != ELF_K_ELF || !gelf_getehdr(elf, &header)) {
		*ret_why = "no ELF file";
		return false;
	}
	if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
	    header.e_machine != EM_X86_64) {
		*ret_why = "not an ELF file for x86-64";
		return false;
	}
	return true;
}

/* The next section after `section` that has bytes in the file, and its name. */
static Elf_Scn *next_named(Elf *elf, size_t names, Elf_Scn *section, const char **ret_name)
{
	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;

		if (!gelf_getshdr(section, &header) || header.sh_type == SHT_NOBITS)
			continue;
		*ret_name = elf_strptr(elf, names, header.sh_name);
		if (*ret_name)
			return section;
	}
	return NULL;
}

Elf_Scn *elf_find_section(Elf *elf, const char *name)
{
	Elf_Scn *section = NULL;
	const char *here;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return NULL;
	while ((section = next_named(elf, names, section, &here))) {
		if (strcmp(here, name) == 0)
			return section;
	}
	return NULL;
}

bool elf_has_section(Elf *elf, const char *name)
{
	return elf_find_section(elf, name);
}

/* One of these is in every program of Go: the first two are the same in programs at a fixed address and in
 * position-independent ones (cmd/link, relro); linkers of systems merge the second with others, -buildid= and
 * -buildvcs=false do without the last. */
bool elf_is_go(Elf *elf)
{
	static const char *const known[] = {".gopclntab", ".data.rel.ro.gopclntab", ".go.buildinfo",
					    ".go.module", ".note.go.buildid"};
	Elf_Scn *section = NULL;
	const char *here;
	size_t names;

	if (elf_getshdrstrndx(elf, &names))
		return false;
	while ((section = next_named(elf, names, section, &here))) {
		for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
			if (strcmp(here, known[i]) == 0)
				return true;
		}
	}
	return false;
}

bool elf_has_symtab(Elf *elf)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;

		if (gelf_getshdr(section, &header) && header.sh_type == SHT_SYMTAB &&
		    header.sh_size > sizeof(Elf64_Sym))
			return true;
	}
	return false;
}

static size_t find_build_id(Elf_Data *data, uint8_t ret[BUILD_ID_MAX])
{
	size_t offset = 0, name, description;
	GElf_Nhdr note;

	if (!data || !data->d_buf)
		return 0;
	/* gelf_getnote() checks that name and description lie inside the data. */
	while ((offset = gelf_getnote(data, offset, &note, &name, &description)) > 0) {
		size_t length = note.n_descsz < BUILD_ID_MAX ? note.n_descsz : BUILD_ID_MAX;

		if (note.n_type != NT_GNU_BUILD_ID || note.n_namesz != 4 ||
		    memcmp((const char *)data->d_buf + name, "GNU", 4) != 0)
			continue;
		memcpy(ret, (const char *)data->d_buf + description, length);
		return length;
	}
	return 0;
}

size_t elf_read_build_id(Elf *elf, uint8_t ret[BUILD_ID_MAX])
{
	size_t count, length;

	if (elf_getphdrnum(elf, &count))
		return 0;
	for (size_t i = 0; i < count; i++) {
		GElf_Phdr segment;
		Elf_Data *data;

		if (!gelf_getphdr(elf, (int)i, &segment) || segment.p_type != PT_NOTE)
			continue;
		data = elf_getdata_rawchunk(elf, (int64_t)segment.p_offset, segment.p_filesz,
					    segment.p_align == 8 ? ELF_T_NHDR8 : ELF_T_NHDR);
		length = find_build_id(data, ret);
		if (length)
			return length;
	}
	return 0;
}

size_t elf_read_any_build_id(Elf *elf, uint8_t ret[BUILD_ID_MAX])
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(elf, section))) {
		GElf_Shdr header;
		size_t length;

		if (!gelf_getshdr(section, &header) || header.sh_type != SHT_NOTE)
			continue;
		length = find_build_id(elf_getdata(section, NULL), ret);
		if (length)
			return length;
	}
	return elf_read_build_id(elf, ret);
}

int symbol_compare_names(const char *a, size_t a_length, const char *b, size_t b_length)
{
	size_t a_underscores = 0, b_underscores = 0;
	int order;

	while (a_underscores < a_length && a[a_underscores] == '_')
		a_underscores++;
	while (b_underscores < b_length && b[b_underscores] == '_')
		b_underscores++;
	if (a_underscores != b_underscores)
		return a_underscores < b_underscores ? -1 : 1;
	if (a_length != b_length)
		return a_length < b_length ? -1 : 1;
	order = memcmp(a, b, a_length);
	return order;
}

static int compare_symbols(const void *a, const void *b)
{
	const struct symbol *left = a, *right = b;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	if (left->rank != right->rank)
		return left->rank - right->rank;
	return symbol_compare_names(left->name, left->length, right->name, right->length);
}

static bool read_sections(struct reader *reader)
{
	Elf_Scn *section = NULL;

	reader->first = reader->sections.count;
	/* Section 0 is no section. */
	if (!array_append(&reader->sections, (struct section){0}))
		return false;
	while ((section = elf_nextscn(reader->elf, section))) {
		GElf_Shdr header = {0};
		struct section item = {0};

		if (gelf_getshdr(section, &header) && header.sh_addr + header.sh_size >= header.sh_addr &&
		    (header.sh_flags & SHF_ALLOC)) {
			item.start = header.sh_addr;
			item.end = header.sh_addr + header.sh_size;
			item.executable = header.sh_flags & SHF_EXECINSTR;
		}
		if (!array_append(&reader->sections, item))
			return false;
	}
	return true;
}

/* Returns false when the symbol is no code, or outside of its section. */
static bool rank_symbol(const struct reader *reader, const Elf64_Sym *raw, uint8_t *ret)
{
	unsigned type = ELF64_ST_TYPE(raw->st_info), binding = ELF64_ST_BIND(raw->st_info);
	const struct section *section;

	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return false;
	if (raw->st_shndx == SHN_UNDEF || raw->st_shndx >= reader->sections.count - reader->first ||
	    !raw->st_value)
		return false;
	section = &reader->sections.items[reader->first + raw->st_shndx];
	if (!section->executable || raw->st_value < section->start || raw->st_value >= section->end)
		return false;
	*ret = (uint8_t)((type == STT_NOTYPE) << 3 | (raw->st_size == 0) << 2 |
			 (binding == STB_LOCAL ? 2 : binding == STB_WEAK && reader->strong_first));
	return true;
}

static bool add_symbol(struct reader *reader, const Elf64_Sym *raw, const char *strings,
		       size_t strings_length)
{
	struct symbol symbol = {.start = raw->st_value, .section = (uint32_t)reader->first + raw->st_shndx};
	const char *version;

	if (!rank_symbol(reader, raw, &symbol.rank) || raw->st_name >= strings_length)
		return true;
	symbol.name = strings + raw->st_name;
	symbol.length = (uint32_t)strnlen(symbol.name, strings_length - raw->st_name);
	version = memchr(symbol.name, '@', symbol.length);
	if (version && version > symbol.name)
		symbol.length = (uint32_t)(version - symbol.name);
	if (!symbol.length || (symbol.length > 1 && symbol.name[0] == '.' && symbol.name[1] == 'L'))
		return true;
	if (raw->st_value + raw->st_size > raw->st_value)
		symbol.size = raw->st_size;
	return array_append(&reader->symbols->items, symbol);
}

static bool read_table(struct reader *reader, Elf_Scn *section, const GElf_Shdr *header)
{
	Elf_Data *data = elf_getdata(section, NULL);
	Elf_Scn *string_section = elf_getscn(reader->elf, header->sh_link);
	Elf_Data *strings = string_section ? elf_getdata(string_section, NULL) : NULL;
	const Elf64_Sym *raw;
	size_t count;

	if (!data || !data->d_buf || !strings || !strings->d_buf)
		return true;
	raw = data->d_buf;
	count = data->d_size / sizeof(*raw);
	for (size_t i = 1; i < count; i++) {
		if (!add_symbol(reader, &raw[i], strings->d_buf, strings->d_size))
			return false;
	}
	return true;
}

static bool read_tables(struct reader *reader)
{
	Elf_Scn *section = NULL;

	while ((section = elf_nextscn(reader->elf, section))) {
		GElf_Shdr header;

		if (!gelf_getshdr(section, &header) ||
		    (header.sh_type != SHT_SYMTAB && header.sh_type != SHT_DYNSYM))
			continue;
		if (!read_table(reader, section, &header))
			return false;
	}
	return true;
}

/* Keeps the best symbol of each address, with the greatest size that any of them claims. */
static void drop_aliases(struct symbols *symbols)
{
	size_t kept = 0;

	if (symbols->items.count)
		qsort(symbols->items.items, symbols->items.count, sizeof(struct symbol), compare_symbols);
	for (size_t i = 0; i < symbols->items.count; i++) {
		const struct symbol *symbol = &symbols->items.items[i];
		struct symbol *last = kept ? &symbols->items.items[kept - 1] : NULL;

		if (last && last->start == symbol->start) {
			if (last->size < symbol->size)
				last->size = symbol->size;
			continue;
		}
		symbols->items.items[kept++] = *symbol;
	}
	symbols->items.count = kept;
}

static bool index_symbols(struct reader *reader)
{
	struct symbols *symbols = reader->symbols;

	drop_aliases(symbols);
	for (size_t i = 0; i < symbols->items.count; i++) {
		const struct symbol *symbol = &symbols->items.items[i];
		uint64_t end = reader->sections.items[symbol->section].end;

		if (symbol->size) {
			if (!ranges_add(&symbols->sized, symbol->start, symbol->start + symbol->size,
					(uint32_t)i))
				return false;
			continue;
		}
		if (i + 1 < symbols->items.count && symbol[1].start < end)
			end = symbol[1].start;
		if (!ranges_add(&symbols->unsized, symbol->start, end, (uint32_t)i))
			return false;
	}
	return ranges_flatten(&symbols->sized) && ranges_flatten(&symbols->unsized);
}

static bool read_file(struct reader *reader, Elf *elf)
{
	reader->elf = elf;
	return !elf || (read_sections(reader) && read_tables(reader));
}

struct error *symbols_create(Elf *elf, Elf *other, bool strong_first, struct symbols **ret)
{
	struct reader reader = {.strong_first = strong_first, .symbols = calloc(1, sizeof(struct symbols))};
	bool ok = reader.symbols && read_file(&reader, elf) && read_file(&reader, other) &&
		  index_symbols(&reader);

	array_deinit(&reader.sections);
	if (!ok) {
		symbols_destroy(reader.symbols);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "symbol index");
	}
	*ret = reader.symbols;
	return NULL;
}

void symbols_destroy(struct symbols *symbols)
{
	if (!symbols)
		return;
	array_deinit(&symbols->items);
	ranges_deinit(&symbols->sized);
	ranges_deinit(&symbols->unsized);
	free(symbols);
}

bool symbols_find(const struct symbols *symbols, uint64_t address, struct symbol_hit *ret)
{
	const struct range *range = ranges_find(&symbols->sized, address);
	const struct symbol *symbol;

	if (!range)
		range = ranges_find(&symbols->unsized, address);
	if (!range)
		return false;
	symbol = &symbols->items.items[range->value];
	*ret = (struct symbol_hit){
		.name = symbol->name,
		.length = symbol->length,
		.start = symbol->start,
		.size = symbol->size,
		.sized = symbol->size != 0,
	};
	return true;
}

size_t symbols_count(const struct symbols *symbols)
{
	return symbols->items.count;
}
