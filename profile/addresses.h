/* The addresses of one function's code that were sampled, with their samples: what the code of a function is
 * annotated with. What is inlined into the function is code of it too.
 *
 * Invariants: Σ self + elsewhere = addresses.self >= the function's own self. Addresses are frame offsets (of
 * callers one less than the return address: inside the call), each once, most self first. Ownership:
 * addresses_deinit(); strings live as long as the profile. Errors: memory.
 */
#ifndef KILN_PROFILE_ADDRESSES_H
#define KILN_PROFILE_ADDRESSES_H

#include "base/array.h"
#include "base/error.h"
#include "profile/profile.h"

struct address {
	uint64_t offset;
	uint64_t self;	  /* 0: only callers stood there */
	const char *file; /* in this function: of inlined code the call's; "" unknown */
	uint32_t line;	  /* 0 unknown */
};

struct addresses {
	ARRAY(struct address)
	items;
	uint64_t self;	    /* in the function's code */
	uint64_t elsewhere; /* of rare stacks that were merged: somewhere in it */
};

struct error *addresses_collect(struct profile *profile, uint32_t function, struct addresses *ret);
void addresses_deinit(struct addresses *addresses); /* a zeroed struct accepted */

#endif
