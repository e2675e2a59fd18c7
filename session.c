/* A sample's way through this process: ring (bpf/ring.c) → on_sample() → profile_add_sample(). A name's way:
 * profile_take_unnamed() → symbolizer client → on_named() → profile_set_name(). Everything else here is news
 * from the probe. */
#include "session.h"

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "bpf/messages.h"
#include "bpf/ring.h"
#include "options.h"
#include "profile/snapshot.h"
#include "symbolizer/symbolizer.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>

#define TICK_MS	 50
#define FACTS_MS 500
/* Records a turn: keys are answered in between when a flood comes in. */
#define RECORDS_A_TURN 20000

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
	struct error *error;

	enum source_state state;
	struct target_message target;
	struct ready_message ready;
	struct tables_message tables;
	struct pids_message pids;
	uint32_t worker_generation;
	uint64_t paused_ns;	/* when collecting was switched off last */
	uint64_t end_ns;	/* of collecting; 0 while it goes on */
	uint64_t target_cpu_ns; /* since the attach */
	uint64_t self_cpu_ns, self_cpu_start_ns;
	uint64_t facts_ns; /* when the facts were brought up to date last */
	uint64_t window_ns, window_self_ns, window_target_ns; /* about a second ago */
	double self_cpu_pct, target_cores;
	enum exit_kind exit_kind;
	int exit_value;
	char note[256];
	char host[65], kernel[65];

	bool saving;
	char *saving_path;
	void (*on_saved)(void *arg, struct error *error, const char *path);
	void *on_saved_arg;
	void (*on_paused)(void *arg);
	void *on_paused_arg;
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* CPU time of any process: the kernel lets everybody read it (posix-cpu-timers.c, pid_for_clock()). 0: gone.
 */
static uint64_t read_process_cpu_ns(uint32_t pid)
{
	struct timespec used;
	clockid_t clock;

	if (clock_getcpuclockid((pid_t)pid, &clock) || clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

static uint64_t read_self_cpu_ns(const struct session *session)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < session->pids.count && i < 7; i++)
		sum += read_process_cpu_ns(session->pids.pids[i]);
	return sum;
}

static void tell(struct session *session, enum session_change change)
{
	session->options.on_change(session->options.arg, change);
}

static void add_event(struct session *session, uint64_t time_ns, const char *text)
{
	uint64_t start = session->ready.start_ns;

	snprintf(session->note, sizeof(session->note), "%s", text);
	error_destroy(
		profile_add_event(session->source.profile, time_ns > start ? time_ns - start : 0, text));
}

/* ---- samples ---- */

static void on_sample(void *arg, const void *record, size_t length)
{
	struct session *session = arg;
	const struct sample_record *sample = record;

	if (length < sizeof(*sample) ||
	    length < sizeof(*sample) + 8 * ((size_t)sample->kernel_count + sample->user_count))
		return;
	profile_add_sample(session->source.profile, sample, session->ready.start_ns);
}

static void ask_names(struct session *session)
{
	uint64_t offsets[NAMES_REQUEST_MAX];
	uint32_t module;
	size_t count;

	while ((count = profile_take_unnamed(session->source.profile, &module, offsets, NAMES_REQUEST_MAX))) {
		struct error *error = symbolizer_client_ask(session->symbolizer, module, offsets, count);

		if (error) {
			snprintf(session->note, sizeof(session->note), "names: %s", error_get_message(error));
			error_destroy(error);
			return;
		}
	}
}

/* Returns whether there may be more. */
static bool read_ring(struct session *session)
{
	size_t count = 0;

	if (session->ring)
		count = ring_read(session->ring, on_sample, session, RECORDS_A_TURN);
	if (count)
		ask_names(session);
	return count == RECORDS_A_TURN;
}

/* ---- facts ---- */

static uint64_t elapsed_ns(const struct session *session)
{
	uint64_t end = session->end_ns ? session->end_ns : now_ns();

	if (!session->ready.start_ns || end < session->ready.start_ns)
		return 0;
	return end - session->ready.start_ns;
}

static void measure_cpu(struct session *session)
{
	uint64_t self = read_self_cpu_ns(session), now = now_ns();
	uint64_t target = read_process_cpu_ns(session->target.pid);
	uint64_t length = now - session->window_ns;

	if (self > session->self_cpu_ns)
		session->self_cpu_ns = self;
	if (!session->end_ns && target > session->ready.target_cpu_ns)
		session->target_cpu_ns = target - session->ready.target_cpu_ns;
	if (!session->window_ns || length < 1000000000u) {
		if (session->window_ns)
			return;
	} else {
		session->self_cpu_pct =
			100.0 * (double)(session->self_cpu_ns - session->window_self_ns) / (double)length;
		session->target_cores =
			(double)(session->target_cpu_ns - session->window_target_ns) / (double)length;
	}
	session->window_ns = now;
	session->window_self_ns = session->self_cpu_ns;
	session->window_target_ns = session->target_cpu_ns;
}

static void update_facts(struct session *session)
{
	struct cpu_counters counters = {0};
	struct facts facts = {
		.pid = session->target.pid,
		.comm = session->target.comm,
		.exe = session->target.exe,
		.cmdline = session->target.cmdline,
		.host = session->host,
		.kernel = session->kernel,
		.version = KILN_VERSION,
		.start_unix_ns = session->ready.start_unix_ns,
		.duration_ns = elapsed_ns(session),
		.hz_requested = session->options.hz,
		.exit_kind = session->exit_kind,
		.exit_value = session->exit_value,
		.uses_cpu_clock = session->ready.uses_cpu_clock,
		.is_rescued = session->state == SOURCE_LOST,
		.heap_why = "heap tracing is not built yet",
	};

	if (session->counters)
		counters_sum(session->counters, &counters);
	facts.probe_hits = counters.attempts;
	facts.probe_ns_total = counters.program_ns;
	measure_cpu(session);
	facts.target_cpu_s = (double)session->target_cpu_ns / 1e9;
	facts.self_cpu_s = (double)(session->self_cpu_ns - session->self_cpu_start_ns) / 1e9;
	facts.lost[LOST_CPU_RING_FULL] = counters.lost_ring_full;
	facts.lost[LOST_CPU_SCRATCH_BUSY] = counters.lost_scratch_busy;
	error_destroy(profile_set_facts(session->source.profile, &facts));
	session->facts_ns = now_ns();
}

static void on_tick(void *arg)
{
	struct session *session = arg;

	read_ring(session);
	if (now_ns() - session->facts_ns >= FACTS_MS * 1000000u)
		update_facts(session);
}

static void on_ring(void *arg, uint32_t events)
{
	read_ring(arg);
}

bool session_is_saving(const struct session *session)
{
	return session->saving;
}

void session_settle(struct session *session)
{
	while (read_ring(session))
		;
	update_facts(session);
}

size_t session_count_unnamed(const struct session *session)
{
	return symbolizer_client_pending(session->symbolizer);
}

/* ---- names ---- */

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
	struct session *session = arg;

	for (size_t i = 0; i < count; i++) {
		struct frame_name name = {
			.start = names[i].start,
			.function = names[i].function_length ? names[i].function : NULL,
			.function_length = names[i].function_length,
			.file = names[i].file_length ? names[i].file : NULL,
			.file_length = names[i].file_length,
			.line = names[i].line,
			.is_fde = names[i].is_fde,
		};

		profile_set_name(session->source.profile, FRAME(module, names[i].offset), &name);
	}
}

static void on_info(void *arg, const struct info_message *info)
{
	struct session *session = arg;

	error_destroy(profile_set_module_info(session->source.profile, info));
}

static void on_stuck(void *arg, uint32_t module)
{
	struct session *session = arg;
	struct stuck_message message = {.module = module, .generation = session->worker_generation};

	snprintf(session->note, sizeof(session->note), "reading symbols takes too long: starting again");
	if (session->probe)
		error_destroy(channel_send(session->probe, KILN_STUCK, &message, sizeof(message), NULL, 0));
}

static const struct symbolizer_client_ops symbolizer_ops = {on_named, on_info, on_stuck};

/* ---- news from the probe ---- */

static void end_collecting(struct session *session, uint64_t end_ns)
{
	if (session->end_ns)
		return;
	session->end_ns = end_ns;
	session_settle(session);
}

static void on_exit_event(struct session *session, const struct event_message *event)
{
	char text[96];
	int status = (int)event->status;

	if (event->status == ~0ull) {
		snprintf(text, sizeof(text), "target has ended");
	} else if (WIFSIGNALED(status)) {
		session->exit_kind = EXIT_SIGNAL;
		session->exit_value = WTERMSIG(status);
		snprintf(text, sizeof(text), "target was killed by signal %d (%s)", session->exit_value,
			 strsignal(session->exit_value));
	} else {
		session->exit_kind = EXIT_CODE;
		session->exit_value = WEXITSTATUS(status);
		snprintf(text, sizeof(text), "target has exited with %d", session->exit_value);
	}
	if (event->target_cpu_ns > session->ready.target_cpu_ns)
		session->target_cpu_ns = event->target_cpu_ns - session->ready.target_cpu_ns;
	add_event(session, event->time_ns, text);
	session->state = SOURCE_EXITED;
	end_collecting(session, event->time_ns);
	tell(session, SESSION_EXITED);
}

static void on_event(struct session *session, const struct event_message *event)
{
	char text[256];

	switch (event->kind) {
	case EVENT_EXEC:
		snprintf(text, sizeof(text), "exec: %s", session->target.comm);
		add_event(session, event->time_ns, text);
		return;
	case EVENT_FORK:
		snprintf(text, sizeof(text), "fork: child %u (not profiled)", event->pid);
		add_event(session, event->time_ns, text);
		return;
	case EVENT_EXIT:
		on_exit_event(session, event);
		return;
	default:
		text_sanitize(event->text, strnlen(event->text, sizeof(event->text)), text, sizeof(text));
		add_event(session, event->time_ns, text);
	}
}

static void on_module(struct session *session, const struct probe_module_message *module, size_t length)
{
	char path[4096];
	size_t fixed = offsetof(struct probe_module_message, path);

	text_sanitize(module->path, strnlen(module->path, length - fixed), path, sizeof(path));
	error_destroy(profile_set_module(session->source.profile, module->module,
					 (enum module_kind)module->kind, path));
	error_destroy(symbolizer_client_set_module(session->symbolizer, module->module, module->size_bytes));
}

static struct error *start_reading(struct session *session, struct message *message)
{
	_cleanup_close_ int ring_fd = take_fd(&message->fds[0]);
	_cleanup_close_ int counters_fd = take_fd(&message->fds[1]);
	struct error *error;

	if (ring_fd < 0 || counters_fd < 0)
		return error_create(ERROR_GENERAL, 0, NULL, "the probe sent no ring");
	error = counters_open(counters_fd, session->ready.cpu_count, &session->counters);
	if (!error)
		error = ring_open(ring_fd, session->ready.ring_bytes, &session->ring);
	if (error)
		return error;
	/* The ring wakes us when it is a quarter full; the tick does the rest. */
	session->ring_fd = take_fd(&ring_fd);
	error = loop_add_fd(session->loop, session->ring_fd, EPOLLIN | EPOLLET, on_ring, session,
			    &session->ring_source);
	if (!error)
		error = loop_add_timer(session->loop, 10, TICK_MS, on_tick, session, &session->tick);
	return error;
}

static void on_ready(struct session *session, struct message *message)
{
	memcpy(&session->ready, message->payload, sizeof(session->ready));
	session->error = start_reading(session, message);
	if (session->error) {
		tell(session, SESSION_FAILED);
		return;
	}
	session->state = SOURCE_LIVE;
	update_facts(session);
	add_event(session, session->ready.start_ns, "attached");
	session->note[0] = '\0';
	tell(session, SESSION_READY);
}

static void on_pids(struct session *session, const struct pids_message *pids)
{
	uint64_t before = session->self_cpu_ns;

	session->pids = *pids;
	if (!session->self_cpu_start_ns)
		session->self_cpu_start_ns = read_self_cpu_ns(session);
	/* A replaced worker takes its CPU time with it: the sum must not fall. */
	else if (read_self_cpu_ns(session) < before)
		session->self_cpu_start_ns -= before - read_self_cpu_ns(session) < session->self_cpu_start_ns
						      ? before - read_self_cpu_ns(session)
						      : session->self_cpu_start_ns;
}

static void on_failed(struct session *session, const struct failed_message *failed)
{
	error_destroy(session->error);
	session->error = error_create((enum error_code)failed->code, 0, *failed->hint ? failed->hint : NULL,
				      "%s", failed->message);
	tell(session, SESSION_FAILED);
}

static void on_paused(struct session *session)
{
	session->state = SOURCE_PAUSED;
	session->paused_ns = now_ns();
	add_event(session, session->paused_ns, "paused");
	if (session->on_paused)
		session->on_paused(session->on_paused_arg);
}

static void on_worker(struct session *session, struct message *message)
{
	const struct worker_message *worker = message->payload;
	struct error *error;

	session->worker_generation = worker->generation;
	error = symbolizer_client_connect(session->symbolizer, take_fd(&message->fds[0]));

	if (error) {
		snprintf(session->note, sizeof(session->note), "names: %s", error_get_message(error));
		error_destroy(error);
	}
}

/* The probe is ours, but an older or broken one must not make us read beyond the message. */
static bool has_room(const struct message *message)
{
	switch (message->type) {
	case PROBE_TARGET:
		return message->length == sizeof(struct target_message);
	case PROBE_PIDS:
		return message->length == sizeof(struct pids_message);
	case PROBE_WORKER:
		return message->length == sizeof(struct worker_message);
	case PROBE_MODULE:
		return message->length > offsetof(struct probe_module_message, path) &&
		       message->length <= sizeof(struct probe_module_message);
	case PROBE_TABLES:
		return message->length == sizeof(struct tables_message);
	case PROBE_READY:
		return message->length == sizeof(struct ready_message);
	case PROBE_EVENT:
		return message->length == sizeof(struct event_message);
	case PROBE_FAILED:
		return message->length == sizeof(struct failed_message);
	default:
		return true;
	}
}

static void on_message(void *arg, struct message *message)
{
	struct session *session = arg;

	if (!has_room(message))
		return;
	switch (message->type) {
	case PROBE_TARGET:
		memcpy(&session->target, message->payload, sizeof(session->target));
		return;
	case PROBE_PIDS:
		on_pids(session, message->payload);
		return;
	case PROBE_WORKER:
		on_worker(session, message);
		return;
	case PROBE_MODULE:
		on_module(session, message->payload, message->length);
		return;
	case PROBE_TABLES:
		memcpy(&session->tables, message->payload, sizeof(session->tables));
		if (session->tables.note[0])
			snprintf(session->note, sizeof(session->note), "%s", session->tables.note);
		return;
	case PROBE_READY:
		on_ready(session, message);
		return;
	case PROBE_EVENT:
		on_event(session, message->payload);
		return;
	case PROBE_PAUSED:
		on_paused(session);
		return;
	case PROBE_END:
		tell(session, SESSION_END);
		return;
	case PROBE_FAILED:
		on_failed(session, message->payload);
		return;
	}
}

static void on_closed(void *arg)
{
	struct session *session = arg;

	if (session->state != SOURCE_EXITED) {
		session->state = SOURCE_LOST;
		add_event(session, now_ns(), "the probe has died");
		end_collecting(session, now_ns());
	}
	tell(session, SESSION_LOST);
}

/* ---- what a source can do ---- */

static void get_status(struct source *source, struct source_status *ret)
{
	struct session *session = (struct session *)source;
	struct totals totals;

	profile_get_totals(source->profile, &totals);
	*ret = (struct source_status){
		.state = session->state,
		.pid = session->target.pid,
		.target = session->target.comm,
		.elapsed_ns = elapsed_ns(session),
		.hz_requested = session->options.hz,
		.hz_delivered = session->target_cpu_ns > 100000000u
					? (double)totals.samples / ((double)session->target_cpu_ns / 1e9)
					: NAN,
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
	tell(session, SESSION_SAVED);
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

	if (session->state != SOURCE_PAUSED)
		return NULL;
	session->state = SOURCE_LIVE;
	/* Not measured is not the same as idle. */
	error_destroy(profile_add_gap(source->profile, session->paused_ns - session->ready.start_ns,
				      now_ns() - session->ready.start_ns));
	add_event(session, now_ns(), "continued");
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

static const struct source_ops session_source_ops = {
	.get_status = get_status,
	.save = save,
	.pause = pause_collecting,
	.resume = resume_collecting,
	.stopping = tell_stopping,
	.destroy = destroy_source,
};

/* ---- life ---- */

struct error *session_create(struct loop *loop, int probe_fd, const struct session_options *options,
			     struct session **ret)
{
	struct session *session = calloc(1, sizeof(*session));
	struct utsname names;
	struct error *error;

	if (!session) {
		close(probe_fd);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "session");
	}
	session->source.ops = &session_source_ops;
	session->options = *options;
	session->loop = loop;
	session->state = SOURCE_STARTING;
	session->ring_fd = -1;
	session->self_cpu_pct = NAN;
	if (uname(&names) == 0) {
		snprintf(session->host, sizeof(session->host), "%s", names.nodename);
		snprintf(session->kernel, sizeof(session->kernel), "%s", names.release);
	}
	error = channel_create(loop, probe_fd, on_message, on_closed, session, &session->probe);
	if (!error)
		error = profile_create(&session->source.profile);
	if (!error)
		error = symbolizer_client_create(loop, &symbolizer_ops, session, &session->symbolizer);
	if (error) {
		session_destroy(session);
		return error;
	}
	*ret = session;
	return NULL;
}

void session_destroy(struct session *session)
{
	if (!session)
		return;
	loop_remove(session->tick);
	loop_remove(session->ring_source);
	ring_destroy(session->ring);
	cleanup_close(&session->ring_fd);
	counters_destroy(session->counters);
	symbolizer_client_destroy(session->symbolizer);
	channel_destroy(session->probe);
	profile_destroy(session->source.profile);
	error_destroy(session->error);
	free(session->saving_path);
	free(session);
}

struct source *session_get_source(struct session *session)
{
	return &session->source;
}

struct error *session_take_error(struct session *session)
{
	return take_ptr(session->error);
}
