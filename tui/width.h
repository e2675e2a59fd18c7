/* How many cells of a terminal a code point takes, whatever the locale. */
#ifndef KILN_TUI_WIDTH_H
#define KILN_TUI_WIDTH_H

#include <stdint.h>

/* 0 (combining marks, format characters), 1 or 2. Control characters count as 1: they are drawn as '?'. */
unsigned width_of_codepoint(uint32_t codepoint);

#endif
