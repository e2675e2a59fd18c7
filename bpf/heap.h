/* The kernel side of the heap's books for one process: programs loaded, probes attached, maps given more
 * room, and all of it taken away.
 *
 * Order: heap_books_create() → heap_books_attach() for each module → … → heap_books_detach() or _destroy().
 * After detaching the books stay readable: nothing changes in them any more.
 *
 * Invariants: as collector.h: nothing is pinned, nothing outlives this process. Maps begin small (256 Ki
 * blocks, 64 Ki stacks, 16 Ki slots) and grow by levels and chunks when the programs ask (CONTROL_HEAP_ROOM),
 * up to HEAP_MEMORY_MAX; what finds no room is counted by the programs. Ownership: fds belong to the books;
 * whoever gets them duplicates them. Units: bytes.
 */
#ifndef KILN_BPF_HEAP_H
#define KILN_BPF_HEAP_H

#include "base/error.h"
#include "bpf/collector.h"
#include "bpf/heap_events.h"
#include "bpf/hooks.h"
#include "bpf/uprobes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Of kernel memory for blocks and stacks. */
#define HEAP_MEMORY_MAX (512ull << 20)

struct heap_books;

struct heap_books_options {
	pid_t tgid;
	enum uprobe_links links;
	struct shared_maps shared; /* the collector's */
	size_t ring_bytes;	   /* 0: the usual */
	uint64_t memory_bytes;	   /* 0: HEAP_MEMORY_MAX; never less than what the books begin with */
	bool has_no_memo;	   /* every stack is walked (unwind_memo.bpf.h) */
};

struct error *heap_books_create(const struct heap_books_options *options, struct heap_books **ret);
void heap_books_destroy(struct heap_books *books); /* NULL accepted; detaches */

/* Probes on functions of one file, all or none. Puts the hooks into the order in which they are attached. */
struct error *heap_books_attach(struct heap_books *books, uint32_t module, int file_fd, struct hook *hooks,
				size_t count);
/* Where the target's page of trampolines begins; 0: it has none (yet). */
void heap_books_set_trampoline(struct heap_books *books, uint64_t address);
/* Nothing is booked any more from now on; the probes stay. */
void heap_books_close(struct heap_books *books);
void heap_books_detach(struct heap_books *books); /* closes, and takes the probes away: ~0.1 s a link */
size_t heap_books_count_sites(const struct heap_books *books);
/* Frees forked children of the traps (uprobes.h). */
struct error *heap_books_sweep(struct heap_books *books);

/* Makes room of one kind, as the programs asked; false: there is no more to be had. A new chunk is told by
 * its index, -1 none. */
bool heap_books_grow(struct heap_books *books, enum heap_room_kind kind, int *ret_chunk);

/* What kiln reads. */
int heap_books_get_ring_fd(const struct heap_books *books);
size_t heap_books_get_ring_bytes(const struct heap_books *books);
int heap_books_get_global_fd(const struct heap_books *books);
int heap_books_get_counters_fd(const struct heap_books *books);
size_t heap_books_count_chunks(const struct heap_books *books);
int heap_books_get_chunk_fd(const struct heap_books *books, size_t index);

/* Sums over the CPUs. */
void heap_books_read(const struct heap_books *books, struct heap_counters *ret);

#endif
