/* A loop of its own, so that nothing else is served during the wait: neither of the worker's other sockets
 * expects an answer out of turn. */
#include "symbolizer/debug_ask.h"

#include "base/channel.h"
#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

struct debug_ask {
	struct loop *loop;
	struct channel *channel;
	struct loop_source *deadline;
	unsigned deadline_ms;
	bool is_closed;
	uint32_t serial;
	bool has_answer;
	struct file_message answer;
	int fd; /* of the answer; -1 */
};

static void on_message(void *arg, struct message *message)
{
	struct debug_ask *ask = arg;

	if (message->type != SYMBOLIZER_FILE || message->length != sizeof(ask->answer))
		return;
	memcpy(&ask->answer, message->payload, sizeof(ask->answer));
	/* An answer that came too late for its question. */
	if (ask->answer.serial != ask->serial)
		return;
	ask->answer.why[sizeof(ask->answer.why) - 1] = '\0';
	if (ask->answer.status == FILE_OPENED)
		ask->fd = take_fd(&message->fds[0]);
	ask->has_answer = true;
	loop_quit(ask->loop, 0);
}

static void on_closed(void *arg)
{
	struct debug_ask *ask = arg;

	ask->is_closed = true;
	loop_quit(ask->loop, 0);
}

static void on_deadline(void *arg)
{
	struct debug_ask *ask = arg;

	loop_quit(ask->loop, 0);
}

struct error *debug_ask_create(unsigned deadline_ms, struct debug_ask **ret, int *ret_kiln_end)
{
	struct debug_ask *ask = calloc(1, sizeof(*ask));
	_cleanup_close_ int kiln_end = -1;
	struct error *error;
	int pair[2];

	if (!ask)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "files");
	ask->fd = -1;
	ask->deadline_ms = deadline_ms;
	error = loop_create(&ask->loop);
	if (!error)
		error = loop_add_timer(ask->loop, 0, 0, on_deadline, ask, &ask->deadline);
	if (!error)
		error = channel_socketpair(pair);
	if (!error) {
		kiln_end = pair[1];
		error = channel_create(ask->loop, pair[0], on_message, on_closed, ask, &ask->channel);
	}
	if (error) {
		debug_ask_destroy(ask);
		return error;
	}
	*ret = ask;
	*ret_kiln_end = take_fd(&kiln_end);
	return NULL;
}

void debug_ask_destroy(struct debug_ask *ask)
{
	if (!ask)
		return;
	channel_destroy(ask->channel);
	loop_destroy(ask->loop);
	free(ask);
}

static bool send_want(struct debug_ask *ask, struct want_message *want, const char *name)
{
	size_t length = strlen(name), fixed = offsetof(struct want_message, name);
	char bytes[sizeof(*want) + WANT_NAME_MAX + 1];
	struct error *error;

	if (length > WANT_NAME_MAX)
		return false;
	want->serial = ++ask->serial;
	memcpy(bytes, want, fixed);
	memcpy(bytes + fixed, name, length + 1);
	error = channel_send(ask->channel, SYMBOLIZER_WANT, bytes, fixed + length + 1, NULL, 0);
	error_destroy(error);
	return !error;
}

int debug_ask_file(void *arg, struct want_message *want, const char *name, struct file_message *ret)
{
	struct debug_ask *ask = arg;

	ask->has_answer = false;
	if (!ask->is_closed && send_want(ask, want, name)) {
		error_destroy(loop_set_timer(ask->deadline, ask->deadline_ms, 0));
		loop_run(ask->loop);
		error_destroy(loop_set_timer(ask->deadline, 0, 0));
	}
	if (ask->has_answer) {
		*ret = ask->answer;
		return take_fd(&ask->fd);
	}
	*ret = (struct file_message){.serial = ask->serial, .module = want->module, .status = FILE_NONE};
	snprintf(ret->why, sizeof(ret->why), "kiln did not answer for a file with debug information");
	return -1;
}
