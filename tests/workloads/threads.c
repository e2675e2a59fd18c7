/* Starts argv[1] threads (1,000) at SIGUSR1, that all work in thread_work(), after a start in main_work(). */
#include "workload.h"

#include <pthread.h>

NOINLINE uint64_t thread_work(uint64_t seed)
{
	return workload_burn(seed, 100000) + 4;
}

NOINLINE uint64_t main_work(uint64_t seed)
{
	return workload_burn(seed, 100000) + 5;
}

static void *run_thread(void *arg)
{
	uint64_t value = (uintptr_t)arg;

	for (;;)
		workload_sink = value = thread_work(value);
	return NULL;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1000;
	pthread_attr_t attributes;

	workload_start();
	workload_say("ready");
	while (!workload_phase)
		workload_sink = main_work(workload_sink);
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 * 1024);
	for (int i = 0; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, &attributes, run_thread, (void *)(uintptr_t)i))
			workload_say("failed");
	}
	workload_say("threads");
	for (;;)
		pause();
}
