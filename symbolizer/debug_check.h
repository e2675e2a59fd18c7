/* What a file with debug information holds, and whether libdw may be let at it.
 *
 * libdw unpacks all compressed sections of a file when it opens it: what they claim to become is added up
 * before. Errors: the file is hostile; what cannot be read is said in words.
 */
#ifndef KILN_SYMBOLIZER_DEBUG_CHECK_H
#define KILN_SYMBOLIZER_DEBUG_CHECK_H

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

struct debug_contents {
	bool has_dwarf; /* that can be read: it has lines */
	bool has_symtab;
	const char *why; /* there is DWARF that cannot be read; static; NULL when all is well */
};

/* The Elf is supported (elf_is_supported()). */
void debug_check_contents(Elf *elf, struct debug_contents *ret);
/* Of a file that other DWARF refers to (.dwo, dwz's): it may have no lines. why: static. */
bool debug_check_is_readable(Elf *elf, const char **ret_why);
/* CRC-32 as .gnu_debuglink has it. false: it cannot be read, or is too big to be read for that. */
bool debug_check_crc(int fd, uint32_t *ret);

#endif
