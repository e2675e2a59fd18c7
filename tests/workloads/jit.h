/* Machine code as a JIT makes it. */
#ifndef JIT_H
#define JIT_H

#include <stdint.h>
#include <string.h>

#define JIT_SPINS 20000
/* From a function's first byte to what comes behind its loop. */
#define JIT_LOOP_END 17

static unsigned char *jit_put(unsigned char *at, const void *bytes, size_t count)
{
	memcpy(at, bytes, count);
	return at + count;
}

/* A function that spins and then calls target(its first argument); returns what follows it. */
static unsigned char *jit_put_function(unsigned char *at, const void *target, int keeps_frames)
{
	static const unsigned char push_rbp_and_frame[] = {0x55, 0x48, 0x89, 0xe5};
	static const unsigned char push_rbp_and_data[] = {0x55, 0xbd, 42, 0, 0, 0}; /* mov $42, %ebp */
	static const unsigned char room_and_count[] = {0x48, 0x83, 0xec, 0x20,
						       0xb9}; /* sub $32, %rsp; mov ecx */
	static const unsigned char spin_and_load[] = {0xff, 0xc9, 0x75,
						      0xfc, 0x48, 0xb8}; /* dec ecx; jnz; mov rax */
	static const unsigned char call_and_leave[] = {0xff, 0xd0, 0x48, 0x83, 0xc4, 0x20, 0x5d, 0xc3};
	const uint32_t spins = JIT_SPINS;

	at = keeps_frames ? jit_put(at, push_rbp_and_frame, sizeof(push_rbp_and_frame))
			  : jit_put(at, push_rbp_and_data, sizeof(push_rbp_and_data));
	at = jit_put(at, room_and_count, sizeof(room_and_count));
	at = jit_put(at, &spins, sizeof(spins));
	at = jit_put(at, spin_and_load, sizeof(spin_and_load));
	at = jit_put(at, &target, sizeof(target));
	return jit_put(at, call_and_leave, sizeof(call_and_leave));
}

#endif
