/* libFuzzer's target for the sanitizer of names: `make fuzz`. */
#include <stddef.h>
#include <stdint.h>

#include "tests/fuzz/text_garbage.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	text_garbage_run(data, size);
	return 0;
}
