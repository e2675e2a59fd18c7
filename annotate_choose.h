/* The function that a word on the command line names, as reports show it. */
#ifndef KILN_ANNOTATE_CHOOSE_H
#define KILN_ANNOTATE_CHOOSE_H

#include "base/error.h"
#include "profile/profile.h"

#include <stdio.h>

/* "function" or "module!function", exactly. Of several the one with the most samples of its own (then in
 * all); the others are said on `notes`. None is ERROR_GENERAL, its hint names what is near. */
struct error *annotate_choose(struct profile *profile, const char *symbol, FILE *notes, uint32_t *ret);

#endif
