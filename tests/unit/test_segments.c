/* Segments of hand-made ELF headers: the usual case, overlaps, and headers that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "symbolizer/segments.h"

#include <gelf.h>
#include <stdlib.h>
#include <string.h>

struct image {
	char *bytes;
	Elf *elf;
	struct segments segments;
	struct error *error;
};

static struct image image_open(const Elf64_Phdr *headers, size_t count)
{
	Elf64_Ehdr header = {
		.e_ident = {ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_type = ET_DYN,
		.e_machine = EM_X86_64,
		.e_version = EV_CURRENT,
		.e_phoff = count ? sizeof(header) : 0,
		.e_ehsize = sizeof(header),
		.e_phentsize = sizeof(*headers),
		.e_phnum = (Elf64_Half)count,
		.e_shentsize = sizeof(Elf64_Shdr),
	};
	size_t length = sizeof(header) + count * sizeof(*headers);
	struct image image = {.bytes = calloc(1, length)};

	elf_version(EV_CURRENT);
	memcpy(image.bytes, &header, sizeof(header));
	if (count)
		memcpy(image.bytes + sizeof(header), headers, count * sizeof(*headers));
	image.elf = elf_memory(image.bytes, length);
	assert_non_null(image.elf);
	image.error = segments_init(image.elf, &image.segments);
	return image;
}

static void image_close(struct image *image)
{
	error_destroy(image->error);
	segments_deinit(&image->segments);
	elf_end(image->elf);
	free(image->bytes);
}

static Elf64_Phdr load(uint64_t offset, uint64_t address, uint64_t length, uint32_t flags)
{
	return (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = offset,
		.p_vaddr = address,
		.p_filesz = length,
		.p_memsz = length,
		.p_flags = flags,
	};
}

static void assert_offset(const struct image *image, uint64_t address, uint64_t expected)
{
	uint64_t offset;

	assert_true(segments_to_offset(&image->segments, address, &offset));
	assert_int_equal(offset, expected);
}

static void assert_address(const struct image *image, uint64_t offset, uint64_t expected)
{
	uint64_t address;

	assert_true(segments_to_address(&image->segments, offset, &address));
	assert_int_equal(address, expected);
}

static void test_both_ways(void **state)
{
	Elf64_Phdr headers[] = {
		load(0, 0x400000, 0x1000, PF_R),
		load(0x1000, 0x401000, 0x2345, PF_R | PF_X),
		load(0x4000, 0x605000, 0x100, PF_R | PF_W),
	};
	struct image image = image_open(headers, 3);
	uint64_t unused;

	assert_null(image.error);
	assert_int_equal(image.segments.count, 3);
	assert_offset(&image, 0x401000, 0x1000);
	assert_offset(&image, 0x403344, 0x3344);
	assert_offset(&image, 0x6050ff, 0x40ff);
	assert_address(&image, 0x1000, 0x401000);
	assert_address(&image, 0, 0x400000);
	assert_address(&image, 0x4000, 0x605000);
	assert_false(segments_to_offset(&image.segments, 0x403345, &unused));
	assert_false(segments_to_offset(&image.segments, 0x3fffff, &unused));
	assert_false(segments_to_address(&image.segments, 0x4100, &unused));
	assert_true(segments_find_offset(&image.segments, 0x1000)->executable);
	assert_false(segments_find_address(&image.segments, 0x605000)->executable);
	image_close(&image);
}

static void test_executable_wins_where_offsets_overlap(void **state)
{
	Elf64_Phdr headers[] = {
		load(0, 0x10000, 0x3000, PF_R),
		load(0x1000, 0x81000, 0x1000, PF_R | PF_X),
	};
	struct image image = image_open(headers, 2);

	assert_address(&image, 0xfff, 0x10fff);
	assert_address(&image, 0x1000, 0x81000);
	assert_address(&image, 0x1fff, 0x81fff);
	assert_address(&image, 0x2000, 0x12000);
	image_close(&image);
}

static void test_ranges_that_wrap_are_dropped(void **state)
{
	Elf64_Phdr headers[] = {
		load(UINT64_MAX - 0xfff, 0x1000, 0x2000, PF_R | PF_X),
		load(0, UINT64_MAX - 0xfff, 0x2000, PF_R | PF_X),
		load(0x1000, 0x2000, UINT64_MAX, PF_R | PF_X),
		load(0x5000, 0x5000, 0, PF_R | PF_X),
		{.p_type = PT_NOTE, .p_filesz = 0x1000, .p_flags = PF_X},
	};
	struct image image = image_open(headers, 5);
	uint64_t unused;

	assert_null(image.error);
	assert_int_equal(image.segments.count, 0);
	assert_false(segments_to_offset(&image.segments, 0x1000, &unused));
	assert_false(segments_to_address(&image.segments, 0, &unused));
	image_close(&image);
}

static void test_no_headers(void **state)
{
	struct image image = image_open(NULL, 0);

	assert_null(image.error);
	assert_int_equal(image.segments.count, 0);
	image_close(&image);
}

static void test_absurdly_many_headers(void **state)
{
	size_t count = 2000;
	Elf64_Phdr *headers = calloc(count, sizeof(*headers));
	struct image image;

	for (size_t i = 0; i < count; i++)
		headers[i] = load(i * 0x1000, i * 0x1000, 0x1000, PF_X);
	image = image_open(headers, count);
	assert_non_null(image.error);
	assert_int_equal(error_get_code(image.error), ERROR_BAD_FILE);
	image_close(&image);
	free(headers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_executable_wins_where_offsets_overlap),
		cmocka_unit_test(test_ranges_that_wrap_are_dropped),
		cmocka_unit_test(test_no_headers),
		cmocka_unit_test(test_absurdly_many_headers),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
