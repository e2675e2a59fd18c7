/* Loads 200 libraries (argv[1]/lib000 to lib199), calls each one's work_NNN() from a call_NNN() of its own,
 * and unloads them, over and over and in varied order, so that addresses are used again by others. argv[2] =
 * "all": all are loaded and work for a while; "swap": each in the place of the one before. */
#include "workload.h"

#include <dlfcn.h>
#include <string.h>

#define LIBRARIES 200

typedef uint64_t work(uint64_t seed);
typedef uint64_t caller(work *function, uint64_t seed, unsigned rounds);

/* The text keeps the compiler from making one function of all that are the same. */
#define CALL(n)                                                                                              \
	NOINLINE uint64_t call_##n(work *function, uint64_t seed, unsigned rounds)                           \
	{                                                                                                    \
		while (rounds--)                                                                             \
			seed = function(seed);                                                               \
		asm volatile("# " #n);                                                                       \
		return seed;                                                                                 \
	}
#define NAME(n)			   call_##n,
#define TEN(X, n)		   X(n##0) X(n##1) X(n##2) X(n##3) X(n##4) X(n##5) X(n##6) X(n##7) X(n##8) X(n##9)
#define FIFTY(X, n, a, b, c, d, e) TEN(X, n##a) TEN(X, n##b) TEN(X, n##c) TEN(X, n##d) TEN(X, n##e)
#define HUNDRED(X, n)		   FIFTY(X, n, 0, 1, 2, 3, 4) FIFTY(X, n, 5, 6, 7, 8, 9)

HUNDRED(CALL, 0)
HUNDRED(CALL, 1)
static caller *const callers[LIBRARIES] = {HUNDRED(NAME, 0) HUNDRED(NAME, 1)};

struct loaded {
	void *library;
	work *function;
};

static struct loaded load(const char *directory, unsigned number)
{
	struct loaded loaded;
	char text[4096];

	snprintf(text, sizeof(text), "%s/lib%03u", directory, number);
	loaded.library = dlopen(text, RTLD_LAZY);
	snprintf(text, sizeof(text), "work_%03u", number);
	loaded.function = loaded.library ? (work *)dlsym(loaded.library, text) : NULL;
	if (!loaded.function)
		exit(1);
	return loaded;
}

/* All of them, for about two seconds. */
static void load_all(const char *directory, unsigned stride)
{
	static struct loaded all[LIBRARIES];

	for (unsigned i = 0; i < LIBRARIES; i++)
		all[i * stride % LIBRARIES] = load(directory, i * stride % LIBRARIES);
	for (unsigned round = 0; round < 40; round++)
		for (unsigned i = 0; i < LIBRARIES; i++)
			workload_sink = callers[i](all[i].function, workload_sink, 250);
	for (unsigned i = 0; i < LIBRARIES; i++)
		dlclose(all[i].library);
}

/* One after the other, for some milliseconds each. */
static void swap_each(const char *directory, unsigned stride)
{
	for (unsigned i = 0; i < LIBRARIES; i++) {
		unsigned number = i * stride % LIBRARIES;
		struct loaded one = load(directory, number);

		workload_sink = callers[number](one.function, workload_sink, 4000);
		dlclose(one.library);
	}
}

int main(int argc, char **argv)
{
	static const unsigned strides[] = {1, 3, 7, 9, 11, 13, 17, 19}; /* none shares a divisor with 200 */
	void (*round)(const char *directory, unsigned stride) = load_all;

	if (argc < 2)
		return 1;
	if (argc > 2 && !strcmp(argv[2], "swap"))
		round = swap_each;
	workload_start();
	workload_say("ready");
	for (unsigned i = 0;; i++)
		round(argv[1], strides[i % (sizeof(strides) / sizeof(strides[0]))]);
}
