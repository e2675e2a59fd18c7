#include "symbolizer/table_writer.h"

#include "base/cleanup.h"
#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#define RULE_GAP	    0u /* bpf/table.h: rule 0 is always the gap */
#define RULE_UNSUPPORTED    1u
#define PAGE_OFFSET(offset) ((uint32_t)((offset) & ((1u << TABLE_PAGE_SHIFT) - 1)))
#define RULES_ALIGNMENT	    (sizeof(struct unwind_rule) / 4) /* words: no rule straddles a chunk */

static struct error *out_of_memory(void)
{
	return error_create(ERROR_GENERAL, 0, NULL, "out of memory for an unwind table");
}

/* ---- the rule dictionary ---- */

/* A rule has no padding: its bytes are what it says. */
_Static_assert(sizeof(struct unwind_rule) == 2 * sizeof(uint64_t), "a rule is two 64-bit words");

static bool rule_equals(const struct unwind_rule *a, const struct unwind_rule *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static size_t rule_hash(const struct unwind_rule *rule)
{
	uint64_t halves[2];

	memcpy(halves, rule, sizeof(halves));
	return hash_pair(halves[0], halves[1]);
}

/* The slot that holds the rule, or the free one where it belongs. */
static uint32_t *rule_slot(struct table_writer *writer, const struct unwind_rule *rule)
{
	size_t mask = writer->slot_count - 1;
	size_t at = rule_hash(rule) & mask;

	while (writer->rule_slots[at] && !rule_equals(&writer->rules.items[writer->rule_slots[at] - 1], rule))
		at = (at + 1) & mask;
	return &writer->rule_slots[at];
}

/* Keeps the hash table at most half full. */
static struct error *rule_slots_grow(struct table_writer *writer)
{
	size_t count = writer->slot_count ? writer->slot_count * 2 : 1024;
	uint32_t *slots;

	if (writer->rules.count * 2 < writer->slot_count)
		return NULL;
	slots = calloc(count, sizeof(*slots));
	if (!slots)
		return out_of_memory();
	free(writer->rule_slots);
	writer->rule_slots = slots;
	writer->slot_count = count;
	for (size_t i = 0; i < writer->rules.count; i++)
		*rule_slot(writer, &writer->rules.items[i]) = (uint32_t)i + 1;
	return NULL;
}

static struct error *rule_number(struct table_writer *writer, const struct unwind_rule *rule, uint32_t *ret)
{
	struct error *error;
	uint32_t *slot = rule_slot(writer, rule);

	if (*slot) {
		*ret = *slot - 1;
		return NULL;
	}
	if (writer->rules.count >= TABLE_RULES_MAX) {
		writer->refused_rules++;
		*ret = RULE_UNSUPPORTED;
		return NULL;
	}
	if (!array_append(&writer->rules, *rule))
		return out_of_memory();
	*ret = (uint32_t)writer->rules.count - 1;
	*slot = *ret + 1;
	error = rule_slots_grow(writer);
	return error;
}

/* ---- rows ---- */

struct error *table_writer_init(struct table_writer *ret)
{
	static const struct unwind_rule first_rules[] = {
		[RULE_GAP] = {.cfa = UNWIND_GAP},
		[RULE_UNSUPPORTED] = {.cfa = UNWIND_UNSUPPORTED},
	};
	struct error *error;
	uint32_t number;

	*ret = (struct table_writer){0};
	error = rule_slots_grow(ret);
	for (size_t i = 0; !error && i < sizeof(first_rules) / sizeof(*first_rules); i++)
		error = rule_number(ret, &first_rules[i], &number);
	if (error)
		table_writer_deinit(ret);
	return error;
}

void table_writer_deinit(struct table_writer *writer)
{
	array_deinit(&writer->rows);
	array_deinit(&writer->page_firsts);
	array_deinit(&writer->rules);
	free(writer->rule_slots);
	*writer = (struct table_writer){0};
}

/* Opens all pages up to this one. Each begins with the rule that holds there. */
static struct error *open_pages(struct table_writer *writer, uint64_t page)
{
	uint64_t wanted = page - writer->first_page + 1;

	if (wanted > TABLE_WRITER_PAGES_MAX)
		return error_create(ERROR_BAD_FILE, 0, NULL, "its code spans more than 16 GiB");
	while (writer->page_firsts.count < wanted) {
		if (!array_append(&writer->page_firsts, (uint32_t)writer->rows.count) ||
		    !array_append(&writer->rows, TABLE_ROW(0, writer->current_rule)))
			return out_of_memory();
	}
	return NULL;
}

static struct error *flush_pending(struct table_writer *writer)
{
	uint64_t page = writer->pending_offset >> TABLE_PAGE_SHIFT;
	uint32_t offset = PAGE_OFFSET(writer->pending_offset);
	struct error *error;

	if (!writer->has_pending)
		return NULL;
	writer->has_pending = false;
	if (writer->pending_rule == writer->current_rule)
		return NULL;
	if (!writer->page_firsts.count)
		writer->first_page = page;
	if (!offset) {
		/* The page's first row is this one. Pages in between get the rule that held until here. */
		if (page > writer->first_page) {
			error = open_pages(writer, page - 1);
			if (error)
				return error;
		}
		writer->current_rule = writer->pending_rule;
		return open_pages(writer, page);
	}
	error = open_pages(writer, page);
	if (error)
		return error;
	writer->current_rule = writer->pending_rule;
	if (!array_append(&writer->rows, TABLE_ROW(offset, writer->current_rule)))
		return out_of_memory();
	return NULL;
}

struct error *table_writer_append(struct table_writer *writer, uint64_t offset,
				  const struct unwind_rule *rule)
{
	struct error *error;
	uint32_t number;

	if (offset >> TABLE_PAGE_SHIFT > UINT32_MAX - TABLE_WRITER_PAGES_MAX ||
	    (writer->has_pending && offset < writer->pending_offset))
		return error_create(ERROR_BAD_FILE, 0, NULL, "its unwind rows are out of order");
	if (!rule_equals(rule, &writer->last_rule)) {
		error = rule_number(writer, rule, &number);
		if (error)
			return error;
		writer->last_rule = *rule;
		writer->last_rule_number = number;
	}
	if (writer->has_pending && offset > writer->pending_offset) {
		error = flush_pending(writer);
		if (error)
			return error;
	}
	writer->has_pending = true;
	writer->pending_offset = offset;
	writer->pending_rule = writer->last_rule_number;
	return NULL;
}

/* ---- layout ---- */

static uint64_t round_up(uint64_t value, uint64_t multiple)
{
	return (value + multiple - 1) / multiple * multiple;
}

static uint32_t page_row_count(const struct table_writer *writer, size_t page)
{
	size_t end = page + 1 < writer->page_firsts.count ? writer->page_firsts.items[page + 1]
							  : writer->rows.count;

	return (uint32_t)(end - writer->page_firsts.items[page]);
}

/* Where a page's rows go: at `at`, or in the next chunk when they would not lie inside one. */
static uint64_t page_place(uint64_t at, uint32_t rows)
{
	uint64_t chunk_left = TABLE_CHUNK_WORDS - at % TABLE_CHUNK_WORDS;

	return rows <= chunk_left ? at : at + chunk_left;
}

static uint64_t rows_end(const struct table_writer *writer, uint64_t at)
{
	for (size_t page = 0; page < writer->page_firsts.count; page++) {
		uint32_t rows = page_row_count(writer, page);

		at = page_place(at, rows) + rows;
	}
	return at;
}

static void fill_rows(const struct table_writer *writer, uint32_t at, const struct table_header *header,
		      uint32_t *words)
{
	uint32_t *pages = words + header->pages_at;

	for (size_t page = 0; page < writer->page_firsts.count; page++) {
		uint32_t rows = page_row_count(writer, page);
		uint32_t place = (uint32_t)page_place(at, rows);

		for (; page && at < place; at++)
			words[at] = words[at - 1];
		pages[page] = place;
		memcpy(words + place, writer->rows.items + writer->page_firsts.items[page], rows * 4ul);
		at = place + rows;
	}
	pages[header->page_count] = at;
}

/* A memfd of this size that is mapped while it is filled: no copy, and its zeros are the padding. */
static struct error *fill_memfd(const struct table_writer *writer, const struct table_header *header,
				uint32_t rows_at, int memfd)
{
	size_t bytes = header->words * 4ul;
	uint32_t *words;

	if (ftruncate(memfd, (off_t)bytes))
		return error_create(ERROR_GENERAL, errno, NULL, "ftruncate an unwind table");
	words = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
	if (words == MAP_FAILED)
		return error_create(ERROR_GENERAL, errno, NULL, "mmap an unwind table");
	memcpy(words, header, sizeof(*header));
	memcpy(words + header->rules_at, writer->rules.items,
	       writer->rules.count * sizeof(*writer->rules.items));
	fill_rows(writer, rows_at, header, words);
	munmap(words, bytes);
	return NULL;
}

/* A gap that begins a page needs no page: what no page covers is a gap. Those before it are needed. */
static struct error *flush_last(struct table_writer *writer)
{
	uint64_t page = writer->pending_offset >> TABLE_PAGE_SHIFT;

	if (!writer->has_pending || PAGE_OFFSET(writer->pending_offset) || writer->pending_rule != RULE_GAP)
		return flush_pending(writer);
	writer->has_pending = false;
	return writer->page_firsts.count && page > writer->first_page ? open_pages(writer, page - 1) : NULL;
}

struct error *table_writer_finish(struct table_writer *writer, int *ret_memfd, uint32_t *ret_words)
{
	_cleanup_close_ int memfd = -1;
	struct table_header header = {.magic = TABLE_MAGIC, .pages_at = sizeof(header) / 4};
	struct error *error;
	uint64_t rules_at, rows_at, words;

	error = flush_last(writer);
	if (error)
		return error;
	rules_at = round_up(header.pages_at + writer->page_firsts.count + 1, RULES_ALIGNMENT);
	rows_at = rules_at + writer->rules.count * RULES_ALIGNMENT;
	words = round_up(rows_end(writer, rows_at), TABLE_CHUNK_WORDS);
	if (writer->rows.count > UINT32_MAX || words > UINT32_MAX)
		return error_create(ERROR_BAD_FILE, 0, NULL, "its unwind table is larger than 16 GiB");
	header.words = (uint32_t)words;
	header.first_page = (uint32_t)writer->first_page;
	header.page_count = (uint32_t)writer->page_firsts.count;
	header.rules_at = (uint32_t)rules_at;
	header.rule_count = (uint32_t)writer->rules.count;
	header.row_count = (uint32_t)writer->rows.count;
	memfd = memfd_create("kiln-unwind-table", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (memfd < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "memfd_create");
	error = fill_memfd(writer, &header, (uint32_t)rows_at, memfd);
	if (error)
		return error;
	if (fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return error_create(ERROR_GENERAL, errno, NULL, "seal an unwind table");
	*ret_words = header.words;
	*ret_memfd = take_fd(&memfd);
	return NULL;
}
