/* The client and chains of inlined functions: whole ones, and what a lying worker makes of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/channel.h"
#include "bpf/events.h"
#include "symbolizer/symbolizer.h"

#include <stdlib.h>
#include <string.h>

#define MODULE	 MODULE_FIRST_FILE
#define WANTED	 3
#define DONE	 1
#define TOO_LATE 2

struct world {
	struct loop *loop;
	struct symbolizer_client *client;
	struct channel *worker; /* its end is ours */
	size_t length;
	union {
		unsigned char bytes[CHANNEL_PAYLOAD_MAX];
		struct names_answer answer;
	} payload;
	/* What came. */
	struct resolved_name names[512];
	char functions[512];
	size_t count;
	bool is_stuck;
};

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
	struct world *world = arg;

	assert_int_equal(module, MODULE);
	assert_in_range(count, 1, 512);
	memcpy(world->names, names, count * sizeof(*names));
	for (size_t i = 0; i < count; i++)
		world->functions[i] = names[i].function_length == 1 ? names[i].function[0] : '-';
	world->count = count;
	loop_quit(world->loop, DONE);
}

static void on_info(void *arg, const struct info_message *info)
{
}

static void on_stuck(void *arg, uint32_t module)
{
	struct world *world = arg;

	world->is_stuck = true;
	loop_quit(world->loop, DONE);
}

static void ignore_message(void *arg, struct message *message)
{
}

static void ignore_closed(void *arg)
{
}

static void on_time(void *arg)
{
	loop_quit(((struct world *)arg)->loop, TOO_LATE);
}

static struct world *start(void)
{
	static const struct symbolizer_client_ops ops = {on_named, on_info, on_stuck, NULL};
	static const uint64_t offsets[WANTED] = {100, 200, 300};
	struct world *world = calloc(1, sizeof(*world));
	int ends[2];

	assert_non_null(world);
	assert_null(loop_create(&world->loop));
	assert_null(symbolizer_client_create(world->loop, &ops, world, &world->client));
	assert_null(channel_socketpair(ends));
	assert_null(
		channel_create(world->loop, ends[1], ignore_message, ignore_closed, NULL, &world->worker));
	assert_null(symbolizer_client_connect(world->client, ends[0]));
	assert_null(symbolizer_client_ask(world->client, MODULE, offsets, WANTED));
	world->payload.answer.module = MODULE;
	world->length = sizeof(world->payload.answer);
	return world;
}

static void stop(struct world *world)
{
	channel_destroy(world->worker);
	symbolizer_client_destroy(world->client);
	loop_destroy(world->loop);
	free(world);
}

/* The levels of one offset; their names are the letters from a on. */
static void add_levels(struct world *world, unsigned count, bool has_end)
{
	for (unsigned i = 0; i < count; i++) {
		struct name_entry entry = {.start = i, .line = i + 1, .function_length = 1};
		unsigned char *at = world->payload.bytes + world->length;

		entry.flags = i + 1 < count || !has_end ? NAME_INLINED : 0;
		memcpy(at, &entry, sizeof(entry));
		memset(at + sizeof(entry), 0, 8);
		at[sizeof(entry)] = (unsigned char)('a' + i % 26);
		world->length += sizeof(entry) + 8;
	}
	world->payload.answer.count++;
}

static void send_answer(struct world *world)
{
	struct loop_source *timer;

	assert_null(
		channel_send(world->worker, SYMBOLIZER_NAMED, world->payload.bytes, world->length, NULL, 0));
	assert_null(loop_add_timer(world->loop, 10000, 0, on_time, world, &timer));
	assert_int_equal(loop_run(world->loop), DONE);
	loop_remove(timer);
}

static void test_whole_chains(void **state)
{
	struct world *world = start();
	static const unsigned counts[WANTED] = {1, NAME_LEVELS_MAX, 3};
	size_t at = 0;

	for (unsigned i = 0; i < WANTED; i++)
		add_levels(world, counts[i], true);
	send_answer(world);
	assert_false(world->is_stuck);
	assert_int_equal(world->count, 1 + NAME_LEVELS_MAX + 3);
	assert_int_equal(symbolizer_client_pending(world->client), 0);
	for (unsigned i = 0; i < WANTED; i++) {
		for (unsigned level = 0; level < counts[i]; level++, at++) {
			assert_true(world->names[at].offset == 100 * (i + 1));
			assert_true(world->names[at].start == level);
			assert_int_equal(world->names[at].line, level + 1);
			assert_int_equal(world->names[at].is_inlined, level + 1 < counts[i]);
			assert_int_equal(world->functions[at], 'a' + level % 26);
		}
	}
	stop(world);
}

/* A part of the answers is an answer; the rest comes with the next message. */
static void test_in_two_messages(void **state)
{
	struct world *world = start();

	add_levels(world, 2, true);
	send_answer(world);
	assert_int_equal(world->count, 2);
	assert_int_equal(symbolizer_client_pending(world->client), 2);
	world->payload.answer = (struct names_answer){.module = MODULE, .first = 1};
	world->length = sizeof(world->payload.answer);
	add_levels(world, 5, true);
	add_levels(world, 1, true);
	send_answer(world);
	assert_int_equal(world->count, 6);
	assert_true(world->names[4].offset == 200 && world->names[5].offset == 300);
	assert_false(world->is_stuck);
	stop(world);
}

static void expect_refused(struct world *world)
{
	send_answer(world);
	assert_true(world->is_stuck);
	assert_int_equal(world->count, 0);
	stop(world);
}

/* Too long, without an end, torn apart, missing: that worker is somebody's puppet. */
static void test_chains_that_lie(void **state)
{
	struct world *world = start();

	add_levels(world, NAME_LEVELS_MAX + 1, true);
	expect_refused(world);
	world = start();
	add_levels(world, 2, false);
	expect_refused(world);
	world = start();
	add_levels(world, 1, true);
	add_levels(world, NAME_LEVELS_MAX - 1, false);
	expect_refused(world);
	world = start();
	add_levels(world, 2, true);
	world->payload.answer.count = 2;
	expect_refused(world);
	/* Its count is what matters for memory, too. */
	world = start();
	world->payload.answer.count = 3;
	expect_refused(world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole_chains),
		cmocka_unit_test(test_in_two_messages),
		cmocka_unit_test(test_chains_that_lie),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
