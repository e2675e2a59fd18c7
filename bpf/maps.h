/* /proc/PID/maps, parsed: one pass over the text, one callback a mapping, no limit on lines or their length.
 *
 * Invariants: addresses and offsets are bytes; what is not a line of the kernel's format is an error, never
 * guessed at. Trust: paths are the target's words. The kernel writes a newline in a path as \012 and leaves
 * backslashes as they are (fs/seq_file.c, mangle_path): a path that holds a literal "\012" looks the same,
 * and one that ends in a literal " (deleted)" looks deleted. Whoever opens a path compares device and inode.
 * Ownership: the strings of a struct map are valid until the callback returns.
 */
#ifndef KILN_BPF_MAPS_H
#define KILN_BPF_MAPS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum map_kind {
	MAP_KIND_FILE,	    /* has a path in a file system */
	MAP_KIND_ANONYMOUS, /* no name, [heap], [stack], [anon:…], /dev/zero, System V shared memory, … */
	MAP_KIND_MEMFD,	    /* memfd_create(2): code of a JIT, or a library that was never on a disk */
	MAP_KIND_VDSO,	    /* [vdso] */
	MAP_KIND_VSYSCALL,  /* [vsyscall] */
	MAP_KIND_TRAMPOLINE, /* [uprobes], [uprobes-trampoline] */
};

struct map {
	uint64_t start, end, offset;
	uint64_t inode;
	uint32_t dev_major, dev_minor;
	enum map_kind kind;
	bool is_readable, is_writable, is_executable, is_shared;
	bool is_deleted;  /* the kernel put " (deleted)" behind the path */
	const char *path; /* newlines unescaped, without " (deleted)"; "" for none */
};

/* Parses one line (its newline may be there or not); line is written to. false: not a line of this format. */
bool maps_parse_line(char *line, struct map *ret);

/* Calls back for each mapping of the stream in the order of addresses. The callback's error ends the pass. */
struct error *maps_read(FILE *stream, struct error *(*callback)(void *arg, const struct map *map), void *arg);

/* Opens maps beneath a directory fd of /proc/PID. */
struct error *maps_open(int proc_fd, FILE **ret);

#endif
