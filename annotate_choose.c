#include "annotate_choose.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define NEAR_MAX      3
#define DISTANCE_MAX  3
#define OTHERS_MAX    8
#define NEAR_NAME_MAX 120 /* bytes of it in the hint */

/* What is looked for: the whole word, or its part behind the first '!', in one module. */
struct wanted {
	const char *module; /* NULL: any */
	size_t module_length;
	const char *name;
};

struct candidates {
	ARRAY(uint32_t)
	items;
};

static bool matches(const struct wanted *wanted, const struct function *function)
{
	if (strcmp(function->name, wanted->name))
		return false;
	return !wanted->module || (strlen(function->module_name) == wanted->module_length &&
				   !memcmp(function->module_name, wanted->module, wanted->module_length));
}

static bool is_hotter(const struct function *a, const struct function *b)
{
	return a->self != b->self ? a->self > b->self : a->total > b->total;
}

static struct error *collect(struct profile *profile, const struct wanted *wanted,
			     struct candidates *candidates)
{
	uint32_t count = profile_count_functions(profile);

	candidates->items.count = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct function function = profile_get_function(profile, i);

		if (!function.total || !matches(wanted, &function))
			continue;
		if (!array_append(&candidates->items, i))
			return error_create(ERROR_GENERAL, ENOMEM, NULL, "functions");
	}
	return NULL;
}

/* ---- none ---- */

/* How near a name is: 0 is the nearest. A part of a name is near ("next" is in "json::Parser::next()"), then
 * names with few other letters. */
static unsigned get_distance(const char *name, const char *symbol)
{
	unsigned distance;

	if (strcasestr(name, symbol))
		return 0;
	distance = text_distance(name, symbol);
	return distance <= DISTANCE_MAX && distance < strlen(symbol) ? distance : UINT32_MAX;
}

struct near {
	uint32_t function;
	unsigned distance;
};

/* Functions of one name in several modules are said once. */
static bool is_said(struct profile *profile, const struct near nears[NEAR_MAX], size_t count,
		    const char *name)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(profile_get_function(profile, nears[i].function).name, name))
			return true;
	}
	return false;
}

static void keep_near(struct profile *profile, struct near nears[NEAR_MAX], size_t *count, struct near near)
{
	struct function function = profile_get_function(profile, near.function);
	size_t at = *count;

	if (is_said(profile, nears, *count, function.name))
		return;
	while (at) {
		struct function before = profile_get_function(profile, nears[at - 1].function);

		if (nears[at - 1].distance < near.distance ||
		    (nears[at - 1].distance == near.distance && !is_hotter(&function, &before)))
			break;
		at--;
	}
	if (at == NEAR_MAX)
		return;
	*count += *count < NEAR_MAX;
	memmove(&nears[at + 1], &nears[at], (*count - at - 1) * sizeof(near));
	nears[at] = near;
}

static struct error *error_none(struct profile *profile, const struct wanted *wanted, const char *symbol)
{
	uint32_t all = profile_count_functions(profile);
	char hint[NEAR_MAX * (NEAR_NAME_MAX + 8) + 32], name[NEAR_NAME_MAX + 1];
	struct near nears[NEAR_MAX];
	size_t count = 0, used;

	for (uint32_t i = 0; i < all; i++) {
		struct function function = profile_get_function(profile, i);
		struct near near = {i, get_distance(function.name, wanted->name)};

		if (function.total && near.distance != UINT32_MAX)
			keep_near(profile, nears, &count, near);
	}
	used = (size_t)snprintf(hint, sizeof(hint), "%s",
				count ? "did you mean: " : "kiln report FILE --view hot lists them");
	for (size_t i = 0; i < count; i++) {
		struct function function = profile_get_function(profile, nears[i].function);

		text_sanitize(function.name, SIZE_MAX, name, sizeof(name));
		used += (size_t)snprintf(hint + used, sizeof(hint) - used, "%s%s", i ? " | " : "", name);
	}
	return error_create(ERROR_GENERAL, 0, hint, "no function is called %s", symbol);
}

/* ---- several ---- */

static uint32_t find_hottest(struct profile *profile, const struct candidates *candidates)
{
	uint32_t ret = candidates->items.items[0];

	for (size_t i = 1; i < candidates->items.count; i++) {
		struct function best = profile_get_function(profile, ret);
		struct function other = profile_get_function(profile, candidates->items.items[i]);

		if (is_hotter(&other, &best))
			ret = candidates->items.items[i];
	}
	return ret;
}

static void tell_others(struct profile *profile, const struct candidates *candidates, uint32_t chosen,
			FILE *notes)
{
	size_t count = candidates->items.count, said = 0;

	if (count < 2)
		return;
	fprintf(notes, "kiln: %zu functions are called so; this is the hottest. The others:\n", count);
	for (size_t i = 0; i < count && said < OTHERS_MAX; i++) {
		struct function function = profile_get_function(profile, candidates->items.items[i]);

		if (candidates->items.items[i] == chosen)
			continue;
		said++;
		fprintf(notes, "  %s!%s (%" PRIu64 " samples of its own)\n", function.module_name,
			function.name, function.self);
	}
	if (said < count - 1)
		fprintf(notes, "  … %zu more\n", count - 1 - said);
}

struct error *annotate_choose(struct profile *profile, const char *symbol, FILE *notes, uint32_t *ret)
{
	const char *mark = strchr(symbol, '!');
	struct wanted wanted = {.name = symbol};
	struct candidates candidates = {0};
	struct error *error = collect(profile, &wanted, &candidates);

	/* operator!= is a name. */
	if (!error && !candidates.items.count && mark && mark != symbol && mark[1]) {
		wanted = (struct wanted){symbol, (size_t)(mark - symbol), mark + 1};
		error = collect(profile, &wanted, &candidates);
	}
	if (!error && !candidates.items.count)
		error = error_none(profile, &wanted, symbol);
	if (!error) {
		*ret = find_hottest(profile, &candidates);
		tell_others(profile, &candidates, *ret, notes);
	}
	array_deinit(&candidates.items);
	return error;
}
