/* Reports of a profile on a stream, as CLI.md describes: text for people, JSON for scripts. */
#ifndef KILN_EXPORT_REPORT_H
#define KILN_EXPORT_REPORT_H

#include "base/error.h"
#include "profile/profile.h"

#include <stdio.h>

enum report_view { REPORT_SUMMARY, REPORT_HOT, REPORT_TREE };
enum report_format { REPORT_TEXT, REPORT_JSON };

struct report_options {
	enum report_view view;
	enum report_format format;
	double limit_pct; /* -L: rows below this share of all are left out (and summed up) */
	size_t rows;	  /* -n; 0: all */
};

struct error *report_write(struct profile *profile, const struct report_options *options, FILE *stream);

#endif
