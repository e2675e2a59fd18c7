#include "bpf/ring.h"

#include "base/cleanup.h"

#include <errno.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* The kernel maps a ring as: consumer position (a page, writable), producer position (a page), and the data
 * twice in a row, so that a record which wraps around lies in one piece (kernel/bpf/ringbuf.c). */
struct ring {
	uint64_t *consumer;
	uint64_t *producer;
	const uint8_t *data;
	size_t bytes;
	size_t page_bytes;
	uint64_t position; /* the next record */
	bool is_damaged;
};

/* Space goes back to the kernel after so many records, lest a long batch fills the ring behind our back. */
#define RECORDS_PER_RELEASE 64

void ring_destroy(struct ring *ring)
{
	if (!ring)
		return;
	if (ring->consumer != MAP_FAILED)
		munmap(ring->consumer, ring->page_bytes);
	if (ring->producer != MAP_FAILED)
		munmap(ring->producer, ring->page_bytes + 2 * ring->bytes);
	free(ring);
}

static void cleanup_ring(struct ring **ring)
{
	ring_destroy(*ring);
}

struct error *ring_open(int fd, size_t bytes, struct ring **ret)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	_cleanup_(cleanup_ring) struct ring *ring = NULL;

	if (bytes < page_bytes || (bytes & (bytes - 1)) || bytes > SIZE_MAX / 4)
		return error_create(ERROR_GENERAL, 0, NULL, "a ring cannot have %zu bytes", bytes);
	ring = calloc(1, sizeof(*ring));
	if (!ring)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot open the ring");
	ring->bytes = bytes;
	ring->page_bytes = page_bytes;
	ring->producer = MAP_FAILED;
	ring->consumer = mmap(NULL, page_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring->consumer == MAP_FAILED)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot map the ring's position");
	ring->producer = mmap(NULL, page_bytes + 2 * bytes, PROT_READ, MAP_SHARED, fd, (off_t)page_bytes);
	if (ring->producer == MAP_FAILED)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot map the ring's data");
	ring->data = (const uint8_t *)ring->producer + page_bytes;
	ring->position = __atomic_load_n(ring->consumer, __ATOMIC_RELAXED);
	*ret = take_ptr(ring);
	return NULL;
}

static void ring_release(struct ring *ring)
{
	__atomic_store_n(ring->consumer, ring->position, __ATOMIC_RELEASE);
}

/* The payload of the next record, NULL when there is none; its place in the ring ends at *end. */
static const uint8_t *ring_peek(struct ring *ring, uint64_t produced, uint32_t *header, uint64_t *end)
{
	const uint8_t *at = ring->data + (ring->position & (ring->bytes - 1));
	uint64_t waiting = produced - ring->position, taken;

	if (!waiting)
		return NULL;
	if (waiting > ring->bytes || waiting < BPF_RINGBUF_HDR_SZ || (ring->position & 7)) {
		ring->is_damaged = true;
		return NULL;
	}
	/* The first word of the header is the length, its two top bits are flags. */
	*header = __atomic_load_n((const uint32_t *)at, __ATOMIC_ACQUIRE);
	if (*header & BPF_RINGBUF_BUSY_BIT)
		return NULL;
	taken = (*header & ~(BPF_RINGBUF_BUSY_BIT | BPF_RINGBUF_DISCARD_BIT)) + BPF_RINGBUF_HDR_SZ;
	taken = (taken + 7) & ~7ull;
	if (taken > waiting) {
		ring->is_damaged = true;
		return NULL;
	}
	*end = ring->position + taken;
	return at + BPF_RINGBUF_HDR_SZ;
}

size_t ring_read(struct ring *ring, void (*callback)(void *arg, const void *record, size_t length), void *arg,
		 size_t max)
{
	uint64_t produced = __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE), end;
	size_t count = 0, unreleased = 0;
	const uint8_t *record;
	uint32_t header;

	while (!ring->is_damaged && (!max || count < max)) {
		record = ring_peek(ring, produced, &header, &end);
		if (!record)
			break;
		if (!(header & BPF_RINGBUF_DISCARD_BIT)) {
			callback(arg, record, header & ~BPF_RINGBUF_DISCARD_BIT);
			count++;
		}
		ring->position = end;
		if (++unreleased == RECORDS_PER_RELEASE) {
			ring_release(ring);
			unreleased = 0;
		}
	}
	if (unreleased)
		ring_release(ring);
	return count;
}

bool ring_is_damaged(const struct ring *ring)
{
	return ring->is_damaged;
}

size_t ring_get_used_bytes(const struct ring *ring)
{
	return __atomic_load_n(ring->producer, __ATOMIC_ACQUIRE) - ring->position;
}

/* ---- counters ---- */

struct counters {
	const struct cpu_counters *cpus;
	unsigned count;
	size_t bytes;
};

void counters_destroy(struct counters *counters)
{
	if (!counters)
		return;
	munmap((void *)counters->cpus, counters->bytes);
	free(counters);
}

struct error *counters_open(int fd, unsigned cpus, struct counters **ret)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	struct counters *counters = calloc(1, sizeof(*counters));
	void *memory;

	if (!counters)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot open the counters");
	counters->count = cpus;
	counters->bytes = (cpus * sizeof(struct cpu_counters) + page_bytes - 1) & ~(page_bytes - 1);
	memory = mmap(NULL, counters->bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED) {
		free(counters);
		return error_create(ERROR_GENERAL, errno, NULL, "cannot map the counters");
	}
	counters->cpus = memory;
	*ret = counters;
	return NULL;
}

const struct cpu_counters *counters_get(const struct counters *counters, unsigned cpu)
{
	return cpu < counters->count ? &counters->cpus[cpu] : NULL;
}

/* Backwards: attempts, which every program raises first, is read last and never falls behind. */
static void add_words(const uint64_t *values, unsigned words, uint64_t *sums)
{
	for (unsigned i = words; i-- > 0;)
		sums[i] += __atomic_load_n(&values[i], __ATOMIC_ACQUIRE);
}

void counters_sum(const struct counters *counters, struct cpu_counters *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned cpu = 0; cpu < counters->count; cpu++)
		add_words((const uint64_t *)&counters->cpus[cpu], sizeof(*ret) / sizeof(uint64_t),
			  (uint64_t *)ret);
}

void heap_counters_sum(const struct heap_counters *cpus, unsigned count, struct heap_counters *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (unsigned cpu = 0; cpu < count; cpu++)
		add_words((const uint64_t *)&cpus[cpu], sizeof(*ret) / sizeof(uint64_t), (uint64_t *)ret);
}
