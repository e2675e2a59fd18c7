#include "symbolizer/code_client.h"

#include "base/cleanup.h"
#include "symbolizer/code_listing.h"
#include "symbolizer/frame.h"

#include <errno.h>

#define FAILURES_MAX 2 /* then the question is given up */

struct code_client {
	struct channel *channel;      /* not ours; NULL: no worker */
	struct code_listing *listing; /* that grows; NULL: nothing is asked */
	struct code_request request;
	bool is_under_way; /* sent, and not answered */
	unsigned failures; /* workers that ended while it was */
	/* Answers to a question that was forgotten are still to come. */
	unsigned forgotten;
	void (*on_listing)(void *arg, struct code_listing *listing);
	void *arg;
};

struct error *code_client_create(struct code_client **ret)
{
	struct code_client *client = calloc(1, sizeof(*client));

	if (!client)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "code");
	*ret = client;
	return NULL;
}

void code_client_destroy(struct code_client *client)
{
	if (!client)
		return;
	code_listing_destroy(client->listing);
	free(client);
}

/* A channel that does not take a message has lost its worker: its owner hears of it. */
static void send(struct code_client *client)
{
	struct error *error;

	if (!client->channel || !client->listing || client->is_under_way)
		return;
	error = channel_send(client->channel, SYMBOLIZER_CODE, &client->request, sizeof(client->request),
			     NULL, 0);
	client->is_under_way = !error;
	error_destroy(error);
}

static void deliver(struct code_client *client)
{
	client->on_listing(client->arg, take_ptr(client->listing));
}

/* What has come so far is of a worker that may have lied. */
static void start_anew(struct code_client *client)
{
	uint32_t module = client->listing->module;
	uint64_t offset = client->listing->offset;

	code_listing_destroy(client->listing);
	client->request.next = 0;
	client->listing = code_listing_create(module, offset);
}

void code_client_connect(struct code_client *client, struct channel *channel)
{
	bool was_under_way = client->is_under_way;

	client->channel = channel;
	client->is_under_way = false;
	client->forgotten = 0;
	if (client->listing && was_under_way) {
		start_anew(client);
		client->failures++;
		if (client->listing && client->failures >= FAILURES_MAX)
			code_listing_set_why(client->listing, "reading it was the end of two workers");
		if (!client->listing || client->failures >= FAILURES_MAX) {
			deliver(client);
			return;
		}
	}
	send(client);
}

struct error *code_client_ask(struct code_client *client, uint32_t module, uint64_t offset, uint32_t flags,
			      void (*on_listing)(void *arg, struct code_listing *listing), void *arg)
{
	struct code_listing *listing = code_listing_create(module, offset);

	if (!listing)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "code");
	client->forgotten += client->is_under_way;
	client->is_under_way = false;
	client->failures = 0;
	code_listing_destroy(client->listing);
	client->listing = listing;
	client->request = (struct code_request){.module = module, .offset = offset, .flags = flags};
	client->on_listing = on_listing;
	client->arg = arg;
	send(client);
	return NULL;
}

bool code_client_is_waiting(const struct code_client *client, uint32_t *ret_module)
{
	*ret_module = client->request.module;
	return client->is_under_way || client->forgotten;
}

bool code_client_expects(const struct code_client *client, uint32_t module)
{
	return client->forgotten || (client->is_under_way && client->request.module == module);
}

bool code_client_take(struct code_client *client, const struct message *message)
{
	uint64_t next;

	if (client->forgotten) {
		client->forgotten--;
		return true;
	}
	if (!client->listing || !client->is_under_way)
		return false;
	if (!code_listing_append(client->listing, message->payload, message->length, &next))
		return false;
	client->is_under_way = false;
	client->request.next = next;
	if (next)
		send(client);
	else
		deliver(client);
	return true;
}
