/* The worker's modules by id: files that the probe handed over, opened and indexed when they are first asked
 * for. Files that name JIT code belong to MODULE_ANONYMOUS, whatever id they come with.
 *
 * Invariants: nothing is read from a module before module_open(); of an index only what a question needs is
 * built. Ownership: symbolizer_modules_add() takes the fd; a second one of the same id replaces the first.
 * Errors: a module that cannot be read has no names, and says why in its info. struct error: memory.
 */
#ifndef KILN_SYMBOLIZER_MODULES_H
#define KILN_SYMBOLIZER_MODULES_H

#include "base/error.h"
#include "symbolizer/debug_ask.h"
#include "symbolizer/frame.h"

#include <libelf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cfi_fde;
struct debug;
struct pclntab;
struct segments;
struct symbols;
struct symbolizer_modules;
struct module;

/* One answer, its strings sanitized. */
struct module_name {
	uint64_t start;
	uint32_t line;
	uint16_t flags; /* NAME_… */
	size_t function_length, file_length;
	char function[NAME_LENGTH_MAX + 1];
	char file[NAME_LENGTH_MAX + 1];
};

struct error *symbolizer_modules_create(struct symbolizer_modules **ret);
void symbolizer_modules_destroy(struct symbolizer_modules *modules); /* NULL accepted */
/* Whom modules that are added from now on ask for separate debug files; it must outlive them. One set of
 * modules a process: libdw's open() has no arguments of ours. */
void symbolizer_modules_set_asker(struct symbolizer_modules *modules, const struct debug_asker *asker);
struct error *symbolizer_modules_add(struct symbolizer_modules *modules, uint32_t id, enum module_kind kind,
				     int fd);
/* As if it had just been added: it looks for its files anew. */
void symbolizer_modules_reopen(struct symbolizer_modules *modules, uint32_t id);
struct module *symbolizer_modules_find(const struct symbolizer_modules *modules,
				       uint32_t id); /* NULL when there is none */

int module_get_fd(const struct module *module);
enum module_kind module_get_kind(const struct module *module);
/* Before the questions of a request: of a file that grows what has come since is read. */
void module_update(struct module *module);
/* Opens it, if it is not open yet, and says what it has. */
void module_open(struct module *module, struct info_message *ret);
/* What module_open() said has changed: a part of the debug information turned out to be missing. Once. */
bool module_take_news(struct module *module, struct info_message *ret);
/* The levels of an offset, innermost first: emit() is called for each, at least once; all but the last have
 * NAME_INLINED. scratch: where they are made, one after the other. offset: as in a frame; of
 * MODULE_KIND_ADDRESSES the ELF virtual address. Opens the module when needed. */
void module_list_levels(struct module *module, uint64_t offset, struct module_name *scratch,
			void (*emit)(void *arg, const struct module_name *level), void *arg);
/* The concrete function alone, and the line of the instruction itself. */
void module_name_offset(struct module *module, uint64_t offset, struct module_name *ret);

/* What an ELF module knows of its functions and lines, as far as it has it: NULL where not. */
struct module_parts {
	Elf *elf;
	const struct segments *segments;
	const struct symbols *symbols;
	struct debug *debug;
	const struct pclntab *pclntab; /* never NULL */
};

/* Opens and indexes it when needed. false: it is no ELF file that can be read. */
bool module_get_parts(struct module *module, struct module_parts *ret);
/* The FDE that covers a file offset; NULL when none does. The module has parts. */
const struct cfi_fde *module_find_fde(struct module *module, uint64_t offset);

#endif
