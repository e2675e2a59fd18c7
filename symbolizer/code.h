/* One instruction as text: bytes in, what people and the code screen need to know of it out.
 *
 * capstone reads x86-64; what it does not know (data between functions, instructions that are newer than it)
 * is ".byte …": of those whose encoding says how long they are, whole; else byte by byte until something is
 * an instruction again.
 * Ownership: code_decoder_create() → code_decoder_destroy(). Errors: memory; bytes never fail.
 */
#ifndef KILN_SYMBOLIZER_CODE_H
#define KILN_SYMBOLIZER_CODE_H

#include "base/error.h"
#include "symbolizer/code_message.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct code_decoder;

struct decoded {
	uint64_t target; /* of a direct jump or call; 0: none */
	uint8_t length;	 /* 1 to CODE_LENGTH_MAX, never more than there were bytes */
	uint8_t flags;	 /* CODE_JUMP … */
	uint16_t text_length;
	char text[CODE_TEXT_MAX + 1]; /* terminated, plain ASCII: "mov    %rsp,%rbp" */
};

struct error *code_decoder_create(struct code_decoder **ret);
void code_decoder_destroy(struct code_decoder *code); /* NULL accepted */
/* The instruction that begins with the first byte. length: bytes that there are, at least 1. */
void code_decode(struct code_decoder *code, const uint8_t *bytes, size_t length, uint64_t address,
		 bool is_intel, struct decoded *ret);

/* How long an instruction is by its encoding alone, where that says so whatever it does: VEX, EVEX, and the
 * parts of the 0F maps that grow. 0: not known, or not all of it is there. */
size_t code_length_by_encoding(const uint8_t *bytes, size_t length);

#endif
