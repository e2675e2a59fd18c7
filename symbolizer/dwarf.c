#include "symbolizer/dwarf.h"

#include "base/array.h"
#include "symbolizer/ranges.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <string.h>

/* One range of one concrete function. */
struct function {
	void *die; /* Dwarf_Die.addr: 8 bytes instead of 32 */
	uint64_t start;
	uint64_t range_start;
};

struct unit {
	Dwarf_Die die;
	const unsigned char *end; /* of the unit in .debug_info */
	bool indexed;
	ARRAY(struct function)
	functions;
	struct ranges ranges; /* value: number of the function */
};

struct debug {
	Dwarf *dwarf;
	Dwarf *supplement; /* dwz's; NULL: none */
	ARRAY(struct unit)
	units;
	struct ranges ranges; /* value: number of the unit */
};

/* Calls add() for the DIE's ranges. Ranges that start at 0 are code that the linker threw away. */
static bool add_ranges(Dwarf_Die *die, bool (*add)(void *arg, uint64_t start, uint64_t end), void *arg)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t offset = 0;

	while ((offset = dwarf_ranges(die, offset, &base, &start, &end)) > 0) {
		if (start && start < end && !add(arg, start, end))
			return false;
	}
	return true;
}

static bool add_unit_range(void *arg, uint64_t start, uint64_t end)
{
	struct debug *debug = arg;

	return ranges_add(&debug->ranges, start, end, (uint32_t)debug->units.count);
}

/* A unit without ranges has no code: gcc, clang, rustc, go and gas write low_pc or ranges on each that has.
 */
static bool add_unit(struct debug *debug, Dwarf_Off offset, Dwarf_Off die_offset, Dwarf_Off next)
{
	struct unit unit = {.end = NULL};
	size_t before = debug->ranges.count;
	uint8_t type;

	if (!dwarf_offdie(debug->dwarf, die_offset, &unit.die))
		return true;
	if (dwarf_cu_info(unit.die.cu, NULL, &type, NULL, NULL, NULL, NULL, NULL) || type != DW_UT_compile)
		return true;
	unit.end = (const unsigned char *)unit.die.addr + (next - die_offset);
	if (!add_ranges(&unit.die, add_unit_range, debug))
		return false;
	return debug->ranges.count == before || array_append(&debug->units, unit);
}

static bool index_units(struct debug *debug)
{
	Dwarf_Off offset = 0, next;
	size_t header_size;

	while (dwarf_next_unit(debug->dwarf, offset, &next, &header_size, NULL, NULL, NULL, NULL, NULL,
			       NULL) == 0) {
		if (next <= offset)
			break;
		if (!add_unit(debug, offset, offset + header_size, next))
			return false;
		offset = next;
	}
	return ranges_flatten(&debug->ranges);
}

struct error *debug_create(Elf *elf, struct debug **ret)
{
	struct debug *debug = calloc(1, sizeof(*debug));

	if (!debug)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "debug information");
	debug->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (debug->dwarf && !index_units(debug)) {
		debug_destroy(debug);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "debug information");
	}
	*ret = debug;
	return NULL;
}

void debug_destroy(struct debug *debug)
{
	if (!debug)
		return;
	for (size_t i = 0; i < debug->units.count; i++) {
		array_deinit(&debug->units.items[i].functions);
		ranges_deinit(&debug->units.items[i].ranges);
	}
	array_deinit(&debug->units);
	ranges_deinit(&debug->ranges);
	dwarf_end(debug->dwarf);
	dwarf_end(debug->supplement);
	free(debug);
}

void debug_set_supplement(struct debug *debug, Elf *elf)
{
	if (!debug->dwarf || debug->supplement)
		return;
	debug->supplement = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	dwarf_setalt(debug->dwarf, debug->supplement);
}

struct function_adder {
	struct unit *unit;
	Dwarf_Die *die;
	uint64_t start;
};

static bool add_function_range(void *arg, uint64_t start, uint64_t end)
{
	struct function_adder *adder = arg;
	struct unit *unit = adder->unit;

	if (!adder->start)
		adder->start = start;
	return ranges_add(&unit->ranges, start, end, (uint32_t)unit->functions.count) &&
	       array_append(&unit->functions, (struct function){adder->die->addr, adder->start, start});
}

/* Steps to the next DIE in the order of the file, whatever its depth. Returns false at the end of the unit.
 *
 * dwarf_siblingof() of a DIE with children walks all of them where there is no DW_AT_sibling (clang writes
 * none): it is asked of DIEs without children only. Where it finds the end of the siblings it leaves the
 * address of the terminating zero, behind which the parent's sibling lies. */
static bool step(const struct unit *unit, Dwarf_Die *die)
{
	Dwarf_Die next = {.addr = NULL};
	const unsigned char *address;
	int status = dwarf_child(die, &next);

	if (status == 0) {
		*die = next;
		return true;
	}
	if (status < 0)
		return false;
	next = (Dwarf_Die){.addr = NULL};
	status = dwarf_siblingof(die, &next);
	if (status < 0 || !next.addr)
		return false;
	if (status == 0) {
		*die = next;
		return true;
	}
	for (address = next.addr; address < unit->end && !*address; address++)
		;
	if (address >= unit->end)
		return false;
	*die = (Dwarf_Die){.addr = (void *)address, .cu = unit->die.cu};
	return true;
}

static bool index_functions(struct unit *unit)
{
	Dwarf_Die die = unit->die;

	unit->indexed = true;
	while (step(unit, &die)) {
		struct function_adder adder = {unit, &die, 0};
		Dwarf_Addr entry;

		if (dwarf_tag(&die) != DW_TAG_subprogram)
			continue;
		if (dwarf_hasattr(&die, DW_AT_low_pc) && dwarf_lowpc(&die, &entry) == 0)
			adder.start = entry;
		if (!add_ranges(&die, add_function_range, &adder))
			return false;
	}
	return ranges_flatten(&unit->ranges);
}

static struct unit *find_unit(struct debug *debug, uint64_t address)
{
	const struct range *range = ranges_find(&debug->ranges, address);

	return range ? &debug->units.items[range->value] : NULL;
}

/* In order of preference: the linkage name, which tells overloads and namespaces; the plain name. Both are
 * followed to the declaration or the abstract instance. */
static bool name_function(Dwarf_Die *die, struct debug_function *ret)
{
	Dwarf_Attribute attribute;

	ret->name = NULL;
	if (dwarf_attr_integrate(die, DW_AT_linkage_name, &attribute) ||
	    dwarf_attr_integrate(die, DW_AT_MIPS_linkage_name, &attribute))
		ret->name = dwarf_formstring(&attribute);
	ret->is_linkage_name = ret->name && *ret->name;
	if (!ret->is_linkage_name)
		ret->name = dwarf_diename(die);
	return ret->name && *ret->name;
}

bool debug_find_function(struct debug *debug, uint64_t address, struct debug_function *ret)
{
	struct unit *unit = find_unit(debug, address);
	const struct function *function;
	const struct range *range;
	Dwarf_Die die;

	if (!unit)
		return false;
	/* When memory is short the unit stays without names: the symbol table still serves. */
	if (!unit->indexed && !index_functions(unit))
		ranges_deinit(&unit->ranges);
	range = ranges_find(&unit->ranges, address);
	if (!range)
		return false;
	function = &unit->functions.items[range->value];
	die = (Dwarf_Die){.addr = function->die, .cu = unit->die.cu};
	ret->start = function->start;
	ret->range_start = function->range_start;
	return name_function(&die, ret);
}

bool debug_find_line(struct debug *debug, uint64_t address, struct debug_line *ret)
{
	struct unit *unit = find_unit(debug, address);
	Dwarf_Line *line;
	const char *file;
	int number;

	if (!unit)
		return false;
	line = dwarf_getsrc_die(&unit->die, address);
	if (!line || dwarf_lineno(line, &number) || number <= 0)
		return false;
	file = dwarf_linesrc(line, NULL, NULL);
	if (!file)
		return false;
	*ret = (struct debug_line){file, (uint32_t)number};
	return true;
}
