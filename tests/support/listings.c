#include "tests/support/listings.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

void check_listing(const struct code_listing *listing)
{
	uint64_t address = listing->first;

	for (size_t i = 0; i < listing->count; i++) {
		const struct code_instruction *instruction = &listing->instructions[i];
		const struct code_place *place = &listing->places[instruction->place];

		assert_true(instruction->address == address);
		address += instruction->length;
		assert_true(address <= listing->last);
		assert_true(instruction->place < listing->place_count);
		assert_true(place->first + place->count <= listing->level_count);
		assert_true(strlen(instruction->text) <= CODE_TEXT_MAX);
		assert_null(strchr(instruction->text, '\033'));
	}
}
