/* The kernel's symbols from the text of /proc/kallsyms ("ADDRESS TYPE NAME [MODULE]" a line).
 *
 * Invariants: only text symbols (tTwW) are found; every symbol bounds the one before it.
 * Ownership: kernel_symbols_create() maps the fd and does not take it; names live as long as the symbols.
 * Errors: lines that are no symbols are skipped. Addresses that are all 0 (kptr_restrict) are an error.
 */
#ifndef KILN_SYMBOLIZER_KERNEL_H
#define KILN_SYMBOLIZER_KERNEL_H

#include "base/error.h"
#include "symbolizer/elf.h"

struct kernel_symbols;

struct error *kernel_symbols_create(int fd, struct kernel_symbols **ret);
void kernel_symbols_destroy(struct kernel_symbols *symbols); /* NULL accepted */
bool kernel_symbols_find(const struct kernel_symbols *symbols, uint64_t address, struct symbol_hit *ret);

#endif
