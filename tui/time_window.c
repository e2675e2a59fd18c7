#include "tui/time_window.h"

#include "tui/format.h"

#include <stdio.h>
#include <string.h>

#define SECOND	  1000000000ull
#define WINDOW_NS (60 * SECOND)

bool time_window_is_over(const struct source_status *status)
{
	return status->state == SOURCE_SNAPSHOT || status->state == SOURCE_EXITED ||
	       status->state == SOURCE_LOST;
}

bool time_window_is_all(const struct source_status *status, bool is_flipped)
{
	return status->elapsed_ns < WINDOW_NS || (status->state == SOURCE_SNAPSHOT) != is_flipped;
}

void time_window_choose(const struct source_status *status, bool is_flipped, unsigned columns,
			struct chart *ret)
{
	static const unsigned steps_s[] = {1, 2, 5, 10, 15, 20, 30, 45, 60};
	/* rounded up, so that the label of its beginning has a place */
	uint64_t column_ns = (WINDOW_NS + columns - 1) / columns, elapsed_ns = status->elapsed_ns;
	unsigned i = 0;

	ret->from_ns = ret->relative_to_ns = 0;
	ret->end_label = status->state == SOURCE_LIVE ? "now" : "end";
	if (elapsed_ns < WINDOW_NS) {
		while (steps_s[i] * SECOND < elapsed_ns || (!time_window_is_over(status) && steps_s[i] % 30))
			i++;
		ret->to_ns = steps_s[i] * SECOND;
	} else if (time_window_is_all(status, is_flipped)) {
		uint64_t quantum_ns = elapsed_ns / columns < 10 * SECOND ? SECOND / 10 : SECOND;

		column_ns = (elapsed_ns / columns / quantum_ns + 1) * quantum_ns;
		ret->to_ns = column_ns * columns;
	} else {
		ret->to_ns = elapsed_ns / column_ns * column_ns;
		ret->from_ns = ret->to_ns > column_ns * columns ? ret->to_ns - column_ns * columns : 0;
		ret->relative_to_ns = ret->to_ns;
	}
}

void time_window_write(const struct chart *chart, uint64_t time_ns, char *ret, size_t capacity)
{
	char clock[FORMAT_MAX];
	uint64_t ago_s;

	if (!chart->relative_to_ns) {
		snprintf(ret, capacity, " at %s", format_clock(time_ns, clock));
		return;
	}
	ago_s = chart->relative_to_ns > time_ns ? (chart->relative_to_ns - time_ns) / SECOND : 0;
	if (ago_s)
		snprintf(ret, capacity, " at -%llus", (unsigned long long)ago_s);
	else
		snprintf(ret, capacity, " %s", strcmp(chart->end_label, "now") ? "at the end" : "just now");
}
