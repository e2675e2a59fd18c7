/* Which functions of a module allocate memory: proposals for the probe, by the symbols of the file.
 *
 * Proposed are functions that the module defines and offers to others (.dynsym and .symtab) under the names
 * of malloc and its family. In a module that defines malloc, operator new and delete are of its allocator
 * too: jemalloc's and tcmalloc's do not pass through malloc. Elsewhere operator new is a wrapper, whose frame
 * belongs to the allocator, and operator delete is nothing.
 *
 * Invariants of the message: sorted by start, then kind; one proposal for each start and kind; every start
 * lies in an executable segment. Ownership: the fd stays the caller's; the message is the caller's to free().
 * Errors: the file is hostile input: what is damaged is left out, and work is bounded by the file's size.
 * struct error: memory.
 */
#ifndef KILN_SYMBOLIZER_ALLOCATORS_H
#define KILN_SYMBOLIZER_ALLOCATORS_H

#include "base/error.h"
#include "symbolizer/frame.h"

#include <stddef.h>

/* The message is without its module's id. Count 0 when there are none. */
struct error *allocators_find(int module_fd, struct hooks_message **ret);

static inline size_t hooks_message_length(const struct hooks_message *message)
{
	return sizeof(*message) + message->count * sizeof(message->proposals[0]);
}

#endif
