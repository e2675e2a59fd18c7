/* What the walker reads, checked and published: unwind tables (bpf/table.h) and the target's mappings.
 *
 * Each is an inner array map of exactly the size that it needs, filled by mmap, frozen, and published by one
 * update of a slot of an array of maps: a walk sees the old one or the new one, never a half.
 *
 * Trust: a table comes from a worker, which speaks for the target: table_check() proves everything that the
 * walker and its readers rely on. The fd must be a memfd that can never change again (sealed), or what was
 * checked is not what is published. Ownership: no fd is taken; the kernel keeps an inner map as long as its
 * slot refers to it.
 */
#ifndef KILN_BPF_TABLES_H
#define KILN_BPF_TABLES_H

#include "base/error.h"
#include "bpf/events.h"
#include "bpf/table.h"

#include <stddef.h>
#include <stdint.h>

/* More than the largest programs need by far (libLLVM-14: 4 MiB), and a bound on what a worker can make us
 * hold. */
#define TABLE_BYTES_MAX (64u << 20)

/* Is this a table as bpf/table.h says, in every word? ERROR_BAD_FILE says what is not. */
struct error *table_check(const uint32_t *words, size_t bytes);

/* Checks the table in a sealed memfd and makes a frozen inner array of it; the fd is the caller's. */
struct error *table_load(int memfd, int *ret);
/* One without pages: the module has no unwind information. */
struct error *table_make_empty(int *ret);
/* One that stands for none: what is in a table's slot when it had to go. Not the same as deleting it: that
 * waits for the kernel each time, this goes with all that is published. */
struct error *table_make_gone(int *ret);
/* Puts inner arrays into the slots of their modules. tables_fd: the array of maps "tables". Waits for the
 * kernel to forget the old ones, ~10 ms: publish together what has arrived together. */
struct error *tables_publish(int tables_fd, const uint32_t *modules, const int *inner_fds, size_t count);

/* Sorted by start, without overlaps, module ids in range? */
struct error *mappings_check(const struct mapping *mappings, size_t count);
struct error *mappings_publish(int mappings_fd, const struct mapping *mappings, size_t count,
			       uint64_t exec_count, uint64_t remap_count, uint64_t generation);

#endif
