/* What the fuzzers have kept, and some garbage of its own: of the worker's parsing each input in a child,
 * because libdw may crash on it, under a worker's deadline; of the sanitizer of names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define MODULES_GARBAGE_FAIL() _exit(9)
#include "tests/fuzz/modules_garbage.h"
#include "tests/fuzz/modules_mutate.h"
#include "tests/fuzz/text_garbage.h"

#include "base/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#define MODULES_FOLDER	"tests/fuzz/corpus-modules"
#define MODULES_MIN	16
#define DEADLINE_MS	2000 /* of a file of less than 1 MB; a sanitizer has more */
#define MUTATIONS	24   /* of each input */
#define CHILD_MEMORY	(4ull << 30)
#define GARBAGE_STRINGS 30000

#if defined(__SANITIZE_ADDRESS__)
#define HAS_SANITIZER 1
#else
#define HAS_SANITIZER 0
#endif

static unsigned crashes, runs;

static void limit_child(void)
{
	struct rlimit memory = {CHILD_MEMORY, CHILD_MEMORY}, none = {0, 0};

	setrlimit(RLIMIT_CORE, &none);
	if (!HAS_SANITIZER)
		setrlimit(RLIMIT_DATA, &memory);
}

/* Ends the test when our own promises are broken (abort()) or the deadline is missed. */
static void run_guarded(const uint8_t *data, size_t size, const char *what, unsigned seed)
{
	_cleanup_close_ int pidfd = -1;
	struct pollfd ended = {.events = POLLIN};
	int status = 0;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		limit_child();
		modules_garbage_run(data, size);
		_exit(0);
	}
	pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(pidfd >= 0);
	ended.fd = pidfd;
	if (poll(&ended, 1, DEADLINE_MS * (HAS_SANITIZER ? 5 : 1)) != 1) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		fail_msg("%s, seed %u: no end", what, seed);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	runs++;
	/* A broken promise, or what a sanitizer found: our code. */
	if (WIFEXITED(status) && WEXITSTATUS(status))
		fail_msg("%s, seed %u: status %d", what, seed, WEXITSTATUS(status));
	crashes += WIFSIGNALED(status);
}

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

static size_t read_input(const char *name, uint8_t *ret, size_t capacity)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[512];
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", MODULES_FOLDER, name);
	file = fopen(path, "re");
	if (!file)
		fail_msg("no %s", path);
	size = fread(ret, 1, capacity, file);
	assert_true(size > 0 && size < capacity);
	return size;
}

static void test_modules(void **state)
{
	static uint8_t input[MODULES_GARBAGE_MAX], mutated[MODULES_GARBAGE_MAX];
	struct dirent **entries;
	int count = scandir(MODULES_FOLDER, &entries, is_input, alphasort);

	assert_true(count >= MODULES_MIN);
	for (int i = 0; i < count; i++) {
		size_t size = read_input(entries[i]->d_name, input, sizeof(input));

		run_guarded(input, size, entries[i]->d_name, 0);
		/* What is kept does not crash anybody. */
		if (crashes)
			fail_msg("%s: a crash", entries[i]->d_name);
		for (unsigned seed = 1; seed <= MUTATIONS; seed++) {
			unsigned before = crashes;

			memcpy(mutated, input, size);
			mutation_apply(mutated, size, seed + (unsigned)i * MUTATIONS);
			run_guarded(mutated, size, entries[i]->d_name, seed);
			if (crashes > before)
				print_message("%s, mutation %u: a crash\n", entries[i]->d_name, seed);
			crashes = before;
		}
		free(entries[i]);
	}
	free(entries);
	assert_int_equal(runs, count * (1 + MUTATIONS));
}

/* Bytes that are likely to be trouble, rather than any. */
static void test_text(void **state)
{
	static const char *const pieces[] = {"\x1b[",
					     "\xc2\x9b",
					     "\xe2\x80\xae",
					     "\xed\xa0\x80",
					     "\xf3\xa0\x81\x81",
					     "\xff",
					     "a",
					     "ä",
					     "€",
					     "\xf0\x9f\x98\x80",
					     "\xc0",
					     "\xe2\x80",
					     "\n",
					     "\xef\xbb\xbf",
					     "\xf4\x90\x80\x80"};
	uint8_t text[256];

	srand(7);
	for (unsigned i = 0; i < GARBAGE_STRINGS; i++) {
		size_t size = 1, wanted = 1 + (size_t)rand() % 200;

		text[0] = (uint8_t)(rand() % 64);
		while (size < wanted) {
			const char *piece = pieces[(size_t)rand() % (sizeof(pieces) / sizeof(pieces[0]))];
			size_t length = strlen(piece);

			memcpy(text + size, piece, length);
			size += length;
		}
		text_garbage_run(text, size - (size_t)rand() % 2);
	}
	text_garbage_run(text, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_text),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
