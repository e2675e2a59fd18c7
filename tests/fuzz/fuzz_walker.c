/* libFuzzer's target for the walker: `make fuzz`. What an input means is in walker_garbage.h. */
#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/walker_garbage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	walker_garbage_run(data, size);
	return 0;
}
