/* Which modules have a table in the kernel, and for how long those keep theirs that are not mapped any more.
 *
 * A plugin that comes and goes finds its table again without a build; a target that loads a new file each
 * time does not fill the memory: the tables of unmapped modules may take so many bytes together, and those
 * that were unmapped first go first. A module that is mapped keeps its table, however many there are.
 *
 * Ownership: fds of tables that are put belong to the cache. Each call costs as much as there are mappings
 * and mapped modules, never as many as there are tables.
 */
#ifndef KILN_BPF_TABLE_CACHE_H
#define KILN_BPF_TABLE_CACHE_H

#include "base/error.h"
#include "bpf/events.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of tables whose modules are not mapped: some hundred libraries (a table is 8 KiB or more). */
#define TABLE_CACHE_UNMAPPED_BYTES (64ull << 20)

struct table_cache;

struct error *table_cache_create(uint64_t unmapped_bytes_max, struct table_cache **ret);
void table_cache_destroy(struct table_cache *cache); /* NULL accepted */

/* A table has been published; fd: its inner array, -1 where none could be kept. Replaces one that is there.
 */
struct error *table_cache_put(struct table_cache *cache, uint32_t module, uint64_t bytes, int fd);
/* The inner array, the cache's, and its size; -1: there is none. */
int table_cache_get(const struct table_cache *cache, uint32_t module, uint64_t *ret_bytes);

/* These are the target's mappings now. come_back: a module that is mapped again has lost its table meanwhile;
 * called once. */
struct error *table_cache_look(struct table_cache *cache, const struct mapping *mappings, size_t count,
			       void (*come_back)(void *arg, uint32_t module), void *arg);
/* The next module whose table has to go, forgotten already; MODULE_UNKNOWN: none. */
uint32_t table_cache_take_surplus(struct table_cache *cache);
bool table_cache_has_surplus(const struct table_cache *cache);
uint64_t table_cache_get_unmapped_bytes(const struct table_cache *cache);

#endif
