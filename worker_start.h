/* A worker of our own, without a probe: for verbs that read ELF files and profile nothing.
 *
 * It is sandboxed as the probe's are (bpf/supervisor.h): a process for each, nobody's rights where we may
 * give ours away, no files but those that are handed over. Ownership: worker_start() → worker_stop(); the fd
 * for kiln's questions (symbolizer_client_connect()) belongs to the caller.
 */
#ifndef KILN_WORKER_START_H
#define KILN_WORKER_START_H

#include "base/error.h"
#include "base/loop.h"
#include "symbolizer/frame.h"

#include <stdbool.h>
#include <stdint.h>

struct started_worker;

/* As root, before anything else: forks. What goes on (true) may drop its rights later; the other process
 * keeps them, waits for it, ends what it has left behind, and has its exit status in *ret_status (false):
 * somebody who has no rights any more cannot end a worker that hangs, nor does that die with him (the kernel
 * asks who of the two dies). Without root: true. */
bool worker_guard(int *ret_status);

struct error *worker_start(struct loop *loop, int *ret_kiln_fd, struct started_worker **ret);
void worker_stop(struct started_worker *worker); /* NULL accepted */
/* Before the first question about it; the fd stays the caller's. */
struct error *worker_hand_over(struct started_worker *worker, uint32_t module, enum module_kind kind, int fd);

#endif
