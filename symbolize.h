/* kiln symbolize: the names of addresses of one file, without a process. */
#ifndef KILN_SYMBOLIZE_H
#define KILN_SYMBOLIZE_H

#include "base/error.h"
#include "options.h"

/* Prints a block for each address, in order. Errors: ERROR_GENERAL when the file cannot be opened,
 * ERROR_BAD_FILE when it is no ELF file for x86-64. What goes wrong later is printed already, and is in
 * ret_status. */
struct error *symbolize_run(const struct options *options, int *ret_status);

/* A hex number with or without 0x, and nothing else. */
bool symbolize_parse_address(const char *text, size_t length, uint64_t *ret);

#endif
