#include "symbolizer/jit.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "symbolizer/jitdump.h"
#include "symbolizer/perf_map.h"

#include <errno.h>

#define UPDATE_BYTES   (128u << 20)
#define UPDATE_RECORDS (1u << 19)

struct jit {
	struct perf_map *map; /* NULL: none */
	ARRAY(struct jitdump *)
	dumps;
	/* Those that have been read once in full: the map, so many dumps. */
	bool is_map_read;
	size_t dumps_read;
	bool has_too_many;
};

struct error *jit_create(struct jit **ret)
{
	struct jit *jit = calloc(1, sizeof(*jit));

	if (!jit)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "names of JIT code");
	*ret = jit;
	return NULL;
}

void jit_destroy(struct jit *jit)
{
	if (!jit)
		return;
	perf_map_destroy(jit->map);
	for (size_t i = 0; i < jit->dumps.count; i++)
		jitdump_destroy(jit->dumps.items[i]);
	array_deinit(&jit->dumps);
	free(jit);
}

struct error *jit_set_map(struct jit *jit, int fd)
{
	struct perf_map *map;
	struct error *error = perf_map_create(fd, &map);

	if (error)
		return error;
	perf_map_destroy(jit->map);
	jit->map = map;
	jit->is_map_read = false;
	return NULL;
}

struct error *jit_add_dump(struct jit *jit, int fd)
{
	_cleanup_close_ int taken = fd;
	struct error *error;

	if (jit->dumps.count == JIT_DUMPS_MAX) {
		jit->has_too_many = true;
		return NULL;
	}
	if (!array_reserve(&jit->dumps, jit->dumps.count + 1))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "jitdump");
	error = jitdump_create(take_fd(&taken), &jit->dumps.items[jit->dumps.count]);
	if (!error)
		jit->dumps.count++;
	return error;
}

void jit_update(struct jit *jit)
{
	if (jit->map)
		perf_map_update(jit->map, jit->is_map_read ? UPDATE_BYTES : UINT64_MAX);
	jit->is_map_read = jit->map;
	for (size_t i = 0; i < jit->dumps.count; i++)
		jitdump_update(jit->dumps.items[i], i < jit->dumps_read ? UPDATE_RECORDS : UINT64_MAX);
	jit->dumps_read = jit->dumps.count;
}

static bool find_in_dump(struct jitdump *dump, uint64_t address, struct jit_name *ret)
{
	struct jitdump_name name;

	if (!jitdump_find(dump, address, &name))
		return false;
	*ret = (struct jit_name){
		.start = name.start,
		.function = name.name,
		.function_length = name.length,
		.file = name.file,
		.file_length = name.file_length,
		.line = name.line,
	};
	return true;
}

bool jit_find(struct jit *jit, uint64_t address, struct jit_name *ret)
{
	struct perf_map_name name;

	for (size_t i = jit->dumps.count; i-- > 0;)
		if (find_in_dump(jit->dumps.items[i], address, ret))
			return true;
	if (!jit->map || !perf_map_find(jit->map, address, &name))
		return false;
	*ret = (struct jit_name){
		.start = name.start, .function = name.name, .function_length = name.length, .file = ""};
	return true;
}

const char *jit_get_why(const struct jit *jit)
{
	const char *why = jit->has_too_many ? "more jitdumps than are read" : "";

	for (size_t i = jit->dumps.count; !*why && i-- > 0;)
		why = jitdump_get_why(jit->dumps.items[i]);
	return why;
}
