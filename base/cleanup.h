/* Scope guards: what a block opened is closed when the block ends, on every path.
 *
 * Use: `_cleanup_close_ int fd = -1;`. To hand the thing on: `return take_fd(&fd);` or take_ptr().
 */
#ifndef KILN_BASE_CLEANUP_H
#define KILN_BASE_CLEANUP_H

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

static inline void cleanup_free(void *p)
{
	free(*(void **)p);
}

static inline void cleanup_close(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		fclose(*file);
}

static inline void cleanup_error(struct error **error)
{
	error_destroy(*error);
}

#define _cleanup_free_	 _cleanup_(cleanup_free)
#define _cleanup_close_	 _cleanup_(cleanup_close)
#define _cleanup_fclose_ _cleanup_(cleanup_fclose)
#define _cleanup_error_	 _cleanup_(cleanup_error)

static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define take_ptr(p)                                                                                          \
	({                                                                                                   \
		typeof(p) taken = (p);                                                                       \
		(p) = NULL;                                                                                  \
		taken;                                                                                       \
	})

#endif
