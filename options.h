/* The command line: what the user asked for, checked; docs of every verb (the contract is CLI.md of the
 * design).
 *
 * Ownership: strings point into argv. Errors: ERROR_USAGE, also for what is not built yet.
 */
#ifndef KILN_OPTIONS_H
#define KILN_OPTIONS_H

#include "base/error.h"
#include "bpf/probe.h"
#include "export/report.h"
#include "tui/app.h"

#include <stdbool.h>
#include <stdint.h>

enum verb {
	VERB_ATTACH,
	VERB_RUN,
	VERB_RECORD,
	VERB_OPEN,
	VERB_REPORT,
	VERB_ANNOTATE,
	VERB_DOCTOR,
	VERB_DEMO,
	VERB_SYMBOLIZE,
	VERB_HELP,
	VERB_VERSION
};

#define SOURCE_MAPS_MAX 64

struct options {
	enum verb verb;
	enum verb help_about; /* VERB_HELP: VERB_ATTACH is the whole page */
	/* target */
	uint32_t pid;	  /* 0: not given */
	const char *name; /* NULL: not given */
	char **command;	  /* NULL: not given; of run and record */
	bool as_root;
	/* collecting */
	double hz;
	double duration_s; /* 0: no limit */
	bool user_only, kernel_only;
	bool debuginfod; /* debug files may be got from servers */
	enum heap_choice heap;
	double max_overhead_pct; /* of HEAP_CHOICE_AUTO */
	double max_lost_pct;	 /* negative: no limit */
	bool quiet, verbose;
	/* files */
	const char *output; /* NULL: default pattern */
	const char *file;   /* of open, report, annotate and symbolize */
	char **addresses;   /* of symbolize: hex, checked */
	size_t address_count;
	/* annotate */
	const char *symbol;
	const char *source_maps[SOURCE_MAPS_MAX]; /* FROM=TO */
	size_t source_map_count;
	bool is_intel;
	struct report_options report;
	struct app_options app;
};

struct error *options_parse(int argc, char **argv, struct options *ret);
/* The text of --help. */
const char *options_help(enum verb about);

#define KILN_VERSION "0.1.0"

#endif
