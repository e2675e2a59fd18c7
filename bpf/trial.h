/* What the trial programs (trial.bpf.c, trial_session.bpf.c) and user space share. Data only.
 *
 * The cookie of a trial's site says which of them it is; the programs count by it.
 */
#ifndef KILN_BPF_TRIAL_H
#define KILN_BPF_TRIAL_H

#include <linux/types.h>

enum trial_kind {
	TRIAL_LINK,	 /* is only attached */
	TRIAL_ENTRY,	 /* a site without return */
	TRIAL_RETURN,	 /* with its return */
	TRIAL_VETOED,	 /* wants its return, and the entry says no */
	TRIAL_KINDS = 4, /* a power of two: indices are masked */
};

struct trial_hits {
	__u64 entries, returns;
};

#endif
