/* The one interface of every input: a live session, a snapshot, later imported files.
 *
 * A source feeds a struct profile from its own fds on the event loop; a view reads the profile and the
 * status, and asks the source for what only a source can do (save, pause, resume).
 */
#ifndef KILN_PROFILE_SOURCE_H
#define KILN_PROFILE_SOURCE_H

#include "base/error.h"
#include "profile/profile.h"

#include <stdbool.h>

enum source_state {
	SOURCE_STARTING, /* programs are being loaded */
	SOURCE_LIVE,
	SOURCE_PAUSED, /* ^Z: collecting is off */
	SOURCE_EXITED, /* the target has ended; the data is kept */
	SOURCE_LOST,   /* the probe has died; the data is kept */
	SOURCE_SNAPSHOT,
};

/* What the header shows. NAN: not measured. */
struct source_status {
	enum source_state state;
	uint32_t pid;
	const char *target; /* comm, sanitized */
	uint64_t elapsed_ns;
	double hz_requested, hz_delivered;
	double complete_pct;	 /* of samples */
	double self_cpu_pct;	 /* all kiln processes, of one core, over the last seconds */
	double target_cpu_cores; /* over the last second */
	uint64_t samples, lost;
	enum exit_kind exit_kind;
	int exit_value;
	size_t tables_ready, tables_total; /* unwind tables of modules */
	size_t names_pending;
	const char *note; /* the newest thing to say, one line; "" none */
};

struct source;

struct source_ops {
	void (*get_status)(struct source *source, struct source_status *ret);
	/* Starts to save; the end is told by on_saved (error NULL: path is there now). path NULL: the default
	 * place. A second save while one runs is an error. */
	struct error *(*save)(struct source *source, const char *path,
			      void (*on_saved)(void *arg, struct error *error, const char *path), void *arg);
	/* ^Z: collecting goes off, on_paused is called when it is; resume turns it on again. May be NULL. */
	struct error *(*pause)(struct source *source, void (*on_paused)(void *arg), void *arg);
	struct error *(*resume)(struct source *source);
	/* The terminal is back, and this process is about to stop itself. May be NULL. */
	void (*stopping)(struct source *source);
	void (*destroy)(struct source *source);
};

struct source {
	const struct source_ops *ops;
	struct profile *profile;
};

#endif
