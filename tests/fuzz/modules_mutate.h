/* Changes an ELF file where it hurts: single fields of its headers and the beginnings of its sections become
 * numbers that are hard to bear. Deterministic: by a seed. */
#ifndef KILN_TESTS_FUZZ_MODULES_MUTATE_H
#define KILN_TESTS_FUZZ_MODULES_MUTATE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct mutation {
	uint8_t *data;
	size_t size;
	uint64_t state;
};

static inline uint64_t mutation_random(struct mutation *mutation, uint64_t below)
{
	/* xorshift64 */
	mutation->state ^= mutation->state << 13;
	mutation->state ^= mutation->state >> 7;
	mutation->state ^= mutation->state << 17;
	return below ? mutation->state % below : 0;
}

/* Somewhere in the ELF header, in a section's header, in a segment's, in a section, anywhere. */
static inline size_t mutation_choose(struct mutation *mutation)
{
	Elf64_Ehdr header;
	Elf64_Shdr section;
	uint64_t at, number;

	if (mutation->size < sizeof(header))
		return (size_t)mutation_random(mutation, mutation->size);
	memcpy(&header, mutation->data, sizeof(header));
	number = mutation_random(mutation, header.e_shnum ? header.e_shnum : 1);
	switch (mutation_random(mutation, 8)) {
	case 0:
		return (size_t)mutation_random(mutation, sizeof(header));
	case 1:
		at = header.e_phoff +
		     mutation_random(mutation, (header.e_phnum ? header.e_phnum : 1) * sizeof(Elf64_Phdr));
		break;
	case 2:
	case 3:
		at = header.e_shoff + number * sizeof(section) + mutation_random(mutation, sizeof(section));
		break;
	case 4:
	case 5:
	case 6:
		at = header.e_shoff + number * sizeof(section);
		if (at > mutation->size || mutation->size - at < sizeof(section))
			break;
		memcpy(&section, mutation->data + at, sizeof(section));
		at = section.sh_offset + mutation_random(mutation, section.sh_size);
		break;
	default:
		at = mutation_random(mutation, mutation->size);
	}
	return (size_t)(at < mutation->size ? at : mutation_random(mutation, mutation->size));
}

static inline uint64_t mutation_value(struct mutation *mutation)
{
	static const uint64_t values[] = {
		0,
		1,
		2,
		8,
		0x7f,
		0x80,
		0xff,
		0x7fff,
		0xffff,
		0x7fffffff,
		0x80000000,
		0xffffffff,
		0x7fffffffffffffff,
		UINT64_MAX,
		UINT64_MAX - 7,
	};
	size_t count = sizeof(values) / sizeof(values[0]),
	       number = (size_t)mutation_random(mutation, count + 3);
	uint64_t value = 0;
	size_t at = (size_t)mutation_random(mutation, mutation->size);

	if (number < count)
		return values[number];
	if (number == count)
		return mutation->size - mutation_random(mutation, 16);
	if (number == count + 1)
		return mutation_random(mutation, mutation->size * 2);
	/* what stands elsewhere in the file */
	memcpy(&value, mutation->data + at, mutation->size - at < 8 ? mutation->size - at : 8);
	return value;
}

static inline void mutation_apply(uint8_t *data, size_t size, uint64_t seed)
{
	struct mutation mutation = {data, size, seed * 0x9e3779b97f4a7c15u + 1};
	uint64_t changes = 1 + mutation_random(&mutation, 4);

	for (uint64_t i = 0; i < changes && size; i++) {
		size_t at = mutation_choose(&mutation), width = (size_t)1 << mutation_random(&mutation, 4);
		uint64_t value = mutation_value(&mutation);

		memcpy(data + at, &value, size - at < width ? size - at : width);
	}
}

#endif
