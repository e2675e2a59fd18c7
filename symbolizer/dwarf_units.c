#include "symbolizer/dwarf_units.h"

#include "base/array.h"
#include "symbolizer/elf.h"

#include <dwarf.h>
#include <errno.h>
#include <gelf.h>

#define BUDGET_BYTES (256ull << 20)

struct units {
	Dwarf *dwarf;
	struct line_sections sections;
	uint64_t lowest; /* address of code */
	ARRAY(struct unit)
	items;		      /* in the order of the file */
	struct ranges ranges; /* value: number of the unit */
	ARRAY(uint32_t)
	silent; /* units that were not asked where their code is */
	ARRAY(uint32_t)
	indexed; /* units with an index */
	uint64_t clock;
	size_t bytes, bytes_most; /* of all indexes */
};

/* ---- what the file has ---- */

/* Where the linker throws code away, it leaves ranges that begin at 0 or 1, or near the end. */
static uint64_t find_lowest_code(Elf *elf)
{
	uint64_t lowest = UINT64_MAX;
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(elf, section))) {
		if (gelf_getshdr(section, &header) && (header.sh_flags & SHF_EXECINSTR) &&
		    header.sh_addr < lowest)
			lowest = header.sh_addr;
	}
	return lowest == UINT64_MAX ? 1 : lowest;
}

/* libdw has unpacked it in place, if it was compressed. */
static struct bytes find_section(Elf *elf, const char *name, const char *old_name)
{
	Elf_Scn *section = elf_find_section(elf, name);
	Elf_Data *data;
	GElf_Shdr header;

	if (!section)
		section = elf_find_section(elf, old_name);
	if (!section || !gelf_getshdr(section, &header) || (header.sh_flags & SHF_COMPRESSED))
		return bytes_make(NULL, 0);
	data = elf_rawdata(section, NULL);
	return data && data->d_buf ? bytes_make(data->d_buf, data->d_size) : bytes_make(NULL, 0);
}

static bool add_ranges(struct units *units, Dwarf_Die *die, uint32_t number)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t offset = 0;

	while ((offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
		if (start && start >= units->lowest && !ranges_add(&units->ranges, start, end, number))
			return false;
	}
	return true;
}

static bool add_unit(struct units *units, Dwarf_Off offset)
{
	uint32_t number = (uint32_t)units->items.count;
	size_t before = units->ranges.count;
	struct unit unit = {.offset = offset};
	Dwarf_Die die;
	uint8_t type;

	if (!dwarf_offdie(units->dwarf, offset, &die) ||
	    dwarf_cu_info(die.cu, NULL, &type, NULL, NULL, NULL, NULL, NULL) ||
	    (type != DW_UT_compile && type != DW_UT_skeleton))
		return true;
	if (!add_ranges(units, &die, number))
		return false;
	unit.is_silent = units->ranges.count == before && dwarf_haschildren(&die) > 0;
	return array_append(&units->items, unit) && (!unit.is_silent || array_append(&units->silent, number));
}

static bool read_units(struct units *units)
{
	Dwarf_Off offset = 0, next;
	size_t header_size;

	while (dwarf_next_unit(units->dwarf, offset, &next, &header_size, NULL, NULL, NULL, NULL, NULL,
			       NULL) == 0) {
		if (next <= offset || units->items.count >= UINT32_MAX)
			break;
		if (!add_unit(units, offset + header_size))
			return false;
		offset = next;
	}
	return true;
}

static struct unit *find_by_offset(struct units *units, Dwarf_Off offset)
{
	size_t low = 0, high = units->items.count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (units->items.items[middle].offset < offset)
			low = middle + 1;
		else
			high = middle;
	}
	return low < units->items.count && units->items.items[low].offset == offset ? &units->items.items[low]
										    : NULL;
}

/* .debug_aranges says it for units that do not say it themselves; of the others it repeats what they say. */
static bool read_aranges(struct units *units)
{
	Dwarf_Aranges *aranges;
	size_t count;

	if (!units->silent.count || dwarf_getaranges(units->dwarf, &aranges, &count))
		return true;
	for (size_t i = 0; i < count; i++) {
		Dwarf_Word length;
		Dwarf_Addr start;
		Dwarf_Off offset;
		struct unit *unit;

		if (dwarf_getarangeinfo(dwarf_onearange(aranges, i), &start, &length, &offset))
			continue;
		unit = find_by_offset(units, offset);
		if (!unit || !unit->is_silent || !start || start < units->lowest)
			continue;
		if (!ranges_add(&units->ranges, start, start + length, (uint32_t)(unit - units->items.items)))
			return false;
		unit->has_aranges = true;
	}
	return true;
}

/* Units that nothing else speaks for are asked themselves: their functions' ranges are theirs. Once, when an
 * address is in no other unit: most of them have data only. */
static bool ask_silent_units(struct units *units)
{
	size_t count = units->silent.count;

	units->silent.count = 0;
	for (size_t i = 0; i < count; i++) {
		uint32_t number = units->silent.items[i];
		struct unit *unit = &units->items.items[number];
		struct scopes *scopes = unit->has_aranges ? NULL : units_get_scopes(units, unit);

		if (scopes && !scopes_add_ranges(scopes, number, &units->ranges))
			return false;
	}
	return ranges_flatten(&units->ranges);
}

struct error *units_create(Elf *elf, Dwarf *dwarf, struct units **ret)
{
	struct units *units = calloc(1, sizeof(*units));

	if (!units)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "debug information");
	units->dwarf = dwarf;
	units->bytes_most = BUDGET_BYTES;
	units->lowest = find_lowest_code(elf);
	units->sections.line = find_section(elf, ".debug_line", ".zdebug_line");
	units->sections.line_str = find_section(elf, ".debug_line_str", ".zdebug_line_str");
	units->sections.str = find_section(elf, ".debug_str", ".zdebug_str");
	if (!read_units(units) || !read_aranges(units) || !ranges_flatten(&units->ranges)) {
		units_destroy(units);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "debug information");
	}
	*ret = units;
	return NULL;
}

/* ---- indexes ---- */

static void drop_index(struct units *units, struct unit *unit)
{
	scopes_destroy(unit->scopes);
	lines_destroy(unit->lines);
	free(unit->paths);
	units->bytes -= unit->bytes;
	unit->scopes = NULL;
	unit->lines = NULL;
	unit->paths = NULL;
	unit->bytes = 0;
	unit->has_scopes = unit->has_lines = false;
}

void units_destroy(struct units *units)
{
	if (!units)
		return;
	for (size_t i = 0; i < units->indexed.count; i++)
		drop_index(units, &units->items.items[units->indexed.items[i]]);
	array_deinit(&units->items);
	array_deinit(&units->silent);
	array_deinit(&units->indexed);
	ranges_deinit(&units->ranges);
	free(units);
}

/* Making an index costs more than looking through the list of them. */
static void make_room(struct units *units, const struct unit *keep)
{
	while (units->bytes > units->bytes_most && units->indexed.count > 1) {
		size_t oldest = SIZE_MAX;

		for (size_t i = 0; i < units->indexed.count; i++) {
			const struct unit *unit = &units->items.items[units->indexed.items[i]];

			if (unit != keep &&
			    (oldest == SIZE_MAX ||
			     unit->used < units->items.items[units->indexed.items[oldest]].used))
				oldest = i;
		}
		if (oldest == SIZE_MAX)
			return;
		drop_index(units, &units->items.items[units->indexed.items[oldest]]);
		units->indexed.items[oldest] = units->indexed.items[--units->indexed.count];
	}
}

/* false: memory is short, the unit stays without an index. */
static bool begin_index(struct units *units, struct unit *unit)
{
	uint32_t number = (uint32_t)(unit - units->items.items);

	return unit->has_scopes || unit->has_lines || array_append(&units->indexed, number);
}

static void count_bytes(struct units *units, struct unit *unit, size_t bytes)
{
	unit->bytes += bytes;
	units->bytes += bytes;
	make_room(units, unit);
}

/* The functions of a unit whose file is split are in the other one, if that could be opened. */
static bool find_functions(struct units *units, const struct unit *unit, Dwarf_Die *ret)
{
	Dwarf_Die die, split = {.addr = NULL};

	if (!dwarf_offdie(units->dwarf, unit->offset, &die))
		return false;
	if (dwarf_cu_info(die.cu, NULL, NULL, NULL, &split, NULL, NULL, NULL) == 0 && split.addr)
		die = split;
	*ret = die;
	return true;
}

struct scopes *units_get_scopes(struct units *units, struct unit *unit)
{
	Dwarf_Die die;

	if (unit->has_scopes)
		return unit->scopes;
	if (!begin_index(units, unit))
		return NULL;
	unit->has_scopes = true;
	if (find_functions(units, unit, &die))
		unit->scopes = scopes_read(&die, units->lowest);
	if (unit->scopes)
		count_bytes(units, unit, scopes_measure(unit->scopes));
	return unit->scopes;
}

static void read_lines(struct units *units, struct unit *unit)
{
	Dwarf_Attribute attribute;
	Dwarf_Word offset;
	Dwarf_Die die;

	if (!dwarf_offdie(units->dwarf, unit->offset, &die))
		return;
	if (dwarf_attr(&die, DW_AT_comp_dir, &attribute))
		unit->comp_dir = dwarf_formstring(&attribute);
	if (!dwarf_attr(&die, DW_AT_stmt_list, &attribute) || dwarf_formudata(&attribute, &offset))
		return;
	unit->lines = lines_read(&units->sections, offset, units->lowest);
	if (!unit->lines)
		return;
	unit->paths = calloc(lines_count_files(unit->lines) + 1, sizeof(*unit->paths));
	if (unit->paths)
		return;
	lines_destroy(unit->lines);
	unit->lines = NULL;
}

struct lines *units_get_lines(struct units *units, struct unit *unit)
{
	if (unit->has_lines)
		return unit->lines;
	if (!begin_index(units, unit))
		return NULL;
	unit->has_lines = true;
	read_lines(units, unit);
	if (unit->lines)
		count_bytes(units, unit,
			    lines_measure(unit->lines) +
				    lines_count_files(unit->lines) * sizeof(*unit->paths));
	return unit->lines;
}

void units_set_budget(struct units *units, size_t bytes)
{
	units->bytes_most = bytes;
	make_room(units, NULL);
}

size_t units_measure(const struct units *units)
{
	return units->bytes;
}

/* ---- searching ---- */

struct unit *units_find(struct units *units, uint64_t address)
{
	const struct range *range = ranges_find(&units->ranges, address);
	struct unit *unit;

	if (!range && units->silent.count && ask_silent_units(units))
		range = ranges_find(&units->ranges, address);
	if (!range)
		return NULL;
	unit = &units->items.items[range->value];
	unit->used = ++units->clock;
	return unit;
}

uint64_t units_find_end(const struct units *units, uint64_t address)
{
	const struct range *range = ranges_find(&units->ranges, address);

	return range ? range->end : ranges_find_start(&units->ranges, address);
}
