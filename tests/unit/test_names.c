/* Names of files: this program's own functions, libc's, stripped and handmade files, damaged ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/elf.h"
#include "symbolizer/modules.h"
#include "symbolizer/ranges.h"
#include "symbolizer/segments.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODULE 16

static struct module_name name;

/* The file and the offset in it of an address of this process. */
static uint64_t locate(const void *pointer, char path[4096])
{
	uintptr_t address = (uintptr_t)pointer;
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
	char line[8192];

	while (fgets(line, sizeof(line), maps)) {
		unsigned long start, end, offset;
		int at = 0;

		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %n", &start, &end, &offset, &at) < 3 || !at ||
		    address < start || address >= end)
			continue;
		line[strcspn(line, "\n")] = '\0';
		snprintf(path, 4096, "%s", line + at);
		return address - start + offset;
	}
	fail_msg("%p is not mapped", pointer);
	return 0;
}

static struct symbolizer_modules *open_module(int fd, enum module_kind kind)
{
	struct symbolizer_modules *modules;

	assert_true(fd >= 0);
	assert_null(symbolizer_modules_create(&modules));
	assert_null(symbolizer_modules_add(modules, MODULE, kind, fd));
	return modules;
}

static void look_up(struct symbolizer_modules *modules, uint64_t offset)
{
	module_name_offset(symbolizer_modules_find(modules, MODULE), offset, &name);
}

/* ---- this program ---- */

static __attribute__((noinline)) const char *where_i_was_called(void)
{
	return __builtin_return_address(0);
}

static __attribute__((noinline)) const char *marked_function(unsigned *line)
{
	const char *place;

	*line = __LINE__ + 1;
	place = where_i_was_called();
	__asm__ volatile("" : : : "memory");
	return place;
}

static void test_own_functions(void **state)
{
	struct symbolizer_modules *modules =
		open_module(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), MODULE_KIND_FILE);
	char path[4096];
	struct info_message info;
	unsigned line;
	const char *place = marked_function(&line);

	module_open(symbolizer_modules_find(modules, MODULE), &info);
	assert_int_equal(info.symbols, SYMBOLS_FULL);
	assert_int_equal(info.module, MODULE);
	assert_string_equal(info.why, "");
	look_up(modules, locate(place, path) - 1);
	assert_string_equal(name.function, "marked_function");
	assert_int_equal(name.function_length, strlen("marked_function"));
	assert_int_equal(name.line, line);
	assert_non_null(strstr(name.file, "tests/unit/test_names.c"));
	assert_int_equal(name.flags, 0);
	look_up(modules, locate((void *)test_own_functions, path));
	assert_string_equal(name.function, "test_own_functions");
	/* From another source file: another unit. */
	look_up(modules, locate((void *)ranges_find, path) + 1);
	assert_string_equal(name.function, "ranges_find");
	assert_non_null(strstr(name.file, "symbolizer/ranges.c"));
	look_up(modules, 1ull << 47);
	assert_int_equal(name.function_length, 0);
	assert_int_equal(name.flags, 0);
	assert_true(name.start == 1ull << 47);
	symbolizer_modules_destroy(modules);
}

static void test_libc(void **state)
{
	static const char *const functions[] = {"malloc", "free",   "qsort", "printf",
						"calloc", "getenv", "fopen"};
	void *libc = dlopen("libc.so.6", RTLD_NOW | RTLD_NOLOAD);
	struct symbolizer_modules *modules;
	char path[4096];
	struct info_message info;

	assert_non_null(libc);
	locate(dlsym(libc, "qsort"), path);
	modules = open_module(open(path, O_RDONLY | O_CLOEXEC), MODULE_KIND_FILE);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		look_up(modules, locate(dlsym(libc, functions[i]), path));
		assert_string_equal(name.function, functions[i]);
		look_up(modules, locate(dlsym(libc, functions[i]), path) + 3);
		assert_string_equal(name.function, functions[i]);
	}
	module_open(symbolizer_modules_find(modules, MODULE), &info);
	assert_int_equal(info.build_id_length, 20);
	symbolizer_modules_destroy(modules);
	dlclose(libc);
}

/* The image of the vDSO in a memfd, as the probe hands it over. */
static void test_vdso(void **state)
{
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start = 0, end = 0, from, to;
	const Elf64_Ehdr *header;
	struct symbolizer_modules *modules;
	char line[8192];
	int fd = memfd_create("vdso", MFD_CLOEXEC);

	while (fgets(line, sizeof(line), maps)) {
		if (strstr(line, "[vdso]") && sscanf(line, "%lx-%lx", &from, &to) == 2) {
			start = from;
			end = to;
		}
	}
	if (!start) {
		print_message("no vDSO here\n");
		skip();
	}
	assert_int_equal(write(fd, (void *)start, end - start), end - start);
	header = (const void *)start;
	modules = open_module(fd, MODULE_KIND_VDSO);
	for (int i = 0; i < header->e_shnum; i++) {
		const Elf64_Shdr *section = (const void *)(start + header->e_shoff + sizeof(*section) * i);
		const Elf64_Shdr *strings;

		if (section->sh_type != SHT_DYNSYM)
			continue;
		strings = (const void *)(start + header->e_shoff + sizeof(*section) * section->sh_link);
		for (size_t s = 1; s < section->sh_size / sizeof(Elf64_Sym); s++) {
			const Elf64_Sym *symbol = (const Elf64_Sym *)(start + section->sh_offset) + s;
			const char *text = (const char *)start + strings->sh_offset + symbol->st_name;

			if (strcmp(text, "__vdso_clock_gettime") != 0)
				continue;
			look_up(modules, symbol->st_value + 5);
			assert_string_equal(name.function, "__vdso_clock_gettime");
			assert_true(name.start == symbol->st_value);
			symbolizer_modules_destroy(modules);
			return;
		}
	}
	fail_msg("the vDSO has no __vdso_clock_gettime");
}

/* ---- handmade files ---- */

#define TEXT_ADDRESS 0x401000
#define TEXT_OFFSET  0x1000
#define TEXT_SIZE    0x1000

struct handmade {
	unsigned char bytes[0x6000];
	size_t symbol_count, string_length, frame_length;
};

#define SYMBOLS_OFFSET	0x2000
#define STRINGS_OFFSET	0x3000
#define FRAME_OFFSET_	0x4000
#define SECTIONS_OFFSET 0x5000

static void add_symbol(struct handmade *file, const char *text, uint64_t start, uint64_t size, int binding,
		       int type)
{
	Elf64_Sym symbol = {
		.st_name = (Elf64_Word)file->string_length,
		.st_info = ELF64_ST_INFO(binding, type),
		.st_shndx = 1,
		.st_value = TEXT_ADDRESS + start,
		.st_size = size,
	};

	memcpy(file->bytes + SYMBOLS_OFFSET + sizeof(symbol) * file->symbol_count++, &symbol, sizeof(symbol));
	memcpy(file->bytes + STRINGS_OFFSET + file->string_length, text, strlen(text) + 1);
	file->string_length += strlen(text) + 1;
}

static void add_fde(struct handmade *file, uint64_t start, uint64_t length)
{
	static const unsigned char cie[24] = {20, 0, 0,	   0,  0, 0, 0,	 0, 1, 'z',  'R',
					      0,  1, 0x78, 16, 1, 0, 12, 7, 8, 0x90, 1};
	unsigned char *at = file->bytes + FRAME_OFFSET_;
	uint32_t word = 28;

	if (!file->frame_length) {
		memcpy(at, cie, sizeof(cie));
		file->frame_length = sizeof(cie);
	}
	at += file->frame_length;
	memcpy(at, &word, 4);
	word = (uint32_t)file->frame_length + 4;
	memcpy(at + 4, &word, 4);
	start += TEXT_ADDRESS;
	memcpy(at + 8, &start, 8);
	memcpy(at + 16, &length, 8);
	file->frame_length += 32;
}

static void start_file(struct handmade *file)
{
	memset(file, 0, sizeof(*file));
	file->symbol_count = 1;
	file->string_length = 1;
}

static struct symbolizer_modules *finish_file(struct handmade *file)
{
	static const char section_names[] = "\0.text\0.symtab\0.strtab\0.eh_frame\0.shstrtab";
	Elf64_Ehdr header = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = sizeof(Elf64_Ehdr),
		.e_shoff = SECTIONS_OFFSET,
		.e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr),
		.e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr),
		.e_shnum = 6,
		.e_shstrndx = 5,
	};
	Elf64_Phdr segment = {PT_LOAD,	    PF_R | PF_X, TEXT_OFFSET, TEXT_ADDRESS,
			      TEXT_ADDRESS, TEXT_SIZE,	 TEXT_SIZE,   0x1000};
	Elf64_Shdr sections[6] = {
		{0},
		{1, SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, TEXT_ADDRESS, TEXT_OFFSET, TEXT_SIZE, 0, 0, 16,
		 0},
		{7, SHT_SYMTAB, 0, 0, SYMBOLS_OFFSET, sizeof(Elf64_Sym) * file->symbol_count, 3, 1, 8,
		 sizeof(Elf64_Sym)},
		{15, SHT_STRTAB, 0, 0, STRINGS_OFFSET, file->string_length, 0, 0, 1, 0},
		{23, SHT_PROGBITS, SHF_ALLOC, 0x500000, FRAME_OFFSET_, file->frame_length, 0, 0, 8, 0},
		{33, SHT_STRTAB, 0, 0, SECTIONS_OFFSET + 0x800, sizeof(section_names), 0, 0, 1, 0},
	};
	int fd = memfd_create("handmade", MFD_CLOEXEC);

	memcpy(file->bytes, &header, sizeof(header));
	memcpy(file->bytes + sizeof(header), &segment, sizeof(segment));
	memcpy(file->bytes + SECTIONS_OFFSET, sections, sizeof(sections));
	memcpy(file->bytes + SECTIONS_OFFSET + 0x800, section_names, sizeof(section_names));
	assert_int_equal(write(fd, file->bytes, sizeof(file->bytes)), sizeof(file->bytes));
	return open_module(fd, MODULE_KIND_FILE);
}

static void expect(struct symbolizer_modules *modules, uint64_t at, const char *function, uint64_t start,
		   unsigned flags)
{
	look_up(modules, TEXT_OFFSET + at);
	assert_string_equal(name.function_length ? name.function : "", function);
	assert_true(name.start == TEXT_ADDRESS + start);
	assert_int_equal(name.flags, flags);
	assert_int_equal(name.line, 0);
}

static void test_symbol_choice(void **state)
{
	struct handmade file;
	struct symbolizer_modules *modules;
	struct info_message info;

	start_file(&file);
	/* Aliases: typed before untyped, sized before unsized, exported before local; underscores; length. */
	add_symbol(&file, "__local", 0x000, 0x10, STB_LOCAL, STT_FUNC);
	add_symbol(&file, "__libc_alloc", 0x000, 0x10, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "alloc", 0x000, 0x10, STB_WEAK, STT_FUNC);
	add_symbol(&file, "__global", 0x010, 0x10, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "global_longer", 0x010, 0x10, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "global", 0x010, 0x10, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "label", 0x010, 0, STB_GLOBAL, STT_NOTYPE);
	add_symbol(&file, "versioned@@V_2", 0x020, 0x10, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "versioned@V_1", 0x020, 0x10, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "selected", 0x030, 0x10, STB_GLOBAL, STT_GNU_IFUNC);
	/* Data and nameless ones are no code. */
	add_symbol(&file, "data", 0x040, 0x10, STB_GLOBAL, STT_OBJECT);
	add_symbol(&file, "", 0x048, 0x10, STB_GLOBAL, STT_FUNC);
	/* A gap after a sized symbol is not its own. */
	add_symbol(&file, "sized", 0x100, 0x20, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "label_in_sized", 0x108, 0, STB_LOCAL, STT_NOTYPE);
	add_symbol(&file, "inner", 0x110, 4, STB_LOCAL, STT_FUNC);
	/* Without a size: to the next symbol. */
	add_symbol(&file, "unsized", 0x200, 0, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "next", 0x240, 0x10, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "wraps", 0x300, UINT64_MAX - 0x10, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "ev\033il", 0x310, 0x10, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "f.part.0", 0x320, 0x10, STB_LOCAL, STT_FUNC);
	add_symbol(&file, "last", 0xf00, 0, STB_LOCAL, STT_NOTYPE);
	modules = finish_file(&file);
	module_open(symbolizer_modules_find(modules, MODULE), &info);
	assert_int_equal(info.symbols, SYMBOLS_MINIMAL);
	assert_int_equal(info.build_id_length, 0);
	expect(modules, 0x000, "alloc", 0x000, 0);
	expect(modules, 0x00f, "alloc", 0x000, 0);
	expect(modules, 0x010, "global", 0x010, 0);
	expect(modules, 0x020, "versioned", 0x020, 0);
	expect(modules, 0x03f, "selected", 0x030, 0);
	expect(modules, 0x048, "", 0x048, 0);
	expect(modules, 0x107, "sized", 0x100, 0);
	expect(modules, 0x109, "sized", 0x100, 0);
	expect(modules, 0x111, "inner", 0x110, 0);
	expect(modules, 0x114, "sized", 0x100, 0);
	expect(modules, 0x120, "", 0x120, 0);
	expect(modules, 0x23f, "unsized", 0x200, 0);
	expect(modules, 0x240, "next", 0x240, 0);
	expect(modules, 0x250, "", 0x250, 0);
	expect(modules, 0x300, "wraps", 0x300, 0);
	expect(modules, 0x310, "ev?il", 0x310, 0);
	expect(modules, 0x32f, "f.part.0", 0x320, 0);
	expect(modules, 0xfff, "last", 0xf00, 0);
	symbolizer_modules_destroy(modules);
}

static void test_fde_choice(void **state)
{
	struct handmade file;
	struct symbolizer_modules *modules;

	start_file(&file);
	add_symbol(&file, "sized", 0x000, 0x40, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "unsized", 0x100, 0, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "assembly", 0x300, 0, STB_GLOBAL, STT_FUNC);
	add_symbol(&file, "end", 0x400, 8, STB_GLOBAL, STT_FUNC);
	add_fde(&file, 0x000, 0x20);
	add_fde(&file, 0x020, 0x60); /* from 0x40 on it is not sized's */
	add_fde(&file, 0x100, 0x40);
	add_fde(&file, 0x140, 0x40);
	modules = finish_file(&file);
	expect(modules, 0x03f, "sized", 0x000, 0); /* a size is the symbol's word */
	expect(modules, 0x050, "", 0x020, NAME_FDE);
	expect(modules, 0x080, "", 0x080, 0);
	expect(modules, 0x13f, "unsized", 0x100, 0);
	expect(modules, 0x140, "", 0x140, NAME_FDE);  /* another FDE than the one that unsized starts in */
	expect(modules, 0x180, "", 0x180, 0);	      /* behind all FDEs: not unsized's either */
	expect(modules, 0x3ff, "assembly", 0x300, 0); /* no FDE at all */
	symbolizer_modules_destroy(modules);
}

static void test_foreign_files(void **state)
{
	static const char text[] = "#!/bin/sh\n";
	int fd = memfd_create("script", MFD_CLOEXEC);
	struct symbolizer_modules *modules;
	struct info_message info;
	struct handmade file;

	assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
	modules = open_module(fd, MODULE_KIND_FILE);
	module_open(symbolizer_modules_find(modules, MODULE), &info);
	assert_string_equal(info.why, "no ELF file");
	look_up(modules, 5);
	assert_int_equal(name.function_length, 0);
	symbolizer_modules_destroy(modules);
	modules = open_module(memfd_create("empty", MFD_CLOEXEC), MODULE_KIND_FILE);
	module_open(symbolizer_modules_find(modules, MODULE), &info);
	assert_string_equal(info.why, "no ELF file");
	symbolizer_modules_destroy(modules);
	start_file(&file);
	symbolizer_modules_destroy(finish_file(&file));
	file.bytes[offsetof(Elf64_Ehdr, e_machine)] = EM_ARM;
	fd = memfd_create("arm", MFD_CLOEXEC);
	assert_int_equal(write(fd, file.bytes, sizeof(file.bytes)), sizeof(file.bytes));
	modules = open_module(fd, MODULE_KIND_FILE);
	module_open(symbolizer_modules_find(modules, MODULE), &info);
	assert_string_equal(info.why, "not an ELF file for x86-64");
	symbolizer_modules_destroy(modules);
}

/* ---- a stripped copy of this program, against readelf ---- */

/* Each FDE that readelf prints: what lies in it has a dynamic symbol's name or the FDE's start. */
static size_t compare_frames(struct symbolizer_modules *modules, const struct segments *segments,
			     FILE *frames)
{
	size_t checked = 0;
	char line[512];

	while (fgets(line, sizeof(line), frames)) {
		const char *range = strstr(line, " FDE ") ? strstr(line, "pc=") : NULL;
		unsigned long start, end;
		uint64_t offset;

		if (!range || sscanf(range, "pc=%lx..%lx", &start, &end) != 2 || end - start < 2)
			continue;
		assert_true(segments_to_offset(segments, start, &offset));
		look_up(modules, offset);
		assert_true(name.start == start);
		if (name.function_length)
			continue;
		assert_int_equal(name.flags, NAME_FDE);
		look_up(modules, offset + (end - start) - 1);
		assert_true(name.start == start);
		assert_int_equal(name.flags, NAME_FDE);
		checked++;
	}
	return checked;
}

static void test_stripped(void **state)
{
	char path[] = "/tmp/test_names.XXXXXX", command[256];
	_cleanup_close_ int made = mkstemp(path);
	struct segments segments;
	struct symbolizer_modules *modules;
	struct info_message info;
	size_t checked;
	FILE *frames;
	Elf *elf;

	assert_true(made >= 0);
	snprintf(command, sizeof(command), "exec strip -s -o %s /proc/%d/exe 2>/dev/null", path, getpid());
	if (system(command) || access("/usr/bin/readelf", X_OK)) {
		unlink(path);
		print_message("no binutils\n");
		skip();
	}
	/* strip may have replaced the file. */
	modules = open_module(open(path, O_RDONLY | O_CLOEXEC), MODULE_KIND_FILE);
	snprintf(command, sizeof(command), "exec readelf --debug-dump=frames %s", path);
	frames = popen(command, "r");
	assert_non_null(frames);
	module_open(symbolizer_modules_find(modules, MODULE), &info);
	assert_int_equal(info.symbols, SYMBOLS_STRIPPED);
	elf = elf_begin(module_get_fd(symbolizer_modules_find(modules, MODULE)), ELF_C_READ_MMAP, NULL);
	assert_null(segments_init(elf, &segments));
	checked = compare_frames(modules, &segments, frames);
	pclose(frames);
	unlink(path);
	assert_true(checked > 20);
	segments_deinit(&segments);
	elf_end(elf);
	symbolizer_modules_destroy(modules);
}

/* ---- damaged files: whatever happens to the worker, it ends ---- */

struct image {
	unsigned char *bytes;
	size_t length;
};

static struct image read_image(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct image image;
	struct stat status;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &status), 0);
	image.length = (size_t)status.st_size;
	image.bytes = mmap(NULL, image.length, PROT_READ, MAP_PRIVATE, fd, 0);
	assert_true(image.bytes != MAP_FAILED);
	return image;
}

static void name_damaged(int fd)
{
	struct symbolizer_modules *modules;
	struct stat status;

	alarm(20);
	/* Crashes are the worker's lot: no noise about them. */
	dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
	if (fstat(fd, &status) || symbolizer_modules_create(&modules) ||
	    symbolizer_modules_add(modules, MODULE, MODULE_KIND_FILE, fd))
		_exit(1);
	for (off_t offset = 0; offset < status.st_size; offset += 1 + status.st_size / 400)
		look_up(modules, (uint64_t)offset);
	symbolizer_modules_destroy(modules);
	_exit(0);
}

/* Returns true when it crashed. */
static bool try_damaged(int fd)
{
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (child == 0)
		name_damaged(fd);
	close(fd);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_false(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM);
	return WIFSIGNALED(status) || WEXITSTATUS(status);
}

static int copy_image(const struct image *image, size_t length)
{
	int fd = memfd_create("damaged", MFD_CLOEXEC);
	size_t done = 0;

	while (done < length) {
		ssize_t got = write(fd, image->bytes + done, length - done);

		assert_true(got > 0);
		done += (size_t)got;
	}
	return fd;
}

static void test_truncated(void **state)
{
	struct image image = read_image("/proc/self/exe");
	unsigned crashes = 0;

	for (size_t i = 1; i <= 20; i++)
		crashes += try_damaged(copy_image(&image, image.length * i / 21));
	print_message("crashes: %u of 20\n", crashes);
	munmap(image.bytes, image.length);
}

static void test_mutated(void **state)
{
	struct image image = read_image("/proc/self/exe");
	unsigned crashes = 0;

	srandom(11);
	for (int round = 0; round < 100; round++) {
		int fd = copy_image(&image, image.length);

		for (int i = 0; i < 40; i++) {
			/* The headers are small and matter most: half of the damage goes there. */
			size_t span = i % 4 == 0 ? 4096 : i % 4 == 1 ? 2048 : image.length;
			size_t at = (size_t)random() % (span < image.length ? span : image.length);
			unsigned char byte = (unsigned char)random();

			if (i % 4 == 1)
				at = image.length - 1 - at;
			/* The identification stays, or all copies are only "no ELF file". */
			if (at >= EI_NIDENT)
				assert_int_equal(pwrite(fd, &byte, 1, (off_t)at), 1);
		}
		crashes += try_damaged(fd);
	}
	print_message("crashes: %u of 100\n", crashes);
	munmap(image.bytes, image.length);
}

/* ---- ranges ---- */

static void test_ranges(void **state)
{
	struct ranges ranges = {0};

	/* Against the definition: of the ranges that cover a byte, the one that starts last, then the
	 * shortest, then the one with the greatest value. */
	srandom(5);
	for (int round = 0; round < 300; round++) {
		struct range items[12];

		for (unsigned i = 0; i < 12; i++) {
			items[i].start = (uint64_t)random() % 250;
			items[i].end = items[i].start + (uint64_t)random() % (256 - items[i].start);
			items[i].value = i;
			assert_true(ranges_add(&ranges, items[i].start, items[i].end, i));
		}
		assert_true(ranges_flatten(&ranges));
		for (unsigned at = 0; at < 256; at++) {
			const struct range *found = ranges_find(&ranges, at), *best = NULL;

			for (unsigned i = 0; i < 12; i++) {
				const struct range *item = &items[i];

				if (at < item->start || at >= item->end)
					continue;
				if (!best || item->start > best->start ||
				    (item->start == best->start && item->end <= best->end))
					best = item;
			}
			assert_true(!best == !found);
			if (best)
				assert_int_equal(found->value, best->value);
		}
		ranges_deinit(&ranges);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ranges),	      cmocka_unit_test(test_own_functions),
		cmocka_unit_test(test_libc),	      cmocka_unit_test(test_vdso),
		cmocka_unit_test(test_symbol_choice), cmocka_unit_test(test_fde_choice),
		cmocka_unit_test(test_foreign_files), cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_truncated),     cmocka_unit_test(test_mutated),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
