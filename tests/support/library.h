/* Libraries for tests: made here by the compiler, or found where it finds them; and what nm says of them.
 *
 * Ownership: library_remove() what was made.
 */
#ifndef KILN_TESTS_SUPPORT_LIBRARY_H
#define KILN_TESTS_SUPPORT_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct library {
	char path[4096];
};

/* A global function in assembler, with its FDE and its size, at a multiple of 16. */
struct library_function {
	const char *name, *code;
};

/* Feeds the source to the compiler ("gcc -shared -x c"); false: it refused. */
bool library_compile(const char *compiler, const char *source, struct library *ret);
/* A shared library of these functions (the last one has no name); before: assembler that comes first, NULL:
 * none. Aborts when that fails. */
void library_assemble(const struct library_function *functions, const char *before, struct library *ret);
void library_remove(const struct library *library);

/* false: it is not installed. */
bool library_locate(const char *name, struct library *ret);
void library_locate_libc(struct library *ret);

/* File offset and length of a symbol that nm finds; from .dynsym, or from .symtab. */
bool library_nm(const struct library *library, bool is_dynamic, const char *symbol, uint64_t *ret_offset,
		uint64_t *ret_length);

#endif
