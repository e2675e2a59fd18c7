/* A worker that enters its sandbox and tries to get out: each attempt by its own system call, and then what a
 * worker needs.
 */
#ifndef KILN_TESTS_SUPPORT_CONFINED_H
#define KILN_TESTS_SUPPORT_CONFINED_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define CONFINED_ATTEMPTS_MAX 256

/* Shared with the worker, which has no other way to tell. */
struct confined {
	pid_t parent; /* whom it tries to harm */
	pid_t worker;
	unsigned tried;
	int errnos[CONFINED_ATTEMPTS_MAX]; /* 0: it may. EACCES: the list of calls refuses it */
	char needs[64];			   /* what it needs and cannot; empty: nothing */
};

struct confined *confined_map(void); /* zeroed; munmap() it */
struct confined *confined_get(void); /* the one that was mapped last */
const char *confined_get_attempt(unsigned number);
/* What the list of calls lets through: something else refuses it. */
bool confined_is_beyond_list(unsigned number);
/* In the place of a worker's main function. */
int confined_main(int probe_fd, int kiln_fd);
/* It waits for a file first. */
int confined_send_file(int socket, const char *path);
bool confined_say(int probe_fd); /* one byte */
/* Says it, and stays until the socket closes. */
int confined_wait(int probe_fd);

/* From now on these calls fail with this errno, in this process and its children: as on another kernel.
 * Needs no_new_privs. */
bool confined_refuse(const unsigned *calls, size_t count, int with_errno);
/* So does setting a filter. */
bool confined_refuse_seccomp(int with_errno);

#endif
