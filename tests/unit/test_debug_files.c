/* Each source of names that is not the module itself, made by the tools that make them in distributions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/debug_files.h"
#include "symbolizer/interpose.h"
#include "tests/support/workshop.h"

#include <dwarf.h>
#include <elf.h>
#include <elfutils/libdw.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static struct workshop shop;
static struct workshop_answer answer;

static int start(void **state)
{
	workshop_open(&shop);
	return 0;
}

static int finish(void **state)
{
	workshop_close(&shop);
	return 0;
}

/* Function and line, and nothing to complain of. */
static void expect_all(const char *file)
{
	workshop_look(&shop, file, &answer);
	assert_string_equal(answer.info.why, "");
	assert_string_equal(answer.function, "secret");
	assert_in_range(answer.line, WORKSHOP_LINE - 2, WORKSHOP_LINE);
	assert_non_null(strstr(answer.file, "source.c"));
	assert_int_equal(answer.info.symbols, SYMBOLS_FULL);
}

/* The function's name only. */
static void expect_name(const char *file, const char *why)
{
	workshop_look(&shop, file, &answer);
	assert_string_equal(answer.function, "secret");
	assert_int_equal(answer.line, 0);
	assert_int_equal(answer.info.symbols, SYMBOLS_MINIMAL);
	if (!strstr(answer.info.why, why) || (!*why && *answer.info.why))
		fail_msg("it says \"%s\", not \"%s\"", answer.info.why, why);
}

static void expect_nothing(const char *file, const char *why)
{
	workshop_look(&shop, file, &answer);
	assert_string_not_equal(answer.function, "secret");
	assert_int_equal(answer.line, 0);
	assert_int_equal(answer.info.symbols, SYMBOLS_STRIPPED);
	if (!strstr(answer.info.why, why) || (!*why && *answer.info.why))
		fail_msg("it says \"%s\", not \"%s\"", answer.info.why, why);
}

/* ---- by build-id ---- */

static void test_build_id(void **state)
{
	workshop_compile(&shop, "-Wl,--build-id");
	workshop_strip(&shop);
	expect_nothing("plain", "");
	workshop_run(&shop, "cp separate.debug %s", workshop_build_id_path(&shop));
	expect_all("plain");
	assert_int_equal(shop.asked, 1);
	/* A packager's link to a file elsewhere. */
	workshop_run(&shop, "mv %s elsewhere && ln -s %s/elsewhere %s", workshop_build_id_path(&shop),
		     shop.directory, workshop_build_id_path(&shop));
	expect_all("plain");
}

/* eu-strip leaves the program headers of the file that was: they lead nowhere. */
static void test_build_id_of_eu_strip(void **state)
{
	if (!workshop_has("eu-strip"))
		skip();
	workshop_compile(&shop, "-Wl,--build-id");
	workshop_run(&shop, "eu-strip -f separate.debug -o plain full && cp separate.debug %s",
		     workshop_build_id_path(&shop));
	expect_all("plain");
}

static void test_wrong_build_id(void **state)
{
	workshop_compile(&shop, "-Wl,--build-id=0x1234567812345678");
	workshop_run(&shop, "objcopy --only-keep-debug full other.debug");
	workshop_compile(&shop, "-Wl,--build-id");
	workshop_strip(&shop);
	workshop_run(&shop, "cp other.debug %s", workshop_build_id_path(&shop));
	expect_nothing("plain", "another build-id");
	/* What is no ELF file at all. */
	workshop_run(&shop, "cp source.c %s", workshop_build_id_path(&shop));
	expect_nothing("plain", "no ELF file");
	/* The next directory may have the right one. */
	workshop_run(&shop, "mkdir first && cp -r debug/.build-id first && cp separate.debug %s",
		     workshop_build_id_path(&shop));
	debug_places_destroy(shop.places);
	shop.places = NULL;
	{
		char path[256];

		snprintf(path, sizeof(path), "%s/first:%s/debug:", shop.directory, shop.directory);
		setenv("KILN_DEBUG_PATH", path, 1);
	}
	expect_all("plain");
	assert_int_equal(shop.asked, 2);
}

/* ---- by .gnu_debuglink ---- */

static void make_link(const char *flags)
{
	workshop_compile(&shop, flags);
	workshop_strip(&shop);
	workshop_run(&shop, "objcopy --add-gnu-debuglink=separate.debug plain");
}

static void test_link(void **state)
{
	make_link("-Wl,--build-id=none");
	expect_all("plain");
	workshop_run(&shop, "mkdir .debug && mv separate.debug .debug");
	expect_all("plain");
	workshop_run(&shop, "mkdir -p debug%s && mv .debug/separate.debug debug%s", shop.directory,
		     shop.directory);
	expect_all("plain");
	workshop_run(&shop, "mv debug%s/separate.debug gone", shop.directory);
	expect_nothing("plain", "");
}

static void test_wrong_checksum(void **state)
{
	make_link("-Wl,--build-id=none");
	workshop_run(&shop, "echo >>separate.debug");
	expect_nothing("plain", "another checksum");
	/* The build-id alone does not do. */
	make_link("-Wl,--build-id");
	workshop_run(&shop, "echo >>separate.debug");
	expect_nothing("plain", "another checksum");
	/* A wrong one beside it does not hide the right one. */
	workshop_run(&shop, "mkdir .debug && truncate -s -1 separate.debug && cp separate.debug .debug && "
			    "echo >>separate.debug");
	expect_all("plain");
}

/* A program of the same name: another build-id, whatever the checksum. */
static void test_link_to_another_program(void **state)
{
	make_link("-Wl,--build-id=0x1234567812345678");
	workshop_run(&shop, "cp separate.debug kept && cp plain plain2");
	workshop_compile(&shop, "-Wl,--build-id=0xabcdefabcdefabcd");
	workshop_run(&shop, "strip -o plain full && cp kept separate.debug && "
			    "objcopy --add-gnu-debuglink=separate.debug plain");
	expect_nothing("plain", "another build-id");
}

/* ---- the file's own sections ---- */

static void test_own_sections(void **state)
{
	workshop_compile(&shop, "-Wl,--build-id");
	expect_all("full");
	workshop_run(&shop, "strip -g -o minimal full");
	expect_name("minimal", "");
	workshop_run(&shop, "objcopy --compress-debug-sections=zlib full zlib && "
			    "objcopy --compress-debug-sections=zlib-gnu full gnu && readelf -SW zlib");
	expect_all("zlib");
	expect_all("gnu");
}

/* Changes the header of each compressed section. */
static void patch_compressed(const char *file, uint32_t type, uint64_t size)
{
	char *bytes = NULL;
	size_t length = 0, patched = 0;
	FILE *stream = fopen(workshop_path(&shop, file), "r+e");
	struct stat status;
	Elf64_Ehdr *header;
	Elf64_Shdr *sections;

	assert_non_null(stream);
	fstat(fileno(stream), &status);
	length = (size_t)status.st_size;
	bytes = malloc(length);
	assert_int_equal(fread(bytes, 1, length, stream), length);
	header = (Elf64_Ehdr *)bytes;
	sections = (Elf64_Shdr *)(bytes + header->e_shoff);
	for (int i = 0; i < header->e_shnum; i++) {
		Elf64_Chdr *packed = (Elf64_Chdr *)(bytes + sections[i].sh_offset);

		if (!(sections[i].sh_flags & SHF_COMPRESSED))
			continue;
		patched++;
		packed->ch_type = type;
		if (size)
			packed->ch_size = size;
	}
	assert_true(patched > 0);
	rewind(stream);
	assert_int_equal(fwrite(bytes, 1, length, stream), length);
	fclose(stream);
	free(bytes);
}

/* Debug information of the tests must be worth packing. */
static void compile_packed(void)
{
	workshop_run(&shop,
		     "{ cat source.c; for i in $(seq 300); do echo \"struct s$i { int a_member_$i; } "
		     "v$i;\"; done; } >long.c && gcc -shared -fPIC -O1 -g -Wl,--build-id -o full long.c");
	workshop_run(&shop, "objcopy --compress-debug-sections=zlib full packed");
}

static void test_zstd(void **state)
{
	compile_packed();
	patch_compressed("packed", 2, 0);
	expect_name("packed", "zstd");
	/* The next source has it. */
	workshop_run(&shop, "objcopy --only-keep-debug full %s", workshop_build_id_path(&shop));
	workshop_look(&shop, "packed", &answer);
	assert_int_equal(answer.info.symbols, SYMBOLS_FULL);
	assert_int_not_equal(answer.line, 0);
	assert_string_equal(answer.info.why, "");
	/* And the other way round. */
	workshop_run(&shop,
		     "cp packed %s && strip -o plain full && objcopy --only-keep-debug full link.debug && "
		     "objcopy --add-gnu-debuglink=link.debug plain",
		     workshop_build_id_path(&shop));
	workshop_look(&shop, "plain", &answer);
	assert_int_equal(answer.info.symbols, SYMBOLS_FULL);
	assert_int_not_equal(answer.line, 0);
}

static void test_unpacking_bomb(void **state)
{
	compile_packed();
	patch_compressed("packed", ELFCOMPRESS_ZLIB, 1ull << 40);
	expect_name("packed", "unpack");
	patch_compressed("packed", ELFCOMPRESS_ZLIB, UINT64_MAX);
	expect_name("packed", "impossible");
}

/* ---- dwz ---- */

/* Two libraries with so much in common that dwz moves it out. */
static void make_dwz(const char *gcc_flags, const char *dwz_flags, const char *section)
{
	workshop_run(
		&shop,
		"{ for i in $(seq 200); do echo \"struct common_structure_$i { int member_number_$i; struct "
		"common_structure_$i *next; } ; extern struct common_structure_$i *variable_$i;\"; "
		"done; } >common.h");
	workshop_run(&shop,
		     "for i in 1 2; do { cat common.h source.c; for n in $(seq 200); do echo \"struct "
		     "common_structure_$n *variable_$n;\"; done; echo \"int only_$i;\"; } >part$i.c; gcc "
		     "-shared -fPIC -O1 -g %s -Wl,--build-id -o part$i part$i.c; done && cp part1 full",
		     gcc_flags);
	workshop_run(&shop,
		     "dwz %s -m common.dwz part1 part2 && readelf -SW part1 | grep '%s' && strip -g -o "
		     "minimal part1",
		     dwz_flags, section);
}

static void test_dwz(void **state)
{
	if (!workshop_has("dwz"))
		skip();
	make_dwz("-gdwarf-4", "", "gnu_debugaltlink");
	workshop_look(&shop, "part1", &answer);
	assert_string_equal(answer.info.why, "");
	assert_string_equal(answer.function, "secret");
	assert_int_equal(answer.info.symbols, SYMBOLS_FULL);
	assert_int_not_equal(answer.line, 0);
	/* As distributions have it. */
	workshop_run(&shop, "mkdir -p debug/.dwz && mv common.dwz debug/.dwz");
	workshop_look(&shop, "part1", &answer);
	assert_string_equal(answer.info.why, "");
	assert_string_equal(answer.function, "secret");
	workshop_run(&shop, "mv debug/.dwz/common.dwz gone");
	workshop_look(&shop, "part1", &answer);
	assert_non_null(strstr(answer.info.why, "dwz file"));
	assert_int_not_equal(answer.line, 0);
	/* Another one under its name. */
	workshop_run(&shop, "cp part2 debug/.dwz/common.dwz");
	workshop_look(&shop, "part1", &answer);
	assert_non_null(strstr(answer.info.why, "another build-id"));
}

/* DWARF 5's own way to say it. */
static void test_dwz_of_dwarf_5(void **state)
{
	if (!workshop_has("dwz"))
		skip();
	make_dwz("-gdwarf-5", "-5", ".debug_sup");
	workshop_look(&shop, "part1", &answer);
	assert_non_null(strstr(answer.info.why, ".debug_sup"));
	assert_int_equal(answer.info.symbols, SYMBOLS_FULL);
	assert_int_not_equal(answer.line, 0);
	assert_string_equal(answer.function, "secret");
}

/* ---- minidebuginfo ---- */

/* As Fedora makes it: the functions that .dynsym has not. */
static void make_mini(void)
{
	workshop_compile(&shop, "-Wl,--build-id=none");
	workshop_run(
		&shop,
		"nm -D full --format=posix --defined-only | awk '{print $1}' | sort >dynsyms && "
		"nm full --format=posix --defined-only | awk '{if ($2 == \"T\" || $2 == \"t\") print $1}' | "
		"sort >funcsyms && comm -13 dynsyms funcsyms >keep && "
		"objcopy --only-keep-debug full mini && "
		"objcopy -S --remove-section .gdb_index --remove-section .comment --keep-symbols=keep mini "
		"small && xz -k small && strip -o plain full");
}

static void pack_mini(const char *packed)
{
	workshop_run(&shop,
		     "objcopy --remove-section .gnu_debugdata plain with && "
		     "objcopy --add-section .gnu_debugdata=%s with",
		     packed);
}

static void test_minidebuginfo(void **state)
{
	make_mini();
	expect_nothing("plain", "");
	pack_mini("small.xz");
	expect_name("with", "");
	/* .dynsym's names stay. */
	workshop_run(&shop, "nm -D with | grep open_door");
}

static void test_damaged_minidebuginfo(void **state)
{
	make_mini();
	workshop_run(&shop, "head -c $(($(stat -c %%s small.xz) / 2)) small.xz >cut && "
			    "{ head -c 40 small.xz; head -c 200 /dev/zero; } >damaged && "
			    "head -c 100M /dev/zero | xz -1 >bomb && xz -k source.c && : >empty");
	pack_mini("cut");
	expect_nothing("with", "cut short");
	pack_mini("damaged");
	expect_nothing("with", "damaged");
	pack_mini("bomb");
	expect_nothing("with", "more than 64 MiB");
	pack_mini("source.c.xz");
	expect_nothing("with", "no ELF file");
	pack_mini("source.c");
	expect_nothing("with", "damaged");
	pack_mini("empty");
	expect_nothing("with", "minidebuginfo");
}

/* ---- split DWARF ---- */

static char dwo_why[120];

static int open_dwo(void *arg, const char *path)
{
	return debug_files_open_dwo(arg, path, dwo_why);
}

/* Whether libdw finds the other half of the file's unit. */
static bool find_split(const char *file)
{
	_cleanup_close_ int fd = open(workshop_path(&shop, file), O_RDONLY | O_CLOEXEC);
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	struct debug_module module = {.elf = elf, .id = 16, .asker = &shop.asker};
	Dwarf *dwarf = dwarf_begin_elf(elf, DWARF_C_READ, NULL);
	bool found = false;
	Dwarf_CU *unit = NULL;
	Dwarf_Die die, split;
	uint8_t type;

	shop.module = file;
	shop.asked = 0;
	dwo_why[0] = '\0';
	interpose_set(open_dwo, &module);
	while (dwarf_get_units(dwarf, unit, &unit, NULL, &type, &die, NULL) == 0) {
		memset(&split, 0, sizeof(split));
		if (type == DW_UT_skeleton &&
		    dwarf_cu_info(unit, NULL, NULL, NULL, &split, NULL, NULL, NULL) == 0 && split.addr)
			found |= dwarf_diename(&split) && strstr(dwarf_diename(&split), "source.c");
	}
	interpose_set(NULL, NULL);
	dwarf_end(dwarf);
	elf_end(elf);
	return found;
}

static void test_split(void **state)
{
	static const char *const flags[] = {"-gsplit-dwarf -gdwarf-5", "-gsplit-dwarf -gdwarf-4"};

	for (size_t i = 0; i < 2; i++) {
		workshop_compile(&shop, flags[i]);
		assert_true(find_split("full"));
		assert_string_equal(dwo_why, "");
		/* A file whose symbol table does not help. */
		workshop_run(&shop, "objcopy --strip-symbol=secret full nameless");
		expect_all("nameless");
		/* Beside a program that was moved together with it. */
		workshop_run(&shop, "mkdir -p moved && cp full nameless moved && mv *.dwo moved");
		assert_true(find_split("moved/full"));
		expect_all("moved/nameless");
		workshop_run(&shop, "rm moved/*.dwo");
		assert_false(find_split("moved/full"));
		assert_string_equal(dwo_why, "a .dwo file was not found");
		/* Lines are in the file itself, functions are not. */
		workshop_look(&shop, "moved/nameless", &answer);
		assert_string_equal(answer.info.why, "a .dwo file was not found");
		assert_string_not_equal(answer.function, "secret");
		assert_int_equal(answer.info.symbols, SYMBOLS_FULL);
	}
}

static void test_hostile_split(void **state)
{
	workshop_compile(&shop, "-gsplit-dwarf");
	workshop_run(&shop, "mkdir kept && mv *.dwo kept && for i in kept/*; do mkfifo $(basename $i); done");
	assert_false(find_split("full"));
	assert_non_null(strstr(dwo_why, "not a regular file"));
	workshop_run(&shop, "for i in kept/*; do rm $(basename $i); ln -s /dev/zero $(basename $i); done");
	assert_false(find_split("full"));
	workshop_run(&shop, "for i in kept/*; do rm $(basename $i); cp source.c $(basename $i); done");
	assert_false(find_split("full"));
	assert_string_equal(dwo_why, "no ELF file");
	workshop_run(&shop, "rm *.dwo; touch full.dwp");
	assert_false(find_split("full"));
	assert_non_null(strstr(dwo_why, ".dwp"));
}

/* ---- damaged debug files ---- */

/* With an alarm: a look that hangs ends by it. */
static int look_in_child(const char *file)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0) {
		alarm(10);
		workshop_look(&shop, file, &answer);
		_exit(answer.info.symbols > SYMBOLS_FULL);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

/* Its build-id is right, its rest is what a hostile package makes of it. A worker may die of it, and must not
 * hang. */
static void test_damaged_debug_files(void **state)
{
	_cleanup_free_ unsigned char *bytes = NULL;
	unsigned crashes = 0, random = 1;
	_cleanup_close_ int fd = -1;
	char path[600];
	struct stat status;

	workshop_compile(&shop, "-Wl,--build-id");
	workshop_strip(&shop);
	fd = open(workshop_path(&shop, "separate.debug"), O_RDONLY | O_CLOEXEC);
	assert_int_equal(fstat(fd, &status), 0);
	bytes = malloc((size_t)status.st_size);
	snprintf(path, sizeof(path), "%s", workshop_build_id_path(&shop));
	for (int round = 0; round < 150; round++) {
		int result;

		assert_int_equal(pread(fd, bytes, (size_t)status.st_size, 0), status.st_size);
		/* The first page has headers and build-id: it is spared every other time. */
		for (int i = 0; i < 1 + round % 20; i++) {
			random = random * 1103515245 + 12345;
			bytes[(round % 2 ? 0 : 1024) + random / 7 % ((unsigned)status.st_size - 1024)] =
				(unsigned char)(random >> 16);
		}
		workshop_write(&shop, path, bytes, (size_t)status.st_size >> (round % 10 == 9 ? 1 : 0));
		result = look_in_child("plain");
		if (WIFSIGNALED(result)) {
			assert_int_not_equal(WTERMSIG(result), SIGALRM);
			crashes++;
		} else {
			assert_int_equal(WEXITSTATUS(result), 0);
		}
	}
	print_message("# crashes: %u of 150\n", crashes);
}

/* It claims to be 64 GiB, and is empty. */
static void test_enormous_debug_file(void **state)
{
	make_link("-Wl,--build-id");
	workshop_run(&shop,
		     "truncate -s 64G separate.debug && cp separate.debug x --sparse=always && mv x %s",
		     workshop_build_id_path(&shop));
	assert_int_equal(look_in_child("plain"), 0);
	workshop_look(&shop, "plain", &answer);
	/* The one by build-id is the right one, however long; the one of the link cannot be checked. */
	assert_string_equal(answer.function, "secret");
	workshop_run(&shop, "rm %s", workshop_build_id_path(&shop));
	expect_nothing("plain", "too big to be checked");
}

/* All else passes, also while somebody waits for .dwo files. */
static void test_open_passes_through(void **state)
{
	struct debug_module module = {.id = 16, .asker = &shop.asker};
	struct stat status;
	int fd;

	interpose_set(open_dwo, &module);
	fd = open(workshop_path(&shop, "made"), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0640);
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	assert_int_equal(status.st_mode & 0777, 0640);
	close(fd);
	assert_int_equal(open(workshop_path(&shop, "gone"), O_RDONLY), -1);
	assert_int_equal(errno, ENOENT);
	fd = openat(AT_FDCWD, workshop_path(&shop, "made"), O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(shop.asked, 0);
	/* It is ours that libdw finds. */
	shop.module = "full";
	assert_int_equal(open("/nowhere/x.dwo", O_RDONLY), -1);
	assert_int_equal(shop.asked, 1);
	interpose_set(NULL, NULL);
	assert_int_equal(open("/nowhere/x.dwo", O_RDONLY), -1);
	assert_int_equal(shop.asked, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_build_id, start, finish),
		cmocka_unit_test_setup_teardown(test_build_id_of_eu_strip, start, finish),
		cmocka_unit_test_setup_teardown(test_wrong_build_id, start, finish),
		cmocka_unit_test_setup_teardown(test_link, start, finish),
		cmocka_unit_test_setup_teardown(test_wrong_checksum, start, finish),
		cmocka_unit_test_setup_teardown(test_link_to_another_program, start, finish),
		cmocka_unit_test_setup_teardown(test_own_sections, start, finish),
		cmocka_unit_test_setup_teardown(test_zstd, start, finish),
		cmocka_unit_test_setup_teardown(test_unpacking_bomb, start, finish),
		cmocka_unit_test_setup_teardown(test_dwz, start, finish),
		cmocka_unit_test_setup_teardown(test_dwz_of_dwarf_5, start, finish),
		cmocka_unit_test_setup_teardown(test_minidebuginfo, start, finish),
		cmocka_unit_test_setup_teardown(test_damaged_minidebuginfo, start, finish),
		cmocka_unit_test_setup_teardown(test_split, start, finish),
		cmocka_unit_test_setup_teardown(test_hostile_split, start, finish),
		cmocka_unit_test_setup_teardown(test_damaged_debug_files, start, finish),
		cmocka_unit_test_setup_teardown(test_enormous_debug_file, start, finish),
		cmocka_unit_test_setup_teardown(test_open_passes_through, start, finish),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
