/* Unwind tables of real modules: the format's invariants, rules at places where they are known, and a walk of
 * our own stack that has to find what libgcc finds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "symbolizer/cfi.h"
#include "symbolizer/segments.h"
#include "tests/support/table_lookup.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <gelf.h>
#include <gnu/libc-version.h>
#include <link.h>
#include <signal.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>
#include <unwind.h>

/* One module with its table. */
struct module {
	int fd;
	enum table_status status;
	char why[CFI_WHY_LENGTH];
	struct cfi_figures figures;
	struct segments segments;
	struct table_map table;
};

static void module_build(int fd, struct module *ret)
{
	_cleanup_close_ int memfd = -1;
	const char *broken;
	Elf *elf;

	*ret = (struct module){.fd = fd};
	assert_true(fd >= 0);
	assert_null(cfi_build_table(fd, &memfd, &ret->status, ret->why, &ret->figures));
	if (ret->status != TABLE_OK) {
		assert_int_equal(memfd, -1);
		assert_string_not_equal(ret->why, "");
		return;
	}
	assert_string_equal(ret->why, "");
	assert_true(table_map(memfd, &ret->table));
	broken = table_check_file(ret->table.words, ret->table.count);
	assert_string_equal(broken ?: "good", "good");
	elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	assert_null(segments_init(elf, &ret->segments));
	elf_end(elf);
}

static void module_close(struct module *module)
{
	table_unmap(&module->table);
	segments_deinit(&module->segments);
	if (module->fd >= 0)
		close(module->fd);
}

static struct unwind_rule rule_at(const struct module *module, uint64_t address)
{
	uint64_t offset;

	assert_true(segments_to_offset(&module->segments, address, &offset));
	return table_lookup(module->table.words, offset);
}

static void assert_cfa(struct unwind_rule rule, enum unwind_cfa cfa, int32_t offset)
{
	assert_int_equal(rule.cfa, cfa);
	assert_int_equal(rule.cfa_offset, offset);
}

/* The path and load address of the loaded object that has this address. */
static const struct link_map *object_of(const void *address)
{
	struct link_map *map = NULL;
	Dl_info info;

	assert_true(dladdr1(address, &info, (void **)&map, RTLD_DL_LINKMAP));
	return map;
}

static int object_open(const struct link_map *map)
{
	return open(*map->l_name ? map->l_name : "/proc/self/exe", O_RDONLY | O_CLOEXEC);
}

static int vdso_open(size_t *ret_length)
{
	const char *image = (const char *)getauxval(AT_SYSINFO_EHDR);
	const Elf64_Ehdr *header = (const Elf64_Ehdr *)image;
	size_t length;
	int fd;

	if (!image)
		return -1;
	length = header->e_shoff + (size_t)header->e_shnum * header->e_shentsize;
	fd = memfd_create("vdso", MFD_CLOEXEC);
	assert_int_equal(write(fd, image, length), length);
	*ret_length = length;
	return fd;
}

/* ---- modules ---- */

static void assert_table(const struct module *module, uint32_t rows_at_least)
{
	assert_int_equal(module->status, TABLE_OK);
	assert_true(module->figures.rows >= rows_at_least);
	assert_true(module->figures.fdes > 0);
	assert_int_equal(module->figures.refused_fdes, 0);
	assert_int_equal(module->figures.refused_rules, 0);
}

static void test_libc(void **state)
{
	const struct link_map *map = object_of(strtol);
	struct module module;
	/* A function that makes no frame before its first push: its first byte has the call's CFA. */
	uint64_t address = (uint64_t)dlsym(RTLD_DEFAULT, "qsort") - map->l_addr;

	module_build(object_open(map), &module);
	assert_table(&module, 10000);
	assert_cfa(rule_at(&module, address), UNWIND_CFA_RSP, 8);
	module_close(&module);
}

/* Hand-written code: what no compiler makes. */
struct rare_rows {
	unsigned signals, in_register, unsupported;
};

static void count_rare(void *arg, uint64_t offset, const struct unwind_rule *rule)
{
	struct rare_rows *rare = arg;

	if (rule->cfa == UNWIND_SIGNAL) {
		rare->signals++;
		/* uc_mcontext is 40 bytes into the ucontext, which rsp points at. */
		assert_int_equal(rule->cfa_offset, 40);
	}
	if (rule->cfa == UNWIND_FULL && rule->ra == UNWIND_RA_IN_REGISTER)
		rare->in_register++;
	rare->unsupported += rule->cfa == UNWIND_UNSUPPORTED;
}

static void test_rare_rows_of_libc(void **state)
{
	struct rare_rows rare = {0};
	struct module module;

	/* (A sanitizer puts its own strtol before libc's.) */
	module_build(object_open(object_of(gnu_get_libc_version)), &module);
	table_walk(module.table.words, count_rare, &rare);
	assert_int_equal(rare.signals, 1);	  /* __restore_rt */
	assert_in_range(rare.in_register, 3, 20); /* vfork's two, __longjmp's */
	assert_in_range(rare.unsupported, 0, 1);  /* setcontext: its rsp is saved in memory */
	assert_in_range(module.figures.unsupported_rows, rare.unsupported, 1);
	module_close(&module);
}

/* What the table says of __restore_rt, asked of a real signal. */
static ptrdiff_t gregs_from_return;

static void on_signal(int number, siginfo_t *info, void *context)
{
	const ucontext_t *interrupted = context;

	/* Our CFA is what rsp is when we have returned to the restorer. */
	gregs_from_return =
		(const char *)interrupted->uc_mcontext.gregs - (const char *)__builtin_dwarf_cfa();
}

static void test_signal_frame_is_where_the_table_says(void **state)
{
	const struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
	struct sigaction before;

	assert_int_equal(sigaction(SIGUSR1, &action, &before), 0);
	assert_int_equal(raise(SIGUSR1), 0);
	sigaction(SIGUSR1, &before, NULL);
	assert_int_equal(gregs_from_return, 40); /* as count_rare() has it of the table */
}

static void test_loader(void **state)
{
	struct module module;

	module_build(object_open(object_of((void *)getauxval(AT_BASE))), &module);
	assert_table(&module, 1000);
	assert_int_equal(module.figures.unsupported_rows, 0);
	module_close(&module);
}

static void test_libstdcxx(void **state)
{
	void *library = dlopen("libstdc++.so.6", RTLD_NOW);
	struct link_map *map;
	struct module module;

	if (!library) {
		print_message("skipped: libstdc++.so.6 is not installed\n");
		skip();
	}
	assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
	module_build(object_open(map), &module);
	assert_table(&module, 10000);
	assert_int_equal(module.figures.unsupported_rows, 0);
	module_close(&module);
	dlclose(library);
}

static void test_vdso(void **state)
{
	size_t length = 0;
	int fd = vdso_open(&length);
	struct module module;

	if (fd < 0) {
		print_message("skipped: this process has no vDSO\n");
		skip();
	}
	module_build(fd, &module);
	assert_table(&module, 5);
	assert_int_equal(module.figures.unsupported_rows, 0);
	module_close(&module);
}

__attribute__((noinline)) static int some_function(int value)
{
	__asm__ volatile("" : "+r"(value));
	return value + 1;
}

static void test_own_program(void **state)
{
	const struct link_map *map = object_of(some_function);
	struct module module;
	Elf64_Ehdr header;

	module_build(open("/proc/self/exe", O_RDONLY | O_CLOEXEC), &module);
	assert_table(&module, 100);
	assert_int_equal(pread(module.fd, &header, sizeof(header), 0), sizeof(header));
	/* _start: nobody called it. */
	assert_int_equal(rule_at(&module, header.e_entry + 4).cfa, UNWIND_ROOT);
	assert_cfa(rule_at(&module, (uint64_t)some_function - map->l_addr), UNWIND_CFA_RSP, 8);
	assert_int_equal(some_function(1), 2);
	module_close(&module);
}

/* ---- a walk ---- */

#define WALK_MODULES_MAX 64
#define WALK_FRAMES_MAX	 200

struct walk_module {
	uint64_t begin, end; /* of its executable segments, in memory */
	uint64_t bias;
	struct module module;
};

struct walker {
	struct walk_module modules[WALK_MODULES_MAX];
	size_t count;
};

static int walker_add(struct dl_phdr_info *info, size_t size, void *arg)
{
	struct walker *walker = arg;
	struct walk_module *module = &walker->modules[walker->count];

	if (walker->count == WALK_MODULES_MAX || (*info->dlpi_name && *info->dlpi_name != '/'))
		return 0; /* the vDSO has no path */
	*module = (struct walk_module){.begin = UINT64_MAX, .bias = info->dlpi_addr};
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		uint64_t begin = info->dlpi_addr + header->p_vaddr;

		if (header->p_type != PT_LOAD || !(header->p_flags & PF_X))
			continue;
		if (begin < module->begin)
			module->begin = begin;
		if (begin + header->p_filesz > module->end)
			module->end = begin + header->p_filesz;
	}
	module_build(open(*info->dlpi_name ? info->dlpi_name : "/proc/self/exe", O_RDONLY | O_CLOEXEC),
		     &module->module);
	walker->count++;
	return 0;
}

static struct unwind_rule walker_rule(const struct walker *walker, uint64_t pc)
{
	for (size_t i = 0; i < walker->count; i++) {
		const struct walk_module *module = &walker->modules[i];

		if (pc >= module->begin && pc < module->end && module->module.status == TABLE_OK)
			return rule_at(&module->module, pc - module->bias);
	}
	return (struct unwind_rule){.cfa = UNWIND_GAP};
}

/* As the kernel's walker does it: the leaf's pc is exact, the others are looked up at pc - 1. */
static size_t walk(const struct walker *walker, uint64_t pc, uint64_t rsp, uint64_t rbp, uint64_t *ret_pcs,
		   enum unwind_cfa *ret_end)
{
	size_t count = 0;

	while (count < WALK_FRAMES_MAX) {
		struct unwind_rule rule = walker_rule(walker, count ? pc - 1 : pc);
		uint64_t cfa;

		ret_pcs[count++] = pc;
		*ret_end = rule.cfa;
		if (rule.cfa != UNWIND_CFA_RSP && rule.cfa != UNWIND_CFA_RBP)
			break;
		cfa = (rule.cfa == UNWIND_CFA_RSP ? rsp : rbp) + (uint64_t)(int64_t)rule.cfa_offset;
		assert_true(cfa > rsp);
		if (rule.rbp == UNWIND_RBP_AT_CFA)
			rbp = *(uint64_t *)(cfa + (uint64_t)(int64_t)rule.rbp_offset);
		pc = *(uint64_t *)(cfa - 8);
		rsp = cfa;
	}
	return count;
}

struct both_walks {
	const struct walker *walker;
	uint64_t pcs[WALK_FRAMES_MAX];
	uint64_t expected[WALK_FRAMES_MAX];
	size_t count, expected_count;
	enum unwind_cfa end;
};

/* libgcc's unwinder, which is a third implementation. (Sanitizers replace backtrace(3), with a frame of
 * theirs.) */
static _Unwind_Reason_Code expect_frame(struct _Unwind_Context *context, void *arg)
{
	struct both_walks *walks = arg;

	/* It reports a last frame at 0 behind the root. */
	if (_Unwind_GetIP(context) && walks->expected_count < WALK_FRAMES_MAX)
		walks->expected[walks->expected_count++] = _Unwind_GetIP(context);
	return _URC_NO_REASON;
}

/* The first frame of both is this function, at different places. */
__attribute__((noinline)) static void walk_here(struct both_walks *walks)
{
	uint64_t pc, rsp, rbp;

	__asm__ volatile("lea 0(%%rip), %0\n\tmov %%rsp, %1\n\tmov %%rbp, %2"
			 : "=&r"(pc), "=&r"(rsp), "=r"(rbp));
	walks->count = walk(walks->walker, pc, rsp, rbp, walks->pcs, &walks->end);
	_Unwind_Backtrace(expect_frame, walks);
	__asm__ volatile("" ::: "memory"); /* no tail call: this frame has to be there */
}

__attribute__((noinline)) static int walk_from_qsort(const void *left, const void *right, void *arg)
{
	struct both_walks *walks = arg;

	if (!walks->count)
		walk_here(walks);
	return *(const int *)left - *(const int *)right;
}

static void test_walk_own_stack(void **state)
{
	struct walker *walker = calloc(1, sizeof(*walker));
	struct both_walks walks = {.walker = walker};
	int numbers[] = {3, 1, 2};

	dl_iterate_phdr(walker_add, walker);
	qsort_r(numbers, 3, sizeof(*numbers), walk_from_qsort, &walks);
	assert_int_equal(walks.end, UNWIND_ROOT);
	assert_in_range(walks.count, 6, WALK_FRAMES_MAX - 1);
	assert_int_equal(walks.count, walks.expected_count);
	for (size_t i = 1; i < walks.count; i++)
		assert_int_equal(walks.pcs[i], walks.expected[i]);
	for (size_t i = 0; i < walker->count; i++)
		module_close(&walker->modules[i].module);
	free(walker);
}

/* ---- the PLT ---- */

static const char lazy_source[] =
	"#include <stdio.h>\n#include <stdlib.h>\n#include <time.h>\n"
	"int main(void) { puts(\"\"); printf(\"%d\\n\", rand()); return (int)time(0); }\n";

/* A program with a lazily bound .plt; false when there is no compiler here. */
static bool compile_lazy(char path[], const char *protection)
{
	char command[512];
	FILE *pipe;
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	snprintf(command, sizeof(command),
		 "command -v gcc >/dev/null || exit 1; exec gcc -x c -O2 %s -Wl,-z,lazy -o %s -", protection,
		 path);
	pipe = popen(command, "w");
	assert_non_null(pipe);
	fputs(lazy_source, pipe);
	return !pclose(pipe);
}

static bool find_section(int fd, const char *wanted, GElf_Shdr *ret)
{
	Elf *elf = elf_begin(fd, ELF_C_READ_MMAP, NULL);
	Elf_Scn *section = NULL;
	bool found = false;
	size_t names;

	assert_int_equal(elf_getshdrstrndx(elf, &names), 0);
	while (!found && (section = elf_nextscn(elf, section))) {
		gelf_getshdr(section, ret);
		found = !strcmp(elf_strptr(elf, names, ret->sh_name), wanted);
	}
	elf_end(elf);
	return found;
}

/* threshold: the byte of a slot from which its push has been done. */
static void assert_plt(const char *protection, uint64_t threshold)
{
	char path[] = "/tmp/kiln-test-plt-XXXXXX";
	bool compiled = compile_lazy(path, protection);
	struct module module;
	GElf_Shdr plt;

	if (!compiled) {
		unlink(path);
		print_message("skipped: no gcc\n");
		skip();
	}
	module_build(open(path, O_RDONLY | O_CLOEXEC), &module);
	unlink(path);
	assert_int_equal(module.status, TABLE_OK);
	assert_true(find_section(module.fd, ".plt", &plt));
	assert_true(plt.sh_size >= 4 * 16);
	/* The first slot is the common part: it has pushed once more than what jumps to it. */
	assert_cfa(rule_at(&module, plt.sh_addr), UNWIND_CFA_RSP, 16);
	assert_cfa(rule_at(&module, plt.sh_addr + 6), UNWIND_CFA_RSP, 24);
	for (uint64_t slot = plt.sh_addr + 16; slot < plt.sh_addr + plt.sh_size; slot += 16) {
		assert_cfa(rule_at(&module, slot), UNWIND_CFA_RSP, 8);
		assert_cfa(rule_at(&module, slot + threshold - 1), UNWIND_CFA_RSP, 8);
		assert_cfa(rule_at(&module, slot + threshold), UNWIND_CFA_RSP, 16);
		assert_cfa(rule_at(&module, slot + 15), UNWIND_CFA_RSP, 16);
	}
	module_close(&module);
}

static void test_lazy_plt(void **state)
{
	assert_plt("-fcf-protection=none", 11);
}

static void test_lazy_plt_with_ibt(void **state)
{
	assert_plt("-fcf-protection=full -Wl,-z,ibtplt", 9);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_libc),
		cmocka_unit_test(test_rare_rows_of_libc),
		cmocka_unit_test(test_signal_frame_is_where_the_table_says),
		cmocka_unit_test(test_loader),
		cmocka_unit_test(test_libstdcxx),
		cmocka_unit_test(test_vdso),
		cmocka_unit_test(test_own_program),
		cmocka_unit_test(test_walk_own_stack),
		cmocka_unit_test(test_lazy_plt),
		cmocka_unit_test(test_lazy_plt_with_ibt),
	};

	elf_version(EV_CURRENT);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
