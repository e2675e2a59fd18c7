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

#include <stdint.h>

struct started_worker;

struct error *worker_start(struct loop *loop, int *ret_kiln_fd, struct started_worker **ret);
void worker_stop(struct started_worker *worker); /* NULL accepted */
/* Before the first question about it; the fd stays the caller's. */
struct error *worker_hand_over(struct started_worker *worker, uint32_t module, enum module_kind kind, int fd);

#endif
