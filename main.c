/* kiln: the verbs. */
#include "annotate.h"
#include "bpf/probe.h"
#include "export/report.h"
#include "live.h"
#include "options.h"
#include "profile/snapshot.h"
#include "symbolize.h"
#include "symbolizer/sandbox.h"
#include "tui/app.h"

#include <errno.h>
#include <signal.h>
#include <unistd.h>

static void on_signal(void *arg, int signal)
{
	loop_quit(arg, 0);
}

static struct error *show_dashboard(struct source *source, const struct options *options)
{
	struct loop *loop = NULL;
	struct app *app = NULL;
	sigset_t signals;
	struct error *error = loop_create(&loop);

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	if (!error)
		error = loop_add_signals(loop, &signals, on_signal, loop);
	if (!error)
		error = app_create(source, &options->app, &app);
	if (!error)
		error = app_run(app, loop, &options->app);
	app_destroy(app);
	loop_destroy(loop);
	return error;
}

/* Without a terminal: what the dashboard would show first, as text. */
static struct error *print_reports(struct profile *profile)
{
	struct report_options summary = {.view = REPORT_SUMMARY, .rows = 40};
	struct report_options hot = {.view = REPORT_HOT, .rows = 20};
	struct error *error = report_write(profile, &summary, stdout);

	if (error)
		return error;
	printf("\n");
	return report_write(profile, &hot, stdout);
}

static struct error *run_open(const struct options *options)
{
	bool has_terminal = isatty(STDOUT_FILENO);
	struct error *error = has_terminal ? app_check_terminal() : NULL;
	struct profile *profile = NULL;
	struct source *source = NULL;

	if (!error)
		error = snapshot_read(options->file, &profile);
	if (!error)
		error = snapshot_source_create(profile, options->file, &source);
	if (error)
		return error;
	error = has_terminal ? show_dashboard(source, options) : print_reports(source->profile);
	source->ops->destroy(source);
	return error;
}

static struct error *run_report(const struct options *options)
{
	struct profile *profile = NULL;
	struct error *error = snapshot_read(options->file, &profile);

	if (!error)
		error = report_write(profile, &options->report, stdout);
	if (!error && fflush(stdout))
		error = error_create(ERROR_GENERAL, errno, NULL, "stdout");
	profile_destroy(profile);
	return error;
}

static struct error *run_verb(const struct options *options, char *const *argv, int *ret_status)
{
	switch (options->verb) {
	case VERB_HELP:
		fputs(options_help(options->help_about), stdout);
		return NULL;
	case VERB_VERSION:
		printf("kiln %s\n", KILN_VERSION);
		return NULL;
	case VERB_OPEN:
		return run_open(options);
	case VERB_REPORT:
		return run_report(options);
	case VERB_SYMBOLIZE:
		return symbolize_run(options, ret_status);
	case VERB_ANNOTATE:
		return annotate_run(options, ret_status);
	case VERB_DOCTOR:
		return probe_doctor(options->pid, sandbox_trial_main, ret_status);
	default:
		return live_run(options, argv, ret_status);
	}
}

int main(int argc, char **argv)
{
	struct options options;
	struct error *error;
	int status = 0;

	/* A closed pipe is an error of fflush(), with its message; a death without words would leave workers.
	 */
	signal(SIGPIPE, SIG_IGN);
	error = options_parse(argc, argv, &options);
	if (!error)
		error = run_verb(&options, argv, &status);
	return error ? live_print_error(error) : status;
}
