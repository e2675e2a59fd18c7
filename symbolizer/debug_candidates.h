/* Where a file with debug information may lie: paths, in order of preference. Pure: nothing is opened.
 *
 * Ownership: debug_candidates_init() → debug_candidates_deinit(). Errors: a name that is not allowed makes an
 * empty list, and says why; when memory is short the list is shorter.
 */
#ifndef KILN_SYMBOLIZER_DEBUG_CANDIDATES_H
#define KILN_SYMBOLIZER_DEBUG_CANDIDATES_H

#include "base/array.h"
#include "symbolizer/frame.h"

struct debug_directories {
	char **items; /* absolute, without a slash at the end; the last one exists in containers too */
	size_t count, capacity;
};

struct debug_candidate {
	bool in_root;  /* below the target's root; else of this machine */
	bool no_links; /* no symbolic link is followed: the directory may be the target's to write */
	char *base;    /* the path is beneath it, and crosses no mount point; NULL: the path is absolute */
	char *path;
};

struct debug_candidates {
	ARRAY(struct debug_candidate)
	items;
	char *package; /* .dwp beside the module; NULL unless WANT_DWO */
	char why[160]; /* not sanitized */
};

void debug_candidates_init(struct debug_candidates *ret, const struct debug_directories *directories,
			   bool has_root, const char *module_path, const struct want_message *want,
			   const char *name);
void debug_candidates_deinit(struct debug_candidates *candidates);

#endif
