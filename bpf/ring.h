/* Reading the probe's shared memory from another process: a BPF ring buffer and the counters, by mmap alone.
 *
 * No bpf(2) is called and no privilege is needed: the fds are enough. No system call per record either.
 *
 * Invariants: one reader a ring. Records are handed out in place, in order, 8-byte aligned, whole. The kernel
 * writes the ring, so damage is not expected; lengths and positions are checked against the ring all the
 * same, and what cannot be right makes the ring damaged: it then delivers nothing more. Ownership:
 * ring_open() and counters_open() map the memory and do not keep the fd, the caller may close it. Units:
 * lengths are bytes.
 */
#ifndef KILN_BPF_RING_H
#define KILN_BPF_RING_H

#include "base/error.h"
#include "bpf/events.h"
#include "bpf/heap_events.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;

/* bytes: size of the ring's data, as it was created (a power of two, at least a page). */
struct error *ring_open(int fd, size_t bytes, struct ring **ret);
void ring_destroy(struct ring *ring); /* NULL accepted */

/* Hands at most max records (0: all that are there) to the callback; the pointer is good until it returns.
 * Returns how many there were. The space is given back to the kernel in batches and at the end. */
size_t ring_read(struct ring *ring, void (*callback)(void *arg, const void *record, size_t length), void *arg,
		 size_t max);
bool ring_is_damaged(const struct ring *ring);
/* Bytes that wait to be read, headers included. */
size_t ring_get_used_bytes(const struct ring *ring);

struct counters;

/* cpus: how many struct cpu_counters the array has. */
struct error *counters_open(int fd, unsigned cpus, struct counters **ret);
void counters_destroy(struct counters *counters); /* NULL accepted */
/* The sum over all CPUs. While programs run, attempts may be ahead of its parts by one a CPU. */
void counters_sum(const struct counters *counters, struct cpu_counters *ret);
/* The same of the heap's counters, which lie mapped at cpus. */
void heap_counters_sum(const struct heap_counters *cpus, unsigned count, struct heap_counters *ret);
/* One CPU's, in place. */
const struct cpu_counters *counters_get(const struct counters *counters, unsigned cpu);

#endif
