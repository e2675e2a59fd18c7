/* What probes cost on this machine, and whether a seccomp filter bears them: tried with a child of our own.
 */
#include "base/cleanup.h"
#include "bpf/uprobes_internal.h"
#include "bpf/uprobes_trial.h"

#include <stdlib.h>

/* The median of so many rounds counts: an interrupt or a neighbour spoils a round, not the figure. */
#define ROUNDS 9
#define CALLS  300

struct bench {
	struct trial *trial;
	struct puppet puppet;
	struct uprobes *uprobes;
};

static void bench_deinit(struct bench *bench)
{
	uprobes_destroy_later(bench->uprobes);
	puppet_end(&bench->puppet);
	trial_destroy(bench->trial);
}

/* The child is forked before anything is loaded. */
static struct error *bench_init(struct bench *bench, enum uprobe_links links, bool is_filtered)
{
	struct error *error = puppet_start(is_filtered, &bench->puppet);

	return error ? error : trial_create(links, &bench->trial);
}

static int compare_ns(const void *a, const void *b)
{
	const uint64_t *first = a, *second = b;

	return (*first > *second) - (*first < *second);
}

/* Per call. */
static struct error *measure(struct bench *bench, enum trial_kind kind, double *ret_ns)
{
	uint64_t rounds_ns[ROUNDS];
	struct error *error;
	bool lives;

	for (unsigned i = 0; i < ROUNDS; i++) {
		error = puppet_call(&bench->puppet, kind, CALLS, &lives, &rounds_ns[i]);
		if (error)
			return error;
		if (!lives)
			return error_create(ERROR_UNSUPPORTED, 0, NULL, "a probed process of our own died");
	}
	qsort(rounds_ns, ROUNDS, sizeof(rounds_ns[0]), compare_ns);
	*ret_ns = (double)rounds_ns[ROUNDS / 2] / CALLS;
	return NULL;
}

/* That the traps were met is checked by the programs' own count. */
static struct error *check_hits(const struct bench *bench, enum trial_kind kind, uint64_t returns)
{
	struct trial_hits hits = trial_read_hits(bench->trial, kind);

	if (hits.entries == ROUNDS * CALLS && hits.returns == returns)
		return NULL;
	return error_create(ERROR_UNSUPPORTED, 0, NULL,
			    "probes do not work here: %llu entries and %llu returns of %u calls were seen",
			    hits.entries, hits.returns, ROUNDS * CALLS);
}

static struct error *measure_all(struct bench *bench, enum uprobe_links links, struct uprobe_costs *ret)
{
	static const enum trial_kind kinds[] = {TRIAL_ENTRY, TRIAL_RETURN, TRIAL_VETOED};
	/* A veto needs a session. */
	const unsigned count = links == UPROBE_SESSION ? 3 : 2;
	double bare_ns, ns[3];
	struct error *error = measure(bench, TRIAL_ENTRY, &bare_ns);

	if (!error)
		error = trial_attach(bench->trial, bench->puppet.pid, kinds, count, &bench->uprobes);
	for (unsigned i = 0; i < count && !error; i++) {
		error = measure(bench, kinds[i], &ns[i]);
		if (!error)
			error = check_hits(bench, kinds[i], kinds[i] == TRIAL_RETURN ? ROUNDS * CALLS : 0);
	}
	if (error)
		return error;
	*ret = (struct uprobe_costs){
		.entry_ns = ns[0] - bare_ns,
		.return_ns = ns[1] - bare_ns,
		.vetoed_ns = ns[count - 1] - bare_ns,
	};
	return NULL;
}

struct error *uprobes_measure_costs(enum uprobe_links links, struct uprobe_costs *ret)
{
	_cleanup_(bench_deinit) struct bench bench = {0};
	struct uprobe_costs costs;
	struct error *error = bench_init(&bench, links, false);

	if (!error)
		error = measure_all(&bench, links, &costs);
	if (error)
		return error_wrap(error, "cannot measure what probes cost");
	*ret = costs;
	return NULL;
}

struct error *uprobes_try_seccomp(enum uprobe_links links, bool *ret_survives)
{
	_cleanup_(bench_deinit) struct bench bench = {0};
	const enum trial_kind kind = TRIAL_RETURN;
	bool survives = false;
	struct trial_hits hits;
	struct error *error = bench_init(&bench, links, true);

	if (!error)
		error = trial_attach(bench.trial, bench.puppet.pid, &kind, 1, &bench.uprobes);
	if (!error)
		error = puppet_call(&bench.puppet, kind, 1, &survives, NULL);
	if (error)
		return error_wrap(error, "cannot try probes under a seccomp filter");
	hits = trial_read_hits(bench.trial, kind);
	if (!hits.entries || (survives && !hits.returns))
		return error_create(ERROR_UNSUPPORTED, 0, NULL,
				    "cannot try probes under a seccomp filter: they were not met");
	*ret_survives = survives;
	return NULL;
}
