/* The file is hostile input: a worker reads it, in its sandbox, as it does for a live session; a second one
 * waits for the case that the first one dies or hangs. As there, three kinds of process: the one that the
 * shell waits for opens the file, starts the others and ends them; the interface, with the rights of the
 * invoking user, asks, prints and reads nothing but what it is told; the workers have nobody's. */
#include "symbolize.h"

#include "base/channel.h"
#include "base/cleanup.h"
#include "base/loop.h"
#include "bpf/events.h"
#include "bpf/privileges.h"
#include "bpf/supervisor.h"
#include "live.h"
#include "symbolizer/symbolizer.h"

#include <ctype.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define MODULE	      MODULE_FIRST_FILE
#define WORKERS	      2 /* the client sets a module aside when it has cost so many */
#define INPUT_BYTES   65536
#define LAST_WORDS_MS 1000

/* From the supervisor to the interface: a worker's two sockets; and the file. */
enum handing { HANDING_WORKER = 1, HANDING_FILE };

struct symbolize {
	const struct options *options;
	const char *path; /* of the file, as given */
	int fd;
	uint64_t size_bytes;
	struct loop *loop;
	struct channel *peer; /* between supervisor and interface */
	struct symbolizer_client *client;
	struct symbolizer_worker {
		struct symbolize *symbolize;
		int names_fd;	       /* -1: handed to the client */
		struct channel *probe; /* what the probe is to a worker, the interface is here */
	} workers[WORKERS];
	unsigned handed;  /* how many workers have come */
	unsigned started; /* how many have been asked */
	bool is_set_aside;
	struct loop_source *last_words;
	uint64_t addresses[NAMES_REQUEST_MAX];
	size_t count; /* of addresses that were not asked yet */
	size_t bad_lines;
};

/* ---- output ---- */

static void print_unknown(void)
{
	fputs("??\n??:0\n\n", stdout);
}

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
	struct symbolize *symbolize = arg;

	for (size_t i = 0; i < count; i++) {
		const struct resolved_name *name = &names[i];

		if (name->function_length)
			fwrite(name->function, 1, name->function_length, stdout);
		else
			fputs("??", stdout);
		fputc('\n', stdout);
		if (name->file_length) {
			fwrite(name->file, 1, name->file_length, stdout);
			fprintf(stdout, ":%u\n", name->line);
		} else {
			fputs("??:0\n", stdout);
		}
		if (!name->is_inlined)
			fputc('\n', stdout);
	}
	if (!symbolizer_client_pending(symbolize->client))
		loop_quit(symbolize->loop, 0);
}

static void on_info(void *arg, const struct info_message *info)
{
	const struct symbolize *symbolize = arg;

	if (info->why[0])
		fprintf(stderr, "kiln: %s: %s\n", symbolize->path, info->why);
}

/* ---- workers ---- */

static void ignore_message(void *arg, struct message *message)
{
}

/* There is no worker left: what was not answered is not known. */
static void give_up(void *arg)
{
	struct symbolize *symbolize = arg;

	if (!symbolize->is_set_aside)
		fprintf(stderr,
			"kiln: %s: reading it has ended or hung twice: it is set aside, the rest is ??\n",
			symbolize->path);
	symbolize->is_set_aside = true;
	loop_quit(symbolize->loop, 0);
}

/* Puts the next worker to work. Without one, the client says within this time what the last one had said. */
static void start_next(struct symbolize *symbolize)
{
	struct module_message module = {.module = MODULE, .kind = MODULE_KIND_ADDRESSES};
	struct symbolizer_worker *worker;
	struct error *error;

	if (symbolize->started == WORKERS) {
		error_destroy(loop_set_timer(symbolize->last_words, LAST_WORDS_MS, 0));
		return;
	}
	worker = &symbolize->workers[symbolize->started++];
	error = channel_send(worker->probe, SYMBOLIZER_MODULE, &module, sizeof(module), &symbolize->fd, 1);
	if (!error)
		error = symbolizer_client_connect(symbolize->client, take_fd(&worker->names_fd));
	if (error)
		give_up(symbolize);
	error_destroy(error);
}

static void on_stuck(void *arg, uint32_t module)
{
	struct symbolize *symbolize = arg;

	if (symbolize->started < WORKERS)
		start_next(symbolize);
	else
		give_up(symbolize);
}

static void on_worker_closed(void *arg)
{
	struct symbolizer_worker *worker = arg;
	struct symbolize *symbolize = worker->symbolize;

	if (worker == &symbolize->workers[symbolize->started - 1] && !symbolize->is_set_aside)
		start_next(symbolize);
}

/* ---- questions ---- */

/* Hands what has been collected to the client. */
static struct error *send_questions(struct symbolize *symbolize)
{
	size_t count = symbolize->count;

	symbolize->count = 0;
	for (size_t i = 0; symbolize->is_set_aside && i < count; i++)
		print_unknown();
	return symbolize->is_set_aside
		       ? NULL
		       : symbolizer_client_ask(symbolize->client, MODULE, symbolize->addresses, count);
}

/* Waits until all is answered and printed. */
static struct error *answer(struct symbolize *symbolize)
{
	bool was_set_aside = symbolize->is_set_aside;
	struct error *error = send_questions(symbolize);

	while (!error && !symbolize->is_set_aside && symbolizer_client_pending(symbolize->client))
		loop_run(symbolize->loop);
	if (symbolize->is_set_aside && !was_set_aside) {
		for (size_t i = symbolizer_client_pending(symbolize->client); i; i--)
			print_unknown();
	}
	if (!error && (fflush(stdout) || ferror(stdout)))
		error = error_create(ERROR_GENERAL, errno, NULL, "stdout");
	return error;
}

static struct error *ask(struct symbolize *symbolize, uint64_t address)
{
	struct error *error = NULL;

	if (symbolize->count == NAMES_REQUEST_MAX)
		error = send_questions(symbolize);
	symbolize->addresses[symbolize->count++] = address;
	return error;
}

bool symbolize_parse_address(const char *text, size_t length, uint64_t *ret)
{
	uint64_t value = 0;

	if (length > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
		text += 2;
		length -= 2;
	}
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)text[i];

		if (!isxdigit(c) || value >> 60)
			return false;
		value = value << 4 | (unsigned)(isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	*ret = value;
	return length;
}

static struct error *ask_line(struct symbolize *symbolize, const char *line, size_t length)
{
	struct error *error;
	uint64_t address;

	while (length && isspace((unsigned char)line[length - 1]))
		length--;
	while (length && isspace((unsigned char)*line)) {
		line++;
		length--;
	}
	if (!length)
		return NULL;
	if (symbolize_parse_address(line, length, &address))
		return ask(symbolize, address);
	/* Blocks and lines stay in step. */
	error = answer(symbolize);
	symbolize->bad_lines++;
	print_unknown();
	return error;
}

/* All complete lines; the rest stays. A line that fills the buffer is none of ours: its end will not be
 * either. */
static struct error *ask_lines(struct symbolize *symbolize, char *buffer, size_t *length, bool is_last)
{
	struct error *error = NULL;
	char *at = buffer, *end = buffer + *length, *newline;

	while (!error && (newline = memchr(at, '\n', (size_t)(end - at)))) {
		error = ask_line(symbolize, at, (size_t)(newline - at));
		at = newline + 1;
	}
	if (!error && (is_last || (at == buffer && *length == INPUT_BYTES))) {
		error = ask_line(symbolize, at, (size_t)(end - at));
		at = end;
	}
	*length = (size_t)(end - at);
	memmove(buffer, at, *length);
	return error;
}

/* What has been written so far is answered before more is waited for: the other end of the pipe may want to
 * see it. */
static struct error *answer_input(struct symbolize *symbolize)
{
	_cleanup_free_ char *buffer = malloc(INPUT_BYTES);
	struct error *error = NULL;
	size_t length = 0;
	ssize_t got = 1;

	if (!buffer)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "stdin");
	while (!error && got > 0) {
		do {
			got = read(STDIN_FILENO, buffer + length, INPUT_BYTES - length);
		} while (got < 0 && errno == EINTR);
		if (got < 0)
			return error_create(ERROR_GENERAL, errno, NULL, "stdin");
		length += (size_t)got;
		error = ask_lines(symbolize, buffer, &length, !got);
		if (!error)
			error = answer(symbolize);
	}
	return error;
}

static struct error *answer_arguments(struct symbolize *symbolize, const struct options *options)
{
	struct error *error = NULL;
	uint64_t address;

	for (size_t i = 0; i < options->address_count && !error; i++) {
		/* They have been checked. */
		if (symbolize_parse_address(options->addresses[i], strlen(options->addresses[i]), &address))
			error = ask(symbolize, address);
	}
	return error ? error : answer(symbolize);
}

/* ---- the interface ---- */

static void on_handed(void *arg, struct message *message)
{
	struct symbolize *symbolize = arg;
	struct symbolizer_worker *worker = &symbolize->workers[symbolize->handed];

	if (message->type == HANDING_FILE) {
		symbolize->fd = take_fd(&message->fds[0]);
		loop_quit(symbolize->loop, 0);
		return;
	}
	worker->symbolize = symbolize;
	worker->names_fd = take_fd(&message->fds[1]);
	/* Without memory for it: as a worker that has ended. */
	error_destroy(channel_create(symbolize->loop, take_fd(&message->fds[0]), ignore_message,
				     on_worker_closed, worker, &worker->probe));
	symbolize->handed++;
}

static void on_supervisor_closed(void *arg)
{
	struct symbolize *symbolize = arg;

	loop_quit(symbolize->loop, 0);
}

static struct error *prepare(struct symbolize *symbolize, int supervisor_fd)
{
	static const struct symbolizer_client_ops ops = {on_named, on_info, on_stuck, NULL};
	_cleanup_free_ char *path = NULL;
	struct error *error = loop_create(&symbolize->loop);

	if (!error)
		error = channel_create(symbolize->loop, supervisor_fd, on_handed, on_supervisor_closed,
				       symbolize, &symbolize->peer);
	if (!error)
		error = loop_add_timer(symbolize->loop, 0, 0, give_up, symbolize, &symbolize->last_words);
	if (!error)
		error = symbolizer_client_create(symbolize->loop, &ops, symbolize, &symbolize->client);
	if (!error)
		error = symbolizer_client_set_module(symbolize->client, MODULE, symbolize->size_bytes);
	/* Debug files lie beside the file itself, not beside a link to it. */
	path = realpath(symbolize->path, NULL);
	if (!error && path)
		error = symbolizer_client_set_module_path(symbolize->client, MODULE, path);
	if (!error)
		loop_run(symbolize->loop);
	if (!error && symbolize->handed != WORKERS)
		error = error_create(ERROR_GENERAL, 0, NULL, "the process that starts the workers has ended");
	return error;
}

static int interface_main(void *arg, int supervisor_fd)
{
	struct symbolize *symbolize = arg;
	struct error *error;

	/* When the supervisor goes nobody is left to end a worker that hangs. */
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	error = prepare(symbolize, supervisor_fd);
	if (!error) {
		start_next(symbolize);
		error = symbolize->options->address_count ? answer_arguments(symbolize, symbolize->options)
							  : answer_input(symbolize);
	}
	if (symbolize->bad_lines)
		fprintf(stderr, "kiln: stdin: %zu lines are no addresses\n", symbolize->bad_lines);
	/* All else goes with the process. */
	return live_print_error(error);
}

/* ---- the supervisor ---- */

/* A few constants at the front: everything else of it is the worker's. */
static struct error *open_file(struct symbolize *symbolize)
{
	const unsigned char kind[] = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB};
	struct stat status;
	Elf64_Ehdr header;

	/* O_NONBLOCK: a FIFO must not hold us. */
	symbolize->fd = open(symbolize->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (symbolize->fd < 0 || fstat(symbolize->fd, &status))
		return error_create(ERROR_GENERAL, errno, NULL, "%s", symbolize->path);
	if (!S_ISREG(status.st_mode))
		return error_create(ERROR_BAD_FILE, 0, NULL, "%s: not a regular file", symbolize->path);
	if (pread(symbolize->fd, &header, sizeof(header), 0) != sizeof(header) ||
	    memcmp(header.e_ident, kind, sizeof(kind)) != 0 || header.e_machine != EM_X86_64)
		return error_create(ERROR_BAD_FILE, 0, "symbolize reads programs and libraries for x86-64",
				    "%s: not an ELF file for x86-64", symbolize->path);
	symbolize->size_bytes = (uint64_t)status.st_size;
	return NULL;
}

struct family {
	struct child workers[WORKERS], interface;
	int names_fds[WORKERS];
};

static struct error *fork_family(struct symbolize *symbolize, struct family *family)
{
	_cleanup_free_ char *home = NULL;
	struct error *error;
	uid_t uid;
	gid_t gid;

	error = privileges_find_invoker(&uid, &gid, &home);
	for (unsigned i = 0; i < WORKERS && !error; i++)
		error = supervisor_fork_worker(symbolizer_worker_main, true, &family->workers[i],
					       &family->names_fds[i]);
	if (!error)
		error = supervisor_fork_interface(uid, gid, interface_main, symbolize, &family->interface);
	return error ? error : privileges_keep_least(PRIVILEGES_KEEP_FORKING);
}

/* The channel stays open: its end is the sign for the other side that this one has gone. */
static struct error *hand_over(struct symbolize *symbolize, struct family *family)
{
	struct error *error = loop_create(&symbolize->loop);

	if (!error)
		error = channel_create(symbolize->loop, take_fd(&family->interface.socket), ignore_message,
				       on_supervisor_closed, symbolize, &symbolize->peer);
	for (unsigned i = 0; i < WORKERS && !error; i++) {
		const int sockets[2] = {family->workers[i].socket, family->names_fds[i]};

		error = channel_send(symbolize->peer, HANDING_WORKER, NULL, 0, sockets, 2);
	}
	return error ? error : channel_send(symbolize->peer, HANDING_FILE, NULL, 0, &symbolize->fd, 1);
}

/* The interface has no rights over the workers, and a hanging one does not see that its sockets are closed.
 */
static void end_family(struct family *family)
{
	cleanup_close(&family->interface.socket);
	for (unsigned i = 0; i < WORKERS; i++) {
		cleanup_close(&family->workers[i].socket);
		cleanup_close(&family->names_fds[i]);
		if (family->workers[i].pid <= 0)
			continue;
		kill(family->workers[i].pid, SIGKILL);
		waitpid(family->workers[i].pid, NULL, 0);
	}
}

struct error *symbolize_run(const struct options *options, int *ret_status)
{
	struct family family = {{{.socket = -1}, {.socket = -1}}, {.socket = -1}, {-1, -1}};
	struct symbolize symbolize = {.options = options, .path = options->file, .fd = -1};
	struct error *error;
	int status = 0;

	error = open_file(&symbolize);
	if (!error)
		error = fork_family(&symbolize, &family);
	if (!error)
		error = hand_over(&symbolize, &family);
	if (!error && waitpid(family.interface.pid, &status, 0) < 0)
		error = error_create(ERROR_GENERAL, errno, NULL, "waitpid");
	*ret_status = WIFEXITED(status) ? WEXITSTATUS(status) : ERROR_GENERAL;
	end_family(&family);
	channel_destroy(symbolize.peer);
	loop_destroy(symbolize.loop);
	cleanup_close(&symbolize.fd);
	return error;
}
