/* The rights that a worker gives up for good, beyond what its parent took from it.
 *
 * Afterwards: no new privileges by exec, no core files (they would hold the target's bytes), bounded memory,
 * no reach for debuginfod. A seccomp filter comes with the full sandbox.
 */
#ifndef KILN_SYMBOLIZER_SANDBOX_H
#define KILN_SYMBOLIZER_SANDBOX_H

#include "base/error.h"

struct error *sandbox_enter(void);

#endif
