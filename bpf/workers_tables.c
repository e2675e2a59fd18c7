/* Builds of unwind tables: which worker builds what, and what it answers. */
#include "bpf/workers_internal.h"

#include "base/cleanup.h"
#include "base/hash.h"
#include "base/text.h"
#include "bpf/heap_events.h"

#include <string.h>

/* Deadline of a table: 2 s and 20 ms a MB. */
#define DEADLINE_MS	   2000
#define DEADLINE_MS_PER_MB 20
#define DEADLINE_MS_MOST   600000

static void answer(struct workers *workers, struct handed_module *module, int fd, const char *why)
{
	module->waits_for_table = false;
	workers->ops->table(workers->arg, module->module, fd, why);
}

/* ---- tables that fit two files ----
 * A copy of a library (in a container's layers, unpacked anew by each start of a program) has its build-id
 * and its size. A tool that moves code inside of a file and leaves the build-id hardly leaves the size.
 */

static uint32_t *find_twin_place(struct workers *workers, uint64_t size_bytes)
{
	return &workers->twins[hash_u64(size_bytes) % TWIN_PLACES];
}

static uint32_t find_twin(struct workers *workers, const struct handed_module *module)
{
	uint32_t twin = *find_twin_place(workers, module->size_bytes);

	if (twin == MODULE_UNKNOWN || twin == module->module || module->is_alone ||
	    module->kind != MODULE_KIND_FILE || !workers->ops->share_table ||
	    workers_find(workers, twin)->size_bytes != module->size_bytes)
		return MODULE_UNKNOWN;
	return twin;
}

static void keep_build_id(struct workers *workers, struct handed_module *module,
			  const struct table_message *table)
{
	module->build_id_length = table->build_id_length;
	memcpy(module->build_id, table->build_id, table->build_id_length);
	if (module->build_id_length && module->kind == MODULE_KIND_FILE)
		*find_twin_place(workers, module->size_bytes) = module->module;
}

/* ---- asking ---- */

static unsigned find_deadline(const struct workers *workers, const struct handed_module *module)
{
	uint64_t ms = (workers->ops->deadline_ms ? workers->ops->deadline_ms : DEADLINE_MS) +
		      DEADLINE_MS_PER_MB * (module->size_bytes >> 20);

	return ms > DEADLINE_MS_MOST ? DEADLINE_MS_MOST : (unsigned)ms;
}

static void start_build(struct worker *worker, const struct handed_module *module)
{
	struct build_message message = {.module = module->module};
	const struct handed_module *twin;
	struct error *error;

	worker->building = module->module;
	worker->hooks_came = false;
	worker->twin = find_twin(worker->workers, module);
	if (worker->twin != MODULE_UNKNOWN) {
		twin = workers_find(worker->workers, worker->twin);
		message.build_id_length = twin->build_id_length;
		memcpy(message.build_id, twin->build_id, twin->build_id_length);
	}
	error = workers_hand_over(worker, module);
	if (!error)
		error = channel_send(worker->channel, SYMBOLIZER_BUILD, &message, sizeof(message), NULL, 0);
	if (!error)
		error = loop_set_timer(worker->deadline, find_deadline(worker->workers, module), 0);
	/* It has just died, or cannot be talked to: its end brings the module back. */
	if (error)
		workers_kill(worker);
	error_destroy(error);
}

/* NULL: all are busy, and no more can be started. */
static struct worker *find_free(struct workers *workers)
{
	struct worker *empty = NULL;

	for (unsigned i = 0; i < workers->tables_allowed; i++) {
		struct worker *worker = &workers->tables[i];

		/* One that is about to be replaced gets nothing: its end would be that module's fault. */
		if (worker->channel && !worker->is_doomed && worker->building == MODULE_UNKNOWN)
			return worker;
		if (worker->child.pid <= 0 && !empty)
			empty = worker;
	}
	if (!empty || !workers_start_tables(workers, empty))
		return NULL;
	workers->ops->pids(workers->arg);
	return empty;
}

void workers_build_waiting(struct workers *workers)
{
	while (table_queue_count(&workers->queue)) {
		struct worker *worker = workers->has_no_tables ? NULL : find_free(workers);
		struct handed_module *module;

		if (!worker && !workers->has_no_tables)
			return;
		module = workers_find(workers, table_queue_take(&workers->queue));
		if (worker)
			start_build(worker, module);
		else
			answer(workers, module, -1, "the worker died too often");
	}
}

/* ---- answers ---- */

static void stop_build(struct worker *worker)
{
	worker->building = MODULE_UNKNOWN;
	worker->answers++;
	error_destroy(loop_set_timer(worker->deadline, 0, 0));
}

static void build_again(struct workers *workers, struct handed_module *module)
{
	if (!table_queue_push(&workers->queue, module->module, module->size_bytes))
		answer(workers, module, -1, "memory is short");
}

/* The twin's table fits, if it is still there. */
static void share_table(struct workers *workers, struct handed_module *module, uint32_t twin)
{
	module->waits_for_table = false;
	if (workers->ops->share_table(workers->arg, module->module, twin))
		return;
	module->waits_for_table = true;
	module->is_alone = true;
	build_again(workers, module);
}

bool workers_on_table(struct worker *worker, struct message *message)
{
	const struct table_message *table = message->payload;
	struct workers *workers = worker->workers;
	struct handed_module *module;
	char why[sizeof(table->why)];

	if (message->length != sizeof(*table) || worker->building == MODULE_UNKNOWN ||
	    table->module != worker->building || table->build_id_length > BUILD_ID_MAX ||
	    (table->status == TABLE_SAME && worker->twin == MODULE_UNKNOWN))
		return false;
	module = workers_find(workers, worker->building);
	text_sanitize(table->why, strnlen(table->why, sizeof(table->why)), why, sizeof(why));
	stop_build(worker);
	if (table->status == TABLE_OK && message->fds[0] >= 0) {
		keep_build_id(workers, module, table);
		answer(workers, module, take_fd(&message->fds[0]), "");
	} else if (table->status == TABLE_SAME) {
		share_table(workers, module, worker->twin);
	} else if (table->status == TABLE_NO_EH_FRAME) {
		answer(workers, module, -1, "");
	} else {
		answer(workers, module, -1, *why ? why : "no table");
	}
	workers_build_waiting(workers);
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

static void tell_hooks(struct workers *workers, struct handed_module *module,
		       const struct hooks_message *hooks, size_t length)
{
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

bool workers_on_hooks(struct worker *worker, struct message *message)
{
	const struct hooks_message *hooks = message->payload;

	if (message->length < sizeof(*hooks) || worker->building == MODULE_UNKNOWN || worker->hooks_came ||
	    hooks->module != worker->building || hooks->count > HOOK_PROPOSALS_MAX ||
	    (!hooks->count && !hooks->is_go) ||
	    message->length != sizeof(*hooks) + hooks->count * sizeof(hooks->proposals[0]))
		return false;
	for (uint32_t i = 0; i < hooks->count; i++) {
		if (!is_sound(&hooks->proposals[i]))
			return false;
	}
	worker->hooks_came = true;
	tell_hooks(worker->workers, workers_find(worker->workers, worker->building), hooks, message->length);
	return true;
}

/* ---- failures ---- */

void workers_on_deadline(void *arg)
{
	struct worker *worker = arg;
	uint64_t answers = worker->answers;

	/* When it was the probe that did not run (^Z, a busy machine), the answer may be there already. */
	if (worker->channel)
		channel_drain(worker->channel);
	/* Its end brings workers_handle_exit(), which counts the failure and goes on. */
	if (worker->answers == answers)
		workers_kill(worker);
}

void workers_take_back(struct worker *worker)
{
	struct handed_module *module = workers_find(worker->workers, worker->building);

	if (!module)
		return;
	stop_build(worker);
	if (++module->table_failures >= FAILURES_MAX)
		answer(worker->workers, module, -1,
		       WORKERS_SET_ASIDE "reading its unwind tables killed two workers");
	else
		build_again(worker->workers, module);
}
