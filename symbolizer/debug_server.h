/* kiln's end of the socket on which a worker asks for files: each want is answered at once, from the loop.
 *
 * Ownership: debug_server_create() takes the fd; the places must outlive it. Trust: the worker may be the
 * target's puppet: what is no proper want, or comes before the last answer was read, ends the service.
 */
#ifndef KILN_SYMBOLIZER_DEBUG_SERVER_H
#define KILN_SYMBOLIZER_DEBUG_SERVER_H

#include "base/error.h"
#include "base/loop.h"
#include "symbolizer/debug_open.h"

struct debug_server;

struct debug_server_ops {
	/* Where the target has the module mapped; "" when nobody knows. */
	const char *(*find_path)(void *arg, uint32_t module);
	/* A want was answered: with a file of so many bytes, or with none. */
	void (*answered)(void *arg, uint32_t module, uint64_t size_bytes);
	/* The worker broke the rules. The server may be destroyed here. */
	void (*misbehaved)(void *arg);
};

struct error *debug_server_create(struct loop *loop, int fd, const struct debug_places *places,
				  const struct debug_server_ops *ops, void *arg, struct debug_server **ret);
void debug_server_destroy(struct debug_server *server); /* NULL accepted */
/* Answers what has arrived already, without waiting. */
void debug_server_drain(struct debug_server *server); /* NULL accepted */

#endif
