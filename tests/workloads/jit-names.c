/* A JIT that says what its code is called: "jit_outer" spins and calls "jit_inner", which spins and calls
 * back.
 *
 * argv[1]:
 *   map       writes /tmp/perf-PID.map before it begins
 *   late      writes it at SIGUSR1
 *   at-end    writes it at SIGUSR1, and ends at once
 *   growing   writes half of it before it begins, the rest at SIGUSR1
 *   dump DIR  writes DIR/jit-PID.dump and maps it; its lines are 10 (loop) and 11 (call) of jit.lang for the
 * outer function, 20 and 21 for the inner one none      writes nothing
 */
#include "jit.h"
#include "workload.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>

static unsigned char *inner, *outer, *end;

NOINLINE uint64_t called_back(uint64_t seed)
{
	return workload_burn(seed, 20000) + 3;
}

static void write_line(FILE *file, const unsigned char *from, const unsigned char *to, const char *name)
{
	fprintf(file, "%lx %lx %s\n", (unsigned long)from, (unsigned long)(to - from), name);
}

static void write_map(int with_inner, int with_outer)
{
	char path[64];
	FILE *file;

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", (int)getpid());
	file = fopen(path, "a");
	if (!file)
		exit(1);
	if (with_inner)
		write_line(file, inner, outer, "jit_inner");
	if (with_outer)
		write_line(file, outer, end, "LazyCompile:*jit_outer a.js:1");
	fclose(file);
}

/* ---- jitdump ---- */

static void put_u32(FILE *file, uint32_t value)
{
	fwrite(&value, sizeof(value), 1, file);
}

static void put_u64(FILE *file, uint64_t value)
{
	fwrite(&value, sizeof(value), 1, file);
}

static void put_record(FILE *file, uint32_t id, size_t behind_head)
{
	put_u32(file, id);
	put_u32(file, (uint32_t)(16 + behind_head));
	put_u64(file, 1);
}

static void put_row(FILE *file, const unsigned char *at, uint32_t line, const char *name)
{
	put_u64(file, (uint64_t)at);
	put_u32(file, line);
	put_u32(file, 0);
	fwrite(name, strlen(name) + 1, 1, file);
}

static void put_function(FILE *file, const unsigned char *from, const unsigned char *to, const char *name,
			 uint32_t line)
{
	static const char source[] = "/src/jit.lang";

	put_record(file, 2, 16 + 16 + sizeof(source) + 16 + 2);
	put_u64(file, (uint64_t)from);
	put_u64(file, 2);
	put_row(file, from, line, source);
	put_row(file, from + JIT_LOOP_END, line + 1, "\xff");
	put_record(file, 0, 40 + strlen(name) + 1 + (size_t)(to - from));
	put_u32(file, (uint32_t)getpid());
	put_u32(file, (uint32_t)getpid());
	put_u64(file, (uint64_t)from);
	put_u64(file, (uint64_t)from);
	put_u64(file, (uint64_t)(to - from));
	put_u64(file, line);
	fwrite(name, strlen(name) + 1, 1, file);
	fwrite(from, (size_t)(to - from), 1, file);
}

static void write_dump(const char *directory)
{
	char path[4096];
	FILE *file;

	snprintf(path, sizeof(path), "%s/jit-%d.dump", directory, (int)getpid());
	file = fopen(path, "w+");
	if (!file)
		exit(1);
	put_u32(file, 0x4a695444);
	put_u32(file, 1);
	put_u32(file, 40);
	put_u32(file, EM_X86_64);
	put_u32(file, 0);
	put_u32(file, (uint32_t)getpid());
	put_u64(file, 1);
	put_u64(file, 0);
	fflush(file);
	/* So that profilers find it. */
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fileno(file), 0) == MAP_FAILED)
		exit(1);
	put_function(file, inner, outer, "jit_inner", 20);
	put_function(file, outer, end, "jit_outer", 10);
	fclose(file);
}

/* ---- all ---- */

static void before(const char *mode, char **argv)
{
	if (!strcmp(mode, "map"))
		write_map(1, 1);
	else if (!strcmp(mode, "growing"))
		write_map(1, 0);
	else if (!strcmp(mode, "dump"))
		write_dump(argv[2]);
}

static void at_signal(const char *mode)
{
	if (!strcmp(mode, "late") || !strcmp(mode, "at-end"))
		write_map(1, 1);
	else if (!strcmp(mode, "growing"))
		write_map(0, 1);
	if (!strcmp(mode, "at-end"))
		exit(0);
	workload_say("written");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "none";
	int phase = 0;
	uint64_t (*call)(uint64_t seed);

	inner = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (inner == MAP_FAILED)
		return 1;
	outer = jit_put_function(inner, (void *)called_back, 1);
	end = jit_put_function(outer, inner, 1);
	if (mprotect(inner, 4096, PROT_READ | PROT_EXEC))
		return 1;
	call = (uint64_t(*)(uint64_t))outer;
	workload_start();
	before(mode, argv);
	workload_say("ready");
	for (;;) {
		workload_sink = call(workload_sink);
		if (workload_phase != phase) {
			phase = workload_phase;
			at_signal(mode);
		}
	}
}
