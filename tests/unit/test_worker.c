/* A real worker in a child, over real sockets, and the client against workers that die, hang or lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "bpf/events.h"
#include "bpf/heap_events.h"
#include "bpf/table.h"
#include "symbolizer/allocators.h"
#include "symbolizer/modules.h"
#include "symbolizer/symbolizer.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <gnu/libc-version.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MODULE	 MODULE_FIRST_FILE
#define DONE	 1
#define TOO_LATE 2

/* One test's world: the probe's end of one worker, and kiln's client. */
struct world {
	struct loop *loop;
	struct symbolizer_client *client;
	struct channel *probe;
	pid_t worker;
	uint64_t size; /* of this program's file */
	/* What came. */
	size_t named, infos, tables, hooks, stuck, set_aside, closed;
	size_t wanted; /* names; then the loop ends */
	bool until_stuck, until_table, kill_at_name, replace_at_stuck;
	struct info_message info;
	struct table_message table;
	struct {
		struct hooks_message message;
		struct hook_proposal proposals[HOOK_PROPOSALS_MAX];
	} proposed; /* the last that came */
	int memfd;
	uint64_t *offsets, *starts;
	char (*functions)[64];
};

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void start_worker(struct world *world);

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
	struct world *world = arg;

	for (size_t i = 0; i < count; i++) {
		assert_true(world->named < world->wanted);
		assert_true(names[i].offset == world->offsets[world->named]);
		/* The last one of an offset stays: the concrete function. */
		world->starts[world->named] = names[i].start;
		snprintf(world->functions[world->named], sizeof(world->functions[0]), "%.*s",
			 (int)names[i].function_length, names[i].function);
		world->named += !names[i].is_inlined;
	}
	if (world->kill_at_name) {
		world->kill_at_name = false;
		kill(world->worker, SIGKILL);
	}
	if (world->named == world->wanted)
		loop_quit(world->loop, DONE);
}

static void on_info(void *arg, const struct info_message *info)
{
	struct world *world = arg;

	world->infos++;
	world->info = *info;
}

static void reap(struct world *world)
{
	if (world->worker <= 0)
		return;
	kill(world->worker, SIGKILL);
	waitpid(world->worker, NULL, 0);
	world->worker = 0;
}

static void on_stuck(void *arg, uint32_t module)
{
	struct world *world = arg;

	world->stuck++;
	assert_int_equal(module, MODULE);
	if (world->replace_at_stuck) {
		reap(world);
		start_worker(world);
	}
	if (world->until_stuck)
		loop_quit(world->loop, DONE);
}

static void on_set_aside(void *arg, uint32_t module)
{
	struct world *world = arg;

	assert_int_equal(module, MODULE);
	assert_int_equal(world->stuck, 2);
	world->set_aside++;
}

static void on_probe_message(void *arg, struct message *message)
{
	struct world *world = arg;

	if (message->type == SYMBOLIZER_HOOKS) {
		assert_in_range(message->length, sizeof(world->proposed.message), sizeof(world->proposed));
		memcpy(&world->proposed, message->payload, message->length);
		assert_int_equal(message->length, hooks_message_length(&world->proposed.message));
		/* Its table is still to come. */
		assert_int_equal(world->hooks, world->tables);
		world->hooks++;
		return;
	}
	assert_int_equal(message->type, SYMBOLIZER_TABLE);
	assert_int_equal(message->length, sizeof(world->table));
	memcpy(&world->table, message->payload, sizeof(world->table));
	world->memfd = take_fd(&message->fds[0]);
	world->tables++;
	if (world->until_table)
		loop_quit(world->loop, DONE);
}

static void on_probe_closed(void *arg)
{
	((struct world *)arg)->closed++;
}

static void on_time(void *arg)
{
	loop_quit(((struct world *)arg)->loop, TOO_LATE);
}

static void run(struct world *world)
{
	struct loop_source *timer;

	assert_null(loop_add_timer(world->loop, 10000, 0, on_time, world, &timer));
	assert_int_equal(loop_run(world->loop), DONE);
	loop_remove(timer);
}

static void start_world(struct world *world, size_t wanted)
{
	static const struct symbolizer_client_ops ops = {on_named, on_info, on_stuck, on_set_aside};
	struct stat status;

	memset(world, 0, sizeof(*world));
	world->memfd = -1;
	world->wanted = wanted;
	world->offsets = calloc(wanted + 1, sizeof(*world->offsets));
	world->starts = calloc(wanted + 1, sizeof(*world->starts));
	world->functions = calloc(wanted + 1, sizeof(*world->functions));
	assert_int_equal(stat("/proc/self/exe", &status), 0);
	world->size = (uint64_t)status.st_size;
	for (size_t i = 0; i < wanted; i++)
		world->offsets[i] = world->size * i / wanted;
	assert_null(loop_create(&world->loop));
	assert_null(symbolizer_client_create(world->loop, &ops, world, &world->client));
}

static void stop_world(struct world *world)
{
	symbolizer_client_destroy(world->client);
	channel_destroy(world->probe);
	reap(world);
	loop_destroy(world->loop);
	cleanup_close(&world->memfd);
	free(world->offsets);
	free(world->starts);
	free(world->functions);
}

static void hand_over(struct world *world, uint32_t id, const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct module_message module = {id, MODULE_KIND_FILE};

	assert_true(fd >= 0);
	assert_null(channel_send(world->probe, SYMBOLIZER_MODULE, &module, sizeof(module), &fd, 1));
}

/* A worker as the probe starts it; its module is handed over, and the client gets its socket. */
static void start_worker(struct world *world)
{
	int probe[2], kiln[2];

	channel_destroy(world->probe);
	assert_null(channel_socketpair(probe));
	assert_null(channel_socketpair(kiln));
	world->worker = fork();
	assert_true(world->worker >= 0);
	if (world->worker == 0) {
		close(probe[0]);
		close(kiln[0]);
		_exit(symbolizer_worker_main(probe[1], kiln[1]));
	}
	close(probe[1]);
	close(kiln[1]);
	assert_null(channel_create(world->loop, probe[0], on_probe_message, on_probe_closed, world,
				   &world->probe));
	hand_over(world, MODULE, "/proc/self/exe");
	assert_null(symbolizer_client_connect(world->client, kiln[0]));
}

static void ask_all(struct world *world)
{
	assert_null(symbolizer_client_ask(world->client, MODULE, world->offsets, world->wanted));
	assert_int_equal(symbolizer_client_pending(world->client), world->wanted);
}

/* All that was asked came, in order, as the module itself says it. */
static void check_names(struct world *world)
{
	struct module_name *name = malloc(sizeof(*name));
	struct symbolizer_modules *modules;
	size_t functions = 0;

	assert_int_equal(world->named, world->wanted);
	assert_int_equal(symbolizer_client_pending(world->client), 0);
	assert_null(symbolizer_modules_create(&modules));
	assert_null(symbolizer_modules_add(modules, MODULE, MODULE_KIND_FILE,
					   open("/proc/self/exe", O_RDONLY | O_CLOEXEC)));
	for (size_t i = 0; i < world->wanted; i++) {
		module_name_offset(symbolizer_modules_find(modules, MODULE), world->offsets[i], name);
		assert_true(world->starts[i] == name->start);
		assert_int_equal(strlen(world->functions[i]),
				 name->function_length < 64 ? name->function_length : 63);
		assert_memory_equal(world->functions[i], name->function, strlen(world->functions[i]));
		functions += name->function_length > 0;
	}
	assert_true(functions > 0);
	symbolizer_modules_destroy(modules);
	free(name);
}

static void test_names(void **state)
{
	struct world world;

	start_world(&world, 5000);
	/* Asked before there is a worker. */
	ask_all(&world);
	start_worker(&world);
	run(&world);
	check_names(&world);
	assert_int_equal(world.infos, 1);
	assert_int_equal(world.info.symbols, SYMBOLS_FULL);
	assert_int_equal(world.stuck, 0);
	stop_world(&world);
}

static void test_table(void **state)
{
	struct build_message build = {.module = MODULE}, unknown = {.module = 77};
	struct table_header header;
	struct world world;
	struct stat status;

	start_world(&world, 0);
	start_worker(&world);
	world.until_table = true;
	assert_null(channel_send(world.probe, SYMBOLIZER_BUILD, &build, sizeof(build), NULL, 0));
	run(&world);
	assert_int_equal(world.table.module, MODULE);
	assert_int_equal(world.table.status, TABLE_OK);
	assert_string_equal(world.table.why, "");
	assert_true(world.memfd >= 0);
	assert_int_equal(pread(world.memfd, &header, sizeof(header), 0), sizeof(header));
	assert_int_equal(header.magic, TABLE_MAGIC);
	assert_int_equal(fstat(world.memfd, &status), 0);
	assert_int_equal(status.st_size, (off_t)header.words * 4);
	assert_int_equal(fcntl(world.memfd, F_GET_SEALS) & F_SEAL_WRITE, F_SEAL_WRITE);
	assert_null(channel_send(world.probe, SYMBOLIZER_BUILD, &unknown, sizeof(unknown), NULL, 0));
	cleanup_close(&world.memfd);
	run(&world);
	assert_int_equal(world.table.module, 77);
	assert_int_equal(world.table.status, TABLE_BAD);
	assert_true(world.table.why[0] != '\0');
	assert_int_equal(world.memfd, -1);
	stop_world(&world);
}

static void ask_table(struct world *world, uint32_t id)
{
	struct build_message build = {.module = id};

	cleanup_close(&world->memfd);
	world->memfd = -1;
	assert_null(channel_send(world->probe, SYMBOLIZER_BUILD, &build, sizeof(build), NULL, 0));
	run(world);
	assert_int_equal(world->table.module, id);
}

/* The probe has the table of this build-id: the worker says so, and builds nothing. */
static void test_same_table(void **state)
{
	struct build_message build = {.module = MODULE};
	struct world world;

	start_world(&world, 0);
	start_worker(&world);
	world.until_table = true;
	ask_table(&world, MODULE);
	assert_int_equal(world.table.status, TABLE_OK);
	assert_int_equal(world.table.build_id_length, 20);
	build.build_id_length = world.table.build_id_length;
	memcpy(build.build_id, world.table.build_id, sizeof(build.build_id));
	cleanup_close(&world.memfd);
	assert_null(channel_send(world.probe, SYMBOLIZER_BUILD, &build, sizeof(build), NULL, 0));
	run(&world);
	assert_int_equal(world.table.status, TABLE_SAME);
	assert_int_equal(world.memfd, -1);
	assert_memory_equal(world.table.build_id, build.build_id, 20);
	/* Another one. */
	build.build_id[19]++;
	assert_null(channel_send(world.probe, SYMBOLIZER_BUILD, &build, sizeof(build), NULL, 0));
	run(&world);
	assert_int_equal(world.table.status, TABLE_OK);
	assert_true(world.memfd >= 0);
	stop_world(&world);
}

static unsigned count_files_of(pid_t pid)
{
	char path[64];
	unsigned count = 0;
	DIR *files;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	files = opendir(path);
	assert_non_null(files);
	while (readdir(files))
		count++;
	closedir(files);
	return count;
}

/* Files and tables among them. */
static unsigned count_modules_of(pid_t pid)
{
	char path[300], target[300], exe[300] = "";
	unsigned count = 0;
	struct dirent *entry;
	ssize_t length;
	DIR *files;

	assert_true(readlink("/proc/self/exe", exe, sizeof(exe) - 1) > 0);
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	files = opendir(path);
	assert_non_null(files);
	while ((entry = readdir(files))) {
		snprintf(path, sizeof(path), "/proc/%d/fd/%.16s", (int)pid, entry->d_name);
		length = readlink(path, target, sizeof(target) - 1);
		target[length > 0 ? length : 0] = '\0';
		count += strstr(target, "memfd:") || !strcmp(target, exe);
	}
	closedir(files);
	return count;
}

/* A worker for tables, without kiln, that is allowed few files at first. */
static void start_tables_worker(struct world *world, bool has_names, rlim_t files)
{
	int probe[2], kiln[2];

	assert_null(channel_socketpair(probe));
	assert_null(channel_socketpair(kiln));
	world->worker = fork();
	assert_true(world->worker >= 0);
	if (world->worker == 0) {
		struct rlimit limit;

		close(probe[0]);
		close(kiln[0]);
		getrlimit(RLIMIT_NOFILE, &limit);
		limit.rlim_cur = files;
		setrlimit(RLIMIT_NOFILE, &limit);
		_exit(symbolizer_worker_main(probe[1], has_names ? kiln[1] : -1));
	}
	close(probe[1]);
	close(kiln[1]);
	if (has_names)
		assert_null(symbolizer_client_connect(world->client, kiln[0]));
	else
		close(kiln[0]);
	assert_null(channel_create(world->loop, probe[0], on_probe_message, on_probe_closed, world,
				   &world->probe));
	world->until_table = true;
}

/* A file is the tables worker's until its table is there, however many come. */
static void test_files_do_not_pile_up(void **state)
{
	struct world world;

	start_world(&world, 0);
	start_tables_worker(&world, false, 1024);
	for (uint32_t i = 0; i < 20; i++) {
		hand_over(&world, MODULE + i, "/proc/self/exe");
		ask_table(&world, MODULE + i);
		assert_int_equal(world.table.status, TABLE_OK);
	}
	/* The answer goes first. */
	for (unsigned tries = 0; count_modules_of(world.worker) && tries < 2000; tries++)
		poll(NULL, 0, 5);
	assert_int_equal(count_modules_of(world.worker), 0);
	/* Each build brings its file. */
	ask_table(&world, MODULE);
	assert_int_equal(world.table.status, TABLE_BAD);
	hand_over(&world, MODULE, "/proc/self/exe");
	ask_table(&world, MODULE);
	assert_int_equal(world.table.status, TABLE_OK);
	stop_world(&world);
}

/* The names worker holds the files of all modules: more than a shell's limit. */
static void test_many_files(void **state)
{
	struct world world;

	start_world(&world, 0);
	start_tables_worker(&world, true, 32);
	for (uint32_t i = 0; i < 100; i++)
		hand_over(&world, MODULE + i, "/proc/self/exe");
	ask_table(&world, MODULE + 99);
	assert_int_equal(world.table.status, TABLE_OK);
	assert_in_range(count_files_of(world.worker), 100, 200);
	stop_world(&world);
}

/* libc has an allocator, that is told before its table; an unknown module, and what is no file, has none. */
static void test_hooks(void **state)
{
	struct module_message kernel = {MODULE + 2, MODULE_KIND_KERNEL};
	const struct hook_proposal *proposals;
	struct world world;
	Dl_info libc;
	int fd;

	assert_true(dladdr((void *)gnu_get_libc_version, &libc) != 0);
	start_world(&world, 0);
	start_worker(&world);
	world.until_table = true;
	hand_over(&world, MODULE + 1, libc.dli_fname);
	ask_table(&world, MODULE + 1);
	assert_int_equal(world.table.status, TABLE_OK);
	assert_int_equal(world.hooks, 1);
	assert_int_equal(world.proposed.message.module, MODULE + 1);
	assert_int_equal(world.proposed.message.is_go, 0);
	assert_in_range(world.proposed.message.count, 5, 32);
	proposals = world.proposed.proposals;
	for (uint32_t i = 0; i < world.proposed.message.count; i++) {
		assert_int_equal(proposals[i].flags, 0);
		assert_in_range(proposals[i].kind, HEAP_MALLOC, HEAP_KINDS - 1);
	}
	fd = open(libc.dli_fname, O_RDONLY | O_CLOEXEC);
	assert_null(channel_send(world.probe, SYMBOLIZER_MODULE, &kernel, sizeof(kernel), &fd, 1));
	close(fd);
	ask_table(&world, MODULE + 2);
	ask_table(&world, 77);
	assert_int_equal(world.tables, 3);
	assert_int_equal(world.hooks, 1);
	stop_world(&world);
}

static void test_unknown_module(void **state)
{
	struct world world;

	start_world(&world, 3);
	start_worker(&world);
	assert_null(symbolizer_client_ask(world.client, 99, world.offsets, 3));
	run(&world);
	for (int i = 0; i < 3; i++) {
		assert_true(world.starts[i] == world.offsets[i]);
		assert_string_equal(world.functions[i], "");
	}
	assert_int_equal(world.info.module, 99);
	assert_true(world.info.why[0] != '\0');
	/* It comes later: then it has names. */
	hand_over(&world, 99, "/proc/self/exe");
	world.wanted = world.named + 1;
	world.offsets = realloc(world.offsets, 10 * sizeof(*world.offsets));
	world.starts = realloc(world.starts, 10 * sizeof(*world.starts));
	world.functions = realloc(world.functions, 10 * sizeof(*world.functions));
	world.offsets[3] = world.size / 2;
	assert_null(symbolizer_client_ask(world.client, 99, world.offsets + 3, 1));
	run(&world);
	assert_int_equal(world.infos, 2);
	assert_string_equal(world.info.why, "");
	stop_world(&world);
}

/* The worker ends when the probe goes, whatever kiln does. */
static void test_worker_ends(void **state)
{
	struct world world;
	int status;

	start_world(&world, 1);
	start_worker(&world);
	ask_all(&world);
	run(&world);
	channel_destroy(world.probe);
	world.probe = NULL;
	assert_int_equal(waitpid(world.worker, &status, 0), world.worker);
	world.worker = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	stop_world(&world);
}

static void test_killed_worker(void **state)
{
	struct world world;

	start_world(&world, 5000);
	world.kill_at_name = world.replace_at_stuck = true;
	ask_all(&world);
	start_worker(&world);
	run(&world);
	check_names(&world);
	assert_int_equal(world.stuck, 1);
	assert_int_equal(world.infos, 2);
	stop_world(&world);
}

/* A worker that takes the question and says nothing; then, in the same client, one that answers. */
static void test_silent_worker(void **state)
{
	struct world world;
	uint64_t began;
	int kiln[2];

	start_world(&world, 10);
	assert_null(channel_socketpair(kiln));
	assert_null(symbolizer_client_set_module(world.client, MODULE, 0));
	assert_null(symbolizer_client_connect(world.client, kiln[0]));
	ask_all(&world);
	began = now_ms();
	world.until_stuck = true;
	run(&world);
	assert_in_range(now_ms() - began, 1990, 9000);
	assert_int_equal(world.stuck, 1);
	assert_int_equal(world.named, 0);
	assert_int_equal(symbolizer_client_pending(world.client), 10);
	close(kiln[1]);
	start_worker(&world);
	run(&world);
	check_names(&world);
	stop_world(&world);
}

/* A module that kills two workers is answered as unknown; other modules go on. */
static void test_set_aside(void **state)
{
	struct world world;

	start_world(&world, 1500);
	world.until_stuck = true;
	ask_all(&world);
	for (int i = 0; i < 2; i++) {
		int kiln[2];

		assert_null(channel_socketpair(kiln));
		assert_null(symbolizer_client_connect(world.client, kiln[0]));
		close(kiln[1]);
		run(&world);
		assert_int_equal(world.stuck, i + 1);
		assert_int_equal(world.set_aside, i);
		assert_int_equal(world.named, 0);
	}
	world.until_stuck = false;
	run(&world);
	assert_int_equal(world.named, 1500);
	assert_int_equal(world.set_aside, 1);
	assert_int_equal(symbolizer_client_pending(world.client), 0);
	for (size_t i = 0; i < world.wanted; i++) {
		assert_true(world.starts[i] == world.offsets[i]);
		assert_string_equal(world.functions[i], "");
	}
	/* Also what is asked from now on, with or without a worker. */
	world.named = 0;
	ask_all(&world);
	run(&world);
	assert_string_equal(world.functions[700], "");
	start_worker(&world);
	hand_over(&world, 98, "/proc/self/exe");
	world.named = 0;
	assert_null(symbolizer_client_ask(world.client, 98, world.offsets, world.wanted));
	run(&world);
	check_names(&world);
	stop_world(&world);
}

/* ---- a worker that lies ---- */

struct lie {
	const char *what;
	uint32_t type, module, first, count;
	uint32_t function_length, file_length;
	size_t cut; /* bytes that are missing at the end */
};

static const struct lie lies[] = {
	{"wrong module", SYMBOLIZER_NAMED, 17, 0, 1, 4, 4, 0},
	{"wrong first", SYMBOLIZER_NAMED, MODULE, 1, 1, 4, 4, 0},
	{"no names", SYMBOLIZER_NAMED, MODULE, 0, 0, 4, 4, 0},
	{"more than asked", SYMBOLIZER_NAMED, MODULE, 0, 3, 4, 4, 0},
	{"count wraps", SYMBOLIZER_NAMED, MODULE, 0, UINT32_MAX, 4, 4, 0},
	{"longer than the message", SYMBOLIZER_NAMED, MODULE, 0, 1, 4000, 4, 0},
	{"file longer than the message", SYMBOLIZER_NAMED, MODULE, 0, 1, 4, 4000, 0},
	{"name too long", SYMBOLIZER_NAMED, MODULE, 0, 1, NAME_LENGTH_MAX + 1, 0, 0},
	{"cut in the strings", SYMBOLIZER_NAMED, MODULE, 0, 1, 4, 4, 1},
	{"cut in the entry", SYMBOLIZER_NAMED, MODULE, 0, 1, 4, 4, 20},
	{"cut in the header", SYMBOLIZER_NAMED, MODULE, 0, 1, 4, 4, 45},
	{"unknown message", 99, MODULE, 0, 1, 4, 4, 0},
	{"info too short", SYMBOLIZER_INFO, MODULE, 0, 1, 4, 4, 0},
};

static void ignore_message(void *arg, struct message *message)
{
}

static void ignore_closed(void *arg)
{
}

static void test_lies(void **state)
{
	for (size_t i = 0; i < sizeof(lies) / sizeof(lies[0]); i++) {
		const struct lie *lie = &lies[i];
		union {
			unsigned char bytes[8192];
			struct names_answer answer;
		} payload = {{0}};
		struct name_entry entry = {.function_length = (uint16_t)lie->function_length,
					   .file_length = (uint16_t)lie->file_length};
		struct channel *liar;
		struct world world;
		int kiln[2];

		start_world(&world, 2);
		world.until_stuck = true;
		assert_null(channel_socketpair(kiln));
		assert_null(channel_create(world.loop, kiln[1], ignore_message, ignore_closed, NULL, &liar));
		assert_null(symbolizer_client_connect(world.client, kiln[0]));
		ask_all(&world);
		payload.answer = (struct names_answer){lie->module, lie->first, lie->count, 0};
		memcpy(payload.bytes + sizeof(struct names_answer), &entry, sizeof(entry));
		assert_null(channel_send(liar, lie->type, payload.bytes,
					 sizeof(struct names_answer) + sizeof(entry) + 8 - lie->cut, NULL,
					 0));
		run(&world);
		assert_int_equal(world.stuck, 1);
		assert_int_equal(world.named, 0);
		channel_destroy(liar);
		stop_world(&world);
	}
}

/* What a hostile worker says is made safe again. */
static void test_hostile_strings(void **state)
{
	static const char text[] = "ab\033[m\xff"
				   "file\n\xc2\x9b";
	union {
		unsigned char bytes[256];
		struct names_answer answer;
	} payload = {{0}};
	struct name_entry entry = {.start = 5, .function_length = 6, .file_length = 7};
	struct info_message info = {.module = MODULE, .symbols = SYMBOLS_MINIMAL, .build_id_length = 3};
	struct channel *liar;
	struct world world;
	int kiln[2];

	start_world(&world, 1);
	assert_null(channel_socketpair(kiln));
	assert_null(channel_create(world.loop, kiln[1], ignore_message, ignore_closed, NULL, &liar));
	assert_null(symbolizer_client_connect(world.client, kiln[0]));
	ask_all(&world);
	memset(info.why, '\033', sizeof(info.why));
	assert_null(channel_send(liar, SYMBOLIZER_INFO, &info, sizeof(info), NULL, 0));
	payload.answer = (struct names_answer){MODULE, 0, 1, 0};
	memcpy(payload.bytes + sizeof(struct names_answer), &entry, sizeof(entry));
	memcpy(payload.bytes + sizeof(struct names_answer) + sizeof(entry), text, sizeof(text) - 1);
	assert_null(channel_send(liar, SYMBOLIZER_NAMED, payload.bytes,
				 sizeof(struct names_answer) + sizeof(entry) + 16, NULL, 0));
	run(&world);
	assert_string_equal(world.functions[0], "ab?[m?");
	assert_true(memchr(world.info.why, '\0', sizeof(world.info.why)) != NULL);
	assert_null(strchr(world.info.why, '\033'));
	assert_int_equal(world.stuck, 0);
	channel_destroy(liar);
	stop_world(&world);
}

/* What the worker must survive from kiln's and the probe's side. */
static void test_hostile_requests(void **state)
{
	union {
		unsigned char bytes[8 + 8 * 1000];
		struct names_request request;
	} payload = {{0}};
	struct channel *kiln_end;
	struct world world;
	int probe[2], kiln[2];

	start_world(&world, 1);
	assert_null(channel_socketpair(probe));
	assert_null(channel_socketpair(kiln));
	world.worker = fork();
	if (world.worker == 0) {
		close(probe[0]);
		close(kiln[0]);
		_exit(symbolizer_worker_main(probe[1], kiln[1]));
	}
	close(probe[1]);
	close(kiln[1]);
	assert_null(channel_create(world.loop, probe[0], on_probe_message, on_probe_closed, &world,
				   &world.probe));
	assert_null(channel_send(world.probe, SYMBOLIZER_MODULE, payload.bytes, 3, NULL, 0));
	assert_null(channel_send(world.probe, SYMBOLIZER_MODULE, payload.bytes, 8, NULL, 0));
	assert_null(channel_send(world.probe, SYMBOLIZER_BUILD, payload.bytes, 1, NULL, 0));
	assert_null(channel_send(world.probe, 999, payload.bytes, 8, NULL, 0));
	hand_over(&world, MODULE_LIMIT, "/proc/self/exe");
	hand_over(&world, UINT32_MAX, "/proc/self/exe");
	hand_over(&world, MODULE, "/proc/self/exe");
	assert_null(channel_create(world.loop, dup(kiln[0]), ignore_message, ignore_closed, NULL, &kiln_end));
	payload.request = (struct names_request){.module = MODULE, .count = 900};
	assert_null(channel_send(kiln_end, SYMBOLIZER_NAMES, payload.bytes, 8 + 8 * 900, NULL, 0));
	payload.request.count = 100;
	assert_null(channel_send(kiln_end, SYMBOLIZER_NAMES, payload.bytes, 8 + 8 * 99, NULL, 0));
	payload.request.count = UINT32_MAX;
	assert_null(channel_send(kiln_end, SYMBOLIZER_NAMES, payload.bytes, 8, NULL, 0));
	payload.request = (struct names_request){.module = MODULE_LIMIT, .count = 1};
	assert_null(channel_send(kiln_end, SYMBOLIZER_NAMES, payload.bytes, 16, NULL, 0));
	assert_null(channel_send(kiln_end, SYMBOLIZER_NAMES, payload.bytes, 4, NULL, 0));
	assert_null(channel_send(kiln_end, 999, payload.bytes, 4, NULL, 0));
	channel_destroy(kiln_end);
	/* It still answers a proper one. */
	assert_null(symbolizer_client_connect(world.client, kiln[0]));
	world.offsets[0] = world.size / 2;
	ask_all(&world);
	run(&world);
	assert_int_equal(world.stuck, 0);
	assert_int_equal(world.closed, 0);
	stop_world(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_same_table),
		cmocka_unit_test(test_files_do_not_pile_up),
		cmocka_unit_test(test_many_files),
		cmocka_unit_test(test_unknown_module),
		cmocka_unit_test(test_worker_ends),
		cmocka_unit_test(test_killed_worker),
		cmocka_unit_test(test_silent_worker),
		cmocka_unit_test(test_set_aside),
		cmocka_unit_test(test_lies),
		cmocka_unit_test(test_hostile_strings),
		cmocka_unit_test(test_hostile_requests),
		cmocka_unit_test(test_hooks),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
