/* What the probe says: modules, tables, events of the target's life, its own death. */
#include "session_internal.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <stddef.h>
#include <string.h>
#include <sys/wait.h>

static void on_exit_event(struct session *session, const struct event_message *event)
{
	char text[96];
	int status = (int)event->status;

	if (event->status == ~0ull) {
		snprintf(text, sizeof(text), "target has ended");
	} else if (WIFSIGNALED(status)) {
		session->exit_kind = EXIT_SIGNAL;
		session->exit_value = WTERMSIG(status);
		snprintf(text, sizeof(text), "target was killed by signal %d (%s)", session->exit_value,
			 strsignal(session->exit_value));
	} else {
		session->exit_kind = EXIT_CODE;
		session->exit_value = WEXITSTATUS(status);
		snprintf(text, sizeof(text), "target has exited with %d", session->exit_value);
	}
	if (event->target_cpu_ns > session->ready.target_cpu_ns)
		session->target_cpu_ns = event->target_cpu_ns - session->ready.target_cpu_ns;
	session_add_event(session, event->time_ns, text);
	session->state = SOURCE_EXITED;
	session_end_collecting(session, event->time_ns);
	session_tell(session, SESSION_EXITED);
}

static void on_event(struct session *session, const struct event_message *event)
{
	char text[256];

	switch (event->kind) {
	case EVENT_EXEC:
		snprintf(text, sizeof(text), "exec: %s", session->target.comm);
		session_add_event(session, event->time_ns, text);
		return;
	case EVENT_FORK:
		snprintf(text, sizeof(text), "fork: child %u (not profiled)", event->pid);
		session_add_event(session, event->time_ns, text);
		return;
	case EVENT_EXIT:
		on_exit_event(session, event);
		return;
	default:
		text_sanitize(event->text, strnlen(event->text, sizeof(event->text)), text, sizeof(text));
		session_add_event(session, event->time_ns, text);
	}
}

static void on_module(struct session *session, const struct probe_module_message *module, size_t length)
{
	char path[4096];
	size_t fixed = offsetof(struct probe_module_message, path);

	text_sanitize(module->path, strnlen(module->path, length - fixed), path, sizeof(path));
	error_destroy(profile_set_module(session->source.profile, module->module,
					 (enum module_kind)module->kind, path));
	error_destroy(symbolizer_client_set_module(session->symbolizer, module->module, module->size_bytes));
	error_destroy(symbolizer_client_set_module_path(session->symbolizer, module->module, path));
	if (module->module == MODULE_ANONYMOUS)
		session_ask_jit_names(session);
}

static void on_ready(struct session *session, struct message *message)
{
	memcpy(&session->ready, message->payload, sizeof(session->ready));
	session->error = session_start_reading(session, message);
	if (session->error) {
		session_tell(session, SESSION_FAILED);
		return;
	}
	session->state = SOURCE_LIVE;
	/* The cost of watching, not that of starting: it would make a short recording look dear. */
	session->self_cpu_start_ns = session_read_self_cpu_ns(session);
	session_update_facts(session);
	session_add_event(session, session->ready.start_ns, "attached");
	session->note[0] = '\0';
	session_tell(session, SESSION_READY);
}

static void on_pids(struct session *session, const struct pids_message *pids)
{
	uint64_t before = session->self_cpu_ns;

	session->pids = *pids;
	if (!session->self_cpu_start_ns)
		session->self_cpu_start_ns = session_read_self_cpu_ns(session);
	/* A replaced worker takes its CPU time with it: the sum must not fall. */
	else if (session_read_self_cpu_ns(session) < before)
		session->self_cpu_start_ns -=
			before - session_read_self_cpu_ns(session) < session->self_cpu_start_ns
				? before - session_read_self_cpu_ns(session)
				: session->self_cpu_start_ns;
}

static void on_failed(struct session *session, const struct failed_message *failed)
{
	error_destroy(session->error);
	session->error = error_create((enum error_code)failed->code, 0, *failed->hint ? failed->hint : NULL,
				      "%s", failed->message);
	session_tell(session, SESSION_FAILED);
}

static void on_paused(struct session *session)
{
	if (session->is_stopping) {
		session_end_collecting(session, session_now_ns());
		session_tell(session, SESSION_STOPPED);
		return;
	}
	session->state = SOURCE_PAUSED;
	session->paused_ns = session_now_ns();
	session->paused_cpu_ns = session_read_process_cpu_ns(session->target.pid);
	session_add_event(session, session->paused_ns, "paused");
	if (session->on_paused)
		session->on_paused(session->on_paused_arg);
}

static void on_worker(struct session *session, struct message *message)
{
	const struct worker_message *worker = message->payload;
	struct error *error;

	session->worker_generation = worker->generation;
	error = symbolizer_client_connect(session->symbolizer, take_fd(&message->fds[0]));

	if (error) {
		snprintf(session->note, sizeof(session->note), "names: %s", error_get_message(error));
		error_destroy(error);
	}
}

/* The probe is ours, but an older or broken one must not make us read beyond the message. */
static bool has_room(const struct message *message)
{
	switch (message->type) {
	case PROBE_TARGET:
		return message->length == sizeof(struct target_message);
	case PROBE_PIDS:
		return message->length == sizeof(struct pids_message);
	case PROBE_WORKER:
		return message->length == sizeof(struct worker_message);
	case PROBE_MODULE:
		return message->length > offsetof(struct probe_module_message, path) &&
		       message->length <= sizeof(struct probe_module_message);
	case PROBE_TABLES:
		return message->length == sizeof(struct tables_message);
	case PROBE_READY:
		return message->length == sizeof(struct ready_message);
	case PROBE_EVENT:
		return message->length == sizeof(struct event_message);
	case PROBE_FAILED:
		return message->length == sizeof(struct failed_message);
	case PROBE_HEAP:
		return message->length == sizeof(struct heap_message);
	case PROBE_HEAP_CHUNK:
		return message->length == sizeof(struct heap_chunk_message);
	default:
		return true;
	}
}

void session_on_message(void *arg, struct message *message)
{
	struct session *session = arg;

	if (!has_room(message))
		return;
	switch (message->type) {
	case PROBE_TARGET:
		memcpy(&session->target, message->payload, sizeof(session->target));
		symbolizer_client_set_root(session->symbolizer, take_fd(&message->fds[0]));
		return;
	case PROBE_PIDS:
		on_pids(session, message->payload);
		return;
	case PROBE_WORKER:
		on_worker(session, message);
		return;
	case PROBE_MODULE:
		on_module(session, message->payload, message->length);
		return;
	case PROBE_TABLES:
		memcpy(&session->tables, message->payload, sizeof(session->tables));
		if (session->tables.note[0])
			snprintf(session->note, sizeof(session->note), "%s", session->tables.note);
		return;
	case PROBE_READY:
		on_ready(session, message);
		return;
	case PROBE_EVENT:
		on_event(session, message->payload);
		return;
	case PROBE_PAUSED:
		on_paused(session);
		return;
	case PROBE_END:
		session_tell(session, SESSION_END);
		return;
	case PROBE_FAILED:
		on_failed(session, message->payload);
		return;
	case PROBE_HEAP:
		session_heap_on_message(session, message);
		return;
	case PROBE_HEAP_CHUNK:
		session_heap_on_chunk(session, message);
		return;
	case PROBE_HEAP_WRAPPERS:
		session_heap_on_wrappers(session, message);
		return;
	}
}

void session_on_closed(void *arg)
{
	struct session *session = arg;

	if (session->state != SOURCE_EXITED) {
		session->state = SOURCE_LOST;
		session_add_event(session, session_now_ns(), "the probe has died");
		session_end_collecting(session, session_now_ns());
	}
	session_tell(session, SESSION_LOST);
}
