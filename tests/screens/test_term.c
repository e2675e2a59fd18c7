/* The dashboard on a real terminal: a pseudo-terminal of its own, a child that runs app_run(), and the bytes
 * it sends.
 *
 * Waiting is always for bytes that are expected, at most 10 s. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/fixture.h"
#include "tui/app.h"

#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#define TIMEOUT_MS  10000
#define QUIET_LOOKS 15

/* ---- the child ---- */

static struct source_status status;
static unsigned looks; /* how often the status was asked for: twice a paint, once a tick */

/* Nothing changes for a good number of ticks, then one figure does. */
static void get_status(struct source *source, struct source_status *ret)
{
	*ret = status;
	if (++looks > QUIET_LOOKS)
		ret->samples = 777777;
}

static const struct source_ops source_ops = {.get_status = get_status};

static void on_signal(void *arg, int number)
{
	loop_quit(arg, 0);
}

static struct error *run_dashboard(struct profile *profile, const struct app_options *options)
{
	struct source source = {&source_ops, profile};
	struct error *error;
	struct loop *loop;
	struct app *app;
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	error = app_check_terminal();
	if (!error)
		error = loop_create(&loop);
	if (error)
		return error;
	error = loop_add_signals(loop, &signals, on_signal, loop);
	if (!error)
		error = app_create(&source, options, &app);
	if (!error)
		error = app_run(app, loop, options);
	return error;
}

static void run_child(const struct app_options *options, const char *term)
{
	struct profile *profile;
	struct error *error;

	if (term)
		setenv("TERM", term, 1);
	else
		unsetenv("TERM");
	setenv("LC_ALL", "C.UTF-8", 1);
	status = (struct source_status){
		.state = SOURCE_LIVE,
		.pid = 4242,
		.target = "api-server",
		.hz_requested = 99,
		.hz_delivered = 98.7,
		.complete_pct = 100,
		.self_cpu_pct = 0.4,
		.samples = 2000,
		.note = "",
	};
	error = fixture_profile_create(&profile);
	if (!error)
		error = run_dashboard(profile, options);
	if (error) {
		printf("error %d: %s. %s\n", error_get_code(error), error_get_message(error),
		       error_get_hint(error) ? error_get_hint(error) : "");
		fflush(stdout);
		_exit(error_get_code(error));
	}
	printf("ended\n");
	fflush(stdout);
	_exit(0);
}

/* ---- the terminal ---- */

struct session {
	int fd;
	pid_t pid;
	struct termios modes; /* before */
	char *bytes;	      /* everything that came, terminated */
	size_t count, capacity;
};

static void start(struct session *session, const struct app_options *options, const char *term)
{
	static const struct app_options defaults = {.color = COLOR_ALWAYS};
	struct winsize size = {.ws_row = 24, .ws_col = 80};
	int child_fd;

	*session = (struct session){.fd = -1};
	fflush(NULL);
	/* not forkpty(): the modes before must be read before the child can change them */
	assert_int_equal(openpty(&session->fd, &child_fd, NULL, NULL, &size), 0);
	assert_int_equal(tcgetattr(session->fd, &session->modes), 0);
	session->pid = fork();
	assert_true(session->pid >= 0);
	if (!session->pid) {
		close(session->fd);
		if (login_tty(child_fd))
			_exit(127);
		run_child(options ? options : &defaults, term);
	}
	close(child_fd);
}

/* false: the child has closed its side. */
static bool read_some(struct session *session)
{
	struct pollfd poll_fd = {session->fd, POLLIN, 0};
	ssize_t count;

	if (session->capacity < session->count + 4097) {
		session->capacity = session->count + 65536;
		session->bytes = realloc(session->bytes, session->capacity);
		assert_non_null(session->bytes);
	}
	if (poll(&poll_fd, 1, TIMEOUT_MS) != 1)
		fail_msg("nothing came for 10 s; so far:\n%s", session->count ? session->bytes : "nothing");
	count = read(session->fd, session->bytes + session->count, 4096);
	if (count <= 0)
		return false; /* EIO: the last one has closed the terminal */
	session->count += (size_t)count;
	session->bytes[session->count] = '\0';
	return true;
}

/* Where text begins in what came since `from`. */
static size_t wait_for(struct session *session, size_t from, const char *text)
{
	for (;;) {
		char *at = session->count > from
				   ? memmem(session->bytes + from, session->count - from, text, strlen(text))
				   : NULL;

		if (at)
			return (size_t)(at - session->bytes);
		if (!read_some(session))
			fail_msg("the child ended before \"%s\":\n%s", text, session->bytes);
	}
}

static void press(struct session *session, const char *keys)
{
	assert_int_equal(write(session->fd, keys, strlen(keys)), strlen(keys));
}

/* Reads to the end; returns what waitpid() says. */
static int finish(struct session *session)
{
	int child_status;

	while (read_some(session))
		;
	assert_int_equal(waitpid(session->pid, &child_status, 0), session->pid);
	close(session->fd);
	return child_status;
}

/* Called while the child's end is still open: the modes are those of the beginning. */
static void assert_modes_are_back(struct session *session)
{
	struct termios modes;

	assert_int_equal(tcgetattr(session->fd, &modes), 0);
	assert_int_equal(modes.c_lflag, session->modes.c_lflag);
	assert_int_equal(modes.c_iflag, session->modes.c_iflag);
	assert_int_equal(modes.c_oflag, session->modes.c_oflag);
	assert_int_equal(modes.c_cc[VMIN], session->modes.c_cc[VMIN]);
}

static const char *find_last(const char *bytes, const char *text)
{
	const char *last = NULL, *at = bytes;

	while ((at = strstr(at, text)))
		last = at++;
	return last;
}

static void assert_screen_is_back(const struct session *session)
{
	const char *taken = find_last(session->bytes, "\033[?1049h"),
		   *given = find_last(session->bytes, "\033[?1049l");
	const char *hidden = find_last(session->bytes, "\033[?25l"),
		   *shown = find_last(session->bytes, "\033[?25h");

	assert_true(taken && given && given > taken);
	assert_true(hidden && shown && shown > hidden);
}

/* ---- tests ---- */

static void test_takes_and_gives_back(void **state)
{
	struct session session;
	struct termios modes;

	start(&session, NULL, "xterm-256color");
	wait_for(&session, 0, "quit");
	assert_int_equal(tcgetattr(session.fd, &modes), 0);
	assert_false(modes.c_lflag & (ICANON | ECHO | ISIG));
	assert_non_null(strstr(session.bytes, "api-server[4242]"));
	press(&session, "q");
	wait_for(&session, 0, "ended");
	assert_modes_are_back(&session);
	assert_int_equal(finish(&session), 0);
	assert_screen_is_back(&session);
	free(session.bytes);
}

static void test_no_byte_when_nothing_changed(void **state)
{
	struct session session;
	size_t painted, changed;

	start(&session, NULL, "xterm-256color");
	painted = wait_for(&session, 0, "quit") + 4;
	changed = wait_for(&session, painted, "778");
	/* behind "quit" came only the end of that paint and the way to the figure */
	assert_true(changed - painted < 100);
	press(&session, "q");
	assert_int_equal(finish(&session), 0);
	free(session.bytes);
}

static void test_keys_and_escape(void **state)
{
	struct session session;
	size_t at;

	start(&session, NULL, "xterm-256color");
	wait_for(&session, 0, "quit");
	press(&session, "\033OP"); /* F1, cut off nowhere */
	at = wait_for(&session, 0, "help: Overview");
	press(&session, "\033"); /* alone: closes the help, which brings back the graph */
	at = wait_for(&session, at, "CPU (cores)");
	press(&session, "\033[");
	press(&session, "B"); /* ↓ in two pieces */
	wait_for(&session, at, "finish_task_switch");
	press(&session, "Q");
	assert_int_equal(finish(&session), 0);
	free(session.bytes);
}

static void test_resize(void **state)
{
	static const unsigned short sizes[][2] = {{1, 1}, {100, 300}, {20, 60}, {2, 200}, {50, 3}, {8, 45}};
	struct winsize size;
	struct session session;
	size_t i, at;

	start(&session, NULL, "xterm-256color");
	at = wait_for(&session, 0, "quit");
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size = (struct winsize){.ws_row = sizes[i][0], .ws_col = sizes[i][1]};
		assert_int_equal(ioctl(session.fd, TIOCSWINSZ, &size), 0); /* the kernel sends SIGWINCH */
	}
	wait_for(&session, at, "45x8 is below 40x10");
	size = (struct winsize){.ws_row = 30, .ws_col = 100};
	assert_int_equal(ioctl(session.fd, TIOCSWINSZ, &size), 0);
	wait_for(&session, at, "1-5");
	press(&session, "q");
	assert_int_equal(finish(&session), 0);
	free(session.bytes);
}

static void test_signals_give_it_back(void **state)
{
	static const int numbers[] = {SIGTERM, SIGSEGV, SIGABRT, SIGBUS};
	struct session session;
	int child_status;
	size_t i;

	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		start(&session, NULL, "xterm-256color");
		wait_for(&session, 0, "quit");
		assert_int_equal(kill(session.pid, numbers[i]), 0);
		child_status = finish(&session);
		assert_screen_is_back(&session);
		if (numbers[i] == SIGTERM)
			assert_int_equal(child_status, 0);
		else
			assert_int_equal(WTERMSIG(child_status), numbers[i]); /* its own death, not another */
		free(session.bytes);
	}
}

static bool has_colors(const char *bytes)
{
	char sequence[8];
	int color;

	for (color = 1; color <= 6; color++) {
		snprintf(sequence, sizeof(sequence), "[3%dm", color);
		if (strstr(bytes, sequence))
			return true;
	}
	return strstr(bytes, "[38;5;") != NULL;
}

static void test_colors(void **state)
{
	static const struct {
		const char *term, *no_color;
		struct app_options options;
		bool has_colors;
	} cases[] = {
		{"xterm-256color", "", {.color = COLOR_AUTO}, true},
		{"xterm-256color", "1", {.color = COLOR_AUTO}, false},
		{"xterm-256color", "1", {.color = COLOR_ALWAYS}, true},
		{"xterm-256color", "", {.color = COLOR_NEVER}, false},
		{"xterm", "", {.color = COLOR_AUTO}, true},    /* 8 colours */
		{"vt100", "", {.color = COLOR_ALWAYS}, false}, /* has none */
	};
	struct session session;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setenv("NO_COLOR", cases[i].no_color, 1);
		start(&session, &cases[i].options, cases[i].term);
		wait_for(&session, 0, "quit");
		assert_int_equal(has_colors(session.bytes), cases[i].has_colors);
		press(&session, "q");
		assert_int_equal(finish(&session), 0);
		free(session.bytes);
	}
	unsetenv("NO_COLOR");
}

static void test_terminals_that_will_not_do(void **state)
{
	static const struct {
		const char *term, *words;
	} cases[] = {
		{NULL, "TERM is not set"},
		{"", "TERM is not set"},
		{"dumb", "TERM=dumb cannot move its cursor"},
		{"no-such-terminal", "TERM=no-such-terminal is not known"},
	};
	struct session session;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		start(&session, NULL, cases[i].term);
		assert_int_equal(WEXITSTATUS(finish(&session)), ERROR_USAGE);
		assert_non_null(strstr(session.bytes, cases[i].words));
		assert_non_null(strstr(session.bytes, "export TERM="));
		assert_null(strstr(session.bytes, "\033"));
		free(session.bytes);
	}
}

static void test_restoring_what_was_never_taken(void **state)
{
	app_restore_terminal(); /* harmless */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_takes_and_gives_back),
		cmocka_unit_test(test_no_byte_when_nothing_changed),
		cmocka_unit_test(test_keys_and_escape),
		cmocka_unit_test(test_resize),
		cmocka_unit_test(test_signals_give_it_back),
		cmocka_unit_test(test_colors),
		cmocka_unit_test(test_terminals_that_will_not_do),
		cmocka_unit_test(test_restoring_what_was_never_taken),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
