#include "base/channel.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* On the wire: this, then the payload; the kernel keeps the borders of a message. */
struct wire_header {
	uint32_t type;
	uint32_t reserved;
};

struct queued {
	struct queued *next;
	int fds[CHANNEL_FDS_MAX];
	size_t fd_count;
	size_t length;
	unsigned char bytes[];
};

struct channel {
	struct loop_source *source;
	int fd;
	void (*on_message)(void *arg, struct message *message);
	void (*on_closed)(void *arg);
	void *arg;
	struct queued *first, **last;
	size_t queued_count, queued_bytes;
	bool closed;
	bool *destroyed; /* set by channel_destroy() while a callback runs */
	unsigned char *buffer;
};

#define BUFFER_SIZE (sizeof(struct wire_header) + CHANNEL_PAYLOAD_MAX)

struct error *channel_socketpair(int ret[2])
{
	int size = 1 << 20;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret))
		return error_create(ERROR_GENERAL, errno, NULL, "socketpair");
	/* More room, so that the queue below is rarely needed; the kernel may give less. */
	for (int i = 0; i < 2; i++)
		setsockopt(ret[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return NULL;
}

static void queued_destroy(struct queued *queued)
{
	for (size_t i = 0; i < queued->fd_count; i++)
		close(queued->fds[i]);
	free(queued);
}

static void channel_close(struct channel *channel)
{
	if (channel->closed)
		return;
	channel->closed = true;
	loop_remove(channel->source);
	channel->source = NULL;
	channel->on_closed(channel->arg);
}

static ssize_t send_bytes(int fd, const struct iovec *parts, size_t part_count, const int *fds,
			  size_t fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
		struct cmsghdr align;
	} control = {0};
	struct msghdr header = {.msg_iov = (struct iovec *)parts, .msg_iovlen = part_count};

	if (fd_count) {
		struct cmsghdr *cmsg;

		header.msg_control = control.bytes;
		header.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
		memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * fd_count);
	}
	return sendmsg(fd, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static struct error *enqueue(struct channel *channel, const struct iovec *parts, size_t part_count,
			     const int *fds, size_t fd_count)
{
	size_t length = 0;
	struct queued *queued;

	for (size_t i = 0; i < part_count; i++)
		length += parts[i].iov_len;
	if (channel->queued_count >= CHANNEL_QUEUE_MAX ||
	    channel->queued_bytes + length > CHANNEL_QUEUE_BYTES)
		return error_create(ERROR_GENERAL, ENOBUFS, NULL, "peer does not read");
	queued = calloc(1, sizeof(*queued) + length);
	if (!queued)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "message");
	for (size_t i = 0; i < part_count; i++) {
		if (parts[i].iov_len)
			memcpy(queued->bytes + queued->length, parts[i].iov_base, parts[i].iov_len);
		queued->length += parts[i].iov_len;
	}
	for (size_t i = 0; i < fd_count; i++) {
		int copy = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

		if (copy < 0) {
			queued_destroy(queued);
			return error_create(ERROR_GENERAL, errno, NULL, "file descriptor for a message");
		}
		queued->fds[queued->fd_count++] = copy;
	}
	*channel->last = queued;
	channel->last = &queued->next;
	channel->queued_bytes += queued->length;
	if (!channel->queued_count++)
		return loop_change_fd(channel->source, EPOLLIN | EPOLLOUT);
	return NULL;
}

struct error *channel_send(struct channel *channel, uint32_t type, const void *payload, size_t length,
			   const int *fds, size_t fd_count)
{
	struct wire_header header = {.type = type};
	struct iovec parts[2] = {{&header, sizeof(header)}, {(void *)payload, length}};

	if (length > CHANNEL_PAYLOAD_MAX || fd_count > CHANNEL_FDS_MAX)
		return error_create(ERROR_GENERAL, EMSGSIZE, NULL, "message");
	if (channel->closed)
		return error_create(ERROR_GENERAL, EPIPE, NULL, "message");
	if (!channel->first) {
		if (send_bytes(channel->fd, parts, 2, fds, fd_count) >= 0)
			return NULL;
		/* ETOOMANYREFS: too many fds in flight; they leave when the peer reads. */
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS && errno != ETOOMANYREFS)
			return error_create(ERROR_GENERAL, errno, NULL, "message");
	}
	return enqueue(channel, parts, 2, fds, fd_count);
}

/* Returns false when the peer has gone; the channel may have been destroyed then. */
static bool flush_queue(struct channel *channel)
{
	while (channel->first) {
		struct queued *queued = channel->first;
		struct iovec part = {queued->bytes, queued->length};

		if (send_bytes(channel->fd, &part, 1, queued->fds, queued->fd_count) < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK && errno != ENOBUFS &&
			    errno != ETOOMANYREFS) {
				channel_close(channel);
				return false;
			}
			return true;
		}
		channel->first = queued->next;
		if (!channel->first)
			channel->last = &channel->first;
		channel->queued_count--;
		channel->queued_bytes -= queued->length;
		queued_destroy(queued);
	}
	error_destroy(loop_change_fd(channel->source, EPOLLIN));
	return true;
}

static void take_fds(struct msghdr *header, struct message *message)
{
	size_t count = 0;

	for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(header); cmsg; cmsg = CMSG_NXTHDR(header, cmsg)) {
		size_t here;

		if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		here = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < here; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(int), sizeof(int));
			if (count < CHANNEL_FDS_MAX)
				message->fds[count++] = fd;
			else
				close(fd);
		}
	}
}

/* Returns false when there is nothing (more) to read. */
static bool receive_one(struct channel *channel)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * CHANNEL_FDS_MAX)];
		struct cmsghdr align;
	} control;
	struct iovec part = {channel->buffer, BUFFER_SIZE};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct message message;
	bool destroyed = false;
	struct wire_header wire;
	ssize_t length = recvmsg(channel->fd, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (length < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		return false;
	for (int i = 0; i < CHANNEL_FDS_MAX; i++)
		message.fds[i] = -1;
	if (length >= 0)
		take_fds(&header, &message);
	if (length < (ssize_t)sizeof(wire) || (header.msg_flags & MSG_TRUNC)) {
		for (int i = 0; i < CHANNEL_FDS_MAX; i++)
			cleanup_close(&message.fds[i]);
		channel_close(channel);
		return false;
	}
	memcpy(&wire, channel->buffer, sizeof(wire));
	message.type = wire.type;
	message.payload = channel->buffer + sizeof(wire);
	message.length = (size_t)length - sizeof(wire);
	channel->destroyed = &destroyed;
	channel->on_message(channel->arg, &message);
	for (int i = 0; i < CHANNEL_FDS_MAX; i++)
		cleanup_close(&message.fds[i]);
	if (destroyed)
		return false;
	channel->destroyed = NULL;
	return !channel->closed;
}

void channel_drain(struct channel *channel)
{
	/* A message that is being handled lies in the buffer. */
	if (channel->destroyed)
		return;
	while (!channel->closed && receive_one(channel))
		;
}

static void on_ready(void *arg, uint32_t events)
{
	struct channel *channel = arg;

	if ((events & EPOLLOUT) && !flush_queue(channel))
		return;
	/* A bounded turn: a peer that never stops talking must not starve the other fds of the loop. */
	for (int i = 0; i < 64; i++) {
		if (!receive_one(channel))
			return;
	}
}

struct error *channel_create(struct loop *loop, int fd,
			     void (*on_message)(void *arg, struct message *message),
			     void (*on_closed)(void *arg), void *arg, struct channel **ret)
{
	struct channel *channel = calloc(1, sizeof(*channel));
	struct error *error;

	if (channel)
		channel->buffer = malloc(BUFFER_SIZE);
	if (!channel || !channel->buffer) {
		free(channel);
		close(fd);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "channel");
	}
	channel->fd = fd;
	channel->on_message = on_message;
	channel->on_closed = on_closed;
	channel->arg = arg;
	channel->last = &channel->first;
	error = loop_add_fd(loop, fd, EPOLLIN, on_ready, channel, &channel->source);
	if (error) {
		channel_destroy(channel);
		return error;
	}
	*ret = channel;
	return NULL;
}

void channel_destroy(struct channel *channel)
{
	if (!channel)
		return;
	if (channel->destroyed)
		*channel->destroyed = true;
	loop_remove(channel->source);
	while (channel->first) {
		struct queued *queued = channel->first;

		channel->first = queued->next;
		queued_destroy(queued);
	}
	close(channel->fd);
	free(channel->buffer);
	free(channel);
}
