/* Snapshots: a profile as an SQLite database with its names inside (docs/snapshot.md is the schema).
 *
 * Writing: to a temporary file beside the target, synced, renamed: the old file or the new one, never half of
 * one. Reading: the file is hostile: opened read-only and defensively, integrity and content checksum
 * checked; anything odd is ERROR_BAD_FILE.
 */
#ifndef KILN_PROFILE_SNAPSHOT_H
#define KILN_PROFILE_SNAPSHOT_H

#include "base/error.h"
#include "base/loop.h"
#include "profile/profile.h"
#include "profile/source.h"

/* Blocks until it is on the disk; for the writer child and for tests. */
struct error *snapshot_write(const struct profile *profile, const char *path);
/* Forks a child that writes; on_done is called from the loop (error owned by the callee). The loop must not
 * wait for children itself. */
struct error *snapshot_write_in_child(const struct profile *profile, const char *path, struct loop *loop,
				      void (*on_done)(void *arg, struct error *error), void *arg);

/* A path that cannot be opened is ERROR_GENERAL with its errno; what is no snapshot, damaged or newer is
 * ERROR_BAD_FILE. */
struct error *snapshot_read(const char *path, struct profile **ret);
/* A source over a snapshot's profile, which it takes (not when it fails). It saves at once, before save()
 * returns; without a path it does not save. */
struct error *snapshot_source_create(struct profile *profile, const char *path, struct source **ret);

/* Expands %p %t %h %% (pid, end of the data as YYYYMMDD-HHMMSS UTC, host); the caller frees. */
struct error *snapshot_expand_path(const char *pattern, const struct facts *facts, char **ret);
/* "DIRECTORY/COMM-PID-TIME.kiln"; what cannot stand in a file's name becomes '_'; the caller frees. */
struct error *snapshot_make_default_path(const char *directory, const struct facts *facts, char **ret);

#endif
