#include "symbolizer/debuginfod_servers.h"

#include "base/cleanup.h"

#include <errno.h>
#include <glob.h>
#include <string.h>

#define SERVERS_PATTERN "/etc/debuginfod/*.urls"
#define SERVERS_MAX	4096 /* bytes */

static void append_file(const char *path, char *text, size_t capacity)
{
	_cleanup_fclose_ FILE *file = fopen(path, "re");
	size_t length = strlen(text);

	if (file)
		text[length + fread(text + length, 1, capacity - 1 - length, file)] = '\0';
}

static void read_files(char *text, size_t capacity)
{
	glob_t found;

	if (glob(SERVERS_PATTERN, 0, NULL, &found))
		return;
	for (size_t i = 0; i < found.gl_pathc; i++)
		append_file(found.gl_pathv[i], text, capacity);
	globfree(&found);
}

struct error *debuginfod_find_servers(char **ret)
{
	const char *given = getenv("DEBUGINFOD_URLS");
	char text[SERVERS_MAX] = "", *copy;

	if (!given)
		read_files(text, sizeof(text));
	for (char *at = text; *at; at++) {
		if (*at == '\n')
			*at = ' ';
	}
	if (!given)
		given = text;
	if (!given[strspn(given, " ")])
		return error_create(ERROR_GENERAL, 0,
				    "set DEBUGINFOD_URLS, or write servers to /etc/debuginfod/NAME.urls",
				    "--debuginfod: no server is known");
	copy = strdup(given);
	if (!copy)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "--debuginfod");
	*ret = copy;
	return NULL;
}

struct error *debuginfod_find_client(char **ret)
{
	const char *directories = getenv("PATH");

	if (!directories)
		directories = "/usr/bin:/bin";
	while (*directories) {
		size_t length = strcspn(directories, ":");
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%.*s/debuginfod-find", (int)length, directories) < 0)
			return error_create(ERROR_GENERAL, ENOMEM, NULL, "--debuginfod");
		if (*path == '/' && access(path, X_OK) == 0) {
			*ret = take_ptr(path);
			return NULL;
		}
		directories += length + (directories[length] == ':');
	}
	return error_create(ERROR_GENERAL, 0, "apt-get install debuginfod",
			    "--debuginfod: debuginfod-find is not installed");
}
