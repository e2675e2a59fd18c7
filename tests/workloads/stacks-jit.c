/* Code made at run time, as a JIT makes it: two functions, of which one calls the other and that one calls
 * back into C. They keep frame pointers, and their stacks are whole; with argv[1] = "nothing" they use rbp
 * for themselves. */
#include "workload.h"

#include <string.h>
#include <sys/mman.h>

#define SPINS 20000

NOINLINE uint64_t called_back(uint64_t seed)
{
	return workload_burn(seed, 20000) + 3;
}

static unsigned char *put(unsigned char *at, const void *bytes, size_t count)
{
	memcpy(at, bytes, count);
	return at + count;
}

/* A function that spins and then calls target(its first argument). */
static unsigned char *put_function(unsigned char *at, const void *target, int keeps_frames)
{
	static const unsigned char push_rbp_and_frame[] = {0x55, 0x48, 0x89, 0xe5};
	static const unsigned char push_rbp_and_data[] = {0x55, 0xbd, 42, 0, 0, 0}; /* mov $42, %ebp */
	static const unsigned char room_and_count[] = {0x48, 0x83, 0xec, 0x20,
						       0xb9}; /* sub $32, %rsp; mov ecx */
	static const unsigned char spin_and_load[] = {0xff, 0xc9, 0x75,
						      0xfc, 0x48, 0xb8}; /* dec ecx; jnz; mov rax */
	static const unsigned char call_and_leave[] = {0xff, 0xd0, 0x48, 0x83, 0xc4, 0x20, 0x5d, 0xc3};
	const uint32_t spins = SPINS;

	at = keeps_frames ? put(at, push_rbp_and_frame, sizeof(push_rbp_and_frame))
			  : put(at, push_rbp_and_data, sizeof(push_rbp_and_data));
	at = put(at, room_and_count, sizeof(room_and_count));
	at = put(at, &spins, sizeof(spins));
	at = put(at, spin_and_load, sizeof(spin_and_load));
	at = put(at, &target, sizeof(target));
	return put(at, call_and_leave, sizeof(call_and_leave));
}

int main(int argc, char **argv)
{
	int keeps_frames = argc < 2 || strcmp(argv[1], "nothing");
	unsigned char *code = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
		      *outer;
	uint64_t (*call)(uint64_t seed);

	if (code == MAP_FAILED)
		return 1;
	outer = put_function(code, (void *)called_back, keeps_frames);
	put_function(outer, code, keeps_frames);
	if (mprotect(code, 4096, PROT_READ | PROT_EXEC))
		return 1;
	call = (uint64_t(*)(uint64_t))outer;
	workload_start();
	workload_say("ready");
	for (;;)
		workload_sink = call(workload_sink);
}
