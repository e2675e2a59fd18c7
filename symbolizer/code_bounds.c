#include "symbolizer/code_bounds.h"

#include "symbolizer/code_message.h"
#include "symbolizer/dwarf.h"
#include "symbolizer/elf.h"
#include "symbolizer/fde.h"
#include "symbolizer/pclntab.h"
#include "symbolizer/segments.h"

#include <gelf.h>

/* Of code that nothing is known about so much is listed, from the offset on. */
#define UNKNOWN_BYTES 256

/* The bounds of section and segment: nothing outside of them is code. */
static bool find_bounds(const struct module_parts *parts, uint64_t address, uint64_t offset,
			struct code_bounds *ret)
{
	const struct segment *segment = segments_find_offset(parts->segments, offset);
	Elf_Scn *section = NULL;

	if (!segment || !segment->executable)
		return false;
	ret->start = segment->address;
	ret->end = segment->address + segment->length;
	while ((section = elf_nextscn(parts->elf, section))) {
		GElf_Shdr header;
		uint64_t end;

		if (!gelf_getshdr(section, &header) || !(header.sh_flags & SHF_ALLOC) ||
		    header.sh_type == SHT_NOBITS)
			continue;
		end = header.sh_addr + header.sh_size;
		if (end < header.sh_addr || address < header.sh_addr || address >= end)
			continue;
		ret->start = header.sh_addr > ret->start ? header.sh_addr : ret->start;
		ret->end = end < ret->end ? end : ret->end;
		break;
	}
	return true;
}

static bool cut(struct code_bounds *range, uint64_t start, uint64_t end, uint64_t address)
{
	if (start > address || end <= address)
		return false;
	range->start = start > range->start ? start : range->start;
	range->end = end < range->end ? end : range->end;
	return true;
}

/* Who knows where a function begins and ends, in order of preference:
 * 1. a symbol with a size: what the function is named by, mostly,
 * 2. Go's table,
 * 3. the FDE; of a symbol without a size that begins inside of it, from there on,
 * 4. nobody: a few bytes from here on. */
static void find_function(struct module *module, const struct module_parts *parts, uint64_t address,
			  uint64_t offset, struct code_bounds *range)
{
	const struct cfi_fde *fde = module_find_fde(module, offset);
	struct pclntab_function go;
	struct symbol_hit symbol;
	bool has_symbol = parts->symbols && symbols_find(parts->symbols, address, &symbol);

	if (has_symbol && symbol.size && cut(range, symbol.start, symbol.start + symbol.size, address))
		return;
	if (pclntab_find(parts->pclntab, address, &go) && cut(range, go.start, go.end, address))
		return;
	if (fde && cut(range, fde->address, fde->address + fde->length, address)) {
		if (has_symbol && symbol.start > range->start)
			range->start = symbol.start;
		return;
	}
	if (address + UNKNOWN_BYTES > address)
		cut(range, address, address + UNKNOWN_BYTES, address);
}

/* Where an instruction begins, at or soon after a place before the offset that was asked for. Lines begin
 * with instructions: without lines it is the offset itself, which is where a sample was. */
static uint64_t find_beginning(const struct module_parts *parts, uint64_t wanted, uint64_t address)
{
	struct debug_row rows[2];
	/* The first one is that in force at `wanted`: it began before. */
	size_t count = parts->debug ? debug_list_rows(parts->debug, wanted, address, rows, 2) : 0;

	return count > 1 ? rows[1].address : address;
}

static void find_window(const struct module_parts *parts, uint64_t address, struct code_bounds *range)
{
	range->first = range->start;
	range->last = range->end;
	if (range->end - range->start <= CODE_BYTES_MAX)
		return;
	if (address - range->start > CODE_BYTES_MAX / 2)
		range->first = find_beginning(parts, address - CODE_BYTES_MAX / 2, address);
	if (range->end - range->first > CODE_BYTES_MAX)
		range->last = range->first + CODE_BYTES_MAX;
}

bool code_bounds_find(struct module *module, const struct module_parts *parts, uint64_t offset,
		      struct code_bounds *ret, const char **ret_why)
{
	uint64_t address;

	*ret_why = "there is no code";
	if (!segments_to_address(parts->segments, offset, &address) ||
	    !find_bounds(parts, address, offset, ret))
		return false;
	find_function(module, parts, address, offset, ret);
	if (!segments_to_offset(parts->segments, ret->start, &ret->start_offset) ||
	    offset - ret->start_offset != address - ret->start)
		return false;
	find_window(parts, address, ret);
	return true;
}
