/* The process becomes another program inside its books: what it held is gone, its totals go on. */
#include "heap-ledger.h"

OWNER(before_exec);
OWNER(after_exec);

NOINLINE static struct block before_exec(size_t bytes)
{
	return book_alloc(&owner_before_exec, malloc(bytes), bytes);
}

NOINLINE static struct block after_exec(size_t bytes)
{
	return book_alloc(&owner_after_exec, malloc(bytes), bytes);
}

static void drop(struct block *block)
{
	book_free(block);
	free(block->address);
}

/* The books travel as an argument: their own bytes, in hexadecimal. */
struct totals {
	uint64_t allocs, alloc_bytes, frees, free_bytes, live_blocks, live_bytes, peak_bytes;
};

static void become_second(char *name)
{
	struct totals totals = {ledger.allocs,	    ledger.alloc_bytes, ledger.frees,	  ledger.free_bytes,
				ledger.live_blocks, ledger.live_bytes,	ledger.peak_bytes};
	static char text[2 * sizeof(totals) + 1];
	char *arguments[] = {name, text, NULL}, *environment[] = {NULL};

	for (size_t i = 0; i < sizeof(totals); i++) {
		unsigned byte = ((unsigned char *)&totals)[i];

		text[2 * i] = "0123456789abcdef"[byte >> 4];
		text[2 * i + 1] = "0123456789abcdef"[byte & 15];
	}
	execve("/proc/self/exe", arguments, environment);
	_exit(1);
}

static unsigned parse_digit(char digit)
{
	return (unsigned)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static void take_over(const char *text)
{
	struct totals totals = {0};

	for (size_t i = 0; i < sizeof(totals); i++)
		((unsigned char *)&totals)[i] =
			(unsigned char)(parse_digit(text[2 * i]) << 4 | parse_digit(text[2 * i + 1]));
	ledger.allocs = totals.allocs;
	ledger.alloc_bytes = totals.alloc_bytes;
	ledger.frees = totals.frees;
	ledger.free_bytes = totals.free_bytes;
	ledger.peak_bytes = totals.peak_bytes;
	ledger.gone_blocks = totals.live_blocks;
	ledger.gone_bytes = totals.live_bytes;
}

NOINLINE static void work(void)
{
	hide(1);
}

int main(int argc, char **argv)
{
	static struct block blocks[200];

	if (argc > 1) {
		take_over(argv[1]);
		ledger_work("second", work);
		for (unsigned i = 0; i < 60; i++)
			blocks[i] = after_exec(300 + i);
		for (unsigned i = 0; i < 20; i++)
			drop(&blocks[i]);
		ledger_end();
	}
	ledger_begin();
	for (unsigned i = 0; i < 200; i++)
		blocks[i] = before_exec(1000);
	for (unsigned i = 0; i < 70; i++)
		drop(&blocks[i]);
	become_second(argv[0]);
}
