/* A sample's way through this process: ring (bpf/ring.c) → on_sample() → profile_add_sample(). A name's way:
 * profile_take_unnamed() → symbolizer client → on_named() → profile_set_name(). Everything else here is news
 * from the probe. */
#include "session_internal.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "options.h"

#include <errno.h>
#include <math.h>
#include <sys/epoll.h>
#include <sys/utsname.h>
#include <time.h>

#define SETTLE_TRIES 100
/* Of less time no rate is told. */
#define SHORTEST_NS 100000000u
#define TICK_MS	    50
#define FACTS_MS    500
/* Records a turn: keys are answered in between when a flood comes in. */
#define RECORDS_A_TURN 20000

uint64_t session_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* CPU time of any process: the kernel lets everybody read it (posix-cpu-timers.c, pid_for_clock()). 0: gone.
 */
uint64_t session_read_process_cpu_ns(uint32_t pid)
{
	struct timespec used;
	clockid_t clock;

	if (clock_getcpuclockid((pid_t)pid, &clock) || clock_gettime(clock, &used))
		return 0;
	return (uint64_t)used.tv_sec * 1000000000u + (uint64_t)used.tv_nsec;
}

uint64_t session_read_self_cpu_ns(const struct session *session)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < session->pids.count && i < 7; i++)
		sum += session_read_process_cpu_ns(session->pids.pids[i]);
	return sum;
}

void session_tell(struct session *session, enum session_change change)
{
	session->options.on_change(session->options.arg, change);
}

void session_add_event(struct session *session, uint64_t time_ns, const char *text)
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

void session_ask_names(struct session *session)
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

void session_ask_jit_names(struct session *session)
{
	/* What is being asked may be answered from what was there before. */
	session->must_ask_jit = symbolizer_client_pending(session->symbolizer) > 0;
	if (session->must_ask_jit)
		return;
	profile_ask_again(session->source.profile, MODULE_ANONYMOUS);
	session_ask_names(session);
}

/* Returns whether there may be more. */
static bool read_ring(struct session *session)
{
	size_t count = 0;

	if (session->ring)
		count = ring_read(session->ring, on_sample, session, RECORDS_A_TURN);
	if (count)
		session_ask_names(session);
	return count == RECORDS_A_TURN;
}

/* ---- facts ---- */

uint64_t session_elapsed_ns(const struct session *session)
{
	uint64_t end = session->end_ns ? session->end_ns : session_now_ns();

	if (!session->ready.start_ns || end < session->ready.start_ns)
		return 0;
	return end - session->ready.start_ns;
}

static void measure_cpu(struct session *session)
{
	uint64_t self = session_read_self_cpu_ns(session), now = session_now_ns();
	uint64_t target = session_read_process_cpu_ns(session->target.pid);
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

void session_update_facts(struct session *session)
{
	struct cpu_counters counters = {0};
	struct totals totals;
	struct facts facts = {
		.pid = session->target.pid,
		.comm = session->target.comm,
		.exe = session->target.exe,
		.cmdline = session->target.cmdline,
		.host = session->host,
		.kernel = session->kernel,
		.version = KILN_VERSION,
		.start_unix_ns = session->ready.start_unix_ns,
		.duration_ns = session_elapsed_ns(session),
		.hz_requested = session->options.hz,
		.exit_kind = session->exit_kind,
		.exit_value = session->exit_value,
		.uses_cpu_clock = session->ready.uses_cpu_clock,
		.is_rescued = session->state == SOURCE_LOST,
		.self_cpu_s = NAN,
		.heap_why = "the probe has not said anything of the heap",
	};

	if (session->counters)
		counters_sum(session->counters, &counters);
	facts.probe_hits = counters.attempts;
	facts.probe_ns_total = counters.program_ns;
	facts.frames = counters.frames;
	facts.memo_frames = counters.adopted;
	facts.memo_wrong = counters.memo_wrong;
	measure_cpu(session);
	profile_get_totals(session->source.profile, &totals);
	session->hz_delivered = session->target_cpu_ns > 100000000u
					? (double)totals.samples * 1e9 / (double)session->target_cpu_ns
					: NAN;
	facts.target_cpu_s = (double)session->target_cpu_ns / 1e9;
	if (facts.duration_ns > SHORTEST_NS && session->self_cpu_ns > session->self_cpu_start_ns)
		facts.self_cpu_s = (double)(session->self_cpu_ns - session->self_cpu_start_ns) / 1e9;
	facts.lost[LOST_CPU_RING_FULL] = counters.lost_ring_full;
	facts.lost[LOST_CPU_SCRATCH_BUSY] = counters.lost_scratch_busy;
	error_destroy(profile_set_facts(session->source.profile, &facts));
	session->facts_ns = session_now_ns();
}

static void on_tick(void *arg)
{
	struct session *session = arg;

	read_ring(session);
	session_heap_tick(session);
	if (session_now_ns() - session->facts_ns >= FACTS_MS * 1000000u)
		session_update_facts(session);
}

static void on_ring(void *arg, uint32_t events)
{
	read_ring(arg);
}

struct error *session_start_reading(struct session *session, struct message *message)
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

bool session_is_saving(const struct session *session)
{
	return session->saving;
}

/* While programs run, a sample may lie between the counters and the ring, or be on its way. Samples are far
 * apart for this loop: a moment with none under way comes soon, and then the account closes to the last
 * sample. */
static bool is_account_closed(struct session *session)
{
	struct facts facts;
	struct totals totals;

	profile_get_facts(session->source.profile, &facts);
	profile_get_totals(session->source.profile, &totals);
	return facts.probe_hits == totals.samples + totals_sum_lost(&totals);
}

void session_settle(struct session *session)
{
	for (int i = 0; i < SETTLE_TRIES; i++) {
		while (read_ring(session))
			;
		session_update_facts(session);
		if (is_account_closed(session))
			break;
	}
	session_heap_settle(session);
}

void session_end_collecting(struct session *session, uint64_t end_ns)
{
	if (session->end_ns)
		return;
	/* What the target has used until now: afterwards it is not looked at. */
	session_update_facts(session);
	session->end_ns = end_ns;
	session_settle(session);
}

bool session_stop(struct session *session)
{
	if (session->state != SOURCE_LIVE || session->end_ns)
		return false;
	session->is_stopping = true;
	error_destroy(channel_send(session->probe, KILN_CLOSE, NULL, 0, NULL, 0));
	return true;
}

size_t session_count_unnamed(const struct session *session)
{
	return symbolizer_client_pending(session->symbolizer);
}

/* ---- names ---- */

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
	struct session *session = arg;
	struct frame_name levels[NAME_LEVELS_MAX];
	size_t level = 0;

	for (size_t i = 0; i < count && level < NAME_LEVELS_MAX; i++) {
		levels[level++] = (struct frame_name){
			.start = names[i].start,
			.function = names[i].function_length ? names[i].function : NULL,
			.function_length = names[i].function_length,
			.file = names[i].file_length ? names[i].file : NULL,
			.file_length = names[i].file_length,
			.line = names[i].line,
			.is_fde = names[i].is_fde,
		};
		if (names[i].is_inlined)
			continue;
		profile_set_name(session->source.profile, FRAME(module, names[i].offset), levels, level);
		level = 0;
	}
	if (session->must_ask_jit)
		session_ask_jit_names(session);
}

static void on_info(void *arg, const struct info_message *info)
{
	struct session *session = arg;
	struct module module;

	error_destroy(profile_set_module_info(session->source.profile, info));
	/* A debug file that is wrong, or cannot be read. What has no file has none of that. */
	if (info->why[0] && profile_find_module(session->source.profile, info->module, &module) &&
	    module.path[0] == '/')
		snprintf(session->note, sizeof(session->note), "%.80s: %.120s", module.name, info->why);
}

static void on_stuck(void *arg, uint32_t module)
{
	struct session *session = arg;
	struct stuck_message message = {.module = module, .generation = session->worker_generation};

	snprintf(session->note, sizeof(session->note),
		 "reading symbols takes too long, or has crashed: starting again");
	if (session->probe)
		error_destroy(channel_send(session->probe, KILN_STUCK, &message, sizeof(message), NULL, 0));
}

static void on_fetching(void *arg, const char *text)
{
	struct session *session = arg;

	text_sanitize(text, SIZE_MAX, session->note, sizeof(session->note));
}

/* Said for good, and what has no names is not told as if it had. */
static void on_set_aside(void *arg, uint32_t id)
{
	struct session *session = arg;
	struct module module = {.name = "[unknown]"};
	char text[256];

	profile_find_module(session->source.profile, id, &module);
	snprintf(text, sizeof(text), "%.80s: set aside: reading its names killed two workers", module.name);
	session_add_event(session, session_now_ns(), text);
	error_destroy(profile_set_module_symbols(session->source.profile, id, SYMBOLS_STRIPPED, NULL));
}

static const struct symbolizer_client_ops symbolizer_ops = {on_named, on_info, on_stuck, on_set_aside};

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
	session->hz_delivered = NAN;
	if (uname(&names) == 0) {
		snprintf(session->host, sizeof(session->host), "%s", names.nodename);
		snprintf(session->kernel, sizeof(session->kernel), "%s", names.release);
	}
	error = channel_create(loop, probe_fd, session_on_message, session_on_closed, session,
			       &session->probe);
	if (!error)
		error = profile_create(&session->source.profile);
	if (!error)
		error = symbolizer_client_create(loop, &symbolizer_ops, session, &session->symbolizer);
	if (!error && options->debuginfod)
		error = symbolizer_client_use_debuginfod(session->symbolizer, on_fetching);
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
	session_heap_destroy(session);
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
