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

/* pid 0: without a target. *ret_status: 0 when all is there that CPU profiling needs; 5 (ERROR_UNSUPPORTED)
 * when the kernel or the machine lacks some of it; 4 (ERROR_PERMISSION) when only rights do; 3
 * (ERROR_NO_TARGET) when there is no such process. */
struct error *doctor_report(pid_t pid, FILE *stream, int *ret_status);

#endif
