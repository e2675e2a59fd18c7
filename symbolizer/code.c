#include "symbolizer/code.h"

#include <capstone/capstone.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct code_decoder {
	csh capstone;
	cs_insn *instruction; /* scratch */
	bool is_intel;	      /* what capstone is set to */
};

struct error *code_decoder_create(struct code_decoder **ret)
{
	struct code_decoder *code = calloc(1, sizeof(*code));

	if (!code)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "disassembler");
	if (cs_open(CS_ARCH_X86, CS_MODE_64, &code->capstone) != CS_ERR_OK) {
		free(code);
		return error_create(ERROR_GENERAL, 0, NULL, "the disassembler does not start");
	}
	cs_option(code->capstone, CS_OPT_DETAIL, CS_OPT_ON);
	cs_option(code->capstone, CS_OPT_SYNTAX, CS_OPT_SYNTAX_ATT);
	code->instruction = cs_malloc(code->capstone);
	if (!code->instruction) {
		code_decoder_destroy(code);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "disassembler");
	}
	*ret = code;
	return NULL;
}

void code_decoder_destroy(struct code_decoder *code)
{
	if (!code)
		return;
	if (code->instruction)
		cs_free(code->instruction, 1);
	cs_close(&code->capstone);
	free(code);
}

static void set_syntax(struct code_decoder *code, bool is_intel)
{
	if (code->is_intel == is_intel)
		return;
	code->is_intel = is_intel;
	cs_option(code->capstone, CS_OPT_SYNTAX, is_intel ? CS_OPT_SYNTAX_INTEL : CS_OPT_SYNTAX_ATT);
}

/* "mov    %rsp,%rbp": as other tools align it. */
static void set_text(struct decoded *ret, const char *mnemonic, const char *operands)
{
	int length = *operands ? snprintf(ret->text, sizeof(ret->text), "%-6s %s", mnemonic, operands)
			       : snprintf(ret->text, sizeof(ret->text), "%s", mnemonic);

	if (length > CODE_TEXT_MAX)
		length = CODE_TEXT_MAX;
	ret->text_length = (uint16_t)length;
}

static void set_bytes(struct decoded *ret, const uint8_t *bytes, size_t length)
{
	char operands[CODE_LENGTH_MAX * 5 + 1] = "";

	for (size_t i = 0; i < length; i++)
		snprintf(operands + i * 5, sizeof(operands) - i * 5, "0x%02x%s", bytes[i],
			 i + 1 < length ? "," : "");
	set_text(ret, ".byte", operands);
	ret->length = (uint8_t)length;
	ret->flags = CODE_UNKNOWN;
}

static bool is_conditional(unsigned id)
{
	return id != X86_INS_JMP && id != X86_INS_LJMP;
}

/* What jumps, where to. Indirect jumps have no target. */
static void set_flow(const struct code_decoder *code, struct decoded *ret)
{
	const cs_insn *instruction = code->instruction;
	const cs_x86 *x86 = &instruction->detail->x86;
	bool is_call = cs_insn_group(code->capstone, instruction, CS_GRP_CALL);
	bool is_jump = cs_insn_group(code->capstone, instruction, CS_GRP_JUMP) ||
		       (instruction->id >= X86_INS_LOOP && instruction->id <= X86_INS_LOOPNE);

	if (is_call)
		ret->flags = CODE_CALL;
	else if (is_jump)
		ret->flags = is_conditional(instruction->id) ? CODE_JUMP | CODE_CONDITIONAL : CODE_JUMP;
	else if (cs_insn_group(code->capstone, instruction, CS_GRP_RET) ||
		 cs_insn_group(code->capstone, instruction, CS_GRP_IRET))
		ret->flags = CODE_RETURN;
	if ((is_call || is_jump) && x86->op_count == 1 && x86->operands[0].type == X86_OP_IMM)
		ret->target = (uint64_t)x86->operands[0].imm;
}

void code_decode(struct code_decoder *code, const uint8_t *bytes, size_t length, uint64_t address,
		 bool is_intel, struct decoded *ret)
{
	const uint8_t *at = bytes;
	size_t left = length, whole;
	uint64_t next = address;

	ret->target = 0;
	ret->flags = 0;
	set_syntax(code, is_intel);
	if (cs_disasm_iter(code->capstone, &at, &left, &next, code->instruction) &&
	    code->instruction->size <= length && code->instruction->size < CODE_LENGTH_MAX) {
		ret->length = (uint8_t)code->instruction->size;
		set_text(ret, code->instruction->mnemonic, code->instruction->op_str);
		set_flow(code, ret);
		return;
	}
	whole = code_length_by_encoding(bytes, length);
	set_bytes(ret, bytes, whole ? whole : 1);
}
