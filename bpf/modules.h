/* The probe's registry of what is mapped executable in the target: which mapping is which module, and the
 * open files.
 *
 * Invariants: a module id belongs to one file for the whole session, and is never given again; the same file
 * mapped again has the same id (a file is its device, inode and path; one whose content changed while it was
 * not mapped is another one). Mappings are sorted by start and never overlap. No file's content is parsed
 * here: of a memfd four bytes are looked at, to tell a library from the code of a JIT. Ownership: the
 * registry owns modules, mappings and fds; struct target_module pointers are valid until modules_destroy(),
 * the arrays of struct modules_change until the next modules_refresh(). Errors: what cannot be opened stands
 * in the module (`why`) and is counted; it fails nothing else.
 */
#ifndef KILN_BPF_MODULES_H
#define KILN_BPF_MODULES_H

#include "base/error.h"
#include "bpf/events.h"
#include "bpf/target.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct target_module {
	uint32_t id; /* MODULE_FIRST_FILE … */
	uint32_t dev_major, dev_minor;
	uint64_t inode;
	uint64_t size_bytes;
	struct timespec modified; /* of the file when it was opened */
	int fd;			  /* O_RDONLY on a regular file; -1 when it could not be opened */
	bool is_deleted;
	char *path;  /* as the kernel names it, raw: for opening */
	char *shown; /* sanitized */
	char *why;   /* why fd is -1; else NULL */
};

struct modules_change {
	bool changed; /* false: the mappings are those of the last call. After an exec publish them all the
			 same. */
	const struct mapping *mappings;
	size_t count;
	/* Modules that are new, and modules that could not be opened before and now are. */
	struct target_module *const *fresh;
	size_t fresh_count;
};

/* What the registry could not do. */
struct modules_notes {
	uint64_t
		no_id; /* files without an id, because all ids are given: their mappings are MODULE_UNKNOWN */
	uint64_t no_fd;	  /* files not opened, because this process may open no more */
	uint64_t no_open; /* files not opened for another reason (each module's `why`) */
};

struct modules;

/* Raises the soft limit of open files of this process to the hard one: fork CMD before. */
struct error *modules_create(struct modules **ret);
void modules_destroy(struct modules *modules); /* NULL accepted */

/* Reads the target's mappings. ERROR_NO_TARGET when it has ended: the mappings of the last call stay true. */
struct error *modules_refresh(struct modules *modules, const struct target *target,
			      struct modules_change *ret);

/* NULL for an id that was never given. */
const struct target_module *modules_get(const struct modules *modules, uint32_t id);
size_t modules_count(const struct modules *modules); /* ids given: MODULE_FIRST_FILE … + count - 1 */
const struct modules_notes *modules_get_notes(const struct modules *modules);

/* The image of the vDSO and the text of /proc/kallsyms in sealed memfds, that belong to the caller. The vDSO
 * is our own: one kernel maps one image into every 64-bit process. */
struct error *modules_open_vdso(int *ret);
/* ERROR_PERMISSION when the kernel shows no addresses. */
struct error *modules_open_kernel(int *ret);

/* The same in pieces: the kernel takes 50 to 200 ms to write its text, while others wait for the reader. */
struct kernel_text;
struct error *kernel_text_open(struct kernel_text **ret);
/* *ret: the memfd; -1 while there is more to read. After an error the text is of no use any more. */
struct error *kernel_text_read(struct kernel_text *text, int *ret);
void kernel_text_destroy(struct kernel_text *text); /* NULL accepted */

#endif
