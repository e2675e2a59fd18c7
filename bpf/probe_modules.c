/* The target's modules and mappings, from /proc to the walker: found, handed to the workers, published. */
#include "bpf/probe_internal.h"

#include "base/cleanup.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Tables that come within so long are published together. */
#define FLUSH_MS 3
/* A look takes at most one part in so many of a CPU, however many mappings there are: the target, too, waits
 * for its mmap_lock meanwhile. */
#define REFRESH_SHARE 30

static void announce_module(struct probe *probe, uint32_t id, enum module_kind kind, const char *shown,
			    int fd, uint64_t size_bytes, bool wants_table)
{
	struct probe_module_message message = {.module = id, .kind = kind, .size_bytes = size_bytes};
	struct error *error;

	probe_copy_text(message.path, sizeof(message.path), shown);
	/* The workers first: what kiln asks them must have arrived. */
	if (fd >= 0) {
		probe->tables_total += wants_table;
		error = workers_add_module(probe->workers, id, kind, fd, size_bytes, wants_table);
		if (error)
			probe_send_note(probe, error_get_message(error));
		error_destroy(error);
	}
	probe_send(probe, PROBE_MODULE, &message,
		   offsetof(struct probe_module_message, path) + strlen(message.path) + 1);
}

/* What every target has: the vDSO, and the kernel's names. Their fds live as long as the process. */
void probe_announce_vdso(struct probe *probe)
{
	int fd = -1;
	struct stat status;
	struct error *error = modules_open_vdso(&fd);

	if (!error && fstat(fd, &status) == 0)
		announce_module(probe, MODULE_VDSO, MODULE_KIND_VDSO, "[vdso]", fd, (uint64_t)status.st_size,
				true);
	error_destroy(error);
}

void probe_announce_kernel(struct probe *probe)
{
	int fd = -1;
	struct stat status;
	struct error *error = modules_open_kernel(&fd);

	if (error)
		probe_send_note(probe, error_get_message(error));
	else if (fstat(fd, &status) == 0)
		announce_module(probe, MODULE_KERNEL, MODULE_KIND_KERNEL, "[kernel]", fd,
				(uint64_t)status.st_size, false);
	error_destroy(error);
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void announce_fresh(struct probe *probe, const struct modules_change *change)
{
	for (size_t i = 0; i < change->fresh_count; i++) {
		const struct target_module *module = change->fresh[i];

		announce_module(probe, module->id, MODULE_KIND_FILE, module->shown, module->fd,
				module->size_bytes, module->fd >= 0);
		if (module->why) {
			char text[240];

			snprintf(text, sizeof(text), "%.80s: %.150s", last_component(module->shown),
				 module->why);
			probe_send_note(probe, text);
		}
	}
	if (change->fresh_count)
		probe_send_tables(probe);
}

static void on_table(void *arg, uint32_t module, int fd, const char *why)
{
	struct probe *probe = arg;
	_cleanup_close_ int table = fd;
	struct error *error = NULL;
	const struct target_module *about = modules_get(probe->modules, module);
	const char *name = about ? last_component(about->shown) : "[vdso]";

	probe->table_note[0] = '\0';
	probe->tables_ready++;
	if (table >= 0)
		error = collector_queue_table(probe->collector, module, table);
	else
		error = collector_queue_empty_table(probe->collector, module);
	if (error)
		snprintf(probe->table_note, sizeof(probe->table_note), "%.80s: %.150s", name,
			 error_get_message(error));
	else if (table < 0 && *why)
		snprintf(probe->table_note, sizeof(probe->table_note), "%.80s: %.150s", name, why);
	error_destroy(error);
	probe_send_tables(probe);
	/* Publishing waits for the kernel: what comes within a moment goes in one flush. */
	if (!probe->is_flush_due)
		error_destroy(loop_set_timer(probe->flush_timer, FLUSH_MS, 0));
	probe->is_flush_due = true;
}

void probe_on_flush_timer(void *arg)
{
	struct probe *probe = arg;
	struct error *error = collector_flush_tables(probe->collector);

	probe->is_flush_due = false;
	if (error)
		probe_send_note(probe, error_get_message(error));
	error_destroy(error);
	probe_heap_on_tables(probe);
	if (workers_count_waiting(probe->workers))
		return;
	if (!probe->is_collecting && probe->start_timer)
		error_destroy(loop_set_timer(probe->start_timer, 1, 0));
}

static void on_hooks(void *arg, uint32_t module, const struct hooks_message *message)
{
	probe_heap_on_hooks(arg, module, message);
}

static void on_given_up(void *arg, const char *what)
{
	char text[96];

	snprintf(text, sizeof(text), "the worker for %s died too often: there will be no more", what);
	probe_send_note(arg, text);
}

static void on_names_socket(void *arg, int fd, uint32_t generation)
{
	struct worker_message message = {.generation = generation};
	struct probe *probe = arg;
	_cleanup_close_ int socket = fd;

	if (probe->kiln)
		error_destroy(channel_send(probe->kiln, PROBE_WORKER, &message, sizeof(message), &socket, 1));
}

const struct workers_ops probe_workers_ops = {
	.table = on_table,
	.hooks = on_hooks,
	.given_up = on_given_up,
	.names_socket = on_names_socket,
	.pids = probe_send_pids,
};

/* ---- mappings ---- */

struct error *probe_refresh(struct probe *probe)
{
	/* Before the mappings: if an exec comes in between, the walker sees that they are not its. */
	uint64_t exec_count = collector_read_exec_count(probe->collector);
	uint64_t used_ns = probe_clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	struct modules_change change;
	struct error *error;

	probe->last_refresh_ns = probe_clock_ns(CLOCK_MONOTONIC);
	error = modules_refresh(probe->modules, probe->target, &change);
	probe->last_refresh_cost_ns = probe_clock_ns(CLOCK_PROCESS_CPUTIME_ID) - used_ns;
	if (error)
		return error;
	probe->mappings = change.mappings;
	probe->mapping_count = change.count;
	announce_fresh(probe, &change);
	if (change.changed)
		probe_heap_on_mappings(probe);
	if (change.changed)
		probe->refresh_ms = REFRESH_LEAST_MS;
	else if ((probe->refresh_ms *= 2) > REFRESH_MOST_MS)
		probe->refresh_ms = REFRESH_MOST_MS;
	/* Kept until it has succeeded. The same mappings after an exec must be published too: the walker
	 * follows none that were read before. */
	probe->is_publish_due |= change.changed || exec_count != probe->published_execs;
	if (!probe->is_publish_due)
		return NULL;
	error = collector_publish_mappings(probe->collector, change.mappings, change.count, exec_count);
	probe->is_publish_due = error != NULL;
	if (!error)
		probe->published_execs = exec_count;
	return error;
}

void probe_refresh_or_say(struct probe *probe)
{
	struct error *error = probe_refresh(probe);

	/* A target that has just ended is told by its exit. */
	if (error && error_get_code(error) != ERROR_NO_TARGET)
		probe_send_note(probe, error_get_message(error));
	error_destroy(error);
}

/* A look that nobody has asked for does not slow down those that somebody will. */
static void look_after_exec(struct probe *probe)
{
	unsigned pace_ms = probe->refresh_ms;

	probe_refresh_or_say(probe);
	if (probe->refresh_ms > pace_ms)
		probe->refresh_ms = pace_ms;
	if (!--probe->looks_due)
		return;
	error_destroy(loop_set_timer(probe->refresh_timer, probe->look_ms, 0));
	probe->look_ms *= 2;
}

void probe_on_refresh_timer(void *arg)
{
	struct probe *probe = arg;

	if (probe->looks_due)
		look_after_exec(probe);
	else
		probe_refresh_or_say(probe);
}

/* Look again, but not more often than the pace allows. */
void probe_refresh_soon(struct probe *probe)
{
	uint64_t since_ms = (probe_clock_ns(CLOCK_MONOTONIC) - probe->last_refresh_ns) / 1000000;
	uint64_t pace_ms = probe->last_refresh_cost_ns * REFRESH_SHARE / 1000000;

	if (pace_ms < probe->refresh_ms)
		pace_ms = probe->refresh_ms;
	if (since_ms >= pace_ms)
		probe_refresh_or_say(probe);
	else
		error_destroy(loop_set_timer(probe->refresh_timer, (unsigned)(pace_ms - since_ms), 0));
}
