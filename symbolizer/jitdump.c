#include "symbolizer/jitdump.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "symbolizer/code_ranges.h"
#include "symbolizer/frame.h"
#include "symbolizer/jitdump_lines.h"
#include "symbolizer/perf_map.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define MAGIC	      0x4a695444u /* "JiTD" */
#define MAGIC_SWAPPED 0x4454694au
#define VERSION	      1
#define CHUNK_BYTES   (256u << 10)
#define SHOWN_BYTES   (2 * NAME_LENGTH_MAX)
/* Most records' heads and names are shorter. */
#define USUAL_BYTES 256
#define ADDRESS_END (1ull << 47)
/* Bounds what a file of nothing but heads costs. */
#define RECORDS_MAX (16u << 20)
/* V8 adds the size of an ELF header to the addresses of its lines, for perf's sake. */
#define V8_LINES_OFFSET 0x40

struct file_head {
	uint32_t magic, version, total_size, machine, pad, pid;
	uint64_t time, flags;
};

enum record_id { CODE_LOAD, CODE_MOVE, CODE_DEBUG_INFO, CODE_CLOSE };

struct record_head {
	uint32_t id, total_size; /* its own head and all that follows included */
	uint64_t time;
};

struct load_record { /* name and code follow */
	struct record_head head;
	uint32_t pid, tid;
	uint64_t vma, address, size, number;
};

struct move_record {
	struct record_head head;
	uint32_t pid, tid;
	uint64_t vma, old_address, new_address, size, number;
};

struct debug_record { /* the rows follow (jitdump_lines.c) */
	struct record_head head;
	uint64_t address, count;
};

/* Code in one place. */
struct code {
	uint64_t start; /* where it is now */
	uint64_t size;
	uint64_t address;    /* where it was loaded: what its lines refer to */
	uint64_t load;	     /* its record's place in the file */
	uint64_t lines;	     /* that of its lines; 0: none */
	uint64_t line_count; /* as the record says */
	uint32_t lines_size; /* bytes of the record */
};

struct jitdump {
	int fd;
	struct code_ranges ranges; /* value: place in codes */
	ARRAY(struct code)
	codes;
	uint64_t parsed; /* up to here; 0: the file's head has not been read */
	struct file_head head;
	uint64_t records;
	bool is_ended; /* closed, or damaged: nothing more is read */
	const char *why;
	struct code pending; /* lines whose code is to come; lines 0: none */
	struct jitdump_lines lines;
	char shown[SHOWN_BYTES];
	char chunk[CHUNK_BYTES];
};

struct error *jitdump_create(int fd, struct jitdump **ret)
{
	_cleanup_close_ int taken = fd;
	struct jitdump *dump = calloc(1, sizeof(*dump));

	if (!dump)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "jitdump");
	dump->fd = take_fd(&taken);
	dump->why = "";
	*ret = dump;
	return NULL;
}

static void start_over(struct jitdump *dump)
{
	code_ranges_deinit(&dump->ranges);
	jitdump_lines_deinit(&dump->lines);
	dump->codes.count = 0;
	dump->parsed = dump->records = 0;
	dump->is_ended = false;
	dump->why = "";
	dump->pending.lines = 0;
}

void jitdump_destroy(struct jitdump *dump)
{
	if (!dump)
		return;
	start_over(dump);
	array_deinit(&dump->codes);
	cleanup_close(&dump->fd);
	free(dump);
}

const char *jitdump_get_why(const struct jitdump *dump)
{
	return dump->why;
}

/* ---- records ---- */

static void end(struct jitdump *dump, const char *why)
{
	dump->is_ended = true;
	dump->why = why;
}

static bool is_code(uint64_t address, uint64_t size)
{
	return size && address < ADDRESS_END && size <= ADDRESS_END - address;
}

static void add_code(struct jitdump *dump, struct code code, uint64_t size)
{
	/* Lines are those of what was loaded, whatever a move says. */
	if (!is_code(code.start, size) || !is_code(code.address, code.size))
		return;
	if (dump->codes.count >= CODE_RANGES_MAX || !array_append(&dump->codes, code) ||
	    !code_ranges_add(&dump->ranges, code.start, code.start + size, dump->codes.count - 1))
		end(dump, "too much code for a jitdump");
}

static void take_load(struct jitdump *dump, const struct load_record *load)
{
	struct code code = {
		.start = load->address,
		.size = load->size,
		.address = load->address,
		.load = dump->parsed,
	};

	if (dump->pending.lines && dump->pending.address == load->address) {
		code.lines = dump->pending.lines;
		code.lines_size = dump->pending.lines_size;
		code.line_count = dump->pending.line_count;
	}
	dump->pending.lines = 0;
	add_code(dump, code, load->size);
}

static void take_move(struct jitdump *dump, const struct move_record *move)
{
	struct code_range range;
	struct code code;

	if (!code_ranges_find(&dump->ranges, move->old_address, &range))
		return;
	code = dump->codes.items[range.value];
	/* In the middle of something else: its own record is missing. */
	if (code.start != move->old_address)
		return;
	code.start = move->new_address;
	add_code(dump, code, move->size);
}

static void take_debug(struct jitdump *dump, const struct debug_record *debug)
{
	dump->pending = (struct code){
		.address = debug->address,
		.lines = dump->parsed + sizeof(*debug),
		.lines_size = debug->head.total_size - (uint32_t)sizeof(*debug),
		.line_count = debug->count,
	};
}

static size_t get_least(uint32_t id)
{
	switch (id) {
	case CODE_LOAD:
		return sizeof(struct load_record);
	case CODE_MOVE:
		return sizeof(struct move_record);
	case CODE_DEBUG_INFO:
		return sizeof(struct debug_record);
	default:
		return sizeof(struct record_head);
	}
}

/* bytes: the record's, at least as many as its kind has. */
static void take_record(struct jitdump *dump, const struct record_head *head, const char *bytes)
{
	struct load_record load;
	struct move_record move;
	struct debug_record debug;

	switch (head->id) {
	case CODE_LOAD:
		memcpy(&load, bytes, sizeof(load));
		take_load(dump, &load);
		return;
	case CODE_MOVE:
		memcpy(&move, bytes, sizeof(move));
		take_move(dump, &move);
		return;
	case CODE_DEBUG_INFO:
		memcpy(&debug, bytes, sizeof(debug));
		take_debug(dump, &debug);
		return;
	case CODE_CLOSE:
		end(dump, "");
		return;
	}
}

/* ---- the file ---- */

static void read_head(struct jitdump *dump, uint64_t size)
{
	struct file_head head;

	if (size < sizeof(head) || file_read_at(dump->fd, 0, &head, sizeof(head)) < sizeof(head))
		return;
	if (head.magic == MAGIC_SWAPPED)
		end(dump, "the jitdump has the byte order of another machine");
	else if (head.magic != MAGIC)
		end(dump, "the file is no jitdump");
	else if (head.version != VERSION)
		end(dump, "the jitdump has a version that kiln does not know");
	else if (head.machine != EM_X86_64)
		end(dump, "the jitdump is of another machine");
	else if (head.total_size < sizeof(head))
		end(dump, "the head of the jitdump is damaged");
	else
		dump->parsed = head.total_size;
	dump->head = head;
}

/* Whether what was read is still there. */
static bool is_same_file(const struct jitdump *dump, uint64_t size)
{
	struct file_head head;

	return size >= dump->parsed && file_read_at(dump->fd, 0, &head, sizeof(head)) == sizeof(head) &&
	       !memcmp(&head, &dump->head, sizeof(head));
}

/* Takes the records that begin in the chunk, which lies at dump->parsed; false: there is no whole one more.
 */
static bool take_chunk(struct jitdump *dump, size_t length, uint64_t size, uint64_t *records)
{
	uint64_t base = dump->parsed;

	while (*records && !dump->is_ended && dump->parsed - base < length) {
		const char *bytes = dump->chunk + (dump->parsed - base);
		size_t left = length - (size_t)(dump->parsed - base);
		struct record_head head;

		if (left < sizeof(head))
			return dump->parsed > base;
		memcpy(&head, bytes, sizeof(head));
		if (head.total_size < get_least(head.id)) {
			end(dump, "the jitdump is damaged");
			return false;
		}
		/* It is still being written. */
		if (head.total_size > size - dump->parsed)
			return false;
		if (left < get_least(head.id))
			return dump->parsed > base;
		take_record(dump, &head, bytes);
		dump->parsed += head.total_size;
		--*records;
		if (++dump->records >= RECORDS_MAX)
			end(dump, "too many records for a jitdump");
	}
	return *records && !dump->is_ended && dump->parsed > base;
}

void jitdump_update(struct jitdump *dump, uint64_t records_max)
{
	struct stat status;
	uint64_t size;

	if (fstat(dump->fd, &status) < 0 || status.st_size < 0)
		return;
	size = (uint64_t)status.st_size;
	if ((dump->parsed || dump->is_ended) && !is_same_file(dump, size))
		start_over(dump);
	if (!dump->parsed && !dump->is_ended)
		read_head(dump, size);
	while (dump->parsed && !dump->is_ended && dump->parsed < size) {
		uint64_t left = size - dump->parsed;
		size_t got = file_read_at(dump->fd, dump->parsed, dump->chunk,
					  left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES);

		if (!take_chunk(dump, got, size, &records_max))
			return;
	}
}

/* ---- names ---- */

static bool read_name(struct jitdump *dump, const struct code *code, struct jitdump_name *ret)
{
	size_t got = file_read_at(dump->fd, code->load, dump->shown, USUAL_BYTES);
	struct load_record load;
	size_t most, length;

	if (got == USUAL_BYTES && !memchr(dump->shown + sizeof(load), '\0', got - sizeof(load)))
		got += file_read_at(dump->fd, code->load + got, dump->shown + got, sizeof(dump->shown) - got);
	if (got <= sizeof(load))
		return false;
	memcpy(&load, dump->shown, sizeof(load));
	/* The file may be another one by now. */
	if (load.head.id != CODE_LOAD || load.address != code->address ||
	    load.head.total_size <= sizeof(load))
		return false;
	most = load.head.total_size < got ? load.head.total_size : got;
	length = strnlen(dump->shown + sizeof(load), most - sizeof(load));
	ret->start = code->start;
	ret->name = dump->shown + sizeof(load);
	ret->length = perf_map_fold_tier(dump->shown + sizeof(load), length);
	return ret->length > 0;
}

static void find_line(struct jitdump *dump, const struct code *code, uint64_t address,
		      struct jitdump_name *ret)
{
	uint64_t shift = perf_map_is_v8(ret->name, ret->length) ? V8_LINES_OFFSET : 0;
	struct jitdump_place place = {
		.offset = code->lines,
		.count = code->line_count,
		.size = code->lines_size,
		.first = code->address + shift,
		.last = code->address + shift + code->size,
	};

	if (!code->lines || !jitdump_lines_read(&dump->lines, dump->fd, &place))
		return;
	ret->line = jitdump_lines_find(&dump->lines, address - code->start + place.first, &ret->file,
				       &ret->file_length);
	if (ret->line && shift && !jitdump_lines_mend(ret->name, ret->length, &ret->file, ret->file_length))
		ret->line = 0;
}

bool jitdump_find(struct jitdump *dump, uint64_t address, struct jitdump_name *ret)
{
	struct code_range range;
	const struct code *code;

	*ret = (struct jitdump_name){.file = ""};
	if (!code_ranges_find(&dump->ranges, address, &range))
		return false;
	code = &dump->codes.items[range.value];
	if (!read_name(dump, code, ret))
		return false;
	find_line(dump, code, address, ret);
	return true;
}
