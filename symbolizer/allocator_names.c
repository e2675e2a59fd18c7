#include "symbolizer/allocator_names.h"

#include <stdlib.h>
#include <string.h>

#define NEW    "operator new"
#define NEWS   "operator new[]"
#define DELETE "operator delete"
#define FREES  "operator delete[]"

/* In the order of their bytes. Of operator new the first argument is the size, of operator delete the block,
 * whatever follows (alignment, size, std::nothrow). */
static const struct allocator_name names[] = {
	{"_ZdaPv", FREES, HEAP_FREE, true, false},
	{"_ZdaPvRKSt9nothrow_t", FREES, HEAP_FREE, true, false},
	{"_ZdaPvSt11align_val_t", FREES, HEAP_FREE, true, false},
	{"_ZdaPvSt11align_val_tRKSt9nothrow_t", FREES, HEAP_FREE, true, false},
	{"_ZdaPvm", FREES, HEAP_FREE, true, false},
	{"_ZdaPvmSt11align_val_t", FREES, HEAP_FREE, true, false},
	{"_ZdlPv", DELETE, HEAP_FREE, true, false},
	{"_ZdlPvRKSt9nothrow_t", DELETE, HEAP_FREE, true, false},
	{"_ZdlPvSt11align_val_t", DELETE, HEAP_FREE, true, false},
	{"_ZdlPvSt11align_val_tRKSt9nothrow_t", DELETE, HEAP_FREE, true, false},
	{"_ZdlPvm", DELETE, HEAP_FREE, true, false},
	{"_ZdlPvmSt11align_val_t", DELETE, HEAP_FREE, true, false},
	{"_Znam", NEWS, HEAP_MALLOC, true, true},
	{"_ZnamRKSt9nothrow_t", NEWS, HEAP_MALLOC, true, false},
	{"_ZnamSt11align_val_t", NEWS, HEAP_MALLOC, true, true},
	{"_ZnamSt11align_val_tRKSt9nothrow_t", NEWS, HEAP_MALLOC, true, false},
	{"_Znwm", NEW, HEAP_MALLOC, true, true},
	{"_ZnwmRKSt9nothrow_t", NEW, HEAP_MALLOC, true, false},
	{"_ZnwmSt11align_val_t", NEW, HEAP_MALLOC, true, true},
	{"_ZnwmSt11align_val_tRKSt9nothrow_t", NEW, HEAP_MALLOC, true, false},
	{"aligned_alloc", "aligned_alloc", HEAP_MEMALIGN, false, false},
	{"calloc", "calloc", HEAP_CALLOC, false, false},
	{"cfree", "cfree", HEAP_FREE, false, false},
	{"free", "free", HEAP_FREE, false, false},
	{"malloc", "malloc", HEAP_MALLOC, false, false},
	{"memalign", "memalign", HEAP_MEMALIGN, false, false},
	{"posix_memalign", "posix_memalign", HEAP_POSIX_MEMALIGN, false, false},
	{"pvalloc", "pvalloc", HEAP_MALLOC, false, false},
	{"realloc", "realloc", HEAP_REALLOC, false, false},
	{"reallocarray", "reallocarray", HEAP_REALLOCARRAY, false, false},
	{"valloc", "valloc", HEAP_MALLOC, false, false},
};

struct text {
	const char *bytes;
	size_t length;
};

static int compare(const void *key, const void *item)
{
	const struct text *text = key;
	const struct allocator_name *name = item;
	int order = strncmp(text->bytes, name->symbol, text->length);

	/* Equal so far: then the text is a beginning of the name. */
	return order ? order : name->symbol[text->length] ? -1 : 0;
}

const struct allocator_name *allocator_name_find(const char *text, size_t length)
{
	struct text key = {text,
			   strnlen(text, length < ALLOCATOR_NAME_LIMIT ? length : ALLOCATOR_NAME_LIMIT)};
	const char *version = memchr(text, '@', key.length);

	if (version)
		key.length = (size_t)(version - text);
	return bsearch(&key, names, sizeof(names) / sizeof(*names), sizeof(*names), compare);
}
