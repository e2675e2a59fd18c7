/* Reading a part of a file, however many calls that takes. */
#ifndef KILN_BASE_FILE_H
#define KILN_BASE_FILE_H

#include <stddef.h>
#include <stdint.h>

/* Reads from offset until the end, an error, or length bytes; returns how many came. */
size_t file_read_at(int fd, uint64_t offset, void *ret, size_t length);

#endif
