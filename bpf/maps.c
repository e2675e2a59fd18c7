#include "bpf/maps.h"

#include "base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

static const char deleted_suffix[] = " (deleted)";

/* strtoull() takes signs, blanks and 0x; the kernel writes none of them. base is 10 or 16. */
static bool parse_number(char **at, unsigned base, char end, uint64_t *ret)
{
	uint64_t value = 0;
	char *p = *at;

	for (;; p++) {
		unsigned digit;

		if (*p >= '0' && *p <= '9')
			digit = (unsigned)(*p - '0');
		else if (base == 16 && *p >= 'a' && *p <= 'f')
			digit = (unsigned)(*p - 'a') + 10;
		else
			break;
		if (value > (UINT64_MAX - digit) / base)
			return false;
		value = value * base + digit;
	}
	if (p == *at || *p != end)
		return false;
	*at = end ? p + 1 : p;
	*ret = value;
	return true;
}

static bool parse_permissions(char **at, struct map *map)
{
	const char *p = *at;

	if ((p[0] != 'r' && p[0] != '-') || (p[1] != 'w' && p[1] != '-') || (p[2] != 'x' && p[2] != '-') ||
	    (p[3] != 'p' && p[3] != 's') || p[4] != ' ')
		return false;
	map->is_readable = p[0] == 'r';
	map->is_writable = p[1] == 'w';
	map->is_executable = p[2] == 'x';
	map->is_shared = p[3] == 's';
	*at += 5;
	return true;
}

static bool has_prefix(const char *text, const char *prefix)
{
	return !strncmp(text, prefix, strlen(prefix));
}

/* Names in brackets are the kernel's own: a path in a file system starts with a slash, and a name that a
 * program gives to its memory (PR_SET_VMA_ANON_NAME) shows as [anon:…]. */
static enum map_kind find_kind(const struct map *map)
{
	if (map->inode == 0 && !strcmp(map->path, "[vdso]"))
		return MAP_KIND_VDSO;
	if (map->inode == 0 && has_prefix(map->path, "[uprobes"))
		return MAP_KIND_TRAMPOLINE;
	if (!strcmp(map->path, "[vsyscall]"))
		return MAP_KIND_VSYSCALL;
	if (map->path[0] != '/')
		return MAP_KIND_ANONYMOUS;
	if (map->is_deleted && has_prefix(map->path, "/memfd:"))
		return MAP_KIND_MEMFD;
	if (!strcmp(map->path, "/dev/zero") ||
	    (map->is_deleted && (has_prefix(map->path, "/SYSV") || !strcmp(map->path, "/anon_hugepage"))))
		return MAP_KIND_ANONYMOUS;
	return MAP_KIND_FILE;
}

/* In place: \012 becomes the newline that the kernel escaped; no other byte is ever escaped here. */
static void unescape_newlines(char *path)
{
	char *out = path;

	for (const char *in = path; *in; out++) {
		if (has_prefix(in, "\\012")) {
			*out = '\n';
			in += 4;
		} else {
			*out = *in++;
		}
	}
	*out = '\0';
}

static void set_path(struct map *map, char *path)
{
	size_t length = strlen(path), suffix = strlen(deleted_suffix);

	map->is_deleted = length > suffix && !strcmp(path + length - suffix, deleted_suffix);
	if (map->is_deleted)
		path[length - suffix] = '\0';
	unescape_newlines(path);
	map->path = path;
}

/* start-end perms offset major:minor inode [blanks path] */
bool maps_parse_line(char *line, struct map *ret)
{
	struct map map = {0};
	uint64_t major, minor;
	char *at = line, *newline = strchr(line, '\n');

	if (newline)
		*newline = '\0';
	if (!parse_number(&at, 16, '-', &map.start) || !parse_number(&at, 16, ' ', &map.end) ||
	    map.start >= map.end || !parse_permissions(&at, &map) ||
	    !parse_number(&at, 16, ' ', &map.offset) || !parse_number(&at, 16, ':', &major) ||
	    !parse_number(&at, 16, ' ', &minor) || major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	if (!parse_number(&at, 10, ' ', &map.inode) && !parse_number(&at, 10, '\0', &map.inode))
		return false;
	map.dev_major = (uint32_t)major;
	map.dev_minor = (uint32_t)minor;
	set_path(&map, at + strspn(at, " "));
	map.kind = find_kind(&map);
	*ret = map;
	return true;
}

struct error *maps_read(FILE *stream, struct error *(*callback)(void *arg, const struct map *map), void *arg)
{
	_cleanup_free_ char *line = NULL;
	size_t capacity = 0;
	struct map map;
	ssize_t length;

	errno = 0;
	while ((length = getline(&line, &capacity, stream)) > 0) {
		struct error *error;

		/* A NUL byte inside would hide what follows it. */
		if (strlen(line) != (size_t)length || !maps_parse_line(line, &map))
			return error_create(ERROR_GENERAL, 0, NULL, "memory map: a line that is none");
		error = callback(arg, &map);
		if (error)
			return error;
		errno = 0;
	}
	if (ferror(stream) || errno)
		return error_create(ERROR_GENERAL, errno, NULL, "read the memory map");
	return NULL;
}

struct error *maps_open(int proc_fd, FILE **ret)
{
	_cleanup_close_ int fd = openat(proc_fd, "maps", O_RDONLY | O_CLOEXEC);
	FILE *stream;

	if (fd < 0)
		return error_create(errno == EACCES || errno == EPERM ? ERROR_PERMISSION : ERROR_GENERAL,
				    errno, NULL, "open the memory map");
	stream = fdopen(fd, "re");
	if (!stream)
		return error_create(ERROR_GENERAL, errno, NULL, "open the memory map");
	fd = -1;
	*ret = stream;
	return NULL;
}
