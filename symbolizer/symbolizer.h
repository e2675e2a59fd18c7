/* The front door of the symbolizer: the worker's main function, and kiln's side of asking names.
 *
 * A worker runs with nobody's rights and serves two sockets: the probe's (modules, tables) and, when it is a
 * names worker, kiln's (names). It never opens a path, never forks, never holds a BPF fd.
 */
#ifndef KILN_SYMBOLIZER_SYMBOLIZER_H
#define KILN_SYMBOLIZER_SYMBOLIZER_H

#include "base/error.h"
#include "base/loop.h"
#include "symbolizer/code_client.h"
#include "symbolizer/frame.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- in the worker ---- */

/* Serves until the probe's socket closes; returns the exit status. kiln_fd: -1 in a worker that builds tables
 * only. The caller has dropped all rights already; this function applies the rest of the sandbox. Takes the
 * fds. */
int symbolizer_worker_main(int probe_fd, int kiln_fd);

/* ---- in kiln ---- */

struct resolved_name {
	uint64_t offset; /* as asked */
	uint64_t start;	 /* see struct name_entry */
	uint32_t line;
	bool is_fde;
	bool is_inlined;      /* into the next one, which has the same offset */
	const char *function; /* not terminated; length 0: unknown */
	size_t function_length;
	const char *file;
	size_t file_length;
};

struct symbolizer_client_ops {
	/* All names of one answer message, checked against what was asked; the levels of one offset are never
	 * torn apart. */
	void (*named)(void *arg, uint32_t module, const struct resolved_name *names, size_t count);
	void (*info)(void *arg, const struct info_message *info);
	/* The worker has answered nothing for its deadline (module: what it was asked). The client keeps the
	 * unanswered requests, and sends them again on the next channel; a module that was unanswered twice
	 * is set aside: its offsets are answered as unknown. */
	void (*stuck)(void *arg, uint32_t module);
	/* This module has just been set aside. NULL accepted. */
	void (*set_aside)(void *arg, uint32_t module);
};

struct symbolizer_client;

struct error *symbolizer_client_create(struct loop *loop, const struct symbolizer_client_ops *ops, void *arg,
				       struct symbolizer_client **ret);
void symbolizer_client_destroy(struct symbolizer_client *client); /* NULL accepted */
/* A (new) worker's socket; takes the fd. Unanswered requests are sent again. */
struct error *symbolizer_client_connect(struct symbolizer_client *client, int fd);
/* Says how big a module's file is: its first question may take 2 s + 20 ms per MB, a later one 500 ms. */
struct error *symbolizer_client_set_module(struct symbolizer_client *client, uint32_t module,
					   uint64_t size_bytes);
/* Where the target has it mapped: beside it and below it debug files are looked for. */
struct error *symbolizer_client_set_module_path(struct symbolizer_client *client, uint32_t module,
						const char *path);
/* An O_PATH fd of the target's root, which is taken; -1: it is kiln's own. Debug files are looked for there
 * first. */
void symbolizer_client_set_root(struct symbolizer_client *client, int root_fd);
/* --debuginfod: modules without lines get their debug files from servers; their frames are named again when
 * one has come. To be called before the first question; progress gets the words for people, and the arg of
 * the client. Errors: no servers are known, the client is not installed. */
struct error *symbolizer_client_use_debuginfod(struct symbolizer_client *client,
					       void (*progress)(void *arg, const char *text));
/* Queues a question. At most a few requests are under way at once; the rest waits here. */
struct error *symbolizer_client_ask(struct symbolizer_client *client, uint32_t module,
				    const uint64_t *offsets, size_t count);
/* Questions asked and not answered, and debug files that are being fetched. */
size_t symbolizer_client_pending(const struct symbolizer_client *client);
/* Asks for the code of the function that covers a file offset, as code_client_ask() does. */
struct error *symbolizer_client_ask_code(struct symbolizer_client *client, uint32_t module, uint64_t offset,
					 uint32_t flags,
					 void (*on_listing)(void *arg, struct code_listing *listing),
					 void *arg);

#endif
