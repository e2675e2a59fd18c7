/* .gnu_debugdata: a small ELF file with the symbols that .dynsym has not, packed with xz, inside of a
 * stripped one (Fedora's libraries and programs).
 *
 * Ownership: minidebuginfo_open() → minidebuginfo_close(); the Elf belongs to the struct. Errors: the section
 * is hostile: what is cut, damaged or unpacks to too much is said in words.
 */
#ifndef KILN_SYMBOLIZER_MINIDEBUGINFO_H
#define KILN_SYMBOLIZER_MINIDEBUGINFO_H

#include <libelf.h>
#include <stdbool.h>

struct minidebuginfo {
	Elf *elf; /* NULL: there is none */
	char *bytes;
};

/* false: there is one that cannot be read; *ret_why: static. */
bool minidebuginfo_open(Elf *elf, struct minidebuginfo *ret, const char **ret_why);
void minidebuginfo_close(struct minidebuginfo *mini); /* a zeroed struct accepted */

#endif
