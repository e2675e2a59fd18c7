/* The verb `annotate`: the code of a function of a snapshot, with its samples. */
#ifndef KILN_ANNOTATE_H
#define KILN_ANNOTATE_H

#include "base/error.h"
#include "options.h"

struct error *annotate_run(const struct options *options);

#endif
