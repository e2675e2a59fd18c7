/* A process to set probes in: it maps a file of tiny functions and calls them on command.
 *
 * Each function begins with a push, which the kernel emulates. The victim dies with the test, its children
 * with it. What goes wrong fails the test that runs.
 */
#ifndef KILN_TESTS_SUPPORT_VICTIM_H
#define KILN_TESTS_SUPPORT_VICTIM_H

#include <stdint.h>
#include <sys/types.h>

#define CODE_BYTES    4096
#define CODE_FUNCTION 0x40 /* functions lie at multiples of it, int3 between them */

#define INT3 0xCC
#define PUSH 0x55 /* push %rbp */

/* path: a template of mkstemp(3). The fd is the caller's. */
int code_create(char *path);

enum victim_verb {
	VICTIM_MAP,	/* maps the file, as dlopen() does; answers with the address */
	VICTIM_CALL,	/* calls the function at this offset, a number of times */
	VICTIM_THREADS, /* the same from two threads at once */
	VICTIM_FORK,	/* its child calls as well, and waits; answers with the child's pid */
	VICTIM_LEAVE,	/* its first thread ends, a second one goes on */
};

struct victim {
	pid_t pid;
	int socket;
	uint64_t code; /* where the file is mapped */
};

struct victim victim_start(int file);
struct victim victim_start_unmapped(int file);
void victim_end(struct victim *victim);
int64_t victim_tell(struct victim *victim, enum victim_verb verb, unsigned offset, unsigned calls);

uint8_t read_byte(pid_t pid, uint64_t address);
/* How long it took. */
uint64_t wait_for_byte(pid_t pid, uint64_t address, uint8_t wanted, uint64_t deadline_ns);

#endif
