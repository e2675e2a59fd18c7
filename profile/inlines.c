#include "profile/inlines.h"

#include "base/hash.h"
#include "profile/internal.h"

bool inlines_init(struct inlines *inlines)
{
	return array_append(&inlines->items, (struct inline_site){0});
}

void inlines_deinit(struct inlines *inlines)
{
	index_deinit(&inlines->index);
	array_deinit(&inlines->items);
}

static uint32_t hash_site(const struct inline_site *site)
{
	uint64_t where = (uint64_t)site->outer << 32 | site->line;

	return (uint32_t)hash_pair(where ^ (uintptr_t)site->file, site->function);
}

static bool is_same(const struct inline_site *a, const struct inline_site *b)
{
	return a->outer == b->outer && a->function == b->function && a->file == b->file && a->line == b->line;
}

uint32_t inlines_intern(struct profile *profile, uint32_t outer, uint32_t function, const char *file,
			uint32_t line)
{
	struct inlines *inlines = &profile->inlines;
	struct inline_site wanted = {file, outer, function, line, 0};
	struct function_entry *entry = &profile->functions.items.items[function];
	uint32_t hash = hash_site(&wanted), number;
	uint64_t at = hash;

	while ((number = index_next(&inlines->index, hash, &at)))
		if (is_same(&inlines->items.items[number], &wanted))
			return number;
	wanted.depth = outer ? inlines->items.items[outer].depth + 1 : 0;
	if (wanted.depth > NAME_LEVELS_MAX - 2 || !index_reserve(&inlines->index) ||
	    !array_append(&inlines->items, wanted))
		return 0;
	number = (uint32_t)(inlines->items.count - 1);
	index_add(&inlines->index, hash, number);
	if (!entry->site)
		entry->site = number;
	return number;
}

/* ---- profile.h ---- */

uint32_t profile_count_inlines(const struct profile *profile)
{
	return (uint32_t)(profile->inlines.items.count - 1);
}

struct inlined profile_get_inline(const struct profile *profile, uint32_t number)
{
	const struct inline_site *site = &profile->inlines.items.items[number];

	return (struct inlined){
		.around = site->outer,
		.function = profile->functions.items.items[site->function].number,
		.file = site->file ? site->file : "",
		.line = site->line,
	};
}

uint32_t profile_intern_inline(struct profile *profile, const struct inlined *inlined)
{
	uint32_t function = functions_find(&profile->functions, inlined->function);
	const char *file = NULL;

	if (function == FUNCTION_NONE || inlined->around >= profile->inlines.items.count)
		return 0;
	if (inlined->file && *inlined->file)
		file = strings_intern(&profile->strings, inlined->file, SIZE_MAX);
	return inlines_intern(profile, inlined->around, function, file, file ? inlined->line : 0);
}
