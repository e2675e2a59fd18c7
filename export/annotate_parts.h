/* What the two halves of an annotated function share: its lines, and its instructions. Included by
 * export/report_annotate.c and export/annotate_*.c only. */
#ifndef KILN_EXPORT_ANNOTATE_PARTS_H
#define KILN_EXPORT_ANNOTATE_PARTS_H

#include "base/array.h"
#include "export/report_annotate.h"

/* One listing with the function's samples in it. */
struct annotate_piece {
	const struct code_listing *listing;
	uint64_t *self; /* by instruction */
	uint64_t sum;
	bool is_inlined; /* the function is inlined into the one that is listed */
};

struct annotate {
	struct profile *profile;
	const struct annotate_options *options;
	struct function function;
	uint64_t total; /* samples of the profile */
	ARRAY(struct annotate_piece)
	pieces;
	uint64_t placed; /* samples that are at an instruction of some piece */
	FILE *stream;
};

/* The level of an instruction that is in the function itself; NULL: it is not of this function, or nothing is
 * known of it. */
const struct code_level *annotate_find_own_level(const struct annotate *annotate,
						 const struct annotate_piece *piece,
						 const struct code_instruction *instruction);
/* Whether it is of the function: of an inlined one only a part of the listing is. */
bool annotate_is_own(const struct annotate *annotate, const struct annotate_piece *piece, size_t number);
/* The level that the instruction itself is of; NULL: nothing is known. */
const struct code_level *annotate_get_innermost(const struct code_listing *listing,
						const struct code_instruction *instruction);

/* Columns of figures: share of the function's samples, its uncertainty, samples. is_marked: the hottest. */
void annotate_put_figures(const struct annotate *annotate, uint64_t self, bool is_marked);
void annotate_put_no_figures(const struct annotate *annotate);
const char *annotate_get_basename(const char *path);

/* The function's lines. Nothing when no line is known. */
struct error *annotate_write_lines(const struct annotate *annotate);
void annotate_write_code(const struct annotate *annotate, const struct annotate_piece *piece);

#endif
