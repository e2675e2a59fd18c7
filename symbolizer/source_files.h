/* Source files on this machine, found by the paths that debug information names, and read by line.
 *
 * kiln's side: with the rights of the user who asks, never in a worker. Paths are hostile: only regular files
 * are opened (nothing else is even touched), of at most SOURCE_BYTES_MAX.
 * Ownership: source_files_create() → source_files_destroy(); a struct source_file and its lines live as long
 * as the files. Errors: memory, and a map that is none; what is not found says why.
 */
#ifndef KILN_SYMBOLIZER_SOURCE_FILES_H
#define KILN_SYMBOLIZER_SOURCE_FILES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_BYTES_MAX (16u << 20)
/* Of a longer line the end is cut. */
#define SOURCE_LINE_MAX 1000

struct source_files;

struct source_file {
	const char *path; /* where it is; where it was looked for last when it is not there */
	const char *why;  /* NULL: it is there; else why not */
	bool is_newer;	  /* than the binary */
	uint32_t lines;	  /* 0 when it is not there */
};

struct error *source_files_create(struct source_files **ret);
void source_files_destroy(struct source_files *files); /* NULL accepted */
/* --source-path: what begins with FROM, up to the end of a part of the path, is looked for at TO first; FROM
 * "." is every path that does not begin with '/'. ERROR_USAGE when it is not FROM=TO. */
struct error *source_files_add_map(struct source_files *files, const char *map);
/* When the binary was written, in ns since 1970: what is newer is said. 0 (default): not known. */
void source_files_set_binary_time(struct source_files *files, uint64_t binary_time_ns);

/* Reads it when it is first asked for; NULL when memory is short. */
const struct source_file *source_files_find(struct source_files *files, const char *path);
/* One line, from 1: sanitized, tabs as spaces; NULL when there is no such line. Valid until the next call. */
const char *source_files_get_line(struct source_files *files, const struct source_file *file, uint32_t line);

#endif
