#include "symbolizer/dwarf_scopes.h"

#include "base/array.h"

#include <dwarf.h>

/* Of one unit, 400 MiB: a damaged one can say that each of its functions has all the ranges of the file. */
#define RANGES_MAX (16u << 20)

/* One range of a concrete function. */
struct part {
	uint32_t scope;
	uint64_t start;
};

struct scopes {
	Dwarf_CU *cu;
	ARRAY(struct scope)
	items;
	struct ranges intervals; /* value: number of the scope; flat, innermost first */
	ARRAY(struct part)
	parts;
	struct ranges functions; /* value: number of the part */
};

/* A function DIE that the walk is inside of. */
struct open_scope {
	unsigned depth;
	uint32_t scope; /* SCOPE_NONE: without code, as abstract functions and declarations are */
};

struct walk {
	struct scopes *scopes;
	const unsigned char *end; /* of the unit */
	uint64_t lowest;
	Dwarf_Die die;
	unsigned depth;
	ARRAY(struct open_scope)
	open;
};

/* What a function's DIE says, read in one pass over its attributes. */
struct attributes {
	uint64_t low, high, call_file, call_line;
	bool has_low, has_high, is_length, has_ranges;
};

/* ---- stepping ---- */

/* Steps to the next DIE in the order of the file, whatever its depth. Returns false at the end of the unit.
 *
 * dwarf_siblingof() of a DIE with children walks all of them where there is no DW_AT_sibling (clang writes
 * none): it is asked of DIEs without children only. Where it finds the end of the siblings it leaves the
 * address of the terminating zero, behind which the parent's sibling lies. */
static bool step(struct walk *walk)
{
	Dwarf_Die next = {.addr = NULL};
	const unsigned char *address;
	int status = dwarf_child(&walk->die, &next);

	if (status == 0) {
		walk->die = next;
		walk->depth++;
		return true;
	}
	if (status < 0)
		return false;
	next = (Dwarf_Die){.addr = NULL};
	status = dwarf_siblingof(&walk->die, &next);
	if (status < 0 || !next.addr)
		return false;
	if (status == 0) {
		walk->die = next;
		return true;
	}
	for (address = next.addr; address < walk->end && !*address && walk->depth; address++)
		walk->depth--;
	if (address >= walk->end || !*address || !walk->depth)
		return false;
	walk->die = (Dwarf_Die){.addr = (void *)address, .cu = walk->scopes->cu};
	return true;
}

/* Where the unit ends in its section; NULL when the file contradicts itself. */
static const unsigned char *find_unit_end(Dwarf_Die *die)
{
	Dwarf_Off offset = dwarf_dieoffset(die), start = offset - dwarf_cuoffset(die), next;
	size_t header_size;

	if (dwarf_next_unit(dwarf_cu_getdwarf(die->cu), start, &next, &header_size, NULL, NULL, NULL, NULL,
			    NULL, NULL) != 0 ||
	    next <= offset)
		return NULL;
	return (const unsigned char *)die->addr + (next - offset);
}

/* ---- functions ---- */

static bool is_address_form(unsigned form)
{
	return form == DW_FORM_addr || form == DW_FORM_addrx || form == DW_FORM_GNU_addr_index ||
	       (form >= DW_FORM_addrx1 && form <= DW_FORM_addrx4);
}

static int take_attribute(Dwarf_Attribute *attribute, void *arg)
{
	struct attributes *ret = arg;
	Dwarf_Word value = 0;

	switch (dwarf_whatattr(attribute)) {
	case DW_AT_low_pc:
		ret->has_low = dwarf_formaddr(attribute, &ret->low) == 0;
		break;
	case DW_AT_high_pc:
		ret->is_length = !is_address_form(dwarf_whatform(attribute));
		ret->has_high = ret->is_length ? dwarf_formudata(attribute, &ret->high) == 0
					       : dwarf_formaddr(attribute, &ret->high) == 0;
		break;
	case DW_AT_ranges:
		ret->has_ranges = true;
		break;
	case DW_AT_call_file:
		if (dwarf_formudata(attribute, &value) == 0)
			ret->call_file = value;
		break;
	case DW_AT_call_line:
		if (dwarf_formudata(attribute, &value) == 0)
			ret->call_line = value;
		break;
	}
	return DWARF_CB_OK;
}

static bool add_range(struct walk *walk, struct scope *scope, uint64_t start, uint64_t end)
{
	struct scopes *scopes = walk->scopes;
	struct part part = {(uint32_t)scopes->items.count, start};

	if (!start || start < walk->lowest || start >= end || scopes->intervals.count >= RANGES_MAX)
		return true;
	if (!scope->start)
		scope->start = start;
	if (!ranges_add(&scopes->intervals, start, end, part.scope))
		return false;
	return scope->parent != SCOPE_NONE ||
	       (ranges_add(&scopes->functions, start, end, (uint32_t)scopes->parts.count) &&
		array_append(&scopes->parts, part));
}

static bool add_all_ranges(struct walk *walk, struct scope *scope, struct attributes *attributes)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t offset = 0;

	if (!attributes->has_ranges) {
		if (!attributes->has_low || !attributes->has_high)
			return true;
		end = attributes->is_length ? attributes->low + attributes->high : attributes->high;
		return add_range(walk, scope, attributes->low, end);
	}
	while ((offset = dwarf_ranges(&walk->die, offset, &base, &start, &end)) > 0) {
		if (!add_range(walk, scope, start, end))
			return false;
	}
	return true;
}

static uint32_t clamp(uint64_t value)
{
	return value < UINT32_MAX ? (uint32_t)value : 0;
}

/* A function's DIE: a scope if it has code. What is inlined where no function is stands for one itself. */
static bool visit(struct walk *walk, bool is_inlined)
{
	struct open_scope *around = walk->open.count ? &walk->open.items[walk->open.count - 1] : NULL;
	struct scopes *scopes = walk->scopes;
	size_t before = scopes->intervals.count;
	struct attributes attributes = {.low = 0};
	struct open_scope open = {walk->depth, SCOPE_NONE};
	struct scope scope = {.die = walk->die.addr, .parent = SCOPE_NONE};

	if (walk->open.count >= SCOPES_DEPTH_MAX || scopes->items.count >= SCOPE_NONE)
		return true;
	dwarf_getattrs(&walk->die, take_attribute, &attributes, 0);
	if (is_inlined && around)
		scope.parent = around->scope;
	scope.call_file = clamp(attributes.call_file);
	scope.call_line = clamp(attributes.call_line);
	if (!add_all_ranges(walk, &scope, &attributes))
		return false;
	if (scopes->intervals.count > before) {
		if (attributes.has_low && attributes.low >= walk->lowest)
			scope.start = attributes.low;
		scope.is_split = scopes->intervals.count != before + 1 ||
				 scopes->intervals.items[before].start != scope.start;
		open.scope = (uint32_t)scopes->items.count;
		if (!array_append(&scopes->items, scope))
			return false;
	} else if (is_inlined) {
		return true;
	}
	return array_append(&walk->open, open);
}

static bool walk_unit(struct walk *walk)
{
	while (step(walk)) {
		int tag = dwarf_tag(&walk->die);

		while (walk->open.count && walk->open.items[walk->open.count - 1].depth >= walk->depth)
			walk->open.count--;
		if ((tag == DW_TAG_subprogram || tag == DW_TAG_inlined_subroutine) &&
		    !visit(walk, tag == DW_TAG_inlined_subroutine))
			return false;
	}
	return true;
}

struct scopes *scopes_read(Dwarf_Die *die, uint64_t lowest)
{
	struct scopes *scopes = calloc(1, sizeof(*scopes));
	struct walk walk = {.scopes = scopes, .lowest = lowest, .die = *die};
	bool ok;

	if (!scopes)
		return NULL;
	walk.end = find_unit_end(die);
	scopes->cu = die->cu;
	ok = !walk.end || walk_unit(&walk);
	array_deinit(&walk.open);
	if (!ok || !ranges_flatten(&scopes->intervals) || !ranges_flatten(&scopes->functions)) {
		scopes_destroy(scopes);
		return NULL;
	}
	return scopes;
}

void scopes_destroy(struct scopes *scopes)
{
	if (!scopes)
		return;
	array_deinit(&scopes->items);
	array_deinit(&scopes->parts);
	ranges_deinit(&scopes->intervals);
	ranges_deinit(&scopes->functions);
	free(scopes);
}

/* ---- searching ---- */

struct scope *scopes_find(const struct scopes *scopes, uint64_t address)
{
	const struct range *range = ranges_find(&scopes->intervals, address);

	return range ? &scopes->items.items[range->value] : NULL;
}

struct scope *scopes_find_function(const struct scopes *scopes, uint64_t address, uint64_t *ret_part_start)
{
	const struct range *range = ranges_find(&scopes->functions, address);

	if (!range)
		return NULL;
	*ret_part_start = scopes->parts.items[range->value].start;
	return &scopes->items.items[scopes->parts.items[range->value].scope];
}

struct scope *scopes_get_parent(const struct scopes *scopes, const struct scope *scope)
{
	return scope->parent == SCOPE_NONE ? NULL : &scopes->items.items[scope->parent];
}

Dwarf_Die scopes_get_die(const struct scopes *scopes, const struct scope *scope)
{
	return (Dwarf_Die){.addr = scope->die, .cu = scopes->cu};
}

bool scopes_add_ranges(const struct scopes *scopes, uint32_t value, struct ranges *ret)
{
	for (size_t i = 0; i < scopes->functions.count; i++) {
		const struct range *range = &scopes->functions.items[i];

		if (!ranges_add(ret, range->start, range->end, value))
			return false;
	}
	return true;
}

size_t scopes_measure(const struct scopes *scopes)
{
	return sizeof(*scopes) + scopes->items.capacity * sizeof(*scopes->items.items) +
	       scopes->parts.capacity * sizeof(*scopes->parts.items) +
	       (scopes->intervals.capacity + scopes->functions.capacity) * sizeof(struct range);
}
