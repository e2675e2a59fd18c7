/* Messages with file descriptors between two processes: SOCK_SEQPACKET, never blocking, in order.
 *
 * What the socket does not take at once is queued and sent when it is writable. The queue is bounded in
 * messages and in bytes: a message to a peer that does not read for so long is refused with ENOBUFS, and the
 * sender decides what that means.
 *
 * Ownership: channel_create() takes the fd. channel_send() duplicates nothing: it does not close the fds
 * that it sends; a queued message keeps a dup of its own. Received fds (close-on-exec) belong to the
 * receiver. Trust: the peer may be hostile: payload lengths are reported, never assumed; surplus fds are
 * closed.
 */
#ifndef KILN_BASE_CHANNEL_H
#define KILN_BASE_CHANNEL_H

#include "base/error.h"
#include "base/loop.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHANNEL_PAYLOAD_MAX (64 * 1024)
#define CHANNEL_QUEUE_MAX   65536	/* messages */
#define CHANNEL_QUEUE_BYTES (16u << 20) /* of them together */
#define CHANNEL_FDS_MAX	    4

struct channel;

struct message {
	uint32_t type;
	const void *payload;	  /* 8-byte aligned, valid until the callback returns */
	size_t length;		  /* of payload */
	int fds[CHANNEL_FDS_MAX]; /* -1 where none; take with take_fd(), the rest is closed */
};

struct error *channel_socketpair(int ret[2]);

/* on_message: a message came. on_closed: the peer has gone or misbehaved; the channel delivers nothing more.
 */
struct error *channel_create(struct loop *loop, int fd,
			     void (*on_message)(void *arg, struct message *message),
			     void (*on_closed)(void *arg), void *arg, struct channel **ret);
void channel_destroy(struct channel *channel); /* NULL accepted */
struct error *channel_send(struct channel *channel, uint32_t type, const void *payload, size_t length,
			   const int *fds, size_t fd_count);
/* Handles whatever has arrived already, without waiting. Inside a callback of the same channel: nothing. */
void channel_drain(struct channel *channel);

#endif
