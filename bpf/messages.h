/* What the probe and kiln (the interface) say to each other over their channel: data only.
 *
 * Units: _ns CLOCK_MONOTONIC. Strings are sanitized and terminated inside their message.
 */
#ifndef KILN_BPF_MESSAGES_H
#define KILN_BPF_MESSAGES_H

#include <linux/types.h>

enum probe_message {
	/* probe → kiln */
	PROBE_TARGET = 1, /* struct target_message: at the start, and after each exec; + 1 fd (O_PATH) of the
			     target's root, when it sees other files than kiln */
	PROBE_PIDS,	  /* struct pids_message: kiln's own processes, whenever one is replaced */
	PROBE_WORKER,	  /* struct worker_message + 1 fd: the socket of a (new) names worker */
	PROBE_MODULE,	  /* struct probe_module_message */
	PROBE_TABLES,	  /* struct tables_message */
	PROBE_READY,	  /* struct ready_message + 2 fds: ring of samples, counters */
	PROBE_EVENT,	  /* struct event_message */
	PROBE_PAUSED,	  /* collecting is off */
	PROBE_END,	  /* the probe was asked to end by a signal: save, and end */
	PROBE_FAILED,	  /* struct failed_message */
	PROBE_HEAP, /* struct heap_message; with HEAP_EXACT, the first time, + 3 fds: ring of stacks, global,
		       counters */
	PROBE_HEAP_CHUNK, /* struct heap_chunk_message + 1 fd: an array of HEAP_CHUNK_SLOTS struct heap_totals
			   */
	PROBE_HEAP_WRAPPERS, /* struct heap_wrappers_message */
	/* kiln → probe */
	KILN_PAUSE = 100,
	KILN_STOPPED, /* the terminal is back: stop yourself, I do the same */
	KILN_RESUME,
	KILN_CLOSE, /* like KILN_PAUSE, and for good: the heap's books are closed too */
	KILN_STUCK, /* struct stuck_message: the names worker does not answer */
};

struct target_message {
	__u32 pid;
	__u32 reserved;
	char comm[64];
	char exe[4096];
	char cmdline[4096];
};

struct pids_message {
	__u32 count;
	__u32 pids[7];
};

struct probe_module_message {
	__u32 module;
	__u32 kind; /* enum module_kind */
	__u64 size_bytes;
	char path[4096];
};

struct tables_message {
	__u32 ready;
	__u32 total;
	char note[240]; /* why the newest one has none; empty */
};

struct ready_message {
	__u64 start_ns;
	__u64 start_unix_ns;
	__u64 ring_bytes;
	__u32 cpu_count; /* elements of counters */
	__u32 uses_cpu_clock;
	__u64 target_cpu_ns; /* what the target had used before */
};

enum event_kind { EVENT_EXEC, EVENT_FORK, EVENT_EXIT, EVENT_NOTE };

struct event_message {
	__u32 kind; /* enum event_kind */
	__u32 pid;  /* FORK: the child */
	__u64 time_ns;
	__u64 status;	     /* EXIT: as wait(2) gives it; ~0: unknown */
	__u64 target_cpu_ns; /* EXIT: 0 unknown */
	char text[240];	     /* NOTE */
};

struct failed_message {
	__u32 code; /* enum error_code */
	__u32 reserved;
	char message[2048];
	char hint[1024];
};

enum heap_state {
	HEAP_OFF,     /* not measured: text says why */
	HEAP_WAITING, /* no allocator has been found yet */
	HEAP_EXACT,   /* every call is counted */
	HEAP_CLOSED,  /* was exact until time_ns: text says why it ended */
};

struct heap_message {
	__u32 state;	 /* enum heap_state */
	__u32 sites;	 /* probes */
	__u64 time_ns;	 /* EXACT: since; CLOSED: until */
	__u64 unseen_ns; /* of a started command: how long it ran before the first probe was in place */
	__u64 ring_bytes;
	double cost_pct;   /* estimated: of the target's CPU time; NAN unknown */
	double budget_pct; /* NAN: none */
	char text[240];
};

struct heap_chunk_message {
	__u32 index;
	__u32 reserved;
};

/* Code that only passes allocations on (operator new): its frames belong to the allocator. */
struct heap_range {
	__u64 start, end; /* frame offsets */
};

struct heap_wrappers_message {
	__u32 module;
	__u32 count;
	struct heap_range ranges[];
};
#define HEAP_RANGES_MAX 256

struct worker_message {
	__u32 generation; /* 1 for the first, one more for each that replaces it */
};

struct stuck_message {
	__u32 module;
	__u32 generation; /* of the worker that is meant: it may have been replaced already */
};

#endif
