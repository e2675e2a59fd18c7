/* The probe's workers: one names frames (it talks to kiln), some build unwind tables, at most as many as
 * there are CPUs. Modules are handed to both; whenever a worker is free, the module whose table is missed
 * most is next. Each build has its worker, its deadline and its failures: a worker that dies or hangs is
 * replaced and costs only its own module, and a module that cost two is set aside. A worker that says what it
 * was not asked is killed: it is somebody's puppet.
 *
 * Invariant: workers_start() runs before the first bpf(2) of this process; what is forked later closes every
 * fd first. Ownership: module fds stay with the caller, and must stay open as long as the workers.
 */
#ifndef KILN_BPF_WORKERS_H
#define KILN_BPF_WORKERS_H

#include "base/error.h"
#include "base/loop.h"
#include "symbolizer/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define WORKERS_TABLES_MAX 4
#define WORKERS_PIDS_MAX   (1 + WORKERS_TABLES_MAX)

/* Why there is no table: what such a reason begins with. */
#define WORKERS_SET_ASIDE "set aside: "

struct workers;

struct workers_ops {
	/* A table came (fd: sealed memfd, the callee's), or why there is none (fd -1); why is empty where the
	 * module has nothing to unwind: libraries of data are no fault. */
	void (*table)(void *arg, uint32_t module, int fd, const char *why);
	/* The module's file has the size and the build-id of twin, whose table came before: it may have the
	 * same. false: that one is no more, and a table of its own is built. NULL: no table is shared. */
	bool (*share_table)(void *arg, uint32_t module, uint32_t twin);
	/* How often the module's table was missed. NULL: smallest file first. */
	uint64_t (*heat)(void *arg, uint32_t module);
	/* Functions of the module's allocator, before its table; at most once a module, and not at all where
	 * it has none and is no Go program. It is a worker's word: well-formed, its names sanitized, no more.
	 * NULL accepted. */
	void (*hooks)(void *arg, uint32_t module, const struct hooks_message *message);
	/* A (new) names worker: its socket for kiln, the callee's; generation counts them from 1. */
	void (*names_socket)(void *arg, int fd, uint32_t generation);
	/* The processes have changed. */
	void (*pids)(void *arg);
	/* A worker has died too often, or cannot be started: there will be no more `what` ("names", "unwind
	 * tables"). Once for each. NULL accepted. */
	void (*given_up)(void *arg, const char *what);
	unsigned deadline_ms; /* of a table, besides 20 ms a MB; 0: the usual 2 s */
	unsigned tables_max;  /* workers for tables; 0: as many as CPUs, at most WORKERS_TABLES_MAX */
};

struct error *workers_start(struct loop *loop, int (*worker_main)(int probe_fd, int kiln_fd),
			    const struct workers_ops *ops, void *arg, struct workers **ret);
void workers_destroy(struct workers *workers); /* NULL accepted; kills and reaps them */

/* A new module, or (of one that wants no table) another file for it; wants_table: build its unwind table too.
 * Several come in a row: workers_build() after the last, so that the smallest of them is first, not the
 * first. */
struct error *workers_add_module(struct workers *workers, uint32_t module, enum module_kind kind, int fd,
				 uint64_t size_bytes, bool wants_table);
/* Builds once more the table of a module that was added with wants_table; nothing while it is to be answered
 * anyway. workers_build() after the last. false: nothing will be built. */
bool workers_rebuild_table(struct workers *workers, uint32_t module);
void workers_build(struct workers *workers);
/* Tables that are still to be answered. */
size_t workers_count_waiting(const struct workers *workers);
/* kiln says that the names worker of this generation does not answer; ignored when it has been replaced
 * since. */
void workers_restart_names(struct workers *workers, uint32_t module, uint32_t generation);
/* A child has ended: true when it was one of ours (and has been replaced). */
bool workers_handle_exit(struct workers *workers, pid_t pid);
/* The names worker's, then those for tables; 0 where none runs. Returns how many. */
size_t workers_get_pids(const struct workers *workers, pid_t ret[WORKERS_PIDS_MAX]);

#endif
