/* What the programs with a known heap share: they keep books of their own, and print them.
 *
 * Each prints "ready" and waits for a line on stdin, so that kiln can attach; does its counted work without
 * any other allocation (no stdio, static buffers); prints its books as one line of JSON, and waits again. End
 * of stdin ends it. The names of the fields are those of `kiln report --format json`.
 *
 * The allocator is called in the very function that owns the block, which is never inlined and makes no tail
 * call: the row of that function is known to the byte.
 */
#ifndef HEAP_LEDGER_H
#define HEAP_LEDGER_H

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NOINLINE	  __attribute__((noinline, noclone))
#define LEDGER_OWNERS	  64
#define LEDGER_HUGE_BYTES ((size_t)1 << 62) /* no allocator has that */

struct owner {
	const char *function;
	uint64_t live_bytes, live_count, alloc_bytes, alloc_count, peak_bytes;
	bool known;
};
#define OWNER(name) static struct owner owner_##name = {#name, 0, 0, 0, 0, 0, false}

struct block {
	void *address;
	size_t bytes;
	struct owner *owner; /* NULL: from before the books */
};

static struct {
	uint64_t allocs, alloc_bytes, frees, free_bytes, failed, frees_before_attach;
	uint64_t live_blocks, live_bytes, peak_bytes;
	uint64_t gone_blocks, gone_bytes; /* live when the program called exec */
	struct owner *owners[LEDGER_OWNERS];
	unsigned owner_count;
	char locked;
} ledger;

/* The compiler knows neither a pointer nor a number that went through here: no call of the allocator is
 * optimised away, none becomes a jump. */
#define hide(value)                                                                                          \
	({                                                                                                   \
		__typeof__(value) hidden_ = (value);                                                         \
		__asm__ volatile("" : "+r"(hidden_) : : "memory");                                           \
		hidden_;                                                                                     \
	})

/* ---- the books ---- */

static inline void ledger_lock(void)
{
	while (__atomic_test_and_set(&ledger.locked, __ATOMIC_ACQUIRE))
		sched_yield();
}

static inline void ledger_unlock(void)
{
	__atomic_clear(&ledger.locked, __ATOMIC_RELEASE);
}

static inline void ledger_add(struct owner *owner, size_t bytes)
{
	if (!owner->known) {
		owner->known = true;
		ledger.owners[ledger.owner_count++] = owner;
	}
	owner->live_count++, owner->alloc_count++;
	owner->live_bytes += bytes, owner->alloc_bytes += bytes;
	ledger.allocs++, ledger.live_blocks++;
	ledger.alloc_bytes += bytes, ledger.live_bytes += bytes;
	if (ledger.live_bytes <= ledger.peak_bytes)
		return;
	ledger.peak_bytes = ledger.live_bytes;
	for (unsigned i = 0; i < ledger.owner_count; i++)
		ledger.owners[i]->peak_bytes = ledger.owners[i]->live_bytes;
}

static inline void ledger_take(const struct block *block)
{
	if (!block->address)
		return;
	if (!block->owner) {
		ledger.frees_before_attach++;
		return;
	}
	block->owner->live_count--;
	block->owner->live_bytes -= block->bytes;
	ledger.frees++, ledger.live_blocks--;
	ledger.free_bytes += block->bytes, ledger.live_bytes -= block->bytes;
}

/* What a call has returned for so many bytes. */
static inline struct block book_alloc(struct owner *owner, void *address, size_t bytes)
{
	struct block block = {hide(address), bytes, owner};

	ledger_lock();
	if (block.address)
		ledger_add(owner, bytes);
	else
		ledger.failed++;
	ledger_unlock();
	return block;
}

/* Called before the block is given to free: afterwards another thread may have its address. */
static inline void book_free(const struct block *block)
{
	ledger_lock();
	ledger_take(block);
	ledger_unlock();
}

/* A realloc of *block to bytes > 0 has returned address. */
static inline void book_realloc(struct owner *owner, struct block *block, void *address, size_t bytes)
{
	address = hide(address);
	ledger_lock();
	if (address) {
		ledger_take(block);
		ledger_add(owner, bytes);
		*block = (struct block){address, bytes, owner};
	} else {
		ledger.failed++;
	}
	ledger_unlock();
}

static inline void book_failed(void)
{
	ledger_lock();
	ledger.failed++;
	ledger_unlock();
}

/* ---- words ---- */

static struct {
	char text[16384];
	size_t length;
} ledger_out;

static inline void put_text(const char *text)
{
	while (*text && ledger_out.length < sizeof(ledger_out.text))
		ledger_out.text[ledger_out.length++] = *text++;
}

static inline void put_number(uint64_t number)
{
	char digits[21];
	unsigned at = sizeof(digits) - 1;

	digits[at] = 0;
	do
		digits[--at] = (char)('0' + number % 10);
	while (number /= 10);
	put_text(digits + at);
}

static inline void put_field(const char *before, const char *name, uint64_t number)
{
	put_text(before);
	put_text("\"");
	put_text(name);
	put_text("\": ");
	put_number(number);
}

static inline void put_line(const char *text)
{
	put_text(text);
	put_text("\n");
	for (size_t done = 0; done < ledger_out.length;) {
		ssize_t count = write(1, ledger_out.text + done, ledger_out.length - done);

		if (count <= 0)
			_exit(1);
		done += (size_t)count;
	}
	ledger_out.length = 0;
}

static inline void ledger_print(void)
{
	put_field("{\"heap\": {", "allocs", ledger.allocs);
	put_field(", ", "frees", ledger.frees);
	put_field(", ", "failed", ledger.failed);
	put_field(", ", "alloc_bytes", ledger.alloc_bytes);
	put_field(", ", "free_bytes", ledger.free_bytes);
	put_field(", ", "live_blocks", ledger.live_blocks);
	put_field(", ", "live_bytes", ledger.live_bytes);
	put_field(", ", "peak_bytes", ledger.peak_bytes);
	put_field(", ", "frees_before_attach", ledger.frees_before_attach);
	put_field("}, \"gone\": {", "blocks", ledger.gone_blocks);
	put_field(", ", "bytes", ledger.gone_bytes);
	put_text("}, \"owners\": [");
	for (unsigned i = 0; i < ledger.owner_count; i++) {
		const struct owner *owner = ledger.owners[i];

		put_text(i ? ", {\"function\": \"" : "{\"function\": \"");
		put_text(owner->function);
		put_field("\", ", "live_bytes", owner->live_bytes);
		put_field(", ", "live_count", owner->live_count);
		put_field(", ", "alloc_bytes", owner->alloc_bytes);
		put_field(", ", "alloc_count", owner->alloc_count);
		put_field(", ", "peak_bytes", owner->peak_bytes);
		put_text("}");
	}
	put_line("]}");
}

/* Until a line comes; what it says does not matter. */
static inline void ledger_wait(void)
{
	char letter = 0;

	while (letter != '\n') {
		ssize_t count = read(0, &letter, 1);

		if (count == 0 || (count < 0 && errno != EINTR))
			_exit(0);
	}
}

static inline void ledger_step(const char *words)
{
	put_line(words);
	ledger_wait();
}

/* The same, but works until the line comes: what runs is seen sooner than what sleeps. */
static inline void ledger_work(const char *words, void (*work)(void))
{
	struct pollfd input = {.fd = 0, .events = POLLIN, .revents = 0};

	put_line(words);
	while (!poll(&input, 1, 0)) {
		for (unsigned i = 0; i < 1000; i++)
			work();
	}
	ledger_wait();
}

/* Nothing has been counted before. */
static inline void ledger_begin(void)
{
	ledger_step("ready");
}

static inline void ledger_end(void)
{
	ledger_print();
	ledger_wait();
	_exit(0);
}

#endif
