/* exchange: eight threads hand their blocks to their neighbour, who frees them. exit: eight threads live and
 * end inside the books; each leaves some blocks. */
#include "heap-ledger.h"

#include <pthread.h>

#define THREADS	    8
#define ROUNDS	    3000
#define LEFT	    50
#define QUEUE	    64
#define BYTES_MAX   2000
#define STACK_BYTES (256 << 10)

OWNER(make);
OWNER(leave);

/* One writes, one reads. */
static struct queue {
	struct block blocks[QUEUE];
	unsigned in, out;
} queues[THREADS];
static pthread_barrier_t barrier;

NOINLINE static struct block make(size_t bytes)
{
	return book_alloc(&owner_make, malloc(bytes), bytes);
}

NOINLINE static void leave(size_t bytes)
{
	book_alloc(&owner_leave, malloc(bytes), bytes);
}

static unsigned next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ull + 1442695040888963407ull;
	return (unsigned)(*seed >> 33);
}

static bool push(struct queue *queue, struct block block)
{
	unsigned in = queue->in;

	if (in - __atomic_load_n(&queue->out, __ATOMIC_ACQUIRE) == QUEUE)
		return false;
	queue->blocks[in % QUEUE] = block;
	__atomic_store_n(&queue->in, in + 1, __ATOMIC_RELEASE);
	return true;
}

static bool pop(struct queue *queue, struct block *ret)
{
	unsigned out = queue->out;

	if (__atomic_load_n(&queue->in, __ATOMIC_ACQUIRE) == out)
		return false;
	*ret = queue->blocks[out % QUEUE];
	__atomic_store_n(&queue->out, out + 1, __ATOMIC_RELEASE);
	return true;
}

static void exchange(unsigned self)
{
	uint64_t seed = self;
	unsigned made = 0, freed = 0;
	struct block mine = {0}, theirs;

	while (made < ROUNDS || freed < ROUNDS) {
		bool moved = false;

		if (made < ROUNDS) {
			if (!mine.address)
				mine = make(next_random(&seed) % BYTES_MAX);
			if (push(&queues[self], mine)) {
				mine.address = NULL;
				made++;
				moved = true;
			}
		}
		if (pop(&queues[(self + 1) % THREADS], &theirs)) {
			book_free(&theirs);
			free(theirs.address);
			freed++;
			moved = true;
		}
		if (!moved)
			sched_yield();
	}
	for (unsigned i = 0; i < LEFT; i++)
		leave(next_random(&seed) % BYTES_MAX);
}

static void *run_exchange(void *arg)
{
	pthread_barrier_wait(&barrier);
	exchange((unsigned)(uintptr_t)arg);
	pthread_barrier_wait(&barrier);
	for (;;)
		pause();
	return NULL;
}

static void *run_shortly(void *arg)
{
	static _Thread_local struct block blocks[20];
	uint64_t seed = (uintptr_t)arg;

	for (unsigned i = 0; i < 20; i++)
		blocks[i] = make(next_random(&seed) % BYTES_MAX);
	for (unsigned i = 0; i < LEFT; i++)
		leave(next_random(&seed) % BYTES_MAX);
	for (unsigned i = 0; i < 20; i++) {
		book_free(&blocks[i]);
		free(blocks[i].address);
	}
	return NULL;
}

/* Waits until all eight are there: eight stacks are in glibc's cache afterwards, and no thread of the books
 * needs an allocation to start. */
static void *run_nothing(void *arg)
{
	pthread_barrier_wait(&barrier);
	return NULL;
}

static void start(void *(*run)(void *arg), pthread_t *threads)
{
	pthread_attr_t attributes;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (uintptr_t i = 0; i < THREADS; i++) {
		if (pthread_create(&threads[i], &attributes, run, (void *)i))
			_exit(1);
	}
}

static void join(const pthread_t *threads)
{
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	static pthread_t threads[THREADS];
	bool ends = argc > 1 && !strcmp(argv[1], "exit");

	pthread_barrier_init(&barrier, NULL, ends ? THREADS : THREADS + 1);
	start(ends ? run_nothing : run_exchange, threads);
	if (ends)
		join(threads);
	ledger_begin();
	if (ends) {
		start(run_shortly, threads);
		join(threads);
	} else {
		pthread_barrier_wait(&barrier);
		pthread_barrier_wait(&barrier);
	}
	ledger_end();
}
