/* What the files of the probe share (probe.c: its course; probe_words.c: what it tells kiln; probe_modules.c:
 * modules, tables, mappings; probe_jit.c: names of JIT code; probe_command.c: a command that kiln started).
 * Nobody else includes this. */
#ifndef KILN_BPF_PROBE_INTERNAL_H
#define KILN_BPF_PROBE_INTERNAL_H

#include "base/channel.h"
#include "base/loop.h"
#include "bpf/collector.h"
#include "bpf/launch.h"
#include "bpf/messages.h"
#include "bpf/modules.h"
#include "bpf/probe.h"
#include "bpf/probe_heap.h"
#include "bpf/supervisor.h"
#include "bpf/table_cache.h"
#include "bpf/target.h"
#include "bpf/workers.h"

/* Between two looks at the target's mappings: short while they change, longer while they do not. */
#define REFRESH_LEAST_MS 10
#define REFRESH_MOST_MS	 250
/* A new program maps its libraries step by step, and may sleep then: so many looks, a second in all. */
#define LOOKS_AFTER_EXEC 7

struct probe {
	const struct probe_options *options;
	struct loop *loop;
	struct child interface;
	struct channel *kiln;
	struct workers *workers;
	struct target *target;
	struct launch launch; /* pid 0: the target was running before */
	struct modules *modules;
	struct collector *collector;
	struct table_cache *tables;	 /* that the walker has */
	struct kernel_text *kernel_text; /* while it is read */
	struct loop_source *kernel_source;
	int kernel_turn; /* eventfd: always readable */
	void (*on_kernel_names)(struct probe *probe);
	struct probe_heap *heap;
	struct jit_files *jit; /* NULL: the target has had no code without a file yet */
	struct loop_source *jit_timer;
	unsigned jit_ms; /* to the next look; 0: none was made */
	/* of the last look; the registry's */
	const struct mapping *mappings;
	size_t mapping_count;
	struct loop_source *refresh_timer, *start_timer, *flush_timer;
	bool is_flush_due;
	unsigned refresh_ms;
	unsigned look_ms;   /* to the next one of these: */
	unsigned looks_due; /* after an exec, though nobody has met a pc in no mapping */
	uint64_t last_refresh_ns, last_refresh_cost_ns;
	uint64_t published_execs; /* exec count of the mappings that the walker has */
	uint64_t published_remaps;
	bool is_publish_due;
	uint64_t told_forks;
	size_t tables_ready, tables_total;
	char table_note[240];
	bool is_collecting, was_seen_exiting, has_exit_record;
	uid_t uid;
	gid_t gid;
};

/* ---- probe_words.c ---- */
uint64_t probe_clock_ns(clockid_t clock);
void probe_copy_text(char *ret, size_t capacity, const char *text);
void probe_send(struct probe *probe, uint32_t type, const void *payload, size_t length);
void probe_send_failed(struct probe *probe, struct error *error); /* takes the error */
void probe_send_note(struct probe *probe, const char *text);
void probe_send_target(struct probe *probe);
void probe_send_pids(void *probe);
void probe_send_tables(struct probe *probe);

/* ---- probe_modules.c ---- */
extern const struct workers_ops probe_workers_ops;
/* What every target has: the vDSO, and the kernel's names. They take their time: done() is called when they
 * are there, or cannot be had. */
void probe_announce_vdso(struct probe *probe);
struct error *probe_announce_kernel(struct probe *probe, void (*done)(struct probe *probe));
void probe_stop_reading_kernel(struct probe *probe);
/* Reads the target's mappings, hands out new modules, publishes what has changed. */
struct error *probe_refresh(struct probe *probe);
void probe_refresh_or_say(struct probe *probe);
/* As soon as the pace allows. */
void probe_refresh_soon(struct probe *probe);
void probe_on_refresh_timer(void *probe);
void probe_on_flush_timer(void *probe);

/* ---- probe_jit.c ---- */
/* true: it is a jitdump, which names code without a file. */
bool probe_jit_take_dump(struct probe *probe, const struct target_module *module);
/* After new modules were handed out. */
void probe_jit_on_mappings(struct probe *probe, const struct modules_change *change);
/* The target has ended, or nothing more is collected: kiln must hear of it before it hears of that. */
void probe_jit_look_last(struct probe *probe);
void probe_jit_stop(struct probe *probe);

/* ---- probe_command.c ---- */
/* Forks the command, which waits; it is the target then. */
struct error *probe_start_command(struct probe *probe);
/* It was stopped: gives the shell its prompt, and goes on with it. */
void probe_stop_with_command(struct probe *probe);
void probe_end_command(struct probe *probe);

#endif
