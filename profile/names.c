/* Names of frames: which are asked for, and what happens when they arrive.
 *
 * A frame belongs to one function at a time. Until it is answered that is a provisional function of its own,
 * made only when its samples are first summed up: a name that comes before the next look at the profile costs
 * nothing.
 */
#include "profile/heap_internal.h"
#include "profile/heap_wrappers.h"
#include "profile/internal.h"

#include <stdio.h>
#include <string.h>

const char *const stack_end_names[STACK_ENDS] = {
	"complete", "truncated",  "no_mapping", "no_table",   "no_rule",
	"bad_cfa",  "bad_return", "unreadable", "trampoline", "jit",
};

/* ---- which frame a function shows ---- */

/* How much it tells: a line, only a file, or nothing. */
static unsigned get_detail(const struct frame_entry *frame)
{
	return frame->file ? 1 + (frame->line != 0) : 0;
}

/* The hottest one with a known line; of equals the one seen first. */
static bool is_better(const struct stacks *stacks, uint32_t a, uint32_t b)
{
	const struct frame_entry *first = &stacks->frames.items[a], *second = &stacks->frames.items[b];

	if (!b || get_detail(first) != get_detail(second))
		return !b || get_detail(first) > get_detail(second);
	return first->self != second->self ? first->self > second->self : a < b;
}

static void show_if_better(struct profile *profile, uint32_t number)
{
	uint32_t function = profile->stacks.frames.items[number].function;
	struct function_entry *entry = &profile->functions.items.items[function];

	if (entry->best != number && is_better(&profile->stacks, number, entry->best))
		entry->best = number;
}

void names_add_self(struct profile *profile, uint32_t number, uint64_t count)
{
	struct frame_entry *frame = &profile->stacks.frames.items[number];
	struct function_entry *entry;

	frame->self += count;
	if (frame->function == FUNCTION_NONE)
		return;
	entry = &profile->functions.items.items[frame->function];
	if ((int64_t)count >= 0)
		show_if_better(profile, number);
	else if (entry->best == number)
		entry->must_choose = true; /* when somebody reads it: a function may have thousands */
}

static void choose_best(struct profile *profile, struct function_entry *entry)
{
	entry->best = 0;
	entry->must_choose = false;
	for (uint32_t frame = entry->frames; frame;
	     frame = profile->stacks.frames.items[frame].next_of_function)
		show_if_better(profile, frame);
}

uint32_t names_get_best(struct profile *profile, uint32_t function)
{
	struct function_entry *entry = &profile->functions.items.items[function];

	if (entry->must_choose)
		choose_best(profile, entry);
	return entry->best;
}

/* ---- which function a frame belongs to ---- */

static void leave_function(struct profile *profile, uint32_t number)
{
	struct frame_entry *frames = profile->stacks.frames.items;
	struct function_entry *entry = &profile->functions.items.items[frames[number].function];
	uint32_t *link = &entry->frames;

	while (*link != number)
		link = &frames[*link].next_of_function;
	*link = frames[number].next_of_function;
	frames[number].function = FUNCTION_NONE;
	if (entry->best == number)
		choose_best(profile, entry);
}

static void join_function(struct profile *profile, uint32_t number, uint32_t function)
{
	struct frame_entry *frame = &profile->stacks.frames.items[number];
	struct function_entry *entry = &profile->functions.items.items[function];

	frame->function = function;
	frame->next_of_function = entry->frames;
	entry->frames = number;
	show_if_better(profile, number);
}

uint32_t names_get_function(struct profile *profile, uint32_t number)
{
	const struct frame_entry *frame = &profile->stacks.frames.items[number];
	uint32_t function = frame->function;

	if (function != FUNCTION_NONE)
		return function;
	if (FRAME_MODULE(frame->word) == MODULE_ANONYMOUS)
		function = functions_intern_text(profile, MODULE_ANONYMOUS, ANONYMOUS_NAME);
	else
		function = functions_intern_address(&profile->functions, FRAME_MODULE(frame->word),
						    FRAME_OFFSET(frame->word), FUNCTION_PROVISIONAL);
	if (function != FUNCTION_NONE)
		join_function(profile, number, function);
	return function;
}

/* ---- frames that were dropped ---- */

static void renumber_list(struct frame_entry *frames, struct module_entry *module)
{
	uint32_t next, last = 0, *link = &module->unasked_first;

	for (uint32_t number = module->unasked_first; number; number = next) {
		next = frames[number].next_unasked;
		if (!frames[number].next_renamed)
			continue;
		last = *link = frames[number].next_renamed;
		link = &frames[number].next_unasked;
	}
	*link = 0;
	module->unasked_last = last;
}

void names_renumber_unasked(struct profile *profile)
{
	for (size_t i = 0; i < profile->modules.items.count; i++)
		renumber_list(profile->stacks.frames.items, &profile->modules.items.items[i]);
}

void names_join_again(struct profile *profile)
{
	const struct stacks *stacks = &profile->stacks;

	for (size_t i = 0; i < profile->functions.items.count; i++)
		profile->functions.items.items[i].frames = profile->functions.items.items[i].best = 0;
	for (uint32_t number = 1; number < stacks->frames.count; number++)
		if (stacks->frames.items[number].function != FUNCTION_NONE)
			join_function(profile, number, stacks->frames.items[number].function);
}

/* ---- new frames ---- */

/* The text of code that nobody can name; NULL: somebody can. */
static const char *get_fixed_name(uint64_t frame, char *buffer, size_t size)
{
	switch (FRAME_MODULE(frame)) {
	case MODULE_UNKNOWN:
		return frame == FRAME_NOT_TAKEN ? "[stack not taken]" : "[unknown]";
	case MODULE_ANONYMOUS:
		return ANONYMOUS_NAME;
	case MODULE_MERGED:
		return "[merged]";
	case MODULE_STACK_END:
		if (FRAME_OFFSET(frame) == STACK_TRUNCATED)
			return "[truncated]";
		if (FRAME_OFFSET(frame) >= STACK_ENDS)
			return "[broken]";
		snprintf(buffer, size, "[broken: %s]", stack_end_names[FRAME_OFFSET(frame)]);
		return buffer;
	default:
		return NULL;
	}
}

/* Before the frame is in the table; what can fail. */
bool names_init_frame(struct profile *profile, struct frame_entry *entry)
{
	char buffer[32];
	const char *name = get_fixed_name(entry->word, buffer, sizeof(buffer));

	if (!modules_intern(&profile->modules, &profile->strings, FRAME_MODULE(entry->word)))
		return false;
	if (!name || ask_again_is_asked(profile, FRAME_MODULE(entry->word)))
		return true;
	entry->function = functions_intern_text(profile, FRAME_MODULE(entry->word), name);
	entry->state = FRAME_NAMED;
	return entry->function != FUNCTION_NONE;
}

static void queue_module(struct modules *modules, struct module_entry *module)
{
	uint32_t index = (uint32_t)(module - modules->items.items);

	if (module->is_queued)
		return;
	module->is_queued = true;
	module->next_unasked = MODULE_NONE;
	if (modules->unasked_last == MODULE_NONE)
		modules->unasked_first = index;
	else
		modules->items.items[modules->unasked_last].next_unasked = index;
	modules->unasked_last = index;
}

/* After the frame is in the table. */
void names_link_frame(struct profile *profile, uint32_t number)
{
	struct frame_entry *frame = &profile->stacks.frames.items[number];
	struct module_entry *module = modules_find(&profile->modules, FRAME_MODULE(frame->word));

	if (frame->state == FRAME_NAMED) {
		join_function(profile, number, frame->function);
		return;
	}
	if (module->unasked_last)
		profile->stacks.frames.items[module->unasked_last].next_unasked = number;
	else
		module->unasked_first = number;
	module->unasked_last = number;
	queue_module(&profile->modules, module);
}

/* ---- asking ---- */

static size_t take_from_module(struct profile *profile, struct module_entry *module, uint64_t *ret,
			       size_t max)
{
	size_t count = 0;

	while (module->unasked_first && count < max) {
		struct frame_entry *frame = &profile->stacks.frames.items[module->unasked_first];

		module->unasked_first = frame->next_unasked;
		frame->next_unasked = 0;
		if (frame->state != FRAME_NEW)
			continue;
		frame->state = FRAME_ASKED;
		ret[count++] = FRAME_OFFSET(frame->word);
	}
	if (!module->unasked_first)
		module->unasked_last = 0;
	return count;
}

size_t profile_take_unnamed(struct profile *profile, uint32_t *ret_module, uint64_t *ret_offsets, size_t max)
{
	struct modules *modules = &profile->modules;

	while (max && modules->unasked_first != MODULE_NONE) {
		struct module_entry *module = &modules->items.items[modules->unasked_first];
		size_t count = take_from_module(profile, module, ret_offsets, max);

		modules->unasked_first = module->next_unasked;
		if (modules->unasked_first == MODULE_NONE)
			modules->unasked_last = MODULE_NONE;
		module->is_queued = false;
		if (module->unasked_first)
			queue_module(modules, module);
		*ret_module = module->public.id;
		if (count)
			return count;
	}
	return 0;
}

/* ---- answers ---- */

static void set_function(struct profile *profile, uint32_t number, uint32_t function, uint32_t site)
{
	struct stacks *stacks = &profile->stacks;
	struct frame_entry *frame = &stacks->frames.items[number];
	bool was_counted = frame->function != FUNCTION_NONE;

	frame->state = FRAME_NAMED;
	if (frame->function == function && frame->site == site)
		return;
	if (was_counted)
		leave_function(profile, number);
	frame->site = site;
	join_function(profile, number, function);
	if (!was_counted || frame->is_renamed)
		return;
	frame->is_renamed = true;
	frame->next_renamed = stacks->renamed;
	stacks->renamed = number;
}

/* A new line may make another frame the best one, for better or worse. */
static void set_line(struct profile *profile, uint32_t number, const char *file, uint32_t line)
{
	struct frame_entry *frame = &profile->stacks.frames.items[number];
	uint32_t function = frame->function;

	if (file && frame->file == file && frame->line == line)
		return;
	if (function != FUNCTION_NONE)
		leave_function(profile, number);
	frame->file = file;
	frame->line = line;
	if (function != FUNCTION_NONE)
		join_function(profile, number, function);
}

/* true: it says which function; interned strings that are missing because memory is short leave it unnamed.
 */
static uint32_t intern_name(struct profile *profile, uint32_t module, const struct frame_name *name)
{
	const char *text;

	if ((!name->function || !name->function_length) && module == MODULE_ANONYMOUS)
		return functions_intern_text(profile, module, ANONYMOUS_NAME);
	if (!name->function || !name->function_length)
		return functions_intern_address(&profile->functions, module, name->start,
						FUNCTION_AT_ADDRESS);
	text = strings_intern(&profile->strings, name->function, name->function_length);
	return text ? functions_intern(&profile->functions, module, text) : FUNCTION_NONE;
}

static const char *intern_file(struct profile *profile, const struct frame_name *name)
{
	if (!name->file || !name->file_length)
		return NULL;
	return strings_intern(&profile->strings, name->file, name->file_length);
}

/* The site of the innermost of these levels, which are those around the frame's own function. When memory is
 * short, what lies inside is taken for what is not inlined at all. */
static uint32_t intern_sites(struct profile *profile, uint32_t module, const struct frame_name *levels,
			     size_t count)
{
	uint32_t site = 0;

	while (count-- > 0) {
		uint32_t function = intern_name(profile, module, &levels[count]);
		const char *file = intern_file(profile, &levels[count]);

		site = function == FUNCTION_NONE
			       ? 0
			       : inlines_intern(profile, site, function, file, file ? levels[count].line : 0);
	}
	return site;
}

void profile_set_name(struct profile *profile, uint64_t word, const struct frame_name *levels, size_t count)
{
	uint32_t number = stacks_find_frame(&profile->stacks, word), function, site;
	const char *file;

	/* Its stacks may have been merged since it was asked for. */
	if (!number || !count)
		return;
	function = intern_name(profile, FRAME_MODULE(word), levels);
	if (function == FUNCTION_NONE)
		return;
	site = intern_sites(profile, FRAME_MODULE(word), levels + 1, count - 1);
	file = intern_file(profile, levels);
	set_line(profile, number, file, file ? levels->line : 0);
	set_function(profile, number, function, site);
	profile->revision++;
	if (profile->heap)
		heap_take_name(profile->heap, word);
}

static struct frame_name get_level(const struct profile *profile, uint32_t function, const char *file,
				   uint32_t line)
{
	const struct function_entry *entry = &profile->functions.items.items[function];
	struct frame_name name = {.start = entry->address, .file = file, .line = line};

	if (entry->kind == FUNCTION_WITH_NAME) {
		name.function = entry->name;
		name.function_length = strlen(entry->name);
	}
	name.file_length = file ? strlen(file) : 0;
	return name;
}

/* To the heap's profile, where functions that only pass an allocation on are folded into their callers. Texts
 * are interned anew: two profiles have two stores. */
bool names_copy(struct profile *profile, const struct profile *from, uint64_t word)
{
	const struct frame_entry *frame = &from->stacks.frames.items[stacks_find_frame(&from->stacks, word)];
	const struct inline_site *sites = from->inlines.items.items;
	struct frame_name levels[NAME_LEVELS_MAX];
	size_t count = 0, first = 0;

	if (frame->state != FRAME_NAMED)
		return true;
	levels[count++] = get_level(from, frame->function, frame->file, frame->line);
	for (uint32_t site = frame->site; site; site = sites[site].outer)
		levels[count++] = get_level(from, sites[site].function, sites[site].file, sites[site].line);
	while (count - first > 1 && levels[first].function &&
	       wrappers_is_inlined(levels[first].function, levels[first].function_length))
		first++;
	profile_set_name(profile, word, levels + first, count - first);
	return profile->stacks.frames.items[stacks_find_frame(&profile->stacks, word)].state == FRAME_NAMED;
}

void profile_set_frame(struct profile *profile, uint64_t word, uint32_t function_number, const char *file,
		       uint32_t line)
{
	uint32_t number = stacks_intern_frame(profile, word);
	uint32_t function = functions_find(&profile->functions, function_number);

	if (!number || function == FUNCTION_NONE)
		return;
	if (file)
		file = *file ? strings_intern(&profile->strings, file, SIZE_MAX) : NULL;
	set_line(profile, number, file, file ? line : 0);
	set_function(profile, number, function, 0);
	profile->revision++;
	if (profile->heap)
		heap_take_name(profile->heap, word);
}

void profile_set_frame_inline(struct profile *profile, uint64_t word, uint32_t site)
{
	uint32_t number = stacks_find_frame(&profile->stacks, word);
	const struct frame_entry *frame = &profile->stacks.frames.items[number];

	if (!number || frame->state != FRAME_NAMED || site >= profile->inlines.items.count)
		return;
	set_function(profile, number, frame->function, site);
	profile->revision++;
	if (profile->heap)
		heap_take_name(profile->heap, word);
}

uint32_t profile_get_frame_inline(const struct profile *profile, uint64_t word)
{
	return profile->stacks.frames.items[stacks_find_frame(&profile->stacks, word)].site;
}

bool profile_get_name(const struct profile *profile, uint64_t word, uint32_t *ret_function,
		      const char **ret_file, uint32_t *ret_line)
{
	const struct frame_entry *frame =
		&profile->stacks.frames.items[stacks_find_frame(&profile->stacks, word)];

	if (frame->state != FRAME_NAMED)
		return false;
	*ret_function = profile->functions.items.items[frame->function].number;
	*ret_file = frame->file ? frame->file : "";
	*ret_line = frame->line;
	return true;
}
