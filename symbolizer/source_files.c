#include "symbolizer/source_files.h"

#include "base/array.h"
#include "base/cleanup.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TAB_CELLS 8

struct map {
	char *from, *to;
	size_t from_length;
};

struct entry {
	struct source_file public;
	char *asked; /* the path in the debug information */
	char *path;
	char *text;
	ARRAY(uint32_t)
	starts; /* of lines; and the end of the text */
};

struct source_files {
	ARRAY(struct map)
	maps;
	ARRAY(struct entry *)
	entries; /* few: one for each file that a listing shows */
	uint64_t binary_time_ns;
	char line[SOURCE_LINE_MAX + 1]; /* what was asked for last */
};

static struct error *error_memory(void)
{
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "source files");
}

struct error *source_files_create(struct source_files **ret)
{
	*ret = calloc(1, sizeof(**ret));
	return *ret ? NULL : error_memory();
}

static void entry_destroy(struct entry *entry)
{
	array_deinit(&entry->starts);
	free(entry->asked);
	free(entry->path);
	free(entry->text);
	free(entry);
}

void source_files_destroy(struct source_files *files)
{
	if (!files)
		return;
	for (size_t i = 0; i < files->maps.count; i++) {
		free(files->maps.items[i].from);
		free(files->maps.items[i].to);
	}
	for (size_t i = 0; i < files->entries.count; i++)
		entry_destroy(files->entries.items[i]);
	array_deinit(&files->maps);
	array_deinit(&files->entries);
	free(files);
}

void source_files_set_binary_time(struct source_files *files, uint64_t binary_time_ns)
{
	files->binary_time_ns = binary_time_ns;
}

/* ---- maps ---- */

static char *copy_without_slashes(const char *text, size_t length)
{
	while (length > 1 && text[length - 1] == '/')
		length--;
	return strndup(text, length);
}

struct error *source_files_add_map(struct source_files *files, const char *map)
{
	const char *equals = strchr(map, '=');
	struct map item;

	if (!equals || equals == map || !equals[1])
		return error_create(ERROR_USAGE, 0, "as in: --source-path /build/app=/home/me/app",
				    "--source-path %s: not FROM=TO", map);
	item.from = copy_without_slashes(map, (size_t)(equals - map));
	item.to = copy_without_slashes(equals + 1, strlen(equals + 1));
	item.from_length = item.from ? strlen(item.from) : 0;
	if (!item.from || !item.to || !array_append(&files->maps, item)) {
		free(item.from);
		free(item.to);
		return error_memory();
	}
	return NULL;
}

/* The path below TO; NULL when the map says nothing about it, or memory is short. */
static char *apply(const struct map *map, const char *path)
{
	bool is_root = map->from_length == 1 && *map->from == '/';
	const char *rest = path + map->from_length;
	char *mapped;

	if (!strcmp(map->from, ".") && *path != '/')
		return asprintf(&mapped, "%s/%s", map->to, path) < 0 ? NULL : mapped;
	if (strncmp(path, map->from, map->from_length))
		return NULL;
	if (is_root)
		rest--;
	else if (*rest && *rest != '/')
		return NULL;
	return asprintf(&mapped, "%s%s", map->to, rest) < 0 ? NULL : mapped;
}

/* ---- reading ---- */

/* A device or FIFO that a path names is not opened: O_PATH opens nothing. Returns -1 and why. */
static int open_regular(const char *path, struct stat *ret_status, const char **ret_why)
{
	_cleanup_close_ int found = open(path, O_PATH | O_CLOEXEC);
	char self[64];
	int fd;

	if (found < 0 || fstat(found, ret_status)) {
		*ret_why = strerrordesc_np(errno);
		return -1;
	}
	if (!S_ISREG(ret_status->st_mode)) {
		*ret_why = "not a regular file";
		return -1;
	}
	if (ret_status->st_size > SOURCE_BYTES_MAX) {
		*ret_why = "larger than 16 MiB";
		return -1;
	}
	snprintf(self, sizeof(self), "/proc/self/fd/%d", found);
	fd = open(self, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		*ret_why = strerrordesc_np(errno);
	return fd;
}

static bool read_all(int fd, char *text, size_t size, size_t *ret_length)
{
	size_t length = 0;

	while (length < size) {
		ssize_t got = read(fd, text + length, size - length);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return false;
		if (!got)
			break;
		length += (size_t)got;
	}
	*ret_length = length;
	return true;
}

static bool index_lines(struct entry *entry, size_t length)
{
	size_t at = 0;

	while (at < length) {
		const char *end = memchr(entry->text + at, '\n', length - at);

		if (!array_append(&entry->starts, (uint32_t)at))
			return false;
		at = end ? (size_t)(end - entry->text) + 1 : length;
	}
	entry->public.lines = (uint32_t)entry->starts.count;
	return array_append(&entry->starts, (uint32_t)length);
}

/* true: it is there, and read. */
static bool read_file(struct source_files *files, struct entry *entry, const char *path)
{
	struct stat status;
	const char *why = NULL;
	_cleanup_close_ int fd = open_regular(path, &status, &why);
	size_t length = 0;

	if (fd < 0) {
		entry->public.why = why;
		return false;
	}
	entry->text = malloc((size_t)status.st_size + 1);
	if (!entry->text || !read_all(fd, entry->text, (size_t)status.st_size, &length)) {
		entry->public.why = "it cannot be read";
		return false;
	}
	if (!index_lines(entry, length)) {
		entry->public.why = "memory is short";
		entry->public.lines = 0;
		return false;
	}
	entry->public.why = NULL;
	entry->public.is_newer = files->binary_time_ns && (uint64_t)status.st_mtim.tv_sec * 1000000000 +
									  (uint64_t)status.st_mtim.tv_nsec >
								  files->binary_time_ns;
	return true;
}

/* Takes the path. true: no other place needs to be tried. */
static bool try_path(struct source_files *files, struct entry *entry, char *path)
{
	if (!path)
		return false;
	free(entry->path);
	entry->path = path;
	free(entry->text);
	entry->text = NULL;
	return read_file(files, entry, path);
}

/* Where maps say, in their order; then where the debug information says. */
static void look_for(struct source_files *files, struct entry *entry)
{
	for (size_t i = 0; i < files->maps.count; i++) {
		if (try_path(files, entry, apply(&files->maps.items[i], entry->asked)))
			return;
	}
	/* Of a relative path nobody says what it is relative to. */
	if (entry->asked[0] == '/')
		try_path(files, entry, strdup(entry->asked));
	else if (!entry->path)
		entry->public.why =
			"the debug information has only a relative path: --source-path .=DIRECTORY";
}

const struct source_file *source_files_find(struct source_files *files, const char *path)
{
	struct entry *entry;

	for (size_t i = 0; i < files->entries.count; i++) {
		if (!strcmp(files->entries.items[i]->asked, path))
			return &files->entries.items[i]->public;
	}
	entry = calloc(1, sizeof(*entry));
	if (!entry)
		return NULL;
	entry->asked = strdup(path);
	if (!entry->asked || !array_append(&files->entries, entry)) {
		entry_destroy(entry);
		return NULL;
	}
	entry->public.why = "memory is short";
	look_for(files, entry);
	entry->public.path = entry->path ? entry->path : entry->asked;
	return &entry->public;
}

/* ---- lines ---- */

/* Tabs are the only control characters that source text has a right to. */
static size_t expand_tabs(const char *text, size_t length, char *ret, size_t capacity)
{
	size_t used = 0, cells = 0;

	for (size_t i = 0; i < length && used + TAB_CELLS < capacity; i++) {
		if (text[i] == '\t') {
			do
				ret[used++] = ' ';
			while (++cells % TAB_CELLS);
			continue;
		}
		/* Bytes that go on with a character take no cell. */
		cells += ((unsigned char)text[i] & 0xc0) != 0x80;
		ret[used++] = text[i];
	}
	return used;
}

const char *source_files_get_line(struct source_files *files, const struct source_file *file, uint32_t line)
{
	const struct entry *entry = (const struct entry *)file;
	char expanded[SOURCE_LINE_MAX + 2 * TAB_CELLS];
	size_t start, end, length;

	if (!line || line > file->lines)
		return NULL;
	start = entry->starts.items[line - 1];
	end = entry->starts.items[line];
	while (end > start && (entry->text[end - 1] == '\n' || entry->text[end - 1] == '\r'))
		end--;
	length = expand_tabs(entry->text + start, end - start, expanded, sizeof(expanded));
	text_sanitize(expanded, length, files->line, sizeof(files->line));
	return files->line;
}
