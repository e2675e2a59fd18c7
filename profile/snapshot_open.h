/* Opens a file that may be hostile as a database of kiln's: checked as a whole before a table is read.
 *
 * The file is copied into memory and SQLite reads it there: nothing is locked, written or opened a second
 * time, a journal beside it is not looked at, and a file that is cut while we read cannot kill us by SIGBUS.
 */
#ifndef KILN_PROFILE_SNAPSHOT_OPEN_H
#define KILN_PROFILE_SNAPSHOT_OPEN_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

struct sqlite3;

struct image {
	struct sqlite3 *db;
	void *bytes;
	size_t size;
	uint32_t schema;
	long steps_left; /* of SQLite's machine, in thousands; runs out when pages form a loop */
};

struct error *image_open(const char *path, struct image *ret);
void image_deinit(struct image *image);

#endif
