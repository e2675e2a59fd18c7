/* The rights that a worker gives up for good, beyond what its parent took from it.
 *
 * Afterwards: no new privileges by exec, no core files (they would hold the target's bytes), bounded memory,
 * no reach for debuginfod; and no opening of paths (libdw would open what the target's file names), no
 * sockets, no children, no exec. That last fence is a list of what is refused; the full sandbox is a list of
 * what is let.
 */
#ifndef KILN_SYMBOLIZER_SANDBOX_H
#define KILN_SYMBOLIZER_SANDBOX_H

#include "base/error.h"

struct error *sandbox_enter(void);

#endif
