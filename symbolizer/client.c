/* kiln's side of asking names: a queue of questions, a few of them under way, and a clock on the first of
 * those.
 *
 * The worker answers in order, so that only the oldest question under way (the head) can be the one that it
 * is stuck with or died of. The clock starts anew with each answer. Whatever the worker says is checked
 * against the head: a worker that breaks the rules is treated as one that died.
 */
#include "symbolizer/symbolizer.h"

#include "base/array.h"
#include "base/channel.h"
#include "base/text.h"
#include "bpf/events.h"

#include <errno.h>
#include <string.h>

#define REQUESTS_UNDER_WAY_MAX 4
#define FAILURES_MAX	       2 /* then the module is set aside */
#define LOOKUP_MS	       500
#define OPEN_MS		       2000
#define OPEN_MS_PER_MB	       20
#define OPEN_MS_MAX	       600000
#define MODULE_SIZE_DEFAULT    (64ull << 20)

#define PADDED(length) (((length) + 7) & ~(size_t)7)

struct request {
	struct request *next;
	uint32_t answered;
	struct names_request wire; /* with its offsets: as it is sent */
};

struct module_state {
	uint64_t size_bytes;
	uint32_t opened; /* the connection that has; 0 none */
	uint8_t failures;
};

struct symbolizer_client {
	struct loop *loop;
	struct symbolizer_client_ops ops;
	void *arg;
	struct channel *channel; /* NULL: no worker */
	uint32_t connection;	 /* number of the channel, from 1 */
	struct request *head, **last;
	struct request *unsent; /* the first in the list that is not under way; NULL none */
	size_t under_way;
	struct request *unknown; /* of modules set aside: answered from the loop */
	struct loop_source *deadline, *deliver;
	size_t pending;	   /* questions */
	uint64_t progress; /* answers taken */
	struct code_client *code;
	bool connecting; /* a new worker is here already: nobody needs to hear about the old one */
	ARRAY(struct module_state)
	modules; /* by id */
	ARRAY(struct resolved_name)
	names; /* of the message at hand */
	ARRAY(char)
	strings;
};

static void send_more(struct symbolizer_client *client);

/* ---- modules ---- */

static struct module_state *get_module(struct symbolizer_client *client, uint32_t id)
{
	while (client->modules.count <= id) {
		if (!array_append(&client->modules, (struct module_state){.size_bytes = MODULE_SIZE_DEFAULT}))
			return NULL;
	}
	return &client->modules.items[id];
}

struct error *symbolizer_client_set_module(struct symbolizer_client *client, uint32_t module,
					   uint64_t size_bytes)
{
	struct module_state *state = module < MODULE_LIMIT ? get_module(client, module) : NULL;

	if (!state)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "module %u", module);
	state->size_bytes = size_bytes;
	return NULL;
}

static unsigned get_deadline_ms(const struct symbolizer_client *client, uint32_t module)
{
	const struct module_state *state = &client->modules.items[module];
	uint64_t open_ms = OPEN_MS + (state->size_bytes >> 20) * OPEN_MS_PER_MB;

	if (state->opened == client->connection)
		return LOOKUP_MS;
	return open_ms < OPEN_MS_MAX ? (unsigned)open_ms : OPEN_MS_MAX;
}

/* Of names and code that are both under way, either may be first: the longer deadline counts. */
static void start_clock(struct symbolizer_client *client)
{
	unsigned wait_ms = 0, code_ms = 0;
	uint32_t module;

	if (client->under_way)
		wait_ms = get_deadline_ms(client, client->head->wire.module);
	if (code_client_is_waiting(client->code, &module))
		code_ms = get_deadline_ms(client, module);
	error_destroy(loop_set_timer(client->deadline, code_ms > wait_ms ? code_ms : wait_ms, 0));
}

/* ---- what cannot be answered ---- */

static void push_unknown(struct symbolizer_client *client, struct request *request)
{
	struct request **last = &client->unknown;

	while (*last)
		last = &(*last)->next;
	request->next = NULL;
	*last = request;
	error_destroy(loop_set_timer(client->deliver, 1, 0));
}

static void on_deliver(void *arg)
{
	struct symbolizer_client *client = arg;
	struct request *list = client->unknown;

	client->unknown = NULL;
	while (list) {
		struct request *request = list;
		uint32_t count = request->wire.count - request->answered;
		struct resolved_name names[NAMES_REQUEST_MAX];

		for (uint32_t i = 0; i < count; i++) {
			uint64_t offset = request->wire.offsets[request->answered + i];

			names[i] = (struct resolved_name){
				.offset = offset, .start = offset, .function = "", .file = ""};
		}
		list = request->next;
		client->pending -= count;
		client->ops.named(client->arg, request->wire.module, names, count);
		free(request);
	}
}

/* Moves all waiting requests of a module to those that are answered as unknown. Nothing is under way. */
static void set_aside(struct symbolizer_client *client, uint32_t module)
{
	struct request **link = &client->head;

	while (*link) {
		struct request *request = *link;

		if (request->wire.module == module) {
			*link = request->next;
			push_unknown(client, request);
		} else {
			link = &request->next;
		}
	}
	client->last = link;
}

/* The worker is of no use any more: a question about code is the suspect, else its head request; all that was
 * under way waits again. */
static void lose_worker(struct symbolizer_client *client)
{
	uint32_t module = 0;
	bool is_code = code_client_is_waiting(client->code, &module);
	bool has_suspect = client->under_way > 0 || is_code, is_last = false;

	if (!is_code && has_suspect)
		module = client->head->wire.module;
	channel_destroy(client->channel);
	client->channel = NULL;
	client->under_way = 0;
	code_client_connect(client->code, NULL);
	start_clock(client);
	if (has_suspect && !is_code)
		is_last = ++client->modules.items[module].failures >= FAILURES_MAX;
	if (is_last)
		set_aside(client, module);
	client->unsent = client->head;
	if (has_suspect && !client->connecting)
		client->ops.stuck(client->arg, module);
	if (is_last && client->ops.set_aside)
		client->ops.set_aside(client->arg, module);
}

static void on_closed(void *arg)
{
	lose_worker(arg);
}

/* When it was kiln that did not run (^Z, a busy machine), the answer may be there already. */
static void on_deadline(void *arg)
{
	struct symbolizer_client *client = arg;
	uint64_t progress = client->progress;
	uint32_t module;

	if (client->channel)
		channel_drain(client->channel);
	if (client->channel && client->progress == progress &&
	    (client->under_way || code_client_is_waiting(client->code, &module)))
		lose_worker(client);
}

/* ---- answers ---- */

static const char *take_string(struct symbolizer_client *client, const unsigned char *text, size_t length,
			       size_t *ret_length)
{
	char *at = client->strings.items + client->strings.count;

	/* Sanitizing never makes a text longer, and room was made for all of the message. */
	*ret_length = text_sanitize((const char *)text, length, at, length + 1);
	client->strings.count += length + 1;
	return at;
}

/* One entry; false: the message is not as it must be. */
static bool parse_name(struct symbolizer_client *client, const unsigned char **at, const unsigned char *end,
		       struct resolved_name *name)
{
	struct name_entry entry;
	size_t strings;

	if ((size_t)(end - *at) < sizeof(entry))
		return false;
	memcpy(&entry, *at, sizeof(entry));
	*at += sizeof(entry);
	strings = (size_t)entry.function_length + entry.file_length;
	if (entry.function_length > NAME_LENGTH_MAX || entry.file_length > NAME_LENGTH_MAX ||
	    (size_t)(end - *at) < PADDED(strings))
		return false;
	name->start = entry.start;
	name->line = entry.line;
	name->is_fde = entry.flags & NAME_FDE;
	name->is_inlined = entry.flags & NAME_INLINED;
	name->function = take_string(client, *at, entry.function_length, &name->function_length);
	name->file = take_string(client, *at + entry.function_length, entry.file_length, &name->file_length);
	*at += PADDED(strings);
	return true;
}

/* Fills client->names with the levels of all offsets; false: the message is not as it must be. */
static bool parse_names(struct symbolizer_client *client, const struct request *request,
			const struct names_answer *answer, size_t length)
{
	const unsigned char *at = (const unsigned char *)(answer + 1),
			    *end = (const unsigned char *)answer + length;
	size_t entries_most = length / sizeof(struct name_entry);

	client->names.count = 0;
	client->strings.count = 0;
	if (answer->count > entries_most || !array_reserve(&client->names, entries_most) ||
	    !array_reserve(&client->strings, length + 2 * entries_most))
		return false;
	for (uint32_t i = 0; i < answer->count; i++) {
		struct resolved_name name = {.is_inlined = true};

		for (unsigned level = 0; name.is_inlined; level++) {
			name.offset = request->wire.offsets[answer->first + i];
			if (level == NAME_LEVELS_MAX || !parse_name(client, &at, end, &name))
				return false;
			client->names.items[client->names.count++] = name;
		}
	}
	return true;
}

/* The head is answered in full. */
static void finish_head(struct symbolizer_client *client)
{
	struct request *request = client->head;

	client->head = request->next;
	if (!client->head)
		client->last = &client->head;
	client->under_way--;
	free(request);
}

static bool take_names(struct symbolizer_client *client, const struct message *message)
{
	const struct names_answer *answer = message->payload;
	struct request *request = client->head;
	uint32_t module;

	if (!client->under_way || message->length < sizeof(*answer))
		return false;
	module = request->wire.module;
	if (answer->module != module || answer->first != request->answered || !answer->count ||
	    answer->count > request->wire.count - request->answered ||
	    !parse_names(client, request, answer, message->length))
		return false;
	client->modules.items[module].opened = client->connection;
	request->answered += answer->count;
	client->pending -= answer->count;
	client->progress++;
	if (request->answered == request->wire.count)
		finish_head(client);
	send_more(client);
	start_clock(client);
	client->ops.named(client->arg, module, client->names.items, client->names.count);
	return true;
}

static bool take_info(struct symbolizer_client *client, const struct message *message)
{
	struct info_message info, clean;

	if (message->length != sizeof(info))
		return false;
	memcpy(&info, message->payload, sizeof(info));
	if ((!(client->under_way && info.module == client->head->wire.module) &&
	     !code_client_expects(client->code, info.module)) ||
	    info.symbols > SYMBOLS_JIT || info.build_id_length > BUILD_ID_MAX)
		return false;
	clean = info;
	memset(clean.why, 0, sizeof(clean.why));
	text_sanitize(info.why, strnlen(info.why, sizeof(info.why)), clean.why, sizeof(clean.why));
	client->ops.info(client->arg, &clean);
	return true;
}

static bool take_code(struct symbolizer_client *client, const struct message *message)
{
	uint32_t module;

	if (!code_client_is_waiting(client->code, &module))
		return false;
	client->modules.items[module].opened = client->connection;
	client->progress++;
	if (!code_client_take(client->code, message))
		return false;
	start_clock(client);
	return true;
}

static void on_message(void *arg, struct message *message)
{
	struct symbolizer_client *client = arg;
	bool ok = false;

	if (message->type == SYMBOLIZER_NAMED)
		ok = take_names(client, message);
	else if (message->type == SYMBOLIZER_INFO)
		ok = take_info(client, message);
	else if (message->type == SYMBOLIZER_CODE_PART)
		ok = take_code(client, message);
	if (!ok)
		lose_worker(client);
}

/* ---- questions ---- */

static bool send_request(struct symbolizer_client *client, const struct request *request)
{
	size_t length = sizeof(request->wire) + request->wire.count * sizeof(request->wire.offsets[0]);
	struct error *error =
		channel_send(client->channel, SYMBOLIZER_NAMES, &request->wire, length, NULL, 0);

	error_destroy(error);
	return !error;
}

/* A channel that does not take a message has lost its worker: on_closed() comes from the loop. */
static void send_more(struct symbolizer_client *client)
{
	while (client->channel && client->unsent && client->under_way < REQUESTS_UNDER_WAY_MAX) {
		if (!send_request(client, client->unsent))
			return;
		client->unsent = client->unsent->next;
		if (!client->under_way++)
			start_clock(client);
	}
}

static struct error *ask_some(struct symbolizer_client *client, uint32_t module, const uint64_t *offsets,
			      uint32_t count)
{
	struct request *request = calloc(1, sizeof(*request) + count * sizeof(*offsets));

	if (!request)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "question");
	request->wire.module = module;
	request->wire.count = count;
	memcpy(request->wire.offsets, offsets, count * sizeof(*offsets));
	client->pending += count;
	if (client->modules.items[module].failures >= FAILURES_MAX) {
		push_unknown(client, request);
		return NULL;
	}
	*client->last = request;
	client->last = &request->next;
	if (!client->unsent)
		client->unsent = request;
	return NULL;
}

struct error *symbolizer_client_ask(struct symbolizer_client *client, uint32_t module,
				    const uint64_t *offsets, size_t count)
{
	struct error *error = NULL;

	if (module >= MODULE_LIMIT)
		return error_create(ERROR_GENERAL, EINVAL, NULL, "module %u", module);
	if (!get_module(client, module))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "module %u", module);
	while (!error && count) {
		uint32_t some = count < NAMES_REQUEST_MAX ? (uint32_t)count : NAMES_REQUEST_MAX;

		error = ask_some(client, module, offsets, some);
		offsets += some;
		count -= some;
	}
	send_more(client);
	return error;
}

struct error *symbolizer_client_ask_code(struct symbolizer_client *client, uint32_t module, uint64_t offset,
					 uint32_t flags,
					 void (*on_listing)(void *arg, struct code_listing *listing),
					 void *arg)
{
	struct error *error;

	if (module >= MODULE_LIMIT)
		return error_create(ERROR_GENERAL, EINVAL, NULL, "module %u", module);
	if (!get_module(client, module))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "module %u", module);
	error = code_client_ask(client->code, module, offset, flags, on_listing, arg);
	start_clock(client);
	return error;
}

size_t symbolizer_client_pending(const struct symbolizer_client *client)
{
	return client->pending;
}

/* A request that was answered in part goes on with its rest: the new worker counts from its own first. */
static void renew_head(struct symbolizer_client *client)
{
	struct request *head = client->head;

	if (!head || !head->answered)
		return;
	head->wire.count -= head->answered;
	memmove(head->wire.offsets, head->wire.offsets + head->answered,
		head->wire.count * sizeof(head->wire.offsets[0]));
	head->answered = 0;
}

struct error *symbolizer_client_connect(struct symbolizer_client *client, int fd)
{
	struct error *error;

	client->connecting = true;
	if (client->channel)
		channel_drain(client->channel);
	if (client->channel)
		lose_worker(client);
	client->connecting = false;
	client->connection++;
	renew_head(client);
	error = channel_create(client->loop, fd, on_message, on_closed, client, &client->channel);
	if (error)
		return error;
	code_client_connect(client->code, client->channel);
	send_more(client);
	start_clock(client);
	return NULL;
}

struct error *symbolizer_client_create(struct loop *loop, const struct symbolizer_client_ops *ops, void *arg,
				       struct symbolizer_client **ret)
{
	struct symbolizer_client *client = calloc(1, sizeof(*client));
	struct error *error;

	if (!client)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "symbolizer");
	client->loop = loop;
	client->ops = *ops;
	client->arg = arg;
	client->last = &client->head;
	error = code_client_create(&client->code);
	if (!error)
		error = loop_add_timer(loop, 0, 0, on_deadline, client, &client->deadline);
	if (!error)
		error = loop_add_timer(loop, 0, 0, on_deliver, client, &client->deliver);
	if (error) {
		symbolizer_client_destroy(client);
		return error;
	}
	*ret = client;
	return NULL;
}

static void free_requests(struct request *list)
{
	while (list) {
		struct request *request = list;

		list = request->next;
		free(request);
	}
}

void symbolizer_client_destroy(struct symbolizer_client *client)
{
	if (!client)
		return;
	channel_destroy(client->channel);
	code_client_destroy(client->code);
	loop_remove(client->deadline);
	loop_remove(client->deliver);
	free_requests(client->head);
	free_requests(client->unknown);
	array_deinit(&client->modules);
	array_deinit(&client->names);
	array_deinit(&client->strings);
	free(client);
}
