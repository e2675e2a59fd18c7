/* A small library with all that a worker reads: the Makefile compiles it in several ways, as first inputs of
 * the fuzzer. It runs never. */
static int counter;

static inline int add(int a, int b)
{
	counter += b;
	return a + b;
}

__attribute__((noinline)) int fold(const char *text)
{
	int sum = 0;

	while (*text)
		sum = add(sum, *text++);
	return sum;
}

__attribute__((noinline)) static int hidden(int depth)
{
	return depth ? add(hidden(depth - 1), depth) : counter;
}

void *malloc(unsigned long size);
void *malloc(unsigned long size)
{
	static char room[64];

	return size > sizeof(room) ? 0 : room;
}

void free(void *block);
void free(void *block)
{
	if (block)
		counter--;
}

/* through the PLT */
int elsewhere(int value);

/* names of C++ and Rust, by hand */
int _ZN4name5spaceIiEEvT_(int value);
int _ZN4name5spaceIiEEvT_(int value)
{
	return add(hidden(value), fold("text")) + elsewhere(value);
}

int _RNvCs1234_7mycrate3foo(void);
int _RNvCs1234_7mycrate3foo(void)
{
	return fold("rust");
}
