/* Writes the unwind table file of bpf/table.h: rules come in by ascending file offset, a sealed memfd comes
 * out.
 *
 * Invariants: a rule holds from its offset to the next one's; the last rule given has to be the gap.
 * Rules are numbered by hashing; when TABLE_RULES_MAX are in use, a new one becomes UNWIND_UNSUPPORTED and is
 * counted. No allocation a row: everything lies in arrays that double.
 * Ownership: init/deinit in place; the memfd belongs to the caller.
 * Units: file offsets in bytes.
 */
#ifndef KILN_SYMBOLIZER_TABLE_WRITER_H
#define KILN_SYMBOLIZER_TABLE_WRITER_H

#include "base/array.h"
#include "base/error.h"
#include "bpf/table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Pages of file offset that one table may span, 16 GiB: a hostile sparse file must not ask for an index of
 * any size. No linker makes code that large. */
#define TABLE_WRITER_PAGES_MAX (1u << 22)

struct table_writer {
	ARRAY(uint32_t)
	rows; /* of all pages, without padding */
	ARRAY(uint32_t)
	page_firsts; /* number in rows of each page's first row */
	ARRAY(struct unwind_rule)
	rules;
	uint32_t *rule_slots; /* hash table: rule number + 1, 0 is free; a power of two long */
	size_t slot_count;
	uint64_t first_page;
	struct unwind_rule last_rule; /* neighbours often have the same */
	uint32_t last_rule_number;
	uint32_t current_rule; /* holds at the end of what is written */
	bool has_pending;      /* the newest rule waits here: one at the same offset replaces it */
	uint64_t pending_offset;
	uint32_t pending_rule;
	uint64_t refused_rules; /* appended after the dictionary was full */
};

struct error *table_writer_init(struct table_writer *ret);
void table_writer_deinit(struct table_writer *writer); /* a zeroed struct accepted */

/* From this file offset on, this rule holds. Offsets must not descend: one that does, or that lies more than
 * TABLE_WRITER_PAGES_MAX pages behind the first, is ERROR_BAD_FILE. */
struct error *table_writer_append(struct table_writer *writer, uint64_t offset,
				  const struct unwind_rule *rule);

/* Lays the table out and seals it. Nothing may be appended afterwards. ret_words: length of the file, 4 bytes
 * each. A writer without any rows gives a table without pages. */
struct error *table_writer_finish(struct table_writer *writer, int *ret_memfd, uint32_t *ret_words);

#endif
