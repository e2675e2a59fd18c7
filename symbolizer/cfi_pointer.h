/* Pointers as .eh_frame and .eh_frame_hdr encode them (DW_EH_PE_…, LSB Core, "DWARF Extensions").
 *
 * Only what code on x86-64 uses is taken: absolute and pc-relative, in every size. textrel, datarel, funcrel,
 * aligned and indirect pointers are refused.
 */
#ifndef KILN_SYMBOLIZER_CFI_POINTER_H
#define KILN_SYMBOLIZER_CFI_POINTER_H

#include <stdbool.h>
#include <stdint.h>

struct cfi_pointer_input {
	const uint8_t *at;  /* moves behind what was read */
	const uint8_t *end; /* nothing is read from here on */
	uint64_t address;   /* ELF virtual address of `at`, moves with it */
};

/* false: an encoding that is not taken, or no bytes left; input is then not to be used further. */
bool cfi_pointer_read(struct cfi_pointer_input *input, uint8_t encoding, uint64_t *ret);
/* The length of an FDE: the same size and sign, but relative to nothing. */
bool cfi_pointer_read_length(struct cfi_pointer_input *input, uint8_t encoding, uint64_t *ret);

#endif
