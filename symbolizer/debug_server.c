#include "symbolizer/debug_server.h"

#include "base/channel.h"
#include "base/cleanup.h"

#include <errno.h>
#include <linux/sockios.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

struct debug_server {
	struct channel *channel;
	int fd; /* the channel's */
	const struct debug_places *places;
	struct debug_server_ops ops;
	void *arg;
};

/* Answers carry fds, so a worker that only asks and never reads would use up ours. */
static bool has_read_all(const struct debug_server *server)
{
	int unread;

	return ioctl(server->fd, SIOCOUTQ, &unread) == 0 && unread == 0;
}

static bool is_want(const struct message *message)
{
	const struct want_message *want = message->payload;
	size_t fixed = offsetof(struct want_message, name), name;

	if (message->type != SYMBOLIZER_WANT || message->length <= fixed)
		return false;
	name = message->length - fixed - 1;
	return name <= WANT_NAME_MAX && strnlen(want->name, name + 1) == name && want->kind <= WANT_DWO &&
	       want->build_id_length <= BUILD_ID_MAX;
}

static void on_message(void *arg, struct message *message)
{
	struct debug_server *server = arg;
	const struct want_message *want = message->payload;
	_cleanup_close_ int fd = -1;
	struct debug_opened opened;
	struct file_message answer;
	struct error *error;

	if (!is_want(message) || !has_read_all(server)) {
		server->ops.misbehaved(server->arg);
		return;
	}
	debug_open(server->places, server->ops.find_path(server->arg, want->module), want, want->name,
		   &opened);
	fd = opened.fd;
	answer = (struct file_message){.serial = want->serial,
				       .module = want->module,
				       .status = fd >= 0 ? FILE_OPENED : FILE_NONE,
				       .place = opened.place};
	memcpy(answer.why, opened.why, sizeof(answer.why));
	error = channel_send(server->channel, SYMBOLIZER_FILE, &answer, sizeof(answer), &fd, fd >= 0);
	error_destroy(error);
	if (!error)
		server->ops.answered(server->arg, want->module, fd >= 0 ? opened.size_bytes : 0);
}

/* The worker's other socket says so too. */
static void on_closed(void *arg)
{
}

struct error *debug_server_create(struct loop *loop, int fd, const struct debug_places *places,
				  const struct debug_server_ops *ops, void *arg, struct debug_server **ret)
{
	struct debug_server *server = calloc(1, sizeof(*server));
	struct error *error;

	if (!server) {
		close(fd);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "files");
	}
	*server = (struct debug_server){.fd = fd, .places = places, .ops = *ops, .arg = arg};
	error = channel_create(loop, fd, on_message, on_closed, server, &server->channel);
	if (error) {
		free(server);
		return error;
	}
	*ret = server;
	return NULL;
}

void debug_server_destroy(struct debug_server *server)
{
	if (!server)
		return;
	channel_destroy(server->channel);
	free(server);
}

void debug_server_drain(struct debug_server *server)
{
	if (server)
		channel_drain(server->channel);
}
