#include "symbolizer/dwarf.h"

#include "base/cleanup.h"
#include "symbolizer/dwarf_units.h"
#include "symbolizer/text_pool.h"

#include <dwarf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <string.h>

#define PATH_LENGTH_MAX 4096

struct debug {
	Dwarf *dwarf;
	Dwarf *supplement;	/* dwz's; NULL: none */
	struct units *units;	/* NULL: there are none */
	struct text_pool paths; /* they outlive the units' indexes */
};

struct error *debug_create(Elf *elf, struct debug **ret)
{
	struct debug *debug = calloc(1, sizeof(*debug));
	struct error *error = NULL;

	if (!debug)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "debug information");
	debug->dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	if (debug->dwarf)
		error = units_create(elf, debug->dwarf, &debug->units);
	if (error) {
		debug_destroy(debug);
		return error;
	}
	*ret = debug;
	return NULL;
}

void debug_destroy(struct debug *debug)
{
	if (!debug)
		return;
	units_destroy(debug->units);
	text_pool_deinit(&debug->paths);
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

void debug_set_budget(struct debug *debug, size_t bytes)
{
	if (debug->units)
		units_set_budget(debug->units, bytes);
}

size_t debug_measure(const struct debug *debug)
{
	return debug->units ? units_measure(debug->units) : 0;
}

static struct unit *find_unit(struct debug *debug, uint64_t address)
{
	return debug->units ? units_find(debug->units, address) : NULL;
}

/* ---- functions ---- */

/* In order of preference: the linkage name, which tells overloads and namespaces; the plain name. Both are
 * followed to the declaration or the abstract instance. */
static void read_name(struct scopes *scopes, struct scope *scope)
{
	Dwarf_Die die = scopes_get_die(scopes, scope);
	Dwarf_Attribute attribute;

	scope->is_named = true;
	if (dwarf_attr_integrate(&die, DW_AT_linkage_name, &attribute) ||
	    dwarf_attr_integrate(&die, DW_AT_MIPS_linkage_name, &attribute))
		scope->name = dwarf_formstring(&attribute);
	scope->is_linkage_name = scope->name && *scope->name;
	if (!scope->is_linkage_name)
		scope->name = dwarf_diename(&die);
}

/* Returns false when it has no name. */
static bool describe_function(struct scopes *scopes, struct scope *scope, struct debug_function *ret)
{
	if (!scope->is_named)
		read_name(scopes, scope);
	if (!scope->name || !*scope->name)
		return false;
	*ret = (struct debug_function){
		.name = scope->name,
		.is_linkage_name = scope->is_linkage_name,
		.start = scope->start,
		.range_start = scope->start,
	};
	return true;
}

static bool find_function(struct scopes *scopes, uint64_t address, struct debug_function *ret)
{
	uint64_t part_start;
	struct scope *scope = scopes_find_function(scopes, address, &part_start);

	if (!scope || !describe_function(scopes, scope, ret))
		return false;
	ret->range_start = part_start;
	return true;
}

bool debug_find_function(struct debug *debug, uint64_t address, struct debug_function *ret)
{
	struct unit *unit = find_unit(debug, address);
	/* When memory is short the unit stays without names: the symbol table still serves. */
	struct scopes *scopes = unit ? units_get_scopes(debug->units, unit) : NULL;

	return scopes && find_function(scopes, address, ret);
}

/* ---- lines ---- */

/* NULL: not known. Line 0 is the compiler's word for code that belongs to no line of that file. */
static const char *find_path(struct debug *debug, struct unit *unit, struct lines *lines, uint64_t file)
{
	char path[PATH_LENGTH_MAX];

	if (file >= lines_count_files(lines))
		return NULL;
	if (!unit->paths[file] && lines_make_path(lines, file, unit->comp_dir, path, sizeof(path)))
		unit->paths[file] = text_pool_keep(&debug->paths, path);
	return unit->paths[file];
}

static struct debug_line find_line(struct debug *debug, struct unit *unit, uint64_t address)
{
	struct lines *lines = units_get_lines(debug->units, unit);
	const struct line_row *row = lines ? lines_find(lines, address, NULL) : NULL;
	struct debug_line line = {NULL, 0};

	if (row)
		line.file = find_path(debug, unit, lines, row->file);
	if (line.file)
		line.line = row->line;
	return line;
}

bool debug_find_line(struct debug *debug, uint64_t address, struct debug_line *ret)
{
	struct unit *unit = find_unit(debug, address);
	struct debug_line line = {NULL, 0};

	if (unit)
		line = find_line(debug, unit, address);
	if (!line.line)
		return false;
	*ret = line;
	return true;
}

/* ---- levels ---- */

/* The place of a call; of code that is not inlined, none. */
static struct debug_line find_call(struct debug *debug, struct unit *unit, const struct scope *scope)
{
	struct lines *lines = units_get_lines(debug->units, unit);
	struct debug_line call = {NULL, 0};

	if (lines && scope->call_line)
		call.file = find_path(debug, unit, lines, scope->call_file);
	if (call.file)
		call.line = scope->call_line;
	return call;
}

static size_t count_levels(struct scopes *scopes, struct scope *innermost)
{
	size_t count = 0;

	for (struct scope *scope = innermost; scope; scope = scopes_get_parent(scopes, scope))
		count++;
	return count;
}

/* What is nested deeper than there is room for is left out in the middle. */
size_t debug_find_levels(struct debug *debug, uint64_t address, struct debug_level *ret, size_t max)
{
	struct unit *unit = find_unit(debug, address);
	struct scopes *scopes = unit ? units_get_scopes(debug->units, unit) : NULL;
	struct scope *innermost = scopes ? scopes_find(scopes, address) : NULL;
	size_t all = innermost ? count_levels(scopes, innermost) : 0;
	size_t left_out = all > max ? all - max : 0, number = 0, count = 0;
	struct debug_line line;

	if (!all || !max)
		return 0;
	line = find_line(debug, unit, address);
	for (struct scope *scope = innermost; scope; scope = scopes_get_parent(scopes, scope), number++) {
		struct debug_level *level = &ret[count];
		bool is_left_out = number >= max / 2 && number < max / 2 + left_out;

		if (!is_left_out && describe_function(scopes, scope, &level->function)) {
			level->file = line.file;
			level->line = line.line;
			if (scope->parent == SCOPE_NONE && scope->is_split)
				scopes_find_function(scopes, address, &level->function.range_start);
			count++;
		}
		if (scope->parent != SCOPE_NONE)
			line = find_call(debug, unit, scope);
	}
	return count;
}

/* ---- rows ---- */

struct row_list {
	struct debug_row *rows;
	size_t count, max;
	struct debug_row last;
};

static void add_row(struct row_list *list, struct debug_row row)
{
	if (list->count && row.line == list->last.line && row.file == list->last.file)
		return;
	if (list->count < list->max)
		list->rows[list->count] = row;
	list->last = row;
	list->count++;
}

size_t debug_list_rows(struct debug *debug, uint64_t start, uint64_t end, struct debug_row *ret, size_t max)
{
	struct row_list list = {.rows = ret, .max = max};

	for (uint64_t address = start; debug->units && address < end;) {
		struct unit *unit = units_find(debug->units, address);
		struct lines *lines = unit ? units_get_lines(debug->units, unit) : NULL;
		uint64_t until = units_find_end(debug->units, address), row_end = UINT64_MAX;
		const struct line_row *row = lines ? lines_find(lines, address, &row_end) : NULL;
		struct debug_row known = {.address = address};

		if (row && row->line)
			known.file = find_path(debug, unit, lines, row->file);
		if (known.file)
			known.line = row->line;
		add_row(&list, known);
		address = until < row_end ? until : row_end;
	}
	/* One row that says that nothing is known is none. */
	return list.count == 1 && !list.last.file ? 0 : list.count;
}
