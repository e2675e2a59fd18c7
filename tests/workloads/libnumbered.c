/* One of 200 libraries (numbered/lib000 to lib199) that stacks-dlopen.c loads: a function of its own name and
 * a call that the dynamic linker binds when it is made for the first time. Its frame has one of four sizes: a
 * stack that was walked by another library's table breaks, or, one time in four, looks whole and has a wrong
 * name. */
/* FLAGS: -nostdlib -fno-builtin -Wl,-z,lazy */
#include "workload.h"

#ifndef NUMBER
#define NUMBER 000
#endif
#define PASTE_TWO(a, b) a##b
#define PASTE(a, b)	PASTE_TWO(a, b)
#define ROOM		(16 * (PASTE(1, NUMBER) % 4 + 1))

NOINLINE uint64_t PASTE(work_, NUMBER)(uint64_t seed)
{
	volatile uint64_t room[ROOM];

	room[0] = workload_burn(seed, 1000);
	room[ROOM - 1] = (uint64_t)abs((int)seed);
	return room[0] + room[ROOM - 1];
}
