/* kiln's side of debuginfod: debug files from the servers that the user has chosen, when asked for with
 * --debuginfod.
 *
 * debuginfod's own client does the work, as a child process with the rights of the user, a few at once; where
 * its file lies comes back through the loop. Nothing else of kiln ever talks to a server.
 *
 * Servers: DEBUGINFOD_URLS, else /etc/debuginfod's *.urls (what a login shell puts there; sudo takes it
 * away). Ownership: debuginfod_create() → debuginfod_destroy(), which ends what is under way.
 */
#ifndef KILN_SYMBOLIZER_DEBUGINFOD_H
#define KILN_SYMBOLIZER_DEBUGINFOD_H

#include "base/error.h"
#include "base/loop.h"
#include "symbolizer/frame.h"

#include <stddef.h>
#include <stdint.h>

struct debuginfod;

struct debuginfod_file {
	uint32_t module;
	uint32_t build_id_length;
	uint8_t build_id[BUILD_ID_MAX];
	const char *path; /* absolute; NULL: no server has it, or it could not be got */
};

typedef void debuginfod_fetched(void *arg, const struct debuginfod_file *file);

/* Errors: no server is known, the client is not installed. */
struct error *debuginfod_create(struct loop *loop, debuginfod_fetched *fetched, void *arg,
				struct debuginfod **ret);
void debuginfod_destroy(struct debuginfod *debuginfod); /* NULL accepted */
struct error *debuginfod_fetch(struct debuginfod *debuginfod, uint32_t module, const uint8_t *build_id,
			       uint32_t length);
/* Fetches that are under way or wait. */
size_t debuginfod_count(const struct debuginfod *debuginfod);

#endif
