/* The live verbs: a process is attached to or started, and shown, recorded or reported. */
#ifndef KILN_LIVE_H
#define KILN_LIVE_H

#include "base/error.h"
#include "options.h"
#include "profile/profile.h"

/* argv: the command line as the user typed it, for hints. ret_status: the exit status. */
struct error *live_run(const struct options *options, char *const *argv, int *ret_status);

/* ERROR_LOST when more than limit_pct % was lost, of samples or of allocations: 100·lost/(delivered + lost).
 * Negative: no limit. */
struct error *live_judge_loss(const struct profile *profile, double limit_pct);

/* Prints "kiln: what: why" and the hint on stderr, destroys the error, returns the exit code. */
int live_print_error(struct error *error);

#endif
