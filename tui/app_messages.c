/* What the dashboard says in words: states in place of the content, and the message row. */
#include "tui/app_internal.h"
#include "tui/format.h"
#include "tui/frame.h"
#include "tui/heap_text.h"

#include <math.h>
#include <string.h>

static void describe_idleness(const struct source_status *status, char *ret, size_t capacity)
{
	double pct = status->target_cpu_cores * 100;
	char elapsed[FORMAT_MAX];

	format_duration(status->elapsed_ns, elapsed);
	if (status->elapsed_ns < 1000000000ull)
		snprintf(ret, capacity, "no samples yet");
	else if (isnan(pct))
		snprintf(ret, capacity, "0 samples after %s: the target's CPU use is not known", elapsed);
	else if (pct < 1)
		snprintf(ret, capacity, "0 samples after %s: target is idle (%.1f%% CPU)", elapsed, pct);
	else
		snprintf(ret, capacity, "0 samples after %s, but the target uses %.1f%% CPU: see kiln doctor",
			 elapsed, pct);
}

bool app_describe_emptiness(const struct source_status *status, char *ret, size_t capacity)
{
	char clock[FORMAT_MAX], code[64];

	if (status->samples)
		return false;
	switch (status->state) {
	case SOURCE_STARTING:
		snprintf(ret, capacity, "attaching: the programs are being loaded");
		return true;
	case SOURCE_LIVE:
		describe_idleness(status, ret, capacity);
		return true;
	case SOURCE_PAUSED:
		snprintf(ret, capacity, "0 samples: collecting is paused");
		return true;
	case SOURCE_EXITED:
		frame_format_exit(status, code, sizeof(code));
		snprintf(ret, capacity, "0 samples: the target exited %s at %s", code,
			 format_clock(status->elapsed_ns, clock));
		return true;
	case SOURCE_LOST:
		snprintf(ret, capacity, "0 samples: the probe has died");
		return true;
	case SOURCE_SNAPSHOT:
		snprintf(ret, capacity, "this snapshot has no samples");
		return true;
	}
	return false;
}

bool app_describe_end(const struct source_status *status, char *ret, size_t capacity)
{
	char clock[FORMAT_MAX], code[64];

	format_clock(status->elapsed_ns, clock);
	if (status->state == SOURCE_LOST) {
		snprintf(ret, capacity, "✗ The probe died at %s. Data kept. S save  q quit", clock);
		return true;
	}
	if (status->state != SOURCE_EXITED)
		return false;
	frame_format_exit(status, code, sizeof(code));
	snprintf(ret, capacity, "● EXITED %s at %s. Data kept. S save  q quit", code, clock);
	return true;
}

/* "lost 812 (0.7%), most: cpu ring full". */
static void describe_losses(const struct app *app, const struct source_status *status, char *ret,
			    size_t capacity)
{
	struct totals totals;
	unsigned i, most = LOST_CPU_RING_FULL;
	char count[FORMAT_MAX], share[FORMAT_MAX], reason[64];
	char *space;

	profile_get_totals(app->source->profile, &totals);
	for (i = 0; i < LOST_REASONS; i++)
		if (totals.lost[i] > totals.lost[most])
			most = i;
	snprintf(reason, sizeof(reason), "%s",
		 totals.lost[most] ? lost_reason_names[most] : "reason not known");
	while ((space = strchr(reason, '_')))
		*space = ' ';
	snprintf(ret, capacity, "lost %s samples (%s), most: %s. Shares are of what arrived.",
		 format_count(status->lost, count),
		 format_share(status->lost, status->samples + status->lost, share), reason);
}

static uint16_t describe_closed_heap(const struct app *app, char *ret, size_t capacity)
{
	struct heap_facts heap;

	heap_read_facts(app->source->profile, &heap);
	heap_write_state(&heap, ret, capacity);
	return STYLE_WARN;
}

uint16_t app_describe_state(const struct app *app, const struct source_status *status, char *ret,
			    size_t capacity)
{
	*ret = '\0';
	if (app_describe_end(status, ret, capacity))
		return STYLE_BAD;
	if (status->state == SOURCE_PAUSED) {
		snprintf(ret, capacity, "‖ PAUSED: collecting is off");
		return STYLE_WARN;
	}
	if (status->lost) {
		describe_losses(app, status, ret, capacity);
		return STYLE_BAD;
	}
	if (status->tables_ready < status->tables_total)
		snprintf(ret, capacity, "reading unwind tables %zu/%zu: stacks grow complete as they arrive",
			 status->tables_ready, status->tables_total);
	else if (app->search.pattern[0])
		snprintf(ret, capacity, "/%s/  n N next, previous", app->search.pattern);
	else if (app->heap_seen == HEAP_MODE_CLOSED && app->views[app->current]->ops != &view_memory)
		return describe_closed_heap(app, ret, capacity);
	else if (status->names_pending >= 20)
		snprintf(ret, capacity, "reading names: %zu to come, they appear in place",
			 status->names_pending);
	return STYLE_DIM;
}
