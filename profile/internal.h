/* The parts of a profile: for the files of profile/ that make it up, and for their tests. */
#ifndef KILN_PROFILE_INTERNAL_H
#define KILN_PROFILE_INTERNAL_H

#include "profile/calltree.h"
#include "profile/functions.h"
#include "profile/inlines.h"
#include "profile/log.h"
#include "profile/modules.h"
#include "profile/profile.h"
#include "profile/settle.h"
#include "profile/spoilers_internal.h"
#include "profile/stacks.h"
#include "profile/strings.h"
#include "profile/timeline.h"

#include <errno.h>

struct heap;

struct profile {
	uint64_t revision;
	enum profile_unit unit;
	struct heap *heap;	 /* NULL: none */
	struct profile *weights; /* the heap's profile, which gets names and modules from here; NULL: none */
	struct profile *owner;	 /* of a heap's profile: the one that has the heap, and the facts */
	struct facts facts;
	struct totals totals; /* without what was lost outside */
	struct strings strings;
	struct modules modules;
	struct stacks stacks;
	struct functions functions;
	struct inlines inlines;
	struct calltree calltree;
	struct settling settling;
	struct spoilers spoilers;
	struct sample_log log;
	struct timeline timeline;
	ARRAY(struct event)
	events;
	ARRAY(struct neighbour)
	neighbours; /* scratch */
};

/* ---- names.c, for stacks.c and settle.c ---- */

bool names_init_frame(struct profile *profile, struct frame_entry *entry);
void names_link_frame(struct profile *profile, uint32_t number);
/* The function of a frame; a provisional one is made when it has none. FUNCTION_NONE when memory is short. */
uint32_t names_get_function(struct profile *profile, uint32_t frame);
/* For stacks_drop_frames(): the lists of frames that wait to be asked take the new numbers … */
void names_renumber_unasked(struct profile *profile);
/* … and when the frames stand at their new places, the functions' lists are made anew. */
void names_join_again(struct profile *profile);
/* Samples end in a frame: may change which line its function shows. count may be negative (as two's
 * complement). */
void names_add_self(struct profile *profile, uint32_t frame, uint64_t count);
/* The frame that a function shows; 0 none. */
uint32_t names_get_best(struct profile *profile, uint32_t function);
/* Gives a frame of a heap's profile the name that it has in its owner's, if it has one there. false: memory
 * is short.
 */
bool names_copy(struct profile *profile, const struct profile *from, uint64_t frame);

/* ---- ask_again.c, for names.c ---- */

#define ANONYMOUS_NAME "[anon]"
/* Whether the frames of a module are asked for though they have a name: that of all code without one. */
bool ask_again_is_asked(const struct profile *profile, uint32_t module);

/* ---- profile.c, for heap.c ---- */

/* Sets what a stack weighs, up or down: of a profile without samples, log and timeline. */
void profile_set_weight(struct profile *profile, uint32_t leaf, uint64_t weight);

#endif
