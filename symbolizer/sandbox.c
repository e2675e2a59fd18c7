#include "symbolizer/sandbox.h"

#include "symbolizer/sandbox_layers.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NOBODY_ID 65534 /* the kernel's overflow id: owns nothing by convention */
/* What a damaged file can make libdw ask for. Mapped files count as address space and not as data. */
#define DATA_MAX	  (4ull << 30)
#define ADDRESS_SPACE_MAX (32ull << 30)
#define TABLE_BYTES_MAX	  (4ull << 30) /* a table's memfd counts as a file; no table comes near this */

#ifndef __has_feature
#define __has_feature(feature) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define HAS_SHADOW_MEMORY 1 /* terabytes of address space, not used */
#else
#define HAS_SHADOW_MEMORY 0
#endif

/* ---- limits ---- */

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

/* RLIMIT_NOFILE stays: modules come as fds. */
static struct error *set_limits(void)
{
	struct error *error = limit(RLIMIT_CORE, "core", 0);

	if (!error)
		error = limit(RLIMIT_NPROC, "nproc", 0);
	if (!error)
		error = limit(RLIMIT_FSIZE, "fsize", TABLE_BYTES_MAX);
	if (!error && !HAS_SHADOW_MEMORY)
		error = limit(RLIMIT_DATA, "data", DATA_MAX);
	if (!error && !HAS_SHADOW_MEMORY)
		error = limit(RLIMIT_AS, "as", ADDRESS_SPACE_MAX);
	return error;
}

/* ---- rights ---- */

/* Its bytes, too: the user's tokens are often there. */
static void empty_environment(void)
{
	for (char **variable = environ; variable && *variable; variable++)
		explicit_bzero(*variable, strlen(*variable));
	clearenv();
}

/* Needs CAP_SETPCAP in the user namespace at hand; with no_new_privs nothing comes back through it anyway. */
static void drop_bounding_set(void)
{
	for (unsigned long capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
		;
}

/* A worker of root's own, without a probe that has done it already. Where user 65534 is not mapped (a
 * container's user namespace) root stays, and has no capability. */
static void leave_root(void)
{
	bool is_root = geteuid() == 0 || getuid() == 0;

	if (is_root && setgroups(0, NULL) == 0 && setresgid(NOBODY_ID, NOBODY_ID, NOBODY_ID) == 0 &&
	    setresuid(NOBODY_ID, NOBODY_ID, NOBODY_ID) < 0)
		return;
}

static struct error *drop_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {0}, left[_LINUX_CAPABILITY_U32S_3];

	drop_bounding_set();
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (syscall(SYS_capset, &header, none))
		return error_create(ERROR_GENERAL, errno, NULL, "capset");
	if (syscall(SYS_capget, &header, left) || memcmp(left, none, sizeof(none)))
		return error_create(ERROR_GENERAL, 0, NULL, "capabilities remain");
	return NULL;
}

/* Not with an error: nobody may attach to it, and it dies with its parent as it did before its ids changed
 * (prctl(2): that clears it). */
static struct error *set_process(int parent_death_signal)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		return error_create(ERROR_GENERAL, errno, NULL, "no_new_privs");
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0))
		return error_create(ERROR_GENERAL, errno, NULL, "dumpable");
	prctl(PR_SET_PDEATHSIG, parent_death_signal, 0, 0, 0);
	return NULL;
}

/* ---- all ---- */

struct error *sandbox_enter_layers(struct sandbox_layers *ret)
{
	int parent_death_signal = 0;
	struct error *error;

	prctl(PR_GET_PDEATHSIG, &parent_death_signal, 0, 0, 0);
	empty_environment();
	/* With what rights there are, before they go. */
	namespaces_leave(NAMESPACES_BY_RIGHT);
	drop_bounding_set();
	leave_root();
	ret->namespaces = namespaces_leave(NAMESPACES_BY_USER);
	error = drop_capabilities();
	if (!error)
		error = set_process(parent_death_signal);
	if (!error)
		error = set_limits();
	if (error)
		return error;
	ret->landlock = sandbox_restrict_landlock();
	return sandbox_restrict_calls();
}

struct error *sandbox_enter(void)
{
	struct sandbox_layers layers;

	return error_wrap(sandbox_enter_layers(&layers), "sandbox");
}
