/* libc's assembly: memcpy, memset, strlen, strcmp, memchr and their kin at all lengths up to 700 bytes, and
 * some megabytes at a time. */
#include "workload.h"

#include <string.h>

#define LENGTH_MAX 700

static char from[4 << 20], to[4 << 20];

NOINLINE uint64_t small_strings(uint64_t seed)
{
	for (size_t length = 1; length < LENGTH_MAX; length++) {
		memset(from, 'a', length);
		from[length] = 0;
		memcpy(to, from, length + 1);
		memmove(to + 1, to, length);
		seed += strlen(from) + (uint64_t)strcmp(from, to) + (uint64_t)memcmp(from, to, length);
		seed += (uint64_t)(uintptr_t)memchr(from, 'b', length) +
			(uint64_t)(uintptr_t)strchr(from, 'b');
		seed += (uint64_t)(uintptr_t)strrchr(from, 'a') + strnlen(from, length);
	}
	return seed;
}

NOINLINE uint64_t large_copies(uint64_t seed)
{
	memset(from, (int)seed, sizeof(from));
	memcpy(to, from, sizeof(to));
	return seed + (uint64_t)(unsigned char)to[seed % sizeof(to)];
}

int main(void)
{
	workload_start();
	workload_say("ready");
	for (;;) {
		for (int i = 0; i < 10; i++)
			workload_sink = small_strings(workload_sink);
		workload_sink = large_copies(workload_sink);
	}
}
