/* Where functions begin and end according to .eh_frame: names code that has no symbol.
 *
 * A stripped file still has this: it cannot unwind without.
 * Ownership: the list does not refer to the Elf afterwards; cfi_fdes_deinit().
 * Errors: memory only; no .eh_frame is an empty list, what is damaged is left out.
 */
#ifndef KILN_SYMBOLIZER_FDE_H
#define KILN_SYMBOLIZER_FDE_H

#include "symbolizer/cfi_fde.h"

struct error *fde_read_list(Elf *elf, const struct segments *segments, struct cfi_fdes *ret);
/* The FDE that covers a file offset; NULL when none does. */
const struct cfi_fde *fde_find_offset(const struct cfi_fdes *fdes, uint64_t offset);

#endif
