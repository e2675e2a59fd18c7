/* The interface's process: live_run() hands it to the probe as a function; the probe forks it as the invoking
 * user. */
#include "live.h"

#include "base/cleanup.h"
#include "base/loop.h"
#include "base/terminal.h"
#include "bpf/probe.h"
#include "profile/heap.h"
#include "profile/snapshot.h"
#include "session.h"
#include "symbolizer/symbolizer.h"

#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Without a terminal on stdout: so long, then a report. */
#define REPORT_SECONDS 5
/* How long the end waits for names that were asked and not answered. */
#define NAMES_DEADLINE_MS 10000
#define NAMES_POLL_MS	  20
/* What servers send takes longer; another signal ends the wait. */
#define FETCH_DEADLINE_MS 120000

enum mode { MODE_DASHBOARD, MODE_RECORD, MODE_REPORT };

struct live {
	const struct options *options;
	enum mode mode;
	struct loop *loop;
	struct session *session;
	struct app *app; /* NULL without a dashboard */
	char *save_directory;
	bool is_stopped, has_names;
	bool is_leaving; /* the dashboard is closed, a save may still run */
	bool is_ready, is_ended, was_signalled, was_lost;
	unsigned names_waited_ms;
	unsigned signals, signals_before; /* all that came; before the wait for names */
	/* The end of a save that the loop runs for. */
	struct error *save_error;
	char *saved_path;
};

int live_print_error(struct error *error)
{
	int code;

	if (!error)
		return 0;
	code = (int)error_get_code(error);
	fprintf(stderr, "kiln: %s\n", error_get_message(error));
	if (error_get_hint(error))
		fprintf(stderr, "  %s\n", error_get_hint(error));
	error_destroy(error);
	return code;
}

/* ---- what ends the loop ---- */

static void end(struct live *live)
{
	live->is_ended = true;
	loop_quit(live->loop, 0);
}

static void on_change(void *arg, enum session_change change)
{
	struct live *live = arg;

	switch (change) {
	case SESSION_READY:
		live->is_ready = true;
		loop_quit(live->loop, 0);
		return;
	case SESSION_FAILED:
		end(live);
		return;
	case SESSION_EXITED:
		/* The dashboard stays, with the data. */
		if (live->mode != MODE_DASHBOARD)
			end(live);
		return;
	case SESSION_LOST:
		/* The shell has taken the terminal back: restoring it, and the last words, come from the
		 * background. */
		signal(SIGTTOU, SIG_IGN);
		live->was_lost = true;
		end(live);
		return;
	case SESSION_STOPPED:
		live->is_stopped = true;
		loop_quit(live->loop, 0);
		return;
	case SESSION_SAVED:
		if (live->is_leaving)
			loop_quit(live->loop, 0);
		return;
	case SESSION_END:
		live->was_signalled = true;
		end(live);
		return;
	}
}

static void on_signal(void *arg, int signal)
{
	struct live *live = arg;

	live->was_signalled = true;
	live->signals++;
	end(live);
}

static void on_duration(void *arg)
{
	end(arg);
}

static struct error *add_end_signals(struct live *live)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	return loop_add_signals(live->loop, &signals, on_signal, live);
}

/* ---- saving ---- */

static void on_saved(void *arg, struct error *error, const char *path)
{
	struct live *live = arg;

	live->save_error = error;
	live->saved_path = path ? strdup(path) : NULL;
	loop_quit(live->loop, 0);
}

static void on_names_poll(void *arg)
{
	struct live *live = arg;
	unsigned deadline_ms = live->options->debuginfod ? FETCH_DEADLINE_MS : NAMES_DEADLINE_MS;

	live->names_waited_ms += NAMES_POLL_MS;
	session_settle(live->session);
	if (!session_count_unnamed(live->session) || live->names_waited_ms >= deadline_ms || live->was_lost ||
	    live->signals != live->signals_before) {
		live->has_names = true;
		loop_quit(live->loop, 0);
	}
}

/* Nothing more is collected: what is saved or reported is of one moment. */
static void stop(struct live *live)
{
	if (live->was_lost || !session_stop(live->session))
		return;
	while (!live->is_stopped && !live->was_lost)
		loop_run(live->loop);
}

/* The last samples are in, their names are asked: waits until they are there, or long enough. */
static void wait_for_names(struct live *live)
{
	struct loop_source *timer = NULL;

	session_settle(live->session);
	live->signals_before = live->signals;
	if (live->was_lost || !session_count_unnamed(live->session))
		return;
	error_destroy(loop_add_timer(live->loop, NAMES_POLL_MS, NAMES_POLL_MS, on_names_poll, live, &timer));
	while (timer && !live->has_names)
		loop_run(live->loop);
	loop_remove(timer);
	session_settle(live->session);
}

static struct error *save_and_wait(struct live *live, const char *path)
{
	struct source *source = session_get_source(live->session);
	struct error *error = source->ops->save(source, path, on_saved, live);

	if (error)
		return error;
	while (!live->saved_path && !live->save_error)
		loop_run(live->loop);
	return take_ptr(live->save_error);
}

static struct error *save_default(struct live *live)
{
	struct error *error = save_and_wait(live, NULL);

	if (!error)
		fprintf(stderr, "kiln: saved %s\n", live->saved_path);
	return error;
}

static double get_lost_pct(uint64_t lost, uint64_t delivered)
{
	return lost ? 100 * (double)lost / ((double)lost + (double)delivered) : 0;
}

/* Of the allocations: those that are not in the books (no room, or never followed), or without an owner. A
 * stack that did not go through the ring is sent again at its next allocation. 0 when the heap is not
 * measured. */
static double get_lost_heap_pct(const struct profile *profile)
{
	struct heap *heap = profile_get_heap(profile);
	const struct heap_counters *counters;
	struct heap_facts facts;
	uint64_t all, lost;

	if (!heap)
		return 0;
	heap_get_facts(heap, &facts);
	if (facts.mode != HEAP_MODE_EXACT && facts.mode != HEAP_MODE_CLOSED)
		return 0;
	counters = &facts.counters;
	all = counters->allocs + counters->lost_pending;
	lost = counters->refused + counters->lost_pending + counters->lost_scratch_busy +
	       counters->lost_stack_full;
	/* One allocation may have missed both, room and owner. */
	return get_lost_pct(lost, lost < all ? all - lost : 0);
}

struct error *live_judge_loss(const struct profile *profile, double limit_pct)
{
	double cpu, heap;
	struct totals totals;

	profile_get_totals(profile, &totals);
	cpu = get_lost_pct(totals_sum_lost(&totals), totals.samples);
	heap = get_lost_heap_pct(profile);
	if (limit_pct < 0 || (cpu <= limit_pct && heap <= limit_pct))
		return NULL;
	if (heap > cpu)
		return error_create(ERROR_LOST, 0,
				    "kiln report FILE says of which kind; --heap=off measures none",
				    "%.2f %% of the allocations were lost (limit %g %%)", heap, limit_pct);
	return error_create(ERROR_LOST, 0, "a lower -F loses less",
			    "%.2f %% of the samples were lost (limit %g %%)", cpu, limit_pct);
}

static struct error *judge_loss(struct live *live)
{
	return live_judge_loss(session_get_source(live->session)->profile, live->options->max_lost_pct);
}

/* Said before anything is collected, not after an hour of it. */
static struct error *check_output(const char *pattern)
{
	const char *slash = pattern ? strrchr(pattern, '/') : NULL;
	_cleanup_free_ char *directory =
		slash ? strndup(pattern, (size_t)(slash - pattern) + 1) : strdup(".");

	if (!directory)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "-o");
	/* With %p and the like in it, it is known at the end only. */
	if (strchr(directory, '%') || access(directory, W_OK | X_OK) == 0)
		return NULL;
	return error_create(ERROR_GENERAL, errno, "save to a directory that you may write to: -o FILE", "%s",
			    directory);
}

/* ---- the three ways to end ---- */

static struct error *finish_record(struct live *live)
{
	const char *pattern = live->options->output;
	_cleanup_free_ char *fallback = NULL;
	struct facts facts;
	struct error *error;

	stop(live);
	wait_for_names(live);
	profile_get_facts(session_get_source(live->session)->profile, &facts);
	if (!pattern) {
		if (asprintf(&fallback, "./%s-%%p-%%t.kiln", facts.comm) < 0)
			return error_create(ERROR_GENERAL, ENOMEM, NULL, "record");
		for (char *c = fallback + 2; c < fallback + 2 + strlen(facts.comm); c++) {
			if (*c == '/' || *c == '%')
				*c = '_';
		}
		pattern = fallback;
	}
	error = save_and_wait(live, pattern);
	if (error) {
		/* The disk may have filled up meanwhile: what took an hour to collect goes elsewhere. */
		error_destroy(save_default(live));
		return error;
	}
	printf("%s\n", live->saved_path);
	fflush(stdout);
	if (live->was_lost)
		return error_create(ERROR_GENERAL, 0, "what was collected until then is saved",
				    "the probe has died");
	return judge_loss(live);
}

static struct error *finish_report(struct live *live)
{
	struct profile *profile = session_get_source(live->session)->profile;
	struct report_options summary = {.view = REPORT_SUMMARY, .rows = 40};
	struct report_options hot = {.view = REPORT_HOT, .rows = 20};
	struct error *error;

	stop(live);
	wait_for_names(live);
	error = report_write(profile, &summary, stdout);
	if (!error) {
		printf("\n");
		error = report_write(profile, &hot, stdout);
	}
	if (!error && fflush(stdout))
		error = error_create(ERROR_GENERAL, errno, NULL, "stdout");
	if (!error && live->was_lost)
		error = error_create(ERROR_GENERAL, 0, NULL, "the probe has died");
	return error ? error : judge_loss(live);
}

static struct error *finish_dashboard(struct live *live)
{
	struct error *error = NULL;

	if (live->was_lost || live->was_signalled)
		error = save_default(live);
	if (!error && live->was_lost)
		error = error_create(ERROR_GENERAL, 0,
				     "what was collected is in the file above: kiln open FILE",
				     "the probe has died");
	return error ? error : judge_loss(live);
}

/* ---- the interface's main function ---- */

static struct error *run_dashboard(struct live *live)
{
	struct app_options app_options = live->options->app;
	char note[PATH_MAX + 64];
	struct error *error;

	if (*probe_get_output_path()) {
		snprintf(note, sizeof(note), "the command's output goes to %s", probe_get_output_path());
		app_options.note = note;
		/* Among the events too: the message row shows newer things after a while. */
		error_destroy(profile_add_event(session_get_source(live->session)->profile, 0, note));
	}
	error = app_create(session_get_source(live->session), &app_options, &live->app);
	if (!error)
		error = app_run(live->app, live->loop, &app_options);
	/* S, then q: what the user saved is on the disk before kiln ends. */
	live->is_leaving = true;
	while (session_is_saving(live->session))
		loop_run(live->loop);
	app_destroy(live->app);
	return error;
}

static struct error *collect(struct live *live)
{
	double seconds = live->options->duration_s;
	struct loop_source *timer = NULL;
	struct error *error = NULL;

	if (seconds <= 0 && live->mode == MODE_REPORT)
		seconds = REPORT_SECONDS;
	if (seconds > 0)
		error = loop_add_timer(live->loop, seconds < 4e6 ? (unsigned)(seconds * 1000) : 4000000000u,
				       0, on_duration, live, &timer);
	if (!error && live->mode == MODE_DASHBOARD)
		error = run_dashboard(live);
	else if (!error && !live->is_ended)
		loop_run(live->loop);
	loop_remove(timer);
	return error;
}

static struct error *finish(struct live *live)
{
	switch (live->mode) {
	case MODE_DASHBOARD:
		return finish_dashboard(live);
	case MODE_RECORD:
		return finish_record(live);
	default:
		return finish_report(live);
	}
}

static struct error *run_interface(struct live *live, int probe_fd)
{
	struct session_options session_options = {
		.hz = live->options->hz,
		.debuginfod = live->options->debuginfod,
		.save_directory = live->save_directory,
		.on_change = on_change,
		.arg = live,
	};
	struct error *error = live->mode == MODE_RECORD ? check_output(live->options->output) : NULL;

	if (!error)
		error = loop_create(&live->loop);
	if (!error)
		error = add_end_signals(live);
	if (!error)
		error = session_create(live->loop, probe_fd, &session_options, &live->session);
	if (error)
		return error;
	while (!live->is_ready && !live->is_ended)
		loop_run(live->loop);
	if (!live->is_ready) {
		error = session_take_error(live->session);
		if (!error && live->was_signalled)
			error = error_create(ERROR_INTERRUPTED, 0, NULL, "interrupted, nothing saved");
		return error ? error : error_create(ERROR_GENERAL, 0, NULL, "the probe has died");
	}
	error = collect(live);
	/* A command that could not be executed: known only after the programs were attached. */
	if (!error)
		error = session_take_error(live->session);
	return error ? error : finish(live);
}

static int interface_main(void *arg, int probe_fd)
{
	struct live *live = arg;
	int status;

	/* A key typed for the shell, when the probe has died, must not stop what saves the data. */
	signal(SIGTTIN, SIG_IGN);
	/* Large arrays grow in place, and what a merge needs for a moment goes back at once. Without this the
	 * allocator moves its limit after the first large free, and both stay in the heap as holes. */
	mallopt(M_MMAP_THRESHOLD, 128 << 10);
	status = live_print_error(run_interface(live, probe_fd));
	session_destroy(live->session);
	loop_destroy(live->loop);
	free(live->saved_path);
	return status;
}

/* ---- before the fork ---- */

/* $XDG_DATA_HOME/kiln of the invoking user; under sudo the user's home, not root's. */
static struct error *find_save_directory(char **ret)
{
	const char *xdg = getenv("XDG_DATA_HOME");
	_cleanup_free_ char *home = NULL;
	uid_t uid;
	struct error *error = probe_find_invoker(&uid, &home);
	int length;

	if (error)
		return error;
	if (xdg && *xdg == '/' && uid == getuid())
		length = asprintf(ret, "%s/kiln", xdg);
	else
		length = asprintf(ret, "%s/.local/share/kiln", home);
	if (length < 0)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "save directory");
	return NULL;
}

/* The bundled workload: beside the binary (build/) or in the installed tree. */
static struct error *find_demo(char ret[PATH_MAX])
{
	static const char *const places[] = {"/libexec/kiln/demo-workload", "/../libexec/kiln/demo-workload"};
	char self[PATH_MAX - 64];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (length < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "/proc/self/exe");
	self[length] = '\0';
	*strrchr(self, '/') = '\0';
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(ret, PATH_MAX, "%s%s", self, places[i]);
		if (access(ret, X_OK) == 0)
			return NULL;
	}
	return error_create(ERROR_NO_TARGET, 0, "build it: make", "the sample workload is missing: %s", ret);
}

struct error *live_run(const struct options *options, char *const *argv, int *ret_status)
{
	char demo_path[PATH_MAX];
	char *demo_command[] = {demo_path, NULL};
	struct live live = {.options = options};
	struct probe_options probe = {
		.pid = options->pid,
		.name = options->name,
		.command = options->command,
		.as_root = options->as_root,
		.argv = argv,
		.hz = options->hz,
		.user_only = options->user_only,
		.kernel_only = options->kernel_only,
		.verbose = options->verbose,
		.heap = options->heap,
		.max_overhead_pct = options->max_overhead_pct,
		.interface_main = interface_main,
		.worker_main = symbolizer_worker_main,
		.arg = &live,
	};
	struct error *error = NULL;

	live.mode = options->verb == VERB_RECORD ? MODE_RECORD
		    : isatty(STDOUT_FILENO)	 ? MODE_DASHBOARD
						 : MODE_REPORT;
	if (options->verb == VERB_DEMO) {
		error = find_demo(demo_path);
		probe.command = demo_command;
	}
	if (!error && live.mode == MODE_DASHBOARD) {
		error = app_check_terminal();
		terminal_remember(STDOUT_FILENO);
	}
	probe.is_dashboard = live.mode == MODE_DASHBOARD || options->verb == VERB_DEMO;
	if (!error)
		error = find_save_directory(&live.save_directory);
	if (!error)
		error = probe_run(&probe, ret_status);
	free(live.save_directory);
	return error;
}
