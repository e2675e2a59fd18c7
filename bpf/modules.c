/* Refresh, in four steps: read the maps, find or make the module of each executable mapping, merge what is
 * one piece, compare with the last result. Opening happens when a module is made, while its mapping's address
 * range is at hand (modules_open.c says in which order). */
#include "bpf/modules.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/hash.h"
#include "base/text.h"
#include "bpf/maps.h"
#include "bpf/modules_open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/stat.h>

#define OPEN_ATTEMPTS_MAX 3

/* A file in the registry. Memory of a JIT that happens to be a memfd has an entry too, so that it is looked
 * at once; its id is MODULE_ANONYMOUS and no module is made of it. */
struct entry {
	struct target_module module;
	uint64_t hash;
	uint64_t mapped_at; /* refresh that last saw it mapped */
	unsigned attempts;
	uint64_t *failures; /* the note that counts it while it is not open */
	bool is_replaced;   /* its content changed: no longer found */
};

struct modules {
	uint64_t seed;
	uint64_t refreshes;
	ARRAY(struct entry *)
	entries; /* all */
	ARRAY(struct entry *)
	by_id;		      /* [id - MODULE_FIRST_FILE] */
	struct entry **slots; /* open addressing; a power of two, at most half full */
	size_t slot_count;
	ARRAY(struct mapping)
	mappings; /* the last result */
	ARRAY(struct mapping)
	reading; /* the one under way */
	ARRAY(struct target_module *)
	fresh;
	bool is_fresh_told; /* the last refresh reached its caller */
	struct modules_notes notes;
};

static struct error *error_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "modules of the target");
}

/* ---- life ---- */

static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

struct error *modules_create(struct modules **ret)
{
	struct modules *modules = calloc(1, sizeof(*modules));

	if (!modules)
		return error_memory();
	/* Paths are the target's choice: without the seed it could choose ones that collide. */
	if (getrandom(&modules->seed, sizeof(modules->seed), GRND_NONBLOCK) < 0)
		modules->seed = (uintptr_t)modules;
	raise_file_limit();
	*ret = modules;
	return NULL;
}

static void entry_destroy(struct entry *entry)
{
	if (!entry)
		return;
	if (entry->module.fd >= 0)
		close(entry->module.fd);
	free(entry->module.path);
	free(entry->module.shown);
	free(entry->module.why);
	free(entry);
}

void modules_destroy(struct modules *modules)
{
	if (!modules)
		return;
	for (size_t i = 0; i < modules->entries.count; i++)
		entry_destroy(modules->entries.items[i]);
	array_deinit(&modules->entries);
	array_deinit(&modules->by_id);
	array_deinit(&modules->mappings);
	array_deinit(&modules->reading);
	array_deinit(&modules->fresh);
	free(modules->slots);
	free(modules);
}

/* ---- finding a file's entry ---- */

/* Without " (deleted)", however often: whether the last one is the kernel's or a part of the name cannot be
 * told, and deleting a file must not make another one of it. */
static size_t find_name_length(const char *path)
{
	static const char suffix[] = " (deleted)";
	size_t length = strlen(path), suffix_length = strlen(suffix);

	while (length > suffix_length && !memcmp(path + length - suffix_length, suffix, suffix_length))
		length -= suffix_length;
	return length;
}

static bool is_same_name(const char *a, const char *b)
{
	size_t length = find_name_length(a);

	return length == find_name_length(b) && !memcmp(a, b, length);
}

static uint64_t hash_file(const struct modules *modules, const struct map *map)
{
	uint64_t hash = hash_pair(modules->seed, map->inode);
	size_t length = find_name_length(map->path);

	hash = hash_pair(hash, (uint64_t)map->dev_major << 32 | map->dev_minor);
	for (size_t i = 0; i < length; i++)
		hash = hash_pair(hash, (unsigned char)map->path[i]);
	return hash;
}

static bool is_file_of(const struct entry *entry, const struct map *map, uint64_t hash)
{
	const struct target_module *module = &entry->module;

	return entry->hash == hash && !entry->is_replaced && module->inode == map->inode &&
	       module->dev_major == map->dev_major && module->dev_minor == map->dev_minor &&
	       is_same_name(module->path, map->path);
}

static struct entry *find_entry(const struct modules *modules, const struct map *map, uint64_t hash)
{
	if (!modules->slot_count)
		return NULL;
	for (size_t i = hash & (modules->slot_count - 1); modules->slots[i];
	     i = (i + 1) & (modules->slot_count - 1))
		if (is_file_of(modules->slots[i], map, hash))
			return modules->slots[i];
	return NULL;
}

static void put_in_slot(struct entry **slots, size_t slot_count, struct entry *entry)
{
	size_t i = entry->hash & (slot_count - 1);

	while (slots[i])
		i = (i + 1) & (slot_count - 1);
	slots[i] = entry;
}

static bool grow_slots(struct modules *modules)
{
	size_t grown = modules->slot_count ? modules->slot_count * 2 : 64;
	struct entry **slots;

	if ((modules->entries.count + 1) * 2 <= modules->slot_count)
		return true;
	slots = calloc(grown, sizeof(struct entry *));
	if (!slots)
		return false;
	for (size_t i = 0; i < modules->entries.count; i++)
		put_in_slot(slots, grown, modules->entries.items[i]);
	free(modules->slots);
	modules->slots = slots;
	modules->slot_count = grown;
	return true;
}

/* ---- making one ---- */

static struct entry *entry_create(const struct map *map, uint64_t hash)
{
	size_t length = strlen(map->path);
	struct entry *entry = calloc(1, sizeof(*entry));

	if (!entry)
		return NULL;
	entry->hash = hash;
	entry->module.fd = -1;
	entry->module.dev_major = map->dev_major;
	entry->module.dev_minor = map->dev_minor;
	entry->module.inode = map->inode;
	entry->module.is_deleted = map->is_deleted;
	entry->module.path = strdup(map->path);
	/* One byte of rubbish becomes at most one '?': the text never grows. The mark of a cut is never
	 * needed. */
	entry->module.shown = malloc(length + 4);
	if (!entry->module.path || !entry->module.shown) {
		entry_destroy(entry);
		return NULL;
	}
	text_sanitize(map->path, length, entry->module.shown, length + 4);
	return entry;
}

static void open_entry(struct modules *modules, struct entry *entry, const struct target *target,
		       const struct map *map)
{
	struct target_module *module = &entry->module;
	_cleanup_error_ struct error *error = NULL;
	struct stat status;

	if (entry->failures)
		--*entry->failures;
	entry->failures = NULL;
	free(module->why);
	module->why = NULL;
	entry->attempts++;
	error = modules_open_file(target, map, &module->fd);
	if (error) {
		bool is_limit = error_get_errno(error) == EMFILE || error_get_errno(error) == ENFILE;

		module->fd = -1;
		module->why = strdup(error_get_message(error));
		entry->failures = is_limit ? &modules->notes.no_fd : &modules->notes.no_open;
		++*entry->failures;
		return;
	}
	if (fstat(module->fd, &status) == 0) {
		module->size_bytes = (uint64_t)status.st_size;
		module->modified = status.st_mtim;
	}
}

/* A memfd holds a library that was never on a disk, or the code of a JIT that writes it through a second
 * mapping. */
static bool is_code_memory(const struct entry *entry, const struct map *map)
{
	char magic[4];

	return map->kind == MAP_KIND_MEMFD && entry->module.fd >= 0 &&
	       (pread(entry->module.fd, magic, 4, 0) != 4 || memcmp(magic, "\177ELF", 4) != 0);
}

static struct error *add_entry(struct modules *modules, const struct target *target, const struct map *map,
			       uint64_t hash, struct entry **ret)
{
	struct entry *entry;

	if (!grow_slots(modules) || !array_reserve(&modules->entries, modules->entries.count + 1) ||
	    !array_reserve(&modules->by_id, modules->by_id.count + 1) ||
	    !array_reserve(&modules->fresh, modules->fresh.count + 1))
		return error_memory();
	entry = entry_create(map, hash);
	if (!entry)
		return error_memory();
	open_entry(modules, entry, target, map);
	if (is_code_memory(entry, map)) {
		entry->module.id = MODULE_ANONYMOUS;
		close(entry->module.fd);
		entry->module.fd = -1;
	} else {
		entry->module.id = MODULE_FIRST_FILE + (uint32_t)modules->by_id.count;
		modules->by_id.items[modules->by_id.count++] = entry;
		modules->fresh.items[modules->fresh.count++] = &entry->module;
	}
	modules->entries.items[modules->entries.count++] = entry;
	put_in_slot(modules->slots, modules->slot_count, entry);
	*ret = entry;
	return NULL;
}

/* A plugin that was rebuilt in place: same inode, other content. Looked at only when a file that was not
 * mapped is mapped again; while it is mapped, writing to it would break the target itself. */
static bool is_rewritten(const struct modules *modules, const struct entry *entry)
{
	struct stat status;

	return entry->module.fd >= 0 && entry->mapped_at + 1 < modules->refreshes &&
	       fstat(entry->module.fd, &status) == 0 &&
	       ((uint64_t)status.st_size != entry->module.size_bytes ||
		status.st_mtim.tv_sec != entry->module.modified.tv_sec ||
		status.st_mtim.tv_nsec != entry->module.modified.tv_nsec);
}

static bool is_worth_another_try(const struct modules *modules, const struct entry *entry)
{
	return entry->module.fd < 0 && entry->module.id != MODULE_ANONYMOUS &&
	       entry->attempts < OPEN_ATTEMPTS_MAX && entry->mapped_at != modules->refreshes;
}

static struct error *try_again(struct modules *modules, struct entry *entry, const struct target *target,
			       const struct map *map)
{
	if (!array_reserve(&modules->fresh, modules->fresh.count + 1))
		return error_memory();
	open_entry(modules, entry, target, map);
	if (entry->module.fd >= 0)
		modules->fresh.items[modules->fresh.count++] = &entry->module;
	return NULL;
}

/* *ret: the id of the mapped file; MODULE_UNKNOWN when there are no more. */
static struct error *find_module(struct modules *modules, const struct target *target, const struct map *map,
				 uint32_t *ret)
{
	uint64_t hash = hash_file(modules, map);
	struct entry *entry = find_entry(modules, map, hash);
	struct error *error = NULL;

	if (entry && is_rewritten(modules, entry)) {
		entry->is_replaced = true;
		entry = NULL;
	}
	if (entry && is_worth_another_try(modules, entry))
		error = try_again(modules, entry, target, map);
	if (!entry && modules->entries.count >= MODULE_LIMIT - MODULE_FIRST_FILE) {
		modules->notes.no_id++;
		*ret = MODULE_UNKNOWN;
		return NULL;
	}
	if (!entry)
		error = add_entry(modules, target, map, hash, &entry);
	if (error)
		return error;
	entry->mapped_at = modules->refreshes;
	*ret = entry->module.id;
	return NULL;
}

/* ---- the mappings ---- */

struct pass {
	struct modules *modules;
	const struct target *target;
	size_t seen;
};

/* Appends a mapping so that the result stays sorted without overlaps, though the target maps and unmaps
 * between the kernel's pieces of the text; one that goes on where the last one ended in the same way is
 * joined to it. */
static bool append_mapping(struct modules *modules, struct mapping mapping)
{
	size_t count = modules->reading.count;
	struct mapping *last = count ? &modules->reading.items[count - 1] : NULL;

	if (last && mapping.end <= last->end)
		return true;
	if (last && mapping.start < last->end) {
		mapping.offset += last->end - mapping.start;
		mapping.start = last->end;
	}
	if (last && mapping.start == last->end && mapping.module == last->module &&
	    mapping.flags == last->flags && mapping.offset == last->offset + (last->end - last->start)) {
		last->end = mapping.end;
		return true;
	}
	return array_append(&modules->reading, mapping);
}

static struct error *add_map(void *arg, const struct map *map)
{
	struct pass *pass = arg;
	struct mapping mapping = {.start = map->start, .end = map->end, .offset = map->start};
	struct error *error = NULL;

	pass->seen++;
	if (!map->is_executable)
		return NULL;
	switch (map->kind) {
	case MAP_KIND_VSYSCALL:
		return NULL;
	case MAP_KIND_TRAMPOLINE:
		mapping.module = MODULE_UNKNOWN;
		mapping.flags = MAPPING_TRAMPOLINE;
		break;
	case MAP_KIND_VDSO:
		mapping.module = MODULE_VDSO;
		mapping.offset = 0;
		break;
	case MAP_KIND_ANONYMOUS:
		mapping.module = MODULE_ANONYMOUS;
		break;
	case MAP_KIND_MEMFD:
	case MAP_KIND_FILE:
		error = find_module(pass->modules, pass->target, map, &mapping.module);
		if (mapping.module >= MODULE_FIRST_FILE)
			mapping.offset = map->offset;
		break;
	}
	if (!error && !append_mapping(pass->modules, mapping))
		error = error_memory();
	return error;
}

static bool has_same_mappings(const struct modules *modules)
{
	return modules->refreshes > 1 && modules->reading.count == modules->mappings.count &&
	       (!modules->reading.count || !memcmp(modules->reading.items, modules->mappings.items,
						   modules->reading.count * sizeof(struct mapping)));
}

static void swap_mappings(struct modules *modules)
{
	typeof(modules->mappings) last = modules->mappings;

	modules->mappings.items = modules->reading.items;
	modules->mappings.count = modules->reading.count;
	modules->mappings.capacity = modules->reading.capacity;
	modules->reading.items = last.items;
	modules->reading.count = last.count;
	modules->reading.capacity = last.capacity;
}

static struct error *read_maps(struct pass *pass)
{
	_cleanup_fclose_ FILE *stream = NULL;
	struct error *error = maps_open(pass->target->proc_fd, &stream);

	return error ? error : maps_read(stream, add_map, pass);
}

/* A main thread that has ended (pthread_exit()) has no memory any more, while the others go on: their
 * entries show it. There is no map_files in them: files are found by their paths. */
static struct error *read_maps_of_threads(struct pass *pass)
{
	const struct target *process = pass->target;
	int task_fd = openat(process->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *tasks = task_fd < 0 ? NULL : fdopendir(task_fd);
	struct error *error = NULL;
	struct dirent *entry;

	if (!tasks) {
		cleanup_close(&task_fd);
		return NULL;
	}
	while (!error && !pass->seen && (entry = readdir(tasks))) {
		_cleanup_close_ int thread_fd =
			entry->d_name[0] == '.'
				? -1
				: openat(dirfd(tasks), entry->d_name, O_PATH | O_DIRECTORY | O_CLOEXEC);
		struct target thread = *process;

		if (thread_fd < 0)
			continue;
		thread.proc_fd = thread_fd;
		pass->target = &thread;
		error = read_maps(pass);
		pass->target = process;
		/* Ended in between. */
		if (error && !pass->seen) {
			error_destroy(error);
			error = NULL;
		}
	}
	closedir(tasks);
	return error;
}

struct error *modules_refresh(struct modules *modules, const struct target *target,
			      struct modules_change *ret)
{
	struct pass pass = {.modules = modules, .target = target};
	struct error *error;

	modules->reading.count = 0;
	/* What a failed refresh has found is told by the next one. */
	if (modules->is_fresh_told)
		modules->fresh.count = 0;
	modules->is_fresh_told = false;
	modules->refreshes++;
	error = read_maps(&pass);
	if (!error && !pass.seen)
		error = read_maps_of_threads(&pass);
	if ((error && error_get_errno(error) == ESRCH) || (!error && !pass.seen)) {
		error_destroy(error);
		error = error_create(ERROR_NO_TARGET, 0, NULL, "process %d has ended", (int)target->pid);
	}
	if (error)
		return error_wrap(error, "process %d", (int)target->pid);
	ret->changed = !has_same_mappings(modules);
	if (ret->changed)
		swap_mappings(modules);
	ret->mappings = modules->mappings.items;
	ret->count = modules->mappings.count;
	ret->fresh = modules->fresh.items;
	ret->fresh_count = modules->fresh.count;
	modules->is_fresh_told = true;
	return NULL;
}

const struct target_module *modules_get(const struct modules *modules, uint32_t id)
{
	if (id < MODULE_FIRST_FILE || id - MODULE_FIRST_FILE >= modules->by_id.count)
		return NULL;
	return &modules->by_id.items[id - MODULE_FIRST_FILE]->module;
}

size_t modules_count(const struct modules *modules)
{
	return modules->by_id.count;
}

const struct modules_notes *modules_get_notes(const struct modules *modules)
{
	return &modules->notes;
}
