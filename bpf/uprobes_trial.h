/* Probes on functions of kiln itself: the programs (trial.bpf.c), the functions, and a child that calls them.
 *
 * Used to find out which links this kernel has, what they cost and what they do to a process that lives under
 * a seccomp filter. Only children call the functions: a kernel that harms a probed process must not harm
 * this one.
 * Ownership: the programs live as long as the trial, or a link on them.
 */
#ifndef KILN_BPF_UPROBES_TRIAL_H
#define KILN_BPF_UPROBES_TRIAL_H

#include "bpf/trial.h"
#include "bpf/uprobes.h"

struct trial;

/* Loads the programs: that alone shows what some kernels lack. Opens this executable. */
struct error *trial_create(enum uprobe_links links, struct trial **ret);
void trial_destroy(struct trial *trial); /* NULL accepted */
struct uprobes_programs trial_get_programs(const struct trial *trial);
struct trial_hits trial_read_hits(const struct trial *trial, enum trial_kind kind);
/* Sets probes on the functions of these kinds for one process. */
struct error *trial_attach(const struct trial *trial, pid_t pid, const enum trial_kind *kinds, size_t count,
			   struct uprobes **ret);

/* A program that does nothing, for uprobes_sweep(). The fd is the caller's. */
struct error *trial_load_nothing(int *ret_fd);

/* The functions by kind; NULL for no kind. */
extern void (*const trial_functions[TRIAL_KINDS])(void);

/* ---- the child ---- */

struct puppet {
	pid_t pid;
	int socket;
};

/* is_filtered: it lives under a seccomp filter that lets it read, write and end. */
struct error *puppet_start(bool is_filtered, struct puppet *ret);
/* Calls the function so many times. ret_ns: CPU time that this took; NULL: not measured, which is all that a
 * filtered one can. *ret_lives false: it died of it. */
struct error *puppet_call(struct puppet *puppet, enum trial_kind kind, unsigned calls, bool *ret_lives,
			  uint64_t *ret_ns);
void puppet_end(struct puppet *puppet); /* a zeroed one accepted */

#endif
