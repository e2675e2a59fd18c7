/* The table is a header and parts: an index of (address, place of the record), sorted by address and closed
 * by the end of the last function; records; strings; and for each function and kind of value (file, line)
 * pairs of varints: by how much the value changes, and for how many bytes of code it then holds. */
#include "symbolizer/pclntab.h"

#include "symbolizer/frame.h"

#include <string.h>

/* A function with more changes than this has no lines: the longest one of terraform has 9,863, and a damaged
 * one may not keep us for seconds. */
#define VALUES_MAX (1u << 20)

/* How many functions are asked before a table is said to have no lines: some of assembly have none. */
#define LINE_PROBES 64

#define VARINT_BYTES_MAX 5 /* of 32 bits */

struct pclntab_layout {
	uint8_t magic;	   /* its first byte */
	bool is_relative;  /* addresses in 4 bytes from the start of the text, else in 8 bytes */
	uint8_t parts;	   /* where in the header the places of the parts begin; 0: Go 1.2, one part */
	uint8_t functions; /* where the index begins, when there is one part */
	uint8_t flags;	   /* number of the field whose second byte they are; 0: there are none */
};

static const struct pclntab_layout layouts[] = {
	{.magic = 0xfb, .functions = 16},
	/* Go 1.16 has zeros where 1.17 has flags. */
	{.magic = 0xfa, .parts = 24, .flags = 8},
	{.magic = 0xf0, .parts = 32, .is_relative = true, .flags = 8},
	/* 1.20: the line where the function begins stands before them. */
	{.magic = 0xf1, .parts = 32, .is_relative = true, .flags = 9},
};

#define HEADER_COUNT 8
#define PARTS_COUNT  5

/* Fields of a record are numbered; the first, the address, is as wide as in the index. */
enum record_field { RECORD_NAME = 0, RECORD_FILE = 4, RECORD_LINE = 5, RECORD_UNIT = 7 };
/* runtime/symtab.go: abi.FuncFlagTopFrame */
#define FLAG_TOP_FRAME 1

/* ---- reading ---- */

static bool has_bytes(const struct pclntab_part *part, uint64_t at, uint64_t length)
{
	return at <= part->length && length <= part->length - at;
}

static bool read_u32(const struct pclntab_part *part, uint64_t at, uint32_t *ret)
{
	if (!has_bytes(part, at, sizeof(*ret)))
		return false;
	memcpy(ret, part->data + at, sizeof(*ret));
	return true;
}

static bool read_u64(const struct pclntab_part *part, uint64_t at, uint64_t *ret)
{
	if (!has_bytes(part, at, sizeof(*ret)))
		return false;
	memcpy(ret, part->data + at, sizeof(*ret));
	return true;
}

/* An address, or a place in the index: both are as wide. */
static bool read_word(const struct pclntab *table, const struct pclntab_part *part, uint64_t at,
		      uint64_t *ret)
{
	uint32_t narrow;

	if (!table->layout->is_relative)
		return read_u64(part, at, ret);
	if (!read_u32(part, at, &narrow))
		return false;
	*ret = narrow;
	return true;
}

static size_t word_size(const struct pclntab *table)
{
	return table->layout->is_relative ? sizeof(uint32_t) : sizeof(uint64_t);
}

static bool read_string(const struct pclntab_part *part, uint64_t at, const char **ret, size_t *ret_length)
{
	size_t most, length;

	if (at >= part->length)
		return false;
	most = part->length - at;
	length = strnlen((const char *)part->data + at, most > NAME_LENGTH_MAX ? NAME_LENGTH_MAX + 1 : most);
	/* Nothing, or what the table does not end. */
	if (!length || length == most)
		return false;
	*ret = (const char *)part->data + at;
	*ret_length = length;
	return true;
}

static bool read_varint(const struct pclntab_part *part, uint64_t *at, uint32_t *ret)
{
	uint32_t value = 0;

	for (unsigned i = 0; i < VARINT_BYTES_MAX && *at < part->length; i++) {
		uint8_t byte = part->data[(*at)++];

		value |= (uint32_t)(byte & 0x7f) << (7 * i);
		if (!(byte & 0x80)) {
			*ret = value;
			return true;
		}
	}
	return false;
}

/* ---- the header ---- */

static const struct pclntab_layout *find_layout(const struct pclntab_part *all)
{
	if (all->length < 1 + PCLNTAB_MAGIC_TAIL_LENGTH ||
	    memcmp(all->data + 1, PCLNTAB_MAGIC_TAIL, PCLNTAB_MAGIC_TAIL_LENGTH) != 0)
		return NULL;
	for (size_t i = 0; i < sizeof(layouts) / sizeof(layouts[0]); i++) {
		if (layouts[i].magic == all->data[0])
			return &layouts[i];
	}
	return NULL;
}

/* The parts come one after the other, but in no order that is promised: each may reach to the table's end. */
static bool read_parts(const struct pclntab_part *all, struct pclntab *table)
{
	struct pclntab_part *parts[PARTS_COUNT] = {&table->names, &table->units, &table->files,
						   &table->values, &table->functions};

	for (unsigned i = 0; i < PARTS_COUNT; i++) {
		uint64_t at;

		if (!read_u64(all, table->layout->parts + i * sizeof(at), &at) || at >= all->length)
			return false;
		*parts[i] = (struct pclntab_part){all->data + at, all->length - at};
	}
	table->index = table->functions;
	return true;
}

static bool read_single_part(const struct pclntab_part *all, struct pclntab *table)
{
	uint64_t at = table->layout->functions;
	uint32_t files;

	table->names = table->values = table->functions = *all;
	if (!has_bytes(all, at, 1) || table->count > all->length)
		return false;
	table->index = (struct pclntab_part){all->data + at, all->length - at};
	/* Behind the index and its end. */
	if (!read_u32(&table->index, (2 * table->count + 1) * word_size(table), &files) ||
	    !has_bytes(all, files, 1))
		return false;
	table->files = (struct pclntab_part){all->data + files, all->length - files};
	return true;
}

static bool read_index(const struct pclntab *table, uint64_t number, uint64_t *ret)
{
	return read_word(table, &table->index, 2 * number * word_size(table), ret);
}

static bool read_header(const struct pclntab_part *all, struct pclntab *table)
{
	uint64_t first, end;

	if (!read_u64(all, HEADER_COUNT, &table->count) || !table->count || table->count > all->length)
		return false;
	if (!(table->layout->parts ? read_parts(all, table) : read_single_part(all, table)))
		return false;
	if (table->layout->is_relative && !read_u64(all, PCLNTAB_TEXT_START, &table->text_start))
		return false;
	/* The end of the last function: all before it is there too. */
	return read_index(table, 0, &first) && read_index(table, table->count, &end) && first < end;
}

bool pclntab_init(const uint8_t *data, size_t length, struct pclntab *ret)
{
	struct pclntab_part all = {data, length};
	struct pclntab table = {.layout = find_layout(&all)};

	if (!table.layout || !read_header(&all, &table))
		return false;
	*ret = table;
	return true;
}

bool pclntab_needs_text_start(const struct pclntab *table)
{
	return table->layout && table->layout->is_relative && !table->text_start;
}

/* ---- functions ---- */

/* The last function that starts at or before the (relative) address; 0 when none does. An index that is not
 * sorted gives some number. */
static uint64_t search_index(const struct pclntab *table, uint64_t address)
{
	uint64_t low = 0, high = table->count;

	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2, start;

		if (!read_index(table, middle, &start))
			return 0;
		if (start <= address)
			low = middle;
		else
			high = middle;
	}
	return low;
}

static bool read_field(const struct pclntab *table, const struct pclntab_function *function,
		       enum record_field field, uint32_t *ret)
{
	return read_u32(&table->functions, function->record + word_size(table) + (size_t)field * sizeof(*ret),
			ret);
}

/* The record says once more where the function starts. */
static bool read_record(const struct pclntab *table, uint64_t number, struct pclntab_function *function)
{
	uint64_t record, start, place = (2 * number + 1) * word_size(table);
	uint32_t name;

	if (!read_word(table, &table->index, place, &record) || record >= table->functions.length)
		return false;
	function->record = record;
	return read_word(table, &table->functions, record, &start) && start == function->start &&
	       read_field(table, function, RECORD_NAME, &name) &&
	       read_string(&table->names, name, &function->name, &function->length);
}

static bool read_function(const struct pclntab *table, uint64_t number, struct pclntab_function *ret)
{
	struct pclntab_function function = {0};

	if (!read_index(table, number, &function.start) || !read_index(table, number + 1, &function.end) ||
	    function.start >= function.end || !read_record(table, number, &function))
		return false;
	/* What wraps around ends before it starts: no address is in it. */
	if (table->layout->is_relative) {
		function.start += table->text_start;
		function.end += table->text_start;
	}
	*ret = function;
	return true;
}

/* Go does not go on from its signal handlers to what they interrupted; we do. */
static bool is_signal_handler(const struct pclntab_function *function)
{
	return memmem(function->name, function->length, "igtramp", 7) != NULL;
}

bool pclntab_next_root(const struct pclntab *table, uint64_t *number, struct pclntab_function *ret)
{
	if (!table->layout || !table->layout->flags || pclntab_needs_text_start(table))
		return false;
	while (*number < table->count) {
		uint32_t flags;

		if (read_function(table, (*number)++, ret) &&
		    read_field(table, ret, table->layout->flags, &flags) && (flags >> 8 & FLAG_TOP_FRAME) &&
		    !is_signal_handler(ret))
			return true;
	}
	return false;
}

bool pclntab_find(const struct pclntab *table, uint64_t address, struct pclntab_function *ret)
{
	uint64_t base = table->text_start, number;

	if (!table->layout || pclntab_needs_text_start(table) || address < base)
		return false;
	number = search_index(table, address - base);
	return read_function(table, number, ret) && address >= ret->start && address < ret->end;
}

/* ---- lines ---- */

static bool find_value(const struct pclntab *table, const struct pclntab_function *function,
		       enum record_field field, uint64_t address, uint32_t *ret)
{
	uint64_t at, here = function->start;
	uint32_t value = UINT32_MAX /* -1 */, place, change, bytes;

	if (!read_field(table, function, field, &place) || !place)
		return false;
	at = place;
	for (unsigned i = 0; i < VALUES_MAX; i++) {
		/* Only the first value may be the same as before: then 0 is the end. */
		if (!read_varint(&table->values, &at, &change) || (!change && i) ||
		    !read_varint(&table->values, &at, &bytes) || !bytes)
			return false;
		value += change & 1 ? ~(change >> 1) : change >> 1;
		here += bytes;
		if (address < here) {
			*ret = value;
			return true;
		}
	}
	return false;
}

/* In Go 1.2 the value is the number of a file, from 1, and files[number] the place of its name. Later it is a
 * number of the function's unit, and units[first of the unit + number] the place of the name in files. */
static bool find_file(const struct pclntab *table, const struct pclntab_function *function, uint32_t value,
		      struct pclntab_line *ret)
{
	uint32_t unit, place;

	if (!table->layout->parts) {
		/* files[0] is their count, itself included. */
		return value && read_u32(&table->files, 0, &unit) && value < unit &&
		       read_u32(&table->files, (uint64_t)value * sizeof(place), &place) &&
		       read_string(&table->names, place, &ret->file, &ret->length);
	}
	return read_field(table, function, RECORD_UNIT, &unit) &&
	       read_u32(&table->units, ((uint64_t)unit + value) * sizeof(place), &place) &&
	       read_string(&table->files, place, &ret->file, &ret->length);
}

bool pclntab_find_line(const struct pclntab *table, const struct pclntab_function *function, uint64_t address,
		       struct pclntab_line *ret)
{
	uint32_t file;

	return address >= function->start && address < function->end &&
	       find_value(table, function, RECORD_LINE, address, &ret->line) && ret->line &&
	       ret->line <= INT32_MAX && find_value(table, function, RECORD_FILE, address, &file) &&
	       find_file(table, function, file, ret);
}

/* The functions that are asked lie all over the table. */
bool pclntab_has_lines(const struct pclntab *table)
{
	if (!table->layout)
		return false;
	for (uint64_t i = 0; i < LINE_PROBES; i++) {
		/* No overflow: no more functions than bytes. */
		uint64_t number = table->count * i / LINE_PROBES;
		struct pclntab_function function;
		struct pclntab_line line;

		if (read_function(table, number, &function) &&
		    pclntab_find_line(table, &function, function.start, &line))
			return true;
	}
	return false;
}
