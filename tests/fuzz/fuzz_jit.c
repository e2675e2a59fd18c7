/* libFuzzer's target for perf maps and jitdumps: `make fuzz-jit`. What an input means is in jit_garbage.h. */
#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/jit_garbage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	jit_garbage_run(data, size);
	return 0;
}
