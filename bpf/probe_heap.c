#include "bpf/probe_heap.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "bpf/heap.h"
#include "bpf/probe_internal.h"
#include "bpf/process.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* The price is looked at so often, over the last so many looks. */
#define LOOK_MS 250
#define LOOKS	4
/* Below this part of one CPU a share of the target's own time says nothing: it sleeps. */
#define LEAST_SHARE 0.005
/* Children are freed from their traps at this pace: a sweep costs some ms a file. */
#define SWEEP_MS  200
#define HOOKS_MAX 256
/* So long a program is starting. */
#define START_NS 2000000000u
/* In the flags of /proc/PID/stat (include/linux/sched.h). */
#define PF_EXITING 0x4

#define GO_ALONE "a Go program: its runtime allocates by itself, and probes would break it"
#define GO_BESIDE                                                                                            \
	"a Go program: what its runtime allocates is not in these books, only what goes through malloc"

struct price {
	uint64_t time_ns, target_ns;
	double cost_ns;
};

/* Copies of proposals; for base/array.h. */
struct hooks_list {
	struct hooks_message **items;
	size_t count, capacity;
};

struct probe_heap {
	enum uprobe_links links;
	struct heap_books *books;
	enum heap_state state;
	char why[240]; /* OFF, CLOSED; WAITING: what was refused */
	uint64_t since_ns, exec_ns, unseen_ns, end_ns;
	struct uprobe_costs costs;
	bool has_costs;
	struct price looks[LOOKS + 1]; /* newest first */
	unsigned look_count;
	struct price first;
	double cost_pct; /* since the books were opened */
	struct loop_source *look_timer, *sweep_timer;
	bool is_sweep_due;
	bool was_told; /* kiln has the fds */
	bool has_go;
	size_t chunks_told;
	struct hooks_list waiting; /* until sampling has begun, and their module's table is in place */
	struct hooks_list again;   /* did not fit the mappings that were known then */
	bool had_exec;
	bool lost_leader;     /* at the last look */
	uint64_t forks_swept; /* the target's children when the last sweep began */
};

/* ---- words ---- */

static void tell(struct probe *probe)
{
	struct probe_heap *heap = probe->heap;
	struct heap_message message = {
		.state = heap->state,
		.sites = heap->books ? (uint32_t)heap_books_count_sites(heap->books) : 0,
		.time_ns = heap->state == HEAP_CLOSED ? heap->end_ns : heap->since_ns,
		.unseen_ns = heap->unseen_ns,
		.cost_pct = heap->cost_pct,
		.budget_pct =
			probe->options->heap == HEAP_CHOICE_AUTO ? probe->options->max_overhead_pct : NAN,
	};
	int fds[3];
	unsigned fd_count = 0;

	probe_copy_text(message.text, sizeof(message.text), heap->why);
	if (heap->state == HEAP_EXACT && !heap->was_told) {
		message.ring_bytes = heap_books_get_ring_bytes(heap->books);
		fds[fd_count++] = heap_books_get_ring_fd(heap->books);
		fds[fd_count++] = heap_books_get_global_fd(heap->books);
		fds[fd_count++] = heap_books_get_counters_fd(heap->books);
		heap->was_told = true;
	}
	if (probe->kiln)
		error_destroy(
			channel_send(probe->kiln, PROBE_HEAP, &message, sizeof(message), fds, fd_count));
}

static void tell_chunks(struct probe *probe)
{
	struct probe_heap *heap = probe->heap;

	while (heap->chunks_told < heap_books_count_chunks(heap->books)) {
		struct heap_chunk_message message = {.index = (uint32_t)heap->chunks_told};
		int fd = heap_books_get_chunk_fd(heap->books, heap->chunks_told++);

		if (probe->kiln)
			error_destroy(channel_send(probe->kiln, PROBE_HEAP_CHUNK, &message, sizeof(message),
						   &fd, 1));
	}
}

static void set_state(struct probe *probe, enum heap_state state, const char *why)
{
	probe->heap->state = state;
	probe_copy_text(probe->heap->why, sizeof(probe->heap->why), why);
	tell(probe);
}

/* For good, and in words. Takes the error. */
static void give_up(struct probe *probe, struct error *error)
{
	char why[240];

	if (!target_is_alive(probe->target)) {
		error_destroy(error);
		set_state(probe, HEAP_OFF, "the target ended before a probe was in place");
		return;
	}
	snprintf(why, sizeof(why), "%s%s%s", error_get_message(error), error_get_hint(error) ? ": " : "",
		 error_get_hint(error) ? error_get_hint(error) : "");
	error_destroy(error);
	set_state(probe, HEAP_OFF, why);
}

/* ---- proposals that are kept ---- */

static void drop_list(struct hooks_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->items[i]);
	array_deinit(list);
}

/* Without memory they are forgotten. */
static void keep_hooks(struct hooks_list *list, uint32_t module, const struct hooks_message *message)
{
	size_t bytes = sizeof(*message) + message->count * sizeof(message->proposals[0]);
	struct hooks_message *copy = malloc(bytes);

	if (!copy)
		return;
	memcpy(copy, message, bytes);
	copy->module = module;
	if (!array_append(list, copy))
		free(copy);
}

/* ---- starting ---- */

void probe_heap_prepare(struct probe *probe)
{
	struct error *error;

	probe->heap = calloc(1, sizeof(*probe->heap));
	if (!probe->heap)
		return;
	probe->heap->cost_pct = NAN;
	probe->heap->state = HEAP_WAITING;
	if (probe->options->heap == HEAP_CHOICE_OFF) {
		probe->heap->state = HEAP_OFF;
		probe_copy_text(probe->heap->why, sizeof(probe->heap->why), "switched off");
		return;
	}
	error = uprobes_choose(&probe->heap->links);
	if (!error)
		return;
	probe->heap->state = HEAP_OFF;
	snprintf(probe->heap->why, sizeof(probe->heap->why), "%s", error_get_message(error));
	error_destroy(error);
}

bool probe_heap_needs_admin(const struct probe *probe)
{
	return probe->heap && probe->heap->state == HEAP_WAITING && probe->heap->links == UPROBE_PERF;
}

/* What speaks against probes in this very process; NULL: nothing. */
static const char *check_target(struct probe *probe)
{
	bool has_seccomp = false, survives = false;
	const char *why = hooks_check_target(probe->target, &has_seccomp);
	struct error *error;

	if (why)
		return why;
	/* Tried always: a filter may come later, here or in a child that still has the traps. */
	error = uprobes_try_seccomp(probe->heap->links, &survives);
	if (!error && !survives)
		why = "on this kernel probes are deadly under a seccomp filter";
	else if (error && has_seccomp)
		why = "the target has a seccomp filter, and a trial of probes under one failed";
	error_destroy(error);
	return why;
}

static void on_look(void *arg);
static void on_sweep(void *arg);

void probe_heap_start(struct probe *probe)
{
	struct probe_heap *heap = probe->heap;
	const char *why;
	struct error *error;

	if (!heap)
		return;
	if (heap->state == HEAP_OFF) {
		tell(probe);
		return;
	}
	why = check_target(probe);
	if (why) {
		set_state(probe, HEAP_OFF, why);
		return;
	}
	error = loop_add_timer(probe->loop, 0, 0, on_look, probe, &heap->look_timer);
	if (!error)
		error = loop_add_timer(probe->loop, 0, 0, on_sweep, probe, &heap->sweep_timer);
	if (error)
		give_up(probe, error);
	else
		tell(probe);
}

void probe_heap_destroy(struct probe *probe)
{
	if (!probe->heap)
		return;
	heap_books_destroy(probe->heap->books);
	drop_list(&probe->heap->waiting);
	drop_list(&probe->heap->again);
	loop_remove(probe->heap->look_timer);
	loop_remove(probe->heap->sweep_timer);
	free(take_ptr(probe->heap));
}

static struct error *open_books(struct probe *probe)
{
	struct heap_books_options options = {
		.tgid = probe->target->pid,
		.links = probe->heap->links,
		.shared = collector_get_shared_maps(probe->collector),
	};
	/* For the tests that force losses. */
	const char *ring_bytes = getenv("KILN_HEAP_RING_BYTES");
	const char *memory_bytes = getenv("KILN_HEAP_MEMORY_BYTES"), *memo = getenv("KILN_MEMO");

	if (ring_bytes)
		options.ring_bytes = strtoul(ring_bytes, NULL, 0);
	if (memory_bytes)
		options.memory_bytes = strtoull(memory_bytes, NULL, 0);
	options.has_no_memo = memo && !strcmp(memo, "off");
	return heap_books_create(&options, &probe->heap->books);
}

/* ---- hooks ---- */

struct refusal {
	struct probe *probe;
	const char *module;
	bool may_pass; /* with other mappings it might be taken */
};

/* The first refusal is the reason that is shown, if nothing else is found; each is said. */
static void on_refused(void *arg, const char *name, const char *why)
{
	struct refusal *refusal = arg;
	struct probe_heap *heap = refusal->probe->heap;
	char text[240];

	if (!strcmp(why, HOOKS_NOT_MAPPED) || !strcmp(why, HOOKS_NOT_READ)) {
		refusal->may_pass = true;
		return;
	}
	snprintf(text, sizeof(text), "heap: %.32s in %.60s gets no probe: %.120s", name, refusal->module,
		 why);
	probe_send_note(refusal->probe, text);
	/* With books open it is no reason for anything, and said as an event. */
	if (heap->state == HEAP_WAITING && (!heap->why[0] || !strcmp(name, "malloc")))
		snprintf(heap->why, sizeof(heap->why), "%.32s in %.60s: %.120s", name, refusal->module, why);
}

static void send_wrappers(struct probe *probe, uint32_t module, const struct hooks_message *message)
{
	_cleanup_free_ struct heap_wrappers_message *wrappers =
		calloc(1, sizeof(*wrappers) + message->count * sizeof(wrappers->ranges[0]));

	if (!wrappers)
		return;
	wrappers->module = module;
	for (uint32_t i = 0; i < message->count; i++) {
		const struct hook_proposal *proposal = &message->proposals[i];

		/* The allocator's own functions call one another: calloc may be malloc's caller. */
		if (proposal->length && !(proposal->flags & HOOK_LIES))
			wrappers->ranges[wrappers->count++] =
				(struct heap_range){proposal->start, proposal->start + proposal->length};
	}
	if (wrappers->count)
		probe_send(probe, PROBE_HEAP_WRAPPERS, wrappers,
			   sizeof(*wrappers) + wrappers->count * sizeof(wrappers->ranges[0]));
}

static const char *last_component(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

static void on_attached(struct probe *probe)
{
	struct probe_heap *heap = probe->heap;
	uint64_t now_ns = probe_clock_ns(CLOCK_MONOTONIC);

	if (heap->state != HEAP_EXACT) {
		heap->since_ns = now_ns;
		heap->forks_swept = collector_read_fork_count(probe->collector);
		probe_copy_text(heap->why, sizeof(heap->why), heap->has_go ? GO_BESIDE : "");
		heap->state = HEAP_EXACT;
		heap->first = (struct price){.time_ns = now_ns};
		target_read_cpu_ns(probe->target, &heap->first.target_ns);
		error_destroy(loop_set_timer(heap->look_timer, LOOK_MS, LOOK_MS));
	}
	/* Of the program that runs since the last exec; a module that comes much later has missed nothing. */
	if (heap->exec_ns && now_ns - heap->exec_ns < START_NS)
		heap->unseen_ns = now_ns - heap->exec_ns;
	heap->exec_ns = 0;
	tell(probe);
	tell_chunks(probe);
	/* The kernel's page of trampolines has just appeared in the target. */
	probe_refresh_soon(probe);
}

static struct error *prepare(struct probe *probe)
{
	struct error *error = probe->heap->books ? NULL : open_books(probe);

	if (!error && !probe->heap->has_costs) {
		error = uprobes_measure_costs(probe->heap->links, &probe->heap->costs);
		probe->heap->has_costs = !error;
	}
	return error;
}

void probe_heap_open(struct probe *probe)
{
	/* If it fails now, it fails again with the first module, and is said then. */
	if (probe->heap && probe->heap->state == HEAP_WAITING)
		error_destroy(prepare(probe));
}

/* A trap that is single-stepped costs twenty times as much in a virtual machine: only for what is hardly ever
 * called. glibc's reallocarray has no other place. */
static size_t drop_slow_hooks(struct hook *hooks, size_t count, struct refusal *refusal)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (!hooks[i].is_stepped || hooks[i].kind == HEAP_REALLOCARRAY)
			hooks[kept++] = hooks[i];
		else
			on_refused(refusal, hooks[i].name, "a trap there would be slow");
	}
	return kept;
}

static void put_hooks(struct probe *probe, uint32_t module, const struct hooks_message *message)
{
	struct probe_heap *heap = probe->heap;
	const struct target_module *about = modules_get(probe->modules, module);
	struct refusal refusal = {.probe = probe, .module = about ? last_component(about->shown) : ""};
	_cleanup_free_ struct hook *hooks = NULL;
	struct error *error;
	size_t count;

	if (!heap || !about || about->fd < 0 || (heap->state != HEAP_WAITING && heap->state != HEAP_EXACT))
		return;
	if (message->is_go) {
		heap->has_go = true;
		if (heap->state == HEAP_EXACT)
			set_state(probe, HEAP_EXACT, GO_BESIDE);
		return;
	}
	send_wrappers(probe, module, message);
	hooks = calloc(HOOKS_MAX, sizeof(*hooks));
	if (!hooks)
		return;
	count = hooks_check(
		&(struct hooks_request){
			.target = probe->target,
			.fd = about->fd,
			.module = module,
			.mappings = probe->mappings,
			.mapping_count = probe->mapping_count,
			.proposals = message->proposals,
			.proposal_count = message->count,
			.takes_moved = true,
			.takes_stepped = true,
		},
		hooks, HOOKS_MAX, on_refused, &refusal);
	count = drop_slow_hooks(hooks, count, &refusal);
	if (!count && refusal.may_pass)
		keep_hooks(&heap->again, module, message);
	if (!count)
		return;
	error = prepare(probe);
	if (!error)
		error = heap_books_attach(heap->books, module, about->fd, hooks, count);
	if (!error) {
		on_attached(probe);
		return;
	}
	/* One file less is an incomplete heap, no heap less: it is said. */
	if (heap->state == HEAP_EXACT) {
		probe_send_note(probe, error_get_message(error));
		error_destroy(error);
		return;
	}
	give_up(probe, error);
}

void probe_heap_on_hooks(struct probe *probe, uint32_t module, const struct hooks_message *message)
{
	if (probe->heap && probe->heap->state != HEAP_OFF)
		keep_hooks(&probe->heap->waiting, module, message);
}

/* The kernel's page of trampolines in the target; 0: none has been needed yet. */
static uint64_t find_trampoline(const struct probe *probe)
{
	for (size_t i = 0; i < probe->mapping_count; i++)
		if (probe->mappings[i].flags & MAPPING_TRAMPOLINE)
			return probe->mappings[i].start;
	return 0;
}

static void put_list(struct probe *probe, struct hooks_list *list)
{
	struct hooks_list taken = *list;

	/* What does not fit now either is put into the list again. */
	*list = (struct hooks_list){0};
	for (size_t i = 0; i < taken.count; i++)
		put_hooks(probe, taken.items[i]->module, taken.items[i]);
	drop_list(&taken);
}

/* All tables have been answered: if no allocator was among the modules, that is said. */
static void say_nothing_found(struct probe *probe)
{
	struct probe_heap *heap = probe->heap;

	/* A command that has not called exec yet has no modules. */
	if (!heap || heap->state != HEAP_WAITING || heap->waiting.count ||
	    (probe->launch.pid && !heap->had_exec))
		return;
	if (!heap->why[0] && heap->has_go)
		probe_copy_text(heap->why, sizeof(heap->why), GO_ALONE);
	else if (!heap->why[0])
		probe_copy_text(heap->why, sizeof(heap->why), "no module defines malloc by name");
	tell(probe);
}

void probe_heap_on_tables(struct probe *probe)
{
	if (!probe->heap || !probe->is_collecting)
		return;
	put_list(probe, &probe->heap->waiting);
	if (!workers_count_waiting(probe->workers))
		say_nothing_found(probe);
}

void probe_heap_on_mappings(struct probe *probe)
{
	struct probe_heap *heap = probe->heap;

	if (!heap)
		return;
	if (heap->books)
		heap_books_set_trampoline(heap->books, find_trampoline(probe));
	if (heap->again.count && probe->is_collecting)
		put_list(probe, &heap->again);
}

/* ---- the end ---- */

/* A thread that is not the main one, and does not end. */
static bool is_running_thread(int task_fd, const char *tid)
{
	char path[NAME_MAX + 8], text[512], *behind;
	unsigned flags;
	char state;
	ssize_t length;
	_cleanup_close_ int fd = -1;

	snprintf(path, sizeof(path), "%s/stat", tid);
	fd = openat(task_fd, path, O_RDONLY | O_CLOEXEC);
	length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (length <= 0)
		return false;
	text[length] = '\0';
	behind = strrchr(text, ')');
	return behind && sscanf(behind + 1, " %c %*d %*d %*d %*d %*d %u", &state, &flags) == 2 &&
	       state != 'Z' && state != 'X' && !(flags & PF_EXITING);
}

/* Without its main thread a process goes on, but the kernel's filter of probes finds no memory by it. Not so
 * while all of it ends. */
static bool has_lost_leader(const struct target *target)
{
	struct process process = {.pid = target->pid, .proc_fd = target->proc_fd};
	int fd = -1;
	bool is_running = false;
	struct dirent *entry;
	DIR *dir;

	if (!process_read_stat(&process) || process.state != 'Z' || !target_is_alive(target))
		return false;
	fd = openat(target->proc_fd, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	while (dir && !is_running && (entry = readdir(dir)))
		is_running = isdigit((unsigned char)entry->d_name[0]) && atoi(entry->d_name) != target->pid &&
			     is_running_thread(fd, entry->d_name);
	if (dir)
		closedir(dir);
	else if (fd >= 0)
		close(fd);
	return is_running;
}

static void close_books(struct probe *probe, const char *why)
{
	struct probe_heap *heap = probe->heap;

	heap_books_close(heap->books);
	heap->end_ns = probe_clock_ns(CLOCK_MONOTONIC);
	set_state(probe, HEAP_CLOSED, why);
	error_destroy(loop_set_timer(heap->look_timer, 0, 0));
	heap_books_detach(heap->books);
}

/* ---- what happens ---- */

void probe_heap_on_room(struct probe *probe, const struct control_record *record)
{
	int chunk;

	if (!probe->heap || !probe->heap->books || record->value >= HEAP_ROOM_KINDS)
		return;
	if (!heap_books_grow(probe->heap->books, (enum heap_room_kind)record->value, &chunk))
		probe_send_note(probe, "heap: the books have reached their limit of memory: what is refused "
				       "from now on is counted");
	tell_chunks(probe);
}

void probe_heap_on_exec(struct probe *probe, const struct control_record *record)
{
	struct probe_heap *heap = probe->heap;

	if (!heap || heap->state == HEAP_OFF || heap->state == HEAP_CLOSED)
		return;
	heap->exec_ns = record->time_ns;
	heap->had_exec = true;
	heap->has_go = false;
	if (heap->state != HEAP_EXACT)
		return;
	/* The links belong to the main thread of old, which is gone: the new program would run without a
	 * trap. */
	if (record->pid != (uint32_t)probe->target->pid)
		close_books(
			probe,
			"exec was called by another thread than the main one, and the kernel's probes end "
			"with that");
	else if (heap->why[0])
		set_state(probe, HEAP_EXACT, "");
}

void probe_heap_on_target_gone(struct probe *probe)
{
	/* Children that it has forked may still have the traps. */
	if (probe->heap && probe->heap->books)
		heap_books_detach(probe->heap->books);
}

void probe_heap_on_stop(struct probe *probe)
{
	if (probe->heap && probe->heap->state == HEAP_EXACT && probe->options->heap == HEAP_CHOICE_AUTO)
		close_books(
			probe,
			"kiln was stopped, and nobody watched what the probes cost; --heap=exact goes on");
}

void probe_heap_on_fork(struct probe *probe)
{
	struct probe_heap *heap = probe->heap;

	if (!heap || heap->state != HEAP_EXACT || heap->is_sweep_due)
		return;
	heap->is_sweep_due = true;
	error_destroy(loop_set_timer(heap->sweep_timer, SWEEP_MS, 0));
}

static void on_sweep(void *arg)
{
	struct probe *probe = arg;

	probe->heap->is_sweep_due = false;
	if (probe->heap->state != HEAP_EXACT)
		return;
	probe->heap->forks_swept = collector_read_fork_count(probe->collector);
	error_destroy(heap_books_sweep(probe->heap->books));
}

/* The programs do not tell of each fork when they are many. */
static void sweep_if_forked(struct probe *probe)
{
	if (collector_read_fork_count(probe->collector) != probe->heap->forks_swept)
		probe_heap_on_fork(probe);
}

void probe_heap_close(struct probe *probe)
{
	if (probe->heap && probe->heap->books)
		heap_books_close(probe->heap->books);
}

/* ---- the price ---- */

/* All that the probes have cost the target so far. */
static double sum_cost_ns(const struct probe_heap *heap)
{
	struct heap_counters sum;
	double returned, entered;

	heap_books_read(heap->books, &sum);
	returned = (double)(sum.allocs + sum.failed);
	entered = (double)sum.hits - 2 * returned;
	if (entered < 0)
		entered = 0;
	return returned * heap->costs.return_ns + entered * heap->costs.entry_ns + (double)sum.program_ns;
}

static void take_look(struct probe *probe)
{
	struct probe_heap *heap = probe->heap;
	struct price now = {.time_ns = probe_clock_ns(CLOCK_MONOTONIC), .cost_ns = sum_cost_ns(heap)};

	if (!target_read_cpu_ns(probe->target, &now.target_ns))
		return;
	memmove(&heap->looks[1], &heap->looks[0], LOOKS * sizeof(heap->looks[0]));
	heap->looks[0] = now;
	if (heap->look_count <= LOOKS)
		heap->look_count++;
}

static double get_share(const struct price *from, const struct price *to)
{
	return to->target_ns > from->target_ns
		       ? 100 * (to->cost_ns - from->cost_ns) / (double)(to->target_ns - from->target_ns)
		       : 0;
}

/* Over the last second. A target that hardly runs has no share worth a word. */
static bool is_too_dear(const struct probe *probe, double *ret_share)
{
	const struct probe_heap *heap = probe->heap;
	const struct price *from = &heap->looks[heap->look_count - 1], *to = &heap->looks[0];

	*ret_share = get_share(from, to);
	return probe->options->heap == HEAP_CHOICE_AUTO && *ret_share > probe->options->max_overhead_pct &&
	       to->cost_ns - from->cost_ns >= LEAST_SHARE * (double)(to->time_ns - from->time_ns);
}

static void on_look(void *arg)
{
	struct probe *probe = arg;
	struct probe_heap *heap = probe->heap;
	bool was_lost;
	double share;
	char why[200];

	if (heap->state != HEAP_EXACT || probe->has_exit_record)
		return;
	sweep_if_forked(probe);
	was_lost = heap->lost_leader;
	heap->lost_leader = has_lost_leader(probe->target);
	if (heap->lost_leader && was_lost) {
		close_books(probe, "the main thread has ended, and the kernel follows no probes without it");
		return;
	}
	take_look(probe);
	heap->cost_pct = get_share(&heap->first, &heap->looks[0]);
	if (heap->look_count < 2 || !is_too_dear(probe, &share)) {
		tell(probe);
		return;
	}
	snprintf(why, sizeof(why),
		 "the probes cost %.0f %% of the target's CPU time (budget %g %%); --heap=exact goes on",
		 share, probe->options->max_overhead_pct);
	close_books(probe, why);
}
