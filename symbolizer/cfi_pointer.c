#include "symbolizer/cfi_pointer.h"

#include <dwarf.h>
#include <stddef.h>
#include <string.h>

#define ENCODING_FORMAT	  0x0f /* size and sign */
#define ENCODING_RELATION 0x70 /* relative to what */

static bool read_leb128(struct cfi_pointer_input *input, bool is_signed, uint64_t *ret)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;

	do {
		if (input->at >= input->end || shift >= 64)
			return false;
		byte = *input->at++;
		input->address++;
		value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (is_signed && byte & 0x40 && shift < 64)
		value |= -1ull << shift;
	*ret = value;
	return true;
}

/* Little-endian, like all of x86-64; the caller has checked that. */
static bool read_fixed(struct cfi_pointer_input *input, size_t size, bool is_signed, uint64_t *ret)
{
	unsigned unused_bits = 64 - 8 * (unsigned)size;
	uint64_t value = 0;

	if ((size_t)(input->end - input->at) < size)
		return false;
	memcpy(&value, input->at, size);
	input->at += size;
	input->address += size;
	if (is_signed)
		value = (uint64_t)((int64_t)(value << unused_bits) >> unused_bits);
	*ret = value;
	return true;
}

static bool read_value(struct cfi_pointer_input *input, uint8_t encoding, uint64_t *ret)
{
	switch (encoding & ENCODING_FORMAT) {
	case DW_EH_PE_absptr:
	case DW_EH_PE_udata8:
	case DW_EH_PE_sdata8:
		return read_fixed(input, 8, false, ret);
	case DW_EH_PE_udata4:
		return read_fixed(input, 4, false, ret);
	case DW_EH_PE_sdata4:
		return read_fixed(input, 4, true, ret);
	case DW_EH_PE_udata2:
		return read_fixed(input, 2, false, ret);
	case DW_EH_PE_sdata2:
		return read_fixed(input, 2, true, ret);
	case DW_EH_PE_uleb128:
		return read_leb128(input, false, ret);
	case DW_EH_PE_sleb128:
		return read_leb128(input, true, ret);
	default:
		return false;
	}
}

bool cfi_pointer_read(struct cfi_pointer_input *input, uint8_t encoding, uint64_t *ret)
{
	uint64_t base = (encoding & ENCODING_RELATION) == DW_EH_PE_pcrel ? input->address : 0;
	uint64_t value;

	if (encoding == DW_EH_PE_omit || encoding & DW_EH_PE_indirect)
		return false;
	if (encoding & ENCODING_RELATION && (encoding & ENCODING_RELATION) != DW_EH_PE_pcrel)
		return false;
	if (!read_value(input, encoding, &value))
		return false;
	*ret = base + value; /* wraps: a negative distance is meant so */
	return true;
}

bool cfi_pointer_read_length(struct cfi_pointer_input *input, uint8_t encoding, uint64_t *ret)
{
	return read_value(input, encoding, ret);
}
