/* A library without any unwind information and without frame pointers: its stacks cannot be whole. */
/* FLAGS: -g0 -nostdlib -fno-asynchronous-unwind-tables -DRBP_IS_DATA */
/* FLAGS: -Wl,--no-ld-generated-unwind-info */
#include "calls.h"
