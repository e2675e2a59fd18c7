/* The check of proposed hooks, with a child of this process as the target: a file with known prologues is
 * mapped before the fork, and the child changes its own copy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "bpf/hooks.h"
#include "bpf/maps.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULE	  (MODULE_FIRST_FILE + 3)
#define PAGE	  4096
#define FILE_SIZE (4 * PAGE)
#define TEXT	  PAGE /* file offset of what is mapped: two pages, the rest of the file is not */
#define TEXT_SIZE (2 * PAGE)

/* The functions of the test's file, by file offset. */
enum {
	PLAIN = TEXT,			 /* push */
	TEST_FIRST = TEXT + 0x40,	 /* test rdi, rdi; je: a place at +3 */
	STACK_FIRST = TEXT + 0x80,	 /* sub rsp: no place */
	MOVED = TEXT + 0xc0,		 /* mov rdi, rsi; xor edi, edi; push: the argument is in rsi */
	LANDING = TEXT + 0x100,		 /* endbr64; push */
	CROSSING = TEXT + TEXT_SIZE - 4, /* test; je: cut by the end of the mapping */
	UNMAPPED = TEXT + TEXT_SIZE + 0x40,
	AT_END = FILE_SIZE - 2,
};

static const struct {
	size_t offset;
	const char *code;
	size_t length;
} functions[] = {
	{PLAIN, "\x55\x48\x89\xe5\xc3", 5},
	{TEST_FIRST, "\x48\x85\xff\x74\x01\xc3", 6},
	{STACK_FIRST, "\x48\x83\xec\x18\x55", 5},
	{MOVED, "\x48\x89\xfe\x31\xff\x55", 6},
	{LANDING, "\xf3\x0f\x1e\xfa\x55", 5},
	{CROSSING, "\x48\x85\xff\x74\x01", 5},
	{UNMAPPED, "\x55", 1},
	{AT_END, "\x55\xc3", 2},
};

/* ---- the target ---- */

struct world {
	int fd;
	uint8_t *text;
	pid_t child;
	int to_child, from_child;
	struct target *target;
};

static void world_map(struct world *world)
{
	world->fd = memfd_create("kiln-test", MFD_CLOEXEC);
	assert_true(world->fd >= 0);
	assert_int_equal(ftruncate(world->fd, FILE_SIZE), 0);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		assert_int_equal(
			pwrite(world->fd, functions[i].code, functions[i].length, (off_t)functions[i].offset),
			functions[i].length);
	world->text = mmap(NULL, TEXT_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, world->fd, TEXT);
	assert_true(world->text != MAP_FAILED);
}

/* prepare: what the child does to itself before it says that it is ready. */
static void world_start(struct world *world, void (*prepare)(struct world *world))
{
	int in[2], out[2];
	char byte;

	assert_int_equal(pipe2(in, O_CLOEXEC), 0);
	assert_int_equal(pipe2(out, O_CLOEXEC), 0);
	world->child = fork();
	assert_true(world->child >= 0);
	if (!world->child) {
		close(in[1]);
		if (prepare)
			prepare(world);
		if (write(out[1], "r", 1) == 1)
			while (read(in[0], &byte, 1) > 0)
				;
		_exit(0);
	}
	close(in[0]);
	close(out[1]);
	world->to_child = in[1];
	world->from_child = out[0];
	assert_int_equal(read(world->from_child, &byte, 1), 1);
	assert_null(target_open(world->child, &world->target));
}

static void world_end_child(struct world *world)
{
	close(world->to_child);
	close(world->from_child);
	kill(world->child, SIGKILL);
	while (waitpid(world->child, NULL, 0) < 0 && errno == EINTR)
		;
}

static void world_deinit(struct world *world)
{
	target_destroy(world->target);
	munmap(world->text, TEXT_SIZE);
	close(world->fd);
}

static void world_stop(struct world *world)
{
	world_end_child(world);
	world_deinit(world);
}

static void patch(struct world *world, size_t offset, uint8_t byte)
{
	if (mprotect(world->text, TEXT_SIZE, PROT_READ | PROT_WRITE))
		_exit(1);
	world->text[offset - TEXT] = byte;
	if (mprotect(world->text, TEXT_SIZE, PROT_READ | PROT_EXEC))
		_exit(1);
}

/* ---- asking ---- */

struct answers {
	struct hook hooks[16];
	size_t count;
	unsigned refused;
	char name[32], why[160]; /* of the last that was refused */
};

static void take_refusal(void *arg, const char *name, const char *why)
{
	struct answers *answers = arg;

	answers->refused++;
	snprintf(answers->name, sizeof(answers->name), "%s", name);
	snprintf(answers->why, sizeof(answers->why), "%s", why);
}

static struct hook_proposal propose(uint64_t start, enum heap_kind kind, const char *name)
{
	struct hook_proposal proposal = {.start = start, .kind = kind};

	snprintf(proposal.name, sizeof(proposal.name), "%s", name);
	return proposal;
}

static struct mapping world_mapping(const struct world *world)
{
	return (struct mapping){.start = (uint64_t)(uintptr_t)world->text,
				.end = (uint64_t)(uintptr_t)world->text + TEXT_SIZE,
				.offset = TEXT,
				.module = MODULE};
}

static struct hooks_request make_request(const struct world *world, const struct mapping *mappings,
					 size_t mapping_count, const struct hook_proposal *proposals,
					 size_t count)
{
	return (struct hooks_request){.target = world->target,
				      .fd = world->fd,
				      .module = MODULE,
				      .mappings = mappings,
				      .mapping_count = mapping_count,
				      .proposals = proposals,
				      .proposal_count = count};
}

static struct answers ask(const struct hooks_request *request, size_t max)
{
	struct answers answers = {0};

	assert_true(max <= 16);
	answers.count = hooks_check(request, answers.hooks, max, take_refusal, &answers);
	return answers;
}

/* One function, as it is mapped. */
static struct answers ask_one(const struct world *world, uint64_t start, enum heap_kind kind)
{
	struct mapping mapping = world_mapping(world);
	struct hook_proposal proposal = propose(start, kind, "f");
	struct hooks_request request = make_request(world, &mapping, 1, &proposal, 1);

	return ask(&request, 16);
}

static void expect_hook(const struct answers *answers, uint64_t offset, enum heap_kind kind)
{
	if (answers->count != 1 || answers->refused)
		fail_msg("%zu hooks, %u refused: %s", answers->count, answers->refused, answers->why);
	assert_int_equal(answers->hooks[0].offset, offset);
	assert_int_equal(answers->hooks[0].kind, kind);
	assert_string_equal(answers->hooks[0].name, "f");
}

static void expect_refusal(const struct answers *answers, const char *words)
{
	assert_int_equal(answers->count, 0);
	assert_int_equal(answers->refused, 1);
	if (!strstr(answers->why, words))
		fail_msg("refused, but: %s", answers->why);
}

/* ---- places ---- */

static void test_places(void **state)
{
	struct world world;
	struct answers answers;

	world_map(&world);
	world_start(&world, NULL);
	answers = ask_one(&world, PLAIN, HEAP_MALLOC);
	expect_hook(&answers, PLAIN, HEAP_MALLOC);
	assert_int_equal(answers.hooks[0].registers[0], 7); /* rdi */
	answers = ask_one(&world, TEST_FIRST, HEAP_FREE);
	expect_hook(&answers, TEST_FIRST + 3, HEAP_FREE);
	answers = ask_one(&world, LANDING, HEAP_CALLOC);
	expect_hook(&answers, LANDING + 4, HEAP_CALLOC);
	answers = ask_one(&world, STACK_FIRST, HEAP_MALLOC);
	expect_refusal(&answers, "stack pointer");
	answers = ask_one(&world, MOVED, HEAP_MALLOC);
	expect_refusal(&answers, "other registers");
	answers = ask_one(&world, MOVED, HEAP_REALLOC);
	expect_refusal(&answers, "arguments are gone");
	world_stop(&world);
}

static void test_moved_and_stepped_when_asked_for(void **state)
{
	struct hook_proposal proposals[] = {
		propose(MOVED, HEAP_MALLOC, "moved"),
		propose(STACK_FIRST, HEAP_MALLOC, "stepped"),
		propose(MOVED, HEAP_REALLOC, "gone"),
		propose(PLAIN, HEAP_FREE, "plain"),
	};
	struct world world;
	struct mapping mapping;
	struct hooks_request request;
	struct answers answers;

	world_map(&world);
	world_start(&world, NULL);
	mapping = world_mapping(&world);
	request = make_request(&world, &mapping, 1, proposals, 4);
	request.takes_moved = true;
	answers = ask(&request, 16);
	assert_int_equal(answers.count, 2);
	assert_int_equal(answers.refused, 2);
	assert_int_equal(answers.hooks[0].offset, MOVED + 5);
	assert_true(answers.hooks[0].is_moved && !answers.hooks[0].is_stepped);
	assert_int_equal(answers.hooks[0].registers[0], 6); /* rsi */
	request.takes_stepped = true;
	answers = ask(&request, 16);
	assert_int_equal(answers.count, 4);
	assert_int_equal(answers.hooks[0].offset, MOVED + 5);
	assert_int_equal(answers.hooks[1].offset, STACK_FIRST);
	assert_int_equal(answers.hooks[2].offset, MOVED);
	assert_true(answers.hooks[1].is_stepped && answers.hooks[2].is_stepped);
	assert_false(answers.hooks[3].is_stepped);
	request.takes_moved = false;
	answers = ask(&request, 16);
	assert_int_equal(answers.hooks[0].offset, MOVED);
	assert_true(answers.hooks[0].is_stepped && !answers.hooks[0].is_moved);
	assert_int_equal(answers.hooks[0].registers[0], 7);
	world_stop(&world);
}

/* ---- memory that is not the file ---- */

static void patch_before_site(struct world *world)
{
	patch(world, TEST_FIRST + 1, 0x39);
}

static void patch_in_site(struct world *world)
{
	patch(world, TEST_FIRST + 4, 0x02);
}

static void patch_behind_site(struct world *world)
{
	patch(world, TEST_FIRST + 5, 0xcc);
}

static void trap_at_site(struct world *world)
{
	patch(world, TEST_FIRST + 3, 0xcc);
}

static void trap_before_site(struct world *world)
{
	patch(world, TEST_FIRST, 0xcc);
}

static void test_changed_memory(void **state)
{
	static const struct {
		void (*prepare)(struct world *world);
		bool is_hooked;
	} cases[] = {
		{patch_before_site, false}, {patch_in_site, false},    {patch_behind_site, true},
		{trap_at_site, true},	    {trap_before_site, false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct world world;
		struct answers answers;

		world_map(&world);
		world_start(&world, cases[i].prepare);
		answers = ask_one(&world, TEST_FIRST, HEAP_FREE);
		if (cases[i].is_hooked)
			expect_hook(&answers, TEST_FIRST + 3, HEAP_FREE);
		else
			expect_refusal(&answers, "not what its file holds");
		answers = ask_one(&world, PLAIN, HEAP_FREE);
		expect_hook(&answers, PLAIN, HEAP_FREE);
		world_stop(&world);
	}
}

static void unmap_text(struct world *world)
{
	munmap(world->text, TEXT_SIZE);
}

static void test_unreadable_memory(void **state)
{
	struct world world;
	struct answers answers;

	world_map(&world);
	world_start(&world, unmap_text);
	answers = ask_one(&world, PLAIN, HEAP_FREE);
	expect_refusal(&answers, "memory cannot be read");
	world_end_child(&world);
	answers = ask_one(&world, PLAIN, HEAP_FREE);
	expect_refusal(&answers, "memory cannot be read");
	world_deinit(&world);
}

/* ---- mappings ---- */

static void test_not_mapped(void **state)
{
	struct world world;
	struct answers answers;
	struct mapping mapping;
	struct hook_proposal proposal = propose(PLAIN, HEAP_MALLOC, "f");
	struct hooks_request request;

	world_map(&world);
	world_start(&world, NULL);
	answers = ask_one(&world, UNMAPPED, HEAP_MALLOC);
	expect_refusal(&answers, "not mapped executable");
	answers = ask_one(&world, TEXT - 1, HEAP_MALLOC);
	expect_refusal(&answers, "not mapped executable");
	answers = ask_one(&world, FRAME_OFFSET_MASK, HEAP_MALLOC);
	expect_refusal(&answers, "not mapped executable");
	/* The mapping ends inside the instruction that would be trapped. */
	answers = ask_one(&world, CROSSING, HEAP_FREE);
	expect_refusal(&answers, "none that are known");
	mapping = world_mapping(&world);
	mapping.module = MODULE + 1;
	request = make_request(&world, &mapping, 1, &proposal, 1);
	answers = ask(&request, 16);
	expect_refusal(&answers, "not mapped executable");
	request = make_request(&world, NULL, 0, &proposal, 1);
	answers = ask(&request, 16);
	expect_refusal(&answers, "not mapped executable");
	world_stop(&world);
}

static uint8_t *second_text; /* shared with the child */

static void patch_second(struct world *world)
{
	struct world second = {.text = second_text};

	patch(&second, PLAIN, 0x53);
	patch(&second, TEST_FIRST + 4, 0x02);
}

/* The kernel puts its trap into each of them: one that differs is enough. */
static void test_every_mapping_counts(void **state)
{
	struct hook_proposal proposals[] = {propose(PLAIN, HEAP_MALLOC, "a"),
					    propose(LANDING, HEAP_MALLOC, "b")};
	struct world world;
	struct mapping mappings[100];
	struct hooks_request request;
	struct answers answers;

	world_map(&world);
	second_text = mmap(NULL, TEXT_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, world.fd, TEXT);
	assert_true(second_text != MAP_FAILED);
	world_start(&world, patch_second);
	for (size_t i = 0; i < 100; i++)
		mappings[i] = world_mapping(&world);
	request = make_request(&world, mappings, 64, proposals, 2);
	answers = ask(&request, 16);
	assert_int_equal(answers.count, 2);
	request = make_request(&world, mappings, 65, proposals, 2);
	answers = ask(&request, 16);
	assert_int_equal(answers.refused, 2);
	assert_non_null(strstr(answers.why, "too often"));
	mappings[1].start = (uint64_t)(uintptr_t)second_text;
	mappings[1].end = mappings[1].start + TEXT_SIZE;
	request = make_request(&world, mappings, 2, proposals, 2);
	answers = ask(&request, 16);
	assert_int_equal(answers.count, 1);
	assert_int_equal(answers.hooks[0].offset, LANDING + 4);
	assert_string_equal(answers.name, "a");
	assert_non_null(strstr(answers.why, "not what its file holds"));
	/* One that shows only the end of the function. */
	proposals[0] = propose(TEST_FIRST, HEAP_FREE, "part");
	answers = ask(&request, 16);
	assert_string_equal(answers.name, "part");
	mappings[1].start += TEST_FIRST + 2 - TEXT;
	mappings[1].offset = TEST_FIRST + 2;
	answers = ask(&request, 16);
	assert_int_equal(answers.count, 1);
	assert_string_equal(answers.name, "part");
	mappings[1].start += 3;
	mappings[1].offset += 3; /* behind the trap */
	answers = ask(&request, 16);
	assert_int_equal(answers.count, 2);
	world_stop(&world);
	munmap(second_text, TEXT_SIZE);
}

/* ---- files ---- */

static void test_truncated_file(void **state)
{
	struct world world;
	struct answers answers;

	world_map(&world);
	world_start(&world, NULL);
	assert_int_equal(ftruncate(world.fd, TEST_FIRST + 3), 0);
	answers = ask_one(&world, TEST_FIRST, HEAP_FREE);
	expect_refusal(&answers, "ends before any instruction");
	answers = ask_one(&world, PLAIN, HEAP_FREE);
	expect_hook(&answers, PLAIN, HEAP_FREE);
	assert_int_equal(ftruncate(world.fd, TEXT), 0);
	answers = ask_one(&world, PLAIN, HEAP_FREE);
	expect_refusal(&answers, "file ends before it");
	world_stop(&world);
}

/* The last function of a file, mapped whole. */
static void test_end_of_file(void **state)
{
	struct world world;
	struct mapping mapping;
	struct hook_proposal proposal = propose(AT_END, HEAP_MALLOC, "f");
	struct hooks_request request;
	struct answers answers;
	uint8_t *whole;

	world_map(&world);
	whole = mmap(NULL, FILE_SIZE, PROT_READ | PROT_EXEC, MAP_PRIVATE, world.fd, 0);
	assert_true(whole != MAP_FAILED);
	world_start(&world, NULL);
	mapping = (struct mapping){.start = (uint64_t)(uintptr_t)whole,
				   .end = (uint64_t)(uintptr_t)whole + FILE_SIZE,
				   .module = MODULE};
	request = make_request(&world, &mapping, 1, &proposal, 1);
	answers = ask(&request, 16);
	expect_hook(&answers, AT_END, HEAP_MALLOC);
	world_stop(&world);
	munmap(whole, FILE_SIZE);
}

static void test_unreadable_file(void **state)
{
	struct world world;
	struct answers answers;
	int fd;

	world_map(&world);
	world_start(&world, NULL);
	fd = world.fd;
	world.fd = -1;
	answers = ask_one(&world, PLAIN, HEAP_MALLOC);
	expect_refusal(&answers, "cannot be read");
	world.fd = fd;
	world_stop(&world);
}

/* ---- proposals ---- */

static void test_hostile_proposals(void **state)
{
	struct hook_proposal proposals[] = {
		propose(PLAIN, HEAP_MALLOC, "lies"),   propose(PLAIN, HEAP_MALLOC, "wrapper"),
		propose(PLAIN, 0, "no kind"),	       propose(PLAIN, HEAP_KINDS, "no such kind"),
		propose(~0ull, HEAP_MALLOC, "far"),    propose(TEST_FIRST, HEAP_MALLOC, "short"),
		propose(PLAIN, HEAP_MALLOC, "\033[m"),
	};
	static const char *const whys[] = {
		"inside another function", NULL, "none", "none", "none", "ends before", NULL};
	struct world world;
	struct mapping mapping;
	struct answers answers;

	proposals[0].flags = HOOK_LIES;
	proposals[1].flags = HOOK_WRAPPER;
	proposals[5].length = 3;
	memset(proposals[2].name, 'n', sizeof(proposals[2].name)); /* without its end */
	world_map(&world);
	world_start(&world, NULL);
	mapping = world_mapping(&world);
	for (size_t i = 0; i < 7; i++) {
		struct hooks_request request = make_request(&world, &mapping, 1, &proposals[i], 1);

		answers = ask(&request, 16);
		if (whys[i])
			expect_refusal(&answers, whys[i]);
		else
			assert_int_equal(answers.refused, 0);
		assert_int_equal(answers.count, i == 6);
		if (i == 2)
			assert_true(strlen(answers.name) < sizeof(proposals[0].name));
	}
	assert_string_equal(answers.hooks[0].name, "?[m");
	world_stop(&world);
}

static void test_aliases(void **state)
{
	struct hook_proposal proposals[] = {
		propose(LANDING, HEAP_MEMALIGN, "memalign"),
		propose(LANDING, HEAP_MEMALIGN, "aligned_alloc"),
		propose(LANDING + 4, HEAP_MEMALIGN, "inner"),
		propose(LANDING, HEAP_FREE, "other"),
		propose(PLAIN, HEAP_MALLOC, "malloc"),
	};
	struct world world;
	struct mapping mapping;
	struct hooks_request request;
	struct answers answers;

	world_map(&world);
	world_start(&world, NULL);
	mapping = world_mapping(&world);
	request = make_request(&world, &mapping, 1, proposals, 5);
	answers = ask(&request, 16);
	assert_int_equal(answers.count, 2);
	assert_string_equal(answers.hooks[0].name, "memalign");
	assert_int_equal(answers.hooks[0].kind, HEAP_MEMALIGN);
	assert_string_equal(answers.hooks[1].name, "malloc");
	assert_int_equal(answers.refused, 1);
	assert_string_equal(answers.name, "other");
	assert_non_null(strstr(answers.why, "same code"));
	answers = ask(&request, 1);
	assert_int_equal(answers.count, 1);
	assert_int_equal(answers.refused, 2);
	assert_string_equal(answers.name, "malloc");
	assert_non_null(strstr(answers.why, "too many"));
	world_stop(&world);
}

/* ---- the real C library ---- */

struct libc_search {
	uint64_t address;
	struct mapping mapping;
	char path[512];
};

static struct error *find_mapping(void *arg, const struct map *map)
{
	struct libc_search *search = arg;

	if (map->is_executable && map->start <= search->address && search->address < map->end) {
		search->mapping = (struct mapping){
			.start = map->start, .end = map->end, .offset = map->offset, .module = MODULE};
		snprintf(search->path, sizeof(search->path), "%s", map->path);
	}
	return NULL;
}

static void find_libc(struct libc_search *search)
{
	_cleanup_fclose_ FILE *stream = NULL;
	_cleanup_close_ int proc_fd = open("/proc/self", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_null(maps_open(proc_fd, &stream));
	assert_null(maps_read(stream, find_mapping, search));
	assert_true(search->mapping.end > 0);
}

static void test_real_libc(void **state)
{
	static const struct {
		const char *name;
		enum heap_kind kind;
	} names[] = {
		{"malloc", HEAP_MALLOC},   {"calloc", HEAP_CALLOC},
		{"realloc", HEAP_REALLOC}, {"posix_memalign", HEAP_POSIX_MEMALIGN},
		{"free", HEAP_FREE},	   {"aligned_alloc", HEAP_MEMALIGN},
	};
	void *libc = dlopen("libc.so.6", RTLD_NOW); /* not this program's: under ASan that is another one */
	struct hook_proposal proposals[6];
	struct libc_search search = {0};
	struct hooks_request request;
	struct answers answers;
	struct world world;
	int test_fd;

	assert_non_null(libc);
	search.address = (uint64_t)(uintptr_t)dlsym(libc, "malloc");
	find_libc(&search);
	for (size_t i = 0; i < 6; i++)
		proposals[i] = propose((uint64_t)(uintptr_t)dlsym(libc, names[i].name) -
					       search.mapping.start + search.mapping.offset,
				       names[i].kind, names[i].name);
	world_map(&world);
	world_start(&world, NULL);
	test_fd = world.fd;
	world.fd = open(search.path, O_RDONLY | O_CLOEXEC);
	assert_true(world.fd >= 0);
	request = make_request(&world, &search.mapping, 1, proposals, 6);
	answers = ask(&request, 16);
	if (answers.count != 6)
		fail_msg("%s: %s", answers.name, answers.why);
	close(world.fd);
	world.fd = test_fd;
	world_stop(&world);
	dlclose(libc);
}

/* ---- the target as a whole ---- */

static void test_plain_target(void **state)
{
	struct world world;
	bool has_seccomp = true;

	world_map(&world);
	world_start(&world, NULL);
	assert_null(hooks_check_target(world.target, &has_seccomp));
	assert_false(has_seccomp);
	world_end_child(&world);
	assert_non_null(strstr(hooks_check_target(world.target, &has_seccomp), "state of its threads"));
	world_deinit(&world);
}

static void test_stopped_target(void **state)
{
	struct world world;
	struct answers answers;
	bool has_seccomp;
	int status;

	world_map(&world);
	world_start(&world, NULL);
	assert_int_equal(kill(world.child, SIGSTOP), 0);
	assert_int_equal(waitpid(world.child, &status, WUNTRACED), world.child);
	assert_true(WIFSTOPPED(status));
	assert_null(hooks_check_target(world.target, &has_seccomp));
	answers = ask_one(&world, PLAIN, HEAP_MALLOC);
	expect_hook(&answers, PLAIN, HEAP_MALLOC);
	world_stop(&world);
}

static void *seccomp_thread(void *arg)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};
	int *done = arg;
	char byte = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
		    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;

	if (write(done[1], &byte, 1) == 1)
		for (;;)
			pause();
	return NULL;
}

static void *idle_thread(void *arg)
{
	int *said = arg;
	pid_t tid = gettid();

	if (write(said[1], &tid, sizeof(tid)) == sizeof(tid))
		for (;;)
			pause();
	return NULL;
}

/* One thread lives under a filter, the others do not. A list of groups that is longer than any buffer hides
 * nothing. */
static void start_filtered_thread(struct world *world)
{
	static gid_t groups[8000];
	int done[2];
	pthread_t thread;
	char byte = 0;

	for (size_t i = 0; i < 8000; i++)
		groups[i] = 1000000000 + (gid_t)i;
	if (setgroups(8000, groups) && errno != EPERM)
		_exit(1);
	if (pipe(done) || pthread_create(&thread, NULL, seccomp_thread, done) ||
	    read(done[0], &byte, 1) != 1 || !byte)
		_exit(1);
}

static void test_one_filtered_thread(void **state)
{
	struct world world;
	bool has_seccomp = false;

	world_map(&world);
	world_start(&world, start_filtered_thread);
	assert_null(hooks_check_target(world.target, &has_seccomp));
	assert_true(has_seccomp);
	world_stop(&world);
}

static void start_idle_thread(struct world *world)
{
	static int said[2]; /* the parent reads the thread's id from the shared page */
	pid_t tid;
	pthread_t thread;

	if (pipe(said) || pthread_create(&thread, NULL, idle_thread, said) ||
	    read(said[0], &tid, sizeof(tid)) != sizeof(tid))
		_exit(1);
	*(volatile pid_t *)second_text = tid;
}

/* A tracer of one thread, as strace without -f is one. */
static void test_one_traced_thread(void **state)
{
	struct world world;
	bool has_seccomp;
	pid_t tid;

	second_text = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_true(second_text != MAP_FAILED);
	world_map(&world);
	world_start(&world, start_idle_thread);
	tid = *(pid_t *)second_text;
	assert_true(tid != world.child);
	assert_null(hooks_check_target(world.target, &has_seccomp));
	assert_int_equal(ptrace(PTRACE_SEIZE, tid, 0, 0), 0);
	assert_non_null(strstr(hooks_check_target(world.target, &has_seccomp), "another process traces it"));
	munmap(second_text, PAGE);
	/* The thread's end is ours to take, before the process's is told. */
	kill(world.child, SIGKILL);
	waitpid(tid, NULL, __WALL);
	world_stop(&world);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_moved_and_stepped_when_asked_for),
		cmocka_unit_test(test_changed_memory),
		cmocka_unit_test(test_unreadable_memory),
		cmocka_unit_test(test_not_mapped),
		cmocka_unit_test(test_every_mapping_counts),
		cmocka_unit_test(test_truncated_file),
		cmocka_unit_test(test_end_of_file),
		cmocka_unit_test(test_unreadable_file),
		cmocka_unit_test(test_hostile_proposals),
		cmocka_unit_test(test_aliases),
		cmocka_unit_test(test_real_libc),
		cmocka_unit_test(test_plain_target),
		cmocka_unit_test(test_stopped_target),
		cmocka_unit_test(test_one_filtered_thread),
		cmocka_unit_test(test_one_traced_thread),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
