/* Rights: what the check says, and that a drop leaves nothing, tried in forked children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOME_USER 12345 /* in no password database */

/* Runs check() in a child; it returns 0, or the line that failed. */
static void expect_in_child(int (*check)(void))
{
	int status;
	pid_t pid = fork();

	if (!pid)
		_exit(check() ? 1 : 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

#define CHECK(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "# line %d: %s\n", __LINE__, #condition);                            \
			return __LINE__;                                                                     \
		}                                                                                            \
	} while (0)

static void need_root(void)
{
	if (geteuid() != 0 || !privileges_has(CAP_SETUID) || !privileges_has(CAP_SETPCAP)) {
		print_message("needs root\n");
		skip();
	}
}

static bool has_no_capability(void)
{
	cap_t have = cap_get_proc(), none = cap_init();
	bool is_empty = cap_compare(have, none) == 0;

	cap_free(have);
	cap_free(none);
	return is_empty;
}

/* ---- drops ---- */

static int check_user(void)
{
	uid_t real, effective, saved;
	gid_t groups[8];

	CHECK(!privileges_drop_to_user(SOME_USER, SOME_USER));
	CHECK(getresuid(&real, &effective, &saved) == 0);
	CHECK(real == SOME_USER && effective == SOME_USER && saved == SOME_USER);
	CHECK(getgid() == SOME_USER && getegid() == SOME_USER);
	CHECK(getgroups(8, groups) == 0);
	CHECK(has_no_capability());
	CHECK(cap_get_bound(CAP_SYS_ADMIN) == 0);
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(setuid(0) < 0 && setgid(0) < 0);
	CHECK(open("/etc/shadow", O_RDONLY) < 0);
	/* Once more is no error. */
	CHECK(!privileges_drop_to_user(SOME_USER, SOME_USER));
	return 0;
}

static void test_drop_to_user(void **state)
{
	need_root();
	expect_in_child(check_user);
}

static int check_root(void)
{
	CHECK(!privileges_drop_to_user(0, 0));
	CHECK(getuid() == 0 && geteuid() == 0);
	CHECK(has_no_capability());
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1);
	CHECK(setuid(1) < 0);
	return 0;
}

static void test_root_keeps_its_user(void **state)
{
	need_root();
	expect_in_child(check_root);
}

static int check_nobody(void)
{
	char page[4096] = "";
	gid_t groups[8];
	int fd;

	CHECK(!privileges_drop_to_nobody());
	CHECK(getuid() == 65534 && geteuid() == 65534 && getgid() == 65534);
	CHECK(getgroups(8, groups) == 0);
	CHECK(has_no_capability());
	CHECK(prctl(PR_GET_DUMPABLE) == 0);
	CHECK(fork() < 0 && errno == EAGAIN);
	/* What a worker does: a table of some MiB in a memfd. */
	fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(fd >= 0);
	CHECK(ftruncate(fd, 64 << 20) == 0);
	CHECK(pwrite(fd, page, sizeof(page), (64 << 20) - 4096) == 4096);
	CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE) == 0);
	return 0;
}

static void test_drop_to_nobody(void **state)
{
	need_root();
	expect_in_child(check_nobody);
}

/* Capabilities from the program's file, but not CAP_SETUID: the user stays, the capabilities go. */
static int check_file_capabilities(void)
{
	const cap_value_t few[] = {CAP_BPF, CAP_PERFMON};
	cap_t set = cap_init();

	CHECK(prctl(PR_SET_KEEPCAPS, 1) == 0);
	CHECK(setgroups(0, NULL) == 0 && setresgid(SOME_USER, SOME_USER, SOME_USER) == 0);
	CHECK(setresuid(SOME_USER, SOME_USER, SOME_USER) == 0);
	cap_set_flag(set, CAP_PERMITTED, 2, few, CAP_SET);
	cap_set_flag(set, CAP_EFFECTIVE, 2, few, CAP_SET);
	CHECK(cap_set_proc(set) == 0);
	cap_free(set);
	CHECK(privileges_has(CAP_BPF) && !privileges_has(CAP_SETUID));
	CHECK(!privileges_drop_to_nobody());
	CHECK(getuid() == SOME_USER);
	CHECK(has_no_capability());
	return 0;
}

static void test_file_capabilities(void **state)
{
	need_root();
	expect_in_child(check_file_capabilities);
}

static int check_least(void)
{
	CHECK(!privileges_keep_least(PRIVILEGES_KEEP_FORKING));
	for (const struct privilege *wanted = privileges_wanted; wanted->name; wanted++)
		CHECK(privileges_has(wanted->capability));
	CHECK(privileges_has(CAP_SETUID) && privileges_has(CAP_KILL));
	CHECK(!privileges_has(CAP_SYS_ADMIN) && !privileges_has(CAP_DAC_OVERRIDE) &&
	      !privileges_has(CAP_NET_ADMIN));
	/* Still enough to start a worker. */
	if (fork() == 0)
		_exit(privileges_drop_to_nobody() || getuid() != 65534);
	CHECK(wait(&(int){0}) > 0);
	CHECK(!privileges_keep_least(0));
	CHECK(!privileges_has(CAP_SETUID) && privileges_has(CAP_BPF));
	/* What is given up stays given up. */
	CHECK(!privileges_keep_least(PRIVILEGES_KEEP_FORKING | PRIVILEGES_KEEP_ADMIN));
	CHECK(!privileges_has(CAP_SETUID) && !privileges_has(CAP_SYS_ADMIN));
	return 0;
}

static void test_keep_least(void **state)
{
	need_root();
	expect_in_child(check_least);
}

static int check_become(void)
{
	CHECK(!privileges_become_user(SOME_USER, SOME_USER));
	CHECK(getuid() == SOME_USER && has_no_capability());
	/* CMD may use sudo. */
	CHECK(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 0);
	CHECK(cap_get_bound(CAP_SYS_ADMIN) == 1);
	return 0;
}

static void test_become_user(void **state)
{
	need_root();
	expect_in_child(check_become);
}

/* ---- the check ---- */

static bool has_words(struct error *error, const char *message, const char *hint)
{
	bool has = error && error_get_code(error) == ERROR_PERMISSION && error_get_hint(error) &&
		   !strcmp(error_get_message(error), message) &&
		   (!hint || !strcmp(error_get_hint(error), hint));

	if (error && !has)
		fprintf(stderr, "# %s / %s\n", error_get_message(error), error_get_hint(error));
	error_destroy(error);
	return has;
}

static int check_without(void)
{
	if (geteuid() == 0 && privileges_drop_to_user(SOME_USER, SOME_USER))
		return 1;
	CHECK(!privileges_has(CAP_BPF));
	CHECK(has_words(privileges_check("attach to 4242", geteuid(), "kiln 4242"),
			"attach to 4242: no capability CAP_BPF, CAP_PERFMON", "run: sudo kiln 4242"));
	CHECK(has_words(privileges_check("attach to 4242", geteuid() + 1, "kiln 4242"),
			"attach to 4242: no capability CAP_BPF, CAP_PERFMON, CAP_SYS_PTRACE",
			"run: sudo kiln 4242"));
	return 0;
}

static void test_check_without(void **state)
{
	if (geteuid() != 0 && privileges_has(CAP_BPF)) {
		print_message("runs with CAP_BPF\n");
		skip();
	}
	expect_in_child(check_without);
}

static int check_lost(void)
{
	CHECK(!privileges_drop_to_user(0, 0));
	/* sudo does not help who is root already. */
	CHECK(has_words(privileges_check("run", 0, "kiln"), "run: no capability CAP_BPF, CAP_PERFMON", NULL));
	return 0;
}

static void test_check_with(void **state)
{
	need_root();
	if (privileges_are_namespaced()) {
		print_message("runs in a user namespace\n");
		skip();
	}
	assert_null(privileges_check("attach to 4242", geteuid() + 1, "kiln 4242"));
	expect_in_child(check_lost);
}

static int check_admin(void)
{
	const cap_value_t admin = CAP_SYS_ADMIN;
	cap_t set = cap_init();

	cap_set_flag(set, CAP_PERMITTED, 1, &admin, CAP_SET);
	cap_set_flag(set, CAP_EFFECTIVE, 1, &admin, CAP_SET);
	CHECK(cap_set_proc(set) == 0);
	cap_free(set);
	CHECK(privileges_has(CAP_BPF) && privileges_has(CAP_PERFMON) &&
	      privileges_has(CAP_CHECKPOINT_RESTORE));
	CHECK(!privileges_has(CAP_SYS_PTRACE));
	CHECK(!privileges_keep_least(0));
	CHECK(privileges_has(CAP_BPF));
	return 0;
}

static void test_admin_stands_in(void **state)
{
	need_root();
	expect_in_child(check_admin);
}

static void test_command_is_quoted(void **state)
{
	char *argv[] = {"./kiln", "run", "--", "it's", "a b", "", "$(x)", "a=b", NULL};
	_cleanup_free_ char *text = privileges_format_command(argv);

	assert_string_equal(text, "./kiln run -- 'it'\\''s' 'a b' '' '$(x)' a=b");
}

/* ---- whose ---- */

static void test_invoker(void **state)
{
	static const char *const bad[] = {"", "-1", "4294967295", "1000x", "0x10", " 7", "99999999999"};
	uid_t uid = 1;
	gid_t gid = 1;
	char *home = NULL;

	setenv("HOME", "/some/where", 1);
	unsetenv("SUDO_UID");
	assert_null(privileges_find_invoker(&uid, &gid, &home));
	assert_int_equal(uid, getuid());
	assert_int_equal(gid, getgid());
	assert_string_equal(home, "/some/where");
	free(home);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		setenv("SUDO_UID", bad[i], 1);
		setenv("SUDO_GID", "1000", 1);
		assert_null(privileges_find_invoker(&uid, &gid, &home));
		assert_int_equal(uid, getuid());
		free(home);
	}
	setenv("SUDO_UID", "12345", 1);
	setenv("SUDO_GID", "54321", 1);
	assert_null(privileges_find_invoker(&uid, &gid, &home));
	if (getuid() == 0) {
		assert_int_equal(uid, 12345);
		assert_int_equal(gid, 54321);
		assert_string_equal(home, "/"); /* not $HOME */
	} else {
		assert_int_equal(uid, getuid());
	}
	free(home);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_drop_to_user),	cmocka_unit_test(test_root_keeps_its_user),
		cmocka_unit_test(test_drop_to_nobody),	cmocka_unit_test(test_file_capabilities),
		cmocka_unit_test(test_keep_least),	cmocka_unit_test(test_become_user),
		cmocka_unit_test(test_check_without),	cmocka_unit_test(test_check_with),
		cmocka_unit_test(test_admin_stands_in), cmocka_unit_test(test_command_is_quoted),
		cmocka_unit_test(test_invoker),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
