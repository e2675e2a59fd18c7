/* Functions of an allocator that only pass a call on: `operator delete` of jemalloc is `jmp free`, operator
 * new of libstdc++ in a static program calls malloc.
 *
 * A trap on both would see one call twice: for a call that returns a block the inner one is known to be
 * nested, but a free has no return that would tell. So the first of the two gets no trap.
 *
 * When in doubt a function passes nothing on: one that has a way around its inner call must keep its trap. A
 * jump through the module's GOT (PLT, -fno-plt) goes to whatever defines the name: it is followed by name, or
 * to the module's own function of that name.
 *
 * Ownership: Elf, segments and fd stay the caller's; allocator_jumps_deinit(). Errors: the file is hostile
 * input: what cannot be decoded is no jump.
 */
#ifndef KILN_SYMBOLIZER_ALLOCATOR_JUMPS_H
#define KILN_SYMBOLIZER_ALLOCATOR_JUMPS_H

#include "base/array.h"
#include "bpf/heap_events.h"
#include "symbolizer/segments.h"

#include <libelf.h>
#include <stdbool.h>
#include <stdint.h>

/* Where a call ends up. */
struct allocator_target {
	enum heap_kind kind; /* of a function that the module calls by name, whoever defines it; 0: */
	uint64_t offset;     /* in the file, of a function of the module */
};

struct allocator_slot {
	uint64_t address; /* ELF virtual address of a GOT entry */
	struct allocator_target target;
};

struct allocator_jumps {
	Elf *elf;
	const struct segments *segments;
	int fd;
	uint64_t file_bytes;
	bool has_slots; /* they are read when first a jump goes through one */
	ARRAY(struct allocator_slot)
	slots; /* sorted by address */
};

void allocator_jumps_deinit(struct allocator_jumps *jumps);
/* Whether the function at this file offset, of this kind, only jumps on; and where. */
bool allocator_jumps_follow(struct allocator_jumps *jumps, uint64_t offset, enum heap_kind kind,
			    struct allocator_target *ret);
/* Whether the first thing that a function of operator new calls is a function that may allocate; and where.
 */
bool allocator_jumps_find_call(struct allocator_jumps *jumps, uint64_t offset, uint64_t length,
			       struct allocator_target *ret);

#endif
