/* Damaged files, each read by a child with an alarm, and files that claim more than they hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/allocators.h"
#include "tests/support/hooks_check.h"
#include "tests/support/library.h"

#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#define COMPILER "gcc -shared -nostdlib -x assembler"

struct image {
	uint8_t *bytes;
	size_t length;
};

static struct image image_read(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct image image = {0};
	struct stat status;

	assert_int_equal(fstat(fd, &status), 0);
	image.length = (size_t)status.st_size;
	image.bytes = malloc(image.length);
	assert_int_equal(read(fd, image.bytes, image.length), image.length);
	return image;
}

static int image_memfd(const struct image *image)
{
	int fd = memfd_create("module", MFD_CLOEXEC);

	assert_int_equal(write(fd, image->bytes, image->length), image->length);
	return fd;
}

static struct image image_of_libc(void)
{
	struct library library;

	library_locate_libc(&library);
	return image_read(library.path);
}

static struct hooks_message *find(int fd)
{
	struct hooks_message *message = NULL;

	assert_null(allocators_find(fd, &message));
	assert_null(hooks_check_message(message));
	return message;
}

static Elf64_Shdr *image_section(const struct image *image, uint32_t type, unsigned number)
{
	const Elf64_Ehdr *header = (const void *)image->bytes;
	Elf64_Shdr *sections = (void *)(image->bytes + header->e_shoff);

	for (unsigned i = 0; i < header->e_shnum; i++) {
		if (sections[i].sh_type == type && number-- == 0)
			return &sections[i];
	}
	return NULL;
}

enum outcome { FOUND, NOTHING, CRASHED, HUNG, BROKEN, OUTCOMES };

/* libelf may crash on it (workers are expendable), but it must end, and what comes out must be sound. */
static enum outcome find_in_child(const struct image *image)
{
	_cleanup_close_ int fd = image_memfd(image);
	pid_t child;
	int status;

	fflush(stdout);
	child = fork();
	if (!child) {
		struct hooks_message *message = NULL;
		struct error *error;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int signal_number = 1; signal_number < 32; signal_number++)
			signal(signal_number, SIG_DFL); /* cmocka catches SIGSEGV */
		alarm(10);
		error = allocators_find(fd, &message);
		_exit(100 + (error			    ? NOTHING
			     : hooks_check_message(message) ? BROKEN
			     : message->count		    ? FOUND
							    : NOTHING));
	}
	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGALRM ? HUNG : CRASHED;
	return WEXITSTATUS(status) >= 100 ? (enum outcome)(WEXITSTATUS(status) - 100) : CRASHED;
}

static void assert_counts(const unsigned counts[OUTCOMES])
{
	print_message("%u with hooks, %u without, %u crashed inside of the child\n", counts[FOUND],
		      counts[NOTHING], counts[CRASHED]);
	assert_int_equal(counts[HUNG], 0);
	assert_int_equal(counts[BROKEN], 0);
	assert_true(counts[FOUND] + counts[NOTHING] > 0);
}

static uint32_t random_next(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

static void test_truncated_copies(void **state)
{
	struct image image = image_of_libc();
	unsigned counts[OUTCOMES] = {0};
	const size_t whole = image.length;

	for (unsigned i = 0; i < 40; i++) {
		image.length = whole * i / 40;
		counts[find_in_child(&image)]++;
	}
	image.length = whole;
	assert_int_equal(find_in_child(&image), FOUND);
	assert_counts(counts);
	free(image.bytes);
}

/* Bytes flipped where the answer comes from. */
static void test_flipped_copies(void **state)
{
	static const uint32_t types[] = {SHT_DYNSYM, SHT_STRTAB, SHT_RELA, SHT_PROGBITS, SHT_NULL};
	struct image image = image_of_libc();
	uint8_t *copy = malloc(image.length);
	unsigned counts[OUTCOMES] = {0};
	uint32_t seed = 20261120;

	memcpy(copy, image.bytes, image.length);
	for (unsigned round = 0; round < 200; round++) {
		const Elf64_Ehdr *header = (const void *)copy;
		const Elf64_Shdr *section;
		size_t from = 0, length = 1024; /* ELF and program headers */
		unsigned flips = 1 + random_next(&seed) % 32;

		section = image_section(&image, types[round % 5], random_next(&seed) % 3);
		if (section && section->sh_type != SHT_NULL) {
			from = section->sh_offset;
			length = section->sh_size;
		} else if (round % 2) {
			from = header->e_shoff;
			length = header->e_shnum * sizeof(*section);
		}
		for (unsigned i = 0; i < flips; i++)
			image.bytes[from + random_next(&seed) % length] ^= 1u << random_next(&seed) % 8;
		counts[find_in_child(&image)]++;
		memcpy(image.bytes, copy, image.length);
	}
	assert_true(counts[FOUND] > 0);
	assert_counts(counts);
	free(copy);
	free(image.bytes);
}

static void test_no_modules(void **state)
{
	static const char *const texts[] = {"", "\177ELF",
					    "no ELF file at all, but longer than its header would be ...."};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct image image = {(uint8_t *)texts[i], strlen(texts[i])};
		_cleanup_close_ int fd = image_memfd(&image);
		_cleanup_free_ struct hooks_message *message = find(fd);

		assert_int_equal(message->count, 0);
		assert_int_equal(message->is_go, 0);
	}
}

static void test_bad_fd(void **state)
{
	_cleanup_free_ struct hooks_message *message = NULL;

	assert_null(allocators_find(-1, &message));
	assert_int_equal(message->count, 0);
}

static void assemble_many(struct library *ret)
{
	assert_true(library_compile(
		COMPILER,
		".text\n.altmacro\n.macro one number\n.globl f\\number\n.type f\\number,@function\n"
		"f\\number: push %rbx\npop %rbx\nret\n.size f\\number,3\n.endm\n"
		".set i,0\n.rept 5000\none %i\n.set i,i+1\n.endr\n",
		ret));
}

/* Every function of 5,000 says that it is malloc: so many are taken as a message may hold, in no long time.
 */
static void test_more_than_a_message_holds(void **state)
{
	struct hooks_message *message;
	uint32_t name = 0, seen = 0;
	struct image image;
	struct library library;
	Elf64_Shdr *section;
	Elf64_Sym *symbols;
	int fd;

	assemble_many(&library);
	image = image_read(library.path);
	section = image_section(&image, SHT_DYNSYM, 0);
	symbols = (void *)(image.bytes + section->sh_offset);
	name = symbols[1].st_name;
	/* f followed by a number of four digits has room for "free". */
	for (size_t i = 1; i < section->sh_size / sizeof(*symbols); i++) {
		const Elf64_Shdr *strings =
			(const Elf64_Shdr *)(image.bytes + ((Elf64_Ehdr *)image.bytes)->e_shoff) +
			section->sh_link;
		char *text = (char *)image.bytes + strings->sh_offset + symbols[i].st_name;

		if (strlen(text) == 5 && !seen++) {
			memcpy(text, "free", 5);
			name = symbols[i].st_name;
		}
	}
	assert_true(seen > 0);
	for (size_t i = 1; i < section->sh_size / sizeof(*symbols); i++)
		symbols[i].st_name = name;
	fd = image_memfd(&image);
	message = find(fd);
	assert_int_equal(message->count, HOOK_PROPOSALS_MAX);
	close(fd);
	free(message);
	free(image.bytes);
	library_remove(&library);
}

/* 60,000 sections that all are the same 5,000 symbols: read as one file's worth of symbols, not as 300
 * million. */
static void test_sections_that_share_symbols(void **state)
{
	const unsigned copies = 60000;
	struct image image, more;
	struct library library;
	const Elf64_Shdr *section;
	Elf64_Ehdr *header;
	Elf64_Shdr *sections;
	clock_t began;
	int fd;

	assemble_many(&library);
	image = image_read(library.path);
	header = (void *)image.bytes;
	section = image_section(&image, SHT_DYNSYM, 0);
	more.length = (image.length + 15) / 16 * 16;
	more.bytes = calloc(1, more.length + (header->e_shnum + copies) * sizeof(*section));
	memcpy(more.bytes, image.bytes, image.length);
	sections = (void *)(more.bytes + more.length);
	memcpy(sections, image.bytes + header->e_shoff, header->e_shnum * sizeof(*sections));
	for (unsigned i = 0; i < copies; i++)
		sections[header->e_shnum + i] = *section;
	((Elf64_Ehdr *)more.bytes)->e_shoff = more.length;
	((Elf64_Ehdr *)more.bytes)->e_shnum = (uint16_t)(header->e_shnum + copies);
	more.length += (header->e_shnum + copies) * sizeof(*section);
	fd = image_memfd(&more);
	began = clock();
	free(find(fd));
	/* Here 13 ms; without the bound 5,200. */
	assert_in_range((clock() - began) * 1000 / CLOCKS_PER_SEC, 0, 1500);
	close(fd);
	free(image.bytes);
	free(more.bytes);
	library_remove(&library);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_modules),
		cmocka_unit_test(test_bad_fd),
		cmocka_unit_test(test_truncated_copies),
		cmocka_unit_test(test_flipped_copies),
		cmocka_unit_test(test_more_than_a_message_holds),
		cmocka_unit_test(test_sections_that_share_symbols),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
