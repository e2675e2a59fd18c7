#include "profile/modules.h"

#include "profile/internal.h"

#include <stdio.h>
#include <string.h>

static const struct {
	uint32_t id;
	enum module_kind kind;
	const char *path, *name;
} fixed_modules[] = {
	{MODULE_UNKNOWN, MODULE_KIND_ANONYMOUS, "[unknown]", "[unknown]"},
	{MODULE_KERNEL, MODULE_KIND_KERNEL, "", "[kernel]"},
	{MODULE_ANONYMOUS, MODULE_KIND_ANONYMOUS, "[anon]", "[anon]"},
	{MODULE_VDSO, MODULE_KIND_VDSO, "[vdso]", "[vdso]"},
	{MODULE_STACK_END, MODULE_KIND_ANONYMOUS, "[broken]", "[broken]"},
};

static bool is_fixed(uint32_t id)
{
	return id <= MODULE_STACK_END;
}

bool modules_init(struct modules *modules, struct strings *strings)
{
	*modules = (struct modules){.unasked_first = MODULE_NONE, .unasked_last = MODULE_NONE};
	for (size_t i = 0; i < sizeof(fixed_modules) / sizeof(fixed_modules[0]); i++) {
		struct module_entry *entry = modules_intern(modules, strings, fixed_modules[i].id);

		if (!entry)
			return false;
		entry->public.kind = fixed_modules[i].kind;
		entry->public.path = fixed_modules[i].path;
		entry->public.name = fixed_modules[i].name;
	}
	return true;
}

void modules_deinit(struct modules *modules)
{
	array_deinit(&modules->items);
	array_deinit(&modules->by_id);
}

struct module_entry *modules_find(const struct modules *modules, uint32_t id)
{
	if (id >= modules->by_id.count || !modules->by_id.items[id])
		return NULL;
	return &modules->items.items[modules->by_id.items[id] - 1];
}

struct module_entry *modules_intern(struct modules *modules, struct strings *strings, uint32_t id)
{
	struct module_entry *entry = modules_find(modules, id);
	char text[32];
	const char *name;

	if (entry)
		return entry;
	if (id >= MODULE_LIMIT)
		return NULL;
	if (id == MODULE_MERGED)
		snprintf(text, sizeof(text), "[merged]");
	else
		snprintf(text, sizeof(text), "[module %u]", id);
	name = strings_intern(strings, text, SIZE_MAX);
	if (!name || !array_reserve(&modules->by_id, id + 1) ||
	    !array_reserve(&modules->items, modules->items.count + 1))
		return NULL;
	while (modules->by_id.count <= id)
		modules->by_id.items[modules->by_id.count++] = 0;
	entry = &modules->items.items[modules->items.count++];
	*entry = (struct module_entry){
		.public = {.id = id,
			   .kind = id == MODULE_MERGED ? MODULE_KIND_ANONYMOUS : MODULE_KIND_FILE,
			   .path = "",
			   .name = name,
			   .build_id = ""},
		.next_unasked = MODULE_NONE,
	};
	modules->by_id.items[id] = (uint32_t)modules->items.count;
	return entry;
}

static struct error *out_of_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "module");
}

static struct module_entry *intern_or_fail(struct profile *profile, uint32_t id, struct error **ret)
{
	struct module_entry *entry = modules_intern(&profile->modules, &profile->strings, id);

	if (!entry)
		*ret = id >= MODULE_LIMIT ? error_create(ERROR_GENERAL, 0, NULL, "there is no module %u", id)
					  : out_of_memory();
	return entry;
}

struct error *profile_set_module(struct profile *profile, uint32_t id, enum module_kind kind,
				 const char *path)
{
	struct error *error = NULL;
	struct module_entry *entry = intern_or_fail(profile, id, &error);
	const char *copy, *slash;

	if (!entry)
		return error;
	if (path && *path && !is_fixed(id)) {
		copy = strings_intern(&profile->strings, path, SIZE_MAX);
		if (!copy)
			return out_of_memory();
		slash = strrchr(copy, '/');
		entry->public.path = copy;
		entry->public.name = slash && slash[1] ? slash + 1 : copy;
	}
	if (!is_fixed(id))
		entry->public.kind = kind;
	profile->revision++;
	return profile->weights ? profile_set_module(profile->weights, id, kind, path) : NULL;
}

struct error *profile_set_module_symbols(struct profile *profile, uint32_t id, enum module_symbols symbols,
					 const char *build_id)
{
	struct error *error = NULL;
	struct module_entry *entry = intern_or_fail(profile, id, &error);

	if (!entry)
		return error;
	if (build_id) {
		const char *copy = strings_intern(&profile->strings, build_id, SIZE_MAX);

		if (!copy)
			return out_of_memory();
		entry->public.build_id = copy;
	}
	/* The word comes from a worker, which a hostile file may have taken over. */
	entry->public.symbols = (unsigned)symbols <= SYMBOLS_JIT ? symbols : SYMBOLS_STRIPPED;
	profile->revision++;
	return profile->weights ? profile_set_module_symbols(profile->weights, id, symbols, build_id) : NULL;
}

struct error *profile_set_module_info(struct profile *profile, const struct info_message *info)
{
	size_t length = info->build_id_length < BUILD_ID_MAX ? info->build_id_length : BUILD_ID_MAX;
	char hex[2 * BUILD_ID_MAX + 1] = "";

	for (size_t i = 0; i < length; i++)
		sprintf(hex + 2 * i, "%02x", info->build_id[i]);
	return profile_set_module_symbols(profile, info->module, (enum module_symbols)info->symbols,
					  length ? hex : NULL);
}

size_t profile_count_modules(const struct profile *profile)
{
	return profile->modules.items.count;
}

struct module profile_get_module(const struct profile *profile, size_t index)
{
	profile_settle(profile);
	return profile->modules.items.items[index].public;
}

bool profile_find_module(const struct profile *profile, uint32_t id, struct module *ret)
{
	const struct module_entry *entry = modules_find(&profile->modules, id);

	if (!entry)
		return false;
	profile_settle(profile);
	*ret = entry->public;
	return true;
}
