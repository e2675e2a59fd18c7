/* Inlined calls: what a frame is inlined into, from the inside out.
 *
 * A frame belongs to its innermost function. The call through which that was inlined is a site: the function
 * that it stands in, its file and line, and the site that this function was inlined through in its turn
 * (outer; 0: it is the concrete function). Addresses of one inlined body share their sites. Invariants: sites
 * are numbered from 1, an outer one before those inside of it; they are names, and are never forgotten; none
 * has more than NAME_LEVELS_MAX - 2 outer ones. Functions are places (functions.h) of such as have a name or
 * an address of their own. Errors: 0 when memory is short.
 */
#ifndef KILN_PROFILE_INLINES_H
#define KILN_PROFILE_INLINES_H

#include "base/array.h"
#include "profile/index.h"

struct inline_site {
	const char *file;  /* interned; NULL: not known */
	uint32_t outer;	   /* 0: none */
	uint32_t function; /* place */
	uint32_t line;
	uint32_t depth; /* outer ones */
};

struct inlines {
	struct index index;
	ARRAY(struct inline_site)
	items; /* [0] unused */
};

struct profile;

bool inlines_init(struct inlines *inlines);
void inlines_deinit(struct inlines *inlines);
/* Finds or adds; file is interned. 0 also where it would be too deep. */
uint32_t inlines_intern(struct profile *profile, uint32_t outer, uint32_t function, const char *file,
			uint32_t line);

#endif
