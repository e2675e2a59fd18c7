/* The listing while it grows: parts of a worker's answer, checked and appended.
 *
 * Ownership: code_listing_create() → code_listing_destroy() (code_client.h). Errors: false: the part is not
 * as it must be, or memory is short; the listing is still good for being destroyed.
 */
#ifndef KILN_SYMBOLIZER_CODE_LISTING_H
#define KILN_SYMBOLIZER_CODE_LISTING_H

#include "symbolizer/code_message.h"

#include <stdbool.h>
#include <stddef.h>

/* NULL when memory is short. */
struct code_listing *code_listing_create(uint32_t module, uint64_t offset);
/* length: of the whole message. ret_next: 0 when this was the last part. */
bool code_listing_append(struct code_listing *listing, const void *message, size_t length,
			 uint64_t *ret_next);
/* Why there is nothing; memory may be short. */
void code_listing_set_why(struct code_listing *listing, const char *why);

#endif
