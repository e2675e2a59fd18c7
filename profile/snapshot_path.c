/* Names of snapshot files. */
#include "profile/snapshot.h"

#include "base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Of the end of the data: two snapshots of one session are two files. */
static void put_time(FILE *stream, const struct facts *facts)
{
	uint64_t end_ns = facts->start_unix_ns + facts->duration_ns;
	time_t seconds = facts->start_unix_ns ? (time_t)(end_ns / 1000000000) : time(NULL);
	char text[32];
	struct tm parts;

	gmtime_r(&seconds, &parts);
	strftime(text, sizeof(text), "%Y%m%d-%H%M%S", &parts);
	fputs(text, stream);
}

/* A name that somebody else chose, as a part of a file's name: no directory, not hidden, one line. */
static void put_name(FILE *stream, const char *name, const char *otherwise)
{
	if (!name || !*name)
		name = otherwise;
	for (const char *at = name; *at; at++) {
		bool is_bad = (unsigned char)*at <= ' ' || *at == 127 || strchr("/\\*?\"'`$|&;<>()%", *at) ||
			      (at == name && (*at == '.' || *at == '-'));

		fputc(is_bad ? '_' : *at, stream);
	}
}

static struct error *close_text(FILE *stream, char **text, char **ret)
{
	if (fclose(stream) || !*text)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "file name");
	*ret = take_ptr(*text);
	return NULL;
}

struct error *snapshot_expand_path(const char *pattern, const struct facts *facts, char **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return error_create(ERROR_GENERAL, errno, NULL, "file name");
	for (const char *at = pattern; *at; at++) {
		if (*at != '%') {
			fputc(*at, stream);
			continue;
		}
		switch (*++at) {
		case 'p':
			fprintf(stream, "%u", facts->pid);
			break;
		case 't':
			put_time(stream, facts);
			break;
		case 'h':
			put_name(stream, facts->host, "unknown");
			break;
		case '%':
			fputc('%', stream);
			break;
		default:
			fclose(stream);
			return error_create(ERROR_USAGE, 0,
					    "use %p (pid), %t (time), %h (host) or %% (a percent sign)",
					    "%s: %%%.1s stands for nothing", pattern, at);
		}
	}
	return close_text(stream, &text, ret);
}

struct error *snapshot_make_default_path(const char *directory, const struct facts *facts, char **ret)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return error_create(ERROR_GENERAL, errno, NULL, "file name");
	fprintf(stream, "%s/", directory);
	put_name(stream, facts->comm, "process");
	fprintf(stream, "-%u-", facts->pid);
	put_time(stream, facts);
	fputs(".kiln", stream);
	return close_text(stream, &text, ret);
}
