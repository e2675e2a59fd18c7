/* The floor that kiln's heap is measured against (tests/bench/heap.py): probes at the places where kiln has
 * its own, whose programs do nothing but count.
 *
 * bare_probes [--veto] PID FILE…   prints "ready" when the process has probes on the allocators of these
 * files: on allocating functions with their return (--veto: the entry says that the return is not wanted), on
 * free() without; they go at the end of stdin. Then it prints "ENTRIES RETURNS FREES": how often they were
 * met.
 */
#include "base/cleanup.h"
#include "base/error.h"
#include "bpf/heap_events.h"
#include "bpf/insn.h"
#include "bpf/uprobes_trial.h"
#include "symbolizer/allocators.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

/* As in bpf/hooks.c. */
static const uint8_t kind_arguments[HEAP_KINDS] = {
	[HEAP_MALLOC] = 1,   [HEAP_CALLOC] = 2,		[HEAP_REALLOC] = 2, [HEAP_REALLOCARRAY] = 3,
	[HEAP_MEMALIGN] = 2, [HEAP_POSIX_MEMALIGN] = 3, [HEAP_FREE] = 1,
};

static bool has_offset(const struct uprobe_site *sites, size_t count, uint64_t offset)
{
	for (size_t i = 0; i < count; i++)
		if (sites[i].offset == offset)
			return true;
	return false;
}

/* false: kiln would refuse the function, too. */
static bool find_site(int file_fd, const struct hook_proposal *proposal, uint64_t *ret_offset)
{
	uint8_t code[INSN_CODE_BYTES];
	struct insn_site site;
	const char *why;
	ssize_t length = pread(file_fd, code, sizeof(code), (off_t)proposal->start);

	if (proposal->flags || !proposal->kind || proposal->kind >= HEAP_KINDS || length <= 0)
		return false;
	if (proposal->length && proposal->length < (uint64_t)length)
		length = (ssize_t)proposal->length;
	if (!insn_find_site(code, (size_t)length, kind_arguments[proposal->kind], &site, &why) &&
	    !insn_find_stepped_site(code, (size_t)length, &site, &why))
		return false;
	*ret_offset = proposal->start + site.offset;
	return true;
}

static struct error *attach_file(struct uprobes *uprobes, int file_fd, enum trial_kind allocating)
{
	struct uprobe_site sites[HOOK_PROPOSALS_MAX];
	_cleanup_free_ struct hooks_message *message = NULL;
	struct error *error = allocators_find(file_fd, &message);
	size_t count = 0;

	if (error)
		return error;
	for (uint32_t i = 0; i < message->count; i++) {
		const struct hook_proposal *proposal = &message->proposals[i];
		bool is_free = proposal->kind == HEAP_FREE;
		uint64_t offset;

		if (!find_site(file_fd, proposal, &offset) || has_offset(sites, count, offset))
			continue;
		sites[count++] = (struct uprobe_site){
			.offset = offset,
			.cookie = is_free ? TRIAL_ENTRY : allocating,
			.wants_return = !is_free,
		};
	}
	if (!count)
		return error_create(ERROR_GENERAL, 0, NULL, "no allocator in it");
	return uprobes_attach(uprobes, file_fd, sites, count);
}

static struct error *attach_files(struct uprobes *uprobes, char **paths, enum trial_kind allocating)
{
	struct error *error = NULL;

	for (; *paths && !error; paths++) {
		_cleanup_close_ int fd = open(*paths, O_RDONLY | O_CLOEXEC);

		error = fd < 0 ? error_create(ERROR_GENERAL, errno, NULL, "cannot open it")
			       : attach_file(uprobes, fd, allocating);
		error = error_wrap(error, "%s", *paths);
	}
	return error;
}

static void wait_end(void)
{
	while (getchar() != EOF)
		;
}

static struct error *run(pid_t pid, char **paths, enum trial_kind allocating)
{
	struct trial *trial = NULL;
	struct uprobes *uprobes = NULL;
	struct uprobes_programs programs;
	struct error *error = trial_create(UPROBE_SESSION, &trial);

	if (!error) {
		programs = trial_get_programs(trial);
		error = uprobes_create(UPROBE_SESSION, &programs, pid, &uprobes);
	}
	if (!error)
		error = attach_files(uprobes, paths, allocating);
	if (!error) {
		puts("ready");
		fflush(stdout);
		wait_end();
	}
	uprobes_destroy(uprobes);
	if (!error) {
		struct trial_hits hits = trial_read_hits(trial, allocating);

		printf("%llu %llu %llu\n", (unsigned long long)hits.entries, (unsigned long long)hits.returns,
		       (unsigned long long)trial_read_hits(trial, TRIAL_ENTRY).entries);
	}
	trial_destroy(trial);
	return error;
}

int main(int argc, char **argv)
{
	bool vetoes = argc > 1 && strcmp(argv[1], "--veto") == 0;
	char **rest = argv + 1 + vetoes;
	_cleanup_error_ struct error *error = NULL;

	if (argc < 3 + vetoes || atoi(rest[0]) <= 0) {
		fprintf(stderr, "usage: bare_probes [--veto] PID FILE…\n");
		return 2;
	}
	error = run(atoi(rest[0]), rest + 1, vetoes ? TRIAL_VETOED : TRIAL_RETURN);
	if (error) {
		fprintf(stderr, "bare_probes: %s\n", error_get_message(error));
		return (int)error_get_code(error);
	}
	return 0;
}
