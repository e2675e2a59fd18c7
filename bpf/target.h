/* The process that the user named: found, checked, and held so that its PID cannot be mistaken for another's.
 *
 * Invariants: a struct target holds a pidfd and the process's /proc directory. Reads through proc_fd concern
 * this very process: they fail with ESRCH when it is gone, also when its PID has been given to another one.
 * Ownership: what the functions return belongs to the caller: target_destroy().
 * Units: start_time_ticks in clock ticks since boot.
 * Errors: ERROR_NO_TARGET in words, with the candidates; ERROR_UNSUPPORTED for a 32-bit or foreign program.
 * Trust: comm, exe and cmdline are the target's words: sanitized, for showing only.
 */
#ifndef KILN_BPF_TARGET_H
#define KILN_BPF_TARGET_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct target {
	pid_t pid;   /* of the process (a thread's id has been turned into its process's) */
	int pidfd;   /* close-on-exec */
	int proc_fd; /* O_PATH directory /proc/PID */
	uint64_t start_time_ticks;
	uid_t uid; /* effective */
	gid_t gid;
	char comm[64];
	char *exe;     /* "" where it cannot be read */
	char *cmdline; /* arguments joined by blanks, cut at TARGET_CMDLINE_MAX bytes */
};

#define TARGET_CMDLINE_MAX 4096

/* own_pids: processes of kiln that must not match besides the caller and every process that runs the caller's
 * own executable. */
struct error *target_find_by_pid(pid_t pid, const pid_t *own_pids, size_t own_count, struct target **ret);
/* name equals comm or the basename of exe or of argv[0], exactly. */
struct error *target_find_by_name(const char *name, const pid_t *own_pids, size_t own_count,
				  struct target **ret);
/* The process with this PID, be it kiln's own or no x86-64 program: for a child that kiln has started and
 * that has not yet called exec. target_reload() and target_check_machine() when it has. */
struct error *target_open(pid_t pid, struct target **ret);
void target_destroy(struct target *target); /* NULL accepted */

/* Reads comm, exe, cmdline and ids again: after an exec. */
struct error *target_reload(struct target *target);
/* ERROR_UNSUPPORTED when the program is not of this machine's architecture or has 32 bits; NULL also when the
 * program file may not be read (privileges_check() says so). */
struct error *target_check_machine(const struct target *target);

/* Whether the PID still belongs to this process (zombies included). */
bool target_is_same(const struct target *target);
/* Whether it has not exited yet. */
bool target_is_alive(const struct target *target);
/* CPU time of all its threads so far; false when the process is gone. */
bool target_read_cpu_ns(const struct target *target, uint64_t *ret);

#endif
