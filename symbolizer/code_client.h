/* kiln's side of asking for code: one function at a time, part after part, into a listing.
 *
 * It has no socket of its own: who owns the worker's channel hands the messages over (code_client_take()) and
 * says which channel there is. Whatever the worker says is checked against the question.
 * Ownership: the listing is the callee's of on_listing: code_listing_destroy(). Errors: memory.
 */
#ifndef KILN_SYMBOLIZER_CODE_CLIENT_H
#define KILN_SYMBOLIZER_CODE_CLIENT_H

#include "base/channel.h"
#include "base/error.h"
#include "symbolizer/code_message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct code_client;

struct error *code_client_create(struct code_client **ret);
void code_client_destroy(struct code_client *client); /* NULL accepted */

/* A (new) worker's channel, or NULL: it has gone. A question that is not answered is asked anew, from its
 * beginning; after the second worker that it was the end of it is answered with a listing that says why. */
void code_client_connect(struct code_client *client, struct channel *channel);
/* offset: in the file, of an instruction of the function or inside of it. flags: CODE_INTEL. A question that
 * is not answered yet is forgotten. on_listing comes from code_client_take() or from code_client_connect();
 * its listing is NULL when memory is short. */
struct error *code_client_ask(struct code_client *client, uint32_t module, uint64_t offset, uint32_t flags,
			      void (*on_listing)(void *arg, struct code_listing *listing), void *arg);
/* A question was sent and is not answered, a forgotten one included; ret_module: of the last one. */
bool code_client_is_waiting(const struct code_client *client, uint32_t *ret_module);
/* Whether what the worker says of a module can come from a question about code. */
bool code_client_expects(const struct code_client *client, uint32_t module);
/* A SYMBOLIZER_CODE_PART. false: it is not as it must be; the worker is not to be believed any more. */
bool code_client_take(struct code_client *client, const struct message *message);

void code_listing_destroy(struct code_listing *listing); /* NULL accepted */

#endif
