/* The child that calls the trial functions. */
#include "base/cleanup.h"
#include "bpf/uprobes_trial.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Its one fd, as all others are closed. */
#define PUPPET_SOCKET 3
/* For what takes milliseconds: then it is stopped, or worse. */
#define PUPPET_TIMEOUT_MS 5000

struct puppet_command {
	uint32_t kind, calls;
	bool is_timed;
};

/* ---- in the child ---- */

#define ALLOW(call)                                                                                          \
	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (call), 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* As SECCOMP_MODE_STRICT has it, and exit_group. */
static bool filter_strictly(void)
{
	struct sock_filter instructions[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		ALLOW(SYS_read),
		ALLOW(SYS_write),
		ALLOW(SYS_exit),
		ALLOW(SYS_exit_group),
		ALLOW(SYS_rt_sigreturn),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	struct sock_fprog program = {sizeof(instructions) / sizeof(instructions[0]), instructions};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static uint64_t call_function(const struct puppet_command *command)
{
	void (*function)(void) = trial_functions[command->kind % TRIAL_KINDS];
	uint64_t start_ns = command->is_timed ? cpu_ns() : 0;

	for (uint32_t i = 0; i < command->calls; i++)
		function();
	return command->is_timed ? cpu_ns() - start_ns : 0;
}

/* Nothing of the parent's stays open: no link could outlive it here. */
static void puppet_main(int socket, bool is_filtered)
{
	struct puppet_command command;
	uint64_t answer = 0;
	sigset_t all;

	setsid(); /* as the workers: the session is the interface's */
	if (dup2(socket, PUPPET_SOCKET) < 0 || close_range(0, PUPPET_SOCKET - 1, 0) < 0 ||
	    close_range(PUPPET_SOCKET + 1, ~0u, 0) < 0)
		_exit(1);
	sigfillset(&all); /* the terminal's ^C and ^Z are not for it */
	sigprocmask(SIG_SETMASK, &all, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	prctl(PR_SET_DUMPABLE, 0); /* a death by the filter leaves no core */
	if (is_filtered && !filter_strictly())
		_exit(1);
	/* The first answer says that it is ready. The parent's end, also by its death, ends it. */
	while (write(PUPPET_SOCKET, &answer, sizeof(answer)) == sizeof(answer) &&
	       read(PUPPET_SOCKET, &command, sizeof(command)) == sizeof(command))
		answer = call_function(&command);
	_exit(0);
}

/* ---- in the parent ---- */

static struct error *puppet_listen(struct puppet *puppet, bool *ret_lives, uint64_t *ret)
{
	struct pollfd event = {.fd = puppet->socket, .events = POLLIN};
	uint64_t answer;
	ssize_t length;
	int ready;

	do {
		ready = poll(&event, 1, PUPPET_TIMEOUT_MS);
	} while (ready < 0 && errno == EINTR);
	if (ready <= 0)
		return error_create(ERROR_GENERAL, ready ? errno : ETIMEDOUT, NULL,
				    "the trial of probes hangs");
	length = read(puppet->socket, &answer, sizeof(answer));
	*ret_lives = length == sizeof(answer);
	if (*ret_lives && ret)
		*ret = answer;
	return NULL;
}

struct error *puppet_start(bool is_filtered, struct puppet *ret)
{
	struct puppet puppet;
	struct error *error;
	int sockets[2];
	bool lives;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return error_create(ERROR_GENERAL, errno, NULL, "cannot try probes");
	puppet = (struct puppet){.pid = fork(), .socket = sockets[0]};
	if (puppet.pid == 0)
		puppet_main(sockets[1], is_filtered);
	close(sockets[1]);
	if (puppet.pid < 0) {
		error = error_create(ERROR_GENERAL, errno, NULL, "fork");
		close(sockets[0]);
		return error;
	}
	error = puppet_listen(&puppet, &lives, NULL);
	if (!error && !lives)
		error = error_create(ERROR_GENERAL, 0, NULL, "cannot try probes: the child did not start");
	if (error) {
		puppet_end(&puppet);
		return error;
	}
	*ret = puppet;
	return NULL;
}

void puppet_end(struct puppet *puppet)
{
	if (!puppet->pid)
		return;
	close(puppet->socket);
	kill(puppet->pid, SIGKILL);
	while (waitpid(puppet->pid, NULL, 0) < 0 && errno == EINTR)
		;
	*puppet = (struct puppet){0};
}

struct error *puppet_call(struct puppet *puppet, enum trial_kind kind, unsigned calls, bool *ret_lives,
			  uint64_t *ret_ns)
{
	struct puppet_command command = {.kind = kind, .calls = calls, .is_timed = ret_ns};

	if (send(puppet->socket, &command, sizeof(command), MSG_NOSIGNAL) != sizeof(command))
		return error_create(ERROR_GENERAL, errno, NULL, "cannot try probes");
	return puppet_listen(puppet, ret_lives, ret_ns);
}
