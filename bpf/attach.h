/* What takes samples: one perf event on each online CPU, which runs a BPF program.
 *
 * Preference: the hardware's cycles where every CPU has them, else the timer "cpu-clock" (virtual machines):
 * found out by trying. The events are made disabled. They count for every process; the program picks the
 * target. Ownership: the events, and the program's attachment, live as long as the sampler, or this process.
 * A CPU that comes online later is not sampled.
 */
#ifndef KILN_BPF_ATTACH_H
#define KILN_BPF_ATTACH_H

#include "base/error.h"

#include <stdbool.h>

enum sampler_clock { SAMPLER_CYCLES, SAMPLER_CPU_CLOCK };

struct sampler_options {
	unsigned hz;
	bool wants_user;
	bool wants_kernel;
};

struct sampler;

struct error *sampler_create(const struct sampler_options *options, int program_fd, struct sampler **ret);
void sampler_destroy(struct sampler *sampler); /* NULL accepted */
struct error *sampler_enable(struct sampler *sampler);
struct error *sampler_disable(struct sampler *sampler);
enum sampler_clock sampler_get_clock(const struct sampler *sampler);
unsigned sampler_get_cpu_count(const struct sampler *sampler); /* CPUs that are sampled */

#endif
