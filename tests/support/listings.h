/* What every listing of code must be, whatever the worker said. Failures end the test. */
#ifndef KILN_TESTS_SUPPORT_LISTINGS_H
#define KILN_TESTS_SUPPORT_LISTINGS_H

#include "symbolizer/code_message.h"

/* Instructions follow each other within bounds; numbers of places and levels are there; texts are safe. */
void check_listing(const struct code_listing *listing);

#endif
