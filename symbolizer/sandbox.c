#include "symbolizer/sandbox.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

/* What a damaged file can make libdw ask for. Mapped files count as address space and not as data. */
#define DATA_MAX	  (4ull << 30)
#define ADDRESS_SPACE_MAX (32ull << 30)

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define HAS_SHADOW_MEMORY 1 /* terabytes of address space, not used */
#else
#define HAS_SHADOW_MEMORY 0
#endif

static struct error *limit(int resource, const char *what, rlim_t most)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit))
		return error_create(ERROR_GENERAL, errno, NULL, "getrlimit %s", what);
	if (limit.rlim_max > most)
		limit.rlim_max = most;
	if (limit.rlim_cur > limit.rlim_max)
		limit.rlim_cur = limit.rlim_max;
	if (setrlimit(resource, &limit))
		return error_create(ERROR_GENERAL, errno, NULL, "setrlimit %s", what);
	return NULL;
}

/* Refused with EACCES, which libdw and libc take for a file that is not there. */
static const unsigned refused[] = {
	SYS_open,
	SYS_openat,
	SYS_openat2,
	SYS_creat,
	SYS_open_by_handle_at,
	SYS_execve,
	SYS_execveat,
	SYS_fork,
	SYS_vfork,
	SYS_clone,
	SYS_clone3,
	SYS_socket,
	SYS_socketpair,
	SYS_connect,
	SYS_bind,
	SYS_kill,
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_pidfd_open,
	SYS_pidfd_getfd,
	SYS_pidfd_send_signal,
	SYS_bpf,
	SYS_perf_event_open,
	SYS_userfaultfd,
	SYS_io_uring_setup,
	SYS_add_key,
	SYS_keyctl,
	SYS_mount,
	SYS_unshare,
	SYS_setns,
	SYS_chdir,
	SYS_unlink,
	SYS_unlinkat,
	SYS_rename,
	SYS_renameat,
	SYS_renameat2,
	SYS_truncate,
	SYS_chmod,
	SYS_fchmodat,
	SYS_link,
	SYS_linkat,
	SYS_symlink,
	SYS_symlinkat,
	SYS_mkdir,
	SYS_mkdirat,
	SYS_mknod,
	SYS_mknodat,
};
#define REFUSED_COUNT (sizeof(refused) / sizeof(refused[0]))
#define X32_BIT	      0x40000000u /* system calls of the x32 ABI: other numbers for the same calls */

static struct error *refuse_calls(void)
{
	struct sock_filter filter[6 + REFUSED_COUNT + 2];
	struct sock_fprog program = {.filter = filter};
	unsigned short at = 0;

	filter[at++] =
		(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
	filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	filter[at++] =
		(struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, X32_BIT, REFUSED_COUNT + 1, 0);
	for (size_t i = 0; i < REFUSED_COUNT; i++)
		filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused[i],
							    (unsigned char)(REFUSED_COUNT - i), 0);
	filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EACCES);
	program.len = at;
	/* EINVAL: a kernel without seccomp filters. The rights that the parent took away are gone all the
	 * same. */
	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) && errno != EINVAL)
		return error_create(ERROR_GENERAL, errno, NULL, "seccomp");
	return NULL;
}

/* RLIMIT_NOFILE stays: modules come as fds. RLIMIT_FSIZE stays: tables go as memfds. */
struct error *sandbox_enter(void)
{
	struct error *error = NULL;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_create(ERROR_GENERAL, errno, NULL, "no_new_privs");
	unsetenv("DEBUGINFOD_URLS");
	error = limit(RLIMIT_CORE, "core", 0);
	if (!error && !HAS_SHADOW_MEMORY)
		error = limit(RLIMIT_DATA, "data", DATA_MAX);
	if (!error && !HAS_SHADOW_MEMORY)
		error = limit(RLIMIT_AS, "as", ADDRESS_SPACE_MAX);
	return error ? error : refuse_calls();
}
