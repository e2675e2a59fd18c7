/* The dashboard on a terminal: bytes become keys and are answered at once, a timer shows what is new. */
#include "tui/app_internal.h"
#include "tui/keys.h"
#include "tui/term.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define TICK_MS 100 /* at most 10 paints a second, but for keys */

/* What the last paint showed: nothing is drawn again when all of it is the same. */
struct seen {
	uint64_t revision, elapsed_s, samples, lost;
	uint64_t heap_revision, allocs, frees;
	enum heap_mode heap_mode;
	long hz, complete, own, cores; /* as many digits as are shown */
	enum source_state state;
	size_t tables, names;
};

struct run {
	struct app *app;
	struct loop *loop;
	struct terminal *term;
	struct canvas *canvas;
	struct keys keys;
	struct loop_source *input, *tick, *escape, *resize;
	struct seen seen;
};

static int resize_fd = -1; /* an eventfd: the handler of SIGWINCH tells the loop */

static void on_sigwinch(int number)
{
	static const uint64_t one = 1;
	int saved_errno = errno;

	if (write(resize_fd, &one, sizeof(one)) < 0)
		errno = saved_errno;
	errno = saved_errno;
}

static long round_shown(double value, double digits)
{
	return isnan(value) || isinf(value) ? -1 : lround(value * digits);
}

static struct seen look_at(struct source *source)
{
	struct heap *heap = profile_get_heap(source->profile);
	struct source_status status;
	struct heap_facts facts;
	struct seen seen;

	memset(&seen, 0, sizeof(seen)); /* compared as bytes */
	source->ops->get_status(source, &status);
	seen.revision = profile_get_revision(source->profile);
	seen.elapsed_s = status.elapsed_ns / 1000000000ull;
	seen.samples = status.samples;
	seen.lost = status.lost;
	seen.hz = round_shown(status.hz_delivered, 10);
	seen.complete = round_shown(status.complete_pct, 10);
	seen.own = round_shown(status.self_cpu_pct, 10);
	seen.cores = round_shown(status.target_cpu_cores, 100);
	seen.state = status.state;
	seen.tables = status.tables_ready + status.tables_total;
	seen.names = status.names_pending;
	if (!heap)
		return seen;
	heap_get_facts(heap, &facts);
	seen.heap_revision = profile_get_revision(heap_get_profile(heap));
	seen.heap_mode = facts.mode;
	seen.allocs = facts.counters.allocs;
	seen.frees = facts.counters.frees;
	return seen;
}

static void paint(struct run *run)
{
	unsigned columns, rows;

	term_get_size(run->term, &columns, &rows);
	if (canvas_get_columns(run->canvas) != columns || canvas_get_rows(run->canvas) != rows) {
		struct error *error = canvas_resize(run->canvas, columns, rows);

		if (error) { /* the next tick tries again */
			error_destroy(error);
			return;
		}
	}
	run->seen = look_at(run->app->source);
	app_draw(run->app, run->canvas);
	term_show(run->term, run->canvas);
}

static void on_tick(void *arg)
{
	struct run *run = arg;
	struct seen seen = look_at(run->app->source);

	if (run->app->is_dirty || memcmp(&seen, &run->seen, sizeof(seen)))
		paint(run);
}

static void press(struct run *run, uint32_t key)
{
	if (key != KEY_CODE_NONE && app_press_key(run->app, key))
		loop_quit(run->loop, 0);
	if (run->app->wants_redraw)
		term_forget(run->term);
	run->app->wants_redraw = false;
}

static void on_escape_timeout(void *arg)
{
	struct run *run = arg;

	press(run, keys_flush(&run->keys));
	paint(run);
}

/* The terminal has gone: SIGHUP will say so too, but not to a process of another session. */
static void stop_input(struct run *run)
{
	loop_remove(run->input);
	run->input = NULL;
	loop_quit(run->loop, 0);
}

/* All keys that are there are answered, then one paint shows what they did. */
static void on_input(void *arg, uint32_t events)
{
	struct run *run = arg;
	unsigned char bytes[1024];
	ssize_t count = read(term_get_fd(run->term), bytes, sizeof(bytes)), i;
	struct error *error;

	if (count < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (count <= 0) {
		stop_input(run);
		return;
	}
	for (i = 0; i < count; i++)
		press(run, keys_feed(&run->keys, bytes[i]));
	error = loop_set_timer(run->escape, keys_is_waiting(&run->keys) ? KEYS_ESCAPE_MS : 0, 0);
	error_destroy(error); /* then a lone Esc waits for the next key */
	paint(run);
}

static void on_resize(void *arg, uint32_t events)
{
	struct run *run = arg;
	uint64_t count;

	if (read(resize_fd, &count, sizeof(count)) < 0)
		return;
	if (term_update_size(run->term))
		paint(run);
}

static void tell_stopping(void *arg)
{
	struct run *run = arg;
	struct source *source = run->app->source;

	if (source->ops->stopping)
		source->ops->stopping(source);
}

static void suspend(void *arg)
{
	struct run *run = arg;

	term_suspend(run->term, tell_stopping, run);
	paint(run);
}

static struct error *add_sources(struct run *run)
{
	struct error *error =
		loop_add_fd(run->loop, term_get_fd(run->term), EPOLLIN, on_input, run, &run->input);

	if (!error)
		error = loop_add_fd(run->loop, resize_fd, EPOLLIN, on_resize, run, &run->resize);
	if (!error)
		error = loop_add_timer(run->loop, TICK_MS, TICK_MS, on_tick, run, &run->tick);
	if (!error)
		error = loop_add_timer(run->loop, 0, 0, on_escape_timeout, run, &run->escape);
	return error;
}

static void remove_sources(struct run *run)
{
	loop_remove(run->input);
	loop_remove(run->resize);
	loop_remove(run->tick);
	loop_remove(run->escape);
}

static struct error *run_on_terminal(struct run *run)
{
	struct error *error = add_sources(run);

	if (!error) {
		term_update_size(run->term); /* it may have changed before the handler stood */
		paint(run);
		loop_run(run->loop);
	}
	remove_sources(run);
	return error;
}

static struct error *take_resize_signal(struct sigaction *ret_before)
{
	/* before curses starts: it then leaves the signal alone */
	struct sigaction action = {.sa_handler = on_sigwinch, .sa_flags = SA_RESTART};

	resize_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (resize_fd < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "eventfd");
	sigaction(SIGWINCH, &action, ret_before);
	return NULL;
}

static void give_back_resize_signal(const struct sigaction *before)
{
	sigaction(SIGWINCH, before, NULL);
	close(resize_fd);
	resize_fd = -1;
}

static struct error *run_with_signal(struct run *run, const struct app_options *options)
{
	struct error *error = term_create(options, &run->term);

	if (error)
		return error;
	if (!term_is_utf8(run->term))
		run->app->options.ascii = run->app->context.ascii = true;
	error = canvas_create(1, 1, &run->canvas);
	run->app->suspend = suspend;
	run->app->suspend_arg = run;
	if (!error)
		error = run_on_terminal(run);
	run->app->suspend = NULL;
	canvas_destroy(run->canvas);
	term_destroy(run->term);
	return error;
}

struct error *app_run(struct app *app, struct loop *loop, const struct app_options *options)
{
	struct run run = {.app = app, .loop = loop};
	struct sigaction before;
	struct error *error = take_resize_signal(&before);

	if (error)
		return error;
	error = run_with_signal(&run, options);
	give_back_resize_signal(&before);
	return error;
}

struct error *app_check_terminal(void)
{
	return term_check();
}

void app_restore_terminal(void)
{
	term_restore();
}
