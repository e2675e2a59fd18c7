#include "symbolizer/code_listing.h"

#include "base/array.h"
#include "base/channel.h"
#include "base/text.h"
#include "symbolizer/code_client.h"
#include "symbolizer/frame.h"

#include <stdlib.h>
#include <string.h>

#define PADDED(length) (((length) + 7) & ~(size_t)7)

/* The strings of one part. */
struct block {
	struct block *next;
	size_t used;
	char bytes[];
};

/* What public points into. */
struct builder {
	struct code_listing public;
	struct block *blocks;
	uint64_t next;	     /* that is expected; 0: the first part */
	uint32_t part_place; /* the current one */
	size_t instruction_capacity, place_capacity, level_capacity;
	ARRAY(const char *)
	strings; /* of the part at hand, from number 1 */
};

/* Where a part is read. */
struct reader {
	const unsigned char *at, *end;
};

struct code_listing *code_listing_create(uint32_t module, uint64_t offset)
{
	struct builder *builder = calloc(1, sizeof(*builder));

	if (!builder)
		return NULL;
	builder->public.module = module;
	builder->public.offset = offset;
	builder->public.function = "";
	return &builder->public;
}

void code_listing_destroy(struct code_listing *listing)
{
	struct builder *builder = (struct builder *)listing;

	if (!listing)
		return;
	while (builder->blocks) {
		struct block *block = builder->blocks;

		builder->blocks = block->next;
		free(block);
	}
	free(listing->instructions);
	free(listing->places);
	free(listing->levels);
	array_deinit(&builder->strings);
	free(builder);
}

/* ---- strings ---- */

/* Sanitizing never makes a text longer, but for one terminator each. */
static struct block *add_block(struct builder *builder, size_t size)
{
	struct block *block = malloc(sizeof(*block) + size);

	if (!block)
		return NULL;
	block->used = 0;
	block->next = builder->blocks;
	builder->blocks = block;
	return block;
}

static const char *keep(struct block *block, const void *text, size_t length)
{
	char *at = block->bytes + block->used;

	block->used += text_sanitize(text, length, at, length + 1) + 1;
	return at;
}

void code_listing_set_why(struct code_listing *listing, const char *why)
{
	size_t length = strlen(why);
	struct block *block = add_block((struct builder *)listing, length + 1);

	listing->why = block ? keep(block, why, length) : "memory is short";
}

static bool find_string(const struct builder *builder, uint32_t number, const char **ret)
{
	*ret = NULL;
	if (!number)
		return true;
	if (number > builder->strings.count)
		return false;
	*ret = builder->strings.items[number - 1];
	return true;
}

/* ---- records ---- */

static bool is_same_text(const char *a, const char *b)
{
	return a == b || (a && b && !strcmp(a, b));
}

/* Every part says again where its first instruction is from. */
static void join_places(struct builder *builder)
{
	struct code_listing *listing = &builder->public;
	const struct code_place *last = &listing->places[listing->place_count - 1], *before = last - 1;

	if (before->count != last->count)
		return;
	for (uint32_t i = 0; i < last->count; i++) {
		const struct code_level *a = &listing->levels[before->first + i];
		const struct code_level *b = &listing->levels[last->first + i];

		if (a->line != b->line || !is_same_text(a->file, b->file) ||
		    !is_same_text(a->function, b->function))
			return;
	}
	listing->level_count = last->first;
	listing->place_count--;
	builder->part_place--;
}

static bool take_place(struct builder *builder, const struct code_record *record, const unsigned char *body,
		       size_t size)
{
	struct code_listing *listing = &builder->public;
	struct code_record_level raw;

	/* From here on nothing is known: that is place 0. */
	if (!record->count) {
		builder->part_place = 0;
		return true;
	}
	if (record->count > NAME_LEVELS_MAX || size < record->count * sizeof(raw) ||
	    !array_reserve_raw((void **)&listing->places, &builder->place_capacity, listing->place_count + 1,
			       sizeof(*listing->places)) ||
	    !array_reserve_raw((void **)&listing->levels, &builder->level_capacity,
			       listing->level_count + record->count, sizeof(*listing->levels)))
		return false;
	builder->part_place = (uint32_t)listing->place_count;
	listing->places[listing->place_count++] =
		(struct code_place){(uint32_t)listing->level_count, record->count};
	for (size_t i = 0; i < record->count; i++) {
		struct code_level *level = &listing->levels[listing->level_count];

		memcpy(&raw, body + i * sizeof(raw), sizeof(raw));
		if (!find_string(builder, raw.function, &level->function) ||
		    !find_string(builder, raw.file, &level->file))
			return false;
		level->line = raw.line;
		listing->level_count++;
	}
	/* Place 0 is there always. */
	join_places(builder);
	return true;
}

/* Each follows the one before: only the first one's address is said. */
static bool take_instruction(struct builder *builder, struct block *block, const struct code_record *record,
			     const unsigned char *body, size_t size, uint64_t *address)
{
	struct code_listing *listing = &builder->public;
	struct code_instruction *instruction;
	struct code_record_instruction raw;

	if (size < sizeof(raw) + record->text_length || record->text_length > CODE_TEXT_MAX ||
	    !record->count || record->count > CODE_LENGTH_MAX || record->count > listing->last - *address ||
	    !array_reserve_raw((void **)&listing->instructions, &builder->instruction_capacity,
			       listing->count + 1, sizeof(*listing->instructions)))
		return false;
	memcpy(&raw, body, sizeof(raw));
	instruction = &listing->instructions[listing->count];
	if (!find_string(builder, raw.target_name, &instruction->target_name))
		return false;
	instruction->address = *address;
	instruction->target = raw.target;
	instruction->text = keep(block, body + sizeof(raw), record->text_length);
	instruction->place = builder->part_place;
	instruction->length = (uint8_t)record->count;
	instruction->flags = (uint8_t)(raw.flags & 0xff);
	listing->count++;
	*address += record->count;
	return true;
}

static bool take_record(struct builder *builder, struct block *block, struct reader *reader,
			uint64_t *address)
{
	struct code_record record;
	const unsigned char *body;
	size_t size;

	if ((size_t)(reader->end - reader->at) < sizeof(record))
		return false;
	memcpy(&record, reader->at, sizeof(record));
	if (record.length < sizeof(record) || record.length % 8 ||
	    record.length > (size_t)(reader->end - reader->at))
		return false;
	body = reader->at + sizeof(record);
	size = record.length - sizeof(record);
	reader->at += record.length;
	switch (record.kind) {
	case CODE_RECORD_STRING:
		return record.text_length && record.text_length <= size &&
		       array_append(&builder->strings, keep(block, body, record.text_length));
	case CODE_RECORD_PLACE:
		return take_place(builder, &record, body, size);
	case CODE_RECORD_INSTRUCTION:
		return take_instruction(builder, block, &record, body, size, address);
	default:
		return false;
	}
}

/* ---- parts ---- */

/* Place 0 is "no line is known". */
static bool start_part(struct builder *builder)
{
	struct code_listing *listing = &builder->public;

	builder->strings.count = 0;
	builder->part_place = 0;
	if (listing->place_count)
		return true;
	if (!array_reserve_raw((void **)&listing->places, &builder->place_capacity, 1,
			       sizeof(*listing->places)))
		return false;
	listing->places[listing->place_count++] = (struct code_place){0, 0};
	return true;
}

/* What the worker says of the function must hold together, and be the same in every part. */
static bool take_header(struct builder *builder, const struct code_part *part)
{
	struct code_listing *listing = &builder->public;

	if (part->module != listing->module || part->offset != listing->offset)
		return false;
	if (part->start > part->first || part->first >= part->last || part->last > part->end ||
	    part->last - part->first > CODE_BYTES_MAX)
		return false;
	if (builder->next)
		return part->from == builder->next && part->start == listing->start &&
		       part->end == listing->end && part->first == listing->first &&
		       part->last == listing->last && part->start_offset == listing->start_offset;
	listing->start = part->start;
	listing->end = part->end;
	listing->first = part->first;
	listing->last = part->last;
	listing->start_offset = part->start_offset;
	return part->from == part->first;
}

/* Padded strings and records never take less than the texts in them: so much room is enough for all. */
static bool take_body(struct builder *builder, const struct code_part *part, struct reader *reader)
{
	size_t size = (size_t)(reader->end - reader->at);
	struct block *block = add_block(builder, size + size / sizeof(struct code_record) + 2);
	uint64_t address = part->from;

	if (!block || part->function_length > NAME_LENGTH_MAX || PADDED(part->function_length) > size ||
	    !start_part(builder))
		return false;
	if (!builder->next)
		builder->public.function = keep(block, reader->at, part->function_length);
	reader->at += PADDED(part->function_length);
	while (reader->at < reader->end) {
		if (!take_record(builder, block, reader, &address))
			return false;
	}
	/* It goes on where it ended, and it goes on at all. */
	if (part->next && (part->next != address || address == part->from || address >= part->last))
		return false;
	builder->next = part->next;
	return true;
}

bool code_listing_append(struct code_listing *listing, const void *message, size_t length, uint64_t *ret_next)
{
	struct builder *builder = (struct builder *)listing;
	struct reader reader = {message, (const unsigned char *)message + length};
	struct code_part part;
	char why[sizeof(part.why)];

	*ret_next = 0;
	if (length < sizeof(part))
		return false;
	memcpy(&part, message, sizeof(part));
	reader.at += sizeof(part);
	if (part.why[0]) {
		text_sanitize(part.why, strnlen(part.why, sizeof(part.why)), why, sizeof(why));
		code_listing_set_why(listing, why);
		return part.module == listing->module && part.offset == listing->offset && !part.next;
	}
	if (!take_header(builder, &part) || !take_body(builder, &part, &reader))
		return false;
	*ret_next = part.next;
	return true;
}
