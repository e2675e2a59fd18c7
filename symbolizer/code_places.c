#include "symbolizer/code_places.h"

#include "symbolizer/pclntab.h"

#include <string.h>

static void set_line(struct code_levels *levels, const char *file, size_t length, uint32_t line)
{
	levels->count = 1;
	memset(&levels->items[0], 0, sizeof(levels->items[0]));
	levels->items[0].file = (struct code_text){file, length};
	levels->items[0].line = line;
}

static struct code_text get_text(const char *text)
{
	return (struct code_text){text, text ? strlen(text) : 0};
}

static bool find_levels(struct debug *debug, uint64_t address, struct code_levels *ret)
{
	struct debug_level levels[CODE_LEVELS_MAX];

	ret->count = debug_find_levels(debug, address, levels, CODE_LEVELS_MAX);
	for (size_t i = 0; i < ret->count; i++) {
		bool is_last = i + 1 == ret->count;

		ret->items[i].function = get_text(is_last ? NULL : levels[i].function.name);
		ret->items[i].file = get_text(levels[i].file);
		ret->items[i].line = levels[i].line;
	}
	return ret->count > 0;
}

/* In order of preference: DWARF's levels, its line alone, Go's line. */
void code_places_find(const struct module_parts *parts, uint64_t address, struct code_levels *ret)
{
	struct pclntab_function go;
	struct pclntab_line go_line;
	struct debug_line line;

	ret->count = 0;
	if (parts->debug && find_levels(parts->debug, address, ret))
		return;
	if (parts->debug && debug_find_line(parts->debug, address, &line))
		set_line(ret, line.file, strlen(line.file), line.line);
	else if (pclntab_find(parts->pclntab, address, &go) &&
		 pclntab_find_line(parts->pclntab, &go, address, &go_line))
		set_line(ret, go_line.file, go_line.length, go_line.line);
}

static bool is_same_text(const struct code_text *a, const struct code_text *b)
{
	if (a->text == b->text && a->length == b->length)
		return true;
	return a->text && b->text && a->length == b->length && !memcmp(a->text, b->text, a->length);
}

bool code_levels_are_same(const struct code_levels *a, const struct code_levels *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		if (a->items[i].line != b->items[i].line ||
		    !is_same_text(&a->items[i].file, &b->items[i].file) ||
		    !is_same_text(&a->items[i].function, &b->items[i].function))
			return false;
	}
	return true;
}
