#include "bpf/heap.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "bpf/heap.skel.h"
#include "bpf/heap_session.skel.h"
#include "bpf/limits.h"
#include "bpf/ring.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#define RING_BYTES (4u << 20)
/* Attach types that libbpf 1.1 does not name (include/uapi/linux/bpf.h of Linux 6.6 and 6.12). */
#define ATTACH_UPROBE_MULTI   48
#define ATTACH_UPROBE_SESSION 57
/* Of a hash element besides its key and value, and of its bucket. */
#define ELEMENT_BYTES 56
#define BUCKET_BYTES  16

struct heap_books {
	struct bpf_object *object;
	struct bpf_link *exec_link;
	struct uprobes *uprobes;
	struct heap_room *room;		      /* mapped, shared with the programs */
	const struct heap_counters *counters; /* mapped: one a CPU */
	int sites_fd;			      /* the collector's */
	bool is_over;
	unsigned cpus;
	size_t ring_bytes;
	uint64_t memory_bytes, memory_max; /* that levels and chunks can take */
	ARRAY(int)
	chunks;
};

/* ---- going ---- */

void heap_books_close(struct heap_books *books)
{
	books->is_over = true;
	__atomic_store_n(&books->room->is_closed, 1, __ATOMIC_RELEASE);
}

void heap_books_detach(struct heap_books *books)
{
	if (books->room)
		heap_books_close(books);
	uprobes_destroy(books->uprobes);
	books->uprobes = NULL;
}

static size_t counters_bytes(const struct heap_books *books)
{
	return books->cpus * sizeof(struct heap_counters);
}

void heap_books_destroy(struct heap_books *books)
{
	if (!books)
		return;
	heap_books_detach(books);
	bpf_link__destroy(books->exec_link);
	if (books->room)
		munmap(books->room, sizeof(*books->room));
	if (books->counters)
		munmap((void *)books->counters, counters_bytes(books));
	for (size_t i = 0; i < books->chunks.count; i++)
		close(books->chunks.items[i]);
	array_deinit(&books->chunks);
	bpf_object__close(books->object);
	free(books);
}

static void cleanup_books(struct heap_books **books)
{
	heap_books_destroy(*books);
}

/* ---- fds ---- */

static int find_map(const struct heap_books *books, const char *name)
{
	return bpf_map__fd(bpf_object__find_map_by_name(books->object, name));
}

int heap_books_get_ring_fd(const struct heap_books *books)
{
	return find_map(books, "heap_stacks");
}

size_t heap_books_get_ring_bytes(const struct heap_books *books)
{
	return books->ring_bytes;
}

int heap_books_get_global_fd(const struct heap_books *books)
{
	return find_map(books, "heap_global");
}

int heap_books_get_counters_fd(const struct heap_books *books)
{
	return find_map(books, "heap_counters");
}

size_t heap_books_count_chunks(const struct heap_books *books)
{
	return books->chunks.count;
}

int heap_books_get_chunk_fd(const struct heap_books *books, size_t index)
{
	return books->chunks.items[index];
}

void heap_books_read(const struct heap_books *books, struct heap_counters *ret)
{
	heap_counters_sum(books->counters, books->cpus, ret);
}

/* ---- room ---- */

/* Inner maps must have exactly the flags of their template (bpf_map_meta_equal() in kernel/bpf/map_in_map.c).
 */
static int create_level(const char *outer, uint32_t capacity)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_NO_PREALLOC);
	bool is_blocks = !strcmp(outer, "blocks");

	return bpf_map_create(BPF_MAP_TYPE_HASH, is_blocks ? "heap_blocks" : "heap_hashes", sizeof(uint64_t),
			      is_blocks ? sizeof(struct heap_block) : sizeof(uint32_t), capacity, &options);
}

static bool add_level(struct heap_books *books, const char *outer, struct heap_levels *levels, uint32_t first)
{
	uint32_t index = levels->count, capacity = first << index;
	uint64_t bytes = (uint64_t)capacity * (BUCKET_BYTES + ELEMENT_BYTES + sizeof(struct heap_block));
	_cleanup_close_ int fd = -1;

	if (index >= HEAP_LEVELS || (index && books->memory_bytes + bytes > books->memory_max))
		return false;
	fd = create_level(outer, capacity);
	if (fd < 0 || bpf_map_update_elem(find_map(books, outer), &index, &fd, BPF_ANY))
		return false;
	books->memory_bytes += bytes;
	levels->capacity[index] = capacity;
	__atomic_store_n(&levels->count, index + 1, __ATOMIC_RELEASE);
	return true;
}

static bool add_chunk(struct heap_books *books)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = BPF_F_MMAPABLE);
	uint32_t index = (uint32_t)books->chunks.count;
	uint64_t bytes = HEAP_CHUNK_SLOTS * sizeof(struct heap_totals);
	_cleanup_close_ int fd = -1;

	if (index >= HEAP_CHUNKS || (index && books->memory_bytes + bytes > books->memory_max))
		return false;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "heap_chunk", sizeof(uint32_t), sizeof(struct heap_totals),
			    HEAP_CHUNK_SLOTS, &options);
	if (fd < 0 || !array_reserve(&books->chunks, books->chunks.count + 1) ||
	    bpf_map_update_elem(find_map(books, "chunks"), &index, &fd, BPF_ANY))
		return false;
	books->memory_bytes += bytes;
	books->chunks.items[books->chunks.count++] = take_fd(&fd);
	__atomic_store_n(&books->room->slots, (index + 1) * HEAP_CHUNK_SLOTS, __ATOMIC_RELEASE);
	return true;
}

bool heap_books_grow(struct heap_books *books, enum heap_room_kind kind, int *ret_chunk)
{
	bool has_grown = false;

	*ret_chunk = -1;
	if (kind == HEAP_ROOM_BLOCKS)
		has_grown = add_level(books, "blocks", &books->room->blocks, HEAP_LEVEL_BLOCKS);
	else if (kind == HEAP_ROOM_STACKS)
		has_grown = add_level(books, "stacks", &books->room->stacks, HEAP_LEVEL_STACKS);
	else if (kind == HEAP_ROOM_SLOTS && add_chunk(books))
		*ret_chunk = (int)books->chunks.count - 1;
	has_grown |= *ret_chunk >= 0;
	/* Asked again when that is half full, too; never again when there is no more to be had. */
	if (has_grown)
		__atomic_store_n(&books->room->is_asked[kind], 0, __ATOMIC_RELEASE);
	return has_grown;
}

/* ---- coming ---- */

struct config {
	uint32_t tgid;
	uint64_t seed;
	uint64_t wakeup_bytes;
	uint32_t memos;
};

static struct bpf_object *open_session(const struct config *config)
{
	struct heap_session_programs *programs = heap_session_programs__open();
	struct bpf_object *object;

	if (!programs)
		return NULL;
	programs->rodata->config_tgid = config->tgid;
	programs->rodata->config_seed = config->seed;
	programs->rodata->config_wakeup_bytes = config->wakeup_bytes;
	programs->rodata->config_memos = config->memos;
	bpf_program__set_expected_attach_type(programs->progs.on_heap_session, ATTACH_UPROBE_SESSION);
	bpf_program__set_expected_attach_type(programs->progs.on_heap_entry, ATTACH_UPROBE_MULTI);
	object = take_ptr(programs->obj);
	heap_session_programs__destroy(programs);
	return object;
}

static struct bpf_object *open_perf(const struct config *config)
{
	struct heap_programs *programs = heap_programs__open();
	struct bpf_object *object;

	if (!programs)
		return NULL;
	programs->rodata->config_tgid = config->tgid;
	programs->rodata->config_seed = config->seed;
	programs->rodata->config_wakeup_bytes = config->wakeup_bytes;
	programs->rodata->config_memos = config->memos;
	object = take_ptr(programs->obj);
	heap_programs__destroy(programs);
	return object;
}

static int reuse_map(struct bpf_object *object, const char *name, int fd)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ? bpf_map__reuse_fd(map, fd) : -ENOENT;
}

static int set_entries(struct bpf_object *object, const char *name, size_t entries)
{
	struct bpf_map *map = bpf_object__find_map_by_name(object, name);

	return map ? bpf_map__set_max_entries(map, (uint32_t)entries) : -ENOENT;
}

static int configure(struct heap_books *books, const struct heap_books_options *options)
{
	struct bpf_object *object = books->object;
	int failure = reuse_map(object, "life", options->shared.life);

	if (!failure)
		failure = reuse_map(object, "control", options->shared.control);
	if (!failure)
		failure = reuse_map(object, "mappings", options->shared.mappings);
	if (!failure)
		failure = reuse_map(object, "tables", options->shared.tables);
	if (!failure)
		failure = reuse_map(object, "sites", options->shared.sites);
	if (!failure)
		failure = reuse_map(object, "missing", options->shared.missing);
	if (!failure)
		failure = reuse_map(object, "files", options->shared.files);
	if (!failure)
		failure = reuse_map(object, "remaps", options->shared.remaps);
	if (!failure)
		failure = set_entries(object, "heap_counters", books->cpus);
	if (!failure)
		failure = set_entries(object, "heap_scratches", books->cpus * SCRATCH_SLOTS);
	if (!failure)
		failure = set_entries(object, "heap_stacks", books->ring_bytes);
	if (!failure)
		failure = set_entries(object, "memos", books->cpus * MEMO_SLOTS);
	return failure;
}

static struct error *map_shared(struct heap_books *books)
{
	void *room = mmap(NULL, sizeof(*books->room), PROT_READ | PROT_WRITE, MAP_SHARED,
			  find_map(books, "heap_room"), 0);
	void *counters =
		mmap(NULL, counters_bytes(books), PROT_READ, MAP_SHARED, find_map(books, "heap_counters"), 0);

	if (room != MAP_FAILED)
		books->room = room;
	if (counters != MAP_FAILED)
		books->counters = counters;
	if (!books->room || !books->counters)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot map the heap's counters");
	return NULL;
}

/* Slot 0 is HEAP_SLOT_NONE. */
static struct error *start_slots(struct heap_books *books)
{
	struct heap_global global = {.slots = 1};
	uint32_t zero = 0;

	if (bpf_map_update_elem(heap_books_get_global_fd(books), &zero, &global, BPF_ANY))
		return error_create(ERROR_GENERAL, errno, NULL, "cannot start the heap's books");
	return NULL;
}

static int find_program(const struct heap_books *books, const char *name)
{
	struct bpf_program *program = bpf_object__find_program_by_name(books->object, name);

	return program ? bpf_program__fd(program) : -1;
}

static struct error *start(struct heap_books *books, const struct heap_books_options *options)
{
	struct uprobes_programs programs;
	struct error *error = map_shared(books);
	int chunk;

	if (!error)
		error = start_slots(books);
	if (error)
		return error;
	books->room->is_closed = 1;
	for (int kind = 0; kind < HEAP_ROOM_KINDS; kind++)
		if (!heap_books_grow(books, (enum heap_room_kind)kind, &chunk))
			return error_create(ERROR_GENERAL, errno, NULL,
					    "cannot make room for the heap's books");
	books->exec_link =
		bpf_program__attach(bpf_object__find_program_by_name(books->object, "on_heap_exec"));
	if (!books->exec_link)
		return error_create(ERROR_GENERAL, errno, NULL,
				    "cannot attach to the scheduler's tracepoints");
	programs = (struct uprobes_programs){
		.session_fd = find_program(books, "on_heap_session"),
		.entry_fd = find_program(books, "on_heap_entry"),
		.return_fd = find_program(books, "on_heap_return"),
	};
	return uprobes_create(options->links, &programs, options->tgid, &books->uprobes);
}

struct error *heap_books_create(const struct heap_books_options *options, struct heap_books **ret)
{
	_cleanup_(cleanup_books) struct heap_books *books = calloc(1, sizeof(*books));
	struct config config = {.tgid = (uint32_t)options->tgid};
	int cpus = libbpf_num_possible_cpus(), failure;
	struct error *error;

	if (!books || cpus < 0)
		return error_create(ERROR_GENERAL, books ? -cpus : ENOMEM, NULL,
				    "cannot open the heap's books");
	books->cpus = (unsigned)cpus;
	books->sites_fd = options->shared.sites;
	books->ring_bytes = options->ring_bytes ? options->ring_bytes : RING_BYTES;
	books->memory_max = options->memory_bytes ? options->memory_bytes : HEAP_MEMORY_MAX;
	config.wakeup_bytes = books->ring_bytes / 4;
	config.memos = options->has_no_memo ? 0 : books->cpus * MEMO_SLOTS;
	if (getrandom(&config.seed, sizeof(config.seed), GRND_NONBLOCK) < 0)
		config.seed = (uint64_t)(uintptr_t)books;
	books->object = options->links == UPROBE_SESSION ? open_session(&config) : open_perf(&config);
	if (!books->object)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot open the heap's BPF programs");
	failure = configure(books, options);
	if (!failure)
		failure = bpf_object__load(books->object);
	if (failure)
		return error_create(failure == -EPERM ? ERROR_PERMISSION : ERROR_GENERAL, -failure,
				    "run with -v for all that libbpf says",
				    "cannot load the heap's BPF programs");
	error = start(books, options);
	if (error)
		return error;
	*ret = take_ptr(books);
	return NULL;
}

/* ---- probes ---- */

/* For the CPU samples that interrupt the kernel between a trap and its handling. */
static void list_site(struct heap_books *books, uint32_t module, const struct hook *hook)
{
	uint64_t frame = FRAME(module, hook->offset);
	uint8_t one = 1;

	/* Without room such samples end as broken, which is counted. */
	bpf_map_update_elem(books->sites_fd, &frame, &one, BPF_ANY);
}

/* The order in which they are attached: a block is never booked whose end would not be seen. */
static int compare_hooks(const void *a, const void *b)
{
	static const uint8_t places[HEAP_KINDS] = {
		[HEAP_REALLOC] = 1, [HEAP_REALLOCARRAY] = 1, [HEAP_MALLOC] = 2,
		[HEAP_CALLOC] = 2,  [HEAP_MEMALIGN] = 2,     [HEAP_POSIX_MEMALIGN] = 2};

	return places[((const struct hook *)a)->kind] - places[((const struct hook *)b)->kind];
}

static struct uprobe_site make_site(const struct hook *hook)
{
	return (struct uprobe_site){
		.offset = hook->offset,
		.cookie = HEAP_COOKIE(hook->kind, hook->registers[0], hook->registers[1], hook->registers[2]),
		.wants_return = hook->kind != HEAP_FREE,
	};
}

struct error *heap_books_attach(struct heap_books *books, uint32_t module, int file_fd, struct hook *hooks,
				size_t count)
{
	_cleanup_free_ struct uprobe_site *sites = calloc(count ? count : 1, sizeof(*sites));
	bool is_first = !uprobes_count(books->uprobes), frees = false;
	struct error *error;

	if (!sites)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot attach to the allocator");
	qsort(hooks, count, sizeof(*hooks), compare_hooks);
	for (size_t i = 0; i < count; i++) {
		sites[i] = make_site(&hooks[i]);
		list_site(books, module, &hooks[i]);
		frees |= hooks[i].kind == HEAP_FREE;
	}
	books->room->free_files += frees;
	error = uprobes_attach(books->uprobes, file_fd, sites, count);
	if (error)
		books->room->free_files -= frees;
	/* The books open in one moment, when all probes of the first file are in place. */
	if (!error && is_first && !books->is_over)
		__atomic_store_n(&books->room->is_closed, 0, __ATOMIC_RELEASE);
	return error;
}

void heap_books_set_trampoline(struct heap_books *books, uint64_t address)
{
	__atomic_store_n(&books->room->trampoline, address, __ATOMIC_RELEASE);
}

size_t heap_books_count_sites(const struct heap_books *books)
{
	return books->uprobes ? uprobes_count(books->uprobes) : 0;
}

struct error *heap_books_sweep(struct heap_books *books)
{
	return books->uprobes ? uprobes_sweep(books->uprobes) : NULL;
}
