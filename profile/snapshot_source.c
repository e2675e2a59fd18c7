/* A snapshot as an input of the dashboard: nothing moves, everything was known when it was opened. */
#include "profile/snapshot.h"

#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Below this a rate or share of the target's CPU time says nothing. */
#define TARGET_CPU_S_MIN 0.1

struct snapshot_source {
	struct source source;
	char *path;
	char target[64];
	char note[256];
};

static struct snapshot_source *get_snapshot(struct source *source)
{
	return (struct snapshot_source *)source;
}

static void get_status(struct source *source, struct source_status *ret)
{
	struct snapshot_source *snapshot = get_snapshot(source);
	struct totals totals;
	struct facts facts;
	double seconds;

	profile_get_totals(source->profile, &totals);
	profile_get_facts(source->profile, &facts);
	seconds = (double)facts.duration_ns / 1e9;
	*ret = (struct source_status){
		.state = SOURCE_SNAPSHOT,
		.pid = facts.pid,
		.target = snapshot->target,
		.elapsed_ns = facts.duration_ns,
		.hz_requested = facts.hz_requested,
		.hz_delivered = facts.target_cpu_s >= TARGET_CPU_S_MIN
					? (double)totals.samples / facts.target_cpu_s
					: NAN,
		.complete_pct = totals.samples
					? 100.0 * (double)totals.ends[STACK_COMPLETE] / (double)totals.samples
					: NAN,
		.self_cpu_pct = seconds > 0 ? 100 * facts.self_cpu_s / seconds : NAN,
		.target_cpu_cores = seconds > 0 ? facts.target_cpu_s / seconds : NAN,
		.samples = totals.samples,
		.lost = totals_sum_lost(&totals),
		.exit_kind = facts.exit_kind,
		.exit_value = facts.exit_value,
		.note = snapshot->note,
	};
}

/* A copy of a snapshot is made at once: there is no collecting that it could hold up. */
static struct error *save(struct source *source, const char *path,
			  void (*on_saved)(void *arg, struct error *error, const char *path), void *arg)
{
	struct error *error;

	if (!path)
		return error_create(ERROR_USAGE, 0, "give a path to make a copy",
				    "this is a snapshot already: %s", get_snapshot(source)->path);
	error = snapshot_write(source->profile, path);
	if (error)
		return error;
	on_saved(arg, NULL, path);
	return NULL;
}

static void destroy(struct source *source)
{
	struct snapshot_source *snapshot = get_snapshot(source);

	profile_destroy(source->profile);
	free(snapshot->path);
	free(snapshot);
}

static const struct source_ops ops = {
	.get_status = get_status,
	.save = save,
	.destroy = destroy,
};

static void make_note(struct snapshot_source *snapshot, const struct facts *facts)
{
	time_t seconds = (time_t)(facts->start_unix_ns / 1000000000);
	char when[32] = "", text[sizeof(snapshot->note)];
	struct tm parts;

	if (facts->start_unix_ns && gmtime_r(&seconds, &parts))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &parts);
	snprintf(text, sizeof(text), "%s %s%s%s%s",
		 facts->is_rescued ? "rescued: the probe died before the end; taken" : "snapshot taken", when,
		 facts->host ? " on " : "", facts->host ? facts->host : "",
		 facts->uses_cpu_clock ? ", cpu-clock" : "");
	text_sanitize(text, SIZE_MAX, snapshot->note, sizeof(snapshot->note));
}

struct error *snapshot_source_create(struct profile *profile, const char *path, struct source **ret)
{
	struct snapshot_source *snapshot = calloc(1, sizeof(*snapshot));
	struct facts facts;

	if (snapshot)
		snapshot->path = strdup(path);
	if (!snapshot || !snapshot->path) {
		free(snapshot);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "%s", path);
	}
	profile_get_facts(profile, &facts);
	snapshot->source = (struct source){.ops = &ops, .profile = profile};
	text_sanitize(facts.comm ? facts.comm : "?", SIZE_MAX, snapshot->target, sizeof(snapshot->target));
	make_note(snapshot, &facts);
	*ret = &snapshot->source;
	return NULL;
}
