#include "bpf/collector.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "bpf/cpu.skel.h"
#include "bpf/limits.h"
#include "bpf/ring.h"
#include "bpf/tables.h"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define RING_BYTES_MIN (1u << 20)
#define RING_BYTES_MAX (64u << 20)
/* The reader may be away for so long (a slow disk, a stopped terminal) … */
#define RING_SECONDS 2
/* … at so many bytes a sample: 24 and about 120 frames. */
#define RING_BYTES_PER_SAMPLE 1024
#define CONTROL_BYTES	      (64u << 10)
#define MISSING_BYTES	      (MODULE_LIMIT * sizeof(uint64_t))

struct collector {
	struct cpu_programs *programs;
	struct sampler *sampler;
	struct ring *control;
	const struct target_life *life; /* mapped */
	const uint64_t *missing;	/* by module id; mapped */
	struct sampler_options sampler_options;
	size_t ring_bytes;
	unsigned cpus;
	uint64_t generation; /* of the mappings */
	/* tables that are loaded, but not published */
	ARRAY(uint32_t)
	queued_modules;
	ARRAY(int)
	queued_tables;
	int gone_table; /* for those that go; -1: none was needed yet */
};

static void collector_drop_queue(struct collector *collector)
{
	for (size_t i = 0; i < collector->queued_tables.count; i++)
		close(collector->queued_tables.items[i]);
	collector->queued_tables.count = 0;
	collector->queued_modules.count = 0;
}

void collector_destroy(struct collector *collector)
{
	if (!collector)
		return;
	sampler_destroy(collector->sampler);
	ring_destroy(collector->control);
	if (collector->life)
		munmap((void *)collector->life, sizeof(*collector->life));
	if (collector->missing)
		munmap((void *)collector->missing, MISSING_BYTES);
	cpu_programs__destroy(collector->programs);
	collector_drop_queue(collector);
	cleanup_close(&collector->gone_table);
	array_deinit(&collector->queued_tables);
	array_deinit(&collector->queued_modules);
	free(collector);
}

static void cleanup_collector(struct collector **collector)
{
	collector_destroy(*collector);
}

/* ---- what libbpf says ---- */

/* libbpf has one printer for the whole process. */
static struct {
	bool is_verbose;
	char last[256]; /* the warning that explains the most */
} said;

/* The line of a verifier log that says what was wrong is the last one before its statistics. */
static void said_keep_verifier(char *text)
{
	char *end = strstr(text, "\nprocessed "), *line;

	if (!end)
		return;
	*end = '\0';
	line = strrchr(text, '\n');
	snprintf(said.last, sizeof(said.last), "%s", line ? line + 1 : text);
}

static int said_print(enum libbpf_print_level level, const char *format, va_list args)
{
	_cleanup_free_ char *text = NULL;

	if (level == LIBBPF_DEBUG && !said.is_verbose)
		return 0;
	if (vasprintf(&text, format, args) < 0) {
		text = NULL;
		return 0;
	}
	if (said.is_verbose)
		fputs(text, stderr);
	if (level != LIBBPF_WARN)
		return 0;
	if (strstr(text, "PROG LOAD LOG")) {
		said_keep_verifier(text);
	} else if (!said.last[0]) {
		text[strcspn(text, "\n")] = '\0';
		snprintf(said.last, sizeof(said.last), "%s", text);
	}
	return 0;
}

static void said_start(bool is_verbose)
{
	memset(&said, 0, sizeof(said));
	said.is_verbose = is_verbose;
	libbpf_set_print(said_print);
}

/* ---- why it did not work ---- */

static bool has_capability(cap_value_t capability)
{
	cap_flag_value_t value = CAP_CLEAR;
	cap_t set = cap_get_proc();

	if (set)
		cap_get_flag(set, capability, CAP_EFFECTIVE, &value);
	cap_free(set);
	return value == CAP_SET;
}

/* The capability without which nothing here works, or NULL. SYS_ADMIN stands for both (capabilities(7)). */
static const char *missing_capability(void)
{
	if (has_capability(CAP_SYS_ADMIN))
		return NULL;
	if (!has_capability(CAP_BPF))
		return "CAP_BPF";
	if (!has_capability(CAP_PERFMON))
		return "CAP_PERFMON";
	return NULL;
}

/* What the kernel lacks, or NULL. */
static const char *missing_feature(void)
{
	struct btf *btf = btf__load_vmlinux_btf();

	if (!btf)
		return "type information of its own (CONFIG_DEBUG_INFO_BTF)";
	btf__free(btf);
	if (libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_PERF_EVENT, NULL) == 0)
		return "BPF programs on perf events";
	if (libbpf_probe_bpf_map_type(BPF_MAP_TYPE_RINGBUF, NULL) == 0)
		return "BPF ring buffers";
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_loop, NULL) == 0)
		return "the BPF helper bpf_loop";
	if (libbpf_probe_bpf_helper(BPF_PROG_TYPE_PERF_EVENT, BPF_FUNC_task_pt_regs, NULL) == 0)
		return "the BPF helper bpf_task_pt_regs";
	return NULL;
}

static struct error *explain(int failure, const char *what)
{
	const char *missing = missing_capability();
	struct error *error;

	/* The verifier says EACCES for programs that it does not like: only EPERM is about rights for sure.
	 */
	if (missing && (failure == EPERM || failure == EACCES))
		return error_create(ERROR_PERMISSION, failure, "run kiln as root, or see `kiln doctor`",
				    "%s: %s is missing", what, missing);
	if (failure == EPERM)
		return error_create(ERROR_PERMISSION, failure,
				    "a container's seccomp filter or the kernel's lockdown forbids bpf(2)",
				    "%s", what);
	said_start(false); /* the probes below fail by design */
	missing = missing_feature();
	if (missing)
		return error_create(ERROR_UNSUPPORTED, 0, "kiln needs Linux 5.17 or newer, with BTF",
				    "%s: this kernel lacks %s", what, missing);
	error = error_create(ERROR_GENERAL, failure, "run with -v for all that libbpf says", "%s", what);
	return error;
}

static struct error *explain_load(int failure)
{
	char last[sizeof(said.last)];
	struct error *error;

	memcpy(last, said.last, sizeof(last));
	error = explain(failure, "cannot load the BPF programs");
	if (error_get_code(error) == ERROR_GENERAL && last[0])
		error = error_wrap(error, "%s", last);
	return error;
}

/* ---- create ---- */

static size_t ring_size(const struct collector_options *options, unsigned cpus)
{
	size_t wanted = options->ring_bytes, bytes = RING_BYTES_MIN;

	if (wanted) {
		bytes = (size_t)sysconf(_SC_PAGESIZE);
	} else {
		wanted = (size_t)options->hz * cpus * RING_SECONDS * RING_BYTES_PER_SAMPLE;
	}
	while (bytes < wanted && bytes < RING_BYTES_MAX)
		bytes *= 2;
	return bytes;
}

/* The inode number that the kernel gives to its first pid namespace (include/linux/proc_ns.h). */
#define PROC_PID_INIT_INO 0xEFFFFFFCu

/* The programs see pids of the initial namespace, and cannot be told which of them is ours. */
static struct error *namespace_check(void)
{
	struct stat status;

	if (stat("/proc/self/ns/pid", &status) == 0 && status.st_ino != PROC_PID_INIT_INO)
		return error_create(
			ERROR_UNSUPPORTED, 0, "run kiln on the host, or with the host's pid namespace",
			"kiln runs in a pid namespace of its own, where processes have other numbers");
	return NULL;
}

static int collector_configure(struct collector *collector, const struct collector_options *options)
{
	struct cpu_programs *programs = collector->programs;
	int failure;

	programs->rodata->config_tgid = (uint32_t)options->tgid;
	programs->rodata->config_wants_user = options->wants_user;
	programs->rodata->config_wants_kernel = options->wants_kernel;
	programs->rodata->config_wakeup_bytes = collector->ring_bytes / 4;
	/* Where the kernel has no such tracepoint, a replaced mapping is noticed by its first unknown pc. */
	if (libbpf_find_vmlinux_btf_id("vm_unmapped_area", BPF_TRACE_RAW_TP) < 0)
		bpf_program__set_autoload(programs->progs.on_unmapped_area, false);
	failure = bpf_map__set_max_entries(programs->maps.samples, (uint32_t)collector->ring_bytes);
	if (!failure)
		failure = bpf_map__set_max_entries(programs->maps.control, CONTROL_BYTES);
	if (!failure)
		failure = bpf_map__set_max_entries(programs->maps.counters, collector->cpus);
	if (!failure)
		failure = bpf_map__set_max_entries(programs->maps.scratches, collector->cpus * SCRATCH_SLOTS);
	if (!failure)
		failure = bpf_map__set_max_entries(programs->maps.memos, collector->cpus * MEMO_SLOTS);
	programs->rodata->config_checks_memo = options->checks_memo;
	programs->rodata->config_memos = options->has_no_memo ? 0 : collector->cpus * MEMO_SLOTS;
	return failure;
}

/* An array that programs write and we read. */
static struct error *map_array(const struct bpf_map *map, size_t bytes, const void **ret)
{
	void *memory = mmap(NULL, bytes, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);

	if (memory == MAP_FAILED)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot map the target's state");
	*ret = memory;
	return NULL;
}

static struct error *collector_load(struct collector *collector, const struct collector_options *options)
{
	int cpus = libbpf_num_possible_cpus(), failure;
	struct error *error;

	if (cpus < 0)
		return error_create(ERROR_GENERAL, -cpus, NULL, "cannot count the CPUs");
	collector->cpus = (unsigned)cpus;
	collector->ring_bytes = ring_size(options, collector->cpus);
	collector->programs = cpu_programs__open();
	if (!collector->programs)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot open the BPF programs");
	failure = collector_configure(collector, options);
	if (failure)
		return error_create(ERROR_GENERAL, -failure, NULL, "cannot set up the BPF programs");
	failure = cpu_programs__load(collector->programs);
	if (failure)
		return explain_load(-failure);
	error = map_array(collector->programs->maps.life, sizeof(*collector->life),
			  (const void **)&collector->life);
	if (!error)
		error = map_array(collector->programs->maps.missing, MISSING_BYTES,
				  (const void **)&collector->missing);
	return error ? error
		     : ring_open(bpf_map__fd(collector->programs->maps.control), CONTROL_BYTES,
				 &collector->control);
}

struct error *collector_create(const struct collector_options *options, struct collector **ret)
{
	_cleanup_(cleanup_collector) struct collector *collector = NULL;
	struct error *error = namespace_check();

	if (error)
		return error;
	collector = calloc(1, sizeof(*collector));
	if (!collector)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot load the BPF programs");
	collector->gone_table = -1;
	collector->sampler_options.hz = options->hz;
	collector->sampler_options.wants_user = options->wants_user;
	collector->sampler_options.wants_kernel = options->wants_kernel;
	said_start(options->is_verbose);
	error = collector_load(collector, options);
	if (error)
		return error;
	*ret = take_ptr(collector);
	return NULL;
}

/* ---- attach ---- */

struct error *collector_attach(struct collector *collector)
{
	/* The target's life first: an exec between the two must be seen by whoever reads samples. */
	int failure = cpu_programs__attach(collector->programs);

	if (failure)
		return explain(-failure, "cannot attach to the scheduler's tracepoints");
	return sampler_create(&collector->sampler_options,
			      bpf_program__fd(collector->programs->progs.on_cpu_sample), &collector->sampler);
}

struct error *collector_enable(struct collector *collector)
{
	return sampler_enable(collector->sampler);
}

struct error *collector_disable(struct collector *collector)
{
	return sampler_disable(collector->sampler);
}

enum sampler_clock collector_get_clock(const struct collector *collector)
{
	return sampler_get_clock(collector->sampler);
}

/* ---- what others read ---- */

int collector_get_ring_fd(const struct collector *collector)
{
	return bpf_map__fd(collector->programs->maps.samples);
}

size_t collector_get_ring_bytes(const struct collector *collector)
{
	return collector->ring_bytes;
}

int collector_get_counters_fd(const struct collector *collector)
{
	return bpf_map__fd(collector->programs->maps.counters);
}

struct shared_maps collector_get_shared_maps(const struct collector *collector)
{
	return (struct shared_maps){
		.life = bpf_map__fd(collector->programs->maps.life),
		.control = bpf_map__fd(collector->programs->maps.control),
		.mappings = bpf_map__fd(collector->programs->maps.mappings),
		.tables = bpf_map__fd(collector->programs->maps.tables),
		.sites = bpf_map__fd(collector->programs->maps.sites),
		.files = bpf_map__fd(collector->programs->maps.files),
		.remaps = bpf_map__fd(collector->programs->maps.remaps),
		.missing = bpf_map__fd(collector->programs->maps.missing),
	};
}

unsigned collector_get_cpu_count(const struct collector *collector)
{
	return collector->cpus;
}

/* ---- publish ---- */

uint64_t collector_read_exec_count(const struct collector *collector)
{
	return __atomic_load_n(&collector->life->exec_count, __ATOMIC_ACQUIRE);
}

uint64_t collector_read_remap_count(const struct collector *collector)
{
	return __atomic_load_n(&collector->life->remap_count, __ATOMIC_ACQUIRE);
}

uint64_t collector_read_fork_count(const struct collector *collector)
{
	return __atomic_load_n(&collector->life->fork_count, __ATOMIC_ACQUIRE);
}

struct error *collector_publish_mappings(struct collector *collector, const struct mapping *mappings,
					 size_t count, uint64_t exec_count, uint64_t remap_count)
{
	return mappings_publish(bpf_map__fd(collector->programs->maps.mappings), mappings, count, exec_count,
				remap_count, ++collector->generation);
}

struct error *collector_publish_table(struct collector *collector, uint32_t module, int memfd)
{
	struct error *error = collector_queue_table(collector, module, memfd);

	return error ? error : collector_flush_tables(collector);
}

struct error *collector_know_file(struct collector *collector, const struct file_key *key,
				  const struct known_file *file)
{
	if (bpf_map_update_elem(bpf_map__fd(collector->programs->maps.files), key, file, BPF_ANY))
		return error_create(ERROR_GENERAL, errno, NULL, "cannot note a file");
	return NULL;
}

/* Takes the inner array. */
static struct error *queue_array(struct collector *collector, uint32_t module, int array)
{
	_cleanup_close_ int table = array;

	if (!array_reserve(&collector->queued_tables, collector->queued_tables.count + 1) ||
	    !array_append(&collector->queued_modules, module))
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot queue an unwind table");
	array_append(&collector->queued_tables, take_fd(&table));
	return NULL;
}

struct error *collector_queue_loaded(struct collector *collector, uint32_t module, int inner_fd)
{
	_cleanup_close_ int table = fcntl(inner_fd, F_DUPFD_CLOEXEC, 3);

	if (module >= MODULE_LIMIT)
		return error_create(ERROR_GENERAL, 0, NULL, "module %u is out of range", module);
	if (table < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot queue an unwind table");
	return queue_array(collector, module, take_fd(&table));
}

struct error *collector_queue_table(struct collector *collector, uint32_t module, int memfd)
{
	_cleanup_close_ int table = -1;
	struct error *error = table_load(memfd, &table);

	return error ? error : collector_queue_loaded(collector, module, table);
}

struct error *collector_queue_empty_table(struct collector *collector, uint32_t module)
{
	_cleanup_close_ int table = -1;
	struct error *error = table_make_empty(&table);

	return error ? error : collector_queue_loaded(collector, module, table);
}

struct error *collector_flush_tables(struct collector *collector)
{
	struct error *error =
		tables_publish(bpf_map__fd(collector->programs->maps.tables), collector->queued_modules.items,
			       collector->queued_tables.items, collector->queued_tables.count);

	collector_drop_queue(collector);
	return error;
}

struct error *collector_queue_removal(struct collector *collector, uint32_t module)
{
	struct error *error = NULL;

	if (collector->gone_table < 0)
		error = table_make_gone(&collector->gone_table);
	return error ? error : collector_queue_loaded(collector, module, collector->gone_table);
}

uint64_t collector_read_missing(const struct collector *collector, uint32_t module)
{
	return module < MODULE_LIMIT ? __atomic_load_n(&collector->missing[module], __ATOMIC_RELAXED) : 0;
}

/* ---- control ---- */

int collector_get_control_fd(const struct collector *collector)
{
	return bpf_map__fd(collector->programs->maps.control);
}

struct control_reader {
	void (*callback)(void *arg, const struct control_record *record);
	void *arg;
};

static void control_take(void *arg, const void *record, size_t length)
{
	struct control_reader *reader = arg;

	if (length >= sizeof(struct control_record))
		reader->callback(reader->arg, record);
}

size_t collector_read_control(struct collector *collector,
			      void (*callback)(void *arg, const struct control_record *record), void *arg)
{
	struct control_reader reader = {callback, arg};

	return ring_read(collector->control, control_take, &reader, 0);
}

uint64_t collector_get_control_lost(const struct collector *collector)
{
	return __atomic_load_n(&collector->life->control_lost, __ATOMIC_ACQUIRE);
}
