/* The loadable segments of an ELF file: file offsets to ELF virtual addresses and back.
 *
 * Invariants: only PT_LOADs with file bytes; no range wraps around; executable ones come first, so that they
 * win where ranges overlap.
 * Ownership: the caller owns the struct and segments_deinit()s it; it does not refer to the Elf afterwards.
 * Errors: the Elf is hostile input. No program headers at all is no error: count is 0.
 */
#ifndef KILN_SYMBOLIZER_SEGMENTS_H
#define KILN_SYMBOLIZER_SEGMENTS_H

#include "base/error.h"

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment {
	uint64_t offset;  /* in the file */
	uint64_t address; /* ELF virtual address */
	uint64_t length;  /* bytes in the file, never 0 */
	bool executable;
};

struct segments {
	struct segment *items;
	size_t count;
};

struct error *segments_init(Elf *elf, struct segments *ret);
void segments_deinit(struct segments *segments); /* a zeroed struct accepted */

/* The segment that holds the address (or the file offset); NULL when none does. */
const struct segment *segments_find_address(const struct segments *segments, uint64_t address);
const struct segment *segments_find_offset(const struct segments *segments, uint64_t offset);

bool segments_to_offset(const struct segments *segments, uint64_t address, uint64_t *ret);
bool segments_to_address(const struct segments *segments, uint64_t offset, uint64_t *ret);

#endif
