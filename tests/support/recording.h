/* One sample of a real program as text: registers, mappings, table rows and bytes that its walk needed, and
 * the frames that it gave. So a stack can be walked again without root and without its machine.
 *
 * A file is lines of words; numbers are hexadecimal, except those of rules, which are decimal; "#" begins a
 * remark:
 *   kiln-stack 2                                     the first line
 *   pc N / registers N×16                            by DWARF number: rax rdx rcx rbx rsi rdi rbp rsp r8 …
 * r15 mapping START END OFFSET MODULE FLAGS NAME       executable ones, as in struct mapping rule MODULE CFA
 * RBP RA SP CFA_OFFSET RBP_OFFSET BASE FLAGS EXTRA    as in struct unwind_rule; rule 0 first page MODULE PAGE
 * OFFSET:RULE …                   every row of one page; others are one gap memory ADDRESS BYTES what is not
 * told cannot be read frame MODULE OFFSET / end WORD                   what the walk gives: leaf first, then
 * why it ended
 *
 * Invariants: memory is sorted, without overlaps or neighbours. Ownership: recording_read() and
 * recording_init() make one, recording_deinit() ends it. Errors: false with a line number or words on stderr.
 */
#ifndef KILN_TESTS_RECORDING_H
#define KILN_TESTS_RECORDING_H

#include "base/array.h"
#include "bpf/events.h"
#include "bpf/table.h"

#include <stdio.h>

struct recorded_page {
	uint32_t page;
	ARRAY(uint32_t)
	rows; /* as in a table */
};

struct recorded_table {
	uint32_t module;
	ARRAY(struct unwind_rule)
	rules;
	ARRAY(struct recorded_page)
	pages;		 /* ascending */
	uint32_t *words; /* the table itself: recording_build_tables() */
};

struct recorded_memory {
	uint64_t start;
	ARRAY(uint8_t)
	bytes;
};

struct recording {
	uint64_t pc, registers[16];
	ARRAY(struct mapping)
	mappings; /* the first is a struct mapping_header */
	ARRAY(char *)
	names; /* of the mappings; NULL for the header */
	ARRAY(struct recorded_table)
	tables;
	ARRAY(struct recorded_memory)
	memory;
	ARRAY(uint64_t)
	frames;
	enum stack_end end;
};

bool recording_init(struct recording *ret);
void recording_deinit(struct recording *recording);
bool recording_read(FILE *file, struct recording *ret);
bool recording_write(FILE *file, const struct recording *recording);

/* Makes each table's words of its rules and pages; table_check() has the last word. */
bool recording_build_tables(struct recording *recording);
/* NULL: the module has none. */
struct recorded_table *recording_find_table(struct recording *recording, uint32_t module);

bool recording_add_memory(struct recording *recording, uint64_t start, const void *bytes, size_t count);
/* false: a part of it is not there. */
bool recording_get_memory(const struct recording *recording, uint64_t start, void *ret, size_t count);

#endif
