/* The files in which a target's JIT says what its code is called: found, checked, opened, watched for growth.
 *
 *   the map   /tmp/perf-PID.map under the target's root, PID as in its innermost PID namespace
 *   jitdumps  files that the target has mapped and that are called jit-….dump
 *
 * Trust: the map's path is a place where everybody writes. A file is taken only when it is regular, has one
 * name, belongs to root or the target's user, was written to since the target began (PIDs come again), and is
 * no bigger than JIT_FILE_BYTES_MAX. No symbolic link is followed, and nothing is opened for reading before
 * it is checked: a FIFO keeps nobody waiting.
 *
 * Ownership: the map's fd belongs to the struct, and lives until the next look that has a new one; fds of
 * jitdumps stay the caller's, and must live as long as the struct. Errors: what is not taken is said in
 * words, once.
 */
#ifndef KILN_BPF_JIT_FILES_H
#define KILN_BPF_JIT_FILES_H

#include "base/error.h"
#include "bpf/target.h"

#include <stdbool.h>
#include <stdint.h>

#define JIT_FILE_BYTES_MAX (16ull << 30)

struct jit_files;

struct jit_look {
	int new_map_fd;	      /* a map that was not there, or another one than before; -1: none */
	uint64_t map_bytes;   /* of it */
	bool has_news;	      /* there may be names that were not there at the last look */
	uint64_t total_bytes; /* of all files */
	char why[200]; /* why the map is not taken; empty: there is none, it is, or it was said before */
};

struct error *jit_files_create(struct jit_files **ret);
void jit_files_destroy(struct jit_files *files); /* NULL accepted */

/* is_last: nobody will look again; what has come in the last moment counts as news. */
void jit_files_look(struct jit_files *files, const struct target *target, bool is_last, struct jit_look *ret);

/* By its last component. */
bool jit_files_is_dump(const char *path);
/* Watches a jitdump that the target has mapped; false: it is not to be trusted. */
bool jit_files_add_dump(struct jit_files *files, const struct target *target, int fd);

#endif
