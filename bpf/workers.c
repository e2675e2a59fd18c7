#include "bpf/workers.h"

#include "base/array.h"
#include "base/channel.h"
#include "base/cleanup.h"
#include "base/text.h"
#include "bpf/heap_events.h"
#include "bpf/supervisor.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* A module that cost so many workers is set aside. */
#define FAILURES_MAX 2
/* A worker that dies so often is not started again: its sandbox or its machine is broken, not a module. */
#define STARTS_MAX 64
/* Deadline of a table: 2 s and 20 ms a MB. */
#define DEADLINE_MS	   2000
#define DEADLINE_MS_PER_MB 20
#define REAP_MS		   500

struct handed_module {
	uint32_t module;
	enum module_kind kind;
	int fd;
	uint64_t size_bytes;
	unsigned table_failures, names_failures;
	bool waits_for_table;
	bool has_hooks; /* they have been told */
};

struct worker {
	struct workers *workers;
	struct child child;
	struct channel *channel;
	bool is_names;
	bool is_doomed; /* killed, and not reaped yet: whatever it still says does not count */
	unsigned starts;
};

struct workers {
	struct loop *loop;
	int (*worker_main)(int probe_fd, int kiln_fd);
	const struct workers_ops *ops;
	void *arg;
	struct worker names, tables;
	ARRAY(struct handed_module)
	modules;
	/* Waiting tables, smallest first: a binary heap of indices into modules. */
	ARRAY(size_t)
	heap;
	ptrdiff_t building; /* index into modules; -1: none */
	bool hooks_came;    /* for this build */
	struct loop_source *deadline;
	uint64_t answers; /* tables that came, or why not */
};

/* ---- the queue of tables: a binary heap by size ---- */

static uint64_t size_at(const struct workers *workers, size_t place)
{
	return workers->modules.items[workers->heap.items[place]].size_bytes;
}

static void swap_places(struct workers *workers, size_t a, size_t b)
{
	size_t index = workers->heap.items[a];

	workers->heap.items[a] = workers->heap.items[b];
	workers->heap.items[b] = index;
}

static bool heap_push(struct workers *workers, size_t index)
{
	size_t place = workers->heap.count;

	if (!array_append(&workers->heap, index))
		return false;
	while (place && size_at(workers, place) < size_at(workers, (place - 1) / 2)) {
		swap_places(workers, place, (place - 1) / 2);
		place = (place - 1) / 2;
	}
	return true;
}

static size_t heap_pop(struct workers *workers)
{
	size_t top = workers->heap.items[0], place = 0;

	workers->heap.items[0] = workers->heap.items[--workers->heap.count];
	for (;;) {
		size_t child = 2 * place + 1;

		if (child + 1 < workers->heap.count && size_at(workers, child + 1) < size_at(workers, child))
			child++;
		if (child >= workers->heap.count || size_at(workers, place) <= size_at(workers, child))
			return top;
		swap_places(workers, place, child);
		place = child;
	}
}

/* ---- talking ---- */

static struct error *hand_over(struct worker *worker, const struct handed_module *module)
{
	struct module_message message = {.module = module->module, .kind = module->kind};

	if (!worker->channel)
		return error_create(ERROR_GENERAL, 0, NULL, "the worker died too often");
	return channel_send(worker->channel, SYMBOLIZER_MODULE, &message, sizeof(message), &module->fd, 1);
}

static void build_next(struct workers *workers);

static void answer_table(struct workers *workers, size_t index, int fd, const char *why)
{
	workers->modules.items[index].waits_for_table = false;
	workers->ops->table(workers->arg, workers->modules.items[index].module, fd, why);
}

static void kill_worker(struct worker *worker)
{
	if (worker->child.pid > 0)
		kill(worker->child.pid, SIGKILL);
	worker->is_doomed = true;
}

static void on_deadline(void *arg)
{
	struct workers *workers = arg;
	uint64_t answers = workers->answers;

	/* When it was the probe that did not run (^Z, a busy machine), the answer may be there already. */
	if (workers->tables.channel)
		channel_drain(workers->tables.channel);
	/* Its end brings workers_handle_exit(), which counts the failure and goes on. */
	if (workers->answers == answers)
		kill_worker(&workers->tables);
}

static void build_next(struct workers *workers)
{
	/* One that is about to be replaced gets nothing: its end would be that module's fault. */
	while (workers->building < 0 && !workers->tables.is_doomed && workers->heap.count) {
		size_t index = heap_pop(workers);
		struct handed_module *module = &workers->modules.items[index];
		struct build_message message = {.module = module->module};
		uint64_t ms = (workers->ops->deadline_ms ? workers->ops->deadline_ms : DEADLINE_MS) +
			      DEADLINE_MS_PER_MB * (module->size_bytes >> 20);
		struct error *error = hand_over(&workers->tables, module);

		if (!error)
			error = channel_send(workers->tables.channel, SYMBOLIZER_BUILD, &message,
					     sizeof(message), NULL, 0);
		if (error) {
			answer_table(workers, index, -1, error_get_message(error));
			error_destroy(error);
			continue;
		}
		workers->building = (ptrdiff_t)index;
		workers->hooks_came = false;
		error_destroy(loop_set_timer(workers->deadline, ms > 600000 ? 600000 : (unsigned)ms, 0));
	}
}

/* false: nobody has asked for this. */
static bool on_table(struct workers *workers, struct message *message)
{
	const struct table_message *table = message->payload;
	size_t index = (size_t)workers->building;
	char why[sizeof(table->why)];

	if (message->length != sizeof(*table) || workers->building < 0 ||
	    workers->modules.items[index].module != table->module)
		return false;
	text_sanitize(table->why, strnlen(table->why, sizeof(table->why)), why, sizeof(why));
	workers->building = -1;
	workers->answers++;
	error_destroy(loop_set_timer(workers->deadline, 0, 0));
	if (table->status == TABLE_OK && message->fds[0] >= 0)
		answer_table(workers, index, take_fd(&message->fds[0]), "");
	else if (table->status == TABLE_NO_EH_FRAME)
		answer_table(workers, index, -1, "");
	else
		answer_table(workers, index, -1, *why ? why : "no table");
	build_next(workers);
	return true;
}

static bool is_sound(const struct hook_proposal *proposal)
{
	bool is_wrapper = proposal->flags == HOOK_WRAPPER;
	uint64_t end;

	return (proposal->flags <= HOOK_LIES || proposal->flags == HOOK_THROWS) &&
	       proposal->kind < HEAP_KINDS && is_wrapper == !proposal->kind && proposal->name[0] &&
	       !__builtin_add_overflow(proposal->start, proposal->length, &end);
}

static void tell_hooks(struct workers *workers, const struct hooks_message *hooks, size_t length)
{
	struct handed_module *module = &workers->modules.items[workers->building];
	_cleanup_free_ struct hooks_message *copy = malloc(length);

	/* The worker before this one may have told them, and died of the table. */
	if (module->has_hooks || !workers->ops->hooks || !copy)
		return;
	module->has_hooks = true;
	memcpy(copy, hooks, length);
	copy->is_go = copy->is_go != 0;
	copy->reserved = 0;
	for (uint32_t i = 0; i < copy->count; i++) {
		const struct hook_proposal *from = &hooks->proposals[i];

		text_sanitize(from->name, strnlen(from->name, sizeof(from->name)), copy->proposals[i].name,
			      sizeof(copy->proposals[i].name));
	}
	workers->ops->hooks(workers->arg, copy->module, copy);
}

/* false: nobody has asked for this. */
static bool on_hooks(struct workers *workers, struct message *message)
{
	const struct hooks_message *hooks = message->payload;

	if (message->length < sizeof(*hooks) || workers->building < 0 || workers->hooks_came ||
	    hooks->module != workers->modules.items[workers->building].module ||
	    hooks->count > HOOK_PROPOSALS_MAX || (!hooks->count && !hooks->is_go) ||
	    message->length != sizeof(*hooks) + hooks->count * sizeof(hooks->proposals[0]))
		return false;
	for (uint32_t i = 0; i < hooks->count; i++) {
		if (!is_sound(&hooks->proposals[i]))
			return false;
	}
	workers->hooks_came = true;
	tell_hooks(workers, hooks, message->length);
	return true;
}

static void on_message(void *arg, struct message *message)
{
	struct worker *worker = arg;
	bool is_asked = false;

	if (worker->is_doomed)
		return;
	if (!worker->is_names && message->type == SYMBOLIZER_TABLE)
		is_asked = on_table(worker->workers, message);
	else if (!worker->is_names && message->type == SYMBOLIZER_HOOKS)
		is_asked = on_hooks(worker->workers, message);
	/* The probe must not be kept busy by what it has not asked for. */
	if (!is_asked)
		kill_worker(worker);
}

static void on_closed(void *arg)
{
	/* A worker that closes its socket and lives on is of no use. */
	kill_worker(arg);
}

/* ---- life ---- */

static struct error *start_worker(struct workers *workers, struct worker *worker)
{
	int kiln_fd = -1;
	struct error *error;

	worker->child.pid = 0;
	worker->is_doomed = false;
	if (worker->starts++ >= STARTS_MAX)
		return error_create(ERROR_GENERAL, 0, NULL, "it died too often");
	error = supervisor_fork_worker(workers->worker_main, worker->is_names, &worker->child, &kiln_fd);
	if (error)
		return error;
	error = channel_create(workers->loop, worker->child.socket, on_message, on_closed, worker,
			       &worker->channel);
	if (error) {
		cleanup_close(&kiln_fd);
		return error;
	}
	/* Modules first, the socket for kiln after: what kiln asks has arrived. */
	for (size_t i = 0; worker->is_names && i < workers->modules.count && !error; i++) {
		if (workers->modules.items[i].names_failures < FAILURES_MAX)
			error = hand_over(worker, &workers->modules.items[i]);
	}
	if (worker->is_names)
		workers->ops->names_socket(workers->arg, kiln_fd, worker->starts);
	return error;
}

/* Nobody may find it as a zombie after us: not every init of a container reaps. One that hangs in the kernel
 * (a dead network disk) is not waited for longer than this. */
static void reap(pid_t pid)
{
	_cleanup_close_ int pidfd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0 && poll(&ended, 1, REAP_MS) > 0)
		waitpid(pid, NULL, WNOHANG);
}

static void stop_worker(struct worker *worker)
{
	channel_destroy(worker->channel);
	worker->channel = NULL;
	kill_worker(worker);
	reap(worker->child.pid);
	worker->child.pid = 0;
}

struct error *workers_start(struct loop *loop, int (*worker_main)(int probe_fd, int kiln_fd),
			    const struct workers_ops *ops, void *arg, struct workers **ret)
{
	struct workers *workers = calloc(1, sizeof(*workers));
	struct error *error;

	if (!workers)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "workers");
	*workers = (struct workers){
		.loop = loop, .worker_main = worker_main, .ops = ops, .arg = arg, .building = -1};
	workers->names = (struct worker){.workers = workers, .is_names = true};
	workers->tables = (struct worker){.workers = workers};
	error = loop_add_timer(loop, 0, 0, on_deadline, workers, &workers->deadline);
	if (!error)
		error = start_worker(workers, &workers->names);
	if (!error)
		error = start_worker(workers, &workers->tables);
	if (error) {
		workers_destroy(workers);
		return error_wrap(error, "worker");
	}
	*ret = workers;
	return NULL;
}

void workers_destroy(struct workers *workers)
{
	if (!workers)
		return;
	stop_worker(&workers->names);
	stop_worker(&workers->tables);
	loop_remove(workers->deadline);
	array_deinit(&workers->modules);
	array_deinit(&workers->heap);
	free(workers);
}

struct error *workers_add_module(struct workers *workers, uint32_t module, enum module_kind kind, int fd,
				 uint64_t size_bytes, bool wants_table)
{
	struct handed_module handed = {
		.module = module,
		.kind = kind,
		.fd = fd,
		.size_bytes = size_bytes,
		.waits_for_table = wants_table,
	};
	struct error *error;

	if (!array_append(&workers->modules, handed) ||
	    (wants_table && !heap_push(workers, workers->modules.count - 1)))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "module");
	error = hand_over(&workers->names, &handed);
	build_next(workers);
	return error;
}

size_t workers_count_waiting(const struct workers *workers)
{
	return workers->heap.count + (workers->building >= 0);
}

void workers_restart_names(struct workers *workers, uint32_t module, uint32_t generation)
{
	if (generation != workers->names.starts)
		return;
	for (size_t i = 0; i < workers->modules.count; i++) {
		if (workers->modules.items[i].module == module)
			workers->modules.items[i].names_failures++;
	}
	kill_worker(&workers->names);
}

static void replace_worker(struct workers *workers, struct worker *worker, const char *what)
{
	channel_destroy(worker->channel);
	worker->channel = NULL;
	error_destroy(start_worker(workers, worker));
	/* One that was forked is replaced again when it ends; without a child nothing ever will. */
	if (worker->child.pid <= 0 && workers->ops->given_up)
		workers->ops->given_up(workers->arg, what);
}

static void replace_tables(struct workers *workers)
{
	ptrdiff_t index = workers->building;

	workers->building = -1;
	error_destroy(loop_set_timer(workers->deadline, 0, 0));
	replace_worker(workers, &workers->tables, "unwind tables");
	if (index >= 0) {
		if (++workers->modules.items[index].table_failures >= FAILURES_MAX)
			answer_table(workers, (size_t)index, -1, "set aside: reading it killed two workers");
		else
			heap_push(workers, (size_t)index);
	}
	build_next(workers);
}

bool workers_handle_exit(struct workers *workers, pid_t pid)
{
	if (pid == workers->names.child.pid)
		replace_worker(workers, &workers->names, "names");
	else if (pid == workers->tables.child.pid)
		replace_tables(workers);
	else
		return false;
	workers->ops->pids(workers->arg);
	return true;
}

size_t workers_get_pids(const struct workers *workers, pid_t ret[2])
{
	ret[0] = workers->names.child.pid;
	ret[1] = workers->tables.child.pid;
	return 2;
}
