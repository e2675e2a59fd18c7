/* Which files a module's names come from: its own, and those with debug information that belong to it.
 *
 * Sources, in order of preference: the separate debug file by build-id, that of .gnu_debuglink, the file's
 * own sections, .gnu_debugdata. The first that has DWARF which can be read is the one for functions and
 * lines, the first that has a symbol table the one for symbols; .gnu_debugdata has symbols only. dwz's file
 * comes with the DWARF that refers to it.
 *
 * Invariants: a file that is not the module's is believed only when its build-id (and with .gnu_debuglink its
 * checksum) is right. Ownership: debug_files_open() → debug_files_close(); the module's Elf must outlive it.
 * Errors: what is there and cannot be used is said in why.
 */
#ifndef KILN_SYMBOLIZER_DEBUG_FILES_H
#define KILN_SYMBOLIZER_DEBUG_FILES_H

#include "symbolizer/debug_ask.h"
#include "symbolizer/frame.h"
#include "symbolizer/minidebuginfo.h"

#include <libelf.h>
#include <stdbool.h>

struct debug_file {
	Elf *elf; /* NULL: none */
	int fd;
};

struct debug_files {
	Elf *dwarf;	 /* with functions and lines; NULL: none */
	Elf *supplement; /* dwz's, of dwarf; NULL: none */
	Elf *symbols;	 /* with .symtab; NULL: none. May be the module itself */
	char why[120];	 /* sanitized; empty: all is well */
	/* Who owns what; not for others. */
	struct debug_file by_build_id, by_link, alt;
	struct minidebuginfo mini;
};

/* What a module is, for those who look for its files. */
struct debug_module {
	Elf *elf;
	uint32_t id;
	uint32_t build_id_length;
	const uint8_t *build_id;
	const struct debug_asker *asker; /* NULL: only the module's own sections */
};

void debug_files_open(const struct debug_module *module, struct debug_files *ret);
void debug_files_close(struct debug_files *files); /* a zeroed struct accepted */

/* For libdw: a .dwo file, or -1 and why. */
int debug_files_open_dwo(const struct debug_module *module, const char *path, char why[120]);

#endif
