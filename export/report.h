/* Reports of a profile on a stream, as CLI.md describes: text for people, JSON for scripts. */
#ifndef KILN_EXPORT_REPORT_H
#define KILN_EXPORT_REPORT_H

#include "base/error.h"
#include "profile/profile.h"

#include <stdio.h>

enum report_view { REPORT_SUMMARY, REPORT_HOT, REPORT_TREE, REPORT_ALLOC };
enum report_metric {
	REPORT_METRIC_DEFAULT, /* cpu, of REPORT_ALLOC live-bytes */
	REPORT_METRIC_CPU,
	REPORT_METRIC_LIVE_BYTES, /* from here on as enum heap_metric */
	REPORT_METRIC_LIVE_COUNT,
	REPORT_METRIC_ALLOC_BYTES,
	REPORT_METRIC_ALLOC_COUNT,
	REPORT_METRIC_PEAK_BYTES,
};
enum report_format { REPORT_TEXT, REPORT_JSON };

struct report_options {
	enum report_view view;
	enum report_metric metric; /* the summary has all */
	enum report_format format;
	double limit_pct; /* -L: rows below this share of all are left out (and summed up) */
	size_t rows;	  /* -n; 0: all */
};

/* A metric of the heap changes the metric of the profile's heap (profile/heap.h). */
struct error *report_write(struct profile *profile, const struct report_options *options, FILE *stream);

#endif
