#include "options.h"

/* One text a verb; the page of --help is all of them. */
#define TARGET_HELP                                                                                          \
	"kiln PID | NAME                    attach (also -p PID, -n NAME)\n"                                 \
	"     NAME equals the process's name, or the last part of its program or argv[0]\n"
#define RUN_HELP                                                                                             \
	"kiln run [OPTIONS] -- CMD [ARG…]   start CMD under the profiler from its first instruction\n"     \
	"     --as-root                     CMD keeps root's rights (else it runs as the invoking user)\n"
#define RECORD_HELP                                                                                          \
	"kiln record (-p PID | -n NAME | -- CMD [ARG…]) [-d SECONDS] [-o FILE]\n"                          \
	"                                   without a screen; ends with -d, the target, or SIGINT\n"         \
	"     -o FILE                       %p %t %h %% are pid, UTC time, host; ./COMM-PID-%t.kiln\n"
#define OPEN_HELP "kiln open FILE                     the dashboard on a snapshot\n"
#define REPORT_HELP                                                                                          \
	"kiln report FILE [--view V] [--metric M] [--format text|json] [-L PCT] [-n ROWS]\n"                 \
	"     --view summary|hot|tree|alloc default: summary\n"                                              \
	"     --metric cpu                  of hot and tree (default), or of the heap:\n"                    \
	"     live-bytes|live-count         what was not freed (default of alloc)\n"                         \
	"     alloc-bytes|alloc-count       what was allocated\n"                                            \
	"     peak-bytes                    what was live when the heap was largest\n"                       \
	"     -L PCT                        leave out what is below PCT % of all (default 0)\n"              \
	"     -n ROWS                       rows (default 40 in text, all in JSON)\n"
#define ANNOTATE_HELP                                                                                        \
	"kiln annotate FILE SYMBOL          a function's source and instructions, with their samples\n"      \
	"     SYMBOL                        as reports show it; or MODULE!SYMBOL\n"                          \
	"     --source-path FROM=TO         where sources are that were at FROM when it was built\n"         \
	"     --intel                       Intel's syntax (AT&T's)\n"
#define DOCTOR_HELP                                                                                          \
	"kiln doctor [-p PID]               what works here: one line a capability; exit 0, 4 or 5\n"
#define SYMBOLIZE_HELP                                                                                       \
	"kiln symbolize -e ELF [ADDR…]      functions and lines of addresses (ELF virtual, hex), or of "   \
	"stdin\n"
#define DEMO_HELP "kiln demo                          attach to the bundled sample workload\n"
#define COLLECTING_HELP                                                                                      \
	"\nCollecting (all live verbs)\n"                                                                    \
	"  -e cpu,heap         what to collect (both); -e cpu is without the heap\n"                         \
	"  -F HZ               samples a second and CPU, 1 to 10000 (99)\n"                                  \
	"  -d SECONDS          how long\n"                                                                   \
	"  --heap=auto|exact|off   every allocation; auto ends it when it costs too much (auto)\n"           \
	"  --max-overhead PCT  what auto may cost the target: % of its CPU time (5)\n"                       \
	"  --debuginfod        debug files that are not here may be got from debuginfod's servers\n"         \
	"  --user, --kernel    samples of user mode, of kernel mode only\n"                                  \
	"  --max-lost PCT      exit 7 when more than PCT % of samples or allocations were lost\n"            \
	"  -q, -v              say less, say more\n"
#define SCREEN_HELP                                                                                          \
	"\nScreen\n"                                                                                         \
	"  --color=auto|always|never   --ascii   --no-mouse   --plain\n"                                     \
	"  Without a terminal on stdout: 5 s, then a report as text.\n"
#define EXIT_HELP                                                                                             \
	"\nExit codes: 0 ok · 1 error · 2 usage, not built yet · 3 no such target · 4 permission ·\n"    \
	"5 the kernel or machine lacks something · 6 damaged, foreign or newer file · 7 lost too much ·\n" \
	"130 interrupted with nothing saved\n"

static const char *const texts[] = {
	[VERB_ATTACH] =
		"kiln: where a running process spends its CPU time, and who holds its memory, "
		"live.\n\n" TARGET_HELP RUN_HELP RECORD_HELP OPEN_HELP REPORT_HELP ANNOTATE_HELP
			SYMBOLIZE_HELP DOCTOR_HELP DEMO_HELP
		"kiln --version, kiln --help, kiln VERB --help\n" COLLECTING_HELP SCREEN_HELP EXIT_HELP,
	[VERB_RUN] = RUN_HELP COLLECTING_HELP SCREEN_HELP,
	[VERB_RECORD] = RECORD_HELP COLLECTING_HELP,
	[VERB_OPEN] = OPEN_HELP SCREEN_HELP,
	[VERB_REPORT] = REPORT_HELP,
	[VERB_ANNOTATE] = ANNOTATE_HELP,
	[VERB_DOCTOR] = DOCTOR_HELP,
	[VERB_SYMBOLIZE] = SYMBOLIZE_HELP,
	[VERB_DEMO] = DEMO_HELP COLLECTING_HELP SCREEN_HELP,
};

const char *options_help(enum verb about)
{
	return texts[about];
}
