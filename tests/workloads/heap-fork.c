/* Forks inside its books: what the children allocate and free is theirs alone. The first ends, the second
 * stays until this process ends, and allocates at every line of stdin; a third becomes another program. */
#include "heap-ledger.h"

#include <signal.h>
#include <spawn.h>
#include <sys/prctl.h>
#include <sys/wait.h>

OWNER(parent_keeps);

NOINLINE static struct block parent_keeps(size_t bytes)
{
	return book_alloc(&owner_parent_keeps, malloc(bytes), bytes);
}

NOINLINE static void child_leaks(size_t bytes)
{
	hide(malloc(bytes));
}

static void run_child(struct block *blocks, unsigned count)
{
	for (unsigned i = 0; i < count; i++)
		free(hide(blocks[i].address)); /* its copy of it */
	for (unsigned i = 0; i < 1000; i++)
		child_leaks(777);
}

static pid_t start_child(struct block *blocks, unsigned count, bool stays)
{
	pid_t parent = getpid(), child = fork();

	if (child)
		return child;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(0);
	run_child(blocks, count);
	if (!stays)
		_exit(0);
	for (;;)
		pause();
}

int main(void)
{
	static struct block blocks[300];
	char *arguments[] = {"/bin/true", NULL}, *environment[] = {NULL};
	int status;
	pid_t child;

	ledger_begin();
	for (unsigned i = 0; i < 200; i++)
		blocks[i] = parent_keeps(100 + i);
	child = start_child(blocks, 150, false);
	if (child < 0 || waitpid(child, &status, 0) != child || status)
		_exit(1);
	for (unsigned i = 0; i < 50; i++) {
		book_free(&blocks[i]);
		free(blocks[i].address);
	}
	child = start_child(blocks + 50, 100, true);
	put_field("{", "child", (uint64_t)child);
	ledger_step("}");
	for (unsigned i = 200; i < 300; i++)
		blocks[i] = parent_keeps(i);
	if (posix_spawn(&child, arguments[0], NULL, NULL, arguments, environment) ||
	    waitpid(child, &status, 0) != child || status)
		_exit(1);
	ledger_end();
}
