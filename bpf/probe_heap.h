/* The heap's part of the probe: from a worker's proposals to probes in place, their room, their price, their
 * end.
 *
 * Course: probe_heap_prepare() (while the probe has all its rights) → probe_heap_start() when the CPU
 * programs are attached → proposals come with the tables, module by module, and are attached at once → a look
 * at the price four times a second (--heap=auto) → closed by the price, or with the probe. Only for the files
 * of the probe.
 */
#ifndef KILN_BPF_PROBE_HEAP_H
#define KILN_BPF_PROBE_HEAP_H

#include "base/error.h"
#include "bpf/events.h"
#include "symbolizer/frame.h"

#include <stdbool.h>
#include <stdint.h>

struct probe;
struct probe_heap;

/* Finds out which links this kernel has. Never fails: what is missing becomes the reason why the heap is not
 * measured. */
void probe_heap_prepare(struct probe *probe);
/* Whether CAP_SYS_ADMIN must be kept. */
bool probe_heap_needs_admin(const struct probe *probe);
void probe_heap_start(struct probe *probe);
void probe_heap_destroy(struct probe *probe);

/* A module's allocator functions, as a worker proposes them. */
void probe_heap_on_hooks(struct probe *probe, uint32_t module, const struct hooks_message *message);
/* Loads the programs: before the kernel's names are read (the programs' own are among them), and while the
 * workers build tables. */
void probe_heap_open(struct probe *probe);
/* Tables were published, or sampling has begun: what was proposed until now is attached. */
void probe_heap_on_tables(struct probe *probe);
void probe_heap_on_room(struct probe *probe, const struct control_record *record);
void probe_heap_on_exec(struct probe *probe, const struct control_record *record);
void probe_heap_on_fork(struct probe *probe);
/* The target's mappings have been read again. */
void probe_heap_on_mappings(struct probe *probe);
void probe_heap_on_target_gone(struct probe *probe);
/* kiln is about to stop itself (^Z). */
void probe_heap_on_stop(struct probe *probe);
/* The books end with this moment; the probes may stay a while. */
void probe_heap_close(struct probe *probe);

#endif
