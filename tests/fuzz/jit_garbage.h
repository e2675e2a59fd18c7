/* Any bytes as a perf map or a jitdump that grows: for the fuzzer, and for its kept inputs in `make test`.
 *
 * The first byte says which (bit 0), in how many pieces the rest arrives (bits 1 to 3), how much is read at
 * once (bit 4), and whether the file is cut in between (bit 5). What is found must cover what was asked for.
 */
#ifndef KILN_TESTS_JIT_GARBAGE_H
#define KILN_TESTS_JIT_GARBAGE_H

#include "symbolizer/jitdump.h"
#include "symbolizer/perf_map.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct jit_garbage {
	struct perf_map *map; /* one of the two */
	struct jitdump *dump;
	uint64_t most;
};

static inline void jit_garbage_ask(struct jit_garbage *garbage, uint64_t address)
{
	struct perf_map_name name;
	struct jitdump_name dumped;

	if (garbage->map && perf_map_find(garbage->map, address, &name) &&
	    (!name.length || name.start > address || !memchr(name.name, name.name[0], name.length)))
		abort();
	if (garbage->dump && jitdump_find(garbage->dump, address, &dumped) &&
	    (!dumped.length || dumped.start > address || (dumped.line && !dumped.file) ||
	     (dumped.line && dumped.file_length &&
	      !memchr(dumped.file, dumped.file[dumped.file_length - 1], dumped.file_length))))
		abort();
}

static inline void jit_garbage_look(struct jit_garbage *garbage, const uint8_t *data, size_t size)
{
	uint64_t address;

	if (garbage->map)
		perf_map_update(garbage->map, garbage->most);
	else
		jitdump_update(garbage->dump, garbage->most);
	for (address = 0xff8; address < 0x1100; address += 12)
		jit_garbage_ask(garbage, address);
	for (size_t at = 0; at + sizeof(address) <= size; at += sizeof(address)) {
		memcpy(&address, data + at, sizeof(address));
		jit_garbage_ask(garbage, address);
	}
}

static inline void jit_garbage_run(const uint8_t *data, size_t size)
{
	uint8_t how = size ? data[0] : 0;
	size_t pieces = 1 + (how >> 1 & 7), length = size ? size - 1 : 0, at = 0;
	struct jit_garbage garbage = {.most = how & 16 ? 2 : UINT64_MAX};
	int fd = memfd_create("garbage", MFD_CLOEXEC);

	if (fd < 0 || (how & 1 ? jitdump_create(dup(fd), &garbage.dump) != NULL
			       : perf_map_create(dup(fd), &garbage.map) != NULL))
		abort();
	for (size_t i = 1; i <= pieces; i++) {
		size_t to = length * i / pieces;

		if (write(fd, data + 1 + at, to - at) != (ssize_t)(to - at))
			abort();
		at = to;
		jit_garbage_look(&garbage, data + 1, length);
		if (how & 32 && i == pieces / 2 &&
		    (ftruncate(fd, (off_t)(at / 2)) < 0 || lseek(fd, 0, SEEK_END) < 0))
			abort();
	}
	perf_map_destroy(garbage.map);
	jitdump_destroy(garbage.dump);
	close(fd);
}

#endif
