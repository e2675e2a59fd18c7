/* hot-split.c, whose work is an inlined function: that has the samples then. */
#define WORKLOAD_INLINES
#include "hot-split.c"
