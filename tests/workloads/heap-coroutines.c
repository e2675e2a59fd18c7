/* Sixteen coroutines allocate and free on stacks of their own, in turns: one allocates, another one, on
 * another stack, frees. */
#include "heap-ledger.h"

#include <sys/mman.h>
#include <ucontext.h>

#define COROUTINES  16
#define ROUNDS	    200
#define STACK_BYTES (64 << 10)

OWNER(on_a_coroutine);

static ucontext_t contexts[COROUTINES], main_context;
static struct block mailbox;
static unsigned ended;

NOINLINE static struct block on_a_coroutine(size_t bytes)
{
	return book_alloc(&owner_on_a_coroutine, malloc(bytes), bytes);
}

static void yield_from(unsigned self)
{
	swapcontext(&contexts[self], &contexts[(self + 1) % COROUTINES]);
}

static void run(int self)
{
	struct block kept = {0};

	for (unsigned round = 0; round < ROUNDS; round++) {
		struct block theirs = mailbox;

		mailbox = on_a_coroutine(100 + (unsigned)self + round);
		yield_from((unsigned)self);
		book_free(&theirs);
		free(theirs.address);
		if (round % 50 == 0)
			kept = on_a_coroutine(5000);
	}
	hide(kept.address);
	/* The last one goes home; the others go on with their neighbour. */
	if (++ended == COROUTINES)
		setcontext(&main_context);
	yield_from((unsigned)self);
}

int main(void)
{
	unsigned char *stacks = mmap(NULL, COROUTINES * STACK_BYTES, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (stacks == MAP_FAILED)
		return 1;
	for (int i = 0; i < COROUTINES; i++) {
		getcontext(&contexts[i]);
		contexts[i].uc_stack.ss_sp = stacks + i * STACK_BYTES;
		contexts[i].uc_stack.ss_size = STACK_BYTES;
		makecontext(&contexts[i], (void (*)(void))run, 1, i);
	}
	ledger_begin();
	swapcontext(&main_context, &contexts[0]);
	ledger_end();
}
