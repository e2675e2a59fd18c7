#include "tests/support/table_lookup.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

static const struct table_header *header_of(const uint32_t *words)
{
	return (const struct table_header *)words;
}

static const struct unwind_rule *rules_of(const uint32_t *words)
{
	return (const struct unwind_rule *)(words + header_of(words)->rules_at);
}

bool table_map(int memfd, struct table_map *ret)
{
	struct stat status;
	void *words;

	if (fstat(memfd, &status))
		return false;
	words = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_SHARED, memfd, 0);
	if (words == MAP_FAILED)
		return false;
	*ret = (struct table_map){.words = words, .count = (size_t)status.st_size / 4};
	return true;
}

void table_unmap(struct table_map *map)
{
	if (map->words)
		munmap((void *)map->words, map->count * 4);
	*map = (struct table_map){0};
}

/* ---- the invariants ---- */

static const char *check_header(const struct table_header *header, size_t count)
{
	uint64_t pages_end = header->pages_at + (uint64_t)header->page_count + 1;
	uint64_t rules_end = header->rules_at + header->rule_count * (uint64_t)sizeof(struct unwind_rule) / 4;

	if (header->magic != TABLE_MAGIC)
		return "magic";
	if (header->words != count || count % TABLE_CHUNK_WORDS)
		return "the length is not that of the header, or no multiple of a chunk";
	if (header->pages_at < sizeof(*header) / 4 || pages_end > header->rules_at)
		return "the page index overlaps its neighbours";
	if (header->rules_at % 4 || rules_end > count)
		return "the rules are not aligned, or outside";
	if (!header->rule_count || header->rule_count > TABLE_RULES_MAX)
		return "number of rules";
	return NULL;
}

static const char *check_full_rule(const struct unwind_rule *rule)
{
	bool is_indexed = rule->flags & UNWIND_INDEXED;

	if (rule->base >= UNWIND_REGISTERS || rule->sp > UNWIND_REGISTERS || rule->ra >= UNWIND_RA_KINDS)
		return "a full rule has an unknown register or kind";
	if (rule->flags & 0xf & ~(UNWIND_DEREF | UNWIND_INDEXED))
		return "a full rule has an unknown flag";
	if (is_indexed ? !(rule->flags & UNWIND_DEREF) : rule->flags >> UNWIND_INDEX_SHIFT)
		return "a full rule has an index for nothing";
	if (rule->ra == UNWIND_RA_IN_REGISTER && (rule->extra < 0 || rule->extra >= UNWIND_REGISTERS))
		return "a full rule's return address is in no register";
	if (rule->ra != UNWIND_RA_AT_CFA && rule->flags & UNWIND_DEREF)
		return "a full rule uses its extra twice";
	if (rule->ra == UNWIND_RA_AT_CFA && rule->extra && !(rule->flags & UNWIND_DEREF))
		return "a full rule has an extra for nothing";
	if (rule->rbp == UNWIND_RBP_IN_REGISTER &&
	    (rule->rbp_offset < 0 || rule->rbp_offset >= UNWIND_REGISTERS))
		return "a full rule's rbp is in no register";
	if ((rule->base == 6 || rule->base == 7) && !rule->flags && !rule->ra && !rule->sp &&
	    rule->rbp <= UNWIND_RBP_UNDEFINED)
		return "a full rule is plain";
	return NULL;
}

static const char *check_rules(const uint32_t *words)
{
	const struct unwind_rule *rules = rules_of(words);
	const char *broken = NULL;

	if (rules[0].cfa != UNWIND_GAP)
		return "rule 0 is no gap";
	for (uint32_t i = 0; !broken && i < header_of(words)->rule_count; i++) {
		const struct unwind_rule *rule = &rules[i];

		if (rule->cfa >= UNWIND_CFA_KINDS || rule->rbp >= UNWIND_RBP_KINDS)
			return "a rule has an unknown kind";
		if (rule->cfa == UNWIND_FULL)
			broken = check_full_rule(rule);
		else if (rule->ra || rule->sp || rule->base ||
			 (rule->flags != UNWIND_TRACKS_RBX && (rule->flags || rule->extra)) ||
			 rule->rbp > UNWIND_RBP_UNDEFINED)
			broken = "a plain rule uses what only a full one has";
	}
	return broken;
}

/* rows: without padding; padding ends a page at a chunk's end with copies of its last row. */
static const char *check_page(const uint32_t *words, uint32_t begin, uint32_t end, uint32_t *rows)
{
	uint32_t rule_count = header_of(words)->rule_count;

	if (begin >= end)
		return "a page without a row";
	if (begin >> TABLE_CHUNK_SHIFT != (end - 1) >> TABLE_CHUNK_SHIFT)
		return "a page's rows lie in two chunks";
	if (TABLE_ROW_OFFSET(words[begin]))
		return "a page does not begin with a row at offset 0";
	for (uint32_t i = begin; i < end; i++) {
		if (TABLE_ROW_RULE(words[i]) >= rule_count)
			return "a row's rule does not exist";
		if (i == begin || words[i] == words[i - 1])
			continue;
		if (TABLE_ROW_OFFSET(words[i]) <= TABLE_ROW_OFFSET(words[i - 1]))
			return "rows of a page do not ascend";
		if (TABLE_ROW_RULE(words[i]) == TABLE_ROW_RULE(words[i - 1]))
			return "neighbours with the same rule are not merged";
		if (i >= 2 && i - 1 > begin && words[i - 1] == words[i - 2])
			return "a copy of a row that is not the last one";
		++*rows;
	}
	++*rows;
	if (end - begin >= 2 && words[end - 1] == words[end - 2] && end % TABLE_CHUNK_WORDS)
		return "padding that does not end at a chunk's end";
	return NULL;
}

const char *table_check_file(const uint32_t *words, size_t count)
{
	const struct table_header *header = header_of(words);
	const uint32_t *pages;
	uint32_t rows = 0;
	const char *broken;

	if (count < sizeof(*header) / 4)
		return "shorter than a header";
	broken = check_header(header, count);
	if (!broken)
		broken = check_rules(words);
	if (broken)
		return broken;
	pages = words + header->pages_at;
	if (pages[0] < header->rules_at + header->rule_count * 4 || pages[header->page_count] > count)
		return "rows outside of the table";
	for (uint32_t page = 0; page < header->page_count && !broken; page++) {
		if (pages[page + 1] > pages[header->page_count])
			return "the page index does not ascend";
		broken = check_page(words, pages[page], pages[page + 1], &rows);
	}
	if (!broken && rows != header->row_count)
		return "the header counts other rows";
	return broken;
}

/* ---- look-up ---- */

struct unwind_rule table_lookup(const uint32_t *words, uint64_t offset)
{
	const struct table_header *header = header_of(words);
	const uint32_t *pages = words + header->pages_at;
	uint64_t page = (offset >> TABLE_PAGE_SHIFT) - header->first_page;
	uint32_t in_page = offset & ((1u << TABLE_PAGE_SHIFT) - 1);
	uint32_t low, high;

	if (page >= header->page_count) /* wraps below the first page */
		return rules_of(words)[0];
	low = pages[page];
	high = pages[page + 1];
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;

		if (TABLE_ROW_OFFSET(words[middle]) <= in_page)
			low = middle;
		else
			high = middle;
	}
	return rules_of(words)[TABLE_ROW_RULE(words[low])];
}

void table_walk(const uint32_t *words,
		void (*callback)(void *arg, uint64_t offset, const struct unwind_rule *rule), void *arg)
{
	const struct table_header *header = header_of(words);
	const uint32_t *pages = words + header->pages_at;
	uint32_t current = 0;

	for (uint32_t page = 0; page < header->page_count; page++) {
		uint64_t begin = ((uint64_t)header->first_page + page) << TABLE_PAGE_SHIFT;

		for (uint32_t i = pages[page]; i < pages[page + 1]; i++) {
			if (TABLE_ROW_RULE(words[i]) == current)
				continue;
			current = TABLE_ROW_RULE(words[i]);
			callback(arg, begin + TABLE_ROW_OFFSET(words[i]), &rules_of(words)[current]);
		}
	}
	if (current)
		callback(arg, ((uint64_t)header->first_page + header->page_count) << TABLE_PAGE_SHIFT,
			 &rules_of(words)[0]);
}
