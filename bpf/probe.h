/* The probe: the privileged process that the shell waits for. It forks the interface and the workers, loads
 * the programs, keeps mappings and tables up to date, tells the interface what happens, and cleans up.
 *
 * Life: probe_run() returns the exit status of the whole program when the interface has ended; by then no
 * program, no link and no child is left. If the interface dies, the terminal is put back; if the probe dies,
 * the kernel takes programs and links away and the interface sees its socket close.
 */
#ifndef KILN_BPF_PROBE_H
#define KILN_BPF_PROBE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum heap_choice {
	HEAP_CHOICE_AUTO, /* exact, until it costs the target more than max_overhead_pct */
	HEAP_CHOICE_OFF,
	HEAP_CHOICE_EXACT, /* whatever it costs */
};

struct probe_options {
	/* The target: one of the three. */
	uint32_t pid;
	const char *name;
	char **command;	   /* started under the profiler */
	bool as_root;	   /* the command keeps root's rights */
	bool is_dashboard; /* the command gets no terminal: /dev/null and a file */
	char *const *argv; /* the command line as it was typed, for hints */
	double hz;
	bool user_only, kernel_only, verbose;
	enum heap_choice heap;
	double max_overhead_pct; /* of the target's CPU time: the budget of the heap's probes; above 0 */
	/* The program of the interface, run in a child as the invoking user; and of the workers. */
	int (*interface_main)(void *arg, int probe_fd);
	int (*worker_main)(int probe_fd, int kiln_fd);
	void *arg;
};

/* Finds the target, checks rights, runs all. An error: nothing was started (and the interface never ran). */
struct error *probe_run(const struct probe_options *options, int *ret_status);

/* Where the output of a command under the dashboard goes; "" none. For the interface, which runs in a child
 * that was forked after the file was made. */
const char *probe_get_output_path(void);

/* The user who typed the command (under sudo: not root), and the home directory; the caller frees ret_home.
 */
struct error *probe_find_invoker(uid_t *ret_uid, char **ret_home);

/* kiln doctor. sandbox_trial: see bpf/doctor.h. */
struct error *probe_doctor(uint32_t pid, int (*sandbox_trial)(int probe_fd, int kiln_fd), int *ret_status);

#endif
