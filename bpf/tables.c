#include "bpf/tables.h"

#include "base/cleanup.h"
#include "bpf/limits.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define WORDS_PER_RULE (sizeof(struct unwind_rule) / sizeof(uint32_t))
#define HEADER_WORDS   (sizeof(struct table_header) / sizeof(uint32_t))
#define FILE_PAGES_MAX (1ull << (FRAME_OFFSET_BITS - TABLE_PAGE_SHIFT))

/* ---- checking ---- */

#define bad_table(...) error_create(ERROR_BAD_FILE, 0, NULL, "unwind table: " __VA_ARGS__)

/* [from, to) in words */
struct extent {
	uint64_t from, to;
};

static bool extents_overlap(struct extent a, struct extent b)
{
	return a.from < b.to && b.from < a.to;
}

static struct error *table_check_header(const struct table_header *header, size_t bytes)
{
	struct extent start = {0, HEADER_WORDS}, pages, rules;

	if (header->magic != TABLE_MAGIC)
		return bad_table("wrong magic");
	if ((uint64_t)header->words * sizeof(uint32_t) != bytes)
		return bad_table("says %u words, has %zu", header->words, bytes / sizeof(uint32_t));
	if ((uint64_t)header->first_page + header->page_count > FILE_PAGES_MAX)
		return bad_table("%u pages from %u on", header->page_count, header->first_page);
	if (!header->rule_count || header->rule_count > TABLE_RULES_MAX)
		return bad_table("%u rules", header->rule_count);
	if (header->rules_at % WORDS_PER_RULE)
		return bad_table("rules are not aligned");
	pages.from = header->pages_at;
	pages.to = pages.from + header->page_count + 1ull;
	rules.from = header->rules_at;
	rules.to = rules.from + header->rule_count * WORDS_PER_RULE;
	if (pages.to > header->words || rules.to > header->words)
		return bad_table("an index lies outside");
	if (extents_overlap(start, pages) || extents_overlap(start, rules) || extents_overlap(pages, rules))
		return bad_table("indexes overlap");
	return NULL;
}

static bool is_rule_plain(const struct unwind_rule *rule)
{
	bool is_tracking = rule->flags == UNWIND_TRACKS_RBX &&
			   (rule->cfa == UNWIND_CFA_RSP || rule->cfa == UNWIND_CFA_RBP);

	return !rule->ra && !rule->sp && !rule->base && rule->rbp <= UNWIND_RBP_UNDEFINED &&
	       (is_tracking || (!rule->flags && !rule->extra));
}

/* That each register has a number is enough for the walker; what makes no sense ends as a broken stack. */
static bool is_rule_full_sound(const struct unwind_rule *rule)
{
	bool is_extra_register = rule->ra == UNWIND_RA_IN_REGISTER;

	return rule->ra < UNWIND_RA_KINDS && rule->sp <= UNWIND_REGISTERS && rule->base < UNWIND_REGISTERS &&
	       !(rule->flags & 0xf & ~(UNWIND_DEREF | UNWIND_INDEXED)) &&
	       (!is_extra_register || (rule->extra >= 0 && rule->extra < UNWIND_REGISTERS)) &&
	       (rule->rbp != UNWIND_RBP_IN_REGISTER ||
		(rule->rbp_offset >= 0 && rule->rbp_offset < UNWIND_REGISTERS));
}

static struct error *table_check_rules(const struct table_header *header, const uint32_t *words)
{
	const struct unwind_rule *rules = (const void *)&words[header->rules_at];

	for (uint32_t i = 0; i < header->rule_count; i++) {
		const struct unwind_rule *rule = &rules[i];

		if (rule->cfa >= UNWIND_CFA_KINDS || rule->rbp >= UNWIND_RBP_KINDS)
			return bad_table("rule %u is of no known kind", i);
		if (rule->cfa == UNWIND_FULL ? !is_rule_full_sound(rule) : !is_rule_plain(rule))
			return bad_table("rule %u makes no sense", i);
	}
	if (rules[0].cfa != UNWIND_GAP)
		return bad_table("rule 0 is not the gap");
	return NULL;
}

/* Rows [from, to) of one page: in one chunk, from offset 0 on, ascending, with known rules. Only copies of
 * the last row may follow it (padding). */
static struct error *table_check_page(const struct table_header *header, const uint32_t *words, uint32_t page,
				      uint32_t from, uint32_t to)
{
	if (from >= to || to > header->words)
		return bad_table("page %u has rows %u to %u", page, from, to);
	if (from >> TABLE_CHUNK_SHIFT != (to - 1) >> TABLE_CHUNK_SHIFT)
		return bad_table("the rows of page %u straddle chunks", page);
	if (TABLE_ROW_OFFSET(words[from]) != 0)
		return bad_table("page %u does not start at its start", page);
	for (uint32_t at = from; at < to; at++) {
		if (TABLE_ROW_RULE(words[at]) >= header->rule_count)
			return bad_table("row %u has rule %u of %u", at, TABLE_ROW_RULE(words[at]),
					 header->rule_count);
		if (at == from || words[at] == words[at - 1])
			continue;
		if (TABLE_ROW_OFFSET(words[at]) <= TABLE_ROW_OFFSET(words[at - 1]))
			return bad_table("row %u is out of order", at);
	}
	return NULL;
}

static struct error *table_check_rows(const struct table_header *header, const uint32_t *words)
{
	const uint32_t *index = &words[header->pages_at];
	struct extent rows = {index[0], index[header->page_count]}, start = {0, HEADER_WORDS};
	struct extent pages = {header->pages_at, header->pages_at + header->page_count + 1ull};
	struct extent rules = {header->rules_at, header->rules_at + header->rule_count * WORDS_PER_RULE};
	struct error *error;

	if (!header->page_count)
		return NULL; /* a module whose FDEs cover nothing */
	if (extents_overlap(rows, start) || extents_overlap(rows, pages) || extents_overlap(rows, rules))
		return bad_table("rows and indexes overlap");
	for (uint32_t page = 0; page < header->page_count; page++) {
		error = table_check_page(header, words, page, index[page], index[page + 1]);
		if (error)
			return error;
	}
	return NULL;
}

struct error *table_check(const uint32_t *words, size_t bytes)
{
	const struct table_header *header = (const void *)words;
	struct error *error;

	if (!bytes || bytes % TABLE_CHUNK_BYTES || bytes > TABLE_BYTES_MAX)
		return bad_table("%zu bytes are no whole number of chunks, or too many", bytes);
	error = table_check_header(header, bytes);
	if (!error)
		error = table_check_rules(header, words);
	if (!error)
		error = table_check_rows(header, words);
	return error;
}

struct error *mappings_check(const struct mapping *mappings, size_t count)
{
	if (count > MAPPINGS_MAX)
		return error_create(ERROR_UNSUPPORTED, 0, NULL, "%zu executable mappings are too many",
				    count);
	for (size_t i = 0; i < count; i++) {
		if (mappings[i].start >= mappings[i].end || mappings[i].module >= MODULE_LIMIT)
			return error_create(ERROR_GENERAL, 0, NULL, "mapping %zu makes no sense", i);
		if (i && mappings[i].start < mappings[i - 1].end)
			return error_create(ERROR_GENERAL, 0, NULL, "mapping %zu is out of order", i);
	}
	return NULL;
}

/* ---- publishing ---- */

struct part {
	const void *data;
	size_t bytes;
};

/* Writes the parts one after the other into the map's memory, which is unmapped afterwards (a map that is
 * mapped writable cannot be frozen). */
static struct error *map_fill(int fd, size_t bytes, const struct part *parts, size_t part_count)
{
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *memory, *at;

	bytes = (bytes + page_bytes - 1) & ~(page_bytes - 1);
	memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot map a BPF array");
	at = memory;
	for (size_t i = 0; i < part_count; i++) {
		if (parts[i].bytes)
			memcpy(at, parts[i].data, parts[i].bytes);
		at += parts[i].bytes;
	}
	munmap(memory, bytes);
	return NULL;
}

/* Makes an inner array of the parts. */
static struct error *map_create(const char *name, uint32_t value_bytes, const struct part *parts,
				size_t part_count, int *ret)
{
	LIBBPF_OPTS(bpf_map_create_opts, options, .map_flags = INNER_MAP_FLAGS);
	_cleanup_close_ int fd = -1;
	struct error *error;
	size_t bytes = 0;

	for (size_t i = 0; i < part_count; i++)
		bytes += parts[i].bytes;
	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, name, sizeof(uint32_t), value_bytes, bytes / value_bytes,
			    &options);
	if (fd < 0)
		return error_create(errno == EPERM ? ERROR_PERMISSION : ERROR_GENERAL, errno, NULL,
				    "cannot create a BPF array of %zu bytes", bytes);
	error = map_fill(fd, bytes, parts, part_count);
	if (error)
		return error;
	if (bpf_map_freeze(fd))
		return error_create(ERROR_GENERAL, errno, NULL, "cannot freeze a BPF array");
	*ret = take_fd(&fd);
	return NULL;
}

struct error *tables_publish(int tables_fd, const uint32_t *modules, const int *inner_fds, size_t count)
{
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	uint32_t done = (uint32_t)count;

	if (!count)
		return NULL;
	/* The kernel waits for an RCU grace period (8 to 15 ms) at the end of each update of an array of
	 * maps. Since 6.8 once a batch; before, or where it has no batches for them, once an element. */
	if (count > 1 && !bpf_map_update_batch(tables_fd, modules, inner_fds, &done, &options))
		return NULL;
	for (size_t i = 0; i < count; i++)
		if (bpf_map_update_elem(tables_fd, &modules[i], &inner_fds[i], BPF_ANY))
			return error_create(ERROR_GENERAL, errno, NULL, "cannot publish an unwind table");
	return NULL;
}

static struct error *memfd_check(int memfd, size_t *ret_bytes)
{
	const int needed = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW;
	int seals = fcntl(memfd, F_GET_SEALS);
	struct stat status;

	/* What is no memfd has no seals: EINVAL. */
	if (seals < 0 || (seals & needed) != needed)
		return bad_table("its memory is not sealed");
	if (fstat(memfd, &status))
		return error_create(ERROR_GENERAL, errno, NULL, "cannot look at an unwind table");
	if (status.st_size <= 0 || status.st_size > TABLE_BYTES_MAX || status.st_size % TABLE_CHUNK_BYTES)
		return bad_table("%lld bytes are no whole number of chunks, or too many",
				 (long long)status.st_size);
	*ret_bytes = (size_t)status.st_size;
	return NULL;
}

struct error *table_load(int memfd, int *ret)
{
	struct error *error;
	struct part part = {0};
	void *words;

	error = memfd_check(memfd, &part.bytes);
	if (error)
		return error;
	words = mmap(NULL, part.bytes, PROT_READ, MAP_SHARED, memfd, 0);
	if (words == MAP_FAILED)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot map an unwind table");
	part.data = words;
	error = table_check(words, part.bytes);
	if (!error)
		error = map_create("kiln_table", TABLE_CHUNK_BYTES, &part, 1, ret);
	munmap(words, part.bytes);
	return error;
}

struct error *table_make_empty(int *ret)
{
	_cleanup_free_ uint32_t *words = calloc(1, TABLE_CHUNK_BYTES);
	struct part part = {words, TABLE_CHUNK_BYTES};

	if (!words)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "out of memory for an unwind table");
	*(struct table_header *)words = (struct table_header){
		.magic = TABLE_MAGIC,
		.words = TABLE_CHUNK_WORDS,
		.pages_at = HEADER_WORDS,
		.rules_at = HEADER_WORDS + WORDS_PER_RULE,
		.rule_count = 1,
	};
	return map_create("kiln_table", TABLE_CHUNK_BYTES, &part, 1, ret);
}

struct error *table_make_gone(int *ret)
{
	_cleanup_free_ uint32_t *words = calloc(1, TABLE_CHUNK_BYTES);
	struct part part = {words, TABLE_CHUNK_BYTES};

	if (!words)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "out of memory for an unwind table");
	/* Without the magic number the walker takes it for none. */
	return map_create("kiln_table", TABLE_CHUNK_BYTES, &part, 1, ret);
}

struct error *mappings_publish(int mappings_fd, const struct mapping *mappings, size_t count,
			       uint64_t exec_count, uint64_t remap_count, uint64_t generation)
{
	/* Element 0 of the array is the header, whose size is that of an element. */
	struct mapping_header header = {.count = count,
					.exec_count = exec_count,
					.generation = generation,
					.remap_count = remap_count};
	struct part parts[] = {{&header, sizeof(header)}, {mappings, count * sizeof(*mappings)}};
	struct error *error = mappings_check(mappings, count);
	_cleanup_close_ int fd = -1;
	const uint32_t slot = 0;

	_Static_assert(sizeof(struct mapping_header) == sizeof(struct mapping), "the header is an element");
	if (!error)
		error = map_create("kiln_mappings", sizeof(struct mapping), parts, 2, &fd);
	if (error)
		return error;
	if (bpf_map_update_elem(mappings_fd, &slot, &fd, BPF_ANY))
		return error_create(ERROR_GENERAL, errno, NULL, "cannot publish the mappings");
	return NULL;
}
