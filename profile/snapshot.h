/* Snapshots: a profile as an SQLite database with its names inside (docs/snapshot.md is the schema).
 *
 * Writing: to a temporary file beside the target, synced, renamed: the old file or the new one, never half of
 * one. Reading: the file is hostile: opened read-only and defensively, integrity and content checksum checked;
 * anything odd is ERROR_BAD_FILE.
 */
#ifndef KILN_PROFILE_SNAPSHOT_H
#define KILN_PROFILE_SNAPSHOT_H

#include "base/error.h"
#include "base/loop.h"
#include "profile/profile.h"
#include "profile/source.h"

/* Blocks until it is on the disk; for the writer child and for tests. */
struct error *snapshot_write(const struct profile *profile, const char *path);
/* Forks a child that writes; on_done is called from the loop (error owned by the callee). The loop must not wait
 * for children itself. */
struct error *snapshot_write_in_child(const struct profile *profile, const char *path, struct loop *loop,
				      void (*on_done)(void *arg, struct error *error), void *arg);

struct error *snapshot_read(const char *path, struct profile **ret);
/* A source over a snapshot's profile, which it takes. */
struct error *snapshot_source_create(struct profile *profile, const char *path, struct source **ret);

/* Expands %p %t %h %% (pid, time as YYYYMMDD-HHMMSS UTC, host); the caller frees. */
struct error *snapshot_expand_path(const char *pattern, const struct facts *facts, char **ret);

#endif
