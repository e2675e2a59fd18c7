/* One symbol table of an ELF file with its strings, as the file has it.
 *
 * Ownership: the pointers belong to the Elf. Errors: the Elf is hostile input; what does not lie in the file
 * is no table, or no name.
 */
#ifndef KILN_SYMBOLIZER_SYMBOL_TABLE_H
#define KILN_SYMBOLIZER_SYMBOL_TABLE_H

#include <gelf.h>
#include <stdbool.h>
#include <stddef.h>

struct symbol_table {
	const Elf64_Sym *symbols;
	size_t count;
	const char *strings;
	size_t strings_length;
};

/* false: the section is no symbol table, or it cannot be read. */
bool symbol_table_open(Elf *elf, Elf_Scn *section, struct symbol_table *ret);
/* Not terminated: at most *ret_length bytes may be read. NULL: outside of the strings. */
const char *symbol_table_name(const struct symbol_table *table, const Elf64_Sym *symbol, size_t *ret_length);

#endif
