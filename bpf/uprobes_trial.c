#include "bpf/uprobes_trial.h"

#include "base/cleanup.h"
#include "bpf/maps.h"
#include "bpf/trial.skel.h"
#include "bpf/trial_session.skel.h"
#include "bpf/uprobes_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Their first instruction is emulated by the kernel, as the ones are where kiln sets its traps. One for each
 * kind: traps at one place would share their cost. */
#define TRIAL_FUNCTION(name)                                                                                 \
	".p2align 5\n.type " name ", @function\n" name ":\n"                                                 \
	".cfi_startproc\npush %rbp\npop %rbp\nret\n.cfi_endproc\n.size " name ", .-" name "\n"
__asm__(".pushsection .text\n" TRIAL_FUNCTION("uprobes_trial_link") TRIAL_FUNCTION("uprobes_trial_entry")
		TRIAL_FUNCTION("uprobes_trial_return")
			TRIAL_FUNCTION("uprobes_trial_vetoed") ".popsection\n");

void uprobes_trial_link(void);
void uprobes_trial_entry(void);
void uprobes_trial_return(void);
void uprobes_trial_vetoed(void);

void (*const trial_functions[TRIAL_KINDS])(void) = {
	[TRIAL_LINK] = uprobes_trial_link,
	[TRIAL_ENTRY] = uprobes_trial_entry,
	[TRIAL_RETURN] = uprobes_trial_return,
	[TRIAL_VETOED] = uprobes_trial_vetoed,
};

/* ---- programs ---- */

struct trial {
	enum uprobe_links links;
	struct trial_programs *plain;		/* PERF */
	struct trial_session_programs *session; /* SESSION */
	int file_fd;				/* of this executable */
};

void trial_destroy(struct trial *trial)
{
	if (!trial)
		return;
	trial_programs__destroy(trial->plain);
	trial_session_programs__destroy(trial->session);
	if (trial->file_fd >= 0)
		close(trial->file_fd);
	free(trial);
}

static void cleanup_trial(struct trial **trial)
{
	trial_destroy(*trial);
}

static void cleanup_plain(struct trial_programs **programs)
{
	trial_programs__destroy(*programs);
}

static int load_session(struct trial *trial)
{
	trial->session = trial_session_programs__open();
	if (!trial->session)
		return -errno;
	bpf_program__set_expected_attach_type(trial->session->progs.on_trial_session, ATTACH_UPROBE_SESSION);
	bpf_program__set_expected_attach_type(trial->session->progs.on_trial_entry, ATTACH_UPROBE_MULTI);
	return trial_session_programs__load(trial->session);
}

static int load_plain(struct trial *trial)
{
	trial->plain = trial_programs__open();
	if (!trial->plain)
		return -errno;
	bpf_program__set_autoload(trial->plain->progs.on_sweep, false);
	return trial_programs__load(trial->plain);
}

static struct error *explain_load(enum uprobe_links links, int failure)
{
	if (failure == EPERM || failure == EACCES)
		return uprobes_refuse(failure, false, "cannot load a BPF program for probes");
	if (links == UPROBE_SESSION)
		return error_create(ERROR_UNSUPPORTED, failure, "uprobe sessions are in Linux 6.13 and newer",
				    "cannot set probes: this kernel has no uprobe sessions");
	return error_create(ERROR_UNSUPPORTED, failure, "kiln needs Linux 5.17 or newer, with BTF",
			    "cannot load a BPF program for probes");
}

struct error *trial_create(enum uprobe_links links, struct trial **ret)
{
	_cleanup_(cleanup_trial) struct trial *trial = calloc(1, sizeof(*trial));
	libbpf_print_fn_t print;
	int failure;

	if (!trial)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "cannot try probes");
	trial->links = links;
	trial->file_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	if (trial->file_fd < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot open /proc/self/exe");
	/* That this fails is an answer, and not libbpf's to announce. */
	print = libbpf_set_print(NULL);
	failure = links == UPROBE_SESSION ? load_session(trial) : load_plain(trial);
	libbpf_set_print(print);
	if (failure)
		return explain_load(links, -failure);
	*ret = take_ptr(trial);
	return NULL;
}

struct uprobes_programs trial_get_programs(const struct trial *trial)
{
	struct uprobes_programs programs = {-1, -1, -1};

	if (trial->links == UPROBE_SESSION) {
		programs.session_fd = bpf_program__fd(trial->session->progs.on_trial_session);
		programs.entry_fd = bpf_program__fd(trial->session->progs.on_trial_entry);
	} else {
		programs.entry_fd = bpf_program__fd(trial->plain->progs.on_trial_entry);
		programs.return_fd = bpf_program__fd(trial->plain->progs.on_trial_return);
	}
	return programs;
}

struct trial_hits trial_read_hits(const struct trial *trial, enum trial_kind kind)
{
	const struct trial_hits *hits = trial->links == UPROBE_SESSION ? &trial->session->bss->hits[kind]
								       : &trial->plain->bss->hits[kind];
	struct trial_hits read;

	read.entries = __atomic_load_n(&hits->entries, __ATOMIC_ACQUIRE);
	read.returns = __atomic_load_n(&hits->returns, __ATOMIC_ACQUIRE);
	return read;
}

struct error *trial_load_nothing(int *ret_fd)
{
	_cleanup_(cleanup_plain) struct trial_programs *programs = trial_programs__open();
	libbpf_print_fn_t print;
	int failure, fd;

	if (!programs)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot open a BPF program for sweeps");
	bpf_program__set_autoload(programs->progs.on_trial_entry, false);
	bpf_program__set_autoload(programs->progs.on_trial_return, false);
	bpf_program__set_expected_attach_type(programs->progs.on_sweep, ATTACH_UPROBE_MULTI);
	print = libbpf_set_print(NULL);
	failure = trial_programs__load(programs);
	libbpf_set_print(print);
	if (failure)
		return uprobes_refuse(-failure, false, "cannot load a BPF program for sweeps");
	fd = fcntl(bpf_program__fd(programs->progs.on_sweep), F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot keep a BPF program for sweeps");
	*ret_fd = fd;
	return NULL;
}

/* ---- probes ---- */

struct search {
	uint64_t address;
	uint64_t offset; /* in this executable */
	bool is_found;
};

static struct error *search_map(void *arg, const struct map *map)
{
	struct search *search = arg;

	if (search->address >= map->start && search->address < map->end) {
		search->offset = search->address - map->start + map->offset;
		search->is_found = true;
	}
	return NULL;
}

static struct error *find_function(enum trial_kind kind, uint64_t *ret_offset)
{
	struct search search = {.address = (uintptr_t)trial_functions[kind]};
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
	struct error *error;

	if (!maps)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot open /proc/self/maps");
	error = maps_read(maps, search_map, &search);
	if (!error && !search.is_found)
		error = error_create(ERROR_GENERAL, 0, NULL, "/proc/self/maps lacks this program");
	if (error)
		return error;
	*ret_offset = search.offset;
	return NULL;
}

struct error *trial_attach(const struct trial *trial, pid_t pid, const enum trial_kind *kinds, size_t count,
			   struct uprobes **ret)
{
	struct uprobes_programs programs = trial_get_programs(trial);
	struct uprobe_site sites[TRIAL_KINDS];
	struct uprobes *uprobes = NULL;
	struct error *error = NULL;

	for (size_t i = 0; i < count && !error; i++) {
		sites[i] = (struct uprobe_site){.cookie = kinds[i], .wants_return = kinds[i] != TRIAL_ENTRY};
		error = find_function(kinds[i], &sites[i].offset);
	}
	if (!error)
		error = uprobes_create(trial->links, &programs, pid, &uprobes);
	if (!error)
		error = uprobes_attach(uprobes, trial->file_fd, sites, count);
	if (error) {
		uprobes_destroy(uprobes);
		return error;
	}
	*ret = uprobes;
	return NULL;
}
