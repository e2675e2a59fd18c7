/* Listings of functions: what a worker answers against objdump and addr2line, long functions, damaged ones, a
 * real worker over real sockets, and workers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/channel.h"
#include "base/cleanup.h"
#include "bpf/events.h"
#include "symbolizer/code_answer.h"
#include "symbolizer/code_client.h"
#include "symbolizer/code_listing.h"
#include "symbolizer/symbolizer.h"
#include "tests/support/library.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define MODULE MODULE_FIRST_FILE

/* ---- listings without a worker ---- */

struct reading {
	struct symbolizer_modules *modules;
	struct code_answer *answer;
	unsigned parts;
};

static void reading_init(struct reading *reading, const char *path)
{
	memset(reading, 0, sizeof(*reading));
	assert_null(symbolizer_modules_create(&reading->modules));
	assert_null(symbolizer_modules_add(reading->modules, MODULE, MODULE_KIND_FILE,
					   open(path, O_RDONLY | O_CLOEXEC)));
	assert_null(code_answer_create(&reading->answer));
}

static void reading_deinit(struct reading *reading)
{
	code_answer_destroy(reading->answer);
	symbolizer_modules_destroy(reading->modules);
}

static struct code_listing *read_listing(struct reading *reading, uint64_t offset, uint32_t flags)
{
	struct module *module = symbolizer_modules_find(reading->modules, MODULE);
	struct code_request request = {.module = MODULE, .offset = offset, .flags = flags};
	struct code_listing *listing = code_listing_create(MODULE, offset);

	assert_non_null(listing);
	reading->parts = 0;
	do {
		size_t length;
		uint64_t next;
		const void *message = code_answer_make(reading->answer, module, &request, &length);

		assert_in_range(length, sizeof(struct code_part), CHANNEL_PAYLOAD_MAX);
		assert_true(code_listing_append(listing, message, length, &next));
		request.next = next;
		reading->parts++;
	} while (request.next);
	return listing;
}

static struct code_listing *read_symbol(struct reading *reading, const struct library *library,
					bool is_dynamic, const char *symbol, uint32_t flags)
{
	struct code_listing *listing;
	uint64_t offset, length;

	assert_true(library_nm(library, is_dynamic, symbol, &offset, &length));
	/* Wherever it was sampled. */
	listing = read_listing(reading, offset + length / 2, flags);
	assert_null(listing->why);
	assert_int_equal(listing->start_offset, offset);
	assert_int_equal(listing->end - listing->start, length);
	assert_int_equal(listing->first, listing->start);
	assert_int_equal(listing->last, listing->end);
	return listing;
}

static void locate_workload(const char *name, struct library *ret)
{
	char self[2048];
	ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);

	/* build/tests/unit/test_…, or build/san/tests/unit/test_…: the workloads are in
	 * build/tests/workloads. */
	assert_true(length > 0);
	self[length] = '\0';
	for (unsigned i = 0; i < 3; i++)
		*strrchr(self, '/') = '\0';
	if (!strcmp(strrchr(self, '/'), "/san"))
		*strrchr(self, '/') = '\0';
	snprintf(ret->path, sizeof(ret->path), "%s/tests/workloads/%s", self, name);
	if (access(ret->path, R_OK))
		fail_msg("%s is not built", ret->path);
}

/* ---- against objdump ---- */

/* What follows the mnemonic of a direct jump or call: "1300 <hot_three+0x20>". */
static uint64_t parse_target(const char *text)
{
	const char *at = strchr(text, ' ');
	char *end;
	uint64_t target;

	if (!at)
		return 0;
	at += strspn(at, " ");
	target = strtoull(at, &end, 16);
	return end > at && end[0] == ' ' && end[1] == '<' ? target : 0;
}

static void compare_with_objdump(const struct library *library, const struct code_listing *listing)
{
	char command[8192], line[1024];
	size_t number = 0, targets = 0;
	FILE *pipe;

	snprintf(command, sizeof(command),
		 "objdump -d -w --no-show-raw-insn '%s' --start-address=%#" PRIx64
		 " --stop-address=%#" PRIx64,
		 library->path, listing->start, listing->end);
	pipe = popen(command, "re");
	assert_non_null(pipe);
	while (fgets(line, sizeof(line), pipe)) {
		const struct code_instruction *instruction = &listing->instructions[number];
		char *text;
		uint64_t address = strtoull(line, &text, 16);

		if (text == line || text[0] != ':' || text[1] != '\t')
			continue;
		assert_true(number < listing->count);
		assert_true(instruction->address == address);
		if (instruction->target != parse_target(text + 2))
			fail_msg("%" PRIx64 ": %s goes to %" PRIx64 ", not: %s", address, instruction->text,
				 instruction->target, text);
		targets += instruction->target > 0;
		number++;
	}
	assert_int_equal(pclose(pipe), 0);
	assert_int_equal(number, listing->count);
	assert_true(targets > 0);
}

static void test_objdump_agrees(void **state)
{
	static const char *const symbols[] = {"qsort_r", "getaddrinfo", "malloc"};
	struct library libc, workload;
	struct code_listing *listing;
	struct reading reading;

	library_locate_libc(&libc);
	reading_init(&reading, libc.path);
	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		listing = read_symbol(&reading, &libc, true, symbols[i], 0);
		compare_with_objdump(&libc, listing);
		code_listing_destroy(listing);
	}
	reading_deinit(&reading);
	locate_workload("hot-split", &workload);
	reading_init(&reading, workload.path);
	listing = read_symbol(&reading, &workload, false, "main", 0);
	compare_with_objdump(&workload, listing);
	assert_string_equal(listing->function, "main");
	code_listing_destroy(listing);
	reading_deinit(&reading);
}

static void test_intel_has_the_same_instructions(void **state)
{
	struct code_listing *att, *intel;
	struct library libc;
	struct reading reading;
	size_t different = 0;

	library_locate_libc(&libc);
	reading_init(&reading, libc.path);
	att = read_symbol(&reading, &libc, true, "qsort_r", 0);
	intel = read_symbol(&reading, &libc, true, "qsort_r", CODE_INTEL);
	assert_int_equal(att->count, intel->count);
	for (size_t i = 0; i < att->count; i++) {
		assert_true(att->instructions[i].address == intel->instructions[i].address);
		assert_true(att->instructions[i].target == intel->instructions[i].target);
		assert_null(strchr(intel->instructions[i].text, '%'));
		different += strcmp(att->instructions[i].text, intel->instructions[i].text) != 0;
	}
	assert_true(different > att->count / 2);
	code_listing_destroy(att);
	code_listing_destroy(intel);
	reading_deinit(&reading);
}

/* ---- lines ---- */

static void test_lines_are_those_of_addr2line(void **state)
{
	struct code_listing *listing;
	struct library workload;
	struct reading reading;
	char command[8192], line[4096];
	unsigned burn = 0, own = 0;
	FILE *pipe;

	locate_workload("hot-split", &workload);
	reading_init(&reading, workload.path);
	listing = read_symbol(&reading, &workload, false, "hot_three", 0);
	for (size_t i = 0; i < listing->count; i++) {
		const struct code_instruction *instruction = &listing->instructions[i];
		const struct code_place *place = &listing->places[instruction->place];
		const struct code_level *level = &listing->levels[place->first];
		const char *colon, *slash;

		assert_true(place->count > 0);
		snprintf(command, sizeof(command), "addr2line -e '%s' %#" PRIx64, workload.path,
			 instruction->address);
		pipe = popen(command, "re");
		assert_non_null(pipe);
		assert_non_null(fgets(line, sizeof(line), pipe));
		assert_int_equal(pclose(pipe), 0);
		colon = strrchr(line, ':');
		assert_non_null(colon);
		assert_int_equal(level->line, atoi(colon + 1));
		slash = strrchr(level->file, '/');
		assert_non_null(slash);
		assert_non_null(strstr(line, slash));
		burn += strstr(level->file, "workload.h") != NULL;
		own += strstr(level->file, "hot-split.c") != NULL;
	}
	/* The loop is inlined. */
	assert_true(burn > 3 && own > 2);
	code_listing_destroy(listing);
	reading_deinit(&reading);
}

/* ---- calls ---- */

static void test_calls_have_names(void **state)
{
	static const struct library_function functions[] = {
		{"callee", "nop\nret"},
		{"caller",
		 "call callee@PLT\ncall .Lbehind\n.Lbehind: jmp callee_hidden\nnop\njmp .Lbehind\nret"},
		{"callee_hidden", ".hidden callee_hidden\npush %rax\npop %rax\nret"},
		{NULL, "hlt"},
	};
	struct code_listing *listing;
	struct library library;
	struct reading reading;

	library_assemble(functions, NULL, &library);
	reading_init(&reading, library.path);
	listing = read_symbol(&reading, &library, true, "caller", 0);
	assert_int_equal(listing->count, 6);
	assert_int_equal(listing->instructions[0].flags, CODE_CALL);
	assert_true(listing->instructions[0].target > 0);
	/* Into itself: what is called there is its second half. */
	assert_string_equal(listing->instructions[1].target_name, "caller+0xa");
	assert_int_equal(listing->instructions[2].flags, CODE_JUMP);
	assert_string_equal(listing->instructions[2].target_name, "callee_hidden");
	/* A jump inside needs no name. */
	assert_true(listing->instructions[4].target == listing->start + 10);
	assert_null(listing->instructions[4].target_name);
	assert_int_equal(listing->instructions[5].flags, CODE_RETURN);
	assert_string_equal(listing->function, "caller");
	code_listing_destroy(listing);
	reading_deinit(&reading);
	library_remove(&library);
}

/* ---- long, damaged, none ---- */

static void test_data_among_the_code(void **state)
{
	static const struct library_function functions[] = {
		{"mixed", "nop\njmp 1f\n.byte 0x06,0x06,0x1f\n1: xor %eax,%eax\nret"},
		{NULL, "hlt"},
	};
	struct code_listing *listing;
	struct library library;
	struct reading reading;

	library_assemble(functions, NULL, &library);
	reading_init(&reading, library.path);
	listing = read_symbol(&reading, &library, true, "mixed", 0);
	assert_int_equal(listing->count, 7);
	for (size_t i = 2; i < 5; i++) {
		assert_int_equal(listing->instructions[i].length, 1);
		assert_int_equal(listing->instructions[i].flags, CODE_UNKNOWN);
		assert_memory_equal(listing->instructions[i].text, ".byte", 5);
	}
	assert_true(listing->instructions[1].target == listing->instructions[5].address);
	assert_string_equal(listing->instructions[5].text, "xorl   %eax, %eax");
	code_listing_destroy(listing);
	reading_deinit(&reading);
	library_remove(&library);
}

/* 10 MiB of one function: 1 MiB of it, around what was asked for. */
static void test_a_long_function_is_cut(void **state)
{
	static const struct library_function functions[] = {
		{"endless", ".fill 10485760, 1, 0x90\nret"},
		{NULL, "hlt"},
	};
	static const uint64_t places[] = {0, 1000, 5000000, 10485760};
	struct library library;
	struct reading reading;
	uint64_t offset, length;

	library_assemble(functions, NULL, &library);
	reading_init(&reading, library.path);
	assert_true(library_nm(&library, true, "endless", &offset, &length));
	assert_int_equal(length, 10485761);
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct code_listing *listing = read_listing(&reading, offset + places[i], 0);
		uint64_t address = listing->start + places[i];

		assert_null(listing->why);
		assert_int_equal(listing->end - listing->start, length);
		assert_true(listing->last - listing->first <= CODE_BYTES_MAX);
		assert_true(listing->first <= address && address < listing->last);
		assert_int_equal(listing->instructions[0].address, listing->first);
		assert_int_equal(listing->count, listing->last - listing->first);
		assert_true(reading.parts > 1 || listing->count < 1000);
		code_listing_destroy(listing);
	}
	reading_deinit(&reading);
	library_remove(&library);
}

static void expect_why(struct reading *reading, uint64_t offset, const char *why)
{
	struct code_listing *listing = read_listing(reading, offset, 0);

	assert_non_null(listing->why);
	assert_non_null(strstr(listing->why, why));
	assert_int_equal(listing->count, 0);
	code_listing_destroy(listing);
}

static void test_no_code(void **state)
{
	struct library workload;
	struct reading reading;

	locate_workload("hot-split", &workload);
	reading_init(&reading, workload.path);
	expect_why(&reading, 0, "no code");
	expect_why(&reading, 1ull << 40, "no code");
	expect_why(&reading, UINT64_MAX, "no code");
	reading_deinit(&reading);
	reading_init(&reading, "/etc/passwd");
	expect_why(&reading, 64, "no ELF file");
	reading_deinit(&reading);
	reading_init(&reading, "/dev/null");
	expect_why(&reading, 64, "no ELF file");
	assert_null(symbolizer_modules_add(reading.modules, MODULE, MODULE_KIND_KERNEL,
					   open("/dev/null", O_RDONLY | O_CLOEXEC)));
	expect_why(&reading, 64, "kernel");
	reading_deinit(&reading);
}

/* Without symbols the FDE says where the function is; it has no name then. */
static void test_a_function_without_a_symbol(void **state)
{
	static const struct library_function functions[] = {
		{"named", "xor %eax,%eax\nret"},
		{"hidden_one", ".hidden hidden_one\nmov $7,%eax\nnop\nret"},
		{NULL, "hlt"},
	};
	struct code_listing *listing;
	struct library library;
	struct reading reading;
	uint64_t offset, length;
	char command[8192];

	library_assemble(functions, NULL, &library);
	assert_true(library_nm(&library, false, "hidden_one", &offset, &length));
	snprintf(command, sizeof(command), "strip '%s'", library.path);
	assert_int_equal(system(command), 0);
	reading_init(&reading, library.path);
	listing = read_listing(&reading, offset + 2, 0);
	assert_null(listing->why);
	assert_string_equal(listing->function, "");
	assert_int_equal(listing->start_offset, offset);
	assert_int_equal(listing->end - listing->start, length);
	assert_int_equal(listing->count, 3);
	assert_int_equal(listing->places[listing->instructions[0].place].count, 0);
	code_listing_destroy(listing);
	reading_deinit(&reading);
	library_remove(&library);
}

/* ---- a lying worker ---- */

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static void check_listing(const struct code_listing *listing)
{
	uint64_t address = listing->first;

	for (size_t i = 0; i < listing->count; i++) {
		const struct code_instruction *instruction = &listing->instructions[i];
		const struct code_place *place = &listing->places[instruction->place];

		assert_true(instruction->address == address);
		address += instruction->length;
		assert_true(address <= listing->last);
		assert_true(instruction->place < listing->place_count);
		assert_true(place->first + place->count <= listing->level_count);
		assert_true(strlen(instruction->text) <= CODE_TEXT_MAX);
		assert_null(strchr(instruction->text, '\033'));
	}
}

/* Whatever changes in an answer: it is refused, or what comes of it holds together. */
static void test_damaged_answers(void **state)
{
	uint64_t seed = 88172645463325252ull, offset, length;
	struct code_request request = {.module = MODULE};
	unsigned refused = 0, rounds = 20000;
	_cleanup_free_ unsigned char *copy = NULL;
	struct library workload;
	struct reading reading;
	const void *message;
	size_t size;

	locate_workload("hot-split", &workload);
	reading_init(&reading, workload.path);
	assert_true(library_nm(&workload, false, "main", &offset, &length));
	request.offset = offset;
	message = code_answer_make(reading.answer, symbolizer_modules_find(reading.modules, MODULE), &request,
				   &size);
	copy = malloc(size);
	for (unsigned round = 0; round < rounds; round++) {
		struct code_listing *listing = code_listing_create(MODULE, offset);
		size_t cut = round % 8 ? size : next_random(&seed) % size;
		_cleanup_free_ unsigned char *exact = malloc(cut + 1);
		uint64_t next;

		memcpy(copy, message, size);
		for (unsigned i = 0; i < 1 + round % 4; i++) {
			/* The header decides most: it is hit more often than by chance. */
			size_t at = next_random(&seed) % (round % 3 ? size : sizeof(struct code_part) + 64);

			copy[at] = (unsigned char)next_random(&seed);
		}
		memcpy(exact, copy, cut);
		refused += !code_listing_append(listing, exact, cut, &next);
		check_listing(listing);
		code_listing_destroy(listing);
	}
	assert_in_range(refused, rounds / 20, rounds - rounds / 20);
	reading_deinit(&reading);
}

static void test_answers_to_other_questions(void **state)
{
	struct code_part part = {
		.module = MODULE, .offset = 7, .start = 1, .first = 1, .last = 20, .end = 20, .from = 1};
	struct code_listing *listing;
	uint64_t next;

	/* As it should be: nothing is listed, and it is the end. */
	listing = code_listing_create(MODULE, 7);
	assert_true(code_listing_append(listing, &part, sizeof(part), &next));
	assert_int_equal(next, 0);
	code_listing_destroy(listing);
	listing = code_listing_create(MODULE, 8);
	assert_false(code_listing_append(listing, &part, sizeof(part), &next));
	code_listing_destroy(listing);
	listing = code_listing_create(MODULE + 1, 7);
	assert_false(code_listing_append(listing, &part, sizeof(part), &next));
	code_listing_destroy(listing);
	/* It says that it goes on, and has said nothing. */
	part.next = 1;
	listing = code_listing_create(MODULE, 7);
	assert_false(code_listing_append(listing, &part, sizeof(part), &next));
	code_listing_destroy(listing);
	part.next = 0;
	part.last = part.end = part.first + CODE_BYTES_MAX + 1;
	listing = code_listing_create(MODULE, 7);
	assert_false(code_listing_append(listing, &part, sizeof(part), &next));
	code_listing_destroy(listing);
	memset(part.why, 'w', sizeof(part.why));
	listing = code_listing_create(MODULE, 7);
	assert_true(code_listing_append(listing, &part, sizeof(part), &next));
	assert_in_range(strlen(listing->why), 100, sizeof(part.why));
	code_listing_destroy(listing);
}

/* ---- a real worker ---- */

struct world {
	struct loop *loop;
	struct symbolizer_client *client;
	struct channel *probe;
	pid_t worker;
	struct library library;
	struct code_listing *listing;
	size_t named, infos, stuck;
	unsigned broken; /* the next workers take one question, and die of it */
	bool restart_at_stuck;
};

static void world_start_worker(struct world *world);

static void on_named(void *arg, uint32_t module, const struct resolved_name *names, size_t count)
{
	struct world *world = arg;

	assert_int_equal(module, MODULE);
	/* With libc's debug file some have several levels. */
	for (size_t i = 0; i < count; i++)
		world->named += !names[i].is_inlined;
}

static void world_kill(struct world *world)
{
	if (world->worker <= 0)
		return;
	kill(world->worker, SIGKILL);
	waitpid(world->worker, NULL, 0);
	world->worker = 0;
}

static void on_info(void *arg, const struct info_message *info)
{
	struct world *world = arg;

	assert_int_equal(info->module, MODULE);
	world->infos++;
}

static void on_stuck(void *arg, uint32_t module)
{
	struct world *world = arg;

	assert_int_equal(module, MODULE);
	world->stuck++;
	world_kill(world);
	if (world->restart_at_stuck)
		world_start_worker(world);
}

static void on_listing(void *arg, struct code_listing *listing)
{
	struct world *world = arg;

	assert_null(world->listing);
	assert_non_null(listing);
	world->listing = listing;
	loop_quit(world->loop, 1);
}

static void ignore_message(void *arg, struct message *message)
{
}

static void ignore_close(void *arg)
{
}

static void on_time(void *arg)
{
	loop_quit(((struct world *)arg)->loop, 2);
}

static void world_start_worker(struct world *world)
{
	struct module_message module = {MODULE, MODULE_KIND_FILE};
	_cleanup_close_ int fd = open(world->library.path, O_RDONLY | O_CLOEXEC);
	int probe[2], kiln[2];

	assert_true(fd >= 0);
	channel_destroy(world->probe);
	assert_null(channel_socketpair(probe));
	assert_null(channel_socketpair(kiln));
	world->worker = fork();
	assert_true(world->worker >= 0);
	if (world->worker == 0) {
		struct pollfd question = {.fd = kiln[1], .events = POLLIN};

		close(probe[0]);
		close(kiln[0]);
		if (world->broken)
			_exit(poll(&question, 1, -1));
		_exit(symbolizer_worker_main(probe[1], kiln[1]));
	}
	world->broken -= world->broken > 0;
	close(probe[1]);
	close(kiln[1]);
	assert_null(
		channel_create(world->loop, probe[0], ignore_message, ignore_close, world, &world->probe));
	assert_null(channel_send(world->probe, SYMBOLIZER_MODULE, &module, sizeof(module), &fd, 1));
	assert_null(symbolizer_client_connect(world->client, kiln[0]));
}

static void world_init(struct world *world)
{
	static const struct symbolizer_client_ops ops = {
		.named = on_named, .info = on_info, .stuck = on_stuck};

	memset(world, 0, sizeof(*world));
	library_locate_libc(&world->library);
	assert_null(loop_create(&world->loop));
	assert_null(symbolizer_client_create(world->loop, &ops, world, &world->client));
}

static void world_deinit(struct world *world)
{
	symbolizer_client_destroy(world->client);
	channel_destroy(world->probe);
	world_kill(world);
	loop_destroy(world->loop);
	code_listing_destroy(world->listing);
}

static void world_run(struct world *world)
{
	struct loop_source *timer;

	assert_null(loop_add_timer(world->loop, 10000, 0, on_time, world, &timer));
	assert_int_equal(loop_run(world->loop), 1);
	loop_remove(timer);
}

static void world_ask(struct world *world, const char *symbol)
{
	uint64_t offset, length;

	assert_true(library_nm(&world->library, true, symbol, &offset, &length));
	assert_null(symbolizer_client_ask_code(world->client, MODULE, offset, 0, on_listing, world));
}

/* Names that are asked at the same time come too. */
static void test_worker(void **state)
{
	uint64_t offsets[600];
	struct world world;

	world_init(&world);
	for (size_t i = 0; i < 600; i++)
		offsets[i] = 0x30000 + i * 64;
	assert_null(symbolizer_client_ask(world.client, MODULE, offsets, 600));
	world_start_worker(&world);
	world_ask(&world, "getaddrinfo");
	world_run(&world);
	assert_null(world.listing->why);
	assert_string_equal(world.listing->function, "getaddrinfo");
	assert_true(world.listing->count > 1000);
	check_listing(world.listing);
	assert_int_equal(world.infos, 1);
	assert_int_equal(world.stuck, 0);
	assert_int_equal(world.named, 600);
	world_deinit(&world);
}

/* A question that is forgotten: only the second one is answered. */
static void test_another_question(void **state)
{
	struct world world;

	world_init(&world);
	world_start_worker(&world);
	world_ask(&world, "getaddrinfo");
	world_ask(&world, "qsort_r");
	world_run(&world);
	assert_string_equal(world.listing->function, "qsort_r");
	assert_int_equal(world.stuck, 0);
	/* And it was the last answer: what comes now belongs to the next question. */
	code_listing_destroy(world.listing);
	world.listing = NULL;
	world_ask(&world, "malloc");
	world_run(&world);
	assert_string_equal(world.listing->function, "malloc");
	assert_int_equal(world.stuck, 0);
	world_deinit(&world);
}

/* The first worker dies; the next one answers from the beginning. */
static void test_a_worker_that_dies(void **state)
{
	struct world world;

	world_init(&world);
	world.broken = 1;
	world.restart_at_stuck = true;
	world_start_worker(&world);
	world_ask(&world, "getaddrinfo");
	world_run(&world);
	assert_int_equal(world.stuck, 1);
	assert_null(world.listing->why);
	assert_true(world.listing->count > 1000);
	check_listing(world.listing);
	world_deinit(&world);
}

/* It has cost two workers: the question is given up. The module is not: its names and other code come. */
static void test_a_question_that_kills(void **state)
{
	uint64_t offset = 0x30000;
	struct world world;

	world_init(&world);
	world.broken = 2;
	world.restart_at_stuck = true;
	world_start_worker(&world);
	world_ask(&world, "getaddrinfo");
	world_run(&world);
	assert_non_null(world.listing->why);
	assert_non_null(strstr(world.listing->why, "two workers"));
	assert_int_equal(world.listing->count, 0);
	assert_null(symbolizer_client_ask(world.client, MODULE, &offset, 1));
	code_listing_destroy(world.listing);
	world.listing = NULL;
	world_ask(&world, "qsort_r");
	world_run(&world);
	assert_int_equal(world.stuck, 2);
	assert_int_equal(world.named, 1);
	assert_null(world.listing->why);
	world_deinit(&world);
}

/* Stopped, it answers nothing: the clock of the question ends it. */
static void test_a_worker_that_hangs(void **state)
{
	struct world world;

	world_init(&world);
	assert_null(symbolizer_client_set_module(world.client, MODULE, 0));
	world.restart_at_stuck = true;
	world_start_worker(&world);
	kill(world.worker, SIGSTOP);
	world_ask(&world, "qsort_r");
	world_run(&world);
	assert_int_equal(world.stuck, 1);
	assert_null(world.listing->why);
	assert_string_equal(world.listing->function, "qsort_r");
	world_deinit(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_objdump_agrees),
		cmocka_unit_test(test_intel_has_the_same_instructions),
		cmocka_unit_test(test_lines_are_those_of_addr2line),
		cmocka_unit_test(test_calls_have_names),
		cmocka_unit_test(test_data_among_the_code),
		cmocka_unit_test(test_a_long_function_is_cut),
		cmocka_unit_test(test_no_code),
		cmocka_unit_test(test_a_function_without_a_symbol),
		cmocka_unit_test(test_damaged_answers),
		cmocka_unit_test(test_answers_to_other_questions),
		cmocka_unit_test(test_worker),
		cmocka_unit_test(test_another_question),
		cmocka_unit_test(test_a_worker_that_dies),
		cmocka_unit_test(test_a_question_that_kills),
		cmocka_unit_test(test_a_worker_that_hangs),
	};

	signal(SIGPIPE, SIG_IGN);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
