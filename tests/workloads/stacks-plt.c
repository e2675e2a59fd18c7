/* Tiny calls into libc through a lazy PLT: a large share of the samples stands in the PLT itself. */
/* FLAGS: -fno-builtin -fplt -Wl,-z,lazy -Wl,-z,norelro */
#include "workload.h"

#include <arpa/inet.h>
#include <strings.h>

NOINLINE uint64_t many_calls(uint64_t seed)
{
	for (int i = 0; i < 1000; i++)
		seed += (uint64_t)(abs((int)seed) + ffs((int)seed) + (int)htonl((uint32_t)seed) +
				   (int)labs((long)seed));
	return seed;
}

int main(void)
{
	workload_start();
	workload_say("ready");
	for (;;)
		workload_sink = many_calls(workload_sink);
}
