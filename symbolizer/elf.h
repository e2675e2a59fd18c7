/* The symbol tables of an ELF file, searchable by address.
 *
 * Invariants: ELF virtual addresses. Names point into the file's string tables: valid as long as the Elf.
 * A symbol with a size covers just that; one without reaches to the next symbol or the end of its section,
 * and is found only where no symbol with a size covers the address. Ownership: symbols_create() →
 * symbols_destroy(); the Elf must outlive the symbols. Errors: the Elf is hostile input: what points outside
 * of it is left out.
 */
#ifndef KILN_SYMBOLIZER_ELF_H
#define KILN_SYMBOLIZER_ELF_H

#include "base/error.h"
#include "symbolizer/frame.h"

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct symbols;

struct symbol_hit {
	const char *name; /* not terminated, never empty, without its @VERSION */
	size_t length;
	uint64_t start;
	uint64_t size; /* 0: not known */
	bool sized;    /* false: where it ends is a guess */
};

/* ELF64, little-endian, x86-64. why: static text when it is not. */
bool elf_is_supported(Elf *elf, const char **ret_why);
/* The first section of that name that has bytes in the file; NULL when there is none. */
Elf_Scn *elf_find_section(Elf *elf, const char *name);
bool elf_has_section(Elf *elf, const char *name);
/* Whether Go code is in it. Only section headers are asked: false in a file without any. */
bool elf_is_go(Elf *elf);
bool elf_has_symtab(Elf *elf);
/* Copies at most BUILD_ID_MAX bytes; returns the length, 0 when there is none. */
size_t elf_read_build_id(Elf *elf, uint8_t ret[BUILD_ID_MAX]);
/* The same of a file that is not loaded: the program headers of a debug file may lead nowhere, dwz's files
 * have none. */
size_t elf_read_any_build_id(Elf *elf, uint8_t ret[BUILD_ID_MAX]);

/* other: a file of the same program with more symbols (its debug file), or NULL. strong_first: of the names
 * of one address a global one goes before a weak one. Not so in libraries: glibc's public names are the weak
 * ones (calloc, read), perf shows the others (__libc_calloc, __read). */
struct error *symbols_create(Elf *elf, Elf *other, bool strong_first, struct symbols **ret);
void symbols_destroy(struct symbols *symbols); /* NULL accepted */
bool symbols_find(const struct symbols *symbols, uint64_t address, struct symbol_hit *ret);
size_t symbols_count(const struct symbols *symbols);

/* Which of two names of one address people know: fewer leading underscores, then the shorter one, then by
 * letters. < 0: the first. */
int symbol_compare_names(const char *a, size_t a_length, const char *b, size_t b_length);

#endif
