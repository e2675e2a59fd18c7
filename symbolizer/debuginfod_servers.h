/* Where debuginfod's client and its servers are. */
#ifndef KILN_SYMBOLIZER_DEBUGINFOD_SERVERS_H
#define KILN_SYMBOLIZER_DEBUGINFOD_SERVERS_H

#include "base/error.h"

/* The value for DEBUGINFOD_URLS, to be freed. */
struct error *debuginfod_find_servers(char **ret);
/* The path of debuginfod-find, to be freed. */
struct error *debuginfod_find_client(char **ret);

#endif
