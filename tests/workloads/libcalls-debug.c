/* A library that has its unwind information in .debug_frame alone, and no frame pointers: its stacks are
 * whole. */
/* FLAGS: -nostdlib -fno-asynchronous-unwind-tables -DRBP_IS_DATA */
#include "calls.h"
