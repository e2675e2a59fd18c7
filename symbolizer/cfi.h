/* Builds a module's unwind table (bpf/table.h) from its .eh_frame, and for what that does not cover from its
 * .debug_frame, with libdw's CFI calls.
 *
 * Runs in a worker: the module is hostile input and libdw 0.188 is not safe on it, so this may crash (the
 * worker is expendable) but ends: rows and work are bounded by the size of the sections. Memory that libdw
 * takes is bounded by the worker's RLIMIT_AS only. Ownership: the module's fd stays the caller's; the memfd
 * becomes the caller's. Errors: struct error is for what is our own fault (memory, memfd); a module without
 * unwind information or with damaged one is a status and a reason. An FDE that libdw refuses is a gap in the
 * table, and counted.
 */
#ifndef KILN_SYMBOLIZER_CFI_H
#define KILN_SYMBOLIZER_CFI_H

#include "base/error.h"
#include "symbolizer/frame.h"

#include <stdint.h>

#define CFI_WHY_LENGTH 120 /* as in struct table_message */

struct cfi_figures {
	uint64_t fdes;
	uint64_t refused_fdes;	     /* not decoded by us or refused by libdw: gaps, at least in part */
	uint64_t unsupported_rows;   /* rows whose rule the walker does not know */
	uint64_t refused_rules;	     /* rows unsupported because the rule dictionary was full */
	uint32_t rows, rules, words; /* of the table */
};

/* ret_memfd: a sealed memfd when *ret_status is TABLE_OK, else -1. ret_why: empty when it is TABLE_OK.
 * ret_figures: NULL accepted. */
struct error *cfi_build_table(int module_fd, int *ret_memfd, enum table_status *ret_status,
			      char ret_why[CFI_WHY_LENGTH], struct cfi_figures *ret_figures);

#endif
