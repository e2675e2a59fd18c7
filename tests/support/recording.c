#include "tests/support/recording.h"

#include "base/cleanup.h"
#include "bpf/tables.h"
#include "profile/profile.h"

#include <inttypes.h>
#include <string.h>

bool recording_init(struct recording *ret)
{
	*ret = (struct recording){0};
	return array_append(&ret->mappings, (struct mapping){0}) && array_append(&ret->names, NULL);
}

void recording_deinit(struct recording *recording)
{
	for (size_t i = 0; i < recording->tables.count; i++) {
		struct recorded_table *table = &recording->tables.items[i];

		for (size_t j = 0; j < table->pages.count; j++)
			array_deinit(&table->pages.items[j].rows);
		array_deinit(&table->pages);
		array_deinit(&table->rules);
		free(table->words);
	}
	for (size_t i = 0; i < recording->memory.count; i++)
		array_deinit(&recording->memory.items[i].bytes);
	for (size_t i = 0; i < recording->names.count; i++)
		free(recording->names.items[i]);
	array_deinit(&recording->tables);
	array_deinit(&recording->memory);
	array_deinit(&recording->names);
	array_deinit(&recording->mappings);
	array_deinit(&recording->frames);
}

struct recorded_table *recording_find_table(struct recording *recording, uint32_t module)
{
	for (size_t i = 0; i < recording->tables.count; i++)
		if (recording->tables.items[i].module == module)
			return &recording->tables.items[i];
	return NULL;
}

/* ---- memory ---- */

/* The first piece that ends at or behind the address. */
static size_t find_memory(const struct recording *recording, uint64_t address)
{
	size_t at = 0;

	while (at < recording->memory.count &&
	       recording->memory.items[at].start + recording->memory.items[at].bytes.count < address)
		at++;
	return at;
}

static bool append_bytes(struct recorded_memory *memory, uint64_t start, const uint8_t *bytes, size_t count)
{
	uint64_t end = memory->start + memory->bytes.count;

	for (uint64_t skip = end - start; skip < count; skip++)
		if (!array_append(&memory->bytes, bytes[skip]))
			return false;
	return true;
}

bool recording_add_memory(struct recording *recording, uint64_t start, const void *bytes, size_t count)
{
	struct recorded_memory made = {.start = start};
	size_t at = find_memory(recording, start), last;

	/* Everything that it touches becomes one piece with it. */
	for (last = at; last < recording->memory.count; last++) {
		const struct recorded_memory *old = &recording->memory.items[last];

		if (old->start > start + count)
			break;
		if (old->start < made.start)
			made.start = old->start;
		if (old->start <= start &&
		    !append_bytes(&made, made.start, old->bytes.items, old->bytes.count))
			return false;
	}
	if (!append_bytes(&made, start, bytes, count))
		return false;
	for (size_t i = at; i < last; i++) {
		struct recorded_memory *old = &recording->memory.items[i];

		if (!append_bytes(&made, old->start, old->bytes.items, old->bytes.count))
			return false;
		array_deinit(&old->bytes);
	}
	if (!array_reserve(&recording->memory, recording->memory.count + 1))
		return false;
	memmove(&recording->memory.items[at + 1], &recording->memory.items[last],
		(recording->memory.count - last) * sizeof(made));
	recording->memory.items[at] = made;
	recording->memory.count = recording->memory.count - (last - at) + 1;
	return true;
}

bool recording_get_memory(const struct recording *recording, uint64_t start, void *ret, size_t count)
{
	for (size_t i = 0; i < recording->memory.count; i++) {
		const struct recorded_memory *memory = &recording->memory.items[i];
		uint64_t inside = start - memory->start;

		if (start >= memory->start && inside <= memory->bytes.count &&
		    memory->bytes.count - inside >= count) {
			memcpy(ret, memory->bytes.items + inside, count);
			return true;
		}
	}
	memset(ret, 0, count);
	return false;
}

/* ---- tables ---- */

#define RULES_AT       8u
#define WORDS_PER_RULE 4u

/* Rows do not straddle chunks: what is left of one is filled with the last row. */
static uint32_t pad_rows(uint32_t *words, uint32_t at, size_t rows)
{
	while (at / TABLE_CHUNK_WORDS != (at + rows - 1) / TABLE_CHUNK_WORDS) {
		words[at] = words[at - 1];
		at++;
	}
	return at;
}

static void fill_rows(const struct recorded_table *table, uint32_t *words, uint32_t at)
{
	const struct table_header *header = (const void *)words;
	static const uint32_t gap = TABLE_ROW(0, 0);
	size_t next = 0;

	for (uint32_t i = 0; i < header->page_count; i++) {
		const struct recorded_page *page = &table->pages.items[next];
		bool is_told = page->page == header->first_page + i;
		size_t count = is_told ? page->rows.count : 1;

		at = pad_rows(words, at, count);
		words[header->pages_at + i] = at;
		memcpy(&words[at], is_told ? page->rows.items : &gap, count * sizeof(*words));
		at += (uint32_t)count;
		next += is_told;
	}
	words[header->pages_at + header->page_count] = at;
}

static bool build_table(struct recorded_table *table)
{
	uint32_t first = table->pages.count ? table->pages.items[0].page : 0;
	uint64_t pages =
		table->pages.count ? table->pages.items[table->pages.count - 1].page - first + 1ull : 0;
	uint64_t rows = 0, words;
	struct table_header *header;
	_cleanup_error_ struct error *error = NULL;

	if (!table->rules.count)
		return false;
	for (size_t i = 0; i < table->pages.count; i++) {
		rows += 2 * table->pages.items[i].rows.count; /* with what is left of a chunk */
		if (!table->pages.items[i].rows.count ||
		    (i && table->pages.items[i].page <= table->pages.items[i - 1].page))
			return false;
	}
	words = RULES_AT + WORDS_PER_RULE * table->rules.count + 2 * pages + 1 + rows + TABLE_CHUNK_WORDS;
	words = (words + TABLE_CHUNK_WORDS - 1) / TABLE_CHUNK_WORDS * TABLE_CHUNK_WORDS;
	if (words * 4 > TABLE_BYTES_MAX)
		return false;
	free(table->words);
	table->words = calloc(words, 4);
	if (!table->words)
		return false;
	header = (void *)table->words;
	*header = (struct table_header){
		.magic = TABLE_MAGIC,
		.words = (uint32_t)words,
		.first_page = first,
		.page_count = (uint32_t)pages,
		.rules_at = RULES_AT,
		.rule_count = (uint32_t)table->rules.count,
	};
	header->pages_at = RULES_AT + WORDS_PER_RULE * header->rule_count;
	memcpy(&table->words[RULES_AT], table->rules.items, table->rules.count * sizeof(struct unwind_rule));
	fill_rows(table, table->words, header->pages_at + header->page_count + 1);
	error = table_check(table->words, words * 4);
	if (error)
		fprintf(stderr, "module %x: %s\n", table->module, error_get_message(error));
	return !error;
}

bool recording_build_tables(struct recording *recording)
{
	for (size_t i = 0; i < recording->tables.count; i++)
		if (!build_table(&recording->tables.items[i]))
			return false;
	return true;
}

/* ---- text ---- */

static struct recorded_table *make_table(struct recording *recording, uint32_t module)
{
	struct recorded_table *table = recording_find_table(recording, module);

	if (table)
		return table;
	if (!array_append(&recording->tables, (struct recorded_table){.module = module}))
		return NULL;
	return &recording->tables.items[recording->tables.count - 1];
}

static bool read_mapping(char *words, struct recording *ret)
{
	struct mapping mapping = {0};
	char name[256] = "";

	if (sscanf(words, "%" SCNx64 " %" SCNx64 " %" SCNx64 " %x %x %255s", (uint64_t *)&mapping.start,
		   (uint64_t *)&mapping.end, (uint64_t *)&mapping.offset, &mapping.module, &mapping.flags,
		   name) < 5)
		return false;
	if (!array_append(&ret->mappings, mapping) || !array_append(&ret->names, strdup(name)))
		return false;
	((struct mapping_header *)ret->mappings.items)->count++;
	return true;
}

static bool read_rule(char *words, struct recording *ret)
{
	struct recorded_table *table;
	struct unwind_rule rule;
	uint32_t module;

	if (sscanf(words, "%x %hhu %hhu %hhu %hhu %d %d %hhu %hhu %hd", &module, &rule.cfa, &rule.rbp,
		   &rule.ra, &rule.sp, &rule.cfa_offset, &rule.rbp_offset, &rule.base, &rule.flags,
		   &rule.extra) != 10)
		return false;
	table = make_table(ret, module);
	return table && array_append(&table->rules, rule);
}

static bool read_page(char *words, struct recording *ret)
{
	struct recorded_page page = {0};
	struct recorded_table *table;
	uint32_t module, offset, rule;
	int used = 0;

	if (sscanf(words, "%x %x%n", &module, &page.page, &used) != 2)
		return false;
	words += used;
	for (; sscanf(words, " %x:%u%n", &offset, &rule, &used) == 2; words += used)
		if (!array_append(&page.rows, TABLE_ROW(offset, rule)))
			break;
	table = make_table(ret, module);
	if (table && array_append(&table->pages, page))
		return true;
	array_deinit(&page.rows);
	return false;
}

static bool read_memory(char *words, struct recording *ret)
{
	uint8_t bytes[64];
	uint64_t address;
	size_t count = 0;
	int used = 0;

	if (sscanf(words, "%" SCNx64 " %n", &address, &used) != 1)
		return false;
	for (words += used; count < sizeof(bytes) && sscanf(words, "%2hhx", &bytes[count]) == 1; words += 2)
		count++;
	return count && recording_add_memory(ret, address, bytes, count);
}

static bool read_registers(char *words, struct recording *ret)
{
	int used = 0;

	for (int i = 0; i < 16; i++, words += used)
		if (sscanf(words, " %" SCNx64 "%n", &ret->registers[i], &used) != 1)
			return false;
	return true;
}

static bool read_end(const char *words, struct recording *ret)
{
	for (int i = 0; i < STACK_ENDS; i++) {
		if (strlen(stack_end_names[i]) == strcspn(words, " \n") &&
		    !strncmp(words, stack_end_names[i], strlen(stack_end_names[i]))) {
			ret->end = (enum stack_end)i;
			return true;
		}
	}
	return false;
}

static bool read_line(char *line, struct recording *ret)
{
	char *words = line + strcspn(line, " \n");
	uint64_t module, offset;

	if (!*words || *line == '#')
		return *line == '#';
	*words++ = '\0';
	if (!strcmp(line, "pc"))
		return sscanf(words, "%" SCNx64, &ret->pc) == 1;
	if (!strcmp(line, "registers"))
		return read_registers(words, ret);
	if (!strcmp(line, "mapping"))
		return read_mapping(words, ret);
	if (!strcmp(line, "rule"))
		return read_rule(words, ret);
	if (!strcmp(line, "page"))
		return read_page(words, ret);
	if (!strcmp(line, "memory"))
		return read_memory(words, ret);
	if (!strcmp(line, "end"))
		return read_end(words, ret);
	return !strcmp(line, "frame") && sscanf(words, "%" SCNx64 " %" SCNx64, &module, &offset) == 2 &&
	       array_append(&ret->frames, FRAME(module, offset));
}

bool recording_read(FILE *file, struct recording *ret)
{
	_cleanup_free_ char *line = NULL;
	size_t size = 0;

	if (!recording_init(ret))
		return false;
	for (unsigned number = 1; getline(&line, &size, file) > 0; number++) {
		if (number == 1 ? !strcmp(line, "kiln-stack 2\n") : read_line(line, ret))
			continue;
		fprintf(stderr, "line %u makes no sense\n", number);
		recording_deinit(ret);
		return false;
	}
	return true;
}

static void write_table(FILE *file, const struct recorded_table *table)
{
	for (size_t i = 0; i < table->rules.count; i++) {
		const struct unwind_rule *rule = &table->rules.items[i];

		fprintf(file, "rule %x %u %u %u %u %d %d %u %u %d\n", table->module, rule->cfa, rule->rbp,
			rule->ra, rule->sp, rule->cfa_offset, rule->rbp_offset, rule->base, rule->flags,
			rule->extra);
	}
	for (size_t i = 0; i < table->pages.count; i++) {
		const struct recorded_page *page = &table->pages.items[i];

		fprintf(file, "page %x %x", table->module, page->page);
		for (size_t j = 0; j < page->rows.count; j++)
			fprintf(file, " %x:%u", TABLE_ROW_OFFSET(page->rows.items[j]),
				TABLE_ROW_RULE(page->rows.items[j]));
		fputc('\n', file);
	}
}

static void write_memory(FILE *file, const struct recorded_memory *memory)
{
	for (size_t i = 0; i < memory->bytes.count; i++) {
		if (i % 64 == 0)
			fprintf(file, "%smemory %" PRIx64 " ", i ? "\n" : "", memory->start + i);
		fprintf(file, "%02x", memory->bytes.items[i]);
	}
	fputc('\n', file);
}

bool recording_write(FILE *file, const struct recording *recording)
{
	fprintf(file, "kiln-stack 2\npc %" PRIx64 "\nregisters", recording->pc);
	for (int i = 0; i < 16; i++)
		fprintf(file, " %" PRIx64, recording->registers[i]);
	fputc('\n', file);
	for (size_t i = 1; i < recording->mappings.count; i++) {
		const struct mapping *mapping = &recording->mappings.items[i];

		fprintf(file, "mapping %llx %llx %llx %x %x %s\n", mapping->start, mapping->end,
			mapping->offset, mapping->module, mapping->flags, recording->names.items[i]);
	}
	for (size_t i = 0; i < recording->tables.count; i++)
		write_table(file, &recording->tables.items[i]);
	for (size_t i = 0; i < recording->memory.count; i++)
		write_memory(file, &recording->memory.items[i]);
	for (size_t i = 0; i < recording->frames.count; i++)
		fprintf(file, "frame %x %" PRIx64 "\n", FRAME_MODULE(recording->frames.items[i]),
			(uint64_t)FRAME_OFFSET(recording->frames.items[i]));
	fprintf(file, "end %s\n", stack_end_names[recording->end]);
	return !ferror(file);
}
