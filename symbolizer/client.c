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
#include "base/cleanup.h"
#include "base/text.h"
#include "bpf/events.h"
#include "symbolizer/debug_server.h"
#include "symbolizer/debuginfod.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define REQUESTS_UNDER_WAY_MAX 4
#define FAILURES_MAX	       2 /* then the module is set aside */
#define LOOKUP_MS	       500
#define OPEN_MS		       2000
#define OPEN_MS_PER_MB	       20
#define OPEN_MS_MAX	       600000
#define MODULE_SIZE_DEFAULT    (64ull << 20)
/* Files that one request may ask for without running out of time. A module that is split into many more is
 * answered in parts, which is progress as well. */
#define FILES_A_REQUEST_MAX 64

#define PADDED(length) (((length) + 7) & ~(size_t)7)

struct request {
	struct request *next;
	uint32_t answered;
	uint32_t files;		   /* that the worker asked for meanwhile */
	struct names_request wire; /* with its offsets: as it is sent */
};

struct module_state {
	uint64_t size_bytes;
	uint32_t opened; /* the connection that has; 0 none */
	uint8_t failures;
	char *path; /* NULL: nobody has said it */
	/* With debuginfod: whether its debug file is being fetched, or needs no (more) fetching; and what was
	 * asked until then, to be asked again. */
	bool is_fetching, is_settled;
	ARRAY(uint64_t)
	asked;
};

struct symbolizer_client {
	struct loop *loop;
	struct symbolizer_client_ops ops;
	void *arg;
	struct channel *channel; /* NULL: no worker */
	struct debug_places *places;
	struct debug_server *files;    /* the worker's other socket; NULL: it has not come */
	struct debuginfod *debuginfod; /* NULL: not wanted */
	void (*on_progress)(void *arg, const char *text);
	uint32_t code_files; /* that the worker asked for since the last answer about code */
	uint64_t file_bytes; /* handed over since the last answer: they are to be read now */
	uint32_t connection; /* number of the channel, from 1 */
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
	state->opened = 0; /* a file that has grown, or another one, is read as a new one is */
	return NULL;
}

struct error *symbolizer_client_set_module_path(struct symbolizer_client *client, uint32_t module,
						const char *path)
{
	struct module_state *state = module < MODULE_LIMIT ? get_module(client, module) : NULL;
	char *copy = state ? strdup(path) : NULL;

	if (!copy)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "module %u", module);
	free(state->path);
	state->path = copy;
	return NULL;
}

void symbolizer_client_set_root(struct symbolizer_client *client, int root_fd)
{
	debug_places_set_root(client->places, root_fd);
}

/* Other files are read at the pace of the module itself. */
static unsigned get_file_ms(const struct symbolizer_client *client)
{
	uint64_t file_ms = (client->file_bytes >> 20) * OPEN_MS_PER_MB;

	return file_ms < OPEN_MS_MAX ? (unsigned)file_ms : OPEN_MS_MAX;
}

static unsigned get_deadline_ms(const struct symbolizer_client *client, uint32_t module)
{
	const struct module_state *state = &client->modules.items[module];
	uint64_t open_ms = OPEN_MS + (state->size_bytes >> 20) * OPEN_MS_PER_MB;

	if (state->opened == client->connection)
		open_ms = LOOKUP_MS;
	return (open_ms < OPEN_MS_MAX ? (unsigned)open_ms : OPEN_MS_MAX) + get_file_ms(client);
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
	debug_server_destroy(client->files);
	client->files = NULL;
	client->file_bytes = 0;
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

	debug_server_drain(client->files);
	if (client->channel)
		channel_drain(client->channel);
	if (client->channel && client->progress == progress &&
	    (client->under_way || code_client_is_waiting(client->code, &module)))
		lose_worker(client);
}

/* ---- debuginfod ---- */

static void forget_asked(struct module_state *state)
{
	state->is_fetching = false;
	state->is_settled = true;
	array_deinit(&state->asked);
}

/* When memory is short some names stay as they are. */
static void remember_asked(struct module_state *state, const uint64_t *offsets, size_t count)
{
	if (!array_reserve(&state->asked, state->asked.count + count))
		return;
	memcpy(state->asked.items + state->asked.count, offsets, count * sizeof(*offsets));
	state->asked.count += count;
}

static void tell_progress(struct symbolizer_client *client, uint32_t module, const char *what)
{
	const char *path = client->modules.items[module].path, *slash = path ? strrchr(path, '/') : NULL;
	char text[200];

	snprintf(text, sizeof(text), "debuginfod: %.100s: %s (%zu to go)", slash ? slash + 1 : "", what,
		 debuginfod_count(client->debuginfod));
	client->on_progress(client->arg, text);
}

static void fetch_debug_file(struct symbolizer_client *client, const struct info_message *info)
{
	struct module_state *state = &client->modules.items[info->module];
	struct error *error;

	if (!client->debuginfod || state->is_fetching || state->is_settled)
		return;
	if (info->symbols == SYMBOLS_FULL || !info->build_id_length || !state->path || *state->path != '/') {
		forget_asked(state);
		return;
	}
	state->is_fetching = true;
	error = debuginfod_fetch(client->debuginfod, info->module, info->build_id, info->build_id_length);
	if (error)
		forget_asked(state);
	else if (state->is_fetching)
		tell_progress(client, info->module, "fetching its debug file");
	error_destroy(error);
}

/* The worker forgets the module, and is asked all anew. */
static void ask_again(struct symbolizer_client *client, uint32_t module)
{
	struct module_state *state = &client->modules.items[module];
	struct again_message again = {module};
	uint64_t *offsets = take_ptr(state->asked.items);
	size_t count = state->asked.count;

	state->asked.count = state->asked.capacity = 0;
	forget_asked(state);
	state->opened = 0;
	if (client->channel)
		error_destroy(
			channel_send(client->channel, SYMBOLIZER_AGAIN, &again, sizeof(again), NULL, 0));
	error_destroy(symbolizer_client_ask(client, module, offsets, count));
	free(offsets);
}

static void on_fetched(void *arg, const struct debuginfod_file *file)
{
	struct symbolizer_client *client = arg;
	struct error *error = NULL;

	if (file->path)
		error = debug_places_add_file(client->places, file->build_id, file->build_id_length,
					      file->path);
	if (file->path && !error)
		ask_again(client, file->module);
	else
		forget_asked(&client->modules.items[file->module]);
	error_destroy(error);
	tell_progress(client, file->module,
		      file->path ? "its debug file is here" : "no server has its debug file");
}

struct error *symbolizer_client_use_debuginfod(struct symbolizer_client *client,
					       void (*progress)(void *arg, const char *text))
{
	client->on_progress = progress;
	return debuginfod_create(client->loop, on_fetched, client, &client->debuginfod);
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
	client->file_bytes = 0;
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
	fetch_debug_file(client, &clean);
	return true;
}

/* ---- files that the worker asks for ---- */

static const char *find_path(void *arg, uint32_t module)
{
	const struct symbolizer_client *client = arg;
	const char *path = module < client->modules.count ? client->modules.items[module].path : NULL;

	return path ? path : "";
}

/* Of the question that they are for; NULL: there is none. */
static uint32_t *count_files(struct symbolizer_client *client, uint32_t module)
{
	uint32_t code_module;

	if (client->under_way && client->head->wire.module == module)
		return &client->head->files;
	if (code_client_is_waiting(client->code, &code_module) && code_module == module)
		return &client->code_files;
	return NULL;
}

/* What it asks for it also reads: that is no standstill. */
static void on_file_answered(void *arg, uint32_t module, uint64_t size_bytes)
{
	struct symbolizer_client *client = arg;
	uint32_t *files = count_files(client, module);

	if (!files || ++*files > FILES_A_REQUEST_MAX ||
	    __builtin_add_overflow(client->file_bytes, size_bytes, &client->file_bytes))
		return;
	client->progress++;
	start_clock(client);
}

static void on_files_misbehaved(void *arg)
{
	lose_worker(arg);
}

static const struct debug_server_ops files_ops = {find_path, on_file_answered, on_files_misbehaved};

static bool take_files(struct symbolizer_client *client, struct message *message)
{
	if (client->files || message->fds[0] < 0)
		return false;
	/* Without it there are no separate debug files, and that is all. */
	error_destroy(debug_server_create(client->loop, take_fd(&message->fds[0]), client->places, &files_ops,
					  client, &client->files));
	return true;
}

static bool take_code(struct symbolizer_client *client, const struct message *message)
{
	uint32_t module;

	if (!code_client_is_waiting(client->code, &module))
		return false;
	client->modules.items[module].opened = client->connection;
	client->file_bytes = 0;
	client->code_files = 0;
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
	else if (message->type == SYMBOLIZER_FILES)
		ok = take_files(client, message);
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
	if (client->debuginfod && !client->modules.items[module].is_settled)
		remember_asked(&client->modules.items[module], offsets, count);
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
	return client->pending + (client->debuginfod ? debuginfod_count(client->debuginfod) : 0);
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
	error = debug_places_create(&client->places);
	if (!error)
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
	debug_server_destroy(client->files);
	debuginfod_destroy(client->debuginfod);
	debug_places_destroy(client->places);
	for (size_t i = 0; i < client->modules.count; i++) {
		free(client->modules.items[i].path);
		array_deinit(&client->modules.items[i].asked);
	}
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
