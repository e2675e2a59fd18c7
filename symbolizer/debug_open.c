/* A want becomes a list of candidates (debug_candidates.c), of which the first that is a regular file is
 * opened. */
#include "symbolizer/debug_open.h"

#include "base/cleanup.h"
#include "base/text.h"
#include "symbolizer/debug_candidates.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define DEBUG_DIRECTORY "/usr/lib/debug"

struct fetched {
	uint32_t build_id_length;
	uint8_t build_id[BUILD_ID_MAX];
	char *path;
};

struct debug_places {
	int root_fd; /* -1: none */
	ARRAY(struct fetched)
	fetched; /* a few: what no package had */
	struct debug_directories directories;
};

static bool add_directories(struct debug_places *places, const char *list)
{
	while (*list) {
		size_t length = strcspn(list, ":");

		if (*list == '/') {
			char *directory = strndup(list, length);

			if (!directory || !array_append(&places->directories, directory)) {
				free(directory);
				return false;
			}
		}
		list += length + (list[length] == ':');
	}
	return true;
}

struct error *debug_places_create(struct debug_places **ret)
{
	struct debug_places *places = calloc(1, sizeof(*places));
	const char *extra = getenv("KILN_DEBUG_PATH");

	if (places)
		places->root_fd = -1;
	if (!places || (extra && !add_directories(places, extra)) ||
	    !add_directories(places, DEBUG_DIRECTORY)) {
		debug_places_destroy(places);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "debug directories");
	}
	*ret = places;
	return NULL;
}

void debug_places_destroy(struct debug_places *places)
{
	if (!places)
		return;
	for (size_t i = 0; i < places->directories.count; i++)
		free(places->directories.items[i]);
	array_deinit(&places->directories);
	for (size_t i = 0; i < places->fetched.count; i++)
		free(places->fetched.items[i].path);
	array_deinit(&places->fetched);
	cleanup_close(&places->root_fd);
	free(places);
}

void debug_places_set_root(struct debug_places *places, int root_fd)
{
	cleanup_close(&places->root_fd);
	places->root_fd = root_fd;
}

struct error *debug_places_add_file(struct debug_places *places, const uint8_t *build_id, uint32_t length,
				    const char *path)
{
	struct fetched fetched = {.build_id_length = length, .path = strdup(path)};

	memcpy(fetched.build_id, build_id, length < BUILD_ID_MAX ? length : BUILD_ID_MAX);
	if (fetched.path && array_append(&places->fetched, fetched))
		return NULL;
	free(fetched.path);
	return error_create(ERROR_GENERAL, ENOMEM, NULL, "debug file");
}

/* ---- opening ---- */

static int open_path(int directory, const char *path, uint64_t flags, uint64_t resolve)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC | flags,
			       .resolve = RESOLVE_NO_MAGICLINKS | resolve};

	return (int)syscall(SYS_openat2, directory, path, &how, sizeof(how));
}

/* The place itself, not yet for reading: to open a device may do something to it, to open a pipe wakes its
 * writer. */
static int open_place(const struct debug_places *places, const struct debug_candidate *candidate)
{
	_cleanup_close_ int base = -1;
	uint64_t resolve = candidate->in_root ? RESOLVE_IN_ROOT : 0;
	int root = candidate->in_root ? places->root_fd : AT_FDCWD;

	if (!candidate->base)
		return open_path(root, candidate->path, 0,
				 resolve | (candidate->no_links ? RESOLVE_NO_SYMLINKS : 0));
	base = open_path(root, candidate->base, O_DIRECTORY, resolve);
	if (base < 0)
		return -1;
	return open_path(base, candidate->path, 0, RESOLVE_BENEATH | RESOLVE_NO_XDEV);
}

static void say_why(const struct debug_candidate *candidate, const char *what, struct debug_opened *ret)
{
	const char *slash = strrchr(candidate->path, '/');
	char text[512];

	if (ret->why[0])
		return;
	snprintf(text, sizeof(text), "%.200s: %s", slash ? slash + 1 : candidate->path, what);
	text_sanitize(text, SIZE_MAX, ret->why, sizeof(ret->why));
}

static void open_candidate(const struct debug_places *places, const struct debug_candidate *candidate,
			   struct debug_opened *ret)
{
	_cleanup_close_ int place = open_place(places, candidate);
	char link[sizeof("/proc/self/fd/") + 12];
	struct stat status;

	if (place < 0) {
		if (errno == ELOOP)
			say_why(candidate, "a symbolic link is not followed there", ret);
		else if (errno != ENOENT && errno != ENOTDIR)
			say_why(candidate, strerror(errno), ret);
		return;
	}
	if (fstat(place, &status) || !S_ISREG(status.st_mode)) {
		say_why(candidate, "not a regular file", ret);
		return;
	}
	snprintf(link, sizeof(link), "/proc/self/fd/%d", place);
	ret->fd = open(link, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	ret->size_bytes = (uint64_t)status.st_size;
	if (ret->fd < 0)
		say_why(candidate, strerror(errno), ret);
}

static void open_fetched(const struct debug_places *places, const struct want_message *want, uint32_t place,
			 struct debug_opened *ret)
{
	if (want->kind != WANT_BUILD_ID || ret->fd >= 0 || want->place > place)
		return;
	ret->place = place;
	for (size_t i = 0; i < places->fetched.count && ret->fd < 0; i++) {
		const struct fetched *fetched = &places->fetched.items[i];

		if (fetched->build_id_length == want->build_id_length &&
		    memcmp(fetched->build_id, want->build_id, want->build_id_length) == 0)
			open_candidate(places, &(struct debug_candidate){.path = fetched->path}, ret);
	}
}

void debug_open(const struct debug_places *places, const char *module_path, const struct want_message *want,
		const char *name, struct debug_opened *ret)
{
	struct debug_candidates list = {0};

	*ret = (struct debug_opened){.fd = -1};
	debug_candidates_init(&list, &places->directories, places->root_fd >= 0, module_path, want, name);
	text_sanitize(list.why, SIZE_MAX, ret->why, sizeof(ret->why));
	for (size_t i = want->place; i < list.items.count && ret->fd < 0; i++) {
		ret->place = (uint32_t)i;
		open_candidate(places, &list.items.items[i], ret);
	}
	open_fetched(places, want, (uint32_t)list.items.count, ret);
	/* What the program is, whatever the first refusal was. */
	if (ret->fd < 0 && want->kind == WANT_DWO && list.package) {
		_cleanup_close_ int package =
			open_place(places, &(struct debug_candidate){.path = list.package});

		if (package >= 0)
			snprintf(ret->why, sizeof(ret->why),
				 "split debug information is packed (.dwp), which elfutils cannot read");
	}
	debug_candidates_deinit(&list);
}
