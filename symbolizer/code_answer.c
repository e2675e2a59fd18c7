#include "symbolizer/code_answer.h"

#include "base/array.h"
#include "base/channel.h"
#include "base/text.h"
#include "symbolizer/code.h"
#include "symbolizer/code_bounds.h"
#include "symbolizer/code_places.h"
#include "symbolizer/demangle.h"
#include "symbolizer/segments.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PADDED(length) (((length) + 7) & ~(size_t)7)
/* More than fit into a message as text. */
#define READ_BYTES 32768

/* A string that this message has already. */
struct known {
	uint32_t hash, length;
	size_t at; /* of its text, in the message */
};

struct code_answer {
	struct code_decoder *code;
	size_t length; /* of bytes */
	bool is_full;  /* something did not fit */
	uint64_t since_ms;
	ARRAY(struct known)
	strings;
	struct code_levels levels, last; /* last: the place that was said last */
	bool has_last;
	struct module_name name;
	struct decoded decoded;
	uint8_t read[READ_BYTES];
	union {
		struct code_part part;
		unsigned char bytes[CHANNEL_PAYLOAD_MAX];
	};
};

struct error *code_answer_create(struct code_answer **ret)
{
	struct code_answer *answer = calloc(1, sizeof(*answer));
	struct error *error;

	if (!answer)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "code");
	error = code_decoder_create(&answer->code);
	if (error) {
		free(answer);
		return error;
	}
	*ret = answer;
	return NULL;
}

void code_answer_destroy(struct code_answer *answer)
{
	if (!answer)
		return;
	array_deinit(&answer->strings);
	code_decoder_destroy(answer->code);
	free(answer);
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- records ---- */

/* Appends a record of `size` bytes with what follows it; NULL: the message is full. */
static unsigned char *append(struct code_answer *answer, struct code_record record, size_t size)
{
	size_t whole = PADDED(sizeof(record) + size);
	unsigned char *at = answer->bytes + answer->length;

	if (answer->length + whole > sizeof(answer->bytes)) {
		answer->is_full = true;
		return NULL;
	}
	record.length = (uint16_t)whole;
	memset(at, 0, whole);
	memcpy(at, &record, sizeof(record));
	answer->length += whole;
	return at + sizeof(record);
}

static uint32_t hash_text(const char *text, size_t length)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < length; i++)
		hash = (hash ^ (unsigned char)text[i]) * 16777619u;
	return hash;
}

/* The number of a sanitized string in this message; 0: there is none, or no room. */
static uint32_t add_string(struct code_answer *answer, const char *text, size_t length)
{
	struct known known = {hash_text(text, length), (uint32_t)length, 0};
	unsigned char *at;

	if (!length)
		return 0;
	for (size_t i = 0; i < answer->strings.count; i++) {
		const struct known *other = &answer->strings.items[i];

		if (other->hash == known.hash && other->length == known.length &&
		    !memcmp(answer->bytes + other->at, text, length))
			return (uint32_t)i + 1;
	}
	if (!array_reserve(&answer->strings, answer->strings.count + 1)) {
		answer->is_full = true;
		return 0;
	}
	at = append(answer, (struct code_record){.kind = CODE_RECORD_STRING, .text_length = (uint16_t)length},
		    length);
	if (!at)
		return 0;
	memcpy(at, text, length);
	known.at = (size_t)(at - answer->bytes);
	array_append(&answer->strings, known);
	return (uint32_t)answer->strings.count;
}

static uint32_t add_raw(struct code_answer *answer, const struct code_text *text)
{
	char safe[NAME_LENGTH_MAX + 1];

	return text->text
		       ? add_string(answer, safe, text_sanitize(text->text, text->length, safe, sizeof(safe)))
		       : 0;
}

static uint32_t add_function(struct code_answer *answer, const struct code_text *text)
{
	char safe[NAME_LENGTH_MAX + 1];

	if (!text->text)
		return 0;
	return add_string(answer, safe, demangle_name(text->text, text->length, safe));
}

static void add_place(struct code_answer *answer)
{
	const struct code_levels *levels = &answer->levels;
	struct code_record_level records[CODE_LEVELS_MAX];
	size_t size = levels->count * sizeof(records[0]);
	unsigned char *at;

	memset(records, 0, sizeof(records));
	for (size_t i = 0; i < levels->count; i++) {
		records[i].function = add_function(answer, &levels->items[i].function);
		records[i].file = add_raw(answer, &levels->items[i].file);
		records[i].line = levels->items[i].line;
	}
	at = append(answer, (struct code_record){.kind = CODE_RECORD_PLACE, .count = (uint16_t)levels->count},
		    size);
	if (at)
		memcpy(at, records, size);
}

/* "name", "name+0x10". Where nothing has a name the address says it. */
static uint32_t add_target_name(struct code_answer *answer, struct module *module,
				const struct module_parts *parts, uint64_t target)
{
	struct module_name *name = &answer->name;
	char text[NAME_LENGTH_MAX + 32];
	uint64_t offset;
	int length;

	if (!segments_to_offset(parts->segments, target, &offset))
		return 0;
	module_name_offset(module, offset, name);
	if (!name->function_length || (name->flags & NAME_FDE))
		return 0;
	if (name->start == target)
		return add_string(answer, name->function, name->function_length);
	length = snprintf(text, sizeof(text), "%s+0x%llx", name->function,
			  (unsigned long long)(target - name->start));
	return length < NAME_LENGTH_MAX ? add_string(answer, text, (size_t)length) : 0;
}

static void add_instruction(struct code_answer *answer, struct module *module,
			    const struct module_parts *parts)
{
	const struct decoded *decoded = &answer->decoded;
	struct code_record_instruction instruction = {.target = decoded->target, .flags = decoded->flags};
	struct code_record record = {
		.kind = CODE_RECORD_INSTRUCTION,
		.text_length = decoded->text_length,
		.count = decoded->length,
	};
	unsigned char *at;

	if (decoded->target && (decoded->target < answer->part.start || decoded->target >= answer->part.end ||
				(decoded->flags & CODE_CALL)))
		instruction.target_name = add_target_name(answer, module, parts, decoded->target);
	at = append(answer, record, sizeof(instruction) + decoded->text_length);
	if (!at)
		return;
	memcpy(at, &instruction, sizeof(instruction));
	memcpy(at + sizeof(instruction), decoded->text, decoded->text_length);
}

/* ---- the answer ---- */

static void start(struct code_answer *answer, const struct code_request *request)
{
	memset(&answer->part, 0, sizeof(answer->part));
	answer->part.module = request->module;
	answer->part.offset = request->offset;
	answer->length = sizeof(answer->part);
	answer->strings.count = 0;
	answer->is_full = answer->has_last = false;
}

static void set_function(struct code_answer *answer, struct module *module, uint64_t offset)
{
	struct module_name *name = &answer->name;
	size_t padded;

	module_name_offset(module, offset, name);
	if (name->flags & NAME_FDE)
		return;
	padded = PADDED(name->function_length);
	memset(answer->bytes + answer->length, 0, padded);
	memcpy(answer->bytes + answer->length, name->function, name->function_length);
	answer->part.function_length = (uint32_t)name->function_length;
	answer->length += padded;
}

/* What is inlined deeper than a whole message can say: the innermost and the outermost level are left. */
static void drop_levels(struct code_levels *levels)
{
	if (levels->count <= 2)
		return;
	levels->items[1] = levels->items[levels->count - 1];
	levels->count = 2;
}

/* One instruction with its place: whole, or not at all. */
static bool list_one(struct code_answer *answer, struct module *module, const struct module_parts *parts,
		     uint64_t address, bool with_all_levels)
{
	size_t length = answer->length, strings = answer->strings.count;
	bool is_new;

	code_places_find(parts, address, &answer->levels);
	if (!with_all_levels)
		drop_levels(&answer->levels);
	is_new = answer->has_last ? !code_levels_are_same(&answer->levels, &answer->last)
				  : answer->levels.count > 0;
	if (is_new)
		add_place(answer);
	if (!answer->is_full)
		add_instruction(answer, module, parts);
	if (answer->is_full) {
		answer->length = length;
		answer->strings.count = strings;
		answer->is_full = false;
		return false;
	}
	if (is_new) {
		answer->last = answer->levels;
		answer->has_last = true;
	}
	return true;
}

/* Returns where the next part goes on. */
static uint64_t list(struct code_answer *answer, struct module *module, const struct module_parts *parts,
		     const struct code_request *request, size_t count)
{
	const struct code_part *part = &answer->part;
	size_t at = 0;

	/* What the module needed to be opened does not count. */
	answer->since_ms = now_ms();
	while (at < count) {
		/* The last bytes that were read may be the beginning of an instruction. */
		if (count - at < CODE_LENGTH_MAX && part->from + count < part->last)
			break;
		code_decode(answer->code, answer->read + at, count - at, part->from + at,
			    request->flags & CODE_INTEL, &answer->decoded);
		if (!list_one(answer, module, parts, part->from + at, true) &&
		    (at || !list_one(answer, module, parts, part->from + at, false)))
			break;
		at += answer->decoded.length;
		if (now_ms() - answer->since_ms > CODE_ANSWER_MS)
			break;
	}
	return at ? part->from + at : part->last;
}

static const char *make(struct code_answer *answer, struct module *module, const struct code_request *request)
{
	struct code_part *part = &answer->part;
	struct module_parts parts;
	struct code_bounds range;
	const char *why;
	ssize_t count;

	if (!module)
		return "the file was not handed over";
	if (!module_get_parts(module, &parts))
		return module_get_kind(module) == MODULE_KIND_KERNEL ? "the code of the kernel is in no file"
								     : "no ELF file for x86-64";
	if (!code_bounds_find(module, &parts, request->offset, &range, &why))
		return why;
	part->start = range.start;
	part->end = range.end;
	part->first = range.first;
	part->last = range.last;
	part->start_offset = range.start_offset;
	part->from = request->next >= range.first && request->next < range.last ? request->next : range.first;
	count = (ssize_t)(range.last - part->from < READ_BYTES ? range.last - part->from : READ_BYTES);
	count = pread(module_get_fd(module), answer->read, (size_t)count,
		      (off_t)(range.start_offset + (part->from - range.start)));
	if (count <= 0)
		return "the file cannot be read";
	set_function(answer, module, request->offset);
	part->next = list(answer, module, &parts, request, (size_t)count);
	if (part->next >= range.last)
		part->next = 0;
	return NULL;
}

const void *code_answer_make(struct code_answer *answer, struct module *module,
			     const struct code_request *request, size_t *ret_length)
{
	const char *why;

	start(answer, request);
	why = make(answer, module, request);
	if (why)
		text_sanitize(why, SIZE_MAX, answer->part.why, sizeof(answer->part.why));
	*ret_length = answer->length;
	return answer->bytes;
}
