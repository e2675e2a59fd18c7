/* The code of a function, line by line and instruction by instruction, with its share of the samples: text.
 *
 * Instructions come from a worker's listings (symbolizer/code_message.h), samples from the profile, source
 * lines from whoever can read them. Where there are no instructions, what the profile itself knows of lines
 * is shown. Ownership: nothing is taken.
 */
#ifndef KILN_EXPORT_REPORT_ANNOTATE_H
#define KILN_EXPORT_REPORT_ANNOTATE_H

#include "base/error.h"
#include "profile/addresses.h"
#include "profile/profile.h"
#include "symbolizer/code_message.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct annotate_file {
	const char *path; /* where it is, or was looked for */
	const char *why;  /* NULL: it is there */
	bool is_newer;	  /* than the binary */
};

struct annotate_sources {
	/* false: memory is short. */
	bool (*find)(void *arg, const char *file, struct annotate_file *ret);
	/* NULL: there is none. Valid until the next call. */
	const char *(*get_line)(void *arg, const char *file, uint32_t line);
	void *arg;
};

struct annotate_options {
	uint32_t function;
	const struct addresses *addresses; /* of the function */
	/* The pieces of code that its samples lie in, the hottest first; none: the profile's lines alone. */
	struct code_listing *const *listings;
	size_t count;
	struct annotate_sources sources;
};

struct error *report_write_annotate(struct profile *profile, const struct annotate_options *options,
				    FILE *stream);

#endif
