/* kiln's side of files with debug information: opens what a worker asks for, with the rights of the user.
 *
 * The worker may be the target's puppet: it gets regular files only, by a build-id or a plain name, from the
 * places where debug information lies. Places, in order: below the target's root, when it has another one
 * than kiln; then the same on this machine.
 *
 * Ownership: debug_places_create() → debug_places_destroy(). Invariants: nothing is opened for reading before
 * it is known to be a regular file; no place waits for a writer. Errors: what was refused is said in words.
 */
#ifndef KILN_SYMBOLIZER_DEBUG_OPEN_H
#define KILN_SYMBOLIZER_DEBUG_OPEN_H

#include "base/error.h"
#include "symbolizer/frame.h"

#include <stdint.h>

struct debug_places;

/* Directories: those of KILN_DEBUG_PATH (separated by colons), then /usr/lib/debug. */
struct error *debug_places_create(struct debug_places **ret);
void debug_places_destroy(struct debug_places *places); /* NULL accepted */
/* An O_PATH fd of the target's root, which is taken; -1: the target's root is kiln's. */
void debug_places_set_root(struct debug_places *places, int root_fd);

/* A file that was fetched for this build-id: the last place for it. */
struct error *debug_places_add_file(struct debug_places *places, const uint8_t *build_id, uint32_t length,
				    const char *path);

struct debug_opened {
	int fd; /* -1: none */
	uint32_t place;
	uint64_t size_bytes;
	char why[120]; /* what was refused; sanitized, may be empty */
};

/* module_path: as the target has it mapped; name: terminated, that of the want. */
void debug_open(const struct debug_places *places, const char *module_path, const struct want_message *want,
		const char *name, struct debug_opened *ret);

#endif
