/* How many samples a search matches: each sample (or byte) once, however often its stack matches.
 *
 * The tree is walked from the root, heaviest first; below a hit nothing is counted again. A walk goes on for
 * a bounded number of nodes a drawing, so that no key waits for it: until it is done, the sum is a lower
 * bound.
 */
#ifndef KILN_TUI_FLAME_MATCH_H
#define KILN_TUI_FLAME_MATCH_H

#include "base/array.h"
#include "tui/code_text.h"

struct flame_match {
	char *pattern; /* that the sums are of; NULL: none */
	ARRAY(uint64_t)
	pending;		       /* keys whose children were not looked at yet */
	uint64_t revision;	       /* of the profile when the walk began */
	uint64_t running, running_all; /* sums of the walk that runs */
	uint64_t samples, all;	       /* of the last one that was done, or of the first as far as it is */
	bool is_running, is_done;      /* is_done: samples is the whole sum */
};

/* Goes on with the walk, or begins one when pattern or data are new. */
void flame_match_refresh(struct flame_match *match, const struct view_context *context, struct hits *hits,
			 struct tree *tree);
void flame_match_deinit(struct flame_match *match);

#endif
