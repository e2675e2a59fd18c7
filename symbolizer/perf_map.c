#include "symbolizer/perf_map.h"

#include "base/cleanup.h"
#include "base/file.h"
#include "symbolizer/code_ranges.h"
#include "symbolizer/frame.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define CHUNK_BYTES (256u << 10)
/* Of a line; what lies behind belongs to a name that is cut long before. */
#define LINE_MAX_BYTES (64u << 10)
/* Two hexadecimal numbers and a name that is too long to be shown in full. */
#define SHOWN_BYTES (64 + 2 * NAME_LENGTH_MAX)
/* Most lines are shorter. */
#define USUAL_BYTES 256
/* A writer writes its line in one go, or at least not slower. */
#define QUIET_NS 100000000
/* By these bytes of its beginning, and before the place read up to, the text is known again. */
#define KNOWN_BYTES 64
/* User addresses; a frame keeps 48 bits. */
#define ADDRESS_END (1ull << 47)

struct line {
	uint64_t start, end;
	size_t name; /* where it begins in the line */
	size_t length;
};

struct perf_map {
	int fd;
	struct code_ranges ranges; /* value: where in the file the line begins */
	uint64_t parsed;	   /* up to here, the beginning of a line */
	bool is_in_line;	   /* … or in the middle of one that has been dealt with */
	uint64_t size;		   /* as of the last update */
	struct timespec modified;
	struct code_range last; /* the line without a newline; end 0: none */
	uint64_t garbage;
	char head[KNOWN_BYTES], tail[KNOWN_BYTES];
	size_t head_length, tail_length;
	char shown[SHOWN_BYTES];
	char chunk[CHUNK_BYTES];
};

struct error *perf_map_create(int fd, struct perf_map **ret)
{
	_cleanup_close_ int taken = fd;
	struct perf_map *map = calloc(1, sizeof(*map));

	if (!map)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "perf map");
	map->fd = take_fd(&taken);
	*ret = map;
	return NULL;
}

void perf_map_destroy(struct perf_map *map)
{
	if (!map)
		return;
	code_ranges_deinit(&map->ranges);
	cleanup_close(&map->fd);
	free(map);
}

uint64_t perf_map_count_garbage(const struct perf_map *map)
{
	return map->garbage;
}

/* ---- one line ---- */

static bool parse_number(const char *text, size_t length, size_t *at, uint64_t *ret)
{
	size_t digits = 0;

	*ret = 0;
	if (length - *at > 2 && text[*at] == '0' && (text[*at + 1] | 0x20) == 'x')
		*at += 2;
	for (; *at < length && digits <= 16; (*at)++, digits++) {
		unsigned char c = (unsigned char)text[*at], letter = c | 0x20;

		if (c >= '0' && c <= '9')
			*ret = *ret << 4 | (uint64_t)(c - '0');
		else if (letter >= 'a' && letter <= 'f')
			*ret = *ret << 4 | (uint64_t)(letter - 'a' + 10);
		else
			break;
	}
	return digits > 0 && digits <= 16;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static bool skip_blanks(const char *text, size_t length, size_t *at)
{
	size_t before = *at;

	while (*at < length && is_blank(text[*at]))
		(*at)++;
	return *at > before;
}

static bool parse_line(const char *text, size_t length, struct line *ret)
{
	uint64_t size;
	size_t at = 0;

	while (length && is_blank(text[length - 1]))
		length--;
	if (!parse_number(text, length, &at, &ret->start) || !skip_blanks(text, length, &at) ||
	    !parse_number(text, length, &at, &size) || !skip_blanks(text, length, &at) || at == length)
		return false;
	if (!size)
		size = 1;
	if (ret->start >= ADDRESS_END || size > ADDRESS_END - ret->start)
		return false;
	ret->end = ret->start + size;
	ret->name = at;
	ret->length = length - at;
	return true;
}

static void take_line(struct perf_map *map, const char *text, size_t length, uint64_t offset)
{
	struct line line;

	if (!parse_line(text, length, &line))
		map->garbage++;
	else
		code_ranges_add(&map->ranges, line.start, line.end, offset);
}

/* ---- the file ---- */

static void start_over(struct perf_map *map)
{
	code_ranges_deinit(&map->ranges);
	map->parsed = map->garbage = 0;
	map->is_in_line = false;
	map->head_length = map->tail_length = 0;
}

static bool is_known(const struct perf_map *map, const char *known, size_t length, uint64_t offset)
{
	char now[KNOWN_BYTES];

	return file_read_at(map->fd, offset, now, length) == length && !memcmp(now, known, length);
}

static void remember(struct perf_map *map)
{
	map->tail_length = map->parsed < KNOWN_BYTES ? (size_t)map->parsed : KNOWN_BYTES;
	map->tail_length = file_read_at(map->fd, map->parsed - map->tail_length, map->tail, map->tail_length);
	if (map->head_length < KNOWN_BYTES) {
		map->head_length = map->parsed < KNOWN_BYTES ? (size_t)map->parsed : KNOWN_BYTES;
		map->head_length = file_read_at(map->fd, 0, map->head, map->head_length);
	}
}

/* Takes what is complete of the bytes at map->parsed; returns how many are dealt with. */
static size_t take_bytes(struct perf_map *map, size_t length)
{
	size_t at = 0;

	while (at < length) {
		const char *text = map->chunk + at;
		const char *newline = memchr(text, '\n', length - at);
		size_t line = newline ? (size_t)(newline - text) : length - at;

		if (!newline && !map->is_in_line && line < LINE_MAX_BYTES)
			break;
		if (!map->is_in_line)
			take_line(map, text, line, map->parsed + at);
		map->is_in_line = !newline;
		at += line + (newline != NULL);
	}
	return at;
}

static bool is_quiet(const struct stat *status)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (now.tv_sec - status->st_mtim.tv_sec) * 1000000000ll + now.tv_nsec - status->st_mtim.tv_nsec >
	       QUIET_NS;
}

/* What lies behind the last newline. */
static void take_last(struct perf_map *map, const char *text, size_t length)
{
	struct line line;

	if (!map->is_in_line && parse_line(text, length, &line))
		map->last = (struct code_range){line.start, line.end, map->parsed};
}

/* status: NULL where the file goes on behind end. */
static void read_more(struct perf_map *map, uint64_t end, const struct stat *status)
{
	while (map->parsed < end) {
		uint64_t left = end - map->parsed;
		size_t wanted = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
		size_t got = file_read_at(map->fd, map->parsed, map->chunk, wanted);
		size_t done = take_bytes(map, got);

		/* Less than a line: the last one. */
		if (!done) {
			if (got == left && status && is_quiet(status))
				take_last(map, map->chunk, got);
			return;
		}
		map->parsed += done;
	}
}

void perf_map_update(struct perf_map *map, uint64_t bytes_max)
{
	struct stat status;
	uint64_t end;

	if (fstat(map->fd, &status) < 0 || status.st_size < 0)
		return;
	end = (uint64_t)status.st_size < PERF_MAP_BYTES_MAX ? (uint64_t)status.st_size : PERF_MAP_BYTES_MAX;
	if (end == map->size && status.st_mtim.tv_sec == map->modified.tv_sec &&
	    status.st_mtim.tv_nsec == map->modified.tv_nsec && (map->parsed == end || map->last.end))
		return;
	map->last.end = 0;
	map->size = end;
	map->modified = status.st_mtim;
	if (end < map->parsed || !is_known(map, map->head, map->head_length, 0) ||
	    !is_known(map, map->tail, map->tail_length, map->parsed - map->tail_length))
		start_over(map);
	if (bytes_max < LINE_MAX_BYTES)
		bytes_max = LINE_MAX_BYTES;
	if (end - map->parsed > bytes_max)
		read_more(map, map->parsed + bytes_max, NULL);
	else
		read_more(map, end, &status);
	remember(map);
}

/* ---- names ---- */

/* How V8 calls a function before and after it was compiled lazily, and by version: today "JS:" is all of
 * them. */
static const struct {
	const char *text;
	bool is_function;
} v8_kinds[] = {
	{"JS:", true},	    {"LazyCompile:", true}, {"Function:", true}, {"InterpretedFunction:", true},
	{"Script:", false}, {"Eval:", false},
};

/* Where the tier's mark stands, or would; 0: it is no name of V8's. */
static size_t find_v8_mark(const char *name, size_t length, bool *ret_is_function)
{
	for (size_t i = 0; i < sizeof(v8_kinds) / sizeof(v8_kinds[0]); i++) {
		size_t kind = strlen(v8_kinds[i].text);

		if (length <= kind || memcmp(name, v8_kinds[i].text, kind) != 0)
			continue;
		*ret_is_function = v8_kinds[i].is_function;
		return kind;
	}
	return 0;
}

bool perf_map_is_v8(const char *name, size_t length)
{
	bool is_function;

	return find_v8_mark(name, length, &is_function) > 0;
}

size_t perf_map_fold_tier(char *name, size_t length)
{
	bool is_function;
	size_t kept = find_v8_mark(name, length, &is_function), from = kept;

	if (!kept || !name[kept] || !strchr("~^+*", name[kept]))
		return length;
	/* "*'": compiled for one context. */
	from += length - kept > 2 && name[kept + 1] == '\'' ? 2 : 1;
	if (is_function) {
		memcpy(name, v8_kinds[0].text, strlen(v8_kinds[0].text));
		kept = strlen(v8_kinds[0].text);
	}
	memmove(name + kept, name + from, length - from);
	return length - (from - kept);
}

/* The line may have gone, or be another one by now. */
static bool read_name(struct perf_map *map, uint64_t address, uint64_t offset, struct perf_map_name *ret)
{
	size_t length = file_read_at(map->fd, offset, map->shown, USUAL_BYTES);
	const char *newline = memchr(map->shown, '\n', length);
	struct line line;

	if (!newline && length == USUAL_BYTES) {
		length += file_read_at(map->fd, offset + length, map->shown + length,
				       sizeof(map->shown) - length);
		newline = memchr(map->shown, '\n', length);
	}
	if (!parse_line(map->shown, newline ? (size_t)(newline - map->shown) : length, &line) ||
	    address < line.start || address >= line.end)
		return false;
	ret->start = line.start;
	ret->name = map->shown + line.name;
	ret->length = perf_map_fold_tier(map->shown + line.name, line.length);
	return ret->length > 0;
}

bool perf_map_find(struct perf_map *map, uint64_t address, struct perf_map_name *ret)
{
	struct code_range range;

	if (map->last.end && address >= map->last.start && address < map->last.end)
		return read_name(map, address, map->last.value, ret);
	return code_ranges_find(&map->ranges, address, &range) && read_name(map, address, range.value, ret);
}
