/* Where a module's .eh_frame is: found by its section header, or through PT_GNU_EH_FRAME where there are
 * none. (cfi_debug_frame.h finds the .debug_frame.)
 *
 * Ownership: the data belongs to the Elf.
 * Errors: none; what is missing or damaged is a status and a reason in words.
 */
#ifndef KILN_SYMBOLIZER_CFI_SECTION_H
#define KILN_SYMBOLIZER_CFI_SECTION_H

#include "symbolizer/frame.h"
#include "symbolizer/segments.h"

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

struct cfi_section {
	Elf_Data *data;	     /* raw bytes, at least one */
	uint64_t address;    /* ELF virtual address of the first byte; 0 of a .debug_frame, which has none */
	bool is_debug_frame; /* its CIEs and FDEs look a little different */
};

/* TABLE_OK, or why there is none (ret_why points to a constant). */
enum table_status cfi_section_find(Elf *elf, const struct segments *segments, struct cfi_section *ret,
				   const char **ret_why);

#endif
