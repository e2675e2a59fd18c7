/* First all candidates are taken from the symbols, then judged together: whether the module has an allocator
 * of its own decides what operator new is in it. */
#include "symbolizer/allocators.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "symbolizer/allocator_jumps.h"
#include "symbolizer/allocator_names.h"
#include "symbolizer/elf.h"
#include "symbolizer/fde.h"
#include "symbolizer/segments.h"
#include "symbolizer/symbol_table.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* Symbols of our names, aliases and all versions included: a few dozen in a real module. */
#define MATCHES_MAX 4096

/* From an alias to the function itself: mimalloc takes three. */
#define HOPS_MAX 8

struct candidate {
	uint64_t offset; /* in the file */
	uint64_t length; /* 0: unknown */
	const struct allocator_name *name;
	bool lies;
	bool is_wrapper;
	bool throws;
};

struct search {
	Elf *elf;
	int fd;
	uint64_t file_bytes;
	struct segments segments;
	struct cfi_fdes fdes;
	struct candidate items[HOOK_PROPOSALS_MAX];
	size_t count;
	unsigned matches;
	uint64_t symbols_left;
};

static void search_deinit(struct search *search)
{
	cfi_fdes_deinit(&search->fdes);
	segments_deinit(&search->segments);
	elf_end(search->elf);
}

/* ---- candidates ---- */

/* Left out are:
 * 1. what is not defined here: with an address too, which is that of a PLT entry;
 * 2. STT_GNU_IFUNC: its code does not allocate, it chooses the function that does;
 * 3. local symbols: nobody else can call them by that name. A program's own static `free` may take anything.
 */
static bool is_offered_function(const Elf64_Sym *symbol)
{
	unsigned binding = ELF64_ST_BIND(symbol->st_info);

	return ELF64_ST_TYPE(symbol->st_info) == STT_FUNC && (binding == STB_GLOBAL || binding == STB_WEAK) &&
	       symbol->st_shndx != SHN_UNDEF && symbol->st_shndx != SHN_ABS && symbol->st_shndx != SHN_COMMON;
}

/* Aliases are one: under the name that people know best, with the greatest length that any of them claims. */
static void add_candidate(struct search *search, const struct candidate *candidate)
{
	const char *name = candidate->name->shown;

	for (size_t i = 0; i < search->count; i++) {
		struct candidate *known = &search->items[i];

		if (known->offset != candidate->offset || known->name->kind != candidate->name->kind)
			continue;
		if (known->length < candidate->length)
			known->length = candidate->length;
		/* A name of C, where nothing throws, vouches for the code. */
		known->throws = known->name->is_operator && candidate->name->is_operator &&
				(known->throws || candidate->throws);
		if (candidate->name->is_operator < known->name->is_operator ||
		    (candidate->name->is_operator == known->name->is_operator &&
		     symbol_compare_names(name, strlen(name), known->name->shown,
					  strlen(known->name->shown)) < 0))
			known->name = candidate->name;
		return;
	}
	if (search->count < HOOK_PROPOSALS_MAX)
		search->items[search->count++] = *candidate;
}

static void consider_symbol(struct search *search, const struct symbol_table *table, const Elf64_Sym *symbol)
{
	struct candidate candidate = {.length = symbol->st_size};
	const struct segment *segment;
	size_t length = 0;
	const char *text;
	uint64_t inside;

	if (!is_offered_function(symbol))
		return;
	text = symbol_table_name(table, symbol, &length);
	candidate.name = text ? allocator_name_find(text, length) : NULL;
	if (!candidate.name)
		return;
	candidate.throws = candidate.name->throws;
	search->matches++;
	segment = segments_find_address(&search->segments, symbol->st_value);
	if (!segment || !segment->executable)
		return;
	inside = symbol->st_value - segment->address;
	candidate.offset = segment->offset + inside;
	if (candidate.length > segment->length - inside)
		candidate.length = segment->length - inside;
	add_candidate(search, &candidate);
}

/* Sections do not share bytes in a file that a linker made: what claims more symbols than the file has room
 * for is cut short. */
static void read_symbols(struct search *search)
{
	Elf_Scn *section = NULL;

	search->symbols_left = search->file_bytes / sizeof(Elf64_Sym);
	while (search->symbols_left && (section = elf_nextscn(search->elf, section))) {
		struct symbol_table table;

		if (!symbol_table_open(search->elf, section, &table))
			continue;
		for (size_t i = 1; i < table.count && search->symbols_left && search->matches < MATCHES_MAX;
		     i++) {
			consider_symbol(search, &table, &table.symbols[i]);
			search->symbols_left--;
		}
	}
}

/* ---- judgement ---- */

/* Whether the FDEs tell of the module's code, and not only of a few functions of libgcc in it: musl's libc is
 * built without. */
static bool is_described(const struct search *search)
{
	uint64_t code = 0, described = 0;

	for (size_t i = 0; i < search->segments.count; i++) {
		if (search->segments.items[i].executable)
			code += search->segments.items[i].length / 2;
	}
	for (size_t i = 0; i < search->fdes.list.count; i++)
		described += search->fdes.list.items[i].length;
	return described >= code && described;
}

/* A symbol in the middle of a function would put the trap inside an instruction. Where .eh_frame says nothing
 * the probe's decoding has to do. */
static void check_start(const struct search *search, bool is_described, struct candidate *candidate)
{
	const struct cfi_fde *fde = fde_find_offset(&search->fdes, candidate->offset);

	candidate->lies = fde ? fde->offset != candidate->offset : is_described;
	/* Nor may it swallow its neighbours. */
	if (fde && !candidate->lies && (!candidate->length || candidate->length > fde->length))
		candidate->length = fde->length;
}

static void check_starts(struct search *search)
{
	bool described = is_described(search);

	for (size_t i = 0; i < search->count; i++)
		check_start(search, described, &search->items[i]);
}

static bool has_malloc(const struct search *search)
{
	for (size_t i = 0; i < search->count; i++) {
		if (!search->items[i].lies && strcmp(search->items[i].name->symbol, "malloc") == 0)
			return true;
	}
	return false;
}

/* Operators of a module without malloc: new passes on to somebody else's malloc, delete needs no mention. */
static void judge_operators(struct search *search)
{
	bool is_allocator = has_malloc(search);
	size_t kept = 0;

	for (size_t i = 0; i < search->count; i++) {
		struct candidate *candidate = &search->items[i];

		if (candidate->name->is_operator && !is_allocator) {
			if (candidate->name->kind == HEAP_FREE || candidate->lies)
				continue;
			candidate->is_wrapper = true;
		}
		search->items[kept++] = *candidate;
	}
	search->count = kept;
}

static bool is_hook_at(const struct search *search, uint64_t offset, enum heap_kind kind)
{
	for (size_t i = 0; i < search->count; i++) {
		const struct candidate *candidate = &search->items[i];

		if (candidate->offset == offset && candidate->name->kind == kind)
			return !candidate->lies;
	}
	return false;
}

/* What only jumps to another function of its kind is counted there. */
static bool jumps_on(const struct search *search, struct allocator_jumps *jumps,
		     const struct candidate *candidate)
{
	struct allocator_target target = {.offset = candidate->offset};
	enum heap_kind kind = candidate->name->kind;

	for (unsigned hops = 0; hops < HOPS_MAX; hops++) {
		if (!allocator_jumps_follow(jumps, target.offset, kind, &target))
			return false;
		if (target.kind)
			return target.kind == kind;
		/* To itself: it never returns. */
		if (target.offset != candidate->offset && is_hook_at(search, target.offset, kind))
			return true;
	}
	return false;
}

/* So is operator new that calls malloc. */
static bool calls_on(const struct search *search, struct allocator_jumps *jumps,
		     const struct candidate *candidate)
{
	struct allocator_target target;

	if (!candidate->name->is_operator || candidate->name->kind == HEAP_FREE ||
	    !allocator_jumps_find_call(jumps, candidate->offset, candidate->length, &target))
		return false;
	if (target.kind)
		return target.kind != HEAP_FREE;
	for (enum heap_kind kind = HEAP_MALLOC; kind < HEAP_KINDS; kind++) {
		if (kind != HEAP_FREE && target.offset != candidate->offset &&
		    is_hook_at(search, target.offset, kind))
			return true;
	}
	return false;
}

static void judge_jumps(struct search *search)
{
	struct allocator_jumps jumps = {.elf = search->elf,
					.segments = &search->segments,
					.fd = search->fd,
					.file_bytes = search->file_bytes};

	for (size_t i = 0; i < search->count; i++) {
		struct candidate *candidate = &search->items[i];

		if (!candidate->lies && !candidate->is_wrapper)
			candidate->is_wrapper =
				jumps_on(search, &jumps, candidate) || calls_on(search, &jumps, candidate);
	}
	allocator_jumps_deinit(&jumps);
}

/* ---- the message ---- */

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *left = a, *right = b;

	if (left->offset != right->offset)
		return left->offset < right->offset ? -1 : 1;
	return (int)left->name->kind - (int)right->name->kind;
}

static struct error *make_message(const struct search *search, struct hooks_message **ret)
{
	struct hooks_message *message =
		calloc(1, sizeof(*message) + search->count * sizeof(message->proposals[0]));

	if (!message)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "hooks");
	message->is_go = search->elf && elf_is_go(search->elf);
	message->count = (uint32_t)search->count;
	for (size_t i = 0; i < search->count; i++) {
		const struct candidate *candidate = &search->items[i];
		struct hook_proposal *proposal = &message->proposals[i];

		proposal->start = candidate->offset;
		proposal->length = candidate->length;
		proposal->kind = candidate->is_wrapper ? 0 : candidate->name->kind;
		proposal->flags = candidate->is_wrapper ? HOOK_WRAPPER
				  : candidate->lies	? HOOK_LIES
				  : candidate->throws	? HOOK_THROWS
							: 0;
		text_sanitize(candidate->name->shown, SIZE_MAX, proposal->name, sizeof(proposal->name));
	}
	*ret = message;
	return NULL;
}

/* What the file is to blame for is no error: it has no hooks, and its table says why. */
static struct error *search_open(struct search *search)
{
	struct error *error;
	struct stat status;
	const char *why;

	elf_version(EV_CURRENT);
	if (fstat(search->fd, &status))
		return NULL;
	search->file_bytes = (uint64_t)status.st_size;
	search->elf = elf_begin(search->fd, ELF_C_READ_MMAP, NULL);
	if (!elf_is_supported(search->elf, &why)) {
		elf_end(search->elf);
		search->elf = NULL;
		return NULL;
	}
	error = segments_init(search->elf, &search->segments);
	if (error && error_get_code(error) == ERROR_BAD_FILE) {
		error_destroy(error);
		error = NULL;
	}
	return error;
}

struct error *allocators_find(int module_fd, struct hooks_message **ret)
{
	_cleanup_(search_deinit) struct search search = {.fd = module_fd};
	struct error *error = search_open(&search);

	if (!error && search.segments.count)
		read_symbols(&search);
	/* Most modules have none: they do not pay for the rest. */
	if (!error && search.count)
		error = fde_read_list(search.elf, &search.segments, &search.fdes);
	if (error)
		return error;
	check_starts(&search);
	judge_operators(&search);
	judge_jumps(&search);
	if (search.count)
		qsort(search.items, search.count, sizeof(search.items[0]), compare_candidates);
	return make_message(&search, ret);
}
