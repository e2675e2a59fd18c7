#include "tui/search.h"

#include <stdio.h>
#include <string.h>

void search_deinit(struct search *search)
{
	if (search->is_compiled)
		regfree(&search->regex);
	search->is_compiled = false;
	search->pattern[0] = '\0';
}

/* A capital that is no part of an escape (\W, \B, \S). */
static bool has_capital(const char *pattern)
{
	for (; *pattern; pattern++) {
		if (*pattern == '\\' && pattern[1])
			pattern++;
		else if (*pattern >= 'A' && *pattern <= 'Z')
			return true;
	}
	return false;
}

/* What a pattern could do to kiln: glibc compiles (((x{99}){99}){99}) until the memory is gone, and back
 * references make matching exponential. */
static const char *find_danger(const char *pattern)
{
	unsigned braces = 0;

	for (; *pattern; pattern++) {
		if (*pattern == '\\' && pattern[1] >= '1' && pattern[1] <= '9')
			return "back references are not supported";
		if (*pattern == '\\' && pattern[1])
			pattern++;
		else if (*pattern == '{' && ++braces > 1)
			return "more than one {n,m}";
		else if (*pattern == '{' && strcspn(pattern, "}") > 6)
			return "{n,m} is too large";
	}
	return NULL;
}

bool search_set(struct search *search, const char *pattern, char *ret_why, size_t capacity)
{
	const char *danger = find_danger(pattern);
	regex_t regex;
	int status;

	if (strlen(pattern) >= sizeof(search->pattern))
		danger = "it is too long";
	if (danger) {
		snprintf(ret_why, capacity, "%s", danger);
		return false;
	}
	if (pattern[0]) {
		status = regcomp(&regex, pattern,
				 REG_EXTENDED | REG_NOSUB | (has_capital(pattern) ? 0 : REG_ICASE));
		if (status) {
			regerror(status, &regex, ret_why, capacity);
			return false;
		}
	}
	search_deinit(search);
	if (!pattern[0])
		return true;
	search->regex = regex;
	search->is_compiled = true;
	snprintf(search->pattern, sizeof(search->pattern), "%s", pattern);
	return true;
}

bool search_matches(const struct search *search, const char *name)
{
	char start[SEARCH_NAME_MAX];

	if (!search->is_compiled)
		return false;
	if (strnlen(name, sizeof(start)) == sizeof(start)) {
		snprintf(start, sizeof(start), "%.*s", (int)sizeof(start) - 1, name);
		name = start;
	}
	return regexec(&search->regex, name, 0, NULL, 0) == 0;
}

bool search_matches_in_context(const struct view_context *context, const char *name)
{
	return search_matches(context->search_state, name);
}
