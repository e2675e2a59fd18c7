/* Separate debug files over the real sockets: a worker in its sandbox that gets them from the client; and the
 * client with workers that abuse it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "bpf/events.h"
#include "symbolizer/symbolizer.h"
#include "tests/support/library.h"
#include "tests/support/workshop.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MODULE MODULE_FIRST_FILE

struct world {
	struct workshop shop;
	struct loop *loop;
	struct symbolizer_client *client;
	struct channel *probe;
	pid_t worker;
	/* What came. */
	size_t named, stuck;
	struct info_message info;
	char function[64], file[256];
	uint32_t line;
	/* A worker that lies. */
	struct channel *liar, *liar_files;
	struct loop_source *pace;
	unsigned wants, wants_at_once, answers, named_after;
};

static struct world world;

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
	world.named += count;
	world.line = names[0].line;
	snprintf(world.function, sizeof(world.function), "%.*s", (int)names[0].function_length,
		 names[0].function);
	snprintf(world.file, sizeof(world.file), "%.*s", (int)names[0].file_length, names[0].file);
	loop_quit(world.loop, 0);
}

static void on_info(void *arg, const struct info_message *info)
{
	world.info = *info;
}

static void on_stuck(void *arg, uint32_t module)
{
	assert_int_equal(module, MODULE);
	world.stuck++;
	loop_quit(world.loop, 0);
}

static void ignore_message(void *arg, struct message *message)
{
}

static void ignore_closed(void *arg)
{
}

static int start(void **state)
{
	static const struct symbolizer_client_ops ops = {
		.named = on_named, .info = on_info, .stuck = on_stuck};

	memset(&world, 0, sizeof(world));
	workshop_open(&world.shop);
	workshop_compile(&world.shop, "-Wl,--build-id");
	workshop_strip(&world.shop);
	assert_null(loop_create(&world.loop));
	/* It reads KILN_DEBUG_PATH. */
	assert_null(symbolizer_client_create(world.loop, &ops, NULL, &world.client));
	return 0;
}

static int finish(void **state)
{
	if (world.worker > 0) {
		kill(world.worker, SIGKILL);
		waitpid(world.worker, NULL, 0);
	}
	symbolizer_client_destroy(world.client);
	channel_destroy(world.probe);
	channel_destroy(world.liar_files);
	channel_destroy(world.liar);
	loop_destroy(world.loop);
	workshop_close(&world.shop);
	return 0;
}

/* Returns kiln's end. */
static int start_worker(const char *file)
{
	struct module_message module = {MODULE, MODULE_KIND_FILE};
	_cleanup_close_ int fd = open(workshop_path(&world.shop, file), O_RDONLY | O_CLOEXEC);
	int probe[2], kiln[2];

	assert_true(fd >= 0);
	assert_null(channel_socketpair(probe));
	assert_null(channel_socketpair(kiln));
	world.worker = fork();
	assert_true(world.worker >= 0);
	if (world.worker == 0) {
		close(probe[0]);
		close(kiln[0]);
		_exit(symbolizer_worker_main(probe[1], kiln[1]));
	}
	close(probe[1]);
	close(kiln[1]);
	assert_null(channel_create(world.loop, probe[0], ignore_message, ignore_closed, NULL, &world.probe));
	assert_null(channel_send(world.probe, SYMBOLIZER_MODULE, &module, sizeof(module), &fd, 1));
	assert_null(
		symbolizer_client_set_module_path(world.client, MODULE, workshop_path(&world.shop, file)));
	return kiln[0];
}

static uint64_t find_secret(void)
{
	struct library full;
	uint64_t offset, length;

	snprintf(full.path, sizeof(full.path), "%s", workshop_path(&world.shop, "full"));
	assert_true(library_nm(&full, false, "secret", &offset, &length));
	return offset + 1;
}

static void ask(void)
{
	uint64_t offset = find_secret();

	assert_null(symbolizer_client_ask(world.client, MODULE, &offset, 1));
}

/* In the sandbox it can open nothing: what it knows came as an fd. */
static void test_worker_gets_the_file(void **state)
{
	workshop_run(&world.shop, "cp separate.debug %s", workshop_build_id_path(&world.shop));
	assert_null(symbolizer_client_connect(world.client, start_worker("plain")));
	ask();
	loop_run(world.loop);
	assert_string_equal(world.function, "secret");
	assert_in_range(world.line, WORKSHOP_LINE - 2, WORKSHOP_LINE);
	assert_non_null(strstr(world.file, "source.c"));
	assert_int_equal(world.info.symbols, SYMBOLS_FULL);
	assert_string_equal(world.info.why, "");
	assert_int_equal(world.stuck, 0);
}

static void test_worker_looks_beside_the_module(void **state)
{
	workshop_run(&world.shop, "mkdir .debug && mv separate.debug .debug && "
				  "objcopy --add-gnu-debuglink=.debug/separate.debug plain");
	assert_null(symbolizer_client_connect(world.client, start_worker("plain")));
	ask();
	loop_run(world.loop);
	assert_string_equal(world.function, "secret");
	assert_int_equal(world.info.symbols, SYMBOLS_FULL);
}

static void test_worker_says_what_was_refused(void **state)
{
	workshop_run(&world.shop,
		     "objcopy --add-gnu-debuglink=separate.debug plain && echo >>separate.debug");
	assert_null(symbolizer_client_connect(world.client, start_worker("plain")));
	ask();
	loop_run(world.loop);
	assert_string_not_equal(world.function, "secret");
	assert_int_equal(world.info.symbols, SYMBOLS_STRIPPED);
	assert_non_null(strstr(world.info.why, "checksum"));
}

/* libdw asks for it in the middle of a lookup. */
static void test_worker_gets_a_split_file(void **state)
{
	workshop_compile(&world.shop, "-gsplit-dwarf");
	workshop_run(&world.shop, "objcopy --strip-symbol=secret full nameless");
	assert_null(symbolizer_client_connect(world.client, start_worker("nameless")));
	ask();
	loop_run(world.loop);
	assert_string_equal(world.function, "secret");
	assert_in_range(world.line, WORKSHOP_LINE - 2, WORKSHOP_LINE);
	assert_string_equal(world.info.why, "");
	assert_int_equal(world.stuck, 0);
}

static void test_worker_says_what_is_missing(void **state)
{
	workshop_compile(&world.shop, "-gsplit-dwarf");
	workshop_run(&world.shop, "rm *.dwo");
	assert_null(symbolizer_client_connect(world.client, start_worker("full")));
	ask();
	loop_run(world.loop);
	assert_string_equal(world.function, "secret");
	assert_string_equal(world.info.why, "a .dwo file was not found");
}

/* ---- kiln goes while the worker waits for a file ---- */

static struct channel *kiln_files;
static bool has_want;

static void on_want(void *arg, struct message *message)
{
	assert_int_equal(message->type, SYMBOLIZER_WANT);
	has_want = true;
	loop_quit(world.loop, 0);
}

static void on_files(void *arg, struct message *message)
{
	assert_int_equal(message->type, SYMBOLIZER_FILES);
	assert_null(channel_create(world.loop, take_fd(&message->fds[0]), on_want, ignore_closed, NULL,
				   &kiln_files));
}

static void test_kiln_goes(void **state)
{
	union {
		struct names_request request;
		char bytes[16];
	} message = {.request = {.module = MODULE, .count = 1}};
	struct channel *kiln;
	int status;

	assert_null(channel_create(world.loop, start_worker("plain"), on_files, ignore_closed, NULL, &kiln));
	assert_null(channel_send(kiln, SYMBOLIZER_NAMES, message.bytes, sizeof(message.bytes), NULL, 0));
	loop_run(world.loop);
	assert_true(has_want);
	channel_destroy(kiln_files);
	channel_destroy(kiln);
	/* The probe goes too: the worker ends by itself. */
	channel_destroy(world.probe);
	world.probe = NULL;
	assert_int_equal(waitpid(world.worker, &status, 0), world.worker);
	world.worker = 0;
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* ---- workers that abuse it ---- */

static void send_want(void)
{
	struct want_message want = {.serial = ++world.wants, .module = MODULE, .kind = WANT_LINK};
	char bytes[sizeof(want) + 8] = {0};
	size_t fixed = offsetof(struct want_message, name);

	memcpy(bytes, &want, fixed);
	memcpy(bytes + fixed, "x", 2);
	if (world.liar_files)
		error_destroy(channel_send(world.liar_files, SYMBOLIZER_WANT, bytes, fixed + 2, NULL, 0));
}

static void on_answer(void *arg, struct message *message)
{
	world.answers++;
	if (world.wants < world.wants_at_once)
		send_want();
}

static void on_pace(void *arg)
{
	union {
		struct names_answer answer;
		char bytes[sizeof(struct names_answer) + sizeof(struct name_entry)];
	} message = {.answer = {.module = MODULE, .count = 1}};

	if (world.named_after && world.wants >= world.named_after)
		error_destroy(channel_send(world.liar, SYMBOLIZER_NAMED, message.bytes, sizeof(message.bytes),
					   NULL, 0));
	else if (world.wants == world.answers) /* one at a time */
		send_want();
}

static void start_liar(unsigned pace_ms)
{
	int kiln[2], files[2];

	assert_null(channel_socketpair(kiln));
	assert_null(channel_socketpair(files));
	assert_null(symbolizer_client_set_module(world.client, MODULE, 1));
	assert_null(channel_create(world.loop, kiln[1], ignore_message, ignore_closed, NULL, &world.liar));
	assert_null(channel_create(world.loop, files[1], on_answer, ignore_closed, NULL, &world.liar_files));
	assert_null(symbolizer_client_connect(world.client, kiln[0]));
	assert_null(channel_send(world.liar, SYMBOLIZER_FILES, NULL, 0, &files[0], 1));
	close(files[0]);
	ask();
	assert_null(loop_add_timer(world.loop, pace_ms, pace_ms, on_pace, NULL, &world.pace));
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* It takes longer than a module may take, because it asks for files meanwhile. */
static void test_asking_is_progress(void **state)
{
	uint64_t start_ms = now_ms();

	world.named_after = 3;
	start_liar(800);
	loop_run(world.loop);
	assert_int_equal(world.stuck, 0);
	assert_int_equal(world.named, 1);
	assert_int_equal(world.answers, 3);
	assert_true(now_ms() - start_ms > 2500);
}

/* It asks for ever. */
static void test_asking_is_no_way_out(void **state)
{
	world.wants_at_once = 500;
	start_liar(50);
	loop_run(world.loop);
	assert_int_equal(world.stuck, 1);
	assert_int_equal(world.named, 0);
	assert_true(world.answers >= world.wants_at_once);
}

/* A second socket for files; a socket that is none. */
static void test_lies_about_the_socket(void **state)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	start_liar(10000);
	assert_null(channel_send(world.liar, SYMBOLIZER_FILES, NULL, 0, &null, 1));
	loop_run(world.loop);
	assert_int_equal(world.stuck, 1);
	close(null);
}

static void test_no_socket(void **state)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC), kiln[2];

	/* Without one: no message of ours. */
	assert_null(channel_socketpair(kiln));
	assert_null(channel_create(world.loop, kiln[1], ignore_message, ignore_closed, NULL, &world.liar));
	assert_null(symbolizer_client_connect(world.client, kiln[0]));
	ask();
	assert_null(channel_send(world.liar, SYMBOLIZER_FILES, NULL, 0, &null, 1));
	/* Names come all the same. */
	world.named_after = 1;
	world.wants = 1;
	assert_null(loop_add_timer(world.loop, 1, 0, on_pace, NULL, &world.pace));
	loop_run(world.loop);
	assert_int_equal(world.stuck, 0);
	assert_int_equal(world.named, 1);
	close(null);
}

/* ---- debuginfod ---- */

static char progress[4][200];
static unsigned progress_count;

static void on_progress(void *arg, const char *text)
{
	snprintf(progress[progress_count++ % 4], sizeof(progress[0]), "%s", text);
	loop_quit(world.loop, 0);
}

/* A client in the place of the real one: it waits for the file "go", then does as it is told. */
static void make_client(const char *script)
{
	char path[1024];

	workshop_run(&world.shop,
		     "mkdir bin && { echo '#!/bin/sh'; echo 'cd %s'; } >bin/debuginfod-find && "
		     "chmod 755 bin/debuginfod-find && mkfifo go",
		     world.shop.directory);
	workshop_run(&world.shop, "cat >>bin/debuginfod-find <<'END'\n%s\nEND\n", script);
	snprintf(path, sizeof(path), "%s:%s", workshop_path(&world.shop, "bin"), getenv("PATH"));
	setenv("PATH", path, 1);
	setenv("DEBUGINFOD_URLS", "https://example.invalid", 1);
}

static void let_client_go(void)
{
	_cleanup_close_ int go = open(workshop_path(&world.shop, "go"), O_WRONLY | O_CLOEXEC);

	assert_int_equal(write(go, "\n", 1), 1);
}

static void run_until_progress(unsigned count)
{
	while (progress_count < count)
		loop_run(world.loop);
}

static int start_fetching(void **state)
{
	progress_count = 0;
	setenv("OLD_PATH", getenv("PATH"), 1);
	return start(state);
}

static int finish_fetching(void **state)
{
	setenv("PATH", getenv("OLD_PATH"), 1);
	unsetenv("DEBUGINFOD_URLS");
	return finish(state);
}

static void ask_with_debuginfod(const char *script)
{
	make_client(script);
	assert_null(symbolizer_client_use_debuginfod(world.client, on_progress));
	assert_null(symbolizer_client_connect(world.client, start_worker("plain")));
	ask();
	while (!world.named)
		loop_run(world.loop);
	/* The first answer does not wait for servers. */
	assert_string_not_equal(world.function, "secret");
	assert_int_equal(world.info.symbols, SYMBOLS_STRIPPED);
	run_until_progress(1);
	assert_string_equal(progress[0], "debuginfod: plain: fetching its debug file (1 to go)");
	assert_int_equal(symbolizer_client_pending(world.client), 1);
	let_client_go();
	run_until_progress(2);
}

static void test_debuginfod(void **state)
{
	char id[128], *at;

	ask_with_debuginfod("read x <go; echo \"$@ $DEBUGINFOD_URLS\" >asked; echo $PWD/separate.debug");
	assert_string_equal(progress[1], "debuginfod: plain: its debug file is here (0 to go)");
	while (world.named < 2)
		loop_run(world.loop);
	assert_string_equal(world.function, "secret");
	assert_non_null(strstr(world.file, "source.c"));
	assert_int_equal(world.info.symbols, SYMBOLS_FULL);
	assert_int_equal(symbolizer_client_pending(world.client), 0);
	/* It was asked by the build-id. */
	snprintf(id, sizeof(id), "%s", strrchr(workshop_build_id_path(&world.shop), '/') - 2);
	memmove(id + 2, id + 3, strlen(id + 3) + 1);
	at = strstr(id, ".debug");
	assert_non_null(at);
	*at = '\0';
	workshop_run(&world.shop, "cat asked && grep -x 'debuginfo %s https://example.invalid' asked", id);
}

/* The build-id decides, whoever says so. */
static void test_debuginfod_with_another_file(void **state)
{
	ask_with_debuginfod("read x <go; cp full other && objcopy --remove-section .note.gnu.build-id other; "
			    "echo $PWD/other");
	while (world.named < 2)
		loop_run(world.loop);
	assert_string_not_equal(world.function, "secret");
	assert_non_null(strstr(world.info.why, "another build-id"));
	assert_int_equal(world.stuck, 0);
}

static void test_debuginfod_without_the_file(void **state)
{
	ask_with_debuginfod("read x <go; echo 'Server query failed: No such file or directory' >&2; exit 1");
	assert_string_equal(progress[1], "debuginfod: plain: no server has its debug file (0 to go)");
	assert_int_equal(symbolizer_client_pending(world.client), 0);
	/* And it is not asked for again. */
	world.named = 0;
	ask();
	while (!world.named)
		loop_run(world.loop);
	assert_int_equal(progress_count, 2);
	assert_int_equal(symbolizer_client_pending(world.client), 0);
}

/* It ends while the client is at work: the client ends too. */
static void test_debuginfod_under_way(void **state)
{
	make_client("echo $$ >pid; read x <go");
	assert_null(symbolizer_client_use_debuginfod(world.client, on_progress));
	assert_null(symbolizer_client_connect(world.client, start_worker("plain")));
	ask();
	run_until_progress(1);
	symbolizer_client_destroy(world.client);
	world.client = NULL;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* only the worker is left */
}

static void test_debuginfod_that_cannot_be(void **state)
{
	struct error *error;

	setenv("PATH", workshop_path(&world.shop, "debug"), 1);
	setenv("DEBUGINFOD_URLS", "https://example.invalid", 1);
	error = symbolizer_client_use_debuginfod(world.client, on_progress);
	assert_non_null(error);
	assert_non_null(strstr(error_get_message(error), "not installed"));
	error_destroy(error);
	setenv("PATH", getenv("OLD_PATH"), 1);
	make_client("exit 1");
	setenv("DEBUGINFOD_URLS", " ", 1);
	error = symbolizer_client_use_debuginfod(world.client, on_progress);
	assert_non_null(error);
	assert_non_null(strstr(error_get_message(error), "no server"));
	assert_non_null(error_get_hint(error));
	error_destroy(error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_worker_gets_the_file, start, finish),
		cmocka_unit_test_setup_teardown(test_worker_looks_beside_the_module, start, finish),
		cmocka_unit_test_setup_teardown(test_worker_says_what_was_refused, start, finish),
		cmocka_unit_test_setup_teardown(test_worker_gets_a_split_file, start, finish),
		cmocka_unit_test_setup_teardown(test_worker_says_what_is_missing, start, finish),
		cmocka_unit_test_setup_teardown(test_kiln_goes, start, finish),
		cmocka_unit_test_setup_teardown(test_asking_is_progress, start, finish),
		cmocka_unit_test_setup_teardown(test_asking_is_no_way_out, start, finish),
		cmocka_unit_test_setup_teardown(test_lies_about_the_socket, start, finish),
		cmocka_unit_test_setup_teardown(test_no_socket, start, finish),
		cmocka_unit_test_setup_teardown(test_debuginfod, start_fetching, finish_fetching),
		cmocka_unit_test_setup_teardown(test_debuginfod_with_another_file, start_fetching,
						finish_fetching),
		cmocka_unit_test_setup_teardown(test_debuginfod_without_the_file, start_fetching,
						finish_fetching),
		cmocka_unit_test_setup_teardown(test_debuginfod_under_way, start_fetching, finish_fetching),
		cmocka_unit_test_setup_teardown(test_debuginfod_that_cannot_be, start_fetching,
						finish_fetching),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
