#include "symbolizer/jitdump_lines.h"

#include "base/file.h"
#include "base/text.h"

#include <string.h>

/* Of a name that V8 has freed. */
#define DAMAGED_BYTES 16

struct row_head { /* the file's name follows, terminated */
	uint64_t address;
	uint32_t line, discriminator;
};

void jitdump_lines_deinit(struct jitdump_lines *lines)
{
	array_deinit(&lines->rows);
	array_deinit(&lines->bytes);
	lines->offset = 0;
}

static bool read_bytes(struct jitdump_lines *lines, int fd, uint64_t offset, uint32_t size)
{
	if (size > JITDUMP_LINES_BYTES_MAX)
		size = JITDUMP_LINES_BYTES_MAX;
	if (!array_reserve(&lines->bytes, size))
		return false;
	lines->bytes.count = file_read_at(fd, offset, lines->bytes.items, size);
	return lines->bytes.count > 0;
}

/* "\xff": the same file as before. */
static bool is_repeated(const char *file, size_t length)
{
	return length == 1 && *file == '\xff';
}

static bool can_begin(const struct jitdump_lines *lines, const struct jitdump_place *place, size_t at)
{
	struct row_head head;

	if (lines->bytes.count - at < sizeof(head))
		return true;
	memcpy(&head, lines->bytes.items + at, sizeof(head));
	return head.address >= place->first && head.address <= place->last;
}

/* The length of the name at `at`; SIZE_MAX: it does not end here. */
static size_t find_length(const struct jitdump_lines *lines, const struct jitdump_place *place, size_t at)
{
	size_t left = lines->bytes.count - at, first = SIZE_MAX, length = 0;

	for (unsigned zeros = 0; zeros <= DAMAGED_BYTES; zeros++, length++) {
		length += strnlen(lines->bytes.items + at + length, left - length);
		if (length >= left)
			break;
		if (can_begin(lines, place, at + length + 1))
			return length;
		if (first == SIZE_MAX)
			first = length;
	}
	return first;
}

/* Of the last row: zeros fill the record up. */
static size_t find_last_length(const struct jitdump_lines *lines, size_t at)
{
	size_t left = lines->bytes.count - at, length = left;

	while (length && !lines->bytes.items[at + length - 1])
		length--;
	return length < left ? length : SIZE_MAX;
}

static bool parse_rows(struct jitdump_lines *lines, const struct jitdump_place *place)
{
	struct jitdump_row row = {0};
	size_t at = 0, length;

	for (uint64_t i = 0; i < place->count && lines->bytes.count - at > sizeof(struct row_head); i++) {
		struct row_head head;

		memcpy(&head, lines->bytes.items + at, sizeof(head));
		at += sizeof(head);
		length = i + 1 < place->count ? find_length(lines, place, at) : find_last_length(lines, at);
		/* Damaged, or cut. */
		if (length == SIZE_MAX)
			return true;
		if (!is_repeated(lines->bytes.items + at, length)) {
			row.file = (uint32_t)at;
			row.file_length = (uint32_t)length;
		}
		at += length + 1;
		row.address = head.address;
		row.line = head.line;
		row.number = (uint32_t)i;
		if (row.address >= place->first && row.address <= place->last &&
		    !array_append(&lines->rows, row))
			return false;
	}
	return true;
}

static int compare_rows(const void *a, const void *b)
{
	const struct jitdump_row *first = a, *second = b;

	if (first->address != second->address)
		return first->address < second->address ? -1 : 1;
	return first->number < second->number ? -1 : 1;
}

bool jitdump_lines_read(struct jitdump_lines *lines, int fd, const struct jitdump_place *place)
{
	if (lines->offset == place->offset)
		return lines->rows.count > 0;
	lines->offset = 0;
	lines->rows.count = 0;
	if (!read_bytes(lines, fd, place->offset, place->size) || !parse_rows(lines, place))
		return false;
	if (lines->rows.count)
		qsort(lines->rows.items, lines->rows.count, sizeof(struct jitdump_row), compare_rows);
	lines->offset = place->offset;
	return lines->rows.count > 0;
}

uint32_t jitdump_lines_find(const struct jitdump_lines *lines, uint64_t address, const char **ret_file,
			    size_t *ret_length)
{
	size_t low = 0, high = lines->rows.count;
	const struct jitdump_row *row;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (lines->rows.items[middle].address <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return 0;
	row = &lines->rows.items[low - 1];
	*ret_file = lines->bytes.items + row->file;
	*ret_length = row->file_length;
	return row->line;
}

static bool is_damaged(const char *file, size_t length)
{
	uint32_t codepoint;
	size_t count;

	for (size_t i = 0; i < length && i < DAMAGED_BYTES; i += count) {
		count = text_decode(file + i, length - i, &codepoint);
		if (!count || codepoint < ' ')
			return true;
	}
	return false;
}

/* Without ":LINE:COLUMN". */
static size_t find_place_length(const char *name, size_t length)
{
	for (unsigned numbers = 0; numbers < 2; numbers++) {
		while (length && name[length - 1] >= '0' && name[length - 1] <= '9')
			length--;
		if (!length || name[--length] != ':')
			return 0;
	}
	return length;
}

bool jitdump_lines_mend(const char *name, size_t name_length, const char **file, size_t length)
{
	size_t end = find_place_length(name, name_length);
	const char *candidate;

	if (!is_damaged(*file, length))
		return true;
	if (end <= length)
		return false;
	candidate = name + end - length;
	if (candidate[-1] != ' ' ||
	    (length > DAMAGED_BYTES &&
	     memcmp(candidate + DAMAGED_BYTES, *file + DAMAGED_BYTES, length - DAMAGED_BYTES) != 0))
		return false;
	*file = candidate;
	return true;
}
