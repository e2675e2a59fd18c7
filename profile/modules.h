/* The modules of the target by id, and which of their frames nobody has asked a name for yet.
 *
 * Invariants: the fixed modules of enum module_id always exist; a module that a frame names before it was
 * announced exists too, as "[module ID]".
 */
#ifndef KILN_PROFILE_MODULES_H
#define KILN_PROFILE_MODULES_H

#include "base/array.h"
#include "profile/profile.h"
#include "profile/strings.h"

#define MODULE_NONE UINT32_MAX

struct module_entry {
	struct module public;
	uint32_t unasked_first, unasked_last; /* frame numbers, linked by frame_entry.next_unasked; 0 none */
	uint32_t next_unasked;		      /* module (index) with unasked frames; MODULE_NONE: the last */
	bool is_queued;
	bool is_jit; /* [anon]: its frames are asked for (ask_again.c) */
};

struct modules {
	ARRAY(struct module_entry)
	items;
	ARRAY(uint32_t)
	by_id; /* index + 1; 0: unknown */
	uint32_t unasked_first, unasked_last;
};

bool modules_init(struct modules *modules, struct strings *strings);
void modules_deinit(struct modules *modules);
/* Finds or adds; NULL when memory is short or the id is none. */
struct module_entry *modules_intern(struct modules *modules, struct strings *strings, uint32_t id);
/* NULL when it is unknown. */
struct module_entry *modules_find(const struct modules *modules, uint32_t id);

#endif
