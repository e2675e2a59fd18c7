/* A library without any unwind information, but with frame pointers: its stacks are whole. */
/* FLAGS: -g0 -nostdlib -fno-asynchronous-unwind-tables -fno-omit-frame-pointer */
#include "calls.h"
