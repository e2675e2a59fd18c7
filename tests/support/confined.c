#include "tests/support/confined.h"

#include "symbolizer/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

static struct confined *confined;
/* Made before the sandbox is entered. */
static int memfd, file_fd, socket_fd;
static void *page;

/* ---- what must fail ---- */

struct attempt {
	const char *name;
	long call, arguments[6];
};

#define P(pointer) ((long)(uintptr_t)(pointer))
#define X32	   0x40000000

static char nothing[4096];
static const char file[] = "/proc/self/status", passwords[] = "/etc/passwd", made[] = "/tmp/made-by-a-worker";
static int pair[2];
static struct rlimit no_limit = {RLIM_INFINITY, RLIM_INFINITY};

static const struct attempt attempts[] = {
	{"open", SYS_open, {P(file), O_RDONLY}},
	{"openat", SYS_openat, {AT_FDCWD, P(passwords), O_RDONLY}},
	{"openat of the root", SYS_openat, {AT_FDCWD, P("/"), O_RDONLY | O_DIRECTORY}},
	{"openat with O_PATH", SYS_openat, {AT_FDCWD, P(passwords), O_PATH}},
	{"openat2", SYS_openat2, {AT_FDCWD, P(passwords), P(nothing), 24}},
	{"creat", SYS_creat, {P(made), 0600}},
	{"openat of a new file", SYS_openat, {AT_FDCWD, P(made), O_CREAT | O_WRONLY, 0600}},
	{"openat of an unnamed file", SYS_openat, {AT_FDCWD, P("/tmp"), O_TMPFILE | O_RDWR, 0600}},
	{"open by the number of x32", X32 + 2, {P(file), O_RDONLY}},
	{"open_tree", 428, {AT_FDCWD, P("/"), 0}},
	{"name_to_handle_at", SYS_name_to_handle_at, {AT_FDCWD, P(file), P(nothing), P(nothing), 0}},
	{"open_by_handle_at", SYS_open_by_handle_at, {AT_FDCWD, P(nothing), 0}},
	{"stat", SYS_stat, {P(passwords), P(nothing)}},
	{"newfstatat of a path", SYS_newfstatat, {AT_FDCWD, P(passwords), P(nothing), 0}},
	{"newfstatat of a path, flagged", SYS_newfstatat, {AT_FDCWD, P(file), P(nothing), AT_EMPTY_PATH}},
	{"statx", SYS_statx, {AT_FDCWD, P(file), 0, 0, P(nothing)}},
	{"access", SYS_access, {P(passwords), 0}},
	{"readlink", SYS_readlink, {P("/proc/self/exe"), P(nothing), 100}},
	{"getcwd", SYS_getcwd, {P(nothing), 100}},
	{"getdents64", SYS_getdents64, {3, P(nothing), 1000}},
	{"mkdir", SYS_mkdir, {P(made), 0700}},
	{"unlink", SYS_unlink, {P(passwords)}},
	{"rename", SYS_rename, {P(passwords), P(made)}},
	{"symlink", SYS_symlink, {P(passwords), P(made)}},
	{"mknod", SYS_mknod, {P(made), S_IFIFO, 0}},
	{"truncate", SYS_truncate, {P(passwords), 0}},
	{"chmod", SYS_chmod, {P(passwords), 0666}},
	{"fchmod", SYS_fchmod, {3, 0777}},
	{"inotify", SYS_inotify_init1, {0}},
	{"fanotify", SYS_fanotify_init, {0, 0}},
	{"socket, UNIX", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
	{"socket, IPv4", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
	{"socket, netlink", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}},
	{"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, P(pair)}},
	{"connect", SYS_connect, {3, P(nothing), 2}},
	{"bind", SYS_bind, {3, P(nothing), 2}},
	{"pipe2", SYS_pipe2, {P(pair), 0}},
	{"dup", SYS_dup, {0}},
	{"execve", SYS_execve, {P("/bin/true"), P(nothing), P(nothing)}},
	{"execveat of a memfd", SYS_execveat, {3, P(""), P(nothing), P(nothing), AT_EMPTY_PATH}},
	{"fork", SYS_fork, {0}},
	{"clone", SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
	{"clone of a thread", SYS_clone, {CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, 0, 0, 0, 0}},
	{"clone3", SYS_clone3, {P(nothing), 64}},
	{"getppid", SYS_getppid, {0}},
	{"tgkill of itself", SYS_tgkill, {0, 0, SIGTERM}},
	{"kill of everybody", SYS_kill, {-1, 0}},
	{"ptrace of itself", SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0}},
	{"perf_event_open", SYS_perf_event_open, {P(nothing), 0, -1, -1, 0}},
	{"bpf", SYS_bpf, {0, P(nothing), 64}},
	{"userfaultfd", SYS_userfaultfd, {0}},
	{"io_uring_setup", SYS_io_uring_setup, {1, P(nothing)}},
	{"keyctl", SYS_keyctl, {0, -3, 0}},
	{"add_key", SYS_add_key, {P("user"), P("kiln"), P(""), 0, -3}},
	{"memfd_secret", 447, {0}},
	{"mount", SYS_mount, {P("none"), P("/"), P("tmpfs"), 0, 0}},
	{"umount2", SYS_umount2, {P("/"), 2}},
	{"pivot_root", SYS_pivot_root, {P("."), P(".")}},
	{"chroot", SYS_chroot, {P(".")}},
	{"chdir", SYS_chdir, {P("/")}},
	{"unshare", SYS_unshare, {CLONE_NEWUSER}},
	{"setns", SYS_setns, {3, 0}},
	{"setuid", SYS_setuid, {0}},
	{"setresgid", SYS_setresgid, {0, 0, 0}},
	{"setgroups", SYS_setgroups, {0, 0}},
	{"capset", SYS_capset, {P(nothing), 0}},
	{"prctl", SYS_prctl, {PR_SET_DUMPABLE, 1, 0, 0, 0}},
	{"seccomp", SYS_seccomp, {SECCOMP_SET_MODE_STRICT, 0, 0}},
	{"personality", SYS_personality, {0x0400000 /* READ_IMPLIES_EXEC */}},
	{"arch_prctl", SYS_arch_prctl, {0x1003 /* ARCH_GET_FS */, P(nothing)}},
	{"modify_ldt", SYS_modify_ldt, {0, P(nothing), 16}},
	{"a bigger limit", SYS_prlimit64, {0, RLIMIT_CORE, P(&no_limit), 0}},
	{"setrlimit", SYS_setrlimit, {RLIMIT_CORE, P(&no_limit)}},
	{"setpriority", SYS_setpriority, {PRIO_PROCESS, 0, 5}},
	{"sched_setaffinity", SYS_sched_setaffinity, {0, 8, P(&no_limit)}},
	{"setsid", SYS_setsid, {0}},
	{"shmget", SYS_shmget, {0, 4096, 01600}},
	{"msgget", SYS_msgget, {0, 01600}},
	{"mq_open", SYS_mq_open, {P("kiln"), O_CREAT | O_RDWR, 0600, 0}},
	{"sethostname", SYS_sethostname, {P("worker"), 6}},
	{"syslog", SYS_syslog, {3, P(nothing), 100}},
	{"ioctl of a terminal", SYS_ioctl, {0, TIOCSTI, P("x")}},
	{"signals by fcntl", SYS_fcntl, {3, F_SETOWN, 1}},
	{"locks by fcntl", SYS_fcntl, {3, F_SETLK, P(nothing)}},
	{"memory that is code", SYS_mmap, {0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1}},
	{"pkey_mprotect", SYS_pkey_mprotect, {0, 4096, PROT_READ, -1}},
	{"process_madvise", SYS_process_madvise, {3, 0, 0, 0, 0}},
	{"a call that no kernel has", 100000, {0}},
};
#define ATTEMPTS (sizeof(attempts) / sizeof(attempts[0]))

/* Arguments that are known at run time only. */
struct late_attempt {
	const char *name;
	long (*try)(void);
};

static long kill_parent(void)
{
	return syscall(SYS_kill, confined->parent, 0);
}

static long trace_parent(void)
{
	return syscall(SYS_ptrace, PTRACE_SEIZE, confined->parent, 0, 0);
}

static long open_parent(void)
{
	return syscall(SYS_pidfd_open, confined->parent, 0);
}

static long read_parent(void)
{
	struct iovec here = {nothing, 8}, there = {page, 8};

	return syscall(SYS_process_vm_readv, confined->parent, &here, 1, &there, 1, 0);
}

static long limit_parent(void)
{
	return syscall(SYS_prlimit64, confined->parent, RLIMIT_CORE, 0, nothing);
}

static long page_into_code(void)
{
	return syscall(SYS_mprotect, page, 4096, PROT_READ | PROT_EXEC);
}

static long map_file_as_code(void)
{
	return syscall(SYS_mmap, 0, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, file_fd, 0);
}

static long run_memfd(void)
{
	char *none[] = {NULL};

	return syscall(SYS_execveat, memfd, "", none, none, AT_EMPTY_PATH);
}

static long open_through_memfd(void)
{
	return syscall(SYS_openat, memfd, "../etc/passwd", O_RDONLY);
}

/* The list cannot see the path: the root directory must be empty, or the file unknown to it. */
static long stat_beside_fd(void)
{
	return syscall(SYS_newfstatat, file_fd, "etc/passwd", nothing, AT_EMPTY_PATH);
}

static const struct late_attempt late_attempts[] = {
	{"kill of its parent", kill_parent},
	{"ptrace of its parent", trace_parent},
	{"pidfd_open of its parent", open_parent},
	{"process_vm_readv of its parent", read_parent},
	{"prlimit64 of its parent", limit_parent},
	{"memory that becomes code", page_into_code},
	{"a file that becomes code", map_file_as_code},
	{"execveat of its own memfd", run_memfd},
	{"openat beside an fd", open_through_memfd},
	{"newfstatat beside an fd", stat_beside_fd},
};
#define LATE_ATTEMPTS (sizeof(late_attempts) / sizeof(late_attempts[0]))
_Static_assert(ATTEMPTS + LATE_ATTEMPTS <= CONFINED_ATTEMPTS_MAX, "room for all");

const char *confined_get_attempt(unsigned number)
{
	return number < ATTEMPTS ? attempts[number].name : late_attempts[number - ATTEMPTS].name;
}

bool confined_is_beyond_list(unsigned number)
{
	return number >= ATTEMPTS && late_attempts[number - ATTEMPTS].try == stat_beside_fd;
}

static void note(long result)
{
	confined->errnos[confined->tried++] = result == -1 ? errno : 0;
}

static void try_all(void)
{
	for (size_t i = 0; i < ATTEMPTS; i++) {
		const long *a = attempts[i].arguments;

		note(syscall(attempts[i].call, a[0], a[1], a[2], a[3], a[4], a[5]));
	}
	for (size_t i = 0; i < LATE_ATTEMPTS; i++)
		note(late_attempts[i].try());
}

/* ---- what must work ---- */

static bool can_map_files(void)
{
	struct stat status;
	char *bytes;

	if (fstat(file_fd, &status) || !status.st_size || fcntl(file_fd, F_GETFL) < 0)
		return false;
	bytes = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_PRIVATE, file_fd, 0);
	if (bytes == MAP_FAILED || memcmp(bytes, "\177ELF", 4) || munmap(bytes, (size_t)status.st_size))
		return false;
	return pread(file_fd, nothing, 4, 0) == 4 && lseek(file_fd, 0, SEEK_END) == status.st_size;
}

static bool can_make_tables(void)
{
	int fd = memfd_create("table", MFD_CLOEXEC | MFD_ALLOW_SEALING), copy;
	char *bytes;

	if (fd < 0 || ftruncate(fd, 1 << 20))
		return false;
	bytes = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (bytes == MAP_FAILED)
		return false;
	bytes[4096] = 1;
	munmap(bytes, 1 << 20);
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	return copy >= 0 && fcntl(copy, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0 &&
	       close(copy) == 0 && close(fd) == 0;
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(long));
}

static bool can_compute(void)
{
	size_t count = 1 << 17;
	long *numbers = malloc(count * sizeof(*numbers)), *more;
	struct timespec now;

	if (!numbers)
		return false;
	for (size_t i = 0; i < count; i++)
		numbers[i] = (long)(i * 2654435761u % count);
	qsort(numbers, count, sizeof(*numbers), compare);
	more = realloc(numbers, 64 << 20);
	if (!more || syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &now))
		return false;
	free(more);
	return true;
}

static bool can_wait(void)
{
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK),
	    epoll = epoll_create1(EPOLL_CLOEXEC);
	struct itimerspec soon = {.it_value = {.tv_nsec = 1}};
	struct epoll_event event = {.events = EPOLLIN};
	uint64_t ticks;

	return timer >= 0 && epoll >= 0 && timerfd_settime(timer, 0, &soon, NULL) == 0 &&
	       epoll_ctl(epoll, EPOLL_CTL_ADD, timer, &event) == 0 &&
	       epoll_wait(epoll, &event, 1, 5000) == 1 &&
	       read(timer, &ticks, sizeof(ticks)) == sizeof(ticks) && close(timer) == 0 && close(epoll) == 0;
}

static bool can_talk(void)
{
	struct iovec part = {(char *)"byte", 4};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	struct pollfd ready = {.fd = socket_fd, .events = POLLOUT};
	struct rlimit limit;

	return poll(&ready, 1, 5000) == 1 && sendmsg(socket_fd, &message, MSG_NOSIGNAL) == 4 &&
	       getrlimit(RLIMIT_NOFILE, &limit) == 0;
}

static void try_needs(void)
{
	const char *needs = !can_map_files()	 ? "files"
			    : !can_make_tables() ? "tables"
			    : !can_compute()	 ? "memory"
			    : !can_wait()	 ? "the clock"
			    : !can_talk()	 ? "its socket"
						 : "";

	snprintf(confined->needs, sizeof(confined->needs), "%s", needs);
}

/* ---- the worker ---- */

int confined_send_file(int socket, const char *path)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = {{0}};
	char byte = 0;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t sent;

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	sent = fd < 0 ? -1 : sendmsg(socket, &message, 0);
	close(fd);
	return sent == 1;
}

static int receive_file(int socket)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	char byte;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	struct pollfd ready = {.fd = socket, .events = POLLIN};
	int fd = -1;

	if (poll(&ready, 1, 5000) == 1 && recvmsg(socket, &message, 0) == 1 && CMSG_FIRSTHDR(&message))
		memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

int confined_main(int probe_fd, int kiln_fd)
{
	socket_fd = probe_fd;
	memfd = memfd_create("attempts", MFD_CLOEXEC);
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memfd < 0 || page == MAP_FAILED || sandbox_enter())
		return 2;
	file_fd = receive_file(probe_fd);
	if (file_fd < 0)
		return 3;
	try_all();
	try_needs();
	return 0;
}

bool confined_say(int probe_fd)
{
	char byte = 0;
	struct iovec part = {&byte, 1};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};

	return sendmsg(probe_fd, &message, MSG_NOSIGNAL) == 1;
}

int confined_wait(int probe_fd)
{
	struct pollfd ready = {.fd = probe_fd, .events = POLLIN};

	if (!confined_say(probe_fd))
		return 1;
	poll(&ready, 1, -1);
	return 0;
}

/* ---- another kernel ---- */

struct confined *confined_map(void)
{
	void *mapped =
		mmap(NULL, sizeof(*confined), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	confined = mapped == MAP_FAILED ? NULL : mapped;
	return confined;
}

struct confined *confined_get(void)
{
	return confined;
}

bool confined_refuse(const unsigned *calls, size_t count, int with_errno)
{
	struct sock_filter code[64] = {BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr))};
	struct sock_fprog program = {.filter = code, .len = 1};

	for (size_t i = 0; i < count && i < 30; i++) {
		code[program.len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, calls[i], 0, 1);
		code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
								   SECCOMP_RET_ERRNO | (unsigned)with_errno);
	}
	code[program.len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}

bool confined_refuse_seccomp(int with_errno)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_prctl, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, PR_SET_SECCOMP, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)with_errno),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.filter = code, .len = sizeof(code) / sizeof(code[0])};

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) == 0;
}
