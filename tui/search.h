/* The search of all screens: an extended regular expression with smart case (a capital in the pattern makes
 * it case-sensitive).
 *
 * The pattern is the user's, names are the target's: a name longer than SEARCH_NAME_MAX is matched by its
 * beginning, so that a hostile name costs bounded time.
 */
#ifndef KILN_TUI_SEARCH_H
#define KILN_TUI_SEARCH_H

#include "tui/view.h"

#include <regex.h>

#define SEARCH_PATTERN_MAX 128
#define SEARCH_NAME_MAX	   1024

struct search {
	char pattern[SEARCH_PATTERN_MAX]; /* "" none */
	regex_t regex;
	bool is_compiled;
};

void search_deinit(struct search *search);
/* Replaces the pattern; "" clears. Returns false and says why in words when the pattern is none; the search
 * is then as it was. */
bool search_set(struct search *search, const char *pattern, char *ret_why, size_t capacity);
bool search_matches(const struct search *search, const char *name);
/* For struct view_context, whose search_state is the struct search. */
bool search_matches_in_context(const struct view_context *context, const char *name);

#endif
