/* The probe's workers, in real processes that crash, hang, lie and babble. */
#include "bpf/workers.h"

#include "base/channel.h"
#include "base/cleanup.h"
#include "bpf/heap_events.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the worker of the test does when it is asked for the table of a module with this id. */
enum behaviour {
	GOOD = 20,
	CRASHES,
	CRASHES_ONCE,
	HANGS,
	ANSWERS_FOR_ANOTHER,
	ANSWERS_TOO_SHORT,
	CLOSES_AND_LIVES_ON,
	SAYS_WHY_WITH_ESCAPES,
	OK_WITHOUT_TABLE,
	BABBLES,
	PROPOSES,
	PROPOSES_MOST,
	PROPOSES_AND_CRASHES_ONCE,
	PROPOSES_GO,
	PROPOSES_NOTHING,
	PROPOSES_FOR_ANOTHER,
	PROPOSES_WITHOUT_HEADER,
	PROPOSES_TOO_SHORT,
	PROPOSES_TOO_LONG,
	PROPOSES_TOO_MANY,
	PROPOSES_TWICE,
	PROPOSES_WITHOUT_KIND,
	PROPOSES_UNKNOWN_KIND,
	PROPOSES_KIND_OF_WRAPPER,
	PROPOSES_BOTH_FLAGS,
	PROPOSES_UNKNOWN_FLAG,
	PROPOSES_WITHOUT_NAME,
	PROPOSES_ENDLESS,
	PROPOSES_AFTER_TABLE,
	MODULES,
};

/* Shared with the workers, who have nothing else. */
static struct shared {
	unsigned builds[MODULES], names_starts, names_modules;
	bool names_babbles, names_proposes, names_die;
} * shared;

struct packet {
	uint32_t type, reserved;
	union {
		struct module_message module;
		struct build_message build;
		struct table_message table;
	};
};

static void answer(int fd, uint32_t module, uint32_t status, const char *why, bool with_table, size_t length)
{
	struct packet packet = {.type = SYMBOLIZER_TABLE, .table = {.module = module, .status = status}};
	struct iovec part = {&packet, 8 + length};
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {0};
	struct msghdr header = {.msg_iov = &part, .msg_iovlen = 1};

	memcpy(packet.table.why, why, strlen(why));
	if (with_table) {
		int memfd = memfd_create("table", MFD_CLOEXEC);
		struct cmsghdr *cmsg;

		header.msg_control = control.bytes;
		header.msg_controllen = sizeof(control.bytes);
		cmsg = CMSG_FIRSTHDR(&header);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(cmsg), &memfd, sizeof(int));
	}
	while (sendmsg(fd, &header, 0) < 0 && errno == EAGAIN)
		;
}

/* What a worker may say, spoiled as the module wants it. */
static void propose(int fd, uint32_t module)
{
	static struct {
		uint32_t type, reserved;
		struct hooks_message hooks;
		struct hook_proposal proposals[HOOK_PROPOSALS_MAX + 1];
	} packet;
	uint32_t count = module == PROPOSES_GO || module == PROPOSES_NOTHING ? 0
			 : module == PROPOSES_MOST			     ? HOOK_PROPOSALS_MAX
			 : module == PROPOSES_TOO_MANY			     ? HOOK_PROPOSALS_MAX + 1
									     : 2;
	size_t length = 8 + sizeof(packet.hooks) + count * sizeof(packet.proposals[0]);

	packet.type = SYMBOLIZER_HOOKS;
	packet.hooks = (struct hooks_message){
		.module = module == PROPOSES_FOR_ANOTHER ? GOOD : module,
		.count = count,
		.is_go = module == PROPOSES_GO ? 77 : 0,
		.reserved = 5,
	};
	for (uint32_t i = 0; i < count; i++)
		packet.proposals[i] = (struct hook_proposal){.start = i * 0x100,
							     .length = 0x80,
							     .kind = i ? HEAP_FREE : 0,
							     .flags = i ? 0 : HOOK_WRAPPER,
							     .name = "operator\033new"};
	if (module == PROPOSES)
		memset(packet.proposals[1].name, 'x', sizeof(packet.proposals[1].name));
	packet.proposals[0].kind = module == PROPOSES_KIND_OF_WRAPPER ? HEAP_MALLOC : 0;
	packet.proposals[1].kind = module == PROPOSES_WITHOUT_KIND   ? 0
				   : module == PROPOSES_UNKNOWN_KIND ? HEAP_KINDS
								     : HEAP_FREE;
	packet.proposals[0].flags = module == PROPOSES_BOTH_FLAGS ? HOOK_WRAPPER | HOOK_LIES : HOOK_WRAPPER;
	packet.proposals[1].flags = module == PROPOSES_UNKNOWN_FLAG ? 8
				    : module == PROPOSES_MOST	    ? HOOK_THROWS
								    : HOOK_LIES;
	if (module == PROPOSES_WITHOUT_NAME)
		packet.proposals[1].name[0] = '\0';
	if (module == PROPOSES_ENDLESS)
		packet.proposals[1].start = UINT64_MAX - 0x7f;
	if (module == PROPOSES_WITHOUT_HEADER)
		length = 8 + sizeof(packet.hooks) - 1;
	length += module == PROPOSES_TOO_LONG ? 8 : module == PROPOSES_TOO_SHORT ? -8 : 0;
	while (send(fd, &packet, length, 0) < 0 && errno == EAGAIN)
		;
}

static void build(int fd, uint32_t module)
{
	size_t whole = sizeof(struct table_message);
	unsigned number = ++shared->builds[module];

	if (module >= PROPOSES && module != PROPOSES_AFTER_TABLE)
		propose(fd, module);
	switch (module) {
	case PROPOSES_TWICE:
		propose(fd, module);
		break;
	case PROPOSES_AFTER_TABLE:
		answer(fd, module, TABLE_OK, "", true, whole);
		propose(fd, module);
		return;
	case PROPOSES_AND_CRASHES_ONCE:
	case CRASHES_ONCE:
		if (number > 1) {
			answer(fd, module, TABLE_OK, "", true, whole);
			return;
		}
		/* fall through */
	case CRASHES:
		_exit(3);
	case CLOSES_AND_LIVES_ON:
		close(fd);
		/* fall through */
	case HANGS:
		for (;;)
			pause();
	case ANSWERS_FOR_ANOTHER:
		answer(fd, GOOD, TABLE_OK, "", true, whole);
		return;
	case ANSWERS_TOO_SHORT:
		answer(fd, module, TABLE_OK, "", true, whole - 1);
		return;
	case SAYS_WHY_WITH_ESCAPES:
		answer(fd, module, TABLE_BAD, "\033[2J\nno\x9b", false, whole);
		return;
	case OK_WITHOUT_TABLE:
		answer(fd, module, TABLE_OK, "", false, whole);
		return;
	case BABBLES:
		answer(fd, module, TABLE_OK, "", true, whole);
		for (;;)
			answer(fd, module, TABLE_OK, "", true, whole);
	default:
		break;
	}
	answer(fd, module, TABLE_OK, "", true, whole);
}

/* Blocking reads of a socket that does not block: the test's worker has nothing else to do. */
static int worker_main(int probe_fd, int kiln_fd)
{
	struct packet packet;
	ssize_t length;

	fcntl(probe_fd, F_SETFL, 0);
	if (kiln_fd >= 0) {
		shared->names_starts++;
		shared->names_modules = 0;
		if (shared->names_die)
			_exit(3);
		if (shared->names_proposes && shared->names_starts == 1)
			propose(probe_fd, HANGS);
		if (shared->names_babbles && shared->names_starts == 1)
			answer(probe_fd, GOOD, TABLE_OK, "", true, sizeof(struct table_message));
	}
	while ((length = recv(probe_fd, &packet, sizeof(packet), 0)) > 0) {
		if (packet.type == SYMBOLIZER_MODULE && kiln_fd >= 0)
			shared->names_modules++;
		if (packet.type == SYMBOLIZER_BUILD)
			build(probe_fd, packet.build.module);
	}
	return 0;
}

/* ---- the probe's side ---- */

struct fixture {
	struct loop *loop;
	struct loop_source *timer;
	struct workers *workers;
	int null;
	struct {
		unsigned answers, tables, hooks;
		char why[128];
	} modules[MODULES];
	unsigned answers, sockets, pids_changes, given_up;
	const char *given_up_what;
	struct {
		struct hooks_message message;
		struct hook_proposal proposals[HOOK_PROPOSALS_MAX];
	} hooks; /* the last that came */
	uint32_t generation;
	time_t give_up;
};

static void on_table(void *arg, uint32_t module, int fd, const char *why)
{
	struct fixture *fixture = arg;

	assert_in_range(module, GOOD, MODULES - 1);
	fixture->answers++;
	fixture->modules[module].answers++;
	fixture->modules[module].tables += fd >= 0;
	snprintf(fixture->modules[module].why, sizeof(fixture->modules[module].why), "%s", why);
	if (fd >= 0)
		close(fd);
}

static void on_hooks(void *arg, uint32_t module, const struct hooks_message *message)
{
	struct fixture *fixture = arg;

	assert_in_range(module, GOOD, MODULES - 1);
	assert_int_equal(message->module, module);
	assert_in_range(message->count, 0, HOOK_PROPOSALS_MAX);
	/* Before the table. */
	assert_int_equal(fixture->modules[module].answers, 0);
	fixture->modules[module].hooks++;
	memcpy(&fixture->hooks, message, sizeof(*message) + message->count * sizeof(message->proposals[0]));
}

static void on_given_up(void *arg, const char *what)
{
	struct fixture *fixture = arg;

	fixture->given_up++;
	fixture->given_up_what = what;
}

static void on_names_socket(void *arg, int fd, uint32_t generation)
{
	struct fixture *fixture = arg;

	assert_true(fd >= 0);
	close(fd);
	fixture->sockets++;
	fixture->generation = generation;
}

static void on_pids(void *arg)
{
	struct fixture *fixture = arg;

	fixture->pids_changes++;
}

static const struct workers_ops ops = {
	.table = on_table,
	.names_socket = on_names_socket,
	.pids = on_pids,
	.hooks = on_hooks,
	.given_up = on_given_up,
	.deadline_ms = 300,
};

/* As a probe that wants to know neither. */
static const struct workers_ops few_ops = {
	.table = on_table,
	.names_socket = on_names_socket,
	.pids = on_pids,
	.deadline_ms = 300,
};

static void on_signal(void *arg, int signal)
{
	struct fixture *fixture = arg;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG)) > 0)
		assert_true(workers_handle_exit(fixture->workers, pid));
}

static void on_tick(void *arg)
{
	struct fixture *fixture = arg;

	loop_quit(fixture->loop, 0);
}

static int set_up_with(void **state, const struct workers_ops *with)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));
	struct error *error;
	sigset_t signals;

	assert_non_null(fixture);
	memset(shared, 0, sizeof(*shared));
	fixture->null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_null(loop_create(&fixture->loop));
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	assert_null(loop_add_signals(fixture->loop, &signals, on_signal, fixture));
	assert_null(loop_add_timer(fixture->loop, 2, 2, on_tick, fixture, &fixture->timer));
	error = workers_start(fixture->loop, worker_main, with, fixture, &fixture->workers);
	if (error)
		fail_msg("%s", error_get_message(error));
	fixture->give_up = time(NULL) + 20;
	*state = fixture;
	return 0;
}

static int set_up(void **state)
{
	return set_up_with(state, &ops);
}

static int set_up_with_few(void **state)
{
	return set_up_with(state, &few_ops);
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	workers_destroy(fixture->workers);
	/* No child is left, not even as a zombie. */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
	loop_destroy(fixture->loop);
	close(fixture->null);
	free(fixture);
	return 0;
}

static void wait_a_turn(struct fixture *fixture)
{
	loop_run(fixture->loop);
	if (time(NULL) > fixture->give_up)
		fail_msg("waited too long: %u answers", fixture->answers);
}

static void wait_for_answers(struct fixture *fixture, unsigned count)
{
	while (fixture->answers < count)
		wait_a_turn(fixture);
}

static void add(struct fixture *fixture, uint32_t module, uint64_t size_bytes)
{
	struct error *error = workers_add_module(fixture->workers, module, MODULE_KIND_FILE, fixture->null,
						 size_bytes, true);

	if (error)
		fail_msg("%s", error_get_message(error));
}

static void check_good(struct fixture *fixture, uint32_t module)
{
	assert_string_equal(fixture->modules[module].why, "");
	assert_int_equal(fixture->modules[module].answers, 1);
	assert_int_equal(fixture->modules[module].tables, 1);
}

static void test_good(void **state)
{
	struct fixture *fixture = *state;

	assert_int_equal(fixture->sockets, 1);
	assert_int_equal(fixture->generation, 1);
	add(fixture, GOOD, 1000);
	assert_int_equal(workers_count_waiting(fixture->workers), 1);
	wait_for_answers(fixture, 1);
	assert_int_equal(workers_count_waiting(fixture->workers), 0);
	check_good(fixture, GOOD);
}

/* A module that costs two workers is set aside; the others get their tables, whatever order they come in. */
static void check_set_aside(struct fixture *fixture, uint32_t module)
{
	add(fixture, module, 10);
	add(fixture, GOOD, 1000);
	wait_for_answers(fixture, 2);
	assert_int_equal(shared->builds[module], 2);
	assert_int_equal(fixture->modules[module].answers, 1);
	assert_int_equal(fixture->modules[module].tables, 0);
	assert_non_null(strstr(fixture->modules[module].why, "set aside"));
	check_good(fixture, GOOD);
	assert_int_equal(shared->builds[GOOD], 1);
	assert_int_equal(fixture->pids_changes, 2);
	assert_int_equal(fixture->sockets, 1);
}

static void test_crash(void **state)
{
	check_set_aside(*state, CRASHES);
}

static void test_hang(void **state)
{
	check_set_aside(*state, HANGS);
}

static void test_answer_for_another(void **state)
{
	check_set_aside(*state, ANSWERS_FOR_ANOTHER);
}

static void test_answer_too_short(void **state)
{
	check_set_aside(*state, ANSWERS_TOO_SHORT);
}

static void test_close_and_live_on(void **state)
{
	check_set_aside(*state, CLOSES_AND_LIVES_ON);
}

static void test_crash_once(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, CRASHES_ONCE, 10);
	wait_for_answers(fixture, 1);
	check_good(fixture, CRASHES_ONCE);
}

static void test_foreign_words(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, SAYS_WHY_WITH_ESCAPES, 10);
	add(fixture, OK_WITHOUT_TABLE, 10);
	wait_for_answers(fixture, 2);
	assert_string_equal(fixture->modules[SAYS_WHY_WITH_ESCAPES].why, "?[2J?no?");
	assert_string_equal(fixture->modules[OK_WITHOUT_TABLE].why, "no table");
	assert_int_equal(fixture->pids_changes, 0);
}

/* A worker that goes on talking is killed, and no other module pays for it. */
static void test_babble(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, BABBLES, 10);
	add(fixture, GOOD, 1000);
	wait_for_answers(fixture, 2);
	check_good(fixture, BABBLES);
	check_good(fixture, GOOD);
	while (!fixture->pids_changes)
		wait_a_turn(fixture);
	assert_int_equal(fixture->pids_changes, 1);
}

static void test_names_worker_babbles(void **state)
{
	struct fixture *fixture = *state;

	while (!shared->names_starts)
		wait_a_turn(fixture);
	shared->names_babbles = true;
	shared->names_starts = 0;
	workers_restart_names(fixture->workers, GOOD, 1);
	/* Killed by us, then for its babble, then it behaves. */
	while (fixture->sockets < 3)
		wait_a_turn(fixture);
	assert_int_equal(fixture->generation, 3);
}

/* A new names worker gets all modules, but those that cost two of its kind. */
static void test_names_worker_is_replaced(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, GOOD, 10);
	add(fixture, SAYS_WHY_WITH_ESCAPES, 10);
	while (shared->names_modules != 2)
		wait_a_turn(fixture);
	workers_restart_names(fixture->workers, GOOD, 1);
	while (fixture->sockets < 2 || shared->names_starts < 2 || shared->names_modules != 2)
		wait_a_turn(fixture);
	/* What kiln says about the one before does not count. */
	workers_restart_names(fixture->workers, GOOD, 1);
	workers_restart_names(fixture->workers, GOOD, 2);
	while (fixture->sockets < 3 || shared->names_starts < 3 || shared->names_modules != 1)
		wait_a_turn(fixture);
	assert_int_equal(fixture->generation, 3);
}

static void test_smallest_first(void **state)
{
	struct fixture *fixture = *state;

	/* The first is under way at once; of those that wait the smaller one comes before the larger one,
	 * which never answers. */
	add(fixture, SAYS_WHY_WITH_ESCAPES, 5000);
	add(fixture, HANGS, 3000);
	add(fixture, GOOD, 1000);
	wait_for_answers(fixture, 2);
	assert_int_equal(fixture->modules[GOOD].answers, 1);
	assert_int_equal(fixture->modules[HANGS].answers, 0);
}

static void test_without_table(void **state)
{
	struct fixture *fixture = *state;

	assert_null(workers_add_module(fixture->workers, GOOD, MODULE_KIND_KERNEL, fixture->null, 10, false));
	assert_int_equal(workers_count_waiting(fixture->workers), 0);
	while (shared->names_modules != 1)
		wait_a_turn(fixture);
	assert_int_equal(shared->builds[GOOD], 0);
}

static void test_foreign_child(void **state)
{
	struct fixture *fixture = *state;
	pid_t pids[2];

	assert_false(workers_handle_exit(fixture->workers, getpid()));
	assert_int_equal(workers_get_pids(fixture->workers, pids), 2);
	assert_true(pids[0] > 0 && pids[1] > 0 && pids[0] != pids[1]);
}

/* ---- hooks ---- */

static void test_hooks(void **state)
{
	struct fixture *fixture = *state;
	char cut[32];

	add(fixture, PROPOSES, 10);
	wait_for_answers(fixture, 1);
	check_good(fixture, PROPOSES);
	assert_int_equal(fixture->modules[PROPOSES].hooks, 1);
	assert_int_equal(fixture->hooks.message.count, 2);
	assert_int_equal(fixture->hooks.message.is_go, 0);
	assert_int_equal(fixture->hooks.message.reserved, 0);
	assert_int_equal(fixture->hooks.proposals[0].flags, HOOK_WRAPPER);
	assert_int_equal(fixture->hooks.proposals[0].kind, 0);
	assert_string_equal(fixture->hooks.proposals[0].name, "operator?new");
	assert_int_equal(fixture->hooks.proposals[1].flags, HOOK_LIES);
	assert_int_equal(fixture->hooks.proposals[1].kind, HEAP_FREE);
	assert_int_equal(fixture->hooks.proposals[1].start, 0x100);
	assert_int_equal(fixture->hooks.proposals[1].length, 0x80);
	/* It came without an end. */
	memset(cut, 'x', 28);
	memcpy(cut + 28, "\xe2\x80\xa6", 4);
	assert_string_equal(fixture->hooks.proposals[1].name, cut);
	assert_int_equal(fixture->pids_changes, 0);
}

static void test_most_hooks(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, PROPOSES_MOST, 10);
	wait_for_answers(fixture, 1);
	check_good(fixture, PROPOSES_MOST);
	assert_int_equal(fixture->hooks.message.count, HOOK_PROPOSALS_MAX);
	assert_int_equal(fixture->hooks.proposals[1].flags, HOOK_THROWS);
	assert_int_equal(fixture->hooks.proposals[HOOK_PROPOSALS_MAX - 1].start, 0xff00);
}

static void test_go_without_hooks(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, PROPOSES_GO, 10);
	wait_for_answers(fixture, 1);
	check_good(fixture, PROPOSES_GO);
	assert_int_equal(fixture->modules[PROPOSES_GO].hooks, 1);
	assert_int_equal(fixture->hooks.message.count, 0);
	assert_int_equal(fixture->hooks.message.is_go, 1);
}

/* The worker dies of the table, and the next one proposes the same: it is told once. */
static void test_hooks_are_told_once(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, PROPOSES_AND_CRASHES_ONCE, 10);
	wait_for_answers(fixture, 1);
	check_good(fixture, PROPOSES_AND_CRASHES_ONCE);
	assert_int_equal(shared->builds[PROPOSES_AND_CRASHES_ONCE], 2);
	assert_int_equal(fixture->modules[PROPOSES_AND_CRASHES_ONCE].hooks, 1);
}

/* Who proposes what no worker proposes is somebody's puppet. */
static void check_bad_hooks(struct fixture *fixture, uint32_t module, unsigned told)
{
	check_set_aside(fixture, module);
	assert_int_equal(fixture->modules[module].hooks, told);
	assert_int_equal(fixture->modules[GOOD].hooks, 0);
}

static void test_hooks_twice(void **state)
{
	check_bad_hooks(*state, PROPOSES_TWICE, 1);
}

#define BAD_HOOKS(name, module)                                                                              \
	static void name(void **state)                                                                       \
	{                                                                                                    \
		check_bad_hooks(*state, module, 0);                                                          \
	}
BAD_HOOKS(test_no_hooks, PROPOSES_NOTHING)
BAD_HOOKS(test_hooks_for_another, PROPOSES_FOR_ANOTHER)
BAD_HOOKS(test_hooks_without_header, PROPOSES_WITHOUT_HEADER)
BAD_HOOKS(test_hooks_too_short, PROPOSES_TOO_SHORT)
BAD_HOOKS(test_hooks_too_long, PROPOSES_TOO_LONG)
BAD_HOOKS(test_too_many_hooks, PROPOSES_TOO_MANY)
BAD_HOOKS(test_hook_without_kind, PROPOSES_WITHOUT_KIND)
BAD_HOOKS(test_hook_of_unknown_kind, PROPOSES_UNKNOWN_KIND)
BAD_HOOKS(test_wrapper_with_kind, PROPOSES_KIND_OF_WRAPPER)
BAD_HOOKS(test_hook_with_both_flags, PROPOSES_BOTH_FLAGS)
BAD_HOOKS(test_hook_with_unknown_flag, PROPOSES_UNKNOWN_FLAG)
BAD_HOOKS(test_hook_without_name, PROPOSES_WITHOUT_NAME)
BAD_HOOKS(test_hook_without_end, PROPOSES_ENDLESS)

static void test_hooks_after_table(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, PROPOSES_AFTER_TABLE, 10);
	wait_for_answers(fixture, 1);
	while (!fixture->pids_changes)
		wait_a_turn(fixture);
	check_good(fixture, PROPOSES_AFTER_TABLE);
	assert_int_equal(fixture->modules[PROPOSES_AFTER_TABLE].hooks, 0);
	add(fixture, GOOD, 10);
	wait_for_answers(fixture, 2);
	check_good(fixture, GOOD);
}

/* In the place of the tables worker, that is asked at this time. */
static void test_names_worker_proposes(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, HANGS, 10);
	while (!shared->names_starts)
		wait_a_turn(fixture);
	shared->names_proposes = true;
	shared->names_starts = 0;
	workers_restart_names(fixture->workers, GOOD, 1);
	while (fixture->sockets < 3)
		wait_a_turn(fixture);
	assert_int_equal(fixture->modules[HANGS].hooks, 0);
}

static void test_hooks_without_op(void **state)
{
	struct fixture *fixture = *state;

	add(fixture, PROPOSES, 10);
	wait_for_answers(fixture, 1);
	check_good(fixture, PROPOSES);
	assert_int_equal(fixture->modules[PROPOSES].hooks, 0);
	assert_int_equal(fixture->pids_changes, 0);
}

/* ---- workers that are not worth another start ---- */

static void wait_for_no_worker(struct fixture *fixture, int which)
{
	pid_t pids[2];

	do {
		wait_a_turn(fixture);
		workers_get_pids(fixture->workers, pids);
	} while (pids[which]);
}

static void test_names_are_given_up(void **state)
{
	struct fixture *fixture = *state;
	struct error *error;

	shared->names_die = true;
	workers_restart_names(fixture->workers, GOOD, 1);
	wait_for_no_worker(fixture, 0);
	assert_int_equal(fixture->given_up, 1);
	assert_string_equal(fixture->given_up_what, "names");
	assert_int_equal(fixture->generation, fixture->sockets);
	assert_true(shared->names_starts > 2);
	/* Tables come as before. */
	error = workers_add_module(fixture->workers, GOOD, MODULE_KIND_FILE, fixture->null, 10, true);
	assert_non_null(error);
	error_destroy(error);
	wait_for_answers(fixture, 1);
	check_good(fixture, GOOD);
	assert_int_equal(fixture->given_up, 1);
}

static void test_tables_are_given_up(void **state)
{
	struct fixture *fixture = *state;
	pid_t pids[2];

	for (unsigned changes = 0; !fixture->given_up; changes = fixture->pids_changes) {
		workers_get_pids(fixture->workers, pids);
		assert_true(pids[1] > 0);
		kill(pids[1], SIGKILL);
		while (fixture->pids_changes == changes)
			wait_a_turn(fixture);
	}
	workers_get_pids(fixture->workers, pids);
	assert_int_equal(pids[1], 0);
	assert_int_equal(fixture->given_up, 1);
	assert_string_equal(fixture->given_up_what, "unwind tables");
	add(fixture, GOOD, 10);
	wait_for_answers(fixture, 1);
	assert_int_equal(fixture->modules[GOOD].tables, 0);
	assert_non_null(strstr(fixture->modules[GOOD].why, "too often"));
}

static void test_given_up_without_op(void **state)
{
	struct fixture *fixture = *state;

	shared->names_die = true;
	workers_restart_names(fixture->workers, GOOD, 1);
	wait_for_no_worker(fixture, 0);
	assert_int_equal(fixture->given_up, 0);
}

int main(void)
{
#define TEST_WITH_FEW(name) cmocka_unit_test_setup_teardown(name, set_up_with_few, tear_down)
#define TEST(name)	    cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		TEST(test_good),
		TEST(test_crash),
		TEST(test_hang),
		TEST(test_answer_for_another),
		TEST(test_answer_too_short),
		TEST(test_close_and_live_on),
		TEST(test_crash_once),
		TEST(test_foreign_words),
		TEST(test_babble),
		TEST(test_names_worker_babbles),
		TEST(test_names_worker_is_replaced),
		TEST(test_smallest_first),
		TEST(test_without_table),
		TEST(test_foreign_child),
		TEST(test_hooks),
		TEST(test_most_hooks),
		TEST(test_go_without_hooks),
		TEST(test_hooks_are_told_once),
		TEST(test_hooks_twice),
		TEST(test_no_hooks),
		TEST(test_hooks_for_another),
		TEST(test_hooks_without_header),
		TEST(test_hooks_too_short),
		TEST(test_hooks_too_long),
		TEST(test_too_many_hooks),
		TEST(test_hook_without_kind),
		TEST(test_hook_of_unknown_kind),
		TEST(test_wrapper_with_kind),
		TEST(test_hook_with_both_flags),
		TEST(test_hook_with_unknown_flag),
		TEST(test_hook_without_name),
		TEST(test_hook_without_end),
		TEST(test_hooks_after_table),
		TEST(test_names_worker_proposes),
		TEST_WITH_FEW(test_hooks_without_op),
		TEST(test_names_are_given_up),
		TEST(test_tables_are_given_up),
		TEST_WITH_FEW(test_given_up_without_op),
	};

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
