/* A live session, in the interface's process: the source that the probe's ring, the symbolizer and the
 * profile make together.
 *
 * Ownership: takes the probe's socket; owns its profile. Callbacks come from the loop.
 */
#ifndef KILN_SESSION_H
#define KILN_SESSION_H

#include "base/error.h"
#include "base/loop.h"
#include "profile/source.h"

struct session;

enum session_change {
	SESSION_READY,	 /* collecting */
	SESSION_FAILED,	 /* see session_take_error() */
	SESSION_EXITED,	 /* the target has ended; everything that it left is in the profile */
	SESSION_LOST,	 /* the probe has died */
	SESSION_END,	 /* the probe was told to end: save, and end */
	SESSION_STOPPED, /* after session_stop(): collecting is off, and all that was collected is in the
			    profile */
	SESSION_SAVED,	 /* a save has ended, well or not */
};

struct session_options {
	double hz;
	bool debuginfod;
	const char *save_directory; /* of the default place for snapshots; made when missing */
	void (*on_change)(void *arg, enum session_change change);
	void *arg;
};

struct error *session_create(struct loop *loop, int probe_fd, const struct session_options *options,
			     struct session **ret);
void session_destroy(struct session *session); /* NULL accepted */
struct source *session_get_source(struct session *session);
struct error *session_take_error(struct session *session);
/* Ends collecting, so that the last account closes; SESSION_STOPPED is told when it is off. false: it is
 * already. */
bool session_stop(struct session *session);
/* Whether a snapshot is being written. */
bool session_is_saving(const struct session *session);
/* Reads what is in the ring, and brings the facts up to date: before a report or a save. */
void session_settle(struct session *session);
/* Frames that were asked and have no name yet. */
size_t session_count_unnamed(const struct session *session);

#endif
