/* Lengths of instructions that the disassembler does not know.
 *
 * Processors learn new instructions, but not new encodings: prefixes, opcode, ModRM, SIB, displacement and
 * immediate follow from the map and the opcode (Intel SDM volume 2, chapters 2.1 to 2.7). So an unknown
 * instruction does not shift all that follows it. */
#include "symbolizer/code.h"

/* What is left to read. */
struct cursor {
	const uint8_t *at, *end;
};

static bool skip(struct cursor *cursor, size_t count)
{
	if ((size_t)(cursor->end - cursor->at) < count)
		return false;
	cursor->at += count;
	return true;
}

static bool take(struct cursor *cursor, uint8_t *ret)
{
	*ret = 0;
	if (cursor->at == cursor->end)
		return false;
	*ret = *cursor->at++;
	return true;
}

/* ModRM with what belongs to it. */
static bool skip_operand(struct cursor *cursor)
{
	uint8_t modrm, sib = 0;
	unsigned mode, base;

	if (!take(cursor, &modrm))
		return false;
	mode = modrm >> 6;
	base = modrm & 7;
	if (mode == 3)
		return true;
	if (base == 4) {
		if (!take(cursor, &sib))
			return false;
		base = sib & 7;
	}
	if (mode == 1)
		return skip(cursor, 1);
	return mode == 2 || base == 5 ? skip(cursor, 4) : true;
}

/* Map 1 (0F): which ones have a byte behind their operand. */
static bool has_immediate(uint8_t opcode)
{
	return (opcode >= 0x70 && opcode <= 0x73) || opcode == 0xc2 || (opcode >= 0xc4 && opcode <= 0xc6);
}

static bool skip_vector(struct cursor *cursor, unsigned map, uint8_t opcode)
{
	/* vzeroupper, vzeroall */
	if (map == 1 && opcode == 0x77)
		return true;
	if (!skip_operand(cursor))
		return false;
	return map == 3 || (map == 1 && has_immediate(opcode)) ? skip(cursor, 1) : true;
}

/* 62: three bytes of payload with two fixed bits. */
static bool skip_evex(struct cursor *cursor)
{
	uint8_t payload[3], opcode;
	unsigned map;

	for (unsigned i = 0; i < 3; i++) {
		if (!take(cursor, &payload[i]))
			return false;
	}
	map = payload[0] & 7;
	if ((payload[0] & 8) || !(payload[1] & 4) || map == 0 || map == 4 || map == 7)
		return false;
	return take(cursor, &opcode) && skip_vector(cursor, map, opcode);
}

static bool skip_vex(struct cursor *cursor, bool is_long)
{
	uint8_t payload, opcode;
	unsigned map = 1;

	if (!take(cursor, &payload))
		return false;
	if (is_long) {
		map = payload & 0x1f;
		if (map < 1 || map > 3 || !skip(cursor, 1))
			return false;
	}
	return take(cursor, &opcode) && skip_vector(cursor, map, opcode);
}

/* 0F: only where it grows. Hints and prefetches, state and shadow stacks, the two maps behind it. */
static bool skip_two_bytes(struct cursor *cursor)
{
	uint8_t opcode;

	if (!take(cursor, &opcode))
		return false;
	if (opcode == 0x38 || opcode == 0x3a) {
		bool is_third = opcode == 0x3a;

		return take(cursor, &opcode) && skip_operand(cursor) && (!is_third || skip(cursor, 1));
	}
	if (opcode == 0x01 || opcode == 0x0d || (opcode >= 0x18 && opcode <= 0x1f) || opcode == 0xae ||
	    opcode == 0xc7)
		return skip_operand(cursor);
	return false;
}

static bool is_prefix(uint8_t byte)
{
	switch (byte) {
	case 0x26:
	case 0x2e:
	case 0x36:
	case 0x3e:
	case 0x64 ... 0x67:
	case 0xf0:
	case 0xf2:
	case 0xf3:
		return true;
	default:
		return false;
	}
}

size_t code_length_by_encoding(const uint8_t *bytes, size_t length)
{
	struct cursor cursor = {bytes, bytes + (length < 15 ? length : 15)};
	bool is_known = false;
	uint8_t byte;

	do {
		if (!take(&cursor, &byte))
			return 0;
	} while (is_prefix(byte));
	/* REX, the last prefix */
	if ((byte & 0xf0) == 0x40 && !take(&cursor, &byte))
		return 0;
	if (byte == 0x62)
		is_known = skip_evex(&cursor);
	else if (byte == 0xc4 || byte == 0xc5)
		is_known = skip_vex(&cursor, byte == 0xc4);
	else if (byte == 0x0f)
		is_known = skip_two_bytes(&cursor);
	return is_known ? (size_t)(cursor.at - bytes) : 0;
}
