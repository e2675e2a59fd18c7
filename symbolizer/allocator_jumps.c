#include "symbolizer/allocator_jumps.h"

#include "symbolizer/allocator_names.h"
#include "symbolizer/symbol_table.h"

#include <gelf.h>
#include <string.h>
#include <unistd.h>

/* Read of a function; one that only calls another is shorter (libstdc++: at most 100). */
#define CODE_BYTES 256
/* An allocator's own way to a free block begins with the thread's cache, through this prefix. */
#define PREFIX_FS 0x64

#define RSP 4
#define RDI 7

struct code {
	uint8_t bytes[CODE_BYTES];
	size_t length;
	uint64_t address; /* ELF virtual address of the first byte */
};

struct jump {
	uint64_t address; /* where it goes; of the GOT entry when it goes through one */
	bool through_slot;
};

void allocator_jumps_deinit(struct allocator_jumps *jumps)
{
	array_deinit(&jumps->slots);
}

/* ---- code ---- */

static bool code_read(const struct allocator_jumps *jumps, uint64_t offset, struct code *ret)
{
	ssize_t length;

	if (offset > INT64_MAX || !segments_to_address(jumps->segments, offset, &ret->address))
		return false;
	length = pread(jumps->fd, ret->bytes, sizeof(ret->bytes), (off_t)offset);
	ret->length = length > 0 ? (size_t)length : 0;
	return length > 0;
}

static bool code_has(const struct code *code, size_t at, const char *bytes, size_t length)
{
	return at + length <= code->length && memcmp(code->bytes + at, bytes, length) == 0;
}

/* Length of "mov reg, reg" or "xor reg, reg" at this place, that leaves stack and first argument alone: sized
 * and aligned variants drop their second argument so. 0: it is something else. */
static size_t move_length(const struct code *code, size_t at)
{
	size_t prefix = code_has(code, at, "\x48", 1);
	const uint8_t *bytes = code->bytes + at + prefix;

	if (at + prefix + 2 > code->length || (bytes[0] != 0x89 && bytes[0] != 0x31))
		return 0;
	if (bytes[1] >> 6 != 3 || (bytes[1] & 7) == RSP || (bytes[1] & 7) == RDI)
		return 0;
	return prefix + 2;
}

static bool decode_displacement(const struct code *code, size_t at, size_t bytes, uint64_t *ret)
{
	int32_t wide = 0;

	if (at + bytes > code->length)
		return false;
	if (bytes == 1)
		wide = (int8_t)code->bytes[at];
	else
		memcpy(&wide, code->bytes + at, sizeof(wide));
	*ret = code->address + at + bytes + (uint64_t)(int64_t)wide;
	return true;
}

/* may_move: only the first argument matters. */
static bool code_decode(const struct code *code, bool may_move, struct jump *ret)
{
	size_t at = 0, length;

	if (code_has(code, at, "\xf3\x0f\x1e\xfa", 4)) /* endbr64 */
		at += 4;
	while (may_move && (length = move_length(code, at)))
		at += length;
	if (code_has(code, at, "\xf2", 1)) /* bnd */
		at++;
	ret->through_slot = code_has(code, at, "\xff\x25", 2);
	if (ret->through_slot)
		return decode_displacement(code, at + 2, 4, &ret->address);
	if (code_has(code, at, "\xe9", 1))
		return decode_displacement(code, at + 1, 4, &ret->address);
	return code_has(code, at, "\xeb", 1) && decode_displacement(code, at + 1, 1, &ret->address);
}

/* ---- slots ---- */

/* false: it is nothing that a call could go on to. */
static bool read_target(const struct allocator_jumps *jumps, const struct symbol_table *table,
			const Elf64_Sym *symbol, struct allocator_target *ret)
{
	const struct allocator_name *name;
	const struct segment *segment;
	size_t length = 0;
	const char *text = symbol_table_name(table, symbol, &length);

	name = text ? allocator_name_find(text, length) : NULL;
	if (name) {
		*ret = (struct allocator_target){.kind = name->kind};
		return true;
	}
	segment = segments_find_address(jumps->segments, symbol->st_value);
	if (symbol->st_shndx == SHN_UNDEF || ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || !segment)
		return false;
	*ret = (struct allocator_target){.offset = segment->offset + (symbol->st_value - segment->address)};
	return true;
}

static void read_relocations(struct allocator_jumps *jumps, Elf_Scn *section, const GElf_Shdr *header,
			     uint64_t *left)
{
	Elf_Data *data = elf_getdata(section, NULL);
	const Elf64_Rela *relocations;
	struct symbol_table table;

	if (!data || !data->d_buf ||
	    !symbol_table_open(jumps->elf, elf_getscn(jumps->elf, header->sh_link), &table))
		return;
	relocations = data->d_buf;
	for (size_t i = 0; i < data->d_size / sizeof(*relocations) && *left; i++, --*left) {
		uint64_t type = ELF64_R_TYPE(relocations[i].r_info);
		uint64_t symbol = ELF64_R_SYM(relocations[i].r_info);
		struct allocator_slot slot = {.address = relocations[i].r_offset};

		if ((type != R_X86_64_JUMP_SLOT && type != R_X86_64_GLOB_DAT) || symbol >= table.count)
			continue;
		if (!read_target(jumps, &table, &table.symbols[symbol], &slot.target))
			continue;
		if (!array_append(&jumps->slots, slot))
			return;
	}
}

static int compare_slots(const void *a, const void *b)
{
	const struct allocator_slot *left = a, *right = b;

	return left->address < right->address ? -1 : left->address > right->address;
}

/* Sections do not share bytes in a file that a linker made: what claims more relocations than the file has
 * room for is cut short. */
static void read_slots(struct allocator_jumps *jumps)
{
	uint64_t left = jumps->file_bytes / sizeof(Elf64_Rela);
	Elf_Scn *section = NULL;

	while (left && (section = elf_nextscn(jumps->elf, section))) {
		GElf_Shdr header;

		if (gelf_getshdr(section, &header) && header.sh_type == SHT_RELA &&
		    !(header.sh_flags & SHF_COMPRESSED))
			read_relocations(jumps, section, &header, &left);
	}
	if (jumps->slots.count)
		qsort(jumps->slots.items, jumps->slots.count, sizeof(jumps->slots.items[0]), compare_slots);
	jumps->has_slots = true;
}

static bool find_slot(struct allocator_jumps *jumps, uint64_t address, struct allocator_target *ret)
{
	const struct allocator_slot key = {.address = address}, *slot;

	if (!jumps->has_slots)
		read_slots(jumps);
	if (!jumps->slots.count)
		return false;
	slot = bsearch(&key, jumps->slots.items, jumps->slots.count, sizeof(key), compare_slots);
	if (slot)
		*ret = slot->target;
	return slot;
}

/* Where code at this address ends up: in a function, or through an entry of the PLT in what that names. */
static bool find_target(struct allocator_jumps *jumps, uint64_t address, struct allocator_target *ret)
{
	const struct segment *segment = segments_find_address(jumps->segments, address);
	struct jump next;
	struct code code;
	uint64_t offset;

	if (!segment || !segment->executable)
		return false;
	offset = segment->offset + (address - segment->address);
	if (code_read(jumps, offset, &code) && code_decode(&code, false, &next) && next.through_slot &&
	    find_slot(jumps, next.address, ret))
		return true;
	*ret = (struct allocator_target){.offset = offset};
	return true;
}

bool allocator_jumps_follow(struct allocator_jumps *jumps, uint64_t offset, enum heap_kind kind,
			    struct allocator_target *ret)
{
	bool may_move = kind == HEAP_FREE || kind == HEAP_MALLOC;
	struct jump jump;
	struct code code;

	if (!code_read(jumps, offset, &code) || !code_decode(&code, may_move, &jump))
		return false;
	return jump.through_slot ? find_slot(jumps, jump.address, ret)
				 : find_target(jumps, jump.address, ret);
}

/* Without decoding: a byte that only looks like a call goes, most likely, to no code at all, or to code that
 * is no allocator's; then nothing is passed on. */
bool allocator_jumps_find_call(struct allocator_jumps *jumps, uint64_t offset, uint64_t length,
			       struct allocator_target *ret)
{
	struct code code;
	uint64_t address;

	if (!length || length > CODE_BYTES || !code_read(jumps, offset, &code))
		return false;
	if (code.length > length)
		code.length = length;
	if (memchr(code.bytes, PREFIX_FS, code.length))
		return false;
	for (size_t at = 0; at < code.length; at++) {
		if (code.bytes[at] == 0xe8 && decode_displacement(&code, at + 1, 4, &address) &&
		    find_target(jumps, address, ret))
			return true;
	}
	return false;
}
