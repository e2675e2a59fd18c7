/* The kernel puts a trap into every mapping of the file's place at once, and takes it out by writing back the
 * file's byte. So a function is only trapped where every mapping shows what the file holds: memory that the
 * target has changed for itself would not come back. */
#include "bpf/hooks.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TRAP 0xcc /* int3 */
/* The same place of a file is mapped once, or a few times with dlmopen(3): more is a trick to keep us busy.
 */
#define MAPPED_MAX 64

/* How many arguments a kind needs (bpf/heap_events.h). */
static const uint8_t kind_arguments[HEAP_KINDS] = {
	[HEAP_MALLOC] = 1,   [HEAP_CALLOC] = 2,		[HEAP_REALLOC] = 2, [HEAP_REALLOCARRAY] = 3,
	[HEAP_MEMALIGN] = 2, [HEAP_POSIX_MEMALIGN] = 3, [HEAP_FREE] = 1,
};

/* One function on its way through the checks. */
struct check {
	const struct hooks_request *request;
	int mem_fd;
	uint64_t start; /* file offset */
	uint8_t code[INSN_CODE_BYTES];
	size_t length; /* of code */
};

/* ---- where the file is mapped ---- */

static uint64_t mapping_file_end(const struct mapping *mapping)
{
	return mapping->offset + (mapping->end - mapping->start);
}

static bool is_of_module(const struct check *check, const struct mapping *mapping)
{
	return mapping->module == check->request->module && !(mapping->flags & MAPPING_TRAMPOLINE);
}

/* Cuts the code to what the longest mapping of the function's start shows of it. false: none does. */
static bool cut_to_mappings(struct check *check)
{
	const struct hooks_request *request = check->request;
	uint64_t longest = 0;

	for (size_t i = 0; i < request->mapping_count; i++) {
		const struct mapping *mapping = &request->mappings[i];
		uint64_t end = mapping_file_end(mapping);

		if (is_of_module(check, mapping) && mapping->offset <= check->start && end > check->start &&
		    end - check->start > longest)
			longest = end - check->start;
	}
	if (longest < check->length)
		check->length = (size_t)longest;
	return longest > 0;
}

/* Compares code[first … last) with the target's memory at this address. trap: where a 0xCC is no difference.
 */
static const char *compare_memory(const struct check *check, uint64_t address, size_t first, size_t last,
				  size_t trap)
{
	uint8_t memory[INSN_CODE_BYTES];

	if (file_read_at(check->mem_fd, address, memory, last - first) != last - first)
		return HOOKS_NOT_READ;
	for (size_t i = first; i < last; i++)
		if (memory[i - first] != check->code[i] && !(i == trap && memory[i - first] == TRAP))
			return HOOKS_IS_OTHERWISE;
	return NULL;
}

/* Every mapping that shows a part of [start, start + length) must show what the file holds. */
static const char *compare_mappings(const struct check *check, const struct insn_site *site)
{
	const struct hooks_request *request = check->request;
	uint64_t start = check->start, last = start + site->offset + site->length;
	unsigned mapped = 0;

	for (size_t i = 0; i < request->mapping_count; i++) {
		const struct mapping *mapping = &request->mappings[i];
		uint64_t from = mapping->offset > start ? mapping->offset : start;
		uint64_t end = mapping_file_end(mapping), until = end < last ? end : last;
		const char *why;

		if (!is_of_module(check, mapping) || from >= until)
			continue;
		if (++mapped > MAPPED_MAX)
			return "it is mapped too often";
		why = compare_memory(check, mapping->start + (from - mapping->offset), from - start,
				     until - start, site->offset);
		if (why)
			return why;
	}
	return NULL;
}

/* ---- one function ---- */

static const char *find_site(const struct check *check, enum heap_kind kind, struct insn_site *ret)
{
	const struct hooks_request *request = check->request;
	const char *why, *why_stepped;

	if (insn_find_site(check->code, check->length, kind_arguments[kind], ret, &why)) {
		if (!ret->is_moved || request->takes_moved)
			return NULL;
		why = "its arguments are in other registers at the first instruction that a trap can be put "
		      "on";
	}
	if (request->takes_stepped && insn_find_stepped_site(check->code, check->length, ret, &why_stepped))
		return NULL;
	return why;
}

/* NULL, or why it gets no trap. */
static const char *check_proposal(struct check *check, const struct hook_proposal *proposal, struct hook *ret)
{
	struct insn_site site;
	const char *why;

	if (proposal->flags & HOOK_LIES)
		return "its symbol is inside another function";
	if (proposal->flags & HOOK_THROWS)
		return "it may throw, and an exception cannot pass a probe on the return";
	if (proposal->kind == 0 || proposal->kind >= HEAP_KINDS || proposal->start > FRAME_OFFSET_MASK)
		return "what was proposed is none";
	check->start = proposal->start;
	check->length = sizeof(check->code);
	if (proposal->length && proposal->length < check->length)
		check->length = (size_t)proposal->length;
	if (!cut_to_mappings(check))
		return HOOKS_NOT_MAPPED;
	check->length = file_read_at(check->request->fd, check->start, check->code, check->length);
	if (!check->length)
		return "its file ends before it, or cannot be read";
	why = find_site(check, (enum heap_kind)proposal->kind, &site);
	if (!why)
		why = compare_mappings(check, &site);
	if (why)
		return why;
	ret->offset = check->start + site.offset;
	ret->kind = (enum heap_kind)proposal->kind;
	memcpy(ret->registers, site.registers, sizeof(ret->registers));
	ret->is_moved = site.is_moved;
	ret->is_stepped = site.is_stepped;
	return NULL;
}

/* The hook that is already at this place; NULL. At most HOOK_PROPOSALS_MAX are looked at. */
static const struct hook *find_alias(const struct hook *hooks, size_t count, uint64_t offset)
{
	for (size_t i = 0; i < count; i++)
		if (hooks[i].offset == offset)
			return &hooks[i];
	return NULL;
}

size_t hooks_check(const struct hooks_request *request, struct hook *ret, size_t max,
		   void (*refused)(void *arg, const char *name, const char *why), void *arg)
{
	_cleanup_close_ int mem_fd = openat(request->target->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	struct check check = {.request = request, .mem_fd = mem_fd};
	size_t count = 0;

	for (size_t i = 0; i < request->proposal_count; i++) {
		const struct hook_proposal *proposal = &request->proposals[i];
		const struct hook *alias;
		struct hook hook = {0};
		const char *why;

		if (proposal->flags & HOOK_WRAPPER)
			continue;
		text_sanitize(proposal->name, strnlen(proposal->name, sizeof(proposal->name)), hook.name,
			      sizeof(hook.name));
		why = check_proposal(&check, proposal, &hook);
		alias = why ? NULL : find_alias(ret, count, hook.offset);
		if (alias && alias->kind != hook.kind)
			why = "another function with other arguments has the same code";
		else if (!why && !alias && count == max)
			why = "the module has too many such functions";
		if (why)
			refused(arg, hook.name, why);
		else if (!alias)
			ret[count++] = hook;
	}
	return count;
}
