/* The verb `annotate`: the code of a function of a snapshot, with its samples. */
#ifndef KILN_ANNOTATE_H
#define KILN_ANNOTATE_H

#include "base/error.h"
#include "options.h"

/* *ret_status: of the process, when there is no error. */
struct error *annotate_run(const struct options *options, int *ret_status);

#endif
