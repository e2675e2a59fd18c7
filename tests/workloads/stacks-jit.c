/* Code made at run time, as a JIT makes it: two functions, of which one calls the other and that one calls
 * back into C. They keep frame pointers, and their stacks are whole; with argv[1] = "nothing" they use rbp
 * for themselves. */
#include "jit.h"
#include "workload.h"

#include <sys/mman.h>

NOINLINE uint64_t called_back(uint64_t seed)
{
	return workload_burn(seed, 20000) + 3;
}

int main(int argc, char **argv)
{
	int keeps_frames = argc < 2 || strcmp(argv[1], "nothing");
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		      *outer;
	uint64_t (*call)(uint64_t seed);

	if (code == MAP_FAILED)
		return 1;
	outer = jit_put_function(code, (void *)called_back, keeps_frames);
	jit_put_function(outer, code, keeps_frames);
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
		return 1;
	call = (uint64_t(*)(uint64_t))outer;
	workload_start();
	workload_say("ready");
	for (;;)
		workload_sink = call(workload_sink);
}
