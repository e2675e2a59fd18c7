/* Probes for real: on children of our own, with both kinds of links, to the last byte of their code. As root.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bpf/uprobes_internal.h"
#include "bpf/uprobes_trial.h"
#include "tests/support/probing.h"
#include "tests/support/victim.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What is promised for the time after a kill -9 with sessions. The kernel takes perf-event uprobes away one
 * by one, 0.1 s each, behind a lock of the whole machine: of them it is tested that they go, and said when.
 */
#define GONE_NS NS

/* ---- probes on the file with code ---- */

/* A function for each kind: probes of the trial's programs, on our own file. */
static const struct uprobe_site all_sites[] = {
	{.offset = 1 * CODE_FUNCTION, .cookie = TRIAL_ENTRY, .wants_return = false},
	{.offset = 2 * CODE_FUNCTION, .cookie = TRIAL_RETURN, .wants_return = true},
	{.offset = 3 * CODE_FUNCTION, .cookie = TRIAL_VETOED, .wants_return = true},
};
#define SITES (sizeof(all_sites) / sizeof(all_sites[0]))

static struct {
	char path[64];
	int file;
	struct trial *trial;
	struct victim victim;
	struct uprobes *uprobes;
} here;

static void here_create(enum uprobe_links links)
{
	struct uprobes_programs programs;

	memset(&here, 0, sizeof(here));
	strcpy(here.path, "/tmp/kiln-test-uprobes-XXXXXX");
	here.file = code_create(here.path);
	here.victim = victim_start(here.file);
	assert_ok(trial_create(links, &here.trial));
	programs = trial_get_programs(here.trial);
	assert_ok(uprobes_create(links, &programs, here.victim.pid, &here.uprobes));
}

static void here_attach(enum uprobe_links links)
{
	here_create(links);
	assert_ok(uprobes_attach(here.uprobes, here.file, all_sites, SITES));
}

static void here_end(void)
{
	uprobes_destroy(here.uprobes);
	trial_destroy(here.trial);
	victim_end(&here.victim);
	close(here.file);
	unlink(here.path);
}

static uint8_t byte_of(pid_t pid, unsigned site)
{
	return read_byte(pid, here.victim.code + all_sites[site].offset);
}

static void assert_bytes(pid_t pid, uint8_t wanted)
{
	for (unsigned i = 0; i < SITES; i++)
		assert_int_equal(byte_of(pid, i), wanted);
}

static void assert_hits(enum trial_kind kind, uint64_t entries, uint64_t returns)
{
	struct trial_hits hits = trial_read_hits(here.trial, kind);

	assert_int_equal(hits.entries, entries);
	assert_int_equal(hits.returns, returns);
}

/* ---- what is counted ---- */

/* Each site has its own cookie; a site without return is not seen to return; a veto saves the return. */
static void check_counts(enum uprobe_links links)
{
	require_links(links);
	here_attach(links);
	assert_int_equal(uprobes_count(here.uprobes), SITES);
	assert_bytes(here.victim.pid, INT3);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[0].offset, 3);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 5);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[2].offset, 7);
	assert_hits(TRIAL_ENTRY, 3, 0);
	assert_hits(TRIAL_RETURN, 5, 5);
	assert_hits(TRIAL_VETOED, 7, links == UPROBE_SESSION ? 0 : 7);
	here_end();
}

static void test_session_counts(void **state)
{
	check_counts(UPROBE_SESSION);
}

static void test_perf_counts(void **state)
{
	check_counts(UPROBE_PERF);
}

static void check_threads(enum uprobe_links links)
{
	require_links(links);
	here_attach(links);
	victim_tell(&here.victim, VICTIM_THREADS, (unsigned)all_sites[1].offset, 1000);
	assert_hits(TRIAL_RETURN, 2000, 2000);
	here_end();
}

static void test_session_sees_every_thread(void **state)
{
	check_threads(UPROBE_SESSION);
}

static void test_perf_sees_every_thread(void **state)
{
	check_threads(UPROBE_PERF);
}

/* Another process with the same file has no traps in it. */
static void check_stranger(enum uprobe_links links)
{
	struct victim stranger;

	require_links(links);
	here_create(links);
	stranger = victim_start(here.file);
	assert_ok(uprobes_attach(here.uprobes, here.file, all_sites, SITES));
	assert_int_equal(read_byte(stranger.pid, stranger.code + all_sites[1].offset), PUSH);
	victim_tell(&stranger, VICTIM_CALL, (unsigned)all_sites[1].offset, 10);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 2);
	assert_hits(TRIAL_RETURN, 2, 2);
	victim_end(&stranger);
	here_end();
}

static void test_session_leaves_others_alone(void **state)
{
	check_stranger(UPROBE_SESSION);
}

static void test_perf_leaves_others_alone(void **state)
{
	check_stranger(UPROBE_PERF);
}

/* ---- files ---- */

/* The path is gone, and another file has taken its place. */
static void check_deleted(enum uprobe_links links)
{
	int impostor;

	require_links(links);
	here_create(links);
	assert_int_equal(unlink(here.path), 0);
	impostor = open(here.path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_true(impostor >= 0);
	close(impostor);
	assert_ok(uprobes_attach(here.uprobes, here.file, all_sites, SITES));
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 4);
	assert_hits(TRIAL_RETURN, 4, 4);
	here_end();
}

static void test_session_on_a_deleted_file(void **state)
{
	check_deleted(UPROBE_SESSION);
}

static void test_perf_on_a_deleted_file(void **state)
{
	check_deleted(UPROBE_PERF);
}

/* A probe is on the file: what the target maps later has its trap from the start. */
static void check_later(enum uprobe_links links)
{
	require_links(links);
	here_attach(links);
	here.victim.code = (uint64_t)victim_tell(&here.victim, VICTIM_MAP, 0, 0);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 6);
	assert_hits(TRIAL_RETURN, 6, 6);
	assert_bytes(here.victim.pid, INT3);
	here_end();
}

/* As above, but nothing of the file was mapped when the probe was set. */
static void check_unmapped(enum uprobe_links links)
{
	struct uprobes_programs programs;
	struct uprobes *uprobes;
	struct victim late;

	require_links(links);
	here_create(links);
	late = victim_start_unmapped(here.file);
	programs = trial_get_programs(here.trial);
	assert_ok(uprobes_create(links, &programs, late.pid, &uprobes));
	assert_ok(uprobes_attach(uprobes, here.file, all_sites, SITES));
	late.code = (uint64_t)victim_tell(&late, VICTIM_MAP, 0, 0);
	victim_tell(&late, VICTIM_CALL, (unsigned)all_sites[1].offset, 8);
	assert_hits(TRIAL_RETURN, 8, 8);
	uprobes_destroy(uprobes);
	victim_end(&late);
	here_end();
}

static void test_session_before_the_file_is_mapped(void **state)
{
	check_later(UPROBE_SESSION);
	check_unmapped(UPROBE_SESSION);
}

static void test_perf_before_the_file_is_mapped(void **state)
{
	check_later(UPROBE_PERF);
	check_unmapped(UPROBE_PERF);
}

/* ---- going ---- */

static void check_destroy(enum uprobe_links links)
{
	uint64_t start_ns;

	require_links(links);
	here_attach(links);
	assert_bytes(here.victim.pid, INT3);
	start_ns = now_ns();
	uprobes_destroy(here.uprobes);
	here.uprobes = NULL;
	print_message("# detached in %d ms\n", (int)((now_ns() - start_ns) / 1000000));
	assert_bytes(here.victim.pid, PUSH);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 10);
	assert_hits(TRIAL_RETURN, 0, 0);
	here_end();
}

static void test_session_detaches(void **state)
{
	check_destroy(UPROBE_SESSION);
}

static void test_perf_detaches(void **state)
{
	check_destroy(UPROBE_PERF);
}

static void check_destroy_later(enum uprobe_links links)
{
	require_links(links);
	here_attach(links);
	uprobes_destroy_later(here.uprobes);
	here.uprobes = NULL;
	for (unsigned i = 0; i < SITES; i++)
		wait_for_byte(here.victim.pid, here.victim.code + all_sites[i].offset, PUSH, DEADLINE_NS);
	here_end();
}

static void test_session_detaches_without_waiting(void **state)
{
	check_destroy_later(UPROBE_SESSION);
}

static void test_perf_detaches_without_waiting(void **state)
{
	check_destroy_later(UPROBE_PERF);
}

/* One more fd than there is room for the copies: then it is the caller that waits. */
static void test_closes_later_without_room(void **state)
{
	struct rlimit before, tight;
	int fds[2], copy;

	assert_int_equal(pipe(fds), 0);
	copy = dup(fds[0]);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	tight = before;
	tight.rlim_cur = (rlim_t)copy + 3; /* room for the pipe */
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	links_close_later(fds, 2);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_int_equal(fcntl(fds[0], F_GETFD), -1);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
	assert_int_equal(close(copy), 0);
}

/* A holder of nothing else: when it goes, the reader of this pipe sees its end, though more fds were open. */
static void test_closes_later_all_of_it(void **state)
{
	struct pollfd event = {.events = POLLIN};
	int fds[2], other[2];

	assert_int_equal(pipe(fds), 0);
	assert_int_equal(pipe(other), 0);
	links_close_later(&fds[1], 1);
	assert_int_equal(fcntl(fds[1], F_GETFD), -1);
	event.fd = fds[0];
	assert_int_equal(poll(&event, 1, (int)(DEADLINE_NS / 1000000)), 1);
	assert_true(event.revents & POLLHUP);
	close(fds[0]);
	close(other[0]);
	close(other[1]);
}

/* The process that holds the links is killed: nothing of it may stay. */
static void check_kill(enum uprobe_links links)
{
	const uint64_t deadline_ns = links == UPROBE_SESSION ? GONE_NS : DEADLINE_NS;
	uint64_t gone_ns = 0;
	int ready[2];
	pid_t holder;
	char byte;

	require_links(links);
	here_create(links);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	holder = fork();
	if (holder == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (uprobes_attach(here.uprobes, here.file, all_sites, SITES) || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_bytes(here.victim.pid, INT3);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 2);
	assert_hits(TRIAL_RETURN, 2, 2);
	kill(holder, SIGKILL);
	for (unsigned i = 0; i < SITES; i++)
		gone_ns += wait_for_byte(here.victim.pid, here.victim.code + all_sites[i].offset, PUSH,
					 deadline_ns);
	print_message("# gone %d ms after the kill\n", (int)(gone_ns / 1000000));
	assert_true(gone_ns <= deadline_ns);
	waitpid(holder, NULL, 0);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 2);
	assert_hits(TRIAL_RETURN, 2, 2);
	close(ready[0]);
	here_end();
}

static void test_session_survives_nobodys_kill(void **state)
{
	check_kill(UPROBE_SESSION);
}

static void test_perf_survives_nobodys_kill(void **state)
{
	check_kill(UPROBE_PERF);
}

/* ---- all or nothing ---- */

/* The last site lies outside of the file: the first ones go again. */
static void check_rollback(enum uprobe_links links)
{
	struct uprobe_site sites[SITES + 1];

	require_links(links);
	here_create(links);
	memcpy(sites, all_sites, sizeof(all_sites));
	sites[SITES] = (struct uprobe_site){.offset = 16 * CODE_BYTES, .cookie = TRIAL_ENTRY};
	assert_refused(uprobes_attach(here.uprobes, here.file, sites, SITES + 1), ERROR_GENERAL, "probe");
	assert_int_equal(uprobes_count(here.uprobes), 0);
	assert_bytes(here.victim.pid, PUSH);
	/* What was there before stays. */
	assert_ok(uprobes_attach(here.uprobes, here.file, all_sites, 1));
	assert_refused(uprobes_attach(here.uprobes, here.file, sites + 1, SITES), ERROR_GENERAL, "probe");
	assert_int_equal(uprobes_count(here.uprobes), 1);
	assert_int_equal(byte_of(here.victim.pid, 0), INT3);
	assert_int_equal(byte_of(here.victim.pid, 1), PUSH);
	here_end();
}

static void test_session_attaches_all_or_nothing(void **state)
{
	check_rollback(UPROBE_SESSION);
}

static void test_perf_attaches_all_or_nothing(void **state)
{
	check_rollback(UPROBE_PERF);
}

/* The file has an int3 of its own there. */
static void check_refused(enum uprobe_links links)
{
	const struct uprobe_site site = {.offset = CODE_FUNCTION - 1, .cookie = TRIAL_ENTRY};

	require_links(links);
	here_create(links);
	assert_refused(uprobes_attach(here.uprobes, here.file, &site, 1), ERROR_UNSUPPORTED, "instruction");
	here_end();
}

static void test_session_on_a_trap(void **state)
{
	check_refused(UPROBE_SESSION);
}

static void test_perf_on_a_trap(void **state)
{
	check_refused(UPROBE_PERF);
}

static void check_gone(enum uprobe_links links)
{
	require_links(links);
	here_create(links);
	victim_end(&here.victim);
	assert_refused(uprobes_attach(here.uprobes, here.file, all_sites, SITES), ERROR_NO_TARGET, "cannot");
	here.victim = victim_start(here.file);
	here_end();
}

static void test_session_on_a_process_that_is_gone(void **state)
{
	check_gone(UPROBE_SESSION);
}

static void test_perf_on_a_process_that_is_gone(void **state)
{
	check_gone(UPROBE_PERF);
}

/* ---- children of the target ---- */

/* A child that the target has forked: its traps go with the sweep, the target's own stay. */
static void test_sweep_frees_children(void **state)
{
	pid_t child;

	require_links(UPROBE_SESSION);
	here_attach(UPROBE_SESSION);
	child = (pid_t)victim_tell(&here.victim, VICTIM_FORK, (unsigned)all_sites[1].offset, 10);
	assert_bytes(child, INT3);
	assert_hits(TRIAL_RETURN, 0, 0);
	assert_ok(uprobes_sweep(here.uprobes));
	for (unsigned i = 0; i < SITES; i++)
		wait_for_byte(child, here.victim.code + all_sites[i].offset, PUSH, DEADLINE_NS);
	assert_bytes(here.victim.pid, INT3);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 9);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[2].offset, 9);
	assert_hits(TRIAL_RETURN, 9, 9);
	assert_hits(TRIAL_VETOED, 9, 0);
	here_end();
}

/* With perf-event uprobes the first trap that it meets frees it. */
static void test_perf_frees_children_by_itself(void **state)
{
	pid_t child;

	require_links(UPROBE_PERF);
	here_attach(UPROBE_PERF);
	child = (pid_t)victim_tell(&here.victim, VICTIM_FORK, (unsigned)all_sites[1].offset, 10);
	assert_ok(uprobes_sweep(here.uprobes));
	assert_int_equal(byte_of(child, 1), PUSH);
	assert_bytes(here.victim.pid, INT3);
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 9);
	assert_hits(TRIAL_RETURN, 9, 9);
	here_end();
}

/* A zombie that still has threads: the kernel finds no memory there. */
static void wait_for_leader_to_end(pid_t pid)
{
	uint64_t start_ns = now_ns();
	char path[32], text[256] = "";
	size_t length;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	do {
		poll(NULL, 0, 1);
		file = fopen(path, "re");
		assert_non_null(file);
		length = fread(text, 1, sizeof(text) - 1, file);
		text[length] = '\0';
		fclose(file);
		assert_true(now_ns() - start_ns < DEADLINE_NS);
	} while (!strstr(text, ") Z "));
}

/* A sweep would take the traps out of the target itself. */
static void test_sweep_spares_a_target_without_main_thread(void **state)
{
	require_links(UPROBE_SESSION);
	here_attach(UPROBE_SESSION);
	victim_tell(&here.victim, VICTIM_LEAVE, 0, 0);
	wait_for_leader_to_end(here.victim.pid);
	assert_ok(uprobes_sweep(here.uprobes));
	victim_tell(&here.victim, VICTIM_CALL, (unsigned)all_sites[1].offset, 9);
	assert_hits(TRIAL_RETURN, 9, 9);
	assert_refused(uprobes_attach(here.uprobes, here.file, all_sites, SITES), ERROR_UNSUPPORTED,
		       "main thread");
	here_end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_counts),
		cmocka_unit_test(test_perf_counts),
		cmocka_unit_test(test_session_sees_every_thread),
		cmocka_unit_test(test_perf_sees_every_thread),
		cmocka_unit_test(test_session_leaves_others_alone),
		cmocka_unit_test(test_perf_leaves_others_alone),
		cmocka_unit_test(test_session_on_a_deleted_file),
		cmocka_unit_test(test_perf_on_a_deleted_file),
		cmocka_unit_test(test_session_before_the_file_is_mapped),
		cmocka_unit_test(test_perf_before_the_file_is_mapped),
		cmocka_unit_test(test_session_detaches),
		cmocka_unit_test(test_perf_detaches),
		cmocka_unit_test(test_session_detaches_without_waiting),
		cmocka_unit_test(test_perf_detaches_without_waiting),
		cmocka_unit_test(test_closes_later_without_room),
		cmocka_unit_test(test_closes_later_all_of_it),
		cmocka_unit_test(test_session_survives_nobodys_kill),
		cmocka_unit_test(test_perf_survives_nobodys_kill),
		cmocka_unit_test(test_session_attaches_all_or_nothing),
		cmocka_unit_test(test_perf_attaches_all_or_nothing),
		cmocka_unit_test(test_session_on_a_trap),
		cmocka_unit_test(test_perf_on_a_trap),
		cmocka_unit_test(test_session_on_a_process_that_is_gone),
		cmocka_unit_test(test_perf_on_a_process_that_is_gone),
		cmocka_unit_test(test_sweep_frees_children),
		cmocka_unit_test(test_perf_frees_children_by_itself),
		cmocka_unit_test(test_sweep_spares_a_target_without_main_thread),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
