#include "symbolizer/dwarf_lines.h"

#include "base/array.h"

#include <dwarf.h>
#include <stdio.h>

struct sequence {
	uint32_t first, count; /* rows */
	uint64_t end;
};

struct line_file {
	const char *name; /* in the section; NULL: not known */
	uint32_t directory;
};

struct lines {
	unsigned version;
	ARRAY(const char *)
	directories; /* [0] is the compilation's own: NULL before DWARF 5 */
	ARRAY(struct line_file)
	files; /* [0] is nobody's before DWARF 5 */
	ARRAY(struct line_row)
	rows;
	ARRAY(struct sequence)
	sequences;
	struct ranges ranges; /* value: number of the sequence */
};

/* What the header says of the program. */
struct header {
	struct bytes program;
	unsigned offset_size;
	unsigned least_length; /* of an instruction: the unit of advances */
	int line_base;
	unsigned line_range, opcode_base;
	unsigned char lengths[256]; /* of standard opcodes, in arguments */
};

struct machine {
	uint64_t address;
	uint64_t file, line;
};

struct decoder {
	const struct line_sections *sections;
	struct header header;
	struct lines *lines;
	uint64_t lowest;
	size_t first_row; /* of the sequence at hand */
	struct machine machine;
	bool is_out_of_memory;
};

/* ---- the header ---- */

static const char *string_at(const struct bytes *section, uint64_t offset)
{
	struct bytes bytes = *section;

	bytes_skip(&bytes, offset);
	return bytes_string(&bytes);
}

/* One field of an entry of DWARF 5; false: a form that has no place here. */
static bool read_form(struct decoder *decoder, struct bytes *bytes, uint64_t form, const char **ret_text,
		      uint64_t *ret_number)
{
	unsigned offset_size = decoder->header.offset_size;

	switch (form) {
	case DW_FORM_string:
		*ret_text = bytes_string(bytes);
		return true;
	case DW_FORM_line_strp:
		*ret_text = string_at(&decoder->sections->line_str, bytes_uint(bytes, offset_size));
		return true;
	case DW_FORM_strp:
		*ret_text = string_at(&decoder->sections->str, bytes_uint(bytes, offset_size));
		return true;
	case DW_FORM_udata:
		*ret_number = bytes_uleb(bytes);
		return true;
	case DW_FORM_data1:
		*ret_number = bytes_uint(bytes, 1);
		return true;
	case DW_FORM_data2:
		*ret_number = bytes_uint(bytes, 2);
		return true;
	case DW_FORM_data4:
		*ret_number = bytes_uint(bytes, 4);
		return true;
	case DW_FORM_data8:
		*ret_number = bytes_uint(bytes, 8);
		return true;
	case DW_FORM_data16: /* MD5 */
		bytes_skip(bytes, 16);
		return true;
	case DW_FORM_block:
		bytes_skip(bytes, bytes_uleb(bytes));
		return true;
	default:
		bytes_fail(bytes);
		return false;
	}
}

static bool add_file(struct decoder *decoder, const char *name, uint64_t directory)
{
	struct line_file file = {name, directory < UINT32_MAX ? (uint32_t)directory : UINT32_MAX};

	if (array_append(&decoder->lines->files, file))
		return true;
	decoder->is_out_of_memory = true;
	return false;
}

static bool add_directory(struct decoder *decoder, const char *name)
{
	if (array_append(&decoder->lines->directories, name))
		return true;
	decoder->is_out_of_memory = true;
	return false;
}

/* A table of directories or files of DWARF 5. Each field takes a byte at least: the count is bounded by the
 * section. */
static void read_entries(struct decoder *decoder, struct bytes *bytes, bool is_files)
{
	uint64_t content[255], form[255], count;
	unsigned fields = (unsigned)bytes_uint(bytes, 1);

	for (unsigned i = 0; i < fields; i++) {
		content[i] = bytes_uleb(bytes);
		form[i] = bytes_uleb(bytes);
	}
	count = bytes_uleb(bytes);
	for (uint64_t entry = 0; fields && entry < count && !bytes->failed; entry++) {
		const char *name = NULL;
		uint64_t directory = 0;

		for (unsigned i = 0; i < fields; i++) {
			const char *text = NULL;
			uint64_t number = 0;

			if (!read_form(decoder, bytes, form[i], &text, &number))
				return;
			if (content[i] == DW_LNCT_path)
				name = text;
			else if (content[i] == DW_LNCT_directory_index)
				directory = number;
		}
		if (!(is_files ? add_file(decoder, name, directory) : add_directory(decoder, name)))
			return;
	}
}

/* Before DWARF 5: strings up to an empty one. Numbers begin at 1. */
static void read_old_entries(struct decoder *decoder, struct bytes *bytes)
{
	const char *text;

	if (!add_directory(decoder, NULL) || !add_file(decoder, NULL, 0))
		return;
	while ((text = bytes_string(bytes)) && *text) {
		if (!add_directory(decoder, text))
			return;
	}
	while ((text = bytes_string(bytes)) && *text) {
		uint64_t directory = bytes_uleb(bytes);

		bytes_uleb(bytes);
		bytes_uleb(bytes);
		if (!add_file(decoder, text, directory))
			return;
	}
}

static bool read_header(struct decoder *decoder, uint64_t offset)
{
	struct header *header = &decoder->header;
	struct bytes bytes = decoder->sections->line;
	uint64_t length;

	bytes_skip(&bytes, offset);
	header->offset_size = 4;
	length = bytes_uint(&bytes, 4);
	if (length == UINT32_MAX) {
		header->offset_size = 8;
		length = bytes_uint(&bytes, 8);
	}
	if (length < bytes_left(&bytes))
		bytes.end = bytes.at + length;
	decoder->lines->version = (unsigned)bytes_uint(&bytes, 2);
	if (bytes.failed || decoder->lines->version < 2 || decoder->lines->version > 5)
		return false;
	if (decoder->lines->version == 5)
		bytes_skip(&bytes, 2); /* sizes of addresses and of segment selectors */
	length = bytes_uint(&bytes, header->offset_size);
	header->program = bytes;
	bytes_skip(&header->program, length);
	header->least_length = (unsigned)bytes_uint(&bytes, 1);
	if (decoder->lines->version >= 4)
		bytes_skip(&bytes, 1); /* operations an instruction: x86 is no VLIW */
	bytes_skip(&bytes, 1);	       /* default_is_stmt */
	header->line_base = (int8_t)bytes_uint(&bytes, 1);
	header->line_range = (unsigned)bytes_uint(&bytes, 1);
	header->opcode_base = (unsigned)bytes_uint(&bytes, 1);
	if (bytes.failed || !header->line_range || !header->opcode_base)
		return false;
	for (unsigned i = 1; i < header->opcode_base; i++)
		header->lengths[i] = (unsigned char)bytes_uint(&bytes, 1);
	if (decoder->lines->version < 5) {
		read_old_entries(decoder, &bytes);
	} else {
		read_entries(decoder, &bytes, false);
		read_entries(decoder, &bytes, true);
	}
	return !header->program.failed;
}

/* ---- the program ---- */

static void reset_machine(struct decoder *decoder)
{
	decoder->machine = (struct machine){.file = 1, .line = 1};
	decoder->first_row = decoder->lines->rows.count;
}

static void add_row(struct decoder *decoder)
{
	struct lines *lines = decoder->lines;
	const struct machine *machine = &decoder->machine;
	struct line_row row = {machine->address, (uint32_t)machine->line, (uint32_t)machine->file};
	struct line_row *last =
		lines->rows.count > decoder->first_row ? &lines->rows.items[lines->rows.count - 1] : NULL;

	/* Addresses only grow in a sequence: else it is damaged. */
	if (last && row.address < last->address)
		return;
	if (last && row.address == last->address)
		*last = row;
	else if (last && row.line == last->line && row.file == last->file)
		return;
	else if (!array_append(&lines->rows, row))
		decoder->is_out_of_memory = true;
}

static void end_sequence(struct decoder *decoder)
{
	struct lines *lines = decoder->lines;
	size_t count = lines->rows.count - decoder->first_row;
	struct sequence sequence = {(uint32_t)decoder->first_row, (uint32_t)count, decoder->machine.address};
	uint64_t start = count ? lines->rows.items[decoder->first_row].address : 0;

	if (!start || start < decoder->lowest || start >= sequence.end || lines->rows.count > UINT32_MAX) {
		lines->rows.count = decoder->first_row;
	} else if (!ranges_add(&lines->ranges, start, sequence.end, (uint32_t)lines->sequences.count) ||
		   !array_append(&lines->sequences, sequence)) {
		decoder->is_out_of_memory = true;
	}
	reset_machine(decoder);
}

static void run_extended(struct decoder *decoder, struct bytes *program)
{
	uint64_t length = bytes_uleb(program);
	struct bytes operands = *program;
	const char *name;

	bytes_skip(program, length);
	if (program->failed || !length)
		return;
	operands.end = program->at;
	switch (bytes_uint(&operands, 1)) {
	case DW_LNE_end_sequence:
		end_sequence(decoder);
		break;
	case DW_LNE_set_address:
		decoder->machine.address =
			bytes_left(&operands) ? bytes_uint(&operands, length > 9 ? 8 : length - 1) : 0;
		break;
	case DW_LNE_define_file:
		name = bytes_string(&operands);
		add_file(decoder, name, bytes_uleb(&operands));
		break;
	}
}

static void run_standard(struct decoder *decoder, struct bytes *program, unsigned opcode)
{
	const struct header *header = &decoder->header;
	struct machine *machine = &decoder->machine;

	switch (opcode) {
	case DW_LNS_copy:
		add_row(decoder);
		break;
	case DW_LNS_advance_pc:
		machine->address += bytes_uleb(program) * header->least_length;
		break;
	case DW_LNS_advance_line:
		machine->line += (uint64_t)bytes_sleb(program);
		break;
	case DW_LNS_set_file:
		machine->file = bytes_uleb(program);
		break;
	case DW_LNS_const_add_pc:
		machine->address += (255 - header->opcode_base) / header->line_range * header->least_length;
		break;
	case DW_LNS_fixed_advance_pc:
		machine->address += bytes_uint(program, 2);
		break;
	default:
		for (unsigned i = 0; i < header->lengths[opcode]; i++)
			bytes_uleb(program);
	}
}

static void run_program(struct decoder *decoder)
{
	const struct header *header = &decoder->header;
	struct machine *machine = &decoder->machine;
	struct bytes program = header->program;

	reset_machine(decoder);
	while (program.at < program.end && !decoder->is_out_of_memory) {
		unsigned opcode = *program.at++;

		if (opcode >= header->opcode_base) {
			unsigned step = opcode - header->opcode_base;

			machine->address += (uint64_t)(step / header->line_range) * header->least_length;
			machine->line +=
				(uint64_t)(int64_t)(header->line_base + (int)(step % header->line_range));
			add_row(decoder);
		} else if (opcode) {
			run_standard(decoder, &program, opcode);
		} else {
			run_extended(decoder, &program);
		}
	}
	/* Rows without an end cover nobody knows what. */
	decoder->lines->rows.count = decoder->first_row;
}

/* What doubling left over goes back. */
static void shrink_rows(struct lines *lines)
{
	void *moved = lines->rows.count
			      ? reallocarray(lines->rows.items, lines->rows.count, sizeof(*lines->rows.items))
			      : NULL;

	if (moved) {
		lines->rows.items = moved;
		lines->rows.capacity = lines->rows.count;
	}
}

struct lines *lines_read(const struct line_sections *sections, uint64_t offset, uint64_t lowest)
{
	struct decoder decoder = {.sections = sections, .lowest = lowest};

	decoder.lines = calloc(1, sizeof(*decoder.lines));
	if (!decoder.lines)
		return NULL;
	if (read_header(&decoder, offset))
		run_program(&decoder);
	if (decoder.is_out_of_memory || !ranges_flatten(&decoder.lines->ranges)) {
		lines_destroy(decoder.lines);
		return NULL;
	}
	shrink_rows(decoder.lines);
	return decoder.lines;
}

void lines_destroy(struct lines *lines)
{
	if (!lines)
		return;
	array_deinit(&lines->directories);
	array_deinit(&lines->files);
	array_deinit(&lines->rows);
	array_deinit(&lines->sequences);
	ranges_deinit(&lines->ranges);
	free(lines);
}

/* ---- searching ---- */

const struct line_row *lines_find(const struct lines *lines, uint64_t address, uint64_t *ret_until)
{
	const struct range *range = ranges_find(&lines->ranges, address);
	const struct line_row *rows = lines->rows.items;
	const struct sequence *sequence;
	size_t low, left;

	if (!range) {
		if (ret_until)
			*ret_until = ranges_find_start(&lines->ranges, address);
		return NULL;
	}
	sequence = &lines->sequences.items[range->value];
	low = sequence->first;
	/* The first row lies at or before the address: the range begins there or later. No branch, as in
	 * ranges_find().
	 */
	for (left = sequence->count; left > 1; left -= left / 2)
		low = rows[low + left / 2].address <= address ? low + left / 2 : low;
	if (ret_until) {
		*ret_until = range->end;
		if (low + 1 < (size_t)sequence->first + sequence->count && rows[low + 1].address < range->end)
			*ret_until = rows[low + 1].address;
	}
	return &rows[low];
}

/* ---- files ---- */

size_t lines_make_path(const struct lines *lines, uint64_t file, const char *comp_dir, char *ret,
		       size_t capacity)
{
	const struct line_file *entry = file < lines->files.count ? &lines->files.items[file] : NULL;
	const char *directory,
		*own = lines->version >= 5 && lines->directories.count && lines->directories.items[0]
			       ? lines->directories.items[0]
			       : comp_dir;
	bool has_own, has_directory;
	int length;

	if (!entry || !entry->name || !*entry->name)
		return 0;
	directory = entry->directory && entry->directory < lines->directories.count
			    ? lines->directories.items[entry->directory]
			    : NULL;
	has_directory = *entry->name != '/' && directory && *directory;
	has_own = *entry->name != '/' && own && *own && !(has_directory && *directory == '/');
	length = snprintf(ret, capacity, "%s%s%s%s%s", has_own ? own : "", has_own ? "/" : "",
			  has_directory ? directory : "", has_directory ? "/" : "", entry->name);
	if (length < 0)
		return 0;
	return (size_t)length < capacity ? (size_t)length : capacity - 1;
}

size_t lines_count_files(const struct lines *lines)
{
	return lines->files.count;
}

size_t lines_measure(const struct lines *lines)
{
	return sizeof(*lines) + lines->rows.capacity * sizeof(*lines->rows.items) +
	       lines->files.capacity * sizeof(*lines->files.items) +
	       lines->directories.capacity * sizeof(*lines->directories.items) +
	       lines->sequences.capacity * sizeof(*lines->sequences.items) +
	       lines->ranges.capacity * sizeof(*lines->ranges.items);
}
