/* The deadlines of a worker, from the probe's and from kiln's side together: real processes, of which the
 * names worker hangs or dies at a question, and the tables worker at a table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/puppets.h"

#include "base/channel.h"
#include "base/cleanup.h"
#include "symbolizer/symbolizer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* What the names worker does when it is asked for names of a module with this id. */
enum asked { NAMES_GOOD = 20, NAMES_HANGS, NAMES_CRASHES, NAMES_HANGS_LATER, NAMES_END };

struct world {
	struct loop *loop;
	struct workers *workers;
	struct symbolizer_client *client;
	int null;
	unsigned stuck[NAMES_END], set_aside[NAMES_END], named[NAMES_END], with_name[NAMES_END];
	unsigned sockets, tables;
	uint32_t generation;
	uint64_t stuck_ms;
	char why[128];
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the worker ---- */

static void answer(int fd, const struct names_request *request)
{
	struct {
		uint32_t type, reserved;
		struct names_answer answer;
		struct {
			struct name_entry entry;
			char name[8];
		} names[8];
	} packet = {.type = SYMBOLIZER_NAMED, .answer = {.module = request->module, .count = request->count}};

	for (uint32_t i = 0; i < request->count && i < 8; i++) {
		packet.names[i].entry.function_length = 4;
		memcpy(packet.names[i].name, "name", 4);
	}
	send(fd, &packet, 8 + sizeof(packet.answer) + request->count * sizeof(packet.names[0]), 0);
}

static int names_main(int kiln_fd)
{
	struct {
		uint32_t type, reserved;
		struct names_request request;
		uint64_t offsets[8];
	} packet;
	struct pollfd ready = {.fd = kiln_fd, .events = POLLIN};
	unsigned asked = 0;

	while (poll(&ready, 1, -1) == 1 && recv(kiln_fd, &packet, sizeof(packet), 0) > 0) {
		uint32_t module = packet.request.module;

		while (module == NAMES_HANGS || (module == NAMES_HANGS_LATER && asked))
			pause();
		if (module == NAMES_CRASHES)
			abort();
		asked++;
		answer(kiln_fd, &packet.request);
	}
	/* The probe ends it. */
	for (;;)
		pause();
}

static int worker_main(int probe_fd, int kiln_fd)
{
	return kiln_fd < 0 ? puppet_main(probe_fd, kiln_fd) : names_main(kiln_fd);
}

/* ---- the probe, and kiln ---- */

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
	struct world *world = arg;

	world->named[module] += (unsigned)count;
	for (size_t i = 0; i < count; i++)
		world->with_name[module] += names[i].function_length == 4;
}

static void on_info(void *arg, const struct info_message *info)
{
}

static void on_stuck(void *arg, uint32_t module)
{
	struct world *world = arg;

	world->stuck[module]++;
	world->stuck_ms = now_ms();
	/* As kiln does by a message. */
	workers_restart_names(world->workers, module, world->generation);
}

static void on_set_aside(void *arg, uint32_t module)
{
	struct world *world = arg;

	world->set_aside[module]++;
}

static void on_names_socket(void *arg, int fd, uint32_t generation)
{
	struct world *world = arg;

	world->sockets++;
	world->generation = generation;
	assert_null(symbolizer_client_connect(world->client, fd));
}

static void on_table(void *arg, uint32_t module, int fd, const char *why)
{
	struct world *world = arg;

	world->tables++;
	snprintf(world->why, sizeof(world->why), "%s", why);
	if (fd >= 0)
		close(fd);
}

static void on_pids(void *arg)
{
}

static void on_signal(void *arg, int signal)
{
	struct world *world = arg;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		assert_true(workers_handle_exit(world->workers, pid));
}

static void on_tick(void *arg)
{
	loop_quit(((struct world *)arg)->loop, 0);
}

static const struct workers_ops workers_ops = {
	.table = on_table,
	.names_socket = on_names_socket,
	.pids = on_pids,
	.tables_max = 1,
};

static int set_up(void **state)
{
	static const struct symbolizer_client_ops ops = {on_named, on_info, on_stuck, on_set_aside};
	struct world *world = calloc(1, sizeof(*world));
	struct loop_source *timer;
	sigset_t signals;

	assert_non_null(world);
	memset(puppets_shared, 0, sizeof(*puppets_shared));
	world->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_null(loop_create(&world->loop));
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	assert_null(loop_add_signals(world->loop, &signals, on_signal, world));
	assert_null(loop_add_timer(world->loop, 2, 2, on_tick, world, &timer));
	assert_null(symbolizer_client_create(world->loop, &ops, world, &world->client));
	assert_null(workers_start(world->loop, worker_main, &workers_ops, world, &world->workers));
	*state = world;
	return 0;
}

static int tear_down(void **state)
{
	struct world *world = *state;

	symbolizer_client_destroy(world->client);
	workers_destroy(world->workers);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	loop_destroy(world->loop);
	close(world->null);
	free(world);
	return 0;
}

static void ask(struct world *world, uint32_t module, uint64_t size_bytes)
{
	static const uint64_t offsets[] = {0x1000, 0x2000};

	assert_null(symbolizer_client_set_module(world->client, module, size_bytes));
	assert_null(symbolizer_client_ask(world->client, module, offsets, 2));
}

/* Until no question is open, or one was not answered in time. */
static void wait_answered(struct world *world, unsigned stuck_of, unsigned stuck)
{
	uint64_t give_up = now_ms() + 20000;

	while (symbolizer_client_pending(world->client) && (!stuck_of || world->stuck[stuck_of] < stuck)) {
		loop_run(world->loop);
		assert_true(now_ms() < give_up);
	}
}

static void check_set_aside(struct world *world, uint32_t module)
{
	assert_int_equal(world->stuck[module], 2);
	assert_int_equal(world->set_aside[module], 1);
	assert_int_equal(world->named[module], 2);
	assert_int_equal(world->with_name[module], 0);
	/* The other one has waited, and is named by the third worker. */
	assert_int_equal(world->with_name[NAMES_GOOD], 2);
	assert_int_equal(world->stuck[NAMES_GOOD], 0);
	assert_int_equal(world->sockets, 3);
	/* Nobody dies of it any more. */
	ask(world, module, 0);
	wait_answered(world, 0, 0);
	assert_int_equal(world->sockets, 3);
	assert_int_equal(world->named[module], 4);
}

/* Opening may take 2 s and 20 ms a MB. */
static void test_names_hang(void **state)
{
	struct world *world = *state;
	uint64_t began = now_ms();

	ask(world, NAMES_HANGS, 25 << 20);
	ask(world, NAMES_GOOD, 0);
	wait_answered(world, NAMES_HANGS, 1);
	assert_in_range(world->stuck_ms - began, 2490, 9000);
	assert_int_equal(world->set_aside[NAMES_HANGS], 0);
	wait_answered(world, 0, 0);
	check_set_aside(world, NAMES_HANGS);
}

static void test_names_crash(void **state)
{
	struct world *world = *state;

	ask(world, NAMES_CRASHES, 0);
	ask(world, NAMES_GOOD, 0);
	wait_answered(world, 0, 0);
	check_set_aside(world, NAMES_CRASHES);
}

/* A module that is open has 500 ms. */
static void test_lookup_hangs(void **state)
{
	struct world *world = *state;
	uint64_t began;

	ask(world, NAMES_HANGS_LATER, 25 << 20);
	wait_answered(world, 0, 0);
	assert_int_equal(world->with_name[NAMES_HANGS_LATER], 2);
	began = now_ms();
	ask(world, NAMES_HANGS_LATER, 25 << 20);
	wait_answered(world, NAMES_HANGS_LATER, 1);
	assert_in_range(world->stuck_ms - began, 490, 9000);
	/* The next worker answers it: nothing is lost. */
	wait_answered(world, 0, 0);
	assert_int_equal(world->with_name[NAMES_HANGS_LATER], 4);
	assert_int_equal(world->set_aside[NAMES_HANGS_LATER], 0);
	assert_int_equal(world->sockets, 2);
}

/* The usual deadline of a table: 2 s and 20 ms a MB, twice. */
static void test_table_hangs(void **state)
{
	struct world *world = *state;
	uint64_t began = now_ms(), give_up = began + 30000;

	assert_null(workers_add_module(world->workers, HANGS, MODULE_KIND_FILE, world->null, 25 << 20, true));
	workers_build(world->workers);
	while (!world->tables) {
		loop_run(world->loop);
		assert_true(now_ms() < give_up);
	}
	assert_in_range(now_ms() - began, 2 * 2490, 18000);
	assert_int_equal(puppets_shared->builds[HANGS], 2);
	assert_int_equal(strncmp(world->why, WORKERS_SET_ASIDE, strlen(WORKERS_SET_ASIDE)), 0);
	/* The names worker is another. */
	assert_int_equal(world->sockets, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_names_hang),
		TEST(test_names_crash),
		TEST(test_lookup_hangs),
		TEST(test_table_hangs),
	};

	puppets_map_shared();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
