/* The clock that takes samples: one perf event on each online CPU, which runs a BPF program.
 *
 * Preference: the hardware's cycles where every CPU has them, else the timer "cpu-clock" (virtual machines): found
 * out by trying. The events are made disabled. They count for every process; the program picks the target.
 * Ownership: the events, and the program's attachment, live as long as the clock, or this process.
 * A CPU that comes online later is not sampled.
 */
#ifndef KILN_BPF_ATTACH_H
#define KILN_BPF_ATTACH_H

#include "base/error.h"

#include <stdbool.h>

enum clock_kind { CLOCK_CYCLES, CLOCK_TIMER };

struct clock_options {
	unsigned hz;
	bool wants_user;
	bool wants_kernel;
};

struct clock;

struct error *clock_create(const struct clock_options *options, int program_fd, struct clock **ret);
void clock_destroy(struct clock *clock); /* NULL accepted */
struct error *clock_enable(struct clock *clock);
struct error *clock_disable(struct clock *clock);
enum clock_kind clock_get_kind(const struct clock *clock);
unsigned clock_get_cpu_count(const struct clock *clock); /* CPUs that are sampled */

#endif
