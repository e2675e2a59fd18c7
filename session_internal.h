/* What the files of the session share (session.c: samples, names, facts, life; session_news.c: what the probe
 * says; session_source.c: what a view may ask). Nobody else includes this. */
#ifndef KILN_SESSION_INTERNAL_H
#define KILN_SESSION_INTERNAL_H

#include "base/channel.h"
#include "bpf/messages.h"
#include "bpf/ring.h"
#include "session.h"
#include "symbolizer/symbolizer.h"

struct session {
	struct source source; /* first: a source is a session */
	struct session_options options;
	struct loop *loop;
	struct channel *probe;
	struct symbolizer_client *symbolizer;
	struct loop_source *tick, *ring_source;
	struct ring *ring;
	int ring_fd;
	struct counters *counters;
	struct session_heap *heap; /* NULL: the probe has said nothing of a heap yet */
	struct error *error;

	enum source_state state;
	struct target_message target;
	struct ready_message ready;
	struct tables_message tables;
	struct pids_message pids;
	uint32_t worker_generation;
	bool must_ask_jit;	/* for names of JIT code, when the questions under way are answered */
	uint64_t paused_ns;	/* when collecting was switched off last */
	uint64_t paused_cpu_ns; /* what the target had used then */
	uint64_t end_ns;	/* of collecting; 0 while it goes on */
	uint64_t target_cpu_ns; /* since the attach */
	uint64_t self_cpu_ns, self_cpu_start_ns;
	uint64_t facts_ns; /* when the facts were brought up to date last */
	uint64_t window_ns, window_self_ns, window_target_ns; /* about a second ago */
	double hz_delivered; /* samples and CPU time of one moment; NAN: too little to say */
	double self_cpu_pct, target_cores;
	enum exit_kind exit_kind;
	int exit_value;
	char note[256];
	char host[65], kernel[65];

	bool is_stopping; /* session_stop() was called */
	bool saving;
	char *saving_path;
	void (*on_saved)(void *arg, struct error *error, const char *path);
	void *on_saved_arg;
	void (*on_paused)(void *arg);
	void *on_paused_arg;
};

uint64_t session_now_ns(void);
uint64_t session_read_process_cpu_ns(uint32_t pid);
/* CPU time of all kiln processes so far. */
uint64_t session_read_self_cpu_ns(const struct session *session);
/* Of collecting. */
uint64_t session_elapsed_ns(const struct session *session);
void session_tell(struct session *session, enum session_change change);
/* Into the profile's list, and as the newest thing to say. */
void session_add_event(struct session *session, uint64_t time_ns, const char *text);
/* Asks the worker for all frames that nobody has asked for yet. */
void session_ask_names(struct session *session);
/* There are new names of JIT code: asks for what has had none. */
void session_ask_jit_names(struct session *session);
void session_update_facts(struct session *session);
/* Reads what the ring still holds; facts and samples are of one moment then. */
void session_end_collecting(struct session *session, uint64_t end_ns);
/* Maps ring and counters, and starts the clock of reading. */
struct error *session_start_reading(struct session *session, struct message *message);

/* session_news.c: callbacks of the probe's channel */
void session_on_message(void *arg, struct message *message);
void session_on_closed(void *arg);

/* session_heap.c */
void session_heap_on_message(struct session *session, struct message *message);
void session_heap_on_chunk(struct session *session, struct message *message);
void session_heap_on_wrappers(struct session *session, const struct message *message);
void session_heap_tick(struct session *session);
/* All that there is, at once: before a report or a save. */
void session_heap_settle(struct session *session);
void session_heap_destroy(struct session *session);

/* session_source.c */
extern const struct source_ops session_source_ops;

#endif
