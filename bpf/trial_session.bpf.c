/* As trial.bpf.c, for kernels with uprobe sessions (6.13): an object of its own, because libbpf 1.1 cannot
 * load one whose kernel functions may be absent. */
#include <linux/bpf.h>

#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#include "bpf/trial.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct trial_hits hits[TRIAL_KINDS];

extern bool bpf_session_is_return(void) __ksym;

SEC("kprobe")
int on_trial_session(void *ctx)
{
	__u64 kind = bpf_get_attach_cookie(ctx) % TRIAL_KINDS;

	if (bpf_session_is_return()) {
		__sync_fetch_and_add(&hits[kind].returns, 1);
		return 0;
	}
	__sync_fetch_and_add(&hits[kind].entries, 1);
	return kind == TRIAL_VETOED;
}

/* Sites without return, in the same books. */
SEC("kprobe")
int on_trial_entry(void *ctx)
{
	__sync_fetch_and_add(&hits[bpf_get_attach_cookie(ctx) % TRIAL_KINDS].entries, 1);
	return 0;
}
