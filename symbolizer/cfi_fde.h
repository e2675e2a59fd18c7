/* The FDEs of an .eh_frame or .debug_frame: which file offsets have unwind rules at all.
 *
 * Invariants of the list: sorted by file offset, no two overlap (a later one cuts the one before), none is
 * empty, each lies inside one executable segment. Ownership: the caller deinits; nothing refers to the
 * section afterwards. Errors: memory only. What is damaged is left out and counted.
 */
#ifndef KILN_SYMBOLIZER_CFI_FDE_H
#define KILN_SYMBOLIZER_CFI_FDE_H

#include "base/array.h"
#include "base/error.h"
#include "symbolizer/cfi_section.h"
#include "symbolizer/segments.h"

#include <stdbool.h>
#include <stdint.h>

struct cfi_fde {
	uint64_t offset;  /* in the file */
	uint64_t address; /* ELF virtual address of the same byte */
	uint64_t length;
	uint64_t program_bytes; /* at most so long is its CFA program: what one row may cost */
	bool is_debug_frame;	/* where it stands */
	bool is_root;		/* none: code that nobody calls (cfi_fdes_add_root()) */
};

struct cfi_fdes {
	ARRAY(struct cfi_fde)
	list;
	uint64_t refused; /* entries that could not be decoded */
	bool is_cut;	  /* the section is damaged: what follows the damage is missing */
};

struct error *cfi_fdes_init(const unsigned char *elf_ident, const struct cfi_section *section,
			    const struct segments *segments, struct cfi_fdes *ret);
/* Adds what is covered by others and not yet by fdes; of an FDE that is covered in part the pieces that are
 * not. On an error (memory) fdes are as before. */
struct error *cfi_fdes_merge(struct cfi_fdes *fdes, const struct cfi_fdes *others);
/* Code that nobody calls: a stack ends there. Does nothing where an FDE covers the start, or no segment. */
struct error *cfi_fdes_add_root(struct cfi_fdes *fdes, const struct segments *segments, uint64_t start,
				uint64_t length);
/* Where the kernel starts a program nobody has called: without an FDE the code from there to the next one, if
 * it is not far, is a root. Does nothing where an FDE covers the entry, or no segment. */
struct error *cfi_fdes_add_entry(struct cfi_fdes *fdes, const struct segments *segments, uint64_t entry);
void cfi_fdes_deinit(struct cfi_fdes *fdes); /* a zeroed struct accepted */

#endif
