/* Names of functions made to fit a number of cells: what tells least goes first.
 *
 * Order: the arguments become (…), then nothing; template arguments become <…>, then nothing; then the left
 * part (return type, namespaces) goes; last the end is cut and marked with '…'. "module+0x1234" keeps its
 * offset as long as it can, since that is all that tells it from the next one.
 *
 * Invariants: the result never takes more cells than asked for, is valid UTF-8 when the name is, and is never
 * a lone ellipsis; it is empty only when not even the first character fits. Units: cells of the terminal, not
 * bytes.
 */
#ifndef KILN_TUI_LABEL_H
#define KILN_TUI_LABEL_H

#include <stddef.h>

#define LABEL_MAX 4160 /* bytes of the longest name (symbolizer/frame.h) with its marks */

/* Returns the cells used. */
unsigned label_fit(const char *name, unsigned cells, char *ret, size_t capacity);

#endif
