#include "profile/addresses.h"

#include "profile/stacks.h"

#include <errno.h>

void addresses_deinit(struct addresses *addresses)
{
	array_deinit(&addresses->items);
}

static int compare_offsets(const void *a, const void *b)
{
	const struct address *first = a, *second = b;

	return first->offset == second->offset ? 0 : first->offset < second->offset ? -1 : 1;
}

static int compare_self(const void *a, const void *b)
{
	const struct address *first = a, *second = b;

	if (first->self != second->self)
		return first->self < second->self ? 1 : -1;
	return compare_offsets(a, b);
}

/* "Somewhere in the function", for rare samples that were merged (merge.h). Of the kernel the addresses
 * themselves have the bit. */
static bool is_somewhere(uint32_t module, uint64_t offset)
{
	return !(offset & FRAME_SOMEWHERE) == (module == MODULE_KERNEL);
}

static bool add(struct addresses *addresses, uint32_t module, const struct stack *stack, const char *file,
		uint32_t line)
{
	struct address address = {FRAME_OFFSET(stack->frame), stack->self, file, line};

	addresses->self += stack->self;
	if (!is_somewhere(module, address.offset))
		return array_append(&addresses->items, address);
	addresses->elsewhere += stack->self;
	return true;
}

/* One address stands at the end of many stacks. */
static void join(struct addresses *addresses)
{
	size_t kept = 0;

	if (!addresses->items.count)
		return;
	qsort(addresses->items.items, addresses->items.count, sizeof(struct address), compare_offsets);
	for (size_t i = 1; i < addresses->items.count; i++) {
		const struct address *address = &addresses->items.items[i];

		if (address->offset == addresses->items.items[kept].offset)
			addresses->items.items[kept].self += address->self;
		else
			addresses->items.items[++kept] = *address;
	}
	addresses->items.count = kept + 1;
	qsort(addresses->items.items, addresses->items.count, sizeof(struct address), compare_self);
}

/* The line of an address in this function: its own, or that of the call through which other code is inlined
 * there. false: it is no code of this function. */
static bool find_line(const struct profile *profile, uint64_t frame, uint32_t function, const char **ret_file,
		      uint32_t *ret_line)
{
	uint32_t innermost, number;

	if (!profile_get_name(profile, frame, &innermost, ret_file, ret_line))
		return false;
	if (innermost == function)
		return true;
	for (number = profile_get_frame_inline(profile, frame); number;) {
		struct inlined inlined = profile_get_inline(profile, number);

		*ret_file = inlined.file;
		*ret_line = inlined.line;
		if (inlined.function == function)
			return true;
		number = inlined.around;
	}
	return false;
}

struct error *addresses_collect(struct profile *profile, uint32_t function, struct addresses *ret)
{
	/* Who reads the sums settles them (settle.h): then frames have their functions. */
	struct function wanted = profile_get_function(profile, function);
	uint32_t count = profile_count_stacks(profile);
	struct addresses addresses = {0};

	for (uint32_t i = 1; i <= count; i++) {
		struct stack stack = profile_get_stack(profile, i);
		const char *file;
		uint32_t line;

		if (FRAME_MODULE(stack.frame) != wanted.module ||
		    !find_line(profile, stack.frame, function, &file, &line))
			continue;
		if (!add(&addresses, wanted.module, &stack, file, line)) {
			addresses_deinit(&addresses);
			return error_create(ERROR_GENERAL, ENOMEM, NULL, "addresses");
		}
	}
	join(&addresses);
	*ret = addresses;
	return NULL;
}
