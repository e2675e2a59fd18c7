/* kiln's side of separate debug files: what it opens for a worker that may be the target's puppet, and what
 * it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "symbolizer/debug_server.h"
#include "tests/support/workshop.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static struct workshop shop;
static struct debug_places *places;
static struct debug_opened opened;

static int start(void **state)
{
	workshop_open(&shop);
	workshop_run(&shop, "mkdir program && echo module >program/module");
	assert_null(debug_places_create(&places));
	return 0;
}

static int finish(void **state)
{
	debug_places_destroy(places);
	workshop_close(&shop);
	return 0;
}

/* What is in the file that is opened for the module program/module; "" when none is. */
static const char *open_text(enum want_kind kind, const char *name, const char *build_id, uint32_t place)
{
	struct want_message want = {.kind = kind, .place = place};
	static char text[64];
	ssize_t length = 0;

	for (; build_id && *build_id; build_id += 2)
		sscanf(build_id, "%2hhx", &want.build_id[want.build_id_length++]);
	debug_open(places, workshop_path(&shop, "program/module"), &want, name, &opened);
	if (opened.fd >= 0) {
		/* For reading, and nothing else. */
		assert_int_equal(fcntl(opened.fd, F_GETFL) & O_ACCMODE, O_RDONLY);
		assert_int_equal(fcntl(opened.fd, F_GETFD), FD_CLOEXEC);
		length = read(opened.fd, text, sizeof(text) - 1);
		close(opened.fd);
	}
	text[length > 0 ? length : 0] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return text;
}

static const char *open_link(const char *name)
{
	return open_text(WANT_LINK, name, NULL, 0);
}

static void expect_why(const char *words)
{
	if (!strstr(opened.why, words))
		fail_msg("it says \"%s\", not \"%s\"", opened.why, words);
}

/* One place after the other, and the same file again for who asks from there. */
static void test_order(void **state)
{
	uint32_t first;

	workshop_run(&shop, "mkdir -p program/.debug debug%s/program", shop.directory);
	workshop_run(&shop, "echo 3 >debug%s/program/x", shop.directory);
	assert_string_equal(open_link("x"), "3");
	workshop_run(&shop, "echo 2 >program/.debug/x");
	assert_string_equal(open_link("x"), "2");
	workshop_run(&shop, "echo 1 >program/x");
	assert_string_equal(open_link("x"), "1");
	first = opened.place;
	assert_string_equal(open_text(WANT_LINK, "x", NULL, first), "1");
	assert_string_equal(open_text(WANT_LINK, "x", NULL, first + 1), "2");
	assert_string_equal(open_text(WANT_LINK, "x", NULL, opened.place + 1), "3");
	assert_string_equal(open_text(WANT_LINK, "x", NULL, opened.place + 1), "");
	assert_string_equal(open_text(WANT_LINK, "x", NULL, UINT32_MAX), "");
	assert_string_equal(opened.why, "");
}

static void test_build_id(void **state)
{
	workshop_run(&shop, "mkdir -p debug/.build-id/ab && echo it >debug/.build-id/ab/cdef.debug");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "abcdef", 0), "it");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "abcd", 0), "");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "ab", 0), "");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "", 0), "");
	/* dwz's file: by its build-id, or by its name only. */
	assert_string_equal(open_text(WANT_ALT, "../../../../etc/passwd", "abcdef", 0), "it");
	workshop_run(&shop, "mkdir debug/.dwz && echo dwz >debug/.dwz/common");
	assert_string_equal(open_text(WANT_ALT, "/some/where/common", "0123", 0), "dwz");
	assert_string_equal(open_text(WANT_ALT, "../../../../etc/passwd", "0123", 0), "");
	assert_string_equal(open_text(WANT_ALT, "/etc/passwd", "0123", 0), "");
	assert_string_equal(open_text(WANT_ALT, "..", "0123", 0), "");
	assert_string_equal(open_text(WANT_ALT, "", "0123", 0), "");
}

static void test_names_that_lead_elsewhere(void **state)
{
	static const char *const names[] = {"../../etc/passwd", "/etc/passwd", "a/b", "..", ".", "",
					    "../program/module"};
	char longest[400];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_string_equal(open_link(names[i]), "");
		expect_why("no plain name");
	}
	memset(longest, 'x', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_string_equal(open_link(longest), "");
	expect_why("no plain name");
	assert_string_equal(open_link("\033[31m/"), "");
	assert_null(strchr(opened.why, '\033'));
	/* A module whose own path is not one. */
	{
		struct want_message want = {.kind = WANT_LINK};

		debug_open(places, "", &want, "passwd", &opened);
		assert_int_equal(opened.fd, -1);
		debug_open(places, "[vdso]", &want, "passwd", &opened);
		assert_int_equal(opened.fd, -1);
		debug_open(places, "/tmp/../etc/x", &want, "passwd", &opened);
		assert_int_equal(opened.fd, -1);
	}
}

/* Nothing of it is opened, and nothing of it is waited for. */
static void test_no_regular_files(void **state)
{
	workshop_run(&shop, "cd program && mkfifo pipe && ln -s /dev/zero zero && ln -s pipe link && mkdir "
			    "directory && ln -s module good && ln -s loop loop");
	assert_string_equal(open_link("pipe"), "");
	expect_why("pipe: not a regular file");
	assert_string_equal(open_link("directory"), "");
	expect_why("not a regular file");
	assert_string_equal(open_link("zero"), "");
	expect_why("symbolic link");
	assert_string_equal(open_link("link"), "");
	expect_why("symbolic link");
	assert_string_equal(open_link("loop"), "");
	expect_why("symbolic link");
	/* Beside the module even to a good file: the target may have put it there. */
	assert_string_equal(open_link("good"), "");
	expect_why("symbolic link");
	/* Where packages put them links are followed, but only to files. */
	workshop_run(&shop,
		     "mkdir -p debug/.build-id/ab && cd debug/.build-id/ab && mkfifo pipe && "
		     "ln -s pipe cd.debug && ln -s /dev/zero ef.debug && ln -s /proc/self/exe 01.debug && "
		     "ln -s ../../../program/module 23.debug");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "abcd", 0), "");
	expect_why("not a regular file");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "abef", 0), "");
	expect_why("not a regular file");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "ab01", 0), "");
	expect_why("symbolic link");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "ab23", 0), "module");
}

/* In a container the same paths are other files; links stay in it. */
static void test_root(void **state)
{
	struct want_message want = {.kind = WANT_LINK};
	char text[16] = "";

	workshop_run(&shop, "mkdir -p root%s/program root/usr/lib/debug/.build-id/ab program/.debug",
		     shop.directory);
	workshop_run(&shop,
		     "echo inside >root%s/program/x && echo outside >program/x && "
		     "echo only >program/y && echo id >root/usr/lib/debug/.build-id/ab/cd.debug",
		     shop.directory);
	/* Seen from inside it leads to the root's own etc. */
	workshop_run(
		&shop,
		"mkdir root/etc && echo safe >root/etc/passwd && "
		"ln -s ../../../../../../../../../../etc/passwd root/usr/lib/debug/.build-id/ab/ef.debug");
	debug_places_set_root(places, open(workshop_path(&shop, "root"), O_PATH | O_DIRECTORY | O_CLOEXEC));
	assert_string_equal(open_link("x"), "inside");
	assert_string_equal(open_text(WANT_LINK, "x", NULL, opened.place + 1), "outside");
	assert_string_equal(open_link("y"), "only");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "abcd", 0), "id");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "abef", 0), "safe");
	debug_places_set_root(places, -1);
	assert_string_equal(open_link("x"), "outside");
	assert_string_equal(open_text(WANT_BUILD_ID, "", "abcd", 0), "");
	/* A root that has gone. */
	debug_places_set_root(places, open(workshop_path(&shop, "root"), O_PATH | O_DIRECTORY | O_CLOEXEC));
	workshop_run(&shop, "rm -rf root");
	debug_open(places, workshop_path(&shop, "program/module"), &want, "x", &opened);
	assert_true(opened.fd >= 0);
	assert_int_equal(read(opened.fd, text, sizeof(text)), 8);
	close(opened.fd);
}

static void test_dwo(void **state)
{
	char name[512];

	workshop_run(&shop,
		     "mkdir -p build/sub && echo split >build/sub/a.dwo && echo near >program/b.dwo && "
		     "echo secret >build/sub/secret && ln -s secret build/sub/c.dwo && mkfifo build/d.dwo && "
		     "ln -s /etc/passwd build/e.dwo");
#define DWO(path)                                                                                            \
	open_text(WANT_DWO, (snprintf(name, sizeof(name), "%s/%s", shop.directory, path), name), NULL, 0)
	assert_string_equal(DWO("build/sub/a.dwo"), "split");
	assert_string_equal(DWO("build/other/../sub/./a.dwo"), "split");
	/* Moved beside the module. */
	assert_string_equal(DWO("build/sub/b.dwo"), "near");
	assert_string_equal(DWO("build/sub/secret"), "");
	assert_string_equal(DWO("build/d.dwo"), "");
	expect_why("not a regular file");
	/* Out of the directory that it shares with the module. */
	assert_string_equal(DWO("build/e.dwo"), "");
	assert_string_equal(open_text(WANT_DWO, "relative.dwo", NULL, 0), "");
	assert_string_equal(open_text(WANT_DWO, "/proc/self/root/etc/passwd", NULL, 0), "");
	assert_string_equal(open_text(WANT_DWO, "/../../../..", NULL, 0), "");
	assert_string_equal(open_text(WANT_DWO, ".dwo", NULL, 0), "");
	assert_string_equal(open_text(WANT_DWO, "/.dwo", NULL, 0), "");
	/* A package is beside it instead. */
	workshop_run(&shop, "echo >program/module.dwp");
	assert_string_equal(DWO("build/gone.dwo"), "");
	expect_why(".dwp");
}

/* From the directory that both share no mount point is crossed: the file's word must not make an automounter
 * work. /proc is one everywhere. */
static void test_dwo_behind_a_mount_point(void **state)
{
	assert_string_equal(open_text(WANT_DWO, "/proc/self/x.dwo", NULL, 0), "");
	expect_why("x.dwo");
}

/* ---- the socket ---- */

struct service {
	struct loop *loop;
	struct debug_server *server;
	int worker; /* the worker's end */
	unsigned answered, misbehaved;
	uint64_t bytes;
};

static const char *find_path(void *arg, uint32_t module)
{
	return module == 16 ? workshop_path(&shop, "program/module") : "";
}

static void on_answered(void *arg, uint32_t module, uint64_t size_bytes)
{
	struct service *service = arg;

	assert_int_equal(module, 16);
	service->answered++;
	service->bytes += size_bytes;
}

static void on_misbehaved(void *arg)
{
	struct service *service = arg;

	service->misbehaved++;
	debug_server_destroy(service->server);
	service->server = NULL;
}

static void start_service(struct service *service)
{
	static const struct debug_server_ops ops = {find_path, on_answered, on_misbehaved};
	int pair[2];

	*service = (struct service){0};
	assert_null(loop_create(&service->loop));
	assert_null(channel_socketpair(pair));
	service->worker = pair[1];
	assert_null(debug_server_create(service->loop, pair[0], places, &ops, service, &service->server));
}

static void stop_service(struct service *service)
{
	debug_server_destroy(service->server);
	loop_destroy(service->loop);
	close(service->worker);
}

/* As base/channel.c has it on the wire. */
static void send_bytes(struct service *service, uint32_t type, const void *payload, size_t length)
{
	char bytes[8 + 8192] = {0};

	memcpy(bytes, &type, sizeof(type));
	memcpy(bytes + 8, payload, length);
	assert_int_equal(send(service->worker, bytes, 8 + length, MSG_NOSIGNAL), 8 + length);
}

static void send_want(struct service *service, const char *name)
{
	union {
		struct want_message want;
		char bytes[512];
	} message = {.want = {.serial = 7, .module = 16, .kind = WANT_LINK}};
	size_t fixed = offsetof(struct want_message, name);

	strcpy(message.bytes + fixed, name);
	send_bytes(service, SYMBOLIZER_WANT, message.bytes, fixed + strlen(name) + 1);
}

static void test_service(void **state)
{
	struct service service;
	struct file_message answer;
	char bytes[8 + sizeof(answer)];

	start_service(&service);
	workshop_run(&shop, "echo 1234567 >program/x");
	send_want(&service, "x");
	debug_server_drain(service.server);
	assert_int_equal(service.answered, 1);
	assert_int_equal(service.bytes, 8);
	assert_int_equal(recv(service.worker, bytes, sizeof(bytes), 0), sizeof(bytes));
	memcpy(&answer, bytes + 8, sizeof(answer));
	assert_int_equal(answer.status, FILE_OPENED);
	assert_int_equal(answer.serial, 7);
	send_want(&service, "none");
	debug_server_drain(service.server);
	assert_int_equal(recv(service.worker, bytes, sizeof(bytes), 0), sizeof(bytes));
	memcpy(&answer, bytes + 8, sizeof(answer));
	assert_int_equal(answer.status, FILE_NONE);
	assert_int_equal(service.answered, 2);
	assert_int_equal(service.bytes, 8);
	assert_int_equal(service.misbehaved, 0);
	stop_service(&service);
}

/* It asks and never reads: kiln's fds would pile up in the socket. */
static void test_worker_that_never_reads(void **state)
{
	struct service service;

	start_service(&service);
	workshop_run(&shop, "echo >program/x");
	send_want(&service, "x");
	send_want(&service, "x");
	send_want(&service, "x");
	debug_server_drain(service.server);
	assert_int_equal(service.answered, 1);
	assert_int_equal(service.misbehaved, 1);
	stop_service(&service);
}

static void test_damaged_wants(void **state)
{
	union {
		struct want_message want;
		char bytes[8192];
	} message;
	size_t fixed = offsetof(struct want_message, name);

	for (int i = 0; i < 7; i++) {
		struct service service;
		size_t length = fixed + 2;
		uint32_t type = SYMBOLIZER_WANT;

		start_service(&service);
		memset(&message, 0, sizeof(message));
		message.want = (struct want_message){.module = 16, .kind = WANT_LINK};
		message.bytes[fixed] = 'x';
		if (i == 0)
			length = 0;
		else if (i == 1)
			length = fixed;
		else if (i == 2)
			message.bytes[fixed + 1] = 'y'; /* no end */
		else if (i == 3)
			length = fixed + 3; /* an end before the end */
		else if (i == 4)
			message.want.kind = WANT_DWO + 1;
		else if (i == 5)
			message.want.build_id_length = BUILD_ID_MAX + 1;
		else
			type = SYMBOLIZER_FILE;
		send_bytes(&service, type, message.bytes, length);
		debug_server_drain(service.server);
		assert_int_equal(service.misbehaved, 1);
		assert_int_equal(service.answered, 0);
		stop_service(&service);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_order, start, finish),
		cmocka_unit_test_setup_teardown(test_build_id, start, finish),
		cmocka_unit_test_setup_teardown(test_names_that_lead_elsewhere, start, finish),
		cmocka_unit_test_setup_teardown(test_no_regular_files, start, finish),
		cmocka_unit_test_setup_teardown(test_root, start, finish),
		cmocka_unit_test_setup_teardown(test_dwo, start, finish),
		cmocka_unit_test_setup_teardown(test_dwo_behind_a_mount_point, start, finish),
		cmocka_unit_test_setup_teardown(test_service, start, finish),
		cmocka_unit_test_setup_teardown(test_worker_that_never_reads, start, finish),
		cmocka_unit_test_setup_teardown(test_damaged_wants, start, finish),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
