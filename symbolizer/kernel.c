#include "symbolizer/kernel.h"

#include "base/array.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

struct kernel_symbol {
	uint64_t start;
	uint32_t name; /* offset in the text */
	uint16_t length;
	uint16_t rank; /* of symbols at one address the lowest is found; RANK_NO_CODE only bounds the one
			  before */
};

enum { RANK_GLOBAL, RANK_WEAK, RANK_LOCAL, RANK_NO_CODE };

/* Behind the last symbol of a part of the kernel comes nothing, which kallsyms does not say: as perf does,
 * what has no neighbour is a page long, and nothing is longer than this. */
#define FUNCTION_LENGTH_MAX (1 << 20)
#define LAST_LENGTH	    4096

struct kernel_symbols {
	const char *text;
	size_t length;
	ARRAY(struct kernel_symbol)
	items; /* sorted, one an address */
};

static uint16_t rank_type(char type)
{
	switch (type) {
	case 'T':
		return RANK_GLOBAL;
	case 'W':
	case 'w':
		return RANK_WEAK;
	case 't':
		return RANK_LOCAL;
	default:
		return RANK_NO_CODE;
	}
}

/* Takes hexadecimal digits from the line; returns how many, 0 when it is no address. */
static size_t parse_address(const char *line, size_t length, uint64_t *ret)
{
	uint64_t value = 0;
	size_t i;

	for (i = 0; i < length && i < 17; i++) {
		char c = line[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (uint64_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			value = value << 4 | (uint64_t)((c | 0x20) - 'a' + 10);
		else
			break;
	}
	*ret = value;
	return i <= 16 ? i : 0;
}

static bool add_line(struct kernel_symbols *symbols, const char *line, size_t length)
{
	struct kernel_symbol symbol;
	size_t digits = parse_address(line, length, &symbol.start);
	const char *name = line + digits + 3;
	size_t name_length = 0;

	if (!digits || length < digits + 4 || line[digits] != ' ' || line[digits + 2] != ' ' || !symbol.start)
		return true;
	while (name + name_length < line + length && name[name_length] != ' ' && name[name_length] != '\t')
		name_length++;
	if (!name_length || name_length > UINT16_MAX)
		return true;
	symbol.name = (uint32_t)(name - symbols->text);
	symbol.length = (uint16_t)name_length;
	symbol.rank = rank_type(line[digits + 1]);
	return array_append(&symbols->items, symbol);
}

static int compare_symbols(const void *a, const void *b, void *text)
{
	const struct kernel_symbol *left = a, *right = b;

	if (left->start != right->start)
		return left->start < right->start ? -1 : 1;
	if (left->rank != right->rank)
		return left->rank - right->rank;
	return symbol_compare_names((const char *)text + left->name, left->length,
				    (const char *)text + right->name, right->length);
}

static bool parse_text(struct kernel_symbols *symbols)
{
	const char *end = symbols->text + symbols->length, *line, *next;
	size_t kept = 0;

	for (line = symbols->text; line < end; line = next) {
		const char *newline = memchr(line, '\n', (size_t)(end - line));

		next = newline ? newline + 1 : end;
		if (!add_line(symbols, line, (size_t)((newline ? newline : end) - line)))
			return false;
	}
	if (!symbols->items.count)
		return true;
	qsort_r(symbols->items.items, symbols->items.count, sizeof(struct kernel_symbol), compare_symbols,
		(void *)symbols->text);
	for (size_t i = 1; i < symbols->items.count; i++) {
		if (symbols->items.items[i].start != symbols->items.items[kept].start)
			symbols->items.items[++kept] = symbols->items.items[i];
	}
	symbols->items.count = kept + 1;
	return true;
}

struct error *kernel_symbols_create(int fd, struct kernel_symbols **ret)
{
	struct kernel_symbols *symbols;
	struct stat status;

	if (fstat(fd, &status))
		return error_create(ERROR_GENERAL, errno, NULL, "kallsyms");
	if (status.st_size <= 0 || status.st_size > UINT32_MAX)
		return error_create(ERROR_BAD_FILE, 0, NULL, "kallsyms: size");
	symbols = calloc(1, sizeof(*symbols));
	if (!symbols)
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "kernel symbols");
	symbols->length = (size_t)status.st_size;
	symbols->text = mmap(NULL, symbols->length, PROT_READ, MAP_PRIVATE, fd, 0);
	if (symbols->text == MAP_FAILED) {
		free(symbols);
		return error_create(ERROR_GENERAL, errno, NULL, "kallsyms");
	}
	if (!parse_text(symbols)) {
		kernel_symbols_destroy(symbols);
		return error_create(ERROR_GENERAL, ENOMEM, NULL, "kernel symbols");
	}
	if (!symbols->items.count) {
		kernel_symbols_destroy(symbols);
		return error_create(ERROR_PERMISSION, 0, NULL,
				    "the kernel hides its addresses (kptr_restrict)");
	}
	*ret = symbols;
	return NULL;
}

void kernel_symbols_destroy(struct kernel_symbols *symbols)
{
	if (!symbols)
		return;
	munmap((void *)symbols->text, symbols->length);
	array_deinit(&symbols->items);
	free(symbols);
}

bool kernel_symbols_find(const struct kernel_symbols *symbols, uint64_t address, struct symbol_hit *ret)
{
	size_t low = 0, high = symbols->items.count;
	const struct kernel_symbol *symbol;
	uint64_t limit;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (symbols->items.items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (!low)
		return false;
	symbol = &symbols->items.items[low - 1];
	limit = low == symbols->items.count ? LAST_LENGTH : FUNCTION_LENGTH_MAX;
	if (symbol->rank == RANK_NO_CODE || address - symbol->start >= limit)
		return false;
	*ret = (struct symbol_hit){symbols->text + symbol->name, symbol->length, symbol->start, 0, true};
	return true;
}
