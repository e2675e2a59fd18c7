#include "symbolizer/sandbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>

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
	return error;
}
