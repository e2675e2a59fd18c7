/* What holds for every message of hooks, whatever the file. */
#ifndef KILN_TESTS_SUPPORT_HOOKS_CHECK_H
#define KILN_TESTS_SUPPORT_HOOKS_CHECK_H

#include "symbolizer/frame.h"

/* NULL: all well; else what is wrong (static text). */
const char *hooks_check_message(const struct hooks_message *message);

#endif
