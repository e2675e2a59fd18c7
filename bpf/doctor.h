/* kiln doctor: what of kiln works here, one line a capability, found by trying it.
 *
 * Format: `name: yes|no|part: reason`. Works without any privileges; what cannot be tried without them is
 * said. Invariants: nothing is left behind: what is loaded or opened to try it is closed again.
 */
#ifndef KILN_BPF_DOCTOR_H
#define KILN_BPF_DOCTOR_H

#include "base/error.h"

#include <stdio.h>
#include <sys/types.h>

/* pid 0: without a target. trial: a worker that enters its sandbox and sends what came of it, in the format
 * of the lines (symbolizer/sandbox.h); NULL: not tried. *ret_status: 0 when all is there that CPU profiling
 * needs; 5 (ERROR_UNSUPPORTED) when the kernel or the machine lacks some of it; 4 (ERROR_PERMISSION) when
 * only rights do; 3 (ERROR_NO_TARGET) when there is no such process. */
struct error *doctor_report(pid_t pid, int (*trial)(int probe_fd, int kiln_fd), FILE *stream,
			    int *ret_status);

#endif
