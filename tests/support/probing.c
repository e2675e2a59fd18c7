#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/uprobes_trial.h"
#include "tests/support/probing.h"

#include <stdbool.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

void assert_ok(struct error *error)
{
	if (error)
		fail_msg("%s", error_get_message(error));
}

void assert_refused(struct error *error, enum error_code code, const char *words)
{
	assert_non_null(error);
	if (error_get_code(error) != code || !strstr(error_get_message(error), words))
		fail_msg("%d: %s", error_get_code(error), error_get_message(error));
	error_destroy(error);
}

void require_root(void)
{
	if (geteuid() == 0)
		return;
	print_message("# skipped: needs root\n");
	skip();
}

bool has_sessions(void)
{
	struct trial *trial;
	struct error *error = trial_create(UPROBE_SESSION, &trial);

	if (error && error_get_code(error) == ERROR_UNSUPPORTED) {
		error_destroy(error);
		return false;
	}
	assert_ok(error);
	trial_destroy(trial);
	return true;
}

void require_links(enum uprobe_links links)
{
	require_root();
	if (links == UPROBE_PERF || has_sessions())
		return;
	print_message("# skipped: this kernel has no uprobe sessions\n");
	skip();
}
