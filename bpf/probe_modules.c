/* The target's modules and mappings, from /proc to the walker: found, handed to the workers, published. */
#include "bpf/probe_internal.h"

#include "base/cleanup.h"
#include "bpf/tables.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Tables that come within so long are published together. */
#define FLUSH_MS 3
/* Tables that are taken away in one flush: before Linux 6.8 each of them waits ~10 ms. */
#define REMOVALS_AT_ONCE 32
/* A look takes at most one part in so many of a CPU, however many mappings there are: the target, too, waits
 * for its mmap_lock meanwhile. */
#define REFRESH_SHARE 30

static void announce_module(struct probe *probe, uint32_t id, enum module_kind kind, const char *shown,
			    int fd, uint64_t size_bytes, bool wants_table)
{
	struct probe_module_message message = {
		.module = id,
		.kind = kind == MODULE_KIND_JITDUMP ? MODULE_KIND_FILE : kind,
		.size_bytes = size_bytes,
	};
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
	workers_build(probe->workers);
	error_destroy(error);
}

void probe_stop_reading_kernel(struct probe *probe)
{
	loop_remove(probe->kernel_source);
	probe->kernel_source = NULL;
	kernel_text_destroy(probe->kernel_text);
	probe->kernel_text = NULL;
	if (probe->kernel_turn > 0)
		close(probe->kernel_turn);
	probe->kernel_turn = 0;
}

static void end_kernel_names(struct probe *probe, struct error *error, int fd)
{
	struct stat status;

	probe_stop_reading_kernel(probe);
	if (error)
		probe_send_note(probe, error_get_message(error));
	else if (fstat(fd, &status) == 0)
		announce_module(probe, MODULE_KERNEL, MODULE_KIND_KERNEL, "[kernel]", fd,
				(uint64_t)status.st_size, false);
	error_destroy(error);
	probe->on_kernel_names(probe);
}

static void on_kernel_turn(void *arg, uint32_t events)
{
	struct probe *probe = arg;
	int fd = -1;
	struct error *error = kernel_text_read(probe->kernel_text, &fd);

	if (error || fd >= 0)
		end_kernel_names(probe, error, fd);
}

struct error *probe_announce_kernel(struct probe *probe, void (*done)(struct probe *probe))
{
	struct error *error = kernel_text_open(&probe->kernel_text);

	probe->on_kernel_names = done;
	if (error) {
		end_kernel_names(probe, error, -1);
		return NULL;
	}
	/* A turn of the loop for each piece: the tables come meanwhile. */
	probe->kernel_turn = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
	if (probe->kernel_turn < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "kernel symbols");
	return loop_add_fd(probe->loop, probe->kernel_turn, EPOLLIN, on_kernel_turn, probe,
			   &probe->kernel_source);
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void say_about_table(struct probe *probe, uint32_t module, const char *why)
{
	const struct target_module *about = modules_get(probe->modules, module);

	snprintf(probe->table_note, sizeof(probe->table_note), "%.80s: %.150s",
		 about ? last_component(about->shown) : "[vdso]", why);
}

/* Where that fails, the walker waits for the mappings to be read, as it does for new files. */
static void know_file(struct probe *probe, const struct target_module *module)
{
	const struct file_key key = {
		.inode = module->inode,
		.device = module->dev_major << 20 | module->dev_minor,
	};
	const struct known_file file = {
		.size_bytes = module->size_bytes,
		.modified_s = module->modified.tv_sec,
		.modified_ns = (uint32_t)module->modified.tv_nsec,
		.module = module->id,
	};

	if (module->fd >= 0)
		error_destroy(collector_know_file(probe->collector, &key, &file));
}

static void announce_fresh(struct probe *probe, const struct modules_change *change)
{
	for (size_t i = 0; i < change->fresh_count; i++) {
		const struct target_module *module = change->fresh[i];
		bool is_dump = probe_jit_take_dump(probe, module);

		announce_module(probe, module->id, is_dump ? MODULE_KIND_JITDUMP : MODULE_KIND_FILE,
				module->shown, module->fd, module->size_bytes, module->fd >= 0 && !is_dump);
		know_file(probe, module);
		if (module->why) {
			char text[240];

			snprintf(text, sizeof(text), "%.80s: %.150s", last_component(module->shown),
				 module->why);
			probe_send_note(probe, text);
		}
	}
	workers_build(probe->workers);
	if (change->fresh_count)
		probe_send_tables(probe);
}

/* Publishing waits for the kernel: what comes within a moment goes in one flush, and all that comes before
 * the first sample, too. */
static void flush_soon(struct probe *probe)
{
	if (probe->is_flush_due || !probe->is_collecting)
		return;
	probe->is_flush_due = true;
	error_destroy(loop_set_timer(probe->flush_timer, FLUSH_MS, 0));
}

/* The first sample need not wait for more. */
static void start_without_grace(struct probe *probe)
{
	if (!probe->is_collecting && probe->start_timer && !workers_count_waiting(probe->workers))
		error_destroy(loop_set_timer(probe->start_timer, 1, 0));
}

static void queue_table(struct probe *probe, uint32_t module, uint64_t bytes, int inner_fd)
{
	struct error *error = collector_queue_loaded(probe->collector, module, inner_fd);

	/* Where no fd is left the table cannot be shared, and that is all. */
	if (!error)
		error = table_cache_put(probe->tables, module, bytes, fcntl(inner_fd, F_DUPFD_CLOEXEC, 3));
	if (error)
		say_about_table(probe, module, error_get_message(error));
	error_destroy(error);
}

static void on_table(void *arg, uint32_t module, int fd, const char *why)
{
	struct probe *probe = arg;
	_cleanup_close_ int memfd = fd, inner = -1;
	struct stat status = {.st_size = TABLE_CHUNK_BYTES};
	struct error *error = NULL;

	probe->table_note[0] = '\0';
	probe->tables_ready++;
	if (memfd >= 0 && fstat(memfd, &status) == 0)
		error = table_load(memfd, &inner);
	else if (!*why)
		/* Without unwind information: the walker tries frame pointers there. */
		error = table_make_empty(&inner);
	else
		say_about_table(probe, module, why);
	/* This one is not only a moment's news. */
	if (strncmp(why, WORKERS_SET_ASIDE, strlen(WORKERS_SET_ASIDE)) == 0)
		probe_send_note(probe, probe->table_note);
	if (error)
		say_about_table(probe, module, error_get_message(error));
	else if (inner >= 0)
		queue_table(probe, module, (uint64_t)status.st_size, inner);
	error_destroy(error);
	probe_send_tables(probe);
	flush_soon(probe);
	start_without_grace(probe);
}

static bool on_share_table(void *arg, uint32_t module, uint32_t twin)
{
	struct probe *probe = arg;
	uint64_t bytes = 0;
	int inner = table_cache_get(probe->tables, twin, &bytes);

	if (inner < 0)
		return false;
	probe->table_note[0] = '\0';
	probe->tables_ready++;
	queue_table(probe, module, bytes, inner);
	probe_send_tables(probe);
	flush_soon(probe);
	start_without_grace(probe);
	return true;
}

static uint64_t read_heat(void *arg, uint32_t module)
{
	struct probe *probe = arg;

	return collector_read_missing(probe->collector, module);
}

/* What is removed is published as what is new is: in one flush. */
static void remove_surplus(struct probe *probe)
{
	uint32_t module;

	for (unsigned i = 0; i < REMOVALS_AT_ONCE; i++) {
		module = table_cache_take_surplus(probe->tables);
		if (module == MODULE_UNKNOWN)
			return;
		error_destroy(collector_queue_removal(probe->collector, module));
	}
}

void probe_on_flush_timer(void *arg)
{
	struct probe *probe = arg;
	struct error *error;

	remove_surplus(probe);
	error = collector_flush_tables(probe->collector);
	probe->is_flush_due = false;
	if (table_cache_has_surplus(probe->tables))
		flush_soon(probe);
	if (error)
		probe_send_note(probe, error_get_message(error));
	error_destroy(error);
	probe_heap_on_tables(probe);
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
	.share_table = on_share_table,
	.heat = read_heat,
	.hooks = on_hooks,
	.given_up = on_given_up,
	.names_socket = on_names_socket,
	.pids = probe_send_pids,
};

/* ---- mappings ---- */

/* A module whose table had to go is mapped again. */
static void on_come_back(void *arg, uint32_t module)
{
	struct probe *probe = arg;

	probe->tables_total += workers_rebuild_table(probe->workers, module);
}

/* After the new mappings are published: no walk needs the table of what is not in them. */
static void look_after_tables(struct probe *probe, const struct modules_change *change)
{
	struct error *error =
		table_cache_look(probe->tables, change->mappings, change->count, on_come_back, probe);

	if (error)
		probe_send_note(probe, error_get_message(error));
	error_destroy(error);
	workers_build(probe->workers);
	if (table_cache_has_surplus(probe->tables))
		flush_soon(probe);
}

struct error *probe_refresh(struct probe *probe)
{
	/* Before the mappings: if an exec comes in between, the walker sees that they are not its. */
	uint64_t exec_count = collector_read_exec_count(probe->collector);
	uint64_t remap_count = collector_read_remap_count(probe->collector);
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
	probe_jit_on_mappings(probe, &change);
	if (change.changed)
		probe_heap_on_mappings(probe);
	if (change.changed)
		probe->refresh_ms = REFRESH_LEAST_MS;
	else if ((probe->refresh_ms *= 2) > REFRESH_MOST_MS)
		probe->refresh_ms = REFRESH_MOST_MS;
	/* Kept until it has succeeded. The same mappings after an exec must be published too: the walker
	 * follows none that were read before. */
	probe->is_publish_due |= change.changed || exec_count != probe->published_execs ||
				 remap_count != probe->published_remaps;
	if (!probe->is_publish_due)
		return NULL;
	error = collector_publish_mappings(probe->collector, change.mappings, change.count, exec_count,
					   remap_count);
	probe->is_publish_due = error != NULL;
	if (error)
		return error;
	probe->published_execs = exec_count;
	probe->published_remaps = remap_count;
	look_after_tables(probe, &change);
	return NULL;
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
