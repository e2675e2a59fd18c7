/* Growable arrays of one element type.
 *
 * Use: `ARRAY(int) numbers = {0};  if (!array_append(&numbers, 3)) return out of memory;  numbers.items[i];
 * array_deinit(&numbers);`
 * Growth doubles, so that appending is O(1) amortised. Pointers into items move on append.
 */
#ifndef KILN_BASE_ARRAY_H
#define KILN_BASE_ARRAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define ARRAY(type)                                                                                          \
	struct {                                                                                             \
		type *items;                                                                                 \
		size_t count;                                                                                \
		size_t capacity;                                                                             \
	}

static inline bool array_reserve_raw(void **items, size_t *capacity, size_t wanted, size_t size)
{
	size_t grown = *capacity ? *capacity : 16;
	void *moved;

	if (wanted <= *capacity)
		return true;
	if (wanted > SIZE_MAX / 2 / size)
		return false;
	while (grown < wanted)
		grown *= 2;
	moved = reallocarray(*items, grown, size);
	if (!moved)
		return false;
	*items = moved;
	*capacity = grown;
	return true;
}

#define array_reserve(array, wanted)                                                                         \
	array_reserve_raw((void **)&(array)->items, &(array)->capacity, (wanted), sizeof(*(array)->items))

/* true when the element went in; false when memory is short (the array is as before). */
#define array_append(array, ...)                                                                             \
	(array_reserve((array), (array)->count + 1)                                                          \
		 ? ((array)->items[(array)->count++] = (__VA_ARGS__), true)                                  \
		 : false)

#define array_deinit(array)                                                                                  \
	do {                                                                                                 \
		free((array)->items);                                                                        \
		(array)->items = NULL;                                                                       \
		(array)->count = 0;                                                                          \
		(array)->capacity = 0;                                                                       \
	} while (0)

#endif
