/* One process as /proc shows it, raw: what a target is chosen by. Only for target.c.
 *
 * Trust: comm, exe and cmdline are the process's own words, not sanitized. Reads go through proc_fd, which is
 * bound to the process, not to its number. Ownership: process_open() opens proc_fd, process_close() closes
 * it.
 */
#ifndef KILN_BPF_PROCESS_H
#define KILN_BPF_PROCESS_H

#include "bpf/target.h"

#include <limits.h>

struct process {
	pid_t pid;
	int proc_fd;
	pid_t tgid;
	char state;
	unsigned flags;
	long threads;
	uint64_t start_time_ticks;
	uid_t uid;
	gid_t gid;
	char comm[64];
	char exe[PATH_MAX];
	char cmdline[TARGET_CMDLINE_MAX];
	size_t cmdline_length;
};

/* false: gone meanwhile, or not to be read. */
bool process_open(pid_t pid, struct process *ret);
void process_close(struct process *process);

/* The parts of process_open(), for a process whose proc_fd is set. false: gone. */
int process_open_dir(pid_t pid);
bool process_read_stat(struct process *process);   /* state, flags, threads, start, comm */
bool process_read_status(struct process *process); /* tgid, ids */
void process_read_words(struct process *process);  /* exe, cmdline: "" where they may not be read */

bool process_is_kernel_thread(const struct process *process);
/* A main thread that has ended while others run shows as a zombie too, but is none. */
bool process_is_zombie(const struct process *process);
/* Whether it is this process, one of own_pids, or runs the same executable as this process. */
bool process_is_own(const struct process *process, const pid_t *own_pids, size_t own_count);

/* For showing: sanitized, cut to capacity. */
void process_format_cmdline(const struct process *process, char *ret, size_t capacity);
void process_format_user(uid_t uid, char *ret, size_t capacity);

#endif
