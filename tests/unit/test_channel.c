/* Channels against a peer that does everything wrong: too much, too short, too long, too many descriptors,
 * silence, death. */
#include "base/channel.h"

#include "base/cleanup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
	struct loop *loop;
	struct channel *channel; /* under test */
	int peer;
	unsigned messages, closed;
	uint32_t type;
	size_t length;
	unsigned char first_byte;
	int fds; /* that came with the last message */
	bool destroys, drains, destroys_on_close;
};

static void on_message(void *arg, struct message *message)
{
	struct fixture *fixture = arg;

	fixture->messages++;
	fixture->type = message->type;
	fixture->length = message->length;
	fixture->first_byte = message->length ? *(const unsigned char *)message->payload : 0;
	assert_int_equal((uintptr_t)message->payload % 8, 0);
	fixture->fds = 0;
	for (int i = 0; i < CHANNEL_FDS_MAX; i++)
		fixture->fds += message->fds[i] >= 0;
	if (fixture->drains) {
		channel_drain(fixture->channel);
		assert_int_equal(*(const unsigned char *)message->payload, fixture->first_byte);
	}
	if (fixture->destroys) {
		channel_destroy(fixture->channel);
		fixture->channel = NULL;
	}
}

static void on_closed(void *arg)
{
	struct fixture *fixture = arg;

	fixture->closed++;
	if (fixture->destroys_on_close) {
		channel_destroy(fixture->channel);
		fixture->channel = NULL;
	}
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	int pair[2];

	assert_non_null(fixture);
	assert_null(loop_create(&fixture->loop));
	assert_null(channel_socketpair(pair));
	assert_null(
		channel_create(fixture->loop, pair[0], on_message, on_closed, fixture, &fixture->channel));
	fixture->peer = pair[1];
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	channel_destroy(fixture->channel);
	loop_destroy(fixture->loop);
	if (fixture->peer >= 0)
		close(fixture->peer);
	free(fixture);
	return 0;
}

static void stop(void *arg)
{
	loop_quit(arg, 0);
}

/* Lets the loop handle what is there. */
static void turn(struct fixture *fixture)
{
	struct loop_source *timer;

	assert_null(loop_add_timer(fixture->loop, 2, 0, stop, fixture->loop, &timer));
	loop_run(fixture->loop);
	loop_remove(timer);
}

static int count_fds(void)
{
	int count = 0;

	for (int fd = 0; fd < 2048; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void send_with_fds(int peer, const void *bytes, size_t length, unsigned fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 64)];
		struct cmsghdr align;
	} control = {0};
	struct iovec part = {(void *)bytes, length};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	if (fd_count) {
		struct cmsghdr *cmsg;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		for (unsigned i = 0; i < fd_count; i++)
			memcpy(CMSG_DATA(cmsg) + i * sizeof(int), &peer, sizeof(int));
	}
	assert_int_equal(sendmsg(peer, &header, 0), length);
}

static void test_largest_message(void **state)
{
	struct fixture *fixture = *state;
	static unsigned char bytes[CHANNEL_PAYLOAD_MAX + 1], got[CHANNEL_PAYLOAD_MAX + 64];
	struct error *error;

	memset(bytes, 0x5a, sizeof(bytes));
	assert_null(channel_send(fixture->channel, 77, bytes, CHANNEL_PAYLOAD_MAX, NULL, 0));
	assert_int_equal(recv(fixture->peer, got, sizeof(got), 0), CHANNEL_PAYLOAD_MAX + 8);
	assert_int_equal(send(fixture->peer, got, CHANNEL_PAYLOAD_MAX + 8, 0), CHANNEL_PAYLOAD_MAX + 8);
	turn(fixture);
	assert_int_equal(fixture->messages, 1);
	assert_int_equal(fixture->type, 77);
	assert_int_equal(fixture->length, CHANNEL_PAYLOAD_MAX);
	assert_int_equal(fixture->first_byte, 0x5a);
	error = channel_send(fixture->channel, 77, bytes, CHANNEL_PAYLOAD_MAX + 1, NULL, 0);
	assert_int_equal(error_get_errno(error), EMSGSIZE);
	error_destroy(error);
	/* One byte more than fits is no message but an attack. */
	assert_int_equal(send(fixture->peer, got, CHANNEL_PAYLOAD_MAX + 9, 0), CHANNEL_PAYLOAD_MAX + 9);
	turn(fixture);
	assert_int_equal(fixture->messages, 1);
	assert_int_equal(fixture->closed, 1);
}

static void test_short_messages(void **state)
{
	struct fixture *fixture = *state;
	uint32_t header[2] = {3, 0};

	/* The header alone is a message without payload. */
	send_with_fds(fixture->peer, header, 8, 0);
	turn(fixture);
	assert_int_equal(fixture->messages, 1);
	assert_int_equal(fixture->length, 0);
	send_with_fds(fixture->peer, header, 7, 2);
	turn(fixture);
	assert_int_equal(fixture->messages, 1);
	assert_int_equal(fixture->closed, 1);
}

static void test_empty_message(void **state)
{
	struct fixture *fixture = *state;
	int before = count_fds();

	send_with_fds(fixture->peer, "", 0, 3);
	turn(fixture);
	assert_int_equal(fixture->closed, 1);
	assert_int_equal(count_fds(), before);
}

static void test_flood_of_descriptors(void **state)
{
	struct fixture *fixture = *state;
	uint32_t header[2] = {3, 0};
	int before = count_fds();

	for (unsigned count = 1; count <= 64; count++) {
		send_with_fds(fixture->peer, header, 8, count);
		turn(fixture);
		assert_int_equal(fixture->messages, count);
		assert_in_range(fixture->fds, 0, CHANNEL_FDS_MAX);
		if (count <= CHANNEL_FDS_MAX)
			assert_int_equal(fixture->fds, count);
		assert_int_equal(count_fds(), before);
	}
	assert_int_equal(fixture->closed, 0);
}

/* Without a free number the descriptors are lost, the message comes. */
static void test_no_free_descriptor(void **state)
{
	struct fixture *fixture = *state;
	uint32_t header[2] = {9, 0};
	struct rlimit limit, none;
	int before = count_fds();

	send_with_fds(fixture->peer, header, 8, 3);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){3, limit.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	channel_drain(fixture->channel);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(fixture->messages, 1);
	assert_int_equal(fixture->type, 9);
	assert_int_equal(fixture->fds, 0);
	assert_int_equal(fixture->closed, 0);
	assert_int_equal(count_fds(), before);
}

static void test_order_through_the_queue(void **state)
{
	struct fixture *fixture = *state;
	static unsigned char bytes[9000], got[10000];
	const unsigned count = 600;
	int before = count_fds();

	/* More than the socket takes; every tenth with a descriptor. */
	for (unsigned i = 0; i < count; i++) {
		memcpy(bytes, &i, sizeof(i));
		assert_null(
			channel_send(fixture->channel, i, bytes, sizeof(bytes), &fixture->peer, i % 10 == 0));
	}
	for (unsigned i = 0; i < count; i++) {
		uint32_t type, number;

		while (recv(fixture->peer, got, sizeof(got), MSG_DONTWAIT) < 0) {
			assert_int_equal(errno, EAGAIN);
			turn(fixture);
		}
		memcpy(&type, got, 4);
		memcpy(&number, got + 8, 4);
		assert_int_equal(type, i);
		assert_int_equal(number, i);
	}
	assert_int_equal(count_fds(), before);
}

/* A peer that does not read costs so many messages and bytes, and not more. */
static void test_queue_is_bounded(void **state)
{
	struct fixture *fixture = *state;
	static unsigned char bytes[CHANNEL_PAYLOAD_MAX];
	struct error *error = NULL;
	size_t count = 0;

	while (!error && count < 10000) {
		error = channel_send(fixture->channel, 1, bytes, sizeof(bytes), NULL, 0);
		count += !error;
	}
	assert_non_null(error);
	assert_int_equal(error_get_errno(error), ENOBUFS);
	error_destroy(error);
	assert_true(count * sizeof(bytes) < CHANNEL_QUEUE_BYTES + (8u << 20));
	/* It is not dead for that: when it reads, all comes. */
	for (size_t i = 0; i < count; i++) {
		static unsigned char got[CHANNEL_PAYLOAD_MAX + 8];

		while (recv(fixture->peer, got, sizeof(got), MSG_DONTWAIT) < 0)
			turn(fixture);
	}
	assert_null(channel_send(fixture->channel, 1, bytes, sizeof(bytes), NULL, 0));
}

static void test_many_small_messages(void **state)
{
	struct fixture *fixture = *state;
	struct error *error = NULL;
	size_t count = 0;

	while (!error && count < 4 * CHANNEL_QUEUE_MAX) {
		error = channel_send(fixture->channel, 1, NULL, 0, NULL, 0);
		count += !error;
	}
	assert_non_null(error);
	assert_in_range(count, CHANNEL_QUEUE_MAX, CHANNEL_QUEUE_MAX + 5000);
	error_destroy(error);
}

static void test_queued_descriptors_are_closed(void **state)
{
	struct fixture *fixture = *state;
	static unsigned char bytes[CHANNEL_PAYLOAD_MAX];
	int before = count_fds();

	for (unsigned i = 0; i < 60; i++)
		assert_null(channel_send(fixture->channel, 1, bytes, sizeof(bytes), &fixture->peer, 1));
	assert_true(count_fds() > before);
	channel_destroy(fixture->channel);
	fixture->channel = NULL;
	assert_int_equal(count_fds(), before - 1);
}

static void test_peer_dies(void **state)
{
	struct fixture *fixture = *state;
	uint32_t header[2] = {3, 0};
	struct error *error;

	/* What it said before its end is heard. */
	send_with_fds(fixture->peer, header, 8, 0);
	close(fixture->peer);
	fixture->peer = -1;
	error = channel_send(fixture->channel, 1, NULL, 0, NULL, 0);
	assert_non_null(error);
	error_destroy(error);
	turn(fixture);
	assert_int_equal(fixture->messages, 1);
	assert_int_equal(fixture->closed, 1);
	error = channel_send(fixture->channel, 1, NULL, 0, NULL, 0);
	assert_int_equal(error_get_errno(error), EPIPE);
	error_destroy(error);
	turn(fixture);
	assert_int_equal(fixture->closed, 1);
}

static void test_peer_dies_with_a_full_queue(void **state)
{
	struct fixture *fixture = *state;
	static unsigned char bytes[CHANNEL_PAYLOAD_MAX];

	fixture->destroys_on_close = true;
	for (unsigned i = 0; i < 60; i++)
		assert_null(channel_send(fixture->channel, 1, bytes, sizeof(bytes), NULL, 0));
	close(fixture->peer);
	fixture->peer = -1;
	turn(fixture);
	assert_int_equal(fixture->closed, 1);
	assert_null(fixture->channel);
}

static void test_destroyed_in_a_message(void **state)
{
	struct fixture *fixture = *state;
	uint32_t header[2] = {3, 0};
	int before = count_fds();

	fixture->destroys = true;
	for (unsigned i = 0; i < 5; i++)
		send_with_fds(fixture->peer, header, 8, 2);
	turn(fixture);
	assert_int_equal(fixture->messages, 1);
	assert_int_equal(fixture->closed, 0);
	assert_int_equal(count_fds(), before - 1);
}

static void test_destroyed_in_a_drain(void **state)
{
	struct fixture *fixture = *state;
	uint32_t header[2] = {3, 0};

	fixture->destroys = true;
	send_with_fds(fixture->peer, header, 8, 0);
	send_with_fds(fixture->peer, header, 8, 0);
	channel_drain(fixture->channel);
	assert_int_equal(fixture->messages, 1);
}

/* A message lies in the buffer while it is handled. */
static void test_drain_in_a_message(void **state)
{
	struct fixture *fixture = *state;
	uint32_t words[3] = {3, 0, 1};

	fixture->drains = true;
	for (words[2] = 1; words[2] <= 3; words[2]++)
		send_with_fds(fixture->peer, words, sizeof(words), 0);
	turn(fixture);
	assert_int_equal(fixture->messages, 3);
	assert_int_equal(fixture->first_byte, 3);
	/* And destroying afterwards, inside the outer message, is still noticed. */
	fixture->destroys = true;
	send_with_fds(fixture->peer, words, sizeof(words), 0);
	send_with_fds(fixture->peer, words, sizeof(words), 0);
	turn(fixture);
	assert_int_equal(fixture->messages, 4);
}

static void count_tick(void *arg)
{
	++*(unsigned *)arg;
}

/* A peer that never stops talking does not keep the loop from its other work. */
static void test_endless_talk(void **state)
{
	struct fixture *fixture = *state;
	uint32_t header[2] = {3, 0};
	struct loop_source *timer;
	unsigned ticks = 0;

	assert_null(loop_add_timer(fixture->loop, 1, 1, count_tick, &ticks, &timer));
	for (unsigned i = 0; i < 200; i++)
		assert_int_equal(send(fixture->peer, header, 8, MSG_DONTWAIT), 8);
	turn(fixture);
	assert_int_equal(fixture->messages, 200);
	assert_true(ticks > 0);
	loop_remove(timer);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_largest_message),
		TEST(test_short_messages),
		TEST(test_empty_message),
		TEST(test_flood_of_descriptors),
		TEST(test_no_free_descriptor),
		TEST(test_order_through_the_queue),
		TEST(test_queue_is_bounded),
		TEST(test_many_small_messages),
		TEST(test_queued_descriptors_are_closed),
		TEST(test_peer_dies),
		TEST(test_peer_dies_with_a_full_queue),
		TEST(test_destroyed_in_a_message),
		TEST(test_destroyed_in_a_drain),
		TEST(test_drain_in_a_message),
		TEST(test_endless_talk),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
