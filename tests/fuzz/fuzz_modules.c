/* libFuzzer's target for what a worker parses: `make fuzz`. What an input means is in modules_garbage.h. */
#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/modules_garbage.h"
#include "tests/fuzz/modules_mutate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	modules_garbage_run(data, size);
	return 0;
}

/* Half by libFuzzer's own means. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	if (seed & 1 || size < 64)
		return LLVMFuzzerMutate(data, size, max_size);
	mutation_apply(data, size, seed);
	return size;
}
