#include "tests/support/victim.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define NS	    1000000000ull
#define DEADLINE_NS (10 * NS)

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * NS + (uint64_t)now.tv_nsec;
}

/* ---- a file with code ---- */

int code_create(char *path)
{
	static const uint8_t function[] = {0x55, 0x5D, 0xC3}; /* push %rbp; pop %rbp; ret */
	uint8_t page[CODE_BYTES];
	int fd = mkstemp(path);

	memset(page, INT3, sizeof(page));
	for (size_t i = 0; i < CODE_BYTES; i += CODE_FUNCTION)
		memcpy(page + i, function, sizeof(function));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	return fd;
}

static void *code_map(int fd)
{
	return mmap(NULL, CODE_BYTES, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0);
}

/* ---- a victim ---- */

struct victim_command {
	enum victim_verb verb;
	unsigned offset, calls;
};

static struct {
	int file, socket;
	uint8_t *code;
	struct victim_command command;
} self;

static void call(const struct victim_command *command)
{
	void (*function)(void) = (void (*)(void))(self.code + command->offset);

	for (unsigned i = 0; i < command->calls; i++)
		function();
}

static void *call_in_thread(void *arg)
{
	call(&self.command);
	return NULL;
}

static void call_in_threads(void)
{
	pthread_t threads[2];

	for (unsigned i = 0; i < 2; i++)
		if (pthread_create(&threads[i], NULL, call_in_thread, NULL))
			_exit(1);
	for (unsigned i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
}

/* Answers with its own pid once it has called; ends with the socket. */
static void fork_child(void)
{
	int64_t pid;

	if (fork() != 0)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	call(&self.command);
	pid = getpid();
	if (write(self.socket, &pid, sizeof(pid)) == sizeof(pid))
		for (;;)
			pause();
	_exit(1);
}

static void *victim_serve(void *arg);

static void leave(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, victim_serve, self.code))
		_exit(1);
	syscall(SYS_exit, 0);
}

static void *victim_serve(void *arg)
{
	int64_t answer = 0;

	for (;;) {
		/* The forked child answers in its parent's stead. */
		if (self.command.verb != VICTIM_FORK &&
		    write(self.socket, &answer, sizeof(answer)) != sizeof(answer))
			_exit(1);
		if (read(self.socket, &self.command, sizeof(self.command)) != sizeof(self.command))
			_exit(0);
		answer = 0;
		if (self.command.verb == VICTIM_MAP)
			answer = (int64_t)(uintptr_t)(self.code = code_map(self.file));
		else if (self.command.verb == VICTIM_CALL)
			call(&self.command);
		else if (self.command.verb == VICTIM_THREADS)
			call_in_threads();
		else if (self.command.verb == VICTIM_FORK)
			fork_child();
		else if (self.command.verb == VICTIM_LEAVE && !arg)
			leave();
	}
}

static int64_t victim_hear(struct victim *victim)
{
	struct pollfd event = {.fd = victim->socket, .events = POLLIN};
	int64_t answer;

	assert_int_equal(poll(&event, 1, (int)(DEADLINE_NS / 1000000)), 1);
	assert_int_equal(read(victim->socket, &answer, sizeof(answer)), sizeof(answer));
	return answer;
}

int64_t victim_tell(struct victim *victim, enum victim_verb verb, unsigned offset, unsigned calls)
{
	struct victim_command command = {verb, offset, calls};

	assert_int_equal(write(victim->socket, &command, sizeof(command)), sizeof(command));
	return victim_hear(victim);
}

struct victim victim_start_unmapped(int file)
{
	struct victim victim = {0};
	int sockets[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets), 0);
	victim.pid = fork();
	assert_true(victim.pid >= 0);
	if (victim.pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		/* A group of its own: its children end with it. */
		setpgid(0, 0);
		self.file = file;
		self.socket = sockets[1];
		self.command.verb = VICTIM_CALL;
		close(sockets[0]);
		victim_serve(NULL);
	}
	close(sockets[1]);
	victim.socket = sockets[0];
	victim_hear(&victim);
	return victim;
}

struct victim victim_start(int file)
{
	struct victim victim = victim_start_unmapped(file);

	victim.code = (uint64_t)victim_tell(&victim, VICTIM_MAP, 0, 0);
	return victim;
}

void victim_end(struct victim *victim)
{
	kill(-victim->pid, SIGKILL);
	waitpid(victim->pid, NULL, 0);
	close(victim->socket);
}

uint8_t read_byte(pid_t pid, uint64_t address)
{
	char path[32];
	uint8_t byte;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, (off_t)address), 1);
	close(fd);
	return byte;
}

uint64_t wait_for_byte(pid_t pid, uint64_t address, uint8_t wanted, uint64_t deadline_ns)
{
	uint64_t start_ns = now_ns();

	while (read_byte(pid, address) != wanted) {
		if (now_ns() - start_ns > deadline_ns)
			fail_msg("after %d ms the byte is still 0x%02x", (int)(deadline_ns / 1000000),
				 read_byte(pid, address));
		poll(NULL, 0, 1);
	}
	return now_ns() - start_ns;
}
