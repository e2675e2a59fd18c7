/* The heap's part of a live session: the probe hands over the books' memory (bpf/heap_events.h), which is
 * read in place; new stacks come through a ring of their own. Everything goes into profile/heap.c. */
#include "session_internal.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "profile/heap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <unistd.h>

/* Slots looked at in one tick: ~100 µs. */
#define SLOTS_A_TICK 16384
#define POINT_MS     100

struct session_heap {
	struct heap *heap; /* the profile's */
	struct ring *ring;
	const struct heap_global *global;
	const struct heap_counters *counters;
	const struct heap_totals *chunks[HEAP_CHUNKS];
	struct heap_message message; /* the newest */
	char why[sizeof(((struct heap_message *)NULL)->text)];
	uint64_t rss_start_bytes;
	uint64_t point_ns;
	int statm_fd, ring_fd;
	struct loop_source *ring_source;
};

static void unmap(const void *memory, size_t bytes)
{
	if (memory)
		munmap((void *)memory, bytes);
}

static size_t counters_bytes(const struct session *session)
{
	return session->ready.cpu_count * sizeof(struct heap_counters);
}

void session_heap_destroy(struct session *session)
{
	struct session_heap *heap = session->heap;

	if (!heap)
		return;
	/* The profile outlives the memory of the chunks. */
	heap_drop_chunks(heap->heap);
	loop_remove(heap->ring_source);
	cleanup_close(&heap->ring_fd);
	ring_destroy(heap->ring);
	unmap(heap->global, sizeof(*heap->global));
	unmap(heap->counters, counters_bytes(session));
	for (size_t i = 0; i < HEAP_CHUNKS; i++)
		unmap(heap->chunks[i], HEAP_CHUNK_SLOTS * sizeof(struct heap_totals));
	cleanup_close(&heap->statm_fd);
	free(take_ptr(session->heap));
}

/* ---- RSS ---- */

/* One page of text, which costs the target nothing: no walk over its mappings (fs/proc/task_mmu.c,
 * task_statm()). 0: not known. */
static uint64_t read_rss_bytes(struct session *session)
{
	struct session_heap *heap = session->heap;
	char path[48], text[128];
	unsigned long long total, resident;
	ssize_t length;

	if (heap->statm_fd < 0) {
		snprintf(path, sizeof(path), "/proc/%u/statm", session->target.pid);
		heap->statm_fd = open(path, O_RDONLY | O_CLOEXEC);
	}
	length = heap->statm_fd < 0 ? -1 : pread(heap->statm_fd, text, sizeof(text) - 1, 0);
	if (length <= 0)
		return 0;
	text[length] = '\0';
	return sscanf(text, "%llu %llu", &total, &resident) == 2
		       ? (uint64_t)resident * (uint64_t)sysconf(_SC_PAGESIZE)
		       : 0;
}

/* ---- facts ---- */

static uint64_t since_start(const struct session *session, uint64_t time_ns)
{
	return time_ns > session->ready.start_ns ? time_ns - session->ready.start_ns : 0;
}

static enum heap_mode get_mode(const struct session_heap *heap)
{
	static const enum heap_mode modes[] = {
		[HEAP_OFF] = HEAP_MODE_OFF,
		[HEAP_WAITING] = HEAP_MODE_WAITING,
		[HEAP_EXACT] = HEAP_MODE_EXACT,
		[HEAP_CLOSED] = HEAP_MODE_CLOSED,
	};

	return heap->message.state <= HEAP_CLOSED ? modes[heap->message.state] : HEAP_MODE_OFF;
}

static void set_facts(struct session *session)
{
	struct session_heap *heap = session->heap;
	struct heap_facts facts = {
		.mode = get_mode(heap),
		.why = heap->why[0] ? heap->why : NULL,
		.sites = heap->message.sites,
		.unseen_ns = heap->message.unseen_ns,
		.cost_pct = heap->message.cost_pct,
		.budget_pct = heap->message.budget_pct,
		.rss_start_bytes = heap->rss_start_bytes,
	};
	struct heap_facts before;

	heap_get_facts(heap->heap, &before);
	facts.since_ns = before.since_ns;
	if (heap->message.state == HEAP_EXACT)
		facts.since_ns = since_start(session, heap->message.time_ns);
	else if (heap->message.state == HEAP_CLOSED)
		facts.closed_ns = since_start(session, heap->message.time_ns);
	if (heap->global) {
		memcpy(&facts.global, heap->global, sizeof(facts.global));
		facts.global.peak_ns = since_start(session, facts.global.peak_ns);
	}
	if (heap->counters)
		heap_counters_sum(heap->counters, session->ready.cpu_count, &facts.counters);
	error_destroy(heap_set_facts(heap->heap, &facts));
}

/* ---- reading ---- */

static void on_stack(void *arg, const void *data, size_t length)
{
	struct session_heap *heap = arg;
	const struct heap_stack_record *record = data;

	if (length >= sizeof(*record) && length >= sizeof(*record) + 8 * (size_t)record->count)
		heap_add_stack(heap->heap, record);
}

/* max: of slots; 0: all. */
static void take_over(struct session *session, size_t max)
{
	struct session_heap *heap = session->heap;

	if (heap->ring && ring_read(heap->ring, on_stack, heap, 0))
		session_ask_names(session);
	if (heap->global)
		heap_update(heap->heap, heap->global->slots, heap->global->peak_epoch,
			    (uint32_t)heap->global->exec, max);
}

static void on_ring(void *arg, uint32_t events)
{
	take_over(arg, SLOTS_A_TICK);
}

void session_heap_tick(struct session *session)
{
	struct session_heap *heap = session->heap;
	uint64_t now_ns = session_now_ns();

	if (!heap || session->end_ns)
		return;
	if (now_ns - heap->point_ns < POINT_MS * 1000000u) {
		take_over(session, SLOTS_A_TICK);
		return;
	}
	heap->point_ns = now_ns;
	set_facts(session);
	take_over(session, SLOTS_A_TICK);
	heap_add_point(heap->heap, since_start(session, now_ns), read_rss_bytes(session));
}

void session_heap_settle(struct session *session)
{
	if (!session->heap)
		return;
	set_facts(session);
	take_over(session, 0);
	heap_add_point(session->heap->heap, session_elapsed_ns(session), read_rss_bytes(session));
}

/* ---- news from the probe ---- */

static struct session_heap *ensure(struct session *session)
{
	struct session_heap *heap = session->heap;
	struct error *error;

	if (heap)
		return heap;
	heap = calloc(1, sizeof(*heap));
	if (!heap)
		return NULL;
	heap->statm_fd = heap->ring_fd = -1;
	error = profile_ensure_heap(session->source.profile, &heap->heap);
	if (error) {
		error_destroy(error);
		free(heap);
		return NULL;
	}
	session->heap = heap;
	return heap;
}

static const void *map(int fd, size_t bytes)
{
	void *memory = fd < 0 ? MAP_FAILED : mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

/* The fds come once, with the first probe in place. */
static void take_books(struct session *session, struct message *message)
{
	struct session_heap *heap = session->heap;
	_cleanup_close_ int ring_fd = take_fd(&message->fds[0]);
	_cleanup_close_ int global_fd = take_fd(&message->fds[1]);
	_cleanup_close_ int counters_fd = take_fd(&message->fds[2]);
	struct error *error;

	if (ring_fd < 0 || heap->ring)
		return;
	heap->rss_start_bytes = read_rss_bytes(session);
	heap->global = map(global_fd, sizeof(*heap->global));
	heap->counters = map(counters_fd, counters_bytes(session));
	error = ring_open(ring_fd, heap->message.ring_bytes, &heap->ring);
	/* The ring wakes us when it is a quarter full; the tick does the rest. */
	heap->ring_fd = take_fd(&ring_fd);
	if (!error)
		error = loop_add_fd(session->loop, heap->ring_fd, EPOLLIN | EPOLLET, on_ring, session,
				    &heap->ring_source);
	if (error || !heap->global || !heap->counters)
		snprintf(session->note, sizeof(session->note), "heap: its books cannot be read");
	error_destroy(error);
}

void session_heap_on_message(struct session *session, struct message *message)
{
	struct session_heap *heap = ensure(session);
	enum heap_mode before;

	if (!heap)
		return;
	before = get_mode(heap);
	memcpy(&heap->message, message->payload, sizeof(heap->message));
	text_sanitize(heap->message.text, strnlen(heap->message.text, sizeof(heap->message.text)), heap->why,
		      sizeof(heap->why));
	take_books(session, message);
	set_facts(session);
	take_over(session, SLOTS_A_TICK);
	if (get_mode(heap) != before && heap->why[0] && get_mode(heap) >= HEAP_MODE_EXACT) {
		char text[256];

		snprintf(text, sizeof(text), "heap: %.240s", heap->why);
		session_add_event(session, heap->message.time_ns, text);
	}
}

void session_heap_on_chunk(struct session *session, struct message *message)
{
	const struct heap_chunk_message *chunk = message->payload;
	_cleanup_close_ int fd = take_fd(&message->fds[0]);
	struct session_heap *heap = ensure(session);

	if (!heap || chunk->index >= HEAP_CHUNKS || heap->chunks[chunk->index])
		return;
	heap->chunks[chunk->index] = map(fd, HEAP_CHUNK_SLOTS * sizeof(struct heap_totals));
	if (heap->chunks[chunk->index])
		error_destroy(heap_set_chunk(heap->heap, chunk->index, heap->chunks[chunk->index]));
}

void session_heap_on_wrappers(struct session *session, const struct message *message)
{
	const struct heap_wrappers_message *wrappers = message->payload;
	struct session_heap *heap = ensure(session);

	if (!heap || message->length < sizeof(*wrappers) || wrappers->count > HEAP_RANGES_MAX ||
	    message->length != sizeof(*wrappers) + wrappers->count * sizeof(wrappers->ranges[0]))
		return;
	for (uint32_t i = 0; i < wrappers->count; i++)
		error_destroy(heap_add_wrapper(heap->heap, wrappers->module, wrappers->ranges[i].start,
					       wrappers->ranges[i].end));
}
