/* Where a JIT says what its code is called: taken only from where the target would look, and only what it or
 * root has written. The targets are children of this test; as root they have users and namespaces of their
 * own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/jit_files.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER_USER 54321

struct world {
	pid_t pid;
	int pipe; /* the child says a byte when it is ready, and ends with the test */
	struct target *target;
	struct jit_files *files;
	struct jit_look look; /* the last */
	char path[64], other[80];
};

static void write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

/* A private /tmp with a map of its own, in which it is process 1. */
static void go_into_namespace(void)
{
	static const char text[] = "1000 10 inside\n";
	int fd;

	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("none", "/tmp", "tmpfs", 0, NULL))
		_exit(1);
	fd = open("/tmp/perf-1.map", O_WRONLY | O_CREAT, 0644);
	if (write(fd, text, sizeof(text) - 1) != sizeof(text) - 1)
		_exit(1);
	close(fd);
}

static void child_main(int pipe, unsigned long flags, uid_t uid)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (flags)
		go_into_namespace();
	if (uid && (setgid(uid) || setuid(uid)))
		_exit(1);
	if (write(pipe, "x", 1) != 1)
		_exit(1);
	for (;;)
		pause();
}

static struct world start(unsigned long flags, uid_t uid)
{
	struct world world = {0};
	int ends[2];
	char byte;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	world.pid = (pid_t)syscall(SYS_clone, flags | SIGCHLD, NULL, NULL, NULL, NULL);
	assert_true(world.pid >= 0);
	if (!world.pid)
		child_main(ends[1], flags, uid);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	world.pipe = ends[0];
	assert_null(target_open(world.pid, &world.target));
	assert_null(jit_files_create(&world.files));
	snprintf(world.path, sizeof(world.path), "/tmp/perf-%d.map", (int)world.pid);
	snprintf(world.other, sizeof(world.other), "%s.other", world.path);
	return world;
}

static void kill_target(struct world *world)
{
	if (world->pid <= 0)
		return;
	kill(world->pid, SIGKILL);
	waitpid(world->pid, NULL, 0);
	world->pid = 0;
}

static void end(struct world *world)
{
	kill_target(world);
	unlink(world->path);
	unlink(world->other);
	jit_files_destroy(world->files);
	target_destroy(world->target);
	close(world->pipe);
}

static void look(struct world *world)
{
	jit_files_look(world->files, world->target, false, &world->look);
}

static void expect_taken(struct world *world, const char *text)
{
	char read_text[64] = "";

	look(world);
	assert_true(world->look.new_map_fd >= 0);
	assert_true(world->look.has_news);
	assert_string_equal(world->look.why, "");
	assert_int_equal(pread(world->look.new_map_fd, read_text, 63, 0), (ssize_t)strlen(text));
	assert_string_equal(read_text, text);
	assert_int_equal(world->look.map_bytes, strlen(text));
	assert_int_equal(world->look.total_bytes, strlen(text));
}

/* Said once, not again and again. */
static void expect_refused(struct world *world, const char *why)
{
	look(world);
	assert_int_equal(world->look.new_map_fd, -1);
	assert_false(world->look.has_news);
	assert_non_null(strstr(world->look.why, why));
	assert_non_null(strstr(world->look.why, world->path));
	look(world);
	assert_int_equal(world->look.new_map_fd, -1);
	assert_string_equal(world->look.why, "");
}

static void expect_news(struct world *world, bool has_news)
{
	look(world);
	assert_int_equal(world->look.new_map_fd, -1);
	assert_int_equal(world->look.has_news, has_news);
	assert_string_equal(world->look.why, "");
}

/* ---- what comes and grows ---- */

static void test_growth(void **state)
{
	struct world world = start(0, 0);

	expect_news(&world, false);
	jit_files_look(world.files, world.target, true, &world.look);
	assert_false(world.look.has_news);
	write_text(world.path, "1000 10 a\n");
	expect_taken(&world, "1000 10 a\n");
	/* Once more when it is quiet. */
	expect_news(&world, true);
	expect_news(&world, false);
	write_text(world.path, "2000 10 b\n");
	expect_news(&world, true);
	assert_int_equal(world.look.total_bytes, 20);
	expect_news(&world, true);
	expect_news(&world, false);
	jit_files_look(world.files, world.target, true, &world.look);
	assert_true(world.look.has_news);
	assert_int_equal(truncate(world.path, 0), 0);
	expect_news(&world, true);
	end(&world);
}

static void test_replaced(void **state)
{
	struct world world = start(0, 0);

	write_text(world.path, "1000 10 a\n");
	expect_taken(&world, "1000 10 a\n");
	write_text(world.other, "2000 10 b\n");
	assert_int_equal(rename(world.other, world.path), 0);
	expect_taken(&world, "2000 10 b\n");
	/* What has been removed stays open. */
	assert_int_equal(unlink(world.path), 0);
	expect_news(&world, true);
	expect_news(&world, false);
	/* What must not be taken does not take its place. */
	assert_int_equal(symlink("/etc/passwd", world.path), 0);
	expect_refused(&world, "symbolic link");
	end(&world);
}

/* The target writes its map and ends before the next look; what has written nothing at all is no trouble. */
static void test_ended(void **state)
{
	struct world world = start(0, 0);

	expect_news(&world, false);
	write_text(world.path, "1000 10 a\n");
	kill_target(&world);
	expect_taken(&world, "1000 10 a\n");
	jit_files_destroy(world.files);
	assert_null(jit_files_create(&world.files));
	/* Never seen alive: nobody knows where it would have looked. */
	expect_news(&world, false);
	end(&world);
}

/* A process that had the same number has left its map behind. */
static void test_left_behind(void **state)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000}};
	struct world world = start(0, 0);

	write_text(world.path, "1000 10 a\n");
	assert_int_equal(utimensat(AT_FDCWD, world.path, times, 0), 0);
	expect_news(&world, false);
	/* The target begins to write. */
	write_text(world.path, "2000 10 b\n");
	expect_taken(&world, "1000 10 a\n2000 10 b\n");
	end(&world);
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
	struct world world = start(0, 0);

	assert_int_equal(symlink("/etc/passwd", world.path), 0);
	expect_refused(&world, "symbolic link");
	assert_int_equal(unlink(world.path), 0);
	/* Opening it for reading would wait for a writer. */
	assert_int_equal(mkfifo(world.path, 0600), 0);
	expect_refused(&world, "no regular file");
	assert_int_equal(unlink(world.path), 0);
	assert_int_equal(mkdir(world.path, 0700), 0);
	expect_news(&world, false); /* for the same reason as before */
	assert_int_equal(rmdir(world.path), 0);
	write_text(world.other, "1000 10 a\n");
	assert_int_equal(link(world.other, world.path), 0);
	expect_refused(&world, "second name");
	assert_int_equal(unlink(world.path), 0);
	assert_int_equal(truncate(world.other, 17ll << 30), 0);
	assert_int_equal(rename(world.other, world.path), 0);
	expect_refused(&world, "too big");
	assert_int_equal(truncate(world.path, 10), 0);
	expect_taken(&world, "1000 10 a\n");
	end(&world);
}

static void test_users(void **state)
{
	struct world world;

	if (geteuid() != 0) {
		print_message("users of their own: needs root\n");
		skip();
	}
	world = start(0, OTHER_USER);
	write_text(world.path, "1000 10 a\n");
	assert_int_equal(chown(world.path, OTHER_USER + 1, OTHER_USER + 1), 0);
	expect_refused(&world, "another user");
	/* The target's group is not its user. */
	assert_int_equal(chown(world.path, OTHER_USER + 1, OTHER_USER), 0);
	expect_news(&world, false);
	assert_int_equal(chown(world.path, OTHER_USER, OTHER_USER), 0);
	expect_taken(&world, "1000 10 a\n");
	assert_int_equal(unlink(world.path), 0);
	write_text(world.path, "3000 10 of root\n");
	expect_taken(&world, "3000 10 of root\n");
	end(&world);
	/* Of root's target only root's. */
	world = start(0, 0);
	write_text(world.path, "1000 10 a\n");
	assert_int_equal(chown(world.path, OTHER_USER, OTHER_USER), 0);
	expect_refused(&world, "another user");
	end(&world);
}

static void test_namespaces(void **state)
{
	struct world world;

	if (geteuid() != 0) {
		print_message("namespaces: needs root\n");
		skip();
	}
	world = start(CLONE_NEWPID | CLONE_NEWNS, 0);
	/* What it would be called outside is none of its. */
	write_text(world.path, "1000 10 outside\n");
	expect_taken(&world, "1000 10 inside\n");
	expect_news(&world, true);
	expect_news(&world, false);
	end(&world);
}

/* ---- jitdumps ---- */

static void test_dumps(void **state)
{
	struct world world = start(0, 0);
	int fd;

	assert_true(jit_files_is_dump("/root/.debug/jit/x/jit-12.dump"));
	assert_true(jit_files_is_dump("jit-12.dump"));
	assert_false(jit_files_is_dump("/tmp/jit-12.dump/lib.so"));
	assert_false(jit_files_is_dump("/tmp/a-jit-12.dump"));
	assert_false(jit_files_is_dump(""));
	write_text(world.other, "abc");
	fd = open(world.other, O_RDONLY | O_CLOEXEC);
	assert_true(jit_files_add_dump(world.files, world.target, fd));
	expect_news(&world, true);
	assert_int_equal(world.look.total_bytes, 3);
	expect_news(&world, true);
	expect_news(&world, false);
	write_text(world.other, "d");
	expect_news(&world, true);
	jit_files_destroy(world.files);
	assert_null(jit_files_create(&world.files));
	assert_int_equal(link(world.other, world.path), 0);
	assert_false(jit_files_add_dump(world.files, world.target, fd));
	close(fd);
	end(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_growth),	   cmocka_unit_test(test_replaced),
		cmocka_unit_test(test_ended),	   cmocka_unit_test(test_left_behind),
		cmocka_unit_test(test_refused),	   cmocka_unit_test(test_users),
		cmocka_unit_test(test_namespaces), cmocka_unit_test(test_dumps),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
