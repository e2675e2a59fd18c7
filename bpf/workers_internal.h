/* What the files of the workers share (workers.c: their lives; workers_tables.c: builds and their answers).
 * Nobody else includes this. */
#ifndef KILN_BPF_WORKERS_INTERNAL_H
#define KILN_BPF_WORKERS_INTERNAL_H

#include "base/array.h"
#include "base/channel.h"
#include "bpf/events.h"
#include "bpf/supervisor.h"
#include "bpf/table_queue.h"
#include "bpf/workers.h"

/* A module that cost so many workers is set aside. */
#define FAILURES_MAX 2
/* Places for the newest tables by the sizes of their files: two that meet in one place cost a build. */
#define TWIN_PLACES 4096

struct handed_module {
	uint32_t module;
	enum module_kind kind;
	int fd;
	uint64_t size_bytes;
	unsigned table_failures, names_failures;
	bool waits_for_table;
	bool has_hooks; /* they have been told */
	bool is_alone;	/* the table that it might share is no more */
	/* When its table has come; length 0: the file has none. */
	uint32_t build_id_length;
	uint8_t build_id[BUILD_ID_MAX];
};

struct worker {
	struct workers *workers;
	struct child child; /* pid 0: none */
	struct channel *channel;
	bool is_names;
	bool is_doomed; /* killed, and not reaped yet: whatever it still says does not count */
	/* Of the tables: */
	uint32_t building; /* MODULE_UNKNOWN: nothing */
	uint32_t twin;	   /* whose table will do if the build-ids are the same; MODULE_UNKNOWN: none */
	bool hooks_came;   /* for this build */
	struct loop_source *deadline;
	uint64_t answers; /* tables that came, or why not */
};

struct workers {
	struct loop *loop;
	int (*worker_main)(int probe_fd, int kiln_fd);
	const struct workers_ops *ops;
	void *arg;
	struct worker names, tables[WORKERS_TABLES_MAX];
	unsigned tables_allowed; /* workers */
	unsigned names_starts, tables_starts;
	bool has_no_tables; /* no worker for them is left, and none will be */
	ARRAY(struct handed_module)
	modules;
	ARRAY(uint32_t)
	places; /* by module id: its place in modules + 1; 0: none */
	struct table_queue queue;
	uint32_t twins[TWIN_PLACES]; /* modules that have a table and a build-id; MODULE_UNKNOWN: none */
};

/* ---- workers.c ---- */
struct handed_module *workers_find(const struct workers *workers, uint32_t module); /* NULL: never added */
struct error *workers_hand_over(struct worker *worker, const struct handed_module *module);
void workers_kill(struct worker *worker);
/* Starts a worker for tables in this free place; false: it could not be. */
bool workers_start_tables(struct workers *workers, struct worker *worker);

/* ---- workers_tables.c ---- */
/* Gives free workers what waits, starting as many as are needed. */
void workers_build_waiting(struct workers *workers);
/* false: nobody has asked for this. */
bool workers_on_table(struct worker *worker, struct message *message);
bool workers_on_hooks(struct worker *worker, struct message *message);
void workers_on_deadline(void *worker);
/* It has died: what it was building is tried once more, or set aside. */
void workers_take_back(struct worker *worker);

#endif
