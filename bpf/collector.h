/* The kernel side of CPU sampling for one process: programs loaded, attached, fed with tables, and taken
 * away.
 *
 * Order: collector_create() (open, load) → collector_attach() → collector_enable() → publish … →
 * collector_destroy().
 *
 * Invariants: nothing is pinned and no link outlives its fd: after collector_destroy(), or the death of this
 * process by whatever signal, nothing is left in the kernel, unless the fds below were handed to a process
 * that lives on: they keep memory, never a program. exec_count is read *before* /proc/PID/maps: the mappings
 * of another program than the target runs now are refused by the walker. Ownership: the fds belong to the
 * collector; whoever gets them duplicates them (SCM_RIGHTS does). Errors: ERROR_PERMISSION names the
 * capability that is missing, ERROR_UNSUPPORTED what the kernel lacks (found by probing); all else is
 * ERROR_GENERAL with the verifier's last line.
 */
#ifndef KILN_BPF_COLLECTOR_H
#define KILN_BPF_COLLECTOR_H

#include "base/error.h"
#include "bpf/attach.h"
#include "bpf/events.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct collector;

struct collector_options {
	pid_t tgid;	   /* in the initial pid namespace */
	unsigned hz;	   /* samples a second and CPU */
	size_t ring_bytes; /* 0: by hz and CPUs; else at least this, rounded up to a power of two */
	bool wants_user;   /* samples that interrupt user mode */
	bool wants_kernel; /* samples that interrupt kernel mode; their user stacks come with them */
	bool is_verbose;   /* libbpf's own words go to stderr */
	bool has_no_memo;  /* every stack is walked (unwind_memo.bpf.h) */
	bool checks_memo;  /* every stack is walked both ways and compared: cpu_counters.memo_wrong */
};

struct error *collector_create(const struct collector_options *options, struct collector **ret);
void collector_destroy(struct collector *collector); /* NULL accepted */

struct error *collector_attach(struct collector *collector);
struct error *collector_enable(struct collector *collector);
struct error *collector_disable(struct collector *collector);

int collector_get_ring_fd(const struct collector *collector); /* for ring_open() */
size_t collector_get_ring_bytes(const struct collector *collector);
int collector_get_counters_fd(const struct collector *collector);    /* for counters_open() */
unsigned collector_get_cpu_count(const struct collector *collector); /* possible CPUs: structs in counters */
enum sampler_clock collector_get_clock(const struct collector *collector); /* after collector_attach() */

/* What the programs of the heap share with those of the CPU: fds, the collector's. */
struct shared_maps {
	int life, control, mappings, tables, sites, missing, files, remaps;
};
struct shared_maps collector_get_shared_maps(const struct collector *collector);

/* How often the target has called exec since the programs were attached. */
uint64_t collector_read_exec_count(const struct collector *collector);
/* How often memory was mapped where the published mappings had code. */
uint64_t collector_read_remap_count(const struct collector *collector);
/* Children of the target so far: CONTROL_FORK does not come for each when they are many. */
uint64_t collector_read_fork_count(const struct collector *collector);
/* Replaces all mappings. They are sorted by start and do not overlap; the counts: read before the maps were.
 */
struct error *collector_publish_mappings(struct collector *collector, const struct mapping *mappings,
					 size_t count, uint64_t exec_count, uint64_t remap_count);
/* Names a file that is known from now on, as the kernel sees it: the walker finds code of it that no
 * published mapping has yet. */
struct error *collector_know_file(struct collector *collector, const struct file_key *key,
				  const struct known_file *file);
/* memfd: a sealed table (bpf/table.h), checked here in full; ERROR_BAD_FILE when it is none. Not taken. */
struct error *collector_publish_table(struct collector *collector, uint32_t module, int memfd);
/* The same in two steps, for several tables at once: publishing waits ~10 ms in the kernel, from 6.8 on once
 * a flush, before that once a table. What is queued is dropped when a flush fails. */
struct error *collector_queue_table(struct collector *collector, uint32_t module, int memfd);
/* For a module that has no unwind information: the walker leaves its code by frame pointers, where that is
 * plausible. */
struct error *collector_queue_empty_table(struct collector *collector, uint32_t module);
/* One that was checked before: an inner array of table_load() (bpf/tables.h). Not taken. */
struct error *collector_queue_loaded(struct collector *collector, uint32_t module, int inner_fd);
/* Takes a table away with the next flush. */
struct error *collector_queue_removal(struct collector *collector, uint32_t module);
struct error *collector_flush_tables(struct collector *collector);
/* Walks that ended so far because the module has no table; one read of memory. */
uint64_t collector_read_missing(const struct collector *collector, uint32_t module);

/* What happened to the target. The fd is readable (poll, epoll) when there is something; the callback gets
 * each record, collector_read_control() returns how many. */
int collector_get_control_fd(const struct collector *collector);
size_t collector_read_control(struct collector *collector,
			      void (*callback)(void *arg, const struct control_record *record), void *arg);
/* Control records that found their ring full. */
uint64_t collector_get_control_lost(const struct collector *collector);

#endif
