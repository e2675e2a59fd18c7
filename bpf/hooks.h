/* Which functions of a module get a probe, and where: what a worker proposes is checked here, byte by byte.
 *
 * A worker's word is the target's word. So the probe reads the function's first bytes itself, in the file and
 * in the target's memory, wherever it is mapped; up to the trap they must be equal (a 0xCC of another probe
 * at the very place of ours aside: two kilns may watch one target), and insn.h must find a place for the
 * trap. Aliases (same place, same kind) are one hook.
 *
 * Invariants: nothing is written. Ownership: struct hook is a value. Errors: struct error only for what
 * concerns all hooks; a function that is refused is told to `refused`, in words. The kernel puts no trap into
 * mappings that are writable or shared: struct mapping does not tell them.
 */
#ifndef KILN_BPF_HOOKS_H
#define KILN_BPF_HOOKS_H

#include "base/error.h"
#include "bpf/events.h"
#include "bpf/heap_events.h"
#include "bpf/insn.h"
#include "bpf/target.h"
#include "symbolizer/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hook {
	uint64_t offset; /* in the file, of the instruction that is trapped */
	enum heap_kind kind;
	char name[32]; /* sanitized */
	/* insn.h. Without takes_moved and takes_stepped the arguments are in their own registers, and the
	 * kernel emulates the instruction. */
	uint8_t registers[INSN_ARGUMENTS];
	bool is_moved;
	bool is_stepped;
};

/* Reasons that may pass: the mappings were read a moment ago. */
#define HOOKS_NOT_MAPPED   "it is not mapped executable"
#define HOOKS_NOT_READ	   "the target's memory cannot be read there"
#define HOOKS_IS_OTHERWISE "the target's memory is not what its file holds"

struct hooks_request {
	const struct target *target;
	int fd; /* of the module's file */
	uint32_t module;
	const struct mapping *mappings; /* all of the target, sorted (bpf/events.h) */
	size_t mapping_count;
	const struct hook_proposal *proposals;
	size_t proposal_count;
	bool takes_moved;   /* the programs read the arguments from hook.registers */
	bool takes_stepped; /* slow places are better than none */
};

/* Writes at most max hooks, returns how many. refused: called for each function that gets none; the strings
 * are valid until it returns. */
size_t hooks_check(const struct hooks_request *request, struct hook *ret, size_t max,
		   void (*refused)(void *arg, const char *name, const char *why), void *arg);

/* Why the heap of this target cannot be traced at all, whatever its modules say: one of its threads is traced
 * (ptrace), or it is gone. NULL: nothing speaks against it. The text is static. A stopped (SIGSTOP) or frozen
 * target is none: attaching and detaching wait for none of its threads. Reads a file for each thread; of more
 * than 8,192 threads those that were not looked at count as filtered by seccomp. */
const char *hooks_check_target(const struct target *target, bool *ret_has_seccomp);

#endif
