/* The list of the system calls that a worker needs: reading mapped files, memory, its sockets, its clock, and
 * the memfds of the tables. All else fails with EACCES, which libdw and libc take for a file that is not
 * there.
 *
 * A new library or a new glibc may need more: `strace -f` of a worker shows what ends in EACCES.
 */
#include "symbolizer/sandbox_layers.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What is looked at besides the number. An argument is compared in its low 32 bits: those that are looked at
 * are ints, or bits of which the kernel looks at the low ones only. */
enum check {
	CHECK_NOTHING,
	CHECK_NO_EXEC, /* no memory becomes code */
	CHECK_FD_STAT, /* fstat(), as glibc calls it: of an fd, with an empty path. The path itself cannot be
			  looked at: in a root directory that is empty there is nothing to be found. */
	CHECK_FCNTL,   /* duplicates, flags and seals. F_SETOWN with F_SETSIG would send signals. */
	CHECK_READ_LIMIT, /* of this process, and set none */
};

static const struct {
	unsigned call;
	enum check check;
} allowed[] = {
	/* Files, tables, sockets: all are fds that it has. */
	{SYS_read, CHECK_NOTHING},
	{SYS_pread64, CHECK_NOTHING},
	{SYS_recvmsg, CHECK_NOTHING},
	{SYS_sendmsg, CHECK_NOTHING},
	{SYS_epoll_wait, CHECK_NOTHING},
	{SYS_fcntl, CHECK_FCNTL},
	{SYS_close, CHECK_NOTHING},
	{SYS_newfstatat, CHECK_FD_STAT},
	{SYS_fstat, CHECK_NOTHING},
	{SYS_lseek, CHECK_NOTHING},
	{SYS_readv, CHECK_NOTHING},
	{SYS_preadv, CHECK_NOTHING},
	{SYS_write, CHECK_NOTHING},
	{SYS_writev, CHECK_NOTHING},
	{SYS_memfd_create, CHECK_NOTHING},
	{SYS_ftruncate, CHECK_NOTHING},
	{SYS_epoll_create1, CHECK_NOTHING},
	{SYS_epoll_ctl, CHECK_NOTHING},
	{SYS_epoll_pwait, CHECK_NOTHING},
	{SYS_timerfd_create, CHECK_NOTHING},
	{SYS_timerfd_settime, CHECK_NOTHING},
	{SYS_poll, CHECK_NOTHING},
	{SYS_ppoll, CHECK_NOTHING},
	/* Memory. */
	{SYS_mmap, CHECK_NO_EXEC},
	{SYS_munmap, CHECK_NOTHING},
	{SYS_mremap, CHECK_NOTHING},
	{SYS_mprotect, CHECK_NO_EXEC},
	{SYS_madvise, CHECK_NOTHING},
	{SYS_brk, CHECK_NOTHING},
	{SYS_futex, CHECK_NOTHING},
	{SYS_sysinfo, CHECK_NOTHING},	/* qsort() asks how much memory there is */
	{SYS_getrandom, CHECK_NOTHING}, /* so does malloc() for its secrets */
	/* Where the vDSO cannot tell the time. */
	{SYS_clock_gettime, CHECK_NOTHING},
	{SYS_gettimeofday, CHECK_NOTHING},
	/* The process itself. */
	{SYS_rt_sigaction, CHECK_NOTHING},
	{SYS_rt_sigprocmask, CHECK_NOTHING},
	{SYS_rt_sigreturn, CHECK_NOTHING},
	{SYS_sigaltstack, CHECK_NOTHING},
	{SYS_restart_syscall, CHECK_NOTHING},
	{SYS_sched_yield, CHECK_NOTHING},
	{SYS_getpid, CHECK_NOTHING},
	{SYS_gettid, CHECK_NOTHING},
	{SYS_prlimit64, CHECK_READ_LIMIT},
	{SYS_exit, CHECK_NOTHING},
	{SYS_exit_group, CHECK_NOTHING},
};
#define ALLOWED_COUNT (sizeof(allowed) / sizeof(allowed[0]))

static const unsigned fcntl_commands[] = {
	F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC, F_ADD_SEALS, F_GET_SEALS,
};
#define FCNTL_COUNT (sizeof(fcntl_commands) / sizeof(fcntl_commands[0]))

#define RETURN_ALLOW ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW))
#define RETURN_ERROR ((struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES))

struct program {
	struct sock_filter code[4 + ALLOWED_COUNT * 2 + 64];
	unsigned short length;
};

static void append(struct program *program, struct sock_filter instruction)
{
	program->code[program->length++] = instruction;
}

static void append_load(struct program *program, size_t offset)
{
	append(program, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* Goes so many instructions further when it is so, and when it is not. */
static void append_jump(struct program *program, unsigned test, uint32_t value, uint8_t when_so,
			uint8_t when_not)
{
	append(program,
	       (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | test | BPF_K), value, when_so, when_not));
}

#define ARGUMENT_LOW(number)  (offsetof(struct seccomp_data, args) + 8 * (number))
#define ARGUMENT_HIGH(number) (ARGUMENT_LOW(number) + 4)

/* What follows RETURN_ERROR, or goes on behind it, when the argument is this value. */
static void append_require(struct program *program, size_t offset, uint32_t value)
{
	append_load(program, offset);
	append_jump(program, BPF_JEQ, value, 1, 0);
	append(program, RETURN_ERROR);
}

static void append_check(struct program *program, enum check check)
{
	switch (check) {
	case CHECK_NOTHING:
		break;
	case CHECK_NO_EXEC:
		append_load(program, ARGUMENT_LOW(2));
		append_jump(program, BPF_JSET, PROT_EXEC, 0, 1);
		append(program, RETURN_ERROR);
		break;
	case CHECK_FD_STAT:
		append_require(program, ARGUMENT_LOW(3), AT_EMPTY_PATH);
		append_load(program, ARGUMENT_LOW(0));
		append_jump(program, BPF_JGT, INT32_MAX, 0, 1); /* AT_FDCWD is negative */
		append(program, RETURN_ERROR);
		break;
	case CHECK_FCNTL:
		append_load(program, ARGUMENT_LOW(1));
		for (size_t i = 0; i < FCNTL_COUNT; i++)
			append_jump(program, BPF_JEQ, fcntl_commands[i], (uint8_t)(FCNTL_COUNT - i), 0);
		append(program, RETURN_ERROR);
		break;
	case CHECK_READ_LIMIT:
		append_require(program, ARGUMENT_LOW(0), 0);
		append_require(program, ARGUMENT_LOW(2), 0);
		append_require(program, ARGUMENT_HIGH(2), 0);
		break;
	}
	append(program, RETURN_ALLOW);
}

/* Numbers of the x32 ABI are other numbers: not on the list. */
static void write_program(struct program *program)
{
	append_load(program, offsetof(struct seccomp_data, arch));
	append_jump(program, BPF_JEQ, AUDIT_ARCH_X86_64, 1, 0);
	append(program, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS));
	append_load(program, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < ALLOWED_COUNT; i++) {
		unsigned short jump = program->length;

		append_jump(program, BPF_JEQ, allowed[i].call, 0, 0);
		append_check(program, allowed[i].check);
		program->code[jump].jf = (uint8_t)(program->length - jump - 1);
	}
	append(program, RETURN_ERROR);
}

struct error *sandbox_restrict_calls(void)
{
	struct program program = {.length = 0};
	struct sock_fprog filter = {.filter = program.code};

	write_program(&program);
	filter.len = program.length;
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter, 0, 0))
		return error_create(ERROR_UNSUPPORTED, errno, NULL, "seccomp");
	return NULL;
}
