/* Writes a jitdump, record by record. */
#ifndef KILN_TESTS_JITDUMP_MAKE_H
#define KILN_TESTS_JITDUMP_MAKE_H

#include <stddef.h>
#include <stdint.h>

struct jitdump_line {
	uint64_t address;
	uint32_t line;
	const char *file; /* "\xff": as the last one */
};

void jitdump_put_head(int fd);
void jitdump_put_load(int fd, uint64_t address, uint64_t size, const char *name, size_t code_bytes);
void jitdump_put_move(int fd, uint64_t from, uint64_t to, uint64_t size);
void jitdump_put_lines(int fd, uint64_t address, const struct jitdump_line *lines, size_t count);
/* id: any; bytes of rubbish follow its head. */
void jitdump_put_other(int fd, uint32_t id, size_t bytes);

#endif
