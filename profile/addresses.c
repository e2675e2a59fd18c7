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

struct error *addresses_collect(struct profile *profile, uint32_t function, struct addresses *ret)
{
	/* Who reads the sums settles them (settle.h): then frames have their functions. */
	struct function wanted = profile_get_function(profile, function);
	uint32_t count = profile_count_stacks(profile);
	struct addresses addresses = {0};

	for (uint32_t i = 1; i <= count; i++) {
		struct stack stack = profile_get_stack(profile, i);
		uint32_t owner, line;
		const char *file;

		if (FRAME_MODULE(stack.frame) != wanted.module ||
		    !profile_get_name(profile, stack.frame, &owner, &file, &line) || owner != function)
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
