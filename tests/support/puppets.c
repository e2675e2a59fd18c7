/* The probe's side of the puppets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/puppets.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

struct puppets_shared *puppets_shared;

void puppets_map_shared(void)
{
	puppets_shared = mmap(NULL, sizeof(*puppets_shared), PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

void puppets_on_table(void *arg, uint32_t module, int fd, const char *why)
{
	struct puppets *fixture = arg;

	assert_in_range(module, GOOD, MODULES - 1);
	fixture->answers++;
	fixture->modules[module].answers++;
	fixture->modules[module].tables += fd >= 0;
	fixture->modules[module].number = fixture->answers;
	snprintf(fixture->modules[module].why, sizeof(fixture->modules[module].why), "%s", why);
	if (fd >= 0)
		close(fd);
}

void puppets_on_hooks(void *arg, uint32_t module, const struct hooks_message *message)
{
	struct puppets *fixture = arg;

	assert_in_range(module, GOOD, MODULES - 1);
	assert_int_equal(message->module, module);
	assert_in_range(message->count, 0, HOOK_PROPOSALS_MAX);
	/* Before the table. */
	assert_int_equal(fixture->modules[module].answers, 0);
	fixture->modules[module].hooks++;
	memcpy(&fixture->hooks, message, sizeof(*message) + message->count * sizeof(message->proposals[0]));
}

void puppets_on_given_up(void *arg, const char *what)
{
	struct puppets *fixture = arg;

	fixture->given_up++;
	fixture->given_up_what = what;
}

void puppets_on_names_socket(void *arg, int fd, uint32_t generation)
{
	struct puppets *fixture = arg;

	assert_true(fd >= 0);
	close(fd);
	fixture->sockets++;
	fixture->generation = generation;
}

void puppets_on_pids(void *arg)
{
	struct puppets *fixture = arg;

	fixture->pids_changes++;
}

bool puppets_on_share(void *arg, uint32_t module, uint32_t twin)
{
	struct puppets *fixture = arg;

	assert_in_range(module, GOOD, MODULES - 1);
	if (fixture->refuses_to_share)
		return false;
	fixture->answers++;
	fixture->modules[module].twin = twin;
	return true;
}

uint64_t puppets_read_heat(void *arg, uint32_t module)
{
	struct puppets *fixture = arg;

	return fixture->modules[module].heat;
}

/* One worker for tables: what comes after what is certain. */
static void on_signal(void *arg, int signal)
{
	struct puppets *fixture = arg;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		assert_true(workers_handle_exit(fixture->workers, pid));
}

static void on_tick(void *arg)
{
	struct puppets *fixture = arg;

	loop_quit(fixture->loop, 0);
}

int puppets_set_up(void **state, const struct workers_ops *with)
{
	struct puppets *fixture = calloc(1, sizeof(*fixture));
	struct error *error;
	sigset_t signals;

	assert_non_null(fixture);
	memset(puppets_shared, 0, sizeof(*puppets_shared));
	fixture->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_null(loop_create(&fixture->loop));
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	assert_null(loop_add_signals(fixture->loop, &signals, on_signal, fixture));
	assert_null(loop_add_timer(fixture->loop, 2, 2, on_tick, fixture, &fixture->timer));
	error = workers_start(fixture->loop, puppet_main, with, fixture, &fixture->workers);
	if (error)
		fail_msg("%s", error_get_message(error));
	fixture->give_up = time(NULL) + 20;
	*state = fixture;
	return 0;
}

int puppets_tear_down(void **state)
{
	struct puppets *fixture = *state;

	workers_destroy(fixture->workers);
	/* No child is left, not even as a zombie. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	loop_destroy(fixture->loop);
	close(fixture->null);
	free(fixture);
	return 0;
}

void puppets_wait_a_turn(struct puppets *fixture)
{
	loop_run(fixture->loop);
	if (time(NULL) > fixture->give_up)
		fail_msg("waited too long: %u answers", fixture->answers);
}

void puppets_wait_for_answers(struct puppets *fixture, unsigned count)
{
	while (fixture->answers < count)
		puppets_wait_a_turn(fixture);
}

void puppets_add_only(struct puppets *fixture, uint32_t module, uint64_t size_bytes)
{
	struct error *error = workers_add_module(fixture->workers, module, MODULE_KIND_FILE, fixture->null,
						 size_bytes, true);

	if (error)
		fail_msg("%s", error_get_message(error));
}

void puppets_add(struct puppets *fixture, uint32_t module, uint64_t size_bytes)
{
	puppets_add_only(fixture, module, size_bytes);
	workers_build(fixture->workers);
}

void puppets_check_good(struct puppets *fixture, uint32_t module)
{
	assert_string_equal(fixture->modules[module].why, "");
	assert_int_equal(fixture->modules[module].answers, 1);
	assert_int_equal(fixture->modules[module].tables, 1);
}

void puppets_check_set_aside(struct puppets *fixture, uint32_t module)
{
	puppets_add(fixture, module, 10);
	puppets_add(fixture, GOOD, 1000);
	puppets_wait_for_answers(fixture, 2);
	assert_int_equal(puppets_shared->builds[module], 2);
	assert_int_equal(fixture->modules[module].answers, 1);
	assert_int_equal(fixture->modules[module].tables, 0);
	assert_non_null(strstr(fixture->modules[module].why, "set aside"));
	puppets_check_good(fixture, GOOD);
	assert_int_equal(puppets_shared->builds[GOOD], 1);
	assert_int_equal(fixture->pids_changes, 2);
	assert_int_equal(fixture->sockets, 1);
}
