/* The .debug_frame of a module: what compilers and Go's linker write instead of an .eh_frame, or beside it.
 *
 * libdw reads it through a Dwarf only, which would inflate every compressed .debug_… section of the file. So
 * the one section is copied, inflated where it has to be, into an ELF image of our own, and that is given to
 * libdw.
 * Ownership: open/close in place; section and cfi live until the close. Nothing refers to the module's Elf.
 * Errors: memory only. What the module has not, or has damaged, is no error: cfi is NULL.
 */
#ifndef KILN_SYMBOLIZER_CFI_DEBUG_FRAME_H
#define KILN_SYMBOLIZER_CFI_DEBUG_FRAME_H

#include "base/error.h"
#include "symbolizer/cfi_section.h"

#include <elfutils/libdw.h>
#include <stdint.h>

/* An inflated section may be this large. */
#define DEBUG_FRAME_BYTES_MAX (256ull << 20)
/* zlib makes up to 1,032 bytes of one, real sections about 3. What it makes beyond this is not worth work. */
#define DEBUG_FRAME_INFLATION_MAX 32

struct cfi_debug_frame {
	struct cfi_section section;
	Dwarf_CFI *cfi;	      /* NULL: there is none */
	uint64_t worth_bytes; /* its length, at most DEBUG_FRAME_INFLATION_MAX times that in the file */
	uint8_t *image;
	Elf *elf;
	Dwarf *dwarf;
};

struct error *cfi_debug_frame_open(Elf *module, struct cfi_debug_frame *ret);
void cfi_debug_frame_close(struct cfi_debug_frame *frame); /* a zeroed struct accepted */

#endif
