/* Names of code that the target makes at run time: its files are looked for while it has such code. */
#include "bpf/probe_internal.h"

#include "bpf/jit_files.h"

#include <stddef.h>
#include <string.h>

/* Between two looks: at first short, the map comes soon after the first code or was there before. */
#define LOOK_LEAST_MS 20
#define LOOK_MOST_MS  1000

static void hand_over_map(struct probe *probe, const struct jit_look *look)
{
	struct error *error = workers_add_module(probe->workers, MODULE_ANONYMOUS, MODULE_KIND_PERF_MAP,
						 look->new_map_fd, look->map_bytes, false);

	if (error)
		probe_send_note(probe, error_get_message(error));
	error_destroy(error);
}

/* kiln asks for names then. */
static void tell(struct probe *probe, const struct jit_look *look)
{
	struct probe_module_message message = {
		.module = MODULE_ANONYMOUS, .kind = MODULE_KIND_ANONYMOUS, .size_bytes = look->total_bytes};

	probe_copy_text(message.path, sizeof(message.path), "[anon]");
	probe_send(probe, PROBE_MODULE, &message,
		   offsetof(struct probe_module_message, path) + strlen(message.path) + 1);
}

static void look(struct probe *probe, bool is_last)
{
	struct jit_look found;

	jit_files_look(probe->jit, probe->target, is_last, &found);
	/* The workers first: what kiln asks them must have arrived. */
	if (found.new_map_fd >= 0)
		hand_over_map(probe, &found);
	if (found.has_news)
		tell(probe, &found);
	if (*found.why)
		probe_send_note(probe, found.why);
}

static void on_timer(void *arg)
{
	struct probe *probe = arg;

	look(probe, false);
	probe->jit_ms *= 2;
	if (probe->jit_ms > LOOK_MOST_MS)
		probe->jit_ms = LOOK_MOST_MS;
	error_destroy(loop_set_timer(probe->jit_timer, probe->jit_ms, 0));
}

static bool has_anonymous_code(const struct modules_change *change)
{
	for (size_t i = 0; i < change->count; i++)
		if (change->mappings[i].module == MODULE_ANONYMOUS)
			return true;
	return false;
}

static bool start(struct probe *probe)
{
	struct error *error = NULL;

	if (!probe->jit)
		error = jit_files_create(&probe->jit);
	if (!error && !probe->jit_timer)
		error = loop_add_timer(probe->loop, 0, 0, on_timer, probe, &probe->jit_timer);
	if (error)
		probe_send_note(probe, error_get_message(error));
	error_destroy(error);
	return probe->jit && probe->jit_timer;
}

bool probe_jit_take_dump(struct probe *probe, const struct target_module *module)
{
	return module->fd >= 0 && jit_files_is_dump(module->path) && start(probe) &&
	       jit_files_add_dump(probe->jit, probe->target, module->fd);
}

void probe_jit_on_mappings(struct probe *probe, const struct modules_change *change)
{
	if (!change->changed || (probe->jit_ms && !change->fresh_count))
		return;
	if (!has_anonymous_code(change) || !start(probe))
		return;
	look(probe, false);
	if (!probe->jit_ms) {
		probe->jit_ms = LOOK_LEAST_MS;
		error_destroy(loop_set_timer(probe->jit_timer, probe->jit_ms, 0));
	}
}

void probe_jit_look_last(struct probe *probe)
{
	if (!probe->jit_timer)
		return;
	look(probe, true);
	error_destroy(loop_set_timer(probe->jit_timer, 0, 0));
}

void probe_jit_stop(struct probe *probe)
{
	loop_remove(probe->jit_timer);
	probe->jit_timer = NULL;
	jit_files_destroy(probe->jit);
	probe->jit = NULL;
}
