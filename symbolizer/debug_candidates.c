#include "symbolizer/debug_candidates.h"

#include "base/cleanup.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct search {
	struct debug_candidates *list;
	const struct debug_directories *directories;
	bool in_root;
	char *directory; /* of the module, absolute, "" for the root; NULL: it has none */
	const char *module_path;
	const struct want_message *want;
	const char *name;
};

static __attribute__((format(printf, 3, 4))) void add(struct search *search, bool no_links,
						      const char *format, ...)
{
	struct debug_candidate candidate = {.in_root = search->in_root, .no_links = no_links};
	va_list args;
	int length;

	va_start(args, format);
	length = vasprintf(&candidate.path, format, args);
	va_end(args);
	if (length >= 0 && !array_append(&search->list->items, candidate))
		free(candidate.path);
}

/* In a container only what every system has: the other directories are the user's. */
static size_t first_directory(const struct search *search)
{
	return search->in_root ? search->directories->count - 1 : 0;
}

static void add_build_id(struct search *search)
{
	const struct want_message *want = search->want;
	char hex[2 * BUILD_ID_MAX + 1] = "";

	if (want->build_id_length < 2 || want->build_id_length > BUILD_ID_MAX)
		return;
	for (uint32_t i = 0; i < want->build_id_length; i++)
		sprintf(hex + 2 * i, "%02x", want->build_id[i]);
	for (size_t i = first_directory(search); i < search->directories->count; i++)
		add(search, false, "%s/.build-id/%.2s/%s.debug", search->directories->items[i], hex, hex + 2);
}

/* A module of /usr/lib may have been packaged when /lib was a directory of its own. */
static void add_link(struct search *search)
{
	const char *directory = search->directory;

	if (!directory)
		return;
	add(search, true, "%s/%s", directory, search->name);
	add(search, true, "%s/.debug/%s", directory, search->name);
	for (size_t i = first_directory(search); i < search->directories->count; i++) {
		const char *debug = search->directories->items[i];

		add(search, false, "%s%s/%s", debug, directory, search->name);
		if (strncmp(directory, "/usr/", 5) == 0)
			add(search, false, "%s%s/%s", debug, directory + 4, search->name);
	}
}

static bool has_dots(const char *path)
{
	for (const char *at = path; (at = strstr(at, "..")); at += 2) {
		if ((at == path || at[-1] == '/') && (at[2] == '/' || !at[2]))
			return true;
	}
	return false;
}

/* dwz's file: by its build-id, by its path if that is in a directory of debug information, by its name where
 * packages put such files, and beside the module. */
static void add_alt(struct search *search)
{
	const char *slash = strrchr(search->name, '/'), *last = slash ? slash + 1 : search->name;

	add_build_id(search);
	if (!*last || strcmp(last, "..") == 0 || strcmp(last, ".") == 0)
		return;
	for (size_t i = first_directory(search); i < search->directories->count; i++) {
		const char *debug = search->directories->items[i];
		size_t length = strlen(debug);

		if (strncmp(search->name, debug, length) == 0 && search->name[length] == '/' &&
		    !has_dots(search->name))
			add(search, false, "%s", search->name);
		add(search, false, "%s/.dwz/%s", debug, last);
	}
	if (!search->directory)
		return;
	add(search, true, "%s/%s", search->directory, last);
	add(search, true, "%s/.dwz/%s", search->directory, last);
	add(search, true, "%s/.debug/%s", search->directory, last);
}

/* Takes "." and ".." and double slashes out; in place. */
static void normalize(char *path)
{
	char *out = path;

	for (char *at = path; *at;) {
		size_t length = strcspn(at, "/");

		if (length == 2 && memcmp(at, "..", 2) == 0) {
			while (out > path && *--out != '/')
				;
		} else if (length && !(length == 1 && *at == '.')) {
			*out++ = '/';
			memmove(out, at, length);
			out += length;
		}
		at += length + (at[length] == '/');
	}
	*out = '\0';
}

/* Length of the directory that holds both, without the slash at its end. */
static size_t find_common(const char *a, const char *b)
{
	size_t common = 0;

	for (size_t i = 0; a[i] && a[i] == b[i]; i++) {
		if (a[i] == '/')
			common = i;
	}
	return common;
}

/* The path is the file's word. It is opened from the deepest directory that holds it and the module, crosses
 * no mount point from there (an automounter would mount what the file names), and ends in .dwo. */
static void add_dwo(struct search *search)
{
	_cleanup_free_ char *path = strdup(search->name);
	struct debug_candidate candidate = {.in_root = search->in_root};
	size_t common;
	char *last;

	if (!path)
		return;
	normalize(path);
	last = strrchr(path, '/');
	if (!last)
		return;
	common = find_common(search->module_path, path);
	candidate.base = common ? strndup(path, common) : strdup("/");
	candidate.path = strdup(path + common + 1);
	if (!candidate.base || !candidate.path || !array_append(&search->list->items, candidate)) {
		free(candidate.base);
		free(candidate.path);
	}
	if (search->directory)
		add(search, true, "%s%s", search->directory, last);
}

static bool is_allowed(const struct want_message *want, const char *name, struct debug_candidates *list)
{
	size_t length = strlen(name);

	switch (want->kind) {
	case WANT_LINK:
		if (length && length < 256 && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, ".."))
			return true;
		snprintf(list->why, sizeof(list->why), "its debug file has no plain name: %.100s", name);
		return false;
	case WANT_DWO:
		return name[0] == '/' && length > 4 && strcmp(name + length - 4, ".dwo") == 0;
	default:
		return true;
	}
}

static void add_all(struct search *search)
{
	switch (search->want->kind) {
	case WANT_BUILD_ID:
		add_build_id(search);
		return;
	case WANT_LINK:
		add_link(search);
		return;
	case WANT_ALT:
		add_alt(search);
		return;
	case WANT_DWO:
		add_dwo(search);
		return;
	}
}

void debug_candidates_init(struct debug_candidates *ret, const struct debug_directories *directories,
			   bool has_root, const char *module_path, const struct want_message *want,
			   const char *name)
{
	const char *slash = module_path[0] == '/' ? strrchr(module_path, '/') : NULL;
	_cleanup_free_ char *directory =
		slash && !has_dots(module_path) ? strndup(module_path, (size_t)(slash - module_path)) : NULL;
	struct search search = {.list = ret,
				.directories = directories,
				.directory = directory,
				.module_path = directory ? module_path : "",
				.want = want,
				.name = name};

	*ret = (struct debug_candidates){0};
	if (!is_allowed(want, name, ret))
		return;
	if (has_root) {
		search.in_root = true;
		add_all(&search);
		search.in_root = false;
	}
	add_all(&search);
	if (want->kind == WANT_DWO && directory && asprintf(&ret->package, "%s.dwp", module_path) < 0)
		ret->package = NULL;
}

void debug_candidates_deinit(struct debug_candidates *candidates)
{
	for (size_t i = 0; i < candidates->items.count; i++) {
		free(candidates->items.items[i].base);
		free(candidates->items.items[i].path);
	}
	array_deinit(&candidates->items);
	free(candidates->package);
}
