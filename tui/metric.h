/* What the figures of hotspots, call tree and flame are: CPU samples, or one metric of the heap; and how to
 * write them. Figures of the heap are exact: they have no ±, and are bytes or blocks, never samples.
 */
#ifndef KILN_TUI_METRIC_H
#define KILN_TUI_METRIC_H

#include "profile/heap.h"
#include "tui/format.h"
#include "tui/view.h"

/* METRIC_HEAP + enum heap_metric. In this order b goes through them. */
enum { METRIC_CPU, METRIC_HEAP, METRICS = METRIC_HEAP + HEAP_METRICS };

/* The profile that holds the figures: never NULL. */
struct profile *metric_get_profile(const struct view_context *context);
/* Makes the context's profile and metric this one, and its selected function the one of the same name there.
 * false: there is no heap, or memory is short. */
bool metric_use(struct view_context *context, unsigned metric);
bool metric_is_exact(const struct view_context *context);

const char *metric_get_name(unsigned metric);	/* "live bytes" */
const char *metric_get_column(unsigned metric); /* "BYTES" */
/* "12,402" samples or blocks, "182M". */
const char *metric_format(unsigned metric, uint64_t value, char ret[FORMAT_MAX]);
/* "n=12,402", "182M", "1,204 blocks". */
const char *metric_format_amount(unsigned metric, uint64_t value, char ret[FORMAT_MAX]);
/* " ±0.8" behind a share; "" where shares are exact. */
const char *metric_format_interval(unsigned metric, uint64_t part, uint64_t whole, char ret[FORMAT_MAX]);
/* The end of row 3: " ▸ metric ▸ live bytes"; "" when there is nothing but CPU samples. */
void metric_write_scope(const struct view_context *context, char *ret, size_t capacity);
/* What the figures are of: "all threads ▸ all time". */
const char *metric_get_extent(const struct view_context *context);

#endif
