/* Questions about code: a real worker over real sockets, and workers that die or hang over them. */
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
#include "tests/support/listings.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULE MODULE_FIRST_FILE

struct world {
	struct loop *loop;
	struct symbolizer_client *client;
	struct channel *probe;
	pid_t worker;
	struct library library;
	struct code_listing *listing;
	size_t named, infos, stuck;
	unsigned broken; /* the next workers take one question, and die of it */
	bool restart_at_stuck;
};

static void world_start_worker(struct world *world);

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
	struct world *world = arg;

	assert_int_equal(module, MODULE);
	for (size_t i = 0; i < count; i++)
		world->named += !names[i].is_inlined;
}

static void world_kill(struct world *world)
{
	if (world->worker <= 0)
		return;
	kill(world->worker, SIGKILL);
	waitpid(world->worker, NULL, 0);
	world->worker = 0;
}

static void on_info(void *arg, const struct info_message *info)
{
	struct world *world = arg;

	assert_int_equal(info->module, MODULE);
	world->infos++;
}

static void on_stuck(void *arg, uint32_t module)
{
	struct world *world = arg;

	assert_int_equal(module, MODULE);
	world->stuck++;
	world_kill(world);
	if (world->restart_at_stuck)
		world_start_worker(world);
}

static void on_listing(void *arg, struct code_listing *listing)
{
	struct world *world = arg;

	assert_null(world->listing);
	assert_non_null(listing);
	world->listing = listing;
	loop_quit(world->loop, 1);
}

static void ignore_message(void *arg, struct message *message)
{
}

static void ignore_close(void *arg)
{
}

static void on_time(void *arg)
{
	loop_quit(((struct world *)arg)->loop, 2);
}

static void world_start_worker(struct world *world)
{
	struct module_message module = {MODULE, MODULE_KIND_FILE};
	_cleanup_close_ int fd = open(world->library.path, O_RDONLY | O_CLOEXEC);
	int probe[2], kiln[2];

	assert_true(fd >= 0);
	channel_destroy(world->probe);
	assert_null(channel_socketpair(probe));
	assert_null(channel_socketpair(kiln));
	world->worker = fork();
	assert_true(world->worker >= 0);
	if (world->worker == 0) {
		struct pollfd question = {.fd = kiln[1], .events = POLLIN};

		close(probe[0]);
		close(kiln[0]);
		if (world->broken)
			_exit(poll(&question, 1, -1));
		_exit(symbolizer_worker_main(probe[1], kiln[1]));
	}
	world->broken -= world->broken > 0;
	close(probe[1]);
	close(kiln[1]);
	assert_null(
		channel_create(world->loop, probe[0], ignore_message, ignore_close, world, &world->probe));
	assert_null(channel_send(world->probe, SYMBOLIZER_MODULE, &module, sizeof(module), &fd, 1));
	assert_null(symbolizer_client_connect(world->client, kiln[0]));
}

static void world_init(struct world *world)
{
	static const struct symbolizer_client_ops ops = {
		.named = on_named, .info = on_info, .stuck = on_stuck};

	memset(world, 0, sizeof(*world));
	library_locate_libc(&world->library);
	assert_null(loop_create(&world->loop));
	assert_null(symbolizer_client_create(world->loop, &ops, world, &world->client));
}

static void world_deinit(struct world *world)
{
	symbolizer_client_destroy(world->client);
	channel_destroy(world->probe);
	world_kill(world);
	loop_destroy(world->loop);
	code_listing_destroy(world->listing);
}

static void world_run(struct world *world)
{
	struct loop_source *timer;

	assert_null(loop_add_timer(world->loop, 10000, 0, on_time, world, &timer));
	assert_int_equal(loop_run(world->loop), 1);
	loop_remove(timer);
}

static void world_ask(struct world *world, const char *symbol)
{
	uint64_t offset, length;

	assert_true(library_nm(&world->library, true, symbol, &offset, &length));
	assert_null(symbolizer_client_ask_code(world->client, MODULE, offset, 0, on_listing, world));
}

/* Names that are asked at the same time come too. */
static void test_worker(void **state)
{
	uint64_t offsets[600];
	struct world world;

	world_init(&world);
	for (size_t i = 0; i < 600; i++)
		offsets[i] = 0x30000 + i * 64;
	assert_null(symbolizer_client_ask(world.client, MODULE, offsets, 600));
	world_start_worker(&world);
	world_ask(&world, "getaddrinfo");
	world_run(&world);
	assert_null(world.listing->why);
	assert_string_equal(world.listing->function, "getaddrinfo");
	assert_true(world.listing->count > 1000);
	check_listing(world.listing);
	assert_int_equal(world.infos, 1);
	assert_int_equal(world.stuck, 0);
	assert_int_equal(world.named, 600);
	world_deinit(&world);
}

/* A question that is forgotten: only the second one is answered. */
static void test_another_question(void **state)
{
	struct world world;

	world_init(&world);
	world_start_worker(&world);
	world_ask(&world, "getaddrinfo");
	world_ask(&world, "qsort_r");
	world_run(&world);
	assert_string_equal(world.listing->function, "qsort_r");
	assert_int_equal(world.stuck, 0);
	/* And it was the last answer: what comes now belongs to the next question. */
	code_listing_destroy(world.listing);
	world.listing = NULL;
	world_ask(&world, "malloc");
	world_run(&world);
	assert_string_equal(world.listing->function, "malloc");
	assert_int_equal(world.stuck, 0);
	world_deinit(&world);
}

/* The first worker dies; the next one answers from the beginning. */
static void test_a_worker_that_dies(void **state)
{
	struct world world;

	world_init(&world);
	world.broken = 1;
	world.restart_at_stuck = true;
	world_start_worker(&world);
	world_ask(&world, "getaddrinfo");
	world_run(&world);
	assert_int_equal(world.stuck, 1);
	assert_null(world.listing->why);
	assert_true(world.listing->count > 1000);
	check_listing(world.listing);
	world_deinit(&world);
}

/* It has cost two workers: the question is given up. The module is not: its names and other code come. */
static void test_a_question_that_kills(void **state)
{
	uint64_t offset = 0x30000;
	struct world world;

	world_init(&world);
	world.broken = 2;
	world.restart_at_stuck = true;
	world_start_worker(&world);
	world_ask(&world, "getaddrinfo");
	world_run(&world);
	assert_non_null(world.listing->why);
	assert_non_null(strstr(world.listing->why, "two workers"));
	assert_int_equal(world.listing->count, 0);
	assert_null(symbolizer_client_ask(world.client, MODULE, &offset, 1));
	code_listing_destroy(world.listing);
	world.listing = NULL;
	world_ask(&world, "qsort_r");
	world_run(&world);
	assert_int_equal(world.stuck, 2);
	assert_int_equal(world.named, 1);
	assert_null(world.listing->why);
	world_deinit(&world);
}

/* Stopped, it answers nothing: the clock of the question ends it. */
static void test_a_worker_that_hangs(void **state)
{
	struct world world;

	world_init(&world);
	assert_null(symbolizer_client_set_module(world.client, MODULE, 0));
	world.restart_at_stuck = true;
	world_start_worker(&world);
	kill(world.worker, SIGSTOP);
	world_ask(&world, "qsort_r");
	world_run(&world);
	assert_int_equal(world.stuck, 1);
	assert_null(world.listing->why);
	assert_string_equal(world.listing->function, "qsort_r");
	world_deinit(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_another_question),
		cmocka_unit_test(test_a_worker_that_dies),
		cmocka_unit_test(test_a_question_that_kills),
		cmocka_unit_test(test_a_worker_that_hangs),
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
