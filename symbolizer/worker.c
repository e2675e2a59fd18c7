/* The worker: serves the probe (modules in, tables out) and kiln (names) until the probe goes. */
#include "symbolizer/symbolizer.h"

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "bpf/events.h"
#include "symbolizer/allocators.h"
#include "symbolizer/cfi.h"
#include "symbolizer/code_answer.h"
#include "symbolizer/debug_ask.h"
#include "symbolizer/elf.h"
#include "symbolizer/modules.h"
#include "symbolizer/sandbox.h"

#include <string.h>
#include <sys/resource.h>
#include <time.h>

/* Answers that are ready leave after this long, so that kiln sees progress and does not take a worker that
 * indexes unit after unit for a stuck one. */
#define ANSWER_INTERVAL_NS 100000000ull
/* For a file that kiln is asked for. kiln's own clock is far shorter; but while kiln is stopped (^Z) nobody
 * waits for names, and none must be lost. */
#define FILE_DEADLINE_MS 600000

/* What a level may take where a chain would not fit into a message with all its bytes. */
#define SHORT_LENGTH_MAX                                                                                     \
	(((CHANNEL_PAYLOAD_MAX - sizeof(struct names_answer)) / NAME_LEVELS_MAX -                            \
	  sizeof(struct name_entry) - 8) /                                                                   \
	 2)

/* One answer message while it grows. */
struct answer {
	size_t length; /* of bytes */
	uint64_t since_ns;
	union {
		struct names_answer header;
		unsigned char bytes[CHANNEL_PAYLOAD_MAX];
	};
};

struct worker {
	struct loop *loop;
	struct channel *probe, *kiln; /* kiln: NULL without one */
	bool has_names;		      /* it was started with a kiln */
	struct symbolizer_modules *modules;
	struct debug_ask *files; /* NULL without kiln */
	struct debug_asker asker;
	bool *informed; /* by module id: kiln has its info */
	struct answer answer;
	/* The levels of one offset, which are never torn apart. */
	struct chain {
		size_t length;
		size_t text_most; /* bytes of a string */
		bool is_too_long;
		unsigned char bytes[CHANNEL_PAYLOAD_MAX - sizeof(struct names_answer)];
	} chain;
	struct module_name name;
	struct code_answer *code; /* NULL until code is asked for */
};

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* ---- the probe's messages ---- */

static void take_module(struct worker *worker, struct message *message)
{
	struct module_message module;

	if (message->length < sizeof(module) || message->fds[0] < 0)
		return;
	memcpy(&module, message->payload, sizeof(module));
	if (module.module >= MODULE_LIMIT || module.kind > MODULE_KIND_JITDUMP)
		return;
	worker->informed[module.kind == MODULE_KIND_JITDUMP ? MODULE_ANONYMOUS : module.module] = false;
	/* When memory is short the module stays unknown: kiln gets numbers instead of names. */
	error_destroy(symbolizer_modules_add(worker->modules, module.module, module.kind,
					     take_fd(&message->fds[0])));
}

/* Before the table: with its answer the probe is done with the module. */
static void propose_hooks(struct worker *worker, uint32_t id, const struct module *module)
{
	_cleanup_free_ struct hooks_message *hooks = NULL;
	struct error *error = allocators_find(module_get_fd(module), &hooks);

	if (error) {
		/* Memory is short: the table's answer will say so too. */
		error_destroy(error);
		return;
	}
	hooks->module = id;
	if (hooks->count || hooks->is_go)
		error_destroy(channel_send(worker->probe, SYMBOLIZER_HOOKS, hooks,
					   hooks_message_length(hooks), NULL, 0));
}

static void read_build_id(int fd, struct table_message *table)
{
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);

	if (elf)
		table->build_id_length = (uint32_t)elf_read_build_id(elf, table->build_id);
	elf_end(elf);
}

/* Is it the file whose table the probe has already? */
static bool is_same(const struct build_message *build, const struct table_message *table)
{
	return table->build_id_length && build->build_id_length == table->build_id_length &&
	       !memcmp(build->build_id, table->build_id, table->build_id_length);
}

static struct error *make_table(struct worker *worker, const struct build_message *build,
				const struct module *module, struct table_message *table, int *ret_memfd)
{
	enum table_status status = TABLE_BAD;
	struct error *error;

	table->status = TABLE_BAD;
	if (module_get_kind(module) == MODULE_KIND_FILE) {
		propose_hooks(worker, build->module, module);
		read_build_id(module_get_fd(module), table);
	}
	if (is_same(build, table)) {
		table->status = TABLE_SAME;
		return NULL;
	}
	error = cfi_build_table(module_get_fd(module), ret_memfd, &status, table->why, NULL);
	if (!error)
		table->status = status;
	return error;
}

static void build_table(struct worker *worker, struct message *message)
{
	struct table_message table = {.status = TABLE_BAD};
	_cleanup_close_ int memfd = -1;
	struct build_message build;
	struct error *error = NULL;
	struct module *module;

	if (message->length != sizeof(build))
		return;
	memcpy(&build, message->payload, sizeof(build));
	table.module = build.module;
	module = symbolizer_modules_find(worker->modules, build.module);
	if (module &&
	    (module_get_kind(module) == MODULE_KIND_FILE || module_get_kind(module) == MODULE_KIND_VDSO))
		error = make_table(worker, &build, module, &table, &memfd);
	else
		text_sanitize("no such file", SIZE_MAX, table.why, sizeof(table.why));
	if (error)
		text_sanitize(error_get_message(error), SIZE_MAX, table.why, sizeof(table.why));
	error_destroy(error);
	error_destroy(channel_send(worker->probe, SYMBOLIZER_TABLE, &table, sizeof(table), &memfd,
				   table.status == TABLE_OK ? 1 : 0));
	/* A target may load new files for ever: their fds must not pile up. Each build brings its own. */
	if (module && !worker->has_names)
		error_destroy(
			symbolizer_modules_add(worker->modules, build.module, MODULE_KIND_ANONYMOUS, -1));
}

static void on_probe_message(void *arg, struct message *message)
{
	struct worker *worker = arg;

	if (message->type == SYMBOLIZER_MODULE)
		take_module(worker, message);
	else if (message->type == SYMBOLIZER_BUILD)
		build_table(worker, message);
}

static void on_probe_closed(void *arg)
{
	struct worker *worker = arg;

	loop_quit(worker->loop, 0);
}

/* ---- kiln's messages ---- */

static void start_answer(struct worker *worker, uint32_t module, uint32_t first)
{
	worker->answer.header = (struct names_answer){.module = module, .first = first};
	worker->answer.length = sizeof(struct names_answer);
	worker->answer.since_ns = now_ns();
}

static void send_answer(struct worker *worker)
{
	if (worker->answer.header.count)
		error_destroy(channel_send(worker->kiln, SYMBOLIZER_NAMED, worker->answer.bytes,
					   worker->answer.length, NULL, 0));
}

static size_t shorten(const struct chain *chain, size_t length)
{
	return length < chain->text_most ? length : chain->text_most;
}

static void add_text(struct chain *chain, const char *text, size_t length, uint16_t *ret_length)
{
	char *at = (char *)chain->bytes + chain->length;

	if (length > chain->text_most)
		length = text_sanitize(text, length, at, chain->text_most + 1);
	else
		memcpy(at, text, length);
	chain->length += length;
	*ret_length = (uint16_t)length;
}

static void add_level(void *arg, const struct module_name *name)
{
	struct worker *worker = arg;
	struct chain *chain = &worker->chain;
	struct name_entry entry = {.start = name->start, .line = name->line, .flags = name->flags};
	size_t start = chain->length;
	size_t strings = shorten(chain, name->function_length) + shorten(chain, name->file_length);

	/* 8: the padding, or the terminator of a text that is cut. */
	if (sizeof(chain->bytes) - start < sizeof(entry) + strings + 8) {
		chain->is_too_long = true;
		return;
	}
	chain->length += sizeof(entry);
	add_text(chain, name->function, name->function_length, &entry.function_length);
	add_text(chain, name->file, name->file_length, &entry.file_length);
	memcpy(chain->bytes + start, &entry, sizeof(entry));
	while (chain->length % 8)
		chain->bytes[chain->length++] = 0;
}

static void start_chain(struct worker *worker, size_t text_most)
{
	worker->chain.length = 0;
	worker->chain.text_most = text_most;
	worker->chain.is_too_long = false;
}

static void make_levels(struct worker *worker, struct module *module, uint64_t offset, size_t text_most)
{
	start_chain(worker, text_most);
	module_list_levels(module, offset, &worker->name, add_level, worker);
}

static void add_chain(struct worker *worker, uint32_t module, uint32_t number)
{
	const struct chain *chain = &worker->chain;

	if (worker->answer.length + chain->length > sizeof(worker->answer.bytes) ||
	    now_ns() - worker->answer.since_ns > ANSWER_INTERVAL_NS) {
		send_answer(worker);
		start_answer(worker, module, number);
	}
	memcpy(worker->answer.bytes + worker->answer.length, chain->bytes, chain->length);
	worker->answer.length += chain->length;
	worker->answer.header.count++;
}

static void send_info(struct worker *worker, uint32_t id, struct module *module)
{
	struct info_message info = {.module = id, .symbols = SYMBOLS_STRIPPED};

	if (module)
		module_open(module, &info);
	else
		text_sanitize("the file was not handed over", SIZE_MAX, info.why, sizeof(info.why));
	error_destroy(channel_send(worker->kiln, SYMBOLIZER_INFO, &info, sizeof(info), NULL, 0));
	worker->informed[id] = true;
}

static void send_news(struct worker *worker, struct module *module)
{
	struct info_message info;

	if (module && module_take_news(module, &info))
		error_destroy(channel_send(worker->kiln, SYMBOLIZER_INFO, &info, sizeof(info), NULL, 0));
}

static void set_unknown(struct module_name *name, uint64_t offset)
{
	name->start = offset;
	name->line = 0;
	name->flags = 0;
	name->function_length = name->file_length = 0;
}

static void answer_names(struct worker *worker, struct message *message)
{
	const struct names_request *request = message->payload;
	struct module *module;

	if (message->length < sizeof(*request) || request->count > NAMES_REQUEST_MAX ||
	    message->length != sizeof(*request) + request->count * sizeof(request->offsets[0]) ||
	    request->module >= MODULE_LIMIT)
		return;
	module = symbolizer_modules_find(worker->modules, request->module);
	if (module)
		module_update(module);
	if (!worker->informed[request->module])
		send_info(worker, request->module, module);
	start_answer(worker, request->module, 0);
	for (uint32_t i = 0; i < request->count; i++) {
		if (module) {
			make_levels(worker, module, request->offsets[i], NAME_LENGTH_MAX);
			if (worker->chain.is_too_long)
				make_levels(worker, module, request->offsets[i], SHORT_LENGTH_MAX);
		} else {
			start_chain(worker, NAME_LENGTH_MAX);
			set_unknown(&worker->name, request->offsets[i]);
			add_level(worker, &worker->name);
		}
		add_chain(worker, request->module, i);
	}
	send_news(worker, module);
	send_answer(worker);
}

static void open_again(struct worker *worker, const struct message *message)
{
	const struct again_message *again = message->payload;

	if (message->length != sizeof(*again) || again->module >= MODULE_LIMIT)
		return;
	symbolizer_modules_reopen(worker->modules, again->module);
	worker->informed[again->module] = false;
}

static void answer_code(struct worker *worker, struct message *message)
{
	struct code_request request;
	struct module *module;
	const void *answer;
	size_t length;

	if (message->length != sizeof(request))
		return;
	memcpy(&request, message->payload, sizeof(request));
	if (request.module >= MODULE_LIMIT)
		return;
	module = symbolizer_modules_find(worker->modules, request.module);
	if (!worker->informed[request.module])
		send_info(worker, request.module, module);
	/* When memory is short there is no answer: kiln's clock ends this worker. */
	if (!worker->code)
		error_destroy(code_answer_create(&worker->code));
	if (!worker->code)
		return;
	answer = code_answer_make(worker->code, module, &request, &length);
	error_destroy(channel_send(worker->kiln, SYMBOLIZER_CODE_PART, answer, length, NULL, 0));
}

static void on_kiln_message(void *arg, struct message *message)
{
	struct worker *worker = arg;

	/* A module that kiln asks about was sent by the probe before: it lies in the other socket already. */
	channel_drain(worker->probe);
	if (message->type == SYMBOLIZER_NAMES)
		answer_names(worker, message);
	else if (message->type == SYMBOLIZER_AGAIN)
		open_again(worker, message);
	else if (message->type == SYMBOLIZER_CODE)
		answer_code(worker, message);
}

/* Without kiln the worker waits for its end, or for the tables that the probe still wants. */
static void on_kiln_closed(void *arg)
{
	struct worker *worker = arg;

	channel_destroy(worker->kiln);
	worker->kiln = NULL;
}

/* The names worker holds the files of all modules. The probe raises its own limit later: what it is when
 * workers are forked is what a shell gives, 1,024. */
static void raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Before the sandbox, which makes no sockets. */
static struct error *open_files(struct worker *worker, int *ret_kiln_end)
{
	if (!worker->has_names)
		return NULL;
	worker->asker = (struct debug_asker){.ask = debug_ask_file};
	return debug_ask_create(FILE_DEADLINE_MS, &worker->files, ret_kiln_end);
}

static struct error *serve_kiln(struct worker *worker, int kiln_fd, const int *files_fd)
{
	struct error *error =
		channel_create(worker->loop, kiln_fd, on_kiln_message, on_kiln_closed, worker, &worker->kiln);

	if (error)
		return error;
	worker->asker.arg = worker->files;
	symbolizer_modules_set_asker(worker->modules, &worker->asker);
	return channel_send(worker->kiln, SYMBOLIZER_FILES, NULL, 0, files_fd, 1);
}

static struct error *worker_run(struct worker *worker, int probe_fd, int kiln_fd, int *ret)
{
	_cleanup_close_ int probe = probe_fd, kiln = kiln_fd, files = -1;
	struct error *error;

	worker->has_names = kiln_fd >= 0;
	raise_file_limit();
	error = open_files(worker, &files);
	if (!error)
		error = sandbox_enter();
	if (!error)
		error = loop_create(&worker->loop);
	if (!error)
		error = symbolizer_modules_create(&worker->modules);
	if (!error)
		error = channel_create(worker->loop, take_fd(&probe), on_probe_message, on_probe_closed,
				       worker, &worker->probe);
	if (!error && kiln >= 0)
		error = serve_kiln(worker, take_fd(&kiln), &files);
	/* kiln's end is kiln's alone: it is closed when kiln goes. */
	cleanup_close(&files);
	files = -1;
	if (!error)
		*ret = loop_run(worker->loop);
	return error;
}

int symbolizer_worker_main(int probe_fd, int kiln_fd)
{
	/* answer and name are large: not on the stack, which the demangler needs. */
	struct worker *worker = calloc(1, sizeof(*worker));
	struct error *error;
	int status = 1;

	if (worker)
		worker->informed = calloc(MODULE_LIMIT, sizeof(*worker->informed));
	if (!worker || !worker->informed) {
		free(worker);
		return 1;
	}
	/* A worker that cannot begin says so by its exit: the probe replaces it, or goes on without names. */
	error = worker_run(worker, probe_fd, kiln_fd, &status);
	error_destroy(error);
	channel_destroy(worker->kiln);
	channel_destroy(worker->probe);
	symbolizer_modules_destroy(worker->modules);
	debug_ask_destroy(worker->files);
	code_answer_destroy(worker->code);
	loop_destroy(worker->loop);
	free(worker->informed);
	free(worker);
	return status;
}
