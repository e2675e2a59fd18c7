/* Probes on functions of a process: uprobe session links (raw bpf(2)) where the kernel has them, perf-event
 * uprobes where it does not (Debian 12's own 6.1).
 *
 * One struct uprobes is all that is attached to one target. Files are attached through /proc/self/fd/N: no
 * path is looked up twice. With sessions one link holds all sites of a file that want their return, another
 * one those that do not; detaching takes 20 to 100 ms a link. Perf-event uprobes need CAP_SYS_ADMIN (since
 * 6.16; CAP_PERFMON before), and each takes ~0.1 s to go.
 *
 * Invariants: nothing is pinned: after uprobes_destroy(), or the death of this process by whatever signal,
 * nothing is left in the target but the kernel's own [uprobes] page. The programs test the tgid themselves: a
 * filter by pid is not to be trusted (before 6.10 it matched one thread only). Ownership: fds are the
 * caller's, and are only needed during the call.
 * Errors: ERROR_PERMISSION names the capability; ERROR_UNSUPPORTED what the kernel lacks (found by trying).
 */
#ifndef KILN_BPF_UPROBES_H
#define KILN_BPF_UPROBES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum uprobe_links {
	UPROBE_SESSION, /* entry and return by one program; the entry may veto the return */
	UPROBE_PERF,	/* an event for each entry and each return */
};

/* By trying, on a function of this process itself; forced by KILN_UPROBES=session|perf (for tests). Needs
 * CAP_SYS_ADMIN to find perf-event uprobes: to be called before the probe gives it up. Takes ~10 ms. */
struct error *uprobes_choose(enum uprobe_links *ret);

struct uprobes_programs {
	int session_fd; /* SESSION: entry and return */
	int entry_fd;	/* SESSION: sites without return; PERF: every entry */
	int return_fd;	/* PERF */
};

struct uprobe_site {
	uint64_t offset; /* in the file, of the instruction */
	uint64_t cookie; /* bpf_get_attach_cookie() */
	bool wants_return;
};

struct uprobes;

struct error *uprobes_create(enum uprobe_links links, const struct uprobes_programs *programs, pid_t pid,
			     struct uprobes **ret);
void uprobes_destroy(struct uprobes *uprobes); /* NULL accepted; detaches */
/* All or nothing for this file. ERROR_NO_TARGET: the process is gone; ERROR_UNSUPPORTED: its main thread is,
 * and the kernel would trap nothing, or an instruction is none that the kernel traps. */
struct error *uprobes_attach(struct uprobes *uprobes, int file_fd, const struct uprobe_site *sites,
			     size_t count);
/* Sites attached. */
size_t uprobes_count(const struct uprobes *uprobes);
/* A child that the target has forked keeps the traps with sessions, and pays for them: attaching and closing
 * a link at the same places makes the kernel look again, and frees it, a few ms after this returns. It takes
 * about 0.3 ms a file. Does nothing with UPROBE_PERF, where a child is freed by the first trap that it meets,
 * nor when the target's main thread has ended. The file fds given to uprobes_attach() must still be open
 * (their numbers are remembered, not duplicated). */
struct error *uprobes_sweep(struct uprobes *uprobes);

/* What traps cost on this machine, whatever the programs do: measured with next to empty programs on a child
 * of this process, which calls a function a few thousand times. Takes ~20 ms; with UPROBE_PERF 0.1 s for each
 * event of an earlier trial that the kernel is still taking away, too. */
struct uprobe_costs {
	double entry_ns;  /* a site without return */
	double return_ns; /* a site with its return: both together */
	double vetoed_ns; /* SESSION: the entry vetoes the return; PERF: as return_ns */
};
struct error *uprobes_measure_costs(enum uprobe_links links, struct uprobe_costs *ret);

/* Whether a process that lives under a seccomp filter survives a probe with return: on kernels from 6.11 on
 * the return is a system call, which a filter may not know. Tried with a child of our own under a strict
 * filter. */
struct error *uprobes_try_seccomp(enum uprobe_links links, bool *ret_survives);

#endif
