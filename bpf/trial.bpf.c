/* Next to empty programs: which probes this kernel has, what they cost, and the no-op of a sweep. Entry and
 * return apart, as perf-event uprobes (and multi links) want them; sessions are in trial_session.bpf.c. */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "bpf/trial.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct trial_hits hits[TRIAL_KINDS];

SEC("kprobe")
int on_trial_entry(void *ctx)
{
	__sync_fetch_and_add(&hits[bpf_get_attach_cookie(ctx) % TRIAL_KINDS].entries, 1);
	return 0;
}

SEC("kprobe")
int on_trial_return(void *ctx)
{
	__sync_fetch_and_add(&hits[bpf_get_attach_cookie(ctx) % TRIAL_KINDS].returns, 1);
	return 0;
}

SEC("kprobe")
int on_sweep(void *ctx)
{
	return 0;
}
