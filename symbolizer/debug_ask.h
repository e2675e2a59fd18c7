/* The worker's end of the socket on which it asks kiln for files, and waits.
 *
 * It waits because libdw waits: most wants come from inside libdw's open(). kiln has a clock on the worker,
 * and kills it when it takes too long; the deadline here only ends a wait that nobody watches any more.
 *
 * Ownership: debug_ask_create() → debug_ask_destroy(). Fds that are returned belong to the caller.
 */
#ifndef KILN_SYMBOLIZER_DEBUG_ASK_H
#define KILN_SYMBOLIZER_DEBUG_ASK_H

#include "base/error.h"
#include "symbolizer/frame.h"

#include <stddef.h>

/* How a module's files are asked for. NULL functions: nobody is there to ask. */
struct debug_asker {
	/* serial is set here. Returns the fd, or -1; ret->why and ret->place then are as kiln says. */
	int (*ask)(void *arg, struct want_message *want, const char *name, struct file_message *ret);
	void *arg;
};

struct debug_ask;

/* kiln's end is to be sent to kiln. To be called before the sandbox, which makes no sockets. */
struct error *debug_ask_create(unsigned deadline_ms, struct debug_ask **ret, int *ret_kiln_end);
void debug_ask_destroy(struct debug_ask *ask); /* NULL accepted */
/* The function of struct debug_asker; arg: the struct debug_ask. */
int debug_ask_file(void *arg, struct want_message *want, const char *name, struct file_message *ret);

#endif
