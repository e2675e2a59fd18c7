#include "symbolizer/jitdump_lines.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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
	lines->bytes.count = 0;
	while (lines->bytes.count < size) {
		ssize_t got = pread(fd, lines->bytes.items + lines->bytes.count, size - lines->bytes.count,
				    (off_t)(offset + lines->bytes.count));

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		lines->bytes.count += (size_t)got;
	}
	return lines->bytes.count > 0;
}

/* "\xff": the same file as before. */
static bool is_repeated(const char *file, size_t length)
{
	return length == 1 && *file == '\xff';
}

static bool parse_rows(struct jitdump_lines *lines, uint64_t count)
{
	size_t at = 0;
	uint32_t file = 0, file_length = 0;

	for (uint64_t i = 0; i < count; i++) {
		size_t left = lines->bytes.count - at, length;
		struct row_head head;
		const char *text;

		if (left <= sizeof(head))
			return true;
		memcpy(&head, lines->bytes.items + at, sizeof(head));
		text = lines->bytes.items + at + sizeof(head);
		length = strnlen(text, left - sizeof(head));
		/* It does not end here: damaged, or cut. */
		if (length == left - sizeof(head))
			return true;
		if (!is_repeated(text, length)) {
			file = (uint32_t)(text - lines->bytes.items);
			file_length = (uint32_t)length;
		}
		if (!array_append(&lines->rows, (struct jitdump_row){head.address, head.line, file,
								     file_length, (uint32_t)i}))
			return false;
		at += sizeof(head) + length + 1;
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

bool jitdump_lines_read(struct jitdump_lines *lines, int fd, uint64_t offset, uint32_t size, uint64_t count)
{
	if (lines->offset == offset)
		return lines->rows.count > 0;
	lines->offset = 0;
	lines->rows.count = 0;
	if (!read_bytes(lines, fd, offset, size) || !parse_rows(lines, count))
		return false;
	if (lines->rows.count)
		qsort(lines->rows.items, lines->rows.count, sizeof(struct jitdump_row), compare_rows);
	lines->offset = offset;
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
