#include "bpf/workers_internal.h"

#include "base/cleanup.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Workers of one kind that die so often are not started again: their sandbox or their machine is broken, not
 * a module. */
#define STARTS_MAX 64
#define REAP_MS	   500

/* ---- talking ---- */

struct handed_module *workers_find(const struct workers *workers, uint32_t module)
{
	uint32_t place = module < workers->places.count ? workers->places.items[module] : 0;

	return place ? &workers->modules.items[place - 1] : NULL;
}

struct error *workers_hand_over(struct worker *worker, const struct handed_module *module)
{
	struct module_message message = {.module = module->module, .kind = module->kind};

	if (!worker->channel)
		return error_create(ERROR_GENERAL, 0, NULL, "the worker died too often");
	return channel_send(worker->channel, SYMBOLIZER_MODULE, &message, sizeof(message), &module->fd, 1);
}

void workers_kill(struct worker *worker)
{
	if (worker->child.pid > 0)
		kill(worker->child.pid, SIGKILL);
	worker->is_doomed = true;
}

static void on_message(void *arg, struct message *message)
{
	struct worker *worker = arg;
	bool is_asked = false;

	if (worker->is_doomed)
		return;
	if (!worker->is_names && message->type == SYMBOLIZER_TABLE)
		is_asked = workers_on_table(worker, message);
	else if (!worker->is_names && message->type == SYMBOLIZER_HOOKS)
		is_asked = workers_on_hooks(worker, message);
	/* The probe must not be kept busy by what it has not asked for. */
	if (!is_asked)
		workers_kill(worker);
}

static void on_closed(void *arg)
{
	/* A worker that closes its socket and lives on is of no use. */
	workers_kill(arg);
}

/* ---- life ---- */

static struct error *start_worker(struct worker *worker, int *ret_kiln_fd)
{
	struct workers *workers = worker->workers;
	unsigned *starts = worker->is_names ? &workers->names_starts : &workers->tables_starts;
	struct error *error;

	worker->child.pid = 0;
	worker->is_doomed = false;
	if (*starts >= STARTS_MAX)
		return error_create(ERROR_GENERAL, 0, NULL, "it died too often");
	++*starts;
	error = supervisor_fork_worker(workers->worker_main, worker->is_names, &worker->child, ret_kiln_fd);
	if (error)
		return error;
	return channel_create(workers->loop, worker->child.socket, on_message, on_closed, worker,
			      &worker->channel);
}

static struct error *start_names(struct workers *workers)
{
	struct worker *worker = &workers->names;
	_cleanup_close_ int kiln_fd = -1;
	struct error *error = start_worker(worker, &kiln_fd);

	if (error)
		return error;
	/* Modules first, the socket for kiln after: what kiln asks has arrived. */
	for (size_t i = 0; i < workers->modules.count && !error; i++) {
		if (workers->modules.items[i].names_failures < FAILURES_MAX)
			error = workers_hand_over(worker, &workers->modules.items[i]);
	}
	workers->ops->names_socket(workers->arg, take_fd(&kiln_fd), workers->names_starts);
	return error;
}

static void give_up(struct workers *workers, const char *what)
{
	if (workers->ops->given_up)
		workers->ops->given_up(workers->arg, what);
}

bool workers_start_tables(struct workers *workers, struct worker *worker)
{
	struct error *error = start_worker(worker, NULL);
	bool is_one_left = false;

	for (unsigned i = 0; i < workers->tables_allowed; i++)
		is_one_left |= workers->tables[i].child.pid > 0;
	/* One that was forked is replaced when it ends; without a child nothing ever will be. */
	if (!is_one_left && !workers->has_no_tables) {
		workers->has_no_tables = true;
		give_up(workers, "unwind tables");
	}
	error_destroy(error);
	return error == NULL;
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
	workers_kill(worker);
	reap(worker->child.pid);
	worker->child.pid = 0;
	loop_remove(worker->deadline);
}

static unsigned count_tables_allowed(const struct workers_ops *ops)
{
	long wanted = ops->tables_max ? (long)ops->tables_max : sysconf(_SC_NPROCESSORS_ONLN);

	return wanted < 1 ? 1 : wanted > WORKERS_TABLES_MAX ? WORKERS_TABLES_MAX : (unsigned)wanted;
}

static struct error *start_all(struct workers *workers)
{
	struct error *error = NULL;

	for (unsigned i = 0; i < WORKERS_TABLES_MAX && !error; i++) {
		struct worker *worker = &workers->tables[i];

		worker->workers = workers;
		error = loop_add_timer(workers->loop, 0, 0, workers_on_deadline, worker, &worker->deadline);
	}
	workers->names.workers = workers;
	workers->names.is_names = true;
	if (!error)
		error = start_names(workers);
	/* The others when they are needed. */
	if (!error)
		error = start_worker(&workers->tables[0], NULL);
	return error;
}

struct error *workers_start(struct loop *loop, int (*worker_main)(int probe_fd, int kiln_fd),
			    const struct workers_ops *ops, void *arg, struct workers **ret)
{
	struct workers *workers = calloc(1, sizeof(*workers));
	struct error *error;

	if (!workers)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "workers");
	workers->loop = loop;
	workers->worker_main = worker_main;
	workers->ops = ops;
	workers->arg = arg;
	workers->tables_allowed = count_tables_allowed(ops);
	workers->queue.heat = ops->heat;
	workers->queue.arg = arg;
	error = start_all(workers);
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
	/* All die at once, before the first is waited for. */
	for (unsigned i = 0; i < WORKERS_TABLES_MAX; i++)
		workers_kill(&workers->tables[i]);
	stop_worker(&workers->names);
	for (unsigned i = 0; i < WORKERS_TABLES_MAX; i++)
		stop_worker(&workers->tables[i]);
	table_queue_deinit(&workers->queue);
	array_deinit(&workers->modules);
	array_deinit(&workers->places);
	free(workers);
}

/* ---- modules ---- */

static bool keep_module(struct workers *workers, struct handed_module module)
{
	struct handed_module *known = workers_find(workers, module.module);

	/* Another file for the names of the same code. */
	if (known) {
		module.names_failures = known->names_failures;
		*known = module;
		return true;
	}
	while (workers->places.count <= module.module) {
		if (!array_append(&workers->places, 0))
			return false;
	}
	if (!array_append(&workers->modules, module))
		return false;
	workers->places.items[module.module] = (uint32_t)workers->modules.count;
	return true;
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

	if (!module || module >= MODULE_LIMIT)
		return error_create(ERROR_GENERAL, EINVAL, NULL, "module %u", module);
	if (!keep_module(workers, handed) ||
	    (wants_table && !table_queue_push(&workers->queue, module, size_bytes)))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "module");
	return workers_hand_over(&workers->names, &handed);
}

bool workers_rebuild_table(struct workers *workers, uint32_t module)
{
	struct handed_module *handed = workers_find(workers, module);

	if (!handed || handed->waits_for_table ||
	    !table_queue_push(&workers->queue, module, handed->size_bytes))
		return false;
	handed->waits_for_table = true;
	return true;
}

void workers_build(struct workers *workers)
{
	workers_build_waiting(workers);
}

size_t workers_count_waiting(const struct workers *workers)
{
	size_t count = table_queue_count(&workers->queue);

	for (unsigned i = 0; i < workers->tables_allowed; i++)
		count += workers->tables[i].building != MODULE_UNKNOWN;
	return count;
}

void workers_restart_names(struct workers *workers, uint32_t module, uint32_t generation)
{
	struct handed_module *handed = workers_find(workers, module);

	if (generation != workers->names_starts)
		return;
	if (handed)
		handed->names_failures++;
	workers_kill(&workers->names);
}

/* ---- replacing ---- */

static void forget_child(struct worker *worker)
{
	channel_destroy(worker->channel);
	worker->channel = NULL;
	worker->child.pid = 0;
}

static void replace_names(struct workers *workers)
{
	forget_child(&workers->names);
	error_destroy(start_names(workers));
	if (workers->names.child.pid <= 0)
		give_up(workers, "names");
}

static void replace_tables(struct worker *worker)
{
	forget_child(worker);
	workers_take_back(worker);
	workers_start_tables(worker->workers, worker);
	workers_build_waiting(worker->workers);
}

bool workers_handle_exit(struct workers *workers, pid_t pid)
{
	struct worker *dead = NULL;

	for (unsigned i = 0; i < workers->tables_allowed; i++) {
		if (pid == workers->tables[i].child.pid)
			dead = &workers->tables[i];
	}
	if (dead)
		replace_tables(dead);
	else if (pid == workers->names.child.pid)
		replace_names(workers);
	else
		return false;
	workers->ops->pids(workers->arg);
	return true;
}

size_t workers_get_pids(const struct workers *workers, pid_t ret[WORKERS_PIDS_MAX])
{
	ret[0] = workers->names.child.pid;
	for (unsigned i = 0; i < workers->tables_allowed; i++)
		ret[1 + i] = workers->tables[i].child.pid;
	return 1 + workers->tables_allowed;
}
