/* Links are made in a child, which nobody kills; it hands them over through a socket. */
#include "base/cleanup.h"
#include "bpf/uprobes_internal.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_BYTES (256u << 10)
/* The kernel takes 253 a message (SCM_MAX_FD). */
#define FDS_A_MESSAGE 128
/* Killed so often, it is somebody's intention. */
#define ATTEMPTS 3

struct errand {
	struct links *links;
	void (*make)(struct links *links, void *arg);
	void *arg;
	int socket; /* the child's end */
	bool is_done;
};

union control {
	char bytes[CMSG_SPACE(sizeof(int) * FDS_A_MESSAGE)];
	struct cmsghdr align;
};

bool links_may_add(struct links *links, size_t count)
{
	if (links->count + count > links->capacity)
		links->failure = E2BIG;
	/* Killed in the meantime: what was made so far goes with this child. */
	else if (getppid() != links->parent)
		links->failure = EINTR;
	return !links->failure;
}

/* ---- in the child ---- */

static bool send_fds(int socket, const int *fds, size_t count)
{
	union control control = {0};
	char byte = 0;
	struct iovec part = {&byte, 1};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = CMSG_SPACE(sizeof(int) * count),
	};
	struct cmsghdr *cmsg = CMSG_FIRSTHDR(&header);

	cmsg->cmsg_level = SOL_SOCKET;
	cmsg->cmsg_type = SCM_RIGHTS;
	cmsg->cmsg_len = CMSG_LEN(sizeof(int) * count);
	memcpy(CMSG_DATA(cmsg), fds, sizeof(int) * count);
	return sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) == 1;
}

static void send_links(struct errand *errand)
{
	struct links *links = errand->links;

	for (size_t done = 0; done < links->count && !links->failure; done += FDS_A_MESSAGE) {
		size_t rest = links->count - done;

		if (!send_fds(errand->socket, links->fds + done, rest < FDS_A_MESSAGE ? rest : FDS_A_MESSAGE))
			links->failure = errno;
	}
}

/* Its fds are copies: whatever was not sent is closed by its end. */
static int child_main(void *arg)
{
	struct errand *errand = arg;

	setsid();
	/* Not by the name of kiln: `pkill -9 kiln` must not meet it. */
	prctl(PR_SET_NAME, "uprobe-attach");
	errand->make(errand->links, errand->arg);
	send_links(errand);
	errand->is_done = true;
	return 0;
}

/* ---- in the parent ---- */

/* This process stands still until the child has ended, as with vfork(); but its death does not end the child.
 */
static int run_child(struct errand *errand)
{
	char *stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK,
			   -1, 0);
	sigset_t all, before;
	pid_t child;
	int failure;

	if (stack == MAP_FAILED)
		return errno;
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	child = clone(child_main, stack + STACK_BYTES, CLONE_VM | CLONE_VFORK, errand);
	failure = child < 0 ? errno : 0;
	/* Without an exit signal it is a "clone child" (waitpid(2)). */
	while (child > 0 && waitpid(child, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	sigprocmask(SIG_SETMASK, &before, NULL);
	munmap(stack, STACK_BYTES);
	return failure;
}

/* What did not fit into this process's fds is missing. */
static size_t receive_fds(int socket, int *fds, size_t room)
{
	union control control;
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr header = {
		.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *cmsg;
	size_t count;

	if (recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1)
		return 0;
	cmsg = CMSG_FIRSTHDR(&header);
	if (!cmsg || cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS)
		return 0;
	count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);
	if (count > room)
		return 0;
	memcpy(fds, CMSG_DATA(cmsg), count * sizeof(int));
	return count;
}

static void receive_links(struct links *links, int socket)
{
	size_t wanted = links->count, got;

	for (links->count = 0; links->count < wanted; links->count += got) {
		got = receive_fds(socket, links->fds + links->count, wanted - links->count);
		if (!got)
			break;
	}
	if (links->count == wanted)
		return;
	links->failure = EMFILE;
	links_close(links->fds, links->count);
}

/* False: the child was killed. */
static bool try_to_make(struct links *links, void (*make)(struct links *links, void *arg), void *arg)
{
	struct errand errand = {.links = links, .make = make, .arg = arg};
	int sockets[2], failure;

	*links = (struct links){.fds = links->fds, .capacity = links->capacity, .parent = getpid()};
	failure = socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0 ? errno : 0;
	if (failure) {
		links->failure = failure;
		return true;
	}
	errand.socket = sockets[1];
	failure = run_child(&errand);
	if (failure)
		links->failure = failure;
	close(sockets[1]);
	if (errand.is_done && !links->failure)
		receive_links(links, sockets[0]);
	close(sockets[0]);
	return errand.is_done || failure;
}

void links_make(struct links *links, void (*make)(struct links *links, void *arg), void *arg)
{
	bool is_made = false;

	for (unsigned i = 0; i < ATTEMPTS && !is_made; i++)
		is_made = try_to_make(links, make, arg);
	if (!is_made)
		links->failure = EINTR;
	if (links->failure)
		links->count = 0;
}
