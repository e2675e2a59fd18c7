/* Threads that begin, work a little and end: the root of their stacks is where clone() lets them begin. */
#include "workload.h"

#include <pthread.h>

NOINLINE uint64_t thread_work(uint64_t seed)
{
	return workload_burn(seed, 30000) + 1;
}

static void *run_thread(void *arg)
{
	workload_sink = thread_work((uintptr_t)arg);
	return NULL;
}

NOINLINE void start_and_join(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		if (pthread_create(&threads[i], NULL, run_thread, (void *)(uintptr_t)i))
			exit(1);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

int main(void)
{
	workload_start();
	workload_say("ready");
	for (;;)
		start_and_join();
}
