/* What a view may ask of a live session: status, save, pause, resume. */
#include "session_internal.h"

#include "base/cleanup.h"
#include "profile/snapshot.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>

static void get_status(struct source *source, struct source_status *ret)
{
	struct session *session = (struct session *)source;
	struct totals totals;

	profile_get_totals(source->profile, &totals);
	*ret = (struct source_status){
		.state = session->state,
		.pid = session->target.pid,
		.target = session->target.comm,
		.elapsed_ns = session_elapsed_ns(session),
		.hz_requested = session->options.hz,
		.hz_delivered = session->hz_delivered,
		.complete_pct = totals.samples
					? 100.0 * (double)totals.ends[STACK_COMPLETE] / (double)totals.samples
					: NAN,
		.self_cpu_pct = session->self_cpu_pct,
		.target_cpu_cores = session->end_ns ? 0 : session->target_cores,
		.samples = totals.samples,
		.lost = totals_sum_lost(&totals),
		.exit_kind = session->exit_kind,
		.exit_value = session->exit_value,
		.tables_ready = session->tables.ready,
		.tables_total = session->tables.total,
		.names_pending = symbolizer_client_pending(session->symbolizer),
		.note = session->note,
	};
}

static struct error *make_directories(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "%s", path);
	for (char *slash = copy + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(copy, 0777);
		*slash = '/';
	}
	if (mkdir(copy, 0777) && errno != EEXIST)
		return error_create(ERROR_GENERAL, errno,
				    "set XDG_DATA_HOME to a directory that you may write", "%s", path);
	return NULL;
}

static void on_written(void *arg, struct error *error)
{
	struct session *session = arg;
	_cleanup_free_ char *path = take_ptr(session->saving_path);

	session->saving = false;
	session->on_saved(session->on_saved_arg, error, path);
	session_tell(session, SESSION_SAVED);
}

static struct error *save(struct source *source, const char *path,
			  void (*on_saved)(void *arg, struct error *error, const char *path), void *arg)
{
	struct session *session = (struct session *)source;
	struct facts facts;
	struct error *error;

	if (session->saving)
		return error_create(ERROR_GENERAL, 0, NULL, "a snapshot is being saved already");
	session_settle(session);
	profile_get_facts(source->profile, &facts);
	if (path) {
		error = snapshot_expand_path(path, &facts, &session->saving_path);
	} else {
		error = make_directories(session->options.save_directory);
		if (!error)
			error = snapshot_make_default_path(session->options.save_directory, &facts,
							   &session->saving_path);
	}
	if (error)
		return error;
	session->saving = true;
	session->on_saved = on_saved;
	session->on_saved_arg = arg;
	error = snapshot_write_in_child(source->profile, session->saving_path, session->loop, on_written,
					session);
	if (error) {
		session->saving = false;
		free(take_ptr(session->saving_path));
	}
	return error;
}

static struct error *pause_collecting(struct source *source, void (*on_paused)(void *arg), void *arg)
{
	struct session *session = (struct session *)source;

	if (session->state != SOURCE_LIVE) {
		on_paused(arg);
		return NULL;
	}
	session->on_paused = on_paused;
	session->on_paused_arg = arg;
	return channel_send(session->probe, KILN_PAUSE, NULL, 0, NULL, 0);
}

static struct error *resume_collecting(struct source *source)
{
	struct session *session = (struct session *)source;
	uint64_t used_ns = session_read_process_cpu_ns(session->target.pid);

	if (session->state != SOURCE_PAUSED)
		return NULL;
	session->state = SOURCE_LIVE;
	/* What the target used while nobody looked counts in no rate. */
	if (used_ns > session->paused_cpu_ns)
		session->ready.target_cpu_ns += used_ns - session->paused_cpu_ns;
	/* Not measured is not the same as idle. */
	error_destroy(profile_add_gap(source->profile, session->paused_ns - session->ready.start_ns,
				      session_now_ns() - session->ready.start_ns));
	session_add_event(session, session_now_ns(), "continued");
	return channel_send(session->probe, KILN_RESUME, NULL, 0, NULL, 0);
}

static void tell_stopping(struct source *source)
{
	struct session *session = (struct session *)source;

	if (session->state != SOURCE_LOST)
		error_destroy(channel_send(session->probe, KILN_STOPPED, NULL, 0, NULL, 0));
}

static void destroy_source(struct source *source)
{
	session_destroy((struct session *)source);
}

const struct source_ops session_source_ops = {
	.get_status = get_status,
	.save = save,
	.pause = pause_collecting,
	.resume = resume_collecting,
	.stopping = tell_stopping,
	.destroy = destroy_source,
};
