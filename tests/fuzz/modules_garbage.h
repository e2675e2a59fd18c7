/* What a worker does with a file that is not what it says: it opens it, names offsets of it, builds its
 * unwind table, looks for an allocator in it.
 *
 * An input is an ELF file; or, behind four letters, what else a worker parses: "KSYM" the text of
 * /proc/kallsyms, "GOPC" a Go table without a file around it.
 * libdw may crash on such a file, that costs the worker; what is checked here is what comes out when it does
 * not, and, with a sanitizer, our own code.
 */
#ifndef KILN_TESTS_FUZZ_MODULES_GARBAGE_H
#define KILN_TESTS_FUZZ_MODULES_GARBAGE_H

#include "base/cleanup.h"
#include "base/text.h"
#include "bpf/events.h"
#include "bpf/tables.h"
#include "symbolizer/allocators.h"
#include "symbolizer/cfi.h"
#include "symbolizer/modules.h"
#include "symbolizer/pclntab.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULES_GARBAGE_MAX   65536 /* bytes of an input */
#define MODULES_GARBAGE_ASKED 48

/* A broken promise. A test that runs this in a child tells it from a crash of libdw. */
#ifndef MODULES_GARBAGE_FAIL
#define MODULES_GARBAGE_FAIL() abort()
#endif
#define MODULES_GARBAGE_CHECK(condition)                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                      \
			MODULES_GARBAGE_FAIL();                                                              \
		}                                                                                            \
	} while (0)

static inline void modules_garbage_check_text(const char *text, size_t length)
{
	char again[NAME_LENGTH_MAX + 1];

	MODULES_GARBAGE_CHECK(length <= NAME_LENGTH_MAX);
	MODULES_GARBAGE_CHECK(text_sanitize(text, length, again, sizeof(again)) == length);
	MODULES_GARBAGE_CHECK(!memcmp(text, again, length));
}

static inline void modules_garbage_name(int fd, enum module_kind kind, size_t size)
{
	static struct module_name name;
	struct symbolizer_modules *modules = NULL;
	struct info_message info;
	struct module *module;

	error_destroy(symbolizer_modules_create(&modules));
	error_destroy(symbolizer_modules_add(modules, MODULE_FIRST_FILE, kind, dup(fd)));
	module = symbolizer_modules_find(modules, MODULE_FIRST_FILE);
	MODULES_GARBAGE_CHECK(module);
	module_open(module, &info);
	MODULES_GARBAGE_CHECK(info.build_id_length <= BUILD_ID_MAX && info.symbols <= SYMBOLS_JIT);
	MODULES_GARBAGE_CHECK(strnlen(info.why, sizeof(info.why)) < sizeof(info.why));
	for (uint64_t i = 0; i < MODULES_GARBAGE_ASKED; i++) {
		/* All over the file, and where no file is. */
		uint64_t offset = i < 40 ? size * i / 40 : (1ull << (i + 6)) - (i & 1);

		module_name_offset(module, offset, &name);
		modules_garbage_check_text(name.function, name.function_length);
		modules_garbage_check_text(name.file, name.file_length);
	}
	symbolizer_modules_destroy(modules);
}

/* The probe must take every table that a sound worker makes. */
static inline void modules_garbage_build(int fd)
{
	_cleanup_close_ int memfd = -1;
	enum table_status status = TABLE_BAD;
	char why[CFI_WHY_LENGTH] = "";
	struct error *error = cfi_build_table(fd, &memfd, &status, why, NULL);
	struct stat info;
	uint32_t *words;

	MODULES_GARBAGE_CHECK(strnlen(why, sizeof(why)) < sizeof(why));
	MODULES_GARBAGE_CHECK(error || (status == TABLE_OK) == (memfd >= 0));
	error_destroy(error);
	if (memfd < 0)
		return;
	MODULES_GARBAGE_CHECK(fstat(memfd, &info) == 0);
	words = (uint32_t *)mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_SHARED, memfd, 0);
	MODULES_GARBAGE_CHECK(words != MAP_FAILED);
	error = table_check(words, (size_t)info.st_size);
	/* One that is too large is none that the probe takes, and no fault. */
	if (error && info.st_size <= TABLE_BYTES_MAX) {
		fprintf(stderr, "the probe refuses the table: %s\n", error_get_message(error));
		MODULES_GARBAGE_FAIL();
	}
	error_destroy(error);
	munmap(words, (size_t)info.st_size);
}

static inline void modules_garbage_propose(int fd)
{
	struct hooks_message *hooks = NULL;
	struct error *error = allocators_find(fd, &hooks);

	MODULES_GARBAGE_CHECK(error || hooks->count <= HOOK_PROPOSALS_MAX);
	for (uint32_t i = 0; !error && i < hooks->count; i++)
		MODULES_GARBAGE_CHECK(strnlen(hooks->proposals[i].name, 32) < 32);
	error_destroy(error);
	free(hooks);
}

static inline void modules_garbage_pclntab(const uint8_t *data, size_t size)
{
	/* memory of its own, so that a sanitizer sees a read behind it */
	uint8_t *exact = (uint8_t *)malloc(size ? size : 1);
	struct pclntab table;

	memcpy(exact, data, size);
	if (pclntab_init(exact, size, &table)) {
		struct pclntab_function function;
		struct pclntab_line line;
		uint64_t start;

		/* As the addresses are: in a program, in a library, or as the header has it. */
		if (pclntab_needs_text_start(&table))
			table.text_start = 0x401000;
		start = size > 200 && table.text_start ? table.text_start : 0x401000;
		for (uint64_t i = 0; i < 256; i++) {
			uint64_t address = start + i * 16;

			if (pclntab_find(&table, address, &function)) {
				MODULES_GARBAGE_CHECK(function.length > 0);
				pclntab_find_line(&table, &function, address, &line);
			}
		}
	}
	free(exact);
}

static inline void modules_garbage_run(const uint8_t *data, size_t size)
{
	bool is_kernel = size >= 4 && !memcmp(data, "KSYM", 4);
	int fd;

	if (size >= 4 && !memcmp(data, "GOPC", 4)) {
		modules_garbage_pclntab(data + 4, size - 4);
		return;
	}
	fd = memfd_create("garbage", MFD_CLOEXEC);
	MODULES_GARBAGE_CHECK(fd >= 0);
	MODULES_GARBAGE_CHECK(write(fd, is_kernel ? data + 4 : data, is_kernel ? size - 4 : size) >= 0);
	modules_garbage_name(fd, is_kernel ? MODULE_KIND_KERNEL : MODULE_KIND_FILE, size);
	if (!is_kernel) {
		modules_garbage_build(fd);
		modules_garbage_propose(fd);
	}
	close(fd);
}

#endif
