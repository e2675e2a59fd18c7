/* The allow-list is what compilers put before the first push, branch or call: moves, arithmetic, comparisons,
 * shifts by a constant, address computations, no-operations. Of each only the plain encodings are known; a
 * prefix that is not named here ends the search. */
#include "bpf/insn.h"

#include <string.h>

#define LENGTH_MAX  15 /* of an instruction: the processor's limit */
#define NO_REGISTER -1
#define NO_ARGUMENT 0xff

enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI };

static const uint8_t argument_registers[INSN_ARGUMENTS] = {RDI, RSI, RDX};

/* ---- one instruction ---- */

struct insn {
	unsigned length;
	bool is_emulated; /* the kernel does it by itself */
	bool moves_stack; /* push, call: cannot be passed */
	bool writes_memory;
	int writes; /* register, NO_REGISTER */
	int copies; /* register whose 64 bits go to `writes` as they are, NO_REGISTER */
};

struct cursor {
	const uint8_t *code;
	size_t length, at;
	uint8_t rex; /* 0: none */
	bool has_fs;
};

struct operands {
	unsigned reg, rm; /* rm: a register when !is_memory */
	bool is_memory;
};

static bool take(struct cursor *cursor, uint8_t *ret)
{
	if (cursor->at >= cursor->length)
		return false;
	*ret = cursor->code[cursor->at++];
	return true;
}

static bool skip(struct cursor *cursor, size_t count)
{
	if (cursor->length - cursor->at < count)
		return false;
	cursor->at += count;
	return true;
}

static bool is_wide(const struct cursor *cursor)
{
	return cursor->rex & 8;
}

/* ModRM, SIB and displacement. */
static bool take_operands(struct cursor *cursor, struct operands *ret)
{
	uint8_t modrm, sib;
	unsigned mod, base;

	if (!take(cursor, &modrm))
		return false;
	mod = modrm >> 6;
	base = modrm & 7;
	ret->reg = (modrm >> 3 & 7) | (cursor->rex & 4 ? 8 : 0);
	ret->rm = base | (cursor->rex & 1 ? 8 : 0);
	ret->is_memory = mod != 3;
	if (!ret->is_memory)
		return !cursor->has_fs; /* a segment of nothing */
	if (base == 4) {
		if (!take(cursor, &sib))
			return false;
		base = sib & 7;
	}
	/* Without a base register (behind a SIB), or relative to rip (without one): 4 bytes. */
	if (mod == 2 || (mod == 0 && base == 5))
		return skip(cursor, 4);
	return mod == 0 || skip(cursor, 1);
}

/* Without REX the numbers 4 to 7 of a byte register are ah, ch, dh and bh. */
static int byte_register(const struct cursor *cursor, unsigned number)
{
	return (int)(!cursor->rex && number >= 4 ? number - 4 : number);
}

static int register_of(const struct cursor *cursor, unsigned number, bool is_byte)
{
	return is_byte ? byte_register(cursor, number) : (int)number;
}

static void write_rm(const struct cursor *cursor, const struct operands *operands, bool is_byte,
		     struct insn *ret)
{
	if (operands->is_memory)
		ret->writes_memory = true;
	else
		ret->writes = register_of(cursor, operands->rm, is_byte);
}

/* add, or, adc, sbb, and, sub, xor, cmp in their six forms. */
static bool decode_arithmetic(struct cursor *cursor, uint8_t opcode, struct insn *ret)
{
	bool is_byte = !(opcode & 1), is_cmp = opcode >> 3 == 7;
	struct operands operands;

	if ((opcode & 7) >= 4) { /* al or eax, and a constant */
		if (!is_cmp)
			ret->writes = RAX;
		return !cursor->has_fs && skip(cursor, is_byte ? 1 : 4);
	}
	if (!take_operands(cursor, &operands))
		return false;
	if (is_cmp)
		return true;
	if (opcode & 2)
		ret->writes = register_of(cursor, operands.reg, is_byte);
	else
		write_rm(cursor, &operands, is_byte, ret);
	return true;
}

/* The same with a constant (80, 81, 83); shifts by a constant or by 1 (c0, c1, d0, d1); mov of a constant
 * (c6, c7); test, not, neg (f6, f7): the reg field says which. */
static bool decode_group(struct cursor *cursor, uint8_t opcode, struct insn *ret)
{
	bool is_byte = !(opcode & 1);
	struct operands operands;
	unsigned which;

	if (!take_operands(cursor, &operands))
		return false;
	which = operands.reg & 7;
	switch (opcode) {
	case 0x80:
	case 0x81:
	case 0x83:
		if (which != 7)
			write_rm(cursor, &operands, is_byte, ret);
		return skip(cursor, opcode == 0x81 ? 4 : 1);
	case 0xc0:
	case 0xc1:
	case 0xd0:
	case 0xd1:
		write_rm(cursor, &operands, is_byte, ret);
		return (which == 4 || which == 5 || which == 7) && skip(cursor, opcode >= 0xd0 ? 0 : 1);
	case 0xc6:
	case 0xc7:
		write_rm(cursor, &operands, is_byte, ret);
		return which == 0 && skip(cursor, is_byte ? 1 : 4);
	default: /* f6, f7 */
		if (which == 0)
			return skip(cursor, is_byte ? 1 : 4);
		write_rm(cursor, &operands, is_byte, ret);
		return which == 2 || which == 3;
	}
}

/* mov between registers, or of memory (88 to 8b). */
static bool decode_move(struct cursor *cursor, uint8_t opcode, struct insn *ret)
{
	bool is_byte = !(opcode & 1), is_load = opcode & 2;
	struct operands operands;

	if (!take_operands(cursor, &operands))
		return false;
	if (is_load)
		ret->writes = register_of(cursor, operands.reg, is_byte);
	else
		write_rm(cursor, &operands, is_byte, ret);
	if (!operands.is_memory && is_wide(cursor))
		ret->copies = is_byte ? NO_REGISTER : (int)(is_load ? operands.rm : operands.reg);
	return true;
}

/* lea, movslq, movzx, movsx: the register is written, whole. */
static bool decode_load(struct cursor *cursor, bool is_lea, struct insn *ret)
{
	struct operands operands;

	if (!take_operands(cursor, &operands))
		return false;
	ret->writes = (int)operands.reg;
	return !is_lea || (operands.is_memory && !cursor->has_fs);
}

/* b0 to bf: mov of a constant. */
static bool decode_constant(struct cursor *cursor, uint8_t opcode, struct insn *ret)
{
	unsigned number = (opcode & 7) | (cursor->rex & 1 ? 8 : 0);

	if (cursor->has_fs)
		return false;
	ret->writes = register_of(cursor, number, opcode < 0xb8);
	if (opcode < 0xb8)
		return skip(cursor, 1);
	return skip(cursor, is_wide(cursor) ? 8 : 4);
}

/* What the kernel emulates: exactly these encodings (branch_setup_xol_ops(), push_setup_xol_ops()).
 * Multi-byte nops came with 6.16: they are passed instead. */
static bool decode_emulated(struct cursor *cursor, uint8_t opcode, struct insn *ret)
{
	ret->is_emulated = true;
	if (cursor->has_fs || (cursor->rex && cursor->rex != 0x41))
		return false;
	if (opcode >= 0x50 && opcode <= 0x57) {
		ret->moves_stack = true;
		return true;
	}
	if (cursor->rex) /* 41 90 is xchg r8, rax */
		return false;
	ret->moves_stack = opcode == 0xe8;
	if (opcode == 0x90)
		return true;
	return skip(cursor, opcode == 0xe8 || opcode == 0xe9 ? 4 : 1);
}

static bool decode_two_bytes(struct cursor *cursor, struct insn *ret)
{
	uint8_t opcode;

	if (!take(cursor, &opcode))
		return false;
	if (opcode >= 0x80 && opcode <= 0x8f) {
		ret->is_emulated = true;
		return !cursor->rex && !cursor->has_fs && skip(cursor, 4);
	}
	if (opcode == 0xb6 || opcode == 0xb7 || opcode == 0xbe || opcode == 0xbf)
		return decode_load(cursor, false, ret);
	return false;
}

static bool decode_opcode(struct cursor *cursor, uint8_t opcode, struct insn *ret)
{
	struct operands operands;

	switch (opcode) {
	case 0x0f:
		return decode_two_bytes(cursor, ret);
	case 0x50 ... 0x57:
	case 0x70 ... 0x7f:
	case 0x90:
	case 0xe8:
	case 0xe9:
	case 0xeb:
		return decode_emulated(cursor, opcode, ret);
	case 0x63:
	case 0x8d:
		return decode_load(cursor, opcode == 0x8d, ret);
	case 0x80:
	case 0x81:
	case 0x83:
	case 0xc0:
	case 0xc1:
	case 0xc6:
	case 0xc7:
	case 0xd0:
	case 0xd1:
	case 0xf6:
	case 0xf7:
		return decode_group(cursor, opcode, ret);
	case 0x84:
	case 0x85:
		return take_operands(cursor, &operands);
	case 0x88 ... 0x8b:
		return decode_move(cursor, opcode, ret);
	case 0xa8:
	case 0xa9:
		return !cursor->has_fs && skip(cursor, opcode == 0xa8 ? 1 : 4);
	case 0xb0 ... 0xbf:
		return decode_constant(cursor, opcode, ret);
	default:
		return opcode < 0x40 && (opcode & 7) < 6 && decode_arithmetic(cursor, opcode, ret);
	}
}

/* What does nothing: endbr64, and the nops that fill up to a boundary ("66 66 2e 0f 1f 84 …", "66 90").
 * Returns the length, 0 when it is something else. */
static size_t decode_nothing(const uint8_t *code, size_t length)
{
	static const uint8_t endbr64[] = {0xf3, 0x0f, 0x1e, 0xfa};
	struct cursor cursor = {.code = code, .length = length};
	struct operands operands;

	if (length >= sizeof(endbr64) && !memcmp(code, endbr64, sizeof(endbr64)))
		return sizeof(endbr64);
	while (cursor.at < length && (code[cursor.at] == 0x66 || code[cursor.at] == 0x2e))
		cursor.at++;
	if (cursor.at > 0 && cursor.at < length && code[cursor.at] == 0x90)
		return cursor.at + 1;
	if (length - cursor.at < 2 || code[cursor.at] != 0x0f || code[cursor.at + 1] != 0x1f)
		return 0;
	cursor.at += 2;
	return take_operands(&cursor, &operands) && operands.reg == 0 ? cursor.at : 0;
}

static bool decode(const uint8_t *code, size_t length, struct insn *ret)
{
	struct cursor cursor = {.code = code, .length = length < LENGTH_MAX ? length : LENGTH_MAX};
	uint8_t opcode;

	*ret = (struct insn){.writes = NO_REGISTER, .copies = NO_REGISTER};
	ret->length = (unsigned)decode_nothing(code, cursor.length);
	if (ret->length)
		return true;
	if (!take(&cursor, &opcode))
		return false;
	if (opcode == 0x64) { /* fs: is where a thread's variables are */
		cursor.has_fs = true;
		if (!take(&cursor, &opcode))
			return false;
	}
	if (opcode >> 4 == 4) {
		cursor.rex = opcode;
		if (!take(&cursor, &opcode))
			return false;
	}
	if (!decode_opcode(&cursor, opcode, ret))
		return false;
	ret->length = (unsigned)cursor.at;
	return true;
}

/* ---- the way to the site ---- */

/* Which argument a register holds, whole. */
struct state {
	uint8_t holds[16];
};

static void state_init(struct state *state)
{
	memset(state->holds, NO_ARGUMENT, sizeof(state->holds));
	for (unsigned i = 0; i < INSN_ARGUMENTS; i++)
		state->holds[argument_registers[i]] = (uint8_t)i;
}

/* Where the argument is, its own register first; NO_REGISTER when it is gone. */
static int state_find(const struct state *state, unsigned argument)
{
	if (state->holds[argument_registers[argument]] == argument)
		return argument_registers[argument];
	for (int i = 0; i < 16; i++)
		if (state->holds[i] == argument)
			return i;
	return NO_REGISTER;
}

/* Whether the instruction may be executed before the trap. */
static bool state_pass(struct state *state, const struct insn *insn, unsigned arguments, const char **ret_why)
{
	if (insn->moves_stack || insn->writes == RSP) {
		*ret_why = "it moves the stack pointer before any instruction that a trap can be put on";
		return false;
	}
	if (insn->writes_memory) {
		*ret_why = "it writes memory before any instruction that a trap can be put on";
		return false;
	}
	if (insn->writes != NO_REGISTER)
		state->holds[insn->writes] =
			insn->copies == NO_REGISTER ? NO_ARGUMENT : state->holds[insn->copies];
	for (unsigned i = 0; i < arguments; i++) {
		if (state_find(state, i) == NO_REGISTER) {
			*ret_why = "its arguments are gone before any instruction that a trap can be put on";
			return false;
		}
	}
	return true;
}

static struct insn_site make_site(const struct state *state, unsigned arguments, size_t offset,
				  const struct insn *insn)
{
	struct insn_site site = {.offset = (unsigned)offset, .length = insn->length};

	for (unsigned i = 0; i < INSN_ARGUMENTS; i++) {
		site.registers[i] = argument_registers[i];
		if (i < arguments && state_find(state, i) != argument_registers[i]) {
			site.registers[i] = (uint8_t)state_find(state, i);
			site.is_moved = true;
		}
	}
	return site;
}

bool insn_find_site(const uint8_t *code, size_t length, unsigned arguments, struct insn_site *ret,
		    const char **ret_why)
{
	struct state state;
	struct insn insn;

	if (arguments > INSN_ARGUMENTS) {
		*ret_why = "it has more arguments than can be followed";
		return false;
	}
	state_init(&state);
	for (size_t at = 0; at <= INSN_SITE_MAX; at += insn.length) {
		if (at >= length) {
			*ret_why = "it ends before any instruction that a trap can be put on";
			return false;
		}
		if (!decode(code + at, length - at, &insn)) {
			*ret_why = "its first instructions are none that are known here";
			return false;
		}
		if (insn.is_emulated) {
			*ret = make_site(&state, arguments, at, &insn);
			return true;
		}
		if (!state_pass(&state, &insn, arguments, ret_why))
			return false;
	}
	*ret_why = "its first branch or push lies too far behind its start";
	return false;
}

bool insn_find_stepped_site(const uint8_t *code, size_t length, struct insn_site *ret, const char **ret_why)
{
	struct state state;
	struct insn insn;
	size_t at = 0;

	state_init(&state);
	/* The landing pad and what fills are no place: the processor may want to see them. */
	while (at < length && at <= INSN_SITE_MAX && decode_nothing(code + at, length - at))
		at += decode_nothing(code + at, length - at);
	if (at >= length || at > INSN_SITE_MAX || !decode(code + at, length - at, &insn)) {
		*ret_why = "its first instruction is none that is known here";
		return false;
	}
	*ret = make_site(&state, 0, at, &insn);
	ret->is_stepped = !insn.is_emulated;
	return true;
}
