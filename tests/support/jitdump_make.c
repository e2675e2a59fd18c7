#include "tests/support/jitdump_make.h"

#include <elf.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put(int fd, const void *bytes, size_t length)
{
	if (write(fd, bytes, length) != (ssize_t)length)
		abort();
}

static void put_u32(int fd, uint32_t value)
{
	put(fd, &value, sizeof(value));
}

static void put_u64(int fd, uint64_t value)
{
	put(fd, &value, sizeof(value));
}

static void put_zeros(int fd, size_t count)
{
	char zeros[4096] = {0};

	for (; count > sizeof(zeros); count -= sizeof(zeros))
		put(fd, zeros, sizeof(zeros));
	put(fd, zeros, count);
}

static void put_record(int fd, uint32_t id, size_t behind_head)
{
	put_u32(fd, id);
	put_u32(fd, (uint32_t)(16 + behind_head));
	put_u64(fd, 12345);
}

void jitdump_put_head(int fd)
{
	put_u32(fd, 0x4a695444);
	put_u32(fd, 1);
	put_u32(fd, 40);
	put_u32(fd, EM_X86_64);
	put_u32(fd, 0);
	put_u32(fd, 1234);
	put_u64(fd, 1);
	put_u64(fd, 0);
}

void jitdump_put_load(int fd, uint64_t address, uint64_t size, const char *name, size_t code_bytes)
{
	put_record(fd, 0, 40 + strlen(name) + 1 + code_bytes);
	put_u32(fd, 1234);
	put_u32(fd, 1234);
	put_u64(fd, address);
	put_u64(fd, address);
	put_u64(fd, size);
	put_u64(fd, 1);
	put(fd, name, strlen(name) + 1);
	put_zeros(fd, code_bytes);
}

void jitdump_put_move(int fd, uint64_t from, uint64_t to, uint64_t size)
{
	put_record(fd, 1, 48);
	put_u32(fd, 1234);
	put_u32(fd, 1234);
	put_u64(fd, to);
	put_u64(fd, from);
	put_u64(fd, to);
	put_u64(fd, size);
	put_u64(fd, 1);
}

void jitdump_put_lines(int fd, uint64_t address, const struct jitdump_line *lines, size_t count)
{
	size_t length = 16;

	for (size_t i = 0; i < count; i++)
		length += 16 + strlen(lines[i].file) + 1;
	put_record(fd, 2, length);
	put_u64(fd, address);
	put_u64(fd, count);
	for (size_t i = 0; i < count; i++) {
		put_u64(fd, lines[i].address);
		put_u32(fd, lines[i].line);
		put_u32(fd, 0);
		put(fd, lines[i].file, strlen(lines[i].file) + 1);
	}
}

void jitdump_put_other(int fd, uint32_t id, size_t bytes)
{
	put_record(fd, id, bytes);
	put_zeros(fd, bytes);
}
