/* The machine code of a function as text, with its lines: what kiln asks a worker, what the worker answers,
 * and the listing that kiln makes of the answers: data only.
 *
 * Each request has one answer of bounded size and time: a long function takes several, and names that others
 * wait for come in between. All strings on the wire are sanitized UTF-8 without terminators.
 * Addresses are ELF virtual ones.
 */
#ifndef KILN_SYMBOLIZER_CODE_MESSAGE_H
#define KILN_SYMBOLIZER_CODE_MESSAGE_H

#include <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- on the wire ---- */

#define CODE_INTEL 1 /* the text in Intel's syntax, not in AT&T's */

struct code_request {
	__u32 module;
	__u32 flags;  /* CODE_INTEL */
	__u64 offset; /* in the file: of an instruction of the function, or inside of it */
	__u64 next;   /* 0: from the beginning; else what the part before said */
};

/* Of a longer function only so much is listed, around the offset that was asked for. */
#define CODE_BYTES_MAX (1u << 20)

struct code_part {
	__u32 module;
	__u32 function_length; /* bytes of its name, that follow the struct; 0: it has none */
	__u64 offset;	       /* as asked */
	__u64 start, end;      /* the function */
	__u64 first, last;     /* what of it is listed: all, if it is not too long */
	__u64 start_offset;    /* of start, in the file */
	__u64 from;	       /* of the first instruction of this part */
	__u64 next;	       /* ask on from here; 0: this was the last part */
	char why[120];	       /* why nothing can be listed, terminated; empty when all is well */
			       /* function, padding to 8 bytes, then records */
};

/* Every record begins with this, and takes a multiple of 8 bytes. */
struct code_record {
	__u16 kind;   /* enum code_record_kind */
	__u16 length; /* with its text and padding */
	__u16 text_length;
	__u16 count; /* CODE_RECORD_PLACE: levels; CODE_RECORD_INSTRUCTION: bytes of it */
};

enum code_record_kind {
	CODE_RECORD_STRING = 1,	 /* + text. Numbered from 1 in each part, in order; before their first use */
	CODE_RECORD_PLACE,	 /* + struct code_record_level for each; of the instructions from here on;
				    no level: nothing is known of them */
	CODE_RECORD_INSTRUCTION, /* + struct code_record_instruction, text. Each follows the one before in
				    memory, without a gap */
};

/* As struct name_entry: the innermost function first, the last one is the function itself. Lines of outer
 * levels are those of the call. 0: not known. */
struct code_record_level {
	__u32 function, file; /* numbers of strings */
	__u32 line;
	__u32 reserved;
};

struct code_record_instruction {
	__u64 target;	   /* of a direct jump or call; 0: none */
	__u32 target_name; /* number of a string; 0: none */
	__u32 flags;	   /* CODE_JUMP … */
};

#define CODE_JUMP	 1
#define CODE_CONDITIONAL 2 /* with CODE_JUMP */
#define CODE_CALL	 4
#define CODE_RETURN	 8
#define CODE_UNKNOWN	 16 /* the disassembler does not know it: ".byte …" */

#define CODE_TEXT_MAX	240 /* bytes of an instruction's text */
#define CODE_LENGTH_MAX 16  /* bytes of an instruction */

/* ---- in kiln ---- */

struct code_level {
	const char *function; /* NULL: not known, or (the last level) the function of the listing */
	const char *file;     /* NULL: not known */
	uint32_t line;	      /* 0: not known */
};

/* Levels of code_listing.levels. None: no line is known. */
struct code_place {
	uint32_t first, count;
};

struct code_instruction {
	uint64_t address;
	uint64_t target;	 /* 0: none */
	const char *target_name; /* NULL: none; "name" or "name+0x10" */
	const char *text;
	uint32_t place; /* number in code_listing.places */
	uint8_t length;
	uint8_t flags; /* CODE_JUMP … */
};

/* Strings are sanitized and terminated; they and the arrays live as long as the listing
 * (code_client.h: code_listing_destroy()). */
struct code_listing {
	uint32_t module;
	uint64_t offset; /* as asked */
	const char *function;
	const char *why; /* NULL; else why there is nothing */
	uint64_t start, end, first, last, start_offset;
	struct code_instruction *instructions;
	size_t count;
	struct code_place *places;
	size_t place_count;
	struct code_level *levels;
	size_t level_count;
};

#endif
