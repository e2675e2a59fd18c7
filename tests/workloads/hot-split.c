/* Two hot functions with a known ratio: hot_three() does three times the work of hot_one(); in argv[1]
 * threads (1). */
#include "workload.h"

#include <pthread.h>

NOINLINE uint64_t hot_three(uint64_t seed)
{
	return workload_burn(seed, 300000) + 1;
}

NOINLINE uint64_t hot_one(uint64_t seed)
{
	return workload_burn(seed, 100000) + 2;
}

static void *work(void *arg)
{
	uint64_t value = (uintptr_t)arg;

	for (;;) {
		value = hot_three(value);
		value = hot_one(value);
		workload_sink = value;
	}
	return NULL;
}

int main(int argc, char **argv)
{
	int count = argc > 1 ? atoi(argv[1]) : 1;

	workload_start();
	for (int i = 1; i < count; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, work, (void *)(uintptr_t)i))
			return 1;
	}
	workload_say("ready");
	work(NULL);
}
