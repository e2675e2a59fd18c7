#include "tests/support/pclntab_make.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const made_files[2] = {"/src/hello/main.go", "/src/hello/\033inlined.go"};

static void append(struct made_table *table, const void *bytes, size_t length)
{
	if (length > sizeof(table->bytes) - table->length) {
		fprintf(stderr, "the table is too long\n");
		abort();
	}
	memcpy(table->bytes + table->length, bytes, length);
	table->length += length;
}

static void append_u32(struct made_table *table, uint32_t value)
{
	append(table, &value, sizeof(value));
}

static void append_word(struct made_table *table, uint64_t value)
{
	append(table, &value, table->word);
}

static void append_varint(struct made_table *table, uint32_t value)
{
	do {
		uint8_t byte = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));

		append(table, &byte, 1);
		value >>= 7;
	} while (value);
}

void made_table_set_u32(struct made_table *table, size_t at, uint32_t value)
{
	memcpy(table->bytes + at, &value, sizeof(value));
}

static void set_u64(struct made_table *table, size_t at, uint64_t value)
{
	memcpy(table->bytes + at, &value, sizeof(value));
}

/* Returns its place in the values; 0 when there are none. */
static uint32_t append_runs(struct made_table *table, const struct made_run *runs, uint32_t add)
{
	uint32_t place = (uint32_t)(table->length - table->values), before = UINT32_MAX;

	if (!runs->bytes)
		return 0;
	for (; runs->bytes; runs++) {
		int32_t change = (int32_t)(runs->value + add - before);

		append_varint(table, change < 0 ? ~((uint32_t)change << 1) : (uint32_t)change << 1);
		append_varint(table, runs->bytes);
		before = runs->value + add;
	}
	append_varint(table, 0);
	return place;
}

struct made_places {
	uint32_t name, lines, files;
};

/* Offset 0 of names and values means that there is none: both begin with a byte that nobody refers to. */
static void append_strings(struct made_table *table, const struct made_function *functions,
			   struct made_places *places, uint32_t files[2])
{
	table->names = table->length;
	append(table, "", 1);
	for (size_t i = 0; functions[i].name; i++) {
		places[i].name = (uint32_t)(table->length - table->names);
		append(table, functions[i].name, strlen(functions[i].name) + 1);
	}
	table->files = table->length;
	append(table, "", 1);
	for (size_t i = 0; i < 2; i++) {
		files[i] = (uint32_t)(table->length - table->files);
		append(table, made_files[i], strlen(made_files[i]) + 1);
	}
}

static void append_values(struct made_table *table, const struct made_function *functions,
			  struct made_places *places, uint32_t first_file)
{
	table->values = table->length;
	append(table, "", 1);
	for (size_t i = 0; functions[i].name; i++) {
		places[i].lines = append_runs(table, functions[i].lines, 0);
		places[i].files = append_runs(table, functions[i].files, first_file);
	}
}

/* base: what the places of the records are counted from. */
static void append_functions(struct made_table *table, const struct made_function *functions,
			     uint64_t address, size_t base, const struct made_places *places, size_t count)
{
	size_t record_size = table->word + 40;
	size_t first = table->length + (2 * count + 1) * table->word + sizeof(uint32_t);

	table->index = table->length;
	for (size_t i = 0; i < count; i++) {
		table->records[i] = first + i * record_size;
		append_word(table, functions[i].start + address);
		append_word(table, table->records[i] - base);
	}
	append_word(table, functions[count].start + address);
	append_u32(table, (uint32_t)table->files); /* Go 1.2 only */
	for (size_t i = 0; i < count; i++) {
		append_word(table, functions[i].start + address);
		append_u32(table, places[i].name);
		append(table, (uint32_t[]){8, 0, 0}, 12);
		append_u32(table, places[i].files);
		append_u32(table, places[i].lines);
		append_u32(table, 0);
		append_u32(table, 1); /* of the unit: the second of its file numbers is our first */
		append(table, (uint32_t[]){7, 0}, 8);
	}
}

/* One part: the places of strings and values are counted from the table's start. */
static void make_1_2(struct made_table *table, uint64_t text_start, const struct made_function *functions,
		     size_t count)
{
	struct made_places places[MADE_FUNCTIONS_MAX];
	struct made_table strings = {0};
	uint32_t files[2];
	size_t moved = table->length + (2 * count + 1) * table->word + sizeof(uint32_t) + count * 48;

	append(&strings, table->bytes, table->length);
	memset(strings.bytes + strings.length, 0, moved - strings.length);
	strings.length = moved;
	append_strings(&strings, functions, places, files);
	for (size_t i = 0; i < count; i++)
		places[i].name += (uint32_t)strings.names;
	append_values(&strings, functions, places, 1);
	for (size_t i = 0; i < count; i++) {
		places[i].lines += places[i].lines ? (uint32_t)strings.values : 0;
		places[i].files += places[i].files ? (uint32_t)strings.values : 0;
	}
	table->files = strings.length;
	append_u32(&strings, 3);
	for (size_t i = 0; i < 2; i++)
		append_u32(&strings, files[i] + (uint32_t)strings.files);
	append_functions(table, functions, text_start, 0, places, count);
	append(table, strings.bytes + moved, strings.length - moved);
	table->names = strings.names;
	table->values = strings.values;
}

static void make_parts(struct made_table *table, uint64_t address, size_t header,
		       const struct made_function *functions, size_t count)
{
	struct made_places places[MADE_FUNCTIONS_MAX];
	uint32_t files[2];

	append(table, (uint64_t[5]){0}, 40);
	append_strings(table, functions, places, files);
	table->units = table->length;
	append(table, (uint32_t[]){UINT32_MAX, files[0], files[1]}, 12);
	append_values(table, functions, places, 0);
	append_functions(table, functions, address, table->length, places, count);
	set_u64(table, header, table->names);
	set_u64(table, header + 8, table->units);
	set_u64(table, header + 16, table->files);
	set_u64(table, header + 24, table->values);
	set_u64(table, header + 32, table->index);
}

void made_table_make(uint8_t magic, uint64_t text_start, const struct made_function *functions,
		     struct made_table *ret)
{
	const uint8_t start[8] = {magic, 0xff, 0xff, 0xff, 0, 0, 1, 8};
	bool is_relative = magic == MADE_GO_1_18 || magic == MADE_GO_1_20;
	uint64_t count = 0, files = 2;

	while (functions[count].name)
		count++;
	if (count > MADE_FUNCTIONS_MAX)
		abort();
	memset(ret, 0, sizeof(*ret));
	ret->word = is_relative ? sizeof(uint32_t) : sizeof(uint64_t);
	append(ret, start, sizeof(start));
	append(ret, &count, sizeof(count));
	if (magic == MADE_GO_1_2) {
		make_1_2(ret, text_start, functions, count);
		return;
	}
	append(ret, &files, sizeof(files));
	if (is_relative)
		append(ret, &text_start, sizeof(text_start));
	make_parts(ret, is_relative ? 0 : text_start, ret->length, functions, count);
}
