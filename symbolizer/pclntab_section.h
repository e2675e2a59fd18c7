/* Where an ELF file has Go's table of functions and lines.
 *
 * Ownership: the table points into the Elf. Errors: the Elf is hostile input; what cannot be used is no
 * table.
 */
#ifndef KILN_SYMBOLIZER_PCLNTAB_SECTION_H
#define KILN_SYMBOLIZER_PCLNTAB_SECTION_H

#include "symbolizer/pclntab.h"
#include "symbolizer/segments.h"

#include <libelf.h>

/* false: no Go code, or no table that can be read; then *ret is as it was. */
bool pclntab_section_find(Elf *elf, const struct segments *segments, struct pclntab *ret);

#endif
