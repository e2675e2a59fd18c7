/* Records a stack of a program that it starts itself, for tests/support/replay.h. Needs no root: it traces
 * its own child, which runs without an environment (none of it gets into a recording).
 *
 *   record_stack [-n STOP] [-s STEPS] [-a] FILE COMMAND [ARGUMENT…]
 *     -n  at the STOP-th int3 that the command executes (1), and
 *     -s  STEPS instructions later (0)
 *     -a  looks at the stack at each of these instructions, and records the first that is not complete, if
 * one is: then the exit status is 1. How the stacks ended is printed.
 */
#include "base/cleanup.h"
#include "bpf/modules.h"
#include "bpf/tables.h"
#include "profile/profile.h"
#include "symbolizer/cfi.h"
#include "tests/support/recording.h"
#include "tests/support/table_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

/* ---- the stopped program, as the walker sees it ---- */

static struct {
	pid_t pid;
	int memory_fd;
	struct target *target;
	struct modules *modules;
	struct mapping *mappings; /* of modules: the first is the header */
	size_t mapping_count;
	struct table_map tables[MODULE_LIMIT];
	bool is_built[MODULE_LIMIT];
	struct recording *recording; /* NULL: what is read is not kept */
} program;

static void *walk_get_mappings(void)
{
	return program.mappings;
}

static const void *walk_get_mapping(void *array, uint32_t index)
{
	return index <= program.mapping_count ? (struct mapping *)array + index : NULL;
}

static const uint32_t empty_table[TABLE_CHUNK_WORDS] = {
	TABLE_MAGIC, TABLE_CHUNK_WORDS, 0, 0, 8, 12, 1,
};

static void build_table(uint32_t module)
{
	_cleanup_close_ int vdso_fd = -1, memfd = -1;
	const struct target_module *found = modules_get(program.modules, module);
	int fd = found ? found->fd : -1;
	enum table_status status = TABLE_BAD;
	char why[CFI_WHY_LENGTH];

	if (module == MODULE_VDSO) {
		error_destroy(modules_open_vdso(&vdso_fd));
		fd = vdso_fd;
	}
	program.is_built[module] = true;
	if (fd < 0)
		return;
	error_destroy(cfi_build_table(fd, &memfd, &status, why, NULL));
	if (status == TABLE_OK && !table_map(memfd, &program.tables[module]))
		fprintf(stderr, "record_stack: cannot map a table\n");
	/* As the probe does it: a module without unwind information gets a table without pages. */
	if (status == TABLE_NO_EH_FRAME)
		program.tables[module].words = empty_table;
}

static void *walk_get_table(uint32_t module)
{
	if (!program.is_built[module])
		build_table(module);
	return (void *)program.tables[module].words;
}

static const uint32_t *walk_get_chunk(void *table, uint32_t chunk)
{
	if (chunk >= ((const struct table_header *)table)->words / TABLE_CHUNK_WORDS)
		return NULL;
	return (const uint32_t *)table + (size_t)chunk * TABLE_CHUNK_WORDS;
}

static void walk_count_missing(uint32_t module)
{
}

static uint64_t walk_get_exec_count(void)
{
	return 0;
}

static long read_memory(void *ret, uint32_t bytes, uint64_t address)
{
	if (pread(program.memory_fd, ret, bytes, (off_t)address) != (ssize_t)bytes) {
		memset(ret, 0, bytes);
		return -14;
	}
	if (program.recording && !recording_add_memory(program.recording, address, ret, bytes))
		abort(); /* out of memory */
	return 0;
}

static long walk_read_stack(__u64 *ret, uint32_t bytes, uint64_t address)
{
	return read_memory(ret, bytes, address);
}

static long walk_read_code(void *ret, uint32_t bytes, uint64_t address)
{
	return read_memory(ret, bytes, address);
}

static int walk_is_site(uint64_t frame)
{
	return 0;
}

static uint64_t walk_find_return(uint64_t low, uint64_t high, __u64 *ret_slot)
{
	return 0;
}

#include "bpf/unwind.bpf.h"

static struct walk walk;
static __u64 frames[WALK_FRAMES_MAX];

static void walk_now(const struct user_regs_struct *registers)
{
	struct walk_context context = {.walk = &walk, .frames = frames};

	walk_take_registers(&walk, registers);
	walk_start(&walk, registers->rip, registers->rsp, registers->rbp, 0);
	for (uint32_t i = 0; i < STACK_USER_MAX; i++)
		if (walk_step(i, &context))
			break;
}

static struct error *refresh_mappings(void)
{
	struct modules_change change;
	struct error *error = modules_refresh(program.modules, program.target, &change);

	if (error)
		return error;
	program.mappings = reallocarray(program.mappings, change.count + 1, sizeof(struct mapping));
	if (!program.mappings)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "mappings");
	memcpy(program.mappings + 1, change.mappings, change.count * sizeof(struct mapping));
	memset(program.mappings, 0, sizeof(struct mapping));
	((struct mapping_header *)program.mappings)->count = change.count;
	program.mapping_count = change.count;
	return NULL;
}

/* As kiln does it: a pc in no known mapping has them read again. */
static struct error *walk_with_mappings(const struct user_regs_struct *registers)
{
	struct error *error;

	walk_now(registers);
	if (!walk.unknown_pc)
		return NULL;
	error = refresh_mappings();
	if (!error)
		walk_now(registers);
	return error;
}

/* ---- recording ---- */

static const char *module_name(uint32_t module)
{
	const struct target_module *found = modules_get(program.modules, module);
	const char *slash = found ? strrchr(found->shown, '/') : NULL;

	if (found)
		return slash ? slash + 1 : found->shown;
	return module == MODULE_VDSO ? "[vdso]" : "[anonymous]";
}

/* Rules have numbers of their own in a recording: those of its pages, in the order of their rows. */
static bool record_rule(struct recorded_table *ret, const struct unwind_rule *rule, uint32_t *number)
{
	for (*number = 0; *number < ret->rules.count; (*number)++)
		if (!memcmp(&ret->rules.items[*number], rule, sizeof(*rule)))
			return true;
	return array_append(&ret->rules, *rule);
}

static bool record_page(struct recorded_table *ret, const uint32_t *words, uint32_t page)
{
	const struct table_header *header = (const void *)words;
	const struct unwind_rule *rules = (const void *)(words + header->rules_at);
	const uint32_t *index = words + header->pages_at + (page - header->first_page);
	struct recorded_page made = {.page = page};
	uint32_t rule;
	size_t at = 0;

	while (at < ret->pages.count && ret->pages.items[at].page < page)
		at++;
	if (at < ret->pages.count && ret->pages.items[at].page == page)
		return true;
	for (uint32_t row = index[0]; row < index[1]; row++) {
		if (row > index[0] && words[row] == words[row - 1])
			continue; /* what is left of a chunk */
		if (!record_rule(ret, &rules[TABLE_ROW_RULE(words[row])], &rule) ||
		    !array_append(&made.rows, TABLE_ROW(TABLE_ROW_OFFSET(words[row]), rule)))
			return false;
	}
	if (!array_reserve(&ret->pages, ret->pages.count + 1))
		return false;
	memmove(&ret->pages.items[at + 1], &ret->pages.items[at], (ret->pages.count - at) * sizeof(made));
	ret->pages.items[at] = made;
	ret->pages.count++;
	return true;
}

/* The pages where the frames were looked up; of a table that knows none of them its first. */
static bool record_table(struct recording *ret, uint32_t module, uint64_t offset)
{
	const uint32_t *words = walk_get_table(module);
	const struct table_header *header = (const void *)words;
	struct recorded_table *table = recording_find_table(ret, module);
	uint64_t page = (offset >> TABLE_PAGE_SHIFT);

	if (!words)
		return true;
	if (!table) {
		if (!array_append(&ret->tables, (struct recorded_table){.module = module}))
			return false;
		table = &ret->tables.items[ret->tables.count - 1];
		if (!array_append(&table->rules, (struct unwind_rule){.cfa = UNWIND_GAP}))
			return false;
	}
	if (page - header->first_page >= header->page_count)
		page = header->first_page;
	return !header->page_count || record_page(table, words, (uint32_t)page);
}

static bool record_walk(struct recording *ret, const struct user_regs_struct *registers)
{
	program.recording = ret;
	walk_now(registers);
	program.recording = NULL;
	ret->pc = registers->rip;
	memcpy(ret->registers, walk.registers, sizeof(ret->registers));
	/* A signal's frame has put others there. */
	walk_take_registers(ret, registers);
	ret->registers[6] = registers->rbp;
	ret->registers[7] = registers->rsp;
	ret->end = walk.end;
	for (uint32_t i = 0; i < walk.count; i++)
		if (!array_append(&ret->frames, frames[i]) ||
		    !record_table(ret, FRAME_MODULE(frames[i]), FRAME_OFFSET(frames[i]) - (i > 0)))
			return false;
	for (size_t i = 1; i <= program.mapping_count; i++) {
		char *name = strdup(module_name(program.mappings[i].module));

		if (!array_append(&ret->mappings, program.mappings[i]) || !array_append(&ret->names, name))
			return false;
	}
	memcpy(ret->mappings.items, program.mappings, sizeof(struct mapping));
	return true;
}

static struct error *record(const struct user_regs_struct *registers, const char *path)
{
	_cleanup_fclose_ FILE *file = fopen(path, "we");
	struct recording recording;
	bool is_written = file && recording_init(&recording);

	if (is_written) {
		is_written = record_walk(&recording, registers) && recording_write(file, &recording);
		recording_deinit(&recording);
	}
	return is_written ? NULL : error_create(ERROR_GENERAL, errno, NULL, "cannot write %s", path);
}

/* ---- tracing ---- */

/* Runs the program until its next stop that is none of its own signals. */
static struct error *go_on(enum __ptrace_request how)
{
	int status, signal = 0;

	do {
		if (ptrace(how, program.pid, 0, signal) || waitpid(program.pid, &status, 0) < 0)
			return error_create(ERROR_GENERAL, errno, NULL, "ptrace");
		if (!WIFSTOPPED(status))
			return error_create(ERROR_NO_TARGET, 0, NULL, "the command ended before");
		signal = WSTOPSIG(status);
	} while (signal != SIGTRAP);
	return NULL;
}

static struct error *start(char **argv)
{
	char *const no_environment[] = {NULL};
	char path[64];
	int status;

	program.pid = fork();
	if (program.pid == 0) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		execve(argv[0], argv, no_environment);
		_exit(127);
	}
	if (program.pid < 0 || waitpid(program.pid, &status, 0) < 0 || !WIFSTOPPED(status))
		return error_create(ERROR_NO_TARGET, errno, NULL, "cannot run %s", argv[0]);
	ptrace(PTRACE_SETOPTIONS, program.pid, 0, PTRACE_O_EXITKILL);
	snprintf(path, sizeof(path), "/proc/%d/mem", program.pid);
	program.memory_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (program.memory_fd < 0)
		return error_create(ERROR_PERMISSION, errno, NULL, "%s", path);
	return target_open(program.pid, &program.target);
}

static struct error *check_step(uint64_t counts[STACK_ENDS], const char *path, bool *ret_is_broken)
{
	struct user_regs_struct registers;
	struct error *error;

	ptrace(PTRACE_GETREGS, program.pid, 0, &registers);
	error = walk_with_mappings(&registers);
	if (error)
		return error;
	if (walk.end != STACK_COMPLETE && !*ret_is_broken) {
		*ret_is_broken = true;
		error = record(&registers, path);
	}
	counts[walk.end]++;
	return error;
}

static struct error *step_all(uint64_t steps, const char *path, bool *ret_is_broken)
{
	uint64_t counts[STACK_ENDS] = {0};
	struct error *error = NULL;

	for (uint64_t i = 0; i <= steps && !error; i++) {
		error = check_step(counts, path, ret_is_broken);
		if (!error)
			error = go_on(PTRACE_SINGLESTEP);
	}
	if (error && error_get_code(error) == ERROR_NO_TARGET) {
		error_destroy(error); /* to its end */
		error = NULL;
	}
	for (int end = 0; end < STACK_ENDS; end++)
		if (counts[end])
			printf("%s %" PRIu64 "\n", stack_end_names[end], counts[end]);
	return error;
}

static struct error *run(unsigned stops, uint64_t steps, bool is_all, char **argv, bool *ret_is_broken)
{
	struct user_regs_struct registers;
	struct error *error = modules_create(&program.modules);

	if (!error)
		error = start(argv + 1);
	for (unsigned i = 0; i < stops && !error; i++)
		error = go_on(PTRACE_CONT);
	if (!error)
		error = refresh_mappings();
	if (is_all && !error)
		return step_all(steps, argv[0], ret_is_broken);
	for (uint64_t i = 0; i < steps && !error; i++)
		error = go_on(PTRACE_SINGLESTEP);
	if (error)
		return error;
	ptrace(PTRACE_GETREGS, program.pid, 0, &registers);
	error = walk_with_mappings(&registers);
	if (error)
		return error;
	printf("%s %u frames\n", stack_end_names[walk.end], walk.count);
	return record(&registers, argv[0]);
}

int main(int argc, char **argv)
{
	bool is_all = false, is_broken = false;
	_cleanup_error_ struct error *error = NULL;
	uint64_t steps = 0;
	unsigned stops = 1;
	int option;

	while ((option = getopt(argc, argv, "+n:s:a")) != -1) {
		if (option == 'n')
			stops = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 's')
			steps = strtoull(optarg, NULL, 10);
		else if (option == 'a')
			is_all = true;
		else
			return 2;
	}
	if (argc - optind < 2) {
		fprintf(stderr, "usage: record_stack [-n STOP] [-s STEPS] [-a] FILE COMMAND [ARGUMENT…]\n");
		return 2;
	}
	error = run(stops, steps, is_all, argv + optind, &is_broken);
	if (error)
		fprintf(stderr, "record_stack: %s\n", error_get_message(error));
	return error ? 2 : is_broken;
}
