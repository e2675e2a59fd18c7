#include "bpf/table_cache.h"

#include "base/array.h"
#include "base/cleanup.h"

#include <errno.h>

struct cached {
	uint64_t bytes;	    /* of its table; 0: none */
	uint64_t mapped_at; /* look that last saw it mapped */
	int fd;
	bool is_lost; /* it had one, which had to go */
	/* Unmapped modules with a table, in the order in which they went; MODULE_UNKNOWN ends it. */
	bool is_unmapped;
	uint32_t earlier, later;
};

struct table_cache {
	uint64_t unmapped_bytes, unmapped_bytes_max;
	uint64_t looks;
	ARRAY(struct cached)
	modules; /* by id */
	ARRAY(uint32_t)
	mapped; /* by the last look, each once */
	ARRAY(uint32_t)
	looking;	      /* the one under way */
	uint32_t first, last; /* of the unmapped ones: the first goes first */
};

static struct error *error_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "unwind tables of the target");
}

struct error *table_cache_create(uint64_t unmapped_bytes_max, struct table_cache **ret)
{
	struct table_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return error_memory();
	cache->unmapped_bytes_max = unmapped_bytes_max;
	*ret = cache;
	return NULL;
}

void table_cache_destroy(struct table_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < cache->modules.count; i++)
		cleanup_close(&cache->modules.items[i].fd);
	array_deinit(&cache->modules);
	array_deinit(&cache->mapped);
	array_deinit(&cache->looking);
	free(cache);
}

/* NULL: memory is short. */
static struct cached *find_or_make(struct table_cache *cache, uint32_t module)
{
	while (cache->modules.count <= module) {
		if (!array_append(&cache->modules, (struct cached){.fd = -1}))
			return NULL;
	}
	return &cache->modules.items[module];
}

/* ---- those that are not mapped ---- */

static void link_unmapped(struct table_cache *cache, uint32_t module)
{
	struct cached *cached = &cache->modules.items[module];

	cached->is_unmapped = true;
	cached->earlier = cache->last;
	cached->later = MODULE_UNKNOWN;
	if (cache->last != MODULE_UNKNOWN)
		cache->modules.items[cache->last].later = module;
	else
		cache->first = module;
	cache->last = module;
	cache->unmapped_bytes += cached->bytes;
}

static void unlink_unmapped(struct table_cache *cache, uint32_t module)
{
	struct cached *cached = &cache->modules.items[module];

	if (!cached->is_unmapped)
		return;
	cached->is_unmapped = false;
	if (cached->earlier != MODULE_UNKNOWN)
		cache->modules.items[cached->earlier].later = cached->later;
	else
		cache->first = cached->later;
	if (cached->later != MODULE_UNKNOWN)
		cache->modules.items[cached->later].earlier = cached->earlier;
	else
		cache->last = cached->earlier;
	cache->unmapped_bytes -= cached->bytes;
}

static bool is_mapped(const struct table_cache *cache, const struct cached *cached)
{
	return cached->mapped_at && cached->mapped_at == cache->looks;
}

/* The vDSO is in every program, from its first moment on. */
static bool is_coming_and_going(uint32_t module)
{
	return module >= MODULE_FIRST_FILE;
}

/* ---- tables ---- */

struct error *table_cache_put(struct table_cache *cache, uint32_t module, uint64_t bytes, int fd)
{
	_cleanup_close_ int taken = fd;
	struct cached *cached = module < MODULE_LIMIT ? find_or_make(cache, module) : NULL;

	if (!cached)
		return error_memory();
	unlink_unmapped(cache, module);
	cleanup_close(&cached->fd);
	cached->fd = take_fd(&taken);
	cached->bytes = bytes;
	cached->is_lost = false;
	/* It was unmapped while its table was built. */
	if (is_coming_and_going(module) && !is_mapped(cache, cached))
		link_unmapped(cache, module);
	return NULL;
}

int table_cache_get(const struct table_cache *cache, uint32_t module, uint64_t *ret_bytes)
{
	if (module >= cache->modules.count || cache->modules.items[module].fd < 0)
		return -1;
	*ret_bytes = cache->modules.items[module].bytes;
	return cache->modules.items[module].fd;
}

static struct error *see_module(struct table_cache *cache, uint32_t module,
				void (*come_back)(void *arg, uint32_t module), void *arg)
{
	struct cached *cached = find_or_make(cache, module);

	if (!cached || !array_reserve(&cache->looking, cache->looking.count + 1))
		return error_memory();
	if (cached->mapped_at == cache->looks)
		return NULL;
	cached->mapped_at = cache->looks;
	array_append(&cache->looking, module);
	unlink_unmapped(cache, module);
	if (!cached->is_lost)
		return NULL;
	cached->is_lost = false;
	come_back(arg, module);
	return NULL;
}

static void swap_looks(struct table_cache *cache)
{
	typeof(cache->mapped) last = cache->mapped;

	cache->mapped.items = cache->looking.items;
	cache->mapped.count = cache->looking.count;
	cache->mapped.capacity = cache->looking.capacity;
	cache->looking.items = last.items;
	cache->looking.count = 0;
	cache->looking.capacity = last.capacity;
}

struct error *table_cache_look(struct table_cache *cache, const struct mapping *mappings, size_t count,
			       void (*come_back)(void *arg, uint32_t module), void *arg)
{
	struct error *error = NULL;

	cache->looks++;
	cache->looking.count = 0;
	for (size_t i = 0; i < count && !error; i++) {
		if (is_coming_and_going(mappings[i].module))
			error = see_module(cache, mappings[i].module, come_back, arg);
	}
	for (size_t i = 0; i < cache->mapped.count; i++) {
		const struct cached *cached = &cache->modules.items[cache->mapped.items[i]];

		if (!is_mapped(cache, cached) && cached->bytes && !cached->is_unmapped)
			link_unmapped(cache, cache->mapped.items[i]);
	}
	swap_looks(cache);
	return error;
}

bool table_cache_has_surplus(const struct table_cache *cache)
{
	return cache->unmapped_bytes > cache->unmapped_bytes_max;
}

uint32_t table_cache_take_surplus(struct table_cache *cache)
{
	uint32_t module = cache->first;
	struct cached *cached;

	if (!table_cache_has_surplus(cache))
		return MODULE_UNKNOWN;
	cached = &cache->modules.items[module];
	unlink_unmapped(cache, module);
	cleanup_close(&cached->fd);
	cached->fd = -1;
	cached->bytes = 0;
	cached->is_lost = true;
	return module;
}

uint64_t table_cache_get_unmapped_bytes(const struct table_cache *cache)
{
	return cache->unmapped_bytes;
}
